#include "fixture.h"

/* ---- against the definitions: count and first witness of each property ---- */

struct ref {
	uint64_t count;
	int64_t later, earlier;
};

static bool ref_before(const struct ks_record *a, const struct ks_record *b)
{
	if (a->lane == b->lane)
		return a->seq < b->seq;
	return a->return_ns < b->call_ns;
}

/* Does the earlier row i break the property at j? */
static bool ref_breaks(const struct fixture *f, struct ks_claim_ref c, size_t i, size_t j)
{
	const struct ks_record a_ = ks_record_get(&f->records, i), b_ = ks_record_get(&f->records, j), *a = &a_, *b = &b_;
	if (!ref_key(f, i) || !ref_key(f, j) || !ref_together(f, i, j, c.scope))
		return false;
	switch (c.property) {
	case KS_UNIQUE:
		return ref_cmp(f, i, j) == 0;
	case KS_INCREASING:
		return ref_cmp(f, i, j) > 0 && ref_before(a, b);
	case KS_SORTED:
		return ref_cmp(f, i, j) > 0 && b->return_ns - a->return_ns > c.bound_ns;
	case KS_CAUSAL:
		return b->parent == i && ref_cmp(f, j, i) <= 0;
	default:
		return false;
	}
}

static struct ref ref_judge(const struct fixture *f, struct ks_claim_ref c)
{
	struct ref r = {0, -1, -1};
	for (size_t j = 0; j < f->records.n; j++) {
		int64_t first = -1, last = -1;
		for (size_t i = 0; i < j; i++)
			if (ref_breaks(f, c, i, j)) {
				first = first < 0 ? (int64_t)i : first;
				last = (int64_t)i;
			}
		r.count += last >= 0;
		if (last >= 0 && r.later < 0) {
			r.later = (int64_t)j;
			r.earlier = c.property == KS_UNIQUE ? first : last;
		}
	}
	return r;
}

static void random_properties(void)
{
	static const enum ks_property properties[] = {KS_UNIQUE, KS_INCREASING, KS_SORTED, KS_CAUSAL};
	int wrong = 0, broken[KS_NPROPERTIES] = {0}, kept[KS_NPROPERTIES] = {0};
	for (uint64_t seed = 0; seed < 1500; seed++) {
		struct fixture f;
		fix_random(&f, seed);
		for (size_t p = 0; p < 4; p++)
			for (int s = 0; s < KS_NSCOPES; s++) {
				struct ks_claim_ref c = {properties[p], (enum ks_scope)s, (int64_t)(seed % 5) * 3};
				struct ref want = ref_judge(&f, c);
				struct ks_judgement j = fix_judge(&f, c.property, c.scope, c.bound_ns);
				wrong +=
				    j.count != want.count || j.witness[0] != want.earlier || j.witness[1] != want.later;
				wrong += (j.verdict == KS_BROKEN) != (want.count > 0);
				broken[c.property] += j.verdict == KS_BROKEN;
				kept[c.property] += j.verdict == KS_KEPT;
			}
		fix_release(&f);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	for (size_t p = 0; p < 4; p++)
		CU_ASSERT(broken[properties[p]] > 200 && kept[properties[p]] > 200);
}

/* ---- edges, one by one ---- */

static void increasing_edges(void)
{
	for (int gap = -1; gap <= 1; gap++)
		for (uint32_t lane = 0; lane <= 1; lane++) {
			struct fixture f;
			if (lane == 0 && gap < 0)
				continue; /* a thread cannot */
			fix_init(&f);
			fix_call(&f, 0, 10, 20, ks_key64(9));
			fix_call(&f, lane, 20 + gap, 30, ks_key64(8));
			fix_ready(&f);
			struct ks_judgement j = fix_judge(&f, KS_INCREASING, KS_SCOPE_FLEET, 0);
			/* one thread: program order; two: only if the one had returned before the other began */
			CU_ASSERT_EQUAL(j.verdict, lane == 0 || gap == 1 ? KS_BROKEN : KS_KEPT);
			fix_release(&f);
		}
}

/* The calls overlap, and the one that returned first was called later: the return alone decides nothing. */
static void increasing_concurrent(void)
{
	struct fixture f;
	fix_init(&f);
	fix_call(&f, 0, 0, 100, ks_key64(1));
	fix_call(&f, 1, 50, 60, ks_key64(2));
	fix_ready(&f);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_INCREASING, KS_SCOPE_PROCESS, 0).verdict, KS_KEPT);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_SORTED, KS_SCOPE_PROCESS, 39).verdict, KS_BROKEN);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_SORTED, KS_SCOPE_PROCESS, 40).verdict, KS_KEPT);
	fix_release(&f);
}

