/* Machines that begin in the middle of a scenario: clones of one that was kept, one that is put back to where it was kept, and one that
 * boots anew. */
#include "qemu_fleet.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ks_mem.h"
#include "qemu_jumps.h"

/* ---- which there will be ---- */

static struct ks_guest *last_of(struct ks_guests *f, uint32_t node)
{
	for (uint32_t i = f->lives; i-- > 0;)
		if (f->guest[i].node == node)
			return &f->guest[i];
	return NULL;
}

static void follow(struct ks_guests *f, struct ks_guest *before, uint32_t k, bool boots)
{
	struct ks_guest *g = &f->guest[f->lives++];

	*g = (struct ks_guest){.node = before->node, .incarnation = before->incarnation + boots, .first_lane = before->first_lane,
	                       .born = k, .died = KS_ANY, .before = before};
	if (!boots)
		return;
	g->first_lane = f->lanes;
	f->lanes += f->threads;
}

void ks_guests_lay_out(struct ks_guests *f)
{
	for (f->lives = 0; f->lives < f->plan->nodes; f->lives++)
		f->guest[f->lives] = (struct ks_guest){.node = f->lives, .first_lane = f->lives * f->threads, .born = KS_ANY, .died = KS_ANY};
	f->lanes = f->lives * f->threads;
	for (uint32_t k = 0; k < f->nevents && f->lives < KS_GUEST_LIVES_MAX; k++) {
		const struct ks_fault_event *e = &f->events[k];
		struct ks_guest *g = last_of(f, e->node);
		if (e->op == KS_FAULT_CLONE)
			g->born = k;
		if (e->op == KS_FAULT_ROLLBACK || e->op == KS_FAULT_DOWN)
			g->died = k;
		if (e->op == KS_FAULT_ROLLBACK || e->op == KS_FAULT_UP)
			follow(f, g, k, e->op == KS_FAULT_UP);
	}
}

void ks_guest_release(struct ks_guest *g)
{
	ks_vm_free(g->vm);
	ks_guest_play_release(&g->play);
	ks_guest_keeper_release(&g->keeper);
	ks_guest_told_release(&g->told);
	ks_free(g->account.thread);
	ks_free(g->taken);
	for (uint32_t i = 0; i < g->disk.n; i++)
		ks_free(g->disk.file[i]);
}

/* ---- times ---- */

/* When it is true time since_ns, ks_host_raw_ns. All guests' times are aligned. */
static int64_t host_of(const struct ks_guests *f, int64_t since_ns)
{
	return since_ns + f->guest[0].start_raw_ns - f->guest[0].ahead_ns;
}

static int64_t since_of(const struct ks_guests *f, int64_t host_raw_ns)
{
	return host_raw_ns - f->guest[0].start_raw_ns + f->guest[0].ahead_ns;
}

static int64_t answer_by(const struct ks_guests *f)
{
	return ks_guests_within(f, KS_GUEST_ANSWER_NS);
}

/* ---- going on from where another was kept ---- */

/* How many calls the node's thread has made by the end of this life, which has told all. */
static uint64_t calls_by(const struct ks_guests *f, const struct ks_guest *g, uint32_t thread)
{
	uint64_t n = ks_guest_told_by(&g->told, thread, INT64_MAX);

	if (g->owner) /* what was another's is in its memory, too */
		n -= ks_guest_told_by(&g->owner->told, thread, f->snapshot[f->events[g->born].amount].before.raw_ns);
	return g->before ? n + calls_by(f, g->before, thread) : n;
}

/* Calls are about what the world outside wants, which does not go back. */
static int tell_calls(struct ks_guests *f, struct ks_guest *g)
{
	struct ks_lane lane = {.node = g->node, .incarnation = g->incarnation};
	uint64_t calls[1 + KS_GUEST_THREADS_MAX] = {ks_caller(&lane, f->plan->processes, f->plan->threads)};

	for (uint32_t i = 0; g->before && i < f->threads; i++)
		calls[1 + i] = calls_by(f, g->before, i);
	return ks_vm_send(g->vm, KS_WIRE_CALLS, calls, (uint32_t)((1 + f->threads) * sizeof(*calls)), f->err);
}

/* Whose records its memory holds, too. */
static int inherit(struct ks_guests *f, struct ks_guest *g, const struct ks_guest_snapshot *of)
{
	g->owner = &f->guest[of->life];
	g->ahead_ns = g->owner->ahead_ns;
	g->start_raw_ns = g->owner->start_raw_ns;
	if (ks_guests_account(f, g) != 0 || ks_guests_plan_deeds(f, g) != 0)
		return -1;
	memcpy(g->account.clock_base_ns, g->owner->account.clock_base_ns, sizeof(g->account.clock_base_ns));
	if (tell_calls(f, g) != 0)
		return -1;
	g->stage = KS_GUEST_LIVES;
	return ks_guest_play_born(&g->play, g->start_raw_ns, g->ahead_ns, of, f->err);
}

