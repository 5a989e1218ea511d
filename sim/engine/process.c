/* Lives of processes and nodes: restarts, snapshots, clones, rollbacks.
 *
 * A snapshot, and a restart that keeps its state, happen when the threads that they concern are between tasks: those that
 * are not go on until they are, and the others wait for them. So no state is ever copied from the middle of a call, and
 * no lock is held in it. */
#include "engine_private.h"

#include <string.h>

#include "ks_mem.h"

static _Noreturn void cannot(struct ks_engine *g, const struct node *n, const char *what)
{
	ks_engine_stop(g, ks_fail(g->err, KS_E_JUDGE, "node %u: %s", n->index + 1, what));
}

/* ---- the memory of a node: shared states, then those of threads ---- */

static size_t shared_size(const struct ks_engine *g)
{
	return (g->sim->gen->shared_size + 63) / 64 * 64 * g->sim->processes;
}

static size_t local_size(const struct ks_engine *g, const struct node *n)
{
	return (g->sim->gen->local_size + 63) / 64 * 64 * n->ncallers;
}

static char *shared_of(const struct node *n)
{
	return n->processes[0].shared;
}

static char *local_of(const struct node *n)
{
	return n->lanes[0]->local;
}

static uint64_t hash(uint64_t h, const char *p, size_t size)
{
	for (size_t i = 0; i < size; i++) /* FNV-1a */
		h = (h ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
	return h;
}

uint64_t ks_memory_hash(const struct ks_engine *g, const struct node *n)
{
	uint64_t h = hash(UINT64_C(0xcbf29ce484222325), shared_of(n), shared_size(g));
	return hash(h, local_of(n), local_size(g, n));
}

/* ---- gathering ---- */

static bool concerns(const struct ks_fault_event *event, const struct lane *l)
{
	return event->process == KS_ANY || event->process == l->process->index;
}

static void gathered(struct ks_engine *g, struct node *n, int64_t now_ns);

bool ks_gathers(const struct ks_fault_event *event)
{
	return event->op == KS_FAULT_SNAPSHOT || (event->op == KS_FAULT_DOWN && event->amount & KS_RESTART_KEPT);
}

void ks_gather_begin(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	if (n->gathering.going)
		cannot(g, n, "two faults wait for its calls to return");
	n->gathering = (struct gathering){true, event, 0};
	for (uint32_t i = 0; i < n->nlanes; i++) {
		struct lane *l = n->lanes[i];
		if (!concerns(event, l))
			continue;
		if (l->state == LANE_IN_CALL)
			n->gathering.inside++;
		else
			ks_lane_hold(l);
	}
	if (!n->gathering.inside)
		gathered(g, n, event->at_ns);
}

void ks_gather(struct lane *l)
{
	struct node *n = l->node;
	struct ks_engine *g = l->env.engine;
	if (!concerns(n->gathering.event, l))
		return;
	if (l->env.now_ns - n->gathering.event->at_ns > KS_PATIENCE_NS)
		cannot(g, n, "its calls did not return within 1s for a snapshot or restart");
	ks_lane_hold(l);
	if (--n->gathering.inside == 0)
		gathered(g, n, l->env.now_ns);
}

static void end_process(struct node *n, struct process *p)
{
	p->down = true;
	for (uint32_t i = 0; i < n->nlanes; i++)
		if (n->lanes[i]->process == p)
			ks_lane_kill(n->lanes[i]);
}

/* ---- restarts ---- */

static bool is_hit(const struct ks_fault_event *event, const struct process *p)
{
	return event->process == KS_ANY || event->process == p->index;
}

static uint64_t count_left(const char *p, size_t size)
{
	uint64_t n = 0;
	for (size_t i = 0; i < size; i++)
		n += p[i] != 0;
	return n;
}

uint64_t ks_memory_left(const struct ks_engine *g, const struct node *n, const struct ks_fault_event *event)
{
	size_t local = local_size(g, n) / g->sim->processes;
	uint64_t left = 0;
	for (uint32_t i = 0; i < g->sim->processes; i++)
		if (is_hit(event, &n->processes[i]))
			left += count_left(n->processes[i].shared, shared_size(g) / g->sim->processes) +
			        count_left(local_of(n) + local * i, local);
	return left;
}

static void end_processes(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	for (uint32_t i = 0; i < g->sim->processes; i++)
		if (is_hit(event, &n->processes[i]))
			end_process(n, &n->processes[i]);
}

/* A machine that is off keeps no clock. */
static void end_node(struct node *n, const struct ks_fault_event *event)
{
	if (event->op == KS_FAULT_DOWN && event->amount & KS_RESTART_NODE)
		n->suspends++;
}

void ks_process_down(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	if (n->gathering.going)
		cannot(g, n, "a restart while another fault waits for calls to return");
	end_processes(g, n, event);
	end_node(n, event);
}

/* What a thread of the next incarnation takes over from the one before: the workload's wishes, and what faults do to it. */
static void inherit(struct lane *l, struct lane *from)
{
	l->arrivals = from->arrivals;
	l->due_ns = from->due_ns;
	l->call_ns = from->call_ns;
	l->begin_ns = from->begin_ns;
	l->wished = from->wished;
	l->env.skew_ns = from->env.skew_ns;
	l->stops = from->stops - from->starts;
	l->traps = from->traps;
	l->mail = from->mail;
	l->mail_due_ns = from->mail_due_ns;
	l->mail_turn = from->mail_turn;
	from->traps = NULL;
}

static void renew_callers(struct ks_engine *g, struct node *n, struct process *p, int64_t now_ns)
{
	for (uint32_t i = 0; i < n->ncallers; i++) {
		struct lane *old = n->lanes[i], *l = &g->lanes[g->next_caller];
		if (old->process != p)
			continue;
		ks_lane_init(g, l, g->next_caller++, n, p, i);
		inherit(l, old);
		l->env.now_ns = now_ns;
		if (!l->wished)
			ks_lane_wish(l, now_ns, KS_KEY);
	}
	g->result->records.nlanes = g->next_caller;
}

static int64_t period(const struct ks_engine *g, const struct lane *l)
{
	return ks_gen_background(g->sim->gen, g->sim->cfg)[l->background].period_ns;
}

static void renew_background(struct ks_engine *g, struct node *n, struct process *p, int64_t now_ns)
{
	for (uint32_t i = n->ncallers; i < n->nlanes; i++) {
		struct lane old = *n->lanes[i], *l = n->lanes[i];
		if (old.process != p)
			continue;
		ks_lane_init(g, l, old.env.lane, n, p, i);
		l->stops = old.stops - old.starts;
		l->env.reads = old.env.reads;
		l->env.skew_ns = old.env.skew_ns;
		l->env.random = old.env.random;
		l->env.now_ns = now_ns;
		l->begin_ns = now_ns + period(g, l);
	}
}

/* All threads of the process begin at now; with an initialisation the first one does it, and the others wait for that. */
static void begin_threads(struct ks_engine *g, struct node *n, struct process *p, bool initialise, int64_t now_ns)
{
	struct lane *first = n->lanes[p->index * g->sim->threads];
	for (uint32_t i = 0; i < n->nlanes; i++) {
		struct lane *l = n->lanes[i];
		if (l->process != p || (initialise && l == first))
			continue;
		if (initialise) {
			l->starts = true;
			l->stops++;
		}
		ks_lane_go(l, now_ns);
	}
	if (!initialise)
		return;
	first->state = LANE_IDLE;
	first->task = TASK_INIT;
	ks_queue_push(first, now_ns);
}

static void start_process(struct ks_engine *g, struct node *n, struct process *p, const struct ks_fault_event *event)
{
	bool kept = event->amount & KS_RESTART_KEPT;
	p->down = false;
	p->incarnation++;
	p->pid = ks_pid_draw(g, n, p);
	if (!kept) {
		p->beside.known = false;
		size_t local = local_size(g, n) / g->sim->processes;
		memset(p->shared, 0, shared_size(g) / g->sim->processes);
		if (local)
			memset(local_of(n) + local * p->index, 0, local);
	}
	renew_callers(g, n, p, event->at_ns);
	renew_background(g, n, p, event->at_ns);
	begin_threads(g, n, p, !kept && g->sim->gen->init, event->at_ns);
}

void ks_process_up(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	if (n->gathering.going)
		cannot(g, n, "its calls did not return before its restart was to end");
	if (event->amount & KS_RESTART_NODE) {
		n->suspends--;
		ks_clocks_boot(&n->clocks, event->at_ns);
		ks_keep_boot(g, n, event->at_ns);
	}
	for (uint32_t i = 0; i < g->sim->processes; i++)
		if (is_hit(event, &n->processes[i]))
			start_process(g, n, &n->processes[i], event);
}

void ks_process_started(struct lane *first)
{
	struct node *n = first->node;
	for (uint32_t i = 0; i < n->nlanes; i++) {
		struct lane *l = n->lanes[i];
		if (l->process != first->process || !l->starts)
			continue;
		l->starts = false;
		ks_lane_let_go(l, first->env.now_ns);
	}
}

/* ---- snapshots ---- */

static void save(struct ks_engine *g, struct node *n, struct snapshot *s, int64_t now_ns)
{
	size_t shared = shared_size(g), local = local_size(g, n);
	for (uint32_t i = 0; i < g->sim->processes; i++)
		if (n->processes[i].down)
			cannot(g, n, "a snapshot while one of its processes is down");
	if (s->taken)
		cannot(g, n, "a second snapshot of the same number");
	s->processes = ks_alloc(g->sim->processes, sizeof *s->processes);
	s->random = ks_alloc(n->nlanes, sizeof *s->random);
	s->memory = ks_alloc(shared + local, 1);
	if (!s->processes || !s->random || !s->memory)
		ks_engine_out_of_memory(g);
	s->taken = true;
	s->at_ns = now_ns;
	s->node = n->index;
	s->clocks = n->clocks;
	s->keeper = n->keeper;
	memcpy(s->processes, n->processes, g->sim->processes * sizeof *s->processes);
	for (uint32_t i = 0; i < n->nlanes; i++)
		s->random[i] = n->lanes[i]->env.random;
	memcpy(s->memory, shared_of(n), shared);
	if (local)
		memcpy(s->memory + shared, local_of(n), local);
}

/* Memory and disk of the node become those of the snapshot. */
static void load(struct ks_engine *g, struct node *n, const struct snapshot *s)
{
	size_t shared = shared_size(g), local = local_size(g, n);
	memcpy(shared_of(n), s->memory, shared);
	if (local)
		memcpy(local_of(n), s->memory + shared, local);
	for (uint32_t i = 0; i < g->sim->processes; i++) {
		n->processes[i].pid = s->processes[i].pid;
		memcpy(n->processes[i].persist, s->processes[i].persist, sizeof s->processes[i].persist);
	}
}

/* The clocks go on from the snapshot, and so does the daemon that keeps them: for it no time has passed. */
static void load_clocks(struct node *n, const struct snapshot *s, int64_t t_ns)
{
	int64_t gone_ns = t_ns - s->at_ns;
	ks_clocks_restore(&n->clocks, &s->clocks, s->at_ns, t_ns);
	n->keeper = s->keeper;
	n->keeper.good_at_ns += gone_ns;
	n->keeper.slew_from_ns += gone_ns;
	ks_keeper_resume(&n->keeper, t_ns, gone_ns);
}

/* A random source goes on from the snapshot, or, where the machine knows that it is another one, begins anew. */
static void load_random(struct ks_engine *g, struct lane *l, const struct snapshot *s, const struct ks_fault_event *event)
{
	uint64_t number = (uint64_t)(event - g->sim->events) + 1;
	l->env.random = s->random[l->slot];
	if (event->extra & KS_REVIVE_RESEED)
		ks_stream_init(&l->env.random, g->sim->seed, KS_STREAM_GENERATOR, number << 16 | l->env.lane | UINT64_C(1) << 47);
}

static const struct snapshot *snapshot_of(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	const struct snapshot *s = &g->snapshots[event->amount];
	if (!s->taken)
		cannot(g, n, "the snapshot has not been taken yet");
	return s;
}

void ks_snapshot_clone(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	const struct snapshot *s = snapshot_of(g, n, event);
	n->born = true;
	n->worker = g->nodes[s->node].worker;
	n->suspends = 0;
	load_clocks(n, s, event->at_ns);
	load(g, n, s);
	for (uint32_t i = 0; i < n->nlanes; i++) {
		struct lane *l = n->lanes[i];
		load_random(g, l, s, event);
		l->env.now_ns = event->at_ns;
		if (l->background != KS_ANY)
			l->begin_ns += event->at_ns;
		else
			do
				ks_lane_wish(l, event->at_ns, KS_KEY);
			while (l->due_ns < event->at_ns); /* nobody wished before it was there */
		ks_lane_go(l, event->at_ns);
	}
}

void ks_snapshot_roll_back(struct ks_engine *g, struct node *n, const struct ks_fault_event *event)
{
	const struct snapshot *s = snapshot_of(g, n, event);
	if (n->gathering.going)
		cannot(g, n, "a rollback while another fault waits for calls to return");
	for (uint32_t i = 0; i < n->nlanes; i++) /* what they are inside of is of a time that never was */
		ks_lane_kill(n->lanes[i]);
	if (!(event->extra & KS_REVIVE_CLOCKS_RUN))
		load_clocks(n, s, event->at_ns);
	load(g, n, s);
	for (uint32_t i = 0; i < n->nlanes; i++) {
		struct lane *l = n->lanes[i];
		load_random(g, l, s, event);
		l->env.now_ns = event->at_ns;
		l->stops -= l->starts;
		l->starts = false;
		if (l->background != KS_ANY)
			l->begin_ns = event->at_ns + period(g, l);
		else if (!l->wished)
			ks_lane_wish(l, event->at_ns, KS_KEY);
		ks_lane_go(l, event->at_ns);
	}
}

/* ---- what happens when all are between tasks ---- */

static void gathered(struct ks_engine *g, struct node *n, int64_t now_ns)
{
	struct ks_fault_event event = *n->gathering.event;
	event.at_ns = now_ns;
	n->gathering.going = false;
	struct ks_fault_seen *seen = ks_seen_begin(g, n, &event);
	seen->memory_before = ks_memory_hash(g, n);
	if (event.op == KS_FAULT_SNAPSHOT)
		save(g, n, &g->snapshots[event.amount], now_ns);
	else
		end_processes(g, n, &event);
	end_node(n, &event);
	seen->memory_after = ks_memory_hash(g, n);
	ks_seen_end(g, n, seen);
	ks_keep_notice(g, n, &event);
	for (uint32_t i = 0; i < n->nlanes; i++)
		if (concerns(&event, n->lanes[i]))
			ks_lane_let_go(n->lanes[i], now_ns);
}