static void equal_keys_belong_to_unique(void)
{
	struct fixture f;
	fix_init(&f);
	fix_call(&f, 0, 0, 1, ks_key64(5));
	fix_call(&f, 0, 2, 3, ks_key64(5));
	fix_ready(&f);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_UNIQUE, KS_SCOPE_THREAD, 0).verdict, KS_BROKEN);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_INCREASING, KS_SCOPE_THREAD, 0).verdict, KS_KEPT);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_SORTED, KS_SCOPE_THREAD, 0).verdict, KS_KEPT);
	fix_release(&f);
}

/* A refused call's key word is not a key. */
static void refused_has_no_key(void)
{
	struct fixture f;
	fix_init(&f);
	fix_call(&f, 0, 0, 1, ks_key64(5));
	fix_call(&f, 0, 2, 3, ks_key64(5))->outcome = KS_REFUSE;
	fix_ready(&f);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_UNIQUE, KS_SCOPE_THREAD, 0).verdict, KS_KEPT);
	fix_release(&f);
}

static void causal_edges(void)
{
	for (int d = -1; d <= 1; d++) {
		struct fixture f;
		fix_init(&f);
		fix_call(&f, 0, 0, 1, ks_key64(5));
		fix_call(&f, 4, 2, 3, ks_key64((uint64_t)(5 + d)))->parent = 0;
		fix_ready(&f);
		CU_ASSERT_EQUAL(fix_judge(&f, KS_CAUSAL, KS_SCOPE_FLEET, 0).verdict, d <= 0 ? KS_BROKEN : KS_KEPT);
		struct ks_judgement j = fix_judge(&f, KS_CAUSAL, KS_SCOPE_NODE, 0);
		CU_ASSERT_EQUAL(j.verdict, KS_UNTESTED); /* the cause is on another node */
		CU_ASSERT_STRING_EQUAL(j.reason, "no key has a cause");
		fix_release(&f);
	}
}

static void clock_edges(void)
{
	for (int d = -1; d <= 1; d++) {
		struct fixture f;
		fix_init(&f);
		fix_call(&f, 0, 1000, 1010, (struct ks_key){10, (uint64_t)(1060 + d)}); /* lo = return + 50 + d */
		fix_ready(&f);
		CU_ASSERT_EQUAL(fix_judge(&f, KS_CLOCK_WITHIN, KS_SCOPE_NODE, 50).verdict, d > 0 ? KS_BROKEN : KS_KEPT);
		fix_release(&f);
		fix_init(&f);
		fix_call(&f, 0, 1000, 1010, (struct ks_key){10, (uint64_t)(940 - d)}); /* hi = call - 50 - d */
		fix_ready(&f);
		struct ks_judgement j = fix_judge(&f, KS_CLOCK_WITHIN, KS_SCOPE_NODE, 50);
		CU_ASSERT_EQUAL(j.verdict, d > 0 ? KS_BROKEN : KS_KEPT);
		CU_ASSERT_EQUAL(j.witness[1], d > 0 ? 0 : -1);
		CU_ASSERT_EQUAL(j.witness[0], -1);
		fix_release(&f);
	}
}

