/* Arrivals: when the workload wants a call of each lane. */
#ifndef KS_ARRIVALS_H
#define KS_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

#include "ks_rand.h"
#include "ks_time.h"

enum ks_arrival { KS_ARRIVAL_REGULAR, KS_ARRIVAL_POISSON, KS_ARRIVAL_BURST };
enum ks_model { KS_MODEL_OPEN, KS_MODEL_CLOSED };
enum ks_on_refuse { KS_REFUSE_DROP, KS_REFUSE_RETRY };

/* How long a caller waits before it asks again after a refusal. */
#define KS_RETRY_AFTER_NS KS_MS
/* How many calls a burst has. */
#define KS_BURST_CALLS 10

struct ks_load {
	struct ks_rate rate; /* of a node, shared by its threads */
	enum ks_arrival arrival;
	enum ks_model model;
	enum ks_on_refuse on_refuse;
	int64_t phase_ns; /* every due time is this much later: off the ticks of the clocks, where jitter cannot cross one */
};

/* The due times of one lane, number `index` of the `lanes` of its node. Pure, the same in every world. */
struct ks_arrivals {
	enum ks_arrival kind;
	bool even; /* regular, gap and phase of less than KS_ARRIVALS_FAR */
	int64_t count, per_ns;   /* the rate of the node */
	uint32_t index, lanes;
	int64_t phase_ns;
	uint64_t k;              /* calls of the node up to the next one of this lane */
	int64_t due_ns;          /* of the next call */
	int64_t gap_ns;          /* between calls of the lane: whole ns and rest / count */
	int64_t gap_rest, rest;
	uint64_t due_q32;        /* poisson: the part of due below 1 ns */
	unsigned __int128 mean_q32; /* poisson: the mean gap */
	struct ks_stream random;
};

/* lane_id: number of the lane in the fleet; picks its random stream. */
void ks_arrivals_init(struct ks_arrivals *a, const struct ks_load *load, uint32_t index, uint32_t lanes, uint64_t seed,
                      uint64_t lane_id);
/* @return when the lane's next call is due, ns since the start, never decreasing; INT64_MAX when beyond int64. */
int64_t ks_arrivals_next_slow(struct ks_arrivals *a);
#define KS_ARRIVALS_FAR (INT64_C(1) << 61) /* nothing overflows before it */
static inline int64_t ks_arrivals_next(struct ks_arrivals *a)
{
	int64_t due_ns = a->due_ns;
	if (__builtin_expect(!a->even || due_ns >= KS_ARRIVALS_FAR, 0))
		return ks_arrivals_next_slow(a);
	int64_t rest = a->rest + a->gap_rest - a->count; /* due = floor(k * per / count) without dividing: carry the rest */
	a->due_ns = due_ns + a->gap_ns + (rest >= 0);
	a->rest = rest + (rest < 0 ? a->count : 0);
	return due_ns + a->phase_ns;
}
/* The same in a closed loop, where nobody wishes while the caller waits or stands still: by what the last call began late, all
 * that follows is due later, and nothing is due before free_ns, when that call returned. */
int64_t ks_arrivals_next_closed(struct ks_arrivals *a, int64_t late_ns, int64_t free_ns);

#endif