/* ---- clones ---- */

/* So long before its birth a clone's QEMU is started. */
#define MAKE_NS KS_SEC
/* And so long before it, it is let go: it takes its time to answer. */
#define GO_NS (60 * KS_MS)

/* A new generation id is what tells the machine that it is another one; without, its random source goes on as the other's. */
static int make(struct ks_guests *f, struct ks_guest *g, const struct ks_fault_event *e)
{
	struct ks_vm_options options = f->options;
	char generation[] = KS_GUEST_GENERATION;

	generation[sizeof(generation) - 2] = (char)('2' + g->node);
	options.savable = false;
	options.same_random = true;
	if (e->extra & KS_REVIVE_RESEED)
		options.vmgenid = generation;
	g->vm = ks_vm_clone(f->loop, f->snapshot[e->amount].saved, &options, f->err);
	return g->vm ? 0 : -1;
}

static int64_t await_clone(struct ks_guests *f, struct ks_guest *g)
{
	const struct ks_fault_event *e = &f->events[g->born];
	int64_t at = host_of(f, e->at_ns), now = ks_host_raw_ns();
	bool kept = f->snapshot[e->amount].saved;

	if (!g->vm && now >= at - MAKE_NS && kept && make(f, g, e) != 0)
		return INT64_MIN;
	if (!g->vm)
		return now >= at - MAKE_NS ? now + 10 * KS_MS : at - MAKE_NS;
	if (now < at - GO_NS)
		return at - GO_NS;
	return ks_vm_wait_hello(g->vm, answer_by(f), f->err) || inherit(f, g, &f->snapshot[e->amount]) ? INT64_MIN : now;
}

/* ---- rollbacks ---- */

/* It is the same QEMU, and its node's calls are counted on. */
static int64_t await_rollback(struct ks_guests *f, struct ks_guest *g)
{
	const struct ks_fault_event *e = &f->events[g->born];
	struct ks_guest_snapshot *of = &f->snapshot[e->amount];
	struct ks_vm_clocks look;
	struct ks_qmp *q;

	if (!g->before->done || !ks_guest_play_over(&g->before->play))
		return INT64_MAX;
	g->vm = g->before->vm;
	g->before->vm = NULL;
	q = ks_vm_qmp(g->vm);
	/* The processor's counter goes on from where it was last read. */
	if (ks_vm_clocks(g->vm, 1, &look, f->err) != 0 || ks_qmp_command(q, "stop", answer_by(f), f->err) != 0)
		return INT64_MIN;
	of->stopped_ns = since_of(f, ks_host_raw_ns());
	if (ks_vm_loadvm(g->vm, (uint32_t)e->amount, answer_by(f), f->err) != 0)
		return INT64_MIN;
	of->went_on_ns = since_of(f, ks_host_raw_ns());
	if (ks_qmp_command(q, "cont", answer_by(f), f->err) != 0 || inherit(f, g, of) != 0)
		return INT64_MIN;
	return ks_host_raw_ns();
}

/* ---- booting anew ---- */

/* What is left of the time that a boot takes when QEMU has to be launched: for the end of the machine before, and to the next whole second. */
#define BEFORE_NS (1500 * KS_MS)
/* From the start of QEMU to where its battery-backed clock begins to count. */
#define RTC_BEGINS_NS (80 * KS_MS)

/* What its battery-backed clock is ahead of the scenario's time by, which runs on while the machine is off: as it was set, and was seen to
 * show then. */
static int64_t rtc_ahead(const struct ks_guests *f, const struct ks_guest *g)
{
	const struct ks_guest_play *p = &g->before->play;
	int64_t ahead = g->before->before ? rtc_ahead(f, g->before) : f->plan->node[g->node].offset_ns;

	for (uint32_t i = 0; i < p->deeds; i++)
		if (p->deed[i].act.kind == KS_ACT_RTC)
			ahead = p->deed[i].act.amount + p->deed[i].value - f->plan->start_unix_ns - p->deed[i].at_ns;
	return ahead;
}

/* The last instant early enough at which that clock, when it begins to count, has a whole second. */
static int64_t launch_at(const struct ks_guests *f, const struct ks_guest *g)
{
	int64_t latest = f->events[g->born].at_ns - ks_guest_boot_takes(&f->plan->fault[f->events[g->born].fault]) + BEFORE_NS;
	int64_t shows = f->plan->start_unix_ns + latest + RTC_BEGINS_NS + rtc_ahead(f, g);

	return latest - (shows % KS_SEC + KS_SEC) % KS_SEC;
}

