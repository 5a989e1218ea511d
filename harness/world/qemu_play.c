#include "qemu_play.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ks_mem.h"
#include "qemu_core.h"
#include "truetime.h"

#define TELL_NS (50 * KS_MS)   /* so long before its instant the agent is told */
#define WATCH_NS (60 * KS_MS)  /* and so long before QEMU is stopped the agent begins to look, and as long after */
#define KEPT_WAITING_NS (2 * KS_SEC)
#define RTC_TAKES_NS (4 * KS_SEC) /* the agent sets it, and looks when it goes on to its next second, twice */
#define GATHER_NS (150 * KS_MS) /* and before a core is: somebody has to be on each of them by then, on a busy machine, too */
#define READY_NS (2 * KS_MS)   /* poll may come back a little late */
#define ANSWER_NS (30 * KS_SEC)
#define PATIENCE_NS (20 * KS_SEC) /* with a guest that is to tell of what was done: it may have lost the timers that it sleeps by */
#define LASTS_OFF_NS (50 * KS_MS) /* a stop that much longer or shorter than it is to be is another one */
#define LOOK_NS (40 * KS_MS)   /* after a midnight */
#define RATE_MAX_PPB 100000000 /* of a kernel's discipline: its tick, +-10 % */
#define HZ 250                 /* of Debian's cloud kernels */
/* From the command to where it acts, as measured under TCG: both are asked of QEMU's main loop. */
#define STOP_TAKES_NS (300 * KS_US)
#define CONT_TAKES_NS (500 * KS_US)

/* ---- what can be done ---- */

static const char *lacks_rate(unsigned clocks, const char *source)
{
	if (source && !strcmp(source, "jiffies"))
		return "a clock that counts ticks runs too unevenly to show it";
	return clocks & (1u << KS_RAW) ? "only the simulation has an oscillator that can be made to run wrong, and raw, which the generator reads, would show it"
	                               : NULL;
}

const char *ks_guest_lacks_drift(int64_t ppb, unsigned clocks, const char *source)
{
	if (!ppb)
		return NULL;
	return ppb < -RATE_MAX_PPB || ppb > RATE_MAX_PPB ? "a kernel bends its clocks by at most 100000ppm" : lacks_rate(clocks, source);
}

static int64_t rate_of(const struct ks_fault_event *e)
{
	if (e->op != KS_FAULT_SMEAR)
		return e->amount;
	return e->extra ? (int64_t)((__int128)e->amount * KS_SEC / e->extra) : 0;
}

static int64_t next_midnight(int64_t unix_ns)
{
	return unix_ns + (KS_DAY - 1 - (unix_ns + KS_DAY - 1) % KS_DAY);
}

/* second_overflow() notes it at one second, and does it at the next or a later one. */
static const char *lacks_leap(const struct ks_plan *plan, const struct ks_fault_event *e)
{
	int64_t unix_ns = plan->start_unix_ns + plan->node[e->node].offset_ns + e->at_ns;

	if (next_midnight(unix_ns) - unix_ns < 1100 * KS_MS)
		return "a kernel has to be told of a leap second more than a second before midnight";
	return e->extra == HZ ? NULL : "the timer of a guest's kernel ticks 250 times a second";
}

/* A kernel that slept within one second of its battery-backed clock does not put its wall clock on by that second, and then, with rtc_resume, by
 * all that the battery-backed clock is ahead of the scenario's date. Falling asleep takes some of the time. */
#define SLEEP_MIN_NS (1500 * KS_MS)

static const char *lacks_suspend(const struct ks_plan *plan, const struct ks_fault_event *e)
{
	if (e->amount == KS_SUSPEND_S3 && plan->fault[e->fault].for_ns && plan->fault[e->fault].for_ns < SLEEP_MIN_NS)
		return "a guest has to sleep for 1.5s at least, else Linux sets its wall clock to its battery-backed one";
	if (e->amount == KS_SUSPEND_S3 && e->op == KS_FAULT_RESUME && e->extra)
		return "after s3 a guest's wall clock is off by what its battery-backed clock makes of it, which nobody can order";
	return NULL;
}

