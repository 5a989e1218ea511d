/* The world `qemu`: every node is a guest with a kernel of its own, all booted side by side.
 *
 * A guest's true time is its processor's counter; the guests' are aligned with each other through the harness's clock when
 * the run begins. The scenario's start falls on one instant in all of them, and REALTIME is set so that it shows the
 * scenario's date then. What is done to them is in qemu_play.c, how it is proven in qemu_prove.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ft_records.h"
#include "ks_mem.h"
#include "ks_qemu.h"
#include "ks_subject.h"
#include "ks_world.h"
#include "qemu_jumps.h"
#include "qemu_keeper.h"
#include "qemu_clone.h"
#include "qemu_play.h"
#include "qemu_program.h"
#include "qemu_seats.h"

#define GUESTS_MAX 4     /* that two cores can run and still be on time */
#define THREADS_MAX 256  /* of a guest */
#define CALLS_MAX 1500000 /* of a node: what the guest's memory holds twice over (chance, retries) */
#define BOOT_NS (120 * KS_SEC)
#define ANSWER_NS (30 * KS_SEC)
#define LEAD_NS (200 * KS_MS)  /* from the last preparation to the start, for each guest */
#define GRACE_NS (60 * KS_SEC) /* after the end: time to bring the records over */
#define DATE_NS (10 * KS_MS) /* a clock that counts ticks shows no better */
#define TICKS_NOISE_NS (20 * KS_MS) /* of a clock that counts ticks of 4 ms, some of which a busy machine loses */
#define AHEAD_MAX_NS (100 * KS_MS) /* what returned is not later than now; a guest's RAW clock runs a little off ours */
#define SETTABLE_UNIX_NS INT64_C(8277292036000000000) /* 2232-04-18: Linux keeps 30 years up to the end of its time */

struct guest {
	struct ks_vm *vm;
	uint32_t node;
	int64_t ahead_ns;     /* its true time - the host's, when it was aligned */
	int64_t start_raw_ns; /* of the scenario, in its true time */
	struct ks_guest_play play;
	struct ks_guest_told told;  /* where there are clones: what it told */
	const struct guest *owner;  /* of a clone */
	struct ks_guest_keeper keeper;
	struct ks_wire_account account;
	bool done;
};

struct fleet {
	const struct ks_run_request *request;
	const struct ks_plan *plan;
	struct ks_run_output *output;
	struct ks_fault_event *events;
	uint32_t nevents;
	struct ks_vm_loop *loop;
	uint32_t threads; /* of a guest */
	struct guest guest[GUESTS_MAX];
	uint32_t n;
	int64_t deadline_ns; /* of the whole run, ks_host_ns */
	struct ks_guest_snapshot snapshot[KS_GUEST_SNAPSHOTS_MAX];
	struct ks_vm_options options;
	void *frame;         /* of KS_WIRE_MAX bytes: records on their way */
	struct ks_err *err;
};

static int available(char *why, size_t size)
{
	return ks_guest_available(why, size);
}

static int refuse(char *why, size_t size, const char *reason)
{
	snprintf(why, size, "%s", reason);
	return -1;
}

/* The clock source that the kernels of the fleet are to use; NULL: their own choice. */
static const char *source_of(const struct ks_plan *plan)
{
	return plan->clocksource ? ks_clocksource_names[plan->clocksource] : NULL;
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
		const char *lacks = ks_guest_lacks_drift(n->drift_drawn ? KS_FREE_DRIFT_PPB : n->drift_ppb, clocks, source_of(plan));
		if (!lacks)
			continue;
		snprintf(why, size, "node '%s' drifts: %s", n->name, lacks);
		return -1;
	}
	return 0;
}

