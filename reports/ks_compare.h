/* Generators side by side, from one result: what an engineer who chooses one wants to paste into a design document. */
#ifndef KS_COMPARE_H
#define KS_COMPARE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "ks_err.h"

/* costs: {GENERATOR: ns a key}, or NULL; those that are not in it are not known.
 *
 * Two tables: what each generator is like (key length, how keys sort, how exactly they tell the time, what they need, ns a key),
 * and under each scenario (and each value of a sweep) which claims broke and what it cost. @return 0, or -1 out of memory. */
int ks_compare_text(const json_t *result, const json_t *costs, FILE *out, bool colour, int width);
/* Into folder dir, which exists: compare.md, compare.csv (a line a run), and each picture as .svg and .png:
 *
 *   waits-SCENARIO, lates-SCENARIO   share of calls that waited, of keys that came late, at least so long
 *   PATH-METRIC                      of a sweep: a metric against the value, lowest to highest seed, theory beside it
 *
 * Pictures without a point are left out. @return 0, or -1 with err. */
int ks_compare_write(const json_t *result, const json_t *costs, const char *dir, struct ks_err *err);

#endif
