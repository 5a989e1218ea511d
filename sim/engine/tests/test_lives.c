/* Restarts, snapshots, clones, rollbacks, placed pauses, messages, the registry, background work. */
#include "ks_test.h"

#include <stdio.h>
#include <string.h>

#include "env.h"
#include "keygen.h"
#include "ks_engine.h"
#include "ks_mem.h"

#define START (INT64_C(1768471200) * KS_SEC)

/* ---- a generator of which every environment call can be told apart: it locks, reads, counts, draws ---- */

struct probe {
	ks_lock lock;
	ks_word n;
	ks_word started, merged, ticks;
};

static void probe_init(struct ks_env *env, const void *cfg, void *shared)
{
	(void)cfg;
	struct probe *s = shared;
	uint64_t starts = 0;
	env_persist_get(env, 0, &starts);
	env_persist_put(env, 0, starts + 1);
	env_store(env, &s->started, starts + 1);
}

/* The key: how often the process has begun x 1000 + a count of the process. */
static enum ks_outcome probe_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local, (void)why;
	struct probe *s = shared;
	env_lock(env, &s->lock);
	env_clock(env, KS_REALTIME);
	uint64_t n = env_load(env, &s->n);
	env_store(env, &s->n, n + 1);
	uint64_t begun = env_load(env, &s->started);
	env_unlock(env, &s->lock);
	*key = ks_key64(begun * 1000 + n + 1);
	return KS_KEY;
}

static void probe_observe(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key remote)
{
	(void)cfg, (void)local;
	struct probe *s = shared;
	env_store(env, &s->n, remote.lo);
}

static const struct ks_gen probe = {.name = "probe", .shared_size = sizeof(struct probe), .init = probe_init, .next = probe_next,
                                    .observe = probe_observe};

static struct ks_node_desc nodes[4] = {{.worker = 1}, {.worker = 2}, {.worker = 3}, {.worker = 4}};

static struct ks_sim sim_of(const struct ks_gen *gen, uint32_t n, uint32_t threads, int64_t rate)
{
	return (struct ks_sim){.start_unix_ns = START, .duration_ns = KS_SEC, .seed = 1, .nodes = n, .processes = 1, .threads = threads,
	                       .node = nodes, .load = {.rate = {rate, KS_SEC}}, .gen = gen, .network = {.delay_ns = KS_MS}};
}

static struct ks_fault_event event_at(int64_t at_ns, enum ks_fault_op op, int64_t amount)
{
	return (struct ks_fault_event){.at_ns = at_ns, .op = op, .amount = amount, .process = KS_ANY, .thread = KS_ANY};
}

/* Runs it, and again with the same bytes. */
static struct ks_sim_result must(const struct ks_sim *sim)
{
	struct ks_err err = {0};
	struct ks_sim_result a, b;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(sim, &a, &err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(sim, &b, &err), 0);
	CU_ASSERT_EQUAL_FATAL(a.records.n, b.records.n);
	size_t differ = 0;
	for (size_t i = 0; i < a.records.n; i++) {
		struct ks_record x = ks_record_get(&a.records, i), y = ks_record_get(&b.records, i);
		struct ks_record before = ks_record_get(&a.records, i ? i - 1 : 0);
		differ += memcmp(&x, &y, sizeof x) != 0;
		differ += i && ks_record_cmp(&before, &x, a.records.lanes) >= 0;
	}
	CU_ASSERT_EQUAL(differ, 0);
	ks_sim_result_release(&b);
	return a;
}

static const char *trace(const struct ks_sim_result *result)
{
	static char text[4096];
	*text = 0;
	for (size_t i = 0; i < result->records.n; i++) {
		struct ks_record r = ks_record_get(&result->records, i);
		const struct ks_lane *l = &result->records.lanes[r.lane];
		size_t len = strlen(text);
		len += (size_t)snprintf(text + len, sizeof text - len, "n%u.%u t%u #%u due %lld ", l->node, l->incarnation, l->thread, r.seq,
		                        (long long)r.due_ns);
		if (r.outcome == KS_LOST)
			snprintf(text + len, sizeof text - len, "lost at %lld\n", (long long)r.call_ns);
		else
			snprintf(text + len, sizeof text - len, "%lld..%lld %s %llu\n", (long long)r.call_ns, (long long)r.return_ns,
			         r.outcome == KS_KEY ? "key" : "refuse", (unsigned long long)r.key.lo);
	}
	return text;
}

/* ---- restarts ---- */

