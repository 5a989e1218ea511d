#include "../../check/tests/fixture.h"
#include "ks_consumer.h"

/* Runs a consumer on the calls of a fixture. options: "retry=new-key remembers=1h". */
static void consume(struct fixture *f, const char *name, const char *options, struct ks_toll *toll)
{
	const struct ks_consumer *c = ks_consumer_find(name);
	_Alignas(16) char cfg[128];
	char text[200], *save = NULL;
	struct ks_err err;
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_FATAL(c->cfg_size <= sizeof cfg && strlen(options) < sizeof text);
	ks_opts_default(c->opts, cfg);
	strcpy(text, options);
	for (char *o = strtok_r(text, " ", &save); o; o = strtok_r(NULL, " ", &save)) {
		char *value = strchr(o, '=');
		*value++ = 0;
		CU_ASSERT_EQUAL_FATAL(ks_opts_set(c->opts, cfg, o, value, &err), 0);
	}
	fix_ready(f);
	CU_ASSERT_EQUAL_FATAL(ks_consume(c, cfg, &f->e, toll, &err), 0);
}

/* All damages of the toll at once: "0 2 1". */
static void expect_toll(const struct ks_toll *toll, const char *name, const char *values)
{
	char is[200] = "";
	size_t n = 0;
	for (int k = 0; ks_consumer_find(name)->damages[k].name; k++)
		n += (size_t)snprintf(is + n, sizeof is - n, "%s%lld", k ? " " : "", (long long)toll->value[k]);
	if (strcmp(is, values))
		printf("\n%s: is %s, expected %s\n", name, is, values);
	CU_ASSERT_STRING_EQUAL(is, values);
}

static void judge(struct fixture *f, const char *name, const char *options, const char *values)
{
	struct ks_toll toll;
	consume(f, name, options, &toll);
	CU_ASSERT_STRING_EQUAL(toll.unknown, "");
	expect_toll(&toll, name, values);
	ks_toll_release(&toll);
	fix_release(f);
}

static void judge_unknown(struct fixture *f, const char *name, const char *options, const char *reason)
{
	struct ks_toll toll;
	consume(f, name, options, &toll);
	CU_ASSERT_PTR_NOT_NULL(strstr(toll.unknown, reason));
	ks_toll_release(&toll);
	fix_release(f);
}

/* ---- payment-gateway ---- */

struct order {
	int64_t return_ns;
	uint64_t key;
};

/* Two orders of one user (users: 1) or of different ones; in fleet order. */
static void sell(const struct order *order, size_t n, int64_t users, const char *retry, int64_t damage[2])
{
	char options[100];
	struct ks_toll toll;
	struct fixture f;
	fix_init(&f);
	f.plan.user_low = 1;
	f.plan.user_high = users;
	for (size_t i = 0; i < n; i++)
		fix_call(&f, 0, order[i].return_ns, order[i].return_ns, ks_key64(order[i].key));
	snprintf(options, sizeof options, "retry=%s remembers=1000ns confirms=100ns", retry);
	consume(&f, "payment-gateway", options, &toll);
	memcpy(damage, toll.value, 2 * sizeof *damage);
	ks_toll_release(&toll);
	fix_release(&f);
}

#define MANY (INT64_C(1) << 50) /* users: no two orders of one */

static void expect(const struct order *order, size_t n, int64_t users, const char *retry, int64_t doubled,
		   int64_t swallowed)
{
	int64_t damage[2];
	sell(order, n, users, retry, damage);
	CU_ASSERT_EQUAL(damage[0], doubled);
	CU_ASSERT_EQUAL(damage[1], swallowed);
}

static void no_duplicate_no_damage(void)
{
	static const struct order v[] = {{0, 1}, {5, 3}, {10, 2}};
	expect(v, 3, 1, "same-key", 0, 0);
	expect(v, 3, MANY, "new-key", 0, 0);
	expect(v, 0, 1, "new-key", 0, 0);
}

/* The second order under a key: same key: never paid; new key: paid, and the first one charged twice. */
static void both_directions(void)
{
	static const struct order v[] = {{0, 1}, {50, 1}};
	expect(v, 2, MANY, "same-key", 0, 1);
	expect(v, 2, MANY, "new-key", 1, 0);
	expect(v, 2, 1, "same-key", 0, 1);
	expect(v, 2, 1, "new-key", 1, 1); /* one user: the second looks paid, too */
}

