/* The series behind the plots, from records made by hand. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_store.h"
#include "ks_test.h"

static char folder[] = "/tmp/keyskew-series-XXXXXX";

/* A key is the wall clock in ns since the start, or holds no time at all. */
static bool timed;

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){.has_time = timed, .embed_lo_unix_ns = (int64_t)key.lo, .embed_hi_unix_ns = (int64_t)key.lo + 1};
}

static const struct ks_gen gen = {.name = "made", .decode = decode};

#define NODES_MAX 20
struct made {
	struct ks_plan plan;
	struct ks_plan_node node[NODES_MAX];
	struct ks_gen_spec spec;
	struct ks_records records;
	struct ks_lane lane[NODES_MAX];
	struct ks_evidence e;
};

#define CHANGE(records_, row_, change)                                                                                 \
	do {                                                                                                           \
		struct ks_record r_ = ks_record_get(records_, row_);                                                   \
		r_.change;                                                                                             \
		CU_ASSERT_EQUAL_FATAL(ks_record_set(records_, row_, &r_), 0);                                          \
	} while (0)

/* n calls of each node, 1 ms apart, of true clocks; keys distinct. */
static void make(struct made *m, uint32_t nodes, size_t n)
{
	memset(m, 0, sizeof(*m));
	m->plan = (struct ks_plan){.nodes = nodes, .node = m->node, .duration_ns = (int64_t)n * KS_MS};
	for (uint32_t i = 0; i < nodes; i++) {
		snprintf(m->node[i].name, KS_NAME_MAX, "n%u", i + 1);
		m->lane[i].node = i;
	}
	m->spec.gen = &gen;
	snprintf(m->spec.text, sizeof(m->spec.text), "made");
	m->records = (struct ks_records){.lanes = m->lane, .nlanes = nodes};
	for (size_t i = 0; i < nodes * n; i++) {
		int64_t t = (int64_t)(i / nodes) * KS_MS + (int64_t)(i % nodes);
		struct ks_record r = {.due_ns = t, .call_ns = t, .return_ns = t + 50, .read_ns = t + 25, .read_at_ns = t + 25,
		                      .key = ks_key64((uint64_t)t), .lane = (uint32_t)(i % nodes), .outcome = KS_KEY,
		                      .clock = KS_REALTIME};
		CU_ASSERT_EQUAL_FATAL(ks_records_add(&m->records, &r), 0);
	}
	m->e = (struct ks_evidence){.plan = &m->plan, .gen = &m->spec, .records = &m->records};
}

static void drop(struct made *m)
{
	m->records.lanes = NULL; /* its own */
	ks_records_release(&m->records);
}

static int series(const struct made *m, const struct made *control, int64_t witness)
{
	struct ks_err err = {0};
	struct ks_run_facts facts = {.evidence = &m->e, .control = control ? &control->e : NULL};
	int rc = ks_series_write(&facts, witness, folder, &err);
	if (rc)
		printf("\n%s\n", err.text);
	return rc;
}

static char *slurp(const char *name)
{
	char path[4096], *text = calloc(1, 1 << 20);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_FATAL(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
	fclose(f);
	return text;
}

static json_t *meta(void)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/meta.json", folder);
	json_t *j = json_load_file(path, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(j);
	return j;
}

static size_t lines_with(const char *text, const char *word)
{
	size_t n = 0;
	for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
		n++;
	return n;
}

/* A clock that is true is a straight line: two points a node. */
static void test_straight(void)
{
	struct made m;
	make(&m, 2, 5000);
	CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
	char *text = slurp("clock.dat");
	CU_ASSERT_STRING_EQUAL(text, "# t_s node ms: clock reading minus true time\n"
	                             "# n1\n0.000000025 n1 0.000000\n4.999000025 n1 0.000000\n\n\n"
	                             "# n2\n0.000000026 n2 0.000000\n4.999000026 n2 0.000000\n");
	free(text);
	json_t *j = meta(), *missing = json_object_get(j, "missing");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(missing, "dups")), ""); /* there are none */
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(missing, "order")), "");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(missing, "served")), "");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(missing, "waits")), "");
	CU_ASSERT_PTR_NULL(json_object_get(missing, "damage"));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(j, "near"), "about")), "start");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "clock")), "realtime");
	json_decref(j);
	drop(&m);
}

