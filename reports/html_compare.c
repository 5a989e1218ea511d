/* Generators side by side, and what reports of incidents claim beside what was measured. */
#include "html.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compare.h"

#define NAMED 4 /* scenarios in a cell; the others are counted */

/* ---- a generator a row ---- */

struct tally {
	size_t kept, broken, untested;
};

static struct tally tally_of(const struct ks_html_page *p, const char *generator)
{
	struct tally t = {0};
	for (size_t i = 0; i < p->blocks.n; i++) {
		const struct ks_rp_cell *cell = ks_cmp_cell(&p->blocks.v[i], generator);
		char letter = cell ? ks_rp_sum(cell).letter : 0;
		t.kept += letter == 'K';
		t.broken += letter == 'B';
		t.untested += letter == 'U' || letter == 'F';
	}
	return t;
}

/* Where its claims broke, each a link. */
static void put_broken_under(const struct ks_html_page *p, const char *generator)
{
	char name[400];
	size_t n = 0;
	for (size_t i = 0; i < p->blocks.n; i++) {
		const struct ks_rp_block *b = &p->blocks.v[i];
		const struct ks_rp_cell *cell = ks_cmp_cell(b, generator);
		struct ks_rp_sum sum = cell ? ks_rp_sum(cell) : (struct ks_rp_sum){0};
		if (!cell || sum.letter != 'B' || n++ >= NAMED)
			continue;
		fputs(n > 1 ? ", <a href=\"#" : "<a href=\"#", p->out);
		ks_html_anchor(p->out, sum.run);
		fputs("\">", p->out);
		ks_cmp_block_name(b, name, sizeof(name));
		ks_html_put(p->out, name);
		fputs("</a>", p->out);
	}
	if (n > NAMED)
		fprintf(p->out, " and %zu more", n - NAMED);
}

static void put_generator(const struct ks_html_page *p, const struct ks_cmp *c, const char *generator, bool costs)
{
	struct tally t = tally_of(p, generator);
	fputs("<tr><th scope=row>", p->out);
	ks_html_put(p->out, generator);
	fputs("</th>", p->out);
	for (int k = 0; k < KS_CMP_TRAITS; k++) {
		char text[KS_CMP_TEXT];
		if (k == KS_CMP_COST && !costs)
			continue;
		ks_cmp_trait(c, generator, k, text);
		fputs("<td>", p->out);
		ks_html_put(p->out, text);
	}
	fprintf(p->out, "<td>%zu<td>%zu<td>%zu<td>", t.kept, t.broken, t.untested);
	put_broken_under(p, generator);
	fputs("\n", p->out);
}

static void put_generators(const struct ks_html_page *p, const struct ks_cmp *c)
{
	bool costs = json_object_size(c->costs) > 0;
	fputs("<div class=wide><table><thead><tr><th>generator", p->out);
	for (int k = 0; k < KS_CMP_TRAITS; k++)
		if (k != KS_CMP_COST || costs)
			fprintf(p->out, "<th>%s", ks_cmp_traits[k]);
	fputs("<th>kept<th>broken<th>untested<th>claims broke under</thead><tbody>\n", p->out);
	for (size_t g = 0; g < p->ngenerators; g++)
		put_generator(p, c, p->generators[g], costs);
	fputs("</tbody></table></div>\n", p->out);
}

/* ---- of keyskew compare: what came of each, and its pictures ---- */

static void put_outcomes(const struct ks_html_page *p)
{
	fputs("<h3>What came of it</h3>\n<div class=wide><table><thead><tr><th>scenario", p->out);
	for (size_t g = 0; g < p->ngenerators; g++) {
		fputs("<th>", p->out);
		ks_html_put(p->out, p->generators[g]);
	}
	fputs("</thead><tbody>\n", p->out);
	for (size_t i = 0; i < p->blocks.n; i++) {
		char text[400];
		ks_cmp_block_name(&p->blocks.v[i], text, sizeof(text));
		fputs("<tr><th scope=row>", p->out);
		ks_html_put(p->out, text);
		fputs("</th>", p->out);
		for (size_t g = 0; g < p->ngenerators; g++) {
			const struct ks_rp_cell *cell = ks_cmp_cell(&p->blocks.v[i], p->generators[g]);
			fputs("<td>", p->out);
			if (cell)
				ks_cmp_outcome(cell, text, sizeof(text));
			ks_html_put(p->out, cell ? text : "");
		}
		fputs("\n", p->out);
	}
	fputs("</tbody></table></div>\n", p->out);
}

