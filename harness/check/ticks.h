/* Which ticks of their clocks the calls of a plan fall into, and which keys come of it. Private to this folder. */
#ifndef KS_TICKS_H
#define KS_TICKS_H

#include "wall.h"

/* What of the caller is in a key. */
enum ks_who { KS_WHO_NOBODY, KS_WHO_NODE, KS_WHO_PROCESS, KS_WHO_WORKER };

/* What stands in it beside caller and tick. */
enum ks_within {
	KS_WITHIN_NOTHING,
	KS_WITHIN_COUNT,  /* the number within the tick: from 0 again whenever the tick is another than the last one */
	KS_WITHIN_FROZEN, /* the same, but a tick below the last one is not taken: the last one goes on */
	KS_WITHIN_ZEROED, /* a tick below the last one is refused, but the last one is then counted from 0 on again */
	KS_WITHIN_NTH,    /* the number of the call in its process */
};

/* A key: who, floor(clock / tick_ns) (in turns of `turn` ticks, 0: for ever), within. */
struct ks_form {
	int64_t tick_ns, turn;
	enum ks_who who;
	enum ks_within within;
};

/* ---- regular and burst arrivals ---- */

uint64_t ks_calls_before(const struct ks_load *load, int64_t t_ns); /* of a node, due before t */
int64_t ks_due(const struct ks_load *load, uint64_t m);             /* of its m-th call */

#define KS_WALK_MAX (UINT64_C(1) << 20) /* calls */

/* How the keys of a run repeat. */
struct ks_repeats {
	struct ks_group_size {
		uint64_t keys, count; /* so many keys are equal, so often */
	} *v;                         /* owned (ks_free) */
	size_t n;
	uint64_t duplicates;          /* n - distinct */
	uint64_t in_tick_max;         /* keys of one caller and tick, at most; not of WITHIN_NOTHING */
	bool free; /* a call is so near to a tick, a fault or the end that a different lateness up to limit_ns would move it */
};

/* Each call reads its clock late_ns after it is due, or after the thread is free, and takes as long.
 * @return 0, or -1: out of memory, more than KS_WALK_MAX calls. sizes: v is wanted, too. */
int ks_count_repeats(const struct ks_wall *w, const struct ks_form *form, int64_t late_ns, int64_t limit_ns, bool sizes,
                     struct ks_repeats *repeats);

/* ---- Poisson arrivals ---- */

/* `count` ticks expect `mean` calls each. Of one process's clock also: first and second, of the two times that they are lived;
 * crowded: they are lived more often. */
struct ks_tick_load {
	double mean, count, first, second;
	bool crowded;
};
struct ks_tick_loads {
	struct ks_tick_load *v; /* owned (ks_free) */
	size_t n;
	bool touching; /* a stretch begins within few calls of the tick in which the one before ended: are they one visit? */
};

/* Of the nodes whose mask byte is set, together. late_ns: how long calls take that have queued up.
 * @return 0, or -1: out of memory, stops that overlap. */
int ks_tick_loads(const struct ks_wall *w, const uint8_t *mask, int64_t tick_ns, int64_t late_ns, struct ks_tick_loads *loads);

#endif
