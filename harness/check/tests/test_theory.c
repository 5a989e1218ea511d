/* Theory against arithmetic done here in another way, and against the simulation. */
#include <math.h>

#include "fixture.h"
#include "law.h"

/* ---- laws ---- */

static double pmf(double mean, int k)
{
	double p = exp(-mean);
	for (int i = 1; i <= k; i++)
		p *= mean / i;
	return p;
}

static void moments_of_excess(void)
{
	static const double means[] = {1e-6, 0.1, 1, 5, 300};
	for (size_t i = 0; i < 5; i++) {
		struct ks_sum s = {0};
		double mean, variance, l = means[i], p = 1 - exp(-l);
		CU_ASSERT_EQUAL(ks_sum_excess(&s, l, 1000), 0);
		ks_sum_moments(&s, &mean, &variance);
		CU_ASSERT_DOUBLE_EQUAL(mean, 1000 * (l - p), 1e-9 * l * 1000);
		CU_ASSERT_DOUBLE_EQUAL(variance, 1000 * (l + p * (1 - p) - 2 * l * exp(-l)), 1e-9 * l * 1000);
		ks_sum_release(&s);
	}
}

static void moments_of_lesser(void)
{
	struct ks_sum s = {0};
	double mean, variance, m = 0, m2 = 0;
	for (int a = 0; a < 40; a++)
		for (int b = 0; b < 40; b++) {
			int low = a < b ? a : b;
			m += pmf(1.5, a) * pmf(2.5, b) * low;
			m2 += pmf(1.5, a) * pmf(2.5, b) * low * low;
		}
	CU_ASSERT_EQUAL(ks_sum_lesser(&s, 1.5, 2.5, 1), 0);
	ks_sum_moments(&s, &mean, &variance);
	CU_ASSERT_DOUBLE_EQUAL(mean, m, 1e-12);
	CU_ASSERT_DOUBLE_EQUAL(variance, m2 - m * m, 1e-12);
	ks_sum_release(&s);
}

/* The exact tails of a Poisson count outside the interval are below 1e-9, and not absurdly so. */
static void interval_covers(void)
{
	static const double means[] = {1e-17, 1e-10, 1e-8, 0.3, 4, 60, 500};
	for (size_t i = 0; i < 7; i++) {
		struct ks_sum s = {0};
		int64_t low, high;
		double below = 0, above = 0, inner = 0;
		CU_ASSERT_EQUAL(ks_sum_poisson(&s, means[i], 1), 0);
		ks_sum_interval(&s, &low, &high);
		for (int k = 0; k < 1500; k++) {
			double p = k ? exp(k * log(means[i]) - means[i] - lgamma(k + 1.0)) : exp(-means[i]);
			below += k < low ? p : 0;
			above += k > high ? p : 0;
			inner += k >= high ? p : 0;
		}
		CU_ASSERT(below <= 5e-10 && above <= 5e-10);
		CU_ASSERT(inner > 1e-11);
		CU_ASSERT(low <= means[i] && means[i] <= (double)high + 1);
		ks_sum_release(&s);
	}
}

/* The same of a sum of unlike parts, by convolution. */
static void interval_of_sums(void)
{
	enum { N = 600 };
	static double p[N], q[N];
	struct ks_sum s = {0};
	int64_t low, high;
	CU_ASSERT_EQUAL(ks_sum_excess(&s, 1, 100) || ks_sum_excess(&s, 0.4, 1), 0);
	ks_sum_interval(&s, &low, &high);
	memset(p, 0, sizeof p);
	p[0] = 1;
	for (int part = 0; part < 101; part++) {
		double mean = part < 100 ? 1 : 0.4;
		memset(q, 0, sizeof q);
		for (int a = 0; a < N; a++)
			for (int k = 0; k < 30 && a + (k ? k - 1 : 0) < N; k++)
				q[a + (k ? k - 1 : 0)] += p[a] * pmf(mean, k);
		memcpy(p, q, sizeof p);
	}
	double below = 0, above = 0, edge = 0;
	for (int k = 0; k < N; k++) {
		below += k < low ? p[k] : 0;
		above += k > high ? p[k] : 0;
		edge += k == low || k == high ? p[k] : 0;
	}
	CU_ASSERT(below <= 5e-10 && above <= 5e-10 && edge > 1e-11);
	ks_sum_release(&s);
}

static void law_limits(void)
{
	struct ks_sum s = {0};
	CU_ASSERT_EQUAL(ks_sum_lesser(&s, KS_LAW_MEAN_MAX + 1, 1, 1), -1);
	CU_ASSERT_EQUAL(ks_sum_excess(&s, 1e16, 1), -1);
	CU_ASSERT_EQUAL(ks_sum_repeats(&s, KS_LAW_BALLS_MAX + 1, 100, 1), -1);
	CU_ASSERT_EQUAL(ks_sum_repeats(&s, 3, 0.5, 1), -1);
	CU_ASSERT_EQUAL(ks_sum_excess(&s, -1, 1), -1);
	CU_ASSERT_EQUAL(ks_sum_excess(&s, NAN, 1), -1);
	for (int i = 0; i < KS_LAW_PARTS_MAX; i++)
		CU_ASSERT_EQUAL_FATAL(ks_sum_poisson(&s, 0.5, 1), 0);
	CU_ASSERT_EQUAL(ks_sum_poisson(&s, 0.5, 1), -1);
	ks_sum_release(&s);
}