static void available_edges(void)
{
	for (int d = -1; d <= 1; d++) {
		struct fixture f;
		fix_init(&f);
		fix_call(&f, 0, 110, 150 + d, ks_key64(1))->due_ns = 100; /* due counts, not call */
		fix_ready(&f);
		CU_ASSERT_EQUAL(fix_judge(&f, KS_AVAILABLE, KS_SCOPE_FLEET, 50).verdict, d > 0 ? KS_BROKEN : KS_KEPT);
		fix_release(&f);
		fix_init(&f);
		struct ks_record *r = fix_call(&f, 0, f.plan.duration_ns - 50 - d, KS_NO_TIME, ks_key64(0));
		r->outcome = KS_LOST;
		fix_ready(&f);
		CU_ASSERT_EQUAL(fix_judge(&f, KS_AVAILABLE, KS_SCOPE_FLEET, 50).verdict, d > 0 ? KS_BROKEN : KS_KEPT);
		fix_release(&f);
	}
	struct fixture f;
	fix_init(&f);
	fix_call(&f, 0, 0, 1, ks_key64(1))->outcome = KS_REFUSE;
	fix_ready(&f);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_AVAILABLE, KS_SCOPE_FLEET, KS_SEC).verdict, KS_BROKEN);
	struct ks_judgement j = fix_judge(&f, KS_UNIQUE, KS_SCOPE_FLEET, 0);
	CU_ASSERT_EQUAL(j.verdict, KS_UNTESTED);
	CU_ASSERT_STRING_EQUAL(j.reason, "no key was issued");
	fix_release(&f);
}

static void unknown_times(void)
{
	struct fixture f;
	fix_init(&f);
	f.gen.probabilistic = true;
	fix_call(&f, 0, 0, 1, (struct ks_key){1, 5})->flags = KS_CALL_UNKNOWN;
	fix_call(&f, 1, 2, 3, (struct ks_key){1, 4})->flags = KS_CALL_UNKNOWN;
	fix_ready(&f);
	static const enum ks_property untested[] = {KS_INCREASING, KS_CLOCK_WITHIN, KS_AVAILABLE};
	for (size_t i = 0; i < 3; i++) {
		struct ks_judgement j = fix_judge(&f, untested[i], KS_SCOPE_FLEET, KS_SEC);
		CU_ASSERT_EQUAL(j.verdict, KS_UNTESTED);
		CU_ASSERT_STRING_EQUAL(j.reason, "the times of the calls are not known");
	}
	CU_ASSERT_EQUAL(fix_judge(&f, KS_UNIQUE, KS_SCOPE_FLEET, 0).verdict, KS_KEPT);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_SORTED, KS_SCOPE_FLEET, 0).verdict, KS_BROKEN);
	/* broken wins over untested: 5 is ahead of what is known, the receipt */
	FIX_CHANGE(&f.records, 0, key.lo = 2000);
	CU_ASSERT_EQUAL(fix_judge(&f, KS_CLOCK_WITHIN, KS_SCOPE_FLEET, 50).verdict, KS_BROKEN);
	fix_release(&f);
}

static void no_time_in_keys(void)
{
	struct fixture f;
	fix_init(&f);
	fix_call(&f, 0, 0, 1, ks_key64(5));
	fix_ready(&f);
	struct ks_judgement j = fix_judge(&f, KS_CLOCK_WITHIN, KS_SCOPE_FLEET, KS_SEC);
	CU_ASSERT_EQUAL(j.verdict, KS_UNTESTED);
	CU_ASSERT_STRING_EQUAL(j.reason, "its keys carry no time");
	fix_release(&f);
}

