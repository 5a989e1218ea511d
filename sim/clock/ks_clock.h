/* The five clocks of a node, as segments, and what faults do to them.
 *
 * A clock is a straight line from where its current segment began: at true time t >= t0,
 *
 *     value(t) = v0 + dt + floor((dt * rate_q64 + frac_q64) / 2^64),   dt = t - t0,   in a 128-bit product.
 *
 * rate_q64 is the deviation from true rate, positive when the clock runs faster. Every change of a clock starts a
 * new segment at the exact value of the one before, with the part of a ns that it had reached: whatever is done to a
 * clock however often, not a ns is lost. A held clock does not move. A coarse clock shows that line floored to its
 * tick. The same header serves the simulation and the vDSO page.
 *
 * Which clock moves under which fault follows Linux (kernel/time/timekeeping.c) as measured by the five-clock
 * probe of vm-images/. */
#ifndef KS_CLOCK_H
#define KS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "ks_record.h"

struct ks_seg {
	int64_t t0_ns;    /* true time, since the start of the scenario */
	int64_t v0_ns;    /* what the clock shows at t0: unix time for REALTIME and TAI, since boot for the others */
	int64_t rate_q64; /* deviation x 2^64; |deviation| < 1/2 */
	uint64_t frac_q64; /* of a ns, beyond v0 */
	int64_t held;     /* 1: stands at v0 */
	int64_t tick_ns;  /* what it shows is a multiple of this; 0: every ns */
};

/* The line itself, whatever its tick. */
static inline int64_t ks_seg_line(const struct ks_seg *s, int64_t t_ns)
{
	int64_t dt = t_ns - s->t0_ns;
	if (__builtin_expect(s->held != 0, 0))
		return s->v0_ns;
	return s->v0_ns + dt + (int64_t)(((__int128)dt * s->rate_q64 + s->frac_q64) >> 64);
}

/* What the clock shows. */
static inline int64_t ks_seg_at(const struct ks_seg *s, int64_t t_ns)
{
	int64_t v = ks_seg_line(s, t_ns);
	if (__builtin_expect(s->tick_ns != 0, 0)) {
		int64_t over = v % s->tick_ns;
		v -= over < 0 ? over + s->tick_ns : over;
	}
	return v;
}

/* @return the first true time at or after from_ns at which the segment shows at least value, or INT64_MAX. */
int64_t ks_seg_when(const struct ks_seg *s, int64_t from_ns, int64_t value_ns);

struct ks_clocks {
	struct ks_seg seg[KS_NCLOCKS];
	struct ks_seg rtc;   /* the battery-backed clock, unix time: runs on through suspend and reboot, and runs true */
	int64_t drift_ppb;   /* the oscillator: bends all five */
	int64_t slew_q64;    /* what somebody else bends: all but RAW */
	int64_t keeper_q64;  /* what the daemon that keeps the clock bends, on top of it: all but RAW */
	int64_t asleep_ns, rtc_asleep_ns; /* true time and RTC when s3 began */
};

#define KS_PPB_LIMIT INT64_C(499999999) /* rates stay within +-50 % */

/* A node that has been up for uptime_ns at true time 0, its wall clock at unix_ns + offset, TAI tai_offset_s ahead. */
void ks_clocks_init(struct ks_clocks *c, int64_t unix_ns, int64_t offset_ns, int64_t uptime_ns, int64_t tai_offset_s);

/* Everything below acts at true time t_ns, which must not lie before the last change. */

/* Moves REALTIME and TAI by delta_ns (positive: later). clock_settime, ADJ_SETOFFSET. */
void ks_clocks_step(struct ks_clocks *c, int64_t t_ns, int64_t delta_ns);
/* Moves REALTIME alone by one second: inserted, REALTIME goes back; deleted, forward. TAI is continuous. */
void ks_clocks_leap(struct ks_clocks *c, int64_t t_ns, int insert);
/* Sets the oscillator's error (all five bend). */
void ks_clocks_drift(struct ks_clocks *c, int64_t t_ns, int64_t drift_ppb);
/* Sets a frequency correction (all but RAW bend); in ppb, or exactly (deviation x 2^64). */
void ks_clocks_slew(struct ks_clocks *c, int64_t t_ns, int64_t slew_ppb);
void ks_clocks_bend(struct ks_clocks *c, int64_t t_ns, int64_t slew_q64);
/* Sets the correction of the daemon that keeps the clock, which adds to the other (all but RAW bend). */
void ks_clocks_keep(struct ks_clocks *c, int64_t t_ns, int64_t keeper_q64);
/* The clocks of the mask show multiples of tick_ns of their own value from now on; 0: every ns again. */
void ks_clocks_coarse(struct ks_clocks *c, unsigned mask, int64_t tick_ns);
/* Sets the battery-backed clock. What shows it is the next boot, and a resume from s3, which takes from it how long the
 * machine has slept. */
void ks_clocks_set_rtc(struct ks_clocks *c, int64_t t_ns, int64_t unix_ns);
/* Holds the clocks of the mask (bit = enum ks_clock_id) at what they show, and lets them run on from there. */
void ks_clocks_hold(struct ks_clocks *c, int64_t t_ns, unsigned mask);
void ks_clocks_release(struct ks_clocks *c, int64_t t_ns, unsigned mask);

/* Suspends of a machine. Between begin and end no thread of it runs. */
enum ks_suspend {
	KS_SUSPEND_S3,        /* MONOTONIC, RAW stop; REALTIME, TAI, BOOTTIME run on */
	KS_SUSPEND_VM_STOP,   /* all five freeze: the guest does not notice, and is late afterwards */
	KS_SUSPEND_HOST_STOP, /* all five jump over it */
};
void ks_clocks_suspend(struct ks_clocks *c, int64_t t_ns, enum ks_suspend kind);
/* wake_error_ns: by how much REALTIME, TAI and BOOTTIME are off after s3 (the RTC that bridged it is coarse). Where the
 * RTC was set meanwhile they move along; where it was set to before the sleep, the sleep has no length: they go on from
 * where they stood (timekeeping_resume takes no negative sleep). */
void ks_clocks_resume(struct ks_clocks *c, int64_t t_ns, enum ks_suspend kind, int64_t wake_error_ns);

/* A boot: the wall clock from the RTC, TAI = REALTIME, the others from 0; corrections and ticks are gone. */
void ks_clocks_boot(struct ks_clocks *c, int64_t t_ns);
/* The five clocks go on at t_ns from where they were saved, true time saved_at_ns: a machine that is put back to a snapshot,
 * or begins from one. The RTC is not in the snapshot. saved and c may be the clocks of two machines. */
void ks_clocks_restore(struct ks_clocks *c, const struct ks_clocks *saved, int64_t saved_at_ns, int64_t t_ns);

static inline int64_t ks_clocks_at(const struct ks_clocks *c, enum ks_clock_id id, int64_t t_ns)
{
	return ks_seg_at(&c->seg[id], t_ns);
}

/* deviation x 2^64 of a rate in ppb, rounded up; |ppb| <= KS_PPB_LIMIT. */
int64_t ks_rate_q64(int64_t ppb);
/* The same of delta_ns in length_ns > 0, |delta| < length / 2: a clock that is bent so moves by exactly delta in that. */
int64_t ks_rate_over(int64_t delta_ns, int64_t length_ns);

/* "realtime", "monotonic", "raw", "boottime", "tai". */
extern const char *const ks_clock_names[KS_NCLOCKS];

#endif
