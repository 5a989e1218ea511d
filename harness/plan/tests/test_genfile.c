/* Generator files: what they say arrives, layouts decode known keys, and whatever is damaged is refused properly. */
#include <string.h>

#include "foreign.h"
#include "fuzz_scenario.h"
#include "ks_mem.h"
#include "ks_plan.h"
#include "ks_rand.h"
#include "ks_test.h"

static struct ks_foreign *parse(const char *text)
{
	struct ks_err err = {0};
	struct ks_foreign *f = ks_genfile_parse(text, strlen(text), "t.gen.yaml", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	return f;
}

static const char whole[] = "title: ours\ncommand: [./a, \"{node_id}\", \"\"]\nbuild: [cc, a.c]\nmakes: a\nneeds: [cc]\ninstall: apt-get install gcc\n"
                            "speaks: ask\ncompare: layout\nlayout: {bits: [time 41, node 10, seq 12], unit: 1ms, epoch: 1288834974657ms}\n"
                            "claims: [unique@fleet, \"sorted(1ms)@node\"]\ntimeout: 1s\n";

static void test_whole(void)
{
	struct ks_foreign *f = parse(whole);
	CU_ASSERT_STRING_EQUAL(f->title, "ours");
	CU_ASSERT(f->speaks == KS_SPEAKS_ASK && f->collation == KS_BY_LAYOUT && f->claims == 2 && f->timeout_ns == KS_SEC);
	CU_ASSERT_STRING_EQUAL(f->word[1], "{node_id}");
	CU_ASSERT_STRING_EQUAL(f->word[2], "");
	CU_ASSERT_PTR_NULL(f->word[3]);
	CU_ASSERT_STRING_EQUAL(f->build[1], "a.c");
	CU_ASSERT_STRING_EQUAL(f->claim[1], "sorted(1ms)@node");
	ks_foreign_free(f);
	f = parse("command: [x]\n");
	CU_ASSERT(f->speaks == KS_SPEAKS_ASK && f->collation == KS_BY_FORM && f->layout.n == 0 && f->claims == 1);
	CU_ASSERT_STRING_EQUAL(f->claim[0], "unique@fleet");
	ks_foreign_free(f);
}

static bool decode(const char *layout, const char *key, struct ks_fields *fields)
{
	char text[400];
	snprintf(text, sizeof text, "command: [x]\nlayout: %s\n", layout);
	struct ks_foreign *f = parse(text);
	bool ok = ks_foreign_decode(f, key, strlen(key), fields);
	ks_foreign_free(f); /* names are gone, values stay */
	return ok;
}

static void test_layouts(void)
{
	struct ks_fields f;
	CU_ASSERT(decode("{bits: [time 41, node 10, seq 12], epoch: 1288834974657ms}", "1347210533234049024", &f));
	CU_ASSERT_EQUAL(f.embed_lo_unix_ns, ((INT64_C(1347210533234049024) >> 22) + INT64_C(1288834974657)) * KS_MS);
	CU_ASSERT(decode("{bits: [time 64]}", "1768471200000", &f) && f.embed_lo_unix_ns == INT64_C(1768471200000) * KS_MS);
	CU_ASSERT(f.embed_hi_unix_ns == f.embed_lo_unix_ns + KS_MS);
	CU_ASSERT(decode("{bits: [time 64, seq 64], form: dashed}", "1768471200000-7", &f) && f.field[1].value == 7);
	CU_ASSERT(decode("{bits: [a 4, b 4], form: hex}", "a-B", &f) && f.field[0].value == 10 && f.field[1].value == 11 && !f.has_time);
	CU_ASSERT_FALSE(decode("{bits: [a 4, b 4], form: hex}", "1ff", &f));
	CU_ASSERT_FALSE(decode("{bits: [time 64]}", "18446744073709551616", &f)); /* a bit too many */
	CU_ASSERT_FALSE(decode("{bits: [time 64]}", "17684x", &f));
	CU_ASSERT_FALSE(decode("{bits: [time 64]}", "", &f));
	CU_ASSERT_FALSE(decode("{bits: [time 64]}", "-5", &f));
	CU_ASSERT_FALSE(decode("{bits: [time 64]}", "9223372036854775807", &f)); /* beyond 2262 */
	CU_ASSERT_FALSE(decode("{bits: [time 64, seq 4], form: dashed}", "5-16", &f));
	CU_ASSERT_FALSE(decode("{bits: [time 64, seq 4], form: dashed}", "5", &f));
	CU_ASSERT_FALSE(decode("{bits: [time 64, seq 4], form: dashed}", "5-1-1", &f));
}

static void normal(const char *compare, const char *key, const char *want)
{
	char text[200], buf[KS_KEY_TEXT] = "";
	snprintf(text, sizeof text, "command: [x]\ncompare: %s\nlayout: {bits: [a 64, b 64], form: dashed}\n", compare);
	struct ks_foreign *f = parse(text);
	int n = ks_foreign_normal(f, key, strlen(key), buf);
	CU_ASSERT_EQUAL(n, want ? (int)strlen(want) : -1);
	if (want && n >= 0)
		CU_ASSERT_NSTRING_EQUAL(buf, want, (size_t)n);
	ks_foreign_free(f);
}

static void test_normal(void)
{
	normal("numeric", "0010", "10");
	normal("numeric", "0", "0");
	normal("numeric", "000", "0");
	normal("numeric", "1x", NULL);
	normal("numeric", "", NULL);
	normal("text", "aB\xc3\x84", "ab\xc3\x84");
	normal("bytes", "aB", "aB");
	normal("layout", "1-255", "000000000000000100000000000000ff");
	normal("layout", "1", NULL);
}

/* Cut, overwrite, and pieces that the format gives a meaning; from a fixed seed. */
static void test_mutants(void)
{
	static const char *const pieces[] = {"{", "}", "[", "]", ": ", ", ", "\n", "'", "\"", "time 65", "bits: [", "{cache}", "~", "&a ", "*a",
	                                     "compare: numeric\n", "layout: {bits: [time 1]}\n", "command: [x]\n", "\xff", "99999999999999999999"};
	struct ks_stream s;
	ks_stream_init(&s, 1, KS_STREAM_TEST, 77);
	for (int i = 0; i < 20000; i++) {
		char text[2 * sizeof whole];
		size_t len = sizeof whole - 1;
		memcpy(text, whole, len);
		for (int edits = (int)ks_rand_in(ks_stream_next(&s), 1, 4); edits--;) {
			const char *piece = pieces[ks_rand_in(ks_stream_next(&s), 0, sizeof pieces / sizeof *pieces - 1)];
			size_t at = (size_t)ks_rand_in(ks_stream_next(&s), 0, (int64_t)len), n = strlen(piece);
			size_t cut = (size_t)ks_rand_in(ks_stream_next(&s), 0, 12);
			cut = at + cut > len ? len - at : cut;
			memmove(text + at + n, text + at + cut, len - at - cut);
			memcpy(text + at, piece, n);
			len += n - cut;
		}
		LLVMFuzzerTestOneInput((const uint8_t *)text, len);
	}
	CU_PASS("no crash");
}

int main(void)
{
	static const struct ks_test tests[] = {{"a whole file", test_whole}, {"layouts", test_layouts}, {"orders", test_normal},
	                                       {"damaged files", test_mutants}, {NULL, NULL}};
	return ks_test_main("generator files", tests);
}