static int carries_events(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n, unsigned clocks, char *why,
			  size_t size)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct ks_fault *f = &plan->fault[event[i].fault];
		const char *lacks = ks_guest_lacks(plan, &event[i], clocks, source_of(plan));
		if (lacks) {
			snprintf(why, size, "fault '%s' is a %s: %s", f->name, f->kind->name, lacks);
			return -1;
		}
		for (uint32_t k = i + 1; k < n && event[k].at_ns - event[i].at_ns < KS_SEC; k++)
			if (ks_guest_clash(&event[i], &event[k])) {
				snprintf(why, size, "faults '%s' and '%s' are too near for a guest to prove each", f->name,
				         plan->fault[event[k].fault].name);
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
	int status = carries_events(plan, events, n, clocks, why, size) || ks_guest_keeper_carries(plan, events, n, why, size) ? -1 : 0;
	ks_free(events);
	return status;
}

/* The version that the scenario takes alone; NULL: any. */
static const char *kernel_of(const struct ks_plan *plan)
{
	return *plan->kernel && strcmp(plan->kernel, "any") ? plan->kernel : NULL;
}

static int carries_kernel(const struct ks_plan *plan, char *why, size_t size)
{
	char kernel[64], path[1024];

	if (ks_guest_path_of(kernel_of(plan), "vmlinux", path, sizeof(path)) == 0)
		return 0;
	ks_guest_kernel(kernel, sizeof(kernel));
	snprintf(why, size, "the guest image has kernel %s, and the scenario takes %s alone: vm-images/build --kernel %s makes one beside it",
	         *kernel ? kernel : "of unknown version", plan->kernel, plan->kernel);
	return -1;
}

static bool has_generation(const struct ks_plan *plan)
{
	return ks_guest_has_vmgenid(kernel_of(plan));
}

static int carries_clones(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	if (!gen->gen || ks_gen_issues_texts(gen))
		return refuse(why, size, "what a clone in a guest issues is told apart from its owner's by keys that are numbers, and these are texts");
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		if (f->kind->op == KS_FAULT_SNAPSHOT && f->amount >= KS_GUEST_SNAPSHOTS_MAX)
			return refuse(why, size, "guests are kept at most 8 times");
		if (f->kind->op == KS_FAULT_CLONE && f->vmgenid && !has_generation(plan))
			return refuse(why, size, "the guest image's kernel has no driver of a generation id, so a clone does not learn that it is one");
	}
	return 0;
}

static int carries(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	if (gen->gen && ks_gen_find(ks_gens_sim, gen->gen->name) != gen->gen)
		return refuse(why, size, "guests run built-in generators and programs, not plug-ins");
	if (ks_plan_worker_rule(plan) != KS_WORKER_GIVEN)
		return refuse(why, size, "only sim and faketime make node ids of leases, pids and MAC addresses");
	if (ks_plan_sim_only(plan))
		return refuse(why, size, ks_plan_sim_only(plan));
	if (plan->nodes > GUESTS_MAX)
		return refuse(why, size, "at most 4 nodes: each is a guest");
	if (plan->processes != 1 || plan->threads > THREADS_MAX)
		return refuse(why, size, "one process of at most 256 threads a guest");
	if (plan->start_unix_ns + plan->duration_ns > SETTABLE_UNIX_NS)
		return refuse(why, size, "no Linux clock can be set beyond 2232-04-18");
	if (too_many_calls(plan))
		return refuse(why, size, "more than 1500000 calls of a node: a guest's memory does not hold them");
	if (plan->clocksource == KS_CLOCKSOURCE_KVM && strcmp(ks_qemu_accel(), "kvm"))
		return refuse(why, size, "the clock source kvm-clock is there under KVM only, and this machine has TCG");
	if (plan->clones && carries_clones(plan, gen, why, size) != 0)
		return -1;
	if (!gen->gen && ks_guest_program_carries(plan, gen, why, size) != 0)
		return -1;
	return carries_kernel(plan, why, size) || carries_faults(plan, gen, why, size) ? -1 : 0;
}

/* ---- Preparing ---- */

