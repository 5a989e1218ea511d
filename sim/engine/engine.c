#include "engine_private.h"

#include <string.h>

#include "ks_mem.h"

/* ---- stacks ---- */

static void loop(void *engine);

static struct stack *stack_take(struct ks_engine *g)
{
	struct stack *s = g->free;
	if (s) {
		g->free = s->next;
	} else {
		if (g->nstacks == g->max_stacks)
			return NULL; /* cannot be: one a thread and one for the engine */
		s = ks_alloc(1, sizeof *s);
		if (!s)
			return NULL;
		s->size = STACK_BYTES;
		s->low = ks_stack_alloc(&s->size);
		if (!s->low) {
			ks_free(s);
			return NULL;
		}
		g->all_list[g->nstacks++] = s;
	}
	ks_context_make(&s->context, s->low, s->size, loop, g);
	return s;
}

static void stack_give(struct ks_engine *g, struct stack *s)
{
	s->next = g->free;
	g->free = s;
}

_Noreturn void ks_engine_stop(struct ks_engine *g, int status)
{
	g->status = status;
	ks_context_switch(&g->current->context, &g->main, true);
	__builtin_unreachable();
}

static _Noreturn void out_of_memory(struct ks_engine *g)
{
	ks_engine_stop(g, ks_fail(g->err, KS_E_INTERNAL, "out of memory in the simulation"));
}

void ks_engine_suspend(struct lane *l)
{
	struct ks_engine *g = l->env.engine;
	g->result->switches++;
	if (l->queue_place == 1 && l->wake_ns < g->barrier_ns && l->wake_ns < l->node->own_ns) { /* it is its own turn already */
		ks_queue_remove(l);
	} else {
		struct stack *mine = g->current, *fresh = stack_take(g);
		if (!fresh)
			out_of_memory(g);
		l->stack = mine;
		g->current = fresh;
		ks_context_switch(&mine->context, &fresh->context, false);
	}
	l->env.now_ns = l->wake_ns;
	if (l->waits || l->env.now_ns >= l->cpu_limit_ns)
		l->cpu_limit_ns = l->env.now_ns + KS_CPU_BUDGET_NS;
	l->env.horizon_ns = ks_engine_horizon(g, l);
}

/* Goes on with an interrupted call. The loop that runs now has nothing to come back to: its stack is given back. */
static _Noreturn void resume(struct ks_engine *g, struct lane *l)
{
	struct stack *mine = g->current;
	stack_give(g, mine); /* nobody takes it before the switch is done */
	g->current = l->stack;
	l->stack = NULL;
	ks_context_switch(&mine->context, &g->current->context, true);
	__builtin_unreachable();
}

/* ---- calls ---- */

static void fill(const struct ks_engine *g, struct lane *l, enum ks_outcome outcome, struct ks_key key, uint8_t why,
                 struct ks_record *r)
{
	*r = KS_RECORD_NONE;
	r->due_ns = l->due_ns;
	r->call_ns = l->call_ns;
	r->return_ns = outcome == KS_LOST ? KS_NO_TIME : l->env.now_ns;
	r->key = key;
	r->lane = l->env.lane;
	r->seq = l->seq++;
	r->outcome = (uint8_t)outcome;
	r->why = why;
	if (l->env.has_read) {
		r->clock = l->env.read_clock;
		r->read_ns = l->env.read_value - g->clock_base[l->env.read_clock];
		r->read_at_ns = l->env.read_at_ns;
	}
}

static void record(struct ks_engine *g, struct lane *l, enum ks_outcome outcome, struct ks_key key, uint8_t why)
{
	struct ks_record *r = ks_window_add(&g->window);
	if (!r)
		out_of_memory(g);
	fill(g, l, outcome, key, why, r);
}

static void record_lost(struct ks_engine *g, struct lane *l)
{
	struct ks_record r;
	fill(g, l, KS_LOST, (struct ks_key){0, 0}, 0, &r);
	if (ks_window_add_lost(&g->window, &r))
		out_of_memory(g);
}

/* When the lane calls again, or never. */
static void schedule(struct ks_engine *g, struct lane *l, enum ks_outcome last)
{
	int64_t free_ns = l->env.now_ns, begin;
	if (last == KS_REFUSE && g->sim->load.on_refuse == KS_REFUSE_RETRY) {
		begin = free_ns + KS_RETRY_AFTER_NS; /* the same wish, so the same due time */
	} else {
		l->due_ns = g->sim->load.model == KS_MODEL_CLOSED
		                ? ks_arrivals_next_closed(&l->arrivals, l->call_ns - l->due_ns, free_ns)
		                : ks_arrivals_next(&l->arrivals);
		begin = l->due_ns > free_ns ? l->due_ns : free_ns;
	}
	l->state = LANE_IDLE;
	if (begin >= g->sim->duration_ns || l->due_ns >= g->sim->duration_ns)
		l->state = LANE_DONE;
	else
		ks_queue_push(l, begin);
}

