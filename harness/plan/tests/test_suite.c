#include <string.h>

#include "ks_plan.h"
#include "ks_test.h"

static int parse(const char *text, struct ks_suite *suite, struct ks_err *err)
{
	*err = (struct ks_err){0};
	return ks_suite_parse(text, strlen(text), "s.yaml", suite, err);
}

static void test_good(void)
{
	struct ks_suite s;
	struct ks_err err;
	CU_ASSERT_EQUAL_FATAL(parse("keyskew: 1\nsuite: nightly\ntitle: every night\nruns:\n"
	                            "  - {scenario: steady}\n"
	                            "  - scenario: ntp-step-back\n"
	                            "    generators: [snowflake:unchecked, uuidv7]\n"
	                            "    worlds: [faketime, qemu]\n"
	                            "    seeds: 2..4\n"
	                            "    set: {duration: 4s, faults.back.at: 2s}\n"
	                            "    timeout: 30s\n"
	                            "    memory: 512MiB\n",
	                            &s, &err),
	                      0);
	CU_ASSERT_STRING_EQUAL(s.name, "nightly");
	CU_ASSERT_STRING_EQUAL(s.title, "every night");
	CU_ASSERT_EQUAL_FATAL(s.n, 2);
	const struct ks_suite_item *a = &s.item[0], *b = &s.item[1];
	CU_ASSERT_TRUE(a->worlds == 0 && a->seed_low == 1 && a->seed_high == 1 && !a->ngenerators && !a->nsets);
	CU_ASSERT_STRING_EQUAL(b->scenario, "ntp-step-back");
	CU_ASSERT_TRUE(b->ngenerators == 2 && !strcmp(b->generators[0], "snowflake:unchecked"));
	CU_ASSERT_EQUAL(b->worlds, 1 << KS_WORLD_FAKETIME | 1 << KS_WORLD_QEMU);
	CU_ASSERT_TRUE(b->seed_low == 2 && b->seed_high == 4 && b->nsets == 2);
	CU_ASSERT_STRING_EQUAL(b->sets[1], "faults.back.at=2s");
	CU_ASSERT_EQUAL(b->mark.line, 6);
	CU_ASSERT_TRUE(a->timeout_ns == 0 && a->memory == 0);
	CU_ASSERT_TRUE(b->timeout_ns == 30 * KS_SEC && b->memory == INT64_C(512) << 20);
	ks_suite_release(&s);
}

static void test_bad(void)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"[]", "s.yaml:1:1: the file is a list, expected a mapping that begins with 'keyskew: 1'"},
		{"keyskew: 1\nruns: []", "s.yaml:1:1: a suite without 'suite'"},
		{"keyskew: 1\nsuite: a", "s.yaml:1:1: a suite without 'runs'"},
		{"keyskew: 1\nsuite: a\nruns: []", "s.yaml:3:7: 0 runs, expected 1..1024"},
		{"keyskew: 1\nsuite: a\nruns: [{seeds: 1}]", "s.yaml:3:8: a run without 'scenario' or 'tags'"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, tags: [y]}]",
		 "s.yaml:3:22: 'tags' beside 'scenario', expected one of them"},
		{"keyskew: 1\nsuite: a\nruns: [{tags: []}]", "s.yaml:3:15: 'tags' is empty, expected at least one tag"},
		{"keyskew: 1\nsuite: a\nbudget: 5\nruns: [{scenario: x}]", "s.yaml:3:9: bad budget '5', expected a unit (ns us ms s m h d)"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, seed: 1}]",
		 "s.yaml:3:22: unknown key 'seed', expected one of scenario tags generators worlds seeds set timeout memory; did you mean "
		 "'seeds'"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, seeds: 1..}]",
		 "s.yaml:3:29: bad seeds '1..', expected a number or a band such as 1..3, of at most 100000"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, seeds: 1e3}]",
		 "s.yaml:3:29: bad seeds '1e3', expected a unit of ns us ms s m h d"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, generators: []}]",
		 "s.yaml:3:34: 'generators' is empty, expected at least one generator"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, generators: snowflake}]",
		 "s.yaml:3:34: 'generators' is a single value, expected a list"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, worlds: [vdso]}]",
		 "s.yaml:3:31: world 'vdso' is not carried yet"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, set: {a=b: c}}]",
		 "s.yaml:3:28: bad path 'a=b', expected PATH: VALUE of at most 254 bytes, without '='"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, set: {a: [b]}}]",
		 "s.yaml:3:31: 'a' is a list, expected a single value"},
		{"keyskew: 1\nsuite: a\nruns: [{scenario: x, memory: 12}]",
		 "s.yaml:3:30: bad memory '12', expected a size of at least 1MiB, such as 512MiB"},
		{"keyskew: 1\nsuite: a b\nruns: [{scenario: x}]",
		 "s.yaml:2:8: bad suite 'a b', expected a letter, then letters, digits, - or _, at most 63 in all"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct ks_suite s;
		struct ks_err err;
		CU_ASSERT_EQUAL(parse(bad[i].text, &s, &err), -1);
		CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
		CU_ASSERT_STRING_EQUAL(err.text, bad[i].message);
		if (strcmp(err.text, bad[i].message))
			fprintf(stderr, "%s\n  got      %s\n", bad[i].text, err.text);
	}
}

