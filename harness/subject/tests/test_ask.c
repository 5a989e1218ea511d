/* Lines of programs that are asked: every form, its limits, and anything else. */
#include <string.h>

#include "ask.h"
#include "ks_test.h"

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

int main(void)
{
	static const struct ks_test tests[] = {{"forms", test_forms}, {"refused", test_refused}, {NULL, NULL}};
	return ks_test_main("ask", tests);
}