static void probabilistic_bound(void)
{
	struct fixture f;
	fix_init(&f);
	f.gen.probabilistic = true;
	for (int64_t i = 0; i < 1200; i++)
		fix_call(&f, 0, i, i + 1, ks_key64((uint64_t)i));
	fix_ready(&f);
	CU_ASSERT_DOUBLE_EQUAL(fix_judge(&f, KS_UNIQUE, KS_SCOPE_FLEET, 0).bound, 0.00249333,
			       5e-9); /* 3.0 / 1200, nearly */
	CU_ASSERT_EQUAL(fix_judge(&f, KS_SORTED, KS_SCOPE_FLEET, 0).bound, 0);
	f.gen.probabilistic = false;
	CU_ASSERT_EQUAL(fix_judge(&f, KS_UNIQUE, KS_SCOPE_FLEET, 0).bound, 0);
	fix_release(&f);
}

/* ---- exposure ---- */

static uint64_t exposed_of(const struct fixture *f)
{
	uint64_t mask = 0;
	for (size_t i = 0; i < f->records.n; i++)
		mask |= (uint64_t)ks_exposed(&f->e, i) << i;
	return mask;
}

/* Node 0 is stepped back by 25 at 100: 100 shows 75, 125 shows 100. */
static void step_back(struct fixture *f)
{
	fix_init(f);
	fix_fault(f, "step", 100, 0, -25);
	for (int64_t t = 80; t < 140; t += 10) /* rows 0 to 5 */
		fix_read(fix_call(f, 0, t - 1, t + 1, ks_key64((uint64_t)t)), t - (t >= 100 ? 25 : 0), t);
}

static void exposed_by_step(void)
{
	struct fixture f;
	step_back(&f);
	fix_ready(&f);
	/* before: 80 90; after: 75 85 95 105. The first moved; 75 and 85 were lived before; 95 was not. */
	CU_ASSERT_EQUAL(exposed_of(&f), 0x0c);
	CU_ASSERT_EQUAL(f.e.nexposed, 2);
	struct ks_judgement j = fix_judge(&f, KS_UNIQUE, KS_SCOPE_THREAD, 0);
	CU_ASSERT_EQUAL(j.verdict, KS_KEPT);
	CU_ASSERT_EQUAL(j.exposed, 2);
	CU_ASSERT_EQUAL(j.exposed_pairs, 2 + 3);
	fix_release(&f);
}

/* An instant equal to the latest one before is lived again, one ns later is not; a second thread has no reading before,
 * and another node is not hit. */
static void exposed_edges(void)
{
	struct fixture f;
	step_back(&f);
	fix_read(fix_call(&f, 1, 141, 143, ks_key64(1)), 90, 142); /* row 6 */
	fix_read(fix_call(&f, 3, 144, 146, ks_key64(2)), 91, 145); /* row 7: a thread of another process */
	fix_read(fix_call(&f, 4, 147, 149, ks_key64(3)), 80, 148); /* row 8: another node */
	fix_read(fix_call(&f, 2, 150, 152, ks_key64(3)), 80, 151)->clock = KS_TAI; /* row 9: another clock */
	fix_ready(&f);
	CU_ASSERT_EQUAL(exposed_of(&f), 0x4c);
	fix_release(&f);
}

/* A step forward is not lived again; it is met once by each thread. Then a step back to before it is. */
static void exposed_by_two(void)
{
	struct fixture f;
	fix_init(&f);
	fix_fault(&f, "step", 100, 0, 50);
	fix_fault(&f, "step", 130, 0, -50);
	for (int64_t t = 80; t < 180; t += 10) /* shows 80 90 | 150 160 170 | 130 140 150 160 170 */
		fix_read(fix_call(&f, 0, t - 1, t + 1, ks_key64((uint64_t)t)), t + (t >= 100 && t < 130 ? 50 : 0), t);
	fix_read(fix_call(&f, 0, 179, 181, ks_key64(1)), 180, 180);
	fix_ready(&f);
	CU_ASSERT_EQUAL(exposed_of(&f), 0x3e4);
	fix_release(&f);
}

/* ---- exposure of lives: calls without a clock, so that only what happens to threads counts ---- */

static struct ks_fault *life(struct fixture *f, const char *kind, int64_t at_ns, uint32_t node)
{
	fix_fault(f, kind, at_ns, node, 0);
	struct ks_fault *x = &f->fault[f->plan.faults - 1];
	x->process = x->thread = KS_ANY;
	return x;
}