static void call(struct ks_engine *g, struct lane *l)
{
	const struct ks_sim *sim = g->sim;
	struct ks_key key = {0, 0};
	uint8_t why = 0;
	l->call_ns = l->wake_ns;
	l->env.now_ns = l->wake_ns;
	l->env.has_read = 0;
	l->state = LANE_IN_CALL;
	l->cpu_limit_ns = l->wake_ns + KS_CPU_BUDGET_NS;
	l->env.horizon_ns = ks_engine_horizon(g, l);
	enum ks_outcome outcome = sim->gen->next(&l->env, sim->cfg, l->process->shared, l->local, &key, &why);
	record(g, l, outcome, key, why);
	schedule(g, l, outcome);
}

_Noreturn void ks_engine_abandon(struct lane *l)
{
	struct ks_engine *g = l->env.engine;
	struct stack *mine = g->current;
	record_lost(g, l);
	l->state = LANE_DONE;
	struct stack *fresh = stack_take(g);
	if (!fresh)
		out_of_memory(g);
	stack_give(g, mine);
	g->current = fresh;
	ks_context_switch(&mine->context, &fresh->context, true);
	__builtin_unreachable();
}

/* ---- faults ---- */

static bool is_named(const struct ks_engine *g, const struct lane *l, const struct ks_fault_event *event)
{
	const struct ks_lane *id = &g->result->records.lanes[l->env.lane];
	return (event->process == KS_ANY || event->process == id->process) &&
	       (event->thread == KS_ANY || event->thread == id->thread);
}

/* Stops may overlap: a thread runs on when the last of them ends. What it was about to do waits. */
static void stop_threads(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	for (uint32_t i = 0; i < n->nlanes; i++) {
		struct lane *l = &n->lanes[i];
		if (!is_named(g, l, event))
			continue;
		bool queued = l->queue_place != 0;
		int64_t wake_ns = l->wake_ns;
		if (queued)
			ks_queue_remove(l);
		l->stops++;
		if (queued)
			ks_queue_push(l, wake_ns); /* parks it */
	}
}

static void run_threads(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	for (uint32_t i = 0; i < n->nlanes; i++) {
		struct lane *l = &n->lanes[i];
		if (!is_named(g, l, event) || --l->stops || !l->parked)
			continue;
		l->parked = false;
		ks_queue_push(l, l->wake_ns > event->at_ns ? l->wake_ns : event->at_ns);
	}
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
		stop_threads(g, n, event);
		break;
	case KS_FAULT_RUN:
		run_threads(g, n, event);
		break;
	case KS_FAULT_SUSPEND:
		ks_clocks_suspend(&n->clocks, event->at_ns, (enum ks_suspend)event->amount);
		stop_threads(g, n, event);
		break;
	case KS_FAULT_RESUME:
		ks_clocks_resume(&n->clocks, event->at_ns, (enum ks_suspend)event->amount, event->extra);
		run_threads(g, n, event);
		break;
	case KS_FAULT_TO_TRUE:
		ks_clocks_step(&n->clocks, event->at_ns,
		               ks_utc(g, event->at_ns) - ks_seg_line(&n->clocks.seg[KS_REALTIME], event->at_ns));
		break;
	case KS_FAULT_ARM_LEAP:
		ks_keep_arm(g, n, event);
		break;
	case KS_FAULT_SMEAR:
		ks_clocks_bend(&n->clocks, event->at_ns, event->extra ? ks_rate_over(event->amount, event->extra) : 0);
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
	case KS_FAULT_KEEPER: /* no plan has it */
		break;
	}
}

static void act(struct ks_engine *g, uint32_t index)
{
	const struct ks_fault_event *event = &g->sim->events[index];
	struct node *n = &g->nodes[event->node];
	struct ks_fault_seen *seen = ks_seen_begin(g, n, event);
	apply(g, n, event);
	ks_seen_end(g, n, seen);
	ks_keep_notice(g, n, event);
	ks_waits_solve(n, event->at_ns);
}

/* ---- the loop ---- */

static void set_until(struct ks_engine *g)
{
	g->until_ns = g->window.end_ns < g->barrier_ns ? g->window.end_ns : g->barrier_ns;
	g->node = 0;
}

static void set_barrier(struct ks_engine *g)
{
	g->barrier_ns = g->sim->duration_ns + KS_DRAIN_NS;
	if (g->event < g->sim->nevents)
		g->barrier_ns = g->sim->events[g->event].at_ns;
	set_until(g);
}

