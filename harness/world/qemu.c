/* The world `qemu`: every node is a guest with a kernel of its own, all booted side by side.
 *
 * A guest's true time is its processor's counter; the guests' are aligned with each other through the harness's clock when
 * the run begins. The scenario's start falls on one instant in all of them, and REALTIME is set so that it shows the
 * scenario's date then. What is done to them is in qemu_play.c, how it is proven in qemu_prove.c. */
#include <stdio.h>
#include <string.h>

#include "ks_mem.h"
#include "ks_subject.h"
#include "qemu_fleet.h"
#include "qemu_loop.h"
#include "qemu_jumps.h"
#include "qemu_program.h"
#include "qemu_seats.h"

#define GRACE_NS (60 * KS_SEC) /* after the end: time to bring the records over */
#define TICKS_NOISE_NS (20 * KS_MS) /* of a clock that counts ticks of 4 ms, some of which a busy machine loses */
#define AHEAD_MAX_NS (100 * KS_MS) /* what returned is not later than now; a guest's RAW clock runs a little off ours */

static int take_done(struct ks_guests *f, struct ks_guest *g, const struct ks_wire_done *done)
{
	uint64_t got = g->owner ? g->told.n : g->account.records;

	if (done->records != got)
		return ks_vm_fail(g->vm, f->err, "guest sent %llu records and says that it made %llu", (unsigned long long)got,
		                  (unsigned long long)done->records);
	f->output->records.clock_reads += done->clock_reads;
	g->done = true;
	return 0;
}

/* Records of calls that began, or ended, before the guest knew how long it had stood are told as if it had not. */
static const void *in_true_time(const struct ks_guests *f, const struct ks_guest *g, const void *payload, uint32_t len)
{
	struct ks_wire_record *w = f->frame;

	if (!g->play.nstood || len % sizeof(*w))
		return payload;
	memcpy(w, payload, len);
	for (uint32_t i = 0; i < len / sizeof(*w); i++) {
		w[i].call_ns = ks_guest_play_true(&g->play, w[i].call_ns);
		if (w[i].return_ns != KS_NO_TIME)
			w[i].return_ns = ks_guest_play_true(&g->play, w[i].return_ns);
		if (w[i].read_at_ns != KS_NO_TIME)
			w[i].read_at_ns = ks_guest_play_true(&g->play, w[i].read_at_ns);
	}
	return w;
}

/* Of its own: a call that tries again has the arrival of the one before. */
static void count_arrivals(struct ks_guest *g, const void *payload, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct ks_wire_record w;
		memcpy(&w, (const char *)payload + i * sizeof(w), sizeof(w));
		if (w.thread >= g->account.threads || (g->taken[w.thread].n && g->taken[w.thread].due_ns == w.due_ns))
			continue;
		g->taken[w.thread].due_ns = w.due_ns;
		g->taken[w.thread].n++;
	}
}

static int add_records(struct ks_guests *f, struct ks_guest *g, int type, const void *payload, uint32_t len)
{
	int64_t now = ks_host_raw_ns() + g->ahead_ns - g->start_raw_ns + AHEAD_MAX_NS;
	struct ks_err first;

	if (type == KS_WIRE_RECORDS)
		count_arrivals(g, payload, len / (uint32_t)sizeof(struct ks_wire_record));
	int status = type == KS_WIRE_TEXTS
			     ? ks_wire_account_texts(&g->account, payload, len, &f->output->records, &first)
			     : ks_wire_account_add(&g->account, in_true_time(f, g, payload, len), len, now, &f->output->records, &first);
	if (status == 0)
		return 0;
	g->play.busy |= g->account.ahead; /* its counter was aligned, or its stop timed, while this machine did something else */
	if (first.code != KS_E_JUDGE)
		return ks_fail(f->err, first.code, "%s", first.text);
	return ks_vm_fail(g->vm, f->err, "%s", first.text);
}

/* Is any machine kept, for another one to go on from there? */
static bool is_kept(const struct ks_guests *f)
{
	for (uint32_t i = 0; i < f->nevents; i++)
		if (f->events[i].op == KS_FAULT_SNAPSHOT)
			return true;
	return false;
}

/* Those of one that went on from another are sorted out when that one has told all of its own. */
static int take_records(struct ks_guests *f, struct ks_guest *g, int type, const void *payload, uint32_t len)
{
	if (is_kept(f) && type == KS_WIRE_RECORDS && ks_guest_told_add(&g->told, payload, len, f->err) != 0)
		return -1;
	return g->owner ? 0 : add_records(f, g, type, payload, len);
}

/* What goes on from where a machine was kept has what that one told in its memory, and tells it, too. By birth, the last one first: then
 * whose records another one's are held against are still whole. */