/* Rows 0 to 5 on lane 0 (node 0, process 0), 6 and 7 on lane 2 (its other process), 8 on lane 4 (node 1). */
static void eight_calls(struct fixture *f)
{
	static const int64_t at[] = {10, 20, 30, 40, 50, 60};
	for (size_t i = 0; i < 6; i++)
		fix_call(f, 0, at[i], at[i] + 5, ks_key64(i));
	fix_call(f, 2, 66, 67, ks_key64(7));
	fix_call(f, 2, 68, 69, ks_key64(8));
	fix_call(f, 4, 70, 71, ks_key64(9));
}

static uint64_t exposed_after(struct fixture *f)
{
	fix_ready(f);
	uint64_t mask = exposed_of(f);
	fix_release(f);
	return mask;
}

static void exposed_by_lives(void)
{
	struct fixture f;
	/* killed at 35 for 7: what fell due meanwhile, and all that comes after it, where there is state to lose */
	for (int state = 0; state < 2; state++) {
		fix_init(&f);
		f.gen.shared_size = state ? 8 : 0;
		struct ks_fault *x = life(&f, "restart", 37, 0);
		x->for_ns = 4;
		x->process = 0;
		eight_calls(&f);
		CU_ASSERT_EQUAL(exposed_after(&f), state ? 0x38 : 0x08);
		fix_init(&f);
		f.gen.shared_size = state ? 8 : 0;
		x = life(&f, "restart", 37, 0);
		x->for_ns = 4;
		x->kept = 1;
		eight_calls(&f);
		CU_ASSERT_EQUAL(exposed_after(&f), 0x08); /* the state was kept */
	}
	/* a rollback is met by all of its node from then on */
	fix_init(&f);
	life(&f, "snapshot", 15, 0);
	life(&f, "rollback", 45, 0);
	eight_calls(&f);
	CU_ASSERT_EQUAL(exposed_after(&f), 0xf0);
	/* a clone by all of it, and by the node that it is of, from the snapshot on */
	fix_init(&f);
	life(&f, "snapshot", 25, 0);
	life(&f, "clone", 45, 1);
	eight_calls(&f);
	CU_ASSERT_EQUAL(exposed_after(&f), 0x1fc);
	/* a pause inside a call of which the records tell: who was due or inside while it lasted */
	fix_init(&f);
	life(&f, "pause", 0, 0)->placed = true;
	eight_calls(&f);
	ks_records_halt(&f.records, 0, 42, 58);
	ks_records_halt(&f.records, 0, 12, 13);
	ks_records_sort_halts(&f.records);
	CU_ASSERT_EQUAL(exposed_after(&f), 0x19);
	/* two nodes with one id: all that they do; the third has its own */
	fix_init(&f);
	f.plan.node_id = KS_NODE_ID_FIXED;
	life(&f, "registry", 0, 2)->for_ns = 1;
	eight_calls(&f);
	CU_ASSERT_EQUAL(exposed_after(&f), 0x1ff);
	fix_init(&f);
	life(&f, "registry", 0, 2)->for_ns = 1;
	eight_calls(&f);
	CU_ASSERT_EQUAL(exposed_after(&f), 0);
}

/* Another clock has another zero: nothing moved. */
static void exposed_by_same_clock(void)
{
	struct fixture f;
	fix_init(&f);
	fix_fault(&f, "step", 100, 0, 25);
	fix_read(fix_call(&f, 0, 89, 91, ks_key64(1)), 90, 90);
	fix_read(fix_call(&f, 0, 109, 111, ks_key64(2)), 7110, 110)->clock = KS_MONOTONIC;
	fix_ready(&f);
	CU_ASSERT_EQUAL(f.e.nexposed, 0);
	fix_release(&f);
}

