/* What a node does to its clock by itself: its keeper, leap seconds of its kernel, the cores that its threads read from.
 * And what is seen of every change. */
#include "engine_private.h"

#include "ks_mem.h"
#include "ks_rand.h"

int64_t ks_utc(const struct ks_engine *g, int64_t t_ns)
{
	int64_t utc = g->sim->start_unix_ns + t_ns;
	for (int i = 0; i < g->nleaps; i++)
		if (g->leaps[i].at_ns <= t_ns)
			utc += g->leaps[i].delta_ns;
	return utc;
}

/* ---- what is seen ---- */

static int64_t rate_of(const struct node *n, enum ks_clock_id id, int64_t t)
{
	const struct ks_seg *s = &n->clocks.seg[id];
	int64_t moved = ks_seg_line(s, t + KS_PROBE_NS) - ks_seg_line(s, t);
	return (moved - KS_PROBE_NS) / (KS_PROBE_NS / KS_SEC);
}

struct ks_fault_seen *ks_seen_begin(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	struct ks_sim_result *r = g->result;
	if (r->nseen == r->seen_cap) {
		uint32_t cap = r->seen_cap * 2;
		struct ks_fault_seen *grown = ks_grow(r->seen, r->seen_cap, cap, sizeof *grown);
		if (!grown)
			ks_engine_stop(g, ks_fail(g->err, KS_E_INTERNAL, "out of memory for %u changes of clocks", cap));
		r->seen = grown;
		r->seen_cap = cap;
	}
	struct ks_fault_seen *seen = &r->seen[r->nseen++];
	*seen = (struct ks_fault_seen){.event = *event, .begin = KS_ANY};
	for (int id = 0; id < KS_NCLOCKS; id++)
		seen->before_ns[id] = ks_clocks_at(&n->clocks, (enum ks_clock_id)id, event->at_ns);
	seen->monotonic_before_ppb = rate_of(n, KS_MONOTONIC, event->at_ns);
	seen->set_before_ns = n->set_ns;
	n->set_ns -= ks_seg_line(&n->clocks.seg[KS_REALTIME], event->at_ns);
	return seen;
}

/* By how much a reading changes when it changes. */
static int64_t tick_of(const struct ks_seg *s, int64_t t)
{
	int64_t now = ks_seg_at(s, t), then = ks_seg_when(s, t, now + 1);
	return then == INT64_MAX ? 0 : ks_seg_at(s, then) - now;
}

void ks_seen_end(struct ks_engine *g, struct node *n, struct ks_fault_seen *seen)
{
	int64_t t = seen->event.at_ns;
	n->set_ns += ks_seg_line(&n->clocks.seg[KS_REALTIME], t);
	for (int id = 0; id < KS_NCLOCKS; id++)
		seen->after_ns[id] = ks_clocks_at(&n->clocks, (enum ks_clock_id)id, t);
	seen->raw_ppb = rate_of(n, KS_RAW, t);
	seen->monotonic_ppb = rate_of(n, KS_MONOTONIC, t);
	seen->set_after_ns = n->set_ns;
	seen->tick_ns = tick_of(&n->clocks.seg[seen->event.op == KS_FAULT_COARSE ? __builtin_ctz((unsigned)seen->event.amount)
	                                                                         : KS_REALTIME], t);
	seen->rtc_ns = ks_seg_at(&n->clocks.rtc, t);
	seen->utc_ns = ks_utc(g, t);
	for (uint32_t i = 0; i < n->nlanes; i++) {
		int64_t skew = n->lanes[i]->env.skew_ns;
		seen->core_low_ns = skew < seen->core_low_ns || !i ? skew : seen->core_low_ns;
		seen->core_high_ns = skew > seen->core_high_ns || !i ? skew : seen->core_high_ns;
	}
}

void ks_waits_solve(struct node *n, int64_t now_ns)
{
	for (uint32_t i = 0; i < n->nlanes; i++) {
		struct lane *l = n->lanes[i];
		if (!l->waits)
			continue;
		ks_queue_drop(l);
		int64_t from = now_ns > l->env.now_ns ? now_ns : l->env.now_ns;
		int64_t t = ks_seg_when(&n->clocks.seg[l->wait_clock], from, l->wait_value - l->env.skew_ns);
		if (t != INT64_MAX)
			ks_queue_push(l, t);
	}
}

/* ---- the node's own acts ---- */

static void plan_next(struct node *n)
{
	int64_t keeper = ks_keeper_next(&n->keeper);
	n->own_ns = n->suspends ? INT64_MAX : keeper < n->leap.due_ns ? keeper : n->leap.due_ns;
}

/* The first tick of the node's timer (once a tick by its monotonic clock, at a place that the seed draws) after its wall
 * clock has shown midnight. */
static void find_leap(struct ks_engine *g, struct node *n, int64_t t_ns)
{
	n->leap.due_ns = INT64_MAX;
	if (!n->leap.delta_ns)
		return;
	int64_t midnight = ks_seg_when(&n->clocks.seg[KS_REALTIME], t_ns, n->leap.unix_ns);
	if (midnight == INT64_MAX)
		return;
	const struct ks_seg *timer = &n->clocks.seg[KS_MONOTONIC];
	int64_t tick = n->leap.tick_ns;
	int64_t place = ks_rand_in(ks_rand_at(g->sim->seed, KS_STREAM_CLOCK, n->index, 1), 0, tick - 1);
	int64_t shown = ks_seg_line(timer, midnight), over = (shown - place) % tick;
	n->leap.due_ns = ks_seg_when(timer, midnight, over ? shown - over + tick : shown);
}

