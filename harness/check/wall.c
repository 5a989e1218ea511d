#include "wall.h"

#include "ks_mem.h"

static void add_stretch(struct ks_wall *w, uint32_t node, const struct ks_seg *seg, int64_t from_ns, int64_t to_ns)
{
	int64_t first_ns = w->plan->load.phase_ns;
	from_ns = from_ns > first_ns ? from_ns : first_ns;
	if (from_ns < to_ns)
		w->v[w->n++] = (struct ks_stretch){*seg, node, from_ns, to_ns};
}

/* ---- what faults do ---- */

static void stop(struct ks_wall *w, const struct ks_fault_event *e)
{
	w->stop[w->stops++] = (struct ks_stop){*e, e->at_ns, INT64_MAX};
}

static void run(struct ks_wall *w, const struct ks_fault_event *e)
{
	for (size_t i = w->stops; i-- > 0;)
		if (w->stop[i].of.node == e->node && w->stop[i].of.fault == e->fault) {
			w->stop[i].to_ns = e->at_ns;
			return;
		}
}

/* A leap second of the node's kernel, to come: at the first tick of its timer after its wall clock has shown midnight. */
struct leap {
	int64_t delta_ns, due_ns;
};

static void arm(const struct ks_wall *w, const struct ks_clocks *c, const struct ks_fault_event *e, struct leap *leap)
{
	const struct ks_seg *wall = &c->seg[KS_REALTIME], *timer = &c->seg[KS_MONOTONIC];
	int64_t shown = ks_seg_line(wall, e->at_ns), tick = KS_SEC / e->extra;
	int64_t at_ns = ks_seg_when(wall, e->at_ns, (shown + KS_DAY - 1) / KS_DAY * KS_DAY);
	int64_t place = ks_rand_in(ks_rand_at(w->seed, KS_STREAM_CLOCK, e->node, 1), 0, tick - 1);
	int64_t up = ks_seg_line(timer, at_ns), over = (up - place) % tick;
	*leap = (struct leap){e->amount, ks_seg_when(timer, at_ns, over ? up - over + tick : up)};
}

static void act(struct ks_wall *w, struct ks_clocks *c, const struct ks_fault_event *e, struct leap *leap)
{
	if (leap->due_ns != INT64_MAX)
		w->missing = "a fault between the announcement of a leap second and it";
	switch (e->op) {
	case KS_FAULT_STEP:
		ks_clocks_step(c, e->at_ns, e->amount);
		break;
	case KS_FAULT_LEAP:
		ks_clocks_leap(c, e->at_ns, e->amount < 0);
		break;
	case KS_FAULT_DRIFT:
		ks_clocks_drift(c, e->at_ns, e->amount);
		break;
	case KS_FAULT_SLEW:
		ks_clocks_slew(c, e->at_ns, e->amount);
		break;
	case KS_FAULT_HOLD:
		ks_clocks_hold(c, e->at_ns, (unsigned)e->amount);
		break;
	case KS_FAULT_RELEASE:
		ks_clocks_release(c, e->at_ns, (unsigned)e->amount);
		break;
	case KS_FAULT_STOP:
		stop(w, e);
		break;
	case KS_FAULT_RUN:
		run(w, e);
		break;
	case KS_FAULT_SUSPEND:
		ks_clocks_suspend(c, e->at_ns, (enum ks_suspend)e->amount);
		stop(w, e);
		break;
	case KS_FAULT_RESUME:
		ks_clocks_resume(c, e->at_ns, (enum ks_suspend)e->amount, e->extra);
		run(w, e);
		break;
	case KS_FAULT_TO_TRUE:
		ks_clocks_step(c, e->at_ns, w->plan->start_unix_ns + e->at_ns - ks_seg_line(&c->seg[KS_REALTIME], e->at_ns));
		break;
	case KS_FAULT_ARM_LEAP:
		arm(w, c, e, leap);
		break;
	case KS_FAULT_SMEAR:
		ks_clocks_bend(c, e->at_ns, e->extra ? ks_rate_over(e->amount, e->extra) : 0);
		break;
	case KS_FAULT_COARSE:
		ks_clocks_coarse(c, (unsigned)e->amount, e->extra);
		break;
	case KS_FAULT_RTC:
		ks_clocks_set_rtc(c, e->at_ns, e->amount);
		break;
	case KS_FAULT_SNAPSHOT:
	case KS_FAULT_REGISTRY:
		break;
	case KS_FAULT_DOWN:
	case KS_FAULT_UP:
		if (e->amount & KS_RESTART_NODE)
			w->missing = "nodes that boot";
		else if (e->op == KS_FAULT_DOWN)
			stop(w, e);
		else
			run(w, e);
		w->reborn = "processes that begin anew";
		w->lasting = w->lasting > KS_SCOPE_PROCESS ? KS_SCOPE_PROCESS : w->lasting;
		break;
	case KS_FAULT_CLONE:
		w->missing = "nodes that are copied";
		w->lasting = w->lasting > KS_SCOPE_PROCESS ? KS_SCOPE_PROCESS : w->lasting;
		break;
	case KS_FAULT_ROLLBACK:
		w->missing = "a node that is rolled back";
		w->lasting = -1;
		break;
	default:
		w->missing = "no closed form for one of the faults";
	}
}