/* Under TCG the processor's counter does not go back with the rest (QEMU: cpu_get_ticks). */
static const char *lacks_rollback(const struct ks_fault_event *e, const char *source)
{
	bool runs = !source || !strcmp(source, "tsc");

	if (e->extra & KS_REVIVE_RESEED)
		return "a machine that is put back in the same QEMU keeps its generation id";
	if (e->extra & KS_REVIVE_CLOCKS_RUN && !runs)
		return "clocks that count QEMU's time go back with a machine (fleet.clocksource: tsc counts the processor's)";
	return e->extra & KS_REVIVE_CLOCKS_RUN || !runs ? NULL : "clocks that count the processor's time do not go back with a machine (fleet.clocksource: hpet, or the rollback's clocks: run)";
}

static const char *lacks_restart(const struct ks_plan *plan, const struct ks_fault_event *e)
{
	if (!(e->amount & KS_RESTART_NODE))
		return "a process of a guest is not restarted, its machine is (restart: node)";
	if (e->amount & KS_RESTART_KEPT)
		return "no state outlives a reboot but what is on the disk";
	return plan->fault[e->fault].for_ns < KS_GUEST_BOOT_NS ? "a guest needs 5 s to boot (restart: node, for: 5s)" : NULL;
}

/* A core that stands for less than this may as well be one of a busy machine. */
#define CORE_STOP_MIN_NS (200 * KS_MS)

static const char *lacks_core(const struct ks_plan *plan, const struct ks_fault *f, const char *source)
{
	if (f->cores != 2)
		return "a guest has 2 cores";
	if (f->for_ns < CORE_STOP_MIN_NS)
		return "that a core stood for less than 200ms is what a busy machine does by itself";
	if (f->at_ns + f->for_ns >= plan->duration_ns)
		return "it is not over before the end, so no guest can tell how long it was";
	if (source && !strcmp(source, "jiffies") && !f->core)
		return "a clock that counts ticks stands with core 0, which counts them";
	return NULL;
}

static const char *lacks_stop(const struct ks_plan *plan, const struct ks_fault *f, const char *source)
{
	if (f->placed)
		return "a thread in a guest cannot be stopped at a chosen place inside a call";
	return f->of_core ? lacks_core(plan, f, source) : NULL;
}

const char *ks_guest_lacks(const struct ks_plan *plan, const struct ks_fault_event *e, unsigned clocks, const char *source)
{
	switch (e->op) {
	case KS_FAULT_STEP:
	case KS_FAULT_TO_TRUE:
	case KS_FAULT_SOURCE: /* done to a server */
		return NULL;
	case KS_FAULT_DRIFT:
		return ks_guest_lacks_drift(rate_of(e), clocks, source);
	case KS_FAULT_SLEW:
	case KS_FAULT_SMEAR: /* raw runs on in both */
		return ks_guest_lacks_drift(rate_of(e), 0, source);
	case KS_FAULT_ARM_LEAP:
		return lacks_leap(plan, e);
	case KS_FAULT_STOP:
	case KS_FAULT_RUN:
		return lacks_stop(plan, &plan->fault[e->fault], source);
	case KS_FAULT_SUSPEND:
	case KS_FAULT_RESUME:
		return lacks_suspend(plan, e);
	case KS_FAULT_HOLD:
	case KS_FAULT_RELEASE:
		return "no kernel lets a clock stand";
	case KS_FAULT_COARSE:
		return "a kernel's clocks have no ticks that could be ordered (fleet.clocksource: jiffies has those of its timer)";
	case KS_FAULT_SNAPSHOT:
	case KS_FAULT_CLONE:
	case KS_FAULT_RTC:
		return NULL;
	case KS_FAULT_ROLLBACK:
		return lacks_rollback(e, source);
	case KS_FAULT_DOWN:
	case KS_FAULT_UP:
		return lacks_restart(plan, e);
	case KS_FAULT_CORES:
		return "the cores of a guest share a clock";
	case KS_FAULT_PLACE:
		return "a thread in a guest cannot be stopped at a chosen place inside a call";
	default:
		return "guests do not carry it";
	}
}

/* The harness waits for a machine that is written down, or read back, and has no time for another one meanwhile. */
static bool keeps_waiting(enum ks_fault_op op)
{
	return op == KS_FAULT_SNAPSHOT || op == KS_FAULT_ROLLBACK;
}

/* Does the agent, or the whole machine, stand from it on until another event? */
static bool stands(enum ks_fault_op op)
{
	return op == KS_FAULT_SNAPSHOT || op == KS_FAULT_CLONE || op == KS_FAULT_ROLLBACK || op == KS_FAULT_DOWN || op == KS_FAULT_UP || op == KS_FAULT_SUSPEND || op == KS_FAULT_RESUME || op == KS_FAULT_STOP || op == KS_FAULT_RUN;
}

