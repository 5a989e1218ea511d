/* World sim: simulated time in this process. Carries everything that a plan can say. */
#include <stdio.h>
#include <string.h>

#include "ask_fleet.h"
#include "foreign.h"
#include "ks_engine.h"
#include "ks_mem.h"
#include "ks_world.h"

static int available(char *why, size_t size)
{
	(void)why, (void)size;
	return 0;
}

static int carries(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	static const char *const memory[] = {"snapshot", "clone", "rollback"};
	if (gen->gen)
		return 0;
	if (gen->foreign->speaks == KS_SPEAKS_LINES) {
		snprintf(why, size, "a free-running program keeps real time; in sim it must be asked for keys (speaks: ask)");
		return -1;
	}
	for (size_t i = 0; i < plan->faults; i++)
		for (size_t k = 0; k < sizeof memory / sizeof *memory; k++)
			if (!strcmp(plan->fault[i].kind->name, memory[k])) {
				snprintf(why, size, "fault '%s' copies the memory of a process, and a program of its own has that outside sim",
				         plan->fault[i].name);
				return -1;
			}
	return 0;
}

/* What the node's own clocks showed of one event, in the unit of what was commanded.
 * begin: the event of the same fault and node before it, or NULL. */
struct proof {
	bool counts; /* false: only the beginning of something that its end proves */
	int64_t commanded, observed, tolerance;
};

/* How long a clock stood between two events: true time less what it moved. */
static int64_t stood(const struct ks_fault_seen *begin, const struct ks_fault_seen *end, enum ks_clock_id id)
{
	return end->event.at_ns - begin->event.at_ns - (end->before_ns[id] - begin->after_ns[id]);
}

/* The kernel's correction, from the rates of a clock that has it and one that has not; two roundings. */
static int64_t slew_of(const struct ks_fault_seen *seen)
{
	__int128 disciplined = KS_SEC + seen->monotonic_ppb, oscillator = KS_SEC + seen->raw_ppb;
	return (int64_t)((disciplined * KS_SEC + oscillator / 2) / oscillator - KS_SEC);
}

static int64_t suspended(const struct ks_fault_seen *begin, const struct ks_fault_seen *end)
{
	int64_t length = end->event.at_ns - begin->event.at_ns;
	switch ((enum ks_suspend)end->event.amount) {
	case KS_SUSPEND_S3:
		return stood(begin, end, KS_MONOTONIC);
	case KS_SUSPEND_VM_STOP:
		return stood(begin, end, KS_REALTIME);
	case KS_SUSPEND_HOST_STOP:
		return length - stood(begin, end, KS_MONOTONIC);
	}
	return 0;
}

static enum ks_clock_id first_clock(int64_t mask)
{
	return (enum ks_clock_id)__builtin_ctzll((unsigned long long)mask);
}

static struct proof prove_one(const struct ks_fault_seen *seen, const struct ks_fault_seen *begin)
{
	const struct ks_fault_event *event = &seen->event;
	int64_t length = begin ? event->at_ns - begin->event.at_ns : 0;
	switch (event->op) {
	case KS_FAULT_STEP:
	case KS_FAULT_LEAP:
		return (struct proof){true, event->amount, seen->after_ns[KS_REALTIME] - seen->before_ns[KS_REALTIME], 0};
	case KS_FAULT_DRIFT:
		return (struct proof){true, event->amount, seen->raw_ppb, 0};
	case KS_FAULT_SLEW:
		return (struct proof){true, event->amount, slew_of(seen), 2};
	case KS_FAULT_RELEASE:
		return (struct proof){true, length, begin ? stood(begin, seen, first_clock(event->amount)) : 0, 0};
	case KS_FAULT_RESUME:
		/* a clock that ran through it drifts; one that stood does not */
		return (struct proof){true, length, begin ? suspended(begin, seen) : 0,
		                      event->amount == KS_SUSPEND_HOST_STOP ? length / 10 + 1 : 0};
	case KS_FAULT_RUN: /* threads, not clocks: the node's own clock tells how long */
		return (struct proof){true, length, begin ? seen->before_ns[KS_MONOTONIC] - begin->after_ns[KS_MONOTONIC] : 0,
		                      length / 10 + 1};
	case KS_FAULT_HOLD:
	case KS_FAULT_SUSPEND:
	case KS_FAULT_STOP:
		break;
	}
	return (struct proof){0};
}

