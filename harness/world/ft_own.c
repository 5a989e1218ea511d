/* What a node's clock does by itself, at instants that depend on what it shows: the leap second after its own midnight, as
 * the simulation's nodes have it (sim/engine/keep.c), and the ticks of a coarse clock. */
#include "ft.h"
#include "ks_rand.h"

int64_t ks_ft_utc(const struct ks_ft_play *play, int64_t t_ns)
{
	int64_t utc = play->plan->start_unix_ns + t_ns;

	for (uint32_t i = 0; i < play->utc_leaps; i++)
		if (play->utc_leap[i].at_ns <= t_ns)
			utc += play->utc_leap[i].delta_ns;
	return utc;
}

static int64_t next_midnight(int64_t unix_ns)
{
	return unix_ns + (KS_DAY - 1 - (unix_ns + KS_DAY - 1) % KS_DAY);
}

void ks_ft_own_arm(struct ks_ft_play *play, uint32_t k)
{
	const struct ks_fault_event *e = &play->event[k];
	struct ks_ft_node *n = &play->node[e->node];
	int64_t utc = ks_ft_utc(play, e->at_ns), at = e->at_ns + next_midnight(utc) - utc;
	bool known = false;

	for (uint32_t i = 0; i < play->utc_leaps; i++)
		known = known || play->utc_leap[i].at_ns == at;
	if (!known && play->utc_leaps < sizeof(play->utc_leap) / sizeof(play->utc_leap[0])) {
		play->utc_leap[play->utc_leaps].at_ns = at;
		play->utc_leap[play->utc_leaps++].delta_ns = e->amount;
	}
	n->leap.delta_ns = e->amount;
	n->leap.unix_ns = next_midnight(ks_seg_line(&n->clocks.seg[KS_REALTIME], e->at_ns));
	n->leap.tick_ns = KS_SEC / e->extra;
	n->leap.event = k;
}

/* The first tick of the node's timer after its wall clock has shown midnight. */
static int64_t leap_due(const struct ks_ft_play *play, uint32_t node, int64_t t_ns)
{
	const struct ks_ft_node *n = &play->node[node];
	const struct ks_seg *timer = &n->clocks.seg[KS_MONOTONIC];

	if (!n->leap.delta_ns)
		return INT64_MAX;
	int64_t midnight = ks_seg_when(&n->clocks.seg[KS_REALTIME], t_ns, n->leap.unix_ns), tick = n->leap.tick_ns;
	if (midnight == INT64_MAX)
		return INT64_MAX;
	int64_t place = ks_rand_in(ks_rand_at(play->seed, KS_STREAM_CLOCK, node, 1), 0, tick - 1);
	int64_t shown = ks_seg_line(timer, midnight), over = (shown - place) % tick;
	return ks_seg_when(timer, midnight, over ? shown - over + tick : shown);
}

void ks_ft_own_plan(struct ks_ft_play *play, uint32_t node)
{
	struct ks_ft_node *n = &play->node[node];
	const struct ks_seg *wall = &n->clocks.seg[KS_REALTIME];
	int64_t now = ks_ft_play_now(play);

	now = now > wall->t0_ns ? now : wall->t0_ns;
	n->leap_due_ns = leap_due(play, node, now);
	n->tick_due_ns = INT64_MAX;
	if (wall->tick_ns && now < play->plan->duration_ns)
		n->tick_due_ns = ks_seg_when(wall, now, ks_seg_at(wall, now) + wall->tick_ns);
}

static int64_t due_of(const struct ks_ft_node *n)
{
	return n->leap_due_ns < n->tick_due_ns ? n->leap_due_ns : n->tick_due_ns;
}

int64_t ks_ft_own_due(const struct ks_ft_play *play, uint32_t *node)
{
	int64_t due = INT64_MAX;

	for (uint32_t i = 0; i < play->plan->nodes; i++)
		if (due_of(&play->node[i]) < due) {
			due = due_of(&play->node[i]);
			*node = i;
		}
	return due;
}

int ks_ft_own_act(struct ks_ft_play *play, uint32_t node, struct ks_err *err)
{
	struct ks_ft_node *n = &play->node[node];
	uint32_t k = n->leap.event;

	if (n->tick_due_ns <= n->leap_due_ns) {
		if (ks_ft_play_show_all(play, node, err) != 0)
			return -1;
		ks_ft_own_plan(play, node);
		return 0;
	}
	struct ks_fault_event leap = play->event[k];
	leap.op = KS_FAULT_LEAP;
	n->leap.delta_ns = 0;
	if (ks_ft_play_bend(play, &leap, k, err) != 0)
		return -1;
	play->done[k].end_ns = ks_ft_play_now(play);
	play->done[k].amount = leap.amount;
	return 0;
}
