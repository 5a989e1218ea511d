/* What nodes do to their clocks by themselves, inside the engine: leap seconds, keepers, cores; and a century. */
#include "ks_test.h"

#include <stdlib.h>

#include "env.h"
#include "keygen.h"
#include "ks_engine.h"
#include "ks_mem.h"

#define NEW_YEAR (INT64_C(1483228800) * KS_SEC) /* 2017-01-01T00:00:00Z, after a leap second */

/* A generator that reads one clock: the key is the reading. */
static enum ks_outcome reader_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)shared, (void)local, (void)why;
	*key = ks_key64((uint64_t)env_clock(env, *(const enum ks_clock_id *)cfg));
	return KS_KEY;
}

static const struct ks_gen reader = {.name = "reader", .next = reader_next};

struct lab {
	struct ks_node_desc node[2];
	enum ks_clock_id clock;
	struct ks_sim sim;
	struct ks_sim_result result;
};

static void open_lab(struct lab *l, int64_t start, int64_t duration, int64_t rate)
{
	*l = (struct lab){.node = {{.worker = 1}, {.worker = 2}}};
	l->sim = (struct ks_sim){.start_unix_ns = start, .duration_ns = duration, .seed = 1, .nodes = 1, .processes = 1, .threads = 1,
	                         .node = l->node, .load = {.rate = {rate, KS_SEC}}, .gen = &reader, .cfg = &l->clock};
}

static void run(struct lab *l, const struct ks_fault_event *events, uint32_t n)
{
	struct ks_err err = {0};
	l->sim.events = events;
	l->sim.nevents = n;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&l->sim, &l->result, &err), 0);
}

static int64_t offset_of(const struct lab *l, size_t row)
{
	struct ks_record r = ks_record_get(&l->result.records, row);
	return r.read_ns - r.read_at_ns;
}

static const struct ks_fault_seen *seen_of(const struct lab *l, enum ks_fault_op op, uint32_t nth)
{
	for (uint32_t i = 0; i < l->result.nseen; i++)
		if (l->result.seen[i].event.op == op && !nth--)
			return &l->result.seen[i];
	return NULL;
}

/* A clock that is 30 ms ahead has its midnight 30 ms sooner; either way the leap comes at the first tick after it. */
static void leap_comes_after_midnight(void)
{
	struct lab l;
	open_lab(&l, NEW_YEAR - 10 * KS_SEC, 20 * KS_SEC, 1000);
	l.sim.nodes = 2;
	l.node[1].offset_ns = 30 * KS_MS;
	struct ks_fault_event e[2] = {{.at_ns = KS_SEC, .op = KS_FAULT_ARM_LEAP, .amount = -KS_SEC, .extra = 250}};
	e[1] = e[0];
	e[1].node = 1;
	run(&l, e, 2);
	for (uint32_t i = 0; i < 2; i++) {
		const struct ks_fault_seen *s = seen_of(&l, KS_FAULT_LEAP, i);
		CU_ASSERT_PTR_NOT_NULL_FATAL(s);
		int64_t midnight = 10 * KS_SEC - (s->event.node ? 30 * KS_MS : 0);
		CU_ASSERT(s->event.at_ns >= midnight && s->event.at_ns < midnight + 4 * KS_MS);
		CU_ASSERT_EQUAL(s->after_ns[KS_REALTIME] - s->before_ns[KS_REALTIME], -KS_SEC);
		CU_ASSERT_EQUAL(s->after_ns[KS_TAI], s->before_ns[KS_TAI]);
		CU_ASSERT_EQUAL(s->after_ns[KS_MONOTONIC], s->before_ns[KS_MONOTONIC]);
	}
	CU_ASSERT_PTR_NULL(seen_of(&l, KS_FAULT_LEAP, 2));
	CU_ASSERT_EQUAL(offset_of(&l, l.result.records.n - 2), -KS_SEC);
	ks_sim_result_release(&l.result);
}