static void exposed_within_noise(void)
{
	for (int64_t noise = 24; noise <= 25; noise++) {
		struct fixture f;
		fix_init(&f);
		fix_fault(&f, "step", 100, 0, 25);
		fix_read(fix_call(&f, 0, 89, 91, ks_key64(1)), 90, 90);
		fix_read(fix_call(&f, 0, 109, 111, ks_key64(2)), 135, 110);
		f.e.noise_ns = noise;
		fix_ready(&f);
		CU_ASSERT_EQUAL(f.e.nexposed, noise < 25);
		fix_release(&f);
	}
}

static void all_exposed_without_faults(void)
{
	struct fixture f;
	step_back(&f);
	f.e.control = true;
	fix_ready(&f);
	CU_ASSERT_EQUAL(f.e.nexposed, 6);
	struct ks_judgement j = fix_judge(&f, KS_UNIQUE, KS_SCOPE_FLEET, 0);
	CU_ASSERT_EQUAL(j.exposed_pairs, 15);
	fix_release(&f);
}

static unsigned no_clocks(const void *cfg)
{
	(void)cfg;
	return 0;
}

static unsigned monotonic(const void *cfg)
{
	(void)cfg;
	return 1u << KS_MONOTONIC;
}

static void unexposed_is_untested(void)
{
	static const struct {
		unsigned (*clocks)(const void *cfg);
		const char *reason;
	} cases[] = {
	    {no_clocks, "fix reads no clock"},
	    {monotonic, "fix reads no clock that the faults move"},
	    {fix_clocks, "no call met a fault"},
	};
	for (size_t i = 0; i < 3; i++) {
		struct fixture f;
		fix_init(&f);
		fix_fault(&f, "step", 100, 2, -25);
		f.gen.clocks = cases[i].clocks;
		fix_call(&f, 0, 10, 11, ks_key64(1));
		fix_call(&f, 0, 210, 211, ks_key64(2));
		fix_ready(&f);
		struct ks_judgement j = fix_judge(&f, KS_UNIQUE, KS_SCOPE_FLEET, 0);
		CU_ASSERT_EQUAL(j.verdict, KS_UNTESTED);
		CU_ASSERT_STRING_EQUAL(j.reason, cases[i].reason);
		FIX_CHANGE(&f.records, 1, key = ks_order(&f.e, 0)); /* broken wins */
		CU_ASSERT_EQUAL(fix_judge(&f, KS_UNIQUE, KS_SCOPE_FLEET, 0).verdict, KS_BROKEN);
		fix_release(&f);
	}
}

/* ---- foreign keys ---- */

static void foreign(struct fixture *f, const char *const *text, size_t n)
{
	fix_init(f);
	f->spec.gen = NULL;
	for (size_t i = 0; i < n; i++) {
		int64_t at = ks_texts_add(&f->records.texts, text[i], strlen(text[i]));
		fix_call(f, 0, (int64_t)i * 10, (int64_t)i * 10 + 1, ks_key64((uint64_t)at))->flags = KS_CALL_UNKNOWN;
	}
}

static void foreign_orders(void)
{
	static const struct {
		const char *text[4];
		uint64_t rank[4];
		enum ks_compare compare;
	} cases[] = {
	    {{"9", "10", "9", "123456789012345678901234567890123456789012"}, {0, 1, 0, 2}, KS_COMPARE_NUMERIC},
	    {{"9", "10", "9x", "0"}, {2, 1, 3, 0}, KS_COMPARE_BYTES},
	    {{"009", "010", "9", "10"}, {0, 1, 3, 2}, KS_COMPARE_BYTES}, /* a leading zero: texts, and 9 is not 009 */
	    {{"b", "a", "ab", "\xff"}, {2, 0, 1, 3}, KS_COMPARE_BYTES},
	};
	for (size_t c = 0; c < 4; c++) {
		struct fixture f;
		foreign(&f, cases[c].text, 4);
		fix_ready(&f);
		CU_ASSERT_EQUAL(f.e.compare, cases[c].compare);
		for (size_t i = 0; i < 4; i++)
			CU_ASSERT_EQUAL(f.e.order[i].lo, cases[c].rank[i]);
		fix_release(&f);
	}
}