/* A call takes 20 + 25 + 5 + 5 + 5 + 5 = 65 ns. The process is killed inside its second call, and down for 300 ms; what fell due
 * meanwhile waits. The count begins anew, and the persisted number of starts is 2. */
static void restart_loses_state(void)
{
	struct ks_fault_event e[2] = {event_at(250 * KS_MS + 30, KS_FAULT_DOWN, 0), event_at(550 * KS_MS, KS_FAULT_UP, 0)};
	struct ks_sim sim = sim_of(&probe, 1, 1, 4);
	sim.events = e;
	sim.nevents = 2;
	struct ks_sim_result r = must(&sim);
	/* persist: get and put 20 us each, store 5 ns */
	CU_ASSERT_STRING_EQUAL(trace(&r), "n0.0 t0 #0 due 0 0..65 key 1001\n"
	                                  "n0.1 t0 #0 due 500000000 550040005..550040070 key 2001\n"
	                                  "n0.1 t0 #1 due 750000000 750000000..750000065 key 2002\n"
	                                  "n0.0 t0 #1 due 250000000 lost at 250000000\n");
	CU_ASSERT_EQUAL(r.seen[1].memory_left, 0);
	ks_sim_result_release(&r);
	/* kept: the call returns first; nothing is lost, the count goes on */
	e[0].amount = e[1].amount = KS_RESTART_KEPT;
	r = must(&sim);
	CU_ASSERT_STRING_EQUAL(trace(&r), "n0.0 t0 #0 due 0 0..65 key 1001\n"
	                                  "n0.0 t0 #1 due 250000000 250000000..250000065 key 1002\n"
	                                  "n0.1 t0 #0 due 500000000 550000000..550000065 key 1003\n"
	                                  "n0.1 t0 #1 due 750000000 750000000..750000065 key 1004\n");
	CU_ASSERT_EQUAL(r.seen[0].event.at_ns, 250 * KS_MS + 65); /* when it really ended */
	CU_ASSERT_EQUAL(r.seen[0].memory_after, r.seen[1].memory_after);
	ks_sim_result_release(&r);
}

static void restart_of_a_node_boots_its_clocks(void)
{
	struct ks_fault_event e[2] = {event_at(250 * KS_MS, KS_FAULT_DOWN, KS_RESTART_NODE), event_at(550 * KS_MS, KS_FAULT_UP, KS_RESTART_NODE)};
	struct ks_sim sim = sim_of(&probe, 1, 4, 100);
	sim.events = e;
	sim.nevents = 2;
	struct ks_sim_result r = must(&sim);
	CU_ASSERT_EQUAL(r.seen[1].after_ns[KS_MONOTONIC], 0);
	CU_ASSERT_EQUAL(r.seen[1].after_ns[KS_BOOTTIME], 0);
	CU_ASSERT_EQUAL(r.seen[1].after_ns[KS_REALTIME], START + 550 * KS_MS);
	CU_ASSERT_EQUAL(r.seen[1].after_ns[KS_TAI], START + 550 * KS_MS);
	uint32_t second = 0;
	for (size_t i = 0; i < r.records.n; i++) {
		struct ks_record v = ks_record_get(&r.records, i);
		second += r.records.lanes[v.lane].incarnation;
		CU_ASSERT(v.return_ns < 250 * KS_MS || v.call_ns >= 550 * KS_MS);
	}
	CU_ASSERT_EQUAL(second, 75);
	ks_sim_result_release(&r);
}

/* Threads wait for the initialisation of their process, and a lock that a killed thread held is free again. */
static void restarts_follow_each_other(void)
{
	struct ks_fault_event e[6];
	for (int i = 0; i < 3; i++) {
		e[2 * i] = event_at(200 * (i + 1) * KS_MS + 30, KS_FAULT_DOWN, 0); /* inside a call, with the lock held */
		e[2 * i + 1] = event_at(200 * (i + 1) * KS_MS + 10 * KS_US, KS_FAULT_UP, 0);
	}
	e[4].at_ns = 400 * KS_MS + 20 * KS_US; /* while the process initialises */
	e[5].at_ns = 400 * KS_MS + 90 * KS_US;
	struct ks_sim sim = sim_of(&probe, 1, 4, 100);
	sim.load.arrival = KS_ARRIVAL_BURST;
	sim.events = e;
	sim.nevents = 6;
	struct ks_sim_result r = must(&sim);
	uint32_t lost = 0, third = 0;
	for (size_t i = 0; i < r.records.n; i++) {
		struct ks_record v = ks_record_get(&r.records, i);
		uint32_t life = r.records.lanes[v.lane].incarnation;
		lost += v.outcome == KS_LOST;
		third += life == 3;
		CU_ASSERT(life == 0 || v.call_ns >= e[2 * life - 1].at_ns + 40005); /* what its initialisation takes */
	}
	CU_ASSERT_EQUAL(r.records.n, 100);
	CU_ASSERT_EQUAL(lost, 8); /* all four threads were inside, twice; nobody during the initialisation */
	CU_ASSERT(third > 50);
	ks_sim_result_release(&r);
}