static int launch(struct ks_guests *f, struct ks_guest *g)
{
	struct ks_vm_options options = f->options;
	char rtc[64];
	struct tm tm;

	g->launched_ns = since_of(f, ks_host_raw_ns());
	int64_t shows = f->plan->start_unix_ns + g->launched_ns + RTC_BEGINS_NS + rtc_ahead(f, g);
	time_t second = (time_t)((shows + KS_SEC / 2) / KS_SEC); /* it is a ms or so past the instant */
	gmtime_r(&second, &tm);
	strftime(rtc, sizeof(rtc), "base=%Y-%m-%dT%H:%M:%S,clock=vm", &tm);
	g->rtc_ns = (int64_t)second * KS_SEC - RTC_BEGINS_NS;
	options.rtc = rtc;
	g->vm = ks_vm_start(f->loop, &options, f->err);
	g->stage = KS_GUEST_BOOTS;
	return g->vm && ks_guests_account(f, g) == 0 ? 0 : -1;
}

static int bring_disk(struct ks_guests *f, struct ks_guest *g)
{
	for (uint32_t i = 0; i < g->before->disk.n; i++)
		if (ks_vm_send(g->vm, KS_WIRE_FILE, g->before->disk.file[i], g->before->disk.size[i], f->err) != 0)
			return -1;
	return 0;
}

int ks_guests_take_birth(struct ks_guests *f, struct ks_guest *g, int type, const void *payload, uint32_t len)
{
	if (g->stage == KS_GUEST_BOOTS && type == KS_WIRE_HELLO) {
		g->stage = KS_GUEST_AWAKENS;
		return ks_vm_take_hello(g->vm, payload, len, answer_by(f), f->err) || bring_disk(f, g) || ks_guests_send_config(f, g) ? -1 : 0;
	}
	if (g->stage == KS_GUEST_AWAKENS && type == KS_WIRE_READY) {
		g->stage = KS_GUEST_READY;
		return 0;
	}
	return ks_vm_fail(g->vm, f->err, "guest sent message %d of %u bytes while it booted", type, len);
}

int ks_guests_take_file(struct ks_guests *f, struct ks_guest *g, const void *payload, uint32_t len)
{
	if (g->disk.n == KS_GUEST_FILES_MAX || len > KS_WIRE_MAX / KS_GUEST_FILES_MAX)
		return ks_vm_fail(g->vm, f->err, "guest has more on its disk than a few words");
	void *copy = ks_alloc(1, len);
	if (!copy)
		return ks_fail(f->err, KS_E_INTERNAL, "out of memory");
	memcpy(copy, payload, len);
	g->disk.file[g->disk.n] = copy;
	g->disk.size[g->disk.n++] = len;
	return 0;
}

/* Its arrivals go on where those of the machine before ended: what fell due while it was off waits for it. */
static int begin(struct ks_guests *f, struct ks_guest *g)
{
	struct ks_guest *before = g->before;
	uint64_t skip[KS_GUEST_THREADS_MAX];

	if (ks_guests_align(f, g) != 0)
		return -1;
	g->start_raw_ns = host_of(f, 0) + g->ahead_ns;
	memcpy(g->account.clock_base_ns, before->account.clock_base_ns, sizeof(g->account.clock_base_ns));
	memcpy(g->taken, before->taken, f->threads * sizeof(*g->taken));
	for (uint32_t i = 0; i < f->threads; i++)
		skip[i] = before->taken[i].n;
	if (ks_vm_send(g->vm, KS_WIRE_SKIP, skip, (uint32_t)(f->threads * sizeof(*skip)), f->err) != 0 || ks_guests_hand_over(f, g) != 0)
		return -1;
	g->stage = KS_GUEST_LIVES;
	return ks_guest_play_booted(&g->play, &before->play, g->launched_ns, g->rtc_ns, f->err);
}

static int64_t await_boot(struct ks_guests *f, struct ks_guest *g)
{
	int64_t at = host_of(f, f->events[g->born].at_ns), now = ks_host_raw_ns(), launches;

	if (!g->before->done || !ks_guest_play_over(&g->before->play))
		return INT64_MAX;
	ks_vm_free(g->before->vm); /* the power is off */
	g->before->vm = NULL;
	launches = host_of(f, launch_at(f, g));
	if (g->stage == KS_GUEST_UNBORN && now < launches)
		return launches;
	if (g->stage == KS_GUEST_UNBORN)
		return launch(f, g) != 0 ? INT64_MIN : INT64_MAX;
	if (g->stage != KS_GUEST_READY)
		return INT64_MAX;
	if (now < at)
		return at;
	return begin(f, g) != 0 ? INT64_MIN : now;
}

int64_t ks_guests_await(struct ks_guests *f, struct ks_guest *g)
{
	switch (f->events[g->born].op) {
	case KS_FAULT_CLONE:
		return await_clone(f, g);
	case KS_FAULT_ROLLBACK:
		return await_rollback(f, g);
	default:
		return await_boot(f, g);
	}
}
