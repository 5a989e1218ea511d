#include "groups.h"

#include <stdlib.h>

#include "ks_mem.h"

static int cmp_u32(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

/* 0: in one group. How much of a lane's identity counts depends on the scope. */
static int lane_cmp(const struct ks_lane *a, const struct ks_lane *b, enum ks_scope scope)
{
	int c = 0;
	if (scope <= KS_SCOPE_NODE)
		c = cmp_u32(a->node, b->node);
	if (!c && scope <= KS_SCOPE_PROCESS)
		c = cmp_u32(a->process, b->process);
	if (!c && scope <= KS_SCOPE_PROCESS)
		c = cmp_u32(a->incarnation, b->incarnation);
	if (!c && scope == KS_SCOPE_THREAD)
		c = cmp_u32(a->thread, b->thread);
	return c;
}

struct by {
	const struct ks_lane *lanes;
	enum ks_scope scope;
};

static int index_cmp(const void *pa, const void *pb, void *context)
{
	const uint32_t *a = pa, *b = pb;
	const struct by *by = context;
	int c = lane_cmp(&by->lanes[*a], &by->lanes[*b], by->scope);
	return c ? c : cmp_u32(*a, *b);
}

/* Numbers the groups in the order of their ids. `sorted` has room for all lanes. */
static void number(struct ks_groups *g, uint32_t *sorted, const struct ks_records *r, enum ks_scope scope)
{
	struct by by = {r->lanes, scope};
	for (uint32_t i = 0; i < r->nlanes; i++)
		sorted[i] = i;
	qsort_r(sorted, r->nlanes, sizeof *sorted, index_cmp, &by);
	for (uint32_t i = 0; i < r->nlanes; i++) {
		if (!i || lane_cmp(&r->lanes[sorted[i - 1]], &r->lanes[sorted[i]], scope))
			g->n++;
		g->of_lane[sorted[i]] = g->n - 1;
	}
}

/* A counting sort: start[g + 1] first counts, then is where the next row of g goes, and ends as the end of g. */
static void fill(struct ks_groups *g, const struct ks_records *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		if (v.outcome == KS_KEY && g->of_lane[v.lane] + 2 <= g->n)
			g->start[g->of_lane[v.lane] + 2]++;
	}
	for (uint32_t i = 2; i <= g->n; i++)
		g->start[i] += g->start[i - 1];
	for (size_t i = 0; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		if (v.outcome == KS_KEY)
			g->rows[g->start[g->of_lane[v.lane] + 1]++] = (uint32_t)i;
	}
}

int ks_groups_init(struct ks_groups *g, const struct ks_records *records, enum ks_scope scope, struct ks_err *err)
{
	*g = (struct ks_groups){0};
	uint32_t *sorted = ks_alloc(records->nlanes, sizeof *sorted);
	g->of_lane = ks_alloc(records->nlanes, sizeof *g->of_lane);
	g->rows = ks_alloc(records->n, sizeof *g->rows);
	if (sorted && g->of_lane)
		number(g, sorted, records, scope);
	ks_free(sorted);
	g->start = ks_alloc((size_t)g->n + 1, sizeof *g->start);
	if (!sorted || !g->of_lane || !g->rows || !g->start)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the groups of %zu records", records->n);
	fill(g, records);
	return 0;
}

void ks_groups_release(struct ks_groups *g)
{
	ks_free(g->of_lane);
	ks_free(g->start);
	ks_free(g->rows);
	*g = (struct ks_groups){0};
}