bool ks_guest_stands_from(const struct ks_fault_event *e)
{
	return e->op == KS_FAULT_STOP || e->op == KS_FAULT_SUSPEND;
}

bool ks_guest_clash(const struct ks_fault_event *a, const struct ks_fault_event *b)
{
	int64_t apart = a->at_ns < b->at_ns ? b->at_ns - a->at_ns : a->at_ns - b->at_ns;

	if (a->fault == b->fault)
		return false;
	if (keeps_waiting(a->op) || keeps_waiting(b->op))
		return apart < KEPT_WAITING_NS;
	if (a->node != b->node)
		return false;
	if (a->op == KS_FAULT_RTC || b->op == KS_FAULT_RTC)
		return apart < RTC_TAKES_NS;
	return apart < (stands(a->op) || stands(b->op) ? 2 * WATCH_NS : 2 * KS_MS);
}

/* Does it go on until another event of its fault, or happen by itself later? */
static bool lasts(const struct ks_fault_event *e)
{
	switch (e->op) {
	case KS_FAULT_STOP:
	case KS_FAULT_SUSPEND:
	case KS_FAULT_ARM_LEAP:
		return true;
	case KS_FAULT_SLEW:
	case KS_FAULT_DRIFT:
		return e->amount != 0;
	case KS_FAULT_SMEAR:
		return e->extra != 0;
	default:
		return false;
	}
}

const char *ks_guest_outlives(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n, uint32_t ends)
{
	for (uint32_t i = 0; i < n && i < ends; i++) {
		bool over = event[i].node != event[ends].node || event[i].fault == event[ends].fault || !lasts(&event[i]);
		for (uint32_t k = i + 1; k < ends; k++)
			over = over || (event[k].fault == event[i].fault && event[k].node == event[i].node && !lasts(&event[k]));
		if (!over)
			return plan->fault[event[i].fault].name;
	}
	return NULL;
}

/* ---- the deeds of a plan ---- */

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

	*(e->op == KS_FAULT_DRIFT ? &p->drift_ppb : &p->slew_ppb) = rate_of(e);
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
	p->deed[p->deeds - 1].at_ns = p->deed[p->deeds - 1].until_ns = e->at_ns + next_midnight(unix_ns) - unix_ns + LOOK_NS;
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

/* ---- times ---- */

static int64_t host_of(const struct ks_guest_play *p, int64_t since_ns)
{
	return p->start_ns + since_ns - p->ahead_ns;
}

static int64_t since_of(const struct ks_guest_play *p, int64_t host_raw_ns)
{
	return host_raw_ns + p->ahead_ns - p->start_ns;
}

static struct ks_wire_clocks since(const struct ks_guest_play *p, const struct ks_wire_clocks *told)
{
	struct ks_wire_clocks c = *told;

	c.raw_ns -= p->start_ns;
	c.raw_after_ns -= p->start_ns;
	return c;
}

int64_t ks_guest_play_true(const struct ks_guest_play *p, int64_t told_ns)
{
	for (uint32_t i = 0; i < p->nstood; i++)
		if (told_ns >= p->stood[i].from_ns && told_ns < p->stood[i].until_ns)
			return told_ns + p->stood[i].by_ns;
	return told_ns;
}

static int read_now(struct ks_guest_play *p, struct ks_wire_clocks *clocks, struct ks_err *err)
{
	struct ks_vm_clocks c;

	if (ks_vm_clocks(p->vm, 8, &c, err) != 0)
		return -1;
	*clocks = since(p, &c.guest);
	return 0;
}

int ks_guest_play_start(struct ks_guest_play *p, int64_t start_ns, int64_t ahead_ns, struct ks_err *err)
{
	struct ks_wire_acted acted;

	p->start_ns = start_ns;
	p->ahead_ns = ahead_ns;
	if (p->drift_ppb && ks_vm_act(p->vm, KS_ACT_RATE, 0, p->drift_ppb, &acted, ks_host_ns() + ANSWER_NS, err) != 0)
		return -1;
	return read_now(p, &p->first, err);
}

/* ---- doing ---- */

static struct ks_deed *current(struct ks_guest_play *p)
{
	return ks_guest_play_over(p) ? NULL : &p->deed[p->next];
}

