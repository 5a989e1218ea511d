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

_Noreturn void ks_engine_out_of_memory(struct ks_engine *g)
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
			ks_engine_out_of_memory(g);
		l->stack = mine;
		g->current = fresh;
		ks_context_switch(&mine->context, &fresh->context, false);
	}
	l->env.now_ns = l->wake_ns;
	if (l->waits || l->env.now_ns >= l->cpu_limit_ns)
		l->cpu_limit_ns = l->env.now_ns + KS_CPU_BUDGET_NS;
	ks_engine_set_horizon(l);
}

/* Goes on with an interrupted task. The loop that runs now has nothing to come back to: its stack is given back. */
static _Noreturn void resume(struct ks_engine *g, struct lane *l)
{
	struct stack *mine = g->current;
	stack_give(g, mine); /* nobody takes it before the switch is done */
	g->current = l->stack;
	l->stack = NULL;
	ks_context_switch(&mine->context, &g->current->context, true);
	__builtin_unreachable();
}

/* ---- what a thread does next ---- */

static inline void wish(struct lane *l, const struct ks_load *load, int64_t now_ns, enum ks_outcome last)
{
	l->wished = true;
	if (last == KS_REFUSE && load->on_refuse == KS_REFUSE_RETRY) {
		l->begin_ns = now_ns + KS_RETRY_AFTER_NS; /* the same wish, so the same due time */
		return;
	}
	l->due_ns = load->model == KS_MODEL_CLOSED ? ks_arrivals_next_closed(&l->arrivals, l->call_ns - l->due_ns, now_ns)
	                                           : ks_arrivals_next(&l->arrivals);
	l->begin_ns = l->due_ns;
}

void ks_lane_wish(struct lane *l, int64_t now_ns, enum ks_outcome last)
{
	wish(l, &l->env.engine->sim->load, now_ns, last);
}

void ks_lane_go(struct lane *l, int64_t now_ns)
{
	const struct ks_sim *sim = l->env.engine->sim;
	if (l->background != KS_ANY) {
		l->task = TASK_BACKGROUND;
		l->begin_ns = l->begin_ns > now_ns ? l->begin_ns : now_ns;
	} else {
		l->task = TASK_CALL;
	}
	int64_t begin = l->begin_ns > now_ns ? l->begin_ns : now_ns;
	l->state = LANE_IDLE;
	if (l->inbox) {
		int64_t at = l->inbox->at_ns > now_ns ? l->inbox->at_ns : now_ns;
		if (at <= begin) {
			l->task = TASK_OBSERVE;
			begin = at;
		}
	}
	if (begin >= sim->duration_ns || (l->task == TASK_CALL && (!l->wished || l->due_ns >= sim->duration_ns)))
		l->state = LANE_DONE;
	else
		ks_queue_push(l, begin);
}

void ks_lane_hold(struct lane *l)
{
	bool queued = l->queue_place != 0;
	int64_t wake_ns = l->wake_ns;
	if (queued)
		ks_queue_remove(l);
	l->stops++;
	if (queued)
		ks_queue_push(l, wake_ns); /* parks it */
}

void ks_lane_let_go(struct lane *l, int64_t now_ns)
{
	if (--l->stops || !l->parked)
		return;
	l->parked = false;
	ks_queue_push(l, l->wake_ns > now_ns ? l->wake_ns : now_ns);
}

/* ---- tasks ---- */

static inline void fill(const struct ks_engine *g, struct lane *l, enum ks_outcome outcome, struct ks_key key, uint8_t why,
                        struct ks_record *r)
{
	bool read = l->env.has_read;
	*r = (struct ks_record){.due_ns = l->due_ns,
	                        .call_ns = l->call_ns,
	                        .return_ns = outcome == KS_LOST ? KS_NO_TIME : l->env.now_ns,
	                        .read_ns = read ? l->env.read_value - g->clock_base[l->env.read_clock] : KS_NO_TIME,
	                        .read_at_ns = read ? l->env.read_at_ns : 0,
	                        .key = key,
	                        .lane = l->env.lane,
	                        .seq = l->seq++,
	                        .parent = KS_NO_PARENT,
	                        .outcome = (uint8_t)outcome,
	                        .clock = read ? l->env.read_clock : 0,
	                        .why = why};
}

