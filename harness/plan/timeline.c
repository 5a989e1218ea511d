/* The faults of a plan in time: events for the engine, the default duration, and whether clocks and calls stay within
 * what can be counted. */
#include <stdlib.h>

#include "fields.h"
#include "ks_mem.h"

/* --- events --- */

static int by_time(const void *a, const void *b)
{
	const struct ks_fault_event *x = a, *y = b;
	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	if (x->fault != y->fault)
		return x->fault < y->fault ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

/* Events while they are collected. With v NULL they are only counted. */
struct sink {
	const struct ks_plan *plan;
	uint64_t seed;
	struct ks_fault_event *v;
	uint32_t n;
};

static void emit(struct sink *s, size_t fault, uint32_t node, int64_t at_ns, enum ks_fault_op op, int64_t amount)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	if (s->plan->duration_ns && at_ns >= s->plan->duration_ns)
		return;
	if (s->v)
		s->v[s->n] = (struct ks_fault_event){.at_ns = at_ns, .node = node, .op = op, .amount = amount,
		                                     .extra = op == KS_FAULT_RESUME ? f->wake_error_ns : 0,
		                                     .process = f->process, .thread = f->thread, .place = f->place, .fault = (uint32_t)fault};
	s->n++;
}

/* One with an argument of its own. */
static void emit_for(struct sink *s, size_t fault, uint32_t node, int64_t at_ns, enum ks_fault_op op, int64_t amount, int64_t extra)
{
	uint32_t before = s->n;
	emit(s, fault, node, at_ns, op, amount);
	if (s->v && s->n > before)
		s->v[before].extra = extra;
}

/* To and fro from one place: where it is after the k-th move, as an offset from where the clock would be. */
static int64_t place(const struct sink *s, size_t fault, uint32_t node, uint64_t k)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	if (f->kind->op == KS_FAULT_STROBE)
		return k % 2 ? 0 : f->amount;
	uint64_t word = ks_rand_at(s->seed, KS_STREAM_FAULT, (uint64_t)fault << 16 | node, k);
	return ks_rand_in(word, -f->amount, f->amount);
}

static void moves(struct sink *s, size_t fault, uint32_t node)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	int64_t offset = 0, end = f->at_ns + f->for_ns;
	uint64_t k = 0;
	for (int64_t t = f->at_ns; t < end && s->n < KS_EVENTS_MAX; t += f->period_ns, k++) {
		int64_t to = place(s, fault, node, k);
		emit(s, fault, node, t, KS_FAULT_STEP, to - offset);
		offset = to;
	}
	if (offset)
		emit(s, fault, node, end, KS_FAULT_STEP, -offset);
}

/* How much of a second a cosine smear has moved after k of 128 parts: (1 - cos(pi k / 128)) / 2, ns. The second half
 * mirrors the first. */
#define SMEAR_PARTS 128
static const int32_t cosine[SMEAR_PARTS / 2 + 1] = {
	0, 150591, 602272, 1354772, 2407637, 3760233, 5411745, 7361179, 9607360, 12148935,
	14984373, 18111967, 21529832, 25235910, 29227967, 33503601, 38060234, 42895122, 48005353, 53387849,
	59039368, 64956504, 71135695, 77573217, 84265194, 91207593, 98396234, 105826786, 113494773, 121395577,
	129524437, 137876459, 146446609, 155229728, 164220523, 173413579, 182803358, 192384205, 202150348, 212095904,
	222214883, 232501190, 242948628, 253550904, 264301632, 275194335, 286222453, 297379343, 308658284, 320052482,
	331555073, 343159130, 354857661, 366643621, 378509910, 390449380, 402454839, 414519056, 426634763, 438794662,
	450991430, 463217718, 475466163, 487729386, 500000000,
};

static int64_t smeared(enum ks_smear shape, int k)
{
	if (shape == KS_SMEAR_LINEAR)
		return KS_SEC / SMEAR_PARTS * k; /* 128 divides 10^9 */
	return k <= SMEAR_PARTS / 2 ? cosine[k] : KS_SEC - cosine[SMEAR_PARTS - k];
}

