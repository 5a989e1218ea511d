#include "exposure.h"

#include "ks_mem.h"

/* What a thread read before. */
struct ks_read_before {
	int64_t error_ns; /* reading - true time */
	uint8_t clock, known;
};

/* ---- spans ---- */

void ks_exposure_release(struct ks_exposure *x)
{
	ks_free(x->start);
	ks_free(x->at_ns);
	ks_free(x->span);
	ks_free(x->at);
	ks_free(x->previous);
	ks_lives_release(&x->lives);
	*x = (struct ks_exposure){0};
}

/* A node has one span more than faults. */
static size_t slot(const struct ks_exposure *x, uint32_t node, uint32_t span, int clock)
{
	return (((size_t)x->start[node] + node) + span) * KS_NCLOCKS + (size_t)clock;
}

/* The changes of clocks: as the world saw them, else as the plan has them. *owned: to be freed. */
static int find_changes(const struct ks_evidence *e, const struct ks_clock_change **change, size_t *n,
			struct ks_clock_change **owned, struct ks_err *err)
{
	struct ks_fault_event *events = NULL;
	uint32_t nevents = 0;
	*owned = NULL;
	*change = e->change;
	*n = e->nchange;
	if (e->change)
		return 0;
	if (ks_plan_events_real(e->plan, e->seed, &events, &nevents, err))
		return -1;
	*change = *owned = ks_alloc(nevents ? nevents : 1, sizeof **owned);
	*n = nevents;
	for (uint32_t i = 0; *owned && i < nevents; i++)
		(*owned)[i] = (struct ks_clock_change){.at_ns = events[i].at_ns, .node = events[i].node};
	ks_free(events);
	return *owned ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory for %u faults", nevents);
}

int ks_exposure_init(struct ks_exposure *x, const struct ks_evidence *e, struct ks_err *err)
{
	const struct ks_plan *plan = e->plan;
	const struct ks_clock_change *change;
	struct ks_clock_change *owned;
	size_t n = 0;
	*x = (struct ks_exposure){.e = e};
	if (ks_lives_init(&x->lives, e, err) || find_changes(e, &change, &n, &owned, err))
		return -1;
	size_t slots = (n + plan->nodes) * KS_NCLOCKS;
	x->start = ks_alloc((size_t)plan->nodes + 2, sizeof *x->start);
	x->at_ns = ks_alloc(n, sizeof *x->at_ns);
	x->span = ks_alloc(slots, sizeof *x->span);
	x->at = ks_alloc((size_t)plan->nodes * KS_NCLOCKS, sizeof *x->at);
	if (!x->start || !x->at_ns || !x->span || !x->at) {
		ks_free(owned);
		return ks_fail(err, KS_E_INTERNAL, "out of memory for %zu changes of clocks", n);
	}
	for (size_t i = 0; i < n; i++)
		x->start[change[i].node + 2]++;
	for (uint32_t i = 2; i <= plan->nodes; i++)
		x->start[i] += x->start[i - 1];
	for (size_t i = 0; i < n; i++)
		x->at_ns[x->start[change[i].node + 1]++] = change[i].at_ns;
	for (size_t i = 0; i < slots; i++)
		x->span[i] = (struct ks_span){INT64_MIN, INT64_MIN, INT64_MAX};
	ks_free(owned);
	return 0;
}

static uint32_t span_of(const struct ks_exposure *x, uint32_t node, int64_t t_ns)
{
	uint32_t low = x->start[node], high = x->start[node + 1];
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (x->at_ns[mid] <= t_ns)
			low = mid + 1;
		else
			high = mid;
	}
	return low - x->start[node];
}

/* ---- learning ---- */

static int room(struct ks_exposure *x, uint32_t lane, struct ks_err *err)
{
	if (lane < x->lanes)
		return 0;
	size_t n = x->lanes ? x->lanes : 64;
	while (n <= lane)
		n *= 2;
	struct ks_read_before *previous = ks_grow(x->previous, x->lanes, n, sizeof *previous);
	if (!previous)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for %zu threads", n);
	x->previous = previous;
	x->lanes = n;
	return 0;
}

static void learn_at(struct ks_exposure *x, uint32_t node, const struct ks_record *v, int64_t at_ns)
{
	uint32_t span = span_of(x, node, at_ns);
	uint32_t *at = &x->at[node * KS_NCLOCKS + v->clock];
	struct ks_span *s = &x->span[slot(x, node, 0, v->clock)];
	for (; *at < span; (*at)++) { /* the last span ends */
		const struct ks_span *old = &s[(size_t)*at * KS_NCLOCKS];
		s[((size_t)*at + 1) * KS_NCLOCKS].before_ns = old->own_ns > old->before_ns ? old->own_ns : old->before_ns;
	}
	struct ks_span *own = &s[(size_t)span * KS_NCLOCKS];
	own->own_ns = v->read_ns > own->own_ns ? v->read_ns : own->own_ns;
	for (uint32_t i = span + 1; i <= *at; i++) { /* late: it counts for those after it */
		struct ks_span *later = &s[(size_t)i * KS_NCLOCKS];
		if (later->before_ns >= v->read_ns)
			break;
		later->before_ns = v->read_ns;
		x->inexact = x->inexact || later->least_ns <= v->read_ns;
	}
}

