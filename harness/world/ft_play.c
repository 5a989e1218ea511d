#include "ft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ft_group.h"
#include "ks_mem.h"
#include "truetime.h"

/* So long before an event nothing else is begun: poll may come back a little late. */
#define READY_NS (2 * KS_MS)

int64_t ks_ft_play_now(const struct ks_ft_play *play)
{
	return ks_true_ns() - play->start_ns;
}

struct ks_ft_process *ks_ft_process(const struct ks_ft_play *play, uint32_t i)
{
	return (struct ks_ft_process *)(void *)((char *)play->process + i * play->stride);
}

/* ---- begin and end ---- */

int ks_ft_play_init(struct ks_ft_play *play, const struct ks_run_request *request, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;

	play->plan = plan;
	play->seed = request->seed;
	if (!request->control && ks_plan_events(plan, request->seed, &play->event, &play->n, err) != 0)
		return -1;
	play->done = ks_alloc(play->n ? play->n : 1, sizeof(*play->done));
	play->kept = ks_alloc(play->n ? play->n : 1, sizeof(*play->kept));
	play->node = ks_alloc(plan->nodes, sizeof(*play->node));
	if (!play->done || !play->kept || !play->node)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (uint32_t i = 0; i < plan->nodes; i++) {
		struct ks_clocks *c = &play->node[i].clocks;
		ks_clocks_init(c, plan->start_unix_ns, plan->node[i].offset_ns, KS_UPTIME_NS, KS_TAI_OFFSET_S);
		ks_clocks_drift(c, 0, ks_plan_node_drift(plan, request->seed, i));
	}
	return 0;
}

void ks_ft_play_release(struct ks_ft_play *play)
{
	for (uint32_t i = 0; play->node && i < play->plan->nodes; i++)
		ks_free(play->node[i].change);
	ks_free(play->node);
	ks_free(play->done);
	ks_free(play->kept);
	ks_free(play->event);
	*play = (struct ks_ft_play){0};
}

/* ---- clocks ---- */

static int note_change(struct ks_ft_play *play, uint32_t node, struct ks_ft_change change, struct ks_err *err)
{
	struct ks_ft_node *n = &play->node[node];

	if (n->changes == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 16;
		void *grown = ks_grow(n->change, n->cap, cap, sizeof(*n->change));
		if (!grown)
			return ks_fail(err, KS_E_INTERNAL, "out of memory");
		n->change = grown;
		n->cap = cap;
	}
	n->change[n->changes++] = change;
	return 0;
}

/* What the files are to say: of a coarse clock only the tick that it shows now. */
static struct ks_seg shown(const struct ks_ft_play *play, uint32_t node)
{
	struct ks_seg line = play->node[node].clocks.seg[KS_REALTIME];

	if (line.tick_ns) {
		line.v0_ns = ks_seg_at(&line, ks_ft_play_now(play));
		line.held = 1;
	}
	return line;
}

int ks_ft_play_show(struct ks_ft_play *play, const struct ks_ft_process *process, struct ks_err *err)
{
	struct ks_seg line = shown(play, process->node);
	return ks_ft_show(play->stage, process, &line, play->epoch_unix_ns, err);
}

int ks_ft_play_show_all(struct ks_ft_play *play, uint32_t node, struct ks_err *err)
{
	for (uint32_t i = 0; i < play->processes; i++) {
		const struct ks_ft_process *p = ks_ft_process(play, i);
		if (p->up && p->node == node && ks_ft_play_show(play, p, err) != 0)
			return -1;
	}
	return 0;
}

int ks_ft_play_start(struct ks_ft_play *play, int64_t start_ns, struct ks_err *err)
{
	play->start_ns = start_ns;
	play->epoch_unix_ns = ks_ft_unix_minus_true() + start_ns;
	for (uint32_t i = 0; i < play->plan->nodes; i++) {
		struct ks_ft_change first = {.begin_ns = INT64_MIN, .end_ns = INT64_MIN, .event = KS_FT_NONE};
		first.line = play->node[i].clocks.seg[KS_REALTIME];
		play->node[i].leap_due_ns = play->node[i].tick_due_ns = INT64_MAX;
		play->node[i].changes = 0;
		if (note_change(play, i, first, err) != 0 || ks_ft_play_show_all(play, i, err) != 0)
			return -1;
	}
	return 0;
}

