#include "ks_test.h"

#include <stdio.h>
#include <string.h>

#include "ks_clock.h"
#include "ks_rand.h"
#include "ks_time.h"

#define START (INT64_C(1768471200) * KS_SEC)

/* What the five clocks moved by since the start, as text: the golden form of these tests. */
static const char *moved(const struct ks_clocks *c, int64_t t)
{
	static char buf[5 * KS_TIME_TEXT];
	static const int64_t base[KS_NCLOCKS] = {START, 1000 * KS_SEC, 1000 * KS_SEC, 1000 * KS_SEC, START + 37 * KS_SEC};
	size_t n = 0;
	for (int id = 0; id < KS_NCLOCKS; id++) {
		char one[KS_TIME_TEXT];
		n += (size_t)snprintf(buf + n, sizeof buf - n, "%s%s", id ? " " : "",
		                      ks_dur_format(one, ks_clocks_at(c, (enum ks_clock_id)id, t) - base[id]));
	}
	return buf;
}

static struct ks_clocks fresh(void)
{
	struct ks_clocks c;
	ks_clocks_init(&c, START, 0, 1000 * KS_SEC, 37);
	return c;
}

/* order: realtime monotonic raw boottime tai */
static void golden_relations(void)
{
	struct ks_clocks c = fresh();
	CU_ASSERT_STRING_EQUAL(moved(&c, KS_SEC), "1s 1s 1s 1s 1s");
	ks_clocks_step(&c, 10 * KS_SEC, -120 * KS_MS);
	CU_ASSERT_STRING_EQUAL(moved(&c, 10 * KS_SEC), "9.88s 10s 10s 10s 9.88s");
	c = fresh();
	ks_clocks_leap(&c, 10 * KS_SEC, 1);
	CU_ASSERT_STRING_EQUAL(moved(&c, 10 * KS_SEC), "9s 10s 10s 10s 10s");
	c = fresh();
	ks_clocks_slew(&c, 10 * KS_SEC, -500000);
	CU_ASSERT_STRING_EQUAL(moved(&c, 12 * KS_SEC), "11.999s 11.999s 12s 11.999s 11.999s");
	c = fresh();
	ks_clocks_drift(&c, 10 * KS_SEC, 100000);
	CU_ASSERT_STRING_EQUAL(moved(&c, 20 * KS_SEC), "20.001s 20.001s 20.001s 20.001s 20.001s");
	c = fresh();
	ks_clocks_suspend(&c, 10 * KS_SEC, KS_SUSPEND_S3);
	ks_clocks_resume(&c, 13 * KS_SEC, KS_SUSPEND_S3, 5 * KS_MS);
	CU_ASSERT_STRING_EQUAL(moved(&c, 13 * KS_SEC), "13.005s 10s 10s 13.005s 13.005s");
	c = fresh();
	ks_clocks_suspend(&c, 10 * KS_SEC, KS_SUSPEND_VM_STOP);
	ks_clocks_resume(&c, 13 * KS_SEC, KS_SUSPEND_VM_STOP, 0);
	CU_ASSERT_STRING_EQUAL(moved(&c, 14 * KS_SEC), "11s 11s 11s 11s 11s");
	c = fresh();
	ks_clocks_suspend(&c, 10 * KS_SEC, KS_SUSPEND_HOST_STOP);
	ks_clocks_resume(&c, 13 * KS_SEC, KS_SUSPEND_HOST_STOP, 0);
	CU_ASSERT_STRING_EQUAL(moved(&c, 14 * KS_SEC), "14s 14s 14s 14s 14s");
	c = fresh();
	ks_clocks_slew(&c, KS_SEC, 500000);
	ks_clocks_boot(&c, 10 * KS_SEC, START);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, 11 * KS_SEC), START + KS_SEC);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_TAI, 11 * KS_SEC), START + KS_SEC);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_MONOTONIC, 11 * KS_SEC), KS_SEC);
}

