/* The registry of the fleet: leases worker ids, and keeps the times that processes report. It is one, so what it answers
 * depends on who asked first: questions are answered in the order of sending, each a delay after it was sent, and the
 * answer takes as long again. A process that asks is known by its node and number: a restarted one gets its own id again.
 *
 * A node runs ahead of others until the barrier. A question moves the barrier to the instant at which it arrives, so no
 * node that could still ask before it is left behind when it is answered. */
#include "engine_private.h"

static int64_t way(const struct ks_engine *g)
{
	return g->sim->network.delay_ns ? g->sim->network.delay_ns : 1;
}

int64_t ks_registry_first(const struct ks_engine *g)
{
	int64_t first = INT64_MAX;
	for (uint32_t i = 0; g->requests && i < g->nlanes; i++)
		if (g->lanes[i].request.pending && g->lanes[i].request.sent_ns + way(g) < first)
			first = g->lanes[i].request.sent_ns + way(g);
	return first;
}

void ks_registry_forget(struct lane *l)
{
	if (l->request.pending)
		l->env.engine->requests--;
	l->request.pending = false;
}

static void answer(struct lane *l)
{
	struct ks_engine *g = l->env.engine;
	struct process *p = l->process;
	if (l->request.what == REGISTRY_LEASE && !p->registry.leased) {
		p->registry.leased = true;
		p->registry.worker = ++g->leases;
	}
	if (l->request.what == REGISTRY_REPORT) {
		p->registry.has_reported = true;
		p->registry.reported = l->request.value;
	}
	l->request.answered = l->request.what != REGISTRY_REPORTED || p->registry.has_reported;
	l->request.value = l->request.what == REGISTRY_LEASE ? p->registry.worker : p->registry.reported;
}

static struct lane *first_asked(struct ks_engine *g, int64_t now_ns)
{
	struct lane *first = NULL;
	for (uint32_t i = 0; g->requests && i < g->nlanes; i++) {
		struct lane *l = &g->lanes[i];
		if (l->request.pending && l->request.sent_ns < now_ns && (!first || l->request.sent_ns < first->request.sent_ns))
			first = l;
	}
	return first;
}

void ks_registry_answer(struct ks_engine *g, int64_t now_ns)
{
	struct lane *l;
	while ((l = first_asked(g, now_ns)) != NULL) {
		ks_registry_forget(l);
		answer(l);
		ks_queue_push(l, l->request.sent_ns + 2 * way(g));
	}
}

/* Before the start there is no time: the answer is there at once, unless the node is cut off from 0s on. */
static bool is_cut_off(const struct ks_engine *g, const struct node *n)
{
	bool cut_off = n->cut_off;
	for (uint32_t i = 0; !g->begun && i < g->sim->nevents && g->sim->events[i].at_ns == 0; i++)
		if (g->sim->events[i].node == n->index && g->sim->events[i].op == KS_FAULT_REGISTRY)
			cut_off = !g->sim->events[i].amount;
	return cut_off;
}

static bool ask(struct ks_env *e, enum question what, uint64_t *value)
{
	struct lane *l = (struct lane *)e;
	struct ks_engine *g = e->engine;
	g->result->records.uses |= KS_USES_REGISTRY;
	bool cut_off = is_cut_off(g, l->node);
	l->request.what = what;
	l->request.value = *value;
	l->request.sent_ns = e->now_ns;
	l->request.answered = false;
	if (!g->begun) {
		if (!cut_off)
			answer(l);
	} else if (cut_off) {
		ks_queue_push(l, e->now_ns + KS_REGISTRY_PATIENCE_NS);
		ks_engine_suspend(l);
	} else {
		l->request.pending = true;
		g->requests++;
		ks_engine_meet(g, e->now_ns + way(g));
		ks_engine_suspend(l);
	}
	if (g->begun) {
		l->cpu_limit_ns = e->now_ns + KS_CPU_BUDGET_NS;
		ks_engine_set_horizon(l);
	}
	if (l->request.answered)
		*value = l->request.value;
	return l->request.answered;
}

bool ks_env_registry_lease(struct ks_env *e, uint64_t *worker)
{
	return ask(e, REGISTRY_LEASE, worker);
}

void ks_env_registry_report(struct ks_env *e, uint64_t time)
{
	ask(e, REGISTRY_REPORT, &time);
}

bool ks_env_registry_reported(struct ks_env *e, uint64_t *time)
{
	return ask(e, REGISTRY_REPORTED, time);
}
