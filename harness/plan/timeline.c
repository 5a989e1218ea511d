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

/* Events while they are collected. With v NULL they are only counted. */
struct sink {
	const struct ks_plan *plan;
	uint64_t seed;
	struct ks_fault_event *v;
	uint32_t n;
};

static void emit(struct sink *s, size_t fault, uint32_t node, int64_t at_ns, enum ks_fault_op op, int64_t amount)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	if (s->plan->duration_ns && at_ns >= s->plan->duration_ns)
		return;
	if (s->v)
		s->v[s->n] = (struct ks_fault_event){.at_ns = at_ns, .node = node, .op = op, .amount = amount,
		                                     .extra = op == KS_FAULT_RESUME ? f->wake_error_ns : 0,
		                                     .process = f->process, .thread = f->thread, .fault = (uint32_t)fault};
	s->n++;
}

/* To and fro from one place: where it is after the k-th move, as an offset from where the clock would be. */
static int64_t place(const struct sink *s, size_t fault, uint32_t node, uint64_t k)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	if (f->kind->op == KS_FAULT_STROBE)
		return k % 2 ? 0 : f->amount;
	uint64_t word = ks_rand_at(s->seed, KS_STREAM_FAULT, (uint64_t)fault << 16 | node, k);
	return ks_rand_in(word, -f->amount, f->amount);
}

static void moves(struct sink *s, size_t fault, uint32_t node)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	int64_t offset = 0, end = f->at_ns + f->for_ns;
	uint64_t k = 0;
	for (int64_t t = f->at_ns; t < end && s->n < KS_EVENTS_MAX; t += f->period_ns, k++) {
		int64_t to = place(s, fault, node, k);
		emit(s, fault, node, t, KS_FAULT_STEP, to - offset);
		offset = to;
	}
	if (offset)
		emit(s, fault, node, end, KS_FAULT_STEP, -offset);
}

static void expand(struct sink *s, size_t fault, uint32_t node)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	int64_t begin = f->at_ns, end = f->at_ns + f->for_ns;
	switch (f->kind->op) {
	case KS_FAULT_SLEW:
		emit(s, fault, node, begin, KS_FAULT_SLEW, f->amount);
		emit(s, fault, node, end, KS_FAULT_SLEW, 0);
		break;
	case KS_FAULT_SUSPEND:
		emit(s, fault, node, begin, KS_FAULT_SUSPEND, f->amount);
		emit(s, fault, node, end, KS_FAULT_RESUME, f->amount);
		break;
	case KS_FAULT_FREEZE:
		emit(s, fault, node, begin, KS_FAULT_HOLD, f->amount);
		emit(s, fault, node, end, KS_FAULT_RELEASE, f->amount);
		break;
	case KS_FAULT_PAUSE:
	case KS_FAULT_STOP_WORLD:
		emit(s, fault, node, begin, KS_FAULT_STOP, 0);
		emit(s, fault, node, end, KS_FAULT_RUN, 0);
		break;
	case KS_FAULT_STROBE:
	case KS_FAULT_JITTER:
		moves(s, fault, node);
		break;
	default:
		emit(s, fault, node, begin, (enum ks_fault_op)f->kind->op, f->amount);
	}
}

static void expand_all(struct sink *s)
{
	s->n = 0;
	for (size_t i = 0; i < s->plan->faults; i++)
		for (uint32_t j = 0; j < s->plan->fault[i].nnodes && s->n < KS_EVENTS_MAX; j++)
			expand(s, i, s->plan->fault[i].nodes[j]);
}

int ks_plan_events(const struct ks_plan *plan, uint64_t seed, struct ks_fault_event **events, uint32_t *n, struct ks_err *err)
{
	struct sink s = {.plan = plan, .seed = seed};
	expand_all(&s);
	if (s.n >= KS_EVENTS_MAX)
		return ks_fail(err, KS_E_USAGE, "the faults make more than %d changes", KS_EVENTS_MAX);
	s.v = ks_alloc(s.n ? s.n : 1, sizeof *s.v);
	if (!s.v)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	expand_all(&s);
	qsort(s.v, s.n, sizeof *s.v, by_time);
	*events = s.v;
	*n = s.n;
	return 0;
}

/* --- checks of the whole --- */

#define KS_UNIX_END (INT64_C(9214646400) * KS_SEC) /* 2262-01-01T00:00:00Z: 100 days before int64 ends */

/* Bounds of what a node's wall clock shows, while time goes on. */
struct wall {
	__int128 low, high;
	int64_t t_ns, drift_low, drift_high, slew;
	int held; /* by how many faults: it may stand, or not */
};

