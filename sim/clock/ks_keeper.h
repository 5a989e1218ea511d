/* Who keeps a node's clock: the daemons chrony, ntpd and timesyncd, as far as they move it.
 *
 * A keeper asks its time source once a poll, gets the answer a round trip later, and then steps the clock or bends it,
 * through the same primitives as every fault. What it takes for the offset is what NTP computes: the source's time in
 * the middle of the round trip, off by what is drawn, less the mean of the node's own readings at both ends. Positive:
 * the node is late, as in ntpq and chronyc.
 *
 * chrony     steps while it may (makestep); else slews the offset away at up to maxslew, in a time that follows from the
 *            jitter (chrony's local.c, reference.c: correctiontimeratio 3, at least 1 s). A frequency error is one that
 *            two measurements in a row show; it is corrected.
 * ntpd       ignores offsets beyond `step` until they have lasted for `stepout` since the last good one, then steps
 *            (ntp_loopfilter.c of 4.2.8: 128 ms, 300 s; in 4.2.6 and RFC 5905 900 s); beyond `panic` it gives up. Others
 *            go to the kernel's phase-locked loop; where steps begin beyond 0.5 s or never come (step 0, as ntpd -x does),
 *            to ntpd's own loop, which corrects at most 500 ppm.
 * timesyncd  steps from 0.4 s on, else the kernel's loop with a shorter time constant (poll - 4). It asks anew at once when
 *            somebody else sets the clock (timesyncd-manager.c).
 *
 * What is left out: the filter over eight samples (with one source and one path the newest is the best), several sources,
 * and polls that grow longer: the interval is what it is given. */
#ifndef KS_KEEPER_H
#define KS_KEEPER_H

#include <stdbool.h>

#include "ks_clock.h"

enum ks_keeper_kind { KS_KEEPER_NONE, KS_KEEPER_CHRONY, KS_KEEPER_NTPD, KS_KEEPER_TIMESYNCD, KS_NKEEPERS };
extern const char *const ks_keeper_names[KS_NKEEPERS]; /* "none", "chrony", "ntpd", "timesyncd" */

struct ks_keeper_desc {
	enum ks_keeper_kind kind;
	int64_t offset_ns;   /* of the time source; positive: it reads later than true time */
	int64_t jitter_ns;   /* root mean square of what a measurement is off by; at most three times that */
	int64_t delay_ns;    /* of the round trip, the same both ways */
	int64_t poll_ns;     /* between two questions, >= 1 s */
	int64_t first_ns;    /* true time of the first one; < 0: drawn within a poll */
	int64_t step_ns;     /* larger offsets are stepped; 0: none is */
	int64_t stepout_ns;  /* ntpd: once they have lasted that long */
	int64_t panic_ns;    /* ntpd: it gives up beyond; 0: never */
	int64_t limit;       /* chrony: only in the first so many updates; < 0: always */
	int64_t maxslew_ppb; /* chrony */
};

/* What a keeper did at an instant, for the record. */
enum ks_keeper_did {
	KS_KEEPER_QUIET,   /* nothing that moves the clock otherwise than before */
	KS_KEEPER_STEPPED, /* by amount, ns */
	KS_KEEPER_SLEWS,   /* amount: the offset that it works off from now on, ns */
	KS_KEEPER_WAITS,   /* ntpd: amount is beyond step, but not for long enough */
	KS_KEEPER_GAVE_UP, /* ntpd: amount is beyond panic */
	KS_NKEEPER_DID
};
struct ks_keeper_act {
	enum ks_keeper_did did;
	int64_t amount_ns;
};

struct ks_keeper {
	const struct ks_keeper_desc *desc;
	uint64_t seed, node, draws;
	int64_t poll_at_ns, reply_at_ns, turn_at_ns; /* INT64_MAX: none. turn: a slew ends, or the loop's next second */
	int64_t asked_ns;       /* what the node's clock showed when it asked */
	int64_t good_at_ns;     /* the last measurement that it acted on */
	int64_t updates;        /* so far */
	bool spike, panicked;
	int64_t freq_q64;       /* of its correction: the lasting part */
	int64_t phase_q64;      /* and the one that works off an offset */
	int64_t left_q16;       /* of that offset, ns x 2^16; what the loop has not handed out yet */
	int64_t slew_from_ns, slew_ns; /* chrony: since when, and how much in all */
	int64_t slew_len_ns;
	int64_t surprise_ns;    /* chrony: of the measurement before, what the slew does not explain */
};

/* A keeper that has kept the clock for long: it knows the drift of the oscillator and corrects it. desc is borrowed. */
void ks_keeper_init(struct ks_keeper *k, const struct ks_keeper_desc *desc, struct ks_clocks *c, uint64_t seed, uint64_t node);
/* @return when it acts next (true time), or INT64_MAX. */
int64_t ks_keeper_next(const struct ks_keeper *k);
/* Acts, at ks_keeper_next or later (after a suspend). source_unix_ns: what a perfect time source shows then. */
struct ks_keeper_act ks_keeper_run(struct ks_keeper *k, struct ks_clocks *c, int64_t t_ns, int64_t source_unix_ns);
/* Somebody else has set the clock. */
void ks_keeper_disturb(struct ks_keeper *k, int64_t t_ns);
/* The machine has slept, for slept_ns by its monotonic clock's not counting: so its timers are later by as much. */
void ks_keeper_resume(struct ks_keeper *k, int64_t t_ns, int64_t slept_ns);
/* The machine has booted (c is as ks_clocks_boot left it): the keeper starts anew, with the frequency it had stored. */
void ks_keeper_boot(struct ks_keeper *k, struct ks_clocks *c, int64_t t_ns);

#endif
