/* A metric over results, as a picture. */
#ifndef KS_TREND_H
#define KS_TREND_H

#include <jansson.h>

#include "ks_err.h"

/* Draws series ([{scenario, generator, world, points: [{time, low, median, high}]}]) into path, by its ending .svg or .png: a
 * line through the medians, a band from the lowest to the highest seed. At most KS_TREND_SERIES of them.
 * @return 0, or -1: KS_E_USAGE (ending, too many series, nothing to draw), KS_E_INTERNAL with gnuplot's words. */
#define KS_TREND_SERIES 8
int ks_report_trend(const json_t *series, const char *metric, const char *path, struct ks_err *err);

#endif
