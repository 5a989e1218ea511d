/* The groups of a scope, and sorting of keys: shared by metrics and judgements. Private to this folder. */
#ifndef KS_GROUPS_H
#define KS_GROUPS_H

#include "ks_check.h"

struct ks_groups {
	uint32_t *of_lane; /* the group of each lane */
	uint32_t n;
	size_t *start;  /* n + 1 of them: group g has rows[start[g]] .. rows[start[g + 1] - 1] */
	uint32_t *rows; /* the rows with a key, in fleet order within a group */
};

/* @return 0, or -1 (KS_E_INTERNAL): out of memory. Release it in any case. */
int ks_groups_init(struct ks_groups *g, const struct ks_records *records, enum ks_scope scope, struct ks_err *err);
void ks_groups_release(struct ks_groups *g);

/* What one pass over a group finds. */
struct ks_disorder {
	int64_t duplicates, descents, below_max, displacement, late_ns_max;
};

/* Memory of that pass, reused from group to group. Zero it; release it with ks_scratch_release. */
struct ks_scratch {
	uint32_t *spine;     /* places in the group at which the running maximum grew */
	struct ks_key *late; /* all other keys */
	struct ks_key *spare;
	size_t cap;
};
void ks_scratch_release(struct ks_scratch *s);

/* @return 0, or -1 (KS_E_INTERNAL): out of memory. */
int ks_disorder(const struct ks_evidence *e, const uint32_t *row, size_t n, struct ks_scratch *s, struct ks_disorder *d,
		struct ks_err *err);

/* Pairs out of order; sorts the keys. spare: room for n; start: for n + 1. */
uint64_t ks_inversions(struct ks_key *keys, size_t n, struct ks_key *spare, uint32_t *start);
/* n less the longest non-decreasing subsequence. tail: room for n. */
uint64_t ks_rem(const struct ks_key *keys, size_t n, struct ks_key *tail);

/* Sorts ascending; spare has room for n too. */
void ks_keys_sort(struct ks_key *keys, struct ks_key *spare, size_t n);

#endif