/* A clock that is set past midnight meanwhile has its leap at once, one that is set back later; one that stands, never. */
static void leap_follows_the_clock(void)
{
	static const struct {
		int64_t step_ns, leaps_at;
	} steps[] = {{-2 * KS_SEC, 12 * KS_SEC}, {7 * KS_SEC, 5 * KS_SEC}, {2 * KS_SEC, 8 * KS_SEC}};
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct lab l;
		open_lab(&l, NEW_YEAR - 10 * KS_SEC, 20 * KS_SEC, 10);
		const struct ks_fault_event e[] = {{.at_ns = KS_SEC, .op = KS_FAULT_ARM_LEAP, .amount = -KS_SEC, .extra = 250},
		                                   {.at_ns = 5 * KS_SEC, .op = KS_FAULT_STEP, .amount = steps[i].step_ns}};
		run(&l, e, 2);
		const struct ks_fault_seen *s = seen_of(&l, KS_FAULT_LEAP, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(s);
		CU_ASSERT(s->event.at_ns >= steps[i].leaps_at && s->event.at_ns < steps[i].leaps_at + 4 * KS_MS);
		ks_sim_result_release(&l.result);
	}
	struct lab l;
	open_lab(&l, NEW_YEAR - 10 * KS_SEC, 20 * KS_SEC, 10);
	const struct ks_fault_event e[] = {{.at_ns = KS_SEC, .op = KS_FAULT_ARM_LEAP, .amount = KS_SEC, .extra = 250},
	                                   {.at_ns = 5 * KS_SEC, .op = KS_FAULT_HOLD, .amount = 1 << KS_REALTIME}};
	run(&l, e, 2);
	CU_ASSERT_PTR_NULL(seen_of(&l, KS_FAULT_LEAP, 0));
	ks_sim_result_release(&l.result);
}

