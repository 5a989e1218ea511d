#include "law.h"

#include <math.h>
#include <stdbool.h>

#include "ks_mem.h"

/* @return the probabilities of a Poisson count, up to where they are nothing (below 1e-20), or NULL. */
static double *poisson(double mean, size_t *n)
{
	if (!(mean >= 0 && mean <= KS_LAW_MEAN_MAX))
		return NULL;
	*n = (size_t)(mean + 12 * sqrt(mean) + 40);
	double *p = ks_alloc(*n, sizeof *p);
	for (size_t k = 0; p && k < *n; k++)
		p[k] = mean > 0 ? exp((double)k * log(mean) - mean - lgamma((double)k + 1)) : k == 0;
	return p;
}

static struct ks_part *add(struct ks_sum *s, double *p, size_t n, double count)
{
	if (s->n == s->cap && s->cap < KS_LAW_PARTS_MAX) {
		size_t cap = s->cap ? 2 * s->cap : 16;
		struct ks_part *v = ks_grow(s->v, s->cap, cap, sizeof *v);
		if (v) {
			s->v = v;
			s->cap = cap;
		}
	}
	if (s->n == s->cap) {
		ks_free(p);
		return NULL;
	}
	s->v[s->n] = (struct ks_part){.count = count, .p = p, .n = n};
	return &s->v[s->n++];
}

int ks_sum_poisson(struct ks_sum *s, double mean, double count)
{
	struct ks_part *part = mean >= 0 && mean < 1e15 ? add(s, NULL, 0, count) : NULL;
	if (part)
		part->mean = mean;
	return part ? 0 : -1;
}

#define NEVER_EMPTY 64.0 /* a Poisson count of this mean is 0 with a probability of 1e-28 */

int ks_sum_excess(struct ks_sum *s, double mean, double count)
{
	size_t n = 0;
	if (mean > NEVER_EMPTY) {
		if (ks_sum_poisson(s, mean, count))
			return -1;
		s->v[s->n - 1].shift = -1;
		return 0;
	}
	double *p = poisson(mean, &n);
	struct ks_part *part = p ? add(s, p, n, count) : NULL;
	if (!part)
		return -1;
	part->p[0] += part->p[1];
	for (size_t k = 1; k + 1 < n; k++)
		part->p[k] = part->p[k + 1];
	part->n--;
	return 0;
}

/* One ball after another: with d repeats among i balls, i - d boxes have one. What lies far above the mean is nothing. */
int ks_sum_repeats(struct ks_sum *s, uint64_t balls, double boxes, double count)
{
	if (boxes == 1 && balls) {
		struct ks_part *sure = balls < KS_LAW_BALLS_MAX * 1024.0 ? add(s, NULL, 0, count) : NULL;
		if (sure)
			sure->shift = (double)balls - 1;
		return sure ? 0 : -1;
	}
	if (balls > KS_LAW_BALLS_MAX || boxes < 1)
		return -1;
	double mean = (double)balls + boxes * expm1((double)balls * log1p(-1 / boxes));
	size_t n = (size_t)(mean + 12 * sqrt(mean) + 40);
	n = n < balls + 1 ? n : balls + 1;
	if ((double)n * (double)balls > 1e8)
		return -1;
	double *p = ks_alloc(n, sizeof *p);
	if (!p)
		return -1;
	p[0] = 1;
	for (uint64_t i = 1; i < balls; i++)
		for (size_t d = n < i + 1 ? n : i + 1; d-- > 0;) {
			double taken = (double)(i - d) / boxes, less = d ? (double)(i - d + 1) / boxes : 0;
			p[d] = p[d] * (1 - fmin(taken, 1)) + (d ? p[d - 1] * fmin(less, 1) : 0);
		}
	return add(s, p, n, count) ? 0 : -1;
}

int ks_sum_chance(struct ks_sum *s, double p, double count)
{
	double *v = p >= 0 && p <= 1 ? ks_alloc(2, sizeof *v) : NULL;
	if (!v)
		return -1;
	v[0] = 1 - p;
	v[1] = p;
	return add(s, v, 2, count) ? 0 : -1;
}