/* ---- plans ---- */

static void load(const char *yaml, const char *generator, struct ks_plan *plan, struct ks_gen_spec *spec)
{
	struct ks_err err = {0};
	char text[2000];
	snprintf(text, sizeof text, "keyskew: 1\ntitle: t\n%s\n", yaml);
	int failed = ks_plan_parse(text, strlen(text), "t.yaml", NULL, 0, plan, &err) ||
		     ks_gen_parse(ks_gens_sim, generator, spec, &err);
	if (failed)
		printf("\n%s\n", err.text);
	CU_ASSERT_EQUAL_FATAL(failed, 0);
}

static int64_t simulate(const struct ks_plan *plan, const struct ks_gen_spec *spec, uint64_t seed, enum ks_scope scope)
{
	struct ks_node_desc node[64];
	struct ks_fault_event *events;
	struct ks_sim_result result;
	struct ks_metrics m;
	struct ks_err err = {0};
	uint32_t n;
	CU_ASSERT_FATAL(plan->nodes <= sizeof node / sizeof *node);
	for (uint32_t i = 0; i < plan->nodes; i++)
		node[i] = (struct ks_node_desc){.offset_ns = plan->node[i].offset_ns, .drift_ppb = ks_plan_node_drift(plan, seed, i),
						.worker = ks_plan_worker(plan, seed, i), .clone = plan->node[i].clone};
	CU_ASSERT_EQUAL_FATAL(ks_plan_events(plan, seed, &events, &n, &err), 0);
	struct ks_sim sim = {.start_unix_ns = plan->start_unix_ns,
			     .duration_ns = plan->duration_ns,
			     .seed = seed,
			     .nodes = plan->nodes,
			     .processes = plan->processes,
			     .threads = plan->threads,
			     .node = node,
			     .load = plan->load,
			     .mail = plan->mail,
			     .network = plan->network,
			     .worker = ks_plan_worker_rule(plan),
			     .about = ks_plan_calls(plan),
			     .events = events,
			     .nevents = n,
			     .gen = spec->gen,
			     .cfg = spec->cfg};
	int failed = ks_sim_run(&sim, &result, &err);
	if (failed)
		printf("\n%s\n", err.text);
	CU_ASSERT_EQUAL_FATAL(failed, 0);
	ks_records_sort(&result.records);
	struct ks_evidence e = {.plan = plan, .gen = spec, .records = &result.records, .seed = seed};
	CU_ASSERT_EQUAL_FATAL(ks_evidence_init(&e, &err) || ks_metrics_compute(&e, &m, &err), 0);
	ks_evidence_release(&e);
	ks_sim_result_release(&result);
	ks_free(events);
	return m.scoped[KS_M_DUPLICATES][scope];
}

#define BACK "faults: [{at: 2s, node: n2, step: -120ms}]\nduration: 4s\nfleet: 3"
#define FORTH "faults: [{at: 2s, node: n2, step: 120ms}]\nduration: 4s\nfleet: 3"

