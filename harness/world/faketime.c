/* World `faketime`: real processes whose wall clock libfaketime shifts. Built-in generators run in keyskew-subject
 * (ft_host.c), foreign programs as they are (exec.c). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "foreign.h"
#include "ft.h"
#include "ks_mem.h"

#define DURATION_MAX_NS KS_HOUR
#define CALLS_MAX 20000000
/* A machine that was too busy to start in time, or to step in time, gets another chance: nothing was judged yet. */
#define TRIES 3

static int available(char *why, size_t size)
{
	char path[4096];

	if (ks_ft_find_library(path, why, size) != 0 || ks_ft_find_subject(path, why, size) != 0)
		return -1;
	if (access("/dev/shm", W_OK | X_OK) != 0) {
		snprintf(why, size, "cannot write to /dev/shm: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static bool is_exec(const struct ks_gen_spec *gen)
{
	return !gen->gen && gen->foreign->speaks == KS_SPEAKS_LINES;
}

static int carries_load(const struct ks_plan *plan, char *why, size_t size)
{
	char text[KS_TIME_TEXT];
	uint64_t processes = (uint64_t)plan->nodes * plan->processes, threads = processes * plan->threads;
	long double calls = (long double)plan->duration_ns * (long double)plan->load.rate.count /
			    (long double)plan->load.rate.per_ns * plan->nodes;

	if (plan->duration_ns > DURATION_MAX_NS) {
		snprintf(why, size, "it runs in real time, and %s is longer than 1h",
			 ks_dur_format(text, plan->duration_ns));
		return -1;
	}
	if (processes > KS_FT_PROCESSES_MAX || threads > KS_FT_THREADS_MAX) {
		snprintf(why, size, "%llu processes with %llu threads are more than %d with %d",
			 (unsigned long long)processes, (unsigned long long)threads, KS_FT_PROCESSES_MAX, KS_FT_THREADS_MAX);
		return -1;
	}
	if (calls > CALLS_MAX) {
		snprintf(why, size, "it would make more than %d calls", CALLS_MAX);
		return -1;
	}
	return 0;
}

/* Which clocks the generator reads decides what it can be shown. A foreign program is believed to read the wall clock. */
static unsigned clocks_of(const struct ks_gen_spec *gen)
{
	return gen->gen ? gen->gen->clocks(gen->cfg) : 1u << KS_REALTIME;
}

static int carries_clocks(const struct ks_plan *plan, unsigned clocks, char *why, size_t size)
{
	struct ks_fault_event drift = {.op = KS_FAULT_DRIFT};
	int64_t margin = KS_DAY;

	for (uint32_t i = 0; i < plan->nodes; i++) {
		int64_t offset = plan->node[i].offset_ns;
		if (plan->node[i].clock.keeper.kind != KS_KEEPER_NONE) {
			snprintf(why, size, "the clock of node '%s' is kept by %s, which runs in the simulation only", plan->node[i].name,
				 ks_keeper_names[plan->node[i].clock.keeper.kind]);
			return -1;
		}
		const char *lacks = plan->node[i].drift_ppb || plan->node[i].drift_drawn ? ks_ft_lacks(&drift, clocks) : NULL;
		if (lacks) {
			snprintf(why, size, "node '%s' drifts: %s", plan->node[i].name, lacks);
			return -1;
		}
		margin += offset < 0 ? -offset : 0;
	}
	for (size_t i = 0; i < plan->faults; i++)
		margin +=
		    plan->fault[i].amount < 0 && plan->fault[i].kind->op == KS_FAULT_STEP ? -plan->fault[i].amount : 0;
	if (plan->start_unix_ns < margin) {
		snprintf(why, size, "a clock would show a time before 1970-01-02, and libfaketime takes none");
		return -1;
	}
	return 0;
}

static bool is_move(const struct ks_plan *plan, const struct ks_fault_event *e)
{
	return plan->fault[e->fault].kind->op == KS_FAULT_STROBE || plan->fault[e->fault].kind->op == KS_FAULT_JITTER;
}

/* A foreign program has no probe: what it shows is its keys, so only what moves their time for good, or stops them, is
 * proven. */
static const char *foreign_lacks(const struct ks_plan *plan, const struct ks_fault_event *e)
{
	bool stop = e->op == KS_FAULT_STOP || e->op == KS_FAULT_RUN;
	bool sleep = e->op == KS_FAULT_SUSPEND || e->op == KS_FAULT_RESUME;

	if (e->op == KS_FAULT_DOWN || e->op == KS_FAULT_UP || e->op == KS_FAULT_RTC || (e->op == KS_FAULT_STEP && !is_move(plan, e)) || (stop && e->thread == KS_ANY && !ks_fault_stops_by_core(e)) ||
	    (sleep && e->amount == KS_SUSPEND_HOST_STOP))
		return NULL;
	if (stop)
		return "the threads of a program that keyskew does not host cannot be told apart";
	return "a program that keyskew does not host shows its clock only by the time in its keys, and that can prove no more "
	       "than steps, and stops by keys that do not come";
}

static bool rtc_is_read(const struct ks_plan *plan, const struct ks_fault_event *e)
{
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		bool resume = f->kind->op == KS_FAULT_SUSPEND && f->amount == KS_SUSPEND_S3;
		bool boot = f->kind->op == KS_FAULT_RESTART && f->amount;
		if (!(resume || boot) || f->at_ns + f->for_ns <= e->at_ns)
			continue;
		for (uint32_t k = 0; k < f->nnodes; k++)
			if (f->nodes[k] == e->node)
				return true;
	}
	return false;
}

static int carries_event(const struct ks_plan *plan, const struct ks_fault_event *e, const struct ks_gen_spec *gen, char *why,
			 size_t size)
{
	const struct ks_fault *f = &plan->fault[e->fault];
	const char *lacks = is_exec(gen) ? foreign_lacks(plan, e) : ks_ft_lacks(e, clocks_of(gen));

	bool keeps = !gen->gen && is_exec(gen) && gen->foreign->keeps_state;
	if (!lacks && !gen->gen && !keeps && e->op == KS_FAULT_DOWN && e->amount & KS_RESTART_KEPT)
		lacks = is_exec(gen) ? "the memory of a program cannot be handed over, and its file does not say that it keeps its state by "
				       "itself (state: kept)"
				     : "the memory of a program in another process cannot be handed over";
	if (!gen->gen && (e->op == KS_FAULT_SNAPSHOT || e->op == KS_FAULT_CLONE))
		lacks = "the memory of a program that keyskew does not host cannot be copied";
	if (!lacks && !gen->gen && e->op == KS_FAULT_REGISTRY)
		lacks = "a program that keyskew does not host asks no registry of ours";
	if (!lacks && e->op == KS_FAULT_RTC && !rtc_is_read(plan, e))
		lacks = "what reads the battery-backed clock is a boot or a resume from s3, and none follows";
	if (!lacks && e->at_ns > plan->duration_ns)
		lacks = "it comes after the end";
	if (!lacks)
		return 0;
	snprintf(why, size, "fault '%s' is a %s: %s", f->name, f->kind->name, lacks);
	return -1;
}

static int carries_events(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n,
			  const struct ks_gen_spec *gen, char *why, size_t size)
{
	int64_t gap = is_exec(gen) ? KS_FT_FOREIGN_GAP_NS : KS_FT_GAP_NS;
	char text[KS_TIME_TEXT];

	for (uint32_t i = 0; i < n; i++) {
		if (carries_event(plan, &event[i], gen, why, size) != 0)
			return -1;
		for (uint32_t k = i + 1; k < n && event[k].at_ns - event[i].at_ns < gap; k++)
			if (event[k].node == event[i].node && ks_fault_affects(&event[k]) && ks_fault_affects(&event[i])) {
				snprintf(why, size, "faults '%s' and '%s' change a clock within %s, too near to prove each",
					 plan->fault[event[i].fault].name, plan->fault[event[k].fault].name,
					 ks_dur_format(text, gap));
				return -1;
			}
	}
	return 0;
}

static int carries(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	struct ks_fault_event *events = NULL;
	struct ks_err err = {0};
	uint32_t n = 0;

	if (ks_plan_sim_only(plan)) {
		snprintf(why, size, "%s", ks_plan_sim_only(plan));
		return -1;
	}
	if (!gen->gen && ks_plan_worker_rule(plan) != KS_WORKER_GIVEN) {
		snprintf(why, size, "a program that keyskew does not host is told its node id before it has a pid or could ask for a lease");
		return -1;
	}
	if (carries_load(plan, why, size) != 0 || carries_clocks(plan, clocks_of(gen), why, size) != 0)
		return -1;
	if (ks_plan_events(plan, 0, &events, &n, &err) != 0) {
		snprintf(why, size, "%s", err.text);
		return -1;
	}
	int status = carries_events(plan, events, n, gen, why, size);
	ks_free(events);
	return status;
}

static int run(const struct ks_run_request *request, struct ks_run_output *output, struct ks_err *err)
{
	int status;
	bool busy;

	*output = (struct ks_run_output){.records.limit = request->memory};
	ks_ft_describe(output->detail, sizeof(output->detail));
	for (int try = 1;; try++) {
		busy = false;
		status = is_exec(request->gen) ? ks_ft_run_exec(request, output, &busy, err)
					       : ks_ft_run_host(request, output, &busy, err);
		if (status == 0 || !busy || try == TRIES)
			break;
		ks_run_output_fail(output);
		output->records.limit = request->memory;
	}
	if (status == 0 && ks_records_sort(&output->records) != 0)
		status = ks_fail(err, KS_E_INTERNAL, "out of memory");
	if (status != 0)
		ks_run_output_fail(output);
	return status;
}

const struct ks_world ks_world_faketime = {
    .id = KS_WORLD_FAKETIME,
    .name = "faketime",
    .title = "real processes whose wall clock libfaketime shifts",
    .available = available,
    .carries = carries,
    .run = run,
    .runs_control = false,
};
