/* The faults of a plan in time: events for the engine, the default duration, and whether clocks and calls stay within
 * what can be counted. */
#include <stdlib.h>

#include "fields.h"
#include "ks_mem.h"

/* --- events --- */

static int by_time(const void *a, const void *b)
{
	const struct ks_fault_event *x = a, *y = b;
	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	if (x->fault != y->fault)
		return x->fault < y->fault ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

int ks_plan_events(const struct ks_plan *plan, struct ks_fault_event **events, uint32_t *n, struct ks_err *err)
{
	uint32_t count = 0;
	for (size_t i = 0; i < plan->faults; i++)
		count += plan->fault[i].nnodes; /* at most KS_FAULTS_MAX * KS_NODES_MAX */
	struct ks_fault_event *v = ks_alloc(count ? count : 1, sizeof *v);
	if (!v)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	uint32_t k = 0;
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		for (uint32_t j = 0; j < f->nnodes; j++)
			v[k++] = (struct ks_fault_event){.at_ns = f->at_ns, .node = f->nodes[j],
			                                 .op = (enum ks_fault_op)f->kind->op, .amount = f->amount,
			                                 .fault = (uint32_t)i};
	}
	qsort(v, count, sizeof *v, by_time);
	*events = v;
	*n = count;
	return 0;
}

/* --- checks of the whole --- */

#define KS_UNIX_END (INT64_C(9214646400) * KS_SEC) /* 2262-01-01T00:00:00Z: 100 days before int64 ends */

/* Bounds of what a node's wall clock shows, while time goes on. */
struct wall {
	__int128 low, high;
	int64_t t_ns, drift_low, drift_high;
};

static void wall_init(struct wall *w, const struct ks_plan *plan, const struct ks_plan_node *node)
{
	int64_t spread = node->drift_drawn ? KS_FREE_DRIFT_PPB : 0;
	w->low = w->high = (__int128)plan->start_unix_ns + node->offset_ns;
	w->t_ns = 0;
	w->drift_low = node->drift_ppb - spread;
	w->drift_high = node->drift_ppb + spread;
}

static void wall_run(struct wall *w, int64_t t_ns)
{
	__int128 dt = t_ns - w->t_ns;
	w->low += dt + dt * w->drift_low / KS_SEC - 1;
	w->high += dt + dt * w->drift_high / KS_SEC + 1;
	w->t_ns = t_ns;
}

static bool wall_fits(const struct wall *w)
{
	return w->low >= -1 && w->high < KS_UNIX_END;
}

static void wall_act(struct wall *w, const struct ks_fault_event *e)
{
	wall_run(w, e->at_ns);
	if (e->op == KS_FAULT_STEP) {
		w->low += e->amount;
		w->high += e->amount;
	} else {
		w->drift_low = w->drift_high = e->amount;
	}
}

static const struct ks_tree *item_of(const struct ks_tree *root, const char *list, size_t i)
{
	const struct ks_tree *t = ks_tree_get(root, list), *c = t ? t->first : NULL;
	while (c && i--)
		c = c->next;
	return c ? c : t;
}

static int bad_wall(struct ks_reader *r, const struct ks_tree *at, uint32_t node)
{
	return ks_bad(r, at, "the clock of node '%s' leaves the years 1970 to 2261", r->plan->node[node].name);
}

/* Between faults clocks only run on, so the ends of each stretch bound them. */
static int check_walls(struct ks_reader *r, const struct ks_tree *root, struct wall *wall,
                       const struct ks_fault_event *events, uint32_t n)
{
	const struct ks_plan *plan = r->plan;
	const struct ks_tree *fleet = ks_tree_get(root, "fleet");
	for (uint32_t i = 0; i < plan->nodes; i++) {
		wall_init(&wall[i], plan, &plan->node[i]);
		if (!wall_fits(&wall[i]))
			return bad_wall(r, item_of(fleet, "nodes", i), i);
	}
	for (uint32_t k = 0; k < n; k++) {
		wall_act(&wall[events[k].node], &events[k]);
		if (!wall_fits(&wall[events[k].node]))
			return bad_wall(r, item_of(root, "faults", events[k].fault), events[k].node);
	}
	for (uint32_t i = 0; i < plan->nodes; i++) {
		wall_run(&wall[i], plan->duration_ns);
		if (!wall_fits(&wall[i]))
			return bad_wall(r, ks_tree_get(root, "duration"), i);
	}
	return 0;
}

/* The most calls that one run may have: records count them in 31 bits, and memory holds them. */
#define CALLS_MAX (INT64_C(1) << 31)

static int check_calls(struct ks_reader *r, const struct ks_tree *root)
{
	const struct ks_plan *plan = r->plan;
	__int128 of_node = (__int128)plan->duration_ns * plan->load.rate.count;
	/* 2^62 ns times 2^63 does not overflow; a division first keeps the product with the nodes in bounds too */
	of_node = of_node / plan->load.rate.per_ns + 1;
	if (of_node <= CALLS_MAX / plan->nodes)
		return 0;
	char rate[KS_TIME_TEXT], duration[KS_TIME_TEXT];
	return ks_bad(r, ks_tree_get(root, "workload"), "%s of %u node%s for %s makes more than %lld calls",
	              ks_rate_format(rate, plan->load.rate), plan->nodes, plan->nodes > 1 ? "s" : "",
	              ks_dur_format(duration, plan->duration_ns),
	              (long long)CALLS_MAX);
}

static int check_times(struct ks_reader *r, const struct ks_tree *root)
{
	char at[KS_TIME_TEXT], end[KS_TIME_TEXT];
	struct ks_plan *plan = r->plan;
	int64_t last = 0;
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		last = f->at_ns > last ? f->at_ns : last;
		if (plan->duration_ns && f->at_ns >= plan->duration_ns)
			return ks_bad(r, item_of(root, "faults", i), "fault '%s' at %s is not before the end at %s",
				      f->name, ks_dur_format(at, f->at_ns), ks_dur_format(end, plan->duration_ns));
	}
	if (!plan->duration_ns)
		plan->duration_ns = last + 10 * KS_SEC;
	return 0;
}

int ks_timeline_finish(struct ks_reader *r, const struct ks_tree *root)
{
	struct ks_fault_event *events;
	uint32_t n;
	if (check_times(r, root) || check_calls(r, root) || ks_plan_events(r->plan, &events, &n, r->err))
		return -1;
	struct wall *wall = ks_alloc(r->plan->nodes, sizeof *wall);
	int failed = wall ? check_walls(r, root, wall, events, n) : ks_no_memory(r);
	ks_free(wall);
	ks_free(events);
	return failed;
}