static void take_away_what_others_told(struct ks_guests *f)
{
	for (uint32_t k = f->nevents; k-- > 0;)
		for (uint32_t i = 0; i < f->lives; i++)
			if (f->guest[i].born == k && f->guest[i].owner)
				ks_guest_told_own(&f->guest[i].told, &f->guest[i].owner->told, f->threads);
}

/* A machine that was put back goes on with the numbers of its node's calls. */
static int add_told(struct ks_guests *f, struct ks_guest *g)
{
	const uint32_t some = KS_WIRE_MAX / sizeof(struct ks_wire_record) / 2;
	struct ks_guest_told *t = &g->told;

	for (uint32_t i = 0; g->before && i < f->threads; i++) {
		g->account.thread[i] = g->before->account.thread[i];
		g->account.thread[i].lost = false;
	}
	for (size_t i = 0; g->before && i < t->n; i++)
		t->v[i].seq += t->v[i].thread < f->threads ? g->before->account.thread[t->v[i].thread].seq : 0;
	for (size_t at = 0; at < t->n; at += some) {
		size_t n = t->n - at < some ? t->n - at : some;
		if (add_records(f, g, KS_WIRE_RECORDS, t->v + at, (uint32_t)(n * sizeof(*t->v))) != 0)
			return -1;
	}
	return 0;
}

static int sort_out(struct ks_guests *f)
{
	take_away_what_others_told(f);
	for (uint32_t k = 0; k < f->nevents; k++)
		for (uint32_t i = 0; i < f->lives; i++)
			if (f->guest[i].born == k && f->guest[i].owner && add_told(f, &f->guest[i]) != 0)
				return ks_fail_in(f->err, "node '%s'", f->plan->node[f->guest[i].node].name);
	return 0;
}

static bool lives(const struct ks_guest *g)
{
	return g->stage == KS_GUEST_LIVES;
}

static int take_frame(struct ks_guests *f, struct ks_guest *g, int64_t deadline_ns)
{
	const void *payload;
	uint32_t len;
	int type = ks_vm_recv(g->vm, &payload, &len, deadline_ns, f->err);

	if (type < 0)
		return -1;
	if (!lives(g))
		return ks_guests_take_birth(f, g, type, payload, len);
	if (type == KS_WIRE_FILE)
		return ks_guests_take_file(f, g, payload, len);
	if (type == KS_WIRE_CLOCKS && len == sizeof(struct ks_wire_clocks)) {
		struct ks_wire_clocks clocks;
		memcpy(&clocks, payload, sizeof(clocks));
		return ks_guest_play_clocks(&g->play, &clocks, f->err);
	}
	if (type == KS_WIRE_ACTED && len == sizeof(struct ks_wire_acted)) {
		struct ks_wire_acted acted;
		memcpy(&acted, payload, sizeof(acted));
		return ks_guest_play_acted(&g->play, &acted, f->err);
	}
	if (type == KS_WIRE_DONE && len == sizeof(struct ks_wire_done)) {
		struct ks_wire_done done;
		memcpy(&done, payload, sizeof(done));
		return take_done(f, g, &done);
	}
	if (type == KS_WIRE_JUMPS)
		return ks_guest_jumps_take(g->vm, g->node, g->start_raw_ns, g->start_raw_ns + (g->owner ? f->events[g->born].at_ns : 0), payload, len, f->output, f->err);
	if (type == KS_WIRE_REASONS)
		return ks_guest_program_reasons(g->vm, &g->account, payload, len, &f->output->records, f->err);
	if (type != KS_WIRE_RECORDS && type != KS_WIRE_TEXTS)
		return ks_vm_fail(g->vm, f->err, "guest sent message %d of %u bytes out of turn", type, len);
	return take_records(f, g, type, payload, len);
}

static bool is_over(const struct ks_guest *g)
{
	return g->done && ks_guest_play_over(&g->play);
}

/* Does what is due in any guest. *next_ns: when something will be again, ks_host_ns. */
static int do_what_is_due(struct ks_guests *f, int64_t *next_ns)
{
	int64_t next = INT64_MAX;

	for (uint32_t i = 0; i < f->n; i++) {
		struct ks_guest_play *p = &f->guest[i].play;
		const char *name = f->plan->node[f->guest[i].node].name;
		if (!lives(&f->guest[i])) {
			int64_t wanted = ks_guests_await(f, &f->guest[i]);
			if (wanted == INT64_MIN)
				return ks_fail_in(f->err, "node '%s'", name);
			next = wanted < next ? wanted : next;
			continue;
		}
		if (ks_guest_play_run(p, f->err) != 0)
			return ks_fail_in(f->err, "node '%s'", name);
		int64_t due = ks_guest_play_due(p);
		next = due < next ? due : next;
	}
	*next_ns = next == INT64_MAX ? INT64_MAX : ks_host_ns() + next - ks_host_raw_ns() - KS_MS; /* it may come back a little late */
	return 0;
}