/* Those that keyskew compare has drawn into this folder; their names are made of plain characters. */
static int is_picture(const struct dirent *e)
{
	size_t len = strlen(e->d_name), plain = strspn(e->d_name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
	return len > 4 && plain == len && !strcmp(e->d_name + len - 4, ".svg") && strncmp(e->d_name, "trend-", 6);
}

static void put_pictures(const struct ks_html_page *p)
{
	struct dirent **v;
	int n = scandir(p->dir, &v, is_picture, alphasort);
	for (int i = 0; i < n; i++) {
		char path[4400];
		snprintf(path, sizeof(path), "%.4000s/%s", p->dir, v[i]->d_name);
		ks_html_image(p->images, p->out, path, v[i]->d_name, "generators side by side", true);
		free(v[i]);
	}
	if (n >= 0)
		free(v);
}

size_t ks_html_compare_bytes(const struct ks_html_page *p)
{
	struct dirent **v;
	size_t sum = 0;
	int n = p->comparison ? scandir(p->dir, &v, is_picture, alphasort) : -1;
	for (int i = 0; i < n; i++) {
		char path[4400];
		struct stat st;
		snprintf(path, sizeof(path), "%.4000s/%s", p->dir, v[i]->d_name);
		sum += stat(path, &st) ? 0 : (size_t)st.st_size;
		free(v[i]);
	}
	if (n >= 0)
		free(v);
	return sum;
}

void ks_html_compare(const struct ks_html_page *p)
{
	struct ks_cmp c = {.result = p->result, .costs = json_object_get(json_object_get(p->result, "host"), "ns_per_key"), .blocks = p->blocks,
	                   .generator = p->generators, .n = p->ngenerators};
	if (p->ngenerators < 2)
		return;
	fputs("<section id=compare>\n<h2>Generators side by side</h2>\n<p class=soft>Kept, broken, untested: scenarios by the worst of the generator's "
	      "claims under them. How keys sort, how exactly they tell the time: measured on the keys of these runs.</p>\n", p->out);
	put_generators(p, &c);
	if (p->comparison) {
		put_outcomes(p);
		put_pictures(p);
	}
	fputs("</section>\n", p->out);
}

/* ---- what was reported ---- */
static void put_measured(FILE *out, const json_t *run)
{
	struct ks_rp_text text;
	struct ks_err err;
	if (ks_rp_open(&text, &err))
		return;
	ks_rp_measured(text.f, run);
	if (!ks_rp_finish(&text, &err))
		ks_html_put(out, text.bytes);
	ks_rp_release(&text);
}

/* One claim of a report: the run that it is about, and what the first figure comes to with the other generators. */
static void put_reported_row(FILE *out, const struct ks_rp_block *block, const json_t *run)
{
	fputs("<tr><td><a href=\"#", out);
	ks_html_anchor(out, run);
	fputs("\">", out);
	ks_html_put(out, block->scenario);
	fputs("</a><span class=\"about\">", out);
	ks_html_put(out, ks_rp_str(run, "generator"));
	fputs("</span></td><td>", out);
	ks_html_put(out, ks_rp_str(json_object_get(run, "reported"), "what"));
	bool differs = false;
	size_t i;
	json_t *f;
	json_array_foreach(json_object_get(json_object_get(run, "reported"), "figures"), i, f)
		differs = differs || json_is_false(json_object_get(f, "met"));
	fputs(differs ? "</td><td><b>" : "</td><td>", out);
	put_measured(out, run);
	fputs(differs ? "</b></td><td class=\"soft\">" : "</td><td class=\"soft\">", out);
	bool any = false;
	for (size_t k = 0; k < block->n; k++) {
		const json_t *other = json_object_get(block->cell[k].run[0], "reported");
		const json_t *figure = json_array_get(json_object_get(other, "figures"), 0);
		char number[KS_RP_NUMBER];
		int64_t v;
		if (ks_rp_true(other, "of_this") || !ks_rp_integer(json_object_get(figure, "value"), &v))
			continue;
		fputs(any ? "; " : "", out);
		ks_html_put(out, block->cell[k].generator);
		fprintf(out, " %s", ks_rp_number(number, ks_rp_str(figure, "text"), v));
		any = true;
	}
	fputs("</td></tr>\n", out);
}

/* Of several seeds the first stands for all. */
void ks_html_reported(const struct ks_html_page *p)
{
	bool any = false;
	for (size_t i = 0; i < p->blocks.n; i++)
		for (size_t k = 0; k < p->blocks.v[i].n; k++) {
			const json_t *run = p->blocks.v[i].cell[k].run[0];
			if (!ks_rp_true(json_object_get(run, "reported"), "of_this"))
				continue;
			if (!any)
				fputs("<section>\n<h2>Reported and measured</h2>\n<div class=\"wide\"><table><thead><tr><th>incident</th><th>reported</th>"
				      "<th>measured</th><th>the same with</th></tr></thead><tbody>\n", p->out);
			any = true;
			put_reported_row(p->out, &p->blocks.v[i], run);
		}
	fputs(any ? "</tbody></table></div>\n</section>\n" : "", p->out);
}