static void rates_multiply(void)
{
	struct ks_clocks c = fresh();
	ks_clocks_drift(&c, 0, 100000000);  /* + 10 % */
	ks_clocks_slew(&c, 0, -100000000);  /* - 10 % of that: 0.99 */
	int64_t mono = ks_clocks_at(&c, KS_MONOTONIC, 1000 * KS_SEC) - 1000 * KS_SEC;
	CU_ASSERT(mono <= 990 * KS_SEC && mono >= 990 * KS_SEC - 1000);
	int64_t raw = ks_clocks_at(&c, KS_RAW, 1000 * KS_SEC) - 1000 * KS_SEC;
	CU_ASSERT(raw <= 1100 * KS_SEC && raw >= 1100 * KS_SEC - 1000);
}

/* 100 simulated years at a rate that no binary fraction holds lose no ns against 128-bit arithmetic on the whole. */
static void century(void)
{
	struct ks_clocks c = fresh();
	int64_t year = 365 * KS_DAY, rate = ks_rate_q64(12345);
	ks_clocks_drift(&c, 0, 12345);
	int64_t whole = ks_clocks_at(&c, KS_MONOTONIC, 100 * year);
	CU_ASSERT_EQUAL(whole, 1000 * KS_SEC + 100 * year + (int64_t)(((__int128)(100 * year) * rate) >> 64));
	for (int i = 0; i < 1000; i++) { /* steps there and back split the segments a thousand times */
		ks_clocks_step(&c, i * (year / 10), KS_MS);
		ks_clocks_step(&c, i * (year / 10), -KS_MS);
	}
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_MONOTONIC, 100 * year), whole);
	/* every split rounds down once: less than a ns each on the clock that was split */
	int64_t lost = START + 100 * year + (int64_t)(((__int128)(100 * year) * rate) >> 64) - ks_clocks_at(&c, KS_REALTIME, 100 * year);
	CU_ASSERT(lost >= 0 && lost <= 1000);
}

static void splitting_shows_no_jump(void)
{
	struct ks_clocks c = fresh();
	for (uint64_t i = 0; i < 2000; i++) {
		int64_t t = (int64_t)i * 7919 * KS_US;
		int64_t before = ks_clocks_at(&c, KS_REALTIME, t);
		ks_clocks_drift(&c, t, ks_rand_in(ks_rand_at(1, KS_STREAM_TEST, 0, i), -KS_PPB_LIMIT, KS_PPB_LIMIT));
		CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, t), before);
	}
}

static void when_inverts(void)
{
	for (uint64_t i = 0; i < 5000; i++) {
		struct ks_seg s = {0};
		s.t0_ns = ks_rand_in(ks_rand_at(2, KS_STREAM_TEST, 0, 4 * i), 0, KS_DAY);
		s.v0_ns = START;
		s.rate_q64 = ks_rate_q64(ks_rand_in(ks_rand_at(2, KS_STREAM_TEST, 0, 4 * i + 1), -KS_PPB_LIMIT, KS_PPB_LIMIT));
		int64_t from = s.t0_ns + ks_rand_in(ks_rand_at(2, KS_STREAM_TEST, 0, 4 * i + 2), 0, KS_HOUR);
		int64_t value = ks_seg_at(&s, from) + ks_rand_in(ks_rand_at(2, KS_STREAM_TEST, 0, 4 * i + 3), -KS_SEC, KS_DAY);
		int64_t t = ks_seg_when(&s, from, value);
		CU_ASSERT(ks_seg_at(&s, t) >= value && t >= from);
		CU_ASSERT(t == from || ks_seg_at(&s, t - 1) < value);
	}
	struct ks_seg held = {.v0_ns = 5, .held = 1};
	CU_ASSERT_EQUAL(ks_seg_when(&held, 3, 6), INT64_MAX);
	CU_ASSERT_EQUAL(ks_seg_when(&held, 3, 5), 3);
}

static void rate_rounds_up(void)
{
	CU_ASSERT_EQUAL(ks_rate_q64(0), 0);
	CU_ASSERT_EQUAL(ks_rate_q64(1), 18446744074);
	CU_ASSERT_EQUAL(ks_rate_q64(-1), -18446744073);
}

int main(void)
{
	static const struct ks_test tests[] = {{"golden relations", golden_relations}, {"rates multiply", rates_multiply},
	                                       {"a century loses no ns", century}, {"no jump at a split", splitting_shows_no_jump},
	                                       {"when inverts at", when_inverts}, {"rates round up", rate_rounds_up}, {0}};
	return ks_test_main("clock", tests);
}
