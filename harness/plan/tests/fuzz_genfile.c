/* Fuzz target of generator files: whatever the bytes, no crash, and a proper error or a generator that decodes and orders
 * any key. Built as a libFuzzer target with KS_FUZZ, and as part of test_genfile in every build. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foreign.h"
#include "fuzz_scenario.h"
#include "ks_plan.h"

static void require(bool holds, const char *what, const char *detail)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_genfile: %s\n%s\n", what, detail);
	abort();
}

static void use(const struct ks_foreign *f, const char *bytes, size_t len)
{
	struct ks_fields fields;
	char normal[KS_KEY_TEXT + KS_NORMAL_MIN];
	size_t n = len < KS_KEY_TEXT ? len : KS_KEY_TEXT - 1;
	if (ks_foreign_decode(f, bytes, n, &fields) && fields.has_time)
		require(fields.embed_lo_unix_ns < fields.embed_hi_unix_ns, "a time that ends before it begins", "");
	int size = ks_foreign_normal(f, bytes, n, normal);
	require(size <= (int)(n > KS_NORMAL_MIN ? n : KS_NORMAL_MIN), "a form that is too long", "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {"1768471200000", "0", "340282366920938463463374607431768211455", "1768471200000-7", "ff-FF",
	                                   "01ARZ3NDEKTSV4RRFFQ69G5FAV", "-", ""};
	struct ks_err err = {0};
	struct ks_foreign *f = ks_genfile_parse((const char *)data, size, "fuzz.gen.yaml", &err);
	if (!f) {
		require(err.code == KS_E_USAGE && *err.text, "an error without code or text", err.text);
		return 0;
	}
	require(f->word[0] && f->claims >= 0 && f->claims <= KS_CLAIMS_MAX && f->layout.n <= KS_LAYOUT_FIELDS, "out of its bounds", "");
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		use(f, keys[i], strlen(keys[i]));
	use(f, (const char *)data, size);
	ks_foreign_free(f);
	return 0;
}
