/* From a description to a fleet of nodes, processes and threads, and back. */
#include "engine_private.h"

#include "ks_mem.h"

static size_t aligned(size_t n)
{
	return (n + 63) / 64 * 64;
}

static uint32_t backgrounds(const struct ks_sim *sim)
{
	const struct ks_background *work = ks_gen_background(sim->gen, sim->cfg);
	uint32_t n = 0;
	while (work[n].period_ns)
		n++;
	return n;
}

uint64_t ks_pid_draw(const struct ks_engine *g, const struct node *n, const struct process *p)
{
	uint64_t number = (uint64_t)n->index * g->sim->processes + p->index;
	return ks_host_pid(g->sim->host, g->sim->seed, number, p->index, p->incarnation);
}

/* ---- threads ---- */

void ks_lane_init(struct ks_engine *g, struct lane *l, uint32_t number, struct node *n, struct process *p, uint32_t slot)
{
	const struct ks_sim *sim = g->sim;
	*l = (struct lane){.node = n, .process = p, .slot = slot, .state = LANE_DONE, 
	                   .background = KS_ANY, .mail_due_ns = KS_NO_TIME};
	l->env.engine = g;
	l->env.clocks = n->clocks.seg;
	l->env.lane = number;
	n->lanes[slot] = l;
	if (slot >= n->ncallers) {
		l->thread = THREAD_NONE;
		l->background = (slot - n->ncallers) % backgrounds(sim);
		l->begin_ns = ks_gen_background(sim->gen, sim->cfg)[l->background].period_ns;
		ks_stream_init(&l->env.random, sim->seed, KS_STREAM_GENERATOR,
		               UINT64_C(1) << 40 | (uint64_t)n->index << 20 | slot);
		return;
	}
	l->thread = slot % sim->threads;
	l->local = g->state + aligned(sim->gen->shared_size) * sim->nodes * sim->processes +
	           aligned(sim->gen->local_size) * (n->index * n->ncallers + slot);
	ks_stream_init(&l->env.random, sim->seed, KS_STREAM_GENERATOR, number);
	ks_arrivals_init(&l->arrivals, &sim->load, slot, n->ncallers, sim->seed, number);
	g->result->records.lanes[number] = (struct ks_lane){n->index, p->index, p->incarnation, l->thread};
	if (!sim->mail.rate.count || !ks_node_set_has(&sim->mail.from, n->index))
		return;
	struct ks_load mail = {.rate = sim->mail.rate};
	ks_arrivals_init(&l->mail, &mail, slot, n->ncallers, sim->seed, number);
	l->mail_due_ns = ks_arrivals_next(&l->mail);
	l->mail_turn = (n->index + 1 + slot) % sim->mail.to.n; /* not all to the same one at once */
}

/* ---- counting ---- */

/* How many threads will have been, those of later incarnations included. */
static uint32_t count_callers(const struct ks_sim *sim)
{
	uint64_t n = (uint64_t)sim->nodes * sim->processes * sim->threads;
	for (uint32_t i = 0; i < sim->nevents; i++)
		if (sim->events[i].op == KS_FAULT_UP)
			n += (uint64_t)(sim->events[i].process == KS_ANY ? sim->processes : 1) * sim->threads;
	return n > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)n;
}

static uint32_t count_snapshots(const struct ks_sim *sim)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < sim->nevents; i++)
		if (sim->events[i].op == KS_FAULT_SNAPSHOT && sim->events[i].amount >= n)
			n = (uint32_t)sim->events[i].amount + 1;
	return n;
}

/* How many traps the events of a node set. */
static size_t traps_of(const struct ks_sim *sim, const struct ks_fault_event *e)
{
	if (e->op != KS_FAULT_PLACE)
		return 0;
	return (size_t)(e->process == KS_ANY ? sim->processes : 1) * (e->thread == KS_ANY ? sim->threads : 1);
}

/* ---- building ---- */

static int take_memory(struct ks_engine *g, size_t ntraps)
{
	const struct ks_sim *sim = g->sim;
	size_t processes = (size_t)sim->nodes * sim->processes, callers = processes * sim->threads;
	size_t present = callers + processes * backgrounds(sim);
	g->nodes = ks_alloc(sim->nodes, sizeof *g->nodes);
	g->lanes = ks_alloc(g->nlanes, sizeof *g->lanes);
	g->processes = ks_alloc(processes, sizeof *g->processes);
	g->arena = ks_alloc(processes * aligned(sim->gen->shared_size) + callers * aligned(sim->gen->local_size) + 64, 1);
	g->places = ks_alloc(2 * present + ntraps, sizeof *g->places);
	g->snapshots = ks_alloc(g->nsnapshots, sizeof *g->snapshots);
	g->traps = ks_alloc(ntraps, sizeof *g->traps);
	g->all_list = ks_alloc(g->max_stacks, sizeof(struct stack *));
	g->result->seen_cap = sim->nevents + 1;
	g->result->seen = ks_alloc(g->result->seen_cap, sizeof *g->result->seen);
	g->result->records.lanes = ks_alloc(g->ncallers, sizeof(struct ks_lane));
	if (!g->nodes || !g->lanes || !g->processes || !g->arena || !g->places || !g->snapshots || !g->traps ||
	    !g->all_list || !g->result->seen || !g->result->records.lanes)
		return ks_fail(g->err, KS_E_INTERNAL, "out of memory for %u threads", g->nlanes);
	return 0;
}

