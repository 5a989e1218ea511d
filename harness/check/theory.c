/* Theory of n - distinct, a function a generator. It is derived from the plan, never from a run. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "incarnations.h"
#include "ks_check.h"
#include "ks_mem.h"
#include "law.h"
#include "ticks.h"

const char *const ks_law_names[4] = {"none", "exact", "poisson", "normal"};

struct premise {
	const struct ks_plan *plan;
	const struct ks_gen_spec *spec;
	uint64_t seed;
	struct ks_wall wall; /* of the clock that the generator reads: set by follow */
};

/* ---- results ---- */

static void say(struct ks_theory *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct ks_theory *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(t->text, sizeof t->text, fmt, ap);
	va_end(ap);
}

static void none(struct ks_theory *t, const char *premise)
{
	*t = (struct ks_theory){.law = KS_LAW_NONE, .scope = KS_SCOPE_FLEET};
	say(t, "no closed form: %s", premise);
}

static void exact(struct ks_theory *t, enum ks_scope scope, int64_t mean, int64_t low, int64_t high)
{
	*t = (struct ks_theory){
	    .law = KS_LAW_EXACT, .scope = scope, .mean = (double)mean, .low = low < 0 ? 0 : low, .high = high};
}

/* In that scope, or the widest in which state lasts. */
static void never(const struct premise *p, struct ks_theory *t, enum ks_scope scope, const char *why)
{
	if (p->wall.lasting < 0) {
		none(t, p->wall.missing);
		return;
	}
	scope = (int)scope > p->wall.lasting ? (enum ks_scope)p->wall.lasting : scope;
	exact(t, scope, 0, 0, 0);
	say(t, "%s: never%s%s", why, scope == KS_SCOPE_FLEET ? "" : " in one ", scope == KS_SCOPE_FLEET ? "" : ks_scope_names[scope]);
}

static double six_digits(double v)
{
	char text[32];
	snprintf(text, sizeof text, "%.6g", v);
	return strtod(text, NULL);
}

/* A sum of rare events alone is a Poisson count; where ticks fill up it is not. */
static void of_sum(struct ks_theory *t, enum ks_scope scope, const struct ks_sum *sum)
{
	*t = (struct ks_theory){.scope = scope};
	ks_sum_moments(sum, &t->mean, &t->variance);
	t->law = fabs(t->variance - t->mean) <= 0.01 * t->mean ? KS_LAW_POISSON : KS_LAW_NORMAL;
	t->mean = six_digits(t->mean);
	t->variance = six_digits(t->variance);
	ks_sum_interval(sum, &t->low, &t->high);
}

/* ---- premises ---- */

static bool is_poisson(const struct premise *p)
{
	return p->plan->load.arrival == KS_ARRIVAL_POISSON;
}

static uint64_t lanes_of_node(const struct ks_plan *plan)
{
	return (uint64_t)plan->processes * plan->threads;
}

/* Does every process have a node id of its own? */
static bool ids_differ(const struct premise *p)
{
	const struct ks_plan *plan = p->plan;
	bool differ = plan->processes == 1;
	for (uint32_t i = 0; differ && i < plan->nodes; i++)
		for (uint32_t j = 0; differ && j < i; j++)
			differ = ks_plan_worker(plan, p->seed, i) != ks_plan_worker(plan, p->seed, j);
	return differ;
}

/* What every law but "never" rests on. @return false with the premise that fails noted. */
static bool times_known(const struct premise *p, struct ks_theory *t)
{
	const struct ks_load *load = &p->plan->load;
	uint64_t per_call = load->arrival == KS_ARRIVAL_BURST ? KS_BURST_CALLS : 1;
	if (load->model == KS_MODEL_CLOSED)
		none(t, "in a closed loop the times of calls are not given");
	else if ((unsigned __int128)(uint64_t)load->rate.count * KS_THEORY_LATE_NS * per_call >
		 (unsigned __int128)lanes_of_node(p->plan) * (uint64_t)load->rate.per_ns)
		none(t, "calls of a thread are less than 1us apart");
	else if (p->wall.missing)
		none(t, p->wall.missing);
	else
		return true;
	return false;
}