/* ---- snapshots ---- */

static void snapshots_wait_for_calls(void)
{
	struct ks_fault_event e[3] = {event_at(500 * KS_MS + 30, KS_FAULT_SNAPSHOT, 0), event_at(600 * KS_MS, KS_FAULT_ROLLBACK, 0),
	                              event_at(700 * KS_MS, KS_FAULT_CLONE, 0)};
	static struct ks_node_desc two[2] = {{.worker = 7}, {.worker = 9, .clone = true}};
	struct ks_sim sim = sim_of(&probe, 2, 1, 4);
	e[2].node = 1;
	e[2].extra = e[1].extra = KS_REVIVE_RESEED;
	sim.node = two;
	sim.events = e;
	sim.nevents = 3;
	struct ks_sim_result r = must(&sim);
	/* three calls of n0, then the rollback; the clone's first call is due at 750 ms */
	CU_ASSERT_STRING_EQUAL(trace(&r), "n0.0 t0 #0 due 0 0..65 key 1001\n"
	                                  "n0.0 t0 #1 due 250000000 250000000..250000065 key 1002\n"
	                                  "n0.0 t0 #2 due 500000000 500000000..500000065 key 1003\n"
	                                  "n0.0 t0 #3 due 750000000 750000000..750000065 key 1004\n"
	                                  "n1.0 t0 #0 due 750000000 750000000..750000065 key 1004\n");
	CU_ASSERT_EQUAL(r.seen[0].event.at_ns, 500 * KS_MS + 65);
	CU_ASSERT_EQUAL(r.seen[1].memory_after, r.seen[0].memory_after);
	CU_ASSERT_EQUAL(r.seen[2].memory_after, r.seen[0].memory_after);
	for (int id = 0; id < KS_NCLOCKS; id++) {
		CU_ASSERT_EQUAL(r.seen[1].after_ns[id], r.seen[0].after_ns[id]);
		CU_ASSERT_EQUAL(r.seen[2].after_ns[id], r.seen[0].after_ns[id]);
	}
	ks_sim_result_release(&r);
	e[1].extra = KS_REVIVE_CLOCKS_RUN;
	r = must(&sim);
	CU_ASSERT_EQUAL(r.seen[1].after_ns[KS_REALTIME], r.seen[1].before_ns[KS_REALTIME]);
	ks_sim_result_release(&r);
}

static enum ks_outcome dice_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)shared, (void)local, (void)why;
	uint64_t word = env_random(env);
	*key = ks_key64(word);
	return KS_KEY;
}

static const struct ks_gen dice = {.name = "dice", .next = dice_next};

static uint64_t repeated(int64_t extra)
{
	static struct ks_node_desc two[2] = {{.worker = 7}, {.worker = 9, .clone = true}};
	struct ks_fault_event e[2] = {event_at(500 * KS_MS, KS_FAULT_SNAPSHOT, 0), event_at(600 * KS_MS, KS_FAULT_CLONE, 0)};
	struct ks_sim sim = sim_of(&dice, 2, 2, 1000);
	uint64_t n = 0;
	e[1].node = 1;
	e[1].extra = extra;
	sim.node = two;
	sim.events = e;
	sim.nevents = 2;
	struct ks_sim_result r = must(&sim);
	for (size_t i = 0; i < r.records.n; i++)
		for (size_t k = 0; k < i; k++)
			n += ks_key_equal(ks_record_get(&r.records, i).key, ks_record_get(&r.records, k).key);
	ks_sim_result_release(&r);
	return n;
}

static void clones_repeat_random_words(void)
{
	CU_ASSERT_EQUAL(repeated(0), 400); /* all that the clone draws, the other drew after the snapshot */
	CU_ASSERT_EQUAL(repeated(KS_REVIVE_RESEED), 0);
}

/* ---- placed pauses ---- */

