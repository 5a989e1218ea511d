/* Two samples of one metric, over the seeds of a base and of a new run: how far apart, and is it more than their spread? */
#ifndef KS_SAMPLE_H
#define KS_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ks_sample {
	int64_t *v; /* sorted ascending by ks_sample_sort */
	size_t n;
};

/* Lower median: a value of the sample. n > 0. */
int64_t ks_sample_median(const struct ks_sample *s);
/* The distribution-free interval of the median of at least 95 % from order statistics (David and Nagaraja, Order
 * Statistics, 7.1); of fewer than 6 values there is none, and low and high are the extremes. n > 0. */
void ks_sample_interval(const struct ks_sample *s, int64_t *low, int64_t *high);
void ks_sample_sort(struct ks_sample *s);

/* Cliff's delta: P(b > a) - P(b < a), in [-1, 1]. Positive: b is larger. */
double ks_cliff_delta(const struct ks_sample *a, const struct ks_sample *b);
/* Two-sided p of the Mann-Whitney test: exact, ties by midranks, up to KS_EXACT_MAX values in all; beyond that the normal
 * approximation with the correction for ties. */
#define KS_EXACT_MAX 60
double ks_mann_whitney(const struct ks_sample *a, const struct ks_sample *b);
/* Two-sided p that two counts come from one rate per call: given their sum, the second is binomial (Przyborowski and
 * Wilenski 1940). Counts of one fault come in clusters, so this is a lower bound of p. calls > 0. */
double ks_counts_test(uint64_t count_a, uint64_t calls_a, uint64_t count_b, uint64_t calls_b);

#endif
