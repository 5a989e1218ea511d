/* Theory of n - distinct, a function a generator. It is derived from the plan, never from a run. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ks_check.h"
#include "ks_mem.h"
#include "wall.h"

const char *const ks_law_names[4] = {"none", "exact", "poisson", "normal"};

struct premise {
	const struct ks_plan *plan;
	const struct ks_gen_spec *spec;
	struct ks_wall wall;
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

static double six_digits(double v)
{
	char text[32];
	snprintf(text, sizeof text, "%.6g", v);
	return strtod(text, NULL);
}

static void of_sum(struct ks_theory *t, enum ks_law law, enum ks_scope scope, const struct ks_sum *sum)
{
	*t = (struct ks_theory){.law = law, .scope = scope};
	ks_sum_moments(sum, &t->mean, &t->variance);
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
	else
		return true;
	return false;
}

static bool clocks_known(const struct premise *p, struct ks_theory *t)
{
	for (uint32_t i = 0; i < p->plan->nodes; i++)
		if (p->plan->node[i].clock.keeper.kind != KS_KEEPER_NONE) {
			none(t, "a daemon keeps the clocks");
			return false;
		} else if (p->plan->node[i].drift_drawn) {
			none(t, "the drift of clocks is drawn by seed");
			return false;
		}
	for (size_t i = 0; i < p->plan->faults; i++) {
		int op = p->plan->fault[i].kind->op;
		if ((op != KS_FAULT_STEP && op != KS_FAULT_DRIFT) || p->plan->fault[i].to_true) {
			none(t, "no closed form for one of the faults");
			return false;
		}
	}
	return times_known(p, t);
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

/* ---- unixmilli: a key a tick ---- */

/* The lateness of calls is one and the same, but not known: count for some, and leave one more where it matters. */
static void count_exactly(const struct premise *p, enum ks_tick_keys keys, enum ks_scope scope, uint64_t in_tick_limit,
			  struct ks_theory *t)
{
	static const int64_t late_ns[] = {0, 30, 60, 125, 250, 500, KS_THEORY_LATE_NS};
	int64_t mean = 0, low = INT64_MAX, high = 0;
	uint64_t in_tick = 0;
	bool free = false;
	for (size_t i = 0; i < sizeof late_ns / sizeof *late_ns && (!i || free); i++) {
		int64_t d;
		if (ks_count_duplicates(&p->wall, keys, late_ns[i], KS_THEORY_LATE_NS, &d, &free, &in_tick)) {
			none(t, "more than 2^20 calls, of which some ticks have none");
			return;
		}
		mean = i ? mean : d;
		low = d < low ? d : low;
		high = d > high ? d : high;
	}
	if (in_tick > in_tick_limit) {
		none(t, "a tick may have more keys than the sequence holds");
		return;
	}
	exact(t, scope, mean, low - free, high + free);
}

/* The stretches from first on, up to end, as one: adds their ticks. */
static int add_ticks(const struct premise *p, size_t first, size_t end, struct ks_sum *sum)
{
	struct ks_ticks *tick = NULL;
	size_t n = 0;
	int failed = ks_tick_loads(&p->wall, first, end, &tick, &n);
	for (size_t i = 0; !failed && i < n; i++)
		failed = ks_sum_excess(sum, tick[i].mean, tick[i].count);
	ks_free(tick);
	return failed;
}

static void bare_poisson(const struct premise *p, enum ks_scope scope, struct ks_theory *t)
{
	const size_t *start = p->wall.start;
	struct ks_sum sum = {0};
	int failed = 0;
	if (scope == KS_SCOPE_FLEET)
		failed = add_ticks(p, 0, p->wall.n, &sum);
	else
		for (uint32_t i = 0; !failed && i < p->plan->nodes; i++)
			failed = add_ticks(p, start[i], start[i + 1], &sum);
	if (failed) {
		none(t, "more than 2000 calls a tick, or too many faults");
	} else {
		of_sum(t, KS_LAW_NORMAL, scope, &sum);
		say(t, "sum over ticks of L - (1 - e^-L), L calls expected in the tick");
	}
	ks_sum_release(&sum);
}

/* Nodes in phase issue the keys of one another, so that what a fault does to one of them would hide behind the others:
 * with faults it is each node's duplicates that have a theory. */