/* Where thread 0's second call is 50 ns late, by what thread 1 got meanwhile: both begin at 0 and 250 ms. */
static const char *paused(enum ks_side side, enum ks_point point, uint32_t nth, bool world)
{
	struct ks_fault_event e = event_at(0, KS_FAULT_PLACE, KS_MS);
	struct ks_sim sim = sim_of(&probe, 1, 2, 20);
	e.thread = 0;
	e.place = (struct ks_place){.side = side, .point = point, .nth = nth, .call = 1, .times = 1, .world = world};
	sim.load.arrival = KS_ARRIVAL_BURST;
	sim.duration_ns = 400; /* ten calls at once */
	sim.events = &e;
	sim.nevents = 1;
	struct ks_sim_result r = must(&sim);
	static char text[512];
	*text = 0;
	for (size_t i = 0; i < r.records.n && i < 6; i++) {
		struct ks_record v = ks_record_get(&r.records, i);
		snprintf(text + strlen(text), sizeof text - strlen(text), "t%u:%llu@%lld ", v.lane, (unsigned long long)v.key.lo,
		         (long long)v.return_ns);
	}
	CU_ASSERT_EQUAL(r.nseen, 3);
	CU_ASSERT_EQUAL(r.seen[2].begin, 1);
	CU_ASSERT_EQUAL(r.seen[2].event.at_ns - r.seen[1].event.at_ns, KS_MS);
	CU_ASSERT_EQUAL(r.records.nhalts, world ? 2 : 1);
	ks_sim_result_release(&r);
	return text;
}

static void pauses_at_each_point(void)
{
	/* before its lock: thread 1 goes on; after its lock: thread 1 waits for it */
	CU_ASSERT_STRING_EQUAL(paused(KS_PLACE_BEFORE, KS_AT_LOCK, 1, false), "t0:1001@65 t1:1002@110 t1:1003@175 t1:1004@240 t1:1005@305 t1:1006@370 ");
	CU_ASSERT_STRING_EQUAL(paused(KS_PLACE_AFTER, KS_AT_LOCK, 1, false), "t0:1001@65 t1:1002@110 t0:1003@1000155 t1:1004@1000200 ");
	CU_ASSERT_STRING_EQUAL(paused(KS_PLACE_BEFORE, KS_AT_CLOCK, 1, false), "t0:1001@65 t1:1002@110 t0:1003@1000155 t1:1004@1000200 ");
	CU_ASSERT_STRING_EQUAL(paused(KS_PLACE_BEFORE, KS_AT_LOAD, 2, false), "t0:1001@65 t1:1002@110 t0:1003@1000155 t1:1004@1000200 ");
	/* after its unlock: the key is made, and is published late */
	CU_ASSERT_STRING_EQUAL(paused(KS_PLACE_AFTER, KS_AT_UNLOCK, 1, false), "t0:1001@65 t1:1002@110 t1:1004@200 t1:1005@265 t1:1006@330 t1:1007@395 ");
	CU_ASSERT_STRING_EQUAL(paused(KS_PLACE_AFTER, KS_AT_CALL, 6, false), "t0:1001@65 t1:1002@110 t1:1004@200 t1:1005@265 t1:1006@330 t1:1007@395 ");
	/* nobody goes on while the world stands: thread 1 was about to read its clock, for another 25 ns */
	CU_ASSERT_STRING_EQUAL(paused(KS_PLACE_BEFORE, KS_AT_LOCK, 1, true), "t0:1001@65 t1:1002@1000085 t0:1003@1000130 ");
}

