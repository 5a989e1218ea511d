#include "lives.h"

#include "ks_mem.h"

static bool hits(const struct ks_fault *f, uint32_t node)
{
	for (uint32_t i = 0; i < f->nnodes; i++)
		if (f->nodes[i] == node)
			return true;
	return false;
}

static bool is_life(const struct ks_fault *f)
{
	int op = f->kind->op;
	return op == KS_FAULT_RESTART || op == KS_FAULT_CLONE || op == KS_FAULT_ROLLBACK;
}

/* Leases are the registry's word that no two are alike. */
static void find_shared(struct ks_lives *l)
{
	const struct ks_plan *p = l->e->plan;
	for (uint32_t i = 0; p->node_id != KS_NODE_ID_LEASE && i < p->nodes; i++)
		for (uint32_t j = 0; j < i; j++)
			if (ks_plan_worker(p, l->e->seed, i) == ks_plan_worker(p, l->e->seed, j))
				l->shared[i] = l->shared[j] = l->any = true;
}

int ks_lives_init(struct ks_lives *l, const struct ks_evidence *e, struct ks_err *err)
{
	const struct ks_records *r = e->records;
	const struct ks_gen *gen = e->gen->gen;
	*l = (struct ks_lives){.e = e, .any = r->nhalts != 0, .has_state = !gen || gen->shared_size || gen->local_size};
	l->shared = ks_alloc(e->plan->nodes, sizeof *l->shared);
	l->halt = ks_alloc(r->nlanes, sizeof *l->halt);
	if (!l->shared || !l->halt) {
		ks_lives_release(l);
		return ks_fail(err, KS_E_INTERNAL, "out of memory for %zu threads", r->nlanes);
	}
	find_shared(l);
	for (size_t i = 0; i < e->plan->faults; i++)
		l->any = l->any || is_life(&e->plan->fault[i]);
	for (size_t lane = 0, i = 0; lane < r->nlanes; lane++) {
		while (i < r->nhalts && r->halts[i].lane < lane)
			i++;
		l->halt[lane] = i;
	}
	return 0;
}

void ks_lives_release(struct ks_lives *l)
{
	ks_free(l->shared);
	ks_free(l->halt);
	l->shared = NULL;
	l->halt = NULL;
}

static bool was_halted(struct ks_lives *l, const struct ks_record *v)
{
	const struct ks_records *r = l->e->records;
	size_t *i = &l->halt[v->lane];
	while (*i < r->nhalts && r->halts[*i].lane == v->lane && r->halts[*i].end_ns <= v->due_ns)
		(*i)++;
	if (*i == r->nhalts || r->halts[*i].lane != v->lane)
		return false;
	return v->return_ns == KS_NO_TIME || r->halts[*i].begin_ns < v->return_ns;
}

/* A call that comes after a restart that lost what the generator knew, or that ended by it. */
static bool met_restart(const struct ks_lives *l, const struct ks_fault *f, const struct ks_record *v)
{
	const struct ks_lane *lane = &l->e->records->lanes[v->lane];
	if (!hits(f, lane->node) || (f->process != KS_ANY && f->process != lane->process))
		return false;
	if (v->outcome == KS_LOST)
		return v->call_ns < f->at_ns + f->for_ns;
	return v->call_ns >= f->at_ns && !f->kept && l->has_state;
}

/* The snapshot that the fault is about; it has been checked that there is one. */
static const struct ks_fault *snapshot_of(const struct ks_plan *p, const struct ks_fault *f)
{
	for (size_t i = 0; i < p->faults; i++)
		if (p->fault[i].kind->op == KS_FAULT_SNAPSHOT && p->fault[i].amount == f->amount)
			return &p->fault[i];
	return f;
}

/* What a clone does, and what the node does that it is a clone of, from the snapshot on: either may repeat the other. */
static bool met_clone(const struct ks_lives *l, const struct ks_fault *f, const struct ks_record *v)
{
	uint32_t node = l->e->records->lanes[v->lane].node;
	const struct ks_fault *snapshot = snapshot_of(l->e->plan, f);
	if (hits(f, node))
		return true;
	return hits(snapshot, node) && (v->return_ns == KS_NO_TIME || v->return_ns > snapshot->at_ns);
}

static bool met_rollback(const struct ks_lives *l, const struct ks_fault *f, const struct ks_record *v)
{
	uint32_t node = l->e->records->lanes[v->lane].node;
	return hits(f, node) && (v->return_ns == KS_NO_TIME || v->return_ns > f->at_ns);
}

bool ks_lives_met(struct ks_lives *l, const struct ks_record *v)
{
	const struct ks_plan *p = l->e->plan;
	if (!l->any)
		return false;
	if (was_halted(l, v) || l->shared[l->e->records->lanes[v->lane].node])
		return true;
	for (size_t i = 0; i < p->faults; i++) {
		const struct ks_fault *f = &p->fault[i];
		int op = f->kind->op;
		if ((op == KS_FAULT_RESTART && met_restart(l, f, v)) || (op == KS_FAULT_CLONE && met_clone(l, f, v)) ||
		    (op == KS_FAULT_ROLLBACK && met_rollback(l, f, v)))
			return true;
	}
	return false;
}