void ks_keep_init(struct ks_engine *g, struct node *n)
{
	n->leap.due_ns = INT64_MAX;
	ks_keeper_init(&n->keeper, &g->sim->node[n->index].keeper, &n->clocks, g->sim->seed, n->index);
	plan_next(n);
}

static void leap(struct ks_engine *g, struct node *n, int64_t t)
{
	struct ks_fault_event event = {.at_ns = t, .node = n->index, .op = KS_FAULT_LEAP, .amount = n->leap.delta_ns,
	                               .process = KS_ANY, .thread = KS_ANY, .fault = n->leap.fault};
	struct ks_fault_seen *seen = ks_seen_begin(g, n, &event);
	ks_clocks_leap(&n->clocks, t, event.amount < 0);
	ks_seen_end(g, n, seen);
	n->leap.delta_ns = 0;
	n->leap.due_ns = INT64_MAX;
}

static void keeper(struct ks_engine *g, struct node *n, int64_t t)
{
	struct ks_fault_event event = {.at_ns = t, .node = n->index, .op = KS_FAULT_KEEPER, .process = KS_ANY,
	                               .thread = KS_ANY, .fault = KS_NO_FAULT};
	struct ks_fault_seen *seen = ks_seen_begin(g, n, &event);
	struct ks_keeper_act act = ks_keeper_run(&n->keeper, &n->clocks, t, ks_utc(g, t) + n->source_ns);
	seen->event.amount = act.amount_ns;
	seen->event.extra = act.did;
	ks_seen_end(g, n, seen);
	if (act.did == KS_KEEPER_QUIET) { /* it asked, or went on with what was seen to begin */
		*seen = (struct ks_fault_seen){0};
		g->result->nseen--;
	}
}

void ks_keep_act(struct ks_engine *g, struct node *n)
{
	int64_t t = n->own_ns;
	if (n->leap.due_ns == t)
		leap(g, n, t);
	else
		keeper(g, n, t);
	find_leap(g, n, t);
	plan_next(n);
	ks_waits_solve(n, t);
}

void ks_keep_boot(struct ks_engine *g, struct node *n, int64_t t_ns)
{
	ks_keeper_boot(&n->keeper, &n->clocks, t_ns);
	find_leap(g, n, t_ns);
	plan_next(n);
}

/* Several nodes hear of one leap second. */
static void leap_of_utc(struct ks_engine *g, int64_t at_ns, int64_t delta_ns)
{
	for (int i = 0; i < g->nleaps; i++)
		if (g->leaps[i].at_ns == at_ns)
			return;
	if (g->nleaps == KS_LEAPS_MAX)
		return;
	g->leaps[g->nleaps].at_ns = at_ns;
	g->leaps[g->nleaps++].delta_ns = delta_ns;
}

/* Once a smear is over, UTC has had the second too. */
void ks_keep_smear(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	ks_clocks_bend(&n->clocks, event->at_ns, event->extra ? ks_rate_over(event->amount, event->extra) : 0);
	n->smeared_ns += event->amount;
	if (event->extra || !n->smeared_ns)
		return;
	leap_of_utc(g, event->at_ns, n->smeared_ns);
	n->smeared_ns = 0;
}

void ks_keep_arm(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	int64_t own = ks_seg_line(&n->clocks.seg[KS_REALTIME], event->at_ns), utc = ks_utc(g, event->at_ns);
	int64_t at = event->at_ns + (KS_DAY - 1 - (utc + KS_DAY - 1) % KS_DAY);
	leap_of_utc(g, at, event->amount);
	n->leap.delta_ns = event->amount;
	n->leap.unix_ns = own + (KS_DAY - 1 - (own + KS_DAY - 1) % KS_DAY);
	n->leap.tick_ns = KS_SEC / event->extra;
	n->leap.fault = event->fault;
}

void ks_keep_cores(struct node *n, int64_t skew_ns, uint32_t cores, uint32_t hops)
{
	for (uint32_t i = 0; i < n->nlanes; i++) {
		uint32_t core = (i + hops) % cores;
		n->lanes[i]->env.skew_ns = (int64_t)((__int128)skew_ns * core / (cores - 1));
	}
}

void ks_keep_notice(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	int64_t t = event->at_ns;
	switch (event->op) {
	case KS_FAULT_STEP:
	case KS_FAULT_TO_TRUE:
		ks_keeper_disturb(&n->keeper, t);
		break;
	case KS_FAULT_SUSPEND:
		if (!n->suspends++)
			n->suspended_at_ns = t;
		break;
	case KS_FAULT_RESUME:
		if (--n->suspends)
			break;
		ks_keeper_resume(&n->keeper, t, event->amount == KS_SUSPEND_HOST_STOP ? 0 : t - n->suspended_at_ns);
		if (event->amount == KS_SUSPEND_S3)
			ks_keeper_disturb(&n->keeper, t);
		break;
	default:
		break;
	}
	find_leap(g, n, t);
	plan_next(n);
}