/* The same, for laws that rest on what a process keeps from one call to the next. */
static bool state_known(const struct premise *p, struct ks_theory *t)
{
	if (!times_known(p, t))
		return false;
	if (p->wall.reborn)
		none(t, p->wall.reborn);
	return !p->wall.reborn;
}

/* The value of an option of the generator's configuration. */
static int64_t option(const struct ks_gen_spec *spec, const char *name, int64_t missing)
{
	int64_t value = missing;
	for (const struct ks_opt *o = spec->gen->opts; o && o->name; o++)
		if (!strcmp(o->name, name))
			memcpy(&value, spec->cfg + o->offset, sizeof value);
	return value;
}

static bool option_is(const struct ks_gen_spec *spec, const char *name, const char *word)
{
	int64_t value = option(spec, name, -1);
	for (const struct ks_opt *o = spec->gen->opts; o && o->name; o++)
		if (!strcmp(o->name, name) && o->words && value >= 0)
			return !strcmp(o->words[value], word);
	return false;
}

/* Follows the clock that the generator reads. @return false: noted. */
static bool follow(struct premise *p, enum ks_clock_id clock, struct ks_theory *t)
{
	struct ks_err err;
	ks_wall_release(&p->wall);
	if (ks_wall_init(&p->wall, p->plan, p->seed, clock, &err) == 0)
		return true;
	none(t, err.text);
	return false;
}

/* ---- regular arrivals: keys are counted ---- */

/* The lateness of calls is one and the same, but not known: laws are taken for some. */
static const int64_t late_ns[] = {0, 30, 60, 125, 250, 500, KS_THEORY_LATE_NS};
#define NLATE (sizeof late_ns / sizeof *late_ns)

/* The calls of a burst follow one another in their thread: no lateness would make them one. */
static size_t first_lateness(const struct premise *p)
{
	return p->plan->load.arrival == KS_ARRIVAL_BURST;
}

/* Does it matter, although no call is near a tick? Backlogs stretch by it, and short ticks of a clock that does not run true round
 * by it. */
static bool lateness_matters(const struct premise *p, const struct ks_form *form)
{
	bool matters = p->wall.stops > 0 || p->plan->load.arrival == KS_ARRIVAL_BURST;
	for (size_t i = 0; i < p->wall.n; i++)
		matters = matters || (form->tick_ns <= KS_THEORY_LATE_NS && p->wall.v[i].seg.rate_q64);
	return matters;
}

static void too_many(struct ks_theory *t)
{
	none(t, "more than 2^20 calls, of which some ticks have none");
}

/* Keys are equal when form says so: no more chance in it. in_tick_limit: more keys of a caller and tick than that, and something else
 * happens. */
static void count_exactly(const struct premise *p, const struct ks_form *form, enum ks_scope scope, uint64_t in_tick_limit,
			  struct ks_theory *t)
{
	struct ks_repeats r = {.free = false};
	int64_t mean = 0, low = INT64_MAX, high = 0;
	uint64_t in_tick = 0;
	bool all = lateness_matters(p, form);
	size_t first = first_lateness(p);
	for (size_t i = first; i < NLATE && (i <= first + 1 || all || r.free); i++) { /* at once, and as late as calls are */
		if (ks_count_repeats(&p->wall, form, late_ns[i], KS_THEORY_LATE_NS, false, &r)) {
			too_many(t);
			return;
		}
		int64_t d = (int64_t)r.duplicates;
		ks_free(r.v);
		mean = i <= 1 ? d : mean; /* as near as the simulation's own calls are */
		low = d < low ? d : low;
		high = d > high ? d : high;
		in_tick = r.in_tick_max > in_tick ? r.in_tick_max : in_tick;
	}
	if (in_tick > in_tick_limit) {
		none(t, "a tick may have more keys than the sequence holds");
		return;
	}
	exact(t, scope, mean, low - r.free, high + r.free);
}

