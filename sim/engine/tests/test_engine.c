#include "ks_test.h"

#include <stdio.h>
#include <string.h>

#include "env.h"
#include "keygen.h"
#include "ks_engine.h"
#include "ks_mem.h"

#define START (INT64_C(1768471200) * KS_SEC)

static struct ks_node_desc nodes[16] = {{.worker = 1}, {.worker = 2}, {.worker = 3}};

static struct ks_sim sim_of(const struct ks_gen *gen, uint32_t n, uint32_t processes, uint32_t threads, int64_t rate)
{
	return (struct ks_sim){.start_unix_ns = START, .duration_ns = KS_SEC, .seed = 1, .nodes = n, .processes = processes,
	                       .threads = threads, .node = nodes, .load = {.rate = {rate, KS_SEC}}, .gen = gen};
}

/* ---- a generator with a race: load, then store. Two threads that overlap issue the same key. ---- */

struct racy {
	ks_lock lock;
	ks_word n;
};

static enum ks_outcome racy_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local, (void)why;
	struct racy *s = shared;
	const int *locked = cfg;
	if (*locked)
		env_lock(env, &s->lock);
	uint64_t n = env_load(env, &s->n);
	env_store(env, &s->n, n + 1);
	if (*locked)
		env_unlock(env, &s->lock);
	*key = ks_key64(n + 1);
	return KS_KEY;
}

static const struct ks_gen racy = {.name = "racy", .shared_size = sizeof(struct racy), .next = racy_next};

static uint64_t distinct(const struct ks_records *r)
{
	uint64_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		size_t j = 0;
		while (j < i && !ks_key_equal(ks_record_get(r, j).key, ks_record_get(r, i).key))
			j++;
		n += j == i;
	}
	return n;
}

static void threads_interleave(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	int locked = 0;
	struct ks_sim sim = sim_of(&racy, 1, 1, 4, 1000);
	sim.load.arrival = KS_ARRIVAL_BURST; /* ten calls at once on four threads */
	sim.cfg = &locked;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	CU_ASSERT_EQUAL(result.records.n, 1000);
	CU_ASSERT(result.switches > 0);
	CU_ASSERT(distinct(&result.records) < 1000);
	ks_sim_result_release(&result);
	locked = 1;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	CU_ASSERT_EQUAL(result.records.n, 1000);
	CU_ASSERT_EQUAL(distinct(&result.records), 1000);
	ks_sim_result_release(&result);
}

/* Golden trace: two threads enter at once; each environment call costs its price, and ties go to the lower lane. */
static void golden_trace(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	int locked = 1;
	char trace[512] = "";
	struct ks_sim sim = sim_of(&racy, 1, 1, 2, 2);
	sim.load.arrival = KS_ARRIVAL_BURST;
	sim.cfg = &locked;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	for (size_t i = 0; i < result.records.n; i++) {
		struct ks_record r = ks_record_get(&result.records, i);
		snprintf(trace + strlen(trace), sizeof trace - strlen(trace), "t%u #%u %lld..%lld key %llu\n",
		         result.records.lanes[r.lane].thread, r.seq, (long long)r.call_ns, (long long)r.return_ns,
		         (unsigned long long)r.key.lo);
	}
	/* lock 20, load 5, store 5, unlock 5; thread 1 gets the lock at 35 and needs 15 more */
	CU_ASSERT_STRING_EQUAL(trace, "t0 #0 0..35 key 1\n"
	                              "t1 #0 0..50 key 2\n"
	                              "t0 #1 35..70 key 3\n"
	                              "t1 #1 50..85 key 4\n"
	                              "t0 #2 70..105 key 5\n"
	                              "t1 #2 85..120 key 6\n"
	                              "t0 #3 105..140 key 7\n"
	                              "t1 #3 120..155 key 8\n"
	                              "t0 #4 140..175 key 9\n"
	                              "t1 #4 155..190 key 10\n");
	ks_sim_result_release(&result);
}

/* ---- waiting for a clock, across a step ---- */

struct sleeper {
	int64_t ns;
	enum ks_clock_id clock;
};

static enum ks_outcome sleeper_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)shared, (void)local, (void)why;
	const struct sleeper *s = cfg;
	int64_t now = env_clock(env, s->clock);
	env_wait_until(env, s->clock, now + s->ns);
	*key = ks_key64(1);
	return KS_KEY;
}

static const struct ks_gen sleeper = {.name = "sleeper", .next = sleeper_next};

