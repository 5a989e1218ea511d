/* Laws of counts: a sum of many independent small counts, each known by its probabilities. Private to this folder. */
#ifndef KS_LAW_H
#define KS_LAW_H

#include <stddef.h>
#include <stdint.h>

#define KS_LAW_PARTS_MAX 4096
#define KS_LAW_MEAN_MAX 2000.0       /* of one count of ks_sum_lesser */
#define KS_LAW_BALLS_MAX (1u << 20)  /* of one ks_sum_repeats */

/* `count` independent copies of a number: k with probability p[k], or, without p, a Poisson count of that mean. Each copy is
 * `shift` more than that. */
struct ks_part {
	double count;
	double *p;
	size_t n;
	double mean, shift;
};

struct ks_sum {
	struct ks_part *v;
	size_t n, cap;
};

/* Each adds count copies; K and L are Poisson counts. @return 0, or -1: out of memory, more than KS_LAW_PARTS_MAX parts, an
 * argument beyond its bound. */
int ks_sum_poisson(struct ks_sum *s, double mean, double count);                 /* K */
int ks_sum_excess(struct ks_sum *s, double mean, double count);                  /* K - 1 where K > 0, else 0 */
int ks_sum_lesser(struct ks_sum *s, double mean_a, double mean_b, double count); /* min(K, L) */
/* How many of `balls` balls fall into a box that has one, each box of `boxes` equally likely: n - distinct of keys that are drawn. */
int ks_sum_repeats(struct ks_sum *s, uint64_t balls, double boxes, double count);
int ks_sum_chance(struct ks_sum *s, double p, double count);                    /* 1 with probability p, else 0 */
int ks_sum_constant(struct ks_sum *s, double value);
void ks_sum_release(struct ks_sum *s);

void ks_sum_moments(const struct ks_sum *s, double *mean, double *variance);
/* A sum is in [low, high] with probability 1 - 1e-9 at least (Chernoff's bound, 5e-10 a side). */
void ks_sum_interval(const struct ks_sum *s, int64_t *low, int64_t *high);

#endif