/* One row a fault and node; a fault of many steps adds up what they moved, to and fro. */
static struct ks_injection *row_of(struct ks_run_output *output, const struct ks_fault_event *event, bool many)
{
	for (size_t i = output->ninjection; many && i-- > 0;)
		if (output->injection[i].fault == event->fault && output->injection[i].node == event->node)
			return &output->injection[i];
	struct ks_injection *in = &output->injection[output->ninjection++];
	*in = (struct ks_injection){.fault = event->fault, .node = event->node, .at_ns = event->at_ns};
	return in;
}

static int64_t size_of(int64_t v)
{
	return v < 0 ? -v : v;
}

/* last: of each fault x node its event before, as index + 1. */
static void prove_all(const struct ks_sim_result *result, uint32_t n, const struct ks_plan *plan, uint32_t *last,
                      struct ks_run_output *output)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct ks_fault_seen *seen = &result->seen[i];
		int op = plan->fault[seen->event.fault].kind->op;
		bool many = op == KS_FAULT_STROBE || op == KS_FAULT_JITTER;
		uint32_t *slot = &last[seen->event.fault * plan->nodes + seen->event.node];
		struct proof p = prove_one(seen, *slot ? &result->seen[*slot - 1] : NULL);
		*slot = i + 1;
		if (!p.counts)
			continue;
		struct ks_injection *in = row_of(output, &seen->event, many);
		in->commanded += many ? size_of(p.commanded) : p.commanded;
		in->observed += many ? size_of(p.observed) : p.observed;
		in->tolerance = p.tolerance;
	}
}

static int prove(const struct ks_sim_result *result, uint32_t n, const struct ks_plan *plan, struct ks_run_output *output,
                 struct ks_err *err)
{
	uint32_t *last = ks_alloc((size_t)plan->faults * plan->nodes, sizeof *last);
	output->injection = ks_alloc(n, sizeof *output->injection);
	if (last && output->injection)
		prove_all(result, n, plan, last, output);
	int failed = last && output->injection ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory");
	ks_free(last);
	return failed;
}

static int simulate(const struct ks_run_request *request, struct ks_node_desc *nodes, const struct ks_gen *gen, const void *cfg,
                    struct ks_run_output *output, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	struct ks_fault_event *events = NULL;
	struct ks_sim_result result;
	uint32_t nevents = 0;
	if (!request->control && ks_plan_events(plan, request->seed, &events, &nevents, err))
		return -1;
	struct ks_sim sim = {.start_unix_ns = plan->start_unix_ns, .duration_ns = plan->duration_ns, .seed = request->seed,
	                     .nodes = plan->nodes, .processes = plan->processes, .threads = plan->threads, .node = nodes,
	                     .load = plan->load, .about = ks_plan_calls(plan), .events = events, .nevents = nevents, .gen = gen,
	                     .cfg = cfg, .stop = request->stop};
	int status = ks_sim_run(&sim, &result, err);
	if (!status) {
		status = prove(&result, nevents, plan, output, err);
		output->records = result.records;
		result.records = (struct ks_records){0};
		ks_sim_result_release(&result);
	}
	ks_free(events);
	return status;
}

/* A program of its own for each process. */
static int simulate_asking(const struct ks_run_request *request, struct ks_node_desc *nodes, struct ks_run_output *output,
                           struct ks_err *err)
{
	struct ks_ask_fleet_sim *fleet = ks_ask_fleet_new(request, err);
	if (!fleet)
		return -1;
	struct ks_ask_cfg cfg = ks_ask_fleet_cfg(fleet);
	int status = simulate(request, nodes, &ks_gen_ask_sim, &cfg, output, err);
	ks_ask_fleet_free(fleet, status ? NULL : &output->records.reasons);
	return status;
}

static int run(const struct ks_run_request *request, struct ks_run_output *output, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	*output = (struct ks_run_output){0};
	struct ks_node_desc *nodes = ks_alloc(plan->nodes, sizeof *nodes);
	if (!nodes)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (uint32_t i = 0; i < plan->nodes; i++)
		nodes[i] = (struct ks_node_desc){plan->node[i].offset_ns, ks_plan_node_drift(plan, request->seed, i),
		                                 ks_plan_worker(plan, request->seed, i)};
	int status = request->gen->gen ? simulate(request, nodes, request->gen->gen, request->gen->cfg, output, err)
	                               : simulate_asking(request, nodes, output, err);
	ks_free(nodes);
	if (status)
		ks_run_output_release(output);
	return status;
}

const struct ks_world ks_world_sim = {
	.id = KS_WORLD_SIM,
	.name = "sim",
	.title = "simulated time, deterministic",
	.available = available,
	.carries = carries,
	.run = run,
	.runs_control = true,
};
