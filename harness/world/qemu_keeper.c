#include "qemu_keeper.h"

#include <stdio.h>
#include <string.h>

#include "ks_mem.h"
#include "ntp.h"

/* How far the clock may be from its source in the end: what is left of an offset is slewed, and a guest's network is no better. */
#define FOLLOWS_NS (20 * KS_MS)
#define STEP_TOLD_NS KS_MS /* smaller moves of a daemon are no steps */

bool ks_guest_is_kept(const struct ks_plan *plan, uint32_t node)
{
	return plan->node[node].clock.keeper.kind != KS_KEEPER_NONE;
}

bool ks_guests_are_kept(const struct ks_plan *plan)
{
	for (uint32_t i = 0; i < plan->nodes; i++)
		if (ks_guest_is_kept(plan, i))
			return true;
	return false;
}

const char *ks_guest_keeper_net(const struct ks_plan *plan, uint32_t node)
{
	return ks_guest_is_kept(plan, node) ? "user,ipv6=off" : NULL;
}

static bool image_has_chrony(void)
{
	char path[1024], line[200];
	bool found = false;
	FILE *f = ks_guest_path("about", path, sizeof(path)) == 0 ? fopen(path, "re") : NULL;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "package chrony ", 15);
	if (f)
		fclose(f);
	return found;
}

static int carries_node(const struct ks_plan *plan, uint32_t node, char *why, size_t size)
{
	const struct ks_plan_node *n = &plan->node[node];

	if (n->clock.keeper.kind == KS_KEEPER_NONE)
		return 0;
	if (n->clock.keeper.kind != KS_KEEPER_CHRONY) {
		snprintf(why, size, "the clock of node '%s' is kept by %s; guests run chrony only", n->name, ks_keeper_names[n->clock.keeper.kind]);
		return -1;
	}
	if (n->clock.keeper.offset_ns || (n->drift_ppb && !n->drift_drawn)) {
		snprintf(why, size, "node '%s': in a guest neither chrony's source is off from the start nor an oscillator made to drift", n->name);
		return -1;
	}
	if (image_has_chrony())
		return 0;
	snprintf(why, size, "the guest image has no chronyd: vm-images/build --package chrony");
	return -1;
}

int ks_guest_keeper_carries(const struct ks_plan *plan, const struct ks_fault_event *e, uint32_t n, char *why, size_t size)
{
	uint32_t moves[KS_NTP_MOVES] = {0};

	for (uint32_t i = 0; i < plan->nodes; i++)
		if (carries_node(plan, i, why, size) != 0)
			return -1;
	for (uint32_t i = 0; i < n; i++) {
		if (!ks_guest_is_kept(plan, e[i].node))
			continue;
		const char *name = plan->fault[e[i].fault].name;
		if (e[i].op != KS_FAULT_SOURCE) {
			snprintf(why, size, "fault '%s': a daemon would undo it, and nobody could prove that it arrived; guests that are kept carry 'source' only", name);
			return -1;
		}
		if (moves[e[i].node % KS_NTP_MOVES]++) {
			snprintf(why, size, "fault '%s': the time source of a guest moves once only, or nobody could prove each", name);
			return -1;
		}
	}
	return 0;
}

/* ---- the daemon ---- */

static int log2_of(int64_t s)
{
	int n = 0;

	while (n < 17 && (INT64_C(2) << n) <= s)
		n++;
	return n;
}

static int put_seconds(char *text, size_t size, int64_t ns)
{
	return snprintf(text, size, "%lld.%09lld", (long long)(ns / KS_SEC), (long long)(ns % KS_SEC));
}

static int put_config(char *text, size_t size, const struct ks_keeper_desc *d, uint16_t port)
{
	char step[40];
	int poll = log2_of(d->poll_ns / KS_SEC);
	int n = snprintf(text, size, "server 10.0.2.2 port %u minpoll %d maxpoll %d iburst\nmaxslewrate %lld.%03lld\nport 0\ncmdport 0\npidfile /tmp/chronyd.pid\n",
	                 port, poll, poll, (long long)(d->maxslew_ppb / 1000), (long long)(d->maxslew_ppb % 1000));

	put_seconds(step, sizeof(step), d->step_ns);
	if (d->step_ns)
		n += snprintf(text + n, size - (size_t)n, "makestep %s %lld\n", step, (long long)d->limit);
	return n;
}