/* Somebody in the guest looks at its clocks from before it begins until after it has ended. */
static bool is_watched(const struct ks_deed *d)
{
	return d->kind == KS_DEED_HOST_STOP || d->kind == KS_DEED_CORE;
}

static int64_t looks_before_ns(const struct ks_deed *d)
{
	return d->kind == KS_DEED_CORE ? GATHER_NS : is_watched(d) ? WATCH_NS : 0;
}

/* Of the deed in its state, true time since the start; of one that it is the guest's turn to end: when that is given up. */
static int64_t due_of(const struct ks_deed *d)
{
	switch (d->state) {
	case KS_DEED_WAITS:
		if (d->kind == KS_DEED_LOOK)
			return d->at_ns;
		return d->at_ns - looks_before_ns(d) - TELL_NS;
	case KS_DEED_READY:
		return d->at_ns;
	case KS_DEED_STANDS:
		return d->until_ns;
	case KS_DEED_ENDS:
		return d->until_ns + d->value + PATIENCE_NS;
	default:
		return INT64_MAX;
	}
}

int64_t ks_guest_play_due(const struct ks_guest_play *p)
{
	int64_t due = ks_guest_play_over(p) ? INT64_MAX : due_of(&p->deed[p->next]);
	return due == INT64_MAX ? INT64_MAX : host_of(p, due);
}

/* UTC at true time 0, with the leap seconds that have been by then. */
static int64_t utc_base(const struct ks_guest_play *p, int64_t at_ns)
{
	int64_t base = p->plan->start_unix_ns;

	for (uint32_t i = 0; i < p->nevents; i++) {
		const struct ks_fault_event *e = &p->event[i];
		int64_t unix_ns = p->plan->start_unix_ns + e->at_ns;
		if (e->op == KS_FAULT_ARM_LEAP && e->node == p->node && e->at_ns + next_midnight(unix_ns) - unix_ns <= at_ns)
			base += e->amount;
	}
	return base;
}

static int send(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	struct ks_wire_act act = d->act;

	act.at_raw_ns = p->start_ns + d->at_ns;
	if (is_watched(d)) {
		int64_t stops_ns = d->until_ns - d->at_ns;
		int64_t loses_ns = d->kind == KS_DEED_CORE ? 0 : ks_guest_stop_loses(p->source, p->kernel, stops_ns);
		act.at_raw_ns -= looks_before_ns(d);
		/* where clocks then stand until their counter has come round, they are read after that */
		act.until = p->start_ns + d->until_ns + WATCH_NS + (loses_ns > stops_ns ? loses_ns - stops_ns : 0);
	}
	if (act.kind == KS_ACT_TO_TRUE)
		act.amount = utc_base(p, d->at_ns) - p->start_ns;
	return ks_vm_send(p->vm, KS_WIRE_ACT, &act, sizeof(act), err);
}

/* A deed that is not begun: the agent is told of it. */
static int tell(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	if (d->kind == KS_DEED_SAVE) { /* between calls */
		struct ks_wire_act keep = {.kind = KS_ACT_KEEP, .at_raw_ns = p->start_ns + d->at_ns};
		d->state = KS_DEED_ASKED;
		return ks_vm_send(p->vm, KS_WIRE_ACT, &keep, sizeof(keep), err);
	}
	if (d->kind == KS_DEED_LOOK || d->kind == KS_DEED_VM_STOP) {
		d->state = KS_DEED_ASKED;
		return ks_vm_send(p->vm, KS_WIRE_PING, NULL, 0, err);
	}
	if (d->kind == KS_DEED_CORE && ks_vm_core_find(p->vm, (int)d->act.amount, &d->thread, err) != 0)
		return -1;
	d->state = is_watched(d) ? KS_DEED_READY : d->kind == KS_DEED_S3 ? KS_DEED_STANDS : KS_DEED_ENDS;
	return send(p, d, err);
}

/* Tells QEMU's main loop to stop the machine or to let it go on, and looks when that was. */
static int command(struct ks_guest_play *p, const char *what, struct ks_err *err)
{
	int64_t sent_ns = ks_host_raw_ns();
	char text[KS_TIME_TEXT];

	if (ks_qmp_command(ks_vm_qmp(p->vm), what, ks_host_ns() + ANSWER_NS, err) != 0)
		return -1;
	int64_t took_ns = ks_host_raw_ns() - sent_ns;
	if (took_ns <= LASTS_OFF_NS)
		return 0;
	p->busy = true;
	return ks_fail(err, KS_E_JUDGE, "QEMU took %s to %s: this machine is too busy", ks_dur_format(text, took_ns), what);
}