static void unixmilli(const struct premise *p, struct ks_theory *t)
{
	bool by_node = p->plan->faults && p->plan->nodes > 1;
	enum ks_scope scope = by_node ? KS_SCOPE_NODE : KS_SCOPE_FLEET;
	if (!clocks_known(p, t))
		return;
	if (is_poisson(p)) {
		bare_poisson(p, scope, t);
		return;
	}
	count_exactly(p, by_node ? KS_TICK_OF_NODE : KS_TICK_OF_FLEET, scope, UINT64_MAX, t);
	if (t->law == KS_LAW_EXACT)
		say(t, "calls - ticks that have one");
}

/* ---- counter, null: each process, each thread counts from 1 ---- */

static void counters(const struct premise *p, uint32_t own_lanes, enum ks_scope own, struct ks_theory *t)
{
	const struct ks_plan *plan = p->plan;
	uint64_t lanes = lanes_of_node(plan);
	if (plan->nodes * lanes == own_lanes) {
		exact(t, KS_SCOPE_FLEET, 0, 0, 0);
		say(t, "one counter: never");
		return;
	}
	if (is_poisson(p) || !times_known(p, t)) {
		exact(t, own, 0, 0, 0);
		say(t, "never in one %s; the fleet's number has no closed form", ks_scope_names[own]);
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

static void counter(const struct premise *p, struct ks_theory *t)
{
	counters(p, p->plan->threads, KS_SCOPE_PROCESS, t);
}

static void null(const struct premise *p, struct ks_theory *t)
{
	counters(p, 1, KS_SCOPE_THREAD, t);
}

/* ---- snowflake ---- */

/* Does every process have a node id of its own? */
static bool ids_differ(const struct ks_plan *plan)
{
	return plan->processes == 1 && (plan->nodes == 1 || plan->node_id == KS_NODE_ID_INDEX);
}

/* One step back, Poisson arrivals: of the keys of a tick that is lived twice, those numbered alike are equal. */
static int add_replay(const struct premise *p, const struct ks_stretch *s, struct ks_sum *sum)
{
	double density = (double)p->plan->load.rate.count / (double)p->plan->load.rate.per_ns / p->plan->processes;
	density /= 1 + (double)s->seg.rate_q64 / 18446744073709551616.0;
	int64_t a0 = ks_seg_at(&s[0].seg, s[0].from_ns), a1 = ks_seg_at(&s[0].seg, s[0].to_ns);
	int64_t b0 = ks_seg_at(&s[1].seg, s[1].from_ns), b1 = ks_seg_at(&s[1].seg, s[1].to_ns);
	int64_t from_ns = a0 > b0 ? a0 : b0, to_ns = a1 < b1 ? a1 : b1;
	int64_t first = from_ns / KS_TICK_NS, last = (to_ns - 1) / KS_TICK_NS;
	if (a1 / KS_TICK_NS == b0 / KS_TICK_NS)
		return -1;
	for (int64_t tick = first; from_ns < to_ns && tick <= last; tick++) {
		int64_t lo = tick * KS_TICK_NS, hi = lo + KS_TICK_NS;
		bool whole = tick > first && tick < last;
		double a = density * (double)((a1 < hi ? a1 : hi) - (a0 > lo ? a0 : lo));
		double b = density * (double)((b1 < hi ? b1 : hi) - (b0 > lo ? b0 : lo));
		int64_t ticks = whole ? last - tick : 1;
		if (ks_sum_lesser(sum, a, b, (double)ticks * p->plan->processes))
			return -1;
		tick += ticks - 1;
	}
	return 0;
}

static void replay_poisson(const struct premise *p, enum ks_scope scope, struct ks_theory *t)
{
	struct ks_sum sum = {0};
	int failed = 0;
	double seq = ldexp(1, (int)option(p->spec, "seq_bits", 12));
	for (uint32_t i = 0; !failed && i < p->plan->nodes; i++) {
		size_t at = p->wall.start[i], n = p->wall.start[i + 1] - at;
		const struct ks_stretch *s = &p->wall.v[at];
		if (n == 2 && s[0].seg.rate_q64 == s[1].seg.rate_q64)
			failed = add_replay(p, s, &sum);
		else
			failed = n <= 1 ? 0 : -1;
	}
	double in_tick = (double)p->plan->load.rate.count / (double)p->plan->load.rate.per_ns * (double)KS_TICK_NS;
	if (failed) {
		none(t, "instants that are lived more than twice, or a drift that changes");
	} else if (in_tick + 8 * sqrt(in_tick) + 8 > seq) {
		none(t, "a tick may have more keys than the sequence holds");
	} else {
		of_sum(t, KS_LAW_NORMAL, scope, &sum);
		say(t, "sum over ticks lived twice of E min(K, K'), K calls the first time, K' the second");
	}
	ks_sum_release(&sum);
}

static void snowflake(const struct premise *p, struct ks_theory *t)
{
	enum ks_scope scope = ids_differ(p->plan) ? KS_SCOPE_FLEET : KS_SCOPE_PROCESS;
	bool checked = option_is(p->spec, "variant", "checked");
	if (checked || !p->wall.back_ns) {
		exact(t, scope, 0, 0, 0);
		say(t, "%s: never%s", checked ? "a clock that went back is refused" : "the clock never goes back",
		    scope == KS_SCOPE_FLEET ? "" : " in one process");
		return;
	}
	if (!option_is(p->spec, "variant", "unchecked")) {
		none(t, "a variant of snowflake without a theory");
		return;
	}
	if (!clocks_known(p, t))
		return;
	if (p->plan->nodes >> option(p->spec, "node_bits", 10)) {
		none(t, "node ids that do not fit their field are refused");
		return;
	}
	if (is_poisson(p)) {
		replay_poisson(p, scope, t);
		return;
	}
	count_exactly(p, KS_TICK_COUNTED, scope, UINT64_C(1) << option(p->spec, "seq_bits", 12), t);
	if (t->law == KS_LAW_EXACT)
		say(t, "rate x step back: keys of ticks lived again, numbered alike");
}

/* ---- uuidv7 ---- */

/* 74 bits beside the tick, random or as good as (a 42-bit counter that starts at random, 32 random bits): the expected
 * number of pairs of one tick, over 2^74. */
static void uuidv7(const struct premise *p, struct ks_theory *t)
{
	struct ks_ticks *tick = NULL;
	struct ks_sum sum = {0};
	size_t n = 0;
	double pairs = 0;
	bool counts = option_is(p->spec, "method", "counter");
	if (counts && p->plan->nodes * p->plan->processes == 1 && p->wall.back_ns < option(p->spec, "rollback", 0)) {
		exact(t, KS_SCOPE_FLEET, 0, 0, 0);
		say(t, "one counter that no step back resets: never");
		return;
	}
	if (!times_known(p, t))
		return;
	int failed = ks_tick_loads(&p->wall, 0, p->wall.n, &tick, &n);
	for (size_t i = 0; !failed && i < n; i++)
		pairs += tick[i].count * tick[i].mean * tick[i].mean / 2;
	if (failed || ks_sum_poisson(&sum, ldexp(pairs, -74), 1)) {
		none(t, "too many faults");
	} else {
		of_sum(t, KS_LAW_POISSON, KS_SCOPE_FLEET, &sum);
		say(t, "birthday: sum over ticks of L^2 / 2 / 2^74, L calls expected in the tick");
	}
	ks_sum_release(&sum);
	ks_free(tick);
}

/* One line a generator that has a theory. */
static const struct {
	const char *generator;
	void (*derive)(const struct premise *p, struct ks_theory *t);
} theories[] = {
	{"null", null}, {"unixmilli", unixmilli}, {"counter", counter}, {"snowflake", snowflake}, {"uuidv7", uuidv7},
};

void ks_theory_duplicates(const struct ks_plan *plan, const struct ks_gen_spec *gen, struct ks_theory *theory)
{
	struct premise p = {.plan = plan, .spec = gen};
	struct ks_err err;
	none(theory, gen->gen ? "no theory of this generator" : "a foreign generator");
	if (!gen->gen)
		return;
	if (ks_wall_init(&p.wall, plan, &err)) {
		none(theory, err.text);
		ks_wall_release(&p.wall);
		return;
	}
	for (size_t i = 0; i < sizeof theories / sizeof *theories; i++)
		if (!strcmp(theories[i].generator, gen->gen->name))
			theories[i].derive(&p, theory);
	ks_wall_release(&p.wall);
}
