/* The daemons that keep clocks, held to what their sources say that they do. Here doubles are allowed: they check. */
#include "ks_test.h"

#include <stdlib.h>

#include "ks_keeper.h"
#include "ks_rand.h"
#include "ks_time.h"

#define START (INT64_C(1768471200) * KS_SEC)

struct lab {
	struct ks_clocks c;
	struct ks_keeper_desc desc;
	struct ks_keeper k;
	int64_t t;
	int steps, waits, slews;
	int64_t stepped_at, step_ns, gave_up_at, fastest_q64;
};

static struct ks_keeper_desc quiet(enum ks_keeper_kind kind)
{
	struct ks_keeper_desc d = {.kind = kind, .delay_ns = 8 * KS_MS, .poll_ns = 64 * KS_SEC, .first_ns = 10 * KS_SEC,
	                           .step_ns = 128 * KS_MS, .stepout_ns = 300 * KS_SEC, .panic_ns = 1000 * KS_SEC,
	                           .limit = 3, .maxslew_ppb = 83333000};
	if (kind == KS_KEEPER_CHRONY)
		d.step_ns = KS_SEC;
	if (kind == KS_KEEPER_TIMESYNCD)
		d.step_ns = 400 * KS_MS;
	return d;
}

static void open_lab(struct lab *l, struct ks_keeper_desc desc, int64_t drift_ppb)
{
	*l = (struct lab){.desc = desc, .gave_up_at = -1};
	ks_clocks_init(&l->c, START, 0, 1000 * KS_SEC, 37);
	ks_clocks_drift(&l->c, 0, drift_ppb);
	ks_keeper_init(&l->k, &l->desc, &l->c, 1, 0);
}

static double power(double base, int n)
{
	double v = 1;
	while (n-- > 0)
		v *= base;
	return v;
}

static int64_t offset_at(const struct lab *l, int64_t t)
{
	return ks_clocks_at(&l->c, KS_REALTIME, t) - START - t;
}

static void run_until(struct lab *l, int64_t end)
{
	for (int64_t t; (t = ks_keeper_next(&l->k)) <= end;) {
		struct ks_keeper_act act = ks_keeper_run(&l->k, &l->c, t, START + t);
		int64_t phase = l->k.phase_q64 < 0 ? -l->k.phase_q64 : l->k.phase_q64;
		l->fastest_q64 = phase > l->fastest_q64 ? phase : l->fastest_q64;
		l->steps += act.did == KS_KEEPER_STEPPED;
		l->slews += act.did == KS_KEEPER_SLEWS;
		l->waits += act.did == KS_KEEPER_WAITS;
		if (act.did == KS_KEEPER_STEPPED) {
			l->stepped_at = t;
			l->step_ns = act.amount_ns;
		}
		if (act.did == KS_KEEPER_GAVE_UP)
			l->gave_up_at = t;
	}
	l->t = end;
}

static void nothing_to_do(void)
{
	for (int kind = KS_KEEPER_CHRONY; kind < KS_NKEEPERS; kind++) {
		struct lab l;
		open_lab(&l, quiet((enum ks_keeper_kind)kind), 20000);
		run_until(&l, KS_DAY); /* without jitter all that is left is what a rate cannot say */
		CU_ASSERT(llabs(offset_at(&l, KS_DAY)) <= 1000);
		CU_ASSERT_EQUAL(l.steps + l.waits, 0);
	}
}

static void jitter_stays_small(void)
{
	for (int kind = KS_KEEPER_CHRONY; kind < KS_NKEEPERS; kind++) {
		struct lab l;
		struct ks_keeper_desc d = quiet((enum ks_keeper_kind)kind);
		d.jitter_ns = 23 * KS_US;
		d.offset_ns = -142 * KS_US;
		open_lab(&l, d, -17000);
		run_until(&l, KS_HOUR);
		for (int64_t t = KS_HOUR; t < KS_DAY; t += 100 * KS_SEC) {
			run_until(&l, t);
			CU_ASSERT(llabs(offset_at(&l, t) + 142 * KS_US) < 200 * KS_US);
		}
		CU_ASSERT_EQUAL(l.steps + l.waits, 0);
		CU_ASSERT(l.slews > 1000);
	}
}