/* Each of the keys that form calls equal is one of `space`, drawn. */
static int add_draws(const struct premise *p, const struct ks_form *form, double space, int64_t late, bool *free, bool *alone,
                     struct ks_sum *sum)
{
	struct ks_repeats r = {.free = *free};
	int failed = ks_count_repeats(&p->wall, form, late, KS_THEORY_LATE_NS, true, &r);
	for (size_t i = 0; !failed && i < r.n; i++) {
		*alone = *alone && r.v[i].keys == 1;
		failed = r.v[i].keys > 1 ? ks_sum_repeats(sum, r.v[i].keys, space, (double)r.v[i].count) : 0;
	}
	*free = r.free;
	ks_free(r.v);
	return failed;
}

/* ---- Poisson arrivals: ticks are counted ---- */

/* The nodes whose keys meet those of `first`, as a mask. @return whether first is the first of them. */
static bool meet(const struct premise *p, const struct ks_form *form, uint32_t first, uint8_t *mask)
{
	for (uint32_t i = 0; i < p->plan->nodes; i++) {
		mask[i] = form->who == KS_WHO_NOBODY || i == first ||
			  (form->who == KS_WHO_WORKER && ks_plan_worker(p->plan, p->seed, i) == ks_plan_worker(p->plan, p->seed, first));
		if (mask[i] && i < first)
			return false;
	}
	return true;
}

static int add_ticks(const struct ks_tick_loads *loads, double space, double copies, struct ks_sum *sum)
{
	int failed = 0;
	for (size_t i = 0; !failed && i < loads->n; i++)
		failed = ks_sum_excess(sum, loads->v[i].mean / space, loads->v[i].count * space * copies);
	return failed;
}

/* A tick that is lived twice: keys that are numbered alike are equal. share: of a node's calls, that one caller has. */
static int add_replays(const struct ks_tick_loads *loads, double share, struct ks_sum *sum)
{
	int failed = loads->touching ? -1 : 0;
	for (size_t i = 0; !failed && i < loads->n; i++) {
		const struct ks_tick_load *l = &loads->v[i];
		failed = l->crowded ? -1 : 0;
		if (!failed && l->second > 0)
			failed = ks_sum_lesser(sum, l->first * share, l->second * share, l->count / share);
	}
	return failed;
}

static int add_poisson(const struct premise *p, const struct ks_form *form, double space, int64_t late, struct ks_sum *sum)
{
	uint8_t *mask = ks_alloc(p->plan->nodes, 1);
	int failed = mask ? 0 : -1;
	for (uint32_t i = 0; !failed && i < p->plan->nodes; i++) {
		struct ks_tick_loads loads;
		if (!meet(p, form, i, mask))
			continue;
		failed = ks_tick_loads(&p->wall, mask, form->tick_ns, late, &loads);
		if (!failed)
			failed = form->within == KS_WITHIN_NOTHING ? add_ticks(&loads, space, 1, sum)
								   : add_replays(&loads, 1.0 / p->plan->processes, sum);
		ks_free(loads.v);
	}
	ks_free(mask);
	return failed;
}

/* ---- what both come to ---- */

/* Keys that form calls equal are one of `space` each. Where calls are late matters little, but it does: the widest interval. */
static void draws(const struct premise *p, const struct ks_form *form, double space, enum ks_scope scope, struct ks_theory *t)
{
	int64_t low = INT64_MAX, high = 0;
	bool free = false, alone = !is_poisson(p), all = lateness_matters(p, form);
	size_t first = first_lateness(p);
	for (size_t i = first; i < NLATE && (i == first || all || free); i++) {
		struct ks_sum sum = {0};
		int failed = is_poisson(p) ? add_poisson(p, form, space, late_ns[i], &sum)
					   : add_draws(p, form, space, late_ns[i], &free, &alone, &sum);
		struct ks_theory one;
		if (!failed)
			of_sum(&one, scope, &sum);
		ks_sum_release(&sum);
		if (failed) {
			none(t, is_poisson(p) ? "too many faults, or stops that overlap" : "more than 2^20 calls");
			return;
		}
		*t = i <= 1 ? one : *t; /* as near as the simulation's own calls are */
		low = one.low < low ? one.low : low;
		high = one.high > high ? one.high : high;
	}
	t->low = low;
	t->high = high;
	if (alone && !free)
		exact(t, scope, 0, 0, 0);
}