/* The parts add up to one second exactly, and each part is bent by exactly its share. */
static void smear(struct sink *s, size_t fault, uint32_t node)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	int parts = f->amount == KS_SMEAR_LINEAR ? 1 : SMEAR_PARTS;
	int64_t from = f->at_ns;
	for (int k = 0; k < SMEAR_PARTS; k += SMEAR_PARTS / parts) {
		int next = k + SMEAR_PARTS / parts;
		int64_t to = f->at_ns + (int64_t)((__int128)f->for_ns * next / SMEAR_PARTS);
		int64_t share = smeared((enum ks_smear)f->amount, next) - smeared((enum ks_smear)f->amount, k);
		emit_for(s, fault, node, from, KS_FAULT_SMEAR, f->second ? share : -share, to - from);
		from = to;
	}
	emit_for(s, fault, node, from, KS_FAULT_SMEAR, 0, 0);
}

static void cores(struct sink *s, size_t fault, uint32_t node)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	int64_t end = f->for_ns ? f->at_ns + f->for_ns : s->plan->duration_ns ? s->plan->duration_ns : f->at_ns + 1;
	int64_t hops = 0;
	emit_for(s, fault, node, f->at_ns, KS_FAULT_CORES, f->amount, KS_CORES_EXTRA(f->cores, 0));
	for (int64_t t = f->at_ns + f->hop_ns; f->hop_ns && t < end && s->n < KS_EVENTS_MAX; t += f->hop_ns)
		emit_for(s, fault, node, t, KS_FAULT_CORES, f->amount, KS_CORES_EXTRA(f->cores, ++hops));
	if (f->for_ns)
		emit_for(s, fault, node, end, KS_FAULT_CORES, 0, KS_CORES_EXTRA(f->cores, 0));
}

static int64_t restart_of(const struct ks_fault *f)
{
	return (f->amount ? KS_RESTART_NODE : 0) | (f->kept ? KS_RESTART_KEPT : 0);
}

static int64_t stopped_core(const struct ks_fault *f)
{
	return f->of_core ? KS_CORES_EXTRA(f->cores, f->core) : 0;
}

static void expand(struct sink *s, size_t fault, uint32_t node)
{
	const struct ks_fault *f = &s->plan->fault[fault];
	int64_t begin = f->at_ns, end = f->at_ns + f->for_ns;
	switch (f->kind->op) {
	case KS_FAULT_SLEW:
		emit(s, fault, node, begin, KS_FAULT_SLEW, f->amount);
		emit(s, fault, node, end, KS_FAULT_SLEW, 0);
		break;
	case KS_FAULT_SUSPEND:
		emit(s, fault, node, begin, KS_FAULT_SUSPEND, f->amount);
		emit(s, fault, node, end, KS_FAULT_RESUME, f->amount);
		break;
	case KS_FAULT_FREEZE:
		emit(s, fault, node, begin, KS_FAULT_HOLD, f->amount);
		emit(s, fault, node, end, KS_FAULT_RELEASE, f->amount);
		break;
	case KS_FAULT_PAUSE:
	case KS_FAULT_STOP_WORLD:
		if (f->placed) {
			emit(s, fault, node, begin, KS_FAULT_PLACE, f->amount);
			break;
		}
		emit_for(s, fault, node, begin, KS_FAULT_STOP, 0, stopped_core(f));
		emit_for(s, fault, node, end, KS_FAULT_RUN, 0, stopped_core(f));
		break;
	case KS_FAULT_STROBE:
	case KS_FAULT_JITTER:
		moves(s, fault, node);
		break;
	case KS_FAULT_STEP:
		emit(s, fault, node, begin, f->to_true ? KS_FAULT_TO_TRUE : KS_FAULT_STEP, f->amount);
		break;
	case KS_FAULT_ARM_LEAP:
		emit_for(s, fault, node, begin, KS_FAULT_ARM_LEAP, f->amount ? KS_SEC : -KS_SEC, f->hz);
		break;
	case KS_FAULT_SMEAR:
		smear(s, fault, node);
		break;
	case KS_FAULT_COARSE:
		emit_for(s, fault, node, begin, KS_FAULT_COARSE, (1 << KS_NCLOCKS) - 1, f->amount);
		if (f->for_ns)
			emit_for(s, fault, node, end, KS_FAULT_COARSE, (1 << KS_NCLOCKS) - 1, 0);
		break;
	case KS_FAULT_CORES:
		cores(s, fault, node);
		break;
	case KS_FAULT_RESTART:
		emit(s, fault, node, begin, KS_FAULT_DOWN, restart_of(f));
		emit(s, fault, node, end, KS_FAULT_UP, restart_of(f));
		break;
	case KS_FAULT_CLONE:
	case KS_FAULT_ROLLBACK:
		emit_for(s, fault, node, begin, (enum ks_fault_op)f->kind->op, f->amount,
		         (f->vmgenid ? KS_REVIVE_RESEED : 0) | (f->clocks_run ? KS_REVIVE_CLOCKS_RUN : 0));
		break;
	case KS_FAULT_CUT_OFF:
		emit(s, fault, node, begin, KS_FAULT_REGISTRY, 0);
		emit(s, fault, node, end, KS_FAULT_REGISTRY, 1);
		break;
	default:
		emit(s, fault, node, begin, (enum ks_fault_op)f->kind->op, f->amount);
	}
}

