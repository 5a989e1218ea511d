/* What a fleet of guests carries of a plan, and why not. */
#include "qemu_carries.h"

#include <stdio.h>
#include <string.h>

#include "ks_mem.h"
#include "qemu_fleet.h"
#include "qemu_keeper.h"
#include "qemu_play.h"
#include "qemu_program.h"

#define CALLS_MAX 1500000 /* of a node: what the guest's memory holds twice over (chance, retries) */
#define SETTABLE_UNIX_NS INT64_C(8277292036000000000) /* 2232-04-18: Linux keeps 30 years up to the end of its time */

static int refuse(char *why, size_t size, const char *reason)
{
	snprintf(why, size, "%s", reason);
	return -1;
}

static bool meets(const struct ks_plan *plan, int op)
{
	for (size_t i = 0; i < plan->faults; i++)
		if (op == plan->fault[i].kind->op)
			return true;
	return false;
}

const char *ks_guests_source(const struct ks_plan *plan)
{
	if (plan->clocksource)
		return ks_clocksource_names[plan->clocksource];
	for (size_t i = 0; i < plan->faults; i++) /* takes one that goes back with its machine */
		if (plan->fault[i].kind->op == KS_FAULT_ROLLBACK && !plan->fault[i].clocks_run)
			return "hpet";
	return NULL;
}

static bool too_many_calls(const struct ks_plan *plan)
{
	__int128 calls = (__int128)plan->duration_ns * plan->load.rate.count / plan->load.rate.per_ns;
	return calls > CALLS_MAX;
}

static int carries_drift(const struct ks_plan *plan, unsigned clocks, char *why, size_t size)
{
	for (uint32_t i = 0; i < plan->nodes; i++) {
		const struct ks_plan_node *n = &plan->node[i];
		const char *lacks = ks_guest_lacks_drift(n->drift_drawn ? KS_FREE_DRIFT_PPB : n->drift_ppb, clocks, ks_guests_source(plan));
		if (!lacks)
			continue;
		snprintf(why, size, "node '%s' drifts: %s", n->name, lacks);
		return -1;
	}
	return 0;
}

static bool ends_machine(enum ks_fault_op op)
{
	return op == KS_FAULT_ROLLBACK || op == KS_FAULT_DOWN;
}

static int carries_lives(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n, char *why, size_t size)
{
	uint32_t lives = plan->nodes;

	for (uint32_t i = 0; i < n; i++) {
		bool ends = ends_machine(event[i].op);
		const char *over = ends || (event[i].op == KS_FAULT_SNAPSHOT && meets(plan, KS_FAULT_ROLLBACK)) ? ks_guest_outlives(plan, event, n, i) : NULL;
		if (over) {
			snprintf(why, size, "fault '%s' goes on while '%s' takes its machine", over, plan->fault[event[i].fault].name);
			return -1;
		}
		lives += ends;
	}
	return lives <= KS_GUEST_LIVES_MAX ? 0 : refuse(why, size, "machines begin anew more than 16 times in all");
}

/* One that comes while the guest, or its agent, stands. @return n: none. */
static uint32_t falls_into(const struct ks_fault_event *event, uint32_t n, uint32_t i)
{
	uint32_t end = i + 1;

	while (end < n && (event[end].fault != event[i].fault || event[end].node != event[i].node))
		end++;
	for (uint32_t k = i + 1; end < n && k < end; k++)
		if (event[k].node == event[i].node)
			return k;
	return n;
}

/* Where a machine stands, sleeps or is put back, what its counters do is the accelerator's own way. */
static bool is_of_tcg_alone(const struct ks_fault_event *e)
{
	return e->op == KS_FAULT_SNAPSHOT || e->op == KS_FAULT_CLONE || e->op == KS_FAULT_ROLLBACK ||
	       (e->op == KS_FAULT_SUSPEND && e->amount != KS_SUSPEND_HOST_STOP);
}

static int carries_events(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n, unsigned clocks, char *why,
			  size_t size)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct ks_fault *f = &plan->fault[event[i].fault];
		const char *lacks = ks_guest_lacks(plan, &event[i], clocks, ks_guests_source(plan));
		if (!lacks && is_of_tcg_alone(&event[i]) && !strcmp(ks_qemu_accel(), "kvm"))
			lacks = "what clocks do then was measured under TCG alone, and this machine has KVM (KEYSKEW_ACCEL=tcg carries it)";
		if (lacks) {
			snprintf(why, size, "fault '%s' is a %s: %s", f->name, f->kind->name, lacks);
			return -1;
		}
		uint32_t inside = ks_guest_stands_from(&event[i]) ? falls_into(event, n, i) : n;
		if (inside < n) {
			snprintf(why, size, "fault '%s' comes while the guest, or a thread of it, stands by '%s'", plan->fault[event[inside].fault].name, f->name);
			return -1;
		}
		for (uint32_t k = i + 1; k < n && event[k].at_ns - event[i].at_ns < 5 * KS_SEC; k++) /* beyond that nothing clashes */
			if (ks_guest_clash(&event[i], &event[k])) {
				char apart[KS_TIME_TEXT];
				snprintf(why, size, "faults '%s' and '%s' are too near for a guest to prove each, expected at least %s between them", f->name,
				         plan->fault[event[k].fault].name, ks_dur_format(apart, ks_guest_apart(&event[i], &event[k])));
				return -1;
			}
	}
	return 0;
}

