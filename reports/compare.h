/* What the writers of a comparison share. Private to this folder. */
#ifndef KS_COMPARE_INTERNAL_H
#define KS_COMPARE_INTERNAL_H

#include "ks_compare.h"
#include "report.h"

struct ks_cmp {
	const json_t *result, *costs;
	struct ks_rp_blocks blocks; /* a scenario x world x value of a sweep each */
	const char **generator;     /* in the order of first appearance */
	size_t n;
};
int ks_cmp_init(struct ks_cmp *c, const json_t *result, const json_t *costs, struct ks_err *err);
void ks_cmp_release(struct ks_cmp *c);

/* The cell of a generator in a block, or NULL. */
const struct ks_rp_cell *ks_cmp_cell(const struct ks_rp_block *block, const char *generator);

/* What each generator is like: a row of texts. */
enum { KS_CMP_KEY, KS_CMP_SORTS, KS_CMP_TIME, KS_CMP_NEEDS, KS_CMP_COST, KS_CMP_TRAITS };
extern const char *const ks_cmp_traits[KS_CMP_TRAITS];
#define KS_CMP_TEXT 160
void ks_cmp_trait(const struct ks_cmp *c, const char *generator, int trait, char text[KS_CMP_TEXT]);

/* "kept, 119 refused", "broken: unique@node; 120 duplicates": the worst of the seeds, numbers as medians. */
void ks_cmp_outcome(const struct ks_rp_cell *cell, char *text, size_t size);
/* "ntp-step-back, faults.back.step=-10ms (sim)". */
void ks_cmp_block_name(const struct ks_rp_block *block, char *text, size_t size);

/* compare_plots.c */
int ks_cmp_plots(const struct ks_cmp *c, const char *dir, struct ks_err *err);

#endif
