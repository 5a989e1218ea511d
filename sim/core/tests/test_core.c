#include "ks_test.h"

#include <math.h>
#include <string.h>

#include "ks_key.h"
#include "ks_mem.h"
#include "ks_opt.h"
#include "ks_rand.h"
#include "ks_record.h"
#include "ks_time.h"

static void durations(void)
{
	static const struct {
		const char *text;
		int64_t ns;
		const char *back;
	} good[] = {
		{"0s", 0, "0s"},
		{"-120ms", -120 * KS_MS, "-120ms"},
		{"+8ms", 8 * KS_MS, "8ms"},
		{"1.5s", 1500 * KS_MS, "1.5s"},
		{"0.000000001s", 1, "1ns"},
		{"90s", 90 * KS_SEC, "90s"},
		{"60s", KS_MIN, "1m"},
		{"24h", KS_DAY, "1d"},
		{"1000001ns", 1000001, "1.000001ms"},
		{"9223372036854775807ns", INT64_MAX, "9223372036.854775807s"},
		{"1.001ms", 1001 * KS_US, "1.001ms"},
	};
	static const char *const bad[] = {"", "120", "ms", "1 ms", "1e3ms", "0.1ns", "1..2s", "300000000000s", ".5s", "5.s",
	                                  "1ms ", "0x10ms", "--1ms", "1x", "9223372036854775808ns"};
	char buf[KS_TIME_TEXT];
	const char *why;
	int64_t ns;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		CU_ASSERT_EQUAL(ks_dur_parse(good[i].text, &ns, &why), 0);
		CU_ASSERT_EQUAL(ns, good[i].ns);
		CU_ASSERT_STRING_EQUAL(ks_dur_format(buf, ns), good[i].back);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		why = NULL;
		CU_ASSERT_EQUAL(ks_dur_parse(bad[i], &ns, &why), -1);
		CU_ASSERT_PTR_NOT_NULL(why);
	}
}

static void utc(void)
{
	static const char *const same[] = {"1970-01-01T00:00:00Z", "2026-01-15T10:00:00Z", "2024-02-29T23:59:59.5Z",
	                                   "2261-12-31T23:59:59.999999999Z"};
	static const char *const bad[] = {"2026-01-15", "2026-02-30T00:00:00Z", "2262-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
	                                  "2026-01-15T10:00:00", "2026-01-15T10:00:00+01:00", "2026-01-15T24:00:00Z",
	                                  "2026-01-15T10:00:00.1234567890Z", "2026-01-15T10:00:60Z"};
	char buf[KS_TIME_TEXT];
	const char *why;
	int64_t ns;
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		CU_ASSERT_EQUAL(ks_utc_parse(same[i], &ns, &why), 0);
		CU_ASSERT_STRING_EQUAL(ks_utc_format(buf, ns), same[i]);
	}
	CU_ASSERT_EQUAL(ks_utc_parse("2026-01-15T10:00:00Z", &ns, &why), 0);
	CU_ASSERT_EQUAL(ns, INT64_C(1768471200) * KS_SEC);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CU_ASSERT_EQUAL(ks_utc_parse(bad[i], &ns, &why), -1);
}

