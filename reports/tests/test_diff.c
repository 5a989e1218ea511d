/* Differences between two results, from documents written here; statistics against values of the literature and of R. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ks_diff.h"
#include "ks_test.h"
#include "report.h"
#include "sample.h"

static struct ks_sample sample(int64_t *v, size_t n)
{
	struct ks_sample s = {v, n};
	ks_sample_sort(&s);
	return s;
}
#define SAMPLE(...) sample((int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void test_mann_whitney(void)
{
	/* complete separation of 3 and 3: 2 of choose(6, 3) = 20 */
	struct ks_sample a = SAMPLE(1, 2, 3), b = SAMPLE(4, 5, 6);
	CU_ASSERT_DOUBLE_EQUAL(ks_mann_whitney(&a, &b), 0.1, 1e-12);
	CU_ASSERT_DOUBLE_EQUAL(ks_cliff_delta(&a, &b), 1, 1e-12);
	CU_ASSERT_DOUBLE_EQUAL(ks_mann_whitney(&a, &a), 1, 1e-12);
	/* R: wilcox.test(c(1.1,3,5,7), c(2,4,6,8,9)): W = 6, p = 0.4127 */
	struct ks_sample c = SAMPLE(11, 30, 50, 70), d = SAMPLE(20, 40, 60, 80, 90);
	CU_ASSERT_DOUBLE_EQUAL(ks_mann_whitney(&c, &d), 0.41269841, 1e-6);
	/* ties: all 2 + 2 values equal but one; by hand, choose(4, 2) = 6 */
	struct ks_sample e = SAMPLE(1, 1), f = SAMPLE(1, 2);
	CU_ASSERT_DOUBLE_EQUAL(ks_mann_whitney(&e, &f), 1, 1e-12);
}

static void test_counts(void)
{
	/* given 10 in all and equal calls: 2 P(Bin(10, 1/2) <= 0) = 2 / 1024 */
	CU_ASSERT_DOUBLE_EQUAL(ks_counts_test(0, 1000, 10, 1000), 2.0 / 1024, 1e-12);
	CU_ASSERT_DOUBLE_EQUAL(ks_counts_test(10, 1000, 0, 1000), 2.0 / 1024, 1e-12);
	CU_ASSERT_DOUBLE_EQUAL(ks_counts_test(0, 1000, 0, 1000), 1, 1e-12);
	/* twice the calls, twice the count: no difference */
	CU_ASSERT(ks_counts_test(10, 1000, 20, 2000) > 0.5);
}

static void test_interval(void)
{
	int64_t v[100], low, high;
	for (int i = 0; i < 100; i++)
		v[i] = i;
	struct ks_sample s = sample(v, 100);
	ks_sample_interval(&s, &low, &high);
	CU_ASSERT_EQUAL(low, 39); /* the 40th and the 61st of 100, as in tables */
	CU_ASSERT_EQUAL(high, 60);
	s.n = 3;
	ks_sample_interval(&s, &low, &high);
	CU_ASSERT(low == 0 && high == 2 && ks_sample_median(&s) == 1);
}

/* One run of a document. */
static json_t *run(const char *scenario, const char *world, int seed, const char *verdict, int duplicates, int stall)
{
	json_t *r = json_pack("{ss ss ss si ss ss ss si}", "scenario", scenario, "generator", "unixmilli", "world", world, "seed", seed,
	                      "status", "judged", "reason", "", "effective", "keyskew: 1", "calls", 1000);
	json_object_set_new(r, "claims", json_pack("[{ss ss}]", "claim", "unique@node", "verdict", verdict));
	json_object_set_new(r, "metrics", json_pack("{s{si} si}", "duplicates", "node", duplicates, "stall_ns_max", stall));
	return r;
}

static json_t *document(json_t *runs)
{
	return json_pack("{si so}", "schema", 1, "runs", runs);
}

static int64_t count(const json_t *diff, const char *what)
{
	return ks_rp_int(json_object_get(diff, "summary"), what);
}

static const json_t *first(const json_t *diff)
{
	return json_array_get(json_object_get(diff, "differences"), 0);
}

static void test_same_is_no_difference(void)
{
	json_t *a = document(json_pack("[oo]", run("s", "sim", 1, "kept", 0, 65), run("s", "sim", 2, "kept", 0, 66)));
	json_t *d = ks_diff(a, a);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(d, "differences")), 0);
	CU_ASSERT_EQUAL(count(d, "compared"), 1);
	json_decref(d);
	json_decref(a);
}