/* One reading among a hundred thousand is off: it must be on the plot. */
static void test_extreme_kept(void)
{
	struct made m;
	make(&m, 1, 100000);
	for (size_t i = 0; i < m.records.n; i++) /* noise, so that nothing is straight */
		CHANGE(&m.records, i, read_ns += (int64_t)(i * 7919 % 1000));
	CHANGE(&m.records, 54321, read_ns = r_.read_at_ns + 777 * KS_MS);
	CHANGE(&m.records, 77777, read_ns = r_.read_at_ns - 333 * KS_MS);
	CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
	char *text = slurp("clock.dat");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "54.321000025 n1 777.000000\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "77.777000025 n1 -333.000000\n"));
	CU_ASSERT(lines_with(text, " n1 ") <= KS_SERIES_POINTS);
	free(text);
	json_t *j = meta(), *range = json_object_get(json_object_get(j, "ranges"), "clock");
	CU_ASSERT_EQUAL(json_real_value(json_array_get(range, 0)), -333);
	CU_ASSERT_EQUAL(json_real_value(json_array_get(range, 1)), 777);
	json_decref(j);
	drop(&m);
}

/* Where nothing is known for long, the line is interrupted. */
static void test_gap(void)
{
	struct made m;
	make(&m, 1, 1000);
	timed = true;
	for (size_t i = 0; i < m.records.n; i++)
		CHANGE(&m.records, i, outcome = i >= 400 && i < 700 ? KS_REFUSE : KS_KEY);
	CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
	char *text = slurp("keytime.dat");
	CU_ASSERT_STRING_EQUAL(text, "# t_s node ms: key time minus call time\n# n1\n0.000000000 n1 0.000000\n"
	                             "0.399000000 n1 0.000000\n\n0.700000000 n1 0.000000\n0.999000000 n1 0.000000\n");
	free(text);
	drop(&m);
}

/* Between calls that are far apart a clock that was set is no slope; one that was not is a line. */
static void test_step(void)
{
	struct made m;
	make(&m, 2, 20);
	for (size_t i = 10; i < m.records.n; i++)
		CHANGE(&m.records, i, read_ns += 8 * KS_MS);
	const struct ks_clock_change change[] = {{.at_ns = 4500000, .amount_ns = 8 * KS_MS, .node = 0, .fault = 0},
	                                         {.at_ns = 4500000, .amount_ns = 0, .node = 1, .fault = 1}};
	m.e.change = change;
	m.e.nchange = 2;
	CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
	char *text = slurp("clock.dat");
	CU_ASSERT_STRING_EQUAL(text, "# t_s node ms: clock reading minus true time\n"
	                             "# n1\n0.000000025 n1 0.000000\n0.004000025 n1 0.000000\n\n0.005000025 n1 8.000000\n"
	                             "0.019000025 n1 8.000000\n\n\n"
	                             "# n2\n0.000000026 n2 0.000000\n0.004000026 n2 0.000000\n0.005000026 n2 8.000000\n"
	                             "0.019000026 n2 8.000000\n");
	free(text);
	drop(&m);
}