static void expand_all(struct sink *s)
{
	s->n = 0;
	for (size_t i = 0; i < s->plan->faults; i++)
		for (uint32_t j = 0; j < s->plan->fault[i].nnodes && s->n < KS_EVENTS_MAX; j++)
			if (s->plan->fault[i].at_ns >= s->plan->node[s->plan->fault[i].nodes[j]].born_ns) /* else it is not there yet */
				expand(s, i, s->plan->fault[i].nodes[j]);
}

int ks_plan_events(const struct ks_plan *plan, uint64_t seed, struct ks_fault_event **events, uint32_t *n, struct ks_err *err)
{
	struct sink s = {.plan = plan, .seed = seed};
	expand_all(&s);
	if (s.n >= KS_EVENTS_MAX)
		return ks_fail(err, KS_E_USAGE, "the faults make more than %d changes", KS_EVENTS_MAX);
	s.v = ks_alloc(s.n ? s.n : 1, sizeof *s.v);
	if (!s.v)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	expand_all(&s);
	qsort(s.v, s.n, sizeof *s.v, by_time);
	*events = s.v;
	*n = s.n;
	return 0;
}

/* When a fault has done all that it does. A leap second comes at midnight. */
static int64_t end_of(const struct ks_plan *plan, const struct ks_fault *f)
{
	__int128 unix_ns = (__int128)plan->start_unix_ns + f->at_ns;
	if (f->kind->op == KS_FAULT_ARM_LEAP)
		return f->at_ns + (int64_t)(KS_DAY - 1 - (unix_ns + KS_DAY - 1) % KS_DAY);
	return f->at_ns + f->for_ns;
}

int ks_plan_events_real(const struct ks_plan *plan, uint64_t seed, struct ks_fault_event **events, uint32_t *n, struct ks_err *err)
{
	if (ks_plan_events(plan, seed, events, n, err))
		return -1;
	for (uint32_t i = 0; i < *n; i++) {
		struct ks_fault_event *e = &(*events)[i];
		if (e->op != KS_FAULT_ARM_LEAP)
			continue;
		e->op = KS_FAULT_LEAP;
		e->at_ns = end_of(plan, &plan->fault[e->fault]);
		e->extra = 0;
	}
	qsort(*events, *n, sizeof **events, by_time);
	return 0;
}

/* --- checks of the whole --- */

#define KS_UNIX_END (INT64_C(9214646400) * KS_SEC) /* 2262-01-01T00:00:00Z: 100 days before int64 ends */

/* Bounds of what a node's wall clock shows, while time goes on. */
struct wall {
	__int128 low, high;
	int64_t t_ns, drift_low, drift_high, slew;
	int held; /* by how many faults: it may stand, or not */
	int64_t unix_ns;           /* of true time 0 */
	bool rtc_set;
	int64_t rtc_unix_ns, rtc_at_ns;
	const struct ks_keeper_desc *keeper;
};

static void wall_init(struct wall *w, const struct ks_plan *plan, const struct ks_plan_node *node)
{
	int64_t spread = node->drift_drawn ? KS_FREE_DRIFT_PPB : 0;
	*w = (struct wall){.drift_low = node->drift_ppb - spread, .drift_high = node->drift_ppb + spread};
	w->low = w->high = (__int128)plan->start_unix_ns + node->offset_ns;
	w->unix_ns = plan->start_unix_ns;
	w->keeper = &node->clock.keeper;
}

/* It may also show this, from now on. */
static void wall_may_show(struct wall *w, __int128 value)
{
	w->low = value < w->low ? value : w->low;
	w->high = value > w->high ? value : w->high;
}