/* When something that should take limit_ns is given up: then, or when the run is. */
static int64_t within(const struct fleet *f, int64_t limit_ns)
{
	int64_t at = ks_host_ns() + limit_ns;
	return at < f->deadline_ns ? at : f->deadline_ns;
}

static bool runs_free(const struct fleet *f)
{
	return ks_guest_program_runs_free(f->request->gen);
}

static int prepare_account(struct fleet *f, struct guest *g)
{
	g->account = (struct ks_wire_account){.spec = f->request->gen, .first_lane = g->node * f->threads,
	                                      .threads = f->threads, .duration_ns = f->plan->duration_ns,
	                                      .lines = runs_free(f) ? f->request : NULL,
	                                      .thread = ks_alloc(f->threads, sizeof(*g->account.thread))};
	return g->account.thread ? 0 : ks_fail(f->err, KS_E_INTERNAL, "out of memory");
}

/* Does a machine sleep in this run? Such a one boots slower. */
static bool sleeps(const struct fleet *f)
{
	for (uint32_t i = 0; i < f->nevents; i++)
		if (f->events[i].op == KS_FAULT_SUSPEND && f->events[i].amount == KS_SUSPEND_S3)
			return true;
	return false;
}

/* The machine that snapshots are of, and clones that do not know that they are others. */
#define GENERATION "5f0a8d2e-3c4b-4d6a-9e1f-000000000001"

static bool is_kept(const struct fleet *f)
{
	for (uint32_t i = 0; i < f->nevents; i++)
		if (f->events[i].op == KS_FAULT_SNAPSHOT)
			return true;
	return false;
}

