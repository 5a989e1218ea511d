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
	ks_clocks_step(&c, 2 * KS_SEC, -KS_HOUR); /* the RTC does not know of it */
	ks_clocks_boot(&c, 10 * KS_SEC);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, 11 * KS_SEC), START + 11 * KS_SEC);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_TAI, 11 * KS_SEC), START + 11 * KS_SEC);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_MONOTONIC, 11 * KS_SEC), KS_SEC);
}

static void rtc_shows_at_boot_and_resume(void)
{
	struct ks_clocks c = fresh();
	ks_clocks_set_rtc(&c, 5 * KS_SEC, START - KS_DAY);
	CU_ASSERT_STRING_EQUAL(moved(&c, 6 * KS_SEC), "6s 6s 6s 6s 6s"); /* nobody looks at it */
	ks_clocks_boot(&c, 10 * KS_SEC);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, 10 * KS_SEC), START - KS_DAY + 5 * KS_SEC);
	c = fresh(); /* set before the sleep: the sleep has its length */
	ks_clocks_set_rtc(&c, 5 * KS_SEC, START - KS_DAY);
	ks_clocks_suspend(&c, 10 * KS_SEC, KS_SUSPEND_S3);
	ks_clocks_resume(&c, 13 * KS_SEC, KS_SUSPEND_S3, 0);
	CU_ASSERT_STRING_EQUAL(moved(&c, 13 * KS_SEC), "13s 10s 10s 13s 13s");
	c = fresh(); /* set forward in the sleep: the sleep was that much longer */
	ks_clocks_suspend(&c, 10 * KS_SEC, KS_SUSPEND_S3);
	ks_clocks_set_rtc(&c, 11 * KS_SEC, START + KS_HOUR + 11 * KS_SEC);
	ks_clocks_resume(&c, 13 * KS_SEC, KS_SUSPEND_S3, 0);
	CU_ASSERT_STRING_EQUAL(moved(&c, 13 * KS_SEC), "3613s 10s 10s 3613s 3613s");
	c = fresh(); /* set back in the sleep: it had no length */
	ks_clocks_suspend(&c, 10 * KS_SEC, KS_SUSPEND_S3);
	ks_clocks_set_rtc(&c, 11 * KS_SEC, START - KS_DAY);
	ks_clocks_resume(&c, 13 * KS_SEC, KS_SUSPEND_S3, 0);
	CU_ASSERT_STRING_EQUAL(moved(&c, 13 * KS_SEC), "10s 10s 10s 10s 10s");
}

static void coarse_floors_each_clock_its_own(void)
{
	struct ks_clocks c;
	ks_clocks_init(&c, START, 1500 * KS_US, 1000 * KS_SEC + 3 * KS_MS, 37);
	ks_clocks_coarse(&c, 1u << KS_REALTIME | 1u << KS_MONOTONIC, 4 * KS_MS);
	int64_t t = 10 * KS_SEC + 3 * KS_MS;
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, t), START + 10 * KS_SEC + 4 * KS_MS);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_MONOTONIC, t), 1010 * KS_SEC + 4 * KS_MS);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_BOOTTIME, t), 1010 * KS_SEC + 6 * KS_MS);
	const struct ks_seg *s = &c.seg[KS_REALTIME];
	CU_ASSERT_EQUAL(ks_seg_when(s, t, START + 10 * KS_SEC + 4 * KS_MS + 1), 10 * KS_SEC + 6500 * KS_US);
	ks_clocks_step(&c, t, -KS_MS); /* the line moves, and what is shown of it is floored again */
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, t), START + 10 * KS_SEC);
	ks_clocks_coarse(&c, 1u << KS_REALTIME, 0);
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, t), START + 10 * KS_SEC + 3500 * KS_US);
	c.seg[KS_REALTIME] = (struct ks_seg){.v0_ns = -5, .tick_ns = 4}; /* before the epoch it still floors */
	CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, 0), -8);
	CU_ASSERT_EQUAL(ks_seg_when(&c.seg[KS_REALTIME], 0, -7), 1);
}

