/* What guests can do of a plan, and what they lack. All pure. */
#include "qemu_deeds.h"

#include <string.h>

#define KEPT_WAITING_NS (2 * KS_SEC)
#define RTC_TAKES_NS (4 * KS_SEC) /* the agent sets it, and looks when it goes on to its next second, twice */
#define RATE_MAX_PPB 100000000 /* of a kernel's discipline: its tick, +-10 % */
#define HZ 250                 /* of Debian's cloud kernels */

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

int64_t ks_guest_rate(const struct ks_fault_event *e)
{
	if (e->op != KS_FAULT_SMEAR)
		return e->amount;
	return e->extra ? (int64_t)((__int128)e->amount * KS_SEC / e->extra) : 0;
}

int64_t ks_guest_next_midnight(int64_t unix_ns)
{
	return unix_ns + (KS_DAY - 1 - (unix_ns + KS_DAY - 1) % KS_DAY);
}

/* second_overflow() notes it at one second, and does it at the next or a later one. */
static const char *lacks_leap(const struct ks_plan *plan, const struct ks_fault_event *e)
{
	int64_t unix_ns = plan->start_unix_ns + plan->node[e->node].offset_ns + e->at_ns;

	if (ks_guest_next_midnight(unix_ns) - unix_ns < 1100 * KS_MS)
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
		return runs && !(e->extra & KS_REVIVE_CLOCKS_RUN)
			       ? "a machine that is put back in the same QEMU keeps its generation id, and a counter of the processor's does not go back (vmgenid: false, and fleet.clocksource: hpet or clocks: running)"
			       : "a machine that is put back in the same QEMU keeps its generation id (vmgenid: false)";
	if (e->extra & KS_REVIVE_CLOCKS_RUN && !runs)
		return "clocks that count QEMU's time go back with a machine (fleet.clocksource: tsc counts the processor's)";
	return e->extra & KS_REVIVE_CLOCKS_RUN || !runs ? NULL : "clocks that count the processor's time do not go back with a machine (fleet.clocksource: hpet, or the rollback's clocks: running)";
}

int64_t ks_guest_boot_takes(const struct ks_fault *f)
{
	return KS_GUEST_BOOT_NS + (f->nnodes > 1 ? (int64_t)(f->nnodes - 1) * KS_GUEST_BESIDE_NS : 0);
}

static const char *lacks_restart(const struct ks_plan *plan, const struct ks_fault_event *e)
{
	if (!(e->amount & KS_RESTART_NODE))
		return "a process of a guest is not restarted, its machine is (restart: node)";
	if (e->amount & KS_RESTART_KEPT)
		return "no state outlives a reboot but what is on the disk";
	const struct ks_fault *f = &plan->fault[e->fault];
	return f->for_ns < ks_guest_boot_takes(f) ? "a guest needs 5 s to boot, and 1.5 s more for each that boots beside it (restart: node, for: 5s)" : NULL;
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
		return ks_guest_lacks_drift(ks_guest_rate(e), clocks, source);
	case KS_FAULT_SLEW:
	case KS_FAULT_SMEAR: /* raw runs on in both */
		return ks_guest_lacks_drift(ks_guest_rate(e), 0, source);
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

int64_t ks_guest_apart(const struct ks_fault_event *a, const struct ks_fault_event *b)
{
	if (a->fault == b->fault)
		return 0;
	if (keeps_waiting(a->op) || keeps_waiting(b->op))
		return KEPT_WAITING_NS;
	if (a->node != b->node)
		return 0;
	if (a->op == KS_FAULT_RTC || b->op == KS_FAULT_RTC)
		return RTC_TAKES_NS;
	return stands(a->op) || stands(b->op) ? 2 * KS_GUEST_WATCH_NS : 2 * KS_MS;
}

bool ks_guest_clash(const struct ks_fault_event *a, const struct ks_fault_event *b)
{
	return (a->at_ns < b->at_ns ? b->at_ns - a->at_ns : a->at_ns - b->at_ns) < ks_guest_apart(a, b);
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