static void test_verdict_and_metric(void)
{
	json_t *a = document(json_pack("[oo]", run("s", "sim", 1, "kept", 0, 65), run("s", "sim", 2, "kept", 0, 66)));
	json_t *b = document(json_pack("[oo]", run("s", "sim", 1, "kept", 0, 65), run("s", "sim", 2, "broken", 3, 66)));
	json_t *d = ks_diff(a, b), *back = ks_diff(b, a);
	CU_ASSERT_EQUAL(count(d, "regressions"), 1); /* 0, 0 against 0, 3 overlap: the metric has not moved, the verdict has */
	CU_ASSERT_STRING_EQUAL(ks_rp_str(first(d), "base"), "kept 2/2");
	CU_ASSERT_STRING_EQUAL(ks_rp_str(first(d), "new"), "kept 1/2, broken 1/2");
	CU_ASSERT_EQUAL(count(back, "improvements"), 1);
	CU_ASSERT_EQUAL(count(back, "regressions"), 0);
	json_decref(d);
	json_decref(back);
	json_decref(a);
	json_decref(b);
}

static void test_metric_alone(void)
{
	json_t *a = document(json_pack("[o]", run("s", "sim", 1, "broken", 120, 65)));
	json_t *b = document(json_pack("[o]", run("s", "sim", 1, "broken", 121, 65)));
	json_t *d = ks_diff(a, b);
	CU_ASSERT_EQUAL(count(d, "regressions"), 1);
	CU_ASSERT_STRING_EQUAL(ks_rp_str(first(d), "subject"), "duplicates@node");
	json_decref(d);
	json_decref(a);
	json_decref(b);
	/* in a real world one more duplicate of 120 is noise, and a stall of one seed says nothing */
	a = document(json_pack("[o]", run("s", "faketime", 1, "broken", 120, 65)));
	b = document(json_pack("[o]", run("s", "faketime", 1, "broken", 121, 6500)));
	d = ks_diff(a, b);
	CU_ASSERT_EQUAL(count(d, "regressions"), 0);
	json_decref(d);
	json_decref(b);
	b = document(json_pack("[o]", run("s", "faketime", 1, "broken", 220, 65)));
	d = ks_diff(a, b);
	CU_ASSERT_EQUAL(count(d, "regressions"), 1);
	json_decref(d);
	json_decref(a);
	json_decref(b);
}

static void test_coverage(void)
{
	json_t *a = document(json_pack("[oo]", run("s", "sim", 1, "kept", 0, 65), run("t", "sim", 1, "kept", 0, 65)));
	json_t *b = document(json_pack("[oo]", run("s", "sim", 1, "kept", 0, 65), run("u", "sim", 1, "kept", 0, 65)));
	json_t *d = ks_diff(a, b);
	CU_ASSERT_EQUAL(count(d, "regressions"), 1); /* t is missing */
	CU_ASSERT_EQUAL(count(d, "changes"), 1);     /* u is new */
	json_decref(d);
	json_object_set_new(json_array_get(json_object_get(b, "runs"), 0), "status", json_string("untested"));
	json_object_set_new(json_array_get(json_object_get(b, "runs"), 0), "reason", json_string("no such world"));
	d = ks_diff(a, b);
	CU_ASSERT_EQUAL(count(d, "regressions"), 2);
	CU_ASSERT_STRING_EQUAL(ks_rp_str(first(d), "reason"), "no such world");
	json_decref(d);
	json_decref(a);
	json_decref(b);
}

static void test_writers(void)
{
	char *text = NULL;
	size_t len;
	json_t *a = document(json_pack("[o]", run("s|x", "sim", 1, "kept", 0, 65)));
	json_t *b = document(json_pack("[o]", run("s|x", "sim", 1, "broken", 3, 65)));
	json_t *d = ks_diff(a, b);
	FILE *f = open_memstream(&text, &len);
	CU_ASSERT_EQUAL(ks_diff_text(d, f, false, 120), 0);
	CU_ASSERT_EQUAL(ks_diff_markdown(d, f), 0);
	fclose(f);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "2 regressions, 0 improvements, 0 other changes"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "| s\\|x |"));
	free(text);
	json_decref(d);
	json_decref(a);
	json_decref(b);
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"mann-whitney is exact, with ties", test_mann_whitney},
		{"two counts", test_counts},
		{"interval of the median", test_interval},
		{"equal results do not differ", test_same_is_no_difference},
		{"a verdict that changes on some seeds", test_verdict_and_metric},
		{"a metric that moves beyond its spread", test_metric_alone},
		{"coverage that falls is a regression", test_coverage},
		{"terminal and Markdown", test_writers},
		{NULL, NULL},
	};
	return ks_test_main("diff", tests);
}