/* Planted duplicates appear when they return, and are counted within the scope that shows them. */
static void test_duplicates(void)
{
	struct made m, control;
	make(&m, 2, 1000);
	make(&control, 2, 1000);
	for (size_t i = 0; i < m.records.n; i++) { /* both nodes issue the same keys all day */
		CHANGE(&m.records, i, key = ks_key64(i / 2));
		CHANGE(&control.records, i, key = ks_key64(i / 2));
	}
	CHANGE(&m.records, 1500, key = ks_order(&m.e, 10)); /* and one issues four of its own again */
	CHANGE(&m.records, 1502, key = ks_order(&m.e, 12));
	CHANGE(&m.records, 1504, key = ks_order(&m.e, 14));
	CHANGE(&m.records, 1506, key = ks_order(&m.e, 14));
	CU_ASSERT_EQUAL_FATAL(series(&m, &control, 1500), 0);
	json_t *j = meta();
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "dups_scope")), "node");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(j, "near"), "about")), "witness");
	json_decref(j);
	char *text = slurp("dups.dat");
	const char *end = strstr(text, "\n1.000000000 4 0\n");
	CU_ASSERT_PTR_NOT_NULL(end);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n0.000000000 0 0\n"));
	CU_ASSERT_PTR_NULL(strstr(text, "\n0.74 1"));
	free(text);
	text = slurp("near-dups.dat");
	for (int i = 0; i <= 4; i++) {
		char want[20];
		snprintf(want, sizeof(want), " %d 0\n", i);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, want));
	}
	free(text);
	drop(&m);
	drop(&control);
}

/* Keys that come late: by how long, against the first larger one, in the scope that shows them. */
static void test_order(void)
{
	struct made m, control;
	make(&m, 2, 1000);
	make(&control, 2, 1000);
	for (size_t i = 0; i < m.records.n; i++) { /* between nodes keys are never in order: each counts by itself, the second ahead */
		CHANGE(&m.records, i, key = ks_key64(i + 100000 * (1 - i % 2)));
		CHANGE(&control.records, i, key = ks_key64(i + 100000 * (1 - i % 2)));
	}
	CHANGE(&m.records, 1001, key = ks_key64(901)); /* after 903 .. 999 of its own, the first of which returned 49 calls before */
	CU_ASSERT_EQUAL_FATAL(series(&m, &control, 1001), 0);
	json_t *j = meta(), *range = json_object_get(json_object_get(j, "ranges"), "order");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "order_scope")), "node");
	CU_ASSERT_EQUAL(json_real_value(json_array_get(range, 0)), 0);
	CU_ASSERT_EQUAL(json_real_value(json_array_get(range, 1)), 49);
	json_decref(j);
	char *text = slurp("order.dat");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n0.500000051 n2 49.000000\n"));
	free(text);
	drop(&m);
	drop(&control);
}

/* Against the definition, word for word. */
static void test_order_defined(void)
{
	for (unsigned seed = 1; seed < 40; seed++) {
		struct made m;
		int64_t most = 0;
		make(&m, 1, 60);
		srand(seed);
		for (size_t i = 0; i < m.records.n; i++)
			CHANGE(&m.records, i, key = ks_key64((uint64_t)(rand() % 40)));
		for (size_t b = 0; b < m.records.n; b++)
			for (size_t a = 0; a < b; a++) {
				struct ks_record x = ks_record_get(&m.records, a), y = ks_record_get(&m.records, b);
				if (ks_key_less(y.key, x.key) && y.return_ns - x.return_ns > most)
					most = y.return_ns - x.return_ns;
			}
		CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
		json_t *j = meta(), *range = json_object_get(json_object_get(j, "ranges"), "order");
		CU_ASSERT_EQUAL(json_real_value(json_array_get(range, 1)), (double)most / 1e6);
		json_decref(j);
		drop(&m);
	}
}

/* Refused and lost calls, and those of the control. */
static void test_served(void)
{
	struct made m, control;
	make(&m, 1, 1000);
	make(&control, 1, 1000);
	for (size_t i = 400; i < 500; i++)
		CHANGE(&m.records, i, outcome = KS_REFUSE);
	CHANGE(&m.records, 700, outcome = KS_LOST);
	CHANGE(&m.records, 700, return_ns = KS_NO_TIME);
	CHANGE(&control.records, 10, outcome = KS_REFUSE);
	CU_ASSERT_EQUAL_FATAL(series(&m, &control, -1), 0);
	char *text = slurp("served.dat");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "# t_s, then so far: refused lost; the same of the control\n0.000000000 0 0 0 0\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n1.000000000 100 1 1 0\n"));
	free(text);
	json_t *j = meta();
	CU_ASSERT_EQUAL(json_array_size(json_object_get(json_object_get(j, "counts"), "served")), 2);
	json_decref(j);
	drop(&m);
	drop(&control);
}

