/* A difference in words, for all who write one. Private to this folder. */
#ifndef KS_DIFF_INTERNAL_H
#define KS_DIFF_INTERNAL_H

#include "ks_diff.h"

/* Weights in the order in which they are shown, each with its heading. */
#define KS_DIFF_WEIGHTS 3
extern const struct ks_diff_weight {
	const char *weight, *heading;
} ks_diff_weights[KS_DIFF_WEIGHTS];

/* "120 (119..121)", or the words that are there. which: "base" or "new". */
void ks_diff_side(const json_t *difference, const char *which, char *buf, size_t size);
/* Why it is one. */
void ks_diff_note(const json_t *difference, char *buf, size_t size);
const char *ks_diff_subject(const json_t *difference);
/* "2 regressions, 1 improvement, 3 other changes; 125 scenario x generator x world compared" */
void ks_diff_closing(const json_t *diff, FILE *out);

#endif