/* (1 + drift)(1 + slew) - 1, in ppb */
static __int128 rate(int64_t drift, int64_t slew)
{
	return drift + slew + (__int128)drift * slew / KS_SEC;
}

static void wall_run(struct wall *w, int64_t t_ns)
{
	__int128 dt = t_ns - w->t_ns;
	if (!w->held)
		w->low += dt + dt * rate(w->drift_low, w->slew) / KS_SEC - 1;
	w->high += dt + dt * rate(w->drift_high, w->slew) / KS_SEC + 1;
	w->t_ns = t_ns;
	if (w->keeper->kind != KS_KEEPER_NONE) { /* which is on its way to what its source shows, and may overdo it */
		int64_t beyond = 3 * w->keeper->jitter_ns + 2 * KS_SEC;
		wall_may_show(w, (__int128)w->unix_ns + t_ns + w->keeper->offset_ns - beyond);
		wall_may_show(w, (__int128)w->unix_ns + t_ns + w->keeper->offset_ns + beyond);
	}
}

static bool wall_fits(const struct wall *w)
{
	return w->low >= -1 && w->high < KS_UNIX_END;
}

static void wall_act(struct wall *w, const struct ks_fault_event *e)
{
	wall_run(w, e->at_ns);
	switch (e->op) {
	case KS_FAULT_STEP:
	case KS_FAULT_LEAP:
		w->low += e->amount;
		w->high += e->amount;
		break;
	case KS_FAULT_DRIFT:
		w->drift_low = w->drift_high = e->amount;
		break;
	case KS_FAULT_SLEW:
		w->slew = e->amount;
		break;
	case KS_FAULT_HOLD:
	case KS_FAULT_SUSPEND:
		w->held++;
		break;
	case KS_FAULT_RELEASE:
	case KS_FAULT_RESUME:
		w->held--;
		w->low += e->extra < 0 ? e->extra : 0;
		w->high += e->extra > 0 ? e->extra : 0;
		if (e->op == KS_FAULT_RESUME && w->rtc_set)
			wall_may_show(w, (__int128)w->rtc_unix_ns + e->at_ns - w->rtc_at_ns);
		break;
	case KS_FAULT_TO_TRUE:
		w->low = w->high = (__int128)w->unix_ns + e->at_ns;
		w->low -= KS_SEC * KS_FAULTS_MAX; /* leap seconds */
		w->high += KS_SEC * KS_FAULTS_MAX;
		break;
	case KS_FAULT_ARM_LEAP:
		w->low -= KS_SEC;
		w->high += KS_SEC;
		break;
	case KS_FAULT_SMEAR:
		w->slew = e->extra ? (int64_t)((__int128)e->amount * KS_SEC / e->extra) : 0;
		break;
	case KS_FAULT_COARSE: /* floors what is shown; the line goes on */
		w->low -= e->extra;
		break;
	case KS_FAULT_RTC:
		w->rtc_set = true;
		w->rtc_unix_ns = e->amount;
		w->rtc_at_ns = e->at_ns;
		break;
	case KS_FAULT_SOURCE: /* the clock follows, sooner or later */
	case KS_FAULT_CORES:
		w->low += e->amount < 0 ? e->amount : 0;
		w->high += e->amount > 0 ? e->amount : 0;
		break;
	case KS_FAULT_KEEPER:
		break;
	case KS_FAULT_UP:
		if (e->amount & KS_RESTART_NODE) { /* the wall clock is what the RTC shows */
			w->low = w->high = (__int128)w->unix_ns + e->at_ns;
			if (w->rtc_set)
				wall_may_show(w, (__int128)w->rtc_unix_ns + e->at_ns - w->rtc_at_ns);
		}
		break;
	case KS_FAULT_CLONE:
	case KS_FAULT_ROLLBACK: /* back to some time since the start */
		w->low -= e->at_ns;
		break;
	case KS_FAULT_STOP:
	case KS_FAULT_RUN:
	case KS_FAULT_DOWN:
	case KS_FAULT_SNAPSHOT:
	case KS_FAULT_PLACE:
	case KS_FAULT_REGISTRY:
		break;
	}
}

static const struct ks_tree *item_of(const struct ks_tree *root, const char *list, size_t i)
{
	const struct ks_tree *t = ks_tree_get(root, list), *c = t ? t->first : NULL;
	while (c && i--)
		c = c->next;
	return c ? c : t;
}