/* Keys that are a tick and nothing else. Nodes in phase issue the keys of one another, so that what a fault does to one of them would
 * hide behind the others: with faults it is each node's duplicates that have a theory. */
static void bare(const struct premise *p, struct ks_form form, struct ks_theory *t)
{
	bool by_node = p->plan->faults && p->plan->nodes > 1;
	enum ks_scope scope = by_node ? KS_SCOPE_NODE : KS_SCOPE_FLEET;
	form.who = by_node ? KS_WHO_NODE : KS_WHO_NOBODY;
	if (!times_known(p, t))
		return;
	if (is_poisson(p)) {
		draws(p, &form, 1, scope, t);
		if (t->law != KS_LAW_NONE)
			say(t, "sum over ticks of L - (1 - e^-L), L calls expected in the tick");
		return;
	}
	count_exactly(p, &form, scope, UINT64_MAX, t);
	if (t->law == KS_LAW_EXACT)
		say(t, "calls - ticks that have one");
}

/* Keys that are a tick and something drawn. */
static void birthday(const struct premise *p, int64_t tick_ns, double space, const char *drawn, struct ks_theory *t)
{
	const struct ks_form form = {.tick_ns = tick_ns};
	if (!times_known(p, t))
		return;
	draws(p, &form, space, KS_SCOPE_FLEET, t);
	if (t->law == KS_LAW_EXACT)
		say(t, "at most one key in a tick");
	else if (t->law != KS_LAW_NONE)
		say(t, "birthday: keys of a tick less those that differ, of %.6g %s", space, drawn);
}

/* ---- ticks of the wall clock, bare or with the user ---- */

static double users(const struct ks_plan *plan)
{
	return (double)(plan->user_high - plan->user_low) + 1;
}

static void unixtime(struct premise *p, int64_t tick_ns, struct ks_theory *t)
{
	if (!follow(p, KS_REALTIME, t))
		return;
	if (option_is(p->spec, "form", "user"))
		birthday(p, tick_ns, users(p->plan), "users", t);
	else
		bare(p, (struct ks_form){.tick_ns = tick_ns}, t);
}

static void unixmilli(struct premise *p, struct ks_theory *t)
{
	unixtime(p, KS_MS, t);
}

static void unixnano(struct premise *p, struct ks_theory *t)
{
	unixtime(p, 1, t);
}

/* The monotonic clock, user and depth of the call. */
static void nanotime(struct premise *p, struct ks_theory *t)
{
	double depths = (double)(p->plan->depth_high - p->plan->depth_low) + 1;
	if (follow(p, KS_MONOTONIC, t))
		birthday(p, 1, users(p->plan) * depths, "users x depths", t);
}

/* The shard alone: every task of a shard has the same key. With the task: none has another's. */
static void shard_key(struct premise *p, struct ks_theory *t)
{
	if (!follow(p, KS_REALTIME, t))
		return;
	if (option_is(p->spec, "variant", "blind"))
		bare(p, (struct ks_form){.tick_ns = option(p->spec, "period", 300 * KS_SEC)}, t);
	else
		never(p, t, ids_differ(p) ? KS_SCOPE_FLEET : KS_SCOPE_PROCESS, "the task is counted");
}

/* ---- counter, null: each process, each thread counts from 1 ---- */

static bool has_restarts(const struct ks_plan *plan)
{
	bool found = false;
	for (size_t i = 0; i < plan->faults; i++)
		found = found || plan->fault[i].kind->op == KS_FAULT_RESTART;
	return found;
}

/* So does each incarnation. */
static void recounters(const struct premise *p, uint32_t own_lanes, enum ks_scope own, struct ks_theory *t)
{
	struct ks_incarnations in;
	if (!ks_incarnations_count(p->plan, own_lanes, KS_THEORY_LATE_NS, &in)) {
		never(p, t, own, "it counts, and the fleet's number has no closed form");
		return;
	}
	int64_t mean = (int64_t)(in.calls - in.longest), open = (int64_t)in.open;
	exact(t, KS_SCOPE_FLEET, mean, mean - open, mean + open);
	say(t, "each incarnation of a %s counts from 1: calls - the longest count", ks_scope_names[own]);
}