static int stop_core(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	int64_t since_ns;

	if (ks_vm_core_stop(p->vm, d->thread, &since_ns, err) != 0)
		return -1;
	d->stood_ns = since_of(p, since_ns);
	return 0;
}

static int stop(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	d->stood_ns = since_of(p, ks_host_raw_ns());
	d->state = KS_DEED_STANDS;
	if (d->kind == KS_DEED_HOST_STOP) {
		if (kill(ks_vm_pid(p->vm), SIGSTOP) != 0)
			return ks_fail(err, KS_E_JUDGE, "cannot stop QEMU");
		return 0;
	}
	if (d->kind == KS_DEED_CORE)
		return stop_core(p, d, err);
	return command(p, "stop", err);
}

/* Is the snapshot one for this? */
static bool is_for(const struct ks_guest_play *p, enum ks_fault_op op, int64_t number)
{
	for (uint32_t i = 0; i < p->nevents; i++)
		if (p->event[i].op == op && p->event[i].amount == number)
			return true;
	return false;
}

/* It is kept while it stands, which takes some 50 ms, or 300. */
static int save(struct ks_guest_play *p, const struct ks_deed *d, struct ks_err *err)
{
	int64_t number = p->event[d->event].amount, deadline = ks_host_ns() + ANSWER_NS;
	struct ks_guest_snapshot *s = &p->snapshot[number];

	s->life = p->life;
	s->stood_ns = d->stood_ns;
	s->before = d->before;
	if (is_for(p, KS_FAULT_ROLLBACK, number) && ks_vm_savevm(p->vm, (uint32_t)number, deadline, err) != 0)
		return -1;
	if (is_for(p, KS_FAULT_CLONE, number) && !(s->saved = ks_vm_save(p->vm, deadline, err)))
		return -1;
	return 0;
}

/* QEMU tells by the host's wall clock when a machine fell asleep and when it woke. */
static int wake_up(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	struct ks_qmp *q = ks_vm_qmp(p->vm);
	int64_t deadline = ks_host_ns() + ANSWER_NS;

	if (ks_qmp_wait(q, KS_QMP_SUSPEND, deadline, err) != 0)
		return -1;
	int64_t asleep_unix_ns = ks_qmp_told_ns(q);
	if (ks_qmp_command(q, "system_wakeup", deadline, err) != 0 || ks_qmp_wait(q, KS_QMP_WAKEUP, deadline, err) != 0)
		return -1;
	d->value = ks_qmp_told_ns(q) - asleep_unix_ns;
	d->stood_ns = since_of(p, ks_host_raw_ns()) - (ks_true_unix_ns() - asleep_unix_ns);
	return 0;
}

/* The guest is told how long it stood before it runs on, so that it knows as soon as it does. */
static int go_on(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	d->state = KS_DEED_ENDS;
	switch (d->kind) {
	case KS_DEED_HOST_STOP:
		d->value = since_of(p, ks_host_raw_ns()) - d->stood_ns;
		return kill(ks_vm_pid(p->vm), SIGCONT) ? ks_fail(err, KS_E_JUDGE, "cannot continue QEMU") : 0;
	case KS_DEED_CORE:
		d->value = since_of(p, ks_host_raw_ns()) - d->stood_ns;
		return ks_vm_core_go_on(p->vm, err);
	case KS_DEED_SAVE:
		if (save(p, d, err) != 0)
			return -1;
		/* fall through */
	case KS_DEED_VM_STOP:
		d->value = since_of(p, ks_host_raw_ns()) - d->stood_ns + CONT_TAKES_NS - STOP_TAKES_NS;
		if (d->kind == KS_DEED_SAVE)
			p->snapshot[p->event[d->event].amount].stood_for_ns = d->value;
		d->act.amount = d->value;
		return send(p, d, err) || command(p, "cont", err) ? -1 : 0;
	default:
		return wake_up(p, d, err);
	}
}

static const char *name_of(const struct ks_guest_play *p, const struct ks_deed *d)
{
	return p->plan->fault[p->event[d->event].fault].name;
}

