/* What holds: scenarios by generators. The table scrolls in a box of its own, below its heads and beside its first column; families of
 * generators and kinds of scenarios stand together. The page's script filters and sorts it by what rows, heads and links are marked with. */
#include "html.h"

#include <stdlib.h>
#include <string.h>

#include "compare.h"

/* More generators than this have their names written upwards; more than that take the window's whole width; more rows than this are
 * one line each. */
#define HEADS_ACROSS 7
#define HEADS_OF_TEXT 18
#define ROWS_FOLDED 12

static size_t family_len(const char *generator)
{
	return strcspn(generator, ":");
}

static bool same_family(const char *a, const char *b)
{
	return family_len(a) == family_len(b) && !strncmp(a, b, family_len(a));
}

void ks_html_families(const char **v, size_t n)
{
	for (size_t i = 1; i < n; i++) { /* behind the last of its family, if there is one */
		size_t to = i;
		const char *name = v[i];
		while (to > 0 && !same_family(v[to - 1], name))
			to--;
		if (!to)
			continue;
		memmove(&v[to + 1], &v[to], (i - to) * sizeof(*v));
		v[to] = name;
	}
}

/* ---- a cell ---- */

static void put_entry(FILE *out, const struct ks_rp_block *b, const struct ks_rp_cell *cell)
{
	struct ks_rp_sum sum = ks_rp_sum(cell);
	char outcome[400];
	ks_cmp_outcome(cell, outcome, sizeof(outcome));
	fprintf(out, "<a class=\"chip %c%s\" href=\"#", sum.letter, sum.expected ? "" : " surprise");
	ks_html_anchor(out, sum.run);
	fputs("\" title=\"", out);
	ks_html_put(out, cell->generator);
	fputs(", ", out);
	ks_html_put(out, b->scenario);
	fprintf(out, ", %s: ", b->world);
	ks_html_put(out, outcome);
	if (cell->n > 1)
		fprintf(out, "; %zu of %zu seeds", sum.share, cell->n);
	fprintf(out, "%s\">%c</a>", sum.expected ? "" : "; not as expected", sum.letter);
	if (sum.share < cell->n)
		fprintf(out, "<small>%zu/%zu</small>", sum.share, cell->n);
}

/* ---- rows ---- */

static const char *kind_of(const struct ks_rp_block *b)
{
	const json_t *run = b->cell[0].run[0];
	const char *tag = json_string_value(json_array_get(json_object_get(run, "tags"), 0));
	return ks_rp_true(run, "canary") ? "canary" : tag ? tag : "";
}

static void put_row(const struct ks_html_page *p, const struct ks_rp_block *b, bool worlds)
{
	FILE *out = p->out;
	fputs("<tr data-s=\"", out);
	ks_html_put(out, b->scenario);
	fputs("\" data-w=\"", out);
	ks_html_put(out, b->world);
	fputs("\"><th scope=row>", out);
	ks_html_put(out, b->scenario);
	if (worlds) {
		fputs("<span class=world>", out);
		ks_html_put(out, b->world);
		fputs("</span>", out);
	}
	fputs("<span class=about title=\"", out);
	ks_html_put(out, b->about);
	fputs("\">", out);
	ks_html_put(out, b->about);
	fputs("</span></th>", out);
	for (size_t g = 0; g < p->ngenerators; g++) {
		const struct ks_rp_cell *cell = ks_cmp_cell(b, p->generators[g]);
		bool first = g && !same_family(p->generators[g], p->generators[g - 1]);
		fputs(first ? "<td class=f>" : "<td>", out);
		if (cell)
			put_entry(out, b, cell);
	}
	fputs("</tr>\n", out);
}

/* Rows of one kind stand together, kinds in the order of first appearance. */
static void put_rows(const struct ks_html_page *p, bool worlds)
{
	bool *done = calloc(p->blocks.n + 1, sizeof(*done));
	for (size_t i = 0; done && i < p->blocks.n; i++) {
		const char *kind = kind_of(&p->blocks.v[i]);
		if (done[i])
			continue;
		if (*kind) {
			fprintf(p->out, "<tr class=kind><th colspan=%zu scope=rowgroup><span>", p->ngenerators + 1);
			ks_html_put(p->out, kind);
			fputs("</span></th></tr>\n", p->out);
		}
		for (size_t k = i; k < p->blocks.n; k++) {
			if (done[k] || strcmp(kind_of(&p->blocks.v[k]), kind))
				continue;
			put_row(p, &p->blocks.v[k], worlds);
			done[k] = true;
		}
	}
	free(done);
}