static void counters(const struct premise *p, uint32_t own_lanes, enum ks_scope own, struct ks_theory *t)
{
	const struct ks_plan *plan = p->plan;
	uint64_t lanes = lanes_of_node(plan);
	if (has_restarts(plan)) {
		recounters(p, own_lanes, own, t);
		return;
	}
	if (plan->nodes * lanes == own_lanes) {
		never(p, t, KS_SCOPE_FLEET, "one counter");
		return;
	}
	if (is_poisson(p) || !times_known(p, t) || p->wall.stops) {
		never(p, t, own, "it counts, and the fleet's number has no closed form");
		return;
	}
	/* The first counter of a node has the most: its lanes come first. */
	uint64_t calls = ks_calls_before(&plan->load, plan->duration_ns), most = calls / lanes * own_lanes;
	most += calls % lanes < own_lanes ? calls % lanes : own_lanes;
	int64_t mean = (int64_t)(plan->nodes * calls - most);
	int64_t open =
	    (int64_t)(plan->nodes * (calls - ks_calls_before(&plan->load, plan->duration_ns - KS_THEORY_LATE_NS)));
	exact(t, KS_SCOPE_FLEET, mean, mean - open, mean + open);
	say(t, "each %s counts from 1: calls - the longest count", ks_scope_names[own]);
}

static void counter(struct premise *p, struct ks_theory *t)
{
	if (follow(p, KS_REALTIME, t)) /* no clock is read, but stops of threads come with it */
		counters(p, p->plan->threads, KS_SCOPE_PROCESS, t);
}

static void null(struct premise *p, struct ks_theory *t)
{
	if (follow(p, KS_REALTIME, t))
		counters(p, 1, KS_SCOPE_THREAD, t);
}

/* A count of the process, and where the monotonic clock is in its second: nodes that run alike count alike. */
static void mono_offset(struct premise *p, struct ks_theory *t)
{
	const struct ks_form form = {.tick_ns = 1, .turn = KS_SEC, .within = KS_WITHIN_NTH};
	if (!follow(p, KS_MONOTONIC, t))
		return;
	if (p->plan->nodes * p->plan->processes == 1 || is_poisson(p) || !state_known(p, t)) {
		never(p, t, KS_SCOPE_PROCESS, "it counts");
		return;
	}
	count_exactly(p, &form, KS_SCOPE_FLEET, UINT64_MAX, t);
	if (t->law == KS_LAW_EXACT)
		say(t, "calls of one number in their process and one ns of a second");
}

static void lamport(struct premise *p, struct ks_theory *t)
{
	if (follow(p, KS_MONOTONIC, t))
		never(p, t, ids_differ(p) ? KS_SCOPE_FLEET : KS_SCOPE_PROCESS, "it counts, and has its node's id");
}

static void truetime(struct premise *p, struct ks_theory *t)
{
	if (follow(p, KS_REALTIME, t))
		never(p, t, KS_SCOPE_PROCESS, "each stamp is larger than the last");
}

/* ---- a tick and a count within it ---- */

/* The farthest that the clock falls, in calls: so many share the tick that a frozen stamp stays in. */
static double calls_in_fall(const struct premise *p)
{
	const struct ks_load *load = &p->plan->load;
	double span_ns = (double)p->wall.fall_ns + (double)KS_MS;
	for (size_t i = 0; i < p->wall.n; i++) /* a clock that stands, or runs slow, keeps its tick longer */
		if (p->wall.v[i].seg.held)
			span_ns += (double)(p->wall.v[i].to_ns - p->wall.v[i].from_ns);
	for (size_t i = 0; i < p->wall.stops; i++)
		span_ns += (double)(p->wall.stop[i].to_ns - p->wall.stop[i].from_ns);
	double mean = 2 * span_ns * (double)load->rate.count / (double)load->rate.per_ns;
	return mean + 8 * sqrt(mean) + 16;
}