/* Starts all guests, as clones of one that was booted before where that works, and waits until each has answered. */
static int boot(struct fleet *f)
{
	f->options = (struct ks_vm_options){.cpus = f->threads > 1 ? 2 : 1, .clocksource = source_of(f->plan), .kernel = kernel_of(f->plan),
	                                    .s3 = sleeps(f), .savable = is_kept(f), .vmgenid = is_kept(f) && has_generation(f->plan) ? GENERATION : NULL,
	                                    .memory_mb = f->request->gen->gen ? 0 : ks_guest_program_memory_mb(f->request)};
	int64_t deadline = within(f, BOOT_NS);
	struct ks_vm_saved *saved = NULL;
	char why[200];

	for (uint32_t i = 0; i < f->plan->nodes; i++) /* all are clones of one */
		f->options.netdev = f->options.netdev ? f->options.netdev : ks_guest_keeper_net(f->plan, i);

	f->loop = ks_vm_loop_new(f->request->stop, f->err);
	if (!f->loop)
		return -1;
	if (ks_vm_templates_work(&f->options, why, sizeof(why)) && !(saved = ks_vm_template(f->loop, &f->options, deadline, f->err)))
		return -1;
	for (f->n = 0; f->n < f->plan->nodes - f->plan->clones; f->n++) {
		struct guest *g = &f->guest[f->n];
		g->node = f->n;
		g->vm = saved ? ks_vm_clone(f->loop, saved, &f->options, f->err) : ks_vm_start(f->loop, &f->options, f->err);
		if (!g->vm || prepare_account(f, g) != 0)
			return -1;
	}
	for (uint32_t i = 0; i < f->n; i++)
		if (ks_vm_wait_hello(f->guest[i].vm, deadline, f->err) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
	return 0;
}

static int configure(struct fleet *f, struct guest *g)
{
	const struct ks_load *load = &f->plan->load;
	struct {
		struct ks_wire_config config;
		char text[sizeof(f->request->gen->text)];
	} message = {.config = {
		.threads = f->threads, .lanes_of_node = f->threads, .seed = f->request->seed,
		.worker = ks_plan_worker(f->plan, f->request->seed, g->node),
		.mac = ks_host_mac(f->plan->host, f->request->seed, g->node), .ip = ks_host_ip(g->node), .duration_ns = f->plan->duration_ns,
		.rate_count = load->rate.count, .rate_per_ns = load->rate.per_ns, .phase_ns = load->phase_ns,
		.arrival = load->arrival, .model = load->model, .on_refuse = load->on_refuse, .lane_id = g->node * f->threads,
		.user_low = f->plan->user_low, .user_high = f->plan->user_high, .depth_low = f->plan->depth_low, .depth_high = f->plan->depth_high,
	}};
	if (runs_free(f)) { /* not asked at a rate; there is room for so many */
		message.config.rate_count = KS_WIRE_LINES_MAX;
		message.config.rate_per_ns = f->plan->duration_ns;
		message.config.arrival = KS_ARRIVAL_REGULAR;
	}
	if (ks_guest_jumps_ask(g->vm, f->plan, f->err) != 0)
		return -1;
	if (ks_guest_keeper_start(&g->keeper, g->vm, f->plan, g->node, f->events, f->nevents, f->err) != 0)
		return -1;
	if (!f->request->gen->gen && ks_guest_program_send(g->vm, f->request, g->node, f->err) != 0)
		return -1;
	int len = snprintf(message.text, sizeof(message.text), "%s", f->request->gen->text);

	if (ks_vm_send(g->vm, KS_WIRE_CONFIG, &message, (uint32_t)(sizeof(message.config) + (size_t)len + 1), f->err) != 0)
		return -1;
	return ks_vm_expect(g->vm, KS_WIRE_READY, NULL, 0, within(f, ANSWER_NS), f->err);
}

static int64_t middle(const struct ks_wire_clocks *c)
{
	return c->raw_ns + (c->raw_after_ns - c->raw_ns) / 2;
}

/* By how much the clock is ahead of RAW. */
static int64_t shift(const struct ks_wire_clocks *c, enum ks_clock_id id)
{
	return c->clock_ns[id] - middle(c);
}

static int64_t apart(int64_t a, int64_t b)
{
	return a < b ? b - a : a - b;
}

/* Lets REALTIME show the scenario's date when the scenario starts, and makes sure that it does. */
static int set_date(struct fleet *f, struct guest *g, int64_t start_host_raw_ns)
{
	int64_t date = f->plan->start_unix_ns + f->plan->node[g->node].offset_ns;
	struct ks_wire_acted acted;
	struct ks_vm_clocks c;

	if (ks_vm_clocks(g->vm, 16, &c, f->err) != 0)
		return -1;
	g->ahead_ns = middle(&c.guest) - c.host_raw_ns;
	g->start_raw_ns = start_host_raw_ns + g->ahead_ns;
	if (ks_vm_act(g->vm, KS_ACT_SET_REALTIME, g->start_raw_ns, date, &acted, within(f, ANSWER_NS), f->err) != 0)
		return -1;
	int64_t showed = shift(&acted.after, KS_REALTIME);
	/* What the clocks show at the start without offset and faults. */
	for (int id = 0; id < KS_NCLOCKS; id++)
		g->account.clock_base_ns[id] = g->start_raw_ns + shift(&acted.after, (enum ks_clock_id)id);
	g->account.clock_base_ns[KS_TAI] -= date - f->plan->start_unix_ns;
	g->account.clock_base_ns[KS_REALTIME] = f->plan->start_unix_ns;
	g->play.busy = apart(showed, date - g->start_raw_ns) > DATE_NS + acted.after.raw_after_ns - acted.after.raw_ns;
	if (g->play.busy)
		return ks_vm_fail(g->vm, f->err, "guest's clock does not show the date that it was set to");
	return 0;
}

/* Agrees on a start that is still to come when the last guest has been prepared; a slow machine needs a longer lead. */
static int agree_on_start(struct fleet *f)
{
	int64_t settle = ks_guests_are_kept(f->plan) ? KS_GUEST_SETTLE_NS : 0;

	for (int64_t lead = LEAD_NS * f->n; lead < 60 * KS_SEC; lead *= 2) {
		int64_t start = ks_host_raw_ns() + lead + settle;
		for (uint32_t i = 0; i < f->n; i++)
			if (set_date(f, &f->guest[i], start) != 0)
				return -1;
		for (uint32_t i = 0; i < f->n; i++)
			ks_guest_keeper_serve(&f->guest[i].keeper, start);
		if (ks_host_raw_ns() < start - settle - lead / 2)
			return 0;
	}
	return ks_fail(f->err, KS_E_JUDGE, "this machine is too slow to start %u guests at one time", f->n);
}

static int hand_over(struct fleet *f, struct guest *g)
{
	struct ks_wire_start start = {g->start_raw_ns, f->plan->start_unix_ns};

	if (ks_guest_play_init(&g->play, g->vm, f->request, g->node, f->events, f->nevents, f->err) != 0)
		return -1;
	g->play.snapshot = f->snapshot;
	if (ks_guest_is_kept(f->plan, g->node))
		g->play.drift_ppb = 0; /* its own oscillator's is what chronyd corrects */
	if (ks_vm_send(g->vm, KS_WIRE_START, &start, sizeof(start), f->err) != 0)
		return -1;
	return ks_guest_play_start(&g->play, g->start_raw_ns, g->ahead_ns, f->err);
}

/* ---- Running ---- */

static int take_done(struct fleet *f, struct guest *g, const struct ks_wire_done *done)
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
static const void *in_true_time(const struct fleet *f, const struct guest *g, const void *payload, uint32_t len)
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

static int add_records(struct fleet *f, struct guest *g, int type, const void *payload, uint32_t len)
{
	int64_t now = ks_host_raw_ns() + g->ahead_ns - g->start_raw_ns + AHEAD_MAX_NS;
	struct ks_err first;

	int status = type == KS_WIRE_TEXTS
			     ? ks_wire_account_texts(&g->account, payload, len, &f->output->records, &first)
			     : ks_wire_account_add(&g->account, in_true_time(f, g, payload, len), len, now, &f->output->records, &first);
	if (status == 0)
		return 0;
	if (first.code != KS_E_JUDGE)
		return ks_fail(f->err, first.code, "%s", first.text);
	return ks_vm_fail(g->vm, f->err, "%s", first.text);
}

/* Those of a clone are sorted out when its owner has told all of its own. */
static int take_records(struct fleet *f, struct guest *g, int type, const void *payload, uint32_t len)
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
	if (w->read_at_ns != KS_NO_TIME && w->read_at_ns < w->call_ns)
		w->read_at_ns = w->call_ns;
}

