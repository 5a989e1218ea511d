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
	int rc = ks_series_write(&m->e, control ? &control->e : NULL, witness, folder, &err);
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
	CU_ASSERT_STRING_EQUAL(text, "# t_s node offset_ms: clock reading minus true time\n"
	                             "# n1\n0.000000025 n1 0.000000\n4.999000025 n1 0.000000\n\n\n"
	                             "# n2\n0.000000026 n2 0.000000\n4.999000026 n2 0.000000\n");
	free(text);
	text = slurp("dups.dat"); /* no control: not a number */
	CU_ASSERT_EQUAL(lines_with(text, " 0 NaN\n"), 2);
	free(text);
	json_t *j = meta();
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
	CU_ASSERT_STRING_EQUAL(text, "# t_s node lo_ms: key time minus call time\n# n1\n0.000000000 n1 0.000000\n"
	                             "0.399000000 n1 0.000000\n\n0.700000000 n1 0.000000\n0.999000000 n1 0.000000\n");
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
	CU_ASSERT_EQUAL(ks_series_write(&m.e, NULL, 5, folder, &err), -1);
	CU_ASSERT_EQUAL(ks_series_write(&m.e, NULL, -1, "/nonexistent", &err), -1);
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
		int rc = ks_series_write(&m.e, &m.e, -1, folder, &err);
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
	                                       {"duplicates", test_duplicates},
	                                       {"many nodes", test_many_nodes},
	                                       {"clocks without an epoch", test_monotonic},
	                                       {"what cannot be told", test_missing},
	                                       {"out of memory", test_no_memory},
	                                       {NULL, NULL}};
	if (!mkdtemp(folder))
		return 2;
	int failed = ks_test_main("series", tests);
	char path[4096];
	const char *names[] = {"clock.dat", "near-clock.dat", "keytime.dat", "near-keytime.dat", "dups.dat", "near-dups.dat", "meta.json"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
	return failed;
}