static int bad_wall(struct ks_reader *r, const struct ks_tree *at, uint32_t node)
{
	return ks_bad(r, at, "the clock of node '%s' leaves the years 1970 to 2261", r->plan->node[node].name);
}

/* Between faults clocks only run on, so the ends of each stretch bound them. */
static int check_walls(struct ks_reader *r, const struct ks_tree *root, struct wall *wall,
                       const struct ks_fault_event *events, uint32_t n)
{
	const struct ks_plan *plan = r->plan;
	const struct ks_tree *fleet = ks_tree_get(root, "fleet");
	for (uint32_t i = 0; i < plan->nodes; i++) {
		wall_init(&wall[i], plan, &plan->node[i]);
		if (!wall_fits(&wall[i]))
			return bad_wall(r, item_of(fleet, "nodes", i), i);
	}
	for (uint32_t k = 0; k < n; k++) {
		wall_act(&wall[events[k].node], &events[k]);
		if (!wall_fits(&wall[events[k].node]))
			return bad_wall(r, item_of(root, "faults", events[k].fault), events[k].node);
	}
	for (uint32_t i = 0; i < plan->nodes; i++) {
		wall_run(&wall[i], plan->duration_ns);
		if (!wall_fits(&wall[i]))
			return bad_wall(r, ks_tree_get(root, "duration"), i);
	}
	return 0;
}

/* The most calls that one run may have: records count them in 31 bits, and memory holds them. */
#define CALLS_MAX (INT64_C(1) << 31)

static int check_calls(struct ks_reader *r, const struct ks_tree *root)
{
	const struct ks_plan *plan = r->plan;
	__int128 of_node = (__int128)plan->duration_ns * plan->load.rate.count;
	/* 2^62 ns times 2^63 does not overflow; a division first keeps the product with the nodes in bounds too */
	of_node = of_node / plan->load.rate.per_ns + 1;
	if (of_node <= CALLS_MAX / plan->nodes)
		return 0;
	char rate[KS_TIME_TEXT], duration[KS_TIME_TEXT];
	return ks_bad(r, ks_tree_get(root, "workload"), "%s of %u node%s for %s makes more than %lld calls",
	              ks_rate_format(rate, plan->load.rate), plan->nodes, plan->nodes > 1 ? "s" : "",
	              ks_dur_format(duration, plan->duration_ns),
	              (long long)CALLS_MAX);
}

static int check_leap(struct ks_reader *r, const struct ks_tree *at, const struct ks_fault *f)
{
	char text[KS_TIME_TEXT], end[KS_TIME_TEXT];
	if (f->kind->op != KS_FAULT_ARM_LEAP || end_of(r->plan, f) + KS_SEC < r->plan->duration_ns)
		return 0;
	return ks_bad(r, at, "the leap second of '%s' comes at midnight, at %s, which is not a second before the end at %s", f->name,
	              ks_dur_format(text, end_of(r->plan, f)), ks_dur_format(end, r->plan->duration_ns));
}

/* What never begins again would not be a restart, and nothing could prove that it was one. */
static int check_restart(struct ks_reader *r, const struct ks_tree *at, const struct ks_fault *f)
{
	char text[KS_TIME_TEXT], end[KS_TIME_TEXT];
	if (f->kind->op != KS_FAULT_RESTART || end_of(r->plan, f) < r->plan->duration_ns)
		return 0;
	return ks_bad(r, at, "the restart '%s' is over at %s, which is not before the end at %s", f->name,
	              ks_dur_format(text, end_of(r->plan, f)), ks_dur_format(end, r->plan->duration_ns));
}

/* Time sources do not smear, so a daemon would work against it. */
static int check_smear(struct ks_reader *r, const struct ks_tree *at, const struct ks_fault *f)
{
	for (uint32_t i = 0; f->kind->op == KS_FAULT_SMEAR && i < f->nnodes; i++) {
		const struct ks_plan_node *n = &r->plan->node[f->nodes[i]];
		if (n->clock.keeper.kind != KS_KEEPER_NONE)
			return ks_bad(r, at, "'%s' smears the clock of '%s', which %s keeps, expected one that is exact or free", f->name,
			              n->name, ks_discipline_names[n->clock.by]);
	}
	return 0;
}

