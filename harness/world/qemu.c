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

static int add_records(struct ks_guests *f, struct ks_guest *g, int type, const void *payload, uint32_t len)
{
	int64_t now = ks_host_raw_ns() + g->ahead_ns - g->start_raw_ns + AHEAD_MAX_NS;
	struct ks_err first;

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

/* Those of a clone are sorted out when its owner has told all of its own. */
static int take_records(struct ks_guests *f, struct ks_guest *g, int type, const void *payload, uint32_t len)
{
	if (f->plan->clones && type == KS_WIRE_RECORDS && ks_guest_told_add(&g->told, payload, len, f->err) != 0)
		return -1;
	return g->owner ? 0 : add_records(f, g, type, payload, len);
}

/* A call that was going on when its machine was kept goes on in the clone: it is one of the clone's from its birth on. */
static void begin_at_birth(struct ks_wire_record *w, int64_t born_ns)
{
	w->due_ns = w->due_ns < born_ns ? born_ns : w->due_ns;
	w->call_ns = w->call_ns < w->due_ns ? w->due_ns : w->call_ns;
	if (w->return_ns != KS_NO_TIME && w->return_ns < w->call_ns) /* its machine's counter and ours differ a little */
		w->return_ns = w->call_ns;
	if (w->read_at_ns != KS_NO_TIME && w->read_at_ns < w->call_ns)
		w->read_at_ns = w->call_ns;
}

static int sort_out(struct ks_guests *f, struct ks_guest *g)
{
	const uint32_t some = KS_WIRE_MAX / sizeof(struct ks_wire_record) / 2;
	int64_t born_ns = g->play.deed[0].stood_ns + g->play.deed[0].value;

	ks_guest_told_own(&g->told, &g->owner->told, f->threads);
	for (size_t i = 0; i < g->told.n; i++) {
		struct ks_wire_record *w = &g->told.v[i];
		w->call_ns = ks_guest_play_true(&g->play, w->call_ns);
		if (w->return_ns != KS_NO_TIME)
			w->return_ns = ks_guest_play_true(&g->play, w->return_ns);
		if (w->read_at_ns != KS_NO_TIME)
			w->read_at_ns = ks_guest_play_true(&g->play, w->read_at_ns);
		begin_at_birth(w, born_ns);
	}
	g->play.nstood = 0; /* they are in true time now */
	for (size_t at = 0; at < g->told.n; at += some) {
		size_t n = g->told.n - at < some ? g->told.n - at : some;
		if (add_records(f, g, KS_WIRE_RECORDS, g->told.v + at, (uint32_t)(n * sizeof(*g->told.v))) != 0)
			return -1;
	}
	return 0;
}

static int take_frame(struct ks_guests *f, struct ks_guest *g, int64_t deadline_ns)
{
	const void *payload;
	uint32_t len;
	int type = ks_vm_recv(g->vm, &payload, &len, deadline_ns, f->err);

	if (type < 0)
		return -1;
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
		return ks_guest_jumps_take(g->vm, g->node, g->start_raw_ns, payload, len, f->output, f->err);
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

/* ---- Clones ---- */

static const struct ks_fault_event *birth_of(const struct ks_guests *f, uint32_t node)
{
	for (uint32_t i = 0; i < f->nevents; i++)
		if (f->events[i].node == node && f->events[i].op == KS_FAULT_CLONE)
			return &f->events[i];
	return NULL;
}

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

static int give_birth(struct ks_guests *f, struct ks_guest *g)
{
	const struct ks_fault_event *e = birth_of(f, g->node);
	const struct ks_guest_snapshot *of = &f->snapshot[e->amount];

	g->owner = &f->guest[of->node];
	g->ahead_ns = g->owner->ahead_ns;
	g->start_raw_ns = g->owner->start_raw_ns;
	if (ks_guests_account(f, g) != 0 || ks_vm_wait_hello(g->vm, ks_guests_within(f, KS_GUEST_ANSWER_NS), f->err) != 0 ||
	    ks_guest_play_init(&g->play, g->vm, f->request, g->node, f->events, f->nevents, f->err) != 0)
		return -1;
	memcpy(g->account.clock_base_ns, g->owner->account.clock_base_ns, sizeof(g->account.clock_base_ns));
	return ks_guest_play_born(&g->play, &g->owner->play, of, f->err);
}

/* So long before its birth a clone's QEMU is started. */
#define MAKE_NS KS_SEC
/* And so long before it, it is let go: it takes its time to answer. */
#define GO_NS (60 * KS_MS)

/* @return when something is due for a clone that is not born yet, ks_host_raw_ns; INT64_MIN: an error. */
static int64_t await_birth(struct ks_guests *f, struct ks_guest *g)
{
	const struct ks_fault_event *e = birth_of(f, g->node);
	const struct ks_guest *first = &f->guest[0]; /* all guests' times are aligned */
	int64_t at = e->at_ns + first->start_raw_ns - first->ahead_ns, now = ks_host_raw_ns();
	bool kept = f->snapshot[e->amount].saved;

	if (!g->vm && now >= at - MAKE_NS && kept && make(f, g, e) != 0)
		return INT64_MIN;
	if (!g->vm)
		return now >= at - MAKE_NS ? now + 10 * KS_MS : at - MAKE_NS;
	if (now < at - GO_NS)
		return at - GO_NS;
	return give_birth(f, g) != 0 ? INT64_MIN : now;
}

static bool is_born(const struct ks_guest *g)
{
	return g->owner || g->play.deed;
}

/* Does what is due in any guest. *next_ns: when something will be again, ks_host_ns. */
static int do_what_is_due(struct ks_guests *f, int64_t *next_ns)
{
	int64_t next = INT64_MAX;

	for (uint32_t i = 0; i < f->n; i++) {
		struct ks_guest_play *p = &f->guest[i].play;
		if (!is_born(&f->guest[i])) {
			int64_t wanted = await_birth(f, &f->guest[i]);
			if (wanted == INT64_MIN)
				return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
			next = wanted < next ? wanted : next;
			continue;
		}
		if (ks_guest_play_run(p, f->err) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
		int64_t due = ks_guest_play_due(p);
		next = due < next ? due : next;
	}
	*next_ns = next == INT64_MAX ? INT64_MAX : ks_host_ns() + next - ks_host_raw_ns() - KS_MS; /* it may come back a little late */
	return 0;
}

/* Waits for any guest that is not done, and meanwhile does to them what is due. @return it, or NULL with an error. */
static struct ks_guest *wait_any(struct ks_guests *f, int64_t deadline_ns)
{
	struct ks_guest *guest[KS_GUESTS_MAX];
	struct ks_vm *vm[KS_GUESTS_MAX];
	int64_t next_ns = INT64_MAX;
	int n, ready;

	do {
		if (do_what_is_due(f, &next_ns) != 0)
			return NULL;
		n = 0;
		for (uint32_t i = 0; i < f->n; i++)
			if (is_born(&f->guest[i]) && !is_over(&f->guest[i])) {
				guest[n] = &f->guest[i];
				vm[n++] = f->guest[i].vm;
			}
		if (ks_vm_wait_any(vm, n, next_ns < deadline_ns ? next_ns : deadline_ns, &ready, f->err) != 0)
			return NULL;
	} while (ready < 0 && ks_host_ns() < deadline_ns);
	if (ready < 0)
		ks_vm_fail(vm[0], f->err, "guests did not finish in time");
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
		if (ks_guest_play_end(p, f->err) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
		k->first = p->first;
		k->last = p->last;
		bool kept = ks_guest_is_kept(f->plan, i);
		if (kept ? ks_guest_keeper_prove(k, f->output, f->err) == 0 : ks_guest_prove(p, f->output, f->err) == 0)
			continue;
		p->busy |= !strcmp(p->source, "jiffies"); /* ticks that a busy machine did not let come look like a clock that went wrong */
		return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
	}
	return 0;
}

static int play(struct ks_guests *f)
{
	if (ks_guests_boot(f) != 0)
		return -1;
	for (uint32_t i = 0; i < f->n; i++)
		if (ks_guests_configure(f, &f->guest[i]) != 0)
			return -1;
	if (ks_guests_agree_on_start(f) != 0)
		return -1;
	for (uint32_t i = 0; i < f->n; i++)
		if (ks_guests_hand_over(f, &f->guest[i]) != 0)
			return -1;
	f->n = f->plan->nodes; /* clones, which begin later */
	for (uint32_t i = f->plan->nodes - f->plan->clones; i < f->n; i++)
		f->guest[i].node = i;
	if (collect(f) != 0)
		return -1;
	for (uint32_t i = 0; i < f->n; i++)
		if (f->guest[i].owner && sort_out(f, &f->guest[i]) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
	return prove(f);
}

/* What a guest that has not answered would have been. */
static const char *system_of(const struct ks_guests *f, char *text, size_t size)
{
	const char *version = f->options.kernel, *source = f->options.clocksource;
	char kernel[64];

	if (!version)
		version = ks_guest_kernel(kernel, sizeof(kernel));
	snprintf(text, size, "linux %.60s%s%s", *version ? version : "of unknown version", source ? " " : "", source ? source : "");
	return text;
}

/* "tcg, linux 6.1.0-56-cloud-amd64 tsc, QEMU 7.2.22"; of a run that failed, what of it was known by then. */
static void describe(struct ks_guests *f, char *detail, size_t size)
{
	struct ks_vm *vm = f->guest[0].vm;
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
	uint32_t lanes = f->plan->nodes * f->threads;

	out->injection = ks_alloc(f->nevents + 1, sizeof(*out->injection));
	out->records.lanes = ks_alloc(lanes, sizeof(*out->records.lanes));
	f->frame = ks_alloc(1, KS_WIRE_MAX);
	if (!f->frame || !out->injection || !out->records.lanes)
		return ks_fail(f->err, KS_E_INTERNAL, "out of memory for %u lanes", lanes);
	out->records.nlanes = lanes;
	for (uint32_t i = 0; i < lanes; i++)
		out->records.lanes[i] = (struct ks_lane){.node = i / f->threads, .thread = i % f->threads};
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
		ks_fail(f->err, KS_E_JUDGE, "interrupted; console of node '%s': %s", f->plan->node[i].name, text);
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
	for (uint32_t i = 0; i < KS_GUESTS_MAX; i++) {
		*busy = *busy || f.guest[i].play.busy;
		ks_vm_free(f.guest[i].vm);
		ks_guest_play_release(&f.guest[i].play);
		ks_guest_keeper_release(&f.guest[i].keeper);
		ks_guest_told_release(&f.guest[i].told);
		ks_free(f.guest[i].account.thread);
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