static int sort_out(struct fleet *f, struct guest *g)
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

static int take_frame(struct fleet *f, struct guest *g, int64_t deadline_ns)
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

static bool is_over(const struct guest *g)
{
	return g->done && ks_guest_play_over(&g->play);
}

/* ---- Clones ---- */

static const struct ks_fault_event *birth_of(const struct fleet *f, uint32_t node)
{
	for (uint32_t i = 0; i < f->nevents; i++)
		if (f->events[i].node == node && f->events[i].op == KS_FAULT_CLONE)
			return &f->events[i];
	return NULL;
}

/* A new generation id is what tells the machine that it is another one; without, its random source goes on as the other's. */
static int make(struct fleet *f, struct guest *g, const struct ks_fault_event *e)
{
	struct ks_vm_options options = f->options;
	char generation[] = GENERATION;

	generation[sizeof(generation) - 2] = (char)('2' + g->node);
	options.savable = false;
	options.same_random = true;
	if (e->extra & KS_REVIVE_RESEED)
		options.vmgenid = generation;
	g->vm = ks_vm_clone(f->loop, f->snapshot[e->amount].saved, &options, f->err);
	return g->vm ? 0 : -1;
}

static int give_birth(struct fleet *f, struct guest *g)
{
	const struct ks_fault_event *e = birth_of(f, g->node);
	const struct ks_guest_snapshot *of = &f->snapshot[e->amount];

	g->owner = &f->guest[of->node];
	g->ahead_ns = g->owner->ahead_ns;
	g->start_raw_ns = g->owner->start_raw_ns;
	if (prepare_account(f, g) != 0 || ks_vm_wait_hello(g->vm, within(f, ANSWER_NS), f->err) != 0 ||
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
static int64_t await_birth(struct fleet *f, struct guest *g)
{
	const struct ks_fault_event *e = birth_of(f, g->node);
	const struct guest *first = &f->guest[0]; /* all guests' times are aligned */
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

static bool is_born(const struct guest *g)
{
	return g->owner || g->play.deed;
}

/* Does what is due in any guest. *next_ns: when something will be again, ks_host_ns. */
static int do_what_is_due(struct fleet *f, int64_t *next_ns)
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
static struct guest *wait_any(struct fleet *f, int64_t deadline_ns)
{
	struct guest *guest[GUESTS_MAX];
	struct ks_vm *vm[GUESTS_MAX];
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

static uint32_t running(const struct fleet *f)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->n; i++)
		n += !is_over(&f->guest[i]);
	return n;
}

static int collect(struct fleet *f)
{
	int64_t deadline = within(f, f->plan->duration_ns + KS_DRAIN_NS + GRACE_NS);

	while (running(f)) {
		struct guest *g = wait_any(f, deadline);
		if (!g)
			return -1;
		if (take_frame(f, g, deadline) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[g->node].name);
	}
	return 0;
}

static int prove(struct fleet *f)
{
	for (uint32_t i = 0; i < f->n; i++) {
		struct ks_guest_play *p = &f->guest[i].play;
		struct ks_guest_keeper *k = &f->guest[i].keeper;
		if (ks_guest_play_end(p, f->err) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
		k->first = p->first;
		k->last = p->last;
		bool kept = ks_guest_is_kept(f->plan, i);
		if (kept ? ks_guest_keeper_prove(k, f->output, f->err) != 0 : ks_guest_prove(p, f->output, f->err) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
	}
	return 0;
}

static int play(struct fleet *f)
{
	if (boot(f) != 0)
		return -1;
	for (uint32_t i = 0; i < f->n; i++)
		if (configure(f, &f->guest[i]) != 0)
			return -1;
	if (agree_on_start(f) != 0)
		return -1;
	for (uint32_t i = 0; i < f->n; i++)
		if (hand_over(f, &f->guest[i]) != 0)
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

/* "tcg, linux 6.1.0-56-cloud-amd64 tsc, QEMU 7.2.22" */
static void describe(struct fleet *f)
{
	bool capped = false;

	for (uint32_t i = 0; runs_free(f) && i < f->n; i++)
		capped |= f->guest[i].account.records >= KS_WIRE_LINES_MAX;
	snprintf(f->output->detail, sizeof(f->output->detail), "%s, %.120s, QEMU %.31s%s", ks_qemu_accel(),
	         ks_vm_system(f->guest[0].vm), ks_qmp_version(ks_vm_qmp(f->guest[0].vm)),
	         capped ? "; a program printed more than is read, only the beginning is judged" : "");
}

static int reserve(struct fleet *f)
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
static void tell_console(struct fleet *f)
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
	struct fleet f = {.request = request, .plan = request->plan, .output = output, .err = err,
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
		describe(&f);
		failed = failed ? -1 : ks_records_sort(&output->records) != 0 ? ks_fail(err, KS_E_INTERNAL, "out of memory for records") : 0;
	}
	if (failed && request->stop && *request->stop)
		tell_console(&f);
	*busy = false;
	for (uint32_t i = 0; i < GUESTS_MAX; i++) {
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
		ks_run_output_release(output);
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
	.id = KS_WORLD_QEMU, .name = "qemu", .title = "real guest kernels under QEMU", .available = available,
	.carries = carries, .run = run, .runs_control = false,
};