/* One call at 0 sleeps 500 ms; a step acts at 100 ms. @return how long the call took, ns; -1 when it was lost. */
static int64_t sleep_across(enum ks_clock_id clock, int64_t step_ns)
{
	struct ks_err err;
	struct ks_sim_result result;
	struct sleeper cfg = {500 * KS_MS, clock};
	struct ks_fault_event event = {.at_ns = 100 * KS_MS, .op = KS_FAULT_STEP, .amount = step_ns};
	struct ks_sim sim = sim_of(&sleeper, 1, 1, 1, 1);
	sim.cfg = &cfg;
	sim.events = &event;
	sim.nevents = 1;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	CU_ASSERT_EQUAL(result.records.n, 1);
	int64_t took = ks_record_get(&result.records, 0).outcome == KS_LOST ? -1 : ks_record_get(&result.records, 0).return_ns;
	CU_ASSERT_EQUAL(result.seen[0].after_ns[KS_REALTIME] - result.seen[0].before_ns[KS_REALTIME], step_ns);
	CU_ASSERT_EQUAL(result.seen[0].after_ns[KS_TAI] - result.seen[0].before_ns[KS_TAI], step_ns);
	CU_ASSERT_EQUAL(result.seen[0].after_ns[KS_MONOTONIC], result.seen[0].before_ns[KS_MONOTONIC]);
	CU_ASSERT_EQUAL(result.seen[0].after_ns[KS_RAW], result.seen[0].before_ns[KS_RAW]);
	CU_ASSERT_EQUAL(result.seen[0].after_ns[KS_BOOTTIME], result.seen[0].before_ns[KS_BOOTTIME]);
	ks_sim_result_release(&result);
	return took;
}

static void waits_follow_their_clock(void)
{
	CU_ASSERT_EQUAL(sleep_across(KS_MONOTONIC, -200 * KS_MS), 500 * KS_MS + KS_COST_CLOCK_NS);
	CU_ASSERT_EQUAL(sleep_across(KS_REALTIME, -200 * KS_MS), 700 * KS_MS + KS_COST_CLOCK_NS);
	CU_ASSERT_EQUAL(sleep_across(KS_REALTIME, 200 * KS_MS), 300 * KS_MS + KS_COST_CLOCK_NS);
	CU_ASSERT_EQUAL(sleep_across(KS_REALTIME, KS_SEC), 100 * KS_MS); /* satisfied by the step itself */
	CU_ASSERT_EQUAL(sleep_across(KS_REALTIME, -10 * KS_SEC), -1);    /* still inside at the end */
}

/* ---- stops: pauses, suspends, clocks that stand ---- */

/* What one call at 0 that sleeps 500 ms takes, under events; -1 when it is lost. */
static int64_t sleep_under(enum ks_clock_id clock, const struct ks_fault_event *events, uint32_t n)
{
	struct ks_err err;
	struct ks_sim_result result;
	struct sleeper cfg = {500 * KS_MS, clock};
	struct ks_sim sim = sim_of(&sleeper, 1, 1, 1, 1);
	sim.cfg = &cfg;
	sim.events = events;
	sim.nevents = n;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	int64_t took = ks_record_get(&result.records, 0).outcome == KS_LOST ? -1 : ks_record_get(&result.records, 0).return_ns;
	ks_sim_result_release(&result);
	return took;
}

static struct ks_fault_event event_at(int64_t at_ms, enum ks_fault_op op, int64_t amount)
{
	return (struct ks_fault_event){.at_ns = at_ms * KS_MS, .op = op, .amount = amount, .process = KS_ANY, .thread = KS_ANY};
}