/* Nobody would notice. */
static int check_source(struct ks_reader *r, const struct ks_tree *at, const struct ks_fault *f)
{
	for (uint32_t i = 0; f->kind->op == KS_FAULT_SOURCE && i < f->nnodes; i++)
		if (r->plan->node[f->nodes[i]].clock.keeper.kind == KS_KEEPER_NONE)
			return ks_bad(r, at, "'%s' moves the time source of '%s', whose clock nobody keeps, expected clock: chrony, ntpd or timesyncd", f->name,
			              r->plan->node[f->nodes[i]].name);
	return 0;
}

static int check_times(struct ks_reader *r, const struct ks_tree *root)
{
	char at[KS_TIME_TEXT], end[KS_TIME_TEXT];
	struct ks_plan *plan = r->plan;
	int64_t last = 0;
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		last = end_of(plan, f) > last ? end_of(plan, f) : last;
		if (plan->duration_ns && f->at_ns >= plan->duration_ns)
			return ks_bad(r, item_of(root, "faults", i), "fault '%s' at %s is not before the end at %s",
				      f->name, ks_dur_format(at, f->at_ns), ks_dur_format(end, plan->duration_ns));
	}
	if (!plan->duration_ns)
		plan->duration_ns = last + 10 * KS_SEC;
	for (size_t i = 0; i < plan->faults; i++)
		if (check_leap(r, item_of(root, "faults", i), &plan->fault[i]) ||
		    check_restart(r, item_of(root, "faults", i), &plan->fault[i]) ||
		    check_smear(r, item_of(root, "faults", i), &plan->fault[i]) || check_source(r, item_of(root, "faults", i), &plan->fault[i]))
			return -1;
	return 0;
}

/* A coarse clock without an end may be given another tick; threads that hop for ever may not be told to hop otherwise. */
static int64_t lasts_until(const struct ks_fault *f)
{
	return f->kind->op == KS_FAULT_CORES && !f->for_ns ? INT64_MAX : f->at_ns + f->for_ns;
}

/* Ends, keeps or replaces the life of a process. */
static bool is_life(const struct ks_fault *f)
{
	int op = f->kind->op;
	return op == KS_FAULT_SNAPSHOT || op == KS_FAULT_ROLLBACK || op == KS_FAULT_RESTART;
}

/* Two processes of a node may be killed at once, nothing else. */
static bool lives_clash(const struct ks_fault *f, const struct ks_fault *g)
{
	bool restarts = f->kind->op == KS_FAULT_RESTART && g->kind->op == KS_FAULT_RESTART && !f->kept && !g->kept;
	if (!is_life(f) || !is_life(g))
		return false;
	return !restarts || f->process == KS_ANY || g->process == KS_ANY || f->process == g->process;
}

/* What keeps the clocks, or makes other ones of them: what holds or bends them could not be ended after it. */
static bool makes_clocks(const struct ks_fault *f)
{
	int op = f->kind->op;
	return op == KS_FAULT_SNAPSHOT || op == KS_FAULT_ROLLBACK || (op == KS_FAULT_RESTART && f->amount);
}

static bool share_a_node(const struct ks_fault *f, const struct ks_fault *g)
{
	for (uint32_t i = 0; i < f->nnodes; i++)
		for (uint32_t j = 0; j < g->nnodes; j++)
			if (f->nodes[i] == g->nodes[j])
				return true;
	return false;
}

/* While a machine sleeps, stands or is off. */
static bool is_away(const struct ks_fault *f, int64_t t_ns)
{
	bool asleep = f->kind->op == KS_FAULT_SUSPEND && f->amount != KS_SUSPEND_HOST_STOP;
	return (asleep || (f->kind->op == KS_FAULT_RESTART && f->amount)) && t_ns >= f->at_ns && t_ns <= f->at_ns + f->for_ns;
}

static bool stops_threads(const struct ks_fault *f)
{
	return f->kind->op == KS_FAULT_PAUSE || f->kind->op == KS_FAULT_STOP_WORLD;
}

/* Is it done to the machine, or to what runs there, and not to the world around it? */
static bool needs_machine(const struct ks_fault *f)
{
	int op = f->kind->op;
	return op != KS_FAULT_SOURCE && op != KS_FAULT_CUT_OFF && op != KS_FAULT_CLONE;
}

/* Nobody bends a clock that stands, and nothing happens to a machine that is off; a thread that stands when its machine does, or when it is
 * taken, goes on by no end of its own. */