/* Each run of the project's suites: its scenario exists, and takes its changes. */
static void check_item(const struct ks_suite_item *item)
{
	static const char *const folders[] = {"", "basics/", "incidents/", "canary/"};
	struct ks_set sets[64];
	char text[64][256], path[4096];
	struct ks_err err = {0};
	struct ks_plan plan;
	for (size_t i = 0; i < item->nsets; i++) {
		memcpy(text[i], item->sets[i], sizeof text[i]);
		char *equals = strchr(text[i], '=');
		*equals = 0;
		sets[i] = (struct ks_set){text[i], equals + 1};
	}
	int failed = -1;
	for (size_t i = 0; i < 4 && failed; i++) {
		snprintf(path, sizeof path, "%s/%s%s.yaml", KS_SCENARIOS, folders[i], item->scenario);
		failed = ks_plan_load(path, sets, item->nsets, &plan, &err);
		if (failed && !strstr(err.text, "cannot open"))
			break;
	}
	if (failed)
		fprintf(stderr, "run of line %d: %s\n", item->mark.line, err.text);
	CU_ASSERT_EQUAL(failed, 0);
	if (!failed)
		ks_plan_release(&plan);
}

static void test_project_suites(void)
{
	struct ks_suite s;
	struct ks_err err = {0};
	const char *path = KS_SCENARIOS "/suites/nightly.yaml";
	CU_ASSERT_EQUAL(ks_file_is_suite(path, &err), 1);
	CU_ASSERT_EQUAL(ks_file_is_suite(KS_SCENARIOS "/basics/steady.yaml", &err), 0);
	CU_ASSERT_EQUAL(ks_file_is_suite(KS_SCENARIOS "/none.yaml", &err), -1);
	int failed = ks_suite_load(path, &s, &err);
	if (failed)
		fprintf(stderr, "%s\n", err.text);
	CU_ASSERT_EQUAL_FATAL(failed, 0);
	unsigned worlds = 0;
	for (size_t i = 0; i < s.n; i++) {
		check_item(&s.item[i]);
		worlds |= s.item[i].worlds;
	}
	CU_ASSERT_EQUAL(worlds, 1 << KS_WORLD_SIM | 1 << KS_WORLD_FAKETIME | 1 << KS_WORLD_QEMU);
	ks_suite_release(&s);
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"a good suite", test_good},
		{"bad suites", test_bad},
		{"project suites", test_project_suites},
		{NULL, NULL},
	};
	return ks_test_main("suite", tests);
}