/* Linux 6.12 reads ACPI's counter over its whole round and counts on by seven eighths of it: after a stop that ends in the last eighth
 * a clock goes back by a round, and who sleeps by it sleeps a round longer. A kernel that has nothing else to do is then woken at
 * the end of each round, where it does not count on, and never gets out of it. */
static int no_answer(struct ks_guest_play *p, const struct ks_deed *d, struct ks_err *err)
{
	bool rounds = d->kind == KS_DEED_HOST_STOP && p->kernel >= 6012 && ks_guest_stop_loses(p->source, p->kernel, d->value) > 0;

	p->busy = d->kind == KS_DEED_S3; /* of two cores under TCG one in some twenty does not come back: then nothing was judged */
	return ks_vm_fail(p->vm, err, "the guest did not answer for %ds after it%s", (int)(PATIENCE_NS / KS_SEC),
	                  rounds ? ": its kernel's timers may wait for a clock that goes back by a round of its counter, again and again" : "");
}

int ks_guest_play_run(struct ks_guest_play *p, struct ks_err *err)
{
	struct ks_deed *d = current(p);
	int64_t due = ks_guest_play_due(p);
	int status;

	if (!d || due - ks_host_raw_ns() > READY_NS)
		return 0;
	ks_true_wait(due); /* the same clock as ks_host_raw_ns */
	switch (d->state) {
	case KS_DEED_WAITS:
		status = tell(p, d, err);
		break;
	case KS_DEED_READY:
		status = stop(p, d, err);
		break;
	case KS_DEED_STANDS:
		status = go_on(p, d, err);
		break;
	case KS_DEED_ENDS:
		status = no_answer(p, d, err);
		break;
	default:
		return 0;
	}
	return status ? ks_fail_in(err, "fault '%s'", name_of(p, d)) : 0;
}

/* ---- answers ---- */

static int too_busy(struct ks_guest_play *p, const struct ks_deed *d, const char *how, int64_t ns, struct ks_err *err)
{
	char text[KS_TIME_TEXT];

	p->busy = true;
	return ks_fail(err, KS_E_JUDGE, "fault '%s' %s %s: this machine is too busy", name_of(p, d), how, ks_dur_format(text, ns));
}

/* What it told between the stop and when it knew of it is too early by how long it stood. It knew between its two readings: what it
 * told before is earlier than the second one, what it tells knowing is later than the first one and how long it stood. A guest that
 * ran on for longer than it had stood may have told the same time twice, and nobody knows which of them is meant. */
static int stood(struct ks_guest_play *p, const struct ks_deed *d, int64_t knew_ns, struct ks_err *err)
{
	int64_t until_ns = d->after.raw_ns - d->value;

	if (until_ns > knew_ns + d->value)
		return too_busy(p, d, "was known to the guest only after it had run on for", until_ns - d->stood_ns, err);
	if (p->nstood == sizeof(p->stood) / sizeof(p->stood[0]))
		return 0;
	p->stood[p->nstood].from_ns = d->stood_ns;
	p->stood[p->nstood].until_ns = until_ns;
	p->stood[p->nstood++].by_ns = d->value;
	return 0;
}

static int slow_sleeper(struct ks_guest_play *p, const struct ks_deed *d, struct ks_err *err)
{
	int64_t true_ns = d->after.raw_ns - d->before.raw_ns, ran_ns = d->after.clock_ns[KS_MONOTONIC] - d->before.clock_ns[KS_MONOTONIC];

	if (d->stood_ns - d->at_ns > KS_GUEST_FALLS_ASLEEP_NS)
		return too_busy(p, d, "put the machine to sleep after", d->stood_ns - d->at_ns, err);
	if (true_ns - ran_ns - d->value > KS_GUEST_EDGES_NS)
		return too_busy(p, d, "took more than its sleep by", true_ns - ran_ns - d->value, err);
	return 0;
}

