/* Guests until the scenario starts: booted, configured, aligned with each other, and told when. */
#include "qemu_fleet.h"

#include <stdio.h>

#include "ks_mem.h"
#include "qemu_jumps.h"
#include "qemu_program.h"

#define BOOT_NS (120 * KS_SEC)
#define LEAD_NS (200 * KS_MS)  /* from the last preparation to the start, for each guest */
#define CONFIGURED_NS (150 * KS_MS) /* what preparing takes */
#define CARRIED_NS KS_SEC      /* the same with the files of a program */
#define DATE_NS (10 * KS_MS) /* a clock that counts ticks shows no better */

int64_t ks_guests_within(const struct ks_guests *f, int64_t limit_ns)
{
	int64_t at = ks_host_ns() + limit_ns;
	return at < f->deadline_ns ? at : f->deadline_ns;
}

bool ks_guests_run_free(const struct ks_guests *f)
{
	return ks_guest_program_runs_free(f->request->gen);
}

int ks_guests_account(struct ks_guests *f, struct ks_guest *g)
{
	g->account = (struct ks_wire_account){.spec = f->request->gen, .first_lane = g->first_lane,
	                                      .threads = f->threads, .duration_ns = f->plan->duration_ns,
	                                      .lines = ks_guests_run_free(f) ? f->request : NULL,
	                                      .thread = ks_alloc(f->threads, sizeof(*g->account.thread))};
	g->taken = ks_alloc(f->threads, sizeof(*g->taken));
	return g->account.thread && g->taken ? 0 : ks_fail(f->err, KS_E_INTERNAL, "out of memory");
}

/* Does a machine sleep in this run? Such a one boots slower. */
static bool sleeps(const struct ks_guests *f)
{
	for (uint32_t i = 0; i < f->nevents; i++)
		if (f->events[i].op == KS_FAULT_SUSPEND && f->events[i].amount == KS_SUSPEND_S3)
			return true;
	return false;
}

/* Is a machine kept for clones of it? */
static bool is_cloned(const struct ks_guests *f)
{
	for (uint32_t i = 0; i < f->nevents; i++)
		if (f->events[i].op == KS_FAULT_CLONE)
			return true;
	return false;
}

int ks_guests_boot(struct ks_guests *f)
{
	f->options = (struct ks_vm_options){.cpus = f->threads > 1 ? 2 : 1, .clocksource = ks_guests_source(f->plan), .kernel = ks_guests_kernel(f->plan),
	                                    .s3 = sleeps(f), .savable = is_cloned(f), .vmgenid = is_cloned(f) && ks_guests_have_generation(f->plan) ? KS_GUEST_GENERATION : NULL,
	                                    .memory_mb = f->request->gen->gen ? 0 : ks_guest_program_memory_mb(f->request)};
	int64_t deadline = ks_guests_within(f, BOOT_NS);
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
		struct ks_guest *g = &f->guest[f->n];
		g->stage = KS_GUEST_LIVES;
		g->vm = saved ? ks_vm_clone(f->loop, saved, &f->options, f->err) : ks_vm_start(f->loop, &f->options, f->err);
		if (!g->vm || ks_guests_account(f, g) != 0)
			return -1;
	}
	for (uint32_t i = 0; i < f->n; i++)
		if (ks_vm_wait_hello(f->guest[i].vm, deadline, f->err) != 0)
			return ks_fail_in(f->err, "node '%s'", f->plan->node[i].name);
	return 0;
}

