#include "ks_arrivals.h"

static int64_t clamp(unsigned __int128 v)
{
	return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

static void poisson_advance(struct ks_arrivals *a)
{
	unsigned __int128 gap_q32 = (ks_rand_exp_q32(ks_stream_next(&a->random)) * a->mean_q32) >> 32;
	unsigned __int128 due_q32 = ((unsigned __int128)(uint64_t)a->due_ns << 32) + a->due_q32 + gap_q32;
	a->due_q32 = (uint64_t)(due_q32 & UINT32_MAX);
	a->due_ns = clamp(due_q32 >> 32);
}

void ks_arrivals_init(struct ks_arrivals *a, const struct ks_load *load, uint32_t index, uint32_t lanes, uint64_t seed,
                      uint64_t lane_id)
{
	*a = (struct ks_arrivals){.kind = load->arrival, .count = load->rate.count, .per_ns = load->rate.per_ns,
	                          .index = index, .lanes = lanes, .k = index,
	                          .phase_ns = load->phase_ns};
	unsigned __int128 gap = (unsigned __int128)lanes * (uint64_t)a->per_ns;
	unsigned __int128 first = (unsigned __int128)index * (uint64_t)a->per_ns;
	a->gap_ns = clamp(gap / (uint64_t)a->count);
	a->gap_rest = (int64_t)(gap % (uint64_t)a->count);
	a->even = a->kind == KS_ARRIVAL_REGULAR && a->gap_ns < KS_ARRIVALS_FAR && a->phase_ns < KS_ARRIVALS_FAR && a->phase_ns >= 0;
	switch (a->kind) {
	case KS_ARRIVAL_REGULAR:
		a->due_ns = clamp(first / (uint64_t)a->count);
		a->rest = (int64_t)(first % (uint64_t)a->count);
		break;
	case KS_ARRIVAL_POISSON:
		a->mean_q32 = (gap << 32) / (uint64_t)a->count; /* gap < 2^95: per_ns < 2^63, lanes < 2^32 */
		if (a->mean_q32 >> 80)
			a->mean_q32 = (unsigned __int128)1 << 80; /* one in 8900 years; the product must fit 128 bits */
		ks_stream_init(&a->random, seed, KS_STREAM_ARRIVAL, lane_id);
		poisson_advance(a);
		break;
	case KS_ARRIVAL_BURST:
		break;
	}
}

static int64_t next(struct ks_arrivals *a)
{
	int64_t due = a->due_ns;
	switch (a->kind) {
	case KS_ARRIVAL_REGULAR: /* due = floor(k * per / count) without dividing: carry the rest */
		a->rest += a->gap_rest - a->count; /* carry unless it stays below 0 */
		if (__builtin_add_overflow(a->due_ns, a->gap_ns, &a->due_ns) ||
		    __builtin_add_overflow(a->due_ns, a->rest >= 0, &a->due_ns))
			a->due_ns = INT64_MAX;
		a->rest += a->rest < 0 ? a->count : 0;
		return due;
	case KS_ARRIVAL_POISSON:
		poisson_advance(a);
		return due;
	case KS_ARRIVAL_BURST:
		due = clamp((unsigned __int128)(a->k / KS_BURST_CALLS * KS_BURST_CALLS) * (uint64_t)a->per_ns / (uint64_t)a->count);
		a->k += a->lanes;
		return due;
	}
	return INT64_MAX;
}

int64_t ks_arrivals_next_slow(struct ks_arrivals *a)
{
	int64_t due;
	return __builtin_add_overflow(next(a), a->phase_ns, &due) ? INT64_MAX : due;
}

static void delay(struct ks_arrivals *a, int64_t by_ns)
{
	if (by_ns > 0 && __builtin_add_overflow(a->phase_ns, by_ns, &a->phase_ns))
		a->phase_ns = INT64_MAX;
	a->even = a->even && a->phase_ns < KS_ARRIVALS_FAR;
}

int64_t ks_arrivals_next_closed(struct ks_arrivals *a, int64_t late_ns, int64_t free_ns)
{
	delay(a, late_ns);
	int64_t due = ks_arrivals_next(a);
	if (due >= free_ns)
		return due;
	delay(a, free_ns - due);
	return free_ns;
}