/* -120 ms on chrony that has had its three updates: slewed away, at no more than 83,333 ppm, in 1.44 s. */
static void chrony_slews(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_CHRONY), 0);
	run_until(&l, 20 * KS_SEC);
	ks_clocks_step(&l.c, 20 * KS_SEC, -120 * KS_MS);
	run_until(&l, 74 * KS_SEC); /* asks at 74 s, hears 8 ms later */
	CU_ASSERT_EQUAL(offset_at(&l, 74 * KS_SEC), -120 * KS_MS);
	run_until(&l, 75 * KS_SEC);
	CU_ASSERT(llabs(offset_at(&l, 75 * KS_SEC) + 120 * KS_MS - 82666 * KS_US) < 50 * KS_US); /* 992 ms at 83,333 ppm */
	run_until(&l, 76 * KS_SEC);
	CU_ASSERT(llabs(offset_at(&l, 76 * KS_SEC)) < KS_US);
	CU_ASSERT_EQUAL(l.steps, 0);
	CU_ASSERT(l.fastest_q64 <= ks_rate_q64(83333000));
	CU_ASSERT(l.fastest_q64 > ks_rate_q64(83332000));
}

static void chrony_steps_after_boot_only(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_CHRONY), 0);
	run_until(&l, 20 * KS_SEC);
	ks_clocks_step(&l.c, 20 * KS_SEC, -5 * KS_SEC);
	run_until(&l, 300 * KS_SEC); /* a minute at 83,333 ppm */
	CU_ASSERT_EQUAL(l.steps, 0);
	CU_ASSERT(llabs(offset_at(&l, 300 * KS_SEC)) < 10 * KS_US);
	ks_clocks_set_rtc(&l.c, 300 * KS_SEC, START);
	ks_clocks_boot(&l.c, 300 * KS_SEC);
	ks_keeper_boot(&l.k, &l.c, 300 * KS_SEC);
	run_until(&l, 301 * KS_SEC);
	CU_ASSERT_EQUAL(l.steps, 1);
	CU_ASSERT_EQUAL(l.stepped_at, 300 * KS_SEC + 8 * KS_MS);
	CU_ASSERT_EQUAL(offset_at(&l, 301 * KS_SEC), 0);
}

/* An oscillator that becomes wrong is found out and corrected. */
static void chrony_learns_the_frequency(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_CHRONY), 0);
	ks_clocks_drift(&l.c, 100 * KS_SEC, 50000);
	run_until(&l, KS_HOUR);
	CU_ASSERT(llabs(l.k.freq_q64 + ks_rate_q64(50000)) < ks_rate_q64(500));
	CU_ASSERT(llabs(offset_at(&l, KS_HOUR)) < 20 * KS_US);
}

/* -120 ms is within ntpd's 128 ms: the kernel's loop works it off, 1/256 of the rest a second at a poll of 64 s. */
static void ntpd_decays(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_NTPD), 0);
	run_until(&l, 20 * KS_SEC);
	ks_clocks_step(&l.c, 20 * KS_SEC, -120 * KS_MS);
	run_until(&l, 74 * KS_SEC + 8 * KS_MS);
	/* until it asks again nothing but the decay and the frequency that this one offset teaches it: 120 ms x 64 s / 2^20 */
	for (int s = 1; s < 60; s++) {
		int64_t t = 74 * KS_SEC + 8 * KS_MS + s * KS_SEC;
		run_until(&l, t);
		double expect = -120e6 * power(255.0 / 256, s) + s * 120e6 * 64 / 1048576;
		CU_ASSERT(__builtin_fabs((double)offset_at(&l, t) - expect) < 1000);
	}
	run_until(&l, KS_HOUR);
	CU_ASSERT(llabs(offset_at(&l, KS_HOUR)) < 5 * KS_MS);
	CU_ASSERT_EQUAL(l.steps + l.waits, 0);
}