/* When the new line is to meet the old one, for a change that is written now. A reader takes the host's time first and
 * the file afterwards, and the file is there only some time after it was begun. So a clock that gets slower must do so a
 * little later than that, and one that gets faster a little earlier, else a reading could lie before an earlier one: a
 * fault that nobody ordered. */
static int64_t meet(const struct ks_ft_play *play, const struct ks_fault_event *e)
{
	bool bends = e->op == KS_FAULT_SLEW || e->op == KS_FAULT_SMEAR || e->op == KS_FAULT_DRIFT;
	bool slower = (bends && e->amount < 0) || e->op == KS_FAULT_HOLD;
	bool exact = !bends && e->op != KS_FAULT_HOLD && e->op != KS_FAULT_RELEASE; /* the line moves, whenever that is */

	return ks_ft_play_now(play) + (exact ? 0 : slower ? KS_FT_LEAD_NS : -KS_FT_LEAD_NS);
}

/* The clocks of a clone go on from where they were kept, and that was so much before as the plan says: neither act's lateness
 * shows. */
static void restore(const struct ks_ft_play *play, const struct ks_fault_event *e)
{
	int64_t kept_ns = play->kept[e->amount].at_ns;

	ks_clocks_restore(&play->node[e->node].clocks, &play->kept[e->amount].clocks, kept_ns,
	                  kept_ns + e->at_ns - play->kept[e->amount].planned_ns);
}

int ks_ft_play_bend(struct ks_ft_play *play, const struct ks_fault_event *e, uint32_t k, struct ks_err *err)
{
	struct ks_ft_node *n = &play->node[e->node];
	struct ks_ft_change change = {.begin_ns = ks_ft_play_now(play), .event = k};

	if (e->op == KS_FAULT_CLONE)
		restore(play, e);
	else
		ks_fault_on_clocks(&n->clocks, e, meet(play, e));
	if (ks_ft_play_show_all(play, e->node, err) != 0)
		return -1;
	change.end_ns = ks_ft_play_now(play);
	change.line = n->clocks.seg[KS_REALTIME];
	ks_ft_own_plan(play, e->node);
	return note_change(play, e->node, change, err);
}

static int bend(struct ks_ft_play *play, uint32_t k, struct ks_err *err)
{
	return ks_ft_play_bend(play, &play->event[k], k, err);
}

static int step_to_true(struct ks_ft_play *play, uint32_t k, struct ks_err *err)
{
	struct ks_fault_event step = play->event[k];
	int64_t now = ks_ft_play_now(play);

	step.op = KS_FAULT_STEP;
	step.amount = ks_ft_utc(play, now) - ks_seg_line(&play->node[step.node].clocks.seg[KS_REALTIME], now);
	play->done[k].amount = step.amount;
	return ks_ft_play_bend(play, &step, k, err);
}

/* ---- threads ---- */

static bool hits(const struct ks_fault_event *e, const struct ks_ft_process *p)
{
	return p->up && p->node == e->node && (e->process == KS_ANY || e->process == p->process);
}

/* Stops or continues all that the process is: its cgroup, or else its session. Waits until it is so. */
static int signal_process(const struct ks_ft_play *play, struct ks_ft_process *p, int signal)
{
	if (p->grouped)
		return ks_ft_group_freeze(play->stage->dir, p->slot, signal == SIGSTOP);

	int wanted = signal == SIGSTOP ? WSTOPPED : WCONTINUED;
	int64_t until = ks_true_ns() + KS_SEC;
	siginfo_t info;

	if (kill(-p->proc.pid, signal) != 0)
		return -1;
	do {
		info.si_pid = 0;
		if (waitid(P_PID, (id_t)p->proc.pid, &info, wanted | WNOHANG) != 0)
			return -1;
	} while (info.si_pid != p->proc.pid && ks_true_ns() < until);
	return info.si_pid == p->proc.pid ? 0 : -1;
}

static int no_signal(const struct ks_ft_play *play, const struct ks_ft_process *p, struct ks_err *err)
{
	return ks_fail(err, KS_E_JUDGE, "cannot stop process %u of node '%s': %s", p->process, play->plan->node[p->node].name,
		       strerror(errno));
}