/* A rate over a length moves a clock by exactly what was asked for, however odd. */
static void rate_over_is_exact(void)
{
	for (uint64_t i = 0; i < 2000; i++) {
		int64_t length = ks_rand_in(ks_rand_at(3, KS_STREAM_TEST, 0, 2 * i), 3, KS_DAY);
		int64_t delta = ks_rand_in(ks_rand_at(3, KS_STREAM_TEST, 0, 2 * i + 1), -(length - 1) / 2, (length - 1) / 2);
		struct ks_clocks c = fresh();
		ks_clocks_bend(&c, KS_SEC, ks_rate_over(delta, length));
		ks_clocks_bend(&c, KS_SEC + length, 0);
		CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_REALTIME, KS_DAY * 2), START + 2 * KS_DAY + delta);
		CU_ASSERT_EQUAL(ks_clocks_at(&c, KS_RAW, KS_DAY * 2), 1000 * KS_SEC + 2 * KS_DAY);
	}
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

/* What the clock of the test below has moved by beyond true time, in ns x 2^64, as a whole number of any size: exact. */
struct exact {
	uint64_t low;
	__int128 high;
};

static void exact_add(struct exact *e, int64_t dt, int64_t rate_q64)
{
	__int128 product = (__int128)dt * rate_q64;
	unsigned __int128 sum = (unsigned __int128)e->low + (uint64_t)product;
	e->low = (uint64_t)sum;
	e->high += (product >> 64) + (int64_t)(sum >> 64);
}

/* 100 simulated years of drift, slews and steps at 200000 odd instants, and not a ns is lost or won against whole numbers
 * that are never rounded. */
static void century(void)
{
	struct ks_clocks c = fresh();
	int64_t year = 365 * KS_DAY, t = 0, steps = 0, drift_q64 = 0, both_q64 = 0;
	struct exact real = {0, 0}, raw = {0, 0};
	for (uint64_t i = 0; t < 100 * year; i++) {
		int64_t next = t + ks_rand_in(ks_rand_at(4, KS_STREAM_TEST, 0, 3 * i), 1, 8 * KS_HOUR);
		uint64_t word = ks_rand_at(4, KS_STREAM_TEST, 0, 3 * i + 1);
		exact_add(&real, next - t, both_q64);
		exact_add(&raw, next - t, drift_q64);
		t = next;
		int64_t amount = ks_rand_in(word, -100000, 100000); /* ns of a step, ppb of a rate: +-100 ppm */
		switch (ks_rand_at(4, KS_STREAM_TEST, 0, 3 * i + 2) % 3) {
		case 0:
			ks_clocks_step(&c, t, amount);
			steps += amount;
			break;
		case 1:
			ks_clocks_slew(&c, t, amount);
			break;
		default:
			ks_clocks_drift(&c, t, amount);
		}
		drift_q64 = c.seg[KS_RAW].rate_q64;
		both_q64 = c.seg[KS_REALTIME].rate_q64;
		CU_ASSERT_EQUAL_FATAL(ks_clocks_at(&c, KS_REALTIME, t), START + t + steps + (int64_t)real.high);
		CU_ASSERT_EQUAL_FATAL(ks_clocks_at(&c, KS_RAW, t), 1000 * KS_SEC + t + (int64_t)raw.high);
	}
	CU_ASSERT(ks_clocks_at(&c, KS_REALTIME, t) - START >= 99 * year);
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
		s.frac_q64 = ks_rand_at(5, KS_STREAM_TEST, 0, i);
		s.tick_ns = i % 3 ? 0 : 1 + (int64_t)(i % 1000) * 7919;
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
	                                       {"a century loses no ns", century},
	                                       {"rtc", rtc_shows_at_boot_and_resume}, {"coarse", coarse_floors_each_clock_its_own},
	                                       {"exact rates", rate_over_is_exact}, {"no jump at a split", splitting_shows_no_jump},
	                                       {"when inverts at", when_inverts}, {"rates round up", rate_rounds_up}, {0}};
	return ks_test_main("clock", tests);
}
