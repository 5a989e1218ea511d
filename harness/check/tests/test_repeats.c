/* Repeated keys against every pair looked at: keys of all kinds, in any order. */
#include <stdlib.h>

#include "ks_mem.h"
#include "ks_rand.h"
#include "ks_test.h"
#include "repeats.h"

#define KEYS 3000
#define LANES 4

struct kind {
	const char *name;
	struct ks_key (*key)(uint64_t i, uint64_t word);
};

static struct ks_key any(uint64_t i, uint64_t word)
{
	return (struct ks_key){.hi = word * UINT64_C(0x9e3779b97f4a7c15), .lo = word ^ i << 60};
}

static struct ks_key few(uint64_t i, uint64_t word)
{
	(void)i;
	return (struct ks_key){.hi = word >> 5 & 1, .lo = word & 31};
}

static struct ks_key falling(uint64_t i, uint64_t word)
{
	return (struct ks_key){.hi = 0, .lo = KEYS - i + (word & 1)};
}

static struct ks_key interleaved(uint64_t i, uint64_t word)
{
	return (struct ks_key){.hi = 0, .lo = (0xfffff0 + i / 100) << 22 | (i % 16) << 12 | (i / 16 + (word % 50 == 0)) % 128};
}

static struct ks_key carried(uint64_t i, uint64_t word) /* the uppermost bits that differ tell hardly anything */
{
	return (struct ks_key){.hi = i < KEYS / 2 ? UINT64_C(0x7fffffffffffffff) : UINT64_C(1) << 63, .lo = word & 0x3fff};
}

static struct ks_key across(uint64_t i, uint64_t word) /* the halves */
{
	return (struct ks_key){.hi = i / 1000, .lo = (word & 255) << 56 | (word >> 8 & 3)};
}

static struct ks_key striped(uint64_t i, uint64_t word) /* every other bit, so more stretches than a digest has */
{
	(void)i;
	return (struct ks_key){.hi = word & UINT64_C(0x5555000000000000), .lo = word & 0x5};
}

static struct ks_key rising(uint64_t i, uint64_t word) /* the last of five repeats the one before it */
{
	(void)word;
	return (struct ks_key){.hi = 0, .lo = i - (i % 5 == 4)};
}

static const struct kind kinds[] = {{"any", any},         {"few", few},       {"falling", falling}, {"interleaved", interleaved},
				    {"carried", carried}, {"across", across}, {"striped", striped}, {"rising", rising},
				    {0}};

struct found {
	uint64_t count;
	int64_t witness[2];
};

static struct found look_at_all(const struct ks_key *key, const uint32_t *lane, const uint32_t *group)
{
	struct found f = {0, {-1, -1}};
	for (int64_t b = 0; b < KEYS; b++)
		for (int64_t a = 0; a < b; a++)
			if (ks_key_equal(key[a], key[b]) && group[lane[a]] == group[lane[b]]) {
				if (!f.count++)
					f = (struct found){1, {a, b}};
				break;
			}
	return f;
}

static void one(const struct kind *kind, size_t batch)
{
	static const uint32_t thread[LANES] = {0, 1, 2, 3}, node[LANES] = {0, 0, 1, 1}, fleet[LANES] = {0};
	static struct ks_key key[KEYS];
	static uint32_t lane[KEYS];
	const uint32_t *const group[KS_NSCOPES] = {thread, NULL, node, fleet};
	const uint32_t groups[KS_NSCOPES] = {LANES, 0, 2, 1};
	struct ks_repeats r;
	int failed = ks_repeats_init(&r, group, groups, batch, KEYS);
	CU_ASSERT_EQUAL_FATAL(failed, 0);
	for (uint32_t i = 0; i < KEYS; i++) {
		uint64_t word = ks_rand_at(1, KS_STREAM_TEST, 5, i);
		bool again = i && word % 20 == 0;
		key[i] = again ? key[(word >> 32) % i] : kind->key(i, word >> 8);
		lane[i] = (uint32_t)(word >> 6) % LANES;
		failed |= ks_repeats_add(&r, key[i], i, lane[i]) && ks_repeats_flush(&r);
	}
	failed |= ks_repeats_flush(&r);
	CU_ASSERT_EQUAL(failed, 0);
	for (int s = 0; s < KS_NSCOPES; s++) {
		if (!groups[s])
			continue;
		struct found f = look_at_all(key, lane, group[s]);
		bool same = f.count == r.count[s] && f.witness[0] == r.witness[s][0] && f.witness[1] == r.witness[s][1];
		if (!same)
			printf("%s, batches of %zu, scope %d: %llu, should be %llu\n", kind->name, batch, s, (unsigned long long)r.count[s],
			       (unsigned long long)f.count);
		CU_ASSERT(same && f.count > 0);
	}
	ks_repeats_release(&r);
}

static void all_kinds(void)
{
	for (const struct kind *k = kinds; k->name; k++) {
		one(k, 5);
		one(k, 1024);
		one(k, KEYS + 1);
	}
}

/* What is smaller than a forgotten one might repeat it. */
static void too_far_back(void)
{
	static const uint32_t fleet[1] = {0};
	const uint32_t *const group[KS_NSCOPES] = {NULL, NULL, NULL, fleet};
	const uint32_t groups[KS_NSCOPES] = {0, 0, 0, 1};
	struct ks_repeats r;
	int failed = ks_repeats_init(&r, group, groups, 4, 8);
	CU_ASSERT_EQUAL_FATAL(failed, 0);
	for (uint32_t i = 0; i < 32; i++)
		failed |= ks_repeats_add(&r, (struct ks_key){.lo = 100 + i}, i, 0) && ks_repeats_flush(&r);
	CU_ASSERT_EQUAL(failed, 0);
	ks_repeats_add(&r, (struct ks_key){.lo = 100}, 32, 0);
	CU_ASSERT_EQUAL(ks_repeats_flush(&r), -1);
	ks_repeats_release(&r);
}

int main(void)
{
	static const struct ks_test tests[] = {{"all kinds", all_kinds}, {"too far back", too_far_back}, {0}};
	return ks_test_main("repeats", tests);
}