/* How many of the calls waited how long: one of 1000 100 ms, ten of them 10 ms or more. */
static void test_waits(void)
{
	struct made m, control;
	make(&m, 1, 1000);
	make(&control, 1, 1000);
	for (size_t i = 500; i < 509; i++)
		CHANGE(&m.records, i, due_ns -= 10 * KS_MS);
	CHANGE(&m.records, 509, due_ns -= 100 * KS_MS);
	CU_ASSERT_EQUAL_FATAL(series(&m, &control, -1), 0);
	char *text = slurp("waits.dat");
	CU_ASSERT_STRING_EQUAL(text, "# wait_ms share: of the calls waited at least so long\n# run\n1e-6 1\n0.000050 1\n10.000050 0.01\n"
	                             "100.000050 0.001\n100.000050 1e-12\n\n\n# control\n1e-6 1\n0.000050 1\n0.000050 1e-12\n");
	free(text);
	text = slurp("stalls.dat");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " n1 100.000050\n"));
	free(text);
	drop(&m);
	drop(&control);
}

/* Causes: a key that names an earlier time than its cause lies below 0. */
static void test_causal(void)
{
	struct made m;
	make(&m, 1, 1000);
	timed = true;
	CHANGE(&m.records, 500, parent = 490);
	CHANGE(&m.records, 600, parent = 650);
	for (size_t i = 0; i < m.records.n; i++)
		if (i != 500 && i != 600)
			CHANGE(&m.records, i, parent = KS_NO_PARENT);
	CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
	char *text = slurp("causal.dat");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " n1 10.000000\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " n1 -50.000000\n"));
	CU_ASSERT_EQUAL(lines_with(text, " n1 "), 2);
	free(text);
	drop(&m);
}

/* Damage is counted by kind, when the call that did it returned; maxima and what did not happen are left out. */
static void test_damage(void)
{
	struct made m;
	struct ks_err err;
	struct ks_harm harm[] = {{100, 5, 0, 1}, {200, 5, 3, 7}, {300, 5, 0, 1}, {400, 5, 2, 1}};
	struct ks_damage_result d = {.consumer = ks_consumer_find("trace-collector"), .toll = {.v = harm, .n = 4}};
	make(&m, 1, 1000);
	struct ks_run_facts facts = {.evidence = &m.e, .damage = &d, .damages = 1};
	CU_ASSERT_EQUAL_FATAL(ks_series_write(&facts, -1, folder, &err), 0);
	char *text = slurp("damage.dat");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "so far: merged_traces merged_other_process\n0.000000000 0 0\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n1.000000000 2 1\n"));
	free(text);
	drop(&m);
}

/* Of many nodes the ones that a fault hits stand alone. */
static void test_many_nodes(void)
{
	struct made m;
	struct ks_fault_kind step = {.name = "step", .op = KS_FAULT_STEP};
	uint32_t hit[] = {16};
	struct ks_fault fault = {.name = "odd 'name'", .kind = &step, .at_ns = 500 * KS_MS, .amount = -20 * KS_MS, .nodes = hit, .nnodes = 1};
	make(&m, 20, 1000);
	m.plan.fault = &fault;
	m.plan.faults = 1;
	CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
	json_t *j = meta(), *nodes = json_object_get(j, "nodes"), *near = json_object_get(j, "near");
	CU_ASSERT_EQUAL(json_array_size(nodes), KS_SERIES_NODES);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(nodes, KS_SERIES_NODES - 2)), "n17");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(nodes, KS_SERIES_NODES - 1)), "others");
	CU_ASSERT_EQUAL(json_real_value(json_object_get(near, "from_s")), 0.47); /* one and a half steps */
	CU_ASSERT_EQUAL(json_real_value(json_object_get(near, "to_s")), 0.53);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(near, "about")), "fault");
	json_decref(j);
	char *text = slurp("near-clock.dat");
	CU_ASSERT_EQUAL(lines_with(text, "\n\n\n"), KS_SERIES_NODES - 1);
	free(text);
	drop(&m);
}

