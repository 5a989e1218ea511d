/* From counts to a verdict: shared by the checkers of kept records and of passing ones. Private to this folder. */
#ifndef KS_JUDGE_H
#define KS_JUDGE_H

#include "ks_check.h"

/* What there is to judge. */
struct ks_counts {
	uint64_t calls, keys, exposed_keys, with_time, with_cause;
	bool times_unknown;
};

/* Fills verdict, reason and bound of j, whose count and exposed stand. */
void ks_decide(const struct ks_evidence *e, const struct ks_counts *c, struct ks_judgement *j);

#endif