/* Waits for any guest that is not done, and meanwhile does to them what is due. @return it, or NULL with an error. */
static struct ks_guest *wait_any(struct ks_guests *f, int64_t deadline_ns)
{
	struct ks_guest *guest[KS_GUEST_LIVES_MAX];
	struct ks_vm *vm[KS_GUEST_LIVES_MAX];
	int64_t next_ns = INT64_MAX;
	int n, ready;

	do {
		if (do_what_is_due(f, &next_ns) != 0)
			return NULL;
		n = 0;
		for (uint32_t i = 0; i < f->n; i++)
			if (f->guest[i].vm && f->guest[i].stage != KS_GUEST_UNBORN && !is_over(&f->guest[i])) {
				guest[n] = &f->guest[i];
				vm[n++] = f->guest[i].vm;
			}
		if (!n) { /* a machine is off, and another one is not on yet */
			if (ks_vm_loop_turn(f->loop, next_ns < deadline_ns ? next_ns : deadline_ns, f->err) < 0)
				return NULL;
			ready = -1;
			continue;
		}
		if (ks_vm_wait_any(vm, n, next_ns < deadline_ns ? next_ns : deadline_ns, &ready, f->err) != 0)
			return NULL;
	} while (ready < 0 && ks_host_ns() < deadline_ns);
	if (ready < 0 && n)
		ks_vm_fail(vm[0], f->err, "guests did not finish in time");
	else if (ready < 0)
		ks_fail(f->err, KS_E_JUDGE, "guests did not begin in time");
	return ready < 0 ? NULL : guest[ready];
}

static uint32_t running(const struct ks_guests *f)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->n; i++)
		n += !is_over(&f->guest[i]);
	return n;
}

static int collect(struct ks_guests *f)
{
	int64_t deadline = ks_guests_within(f, f->plan->duration_ns + KS_DRAIN_NS + GRACE_NS);

	while (running(f)) {
		struct ks_guest *g = wait_any(f, deadline);
		if (!g)
			return -1;
		if (take_frame(f, g, deadline) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[g->node].name);
	}
	return 0;
}

static int prove(struct ks_guests *f)
{
	for (uint32_t i = 0; i < f->n; i++) {
		struct ks_guest_play *p = &f->guest[i].play;
		struct ks_guest_keeper *k = &f->guest[i].keeper;
		const char *name = f->plan->node[f->guest[i].node].name;
		if (ks_guest_play_end(p, f->err) != 0)
			return ks_fail_in(f->err, "node '%s'", name);
		k->first = p->first;
		k->last = p->last;
		bool kept = ks_guest_is_kept(f->plan, f->guest[i].node);
		if (kept ? ks_guest_keeper_prove(k, f->output, f->err) == 0 : ks_guest_prove(p, f->output, f->err) == 0)
			continue;
		p->busy |= !strcmp(p->source, "jiffies"); /* ticks that a busy machine did not let come look like a clock that went wrong */
		return ks_fail_in(f->err, "node '%s'", name);
	}
	return 0;
}

static int play(struct ks_guests *f)
{
	if (ks_guests_boot(f) != 0 || ks_guests_prepare(f) != 0)
		return -1;
	for (uint32_t i = 0; i < f->n; i++)
		if (ks_guests_hand_over(f, &f->guest[i]) != 0)
			return -1;
	f->n = f->lives; /* with those that begin later */
	return collect(f) || sort_out(f) || prove(f) ? -1 : 0;
}

/* What a guest that has not answered would have been. */
static const char *system_of(const struct ks_guests *f, char *text, size_t size)
{
	const char *version = ks_guests_kernel(f->plan), *source = ks_guests_source(f->plan);
	char kernel[64];

	if (!version)
		version = ks_guest_kernel(kernel, sizeof(kernel));
	snprintf(text, size, "linux %.60s%s%s", *version ? version : "of unknown version", source ? " " : "", source ? source : "");
	return text;
}

/* Of the first node: it may have ended, and booted anew. */
static struct ks_vm *any_of(const struct ks_guests *f)
{
	uint32_t i = 0;

	while (i < KS_GUEST_LIVES_MAX && !f->guest[i].vm)
		i++;
	return i < KS_GUEST_LIVES_MAX ? f->guest[i].vm : NULL;
}