/* Only changes mean anything of a clock without an epoch. */
static void test_monotonic(void)
{
	struct made m;
	make(&m, 1, 100);
	for (size_t i = 0; i < m.records.n; i++) {
		CHANGE(&m.records, i, clock = KS_MONOTONIC);
		CHANGE(&m.records, i, read_ns += 1000 * KS_SEC);
	}
	CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
	char *text = slurp("clock.dat");
	CU_ASSERT_EQUAL(lines_with(text, " n1 0.000000\n"), 2);
	free(text);
	drop(&m);
}

static void test_missing(void)
{
	struct made m;
	make(&m, 1, 100);
	timed = false;
	for (size_t i = 0; i < m.records.n; i++)
		CHANGE(&m.records, i, read_ns = KS_NO_TIME);
	CU_ASSERT_EQUAL_FATAL(series(&m, NULL, -1), 0);
	json_t *j = meta(), *missing = json_object_get(j, "missing");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(missing, "clock")), "the generator read no clock");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(missing, "keytime")), "the keys hold no time");
	json_decref(j);
	m.records.n = 0; /* and a run in which nothing happened */
	CU_ASSERT_EQUAL(series(&m, NULL, -1), 0);
	struct ks_err err;
	struct ks_run_facts facts = {.evidence = &m.e};
	CU_ASSERT_EQUAL(ks_series_write(&facts, 5, folder, &err), -1);
	CU_ASSERT_EQUAL(ks_series_write(&facts, -1, "/nonexistent", &err), -1);
	drop(&m);
}

/* Out of memory anywhere is an error, and leaves nothing behind. */
static void test_no_memory(void)
{
	struct made m;
	struct ks_err err;
	int failed = 0;
	make(&m, 2, 100);
	timed = true;
	for (long at = 1; at < 100; at++) {
		ks_mem_fail_at(at);
		struct ks_run_facts facts = {.evidence = &m.e, .control = &m.e};
		int rc = ks_series_write(&facts, -1, folder, &err);
		ks_mem_fail_at(0);
		if (!rc)
			break;
		CU_ASSERT_EQUAL(err.code, KS_E_INTERNAL);
		failed++;
	}
	CU_ASSERT(failed >= 8);
	drop(&m);
}

int main(void)
{
	static const struct ks_test tests[] = {{"straight lines", test_straight},
	                                       {"extremes are kept", test_extreme_kept},
	                                       {"gaps", test_gap},
	                                       {"steps", test_step},
	                                       {"duplicates", test_duplicates},
	                                       {"order", test_order},
	                                       {"order as defined", test_order_defined},
	                                       {"refused and lost", test_served},
	                                       {"waits", test_waits},
	                                       {"causes", test_causal},
	                                       {"damage", test_damage},
	                                       {"many nodes", test_many_nodes},
	                                       {"clocks without an epoch", test_monotonic},
	                                       {"what cannot be told", test_missing},
	                                       {"out of memory", test_no_memory},
	                                       {NULL, NULL}};
	if (!mkdtemp(folder))
		return 2;
	int failed = ks_test_main("series", tests);
	static const char *const names[] = {"clock", "keytime", "order", "dups", "causal", "served", "stalls", "waits", "damage"};
	char path[4096];
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s.dat", folder, names[i]);
		unlink(path);
		snprintf(path, sizeof(path), "%s/near-%s.dat", folder, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/meta.json", folder);
	unlink(path);
	rmdir(folder);
	return failed;
}