static int late(struct ks_guest_play *p, const struct ks_deed *d, int64_t did_ns, struct ks_err *err)
{
	int64_t off = did_ns - d->at_ns, length = d->until_ns - d->at_ns;
	int64_t limit = d->kind == KS_DEED_CORE ? ks_guest_core_slack(length) : LASTS_OFF_NS;

	if (off > KS_GUEST_LATE_MAX_NS)
		return too_busy(p, d, "came late by", off, err);
	if (d->kind == KS_DEED_S3)
		return slow_sleeper(p, d, err);
	if (d->kind != KS_DEED_VM_STOP && !is_watched(d))
		return 0;
	/* Who looks from within sees no more than QEMU did, unless the guest stood on, or its clocks did. */
	if (d->kind == KS_DEED_HOST_STOP && d->gap_ns - d->value > limit && !ks_guest_stop_loses(p->source, p->kernel, d->value))
		return too_busy(p, d, "went on in the guest for", d->gap_ns - d->value, err);
	off = d->value < length ? length - d->value : d->value - length;
	return off > limit ? too_busy(p, d, d->value < length ? "was shorter by" : "was longer by", off, err) : 0;
}

int ks_guest_play_clocks(struct ks_guest_play *p, const struct ks_wire_clocks *clocks, struct ks_err *err)
{
	struct ks_deed *d = current(p);

	if (!d || d->state != KS_DEED_ASKED)
		return ks_vm_fail(p->vm, err, "guest told its clocks unasked");
	d->before = d->after = since(p, clocks);
	if (d->kind != KS_DEED_LOOK) {
		d->state = KS_DEED_READY;
		return 0;
	}
	d->state = KS_DEED_DONE;
	p->next++;
	return 0;
}

static int stop_to_keep(struct ks_guest_play *p, struct ks_deed *d, const struct ks_wire_acted *acted, struct ks_err *err)
{
	if (acted->error)
		return ks_vm_fail(p->vm, err, "fault '%s': its calls did not return to be kept: %s", name_of(p, d), strerror(acted->error));
	d->before = d->after = since(p, &acted->before);
	d->until_ns = d->at_ns;
	return stop(p, d, err) ? ks_fail_in(err, "fault '%s'", name_of(p, d)) : 0;
}

int ks_guest_play_acted(struct ks_guest_play *p, const struct ks_wire_acted *acted, struct ks_err *err)
{
	struct ks_deed *d = current(p);

	if (d && d->kind == KS_DEED_SAVE && d->state == KS_DEED_ASKED && acted->kind == KS_ACT_KEEP)
		return stop_to_keep(p, d, acted, err);
	if (!d || d->state != KS_DEED_ENDS || acted->kind != d->act.kind)
		return ks_vm_fail(p->vm, err, "guest acted on its clock unasked");
	if (acted->error)
		return ks_vm_fail(p->vm, err, "fault '%s': the guest's kernel refuses: %s", name_of(p, d), strerror(acted->error));
	struct ks_wire_clocks before = since(p, &acted->before);
	d->after = since(p, &acted->after);
	if (d->kind == KS_DEED_VM_STOP) {
		if (stood(p, d, before.raw_after_ns, err) != 0)
			return -1;
	} else if (d->kind != KS_DEED_SAVE) { /* of that its calls know nothing */
		d->before = before;
		if (d->kind != KS_DEED_S3)
			*(is_watched(d) ? &d->gap_ns : &d->value) = acted->value;
		d->beside_ns = acted->beside_ns;
	}
	/* the proof then fails, but it may have been the machine, or a lock of the kernel's that the core stood with */
	p->busy = p->busy || (d->kind == KS_DEED_CORE && d->beside_ns > ks_guest_core_slack(d->until_ns - d->at_ns));
	d->state = KS_DEED_DONE;
	p->next++;
	if (is_watched(d) && before.raw_ns > d->stood_ns) /* and who looks sees only its end */
		return too_busy(p, d, "began before the guest looked, by", before.raw_ns - d->stood_ns, err);
	int64_t did = d->kind == KS_DEED_SAVE || d->kind == KS_DEED_VM_STOP || is_watched(d) ? d->stood_ns : before.raw_ns;
	return late(p, d, did, err);
}

/* A guest that was told that it stood, and did not, would be ahead of its host by so much now. */
#define ALIGNED_NS (10 * KS_MS)
#define STOP_LATE_NS (100 * KS_MS)
#define UNEVEN_PPM 2000 /* of the rate of a guest's counter, as it measured it itself */