static void one_charge_is_doubled_once(void)
{
	static const struct order v[] = {{0, 1}, {50, 1}, {60, 1}};
	expect(v, 3, MANY, "new-key", 1, 0);
	expect(v, 3, MANY, "same-key", 0, 2);
}

static void confirmed_is_safe(void)
{
	static const struct order before[] = {{0, 1}, {99, 1}}, at[] = {{0, 1}, {100, 1}};
	expect(before, 2, MANY, "new-key", 1, 0);
	expect(at, 2, MANY, "new-key", 0, 0);
	expect(at, 2, 1, "new-key", 0, 1);
}

static void memory_ends(void)
{
	static const struct order known[] = {{0, 1}, {999, 1}}, forgotten[] = {{0, 1}, {1000, 1}, {1999, 1}};
	expect(known, 2, MANY, "same-key", 0, 1);
	expect(forgotten, 2, MANY, "same-key", 0, 0);
	expect(forgotten, 3, MANY, "same-key", 0, 1); /* the memory began anew with the second charge */
}

static void keys_do_not_mix(void)
{
	static const struct order v[] = {{0, 1}, {10, 2}, {20, 1}, {30, 2}, {40, 3}};
	expect(v, 5, MANY, "same-key", 0, 2);
	expect(v, 5, MANY, "new-key", 2, 0);
}

static void context_is_of_the_call(void)
{
	struct fixture f;
	fix_init(&f);
	f.plan.user_low = 5;
	f.plan.user_high = 8;
	f.plan.depth_high = 2;
	int64_t users[4] = {0}, same = 0;
	for (uint32_t seq = 0; seq < 4000; seq++) {
		struct ks_call_context c = ks_context(&f.plan, 1, &f.records.lanes[seq % FIX_LANES], seq);
		struct ks_call_context again = ks_context(&f.plan, 1, &f.records.lanes[seq % FIX_LANES], seq);
		struct ks_call_context other = ks_context(&f.plan, 2, &f.records.lanes[seq % FIX_LANES], seq);
		CU_ASSERT_FATAL(c.user >= 5 && c.user <= 8 && c.depth >= 0 && c.depth <= 2);
		CU_ASSERT(c.user == again.user && c.depth == again.depth);
		users[c.user - 5]++;
		same += c.user == other.user;
	}
	for (int i = 0; i < 4; i++)
		CU_ASSERT(users[i] > 850 && users[i] < 1150);
	CU_ASSERT(same > 850 && same < 1150);
	fix_release(&f);
}

/* ---- key-value-store ---- */

/* Lanes of the fixture: node lane / 4, process lane / 2 % 2, thread lane % 2. */
static void put(struct fixture *f, uint32_t lane, int64_t at_ns, uint64_t key)
{
	fix_call(f, lane, at_ns, at_ns, ks_key64(key));
}

static void who_overwrote_whom(void)
{
	struct fixture f;
	fix_init(&f);
	f.records.lanes[11].node = 0; /* a second life of node 0's process 0 */
	f.records.lanes[11].process = 0;
	f.records.lanes[11].incarnation = 1;
	put(&f, 0, 0, 7);
	put(&f, 1, 1, 7);  /* the same process, another thread */
	put(&f, 2, 2, 7);  /* another process of the node */
	put(&f, 4, 3, 7);  /* another node */
	put(&f, 0, 4, 8);  /* another key */
	put(&f, 11, 5, 8); /* a later life */
	put(&f, 11, 6, 9);
	judge(&f, "key-value-store", "ttl=1h", "4 1 1 1 1 0");
}

static void entries_expire(void)
{
	struct fixture f;
	fix_init(&f);
	put(&f, 0, 0, 7);
	put(&f, 0, 99, 7); /* lives, and begins anew */
	put(&f, 0, 198, 7);
	put(&f, 0, 298, 7); /* expired just now */
	judge(&f, "key-value-store", "ttl=100ns", "2 2 0 0 0 0");
}

static void set_if_absent_overwrites_nothing(void)
{
	struct fixture f;
	fix_init(&f);
	put(&f, 0, 0, 7);
	put(&f, 4, 60, 7);  /* rejected: the first entry lives on, no longer for that */
	put(&f, 4, 100, 7); /* expired */
	judge(&f, "key-value-store", "ttl=100ns write=set-if-absent", "0 0 0 0 0 1");
}

static void refused_and_lost_calls_write_nothing(void)
{
	struct fixture f;
	fix_init(&f);
	put(&f, 0, 0, 7);
	fix_call(&f, 0, 1, 2, ks_key64(7))->outcome = KS_REFUSE;
	fix_call(&f, 4, 1, KS_NO_TIME, ks_key64(7))->outcome = KS_LOST;
	judge(&f, "key-value-store", "", "0 0 0 0 0 0");
}

