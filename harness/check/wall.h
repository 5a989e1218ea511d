/* The wall clocks of a plan's fleet, and which of their ticks calls fall into. Private to this folder. */
#ifndef KS_WALL_H
#define KS_WALL_H

#include "ks_clock.h"
#include "ks_err.h"
#include "ks_plan.h"
#include "law.h"

#define KS_TICK_NS KS_MS

/* A stretch of a node's wall clock between two faults, while there are calls: a straight line. */
struct ks_stretch {
	struct ks_seg seg;
	uint32_t node;
	int64_t from_ns, to_ns; /* true time; to is excluded */
};

struct ks_wall {
	const struct ks_plan *plan;
	struct ks_stretch *v; /* by node, then time */
	size_t n;
	size_t *start;   /* nodes + 1: node i has v[start[i]] .. v[start[i + 1] - 1] */
	int64_t back_ns; /* the sum of all steps back, of the node that has most */
};
/* @return 0, or -1. Release it in any case. */
int ks_wall_init(struct ks_wall *w, const struct ks_plan *plan, struct ks_err *err);
void ks_wall_release(struct ks_wall *w);

/* Regular and burst arrivals. */
uint64_t ks_calls_before(const struct ks_load *load, int64_t t_ns); /* of a node, due before t */
int64_t ks_due(const struct ks_load *load, uint64_t m);             /* of its m-th call */

/* How keys are made of ticks, and whose duplicates count: bare ticks of the fleet, of each node; in each process (tick,
 * number in the tick). */
enum ks_tick_keys { KS_TICK_OF_FLEET, KS_TICK_OF_NODE, KS_TICK_COUNTED };

#define KS_WALK_MAX (UINT64_C(1) << 20) /* calls */

/* n - distinct of the keys, when each call reads its clock late_ns after it is due. *free: set when a call is so near
 * to a tick, a fault or the end that a different lateness up to limit_ns would move it. *in_tick_max: keys of one tick,
 * at most.
 * @return 0, or -1: out of memory, more than KS_WALK_MAX calls. */
int ks_count_duplicates(const struct ks_wall *w, enum ks_tick_keys keys, int64_t late_ns, int64_t limit_ns,
			int64_t *duplicates, bool *free, uint64_t *in_tick_max);

/* Poisson arrivals: how many ticks expect how many calls, of the stretches v[first] .. v[end - 1] together. */
struct ks_ticks {
	double mean, count;
};
/* @return 0 with *v owned by the caller (ks_free), or -1. */
int ks_tick_loads(const struct ks_wall *w, size_t first, size_t end, struct ks_ticks **v, size_t *n);

#endif