int ks_guest_play_end(struct ks_guest_play *p, struct ks_err *err)
{
	struct ks_vm_clocks c;
	char text[KS_TIME_TEXT];

	if (p->deeds && p->deed[p->deeds - 1].kind == KS_DEED_END) {
		p->last = p->deed[p->deeds - 1].after;
		return 0;
	}
	if (ks_vm_clocks(p->vm, 8, &c, err) != 0)
		return -1;
	p->last = since(p, &c.guest);
	int64_t ahead = p->last.raw_ns - since_of(p, c.host_raw_ns), limit = ALIGNED_NS + c.width_ns + p->last.raw_ns / 1000000 * UNEVEN_PPM;
	for (uint32_t i = 0; i < p->deeds; i++) /* a busy machine stops later than it was told to, and begins later */
		if (p->deed[i].kind == KS_DEED_VM_STOP || p->deed[i].kind == KS_DEED_BORN || p->deed[i].kind == KS_DEED_BACK)
			limit += p->deed[i].value / 5 < STOP_LATE_NS ? p->deed[i].value / 5 : STOP_LATE_NS;
		else if (p->deed[i].kind == KS_DEED_SAVE)
			limit += STOP_LATE_NS / 4;
	if (ahead > -limit && ahead < limit)
		return 0;
	p->busy = true;
	return ks_vm_fail(p->vm, err, "guest's counter is ahead of its host's by %s that no fault explains", ks_dur_format(text, ahead));
}

/* Where it was kept no calls were going on, and none begins before it knows how late it is: what its agent tells is right from then on. */
static int wake(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	struct ks_wire_act act = {.kind = KS_ACT_BORN, .until = d->kind == KS_DEED_BACK ? p->start_ns + d->at_ns : 0};
	struct ks_wire_acted acted;
	struct ks_vm_clocks c;

	if (ks_vm_clocks(p->vm, 4, &c, err) != 0)
		return -1;
	d->value = act.amount = since_of(p, c.host_raw_ns) - (c.guest.raw_ns + (c.guest.raw_after_ns - c.guest.raw_ns) / 2 - p->start_ns);
	if (ks_vm_send(p->vm, KS_WIRE_ACT, &act, sizeof(act), err) != 0 ||
	    ks_vm_expect(p->vm, KS_WIRE_ACTED, &acted, sizeof(acted), ks_host_ns() + ANSWER_NS, err) != 0)
		return -1;
	d->after = since(p, &acted.after);
	return 0;
}

/* So long after its instant a machine may be put back: it is stopped, and its memory is read, after all that it told was taken. */
#define BACK_LATE_NS (2 * KS_SEC)

int ks_guest_play_born(struct ks_guest_play *p, int64_t start_ns, int64_t ahead_ns, const struct ks_guest_snapshot *of,
		       struct ks_err *err)
{
	struct ks_deed *d = p->deed;

	p->start_ns = start_ns;
	p->ahead_ns = ahead_ns;
	p->first = of->before;
	if (!p->deeds || (d->kind != KS_DEED_BORN && d->kind != KS_DEED_BACK))
		return ks_fail(err, KS_E_INTERNAL, "a machine that goes on, whose first fault is another");
	if (wake(p, d, err) != 0)
		return ks_fail_in(err, "fault '%s'", name_of(p, d));
	d->before = of->before;
	d->stood_ns = of->stood_ns;
	d->until_ns = d->at_ns;
	d->state = KS_DEED_DONE;
	p->next = 1;
	if (d->kind == KS_DEED_BORN)
		return late(p, d, of->stood_ns + d->value, err);
	bool runs = p->event[d->event].extra & KS_REVIVE_CLOCKS_RUN; /* and stood only while it was kept, and put back */
	d->gap_ns = CONT_TAKES_NS - STOP_TAKES_NS + (runs ? of->stood_for_ns + of->went_on_ns - of->stopped_ns : of->went_on_ns - of->stood_ns);
	return late(p, d, of->went_on_ns - BACK_LATE_NS + KS_GUEST_LATE_MAX_NS, err);
}

int ks_guest_play_booted(struct ks_guest_play *p, const struct ks_guest_play *before, int64_t launched_ns, int64_t rtc_ns,
			 struct ks_err *err)
{
	struct ks_deed *d = p->deed;

	if (!p->deeds || d->kind != KS_DEED_BOOT || !before->deeds)
		return ks_fail(err, KS_E_INTERNAL, "a machine that boots, whose first fault is another");
	p->launched_ns = launched_ns;
	p->rtc_ns = rtc_ns;
	d->before = before->deed[before->deeds - 1].after;
	d->after = p->first;
	d->state = KS_DEED_DONE;
	p->next = 1;
	return late(p, d, p->first.raw_ns, err);
}