/* ---- nested-map ---- */

static void maps_are_of_a_process_and_a_user(void)
{
	struct fixture f;
	fix_init(&f);
	f.plan.user_low = f.plan.user_high = 5;
	put(&f, 0, 0, 7);
	put(&f, 0, 1, 7); /* lost */
	put(&f, 1, 2, 7); /* lost, by the other thread */
	put(&f, 2, 3, 7); /* another process */
	put(&f, 4, 4, 7); /* another node */
	put(&f, 0, 5, 8);
	judge(&f, "nested-map", "", "2 1");
	fix_init(&f);
	f.plan.user_low = 1;
	f.plan.user_high = INT64_C(1) << 50; /* no two calls of one user */
	put(&f, 0, 0, 7);
	put(&f, 0, 1, 7);
	judge(&f, "nested-map", "", "0 0");
}

/* ---- trace-collector ---- */

static void traces_merge(void)
{
	struct fixture f;
	fix_init(&f);
	put(&f, 0, 0, 7);
	put(&f, 1, 1, 7);   /* merged */
	put(&f, 4, 2, 7);   /* merged, from another node */
	put(&f, 4, 3, 8);
	put(&f, 4, 4, 8);   /* merged: a second id */
	put(&f, 0, 100, 7); /* the window is over: an id in use anew */
	put(&f, 0, 101, 7);
	judge(&f, "trace-collector", "window=100ns", "4 3 1 3");
	fix_init(&f);
	put(&f, 0, 0, 7);
	put(&f, 4, 0, 8);
	judge(&f, "trace-collector", "", "0 0 0 0");
}

/* ---- shard-table ---- */

/* The key of a task: its shard's begin and length, with the task in the last bits of the length. */
static void task(struct fixture *f, uint32_t lane, int64_t at_ns, uint64_t shard)
{
	fix_call(f, lane, at_ns, at_ns, (struct ks_key){300, shard * 300});
}

static void a_shard_holds_one_task(void)
{
	struct fixture f;
	for (int cas = 0; cas < 2; cas++) {
		fix_init(&f);
		task(&f, 0, 0, 0);
		task(&f, 0, 10, 0);
		task(&f, 4, 299, 0);
		task(&f, 0, 300, 1);
		judge(&f, "shard-table", cas ? "write=compare-and-set" : "write=upsert", cas ? "0 2 0 0" : "2 0 0 0");
	}
}

static void wrong_clocks_route_wrong(void)
{
	struct fixture f;
	fix_init(&f);
	task(&f, 0, 10, 0);
	task(&f, 0, 290, 1); /* a client ahead: in the next shard */
	task(&f, 4, 310, 0); /* a client behind: in one that was run; it puts nobody out */
	task(&f, 0, 320, 1); /* puts the early one out */
	judge(&f, "shard-table", "", "1 0 2 1");
	fix_init(&f);
	task(&f, 0, 10, 1); /* due 300 later: the shard of then */
	task(&f, 0, 10, 0);
	judge(&f, "shard-table", "delay=300ns", "0 0 1 0");
}

static void shards_must_be_named(void)
{
	struct fixture f;
	fix_init(&f);
	put(&f, 0, 0, 7);
	judge_unknown(&f, "shard-table", "", "no span of time");
	fix_init(&f);
	fix_call(&f, 0, 0, 5, ks_key64(1))->flags = KS_CALL_UNKNOWN;
	judge_unknown(&f, "shard-table", "", "call times");
}

/* ---- publish-order ---- */

static void publishing_inverts(void)
{
	struct fixture f;
	fix_init(&f);
	fix_read(fix_call(&f, 0, 0, 100, ks_key64(10)), 10, 10); /* read at 10, paused until 100 */
	fix_read(fix_call(&f, 1, 20, 30, ks_key64(21)), 21, 21);
	fix_read(fix_call(&f, 1, 40, 50, ks_key64(41)), 41, 41);
	fix_read(fix_call(&f, 1, 60, 120, ks_key64(20)), 61, 61); /* inverted against its own thread only */
	fix_read(fix_call(&f, 2, 60, 70, ks_key64(5)), 61, 61);   /* another process */
	judge(&f, "publish-order", "order=value-first", "1 5 0 10");
}

