/* What fault events do to a node. */
#include "engine_private.h"

/* Background threads are on no core that a fault can stop: they run wherever there is one. */
static bool is_named(const struct lane *l, const struct ks_fault_event *event)
{
	if (l->thread == THREAD_NONE && ks_fault_stops_by_core(event))
		return false;
	return ks_fault_names(event, l->process->index, l->thread, l->env.engine->sim->threads);
}

/* Stops may overlap: a thread runs on when the last of them ends. What it was about to do waits. */
static void stop_threads(struct node *n, const struct ks_fault_event *event)
{
	for (uint32_t i = 0; i < n->nlanes; i++)
		if (is_named(n->lanes[i], event))
			ks_lane_hold(n->lanes[i]);
}

static void run_threads(struct node *n, const struct ks_fault_event *event)
{
	for (uint32_t i = 0; i < n->nlanes; i++)
		if (is_named(n->lanes[i], event))
			ks_lane_let_go(n->lanes[i], event->at_ns);
}

static void apply(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	switch (event->op) {
	case KS_FAULT_STEP:
		ks_clocks_step(&n->clocks, event->at_ns, event->amount);
		break;
	case KS_FAULT_DRIFT:
		ks_clocks_drift(&n->clocks, event->at_ns, event->amount);
		break;
	case KS_FAULT_SLEW:
		ks_clocks_slew(&n->clocks, event->at_ns, event->amount);
		break;
	case KS_FAULT_HOLD:
		ks_clocks_hold(&n->clocks, event->at_ns, (unsigned)event->amount);
		break;
	case KS_FAULT_RELEASE:
		ks_clocks_release(&n->clocks, event->at_ns, (unsigned)event->amount);
		break;
	case KS_FAULT_LEAP:
		ks_clocks_leap(&n->clocks, event->at_ns, event->amount < 0);
		break;
	case KS_FAULT_STOP:
		stop_threads(n, event);
		break;
	case KS_FAULT_RUN:
		run_threads(n, event);
		break;
	case KS_FAULT_SUSPEND:
		ks_clocks_suspend(&n->clocks, event->at_ns, (enum ks_suspend)event->amount);
		stop_threads(n, event);
		break;
	case KS_FAULT_RESUME:
		ks_clocks_resume(&n->clocks, event->at_ns, (enum ks_suspend)event->amount, event->extra);
		run_threads(n, event);
		break;
	case KS_FAULT_TO_TRUE:
		ks_clocks_step(&n->clocks, event->at_ns,
		               ks_utc(g, event->at_ns) - ks_seg_line(&n->clocks.seg[KS_REALTIME], event->at_ns));
		break;
	case KS_FAULT_ARM_LEAP:
		ks_keep_arm(g, n, event);
		break;
	case KS_FAULT_SMEAR:
		ks_keep_smear(g, n, event);
		break;
	case KS_FAULT_COARSE:
		ks_clocks_coarse(&n->clocks, (unsigned)event->amount, event->extra);
		break;
	case KS_FAULT_RTC:
		ks_clocks_set_rtc(&n->clocks, event->at_ns, event->amount);
		break;
	case KS_FAULT_CORES:
		ks_keep_cores(n, event->amount, (uint32_t)(event->extra & 0xffff), (uint32_t)(event->extra >> 16));
		break;
	case KS_FAULT_DOWN:
		ks_process_down(g, n, event);
		break;
	case KS_FAULT_UP:
		ks_process_up(g, n, event);
		break;
	case KS_FAULT_CLONE:
		ks_snapshot_clone(g, n, event);
		break;
	case KS_FAULT_ROLLBACK:
		ks_snapshot_roll_back(g, n, event);
		break;
	case KS_FAULT_PLACE:
		ks_place_arm(g, n, event);
		break;
	case KS_FAULT_REGISTRY:
		n->cut_off = !event->amount;
		break;
	case KS_FAULT_SOURCE:
		n->source_ns += event->amount;
		break;
	case KS_FAULT_SNAPSHOT: /* gathers first */
	case KS_FAULT_KEEPER:   /* no plan has it */
		break;
	}
}

static bool touches_memory(enum ks_fault_op op)
{
	return op == KS_FAULT_DOWN || op == KS_FAULT_UP || op == KS_FAULT_CLONE || op == KS_FAULT_ROLLBACK;
}

void ks_fault_act(struct ks_engine *g, uint32_t index)
{
	const struct ks_fault_event *event = &g->sim->events[index];
	struct node *n = &g->nodes[event->node];
	if (ks_gathers(event)) {
		ks_gather_begin(g, n, event);
		return;
	}
	struct ks_fault_seen *seen = ks_seen_begin(g, n, event);
	if (touches_memory(event->op))
		seen->memory_before = ks_memory_hash(g, n);
	int64_t source_ns = n->source_ns;
	apply(g, n, event); /* adds no other row */
	seen->source_moved_ns = n->source_ns - source_ns;
	if (touches_memory(event->op))
		seen->memory_after = ks_memory_hash(g, n);
	if (event->op == KS_FAULT_UP)
		seen->memory_left = ks_memory_left(g, n, event);
	ks_seen_end(g, n, seen);
	ks_keep_notice(g, n, event);
	ks_waits_solve(n, event->at_ns);
}
