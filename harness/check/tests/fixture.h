/* Evidence by hand: a plan, a generator whose key may name a time, records added one by one. Also random ones. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ks_check.h"
#include "ks_mem.h"
#include "ks_rand.h"
#include "ks_test.h"

#define FIX_START INT64_C(1768471200000000000)
#define FIX_LANES 12
#define FIX_CALLS 4096

struct fixture {
	struct ks_plan plan;
	struct ks_plan_node node[4];
	struct ks_fault fault[4];
	uint32_t hit[4][4];
	struct ks_gen gen;
	struct ks_gen_spec spec;
	struct ks_record *call; /* FIX_CALLS of them, not yet among the records */
	size_t calls;
	struct ks_records records;
	struct ks_evidence e;
};

/* The key is the instant that it names: [lo, lo + hi) ns since the start; without hi it names none. */
static inline void fix_decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){.has_time = key.hi != 0,
				.embed_lo_unix_ns = FIX_START + (int64_t)key.lo,
				.embed_hi_unix_ns = FIX_START + (int64_t)(key.lo + key.hi)};
}

static inline char *fix_format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_decimal(buf, key);
}

static inline unsigned fix_clocks(const void *cfg)
{
	(void)cfg;
	return 1u << KS_REALTIME;
}

static inline void fix_init(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	f->plan = (struct ks_plan){.name = "hand made",
				   .start_unix_ns = FIX_START,
				   .duration_ns = 1000000,
				   .node = f->node,
				   .nodes = 3,
				   .processes = 2,
				   .threads = 2,
				   .fault = f->fault,
				   .load = {.rate = {1000, KS_SEC}}};
	f->gen = (struct ks_gen){.name = "fix",
				 .decode = fix_decode,
				 .format = fix_format,
				 .clocks = fix_clocks,
				 .compare = KS_COMPARE_NUMERIC};
	f->spec = (struct ks_gen_spec){.text = "fix", .gen = &f->gen};
	f->records.lanes = ks_alloc(FIX_LANES, sizeof *f->records.lanes);
	f->records.nlanes = FIX_LANES;
	f->call = ks_alloc(FIX_CALLS, sizeof *f->call);
	for (uint32_t i = 0; i < FIX_LANES; i++)
		f->records.lanes[i] = (struct ks_lane){i / 4, i / 2 % 2, 0, i % 2};
	f->e = (struct ks_evidence){.plan = &f->plan, .gen = &f->spec, .records = &f->records, .seed = 1};
}

/* A fault of a kind that exists, at an instant, on one node. */
static inline void fix_fault(struct fixture *f, const char *kind, int64_t at_ns, uint32_t node, int64_t amount)
{
	struct ks_fault *x = &f->fault[f->plan.faults];
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++)
		if (!strcmp(k->name, kind))
			x->kind = k;
	x->at_ns = at_ns;
	x->amount = amount;
	x->nodes = f->hit[f->plan.faults];
	x->nodes[0] = node;
	x->nnodes = 1;
	f->plan.faults++;
}

/* A call of a lane from call to ret, due when called. Times of one lane must not fall. @return the record, which
 * may be changed until fix_ready. */
static inline struct ks_record *fix_call(struct fixture *f, uint32_t lane, int64_t call_ns, int64_t return_ns,
					 struct ks_key key)
{
	uint32_t seq = 0;
	for (size_t i = 0; i < f->calls; i++)
		seq += f->call[i].lane == lane;
	CU_ASSERT_FATAL(f->calls < FIX_CALLS);
	struct ks_record *r = &f->call[f->calls++];
	*r = KS_RECORD_NONE;
	r->due_ns = r->call_ns = call_ns;
	r->return_ns = return_ns;
	r->key = key;
	r->lane = lane;
	r->seq = seq;
	return r;
}

static inline struct ks_record *fix_read(struct ks_record *r, int64_t read_ns, int64_t read_at_ns)
{
	r->read_ns = read_ns;
	r->read_at_ns = read_at_ns;
	r->clock = KS_REALTIME;
	return r;
}

/* For what can only be changed once the rows are known. */
#define FIX_CHANGE(records_, row_, change)                                                                             \
	do {                                                                                                           \
		struct ks_record r_ = ks_record_get(records_, row_);                                                   \
		r_.change;                                                                                             \
		CU_ASSERT_EQUAL_FATAL(ks_record_set(records_, row_, &r_), 0);                                          \
	} while (0)