static void program_order_decides(void)
{
	struct fixture f;
	for (int first = 0; first < 2; first++) {
		fix_init(&f);
		fix_read(fix_call(&f, 0, 0, 50, ks_key64(10)), 5, 5);
		fix_read(fix_call(&f, 0, 60, 100, ks_key64(70)), 70, 70);
		judge(&f, "publish-order", first ? "order=value-first" : "order=key-first", first ? "0 2 0 10" : "0 0 2 45");
	}
	fix_init(&f);
	put(&f, 0, 0, 7);
	judge_unknown(&f, "publish-order", "", "read no clock");
}

/* Any two threads: the count is that of the definition. */
static void inverted_as_defined(void)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct fixture f;
		struct ks_toll toll;
		int64_t count = 0;
		fix_random(&f, seed);
		for (size_t i = 0; i < f.records.n; i++) {
			struct ks_record r = ks_record_get(&f.records, i);
			r.read_ns = r.read_at_ns = r.call_ns;
			CU_ASSERT_EQUAL_FATAL(ks_record_set(&f.records, i, &r), 0);
		}
		ks_evidence_release(&f.e);
		consume(&f, "publish-order", "", &toll);
		for (size_t j = 0; j < f.records.n; j++)
			for (size_t i = 0; i < j && ref_key(&f, j); i++)
				if (ref_key(&f, i) && ref_together(&f, i, j, KS_SCOPE_PROCESS) &&
				    !ref_together(&f, i, j, KS_SCOPE_THREAD) && ref_cmp(&f, i, j) > 0) {
					count++;
					break;
				}
		CU_ASSERT_EQUAL_FATAL(toll.value[0], count);
		ks_toll_release(&toll);
		fix_release(&f);
	}
}

/* ---- lww-replica ---- */

/* A write by a node whose clock is off by offset, and which its key names. The replica is on node 2, lanes 4 to 7. */
static void write_at(struct fixture *f, uint32_t lane, int64_t at_ns, int64_t offset_ns)
{
	fix_read(fix_call(f, lane, at_ns, at_ns, (struct ks_key){1, (uint64_t)(at_ns + offset_ns)}), at_ns + offset_ns, at_ns);
}

static void one_user(struct fixture *f)
{
	fix_init(f);
	f->plan.user_low = f->plan.user_high = 1;
	f->plan.duration_ns = 10000;
}

static void true_clocks_lose_nothing(void)
{
	struct fixture f;
	one_user(&f);
	write_at(&f, 0, 100, 0);
	write_at(&f, 4, 200, 0);
	write_at(&f, 0, 300, 0);
	judge(&f, "lww-replica", "at=2 delay=10ns", "0 0 0 0 0");
}

/* Node 1 is 50 ahead, the network takes 10: its writes come 40 from the future. */
static void the_future_is_skipped(void)
{
	static const struct {
		const char *options, *damage;
	} v[] = {
		{"at=2 delay=10ns future=skip", "2 0 9690 1 0"},           /* stale from 310 to the end at 10000 */
		{"at=2 delay=10ns future=skip tolerates=40ns", "0 0 0 0 0"},
		{"at=2 delay=10ns future=skip tolerates=39ns", "2 0 9690 1 0"},
		{"at=2 delay=50ns future=skip", "0 0 0 0 0"},              /* on the way it has become the present */
		{"at=2 delay=10ns future=wait", "0 0 0 0 40"},
		{"at=2 delay=10ns future=take", "0 0 0 0 0"},
	};
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		struct fixture f;
		one_user(&f);
		write_at(&f, 4, 50, 0);
		write_at(&f, 0, 100, 50); /* skipped at 110 */
		write_at(&f, 4, 200, 0);  /* ends that: stale for 90 */
		write_at(&f, 0, 300, 50); /* no later write replaces this one */
		judge(&f, "lww-replica", v[i].options, v[i].damage);
	}
}

/* Node 1 is 50 behind: its write is later, its timestamp older than what the replica holds. */
static void the_latest_is_taken_for_old(void)
{
	struct fixture f;
	one_user(&f);
	write_at(&f, 4, 100, 0);
	write_at(&f, 0, 120, -50); /* 70: old, at 130 */
	write_at(&f, 0, 200, -50); /* 150: taken at 210 */
	judge(&f, "lww-replica", "at=2 delay=10ns", "0 1 80 0 0");
}

static void an_old_write_that_comes_late_is_no_harm(void)
{
	struct fixture f;
	one_user(&f);
	write_at(&f, 0, 100, 0); /* arrives at 150, when the replica has the one of 120 */
	write_at(&f, 4, 120, 0);
	judge(&f, "lww-replica", "at=2 delay=50ns", "0 0 0 0 0");
}