/* One call more each: the n-th is stopped before its n-th environment call, the last one after its last. */
static void every_place_of_a_call(void)
{
	struct ks_fault_event e = event_at(0, KS_FAULT_PLACE, KS_MS);
	struct ks_sim sim = sim_of(&probe, 1, 1, 100);
	e.place = (struct ks_place){.side = KS_PLACE_EVERY, .call = 2};
	sim.events = &e;
	sim.nevents = 1;
	struct ks_sim_result r = must(&sim);
	static const int64_t before[] = {0, 20, 45, 50, 55, 60, 65}; /* what of the call is done */
	CU_ASSERT_EQUAL(r.nseen, 1 + 2 * 7);
	CU_ASSERT_EQUAL_FATAL(r.records.nhalts, 7);
	for (int i = 0; i < 7; i++) {
		CU_ASSERT_EQUAL(r.records.halts[i].begin_ns, (i + 2) * 10 * KS_MS + before[i]);
		CU_ASSERT_EQUAL(ks_record_get(&r.records, (size_t)i + 2).return_ns, (i + 2) * 10 * KS_MS + KS_MS + 65);
	}
	CU_ASSERT_EQUAL(ks_record_get(&r.records, 9).return_ns, 90 * KS_MS + 65);
	ks_sim_result_release(&r);
	/* drawn: of the seven places each comes up, and no other */
	e.place = (struct ks_place){.side = KS_PLACE_ANY, .times = 80};
	uint32_t hits[66] = {0}, places = 0;
	r = must(&sim);
	CU_ASSERT_EQUAL_FATAL(r.records.nhalts, 80);
	for (int i = 0; i < 80; i++)
		hits[r.records.halts[i].begin_ns % (10 * KS_MS)]++;
	for (int i = 0; i < 7; i++)
		places += hits[before[i]] > 0;
	CU_ASSERT_EQUAL(places, 7);
	ks_sim_result_release(&r);
}

/* A process is killed while one of its threads is paused inside a call, and all stand with it. */
static void restart_during_a_placed_stop(void)
{
	struct ks_fault_event e[3] = {event_at(0, KS_FAULT_PLACE, 100 * KS_MS), event_at(50 * KS_MS, KS_FAULT_DOWN, 0),
	                              event_at(60 * KS_MS, KS_FAULT_UP, 0)};
	struct ks_sim sim = sim_of(&probe, 1, 4, 1000);
	e[0].thread = 0;
	e[0].place = (struct ks_place){.side = KS_PLACE_BEFORE, .point = KS_AT_CLOCK, .nth = 1, .call = 1, .times = 1, .world = true};
	sim.events = e;
	sim.nevents = 3;
	struct ks_sim_result r = must(&sim);
	CU_ASSERT_EQUAL(r.records.n, 1000);
	uint32_t lost = 0;
	for (size_t i = 0; i < r.records.n; i++) {
		struct ks_record v = ks_record_get(&r.records, i);
		lost += v.outcome == KS_LOST;
		/* the threads that stood with it stand on until the stop is over; the one that was paused is a new one */
		if (r.records.lanes[v.lane].incarnation && r.records.lanes[v.lane].thread)
			CU_ASSERT(v.call_ns >= 104 * KS_MS);
	}
	CU_ASSERT_EQUAL(lost, 1);
	ks_sim_result_release(&r);
}

/* ---- messages ---- */

static void messages_carry_keys(void)
{
	struct ks_sim sim = sim_of(&probe, 2, 1, 4);
	sim.mail = (struct ks_mail){{2, KS_SEC}, {(uint32_t[]){0}, 1}, {(uint32_t[]){1}, 1}};
	struct ks_sim_result r = must(&sim);
	/* n0 sends what it got at 0 and at 500 ms; n1 merges it 1 ms later, and counts on from there */
	CU_ASSERT_STRING_EQUAL(trace(&r), "n0.0 t0 #0 due 0 0..65 key 1001\n"
	                                  "n1.0 t0 #0 due 0 0..65 key 1001\n"
	                                  "n0.0 t0 #1 due 250000000 250000000..250000065 key 1002\n"
	                                  "n1.0 t0 #1 due 250000000 250000000..250000065 key 2002\n"
	                                  "n0.0 t0 #2 due 500000000 500000000..500000065 key 1003\n"
	                                  "n1.0 t0 #2 due 500000000 500000000..500000065 key 2003\n"
	                                  "n0.0 t0 #3 due 750000000 750000000..750000065 key 1004\n"
	                                  "n1.0 t0 #3 due 750000000 750000000..750000065 key 2004\n");
	CU_ASSERT_EQUAL(ks_record_get(&r.records, 3).parent, 0);
	CU_ASSERT_EQUAL(ks_record_get(&r.records, 7).parent, 4);
	CU_ASSERT_EQUAL(ks_record_get(&r.records, 5).parent, KS_NO_PARENT);
	ks_sim_result_release(&r);
}