static void sleeps_under_stops(void)
{
	const int64_t c = KS_COST_CLOCK_NS;
	struct ks_fault_event e[4] = {event_at(100, KS_FAULT_STOP, 0), event_at(300, KS_FAULT_RUN, 0)};
	/* a stopped thread wakes when its timer says, if it may run by then, else when it runs again */
	CU_ASSERT_EQUAL(sleep_under(KS_MONOTONIC, e, 2), 500 * KS_MS + c);
	e[1] = event_at(700, KS_FAULT_RUN, 0);
	CU_ASSERT_EQUAL(sleep_under(KS_MONOTONIC, e, 2), 700 * KS_MS);
	/* two stops that overlap: the later end counts */
	e[1] = event_at(200, KS_FAULT_STOP, 0);
	e[2] = event_at(600, KS_FAULT_RUN, 0);
	e[3] = event_at(800, KS_FAULT_RUN, 0);
	CU_ASSERT_EQUAL(sleep_under(KS_MONOTONIC, e, 4), 800 * KS_MS);
	/* s3: a MONOTONIC timer sleeps on, a BOOTTIME timer has run out by the wake-up */
	e[0] = event_at(100, KS_FAULT_SUSPEND, KS_SUSPEND_S3);
	e[1] = event_at(700, KS_FAULT_RESUME, KS_SUSPEND_S3);
	CU_ASSERT_EQUAL(sleep_under(KS_MONOTONIC, e, 2), 1100 * KS_MS + c);
	CU_ASSERT_EQUAL(sleep_under(KS_BOOTTIME, e, 2), 700 * KS_MS);
	e[0].amount = e[1].amount = KS_SUSPEND_VM_STOP;
	CU_ASSERT_EQUAL(sleep_under(KS_BOOTTIME, e, 2), 1100 * KS_MS + c);
	e[0].amount = e[1].amount = KS_SUSPEND_HOST_STOP;
	CU_ASSERT_EQUAL(sleep_under(KS_MONOTONIC, e, 2), 700 * KS_MS);
	/* a clock that stands for 200 ms wakes its sleepers 200 ms late, and nobody else's */
	e[0] = event_at(100, KS_FAULT_HOLD, 1 << KS_REALTIME);
	e[1] = event_at(300, KS_FAULT_RELEASE, 1 << KS_REALTIME);
	CU_ASSERT_EQUAL(sleep_under(KS_REALTIME, e, 2), 700 * KS_MS + c);
	CU_ASSERT_EQUAL(sleep_under(KS_TAI, e, 2), 500 * KS_MS + c);
	/* 10 % slower for 200 ms: 20 ms late, but not by RAW */
	e[0] = event_at(100, KS_FAULT_SLEW, -100000000);
	e[1] = event_at(300, KS_FAULT_SLEW, 0);
	CU_ASSERT_EQUAL(sleep_under(KS_MONOTONIC, e, 2), 520 * KS_MS + c);
	CU_ASSERT_EQUAL(sleep_under(KS_RAW, e, 2), 500 * KS_MS + c);
	e[0] = event_at(100, KS_FAULT_LEAP, -KS_SEC);
	CU_ASSERT_EQUAL(sleep_under(KS_REALTIME, e, 1), 1500 * KS_MS + c);
}

/* A pause stops the thread that it names; calls that fall due meanwhile wait, and stall by the rest of it. */
static void a_pause_stops_one_thread(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	int locked = 1;
	struct ks_fault_event e[2] = {event_at(100, KS_FAULT_STOP, 0), event_at(200, KS_FAULT_RUN, 0)};
	e[0].thread = e[1].thread = 1;
	struct ks_sim sim = sim_of(&racy, 1, 1, 2, 100);
	sim.cfg = &locked;
	sim.events = e;
	sim.nevents = 2;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	CU_ASSERT_EQUAL(result.records.n, 100);
	for (size_t i = 0; i < result.records.n; i++) {
		struct ks_record r = ks_record_get(&result.records, i);
		bool paused = result.records.lanes[r.lane].thread == 1 && r.due_ns >= 100 * KS_MS && r.due_ns < 200 * KS_MS;
		CU_ASSERT_EQUAL(r.call_ns >= 200 * KS_MS && r.due_ns < 200 * KS_MS, paused);
		CU_ASSERT(paused || r.return_ns - r.due_ns == 35);
	}
	ks_sim_result_release(&result);
}

/* Of 2 processes of 3 threads, those that run on core 1 of 2 are 0.1, 1.0 and 1.2: they stop, and no other. */
static void a_core_stops_its_threads(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	int locked = 0, waited = 0;
	struct ks_fault_event e[2] = {event_at(100, KS_FAULT_STOP, 0), event_at(200, KS_FAULT_RUN, 0)};
	e[0].extra = e[1].extra = KS_CORES_EXTRA(2, 1);
	struct ks_sim sim = sim_of(&racy, 1, 2, 3, 600);
	sim.cfg = &locked;
	sim.events = e;
	sim.nevents = 2;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	for (size_t i = 0; i < result.records.n; i++) {
		struct ks_record r = ks_record_get(&result.records, i);
		const struct ks_lane *lane = &result.records.lanes[r.lane];
		bool there = (lane->process * 3 + lane->thread) % 2 == 1;
		bool paused = there && r.due_ns >= 100 * KS_MS && r.due_ns < 200 * KS_MS;
		CU_ASSERT_EQUAL(r.call_ns >= 200 * KS_MS && r.due_ns < 200 * KS_MS, paused);
		waited += paused;
	}
	CU_ASSERT(waited > 20);
	ks_sim_result_release(&result);
}

