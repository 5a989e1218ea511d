#include "stalls.h"

#include <stdlib.h>

#include "ks_mem.h"

int ks_stalls_init(struct ks_stalls *s)
{
	*s = (struct ks_stalls){.low = ks_alloc(KS_STALLS_LOW, sizeof *s->low)};
	return s->low ? 0 : -1;
}

void ks_stalls_release(struct ks_stalls *s)
{
	ks_free(s->low);
	ks_free(s->high);
	*s = (struct ks_stalls){0};
}

static struct ks_stall_count *find(struct ks_stall_count *table, size_t cap, int64_t value_ns)
{
	size_t at = (size_t)(((uint64_t)value_ns * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (cap - 1);
	while (table[at].n && table[at].value_ns != value_ns)
		at = (at + 1) & (cap - 1);
	return &table[at];
}

static int grow(struct ks_stalls *s)
{
	size_t cap = s->cap ? 2 * s->cap : 256;
	struct ks_stall_count *table = ks_alloc(cap, sizeof *table);
	if (!table)
		return -1;
	for (size_t i = 0; i < s->cap; i++)
		if (s->high[i].n)
			*find(table, cap, s->high[i].value_ns) = s->high[i];
	ks_free(s->high);
	s->high = table;
	s->cap = cap;
	return 0;
}

int ks_stalls_add_high(struct ks_stalls *s, int64_t value_ns)
{
	if (2 * s->nhigh >= s->cap && grow(s))
		return -1;
	struct ks_stall_count *c = find(s->high, s->cap, value_ns);
	s->nhigh += c->n == 0;
	c->value_ns = value_ns;
	c->n++;
	return 0;
}

static int count_cmp(const void *pa, const void *pb)
{
	const struct ks_stall_count *a = pa, *b = pb;
	return (a->value_ns > b->value_ns) - (a->value_ns < b->value_ns);
}

/* Packs and sorts the other values: the table is one no longer. */
static void sort_high(struct ks_stalls *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->cap; i++)
		if (s->high[i].n)
			s->high[n++] = s->high[i];
	if (n > 1)
		qsort(s->high, n, sizeof *s->high, count_cmp);
}

/* The smallest value that at least percent of all do not exceed: the nearest rank. */
static int64_t percentile(const struct ks_stalls *s, unsigned percent)
{
	uint64_t rank = (s->n * percent + 99) / 100, seen = 0;
	size_t i = 0;
	for (; i < s->nhigh && s->high[i].value_ns < 0; i++)
		if ((seen += s->high[i].n) >= rank)
			return s->high[i].value_ns;
	for (int64_t v = 0; v < KS_STALLS_LOW; v++)
		if ((seen += s->low[v]) >= rank)
			return v;
	for (; i < s->nhigh; i++)
		if ((seen += s->high[i].n) >= rank)
			return s->high[i].value_ns;
	return 0;
}

void ks_stalls_metrics(struct ks_stalls *s, struct ks_metrics *m)
{
	if (!s->n)
		return;
	sort_high(s);
	m->plain[KS_M_STALL_NS_MAX - KS_NSCOPED_METRICS] = percentile(s, 100);
	m->plain[KS_M_STALL_NS_P50 - KS_NSCOPED_METRICS] = percentile(s, 50);
	m->plain[KS_M_STALL_NS_P99 - KS_NSCOPED_METRICS] = percentile(s, 99);
	m->known[KS_M_STALL_NS_MAX] = m->known[KS_M_STALL_NS_P50] = m->known[KS_M_STALL_NS_P99] = true;
}