static int check_limit(const struct ks_engine *g)
{
	return g->window.taken <= g->record_limit ? 0 : ks_fail(g->err, KS_E_JUDGE, "more than %llu calls, the limit of a run",
	                                                        (unsigned long long)g->record_limit);
}

/* All nodes have come to until_ns: what has returned by now is all there is. */
static void flush(struct ks_engine *g)
{
	if (ks_window_flush(&g->window, g->until_ns, g->result->records.lanes, &g->sink, g->err) || check_limit(g))
		ks_engine_stop(g, -1);
	if (g->sim->progress) {
		g->sim->progress->reached_ns = g->until_ns;
		g->sim->progress->calls = g->window.taken;
	}
}

/* @return the next thread to run, off its queue; NULL at the end of the run. */
static struct lane *next_lane(struct ks_engine *g)
{
	for (;;) {
		for (; g->node < g->sim->nodes; g->node++) {
			struct node *n = &g->nodes[g->node];
			const struct lane *top = ks_queue_top(n);
			while (n->own_ns < g->until_ns && (!top || n->own_ns <= top->wake_ns)) {
				ks_keep_act(g, n);
				top = ks_queue_top(n);
			}
			if (top && top->wake_ns < g->until_ns)
				return ks_queue_pop(n);
		}
		if (g->until_ns < g->barrier_ns || g->window.n > KS_WINDOW_RECORDS) {
			flush(g);
			if (g->until_ns < g->barrier_ns) {
				set_until(g);
				continue;
			}
		}
		if (g->event == g->sim->nevents)
			return NULL;
		int64_t now = g->barrier_ns;
		while (g->event < g->sim->nevents && g->sim->events[g->event].at_ns == now)
			act(g, g->event++);
		set_barrier(g);
	}
}

/* The engine on one of its stacks. Nothing here survives in locals: `call` may leave this stack and come back. */
static void loop(void *engine)
{
	struct ks_engine *g = engine;
	for (;;) {
		if (g->sim->stop && *g->sim->stop)
			ks_engine_stop(g, ks_fail(g->err, KS_E_JUDGE, "interrupted"));
		struct lane *l = next_lane(g);
		if (!l)
			ks_engine_stop(g, 0);
		if (l->state == LANE_IN_CALL)
			resume(g, l);
		call(g, l);
	}
}

/* ---- from description to fleet and back ---- */

static size_t aligned(size_t n)
{
	return (n + 63) / 64 * 64;
}

static void build_lane(struct ks_engine *g, struct node *n, uint32_t number, uint32_t in_node, struct process *p, char *local)
{
	struct lane *l = &g->lanes[number];
	l->node = n;
	l->process = p;
	l->local = local;
	l->env.engine = g;
	l->env.clocks = n->clocks.seg;
	l->env.lane = number;
	ks_stream_init(&l->env.random, g->sim->seed, KS_STREAM_GENERATOR, number);
	ks_arrivals_init(&l->arrivals, &g->sim->load, in_node, n->nlanes, g->sim->seed, number);
}