static void record(struct ks_engine *g, struct lane *l, enum ks_outcome outcome, struct ks_key key, uint8_t why)
{
	struct ks_record *r = ks_window_add(&g->window);
	if (!r)
		ks_engine_out_of_memory(g);
	fill(g, l, outcome, key, why, r);
	if (__builtin_expect(l->caused, 0) && ks_window_cause(&g->window, r, l->cause.lane, l->cause.seq))
		ks_engine_out_of_memory(g);
	l->caused = false;
}

static int record_lost(struct ks_engine *g, struct lane *l)
{
	struct ks_record r;
	fill(g, l, KS_LOST, (struct ks_key){0, 0}, 0, &r);
	return ks_window_add_lost(&g->window, &r);
}

void ks_engine_trace_read(struct lane *l)
{
	const struct ks_trace *trace = l->env.engine->sim->trace;
	if (l->env.reads == l->traced)
		return;
	l->traced = l->env.reads;
	trace->read(trace->context, &(struct ks_trace_read){.lane = l->env.lane, .seq = l->seq, .at_ns = l->env.read_at_ns,
	                                                   .value_ns = l->env.read_value, .clock = l->env.read_clock});
}

static void trace_call(const struct ks_trace *trace, const struct lane *l)
{
	struct ks_trace_call c = {.lane = l->env.lane, .seq = l->seq, .call_ns = l->call_ns};
	for (int id = 0; id < KS_NCLOCKS; id++)
		c.clock_ns[id] = ks_seg_at(&l->env.clocks[id], l->call_ns) + l->env.skew_ns;
	trace->call(trace->context, &c);
}

static void take_beside(struct lane *l)
{
	const struct process *p = l->process;
	l->env.read_value = p->beside.value;
	l->env.read_at_ns = p->beside.at_ns;
	l->env.read_clock = p->beside.clock;
	l->env.has_read = 1;
}

static void note_beside(const struct lane *l)
{
	struct process *p = l->process;
	if (!l->env.has_read)
		return;
	p->beside.value = l->env.read_value;
	p->beside.at_ns = l->env.read_at_ns;
	p->beside.clock = l->env.read_clock;
	p->beside.known = true;
}

static void call(struct ks_engine *g, struct lane *l)
{
	const struct ks_sim *sim = g->sim;
	struct ks_key key = {0, 0};
	uint8_t why = 0;
	l->call_ns = l->env.now_ns;
	l->env.has_read = 0;
	if (__builtin_expect(l->process->beside.known, 0))
		take_beside(l);
	l->wished = false;
	if (l->traps)
		ks_place_begin(l);
	if (sim->trace)
		trace_call(sim->trace, l);
	enum ks_outcome outcome = sim->gen->next(&l->env, sim->cfg, l->process->shared, l->local, &key, &why);
	if (l->trapped)
		ks_place_return(l);
	if (sim->trace)
		ks_engine_trace_read(l);
	record(g, l, outcome, key, why);
	if (outcome == KS_KEY && l->mail_due_ns <= l->env.now_ns && l->mail_due_ns != KS_NO_TIME)
		ks_post_send(l, key);
	wish(l, &sim->load, l->env.now_ns, outcome);
}

/* The usual case: a call is over, another call of the node comes next. @return who makes it, off the queue, or NULL: nothing
 * is decided. */
static struct lane *next_caller(const struct ks_engine *g, struct lane *l)
{
	const struct node *n = l->node;
	const struct lane *top = ks_queue_top(n);
	int64_t at_ns = l->begin_ns > l->env.now_ns ? l->begin_ns : l->env.now_ns;
	int64_t turn_ns = top && top->wake_ns < at_ns ? top->wake_ns : at_ns;
	if (turn_ns >= g->until_ns || turn_ns >= n->own_ns || at_ns >= g->sim->duration_ns || l->due_ns >= g->sim->duration_ns)
		return NULL;
	if (l->inbox || l->stops || n->gathering.going || (top && (top->state != LANE_IDLE || top->task != TASK_CALL)))
		return NULL;
	l->state = LANE_IDLE;
	return ks_queue_swap(l, at_ns);
}