int ks_guests_send_config(struct ks_guests *f, struct ks_guest *g)
{
	const struct ks_load *load = &f->plan->load;
	struct {
		struct ks_wire_config config;
		char text[sizeof(f->request->gen->text)];
	} message = {.config = {
		.threads = f->threads, .lanes_of_node = f->threads, .seed = f->request->seed,
		.worker = ks_plan_worker(f->plan, f->request->seed, g->node),
		.pid = ks_host_pid(f->plan->host, f->request->seed, g->node, 0, g->incarnation), /* the agent's own is 1 in any guest */
		.mac = ks_host_mac(f->plan->host, f->request->seed, g->node), .ip = ks_host_ip(g->node), .duration_ns = f->plan->duration_ns,
		.rate_count = load->rate.count, .rate_per_ns = load->rate.per_ns, .phase_ns = load->phase_ns,
		.arrival = load->arrival, .model = load->model, .on_refuse = load->on_refuse, .lane_id = g->node * f->threads,
		.caller = ks_caller(&(struct ks_lane){.node = g->node, .incarnation = g->incarnation}, f->plan->processes, f->plan->threads),
		.user_low = f->plan->user_low, .user_high = f->plan->user_high, .depth_low = f->plan->depth_low, .depth_high = f->plan->depth_high,
	}};
	bool stops;
	message.config.core_beside = ks_guests_free_core(f->plan, g->node, &stops);
	message.config.cores = stops ? 2 : 0;
	if (ks_guests_run_free(f)) { /* not asked at a rate; there is room for so many */
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

	return ks_vm_send(g->vm, KS_WIRE_CONFIG, &message, (uint32_t)(sizeof(message.config) + (size_t)len + 1), f->err);
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

int ks_guests_align(struct ks_guests *f, struct ks_guest *g)
{
	struct ks_vm_clocks c;

	if (ks_vm_clocks(g->vm, 16, &c, f->err) != 0)
		return -1;
	g->ahead_ns = middle(&c.guest) - c.host_raw_ns;
	return 0;
}

/* Lets REALTIME show the scenario's date when the scenario starts, and makes sure that it does. */
static int set_date(struct ks_guests *f, struct ks_guest *g, int64_t start_host_raw_ns)
{
	int64_t date = f->plan->start_unix_ns + f->plan->node[g->node].offset_ns;
	struct ks_wire_acted acted;

	if (ks_guests_align(f, g) != 0)
		return -1;
	g->start_raw_ns = start_host_raw_ns + g->ahead_ns;
	if (ks_vm_act(g->vm, KS_ACT_SET_REALTIME, g->start_raw_ns, date, &acted, ks_guests_within(f, KS_GUEST_ANSWER_NS), f->err) != 0)
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

static int configure(struct ks_guests *f, struct ks_guest *g)
{
	if (ks_guests_send_config(f, g) != 0)
		return -1;
	return ks_vm_expect(g->vm, KS_WIRE_READY, NULL, 0, ks_guests_within(f, KS_GUEST_ANSWER_NS), f->err);
}

static int configure_all(struct ks_guests *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (configure(f, &f->guest[i]) != 0)
			return -1;
	return 0;
}

/* A generator may read the clock as soon as it is configured: so its guest has its date by then, and keeps it where this machine is not too slow. */
int ks_guests_prepare(struct ks_guests *f)
{
	int64_t settle = ks_guests_are_kept(f->plan) ? KS_GUEST_SETTLE_NS : 0;
	bool configured = false;

	for (int64_t lead = (LEAD_NS + (f->request->gen->gen ? CONFIGURED_NS : CARRIED_NS)) * f->n; lead < 60 * KS_SEC; lead *= 2) {
		int64_t start = ks_host_raw_ns() + lead + settle;
		for (uint32_t i = 0; i < f->n; i++)
			if (set_date(f, &f->guest[i], start) != 0)
				return -1;
		if (!configured && configure_all(f) != 0)
			return -1;
		configured = true;
		for (uint32_t i = 0; i < f->n; i++)
			ks_guest_keeper_serve(&f->guest[i].keeper, start);
		if (ks_host_raw_ns() < start - settle - LEAD_NS * f->n / 2)
			return 0;
	}
	return ks_fail(f->err, KS_E_JUDGE, "this machine is too slow to start %u guests at one time", f->n);
}

int ks_guests_plan_deeds(struct ks_guests *f, struct ks_guest *g)
{
	if (ks_guest_play_init(&g->play, g->vm, f->request, g->node, f->events, f->nevents, g->born, g->died, f->err) != 0)
		return -1;
	g->play.snapshot = f->snapshot;
	g->play.life = (uint32_t)(g - f->guest);
	return 0;
}

int ks_guests_hand_over(struct ks_guests *f, struct ks_guest *g)
{
	struct ks_wire_start start = {g->start_raw_ns, f->plan->start_unix_ns};

	if (ks_guests_plan_deeds(f, g) != 0)
		return -1;
	if (ks_guest_is_kept(f->plan, g->node))
		g->play.drift_ppb = 0; /* its own oscillator's is what chronyd corrects */
	if (ks_vm_send(g->vm, KS_WIRE_START, &start, sizeof(start), f->err) != 0)
		return -1;
	return ks_guest_play_start(&g->play, g->start_raw_ns, g->ahead_ns, f->err);
}