static void build_node(struct ks_engine *g, struct node *n, char *state)
{
	const struct ks_sim *sim = g->sim;
	const struct ks_node_desc *desc = &sim->node[n->index];
	uint32_t nbackground = backgrounds(sim);
	n->processes = &g->processes[n->index * sim->processes];
	n->worker = desc->worker;
	n->born = !desc->clone;
	n->suspends = desc->clone; /* nobody keeps its clock yet */
	ks_clocks_init(&n->clocks, sim->start_unix_ns, desc->offset_ns, KS_UPTIME_NS, KS_TAI_OFFSET_S);
	ks_clocks_drift(&n->clocks, 0, desc->drift_ppb);
	ks_keep_init(g, n);
	for (uint32_t j = 0; j < sim->processes; j++) {
		struct process *p = &n->processes[j];
		p->index = j;
		p->shared = state + aligned(sim->gen->shared_size) * (n->index * sim->processes + j);
		p->pid = ks_pid_draw(g, n, p);
		for (uint32_t k = 0; k < sim->threads; k++) {
			uint32_t slot = j * sim->threads + k, number = n->index * n->ncallers + slot;
			ks_lane_init(g, &g->lanes[number], number, n, p, slot);
		}
		for (uint32_t k = 0; k < nbackground; k++) {
			uint32_t slot = n->ncallers + j * nbackground + k;
			uint32_t number = g->ncallers + n->index * (n->nlanes - n->ncallers) + j * nbackground + k;
			ks_lane_init(g, &g->lanes[number], number, n, p, slot);
		}
	}
}

static void build_nodes(struct ks_engine *g)
{
	const struct ks_sim *sim = g->sim;
	struct lane **place = g->places;
	g->state = g->arena + (64 - (uintptr_t)g->arena % 64) % 64;
	for (uint32_t i = 0; i < sim->nodes; i++) {
		struct node *n = &g->nodes[i];
		size_t ntraps = 0;
		*n = (struct node){.index = i, .ncallers = sim->processes * sim->threads};
		n->nlanes = n->ncallers + sim->processes * backgrounds(sim);
		for (uint32_t k = 0; k < sim->nevents; k++)
			ntraps += sim->events[k].node == i ? traps_of(sim, &sim->events[k]) : 0;
		n->lanes = place;
		n->queue = place + n->nlanes;
		place = n->queue + n->nlanes + ntraps;
		build_node(g, n, g->state);
	}
}

int ks_fleet_build(struct ks_engine *g)
{
	const struct ks_sim *sim = g->sim;
	struct ks_clocks reference;
	size_t ntraps = 0;
	uint32_t processes = sim->nodes * sim->processes;
	for (uint32_t i = 0; i < sim->nevents; i++)
		ntraps += traps_of(sim, &sim->events[i]);
	g->ncallers = count_callers(sim);
	g->nlanes = g->ncallers + processes * backgrounds(sim);
	g->next_caller = processes * sim->threads;
	g->nsnapshots = count_snapshots(sim);
	g->max_stacks = g->next_caller + processes * backgrounds(sim) + 2;
	g->record_limit = sim->record_limit ? sim->record_limit : UINT64_C(1) << 31;
	g->end_ns = sim->duration_ns + KS_DRAIN_NS;
	if (take_memory(g, ntraps))
		return -1;
	ks_clocks_init(&reference, sim->start_unix_ns, 0, KS_UPTIME_NS, KS_TAI_OFFSET_S);
	for (int id = 0; id < KS_NCLOCKS; id++)
		g->clock_base[id] = ks_clocks_at(&reference, (enum ks_clock_id)id, 0);
	build_nodes(g);
	g->result->records.nlanes = g->next_caller;
	return 0;
}

void ks_fleet_release(struct ks_engine *g)
{
	for (uint32_t i = 0; g->snapshots && i < g->nsnapshots; i++) {
		ks_free(g->snapshots[i].processes);
		ks_free(g->snapshots[i].random);
		ks_free(g->snapshots[i].memory);
	}
	ks_free(g->all_list);
	ks_free(g->traps);
	ks_free(g->snapshots);
	ks_free(g->places);
	ks_free(g->arena);
	ks_free(g->processes);
	ks_free(g->lanes);
	ks_free(g->nodes);
}
