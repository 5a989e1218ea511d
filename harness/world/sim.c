/* World sim: simulated time in this process. Carries everything that a plan can say. */
#include <stdio.h>

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
	(void)plan;
	if (gen->gen)
		return 0;
	snprintf(why, size, "a free-running program keeps real time; sim is for built-in generators");
	return -1;
}

/* What the node's own clocks showed around each fault: of a step the move of REALTIME, of a drift the rate set. */
static int64_t observe(const struct ks_fault_seen *seen)
{
	return seen->after_ns[KS_REALTIME] - seen->before_ns[KS_REALTIME];
}

static int prove(const struct ks_sim_result *result, uint32_t n, struct ks_run_output *output, struct ks_err *err)
{
	output->injection = ks_alloc(n, sizeof *output->injection);
	if (!output->injection)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		const struct ks_fault_seen *seen = &result->seen[i];
		struct ks_injection *in = &output->injection[output->ninjection];
		*in = (struct ks_injection){.fault = seen->event.fault, .node = seen->event.node, .at_ns = seen->event.at_ns,
		                            .commanded = seen->event.amount};
		in->observed = seen->event.op == KS_FAULT_STEP ? observe(seen) : seen->rate_ppb;
		output->ninjection++;
	}
	return 0;
}

static int simulate(const struct ks_run_request *request, struct ks_node_desc *nodes, struct ks_run_output *output, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	struct ks_fault_event *events = NULL;
	struct ks_sim_result result;
	uint32_t nevents = 0;
	if (!request->control && ks_plan_events(plan, &events, &nevents, err))
		return -1;
	struct ks_sim sim = {.start_unix_ns = plan->start_unix_ns, .duration_ns = plan->duration_ns, .seed = request->seed,
	                     .nodes = plan->nodes, .processes = plan->processes, .threads = plan->threads, .node = nodes,
	                     .load = plan->load, .events = events, .nevents = nevents, .gen = request->gen->gen,
	                     .cfg = request->gen->cfg, .stop = request->stop};
	int status = ks_sim_run(&sim, &result, err);
	if (!status) {
		status = prove(&result, nevents, output, err);
		output->records = result.records;
		result.records = (struct ks_records){0};
		ks_sim_result_release(&result);
	}
	ks_free(events);
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
	int status = simulate(request, nodes, output, err);
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
