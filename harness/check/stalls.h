/* Counts of stalls, exact: most are few ns and one of a few values, so a table of counts holds what records would. */
#ifndef KS_STALLS_H
#define KS_STALLS_H

#include "ks_check.h"

#define KS_STALLS_LOW 65536

struct ks_stall_count {
	int64_t value_ns;
	uint64_t n; /* 0: free */
};

struct ks_stalls {
	uint64_t *low; /* of 0 .. KS_STALLS_LOW - 1 ns */
	struct ks_stall_count *high; /* of all others: open addressing */
	size_t nhigh, cap;
	uint64_t n;
};

/* @return 0, or -1 out of memory. */
int ks_stalls_init(struct ks_stalls *s);
void ks_stalls_release(struct ks_stalls *s);
int ks_stalls_add_high(struct ks_stalls *s, int64_t value_ns);
static inline int ks_stalls_add(struct ks_stalls *s, int64_t value_ns)
{
	s->n++;
	if (__builtin_expect((uint64_t)value_ns >= KS_STALLS_LOW, 0))
		return ks_stalls_add_high(s, value_ns);
	s->low[value_ns]++;
	return 0;
}
/* Fills the three metrics of stalls, when there were any; nothing can be added after it. */
void ks_stalls_metrics(struct ks_stalls *s, struct ks_metrics *m);

#endif
