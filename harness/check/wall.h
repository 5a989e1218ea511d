/* One clock of each node of a plan's fleet, and when its threads cannot run. Private to this folder. */
#ifndef KS_WALL_H
#define KS_WALL_H

#include "ks_clock.h"
#include "ks_err.h"
#include "ks_plan.h"

/* A stretch of a node's clock between two faults: a line, or standing. Calls have none before the workload's phase. */
struct ks_stretch {
	struct ks_seg seg;
	uint32_t node;
	int64_t from_ns, to_ns; /* true time; to is excluded */
};

/* Threads that cannot run: those that the event which stops them names. to_ns is INT64_MAX when they never run on. */
struct ks_stop {
	struct ks_fault_event of;
	int64_t from_ns, to_ns;
};

struct ks_wall {
	const struct ks_plan *plan;
	uint64_t seed;
	struct ks_stretch *v; /* by node, then time */
	size_t n;
	size_t *start;        /* nodes + 1: node i has v[start[i]] .. v[start[i + 1] - 1] */
	struct ks_stop *stop; /* by node, then time */
	size_t stops;
	const char *missing;  /* what no law is made for, or NULL */
	const char *reborn;   /* what no law is made for that rests on state of processes, or NULL; the others see stops */
	/* the widest scope in which state lasts: the fleet, unless processes begin anew or nodes are cloned; -1: a node is rolled back */
	int lasting;
	int64_t fall_ns;      /* how far the clock shows less than it had shown, of the node where it falls most; 0: nowhere */
};
/* Follows the plan's faults, as they are with this seed. @return 0, or -1. Release it in any case. */
int ks_wall_init(struct ks_wall *w, const struct ks_plan *plan, uint64_t seed, enum ks_clock_id clock, struct ks_err *err);
void ks_wall_release(struct ks_wall *w);

#endif