/* ---- nodes ---- */

static void one_node(struct ks_wall *w, uint32_t node, enum ks_clock_id clock, const struct ks_fault_event *events, uint32_t n)
{
	const struct ks_plan *plan = w->plan;
	struct ks_clocks c;
	struct leap leap = {0, INT64_MAX};
	int64_t from_ns = 0;
	bool ended = false;
	if (plan->node[node].clock.keeper.kind != KS_KEEPER_NONE)
		w->missing = "a daemon keeps the clocks";
	ks_clocks_init(&c, plan->start_unix_ns, plan->node[node].offset_ns, KS_UPTIME_NS, KS_TAI_OFFSET_S);
	ks_clocks_drift(&c, 0, ks_plan_node_drift(plan, w->seed, node));
	w->start[node] = w->n;
	for (uint32_t i = 0; !ended;) {
		for (; i < n && events[i].node != node; i++)
			;
		int64_t at_ns = i < n ? events[i].at_ns : plan->duration_ns;
		bool leaps = leap.due_ns < at_ns;
		at_ns = leaps ? leap.due_ns : at_ns;
		add_stretch(w, node, &c.seg[clock], from_ns, at_ns);
		from_ns = at_ns;
		ended = !leaps && i == n;
		if (leaps) {
			ks_clocks_leap(&c, at_ns, leap.delta_ns < 0);
			leap.due_ns = INT64_MAX;
		} else if (i < n) {
			act(w, &c, &events[i++], &leap);
		}
	}
}

static void find_fall(struct ks_wall *w)
{
	for (uint32_t node = 0; node < w->plan->nodes; node++) {
		int64_t highest = INT64_MIN;
		for (size_t i = w->start[node]; i < w->start[node + 1]; i++) {
			const struct ks_stretch *s = &w->v[i];
			int64_t first = ks_seg_at(&s->seg, s->from_ns), last = ks_seg_at(&s->seg, s->to_ns - 1);
			if (highest > first && highest - first > w->fall_ns)
				w->fall_ns = highest - first;
			highest = last > highest ? last : highest;
		}
	}
}

int ks_wall_init(struct ks_wall *w, const struct ks_plan *plan, uint64_t seed, enum ks_clock_id clock, struct ks_err *err)
{
	struct ks_fault_event *events = NULL;
	uint32_t n = 0;
	*w = (struct ks_wall){.plan = plan, .seed = seed, .lasting = KS_SCOPE_FLEET};
	if (ks_plan_events(plan, seed, &events, &n, err))
		return -1;
	w->v = ks_alloc((size_t)n + 2 * plan->nodes, /* a leap second each */
	                 sizeof *w->v);
	w->start = ks_alloc((size_t)plan->nodes + 1, sizeof *w->start);
	w->stop = ks_alloc((size_t)n + 1, sizeof *w->stop);
	int failed = w->v && w->start && w->stop ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory for %u faults", n);
	for (uint32_t i = 0; !failed && i < plan->nodes; i++)
		one_node(w, i, clock, events, n);
	if (!failed) {
		w->start[plan->nodes] = w->n;
		find_fall(w);
	}
	ks_free(events);
	return failed;
}

void ks_wall_release(struct ks_wall *w)
{
	ks_free(w->v);
	ks_free(w->start);
	ks_free(w->stop);
	*w = (struct ks_wall){0};
}