static void rates_and_bands(void)
{
	char buf[2 * KS_TIME_TEXT];
	const char *why;
	struct ks_rate r;
	struct ks_band b;
	int64_t ppb;
	CU_ASSERT(!ks_rate_parse("1000/s", &r, &why) && r.count == 1000 && r.per_ns == KS_SEC);
	CU_ASSERT_STRING_EQUAL(ks_rate_format(buf, r), "1000/s");
	CU_ASSERT(!ks_rate_parse("0.50/m", &r, &why) && r.count == 5 && r.per_ns == 10 * KS_MIN);
	CU_ASSERT_STRING_EQUAL(ks_rate_format(buf, r), "0.5/m");
	CU_ASSERT_EQUAL(ks_rate_parse("1000", &r, &why), -1);
	CU_ASSERT_EQUAL(ks_rate_parse("0/s", &r, &why), -1);
	CU_ASSERT_EQUAL(ks_rate_parse("-1/s", &r, &why), -1);
	CU_ASSERT(!ks_ppb_parse("-500ppm", &ppb, &why) && ppb == -500000);
	CU_ASSERT_STRING_EQUAL(ks_ppb_format(buf, 1500), "1.5ppm");
	CU_ASSERT_EQUAL(ks_ppb_parse("5", &ppb, &why), -1);
	static const char *const bands[] = {"120", "119..121", "1..", "..5ms", "1ms..2ms", "-3..4"};
	for (size_t i = 0; i < sizeof bands / sizeof *bands; i++) {
		CU_ASSERT_EQUAL(ks_band_parse(bands[i], &b, &why), 0);
		CU_ASSERT_STRING_EQUAL(ks_band_format(buf, b), bands[i]);
	}
	CU_ASSERT(!ks_band_parse("119..121", &b, &why) && ks_band_has(b, 119) && ks_band_has(b, 121) && !ks_band_has(b, 122));
	static const char *const bad[] = {"..", "", "2..1", "1ms..2", "a..b", "1...2", "1e3"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CU_ASSERT_EQUAL(ks_band_parse(bad[i], &b, &why), -1);
}

/* Known answer of Philox 2x64-10 from Random123's own kat_vectors: counter and key all zero. */
static void random_streams(void)
{
	struct ks_stream s = {0};
	CU_ASSERT_EQUAL(ks_stream_next(&s), UINT64_C(0xca00a0459843d731));
	CU_ASSERT_EQUAL(ks_stream_next(&s), UINT64_C(0x66c24222c9a845b5));
	CU_ASSERT_EQUAL(ks_rand_in(0, -5, 5), -5);
	CU_ASSERT_EQUAL(ks_rand_in(UINT64_MAX, -5, 5), 5);
	CU_ASSERT_NOT_EQUAL(ks_rand_at(1, KS_STREAM_TEST, 0, 0), ks_rand_at(2, KS_STREAM_TEST, 0, 0));
	CU_ASSERT_NOT_EQUAL(ks_rand_at(1, KS_STREAM_TEST, 0, 0), ks_rand_at(1, KS_STREAM_FAULT, 0, 0));
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t w = ks_rand_at(7, KS_STREAM_TEST, 1, i);
		double u = ((double)w + 1) / 18446744073709551616.0, got = (double)ks_rand_exp_q32(w) / 4294967296.0;
		CU_ASSERT_DOUBLE_EQUAL(got, -log(u), 1e-9);
	}
	CU_ASSERT_EQUAL(ks_rand_exp_q32(UINT64_MAX), 0);
	CU_ASSERT_DOUBLE_EQUAL((double)ks_rand_exp_q32(0) / 4294967296.0, 64 * log(2.0), 1e-8);
}

struct fields {
	int64_t bits, word, wait, on;
};
static const char *const words[] = {"checked", "unchecked", NULL};
static const struct ks_opt table[] = {
	{"bits", KS_OPT_INT, offsetof(struct fields, bits), 0, 22, "10", "bits", NULL, 0},
	{"policy", KS_OPT_WORD, offsetof(struct fields, word), 0, 0, "checked", "policy", words, 1},
	{"wait", KS_OPT_DUR, offsetof(struct fields, wait), 0, KS_SEC, "5ms", "wait", NULL, 0},
	{"on", KS_OPT_BOOL, offsetof(struct fields, on), 0, 0, "false", "on", NULL, 0},
	{0},
};