static void hlc(struct premise *p, struct ks_theory *t)
{
	if (option_is(p->spec, "form", "json-double")) {
		none(t, "doubles round stamps together, by their bits");
		return;
	}
	if (!follow(p, KS_REALTIME, t))
		return;
	if (option_is(p->spec, "variant", "wrapping") &&
	    (p->plan->load.model == KS_MODEL_CLOSED || p->wall.missing || calls_in_fall(p) > 65536))
		none(t, "more keys may share a ms than 16 bits count");
	else
		never(p, t, KS_SCOPE_PROCESS, "each stamp is larger than the last");
}

/* Unchecked: ticks that are lived again, numbered again. */
static void replays(struct premise *p, enum ks_scope scope, struct ks_theory *t)
{
	const struct ks_form form = {.tick_ns = KS_MS, .who = is_poisson(p) ? KS_WHO_NODE : KS_WHO_WORKER, .within = KS_WITHIN_COUNT};
	uint64_t seqs = UINT64_C(1) << option(p->spec, "seq_bits", 12);
	double in_tick = (double)p->plan->load.rate.count / (double)p->plan->load.rate.per_ns * (double)KS_MS;
	struct ks_sum sum = {0};
	if (!state_known(p, t))
		return;
	if (!is_poisson(p)) {
		count_exactly(p, &form, KS_SCOPE_FLEET, seqs, t);
		if (t->law == KS_LAW_EXACT)
			say(t, "rate x step back: keys of ticks lived again, numbered alike");
	} else if (calls_in_fall(p) > (double)seqs && in_tick + 8 * sqrt(in_tick) + 8 > (double)seqs) {
		none(t, "a tick may have more keys than the sequence holds");
	} else if (p->wall.stops || add_poisson(p, &form, 1, 0, &sum)) {
		none(t, "instants that are lived more than twice, a step by few calls, or threads that stop");
	} else {
		of_sum(t, scope, &sum);
		say(t, "sum over ticks lived twice of E min(K, K'), K calls the first time, K' the second");
	}
	ks_sum_release(&sum);
}

/* The last ms is counted from 1 again once the clock has caught up with it. */
static void zeroed(const struct premise *p, struct ks_theory *t)
{
	const struct ks_form form = {.tick_ns = KS_MS, .who = KS_WHO_WORKER, .within = KS_WITHIN_ZEROED};
	if (!state_known(p, t))
		return;
	if (is_poisson(p)) {
		none(t, "with Poisson arrivals the last ms before a step back may have no second key");
		return;
	}
	count_exactly(p, &form, KS_SCOPE_FLEET, UINT64_C(1) << option(p->spec, "seq_bits", 12), t);
	if (t->law == KS_LAW_EXACT)
		say(t, "second and later keys of the ms before a step back, numbered again");
}

/* A count of the process beside the ms, and nothing of the node: nodes that run alike count alike. */
static void ms20(const struct premise *p, struct ks_theory *t)
{
	const struct ks_form form = {.tick_ns = KS_MS, .within = KS_WITHIN_NTH};
	double calls = (double)p->plan->load.rate.count / (double)p->plan->load.rate.per_ns * (double)p->plan->duration_ns;
	if (p->plan->load.model == KS_MODEL_CLOSED || calls + 8 * sqrt(calls) + 8 > 1 << 20) {
		none(t, "a count of more than 20 bits spills into the ms");
	} else if (p->plan->nodes * p->plan->processes == 1 || is_poisson(p) || p->wall.missing || p->wall.reborn) {
		never(p, t, KS_SCOPE_PROCESS, "it counts");
	} else if (state_known(p, t)) {
		count_exactly(p, &form, KS_SCOPE_FLEET, UINT64_MAX, t);
		if (t->law == KS_LAW_EXACT)
			say(t, "calls of one number in their process and one ms");
	}
}

/* Variants that refuse, wait, go on counting in the last ms, or read a clock that does not fall. Those that count on must not run out
 * of numbers before the clock is back. */
