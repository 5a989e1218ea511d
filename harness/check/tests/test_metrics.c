#include "fixture.h"

#include "groups.h"

static struct ks_metrics metrics(struct fixture *f)
{
	struct ks_metrics m;
	struct ks_err err;
	CU_ASSERT_EQUAL_FATAL(ks_metrics_compute(&f->e, &m, &err), 0);
	return m;
}

/* ---- against the definitions ---- */

static int64_t max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Of key j and its group: what it adds to each metric. */
static void ref_one(const struct fixture *f, size_t j, enum ks_scope scope, int64_t out[KS_NSCOPED_METRICS])
{
	bool equal = false, below = false, descends = false;
	int64_t between = 0, last = -1;
	for (size_t i = j; i-- > 0;) {
		if (!ref_key(f, i) || !ref_together(f, i, j, scope))
			continue;
		between++;
		if (last < 0) {
			last = (int64_t)i;
			descends = ref_cmp(f, i, j) > 0;
		}
		equal = equal || ref_cmp(f, i, j) == 0;
		if (ref_cmp(f, i, j) > 0) {
			below = true;
			out[KS_M_DISPLACEMENT] = max64(out[KS_M_DISPLACEMENT], between);
			out[KS_M_LATE_NS_MAX] =
			    max64(out[KS_M_LATE_NS_MAX], ks_record_get(&f->records, j).return_ns - ks_record_get(&f->records, i).return_ns);
		}
	}
	out[KS_M_DUPLICATES] += equal;
	out[KS_M_BELOW_MAX] += below;
	out[KS_M_DESCENTS] += descends;
}

/* The longest non-decreasing subsequence that ends at each key, from those before it; pairs out of order on the way. */
static void ref_sortedness(const struct fixture *f, enum ks_scope scope, int64_t *inversions, int64_t *rem)
{
	size_t n = f->records.n;
	int64_t best[64] = {0}, keys = 0;
	bool counted[64] = {0};
	*inversions = 0;
	for (size_t j = 0; j < n; j++) {
		keys += best[j] = ref_key(f, j);
		for (size_t i = 0; i < j && ref_key(f, j); i++) {
			if (!ref_key(f, i) || !ref_together(f, i, j, scope))
				continue;
			*inversions += ref_cmp(f, i, j) > 0;
			if (ref_cmp(f, i, j) <= 0)
				best[j] = max64(best[j], best[i] + 1);
		}
	}
	*rem = keys;
	for (size_t j = 0; j < n; j++) { /* a group's longest, once a group */
		int64_t longest = 0;
		bool done = counted[j] || !ref_key(f, j);
		for (size_t i = 0; i < n && !done; i++)
			if (ref_key(f, i) && ref_together(f, i, j, scope)) {
				longest = max64(longest, best[i]);
				counted[i] = true;
			}
		*rem -= longest;
	}
}

static int64_t ref_causality(const struct fixture *f)
{
	int64_t n = 0;
	for (size_t i = 0; i < f->records.n; i++) {
		uint32_t p = ks_record_get(&f->records, i).parent;
		n += p != KS_NO_PARENT && ref_key(f, i) && ref_key(f, p) && ref_cmp(f, i, p) <= 0;
	}
	return n;
}