/* Whatever the delay, a message is merged in its own time: the child begins after the parent has returned and travelled. */
static void messages_take_their_time(void)
{
	static const int64_t delays[] = {0, 1, 700, KS_MS, 30 * KS_MS};
	for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
		struct ks_sim sim = sim_of(&probe, 3, 2, 10000);
		uint32_t children = 0;
		sim.mail = (struct ks_mail){{1000, KS_SEC}, {(uint32_t[]){2}, 1}, {(uint32_t[]){0}, 1}}; /* to a node that runs before the one that sends */
		sim.network = (struct ks_network){delays[i], delays[i] / 2};
		sim.load.arrival = KS_ARRIVAL_POISSON;
		sim.duration_ns = 100 * KS_MS;
		struct ks_sim_result r = must(&sim);
		for (size_t k = 0; k < r.records.n; k++) {
			struct ks_record v = ks_record_get(&r.records, k);
			if (v.parent == KS_NO_PARENT)
				continue;
			struct ks_record p = ks_record_get(&r.records, v.parent);
			children++;
			CU_ASSERT_EQUAL(r.records.lanes[v.lane].node, 0);
			CU_ASSERT_EQUAL(r.records.lanes[p.lane].node, 2);
			CU_ASSERT(v.call_ns >= p.return_ns + delays[i]);
		}
		CU_ASSERT(children > 50);
		ks_sim_result_release(&r);
	}
}

/* Several send to all: each gets one in turn, and none from itself. */
static void messages_go_round(void)
{
	static uint32_t all[] = {0, 1, 2, 3};
	struct ks_sim sim = sim_of(&probe, 4, 1, 1000);
	uint32_t got[4][4] = {0};
	sim.mail = (struct ks_mail){{60, KS_SEC}, {all + 1, 3}, {all, 4}};
	sim.duration_ns = KS_SEC;
	struct ks_sim_result r = must(&sim);
	for (size_t k = 0; k < r.records.n; k++) {
		struct ks_record v = ks_record_get(&r.records, k);
		if (v.parent != KS_NO_PARENT)
			got[r.records.lanes[ks_record_get(&r.records, v.parent).lane].node][r.records.lanes[v.lane].node]++;
	}
	for (uint32_t from = 0; from < 4; from++)
		for (uint32_t to = 0; to < 4; to++) {
			uint32_t most = !from || from == to ? 0 : 20, least = most ? 12 : 0; /* of two that arrive before one call the last counts */
			CU_ASSERT(got[from][to] >= least && got[from][to] <= most);
			if (got[from][to] < least || got[from][to] > most)
				printf("n%u -> n%u: %u\n", from, to, got[from][to]);
		}
	ks_sim_result_release(&r);
}

/* A node that is not there yet, as it will be cloned later, has no turn: n1 gets them all until then. */
static void messages_pass_the_unborn(void)
{
	static struct ks_node_desc three[3] = {{.worker = 1}, {.worker = 2}, {.worker = 3, .clone = true}};
	struct ks_fault_event e[2] = {event_at(100 * KS_MS, KS_FAULT_SNAPSHOT, 0), event_at(500 * KS_MS, KS_FAULT_CLONE, 0)};
	struct ks_sim sim = sim_of(&probe, 3, 1, 1000);
	uint32_t got[2][3] = {0}; /* before and after, by receiver */
	e[1].node = 2;
	sim.node = three;
	sim.events = e;
	sim.nevents = 2;
	sim.mail = (struct ks_mail){{40, KS_SEC}, {(uint32_t[]){0}, 1}, {(uint32_t[]){1, 2}, 2}};
	sim.duration_ns = KS_SEC;
	struct ks_sim_result r = must(&sim);
	for (size_t k = 0; k < r.records.n; k++) {
		struct ks_record v = ks_record_get(&r.records, k);
		if (v.parent != KS_NO_PARENT)
			got[ks_record_get(&r.records, v.parent).call_ns >= 500 * KS_MS][r.records.lanes[v.lane].node]++;
	}
	CU_ASSERT(got[0][1] >= 19 && !got[0][2]);
	CU_ASSERT(got[1][1] >= 9 && got[1][1] <= 11 && got[1][2] >= 9);
	ks_sim_result_release(&r);
}

/* ---- the registry ---- */

struct lease {
	ks_word id;
};

static enum ks_outcome lease_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct lease *s = shared;
	uint64_t id = env_load(env, &s->id);
	*why = 0;
	if (!id) {
		if (!env_registry_lease(env, &id))
			return KS_REFUSE;
		env_store(env, &s->id, id);
	}
	*key = ks_key64(id);
	return KS_KEY;
}

static const struct ks_gen lease = {.name = "lease", .shared_size = sizeof(struct lease), .next = lease_next};

