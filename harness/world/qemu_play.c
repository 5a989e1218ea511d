/* Doing the deeds of a plan, and what the guest answers. */
#include "qemu_deeds.h"

#include <signal.h>
#include <string.h>

#include "qemu_core.h"
#include "truetime.h"

#define TELL_NS (50 * KS_MS) /* so long before its instant the agent is told */
#define GATHER_NS (150 * KS_MS) /* KS_GUEST_WATCH_NS before a core is stopped: somebody has to be on each of them by then, on a busy machine, too */
#define READY_NS (2 * KS_MS) /* poll may come back a little late */
#define PATIENCE_NS (20 * KS_SEC) /* with a guest that is to tell of what was done: it may have lost the timers that it sleeps by */
#define LASTS_OFF_NS (50 * KS_MS) /* a stop that much longer or shorter than it is to be is another one */

/* ---- times ---- */

static int64_t host_of(const struct ks_guest_play *p, int64_t since_ns)
{
	return p->start_ns + since_ns - p->ahead_ns;
}

int64_t ks_guest_play_since_of(const struct ks_guest_play *p, int64_t host_raw_ns)
{
	return host_raw_ns + p->ahead_ns - p->start_ns;
}

struct ks_wire_clocks ks_guest_play_since(const struct ks_guest_play *p, const struct ks_wire_clocks *told)
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
	*clocks = ks_guest_play_since(p, &c.guest);
	return 0;
}

int ks_guest_play_start(struct ks_guest_play *p, int64_t start_ns, int64_t ahead_ns, struct ks_err *err)
{
	struct ks_wire_acted acted;

	p->start_ns = start_ns;
	p->ahead_ns = ahead_ns;
	if (p->drift_ppb && ks_vm_act(p->vm, KS_ACT_RATE, 0, p->drift_ppb, &acted, ks_host_ns() + KS_GUEST_ANSWER_NS, err) != 0)
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
	return d->kind == KS_DEED_CORE ? GATHER_NS : is_watched(d) ? KS_GUEST_WATCH_NS : 0;
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
		if (e->op == KS_FAULT_ARM_LEAP && e->node == p->node && e->at_ns + ks_guest_next_midnight(unix_ns) - unix_ns <= at_ns)
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
		act.until = p->start_ns + d->until_ns + KS_GUEST_WATCH_NS + (loses_ns > stops_ns ? loses_ns - stops_ns : 0);
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

	if (ks_qmp_command(ks_vm_qmp(p->vm), what, ks_host_ns() + KS_GUEST_ANSWER_NS, err) != 0)
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
	d->stood_ns = ks_guest_play_since_of(p, since_ns);
	return 0;
}

static int stop(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	d->stood_ns = ks_guest_play_since_of(p, ks_host_raw_ns());
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
	int64_t number = p->event[d->event].amount, deadline = ks_host_ns() + KS_GUEST_ANSWER_NS;
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
	int64_t deadline = ks_host_ns() + KS_GUEST_ANSWER_NS;

	if (ks_qmp_wait(q, KS_QMP_SUSPEND, deadline, err) != 0)
		return -1;
	int64_t asleep_unix_ns = ks_qmp_told_ns(q);
	if (ks_qmp_command(q, "system_wakeup", deadline, err) != 0 || ks_qmp_wait(q, KS_QMP_WAKEUP, deadline, err) != 0)
		return -1;
	d->value = ks_qmp_told_ns(q) - asleep_unix_ns;
	d->stood_ns = ks_guest_play_since_of(p, ks_host_raw_ns()) - (ks_true_unix_ns() - asleep_unix_ns);
	return 0;
}

