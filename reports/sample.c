#include "sample.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int cmp_i64(const void *pa, const void *pb)
{
	int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
	return (a > b) - (a < b);
}

void ks_sample_sort(struct ks_sample *s)
{
	qsort(s->v, s->n, sizeof *s->v, cmp_i64);
}

int64_t ks_sample_median(const struct ks_sample *s)
{
	return s->v[(s->n - 1) / 2];
}

void ks_sample_interval(const struct ks_sample *s, int64_t *low, int64_t *high)
{
	unsigned n = (unsigned)s->n, k = 0;
	/* v[k] .. v[n-1-k] covers the median with probability 1 - 2 P(Bin(n, 1/2) <= k) */
	while (2 * (k + 1) < n && 2 * gsl_cdf_binomial_P(k + 1, 0.5, n) <= 0.05)
		k++;
	*low = s->v[k];
	*high = s->v[n - 1 - k];
}

double ks_cliff_delta(const struct ks_sample *a, const struct ks_sample *b)
{
	double sum = 0;
	if (!a->n || !b->n)
		return 0;
	for (size_t i = 0; i < a->n; i++)
		for (size_t j = 0; j < b->n; j++)
			sum += (b->v[j] > a->v[i]) - (b->v[j] < a->v[i]);
	return sum / ((double)a->n * (double)b->n);
}

/* Twice the midrank of each value of both samples in their union; ties: sum of t^3 - t over groups of equal values. */
static void rank(const struct ks_sample *a, const struct ks_sample *b, unsigned *twice, double *ties)
{
	size_t i = 0, j = 0, n = 0;
	*ties = 0;
	while (i < a->n || j < b->n) {
		bool from_a = j == b->n || (i < a->n && a->v[i] <= b->v[j]);
		int64_t v = from_a ? a->v[i] : b->v[j];
		size_t ia = i, jb = j;
		while (i < a->n && a->v[i] == v)
			i++;
		while (j < b->n && b->v[j] == v)
			j++;
		size_t t = (i - ia) + (j - jb);
		for (size_t k = ia; k < i; k++)
			twice[k] = (unsigned)(2 * n + t + 1);
		for (size_t k = jb; k < j; k++)
			twice[a->n + k] = (unsigned)(2 * n + t + 1);
		*ties += (double)t * (double)t * (double)t - (double)t;
		n += t;
	}
}

/* Every way to choose a->n of the n ranks is equally likely: ways[k][s] counts those of k ranks with the (doubled) sum s. */
static double exact(const unsigned *twice, size_t na, size_t n)
{
	size_t total = n * (n + 1); /* of all doubled ranks */
	double *ways = calloc((na + 1) * (total + 1), sizeof *ways);
	double low = 0, high = 0, all = 0;
	size_t seen = 0;
	if (!ways)
		return 1;
	ways[0] = 1;
	for (size_t i = 0; i < na; i++)
		seen += twice[i];
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1 < na ? i + 1 : na; k > 0; k--)
			for (size_t s = twice[i]; s <= total; s++)
				ways[k * (total + 1) + s] += ways[(k - 1) * (total + 1) + s - twice[i]];
	for (size_t s = 0; s <= total; s++) {
		double w = ways[na * (total + 1) + s];
		all += w;
		low += s <= seen ? w : 0;
		high += s >= seen ? w : 0;
	}
	free(ways);
	return fmin(1, 2 * fmin(low, high) / all);
}

static double approximate(const unsigned *twice, size_t na, size_t n, double ties)
{
	double sum = 0, a = (double)na, b = (double)(n - na), all = (double)n;
	for (size_t i = 0; i < na; i++)
		sum += twice[i] / 2.0;
	double variance = a * b / 12 * (all + 1 - ties / (all * (all - 1)));
	double off = fabs(sum - a * (all + 1) / 2) - 0.5;
	return variance > 0 && off > 0 ? 2 * gsl_cdf_ugaussian_Q(off / sqrt(variance)) : 1;
}

double ks_mann_whitney(const struct ks_sample *a, const struct ks_sample *b)
{
	size_t n = a->n + b->n;
	double ties, p = 1;
	unsigned *twice = a->n && b->n ? calloc(n, sizeof *twice) : NULL;
	if (!twice)
		return 1;
	rank(a, b, twice, &ties);
	p = n <= KS_EXACT_MAX ? exact(twice, a->n, n) : approximate(twice, a->n, n, ties);
	free(twice);
	return p;
}

double ks_counts_test(uint64_t count_a, uint64_t calls_a, uint64_t count_b, uint64_t calls_b)
{
	double share = (double)calls_b / ((double)calls_a + (double)calls_b);
	if (!(count_a + count_b) || count_a + count_b > UINT32_MAX)
		return 1;
	unsigned n = (unsigned)(count_a + count_b), k = (unsigned)count_b;
	double low = gsl_cdf_binomial_P(k, share, n);
	double high = k ? gsl_cdf_binomial_Q(k - 1, share, n) : 1;
	return fmin(1, 2 * fmin(low, high));
}