static int signal_all(struct ks_ft_play *play, const struct ks_fault_event *e, int signal, struct ks_err *err)
{
	for (uint32_t i = 0; i < play->processes; i++) {
		struct ks_ft_process *p = ks_ft_process(play, i);
		if (hits(e, p) && signal_process(play, p, signal) != 0)
			return no_signal(play, p, err);
	}
	return 0;
}

/* A thread stops by itself, in a handler of its own: the others of its process run on. */
static int hold_threads(struct ks_ft_play *play, uint32_t k, struct ks_err *err)
{
	const struct ks_fault_event *e = &play->event[k];

	for (uint32_t i = 0; i < play->processes; i++) {
		struct ks_ft_process *p = ks_ft_process(play, i);
		if (!hits(e, p) || !p->area.head)
			continue;
		for (uint32_t t = 0; t < play->plan->threads; t++) {
			struct ks_area_lane *lane = &p->area.lane[t];
			if (!ks_fault_names(e, p->process, t, play->plan->threads))
				continue;
			atomic_store(&lane->hold_ns, play->plan->fault[e->fault].for_ns);
			if (syscall(SYS_tgkill, p->proc.pid, lane->tid, KS_HOLD_SIGNAL) != 0 && errno != ESRCH)
				return no_signal(play, p, err);
		}
	}
	return 0;
}

/* Does it stop all that a process is? */
static bool is_whole(const struct ks_fault_event *e)
{
	return e->thread == KS_ANY && !ks_fault_stops_by_core(e);
}

/* ---- in time ---- */

static int do_event(struct ks_ft_play *play, uint32_t k, struct ks_err *err)
{
	const struct ks_fault_event *e = &play->event[k];

	switch (e->op) {
	case KS_FAULT_STOP:
		return is_whole(e) ? signal_all(play, e, SIGSTOP, err) : hold_threads(play, k, err);
	case KS_FAULT_RUN:
		return is_whole(e) ? signal_all(play, e, SIGCONT, err) : 0;
	case KS_FAULT_SUSPEND: /* no thread sees its clocks change */
		return signal_all(play, e, SIGSTOP, err) || bend(play, k, err) ? -1 : 0;
	case KS_FAULT_RESUME:
		return bend(play, k, err) || signal_all(play, e, SIGCONT, err) ? -1 : 0;
	case KS_FAULT_STEP:
	case KS_FAULT_DRIFT:
	case KS_FAULT_SLEW:
	case KS_FAULT_SMEAR:
	case KS_FAULT_COARSE:
	case KS_FAULT_RTC:
	case KS_FAULT_HOLD:
	case KS_FAULT_RELEASE:
		return bend(play, k, err);
	case KS_FAULT_TO_TRUE:
		return step_to_true(play, k, err);
	case KS_FAULT_UP: /* a machine boots before its processes start */
		if (e->amount & KS_RESTART_NODE && bend(play, k, err) != 0)
			return -1;
		return play->act ? play->act(play->who, k, err) : 0;
	case KS_FAULT_CLONE: /* nobody reads the new node's clock before it goes on */
		if (bend(play, k, err) != 0)
			return -1;
		return play->act ? play->act(play->who, k, err) : 0;
	case KS_FAULT_ARM_LEAP:
		ks_ft_own_arm(play, k);
		ks_ft_own_plan(play, e->node);
		return 0;
	default:
		if (play->act)
			return play->act(play->who, k, err);
		return ks_fail(err, KS_E_JUDGE, "fault '%s' is not carried by this world", play->plan->fault[e->fault].name);
	}
}

static int64_t plan_due(const struct ks_ft_play *play)
{
	return play->next < play->n ? play->event[play->next].at_ns : INT64_MAX;
}

int64_t ks_ft_play_due(const struct ks_ft_play *play)
{
	uint32_t node;
	int64_t plan = plan_due(play), own = ks_ft_own_due(play, &node), due = plan < own ? plan : own;

	return due == INT64_MAX ? INT64_MAX : play->start_ns + due;
}