static void ntpd_steps_after_stepout(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_NTPD), 0);
	run_until(&l, 20 * KS_SEC);
	ks_clocks_step(&l.c, 20 * KS_SEC, -500 * KS_MS);
	run_until(&l, KS_HOUR);
	/* good at 10 s; outliers at 74, 138, 202, 266; 330 is the first one 300 s after the good one */
	CU_ASSERT_EQUAL(l.steps, 1);
	CU_ASSERT_EQUAL(l.waits, 4);
	CU_ASSERT_EQUAL(l.stepped_at, 330 * KS_SEC + 8 * KS_MS);
	CU_ASSERT_EQUAL(l.step_ns, 500 * KS_MS);
	CU_ASSERT_EQUAL(offset_at(&l, KS_HOUR), 0);
}

/* A spike that is gone before stepout never moves the clock. */
static void ntpd_ignores_a_spike(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_NTPD), 0);
	run_until(&l, 20 * KS_SEC);
	ks_clocks_step(&l.c, 20 * KS_SEC, -500 * KS_MS);
	run_until(&l, 150 * KS_SEC);
	ks_clocks_step(&l.c, 150 * KS_SEC, 500 * KS_MS);
	run_until(&l, KS_HOUR);
	CU_ASSERT_EQUAL(l.steps, 0);
	CU_ASSERT_EQUAL(l.waits, 2);
	CU_ASSERT_EQUAL(offset_at(&l, KS_HOUR), 0);
}

/* The advice `tinker stepout 0.128`: stepout is a time. The step comes at the second look instead of after 300 s. */
static void short_stepout_steps_sooner(void)
{
	struct lab l;
	struct ks_keeper_desc d = quiet(KS_KEEPER_NTPD);
	d.stepout_ns = 128 * KS_MS;
	open_lab(&l, d, 0);
	run_until(&l, 20 * KS_SEC);
	ks_clocks_step(&l.c, 20 * KS_SEC, -500 * KS_MS);
	run_until(&l, KS_HOUR);
	CU_ASSERT_EQUAL(l.steps, 1);
	CU_ASSERT_EQUAL(l.stepped_at, 138 * KS_SEC + 8 * KS_MS);
}

/* step 0: slew only, at 500 ppm at most beside what the frequency is off. */
static void slew_only(void)
{
	struct lab l;
	struct ks_keeper_desc d = quiet(KS_KEEPER_NTPD);
	d.step_ns = 0;
	open_lab(&l, d, 0);
	run_until(&l, 20 * KS_SEC);
	ks_clocks_step(&l.c, 20 * KS_SEC, 2 * KS_SEC);
	int64_t before = ks_clocks_at(&l.c, KS_REALTIME, 20 * KS_SEC);
	for (int64_t t = 21 * KS_SEC; t < 3 * KS_HOUR; t += KS_SEC) {
		run_until(&l, t);
		int64_t now = ks_clocks_at(&l.c, KS_REALTIME, t);
		CU_ASSERT(now - before >= KS_SEC - 1000 * KS_US); /* 500 ppm of phase, 500 of frequency */
		before = now;
	}
	CU_ASSERT_EQUAL(l.steps + l.waits, 0);
	CU_ASSERT(llabs(l.fastest_q64 - ks_rate_q64(500000)) <= 1);
	CU_ASSERT(llabs(offset_at(&l, 3 * KS_HOUR)) < 200 * KS_MS); /* it swings over: the frequency has learnt the offset too */
	run_until(&l, KS_DAY);
	CU_ASSERT(llabs(offset_at(&l, KS_DAY)) < 2 * KS_MS);
}

static void ntpd_panics(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_NTPD), 0);
	ks_clocks_step(&l.c, 0, 1001 * KS_SEC);
	run_until(&l, KS_HOUR);
	CU_ASSERT_EQUAL(l.gave_up_at, 10 * KS_SEC + 8 * KS_MS);
	CU_ASSERT_EQUAL(offset_at(&l, KS_HOUR), 1001 * KS_SEC);
	CU_ASSERT_EQUAL(ks_keeper_next(&l.k), INT64_MAX);
}

