/* Which calls met a fault: what it means stands at ks_evidence_init. Private to this folder.
 *
 * A record is first learnt from, then judged. Whoever has learnt from all before judging any is right; who judges each after
 * learning from those up to it is, too, unless `inexact` gets set: a reading came late, from before a change, that would
 * have exposed a call which was judged without it. */
#ifndef KS_EXPOSURE_H
#define KS_EXPOSURE_H

#include "ks_check.h"
#include "lives.h"

/* The faults cut the time of each node into spans; span 0 ends at its first fault. */
struct ks_span {
	int64_t before_ns; /* the latest reading before it began; of spans up to the node's `at` */
	int64_t own_ns;    /* the latest reading in it */
	int64_t least_ns;  /* the least reading in it that was judged and exposed nothing */
};

struct ks_exposure {
	const struct ks_evidence *e;
	uint32_t *start; /* nodes + 1: node i has the faults at_ns[start[i]] .. at_ns[start[i + 1] - 1], by time */
	int64_t *at_ns;
	struct ks_span *span; /* a span and clock each */
	uint32_t *at;         /* a node and clock each: the last span that has a reading */
	struct ks_lives lives;
	struct ks_read_before *previous; /* a lane each */
	size_t lanes;
	bool inexact;
};

/* @return 0, or -1 (KS_E_INTERNAL): out of memory. Release it in any case. */
int ks_exposure_init(struct ks_exposure *x, const struct ks_evidence *e, struct ks_err *err);
void ks_exposure_release(struct ks_exposure *x);
/* Records come in fleet order. */
int ks_exposure_learn(struct ks_exposure *x, const struct ks_lane *lanes, const struct ks_record *v, struct ks_err *err);
bool ks_exposure_judge(struct ks_exposure *x, const struct ks_lane *lanes, const struct ks_record *v);

#endif