/* "tcg, linux 6.1.0-56-cloud-amd64 tsc, QEMU 7.2.22"; of a run that failed, what of it was known by then. */
static void describe(struct ks_guests *f, char *detail, size_t size)
{
	struct ks_vm *vm = any_of(f);
	const char *system = vm ? ks_vm_system(vm) : "", *qemu = vm ? ks_qmp_version(ks_vm_qmp(vm)) : "";
	char planned[120];
	bool capped = false;

	for (uint32_t i = 0; ks_guests_run_free(f) && i < f->n; i++)
		capped |= f->guest[i].account.records >= KS_WIRE_LINES_MAX;
	snprintf(detail, size, "%s, %.120s%s%.31s%s", ks_qemu_accel(), *system ? system : system_of(f, planned, sizeof(planned)),
	         *qemu ? ", QEMU " : "", qemu, capped ? "; a program printed more than is read, only the beginning is judged" : "");
}

static int reserve(struct ks_guests *f)
{
	struct ks_run_output *out = f->output;
	out->injection = ks_alloc(f->nevents + 1, sizeof(*out->injection));
	out->records.lanes = ks_alloc(f->lanes, sizeof(*out->records.lanes));
	f->frame = ks_alloc(1, KS_WIRE_MAX);
	if (!f->frame || !out->injection || !out->records.lanes)
		return ks_fail(f->err, KS_E_INTERNAL, "out of memory for %u lanes", f->lanes);
	out->records.nlanes = f->lanes;
	for (uint32_t i = 0; i < f->lives; i++)
		for (uint32_t k = 0; k < f->threads; k++)
			out->records.lanes[f->guest[i].first_lane + k] = (struct ks_lane){.node = f->guest[i].node, .incarnation = f->guest[i].incarnation, .thread = k};
	return 0;
}

/* Who ends a run that takes too long wants to know what the guest that it waited for said last. */
static void tell_console(struct ks_guests *f)
{
	char text[KS_VM_CONSOLE_MAX];
	uint32_t i = 0;

	while (i < f->n && is_over(&f->guest[i]))
		i++;
	if (i < f->n && f->guest[i].vm && *ks_vm_console(f->guest[i].vm, text))
		ks_fail(f->err, KS_E_JUDGE, "interrupted; console of node '%s': %s", f->plan->node[f->guest[i].node].name, text);
}

/* A machine that was too busy to act in time gets another chance, as nothing was judged yet. */
#define TRIES 3

static int try_once(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err)
{
	struct ks_guests f = {.request = request, .plan = request->plan, .output = output, .err = err,
	                  .threads = ks_guest_program_threads(request->plan, request->gen),
	                  .deadline_ns = request->timeout_ns ? ks_host_ns() + request->timeout_ns : INT64_MAX};
	int failed = 0;

	bool ticks = request->plan->clocksource == KS_CLOCKSOURCE_JIFFIES;
	*output = (struct ks_run_output){.noise_ns = ticks ? TICKS_NOISE_NS : KS_READ_WIDTH_MAX_NS, .records.limit = request->memory};
	if (!request->control)
		failed = ks_plan_events(request->plan, request->seed, &f.events, &f.nevents, err);
	if (!failed)
		ks_guests_lay_out(&f);
	failed = failed || reserve(&f) != 0 || play(&f) != 0;
	if (!failed) {
		ks_guest_jumps_sort(output);
		failed = ks_guest_keepers_tell(f.plan, output, err);
		failed = failed ? -1 : ks_records_sort(&output->records) != 0 ? ks_fail(err, KS_E_INTERNAL, "out of memory for records") : 0;
	}
	if (failed && request->stop && *request->stop)
		tell_console(&f);
	describe(&f, output->detail, sizeof(output->detail));
	*busy = false;
	for (uint32_t i = 0; i < KS_GUEST_LIVES_MAX; i++) {
		*busy = *busy || f.guest[i].play.busy;
		ks_guest_release(&f.guest[i]);
	}
	for (int i = 0; i < KS_GUEST_SNAPSHOTS_MAX; i++)
		ks_vm_saved_free(f.snapshot[i].saved);
	ks_vm_loop_free(f.loop);
	ks_free(f.frame);
	ks_free(f.events);
	if (failed)
		ks_run_output_fail(output);
	return failed ? -1 : 0;
}

static int run(const struct ks_run_request *request, struct ks_run_output *output, struct ks_err *err)
{
	int seats = (int)request->plan->nodes, status;
	bool busy;

	*output = (struct ks_run_output){.noise_ns = KS_READ_WIDTH_MAX_NS};
	if (!request->gen->gen && ks_guest_program_find(request, err) != 0)
		return -1;
	if (ks_guest_seats_take(seats, request->stop, err) != 0)
		return -1;
	for (int try = 1; (status = try_once(request, output, &busy, err)) != 0 && busy && try < TRIES; try++)
		;
	ks_guest_seats_leave(seats);
	return status;
}

const struct ks_world ks_world_qemu = {
	.id = KS_WORLD_QEMU, .name = "qemu", .title = "real guest kernels under QEMU", .available = ks_guest_available,
	.carries = ks_guests_carry, .run = run, .runs_control = false,
};
