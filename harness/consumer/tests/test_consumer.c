#include "../../check/tests/fixture.h"
#include "ks_consumer.h"

struct order {
	int64_t return_ns;
	uint64_t key;
};

/* Two orders of one user (users: 1) or of different ones; in fleet order. */
static void sell(const struct order *order, size_t n, int64_t users, const char *retry, int64_t damage[2])
{
	const struct ks_consumer *c = ks_consumer_find("payment-gateway");
	_Alignas(16) char cfg[128];
	struct ks_err err;
	struct fixture f;
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_FATAL(c->cfg_size <= sizeof cfg);
	ks_opts_default(c->opts, cfg);
	CU_ASSERT_EQUAL(ks_opts_set(c->opts, cfg, "retry", retry, &err), 0);
	CU_ASSERT_EQUAL(ks_opts_set(c->opts, cfg, "remembers", "1000ns", &err), 0);
	CU_ASSERT_EQUAL(ks_opts_set(c->opts, cfg, "confirms", "100ns", &err), 0);
	fix_init(&f);
	f.plan.user_low = 1;
	f.plan.user_high = users;
	for (size_t i = 0; i < n; i++)
		fix_call(&f, 0, order[i].return_ns, order[i].return_ns, ks_key64(order[i].key));
	fix_ready(&f);
	CU_ASSERT_EQUAL(c->consume(cfg, &f.e, damage, &err), 0);
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

static void list(void)
{
	CU_ASSERT_PTR_NULL(ks_consumer_find("payment"));
	for (const struct ks_consumer *const *c = ks_consumers; *c; c++) {
		int n = 0;
		CU_ASSERT_PTR_EQUAL(ks_consumer_find((*c)->name), *c);
		while ((*c)->damages[n])
			n++;
		CU_ASSERT(n > 0 && n <= KS_DAMAGES_MAX);
	}
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
	    {"list", list},
	    {0},
	};
	return ks_test_main("consumer", tests);
}
