/* Which functions a kernel lacks that the capture of clock jumps would watch, from lists as /proc/kallsyms has them. */
#include <string.h>

#include "jumps_hooks.h"
#include "ks_test.h"

static bool lacks[KS_JUMP_HOOKS_MAX];

static FILE *list_of(const char *text)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	return f;
}

static void look(const char *text, const struct ks_jump_hook *hook, size_t n)
{
	FILE *f = list_of(text);
	ks_jump_hooks_lacking(f, hook, n, lacks);
	fclose(f);
}

static void test_lacking(void)
{
	static const struct ks_jump_hook hook[] = {{.symbol = "do_adjtimex"}, {.symbol = "clock_was_set"}, {.symbol = "no_kernel_has_this"}, {.symbol = "tk_core"}};

	look("ffffffff81150000 T do_adjtimex\nffffffff81150100 t clock_was_set\t[module]\nffffffff82000000 d tk_core\n", hook, 4);
	CU_ASSERT_FALSE(lacks[0]);
	CU_ASSERT_FALSE(lacks[1]);
	CU_ASSERT_TRUE(lacks[2]);
	CU_ASSERT_TRUE(lacks[3]); /* it is no function */
	look("0000000000000000 T do_adjtimex\n", hook, 2); /* nobody may know where it is, and yet it is there */
	CU_ASSERT_FALSE(lacks[0]);
	CU_ASSERT_TRUE(lacks[1]);
	look("ffffffff81150000 t do_adjtimex.isra.0\nffffffff81150000 t __do_adjtimex\n", hook, 1);
	CU_ASSERT_TRUE(lacks[0]);
	look("garbage\n\nffffffff81150000\n zz T do_adjtimex\n", hook, 1);
	CU_ASSERT_TRUE(lacks[0]);
}

static void test_table(void)
{
	static char text[4096];

	look("\n", ks_jump_hooks, KS_JUMP_HOOKS);
	for (size_t i = 0; i < KS_JUMP_HOOKS; i++) {
		CU_ASSERT_TRUE(lacks[i]);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "ffffffff8115%04zx T %s\n", i, ks_jump_hooks[i].symbol);
	}
	look(text, ks_jump_hooks, KS_JUMP_HOOKS);
	for (size_t i = 0; i < KS_JUMP_HOOKS; i++)
		CU_ASSERT_FALSE(lacks[i]);
}

static void test_find(void)
{
	static const char text[] = "ffffffff82000000 d tk_core\nffffffff82000010 d tk_core_more\n";
	FILE *f = list_of(text);

	CU_ASSERT_EQUAL(ks_kallsyms_find(f, "tk_core_more"), 0xffffffff82000010);
	rewind(f);
	CU_ASSERT_EQUAL(ks_kallsyms_find(f, "tk"), 0);
	fclose(f);
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"functions that a kernel lacks", test_lacking}, {"the table", test_table}, {"a place", test_find}, {NULL, NULL},
	};
	return ks_test_main("jumps", tests);
}
