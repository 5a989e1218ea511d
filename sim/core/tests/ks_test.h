/* The main of every CUnit program: runs its suite, prints failures, and exits non-zero when one failed (CUnit's own
 * error code does not say so). */
#ifndef KS_TEST_H
#define KS_TEST_H

#include <CUnit/Basic.h>

struct ks_test {
	const char *name;
	void (*run)(void);
};

static inline int ks_test_main(const char *suite, const struct ks_test *tests)
{
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	CU_pSuite s = CU_add_suite(suite, NULL, NULL);
	for (; s && tests->name; tests++)
		if (!CU_add_test(s, tests->name, tests->run))
			return 2;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	int failed = CU_get_number_of_failures() != 0 || CU_get_number_of_asserts() == 0;
	CU_cleanup_registry();
	return failed;
}

#endif