static void wall_init(struct wall *w, const struct ks_plan *plan, const struct ks_plan_node *node)
{
	int64_t spread = node->drift_drawn ? KS_FREE_DRIFT_PPB : 0;
	*w = (struct wall){.drift_low = node->drift_ppb - spread, .drift_high = node->drift_ppb + spread};
	w->low = w->high = (__int128)plan->start_unix_ns + node->offset_ns;
}

/* (1 + drift)(1 + slew) - 1, in ppb */
static __int128 rate(int64_t drift, int64_t slew)
{
	return drift + slew + (__int128)drift * slew / KS_SEC;
}

static void wall_run(struct wall *w, int64_t t_ns)
{
	__int128 dt = t_ns - w->t_ns;
	if (!w->held)
		w->low += dt + dt * rate(w->drift_low, w->slew) / KS_SEC - 1;
	w->high += dt + dt * rate(w->drift_high, w->slew) / KS_SEC + 1;
	w->t_ns = t_ns;
}

static bool wall_fits(const struct wall *w)
{
	return w->low >= -1 && w->high < KS_UNIX_END;
}

static void wall_act(struct wall *w, const struct ks_fault_event *e)
{
	wall_run(w, e->at_ns);
	switch (e->op) {
	case KS_FAULT_STEP:
	case KS_FAULT_LEAP:
		w->low += e->amount;
		w->high += e->amount;
		break;
	case KS_FAULT_DRIFT:
		w->drift_low = w->drift_high = e->amount;
		break;
	case KS_FAULT_SLEW:
		w->slew = e->amount;
		break;
	case KS_FAULT_HOLD:
	case KS_FAULT_SUSPEND:
		w->held++;
		break;
	case KS_FAULT_RELEASE:
	case KS_FAULT_RESUME:
		w->held--;
		w->low += e->extra < 0 ? e->extra : 0;
		w->high += e->extra > 0 ? e->extra : 0;
		break;
	case KS_FAULT_STOP:
	case KS_FAULT_RUN:
		break;
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
		last = f->at_ns + f->for_ns > last ? f->at_ns + f->for_ns : last;
		if (plan->duration_ns && f->at_ns >= plan->duration_ns)
			return ks_bad(r, item_of(root, "faults", i), "fault '%s' at %s is not before the end at %s",
				      f->name, ks_dur_format(at, f->at_ns), ks_dur_format(end, plan->duration_ns));
	}
	if (!plan->duration_ns)
		plan->duration_ns = last + 10 * KS_SEC;
	return 0;
}

/* Faults that hold clocks, or bend them, undo each other when they overlap on a node: what ends first would end both. */
static bool excludes(const struct ks_fault *f, const struct ks_fault *g)
{
	bool hold_f = f->kind->op == KS_FAULT_FREEZE || f->kind->op == KS_FAULT_SUSPEND;
	bool hold_g = g->kind->op == KS_FAULT_FREEZE || g->kind->op == KS_FAULT_SUSPEND;
	bool same = (hold_f && hold_g) || (f->kind->op == KS_FAULT_SLEW && g->kind->op == KS_FAULT_SLEW);
	if (!same || f->at_ns > g->at_ns + g->for_ns || g->at_ns > f->at_ns + f->for_ns)
		return false;
	for (uint32_t i = 0; i < f->nnodes; i++)
		for (uint32_t j = 0; j < g->nnodes; j++)
			if (f->nodes[i] == g->nodes[j])
				return true;
	return false;
}

static int check_overlaps(struct ks_reader *r, const struct ks_tree *root)
{
	const struct ks_plan *plan = r->plan;
	for (size_t i = 0; i < plan->faults; i++)
		for (size_t j = 0; j < i; j++)
			if (excludes(&plan->fault[i], &plan->fault[j]))
				return ks_bad(r, item_of(root, "faults", i), "fault '%s' overlaps fault '%s' on a node",
				              plan->fault[i].name, plan->fault[j].name);
	return 0;
}

int ks_timeline_finish(struct ks_reader *r, const struct ks_tree *root)
{
	struct ks_fault_event *events;
	uint32_t n;
	if (check_times(r, root) || check_overlaps(r, root) || check_calls(r, root))
		return -1;
	if (ks_plan_events(r->plan, 0, &events, &n, r->err)) /* bounds do not depend on the seed: jitter stays within +- */
		return r->err->code == KS_E_USAGE ? ks_blame(r, ks_tree_get(root, "faults")) : -1;
	struct wall *wall = ks_alloc(r->plan->nodes, sizeof *wall);
	int failed = wall ? check_walls(r, root, wall, events, n) : ks_no_memory(r);
	ks_free(wall);
	ks_free(events);
	return failed;
}