static bool finds_nobody(const struct ks_fault *f, const struct ks_fault *g)
{
	int op = f->kind->op;
	bool bends = op == KS_FAULT_SLEW || op == KS_FAULT_SMEAR || op == KS_FAULT_DRIFT, ends = bends && f->for_ns;
	if (bends && (is_away(g, f->at_ns) || (ends && is_away(g, f->at_ns + f->for_ns))))
		return true;
	if (g->kind->op == KS_FAULT_RESTART && needs_machine(f) && is_away(g, f->at_ns) && f->at_ns > g->at_ns && f->at_ns < g->at_ns + g->for_ns)
		return true;
	bool takes = g->kind->op == KS_FAULT_SUSPEND || g->kind->op == KS_FAULT_ROLLBACK || (g->kind->op == KS_FAULT_RESTART && g->amount);
	return stops_threads(f) && !f->placed && takes && f->at_ns <= lasts_until(g) && g->at_ns <= f->at_ns + f->for_ns;
}

/* Faults that hold clocks, or bend them, undo each other when they overlap on a node: what ends first would end both. */
static bool excludes(const struct ks_fault *f, const struct ks_fault *g)
{
	bool hold_f = f->kind->op == KS_FAULT_FREEZE || f->kind->op == KS_FAULT_SUSPEND;
	bool hold_g = g->kind->op == KS_FAULT_FREEZE || g->kind->op == KS_FAULT_SUSPEND;
	bool bend_f = f->kind->op == KS_FAULT_SLEW || f->kind->op == KS_FAULT_SMEAR;
	bool bend_g = g->kind->op == KS_FAULT_SLEW || g->kind->op == KS_FAULT_SMEAR;
	bool alike = f->kind->op == g->kind->op && (f->kind->op == KS_FAULT_COARSE || f->kind->op == KS_FAULT_CORES);
	bool lives = lives_clash(f, g) || (makes_clocks(f) && (hold_g || bend_g || g->kind->op == KS_FAULT_COARSE)) ||
	             (makes_clocks(g) && (hold_f || bend_f || f->kind->op == KS_FAULT_COARSE));
	if ((finds_nobody(f, g) || finds_nobody(g, f)) && share_a_node(f, g))
		return true;
	if (!((hold_f && hold_g) || (bend_f && bend_g) || alike || lives))
		return false;
	return f->at_ns <= lasts_until(g) && g->at_ns <= lasts_until(f) && share_a_node(f, g);
}

/* Whom the stop of a core stops is said once for the whole run: by how many cores there are, on which threads stay. */
static bool disagree_on_cores(const struct ks_fault *f, const struct ks_fault *g)
{
	bool both = (f->of_core || f->kind->op == KS_FAULT_CORES) && (g->of_core || g->kind->op == KS_FAULT_CORES);
	return both && (f->of_core || g->of_core) && (f->cores != g->cores || f->hop_ns || g->hop_ns) && share_a_node(f, g);
}

static int check_overlaps(struct ks_reader *r, const struct ks_tree *root)
{
	const struct ks_plan *plan = r->plan;
	for (size_t i = 0; i < plan->faults; i++)
		for (size_t j = 0; j < i; j++)
			if (excludes(&plan->fault[i], &plan->fault[j]))
				return ks_bad(r, item_of(root, "faults", i), "fault '%s' overlaps fault '%s' on a node",
				              plan->fault[i].name, plan->fault[j].name);
			else if (disagree_on_cores(&plan->fault[i], &plan->fault[j]))
				return ks_bad(r, item_of(root, "faults", i), "fault '%s' has threads on other cores than fault '%s' on a node, expected the same "
				              "'cores', and no 'hop'", plan->fault[i].name, plan->fault[j].name);
	return 0;
}

int ks_timeline_finish(struct ks_reader *r, const struct ks_tree *root)
{
	struct ks_fault_event *events;
	uint32_t n;
	if (check_times(r, root) || check_overlaps(r, root) || check_calls(r, root))
		return -1;
	if (ks_plan_events(r->plan, 0, &events, &n, r->err)) /* bounds do not depend on the seed: jitter stays within +- */
		return r->err->code == KS_E_USAGE ? ks_blame(r, ks_tree_get(root, "faults")) : -1;
	struct wall *wall = ks_alloc(r->plan->nodes, sizeof *wall);
	int failed = wall ? check_walls(r, root, wall, events, n) : ks_no_memory(r);
	ks_free(wall);
	ks_free(events);
	return failed;
}