static void a_replica_needs_a_clock(void)
{
	struct fixture f;
	one_user(&f);
	write_at(&f, 0, 100, 0);
	judge_unknown(&f, "lww-replica", "at=2", "read its wall clock");
	one_user(&f);
	judge_unknown(&f, "lww-replica", "at=9", "no node 9");
	one_user(&f);
	fix_call(&f, 0, 100, 100, ks_key64(5)); /* logical clocks: no key is from the future, but one may be old */
	fix_call(&f, 4, 100, 100, ks_key64(6));
	fix_call(&f, 0, 200, 200, ks_key64(6));
	judge(&f, "lww-replica", "at=2 delay=10ns", "0 1 9790 1 0");
}

/* ---- all ---- */

static void no_memory(void)
{
	for (const struct ks_consumer *const *c = ks_consumers; *c; c++) {
		_Alignas(16) char cfg[128];
		struct fixture f;
		struct ks_toll toll;
		struct ks_err err;
		one_user(&f);
		for (int i = 0; i < 200; i++)
			fix_read(fix_call(&f, (uint32_t)i % 5, i, i, (struct ks_key){300, 0}), i, i);
		fix_ready(&f);
		ks_opts_default((*c)->opts, cfg);
		long n = 0;
		int rc = -1;
		for (; rc && n < 40; n++) {
			ks_mem_fail_at(n + 1);
			rc = ks_consume(*c, cfg, &f.e, &toll, &err);
			CU_ASSERT(rc == 0 || err.code == KS_E_INTERNAL);
			ks_toll_release(&toll);
		}
		ks_mem_fail_at(0);
		CU_ASSERT(rc == 0 && n > 1);
		fix_release(&f);
	}
}

static void list(void)
{
	CU_ASSERT_PTR_NULL(ks_consumer_find("payment"));
	for (const struct ks_consumer *const *c = ks_consumers; *c; c++) {
		int n = 0;
		CU_ASSERT_PTR_EQUAL(ks_consumer_find((*c)->name), *c);
		for (; (*c)->damages[n].name; n++)
			CU_ASSERT(strlen((*c)->name) + strlen((*c)->damages[n].name) + 1 < KS_NAME_MAX && *(*c)->damages[n].help);
		CU_ASSERT(n > 0 && n <= KS_DAMAGES_MAX);
	}
	CU_ASSERT(ks_damage_is_max("stale_ns_max") && ks_damage_is_time("stale_ns_max"));
	CU_ASSERT(ks_damage_is_max("traces_of_one_id_max") && !ks_damage_is_time("traces_of_one_id_max"));
	CU_ASSERT(!ks_damage_is_max("lost_tasks") && !ks_damage_is_max("_max"));
}

int main(void)
{
	static const struct ks_test tests[] = {
	    {"no duplicate, no damage", no_duplicate_no_damage},
	    {"both directions", both_directions},
	    {"one charge is doubled once", one_charge_is_doubled_once},
	    {"a confirmed charge is safe", confirmed_is_safe},
	    {"the gateway's memory ends", memory_ends},
	    {"keys do not mix", keys_do_not_mix},
	    {"what a call is about", context_is_of_the_call},
	    {"who overwrote whom", who_overwrote_whom},
	    {"entries expire", entries_expire},
	    {"set-if-absent overwrites nothing", set_if_absent_overwrites_nothing},
	    {"refused and lost calls write nothing", refused_and_lost_calls_write_nothing},
	    {"maps are of a process and a user", maps_are_of_a_process_and_a_user},
	    {"traces merge", traces_merge},
	    {"a shard holds one task", a_shard_holds_one_task},
	    {"wrong clocks route wrong", wrong_clocks_route_wrong},
	    {"shards must be named", shards_must_be_named},
	    {"publishing inverts", publishing_inverts},
	    {"program order decides", program_order_decides},
	    {"inverted as defined", inverted_as_defined},
	    {"true clocks lose nothing", true_clocks_lose_nothing},
	    {"the future is skipped", the_future_is_skipped},
	    {"the latest is taken for old", the_latest_is_taken_for_old},
	    {"an old write that comes late is no harm", an_old_write_that_comes_late_is_no_harm},
	    {"a replica needs a clock", a_replica_needs_a_clock},
	    {"no memory", no_memory},
	    {"list", list},
	    {0},
	};
	return ks_test_main("consumer", tests);
}
