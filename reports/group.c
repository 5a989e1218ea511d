/* Which runs stand together: one scenario in one world, a cell a generator, seeds side by side. */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Values of --sweep may not show in what a run is about. */
static bool same_sweep(const json_t *a, const json_t *b)
{
	return (!a && !b) || (a && b && json_equal(a, b));
}

static struct ks_rp_block *block_of(struct ks_rp_blocks *b, const json_t *run)
{
	const json_t *sweep = json_object_get(run, "sweep");
	const char *scenario = ks_rp_str(run, "scenario"), *about = ks_rp_str(run, "about"), *world = ks_rp_str(run, "world");
	for (size_t i = b->n; i-- > 0;)
		if (!strcmp(b->v[i].scenario, scenario) && !strcmp(b->v[i].world, world) && !strcmp(b->v[i].about, about) &&
		    same_sweep(b->v[i].sweep, sweep))
			return &b->v[i];
	struct ks_rp_block *v = reallocarray(b->v, b->n + 1, sizeof(*v));
	if (!v)
		return NULL;
	b->v = v;
	v[b->n] = (struct ks_rp_block){.scenario = scenario, .about = about, .world = world, .sweep = sweep};
	return &v[b->n++];
}

static struct ks_rp_cell *cell_of(struct ks_rp_block *b, const char *generator)
{
	for (size_t i = 0; i < b->n; i++)
		if (!strcmp(b->cell[i].generator, generator))
			return &b->cell[i];
	struct ks_rp_cell *v = reallocarray(b->cell, b->n + 1, sizeof(*v));
	if (!v)
		return NULL;
	b->cell = v;
	v[b->n] = (struct ks_rp_cell){.generator = generator};
	return &v[b->n++];
}

static int add_run(struct ks_rp_blocks *blocks, const json_t *run)
{
	struct ks_rp_block *block = block_of(blocks, run);
	struct ks_rp_cell *cell = block ? cell_of(block, ks_rp_str(run, "generator")) : NULL;
	if (!cell)
		return -1;
	/* Grown by doubling: the length is full when it is a power of two. */
	if (!(cell->n & (cell->n - 1))) {
		const json_t **v = reallocarray(cell->run, cell->n ? 2 * cell->n : 1, sizeof(*v));
		if (!v)
			return -1;
		cell->run = v;
	}
	cell->run[cell->n++] = run;
	return 0;
}

int ks_rp_group(const json_t *result, struct ks_rp_blocks *blocks)
{
	*blocks = (struct ks_rp_blocks){0};
	size_t i;
	json_t *run;
	json_array_foreach(json_object_get(result, "runs"), i, run) {
		if (add_run(blocks, run)) {
			ks_rp_blocks_release(blocks);
			return -1;
		}
	}
	return 0;
}

void ks_rp_blocks_release(struct ks_rp_blocks *blocks)
{
	for (size_t i = 0; i < blocks->n; i++) {
		for (size_t k = 0; k < blocks->v[i].n; k++)
			free(blocks->v[i].cell[k].run);
		free(blocks->v[i].cell);
	}
	free(blocks->v);
	*blocks = (struct ks_rp_blocks){0};
}

const char *ks_rp_seeds(char buf[KS_RP_NUMBER], const struct ks_rp_block *block)
{
	int64_t low = INT64_MAX, high = INT64_MIN;
	for (size_t i = 0; i < block->n; i++) {
		for (size_t k = 0; k < block->cell[i].n; k++) {
			int64_t seed = ks_rp_int(block->cell[i].run[k], "seed");
			low = seed < low ? seed : low;
			high = seed > high ? seed : high;
		}
	}
	if (low == high)
		snprintf(buf, KS_RP_NUMBER, "seed %" PRId64, low);
	else
		snprintf(buf, KS_RP_NUMBER, "seeds %" PRId64 "..%" PRId64, low, high);
	return buf;
}

long ks_rp_generators(const struct ks_rp_blocks *blocks, const char ***names)
{
	size_t n = 0;
	*names = NULL;
	for (size_t i = 0; i < blocks->n; i++) {
		for (size_t k = 0; k < blocks->v[i].n; k++) {
			const char *name = blocks->v[i].cell[k].generator;
			size_t at = 0;
			while (at < n && strcmp((*names)[at], name))
				at++;
			if (at < n)
				continue;
			const char **v = reallocarray(*names, n + 1, sizeof(*v));
			if (!v)
				return -1;
			*names = v;
			v[n++] = name;
		}
	}
	return (long)n;
}

struct ks_rp_sum ks_rp_sum(const struct ks_rp_cell *cell)
{
	static const char rank[] = "UKBF"; /* the worst is shown */
	const char *worst = rank;
	struct ks_rp_sum sum = {.expected = true};
	for (size_t i = 0; i < cell->n; i++) {
		const char *at = strchr(rank, ks_rp_letter(cell->run[i]));
		bool expected = ks_rp_expected(cell->run[i]);
		sum.share = at > worst ? 1 : sum.share + (at == worst);
		worst = at > worst ? at : worst;
		/* What a reader wants to see first: a surprise, else one of the worst. */
		if (!sum.run || (sum.expected && (!expected || (at == worst && sum.share == 1))))
			sum.run = cell->run[i];
		sum.expected &= expected;
	}
	sum.letter = *worst;
	return sum;
}
