/* Pauses placed inside calls: before or after one of the environment calls of a call.
 *
 * A trap belongs to a thread. While one may act inside the call that goes on, every environment call asks (ks_place_pass),
 * because the thread's horizon is never; without one nothing is asked. What was stopped, from when to when, goes into the
 * records, as only the run can tell. */
#include "engine_private.h"

#include "ks_mem.h"

const char *const ks_point_names[KS_NPOINTS + 1] = {"clock", "wait", "random", "lock", "unlock", "load", "store", "cas",
                                                    "add", "identity", "persist", "registry", "call", NULL};

void ks_place_arm(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	for (uint32_t i = 0; i < n->ncallers; i++) {
		struct lane *l = n->lanes[i];
		if ((event->process != KS_ANY && event->process != l->process->index) ||
		    (event->thread != KS_ANY && event->thread != l->thread))
			continue;
		struct trap *t = &g->traps[g->ntraps], *last = l->traps;
		*t = (struct trap){.event = event};
		t->end.env.engine = g;
		t->end.env.lane = g->nlanes + (uint32_t)g->ntraps++;
		t->end.node = n;
		t->end.state = LANE_IDLE;
		t->end.task = TASK_END_STOP;
		while (last && last->next)
			last = last->next;
		*(last ? &last->next : &l->traps) = t;
	}
}

/* ---- does it act in this call ---- */

static uint32_t draw(const struct lane *l, const struct trap *t)
{
	uint64_t id = UINT64_C(1) << 47 | (uint64_t)t->event->fault << 32 | (uint64_t)l->node->index << 16 | l->slot;
	return (uint32_t)ks_rand_in(ks_rand_at(l->env.engine->sim->seed, KS_STREAM_FAULT, id, t->hits), 0, t->before - 1);
}

static void aim(struct lane *l, struct trap *t)
{
	const struct ks_place *p = &t->event->place;
	t->point = t->matches = 0;
	t->at_next = false;
	t->acts = t->calls++ >= p->call && !t->spent;
	t->target = KS_ANY; /* none; of `any`: the first call is counted only */
	if (p->side == KS_PLACE_EVERY)
		t->target = t->hits;
	else if (p->side == KS_PLACE_ANY && t->before)
		t->target = draw(l, t);
}

void ks_place_begin(struct lane *l)
{
	l->trapped = false;
	for (struct trap *t = l->traps; t; t = t->next) {
		aim(l, t);
		l->trapped = l->trapped || t->acts;
	}
	ks_engine_set_horizon(l);
}

/* ---- the pause ---- */

/* What the clocks show when a thread stops, or goes on. @return the row. */
static uint32_t note(struct lane *l, struct ks_fault_event *event, enum ks_fault_op op)
{
	struct ks_engine *g = l->env.engine;
	event->op = op;
	event->at_ns = l->env.now_ns;
	ks_seen_end(g, l->node, ks_seen_begin(g, l->node, event));
	return g->result->nseen - 1;
}

static void note_stop(struct lane *l, int64_t begin_ns, int64_t end_ns)
{
	struct ks_engine *g = l->env.engine;
	if (l->background == KS_ANY && ks_records_halt(&g->result->records, l->env.lane, begin_ns, end_ns))
		ks_engine_out_of_memory(g);
}

static bool stops_with(const struct lane *l, const struct lane *other)
{
	return other->process == l->process && other->slot != l->slot;
}

void ks_place_end_stop(struct lane *end)
{
	struct node *n = end->node;
	for (uint32_t i = 0; i < n->nlanes; i++)
		if (n->lanes[i]->process == end->process && i != end->slot)
			ks_lane_let_go(n->lanes[i], end->wake_ns);
}

static void stop_others(struct lane *l, struct trap *t, int64_t until_ns)
{
	struct node *n = l->node;
	for (uint32_t i = 0; i < n->nlanes; i++) {
		if (!stops_with(l, n->lanes[i]))
			continue;
		ks_lane_hold(n->lanes[i]);
		note_stop(n->lanes[i], l->env.now_ns, until_ns);
	}
	t->end.process = l->process;
	t->end.slot = l->slot;
	ks_queue_push(&t->end, until_ns);
}

static void stop_here(struct lane *l, struct trap *t)
{
	struct ks_engine *g = l->env.engine;
	struct ks_fault_event event = *t->event;
	int64_t begin_ns = l->env.now_ns, until_ns = begin_ns + event.amount;
	uint32_t begin = note(l, &event, KS_FAULT_STOP);
	t->hits++;
	t->spent = t->spent || (event.place.side != KS_PLACE_EVERY && t->hits >= event.place.times);
	if (event.place.world)
		stop_others(l, t, until_ns);
	note_stop(l, begin_ns, until_ns);
	ks_queue_push(l, until_ns);
	ks_engine_suspend(l);
	l->cpu_limit_ns = l->env.now_ns + KS_CPU_BUDGET_NS;
	uint32_t end = note(l, &event, KS_FAULT_RUN); /* which may move the rows */
	g->result->seen[end].begin = begin;
}

static bool matches(struct trap *t, enum ks_point point)
{
	const struct ks_place *p = &t->event->place;
	if (p->side != KS_PLACE_BEFORE && p->side != KS_PLACE_AFTER)
		return false;
	return (p->point == KS_AT_CALL || p->point == (uint32_t)point) && ++t->matches == p->nth;
}

void ks_place_pass(struct lane *l, enum ks_point point)
{
	for (struct trap *t = l->traps; t; t = t->next) {
		if (!t->acts)
			continue;
		bool stop = t->at_next || t->point == t->target;
		t->at_next = false;
		t->point++;
		if (matches(t, point)) {
			stop = stop || t->event->place.side == KS_PLACE_BEFORE;
			t->at_next = t->event->place.side == KS_PLACE_AFTER;
		}
		if (stop)
			stop_here(l, t);
	}
}

/* The place after the last environment call. */
void ks_place_return(struct lane *l)
{
	for (struct trap *t = l->traps; t; t = t->next) {
		enum ks_side side = t->event->place.side;
		if (!t->acts)
			continue;
		t->acts = false;
		t->before = t->point + 1;
		t->spent = t->spent || (side == KS_PLACE_EVERY && t->target >= t->point);
		bool stop = t->at_next || t->target == t->point;
		stop = stop || (side == KS_PLACE_ANY && t->target != KS_ANY && t->target > t->point); /* a shorter call than the one before */
		if (stop)
			stop_here(l, t);
	}
	l->trapped = false;
	ks_engine_set_horizon(l);
}