/* Begins what it is inside of at wake_ns. */
static inline void enter(struct lane *l)
{
	l->env.now_ns = l->wake_ns;
	l->state = LANE_IN_CALL;
	l->cpu_limit_ns = l->wake_ns + KS_CPU_BUDGET_NS;
	ks_engine_set_horizon(l);
}

/* Runs the task whose turn it is, from its beginning. */
static void begin(struct ks_engine *g, struct lane *l)
{
	const struct ks_gen *gen = g->sim->gen;
	const struct ks_background *work;
	if (l->task == TASK_END_STOP) {
		ks_place_end_stop(l);
		return;
	}
	enter(l);
	switch (l->task) {
	case TASK_OBSERVE:
		ks_post_observe(l);
		break;
	case TASK_INIT:
		gen->init(&l->env, g->sim->cfg, l->process->shared);
		ks_process_started(l);
		break;
	case TASK_BACKGROUND:
		work = &ks_gen_background(gen, g->sim->cfg)[l->background];
		l->begin_ns += work->period_ns;
		l->env.has_read = 0;
		work->fn(&l->env, g->sim->cfg, l->process->shared);
		note_beside(l);
		break;
	default:
		for (struct lane *next; call(g, l), (next = next_caller(g, l)); l = next)
			enter(next);
	}
	ks_lane_go(l, l->env.now_ns);
	if (l->node->gathering.going)
		ks_gather(l);
}

/* The task is over: what it had of its own is gone. */
static int lose(struct ks_engine *g, struct lane *l)
{
	bool called = l->state == LANE_IN_CALL && l->task == TASK_CALL;
	l->state = LANE_DONE;
	l->trapped = l->waits = l->caused = false;
	return called ? record_lost(g, l) : 0;
}

_Noreturn void ks_engine_abandon(struct lane *l)
{
	struct ks_engine *g = l->env.engine;
	struct stack *mine = g->current;
	if (lose(g, l))
		ks_engine_out_of_memory(g);
	if (l->node->gathering.going)
		ks_gather(l);
	struct stack *fresh = stack_take(g);
	if (!fresh)
		ks_engine_out_of_memory(g);
	stack_give(g, mine);
	g->current = fresh;
	ks_context_switch(&mine->context, &fresh->context, true);
	__builtin_unreachable();
}

void ks_lane_kill(struct lane *l)
{
	struct ks_engine *g = l->env.engine;
	ks_queue_drop(l);
	ks_registry_forget(l);
	ks_post_forget(l);
	if (lose(g, l))
		ks_engine_out_of_memory(g);
	if (l->stack)
		stack_give(g, l->stack);
	l->stack = NULL;
}

/* ---- the loop ---- */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When anything happens next, on any node. */
static int64_t first_turn(const struct ks_engine *g)
{
	int64_t first = INT64_MAX;
	for (uint32_t i = 0; i < g->sim->nodes; i++) {
		const struct lane *top = ks_queue_top(&g->nodes[i]);
		first = top ? least(first, top->wake_ns) : first;
	}
	return first;
}

static void set_until(struct ks_engine *g)
{
	g->until_ns = least(g->window.end_ns, g->barrier_ns);
	g->node = 0;
}

void ks_engine_meet(struct ks_engine *g, int64_t t_ns)
{
	g->barrier_ns = least(g->barrier_ns, t_ns);
	g->until_ns = least(g->until_ns, t_ns);
}

/* Nodes run on by themselves for as long as none can hear of what another does meanwhile: a message that is sent from now
 * on arrives a delay later at the soonest. */
