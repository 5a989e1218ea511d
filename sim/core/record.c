#include "ks_record.h"

#include <stdlib.h>
#include <string.h>

#include "ks_mem.h"

int ks_records_reserve(struct ks_records *r, size_t n)
{
	if (n <= r->cap)
		return 0;
	size_t cap = r->cap ? r->cap : 4096;
	while (cap < n)
		cap *= 2;
	struct ks_record *v = ks_grow(r->v, r->cap, cap, sizeof *v);
	if (!v)
		return -1;
	r->v = v;
	r->cap = cap;
	return 0;
}

int ks_records_add(struct ks_records *r, const struct ks_record *record)
{
	if (r->n == r->cap && ks_records_reserve(r, r->n + 1))
		return -1;
	r->v[r->n++] = *record;
	return 0;
}

int ks_record_set(struct ks_records *r, size_t row, const struct ks_record *record)
{
	r->v[row] = *record;
	return 0;
}

void ks_records_release(struct ks_records *r)
{
	ks_free(r->v);
	ks_free(r->lanes);
	ks_texts_release(&r->texts);
	*r = (struct ks_records){0};
}

#define CMP(a, b)                                                                                                      \
	if ((a) != (b))                                                                                                \
	return (a) < (b) ? -1 : 1

static int lane_cmp(const struct ks_lane *a, const struct ks_lane *b)
{
	CMP(a->node, b->node);
	CMP(a->process, b->process);
	CMP(a->incarnation, b->incarnation);
	CMP(a->thread, b->thread);
	return 0;
}

static int record_cmp(const void *pa, const void *pb, void *context)
{
	const struct ks_record *a = pa, *b = pb;
	const struct ks_lane *lanes = context;
	int lost_a = a->return_ns == KS_NO_TIME, lost_b = b->return_ns == KS_NO_TIME;
	CMP(lost_a, lost_b);
	CMP(a->return_ns, b->return_ns);
	if (lost_a)
		CMP(a->call_ns, b->call_ns);
	int c = lane_cmp(&lanes[a->lane], &lanes[b->lane]);
	if (c)
		return c;
	CMP(a->seq, b->seq);
	return 0;
}

int ks_records_sort(struct ks_records *r)
{
	size_t i = 1;
	while (i < r->n && record_cmp(&r->v[i - 1], &r->v[i], r->lanes) <= 0)
		i++;
	if (i < r->n)
		qsort_r(r->v, r->n, sizeof *r->v, record_cmp, r->lanes);
	return 0;
}