/* mean by hand; wide: of exact laws, how far the interval reaches to each side of it. */
static const struct {
	const char *yaml, *generator;
	enum ks_law law;
	enum ks_scope scope;
	double mean;
	int64_t wide;
} cases[] = {
	/* one node, a call a ms: as many ticks as calls; then 120 of them twice */
	{"duration: 4s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
	{"faults: [{at: 2s, step: -120ms}]\nduration: 4s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 120, 0},
	/* three nodes in phase: two thirds. With faults each node's own: 120 ticks lived twice, or none */
	{"fleet: 3\nduration: 4s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 8000, 0},
	{BACK, "unixmilli", KS_LAW_EXACT, KS_SCOPE_NODE, 120, 0},
	{FORTH, "unixmilli", KS_LAW_EXACT, KS_SCOPE_NODE, 0, 0},
	{"fleet: 2\nworkload: {rate: 500/s}\nduration: 4s\nfaults: [{at: 2s, node: n1, step: -120ms}]", "unixmilli",
	 KS_LAW_EXACT, KS_SCOPE_NODE, 60, 0},
	{"fleet: 2\nworkload: {arrival: poisson}\nduration: 4s\nfaults: [{at: 2s, node: n1, step: -120ms}]", "unixmilli",
	 KS_LAW_NORMAL, KS_SCOPE_NODE, 2 * 4000 / 2.718281828 + 120 * 0.399576, 0},
	/* four calls a ms: 3/4; 500/s: every other tick; a step of an odd number of ms meets none of the ticks before */
	{"workload: {rate: 4000/s}\nduration: 1s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 3000, 0},
	{"workload: {rate: 500/s}\nduration: 4s\nfaults: [{at: 2s, step: -120ms}]", "unixmilli", KS_LAW_EXACT,
	 KS_SCOPE_FLEET, 60, 0},
	{"workload: {rate: 500/s}\nduration: 4s\nfaults: [{at: 2s, step: -121ms}]", "unixmilli", KS_LAW_EXACT,
	 KS_SCOPE_FLEET, 0, 0},
	{"workload: {rate: 1000/s, arrival: burst}\nduration: 1s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 900, 0},
	/* 101 bursts begin within 1005 ms; ticks without a call between calls 1.43 ms apart; two runs that share one tick
	 */
	{"workload: {rate: 1000/s, arrival: burst}\nduration: 1005ms", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 909, 0},
	{"workload: {rate: 700/s}\nduration: 1s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
	{"duration: 4s\nfaults: [{at: 2s, step: -1ms}]", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 1, 0},
	/* calls 500 ns before a tick, the last one before the end: one more or less */
	{"fleet: 2\nworkload: {phase: 999500ns}\nduration: 1s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 1000, 1},
	{"workload: {phase: 999500ns}\nduration: 4s\nfaults: [{at: 2s, step: -120ms}]", "unixmilli", KS_LAW_EXACT,
	 KS_SCOPE_FLEET, 120, 1},
	/* a slow clock shows fewer ticks than there are calls: 1e-3 x 4000; a fast one skips some */
	{"fleet: {nodes: 1, clock: free, drift: -1000ppm}\nduration: 4s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 4, 0},
	{"fleet: {nodes: 1, clock: free, drift: 1000ppm}\nduration: 4s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 1},
	{"fleet: {nodes: [{name: a}, {name: b, offset: 2500us}]}\nduration: 1s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET,
	 998, 0},
	/* half a ms out of phase: the same ticks; but a node 3 us, or half a ms, ahead is in the next one */
	{"workload: {phase: 500us}\nfaults: [{at: 2s, step: -120ms}]\nduration: 4s", "unixmilli", KS_LAW_EXACT,
	 KS_SCOPE_FLEET, 120, 0},
	{"fleet: {nodes: [{name: a}, {name: b, offset: 3us}]}\nworkload: {phase: 998us}\nduration: 1s", "unixmilli",
	 KS_LAW_EXACT, KS_SCOPE_FLEET, 999, 0},
	{"fleet: {nodes: [{name: a}, {name: b, offset: 500us}]}\nworkload: {phase: 500us}\nduration: 1s", "unixmilli",
	 KS_LAW_EXACT, KS_SCOPE_FLEET, 999, 0},
	{"workload: {phase: 500us, rate: 500/s}\nduration: 1s", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
	{"workload: {phase: 500ms, arrival: poisson}\nduration: 4s", "unixmilli", KS_LAW_NORMAL, KS_SCOPE_FLEET,
	 3500 / 2.718281828, 0},
	/* half a tick and three: 0.5 - (1 - e^-0.5) + 3 / e */
	{"workload: {phase: 500us, arrival: poisson}\nduration: 4ms", "unixmilli", KS_LAW_NORMAL, KS_SCOPE_FLEET, 1.210169,
	 0},
	/* Poisson: L = 1: 1/e of the calls. Three nodes: L = 3 */
	{"workload: {arrival: poisson}\nduration: 4s", "unixmilli", KS_LAW_NORMAL, KS_SCOPE_FLEET, 4000 / 2.718281828, 0},
	{"workload: {arrival: poisson}\nfleet: 3\nduration: 4s", "unixmilli", KS_LAW_NORMAL, KS_SCOPE_FLEET,
	 4000 * (3 - (1 - 0.0497870684)), 0},
	/* a replayed window of D ticks adds D (1 - 1/e)^2 */
	{"workload: {arrival: poisson}\nduration: 4s\nfaults: [{at: 2s, step: -120ms}]", "unixmilli", KS_LAW_NORMAL,
	 KS_SCOPE_FLEET, 4000 / 2.718281828 + 120 * 0.399576, 0},
	{"fleet: {processes: 2, threads: 2}\nduration: 4s", "counter", KS_LAW_EXACT, KS_SCOPE_FLEET, 2000, 0},
	{"fleet: {nodes: 3, processes: 3, threads: 1}\nworkload: {rate: 100/s}\nduration: 1s", "counter", KS_LAW_EXACT,
	 KS_SCOPE_FLEET, 300 - 34, 0},
	{"fleet: {nodes: 2}\nworkload: {arrival: poisson}\nduration: 1s", "counter", KS_LAW_EXACT, KS_SCOPE_PROCESS, 0, 0},
	{"fleet: {nodes: 2, threads: 3}\nduration: 1s", "null", KS_LAW_EXACT, KS_SCOPE_FLEET, 2000 - 334, 0},
	/* restarts: 2 s, and the 2 s that are left, calls of the time in between included; kept: one count; then of two nodes and processes */
	{"duration: 4s\nfaults: [{at: 1s, node: n1, restart: process, state: lost, for: 500ms}]", "counter", KS_LAW_EXACT, KS_SCOPE_FLEET, 1000, 0},
	{"duration: 4s\nfaults: [{at: 1s, node: n1, restart: process, state: kept, for: 500ms}]", "counter", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
	{"fleet: {processes: 2}\nduration: 4s\nfaults: [{at: 3s, restart: process, process: 1, state: lost, for: 10ms}]", "counter",
	 KS_LAW_EXACT, KS_SCOPE_FLEET, 2000, 0},
	{"fleet: {nodes: 2, processes: 2, threads: 2}\nduration: 4s\nfaults: [{at: 3s, node: n2, restart: process, process: 1, state: lost, for: 10ms}]",
	 "counter", KS_LAW_EXACT, KS_SCOPE_FLEET, 6000, 0},
	{"fleet: 2\nduration: 4s\nworkload: {phase: 100us}\nfaults: [{at: 1s, node: n2, restart: node, for: 10ms}, {at: 2s, node: n2, restart: node, for: 10ms}]",
	 "counter", KS_LAW_EXACT, KS_SCOPE_FLEET, 4000, 0},
	{"duration: 4s\nfaults: [{at: 1s, restart: node, state: kept, for: 500ms}]", "counter", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
	/* what else is done to the node ends no count */
	{"duration: 4s\nfaults: [{at: 500ms, rtc-reset: 2025-01-01T00:00:00Z}, {at: 1s, restart: node, for: 500ms}, {at: 2s, step: to-true}, {at: 3s, step: -120ms}]",
	 "counter", KS_LAW_EXACT, KS_SCOPE_FLEET, 1000, 0},
	{"fleet: {threads: 2}\nduration: 4s\nfaults: [{at: 1s, restart: process, state: lost, for: 10ms}]", "null", KS_LAW_EXACT,
	 KS_SCOPE_FLEET, 2500, 0},
	{BACK, "snowflake", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
	{BACK, "snowflake:unchecked", KS_LAW_EXACT, KS_SCOPE_FLEET, 120, 0},
	{FORTH, "snowflake:unchecked", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
	{"fleet: {nodes: 1, processes: 2}\nduration: 4s\nfaults: [{at: 2s, step: -120ms}]", "snowflake:unchecked",
	 KS_LAW_EXACT, KS_SCOPE_FLEET, 120, 0},
	{"workload: {rate: 3000/s}\nduration: 4s\nfaults: [{at: 2s, step: -120ms}]", "snowflake:unchecked", KS_LAW_EXACT,
	 KS_SCOPE_FLEET, 360, 0},
	/* K and K' of mean 1: E min = sum over k of P(K >= k)^2 = 0.399576 + 0.069825 + 0.006448 + 0.000361 + ... */
	{"workload: {arrival: poisson}\nduration: 4s\nfaults: [{at: 2s, step: -120ms}]", "snowflake:unchecked",
	 KS_LAW_NORMAL, KS_SCOPE_FLEET, 120 * 0.476224, 0},
	/* the same of two processes with a mean of 0.5 each */
	{"fleet: {nodes: 1, processes: 2}\nworkload: {arrival: poisson}\nduration: 4s\nfaults: [{at: 2s, step: -120ms}]",
	 "snowflake:unchecked", KS_LAW_NORMAL, KS_SCOPE_PROCESS, 240 * 0.163165, 0},
	/* three keys a tick, each of one of 1000 users: 3 - 1000 (1 - 0.999^3) */
	{"fleet: 3\nduration: 4s", "unixmilli:user", KS_LAW_POISSON, KS_SCOPE_FLEET, 4000 * 0.002999, 0},
	/* four calls a ms expected, of 36^2 words: 1296 (l - (1 - e^-l)), l = 4 / 1296 */
	{"fleet: 4\nworkload: {arrival: poisson}\nduration: 4s", "trace-id:letters=36:length=2", KS_LAW_POISSON, KS_SCOPE_FLEET,
	 4000 * 1296 * 4.75817e-6, 0},
	/* of 36 words: collisions are common, and words run out: 40 - 36 (1 - (35/36)^40) */
	{"fleet: 40\nworkload: {rate: 10/s}\nduration: 4s", "trace-id:letters=36:length=1", KS_LAW_NORMAL, KS_SCOPE_FLEET,
	 40 * (40 - 36 * (1 - 0.32406)), 0},
	/* sources that are seeded alike draw alike: all but one node's */
	{"fleet: 3\nduration: 4s", "trace-id:seed=equal", KS_LAW_EXACT, KS_SCOPE_FLEET, 8000, 0},
	{"fleet: 3\nduration: 4s", "unixnano", KS_LAW_EXACT, KS_SCOPE_FLEET, 8000, 0},
	{"duration: 4s\nfaults: [{at: 2s, step: -120ms}]", "unixnano", KS_LAW_EXACT, KS_SCOPE_FLEET, 120, 0},
	{"duration: 4s\nfaults: [{at: 2s, step: -120ms}]\nworkload: {rate: 700/s}", "unixnano", KS_LAW_EXACT, KS_SCOPE_FLEET, 84, 0},
	{"fleet: 2\nduration: 4s", "mono-offset", KS_LAW_EXACT, KS_SCOPE_FLEET, 4000, 0},
	/* of the four keys of the last ms all but the first */
	{"workload: {rate: 4000/s}\nduration: 4s\nfaults: [{at: 2s, step: -120ms}]", "snowflake:twitter-2010", KS_LAW_EXACT,
	 KS_SCOPE_FLEET, 3, 0},
	{"fleet: 2\nduration: 4s", "snowflake:ms20", KS_LAW_EXACT, KS_SCOPE_FLEET, 4000, 0},
	/* five depths of seven have one key each */
	{"duration: 4s", "depth-aware", KS_LAW_NORMAL, KS_SCOPE_FLEET, 4000 * 5 / 7.0 - 5, 0},
	{"duration: 4s\nworkload: {arrival: poisson}", "depth-aware:deep=2", KS_LAW_POISSON, KS_SCOPE_FLEET, 4000 * 2 / 7.0 - 2, 0},
	/* a shard a second: all but four */
	{"fleet: 2\nduration: 4s", "shard-key:period=1s", KS_LAW_EXACT, KS_SCOPE_FLEET, 7996, 0},
	{"fleet: 2\nduration: 4s", "shard-key:compare-and-set", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
	/* 300 ms in one: 300 keys of one ms; and a backlog of 50 that is worked off within a ms */
	{"duration: 4s\nfaults: [{at: 2s, freeze: realtime, for: 300ms}]", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 300, 0},
	{"duration: 4s\nworkload: {phase: 100us}\nfaults: [{at: 2s, stop-world: 50ms}]", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 50, 0},
	{"duration: 4s\nworkload: {arrival: poisson}\nfaults: [{at: 2s, freeze: realtime, for: 300ms}]", "unixmilli", KS_LAW_NORMAL,
	 KS_SCOPE_FLEET, 4000 - 3699 * (1 - 0.367879441) - 1, 0},
	/* every 4 ms one tick */
	{"duration: 4s\nfaults: [{at: 0s, coarse: 4ms}]", "unixmilli", KS_LAW_EXACT, KS_SCOPE_FLEET, 3000, 0},
	{"duration: 4s\nworkload: {arrival: poisson}\nfaults: [{at: 0s, coarse: 4ms}]", "unixmilli", KS_LAW_NORMAL, KS_SCOPE_FLEET,
	 4000 - 1000 * (1 - 0.0183156), 0},
	{BACK, "uuidv7", KS_LAW_POISSON, KS_SCOPE_FLEET, 0, 0},
	{BACK, "uuidv7:counter", KS_LAW_POISSON, KS_SCOPE_FLEET, 0, 0},
	{"duration: 4s\nfaults: [{at: 2s, step: -120ms}]", "uuidv7:counter", KS_LAW_EXACT, KS_SCOPE_FLEET, 0, 0},
};
#define NCASES (sizeof cases / sizeof *cases)

static void by_hand(void)
{
	for (size_t i = 0; i < NCASES; i++) {
		struct ks_plan plan;
		struct ks_gen_spec spec;
		struct ks_theory t;
		load(cases[i].yaml, cases[i].generator, &plan, &spec);
		ks_theory_duplicates(&plan, &spec, 1, &t);
		bool right = t.law == cases[i].law && t.scope == cases[i].scope && t.text[0];
		right = right && fabs(t.mean - cases[i].mean) <=
				     (t.law != KS_LAW_EXACT ? 1e-4 * cases[i].mean + 1e-9 : 0.001 + (double)cases[i].wide);
		if (t.law == KS_LAW_EXACT)
			right = right && t.low == (int64_t)fmax(0, t.mean - (double)cases[i].wide) &&
				t.high == (int64_t)t.mean + cases[i].wide;
		right = right && (double)t.low <= t.mean && t.mean <= (double)t.high + 0.001;
		CU_ASSERT(right);
		if (!right)
			printf("\n%s | %s: %s %d %.6g [%lld, %lld] %s\n", cases[i].yaml, cases[i].generator,
			       ks_law_names[t.law], t.scope, t.mean, (long long)t.low, (long long)t.high, t.text);
		ks_plan_release(&plan);
	}
}

static void by_simulation(void)
{
	for (size_t i = 0; i < NCASES; i++) {
		struct ks_plan plan;
		struct ks_gen_spec spec;
		struct ks_theory t;
		load(cases[i].yaml, cases[i].generator, &plan, &spec);
		ks_theory_duplicates(&plan, &spec, 1, &t);
		double sum = 0, square = 0;
		bool varies = t.law == KS_LAW_NORMAL || t.mean > 1;
		int seeds = t.law != KS_LAW_EXACT && varies ? 40 : 2;
		for (int seed = 1; seed <= seeds; seed++) {
			ks_theory_duplicates(&plan, &spec, (uint64_t)seed, &t);
			int64_t d = simulate(&plan, &spec, (uint64_t)seed, t.scope);
			CU_ASSERT(d >= t.low && d <= t.high);
			if (d < t.low || d > t.high)
				printf("\n%s | %s: %lld not in [%lld, %lld]\n", cases[i].yaml, cases[i].generator,
				       (long long)d, (long long)t.low, (long long)t.high);
			sum += (double)d;
			square += ((double)d - t.mean) * ((double)d - t.mean);
		}
		if (seeds == 40) { /* the mean of 40 within 4 standard errors; the variance within a factor of 2 */
			CU_ASSERT(fabs(sum / seeds - t.mean) < 4 * sqrt(t.variance / seeds));
			CU_ASSERT(square / seeds > t.variance / 2 && square / seeds < t.variance * 2);
		}
		ks_plan_release(&plan);
	}
}

/* Bare ms of Poisson calls, one expected in a tick: n - distinct of a tick is K - 1 where K > 0, so its variance is
 * L + p (1 - p) - 2 L e^-L with p = 1 - e^-L, 1.35 times its mean. Counts of 40 ticks tell 1.35 from 1.45 in 10,000 runs: the
 * standard error is 0.02. */
static void variance_over_mean(void)
{
	struct ks_plan plan;
	struct ks_gen_spec spec;
	struct ks_theory t;
	double sum = 0, square = 0, runs = 10000;
	load("workload: {arrival: poisson}\nduration: 40ms", "unixmilli", &plan, &spec);
	ks_theory_duplicates(&plan, &spec, 1, &t);
	CU_ASSERT_DOUBLE_EQUAL(t.variance / t.mean, 1.350, 0.001);
	for (int seed = 1; seed <= (int)runs; seed++) {
		double d = (double)simulate(&plan, &spec, (uint64_t)seed, KS_SCOPE_FLEET);
		sum += d;
		square += d * d;
	}
	double mean = sum / runs, ratio = (square / runs - mean * mean) / mean;
	CU_ASSERT_DOUBLE_EQUAL(mean, t.mean, 5 * sqrt(t.variance / runs));
	CU_ASSERT_DOUBLE_EQUAL(ratio, 1.350, 0.08);
	ks_plan_release(&plan);
}

/* Node ids drawn from M = 1024: two of n nodes share one with a probability of 1 - prod(1 - i / M). */
static void shared_node_ids(void)
{
	static const uint32_t fleets[] = {6, 16, 40};
	for (size_t f = 0; f < 3; f++) {
		struct ks_plan plan;
		struct ks_gen_spec spec;
		struct ks_theory t;
		char yaml[100];
		double apart = 1, runs = 20000;
		int shared = 0, by_theory = 0;
		snprintf(yaml, sizeof yaml, "fleet: {nodes: %u, node_id: random}\nduration: 3ms", fleets[f]);
		load(yaml, "snowflake", &plan, &spec);
		for (uint32_t i = 1; i < fleets[f]; i++)
			apart *= 1 - i / 1024.0;
		for (uint64_t seed = 1; seed <= (uint64_t)runs; seed++) {
			bool found = false;
			for (uint32_t i = 0; i < fleets[f]; i++)
				for (uint32_t j = 0; j < i; j++)
					found = found || ks_plan_worker(&plan, seed, i) == ks_plan_worker(&plan, seed, j);
			shared += found;
			if (seed <= 200) {
				ks_theory_duplicates(&plan, &spec, seed, &t);
				by_theory += (t.scope != KS_SCOPE_FLEET) == found;
			}
		}
		CU_ASSERT_DOUBLE_EQUAL(shared / runs, 1 - apart, 5 * sqrt(apart * (1 - apart) / runs));
		CU_ASSERT_EQUAL(by_theory, 200);
		ks_plan_release(&plan);
	}
}

/* Sanitizers make simulations ten times slower: they see one of five. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KS_SPARSE 1
#else
#define KS_SPARSE 0
#endif

/* Every generator that has a theory, every fault of clocks and threads, every arrival: where there is a law, the simulation keeps it,
 * and there is one nearly everywhere. */
static const char *const generators[] = {
	    "unixmilli", "unixmilli:user", "unixnano", "unixnano:user", "milli-rand32", "trace-id", "trace-id:letters=36:length=4",
	    "trace-id:seed=equal", "counter", "snowflake", "snowflake:unchecked", "snowflake:twitter-2010", "snowflake:monotonic",
	    "snowflake:ms20", "snowflake:leaf", "snowflake:hutool", "snowflake:hutool-5.4.6", "snowflake:mybatis-plus",
	    "snowflake:worker=lease", "depth-aware", "depth-aware:repaired", "depth-aware:deep=2", "uuidv7:monotonic-random",
	    "uuidv7:submilli", "uuidv7:variant=google", "uuidv7:variant=cpython-3.14", "uuidv7:variant=rust-contextv7", "mono-offset", "nanotime", "hlc", "hlc:carrying",
	    "hlc:cockroach", "shard-key:period=1s", "shard-key:compare-and-set", "uuidv7", "uuidv7:counter", "ulid", "ulid:monotonic",
	    "ulid:oklog", "lamport", "truetime"};
#define GENERATORS (sizeof generators / sizeof *generators)

static void all_by_simulation(void)
{
	static const char *const faults[] = {
	    "", "{at: 500ms, node: n2, step: -120ms}", "{at: 500ms, step: -120ms}", "{at: 500ms, node: n2, step: 50ms}",
	    "{at: 500ms, node: n2, drift: -500ppm}", "{at: 500ms, node: n1, slew: 400ppm, for: 500ms}",
	    "{at: 500ms, node: n2, strobe: 100ms, period: 10ms, for: 500ms}", "{at: 500ms, node: n2, jitter: 5ms, period: 20ms, for: 500ms}",
	    "{at: 500ms, node: n2, freeze: [realtime, monotonic], for: 300ms}", "{at: 500ms, node: n2, suspend: s3, for: 500ms}",
	    "{at: 500ms, suspend: vm-stop, for: 500ms}", "{at: 500ms, node: n1, suspend: host-stop, for: 500ms}",
	    "{at: 500ms, node: n1, thread: 0, pause: 60ms}", "{at: 500ms, node: n1, core: 1, pause: 60ms}", "{at: 500ms, node: n1, stop-world: 60ms}", "{at: 0s, coarse: 4ms}",
	    "{at: 500ms, node: n2, step: -120ms}, {at: 900ms, node: n2, step: 30ms}",
	    "{at: 500ms, node: n2, step: -120ms}, {at: 900ms, node: n2, step: to-true}", "{at: 0s, node: n2, leap: insert}",
	    "{at: 0s, node: n1, leap: delete}", "{at: 0s, node: n2, smear: linear, for: 20s}",
	    "{at: 500ms, node: n2, suspend: s3, for: 300ms, wake_error: -500ms}"};
	static const char *const arrivals[] = {"regular", "poisson", "burst"};
	int with_law = 0, without = 0;
	for (size_t g = 0; g < GENERATORS; g++)
		for (size_t f = 0; f < sizeof faults / sizeof *faults; f++)
			for (size_t a = 0; a < 3; a++) {
				char yaml[600];
				struct ks_plan plan;
				struct ks_gen_spec spec;
				struct ks_theory t;
				uint64_t seed = 1 + f;
				if (KS_SPARSE && (g + f + a) % 5)
					continue;
				snprintf(yaml, sizeof yaml,
					 "start: 2026-06-30T23:59:59.700Z\nduration: 1400ms\nfleet: {nodes: 2, threads: 2}\n"
					 "workload: {rate: 1000/s, arrival: %s, phase: 100us}\nfaults: [%s]",
					 arrivals[a], faults[f]);
				load(yaml, generators[g], &plan, &spec);
				ks_theory_duplicates(&plan, &spec, seed, &t);
				int64_t d = t.law == KS_LAW_NONE ? 0 : simulate(&plan, &spec, seed, t.scope);
				bool right = t.law == KS_LAW_NONE || (d >= t.low && d <= t.high);
				CU_ASSERT(right);
				if (!right)
					printf("\n%s | %s | %s: %lld, %s [%lld, %lld] %s\n", generators[g], faults[f],
					       arrivals[a], (long long)d, ks_law_names[t.law], (long long)t.low,
					       (long long)t.high, t.text);
				with_law += t.law != KS_LAW_NONE;
				without += t.law == KS_LAW_NONE;
				ks_plan_release(&plan);
			}
	CU_ASSERT(with_law > 19 * without);
	if (with_law <= 19 * without || getenv("KS_LAWS"))
		printf("\n%d with a law, %d without\n", with_law, without);
}

/* Lives that begin, end and repeat, stops inside calls, and messages: state lasts as long as its process, and so do the laws that rest on
 * it; messages delay only those that merge them. Where a node is put back nothing lasts. */
static void lives_by_simulation(void)
{
	static const struct {
		const char *yaml;
		int least; /* laws; 0: none at all */
	} kinds[] = {
		{"faults: [{at: 500ms, node: n2, restart: process, state: lost, for: 50ms}]", 35},
		{"faults: [{at: 400ms, node: n2, restart: process, state: lost, for: 50ms}, {at: 700ms, restart: node, for: 1ms}]", 10},
		{"faults: [{at: 500ms, node: n2, restart: process, state: kept, for: 50ms}]", 35},
		{"faults: [{at: 500ms, node: n2, restart: node, for: 50ms}]", 10},
		{"faults: [{at: 300ms, node: n1, snapshot: warm}, {at: 600ms, clone: warm, as: n9}]", 10},
		{"faults: [{at: 300ms, node: n1, snapshot: warm}, {at: 600ms, clone: warm, as: n9, vmgenid: false}]", 10},
		{"faults: [{at: 300ms, node: n1, snapshot: warm}, {at: 600ms, node: n1, rollback: warm}]", 0},
		{"faults: [{at: 500ms, node: n1, thread: 0, call: 3, where: after clock, pause: 20ms}]", 10},
		{"messages", 30},
	};
	for (size_t i = 0; i < 2 * (sizeof kinds / sizeof *kinds); i++) {
		size_t f = i / 2;
		bool poisson = i % 2;
		int laws = 0;
		bool mail = !strcmp(kinds[f].yaml, "messages");
		for (size_t g = 0; g < GENERATORS; g++) {
			char yaml[600];
			struct ks_plan plan;
			struct ks_gen_spec spec;
			struct ks_theory t;
			snprintf(yaml, sizeof yaml,
			         "duration: 1s\nfleet: {nodes: 2, threads: 2}\nworkload: {rate: 1000/s, phase: 100us, arrival: %s%s}\n%s",
			         poisson ? "poisson" : "regular", mail ? ", messages: {rate: 100/s, from: all, to: all}" : "", mail ? "" : kinds[f].yaml);
			load(yaml, generators[g], &plan, &spec);
			ks_theory_duplicates(&plan, &spec, 1 + g, &t);
			int64_t d = t.law == KS_LAW_NONE ? 0 : simulate(&plan, &spec, 1 + g, t.scope);
			bool right = t.law == KS_LAW_NONE ? strlen(t.text) > strlen("no closed form: ") : d >= t.low && d <= t.high;
			CU_ASSERT(right);
			if (!right)
				printf("\n%s | %s: %lld, %s [%lld, %lld] %s\n", generators[g], kinds[f].yaml, (long long)d,
				       ks_law_names[t.law], (long long)t.low, (long long)t.high, t.text);
			laws += t.law != KS_LAW_NONE;
			ks_plan_release(&plan);
		}
		CU_ASSERT(kinds[f].least ? laws >= kinds[f].least : laws == 0);
		if (getenv("KS_LAWS"))
			printf("\n%s%s: %d of %zu with a law\n", kinds[f].yaml, poisson ? " poisson" : "", laws, GENERATORS);
	}
}

/* What theory says must be wrong for another world: the interval excludes a neighbouring law. */
static void intervals_tell_laws_apart(void)
{
	struct ks_plan plan;
	struct ks_gen_spec spec;
	struct ks_theory still, back;
	load("workload: {arrival: poisson, rate: 4000/s}\nduration: 20s\nfaults: [{at: 10s, step: -5s}]", "unixmilli",
	     &plan, &spec);
	ks_theory_duplicates(&plan, &spec, 1, &back);
	plan.faults = 0;
	ks_theory_duplicates(&plan, &spec, 1, &still);
	CU_ASSERT(still.high < back.low);
	plan.faults = 1;
	ks_plan_release(&plan);
}

static void premises(void)
{
	static const struct {
		const char *yaml, *generator, *says;
	} none[] = {
	    {"workload: {model: closed}", "unixmilli", "closed loop"},
	    {"workload: {rate: 2000000/s}\nduration: 1ms", "unixmilli", "1us apart"},
	    {"workload: {rate: 999/s}\nduration: 2000s", "unixmilli", "2^20 calls"},
	    {"workload: {rate: 3000/s}\nduration: 2s\nfaults: [{at: 1s, step: -20ms}]",
	     "snowflake:unchecked:seq_bits=1", "sequence holds"},
	    {"workload: {arrival: poisson}\nduration: 3s\nfaults: [{at: 1s, step: -20ms}, {at: 2s, step: -20ms}]",
	     "snowflake:unchecked", "more than twice"},
	    {"workload: {arrival: poisson}\nduration: 3s\nfaults: [{at: 1s, step: -20ms}]",
	     "snowflake:unchecked:seq_bits=2", "sequence holds"},
	    {"fleet: {nodes: 4}\nduration: 3s\nfaults: [{at: 1s, step: -20ms}]", "snowflake:unchecked:node_bits=2",
	     "do not fit"},
	};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		struct ks_plan plan;
		struct ks_gen_spec spec;
		struct ks_theory t;
		load(none[i].yaml, none[i].generator, &plan, &spec);
		ks_theory_duplicates(&plan, &spec, 1, &t);
		CU_ASSERT(t.law == KS_LAW_NONE && strstr(t.text, none[i].says));
		if (t.law != KS_LAW_NONE || !strstr(t.text, none[i].says))
			printf("\n%s | %s: %s %s\n", none[i].yaml, none[i].generator, ks_law_names[t.law], t.text);
		ks_plan_release(&plan);
	}
	struct ks_gen_spec foreign = {.text = "exec:x"};
	struct ks_plan plan = {.nodes = 0};
	struct ks_theory t;
	ks_theory_duplicates(&plan, &foreign, 1, &t);
	CU_ASSERT_EQUAL(t.law, KS_LAW_NONE);
}

int main(void)
{
	static const struct ks_test tests[] = {
	    {"moments of excess", moments_of_excess},
	    {"moments of the lesser", moments_of_lesser},
	    {"intervals cover", interval_covers},
	    {"intervals of sums cover", interval_of_sums},
	    {"limits of laws", law_limits},
	    {"plans by hand", by_hand},
	    {"plans by simulation", by_simulation},
	    {"variance over mean of bare ms", variance_over_mean},
	    {"shared node ids", shared_node_ids},
	    {"all generators, faults, arrivals by simulation", all_by_simulation},
	    {"lives and messages by simulation", lives_by_simulation},
	    {"intervals tell laws apart", intervals_tell_laws_apart},
	    {"premises", premises},
	    {0},
	};
	return ks_test_main("theory", tests);
}