/* Who asks first gets the first number, in whatever order nodes are run: here the last node asks first. */
static void the_registry_answers_in_order(void)
{
	struct ks_fault_event e[4];
	struct ks_sim sim = sim_of(&lease, 3, 1, 2);
	for (uint32_t i = 0; i < 2; i++) { /* n0 and n1 sleep at first, for 30 and 20 ms */
		e[i] = event_at(0, KS_FAULT_STOP, 0);
		e[i].node = i;
	}
	e[2] = event_at(20 * KS_MS, KS_FAULT_RUN, 0);
	e[2].node = 1;
	e[3] = event_at(30 * KS_MS, KS_FAULT_RUN, 0);
	sim.events = e;
	sim.nevents = 4;
	struct ks_sim_result r = must(&sim);
	/* 5 ns load, 1 us to send, 1 ms there and back each, 5 ns store */
	CU_ASSERT_STRING_EQUAL(trace(&r), "n2.0 t0 #0 due 0 0..2001010 key 1\n"
	                                  "n1.0 t0 #0 due 0 20000000..22001010 key 2\n"
	                                  "n0.0 t0 #0 due 0 30000000..32001010 key 3\n"
	                                  "n0.0 t0 #1 due 500000000 500000000..500000005 key 3\n"
	                                  "n1.0 t0 #1 due 500000000 500000000..500000005 key 2\n"
	                                  "n2.0 t0 #1 due 500000000 500000000..500000005 key 1\n");
	ks_sim_result_release(&r);
	/* cut off: it gives up after 100 ms and is refused; later it gets its id, and after a restart the same one */
	e[0] = event_at(0, KS_FAULT_REGISTRY, 0);
	e[1] = event_at(50 * KS_MS, KS_FAULT_REGISTRY, 1);
	e[2] = event_at(600 * KS_MS, KS_FAULT_DOWN, 0);
	e[3] = event_at(700 * KS_MS, KS_FAULT_UP, 0);
	sim.nodes = 1;
	sim.load.rate.count = 4;
	r = must(&sim);
	CU_ASSERT_STRING_EQUAL(trace(&r), "n0.0 t0 #0 due 0 0..100001005 refuse 0\n"
	                                  "n0.0 t0 #1 due 250000000 250000000..252001010 key 1\n"
	                                  "n0.0 t0 #2 due 500000000 500000000..500000005 key 1\n"
	                                  "n0.1 t0 #0 due 750000000 750000000..752001010 key 1\n");
	ks_sim_result_release(&r);
}

static void ids_clash_in_containers(void)
{
	uint64_t pairs[256], distinct = 0;
	for (uint32_t i = 0; i < 253; i++) { /* a /24 of Docker's bridge, pid 1 each */
		uint64_t id = ks_worker_of_mac(ks_host_mac(KS_HOST_CONTAINER, 1, i), ks_host_pid(KS_HOST_CONTAINER, 1, i, 0, 0)), k = 0;
		CU_ASSERT(id < 1024);
		while (k < distinct && pairs[k] != id)
			k++;
		if (k == distinct)
			pairs[distinct++] = id;
	}
	CU_ASSERT_EQUAL(distinct, 8);
	CU_ASSERT_EQUAL(ks_host_mac(KS_HOST_CONTAINER, 1, 0), UINT64_C(0x0242ac110002));
	CU_ASSERT_NOT_EQUAL(ks_host_pid(KS_HOST_MACHINE, 1, 0, 0, 0), ks_host_pid(KS_HOST_MACHINE, 1, 0, 0, 1));
}

/* ---- background work ---- */

static void tick(struct ks_env *env, const void *cfg, void *shared)
{
	(void)cfg;
	struct probe *s = shared;
	env_fetch_add(env, &s->ticks, 1);
}

static const struct ks_background *tick_background(const void *cfg)
{
	static const struct ks_background work[] = {{10 * KS_MS, tick}, {25 * KS_MS, tick}, {0, NULL}};
	(void)cfg;
	return work;
}

static enum ks_outcome tick_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local, (void)why;
	struct probe *s = shared;
	uint64_t n = env_load(env, &s->ticks);
	*key = ks_key64(n);
	return KS_KEY;
}

static const struct ks_gen ticker = {.name = "ticker", .shared_size = sizeof(struct probe), .next = tick_next, .background = tick_background};