static void timesyncd_steps_at_once(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_TIMESYNCD), 0);
	run_until(&l, 20 * KS_SEC);
	ks_clocks_step(&l.c, 20 * KS_SEC, -500 * KS_MS);
	ks_keeper_disturb(&l.k, 20 * KS_SEC);
	run_until(&l, 21 * KS_SEC);
	CU_ASSERT_EQUAL(l.steps, 1);
	CU_ASSERT_EQUAL(l.stepped_at, 20 * KS_SEC + 8 * KS_MS);
	CU_ASSERT_EQUAL(offset_at(&l, 21 * KS_SEC), 0);
	ks_clocks_step(&l.c, 30 * KS_SEC, -399 * KS_MS); /* just below: by the kernel's loop, 1/16 of the rest a second */
	ks_keeper_disturb(&l.k, 30 * KS_SEC);
	run_until(&l, 40 * KS_SEC + 8 * KS_MS);
	CU_ASSERT_EQUAL(l.steps, 1);
	double expect = -399e6 * power(15.0 / 16, 10) + 10 * 500e3; /* and a frequency that it overdoes, up to 500 ppm */
	CU_ASSERT(__builtin_fabs((double)offset_at(&l, 40 * KS_SEC + 8 * KS_MS) - expect) < 1e6);
}

/* A poll interval runs on the machine's time: sleep does not count. */
static void sleep_postpones(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_CHRONY), 0);
	run_until(&l, 20 * KS_SEC);
	ks_keeper_resume(&l.k, 50 * KS_SEC, 30 * KS_SEC);
	CU_ASSERT_EQUAL(ks_keeper_next(&l.k), 104 * KS_SEC);
	ks_keeper_resume(&l.k, 200 * KS_SEC, 0); /* a stopped host: the time was there, and is over */
	CU_ASSERT_EQUAL(ks_keeper_next(&l.k), 200 * KS_SEC);
}

/* A step between question and answer spoils half of the measurement, as it does in NTP. */
static void a_step_on_the_way(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_CHRONY), 0);
	run_until(&l, 10 * KS_SEC);
	ks_clocks_step(&l.c, 10 * KS_SEC + 4 * KS_MS, -100 * KS_MS);
	run_until(&l, 10 * KS_SEC + 8 * KS_MS);
	CU_ASSERT_EQUAL(l.k.slew_ns, 50 * KS_MS);
}

static void settled_rtc(void)
{
	struct lab l;
	open_lab(&l, quiet(KS_KEEPER_CHRONY), 0);
	ks_clocks_set_rtc(&l.c, 5 * KS_SEC, START - KS_DAY);
	run_until(&l, 600 * KS_SEC);
	CU_ASSERT_EQUAL(ks_seg_at(&l.c.rtc, 600 * KS_SEC), START - KS_DAY + 595 * KS_SEC);
	run_until(&l, 800 * KS_SEC); /* eleven minutes later the kernel has written it */
	CU_ASSERT_EQUAL(ks_seg_at(&l.c.rtc, 800 * KS_SEC), START + 800 * KS_SEC);
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"nothing to do", nothing_to_do}, {"jitter stays small", jitter_stays_small}, {"chrony slews", chrony_slews},
		{"chrony steps after boot only", chrony_steps_after_boot_only}, {"chrony learns", chrony_learns_the_frequency},
		{"ntpd decays", ntpd_decays}, {"ntpd steps after stepout", ntpd_steps_after_stepout},
		{"ntpd ignores a spike", ntpd_ignores_a_spike}, {"a short stepout steps sooner", short_stepout_steps_sooner},
		{"slew only", slew_only}, {"ntpd panics", ntpd_panics}, {"timesyncd", timesyncd_steps_at_once},
		{"sleep postpones", sleep_postpones}, {"a step on the way", a_step_on_the_way}, {"rtc", settled_rtc}, {0}};
	return ks_test_main("keeper", tests);
}