/* The holder of a lock is stopped inside the call: whoever comes next waits for it. */
static void a_pause_inside_a_lock(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	int locked = 1;
	struct ks_fault_event e[2] = {event_at(0, KS_FAULT_STOP, 0), event_at(50, KS_FAULT_RUN, 0)};
	e[0].at_ns = 25; /* thread 0 took the lock at 20 and is about to store */
	e[0].thread = e[1].thread = 0;
	struct ks_sim sim = sim_of(&racy, 1, 1, 2, 2);
	sim.load.arrival = KS_ARRIVAL_BURST;
	sim.cfg = &locked;
	sim.events = e;
	sim.nevents = 2;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	CU_ASSERT_EQUAL(result.records.n, 10);
	CU_ASSERT_EQUAL(distinct(&result.records), 10);
	CU_ASSERT(ks_record_get(&result.records, 0).return_ns > 50 * KS_MS);
	ks_sim_result_release(&result);
	locked = 0;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	CU_ASSERT(distinct(&result.records) < 10); /* without the lock it stores an old number over a newer one */
	ks_sim_result_release(&result);
}

/* ---- the registry ---- */

static void leaser_init(struct ks_env *env, const void *cfg, void *shared)
{
	(void)cfg;
	struct racy *s = shared;
	uint64_t worker = 0, reported = 0;
	bool leased = env_registry_lease(env, &worker);
	bool before = env_registry_reported(env, &reported);
	env_registry_report(env, worker * 100);
	bool after = env_registry_reported(env, &reported);
	env_store(env, &s->n, leased && !before && after && reported == worker * 100 ? worker : 0);
}

static enum ks_outcome leaser_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local, (void)why;
	struct racy *s = shared;
	uint64_t n = env_load(env, &s->n);
	*key = ks_key64(n);
	return KS_KEY;
}

static const struct ks_gen leaser = {.name = "leaser", .shared_size = sizeof(struct racy), .init = leaser_init, .next = leaser_next};

static void the_registry_tells_processes_apart(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	struct ks_sim sim = sim_of(&leaser, 3, 2, 1, 2);
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	CU_ASSERT_EQUAL(result.records.n, 6);
	CU_ASSERT_EQUAL(distinct(&result.records), 6);
	for (size_t i = 0; i < result.records.n; i++)
		CU_ASSERT(result.records.v[i].key.lo > 0);
	ks_sim_result_release(&result);
}

/* ---- a thread that never comes back ---- */

static enum ks_outcome spinner_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local, (void)why;
	struct racy *s = shared;
	while (env_fetch_add(env, &s->n, 1) < UINT64_MAX / 2)
		;
	*key = ks_key64(0);
	return KS_KEY;
}

static const struct ks_gen spinner = {.name = "spinner", .shared_size = sizeof(struct racy), .next = spinner_next};

static void livelock_is_lost(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	struct ks_sim sim = sim_of(&spinner, 1, 1, 1, 10);
	sim.duration_ns = 5 * KS_SEC;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	CU_ASSERT_EQUAL(result.records.n, 1);
	CU_ASSERT_EQUAL(ks_record_get(&result.records, 0).outcome, KS_LOST);
	ks_sim_result_release(&result);
}

/* ---- the workload ---- */

/* A closed loop begins anew after each call: what falls due meanwhile is nobody's wish, and there is no backlog. */
static void arrivals_closed(void)
{
	struct ks_arrivals a;
	struct ks_load load = {.rate = {1000, KS_SEC}};
	ks_arrivals_init(&a, &load, 0, 1, 1, 0);
	CU_ASSERT_EQUAL(ks_arrivals_next_closed(&a, 0, 0), 0);
	CU_ASSERT_EQUAL(ks_arrivals_next_closed(&a, 0, 25), KS_MS);                          /* in time */
	CU_ASSERT_EQUAL(ks_arrivals_next_closed(&a, 0, KS_SEC), KS_SEC);                     /* the call took long */
	CU_ASSERT_EQUAL(ks_arrivals_next_closed(&a, 0, KS_SEC + 25), KS_SEC + KS_MS);
	CU_ASSERT_EQUAL(ks_arrivals_next_closed(&a, 5 * KS_SEC, 6 * KS_SEC + KS_MS + 25), 6 * KS_SEC + 2 * KS_MS); /* it began late */
	CU_ASSERT_EQUAL(ks_arrivals_next_closed(&a, INT64_MAX, 0), INT64_MAX);
	CU_ASSERT_EQUAL(ks_arrivals_next_closed(&a, INT64_MAX, 0), INT64_MAX);
}