static void options(void)
{
	struct fields f;
	struct ks_err err = {0};
	ks_opts_default(table, &f);
	CU_ASSERT(f.bits == 10 && f.word == 0 && f.wait == 5 * KS_MS && f.on == 0);
	CU_ASSERT_EQUAL(ks_opts_set(table, &f, "bits", "22", &err), 0);
	CU_ASSERT_EQUAL(f.bits, 22);
	CU_ASSERT_EQUAL(ks_opts_set(table, &f, "bits", "23", &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "bad value '23' of option 'bits', expected a whole number, 0..22");
	CU_ASSERT_EQUAL(ks_opts_set(table, &f, "bist", "1", &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "unknown option 'bist'; did you mean 'bits'");
	CU_ASSERT_EQUAL(ks_opts_set(table, &f, "policy", "uncheked", &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "bad value 'uncheked' of option 'policy', expected one of checked|unchecked; did you mean "
	                                 "'unchecked'");
	CU_ASSERT_EQUAL(ks_opts_set(table, &f, "wait", "5", &err), -1);
	CU_ASSERT_EQUAL(f.bits, 22);
	static const char *const names[] = {"step", "slew", "strobe", NULL};
	CU_ASSERT_STRING_EQUAL(ks_nearest("stpe", names, 3), "step");
	CU_ASSERT_PTR_NULL(ks_nearest("quux", names, 3));
}

static void errors(void)
{
	struct ks_err err;
	CU_ASSERT_EQUAL(ks_fail(&err, KS_E_USAGE, "unknown key '%s'", "x"), -1);
	ks_fail_in(&err, "%s:%d:%d", "a.yaml", 3, 5);
	CU_ASSERT_STRING_EQUAL(err.text, "a.yaml:3:5: unknown key 'x'");
	for (int i = 0; i < 100; i++)
		ks_fail_in(&err, "a rather long piece of context, number %d", i);
	CU_ASSERT(strlen(err.text) < sizeof err.text);
}

static void keys(void)
{
	char buf[KS_KEY_TEXT];
	CU_ASSERT_STRING_EQUAL(ks_key_decimal(buf, (struct ks_key){1, 0}), "18446744073709551616");
	CU_ASSERT_STRING_EQUAL(ks_key_decimal(buf, ks_key64(0)), "0");
	CU_ASSERT_STRING_EQUAL(ks_key_uuid(buf, (struct ks_key){0x017f22e279b07cc3, 0x98c4dc0c0c07398f}),
	                       "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
	CU_ASSERT_STRING_EQUAL(ks_key_hex16(buf, ks_key64(255)), "00000000000000ff");
	CU_ASSERT(ks_key_less(ks_key64(UINT64_MAX), (struct ks_key){1, 0}));
	struct ks_texts t = {0};
	for (int i = 0; i < 3000; i++)
		CU_ASSERT_EQUAL(ks_texts_add(&t, "abcdef", (size_t)i % 7), i);
	size_t len;
	CU_ASSERT_EQUAL(memcmp(ks_texts_get(&t, 2999, &len), "abcdef", 2999 % 7), 0);
	CU_ASSERT_EQUAL(len, 2999 % 7);
	ks_texts_release(&t);
}

static void records(void)
{
	struct ks_lane lanes[] = {{0, 0, 0, 0}, {0, 0, 0, 1}, {1, 0, 0, 0}};
	struct ks_records r = {.lanes = lanes, .nlanes = 3};
	static const struct {
		int64_t ret;
		uint32_t lane, seq;
	} in[] = {{5, 2, 0}, {5, 1, 0}, {KS_NO_TIME, 0, 2}, {5, 0, 1}, {5, 0, 0}, {1, 2, 9}};
	static const int order[] = {5, 4, 3, 1, 0, 2};
	for (size_t i = 0; i < 6; i++) {
		struct ks_record rec = KS_RECORD_NONE;
		rec.return_ns = in[i].ret;
		rec.lane = in[i].lane;
		rec.seq = in[i].seq;
		CU_ASSERT_EQUAL(ks_records_add(&r, &rec), 0);
	}
	CU_ASSERT_EQUAL(ks_records_sort(&r), 0);
	for (size_t i = 0; i < 6; i++) {
		struct ks_record rec = ks_record_get(&r, i);
		CU_ASSERT(rec.return_ns == in[order[i]].ret && rec.lane == in[order[i]].lane && rec.seq == in[order[i]].seq);
	}
	r.lanes = NULL;
	ks_records_release(&r);
	ks_mem_fail_at(1);
	CU_ASSERT_EQUAL(ks_records_add(&r, &KS_RECORD_NONE), -1);
	ks_mem_fail_at(0);
}

/* ---- the packed store ---- */

static int64_t pick(struct ks_stream *s, const int64_t *of, size_t n)
{
	return of[ks_rand_in(ks_stream_next(s), 0, (int64_t)n - 1)];
}

/* A record of edges: of every field's packed form and of its type, with now and then a malformed one. */
static struct ks_record extreme(struct ks_stream *s)
{
	static const int64_t times[] = {0, 1, 999, INT64_C(1) << 47, (INT64_C(1) << 48) - 1, INT64_C(1) << 48, -1, INT64_MAX,
	                                INT64_MIN + 1, 3153600000 * KS_SEC};
	static const int64_t back[] = {0, 1, (1 << 24) - 1, 1 << 24, 65535, 65536, UINT32_MAX - 1, UINT32_MAX,
	                               INT64_C(1) << 33, -1, -40};
	static const int64_t error[] = {0, -25, 120 * KS_MS, INT32_MAX, INT64_C(1) << 31, INT32_MIN, -3600 * KS_SEC,
	                                -1768471200 * KS_SEC, INT64_MAX, INT64_MIN + 2};
	struct ks_record v = KS_RECORD_NONE;
	int64_t time = pick(s, times, 10);
	uint64_t word = ks_stream_next(s);
	v.key = (struct ks_key){ks_stream_next(s), word};
	v.outcome = word % 3;
	v.why = word >> 4 & 7;
	v.flags = word >> 8 & 3;
	if (__builtin_sub_overflow(time, pick(s, back, 11), &v.due_ns))
		v.due_ns = 5;
	if (__builtin_sub_overflow(time, pick(s, back, 11), &v.call_ns))
		v.call_ns = 6;
	if (word >> 10 & 1)
		v.due_ns = v.call_ns = KS_NO_TIME;
	v.return_ns = v.outcome == KS_LOST && word >> 12 & 3 ? KS_NO_TIME : time;
	if (word >> 14 & 1) {
		v.clock = word >> 16 & 3;
		if (__builtin_sub_overflow(time, pick(s, back, 11), &v.read_at_ns))
			v.read_at_ns = 7;
		if (__builtin_add_overflow(v.read_at_ns, pick(s, error, 10), &v.read_ns))
			v.read_ns = 8;
	}
	if (word >> 20 & 1)
		v.parent = (uint32_t)(word >> 24);
	return v;
}

static bool same_record(const struct ks_record *a, const struct ks_record *b)
{
	return a->due_ns == b->due_ns && a->call_ns == b->call_ns && a->return_ns == b->return_ns && a->read_ns == b->read_ns &&
	       a->read_at_ns == b->read_at_ns && ks_key_equal(a->key, b->key) && a->lane == b->lane && a->seq == b->seq &&
	       a->parent == b->parent && a->outcome == b->outcome && a->clock == b->clock && a->why == b->why &&
	       a->flags == b->flags;
}

#define EXTREMES 3000

/* What goes in comes out, whatever it is: added, replaced and marked. */
static void records_exact(void)
{
	struct ks_records r = {0};
	struct ks_record *in = ks_alloc(EXTREMES, sizeof *in);
	struct ks_stream s;
	uint32_t seq[70000] = {0};
	size_t wrong = 0;
	ks_stream_init(&s, 1, KS_STREAM_TEST, 1);
	for (size_t i = 0; i < EXTREMES; i++) {
		uint64_t word = ks_stream_next(&s);
		in[i] = extreme(&s);
		in[i].lane = word % 50 ? (uint32_t)(word >> 8 & 3) : (uint32_t)(word >> 8 & 65535) + 4000;
		in[i].seq = word % 31 ? seq[in[i].lane]++ : (uint32_t)word; /* out of order now and then */
		CU_ASSERT_EQUAL_FATAL(ks_records_add(&r, &in[i]), 0);
	}
	for (size_t i = 0; i < EXTREMES; i += 3) {
		struct ks_record other = extreme(&s);
		other.lane = in[i].lane;
		other.seq = in[i].seq;
		in[i] = other;
		ks_record_mark(&r, i, i & 1);
		CU_ASSERT_EQUAL_FATAL(ks_record_set(&r, i, &other), 0);
	}
	for (size_t i = 0; i < EXTREMES; i++) {
		struct ks_record out = ks_record_get(&r, i);
		wrong += !same_record(&in[i], &out) || ks_record_marked(&r, i) != (i % 3 == 0 && (i & 1));
	}
	CU_ASSERT_EQUAL(wrong, 0);
	ks_records_release(&r);
	ks_free(in);
}

/* A usual run, of two lanes and one of its clocks a day behind, takes 40 bytes a call. */
static void records_are_small(void)
{
	struct ks_records r = {0};
	for (uint32_t i = 0; i < 100000; i++) {
		int64_t t = (int64_t)i * KS_MS;
		struct ks_record v = {.due_ns = t - 3 * KS_SEC, .call_ns = t - KS_MS, .return_ns = t, .read_at_ns = t - 60,
		                      .read_ns = t - 60 - (i & 1) * KS_DAY, .key = {i, i}, .lane = i & 1, .seq = i / 2,
		                      .parent = KS_NO_PARENT};
		CU_ASSERT_EQUAL_FATAL(ks_records_add(&r, &v), 0);
	}
	CU_ASSERT(ks_records_bytes(&r) < 100000 * 40 + 4000);
	CU_ASSERT_EQUAL(ks_record_get(&r, 77777).seq, 77777 / 2);
	ks_records_release(&r);
}

/* Sorting takes every record along, and parents with their rows. */
static void records_sorted(void)
{
	struct ks_lane lanes[] = {{0, 0, 0, 0}, {0, 0, 0, 1}, {1, 0, 0, 0}};
	struct ks_records r = {.lanes = lanes, .nlanes = 3};
	for (uint32_t lane = 3; lane-- > 0;)
		for (uint32_t i = 0; i < 1000; i++) {
			struct ks_record v = KS_RECORD_NONE;
			v.return_ns = v.call_ns = v.due_ns = (int64_t)(i * 7 + lane % 2);
			v.lane = lane;
			v.seq = i;
			v.key = ks_key64(lane * 1000 + i);
			v.parent = i ? (2 - lane) * 1000 + i - 1 : KS_NO_PARENT; /* the call before, as rows are now */
			CU_ASSERT_EQUAL_FATAL(ks_records_add(&r, &v), 0);
		}
	CU_ASSERT_EQUAL_FATAL(ks_records_sort(&r), 0);
	size_t wrong = 0;
	for (size_t i = 0; i < r.n; i++) {
		struct ks_record v = ks_record_get(&r, i), before = i ? ks_record_get(&r, i - 1) : v;
		wrong += i && ks_record_cmp(&before, &v, lanes) >= 0;
		wrong += v.key.lo != v.lane * 1000 + v.seq || (v.parent == KS_NO_PARENT) != (v.seq == 0);
		if (v.parent != KS_NO_PARENT)
			wrong += ks_record_get(&r, v.parent).key.lo != v.key.lo - 1;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	r.lanes = NULL;
	ks_records_release(&r);
}

int main(void)
{
	static const struct ks_test tests[] = {{"durations", durations}, {"utc", utc}, {"rates and bands", rates_and_bands},
	                                       {"random streams", random_streams}, {"options", options}, {"errors", errors},
	                                       {"keys", keys}, {"records", records}, {"records come out as they went in", records_exact},
	                                       {"records are small", records_are_small}, {"records sorted", records_sorted}, {0}};
	return ks_test_main("core", tests);
}
