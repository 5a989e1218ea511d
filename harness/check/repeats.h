/* Duplicates among keys that pass, in every scope at once. Private to this folder.
 *
 * Fresh keys are sorted a batch at a time and merged with the largest of those before; equal ones are neighbours then. A
 * key that is not larger than the largest forgotten one cannot be judged. */
#ifndef KS_REPEATS_H
#define KS_REPEATS_H

#include "ks_check.h"

struct ks_passed {
	struct ks_key key;
	uint32_t row, lane;
};

struct ks_repeats {
	struct ks_passed *kept, *fresh; /* kept: sorted by key and row */
	struct ks_passed *sorted; /* the fresh ones in order */
	uint16_t *digest;
	size_t nkept, nfresh, fresh_max, kept_max;
	struct ks_key forgotten; /* the largest one */
	bool has_forgotten;
	const uint32_t *group[KS_NSCOPES]; /* of each lane */
	uint64_t *stamp[KS_NSCOPES];       /* by group: the run of equal keys in which it was met last */
	uint32_t *first[KS_NSCOPES];       /* and its first row there */
	uint64_t run;
	uint64_t count[KS_NSCOPES];
	int64_t witness[KS_NSCOPES][2]; /* rows; -1: none */
};

/* groups: how many a scope has; 0: the scope is not looked at. @return 0, or -1 out of memory. Release it in any case. */
int ks_repeats_init(struct ks_repeats *r, const uint32_t *const group[KS_NSCOPES], const uint32_t groups[KS_NSCOPES], size_t fresh_max,
		    size_t kept_max);
void ks_repeats_release(struct ks_repeats *r);
/* Rows ascend. @return whether the batch is full: flush it. */
static inline bool ks_repeats_add(struct ks_repeats *r, struct ks_key key, uint32_t row, uint32_t lane)
{
	r->fresh[r->nfresh++] = (struct ks_passed){key, row, lane};
	return r->nfresh == r->fresh_max;
}
/* @return 0, or -1 when a key could not be judged. */
int ks_repeats_flush(struct ks_repeats *r);

#endif