static void random_orders(void)
{
	int wrong = 0;
	int64_t seen[KS_NSCOPED_METRICS] = {0}, causal = 0;
	for (uint64_t seed = 0; seed < 2500; seed++) {
		struct fixture f;
		fix_random(&f, seed);
		struct ks_metrics m = metrics(&f);
		struct ks_err err;
		wrong += m.known[KS_M_INVERSIONS] || m.known[KS_M_REM];
		wrong += ks_metrics_disorder(&f.e, &m, &err) != 0 || !m.known[KS_M_INVERSIONS] || !m.known[KS_M_REM];
		for (int s = 0; s < KS_NSCOPES; s++) {
			int64_t want[KS_NSCOPED_METRICS] = {0};
			ref_sortedness(&f, (enum ks_scope)s, &want[KS_M_INVERSIONS], &want[KS_M_REM]);
			for (size_t j = 0; j < f.records.n; j++)
				if (ref_key(&f, j))
					ref_one(&f, j, (enum ks_scope)s, want);
			for (int k = 0; k < KS_NSCOPED_METRICS; k++) {
				wrong += m.scoped[k][s] != want[k];
				seen[k] += want[k];
			}
		}
		causal += ref_causality(&f);
		wrong += ks_metric_get(&m, KS_M_CAUSALITY_VIOLATIONS, KS_SCOPE_FLEET) != ref_causality(&f);
		fix_release(&f);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	for (int k = 0; k < KS_NSCOPED_METRICS; k++)
		CU_ASSERT(seen[k] > 500); /* or the comparison proved nothing */
	CU_ASSERT(causal > 500);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* The smallest value that at least p per cent do not exceed. */
static int64_t ref_percentile(int64_t *v, size_t n, size_t p)
{
	qsort(v, n, sizeof *v, by_value);
	for (size_t i = 0; i < n; i++)
		if ((i + 1) * 100 >= p * n)
			return v[i];
	return INT64_MIN;
}

static void random_stalls(void)
{
	int wrong = 0;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct fixture f;
		int64_t stall[64], refusals = 0, lost = 0;
		size_t n = 0;
		fix_random(&f, seed);
		struct ks_metrics m = metrics(&f);
		for (size_t i = 0; i < f.records.n; i++) {
			struct ks_record r = ks_record_get(&f.records, i);
			refusals += r.outcome == KS_REFUSE;
			lost += r.outcome == KS_LOST;
			if (r.outcome != KS_LOST)
				stall[n++] = r.return_ns - r.due_ns;
		}
		wrong += ks_metric_get(&m, KS_M_REFUSALS, KS_SCOPE_FLEET) != refusals;
		wrong += ks_metric_get(&m, KS_M_LOST, KS_SCOPE_FLEET) != lost;
		wrong += m.calls != f.records.n || m.keys != f.records.n - (size_t)(refusals + lost);
		wrong += m.known[KS_M_STALL_NS_MAX] != (n > 0);
		if (n) {
			wrong += ks_metric_get(&m, KS_M_STALL_NS_P50, KS_SCOPE_FLEET) != ref_percentile(stall, n, 50);
			wrong += ks_metric_get(&m, KS_M_STALL_NS_P99, KS_SCOPE_FLEET) != ref_percentile(stall, n, 99);
			wrong += ks_metric_get(&m, KS_M_STALL_NS_MAX, KS_SCOPE_FLEET) != stall[n - 1];
		}
		fix_release(&f);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* Runs of every length, merged by both ends: against counting pair by pair, in one group of up to 700. */
static void long_disorder(void)
{
	static struct ks_key keys[700], spare[700], tail[700];
	static uint32_t start[701];
	struct ks_stream s;
	int wrong = 0;
	ks_stream_init(&s, 5, KS_STREAM_TEST, 9);
	for (int round = 0; round < 60; round++) {
		size_t n = (size_t)ks_rand_in(ks_stream_next(&s), 1, 700);
		int64_t late = ks_rand_in(ks_stream_next(&s), 0, 40), often = ks_rand_in(ks_stream_next(&s), 1, 30);
		uint64_t pairs = 0;
		for (size_t i = 0; i < n; i++) {
			int64_t back = ks_rand_in(ks_stream_next(&s), 0, often) ? 0 : ks_rand_in(ks_stream_next(&s), 0, late);
			keys[i] = ks_key64((uint64_t)((int64_t)i / (1 + round % 3) - back + 1000));
		}
		for (size_t j = 0; j < n; j++)
			for (size_t i = 0; i < j; i++)
				pairs += ks_key_less(keys[j], keys[i]);
		size_t best[700], longest = 0;
		for (size_t j = 0; j < n; j++) {
			best[j] = 1;
			for (size_t i = 0; i < j; i++)
				if (!ks_key_less(keys[j], keys[i]) && best[i] >= best[j])
					best[j] = best[i] + 1;
			longest = best[j] > longest ? best[j] : longest;
		}
		wrong += ks_rem(keys, n, tail) != n - longest;
		wrong += ks_inversions(keys, n, spare, start) != pairs;
		for (size_t i = 1; i < n; i++)
			wrong += ks_key_less(keys[i], keys[i - 1]);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* ---- planted ---- */

/* A thousand keys in order but for what is planted: the radix sort and long searches are in play. */
static void planted(void)
{
	struct fixture f;
	fix_init(&f);
	for (int64_t i = 0; i < 1000; i++) {
		uint64_t k = (uint64_t)i * 1000003;
		if (i >= 500 && i < 540)
			k = (uint64_t)(i - 40) * 1000003; /* 40 lived again */
		fix_call(&f, 0, i * 10, i * 10 + 1, (struct ks_key){1, k});
	}
	fix_ready(&f);
	struct ks_metrics m = metrics(&f);
	for (int s = 0; s < KS_NSCOPES; s++) {
		CU_ASSERT_EQUAL(m.scoped[KS_M_DUPLICATES][s], 40);
		CU_ASSERT_EQUAL(m.scoped[KS_M_DESCENTS][s], 1);
		CU_ASSERT_EQUAL(m.scoped[KS_M_BELOW_MAX][s], 39); /* the last one equals the maximum */
		CU_ASSERT_EQUAL(m.scoped[KS_M_DISPLACEMENT][s], 39);
		CU_ASSERT_EQUAL(m.scoped[KS_M_LATE_NS_MAX][s], 390);
	}
	fix_release(&f);
}

/* The same key on two threads, processes, nodes: a duplicate from that scope on. */
static void planted_scopes(void)
{
	static const uint32_t other[] = {0, 1, 2, 4};
	for (int at = 0; at < KS_NSCOPES; at++) {
		struct fixture f;
		fix_init(&f);
		fix_call(&f, 0, 0, 1, ks_key64(7));
		fix_call(&f, other[at], 2, 3, ks_key64(7));
		fix_ready(&f);
		struct ks_metrics m = metrics(&f);
		for (int s = 0; s < KS_NSCOPES; s++)
			CU_ASSERT_EQUAL(m.scoped[KS_M_DUPLICATES][s], s >= at);
		fix_release(&f);
	}
}

static void incarnations_are_processes(void)
{
	struct fixture f;
	fix_init(&f);
	f.records.lanes[1] = f.records.lanes[0];
	f.records.lanes[1].incarnation = 1;
	fix_call(&f, 0, 0, 1, ks_key64(7));
	fix_call(&f, 1, 2, 3, ks_key64(7));
	fix_ready(&f);
	struct ks_metrics m = metrics(&f);
	CU_ASSERT_EQUAL(m.scoped[KS_M_DUPLICATES][KS_SCOPE_PROCESS], 0);
	CU_ASSERT_EQUAL(m.scoped[KS_M_DUPLICATES][KS_SCOPE_NODE], 1);
	fix_release(&f);
}

static void ahead_and_behind(void)
{
	struct fixture f;
	fix_init(&f);
	fix_call(&f, 0, 100, 110, (struct ks_key){10, 117}); /* [117, 127): 7 ahead */
	fix_call(&f, 0, 200, 210, (struct ks_key){10, 185}); /* [185, 195): 5 behind */
	fix_call(&f, 0, 300, 310, (struct ks_key){50, 280}); /* holds the call */
	fix_call(&f, 0, 400, 410, (struct ks_key){0, 1});    /* names no time */
	fix_ready(&f);
	struct ks_metrics m = metrics(&f);
	CU_ASSERT_TRUE(m.known[KS_M_AHEAD_NS_MAX] && m.known[KS_M_BEHIND_NS_MAX]);
	CU_ASSERT_EQUAL(ks_metric_get(&m, KS_M_AHEAD_NS_MAX, KS_SCOPE_FLEET), 7);
	CU_ASSERT_EQUAL(ks_metric_get(&m, KS_M_BEHIND_NS_MAX, KS_SCOPE_FLEET), 5);
	FIX_CHANGE(&f.records, 0, flags = KS_CALL_UNKNOWN); /* one call whose times are not known */
	m = metrics(&f);
	CU_ASSERT_TRUE(m.known[KS_M_AHEAD_NS_MAX]);
	CU_ASSERT_FALSE(m.known[KS_M_BEHIND_NS_MAX] || m.known[KS_M_STALL_NS_MAX] || m.known[KS_M_STALL_NS_P50] ||
			m.known[KS_M_STALL_NS_P99]);
	fix_release(&f);
}

static void degenerate(void)
{
	for (int n = 0; n <= 2; n++) {
		struct fixture f;
		fix_init(&f);
		for (int i = 0; i < n; i++)
			fix_call(&f, 0, i, i + 1, ks_key64((uint64_t)(9 - i)));
		fix_ready(&f);
		struct ks_metrics m = metrics(&f);
		CU_ASSERT_EQUAL(m.scoped[KS_M_DUPLICATES][KS_SCOPE_FLEET], 0);
		CU_ASSERT_EQUAL(m.scoped[KS_M_DESCENTS][KS_SCOPE_FLEET], n == 2);
		CU_ASSERT_EQUAL(m.scoped[KS_M_DISPLACEMENT][KS_SCOPE_FLEET], n == 2);
		CU_ASSERT_EQUAL(m.known[KS_M_STALL_NS_MAX], n > 0);
		CU_ASSERT_FALSE(m.known[KS_M_AHEAD_NS_MAX]);
		fix_release(&f);
	}
}

static void sorting(void)
{
	struct ks_stream s;
	static struct ks_key v[5000], spare[5000];
	ks_stream_init(&s, 1, KS_STREAM_TEST, 0);
	for (size_t n = 0; n < 5000; n = n * 2 + 1) {
		uint64_t sum = 0, after = 0;
		for (size_t i = 0; i < n; i++) {
			v[i] = (struct ks_key){ks_stream_next(&s) & 0xff0000000000000f, ks_stream_next(&s) >> (n % 60)};
			sum += v[i].hi * 3 + v[i].lo;
		}
		ks_keys_sort(v, spare, n);
		for (size_t i = 0; i < n; i++) {
			after += v[i].hi * 3 + v[i].lo;
			CU_ASSERT_FALSE(i && ks_key_less(v[i], v[i - 1]));
		}
		CU_ASSERT_EQUAL(sum, after);
	}
}

/* Out of memory is an error, and leaves nothing behind (a leak shows under ASan). */
static void no_memory(void)
{
	struct ks_metrics m;
	struct ks_err err;
	struct fixture f;
	int failed = 0;
	fix_random(&f, 3);
	ks_evidence_release(&f.e);
	for (long at = 1; at < 100; at++) {
		ks_mem_fail_at(at);
		int result = ks_evidence_init(&f.e, &err);
		if (!result)
			result = ks_metrics_compute(&f.e, &m, &err);
		ks_mem_fail_at(0);
		CU_ASSERT(result == 0 || err.code == KS_E_INTERNAL);
		failed += result != 0;
		ks_evidence_release(&f.e);
		if (!result)
			break;
	}
	CU_ASSERT(failed > 5);
	fix_release(&f);
}

int main(void)
{
	static const struct ks_test tests[] = {
	    {"random orders against the definitions", random_orders},
	    {"random stalls against the definitions", random_stalls},
	    {"long disorder against the definitions", long_disorder},
	    {"planted replay", planted},
	    {"planted duplicates by scope", planted_scopes},
	    {"an incarnation is a process of its own", incarnations_are_processes},
	    {"ahead and behind", ahead_and_behind},
	    {"none, one, two", degenerate},
	    {"sorting", sorting},
	    {"out of memory", no_memory},
	    {0},
	};
	return ks_test_main("metrics", tests);
}