static void set_barrier(struct ks_engine *g)
{
	const struct ks_sim *sim = g->sim;
	int64_t barrier = g->end_ns;
	if (g->event < sim->nevents)
		barrier = least(barrier, sim->events[g->event].at_ns);
	if (sim->mail.rate.count) {
		int64_t first = least(first_turn(g), ks_post_first(g));
		int64_t way = sim->network.delay_ns ? sim->network.delay_ns : 1;
		barrier = first < barrier - way ? first + way : barrier;
		ks_post_deliver(g, barrier);
	}
	g->barrier_ns = least(barrier, ks_registry_first(g));
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

/* What happens where nodes meet. */
static void meet(struct ks_engine *g)
{
	int64_t now = g->barrier_ns;
	ks_registry_answer(g, now);
	while (g->event < g->sim->nevents && g->sim->events[g->event].at_ns == now)
		ks_fault_act(g, g->event++);
	set_barrier(g);
}

/* @return the node's next thread to run, off its queue; NULL: none before all have come to until_ns. */
static struct lane *next_of(struct ks_engine *g, struct node *n)
{
	const struct lane *top = ks_queue_top(n);
	while (n->own_ns < g->until_ns && (!top || n->own_ns <= top->wake_ns)) {
		ks_keep_act(g, n);
		top = ks_queue_top(n);
	}
	return top && top->wake_ns < g->until_ns ? ks_queue_pop(n) : NULL;
}

/* @return the next thread to run; NULL at the end of the run. */
static struct lane *next_lane(struct ks_engine *g)
{
	for (;;) {
		for (; g->node < g->sim->nodes; g->node++) {
			struct lane *l = next_of(g, &g->nodes[g->node]);
			if (l)
				return l;
		}
		bool met = g->until_ns >= g->barrier_ns;
		if (!met || g->window.n > KS_WINDOW_RECORDS)
			flush(g);
		if (!met)
			set_until(g);
		else if (g->barrier_ns >= g->end_ns)
			return NULL;
		else
			meet(g);
	}
}

/* The engine on one of its stacks. Nothing here survives in locals: `begin` may leave this stack and come back. */
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
		begin(g, l);
	}
}

/* ---- begin and end ---- */

/* Every process initialises its generator before the start; then the first calls are due. */
static void start(struct ks_engine *g)
{
	const struct ks_sim *sim = g->sim;
	for (uint32_t i = 0; i < sim->nodes * sim->processes; i++) {
		struct node *n = &g->nodes[i / sim->processes];
		struct lane *first = n->lanes[i % sim->processes * sim->threads];
		if (!n->born || !sim->gen->init)
			continue;
		first->env.horizon_ns = INT64_MAX;
		first->cpu_limit_ns = INT64_MAX;
		sim->gen->init(&first->env, sim->cfg, first->process->shared);
		first->env.now_ns = 0;
	}
	for (uint32_t i = 0; i < sim->nodes; i++)
		for (uint32_t k = 0; g->nodes[i].born && k < g->nodes[i].nlanes; k++) {
			struct lane *l = g->nodes[i].lanes[k];
			if (l->background == KS_ANY)
				ks_lane_wish(l, 0, KS_KEY);
			ks_lane_go(l, 0);
		}
	g->begun = true;
	set_barrier(g);
}

/* What is still inside a call at the end is lost; the last records go out. */
static int finish(struct ks_engine *g)
{
	for (uint32_t i = 0; i < g->sim->nodes; i++)
		if (g->nodes[i].gathering.going)
			return ks_fail(g->err, KS_E_JUDGE, "node %u: its calls did not return for a snapshot or restart", i + 1);
	for (uint32_t i = 0; i < g->nlanes; i++) {
		g->result->records.clock_reads += g->lanes[i].env.reads;
		if (g->lanes[i].env.random.counter)
			g->result->records.uses |= KS_USES_RANDOM;
		if (lose(g, &g->lanes[i]))
			return ks_fail(g->err, KS_E_INTERNAL, "out of memory in the simulation");
	}
	ks_records_sort_halts(&g->result->records);
	if (ks_window_finish(&g->window, g->result->records.lanes, &g->sink, g->err))
		return -1;
	return check_limit(g);
}

static int run(struct ks_engine *g)
{
	if (ks_fleet_build(g))
		return -1;
	start(g);
	g->current = stack_take(g);
	if (!g->current)
		return ks_fail(g->err, KS_E_INTERNAL, "out of memory for a stack");
	ks_context_main(&g->main);
	ks_context_switch(&g->main, &g->current->context, false);
	return g->status ? -1 : finish(g);
}

static void release(struct ks_engine *g)
{
	for (uint32_t i = 0; i < g->nstacks; i++) {
		ks_context_release(&g->all_list[i]->context);
		ks_stack_free(g->all_list[i]->low, g->all_list[i]->size);
		ks_free(g->all_list[i]);
	}
	ks_window_release(&g->window);
	ks_post_release(g);
	ks_fleet_release(g);
	ks_free(g);
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
