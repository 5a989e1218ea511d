/* The slow side of the simulated environment: what happens when a thread reaches its horizon, waits, or asks for
 * something rare. */
#include "engine_private.h"

static struct lane *lane_of(struct ks_env *e)
{
	return (struct lane *)e;
}

void ks_env_switch(struct ks_env *e, int64_t cost_ns, enum ks_point point)
{
	struct lane *l = lane_of(e);
	if (e->engine->sim->trace) {
		ks_engine_trace_read(l);
		if (!l->trapped && e->now_ns < ks_engine_horizon(e->engine, l))
			return;
	}
	if (l->trapped) { /* a placed pause comes before the call has taken any time */
		e->now_ns -= cost_ns;
		ks_place_pass(l, point);
		e->now_ns += cost_ns;
		if (e->now_ns < ks_engine_horizon(e->engine, l))
			return;
	}
	if (e->now_ns >= l->cpu_limit_ns)
		ks_engine_abandon(l);
	ks_queue_push(l, e->now_ns);
	ks_engine_suspend(l);
}

void ks_env_wait(struct ks_env *e, enum ks_clock_id id, int64_t value)
{
	struct lane *l = lane_of(e);
	int64_t t = ks_seg_when(&e->clocks[id], e->now_ns, value - e->skew_ns);
	if (t < e->horizon_ns) { /* nothing can come between */
		l->cpu_limit_ns = t + KS_CPU_BUDGET_NS;
		e->now_ns = t;
		ks_engine_set_horizon(l);
		return;
	}
	l->waits = true;
	l->wait_clock = id;
	l->wait_value = value;
	if (t != INT64_MAX)
		ks_queue_push(l, t);
	ks_engine_suspend(l);
	l->waits = false;
}

void ks_env_lock_wait(struct ks_env *e, ks_lock *lock)
{
	struct lane *l = lane_of(e);
	l->next_waiter = 0;
	if (lock->last)
		e->engine->lanes[lock->last - 1].next_waiter = e->lane + 1;
	else
		lock->first = e->lane + 1;
	lock->last = e->lane + 1;
	ks_engine_suspend(l); /* whoever unlocks queues us, as the holder */
}

void ks_env_lock_pass(struct ks_env *e, ks_lock *lock)
{
	struct lane *next = &e->engine->lanes[lock->first - 1];
	lock->holder = lock->first;
	lock->first = next->next_waiter;
	if (!lock->first)
		lock->last = 0;
	ks_queue_push(next, e->now_ns);
	ks_engine_set_horizon(lane_of(e));
}

/* ---- who it is ---- */

static uint64_t mac_of(const struct lane *l)
{
	const struct ks_sim *sim = l->env.engine->sim;
	return ks_host_mac(sim->host, sim->seed, l->node->index);
}

static uint64_t worker_of(struct ks_env *e)
{
	struct lane *l = lane_of(e);
	uint64_t worker = UINT64_MAX;
	switch (e->engine->sim->worker) {
	case KS_WORKER_LEASE:
		ks_env_registry_lease(e, &worker);
		return worker;
	case KS_WORKER_PID:
		return l->process->pid & 1023;
	case KS_WORKER_MAC:
		return ks_worker_of_mac(mac_of(l), l->process->pid);
	case KS_WORKER_GIVEN:
		break;
	}
	return l->node->worker;
}

/* Bits of enum ks_uses stand in the order of enum ks_identity. */
static void note_use(struct ks_env *e, unsigned uses)
{
	e->engine->result->records.uses |= uses;
}

uint64_t ks_env_identity(struct ks_env *e, int what)
{
	struct lane *l = lane_of(e);
	note_use(e, 1u << what);
	switch ((enum ks_identity)what) {
	case KS_ID_WORKER:
		return worker_of(e);
	case KS_ID_MAC:
		return mac_of(l);
	case KS_ID_IP:
		return ks_host_ip(l->node->index);
	case KS_ID_PID:
		return l->process->pid;
	case KS_ID_HOST:
		return l->node->index;
	}
	return 0;
}

struct ks_call_context ks_env_context(struct ks_env *e)
{
	const struct lane *l = lane_of(e);
	const struct ks_sim *sim = e->engine->sim;
	if (l->background != KS_ANY)
		return (struct ks_call_context){0}; /* it makes no call */
	const struct ks_lane *ids = &e->engine->result->records.lanes[e->lane];
	return ks_call_draw(&sim->about, sim->seed, ks_caller(ids, sim->processes, sim->threads), l->seq);
}

uint32_t ks_env_process(const struct ks_env *e)
{
	const struct ks_lane *ids = &e->engine->result->records.lanes[e->lane];
	return ids->node * e->engine->sim->processes + ids->process;
}

uint8_t ks_env_reason(struct ks_env *e, const char *text, size_t len)
{
	return ks_reason_number(&e->engine->result->records.reasons, text, len);
}

_Noreturn void ks_env_fail(struct ks_env *e, const struct ks_err *why)
{
	*e->engine->err = *why;
	ks_engine_stop(e->engine, -1);
}

struct ks_key ks_env_text(struct ks_env *e, const char *bytes, size_t len)
{
	struct ks_engine *g = e->engine;
	int64_t index = ks_texts_add(&g->result->records.texts, bytes, len);
	if (index < 0)
		ks_engine_stop(g, ks_fail(g->err, KS_E_INTERNAL, "out of memory for keys"));
	return ks_key64((uint64_t)index);
}

bool ks_env_persist_get(struct ks_env *e, int slot, uint64_t *value)
{
	struct process *p = lane_of(e)->process;
	note_use(e, KS_USES_PERSIST);
	if (slot < 0 || slot >= KS_PERSIST_SLOTS || !p->persist[slot].set)
		return false;
	*value = p->persist[slot].value;
	return true;
}

void ks_env_persist_put(struct ks_env *e, int slot, uint64_t value)
{
	struct process *p = lane_of(e)->process;
	note_use(e, KS_USES_PERSIST);
	if (slot < 0 || slot >= KS_PERSIST_SLOTS)
		return;
	p->persist[slot].set = true;
	p->persist[slot].value = value;
}
