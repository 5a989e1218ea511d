/* The deeds of a plan: what its events are in a guest, by time. */
#include "qemu_deeds.h"

#include <stdio.h>

#include "ks_mem.h"

#define LOOK_NS (40 * KS_MS) /* after a midnight */

/* The event that ends this one: the next of its fault on its node. */
static uint32_t end_of(const struct ks_guest_play *p, uint32_t k)
{
	for (uint32_t i = k + 1; i < p->nevents; i++)
		if (p->event[i].fault == p->event[k].fault && p->event[i].node == p->node)
			return i;
	return k;
}

static void add(struct ks_guest_play *p, enum ks_deed_kind kind, uint32_t k, uint32_t end, struct ks_wire_act act)
{
	p->deed[p->deeds++] = (struct ks_deed){.kind = kind, .event = k, .end = end, .at_ns = p->event[k].at_ns,
	                                       .until_ns = p->event[end].at_ns, .act = act};
}

static void add_rate(struct ks_guest_play *p, uint32_t k)
{
	const struct ks_fault_event *e = &p->event[k];

	*(e->op == KS_FAULT_DRIFT ? &p->drift_ppb : &p->slew_ppb) = ks_guest_rate(e);
	add(p, KS_DEED_ACT, k, k, (struct ks_wire_act){.kind = KS_ACT_RATE, .amount = p->drift_ppb + p->slew_ppb});
}

/* The kernel does it when its own wall clock shows midnight; what steps that clock before moves the instant. */
static void add_leap(struct ks_guest_play *p, uint32_t k)
{
	const struct ks_fault_event *e = &p->event[k];
	int64_t unix_ns = p->plan->start_unix_ns + p->plan->node[p->node].offset_ns + e->at_ns;

	for (uint32_t i = 0; i < p->nevents; i++)
		if (p->event[i].node == p->node && p->event[i].op == KS_FAULT_STEP && i < k)
			unix_ns += p->event[i].amount;
	add(p, KS_DEED_ACT, k, k, (struct ks_wire_act){.kind = KS_ACT_LEAP, .amount = e->amount});
	add(p, KS_DEED_LOOK, k, k, (struct ks_wire_act){0});
	p->deed[p->deeds - 1].at_ns = p->deed[p->deeds - 1].until_ns = e->at_ns + ks_guest_next_midnight(unix_ns) - unix_ns + LOOK_NS;
}

static void add_suspend(struct ks_guest_play *p, uint32_t k)
{
	static const enum ks_deed_kind kinds[] = {
		[KS_SUSPEND_S3] = KS_DEED_S3, [KS_SUSPEND_VM_STOP] = KS_DEED_VM_STOP, [KS_SUSPEND_HOST_STOP] = KS_DEED_HOST_STOP};
	const struct ks_fault_event *e = &p->event[k];
	struct ks_wire_act act = {.kind = e->amount == KS_SUSPEND_S3 ? KS_ACT_S3 : e->amount == KS_SUSPEND_VM_STOP ? KS_ACT_TRUE : KS_ACT_WATCH};

	add(p, kinds[e->amount], k, end_of(p, k), act);
}

static void add_stop(struct ks_guest_play *p, uint32_t k)
{
	const struct ks_fault_event *e = &p->event[k];
	uint32_t end = end_of(p, k);
	int64_t thread = e->thread == KS_ANY ? -1 : (int64_t)e->thread;

	if (ks_fault_stops_by_core(e))
		add(p, KS_DEED_CORE, k, end, (struct ks_wire_act){.kind = KS_ACT_WATCH_CORE, .amount = p->plan->fault[e->fault].core});
	else
		add(p, KS_DEED_HOLD, k, end, (struct ks_wire_act){.kind = KS_ACT_HOLD, .amount = thread, .until = p->event[end].at_ns - e->at_ns});
}

static void add_event(struct ks_guest_play *p, uint32_t k)
{
	const struct ks_fault_event *e = &p->event[k];

	switch (e->op) {
	case KS_FAULT_STEP:
		add(p, KS_DEED_ACT, k, k, (struct ks_wire_act){.kind = KS_ACT_STEP, .amount = e->amount});
		break;
	case KS_FAULT_TO_TRUE:
		add(p, KS_DEED_ACT, k, k, (struct ks_wire_act){.kind = KS_ACT_TO_TRUE});
		break;
	case KS_FAULT_DRIFT:
	case KS_FAULT_SLEW:
	case KS_FAULT_SMEAR:
		add_rate(p, k);
		break;
	case KS_FAULT_ARM_LEAP:
		add_leap(p, k);
		break;
	case KS_FAULT_STOP:
		add_stop(p, k);
		break;
	case KS_FAULT_SUSPEND:
		add_suspend(p, k);
		break;
	case KS_FAULT_SNAPSHOT:
		add(p, KS_DEED_SAVE, k, k, (struct ks_wire_act){.kind = KS_ACT_TRUE});
		break;
	case KS_FAULT_CLONE:
		add(p, KS_DEED_BORN, k, k, (struct ks_wire_act){.kind = KS_ACT_BORN});
		break;
	case KS_FAULT_RTC:
		add(p, KS_DEED_ACT, k, k, (struct ks_wire_act){.kind = KS_ACT_RTC, .amount = e->amount});
		break;
	case KS_FAULT_ROLLBACK:
		if (k == p->born)
			add(p, KS_DEED_BACK, k, k, (struct ks_wire_act){.kind = KS_ACT_BORN});
		else
			add(p, KS_DEED_END, k, k, (struct ks_wire_act){.kind = KS_ACT_END});
		break;
	case KS_FAULT_DOWN:
		add(p, KS_DEED_END, k, k, (struct ks_wire_act){.kind = KS_ACT_END});
		break;
	case KS_FAULT_UP:
		add(p, KS_DEED_BOOT, k, k, (struct ks_wire_act){0});
		break;
	default:
		break; /* an end */
	}
}

/* By time: a leap second comes later than what was announced after it. */
static void sort(struct ks_guest_play *p)
{
	for (uint32_t i = 1; i < p->deeds; i++) {
		struct ks_deed d = p->deed[i];
		uint32_t k = i;
		for (; k && p->deed[k - 1].at_ns > d.at_ns; k--)
			p->deed[k] = p->deed[k - 1];
		p->deed[k] = d;
	}
}

int ks_guest_play_init(struct ks_guest_play *p, struct ks_vm *vm, const struct ks_run_request *request, uint32_t node,
		       const struct ks_fault_event *event, uint32_t nevents, uint32_t born, uint32_t died, struct ks_err *err)
{
	*p = (struct ks_guest_play){.vm = vm, .plan = request->plan, .event = event, .nevents = nevents, .node = node,
	                            .born = born, .died = died, .seed = request->seed};
	int major = 0, minor = 0;
	sscanf(ks_vm_system(vm), "linux %d.%d%*s %31s", &major, &minor, p->source);
	p->kernel = major * 1000 + minor;
	p->drift_ppb = ks_plan_node_drift(request->plan, request->seed, node);
	p->deed = ks_alloc(2 * (size_t)nevents + 1, sizeof(*p->deed));
	if (!p->deed)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (uint32_t k = 0; k < nevents; k++)
		if (event[k].node == node && (born == KS_ANY || k >= born) && (died == KS_ANY || k <= died))
			add_event(p, k);
	p->drift_ppb = ks_plan_node_drift(request->plan, request->seed, node);
	sort(p);
	return 0;
}

void ks_guest_play_release(struct ks_guest_play *p)
{
	ks_free(p->deed);
	*p = (struct ks_guest_play){0};
}