/* ---- heads, legend, filter ---- */

static void put_heads(const struct ks_html_page *p)
{
	fputs("<thead><tr><th><span class=soft>scenario</span></th>", p->out);
	for (size_t g = 0; g < p->ngenerators; g++) {
		const char *name = p->generators[g];
		size_t len = family_len(name);
		bool first = !g || !same_family(name, p->generators[g - 1]);
		fprintf(p->out, "<th scope=col%s data-g=\"", g && first ? " class=f" : "");
		ks_html_put(p->out, name);
		fputs("\" title=\"", p->out);
		ks_html_put(p->out, name);
		fputs("\"><button type=button>", p->out);
		fputs(first ? "" : "<span class=again>", p->out);
		ks_rp_putn(p->out, KS_RP_XML, name, len);
		fputs(first ? "" : "</span>", p->out);
		ks_html_put(p->out, name + len);
		fputs("</button></th>", p->out);
	}
	fputs("</tr></thead>\n", p->out);
}

static void put_legend(FILE *out)
{
	static const struct {
		char letter;
		bool expected;
		const char *text;
	} entries[] = {{'K', true, "every tested claim kept"},
	               {'B', true, "a claim broken"},
	               {'U', true, "untested"},
	               {'F', true, "could not be judged"},
	               {'B', false, "framed: not as expected"}};
	fputs("<p class=legend>", out);
	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
		fputs("<span>", out);
		ks_html_chip(out, entries[i].letter, entries[i].expected);
		fprintf(out, "%s</span>", entries[i].text);
	}
	fputs("<span>2/3: so many of the seeds</span></p>\n", out);
}

/* Its lists are filled by the script, without which it does not show. It serves the matrix and the list of runs. */
static void put_filter(FILE *out)
{
	fputs("<form class=filter id=filter role=search aria-label=\"Show part of the matrix and of the runs\">\n"
	      "<input type=search id=find placeholder=\"words (press /)\" aria-label=\"Words that a run's scenario, generator, world or faults have\">\n"
	      "<label>scenario <select id=by-s><option value=\"\">all</option></select></label>\n"
	      "<label>generator <select id=by-g><option value=\"\">all</option></select></label>\n"
	      "<label>world <select id=by-w><option value=\"\">all</option></select></label>\n"
	      "<label>verdict <select id=by-v><option value=\"\">all</option><option value=\"!\">not as expected</option><option value=K>kept</option>"
	      "<option value=B>broken</option><option value=U>untested</option><option value=F>could not be judged</option></select></label>\n"
	      "<label>sort <select id=sort><option value=\"\">as it ran</option><option value=name>by name</option>"
	      "<option value=worst>worst first</option></select></label>\n"
	      "<button type=reset>all</button><span class=soft id=shown aria-live=polite></span>\n</form>\n", out);
}

void ks_html_matrix(const struct ks_html_page *p)
{
	bool worlds = false;
	for (size_t i = 1; i < p->blocks.n; i++)
		worlds |= strcmp(p->blocks.v[i].world, p->blocks.v[0].world) != 0;
	fputs("<section id=matrix>\n<h2>What holds</h2>\n", p->out);
	put_legend(p->out);
	if (json_array_size(p->runs) > 1)
		put_filter(p->out);
	fprintf(p->out, "<div class=\"box%s%s%s\" tabindex=0 role=region aria-label=\"Scenarios by generators\"><table>\n",
	        p->ngenerators > HEADS_ACROSS ? " many" : "", p->ngenerators > HEADS_OF_TEXT ? " vast" : "",
	        p->blocks.n > ROWS_FOLDED ? " folded" : "");
	put_heads(p);
	fputs("<tbody>\n", p->out);
	put_rows(p, worlds);
	fputs("</tbody>\n</table></div>\n<p class=\"soft keys\">Keys: / searches, arrows move in the matrix and in the list of runs, Enter opens, "
	      "Esc shows all. The name of a generator sorts by its verdicts.</p>\n</section>\n", p->out);
}