static bool never_falls(const struct premise *p)
{
	static const char *const refuse[] = {"checked", "leaf", "mybatis-plus", "hutool"};
	bool counts_on = option_is(p->spec, "variant", "hutool-5.4.6") && p->plan->load.model == KS_MODEL_OPEN && !p->wall.missing &&
			 calls_in_fall(p) < (double)(UINT64_C(1) << option(p->spec, "seq_bits", 12));
	for (size_t i = 0; i < sizeof refuse / sizeof *refuse; i++)
		counts_on = counts_on || option_is(p->spec, "variant", refuse[i]);
	return counts_on || (option_is(p->spec, "variant", "monotonic") && p->wall.fall_ns == 0 && !p->wall.missing);
}

static void snowflake(struct premise *p, struct ks_theory *t)
{
	enum ks_scope scope = ids_differ(p) ? KS_SCOPE_FLEET : KS_SCOPE_PROCESS;
	bool given = option_is(p->spec, "worker", "given"); /* others are a process's, and its own affair */
	if (!given)
		scope = KS_SCOPE_PROCESS;
	if (!follow(p, option_is(p->spec, "variant", "monotonic") ? KS_MONOTONIC : KS_REALTIME, t))
		return;
	if (option_is(p->spec, "variant", "ms20"))
		ms20(p, t);
	else if (never_falls(p))
		never(p, t, scope, "it does not follow a clock that goes back");
	else if (!given)
		none(t, "node ids that are leased, or made of MAC and pid");
	else if (p->plan->nodes >> option(p->spec, "node_bits", 10))
		none(t, "node ids that do not fit their field are refused");
	else if (option_is(p->spec, "variant", "twitter-2010"))
		zeroed(p, t);
	else if (!option_is(p->spec, "variant", "unchecked"))
		none(t, "more keys may be counted while the clock is behind than a sequence holds");
	else if (!p->wall.missing && !p->wall.fall_ns && scope == KS_SCOPE_FLEET)
		never(p, t, scope, "the clock never goes back");
	else
		replays(p, scope, t);
}

/* ---- a tick and random bits ---- */

/* counts: a counter that only ever starts at random; keeps: how far the clock may fall before it does so again. */
static void random_bits(struct premise *p, int64_t tick_ns, int bits, bool counts, int64_t keeps_ns, struct ks_theory *t)
{
	if (!follow(p, KS_REALTIME, t))
		return;
	if (counts && p->plan->nodes * p->plan->processes == 1 && !p->wall.missing && p->wall.fall_ns < keeps_ns)
		never(p, t, KS_SCOPE_FLEET, "one counter that no step back resets");
	else
		birthday(p, tick_ns, ldexp(1, bits), "random values", t);
}

static void uuidv7(struct premise *p, struct ks_theory *t)
{
	bool rfc = option_is(p->spec, "variant", "rfc");
	if (rfc && option_is(p->spec, "method", "random"))
		random_bits(p, KS_MS, 74, false, 0, t);
	else if (rfc && option_is(p->spec, "method", "counter"))
		random_bits(p, KS_MS, 74, true, option(p->spec, "rollback", 0), t);
	else if (option_is(p->spec, "variant", "google"))
		random_bits(p, 256, 62, true, INT64_MAX, t);
	else if (rfc && option_is(p->spec, "method", "submilli"))
		random_bits(p, 244, 62, true, INT64_MAX, t);
	else /* a counter that starts with its highest bit clear */
		random_bits(p, KS_MS, 73, true, INT64_MAX, t);
}

static void ulid(struct premise *p, struct ks_theory *t)
{
	bool oklog = option_is(p->spec, "variant", "oklog");
	random_bits(p, KS_MS, 80, !option_is(p->spec, "variant", "plain"), oklog ? 1 : INT64_MAX, t);
}

static void milli_rand32(struct premise *p, struct ks_theory *t)
{
	random_bits(p, KS_MS, 32, false, 0, t);
}

