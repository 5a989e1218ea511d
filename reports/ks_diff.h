/* Two results held against each other: what changed between a base and a new one.
 *
 * Runs that belong together are those of one scenario, generator and world, over their seeds. A difference is an object
 *
 *   kind      verdict | expectation | metric | damage | status | missing | new
 *   weight    regression | improvement | change
 *   scenario, generator, world, subject ("unique@fleet", "duplicates@node")
 *   base, new  what each said: "kept 3/3", or {median, low, high} with n
 *   effect    Cliff's delta, of metrics and damage; p, where a test says so; test its name
 *   reason    in words
 *
 * A regression is: a claim that breaks where it was kept, an expectation that is no longer met, a metric or damage that
 * grew beyond its spread (all of them are better when smaller), and coverage that fell: a run that is missing, no
 * longer tested, or could not be judged any more. A scenario that itself has changed is said so, as a change.
 *
 * Beyond its spread: in `sim`, where a seed gives one result for ever, when the values over the seeds of the two sides do not
 * overlap, or p < 0.01. In real worlds counts need p < 0.001 (pooled, exact), others at least 4 seeds a side and p < 0.01. */
#ifndef KS_DIFF_H
#define KS_DIFF_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* @return {"keyskew", "schema": 1, "kind": "diff", "summary": {regressions, improvements, changes, compared, missing, new},
 * "differences": [...]}, a new reference, or NULL when out of memory. Differences are in the order of the new result, missing
 * runs last. */
json_t *ks_diff(const json_t *base, const json_t *new);
/* Writers of it: a table a weight, regressions first; the last line counts. @return 0, or -1 out of memory. */
int ks_diff_text(const json_t *diff, FILE *out, bool colour, int width);
/* For a pull request. */
int ks_diff_markdown(const json_t *diff, FILE *out);

#endif