/* A tick may come late, then the clock stands longer and goes on from where it should be: on a coarse clock nobody can tell
 * that from a longer tick, but for the proof. */
static int late(struct ks_ft_play *play, int64_t due_ns, const char *what, struct ks_err *err)
{
	char text[KS_TIME_TEXT];
	int64_t by = ks_ft_play_now(play) - due_ns;

	play->worst_late_ns = by > play->worst_late_ns ? by : play->worst_late_ns;
	play->busy = by > KS_FT_LATE_MAX_NS;
	return play->busy ? ks_fail(err, KS_E_JUDGE, "%s came %s late: this machine is too busy", what, ks_dur_format(text, by))
			  : 0;
}

static int run_event(struct ks_ft_play *play, struct ks_err *err)
{
	uint32_t k = play->next++;
	char what[KS_NAME_MAX + 16];

	play->done[k].begin_ns = ks_ft_play_now(play);
	if (do_event(play, k, err) != 0)
		return -1;
	play->done[k].end_ns = ks_ft_play_now(play);
	snprintf(what, sizeof(what), "fault '%s'", play->plan->fault[play->event[k].fault].name);
	return late(play, play->event[k].at_ns, what, err);
}

int ks_ft_play_run(struct ks_ft_play *play, struct ks_err *err)
{
	uint32_t node = 0;
	int64_t due = ks_ft_play_due(play);

	if (due - ks_true_ns() >= READY_NS)
		return 0;
	ks_true_wait(due);
	int64_t own = ks_ft_own_due(play, &node);
	if (plan_due(play) <= own)
		return run_event(play, err);
	return ks_ft_own_act(play, node, err) || late(play, own, "what a clock does by itself", err) ? -1 : 0;
}

/* ---- what it can do ---- */

#define BIT(id) (1u << (id))

static bool is_known(enum ks_fault_op op)
{
	switch (op) {
	case KS_FAULT_STEP:
	case KS_FAULT_DRIFT:
	case KS_FAULT_SLEW:
	case KS_FAULT_HOLD:
	case KS_FAULT_RELEASE:
	case KS_FAULT_STOP:
	case KS_FAULT_RUN:
	case KS_FAULT_SUSPEND:
	case KS_FAULT_RESUME:
	case KS_FAULT_TO_TRUE:
	case KS_FAULT_ARM_LEAP:
	case KS_FAULT_SMEAR:
	case KS_FAULT_COARSE:
	case KS_FAULT_RTC:
	case KS_FAULT_DOWN:
	case KS_FAULT_UP:
	case KS_FAULT_REGISTRY:
	case KS_FAULT_SNAPSHOT:
	case KS_FAULT_CLONE:
		return true;
	default:
		return false;
	}
}

/* libfaketime moves REALTIME and TAI together, and nothing else. */
const char *ks_ft_lacks(const struct ks_fault_event *event, unsigned clocks)
{
	static const char *const kernel[KS_NCLOCKS] = {
	    [KS_MONOTONIC] = "monotonic, which the generator reads, would change too, and libfaketime changes only the wall clock",
	    [KS_RAW] = "raw, which the generator reads, would change too, and libfaketime changes only the wall clock",
	    [KS_BOOTTIME] = "boottime, which the generator reads, would change too, and libfaketime changes only the wall clock"};
	unsigned affected = ks_fault_affects(event);

	if (event->op == KS_FAULT_CORES)
		return "the cores of this machine share a clock";
	if (!is_known(event->op))
		return "only the simulation carries it";
	if (event->op == KS_FAULT_COARSE && event->extra && event->extra < KS_FT_GAP_NS)
		return "a clock is shown its ticks one by one, not more than one a ms";
	for (int id = 0; id < KS_NCLOCKS; id++)
		if (kernel[id] && clocks & affected & BIT(id))
			return kernel[id];
	if (clocks & BIT(KS_TAI) && !(affected & BIT(KS_TAI)) != !(affected & BIT(KS_REALTIME)))
		return "it tells realtime and tai apart, and libfaketime moves both";
	if (affected && !(affected & BIT(KS_REALTIME)) && !(event->op == KS_FAULT_SUSPEND || event->op == KS_FAULT_RESUME))
		return "libfaketime changes only the wall clock";
	return NULL;
}
