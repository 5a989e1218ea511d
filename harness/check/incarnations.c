#include "incarnations.h"

#include "ticks.h"

/* What counts by itself: own_lanes threads of a node, from its lane `first` on. */
struct counter {
	uint32_t node, process, first, own_lanes;
};

static uint64_t lanes_of(const struct ks_plan *plan)
{
	return (uint64_t)plan->processes * plan->threads;
}

/* Its calls that are due before t: the calls of a node go round its lanes. */
static uint64_t calls_before(const struct ks_plan *plan, const struct counter *c, int64_t t_ns)
{
	uint64_t calls = ks_calls_before(&plan->load, t_ns), round = calls % lanes_of(plan);
	uint64_t more = round > c->first ? round - c->first : 0;
	return calls / lanes_of(plan) * c->own_lanes + (more < c->own_lanes ? more : c->own_lanes);
}

static bool ends(const struct ks_fault *f, const struct counter *c)
{
	bool node = f->amount != 0;
	if (f->kind->op != KS_FAULT_RESTART)
		return false;
	if (f->kept) /* the next incarnation goes on with its state */
		return false;
	for (uint32_t i = 0; i < f->nnodes; i++)
		if (f->nodes[i] == c->node)
			return node || f->process == KS_ANY || f->process == c->process;
	return false;
}

/* The first end after t; NULL: none. */
static const struct ks_fault *next_end(const struct ks_plan *plan, const struct counter *c, int64_t t_ns)
{
	const struct ks_fault *next = NULL;
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		if (f->at_ns > t_ns && ends(f, c) && (!next || f->at_ns < next->at_ns))
			next = f;
	}
	return next;
}

static void one_counter(const struct ks_plan *plan, const struct counter *c, int64_t late_ns, struct ks_incarnations *out)
{
	const struct ks_fault *f;
	int64_t from_ns = 0, up_ns = 0, end_ns;
	do {
		f = next_end(plan, c, from_ns);
		end_ns = f ? f->at_ns : plan->duration_ns;
		uint64_t begun = from_ns ? calls_before(plan, c, from_ns) : 0, calls = calls_before(plan, c, end_ns) - begun;
		uint64_t queued = up_ns ? calls_before(plan, c, up_ns) - begun : 0;
		if (f && end_ns <= up_ns)
			out->why = "restarts that overlap";
		else if ((uint64_t)(end_ns - up_ns) / (uint64_t)late_ns < queued + 1)
			out->why = "calls that queue up may not be over before the end";
		out->calls += calls;
		out->longest = calls > out->longest ? calls : out->longest;
		out->open += calls_before(plan, c, end_ns) - calls_before(plan, c, end_ns - late_ns);
		from_ns = end_ns;
		up_ns = f ? end_ns + f->for_ns : 0;
	} while (f && !out->why);
}

static const char *premise(const struct ks_plan *plan)
{
	for (size_t i = 0; i < plan->faults; i++) {
		int op = plan->fault[i].kind->op;
		if (plan->fault[i].placed || op == KS_FAULT_SNAPSHOT || op == KS_FAULT_CLONE || op == KS_FAULT_ROLLBACK || op == KS_FAULT_SUSPEND ||
		    op == KS_FAULT_PAUSE || op == KS_FAULT_STOP_WORLD)
			return "processes that are copied, put back or stopped";
		if (op == KS_FAULT_RESTART && plan->fault[i].at_ns <= 0)
			return "a restart at the start";
	}
	if (plan->load.model == KS_MODEL_CLOSED || plan->load.arrival != KS_ARRIVAL_REGULAR)
		return "arrivals that are not regular";
	return NULL;
}

bool ks_incarnations_count(const struct ks_plan *plan, uint32_t own_lanes, int64_t late_ns, struct ks_incarnations *out)
{
	*out = (struct ks_incarnations){.why = premise(plan)};
	for (uint32_t node = 0; node < plan->nodes; node++)
		for (uint32_t first = 0; !out->why && first < lanes_of(plan); first += own_lanes)
			one_counter(plan, &(struct counter){node, first / plan->threads, first, own_lanes}, late_ns, out);
	return !out->why;
}
