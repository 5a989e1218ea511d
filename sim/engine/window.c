#include "window.h"

#include <stdlib.h>
#include <string.h>

#include "ks_mem.h"
#include "ks_time.h"

void ks_window_init(struct ks_window *w)
{
	*w = (struct ks_window){.length_ns = KS_MS, .end_ns = KS_MS};
}

void ks_window_release(struct ks_window *w)
{
	ks_free(w->v);
	ks_free(w->spare);
	ks_free(w->order);
	ks_free(w->bucket);
	ks_free(w->lost);
	ks_free(w->causes);
	*w = (struct ks_window){0};
}

int ks_window_grow(struct ks_window *w)
{
	size_t cap = w->cap ? 2 * w->cap : 2 * KS_WINDOW_RECORDS;
	struct ks_record *v = ks_resize(w->v, cap, sizeof *v);
	if (!v)
		return -1;
	w->v = v;
	w->cap = cap;
	return 0;
}

int ks_window_add_lost(struct ks_window *w, const struct ks_record *r)
{
	if (w->nlost == w->lost_cap) {
		size_t cap = w->lost_cap ? 2 * w->lost_cap : 16;
		struct ks_record *lost = ks_resize(w->lost, cap, sizeof *lost);
		if (!lost)
			return -1;
		w->lost = lost;
		w->lost_cap = cap;
	}
	w->lost[w->nlost++] = *r;
	return 0;
}

int ks_window_cause(struct ks_window *w, struct ks_record *r, uint32_t lane, uint32_t seq)
{
	if (w->ncauses == w->cause_cap) {
		size_t cap = w->cause_cap ? 2 * w->cause_cap : 64;
		struct ks_cause *causes = ks_resize(w->causes, cap, sizeof *causes);
		if (!causes)
			return -1;
		w->causes = causes;
		w->cause_cap = cap;
	}
	w->causes[w->ncauses] = (struct ks_cause){lane, seq};
	r->parent = (uint32_t)w->ncauses++;
	return 0;
}

/* ---- order ---- */

static int room(struct ks_window *w, size_t n)
{
	if (n <= w->room)
		return 0;
	size_t cap = w->room ? w->room : 2 * KS_WINDOW_RECORDS;
	while (cap < n)
		cap *= 2;
	struct ks_record *spare = ks_resize(w->spare, cap, sizeof *spare);
	w->spare = spare ? spare : w->spare;
	uint64_t *order = ks_resize(w->order, 2 * cap, sizeof *order);
	w->order = order ? order : w->order;
	uint32_t *bucket = ks_resize(w->bucket, cap + 2, sizeof *bucket);
	w->bucket = bucket ? bucket : w->bucket;
	if (!spare || !order || !bucket)
		return -1;
	w->room = cap;
	return 0;
}

/* A record by which its place is decided: the upper half tells when it returned, more or less, the lower half is its index. */
#define ENTRY_BITS 32

struct by {
	const struct ks_record *v;
	const struct ks_lane *lanes;
};

static inline int entry_cmp(uint64_t ea, uint64_t eb, const struct by *by)
{
	if (ea >> ENTRY_BITS != eb >> ENTRY_BITS)
		return ea < eb ? -1 : 1;
	const struct ks_record *a = &by->v[(uint32_t)ea], *b = &by->v[(uint32_t)eb];
	uint32_t node_a = by->lanes[a->lane].node, node_b = by->lanes[b->lane].node;
	if (a->return_ns == b->return_ns && node_a != node_b) /* nodes in step */
		return node_a < node_b ? -1 : 1;
	return ks_record_cmp(a, b, by->lanes);
}

static int entry_cmp_slow(const void *pa, const void *pb, void *by)
{
	return entry_cmp(*(const uint64_t *)pa, *(const uint64_t *)pb, by);
}

/* A few that are nearly in order. */
static inline void insert(uint64_t *order, size_t n, const struct by *by)
{
	for (size_t i = 1; i < n; i++) {
		uint64_t at = order[i];
		size_t j = i;
		for (; j && entry_cmp(at, order[j - 1], by) < 0; j--)
			order[j] = order[j - 1];
		order[j] = at;
	}
}

/* Returns spread over the window: half as many buckets as records, or up to as many. v: n records with
 * low <= return_ns <= high. @return their entries in order. */
static const uint64_t *sort(struct ks_window *w, const struct ks_record *v, size_t n, int64_t low, int64_t high, const struct ks_lane *lanes)
{
	struct by by = {v, lanes};
	uint64_t span = (uint64_t)(high - low), *entry = w->order + w->room, *order = w->order;
	uint32_t *bucket = w->bucket;
	int drop = 0, shift;
	while (span >> drop > UINT32_MAX)
		drop++;
	for (shift = ENTRY_BITS; span >> drop >> (shift - ENTRY_BITS) >= n;)
		shift++;
	size_t buckets = (size_t)(span >> drop >> (shift - ENTRY_BITS)) + 1;
	memset(bucket, 0, (buckets + 1) * sizeof *bucket);
	for (size_t i = 0; i < n; i++) {
		entry[i] = (uint64_t)(v[i].return_ns - low) >> drop << ENTRY_BITS | i;
		bucket[(entry[i] >> shift) + 1]++;
	}
	for (size_t b = 1; b < buckets; b++)
		bucket[b] += bucket[b - 1];
	for (size_t i = 0; i < n; i++)
		order[bucket[entry[i] >> shift]++] = entry[i];
	for (size_t b = 0, from = 0; b < buckets; b++) { /* bucket[b] is where b ends by now */
		size_t end = bucket[b];
		if (end - from > 32)
			qsort_r(order + from, end - from, sizeof *order, entry_cmp_slow, &by);
		else
			insert(order + from, end - from, &by);
		from = end;
	}
	return order;
}