static void foreign_exposure(void)
{
	static const char *const text[] = {"1", "2", "3"};
	struct fixture f;
	foreign(&f, text, 3);
	fix_fault(&f, "step", 11, 0, -5); /* received at 1, 11, 21 */
	fix_ready(&f);
	CU_ASSERT_EQUAL(exposed_of(&f), 6);
	fix_release(&f);
}

/* The key that was read before the step, and came after it, is what those after it repeat: none of them shows a move
 * beyond the noise by itself. */
static void foreign_stands_still(void)
{
	for (int64_t noise = 0; noise <= 3; noise += 3) {
		struct fixture f;
		fix_init(&f);
		fix_fault(&f, "step", 100, 0, -25);
		for (int64_t t = 98; t < 107; t += 3) /* rows 0 to 2: received at 98, 101, 104 */
			fix_read(fix_call(&f, 0, t, t, ks_key64((uint64_t)t)), t < 104 ? t : 101, t)->flags = KS_CALL_UNKNOWN;
		f.e.noise_ns = noise;
		fix_ready(&f);
		CU_ASSERT_EQUAL(exposed_of(&f), noise ? 0x6 : 0x4);
		fix_release(&f);
	}
}

static void nothing_at_all(void)
{
	struct fixture f;
	fix_init(&f);
	fix_ready(&f);
	for (int p = 0; p < KS_NPROPERTIES; p++) {
		struct ks_judgement j = fix_judge(&f, (enum ks_property)p, KS_SCOPE_FLEET, 0);
		CU_ASSERT_EQUAL(j.verdict, KS_UNTESTED);
		CU_ASSERT_STRING_EQUAL(j.reason, "there was no call");
	}
	fix_release(&f);
}

static void no_memory(void)
{
	struct fixture f;
	struct ks_judgement j;
	struct ks_err err;
	int failed = 0;
	fix_random(&f, 5);
	for (int p = 0; p < KS_NPROPERTIES; p++)
		for (long at = 1; at < 50; at++) {
			ks_mem_fail_at(at);
			int result =
			    ks_judge(&f.e, (struct ks_claim_ref){(enum ks_property)p, KS_SCOPE_NODE, 0}, &j, &err);
			ks_mem_fail_at(0);
			failed += result != 0;
			if (!result)
				break;
		}
	CU_ASSERT(failed > 20);
	fix_release(&f);
}

int main(void)
{
	static const struct ks_test tests[] = {
	    {"random properties against the definitions", random_properties},
	    {"increasing: edges", increasing_edges},
	    {"increasing: concurrent calls", increasing_concurrent},
	    {"equal keys belong to unique", equal_keys_belong_to_unique},
	    {"a refused call has no key", refused_has_no_key},
	    {"causal: edges", causal_edges},
	    {"clock: edges", clock_edges},
	    {"available: edges", available_edges},
	    {"unknown times", unknown_times},
	    {"keys without time", no_time_in_keys},
	    {"probabilistic bound", probabilistic_bound},
	    {"exposed by a step back", exposed_by_step},
	    {"exposed: edges", exposed_edges},
	    {"exposed by two steps", exposed_by_two}, {"exposed by lives", exposed_by_lives},
	    {"exposed: only readings of one clock compare", exposed_by_same_clock},
	    {"exposed beyond noise", exposed_within_noise},
	    {"all exposed without faults", all_exposed_without_faults},
	    {"unexposed is untested", unexposed_is_untested},
	    {"foreign orders", foreign_orders},
	    {"foreign exposure", foreign_exposure},
	    {"foreign stands still", foreign_stands_still},
	    {"nothing at all", nothing_at_all},
	    {"out of memory", no_memory},
	    {0},
	};
	return ks_test_main("judge", tests);
}