static void arrivals(void)
{
	struct ks_arrivals a;
	struct ks_load load = {.rate = {3, KS_SEC}};
	ks_arrivals_init(&a, &load, 0, 1, 1, 0);
	for (uint64_t k = 0; k < 1000; k++) /* floor(k / 3 s), never drifting */
		CU_ASSERT_EQUAL(ks_arrivals_next(&a), (int64_t)(k * KS_SEC / 3));
	ks_arrivals_init(&a, &load, 1, 4, 1, 0);
	for (uint64_t k = 1; k < 1000; k += 4)
		CU_ASSERT_EQUAL(ks_arrivals_next(&a), (int64_t)(k * KS_SEC / 3));
	load.arrival = KS_ARRIVAL_POISSON;
	load.rate = (struct ks_rate){1000, KS_SEC};
	ks_arrivals_init(&a, &load, 0, 2, 1, 0);
	int64_t last = 0, due = 0;
	for (int k = 0; k < 100000; k++) {
		due = ks_arrivals_next(&a);
		CU_ASSERT(due >= last);
		last = due;
	}
	/* 100000 gaps of 2 ms: mean 200 s, standard deviation 0.63 s */
	CU_ASSERT(due > 196 * KS_SEC && due < 204 * KS_SEC);
	load = (struct ks_load){.rate = {1, INT64_MAX}};
	ks_arrivals_init(&a, &load, 0, 1, 1, 0);
	CU_ASSERT_EQUAL(ks_arrivals_next(&a), 0);
	CU_ASSERT_EQUAL(ks_arrivals_next(&a), INT64_MAX);
	CU_ASSERT_EQUAL(ks_arrivals_next(&a), INT64_MAX);
}

static enum ks_outcome refuser_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)shared, (void)local, (void)key;
	int64_t now = env_clock(env, KS_MONOTONIC);
	*why = 0;
	return now / (10 * KS_MS) % 2 ? KS_KEY : KS_REFUSE;
}

static const struct ks_gen refuser = {.name = "refuser", .next = refuser_next};

static void refusals_are_retried(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	struct ks_sim sim = sim_of(&refuser, 1, 1, 1, 10);
	sim.load.on_refuse = KS_REFUSE_RETRY;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	uint32_t keys = 0;
	for (size_t i = 0; i < result.records.n; i++) {
		struct ks_record r = ks_record_get(&result.records, i);
		keys += r.outcome == KS_KEY;
		if (r.outcome == KS_KEY)
			CU_ASSERT(r.return_ns - r.due_ns > 9 * KS_MS && r.return_ns - r.due_ns < 12 * KS_MS);
	}
	CU_ASSERT_EQUAL(keys, 10);
	ks_sim_result_release(&result);
}

static void every_generator_runs_twice_alike(void)
{
	for (const struct ks_gen *const *gen = ks_gens_sim; *gen; gen++) {
		struct ks_err err;
		struct ks_sim_result a, b;
		struct ks_gen_spec spec;
		CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, (*gen)->name, &spec, &err), 0);
		struct ks_sim sim = sim_of(*gen, 3, 2, 4, 100000);
		sim.load.arrival = KS_ARRIVAL_POISSON;
		sim.duration_ns = 100 * KS_MS;
		sim.cfg = spec.cfg;
		CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &a, &err), 0);
		CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &b, &err), 0);
		CU_ASSERT(a.records.n > 200); /* most issue 30000; truetime and timer wait for each */
		CU_ASSERT_EQUAL_FATAL(a.records.n, b.records.n);
		size_t differ = 0;
		for (size_t i = 0; i < a.records.n; i++) {
			struct ks_record x = ks_record_get(&a.records, i), y = ks_record_get(&b.records, i);
			struct ks_record before = ks_record_get(&a.records, i ? i - 1 : 0);
			differ += memcmp(&x, &y, sizeof x) != 0;
			differ += i && ks_record_cmp(&before, &x, a.records.lanes) >= 0; /* fleet order */
		}
		CU_ASSERT_EQUAL(differ, 0);
		ks_sim_result_release(&a);
		ks_sim_result_release(&b);
	}
}

struct watched {
	uint64_t calls, reads;
};

