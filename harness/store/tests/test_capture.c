/* What was captured, held against thresholds: moves that several functions tell of, calls within a minute, what is missing. */
#include <string.h>

#include "capture.h"
#include "ks_test.h"

static struct ks_plan_node nodes[] = {{.name = "n1"}, {.name = "n2"}};
static const struct ks_plan plan = {
    .node = nodes, .nodes = 2, .capture = {.on = 1, .unusual_ns = 10 * KS_MS, .jump_ns = 500 * KS_MS, .calls = 3, .stretch_ns = 10 * KS_MS}};

static struct ks_jump at(uint32_t node, int64_t at_ns, enum ks_jump_layer layer, const char *name, int64_t delta_ns)
{
	struct ks_jump j = {.node = node, .at_ns = at_ns, .layer = layer, .delta_ns = delta_ns, .command = "date", .pid = 7};
	snprintf(j.name, sizeof(j.name), "%s", name);
	return j;
}

static int64_t number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static void test_moves(void)
{
	struct ks_jump jump[] = {
		at(0, KS_SEC, KS_JUMP_KERNEL, "clock_was_set", -120 * KS_MS),
		at(0, KS_SEC + KS_US, KS_JUMP_KERNEL, "do_settimeofday64", -120 * KS_MS - 300),
		at(0, KS_SEC + 2 * KS_US, KS_JUMP_CALL, "clock_settime", -120 * KS_MS),
		at(0, 2 * KS_SEC, KS_JUMP_CALL, "clock_settime", 5 * KS_MS),    /* small: not a word */
		at(0, 3 * KS_SEC, KS_JUMP_CALL, "clock_settime", 500 * KS_MS),  /* not more than the threshold */
		at(0, 4 * KS_SEC, KS_JUMP_CALL, "adjtimex", 500 * KS_MS + 1),
		at(1, 4 * KS_SEC, KS_JUMP_CALL, "adjtimex", 500 * KS_MS + 1),   /* of another node: another move */
		at(1, 5 * KS_SEC, KS_JUMP_RUNTIME, "clock_gettime", 11 * KS_MS),
	};
	struct ks_run_output o = {.captured = true, .jump = jump, .njump = sizeof(jump) / sizeof(jump[0])};
	json_t *j = ks_capture_json(&plan, &o), *events = json_object_get(j, "events");

	CU_ASSERT_EQUAL(number(j, "unusual"), 2);
	CU_ASSERT_EQUAL(number(j, "jumps"), 2);
	CU_ASSERT_EQUAL(number(j, "stretches"), 1);
	CU_ASSERT_EQUAL(number(j, "seen"), 8);
	CU_ASSERT_EQUAL(number(json_array_get(events, 0), "move"), number(json_array_get(events, 2), "move"));
	CU_ASSERT_PTR_NULL(json_object_get(json_array_get(events, 3), "verdict"));
	CU_ASSERT_NOT_EQUAL(number(json_array_get(events, 5), "move"), number(json_array_get(events, 6), "move"));
	const json_t *calls = json_array_get(json_object_get(j, "suspicious"), 0);
	CU_ASSERT_EQUAL(number(calls, "calls"), 3);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(calls, "node")), "n1");
	json_decref(j);
}

/* Three within a minute, and three that are spread over more. */
static void test_calls(void)
{
	struct ks_jump jump[] = {at(0, 0, KS_JUMP_CALL, "settimeofday", 0), at(0, 30 * KS_SEC, KS_JUMP_CALL, "clock_settime", 0),
				 at(0, 60 * KS_SEC, KS_JUMP_CALL, "clock_settime", 0)};
	struct ks_run_output o = {.captured = true, .jump = jump, .njump = 3};
	json_t *j = ks_capture_json(&plan, &o);

	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "suspicious")), 0);
	json_decref(j);
	jump[2].at_ns--;
	j = ks_capture_json(&plan, &o);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(j, "suspicious")), 1);
	json_decref(j);
}

static void test_untested(void)
{
	struct ks_run_output o = {.no_capture = "no clang"};
	json_t *j = ks_capture_json(&plan, &o);

	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "untested")), "no clang");
	json_decref(j);
}

int main(void)
{
	static const struct ks_test tests[] = {{"moves", test_moves}, {"calls", test_calls}, {"untested", test_untested}, {NULL, NULL}};
	return ks_test_main("capture", tests);
}