static inline void fix_ready(struct fixture *f)
{
	struct ks_err err;
	for (size_t i = 0; i < f->calls; i++)
		CU_ASSERT_EQUAL_FATAL(ks_records_add(&f->records, &f->call[i]), 0);
	f->calls = 0;
	CU_ASSERT_EQUAL_FATAL(ks_records_sort(&f->records), 0);
	CU_ASSERT_EQUAL_FATAL(ks_evidence_init(&f->e, &err), 0);
}

static inline void fix_release(struct fixture *f)
{
	ks_evidence_release(&f->e);
	ks_records_release(&f->records);
	ks_free(f->call);
}

static inline struct ks_judgement fix_judge(struct fixture *f, enum ks_property property, enum ks_scope scope,
					    int64_t bound_ns)
{
	struct ks_judgement j;
	struct ks_err err;
	CU_ASSERT_EQUAL_FATAL(ks_judge(&f->e, (struct ks_claim_ref){property, scope, bound_ns}, &j, &err), 0);
	return j;
}

/* Random records: few lanes, short times and few keys, so that ties of every kind occur; some refused, some lost, some
 * caused by others, both words of keys in use. */
static inline void fix_random(struct fixture *f, uint64_t seed)
{
	struct ks_stream s;
	ks_stream_init(&s, seed, KS_STREAM_TEST, 7);
	fix_init(f);
	size_t n = (size_t)ks_rand_in(ks_stream_next(&s), 0, 40);
	int64_t keys = ks_rand_in(ks_stream_next(&s), 1, 60), time = ks_rand_in(ks_stream_next(&s), 1, 100);
	int64_t drift = ks_rand_in(ks_stream_next(&s), 0, 4), free_ns[FIX_LANES] = {0};
	uint32_t seq[FIX_LANES] = {0};
	bool done[FIX_LANES] = {0};
	for (size_t i = 0; i < n; i++) {
		uint32_t lane = (uint32_t)ks_rand_in(ks_stream_next(&s), 0, FIX_LANES - 1);
		if (done[lane])
			continue;
		struct ks_record *r = &(struct ks_record){0};
		*r = KS_RECORD_NONE;
		r->lane = lane;
		r->seq = seq[lane]++;
		r->due_ns = free_ns[lane] + ks_rand_in(ks_stream_next(&s), 0, time / 4);
		r->call_ns = r->due_ns + ks_rand_in(ks_stream_next(&s), 0, 3);
		r->return_ns = free_ns[lane] = r->call_ns + ks_rand_in(ks_stream_next(&s), 0, time / 4);
		int64_t what = ks_rand_in(ks_stream_next(&s), 0, 19);
		r->outcome = what == 0 ? KS_LOST : what == 1 ? KS_REFUSE : KS_KEY;
		done[lane] = what == 0;
		if (what == 0)
			r->return_ns = KS_NO_TIME;
		int64_t k = drift * r->call_ns + ks_rand_in(ks_stream_next(&s), 0, keys);
		if (r->outcome == KS_KEY)
			r->key = (struct ks_key){(uint64_t)k % 3, (uint64_t)k / 3};
		ks_records_add(&f->records, r);
	}
	ks_records_sort(&f->records);
	for (size_t i = 1; i < f->records.n; i++)
		if (ks_rand_in(ks_stream_next(&s), 0, 2) == 0)
			FIX_CHANGE(&f->records, i, parent = (uint32_t)ks_rand_in(ks_stream_next(&s), 0, (int64_t)i - 1));
	fix_ready(f);
}

/* The naive side: the definitions, word for word. */
static inline bool ref_together(const struct fixture *f, size_t a, size_t b, enum ks_scope scope)
{
	const struct ks_lane *x = &f->records.lanes[ks_record_get(&f->records, a).lane], *y = &f->records.lanes[ks_record_get(&f->records, b).lane];
	if (scope == KS_SCOPE_FLEET)
		return true;
	if (x->node != y->node)
		return false;
	if (scope == KS_SCOPE_NODE)
		return true;
	if (x->process != y->process || x->incarnation != y->incarnation)
		return false;
	return scope == KS_SCOPE_PROCESS || x->thread == y->thread;
}

static inline bool ref_key(const struct fixture *f, size_t i)
{
	return ks_record_get(&f->records, i).outcome == KS_KEY;
}

static inline int ref_cmp(const struct fixture *f, size_t a, size_t b)
{
	unsigned __int128 x = (unsigned __int128)ks_record_get(&f->records, a).key.hi << 64 | ks_record_get(&f->records, a).key.lo;
	unsigned __int128 y = (unsigned __int128)ks_record_get(&f->records, b).key.hi << 64 | ks_record_get(&f->records, b).key.lo;
	return x < y ? -1 : x > y;
}

#endif