int ks_guest_keeper_start(struct ks_guest_keeper *k, struct ks_vm *vm, const struct ks_plan *plan, uint32_t node,
			  const struct ks_fault_event *event, uint32_t nevents, struct ks_err *err)
{
	char config[500];

	*k = (struct ks_guest_keeper){.plan = plan, .event = event, .nevents = nevents, .node = node};
	if (!ks_guest_is_kept(plan, node))
		return 0;
	k->ntp = ks_ntp_open(err);
	if (!k->ntp)
		return -1;
	int n = put_config(config, sizeof(config), &plan->node[node].clock.keeper, ks_ntp_port(k->ntp));
	return ks_vm_send(vm, KS_WIRE_KEEP, config, (uint32_t)n, err);
}

void ks_guest_keeper_serve(struct ks_guest_keeper *k, int64_t start_host_raw_ns)
{
	struct ks_ntp_time t = {.at_raw_ns = start_host_raw_ns};

	if (!k->ntp)
		return;
	t.unix_ns = k->plan->start_unix_ns + k->plan->node[k->node].clock.keeper.offset_ns;
	for (uint32_t i = 0; i < k->nevents && t.moves < KS_NTP_MOVES; i++)
		if (k->event[i].node == k->node && k->event[i].op == KS_FAULT_SOURCE) {
			t.move[t.moves].at_raw_ns = start_host_raw_ns + k->event[i].at_ns;
			t.move[t.moves++].by_ns = k->event[i].amount;
		}
	ks_ntp_tell(k->ntp, &t);
}

void ks_guest_keeper_release(struct ks_guest_keeper *k)
{
	ks_ntp_close(k->ntp);
	k->ntp = NULL;
}

/* ---- the proof ---- */

static int64_t ahead(const struct ks_wire_clocks *c, int64_t start_unix_ns)
{
	return c->clock_ns[KS_REALTIME] - start_unix_ns - (c->raw_ns + (c->raw_after_ns - c->raw_ns) / 2);
}

static int fail_to_follow(const struct ks_guest_keeper *k, int64_t from, int64_t to, int64_t amount, struct ks_err *err)
{
	char a[KS_TIME_TEXT], b[KS_TIME_TEXT], c[KS_TIME_TEXT];

	return ks_fail(err, KS_E_JUDGE, "chronyd on %s did not follow its source, which moved by %s: its clock was off by %s at the start and is off by %s at the end (%llu answers)",
	               k->plan->node[k->node].name, ks_dur_format(a, amount), ks_dur_format(b, from / KS_US * KS_US), ks_dur_format(c, to / KS_US * KS_US),
	               (unsigned long long)ks_ntp_answers(k->ntp));
}

int ks_guest_keeper_prove(struct ks_guest_keeper *k, struct ks_run_output *output, struct ks_err *err)
{
	int64_t offset = k->plan->node[k->node].clock.keeper.offset_ns, amount = 0;
	int64_t from = ahead(&k->first, k->plan->start_unix_ns), to = ahead(&k->last, k->plan->start_unix_ns);

	if (!ks_ntp_answers(k->ntp))
		return ks_fail(err, KS_E_JUDGE, "chronyd on %s asked its server nothing", k->plan->node[k->node].name);
	for (uint32_t i = 0; i < k->nevents; i++) {
		const struct ks_fault_event *e = &k->event[i];
		if (e->node != k->node || e->op != KS_FAULT_SOURCE)
			continue;
		amount += e->amount;
		output->injection[output->ninjection++] = (struct ks_injection){
			.fault = e->fault, .node = e->node, .at_ns = e->at_ns, .commanded = e->amount, .observed = to - from, .tolerance = 2 * FOLLOWS_NS};
	}
	int64_t start_off = from - offset, end_off = to - offset - amount;
	if (start_off < -FOLLOWS_NS || start_off > FOLLOWS_NS || end_off < -FOLLOWS_NS || end_off > FOLLOWS_NS)
		return fail_to_follow(k, from, to, amount, err);
	return 0;
}

/* ---- what they did ---- */

static bool is_step(const struct ks_plan *plan, const struct ks_jump *j)
{
	return j->layer == KS_JUMP_CALL && ks_guest_is_kept(plan, j->node) && !strcmp(j->command, "chronyd") &&
	       (j->delta_ns > STEP_TOLD_NS || j->delta_ns < -STEP_TOLD_NS);
}

int ks_guest_keepers_tell(const struct ks_plan *plan, struct ks_run_output *o, struct ks_err *err)
{
	if (!ks_guests_are_kept(plan) || !o->captured)
		return 0;
	o->change = ks_alloc(o->njump + 1, sizeof(*o->change));
	if (!o->change)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (size_t i = 0; i < o->njump; i++)
		if (is_step(plan, &o->jump[i]))
			o->change[o->nchange++] = (struct ks_clock_change){.at_ns = o->jump[i].at_ns, .node = o->jump[i].node, .fault = KS_NO_FAULT,
			                                                   .did = KS_KEEPER_STEPPED, .amount_ns = o->jump[i].delta_ns};
	return 0;
}