static int build(struct ks_engine *g)
{
	const struct ks_sim *sim = g->sim;
	size_t shared = aligned(sim->gen->shared_size), local = aligned(sim->gen->local_size);
	uint32_t per_node = sim->processes * sim->threads;
	g->nlanes = sim->nodes * per_node;
	g->nprocesses = sim->nodes * sim->processes;
	g->max_stacks = g->nlanes + 2;
	g->record_limit = sim->record_limit ? sim->record_limit : UINT64_C(1) << 31;
	g->nodes = ks_alloc(sim->nodes, sizeof *g->nodes);
	g->lanes = ks_alloc(g->nlanes, sizeof *g->lanes);
	g->processes = ks_alloc(g->nprocesses, sizeof *g->processes);
	g->state = ks_alloc(g->nprocesses * shared + g->nlanes * local + 64, 1);
	g->all_list = ks_alloc(g->max_stacks, sizeof(struct stack *));
	g->result->seen_cap = sim->nevents + 1;
	g->result->seen = ks_alloc(g->result->seen_cap, sizeof *g->result->seen);
	g->result->records.lanes = ks_alloc(g->nlanes, sizeof(struct ks_lane));
	struct lane **queues = ks_alloc(g->nlanes, sizeof(struct lane *));
	if (!g->nodes || !g->lanes || !g->processes || !g->state || !g->all_list || !g->result->seen ||
	    !g->result->records.lanes || !queues) {
		ks_free(queues);
		return ks_fail(g->err, KS_E_INTERNAL, "out of memory for %u threads", g->nlanes);
	}
	g->queues = queues;
	char *state = g->state + (64 - (uintptr_t)g->state % 64) % 64;
	struct ks_clocks reference;
	ks_clocks_init(&reference, sim->start_unix_ns, 0, KS_UPTIME_NS, KS_TAI_OFFSET_S);
	for (int id = 0; id < KS_NCLOCKS; id++)
		g->clock_base[id] = ks_clocks_at(&reference, (enum ks_clock_id)id, 0);
	for (uint32_t i = 0, number = 0; i < sim->nodes; i++) {
		struct node *n = &g->nodes[i];
		*n = (struct node){.index = i, .worker = sim->node[i].worker, .lanes = &g->lanes[number], .nlanes = per_node,
		                   .queue = queues + number};
		ks_clocks_init(&n->clocks, sim->start_unix_ns, sim->node[i].offset_ns, KS_UPTIME_NS, KS_TAI_OFFSET_S);
		ks_clocks_drift(&n->clocks, 0, sim->node[i].drift_ppb);
		ks_keep_init(g, n);
		for (uint32_t j = 0; j < sim->processes; j++) {
			uint32_t process = i * sim->processes + j;
			struct process *p = &g->processes[process];
			p->shared = state + process * shared;
			p->pid = (uint64_t)ks_rand_in(ks_rand_at(sim->seed, KS_STREAM_PROCESS, process, 0), 2, 4194303);
			for (uint32_t k = 0; k < sim->threads; k++, number++) {
				build_lane(g, n, number, j * sim->threads + k, p, state + g->nprocesses * shared + number * local);
				g->result->records.lanes[number] = (struct ks_lane){i, j, 0, k};
			}
		}
	}
	g->result->records.nlanes = g->nlanes;
	return 0;
}

/* Every process initialises its generator before the start; then the first calls are due. */
static void begin(struct ks_engine *g)
{
	for (uint32_t i = 0; i < g->nprocesses; i++) {
		struct lane *first = &g->lanes[i * g->sim->threads];
		first->env.horizon_ns = INT64_MAX;
		if (g->sim->gen->init)
			g->sim->gen->init(&first->env, g->sim->cfg, first->process->shared);
		first->env.now_ns = 0;
	}
	for (uint32_t i = 0; i < g->nlanes; i++)
		schedule(g, &g->lanes[i], KS_KEY);
	set_barrier(g);
}

/* What is still inside a call at the end is lost. */
static void finish(struct ks_engine *g)
{
	for (uint32_t i = 0; i < g->nlanes; i++) {
		struct lane *l = &g->lanes[i];
		g->result->records.clock_reads += l->env.reads;
		if (l->state == LANE_IN_CALL && g->status == 0)
			record_lost(g, l);
	}
}

static void release(struct ks_engine *g)
{
	for (uint32_t i = 0; i < g->nstacks; i++) {
		ks_context_release(&g->all_list[i]->context);
		ks_stack_free(g->all_list[i]->low, g->all_list[i]->size);
		ks_free(g->all_list[i]);
	}
	ks_window_release(&g->window);
	ks_free(g->all_list);
	ks_free(g->queues);
	ks_free(g->state);
	ks_free(g->processes);
	ks_free(g->lanes);
	ks_free(g->nodes);
	ks_free(g);
}

static int run(struct ks_engine *g)
{
	if (build(g))
		return -1;
	begin(g);
	g->current = stack_take(g);
	if (!g->current)
		return ks_fail(g->err, KS_E_INTERNAL, "out of memory for a stack");
	ks_context_main(&g->main);
	ks_context_switch(&g->main, &g->current->context, false);
	if (g->status)
		return -1;
	finish(g);
	if (ks_window_finish(&g->window, g->result->records.lanes, &g->sink, g->err))
		return -1;
	return check_limit(g);
}

int ks_sim_run(const struct ks_sim *sim, struct ks_sim_result *result, struct ks_err *err)
{
	*result = (struct ks_sim_result){0};
	struct ks_engine *g = ks_alloc(1, sizeof *g);
	if (!g)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	g->sim = sim;
	g->result = result;
	g->err = err;
	g->sink = sim->sink ? *sim->sink : (struct ks_sink){ks_records_take, ks_records_row, &result->records};
	result->records.limit = sim->memory;
	ks_window_init(&g->window);
	int status = run(g);
	release(g);
	if (status)
		ks_sim_result_release(result);
	return status;
}

void ks_sim_result_release(struct ks_sim_result *result)
{
	ks_records_release(&result->records);
	ks_free(result->seen);
	*result = (struct ks_sim_result){0};
}