/* Time sources know of the leap second: a keeper whose node has it does nothing, one whose node has not is a second off. */
static void keepers_know_utc(void)
{
	struct lab l;
	open_lab(&l, NEW_YEAR - 10 * KS_SEC, 200 * KS_SEC, 10);
	l.sim.nodes = 2;
	for (int i = 0; i < 2; i++)
		l.node[i].keeper = (struct ks_keeper_desc){.kind = KS_KEEPER_CHRONY, .poll_ns = 16 * KS_SEC, .first_ns = 2 * KS_SEC,
		                                           .step_ns = KS_SEC, .limit = 3, .maxslew_ppb = 83333000};
	const struct ks_fault_event e = {.at_ns = KS_SEC, .op = KS_FAULT_ARM_LEAP, .amount = -KS_SEC, .extra = 250};
	run(&l, &e, 1);
	for (uint32_t i = 0; i < l.result.nseen; i++) {
		const struct ks_fault_event *event = &l.result.seen[i].event;
		if (event->op == KS_FAULT_KEEPER)
			CU_ASSERT(event->node == 1);
	}
	const struct ks_fault_seen *s = seen_of(&l, KS_FAULT_KEEPER, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT(s->event.at_ns == 18 * KS_SEC && s->event.extra == KS_KEEPER_SLEWS && s->event.amount == -KS_SEC);
	CU_ASSERT_EQUAL(s->event.fault, KS_NO_FAULT);
	CU_ASSERT_EQUAL(offset_of(&l, l.result.records.n - 2), -KS_SEC);
	CU_ASSERT(llabs(offset_of(&l, l.result.records.n - 1) + KS_SEC) < 2); /* slewed away */
	ks_sim_result_release(&l.result);
}

/* A keeper acts as an event of its node: calls before it read the old clock, calls after it the new one. */
static void keeper_steps_between_calls(void)
{
	struct lab l;
	open_lab(&l, NEW_YEAR, 60 * KS_SEC, 1000);
	l.node[0].keeper = (struct ks_keeper_desc){.kind = KS_KEEPER_TIMESYNCD, .poll_ns = 64 * KS_SEC, .first_ns = 2 * KS_SEC,
	                                           .delay_ns = 8 * KS_MS, .step_ns = 400 * KS_MS};
	const struct ks_fault_event e = {.at_ns = 20 * KS_SEC, .op = KS_FAULT_STEP, .amount = -500 * KS_MS};
	run(&l, &e, 1);
	const struct ks_fault_seen *s = seen_of(&l, KS_FAULT_KEEPER, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL(s->event.at_ns, 20 * KS_SEC + 8 * KS_MS);
	CU_ASSERT_EQUAL(s->event.extra, KS_KEEPER_STEPPED);
	CU_ASSERT_EQUAL(s->after_ns[KS_REALTIME] - s->before_ns[KS_REALTIME], 500 * KS_MS);
	CU_ASSERT_EQUAL(s->set_after_ns - s->set_before_ns, 500 * KS_MS);
	for (size_t i = 0; i < l.result.records.n; i++) {
		struct ks_record r = ks_record_get(&l.result.records, i);
		bool wrong = r.read_at_ns >= 20 * KS_SEC && r.read_at_ns < 20 * KS_SEC + 8 * KS_MS;
		CU_ASSERT_EQUAL(offset_of(&l, i), wrong ? -500 * KS_MS : 0);
	}
	ks_sim_result_release(&l.result);
}

/* A machine that sleeps has nobody who keeps its clock; afterwards the poll comes as much later as it slept. */
static void keepers_sleep(void)
{
	struct lab l;
	open_lab(&l, NEW_YEAR, 100 * KS_SEC, 10);
	l.node[0].keeper = (struct ks_keeper_desc){.kind = KS_KEEPER_CHRONY, .poll_ns = 16 * KS_SEC, .first_ns = 2 * KS_SEC,
	                                           .step_ns = KS_SEC, .limit = -1, .maxslew_ppb = 83333000};
	const struct ks_fault_event e[] = {{.at_ns = 10 * KS_SEC, .op = KS_FAULT_SUSPEND, .amount = KS_SUSPEND_VM_STOP, .process = KS_ANY, .thread = KS_ANY},
	                                   {.at_ns = 40 * KS_SEC, .op = KS_FAULT_RESUME, .amount = KS_SUSPEND_VM_STOP, .process = KS_ANY, .thread = KS_ANY}};
	run(&l, e, 2);
	const struct ks_fault_seen *s = seen_of(&l, KS_FAULT_KEEPER, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_EQUAL(s->event.at_ns, 48 * KS_SEC); /* 18 s, and 30 s of sleep */
	CU_ASSERT(s->event.extra == KS_KEEPER_STEPPED && s->event.amount == 30 * KS_SEC);
	ks_sim_result_release(&l.result);
}

/* Thread k is on core (k + hops) mod cores; what it reads there is ahead in proportion; a wait is solved on its own core. */
static void cores_have_their_own_clocks(void)
{
	struct lab l;
	open_lab(&l, NEW_YEAR, KS_SEC, 3000);
	l.sim.threads = 3;
	const struct ks_fault_event e[] = {
		{.at_ns = 0, .op = KS_FAULT_CORES, .amount = 6 * KS_MS, .extra = KS_CORES_EXTRA(4, 0)},
		{.at_ns = 500 * KS_MS, .op = KS_FAULT_CORES, .amount = 6 * KS_MS, .extra = KS_CORES_EXTRA(4, 2)},
		{.at_ns = 800 * KS_MS, .op = KS_FAULT_CORES, .amount = 0, .extra = KS_CORES_EXTRA(4, 0)}};
	for (int clock = 0; clock < KS_NCLOCKS; clock++) {
		l.clock = (enum ks_clock_id)clock;
		run(&l, e, 3);
		for (size_t i = 0; i < l.result.records.n; i++) {
			struct ks_record r = ks_record_get(&l.result.records, i);
			uint32_t thread = l.result.records.lanes[r.lane].thread, core = r.read_at_ns < 500 * KS_MS ? thread : (thread + 2) % 4;
			CU_ASSERT_EQUAL(offset_of(&l, i), r.read_at_ns < 800 * KS_MS ? core * 2 * KS_MS : 0);
		}
		CU_ASSERT_EQUAL(seen_of(&l, KS_FAULT_CORES, 0)->core_high_ns, 4 * KS_MS);
		CU_ASSERT_EQUAL(seen_of(&l, KS_FAULT_CORES, 1)->core_high_ns, 6 * KS_MS);
		CU_ASSERT_EQUAL(seen_of(&l, KS_FAULT_CORES, 2)->core_high_ns, 0);
		ks_sim_result_release(&l.result);
	}
}

static enum ks_outcome sleeper_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)shared, (void)local, (void)why;
	int64_t now = env_clock(env, KS_REALTIME);
	env_wait_until(env, KS_REALTIME, now + 500 * KS_MS);
	*key = ks_key64(1);
	return KS_KEY;
}

static const struct ks_gen sleeper = {.name = "sleeper", .next = sleeper_next};

static int64_t sleeps_for(const struct ks_fault_event *e, uint32_t n)
{
	struct lab l;
	open_lab(&l, NEW_YEAR, KS_SEC, 1);
	l.sim.gen = &sleeper;
	run(&l, e, n);
	int64_t took = ks_record_get(&l.result.records, 0).return_ns;
	ks_sim_result_release(&l.result);
	return took;
}

static void waits_see_cores_and_ticks(void)
{
	/* it goes to a core that is 6 ms ahead while it sleeps, and wakes up 6 ms sooner */
	const struct ks_fault_event hop[] = {{.at_ns = 0, .op = KS_FAULT_CORES, .amount = 6 * KS_MS, .extra = KS_CORES_EXTRA(2, 0)},
	                                     {.at_ns = 100 * KS_MS, .op = KS_FAULT_CORES, .amount = 6 * KS_MS, .extra = KS_CORES_EXTRA(2, 1)}};
	CU_ASSERT_EQUAL(sleeps_for(hop, 2), 494 * KS_MS + KS_COST_CLOCK_NS);
	/* from 100 ms on the clock shows ticks of 40 ms only: the first one at or after 500 ms is 520 ms */
	const struct ks_fault_event coarse = {.at_ns = 100 * KS_MS, .op = KS_FAULT_COARSE, .amount = 1 << KS_REALTIME, .extra = 40 * KS_MS};
	CU_ASSERT_EQUAL(sleeps_for(&coarse, 1), 520 * KS_MS);
}

static void to_true_and_rtc(void)
{
	struct lab l;
	open_lab(&l, NEW_YEAR, 10 * KS_SEC, 10);
	l.node[0].offset_ns = -7 * KS_MS;
	l.node[0].drift_ppb = 100000;
	const struct ks_fault_event e[] = {{.at_ns = 2 * KS_SEC, .op = KS_FAULT_RTC, .amount = 5 * KS_SEC},
	                                   {.at_ns = 5 * KS_SEC, .op = KS_FAULT_TO_TRUE}};
	run(&l, e, 2);
	CU_ASSERT_EQUAL(l.result.seen[0].rtc_ns, 5 * KS_SEC);
	CU_ASSERT_EQUAL(l.result.seen[0].after_ns[KS_REALTIME], l.result.seen[0].before_ns[KS_REALTIME]);
	CU_ASSERT_EQUAL(l.result.seen[1].rtc_ns, 8 * KS_SEC);
	CU_ASSERT_EQUAL(l.result.seen[1].after_ns[KS_REALTIME], NEW_YEAR + 5 * KS_SEC);
	CU_ASSERT_EQUAL(l.result.seen[1].set_after_ns, 7 * KS_MS - 500 * KS_US);
	ks_sim_result_release(&l.result);
}

/* After a smear UTC has had the second: a step to true time does not take it back. */
static void a_smear_is_utc(void)
{
	struct lab l;
	open_lab(&l, NEW_YEAR, 60 * KS_SEC, 10);
	const struct ks_fault_event e[] = {{.at_ns = 2 * KS_SEC, .op = KS_FAULT_SMEAR, .amount = -400 * KS_MS, .extra = 10 * KS_SEC},
	                                   {.at_ns = 12 * KS_SEC, .op = KS_FAULT_SMEAR, .amount = -600 * KS_MS, .extra = 10 * KS_SEC},
	                                   {.at_ns = 22 * KS_SEC, .op = KS_FAULT_SMEAR},
	                                   {.at_ns = 30 * KS_SEC, .op = KS_FAULT_TO_TRUE}};
	run(&l, e, 4);
	CU_ASSERT_EQUAL(l.result.seen[2].after_ns[KS_REALTIME], NEW_YEAR + 21 * KS_SEC);
	CU_ASSERT_EQUAL(l.result.seen[3].after_ns[KS_REALTIME], NEW_YEAR + 29 * KS_SEC);
	CU_ASSERT_EQUAL(l.result.seen[3].before_ns[KS_REALTIME], NEW_YEAR + 29 * KS_SEC);
	CU_ASSERT_EQUAL(l.result.seen[2].after_ns[KS_RAW] - l.result.seen[0].before_ns[KS_RAW], 20 * KS_SEC);
	ks_sim_result_release(&l.result);
}

/* A hundred years with a call a day, on a clock that drifts, is slewed and stepped a thousand times: each reading is exact to the ns
 * against whole numbers that are never rounded, though the engine has split the clock's line at every event. */
static void a_century(void)
{
	enum { EVENTS = 1000 };
	static struct ks_fault_event e[EVENTS];
	int64_t year = 365 * KS_DAY, t = 0;
	struct lab l;
	open_lab(&l, INT64_C(1768471200) * KS_SEC, 100 * year, 1);
	l.sim.load.rate.per_ns = KS_DAY;
	for (uint64_t i = 0; i < EVENTS; i++) {
		t += ks_rand_in(ks_rand_at(7, KS_STREAM_TEST, 0, 2 * i), 1, 71 * KS_DAY);
		static const enum ks_fault_op ops[] = {KS_FAULT_STEP, KS_FAULT_DRIFT, KS_FAULT_SLEW};
		e[i] = (struct ks_fault_event){.at_ns = t, .op = ops[i % 3], .amount = ks_rand_in(ks_rand_at(7, KS_STREAM_TEST, 0, 2 * i + 1), -100000, 100000)};
	}
	run(&l, e, EVENTS);
	CU_ASSERT_EQUAL_FATAL(l.result.records.n, 36500);
	/* beyond true time: steps, and the sum of dt x rate in ns x 2^64, which 128 bits hold: 2^62 ns x 2^53 */
	__int128 bent = 0;
	int64_t steps = 0, drift = 0, slew = 0, from = 0, rate = 0;
	uint32_t next = 0, wrong = 0;
	for (size_t i = 0; i < l.result.records.n; i++) {
		struct ks_record r = ks_record_get(&l.result.records, i);
		for (; next < EVENTS && e[next].at_ns <= r.read_at_ns; next++) {
			bent += (__int128)(e[next].at_ns - from) * rate;
			from = e[next].at_ns;
			steps += next % 3 == 0 ? e[next].amount : 0;
			drift = next % 3 == 1 ? ks_rate_q64(e[next].amount) : drift;
			slew = next % 3 == 2 ? ks_rate_q64(e[next].amount) : slew;
			rate = drift + slew + (int64_t)(((__int128)drift * slew) >> 64);
		}
		__int128 now = bent + (__int128)(r.read_at_ns - from) * rate;
		wrong += r.read_ns - r.read_at_ns != steps + (int64_t)(now >> 64);
	}
	CU_ASSERT(next > 900);
	CU_ASSERT_EQUAL(wrong, 0);
	ks_sim_result_release(&l.result);
}

static void memory_runs_out_cleanly(void)
{
	struct lab l;
	open_lab(&l, NEW_YEAR, 200 * KS_SEC, 1);
	l.node[0].keeper = (struct ks_keeper_desc){.kind = KS_KEEPER_NTPD, .poll_ns = KS_SEC, .first_ns = 0, .step_ns = 128 * KS_MS, .jitter_ns = KS_US};
	int failed = 0;
	for (long n = 1; n < 100; n++) {
		struct ks_err err = {0};
		ks_mem_fail_at(n);
		int status = ks_sim_run(&l.sim, &l.result, &err);
		ks_mem_fail_at(0);
		failed += status != 0;
		if (!status)
			ks_sim_result_release(&l.result);
	}
	CU_ASSERT(failed > 10 && failed < 99);
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"a leap comes after midnight", leap_comes_after_midnight}, {"a leap follows its clock", leap_follows_the_clock},
		{"keepers know UTC", keepers_know_utc}, {"a keeper steps between calls", keeper_steps_between_calls},
		{"keepers sleep", keepers_sleep}, {"cores have their own clocks", cores_have_their_own_clocks},
		{"waits see cores and ticks", waits_see_cores_and_ticks}, {"to true, and the RTC", to_true_and_rtc},
		{"a smear is UTC", a_smear_is_utc}, {"a century", a_century}, {"memory runs out cleanly", memory_runs_out_cleanly}, {0}};
	return ks_test_main("own clocks", tests);
}