/* Letters of a sound source, or of sources that are seeded alike: then the n-th call of each process draws the same. */
static void trace_id(struct premise *p, struct ks_theory *t)
{
	static const double letters[] = {64, 62, 36};
	const struct ks_form alike = {.tick_ns = KS_MS, .within = KS_WITHIN_NTH};
	double space = pow(letters[option(p->spec, "letters", 0)], (double)option(p->spec, "length", 8));
	if (!follow(p, KS_REALTIME, t))
		return;
	if (option_is(p->spec, "seed", "sound")) {
		birthday(p, KS_MS, space, "words", t);
	} else if (!option_is(p->spec, "seed", "equal") || space < 1e12) {
		none(t, "processes draw the same where they start in one second, or words are few");
	} else if (is_poisson(p)) {
		none(t, "with Poisson arrivals calls of one number seldom share a ms");
	} else if (state_known(p, t)) {
		count_exactly(p, &alike, KS_SCOPE_FLEET, UINT64_MAX, t);
		if (t->law == KS_LAW_EXACT)
			say(t, "calls of one number in their process and one ms");
	}
}

/* Shallow calls: the path of their depth is the key, whoever calls. */
static void paths(const struct premise *p, struct ks_theory *t)
{
	const struct ks_plan *plan = p->plan;
	int64_t deep = option(p->spec, "deep", 5), low = plan->depth_low, high = plan->depth_high;
	double depths = (double)(high - low) + 1, shallow = deep > high ? depths : deep > low ? (double)(deep - low) : 0;
	double calls = (double)plan->nodes * (double)ks_calls_before(&plan->load, plan->duration_ns);
	if (is_poisson(p))
		calls = (double)plan->nodes * (double)plan->load.rate.count / (double)plan->load.rate.per_ns *
			(double)(plan->duration_ns - plan->load.phase_ns);
	struct ks_sum sum = {0};
	if (!times_known(p, t))
		return;
	if (p->wall.stops || calls / depths < 64) {
		none(t, "threads that stop, or too few calls to meet every depth");
		return;
	}
	int failed = is_poisson(p) ? ks_sum_poisson(&sum, calls * shallow / depths, 1) : ks_sum_chance(&sum, shallow / depths, calls);
	if (failed || ks_sum_constant(&sum, -shallow))
		none(t, "out of memory");
	else
		of_sum(t, KS_SCOPE_FLEET, &sum);
	ks_sum_release(&sum);
	if (t->law != KS_LAW_NONE)
		say(t, "calls at depths whose key is the path, less a key a depth");
}

static void depth_aware(struct premise *p, struct ks_theory *t)
{
	if (!follow(p, KS_REALTIME, t))
		return;
	if (option_is(p->spec, "variant", "reported"))
		paths(p, t);
	else
		never(p, t, KS_SCOPE_PROCESS, "it counts");
}

/* One line a generator that has a theory. */
static const struct {
	const char *generator;
	void (*derive)(struct premise *p, struct ks_theory *t);
} theories[] = {
	{"null", null},
	{"unixmilli", unixmilli},
	{"unixnano", unixnano},
	{"milli-rand32", milli_rand32},
	{"trace-id", trace_id},
	{"counter", counter},
	{"snowflake", snowflake},
	{"mono-offset", mono_offset},
	{"nanotime", nanotime},
	{"hlc", hlc},
	{"depth-aware", depth_aware},
	{"shard-key", shard_key},
	{"uuidv7", uuidv7},
	{"ulid", ulid},
	{"lamport", lamport},
	{"truetime", truetime},
};

void ks_theory_duplicates(const struct ks_plan *plan, const struct ks_gen_spec *gen, uint64_t seed, struct ks_theory *theory)
{
	struct premise p = {.plan = plan, .spec = gen, .seed = seed};
	none(theory, gen->gen ? "no theory of this generator" : "a foreign generator");
	if (plan->node_id == KS_NODE_ID_LEASE) {
		none(theory, "the registry decides who has which id");
		return;
	}
	for (size_t i = 0; gen->gen && i < sizeof theories / sizeof *theories; i++)
		if (!strcmp(theories[i].generator, gen->gen->name))
			theories[i].derive(&p, theory);
	ks_wall_release(&p.wall);
}
