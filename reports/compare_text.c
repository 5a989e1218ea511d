/* A comparison on a terminal: no line is longer than it. */
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "ks_table.h"

#define GAP 2      /* between columns */
#define NAME_MAX_SHOWN 28 /* longer names stand on a line of their own */

static size_t longest_name(const struct ks_cmp *c)
{
	size_t most = 0;
	for (size_t i = 0; i < c->n; i++) {
		size_t len = strlen(c->generator[i]);
		most = len > most ? len : most;
	}
	return most;
}

/* ---- what generators are like: a table, or where that is too wide a sentence each ---- */

struct traits {
	char (*cell)[KS_CMP_TRAITS][KS_CMP_TEXT];
	size_t width[KS_CMP_TRAITS];
};

static int read_traits(const struct ks_cmp *c, struct traits *t)
{
	t->cell = calloc(c->n + 1, sizeof *t->cell);
	for (int k = 0; t->cell && k < KS_CMP_TRAITS; k++) {
		t->width[k] = strlen(ks_cmp_traits[k]);
		for (size_t i = 0; i < c->n; i++) {
			ks_cmp_trait(c, c->generator[i], k, t->cell[i][k]);
			size_t len = strlen(t->cell[i][k]);
			t->width[k] = len > t->width[k] ? len : t->width[k];
		}
	}
	return t->cell ? 0 : -1;
}

static void put_cells(const struct traits *t, FILE *out, const char *name, size_t name_width, const char *const cell[KS_CMP_TRAITS])
{
	fprintf(out, "%-*s", (int)name_width, name);
	for (int k = 0; k < KS_CMP_TRAITS; k++)
		fprintf(out, "%*s%-*s", GAP, "", k + 1 < KS_CMP_TRAITS ? (int)t->width[k] : 0, cell[k]);
	fputc('\n', out);
}

static void put_as_table(const struct ks_cmp *c, const struct traits *t, FILE *out, size_t name_width)
{
	put_cells(t, out, "", name_width, ks_cmp_traits);
	for (size_t i = 0; i < c->n; i++) {
		const char *cell[KS_CMP_TRAITS];
		for (int k = 0; k < KS_CMP_TRAITS; k++)
			cell[k] = t->cell[i][k];
		put_cells(t, out, c->generator[i], name_width, cell);
	}
}

static void put_as_sentences(const struct ks_cmp *c, const struct traits *t, FILE *out, size_t width)
{
	for (size_t i = 0; i < c->n; i++) {
		char text[KS_CMP_TRAITS * (KS_CMP_TEXT + 20)] = "";
		size_t n = 0;
		for (int k = 0; k < KS_CMP_TRAITS; k++)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s", n ? ", " : "", ks_cmp_traits[k], t->cell[i][k]);
		ks_put_folded(out, c->generator[i], 0, 0, width);
		ks_put_folded(out, text, 2, 2, width);
	}
}

static int put_traits(const struct ks_cmp *c, FILE *out, size_t width)
{
	struct traits t;
	size_t name = longest_name(c), sum = name;
	if (read_traits(c, &t))
		return -1;
	for (int k = 0; k < KS_CMP_TRAITS; k++)
		sum += t.width[k] + GAP;
	if (sum <= width)
		put_as_table(c, &t, out, name);
	else
		put_as_sentences(c, &t, out, width);
	free(t.cell);
	return 0;
}

/* ---- what came of them ---- */

static void put_outcome(const struct ks_rp_cell *cell, FILE *out, size_t name_width, size_t width)
{
	char text[400];
	size_t len = strlen(cell->generator), at = GAP + name_width + GAP;
	ks_cmp_outcome(cell, text, sizeof text);
	if (len > name_width) {
		ks_put_folded(out, cell->generator, GAP, GAP, width);
		fprintf(out, "%*s", (int)at, "");
	} else {
		fprintf(out, "%*s%-*s%*s", GAP, "", (int)name_width, cell->generator, GAP, "");
	}
	ks_put_folded(out, text, 0, at, width);
}

static void put_outcomes(const struct ks_cmp *c, FILE *out, size_t width)
{
	size_t longest = longest_name(c), most = width / 3 < NAME_MAX_SHOWN ? width / 3 : NAME_MAX_SHOWN;
	for (size_t i = 0; i < c->blocks.n; i++) {
		const struct ks_rp_block *b = &c->blocks.v[i];
		char name[300], text[800];
		ks_cmp_block_name(b, name, sizeof name);
		snprintf(text, sizeof text, "%s: %.480s", name, b->about);
		fputc('\n', out);
		ks_put_folded(out, text, 0, 4, width);
		for (size_t k = 0; k < b->n; k++)
			put_outcome(&b->cell[k], out, longest < most ? longest : most, width);
	}
}

int ks_compare_text(const json_t *result, const json_t *costs, FILE *out, bool colour, int width)
{
	struct ks_cmp c;
	struct ks_err err;
	(void)colour;
	int failed = ks_cmp_init(&c, result, costs, &err);
	if (!failed)
		failed = put_traits(&c, out, (size_t)width);
	if (!failed)
		put_outcomes(&c, out, (size_t)width);
	ks_cmp_release(&c);
	return failed || ferror(out) ? -1 : 0;
}