static void watch_call(void *context, const struct ks_trace_call *call)
{
	struct watched *w = context;
	CU_ASSERT_TRUE(call->clock_ns[KS_TAI] > call->clock_ns[KS_REALTIME]);
	w->calls++;
}

static void watch_read(void *context, const struct ks_trace_read *read)
{
	struct watched *w = context;
	CU_ASSERT_TRUE(read->clock < KS_NCLOCKS);
	w->reads++;
}

/* Being watched must not show in the records, whatever threads do to one another. */
static void a_watched_run_is_the_same(void)
{
	struct ks_err err;
	for (const struct ks_gen *const *gen = ks_gens_sim; *gen; gen++) {
		struct ks_gen_spec spec;
		struct ks_sim_result plain, traced;
		struct watched seen = {0, 0};
		struct ks_trace trace = {&seen, watch_call, watch_read};
		struct ks_fault_event back = {.at_ns = KS_SEC / 2, .node = 0, .op = KS_FAULT_STEP, .amount = -50 * KS_MS};
		CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, (*gen)->name, &spec, &err), 0);
		struct ks_sim sim = sim_of(spec.gen, 2, 2, 3, 5000);
		sim.cfg = spec.cfg;
		sim.load.arrival = KS_ARRIVAL_BURST;
		sim.events = &back;
		sim.nevents = 1;
		CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &plain, &err), 0);
		sim.trace = &trace;
		CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &traced, &err), 0);
		CU_ASSERT_EQUAL_FATAL(plain.records.n, traced.records.n);
		for (size_t i = 0; i < plain.records.n; i++) {
			struct ks_record a = ks_record_get(&plain.records, i), b = ks_record_get(&traced.records, i);
			if (a.return_ns != b.return_ns || a.call_ns != b.call_ns || a.read_ns != b.read_ns || !ks_key_equal(a.key, b.key) || a.lane != b.lane) {
				CU_FAIL("a watched run differs");
				break;
			}
		}
		CU_ASSERT_TRUE(seen.calls >= plain.records.n && seen.reads <= plain.records.clock_reads);
		ks_sim_result_release(&plain);
		ks_sim_result_release(&traced);
	}
}

static void memory_runs_out_cleanly(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	int locked = 1, failed = 0;
	struct ks_sim sim = sim_of(&racy, 2, 1, 4, 1000);
	sim.load.arrival = KS_ARRIVAL_BURST;
	sim.cfg = &locked;
	for (long n = 1; n < 60; n++) {
		ks_mem_fail_at(n);
		if (ks_sim_run(&sim, &result, &err)) {
			CU_ASSERT_EQUAL(err.code, KS_E_INTERNAL);
			failed++;
		} else {
			ks_sim_result_release(&result);
		}
		ks_mem_fail_at(0);
	}
	CU_ASSERT(failed > 10 && failed < 59);
}

static void limits_and_stop(void)
{
	struct ks_err err;
	struct ks_sim_result result;
	static volatile const int stop = 1;
	struct ks_sim sim = sim_of(&sleeper, 1, 1, 1, 1000);
	struct sleeper cfg = {0, KS_MONOTONIC};
	sim.cfg = &cfg;
	sim.record_limit = 10;
	CU_ASSERT_EQUAL(ks_sim_run(&sim, &result, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	sim.record_limit = 0;
	sim.stop = &stop;
	CU_ASSERT_EQUAL(ks_sim_run(&sim, &result, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "interrupted");
}

int main(void)
{
	static const struct ks_test tests[] = {{"threads interleave", threads_interleave},
	                                       {"golden trace", golden_trace},
	                                       {"waits follow their clock", waits_follow_their_clock},
	                                       {"sleeps under stops", sleeps_under_stops},
	                                       {"a pause stops one thread", a_pause_stops_one_thread},
	                                       {"a core stops its threads", a_core_stops_its_threads},
	                                       {"a pause inside a lock", a_pause_inside_a_lock},
	                                       {"the registry tells processes apart", the_registry_tells_processes_apart},
	                                       {"a livelock is lost", livelock_is_lost},
	                                       {"arrivals", arrivals},
	                                       {"arrivals of a closed loop", arrivals_closed},
	                                       {"refusals are retried", refusals_are_retried},
	                                       {"every generator runs twice alike", every_generator_runs_twice_alike},
	                                       {"a watched run is the same", a_watched_run_is_the_same},
	                                       {"memory runs out cleanly", memory_runs_out_cleanly},
	                                       {"limits and stop", limits_and_stop},
	                                       {0}};
	return ks_test_main("engine", tests);
}