static int carries_faults(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	unsigned clocks = gen->gen ? gen->gen->clocks(gen->cfg) : 1u << KS_REALTIME; /* a program is believed to read the wall clock */
	struct ks_fault_event *events = NULL;
	struct ks_err err = {0};
	uint32_t n = 0;

	if (carries_drift(plan, clocks, why, size) != 0)
		return -1;
	if (ks_plan_events(plan, 0, &events, &n, &err) != 0) {
		snprintf(why, size, "%s", err.text);
		return -1;
	}
	int status = carries_lives(plan, events, n, why, size) || carries_events(plan, events, n, clocks, why, size) || ks_guest_keeper_carries(plan, events, n, why, size) ? -1 : 0;
	ks_free(events);
	return status;
}

const char *ks_guests_kernel(const struct ks_plan *plan)
{
	return *plan->kernel && strcmp(plan->kernel, "any") ? plan->kernel : NULL;
}

static int carries_kernel(const struct ks_plan *plan, char *why, size_t size)
{
	char kernel[64], path[1024];

	if (ks_guest_path_of(ks_guests_kernel(plan), "vmlinux", path, sizeof(path)) == 0)
		return 0;
	ks_guest_kernel(kernel, sizeof(kernel));
	snprintf(why, size, "the guest image has kernel %s, and the scenario takes %s alone: vm-images/build --kernel %s makes one beside it",
	         *kernel ? kernel : "of unknown version", plan->kernel, plan->kernel);
	return -1;
}

bool ks_guests_have_generation(const struct ks_plan *plan)
{
	return ks_guest_has_vmgenid(ks_guests_kernel(plan));
}

uint32_t ks_guests_free_core(const struct ks_plan *plan, uint32_t node, bool *stops)
{
	bool stopped[2] = {false, false};

	for (size_t i = 0; i < plan->faults; i++)
		for (uint32_t k = 0; plan->fault[i].of_core && k < plan->fault[i].nnodes; k++)
			if (plan->fault[i].nodes[k] == node && plan->fault[i].core < 2)
				stopped[plan->fault[i].core] = true;
	*stops = stopped[0] || stopped[1];
	return *stops && !stopped[0] ? 0 : *stops && !stopped[1] ? 1 : KS_ANY;
}

static int carries_cores(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	for (uint32_t node = 0; node < plan->nodes; node++) {
		bool stops;
		uint32_t free_core = ks_guests_free_core(plan, node, &stops);
		if (stops && plan->node[node].clone)
			return refuse(why, size, "the threads of a clone are on the cores that its owner's were on: no core of one is stopped (pause with thread)");
		if (stops && !gen->gen)
			return refuse(why, size, "a program in a guest has no threads that keyskew could keep on a core");
		if (stops && free_core == KS_ANY && ks_gen_background(gen->gen, gen->cfg)->period_ns)
			return refuse(why, size, "what a generator does beside its calls needs a core that no fault stops, and a guest has 2");
	}
	return 0;
}

static int carries_kept(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	if (!gen->gen || ks_gen_issues_texts(gen))
		return refuse(why, size, "what a machine issues that goes on from a snapshot is told apart from what it had issued by keys that are numbers, and these are texts");
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		if (f->kind->op == KS_FAULT_SNAPSHOT && f->amount >= KS_GUEST_SNAPSHOTS_MAX)
			return refuse(why, size, "guests are kept at most 8 times");
		if (f->kind->op == KS_FAULT_CLONE && f->vmgenid && !ks_guests_have_generation(plan))
			return refuse(why, size, "the guest image's kernel has no driver of a generation id, so a clone does not learn that it is one");
	}
	return 0;
}

static int carries_restarts(const struct ks_gen_spec *gen, const struct ks_plan *plan, char *why, size_t size)
{
	if (!gen->gen)
		return refuse(why, size, "programs in guests are not started anew");
	if (meets(plan, KS_FAULT_SNAPSHOT))
		return refuse(why, size, "guests carry restarts or snapshots, not both");
	return 0;
}

int ks_guests_carry(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	if (gen->gen && ks_gen_find(ks_gens_sim, gen->gen->name) != gen->gen)
		return refuse(why, size, "guests run built-in generators and programs, not plug-ins");
	if (ks_plan_worker_rule(plan) != KS_WORKER_GIVEN)
		return refuse(why, size, "only sim and faketime make node ids of leases, pids and MAC addresses");
	if (ks_plan_sim_only(plan))
		return refuse(why, size, ks_plan_sim_only(plan));
	if (plan->nodes > KS_GUESTS_MAX)
		return refuse(why, size, "at most 4 nodes: each is a guest");
	if (plan->processes != 1 || plan->threads > KS_GUEST_THREADS_MAX)
		return refuse(why, size, "one process of at most 256 threads a guest");
	if (plan->start_unix_ns + plan->duration_ns > SETTABLE_UNIX_NS)
		return refuse(why, size, "no Linux clock can be set beyond 2232-04-18");
	if (too_many_calls(plan))
		return refuse(why, size, "more than 1500000 calls of a node: a guest's memory does not hold them");
	if (plan->clocksource == KS_CLOCKSOURCE_KVM && strcmp(ks_qemu_accel(), "kvm"))
		return refuse(why, size, "the clock source kvm-clock is there under KVM only, and this machine has TCG");
	if (meets(plan, KS_FAULT_SNAPSHOT) && carries_kept(plan, gen, why, size) != 0)
		return -1;
	if (meets(plan, KS_FAULT_RESTART) && carries_restarts(gen, plan, why, size) != 0)
		return -1;
	if (!gen->gen && ks_guest_program_carries(plan, gen, why, size) != 0)
		return -1;
	return carries_kernel(plan, why, size) || carries_cores(plan, gen, why, size) || carries_faults(plan, gen, why, size) ? -1 : 0;
}