/* ---- handing over ---- */

/* Parents came before their children: row by row, as what is taken can be found. */
static int take(struct ks_window *w, const struct ks_lane *lanes, struct ks_record *v, size_t n, const struct ks_sink *sink,
                struct ks_err *err)
{
	size_t from = 0;
	int status = 0;
	for (size_t i = 0; w->ncauses && status == 0 && i < n; i++) {
		if (v[i].parent == KS_NO_PARENT)
			continue;
		if (i > from)
			status = sink->take(sink->context, lanes, v + from, i - from, err);
		from = i;
		struct ks_cause cause = w->causes[v[i].parent];
		v[i].parent = status || !sink->row ? KS_NO_PARENT : sink->row(sink->context, cause.lane, cause.seq);
	}
	if (status == 0 && from < n)
		status = sink->take(sink->context, lanes, v + from, n - from, err);
	w->taken += n;
	return status;
}

/* What of the window is to go, and how it lies. */
struct ready {
	size_t n;
	int64_t low, high;
	bool in_order;
};

#define GATHER 64
/* A few at a time: they are in the cache when they are looked at. */
static int take_sorted(struct ks_window *w, const struct ks_lane *lanes, const struct ready *ready, const struct ks_sink *sink,
                       struct ks_err *err)
{
	const uint64_t *order = sort(w, w->v, ready->n, ready->low, ready->high, lanes);
	int status = 0;
	for (size_t i = 0; status == 0 && i < ready->n;) {
		size_t n = 0;
		for (; n < GATHER && i < ready->n; i++)
			w->spare[n++] = w->v[(uint32_t)order[i]];
		status = take(w, lanes, w->spare, n, sink, err);
	}
	return status;
}

/* Moves what returned before until_ns to the front of v, and tells how it lies. */
static int split(struct ks_window *w, int64_t until_ns, struct ready *ready, const struct ks_lane *lanes)
{
	size_t late = 0;
	*ready = (struct ready){.low = INT64_MAX, .high = INT64_MIN, .in_order = true};
	for (size_t i = 0; i < w->n; i++) {
		int64_t t = w->v[i].return_ns;
		if (__builtin_expect(t >= until_ns, 0)) {
			if (room(w, late + 1))
				return -1;
			w->spare[late++] = w->v[i];
			continue;
		}
		if (t <= ready->high) /* the same instant, or back */
			ready->in_order = ready->in_order && ks_record_cmp(&w->v[ready->n - 1], &w->v[i], lanes) < 0;
		ready->low = t < ready->low ? t : ready->low;
		ready->high = t > ready->high ? t : ready->high;
		if (late)
			w->v[ready->n] = w->v[i];
		ready->n++;
	}
	if (late)
		memcpy(w->v + ready->n, w->spare, late * sizeof *w->v);
	return 0;
}

/* The causes of what stays move to the front. */
static void keep_causes(struct ks_window *w)
{
	size_t kept = 0;
	for (size_t i = 0; w->ncauses && i < w->n; i++) /* records stay in the order in which causes came */
		if (w->v[i].parent != KS_NO_PARENT) {
			w->causes[kept] = w->causes[w->v[i].parent];
			w->v[i].parent = (uint32_t)kept++;
		}
	w->ncauses = kept;
}

static void move_on(struct ks_window *w, int64_t until_ns, size_t n)
{
	if (n < KS_WINDOW_RECORDS / 2 && w->length_ns < INT64_MAX / 4)
		w->length_ns *= 2;
	else if (n > KS_WINDOW_RECORDS && w->length_ns > 1)
		w->length_ns /= 2;
	if (__builtin_add_overflow(until_ns, w->length_ns, &w->end_ns))
		w->end_ns = INT64_MAX;
}

int ks_window_flush(struct ks_window *w, int64_t until_ns, const struct ks_lane *lanes, const struct ks_sink *sink,
                    struct ks_err *err)
{
	struct ready ready;
	if (split(w, until_ns, &ready, lanes) || (!ready.in_order && room(w, ready.n)))
		return ks_fail(err, KS_E_INTERNAL, "out of memory for a window of %zu calls", w->n);
	int status = ready.in_order ? take(w, lanes, w->v, ready.n, sink, err) : take_sorted(w, lanes, &ready, sink, err);
	w->n -= ready.n;
	if (w->n)
		memmove(w->v, w->v + ready.n, w->n * sizeof *w->v);
	keep_causes(w);
	move_on(w, until_ns, ready.n);
	return status;
}

static int lost_cmp(const void *a, const void *b, void *lanes)
{
	return ks_record_cmp(a, b, lanes);
}

int ks_window_finish(struct ks_window *w, const struct ks_lane *lanes, const struct ks_sink *sink, struct ks_err *err)
{
	int status = ks_window_flush(w, INT64_MAX, lanes, sink, err);
	if (status || !w->nlost)
		return status;
	qsort_r(w->lost, w->nlost, sizeof *w->lost, lost_cmp, (void *)(uintptr_t)lanes);
	w->taken += w->nlost;
	return sink->take(sink->context, lanes, w->lost, w->nlost, err);
}
