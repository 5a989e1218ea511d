/* Lines of programs that are asked: every form, its limits, and anything else. */
#include <string.h>

#include "ask.h"
#include "ks_rand.h"
#include "ks_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ks_ask_line said;

static const char *parse(const char *line)
{
	return ks_ask_parse(line, strlen(line), &said);
}

static void test_forms(void)
{
	CU_ASSERT(!parse("key 17") && said.kind == KS_ASK_KEY && said.len == 2 && !memcmp(said.text, "17", 2));
	CU_ASSERT(!parse("key a b\r") && said.len == 3);
	CU_ASSERT(!parse("refuse") && said.kind == KS_ASK_REFUSE && said.len == 0);
	CU_ASSERT(!parse("refuse the clock went back") && said.len == 19);
	static const char *const clocks[] = {"clock wall", "clock mono", "clock raw", "clock boot", "clock tai"};
	for (int id = 0; id < KS_NCLOCKS; id++)
		CU_ASSERT(!parse(clocks[id]) && said.kind == KS_ASK_CLOCK && said.clock == (enum ks_clock_id)id);
	CU_ASSERT(!parse("random 64") && said.kind == KS_ASK_RANDOM && said.bytes == 64);
	CU_ASSERT(!parse("sleep 3600000000000") && said.kind == KS_ASK_SLEEP && said.sleep_ns == INT64_C(3600000000000));
}

static void test_refused(void)
{
	static const char *const bad[] = {"",          "key",        "key ",      "keys 1",    "Key 1",     "clock",      "clock ",
	                                  "clock wal", "clock walls", "random",    "random 0",  "random 65", "random -1",  "random 8 ",
	                                  "sleep",     "sleep ",     "sleep 1ms", "sleep 3600000000001", "sleep 99999999999999999999",
	                                  "refused",   "next",       " key 1"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CU_ASSERT_PTR_NOT_NULL(parse(bad[i]));
	char line[4 + KS_KEY_TEXT + 1] = "key ";
	memset(line + 4, 'x', KS_KEY_TEXT);
	CU_ASSERT_PTR_NOT_NULL(ks_ask_parse(line, 4 + KS_KEY_TEXT, &said));
	CU_ASSERT_PTR_NULL(ks_ask_parse(line, 4 + KS_KEY_TEXT - 1, &said));
}

/* What it says lies within the line and within its limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data;
	if (ks_ask_parse(line, size, &said))
		return 0;
	if (said.text && (said.text < line || said.text + said.len > line + size))
		__builtin_trap();
	if (said.bytes > KS_ASK_RANDOM_MAX || said.sleep_ns < 0 || said.sleep_ns > INT64_C(3600000000000))
		__builtin_trap();
	if (said.kind == KS_ASK_KEY && (!said.len || said.len >= KS_KEY_TEXT))
		__builtin_trap();
	return 0;
}

static void test_mutants(void)
{
	static const char *const lines[] = {"key 17", "refuse why", "clock wall", "random 8", "sleep 500000", "\r", "key \r", "refuse\r"};
	struct ks_stream s;
	ks_stream_init(&s, 1, KS_STREAM_TEST, 78);
	for (int i = 0; i < 100000; i++) {
		uint8_t line[40];
		const char *from = lines[ks_rand_in(ks_stream_next(&s), 0, sizeof lines / sizeof *lines - 1)];
		size_t n = strlen(from);
		memcpy(line, from, n);
		for (int edits = (int)ks_rand_in(ks_stream_next(&s), 0, 3); edits--;)
			line[ks_rand_in(ks_stream_next(&s), 0, (int64_t)n - 1)] = (uint8_t)ks_stream_next(&s);
		LLVMFuzzerTestOneInput(line, (size_t)ks_rand_in(ks_stream_next(&s), 0, (int64_t)n));
	}
	CU_PASS("no trap");
}

int main(void)
{
	static const struct ks_test tests[] = {{"forms", test_forms}, {"refused", test_refused}, {"mutants", test_mutants}, {NULL, NULL}};
	return ks_test_main("ask", tests);
}