/* The guest is told how long it stood before it runs on, so that it knows as soon as it does. */
static int go_on(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	d->state = KS_DEED_ENDS;
	switch (d->kind) {
	case KS_DEED_HOST_STOP:
		d->value = ks_guest_play_since_of(p, ks_host_raw_ns()) - d->stood_ns;
		return kill(ks_vm_pid(p->vm), SIGCONT) ? ks_fail(err, KS_E_JUDGE, "cannot continue QEMU") : 0;
	case KS_DEED_CORE:
		d->value = ks_guest_play_since_of(p, ks_host_raw_ns()) - d->stood_ns;
		return ks_vm_core_go_on(p->vm, err);
	case KS_DEED_SAVE:
		if (save(p, d, err) != 0)
			return -1;
		/* fall through */
	case KS_DEED_VM_STOP:
		d->value = ks_guest_play_since_of(p, ks_host_raw_ns()) - d->stood_ns + KS_GUEST_CONT_TAKES_NS - KS_GUEST_STOP_TAKES_NS;
		if (d->kind == KS_DEED_SAVE)
			p->snapshot[p->event[d->event].amount].stood_for_ns = d->value;
		d->act.amount = d->value;
		return send(p, d, err) || command(p, "cont", err) ? -1 : 0;
	default:
		return wake_up(p, d, err);
	}
}

const char *ks_guest_play_name_of(const struct ks_guest_play *p, const struct ks_deed *d)
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
	return status ? ks_fail_in(err, "fault '%s'", ks_guest_play_name_of(p, d)) : 0;
}

/* ---- answers ---- */

static int too_busy(struct ks_guest_play *p, const struct ks_deed *d, const char *how, int64_t ns, struct ks_err *err)
{
	char text[KS_TIME_TEXT];

	p->busy = true;
	return ks_fail(err, KS_E_JUDGE, "fault '%s' %s %s: this machine is too busy", ks_guest_play_name_of(p, d), how, ks_dur_format(text, ns));
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

int ks_guest_play_late(struct ks_guest_play *p, const struct ks_deed *d, int64_t did_ns, struct ks_err *err)
{
	int64_t off = did_ns - d->at_ns, length = d->until_ns - d->at_ns;
	int64_t limit = d->kind == KS_DEED_CORE ? ks_guest_core_slack(length) : LASTS_OFF_NS;

	if (off > (d->kind == KS_DEED_BACK ? KS_GUEST_BACK_LATE_NS : KS_GUEST_LATE_MAX_NS))
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
	d->before = d->after = ks_guest_play_since(p, clocks);
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
		return ks_vm_fail(p->vm, err, "fault '%s': its calls did not return to be kept: %s", ks_guest_play_name_of(p, d), strerror(acted->error));
	d->before = d->after = ks_guest_play_since(p, &acted->before);
	d->until_ns = d->at_ns;
	return stop(p, d, err) ? ks_fail_in(err, "fault '%s'", ks_guest_play_name_of(p, d)) : 0;
}

int ks_guest_play_acted(struct ks_guest_play *p, const struct ks_wire_acted *acted, struct ks_err *err)
{
	struct ks_deed *d = current(p);

	if (d && d->kind == KS_DEED_SAVE && d->state == KS_DEED_ASKED && acted->kind == KS_ACT_KEEP)
		return stop_to_keep(p, d, acted, err);
	if (!d || d->state != KS_DEED_ENDS || acted->kind != d->act.kind)
		return ks_vm_fail(p->vm, err, "guest acted on its clock unasked");
	if (acted->error)
		return ks_vm_fail(p->vm, err, "fault '%s': the guest's kernel refuses: %s", ks_guest_play_name_of(p, d), strerror(acted->error));
	struct ks_wire_clocks before = ks_guest_play_since(p, &acted->before);
	d->after = ks_guest_play_since(p, &acted->after);
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
	return ks_guest_play_late(p, d, did, err);
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
	p->last = ks_guest_play_since(p, &c.guest);
	int64_t ahead = p->last.raw_ns - ks_guest_play_since_of(p, c.host_raw_ns), limit = ALIGNED_NS + c.width_ns + p->last.raw_ns / 1000000 * UNEVEN_PPM;
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