int ks_sum_constant(struct ks_sum *s, double value)
{
	struct ks_part *part = add(s, NULL, 0, 1);
	if (part)
		part->shift = value;
	return part ? 0 : -1;
}

int ks_sum_lesser(struct ks_sum *s, double mean_a, double mean_b, double count)
{
	size_t na = 0, nb = 0;
	double *a = poisson(mean_a, &na), *b = poisson(mean_b, &nb);
	size_t n = na < nb ? na : nb;
	double tail_a = 0, tail_b = 0; /* P(K > k), P(L > k) */
	for (size_t k = n; a && k < na; k++)
		tail_a += a[k];
	for (size_t k = n; b && k < nb; k++)
		tail_b += b[k];
	for (size_t k = n; a && b && k-- > 0;) {
		double own_a = a[k];
		a[k] = own_a * (b[k] + tail_b) + tail_a * b[k];
		tail_a += own_a;
		tail_b += b[k];
	}
	bool both = a && b;
	ks_free(b);
	if (!both)
		ks_free(a);
	return both && add(s, a, n, count) ? 0 : -1;
}

void ks_sum_release(struct ks_sum *s)
{
	for (size_t i = 0; i < s->n; i++)
		ks_free(s->v[i].p);
	ks_free(s->v);
	*s = (struct ks_sum){0};
}

void ks_sum_moments(const struct ks_sum *s, double *mean, double *variance)
{
	*mean = *variance = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct ks_part *part = &s->v[i];
		double m = part->mean, m2 = part->mean + part->mean * part->mean;
		if (part->p)
			m = m2 = 0;
		for (size_t k = part->n; k-- > 0;) {
			m += (double)k * part->p[k];
			m2 += (double)k * (double)k * part->p[k];
		}
		*mean += part->count * (m + part->shift);
		*variance += part->count * (m2 - m * m);
	}
}

/* log E exp(theta X) of one copy, as log(1 + sum of p[k] (x^k - 1)) with x = e^theta, so that rare events are not lost beside
 * 1. x^k - 1 follows from the one before. */
static double cumulant(const struct ks_part *part, double theta)
{
	double more = expm1(theta), x = exp(theta), grown = more, sum = 0;
	if (!part->p)
		return part->mean * more + part->shift * theta;
	for (size_t k = 1; k < part->n; k++) {
		sum += part->p[k] > 0 ? part->p[k] * grown : 0;
		grown = grown * x + more;
	}
	return log1p(sum) + part->shift * theta;
}

/* The same of the sum; may be infinite. */
static double cumulants(const struct ks_sum *s, double theta)
{
	double sum = 0;
	for (size_t i = 0; i < s->n; i++)
		sum += s->v[i].count * cumulant(&s->v[i], theta);
	return sum;
}

#define LOG_SIDE 21.416413017506358 /* ln 2e9: a side has 5e-10 */

/* P(X >= x) <= exp(K(theta) - theta x) for every theta > 0, so it is small enough from (K(theta) + LOG_SIDE) / theta
 * on; for x on the other side with -theta and the signs turned. */
static double limit(const struct ks_sum *s, double log_theta, int side)
{
	double theta = exp(log_theta);
	return (cumulants(s, side * theta) + LOG_SIDE) / theta;
}

/* The best theta: the limit has one minimum. */
static double best_limit(const struct ks_sum *s, int side)
{
	double low = log(1e-8), high = log(60), best = limit(s, low, side);
	for (int i = 0; i < 120; i++) {
		double a = low + (high - low) / 3, b = high - (high - low) / 3;
		double at_a = limit(s, a, side), at_b = limit(s, b, side);
		best = fmin(best, fmin(at_a, at_b));
		if (at_a <= at_b)
			high = b;
		else
			low = a;
	}
	return best;
}

void ks_sum_interval(const struct ks_sum *s, int64_t *low, int64_t *high)
{
	double below = -best_limit(s, -1), above = best_limit(s, 1);
	*low = below < 0 ? 0 : (int64_t)floor(below) + 1;
	*high = (int64_t)ceil(above) - 1;
}