static void background_runs_at_its_period(void)
{
	struct ks_fault_event e[4] = {event_at(500 * KS_MS, KS_FAULT_DOWN, 0), event_at(600 * KS_MS, KS_FAULT_UP, 0),
	                              event_at(810 * KS_MS, KS_FAULT_STOP, 0), event_at(890 * KS_MS, KS_FAULT_RUN, 0)};
	struct ks_sim sim = sim_of(&ticker, 1, 1, 10);
	sim.events = e;
	sim.nevents = 4;
	struct ks_sim_result r = must(&sim);
	CU_ASSERT_EQUAL_FATAL(r.records.n, 10);
	static const uint64_t ticks[] = {0, 12, 26, 40, 54, /* down */ 0, 0, 12, 26, /* stood from 810 to 890 ms */ 32};
	for (size_t i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(ks_record_get(&r.records, i).key.lo, ticks[i]);
	ks_sim_result_release(&r);
}

static void memory_runs_out_cleanly(void)
{
	static struct ks_node_desc three[3] = {{.worker = 1}, {.worker = 2}, {.worker = 3, .clone = true}};
	struct ks_fault_event e[6] = {event_at(0, KS_FAULT_PLACE, KS_MS), event_at(100 * KS_MS, KS_FAULT_SNAPSHOT, 0),
	                              event_at(200 * KS_MS, KS_FAULT_CLONE, 0), event_at(300 * KS_MS, KS_FAULT_ROLLBACK, 0),
	                              event_at(400 * KS_MS, KS_FAULT_DOWN, 0), event_at(500 * KS_MS, KS_FAULT_UP, 0)};
	struct ks_sim sim = sim_of(&probe, 3, 2, 100);
	struct ks_err err;
	struct ks_sim_result result;
	int failed = 0, n;
	e[0].place = (struct ks_place){.side = KS_PLACE_EVERY};
	e[2].node = 2;
	sim.node = three;
	sim.mail = (struct ks_mail){{20, KS_SEC}, {(uint32_t[]){0}, 1}, {(uint32_t[]){1}, 1}};
	sim.events = e;
	sim.nevents = 6;
	for (n = 1; n < 200; n++) {
		ks_mem_fail_at(n);
		int status = ks_sim_run(&sim, &result, &err);
		ks_mem_fail_at(0);
		if (!status) {
			ks_sim_result_release(&result);
			continue;
		}
		CU_ASSERT_EQUAL(err.code, KS_E_INTERNAL);
		failed++;
	}
	CU_ASSERT(failed > 20 && failed < n - 1);
}

static void what_cannot_be_is_said(void)
{
	struct ks_fault_event e[2] = {event_at(100 * KS_MS, KS_FAULT_STOP, 0), event_at(100 * KS_MS + 5, KS_FAULT_SNAPSHOT, 0)};
	struct ks_sim sim = sim_of(&probe, 1, 1, 10);
	struct ks_err err;
	struct ks_sim_result result;
	e[0].at_ns += 5;
	sim.events = e;
	sim.nevents = 2;
	CU_ASSERT_EQUAL(ks_sim_run(&sim, &result, &err), -1); /* the call that was stopped never returns */
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	CU_ASSERT_STRING_EQUAL(err.text, "node 1: its calls did not return for a snapshot or restart");
	e[0] = event_at(100 * KS_MS, KS_FAULT_ROLLBACK, 0);
	CU_ASSERT_EQUAL(ks_sim_run(&sim, &result, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "node 1: the snapshot has not been taken yet");
}

int main(void)
{
	static const struct ks_test tests[] = {{"a restart loses state", restart_loses_state},
	                                       {"a restart of a node boots its clocks", restart_of_a_node_boots_its_clocks},
	                                       {"restarts follow each other", restarts_follow_each_other},
	                                       {"snapshots wait for calls", snapshots_wait_for_calls},
	                                       {"clones repeat random words", clones_repeat_random_words},
	                                       {"pauses at each point", pauses_at_each_point},
	                                       {"every place of a call", every_place_of_a_call},
	                                       {"a restart during a placed stop", restart_during_a_placed_stop},
	                                       {"messages carry keys", messages_carry_keys},
	                                       {"messages take their time", messages_take_their_time},
	                                       {"messages go round", messages_go_round},
	    {"messages pass the unborn", messages_pass_the_unborn},
	                                       {"the registry answers in order", the_registry_answers_in_order},
	                                       {"ids clash in containers", ids_clash_in_containers},
	                                       {"background runs at its period", background_runs_at_its_period},
	                                       {"memory runs out cleanly", memory_runs_out_cleanly},
	                                       {"what cannot be is said", what_cannot_be_is_said},
	                                       {0}};
	return ks_test_main("lives", tests);
}