int ks_exposure_learn(struct ks_exposure *x, const struct ks_lane *lanes, const struct ks_record *v, struct ks_err *err)
{
	if (room(x, v->lane, err))
		return -1;
	if (v->read_ns == KS_NO_TIME)
		return 0;
	/* What is read from keys was read some time before they came: it may have been before a change. */
	if (v->flags & KS_CALL_UNKNOWN)
		learn_at(x, lanes[v->lane].node, v, v->read_at_ns - x->e->noise_ns);
	learn_at(x, lanes[v->lane].node, v, v->read_at_ns);
	return 0;
}

/* ---- judging ---- */

/* Has the clock moved by other than true time since? */
static bool has_moved(struct ks_read_before *p, const struct ks_record *v, int64_t noise_ns)
{
	int64_t error_ns = v->read_ns - v->read_at_ns;
	int64_t by_ns = p->known && p->clock == v->clock ? error_ns - p->error_ns : 0;
	*p = (struct ks_read_before){error_ns, v->clock, 1};
	return by_ns > noise_ns || by_ns < -noise_ns;
}

/* Was the thread stopped while the call was due or going on? */
static bool was_stopped(const struct ks_evidence *e, const struct ks_lane *lane, const struct ks_record *v)
{
	for (size_t i = 0; i < e->plan->faults; i++) {
		const struct ks_fault *f = &e->plan->fault[i];
		int op = f->kind->op;
		if (op != KS_FAULT_PAUSE && op != KS_FAULT_STOP_WORLD && op != KS_FAULT_SUSPEND && op != KS_FAULT_RESTART)
			continue;
		if (!ks_fault_stops(e->plan, f, lane->process, lane->thread))
			continue;
		if (v->flags & KS_CALL_UNKNOWN || v->due_ns >= f->at_ns + f->for_ns ||
		    (v->return_ns != KS_NO_TIME && v->return_ns <= f->at_ns))
			continue;
		for (uint32_t k = 0; k < f->nnodes; k++)
			if (f->nodes[k] == lane->node)
				return true;
	}
	return false;
}

/* Did the clocks of its machine's cores differ when it read one? */
static bool read_a_core(const struct ks_evidence *e, uint32_t node, const struct ks_record *v)
{
	for (size_t i = 0; i < e->plan->faults; i++) {
		const struct ks_fault *f = &e->plan->fault[i];
		if (f->kind->op != KS_FAULT_CORES || v->read_at_ns < f->at_ns || (f->for_ns && v->read_at_ns >= f->at_ns + f->for_ns))
			continue;
		for (uint32_t k = 0; k < f->nnodes; k++)
			if (f->nodes[k] == node)
				return true;
	}
	return false;
}

/* Was the clock's rate bent when it read it? Where readings have no noise they show it themselves. */
static bool read_a_bent_clock(const struct ks_evidence *e, uint32_t node, const struct ks_record *v)
{
	for (size_t i = 0; e->noise_ns && !e->control && i < e->plan->faults; i++) {
		const struct ks_fault *f = &e->plan->fault[i];
		bool drift = f->kind->op == KS_FAULT_DRIFT;
		if (!drift && (v->clock == KS_RAW || (f->kind->op != KS_FAULT_SLEW && f->kind->op != KS_FAULT_SMEAR)))
			continue;
		if (v->read_at_ns < f->at_ns || (!drift && v->read_at_ns >= f->at_ns + f->for_ns) || (drift && !f->amount))
			continue;
		for (uint32_t k = 0; k < f->nnodes; k++)
			if (f->nodes[k] == node)
				return true;
	}
	return false;
}

bool ks_exposure_judge(struct ks_exposure *x, const struct ks_lane *lanes, const struct ks_record *v)
{
	const struct ks_evidence *e = x->e;
	const struct ks_lane *lane = &lanes[v->lane];
	bool lived = ks_lives_met(&x->lives, v); /* asked of every call, in their order */
	bool stopped = lived || was_stopped(e, lane, v);
	if (v->read_ns == KS_NO_TIME)
		return stopped || (v->flags & KS_CALL_UNKNOWN && v->return_ns != KS_NO_TIME && span_of(x, lane->node, v->return_ns) > 0);
	bool moved = has_moved(&x->previous[v->lane], v, e->noise_ns);
	if (stopped || moved || read_a_core(e, lane->node, v) || read_a_bent_clock(e, lane->node, v))
		return true;
	struct ks_span *s = &x->span[slot(x, lane->node, span_of(x, lane->node, v->read_at_ns), v->clock)];
	if (v->read_ns <= s->before_ns)
		return true;
	s->least_ns = v->read_ns < s->least_ns ? v->read_ns : s->least_ns;
	return false;
}
