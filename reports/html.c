/* index.html: one self-contained page. First the count, then what is unexpected, then the matrix, then every run. */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Up to this many runs all sections are open; beyond it the surprises are, as many of them. */
#define OPEN_RUNS 4
#define OPEN_SURPRISES 12

struct page {
	FILE *out;
	const json_t *result, *runs;
	const char *dir;
	const char **generators;
	size_t ngenerators;
	struct ks_rp_blocks blocks;
};

static void put(FILE *out, const char *text)
{
	ks_rp_put(out, KS_RP_XML, text);
}

void ks_html_chip(FILE *out, char letter, bool expected)
{
	fprintf(out, "<span class=\"chip %c%s\" title=\"%s%s\">%c</span>", letter, expected ? "" : " surprise",
	        ks_rp_letter_word(letter), expected ? "" : ", not as expected", letter);
}

void ks_html_anchor(FILE *out, const json_t *run)
{
	fputs("run-", out);
	for (const char *p = ks_rp_str(run, "id"); *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') || strchr("-_", *p);
		if (plain)
			fputc(*p, out);
		else
			fprintf(out, ".%02x", (unsigned char)*p);
	}
}

static void put_head(const struct page *p)
{
	const json_t *s = json_object_get(p->result, "summary");
	FILE *out = p->out;
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
	      "script-src 'unsafe-inline'; img-src data: file: 'self'\">\n<title>", out);
	fprintf(out, "%" PRId64 " of %" PRId64 " as expected: ", ks_rp_int(s, "as_expected"), ks_rp_int(s, "runs"));
	put(out, ks_rp_str(p->result, "name"));
	fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", ks_rp_page_css);
}

/* Runs without a verdict, one line a reason. */
static void put_reasons(const struct page *p)
{
	size_t i, k, n = json_array_size(p->runs), lines = 0;
	json_t *run;
	json_array_foreach(p->runs, i, run) {
		const char *status = ks_rp_str(run, "status"), *reason = ks_rp_str(run, "reason");
		size_t same = 0;
		bool said = false;
		if (!strcmp(status, "judged"))
			continue;
		for (k = 0; k < n; k++) {
			const json_t *other = json_array_get(p->runs, k);
			bool equal = !strcmp(ks_rp_str(other, "reason"), reason) && !strcmp(ks_rp_str(other, "status"), status);
			said |= equal && k < i;
			same += equal;
		}
		if (said)
			continue;
		char count[KS_RP_NUMBER];
		fputs(lines++ ? "" : "<ul class=\"plain\">\n", p->out);
		fputs("<li>", p->out);
		ks_html_chip(p->out, ks_rp_letter(run), true);
		fprintf(p->out, " %s %s: ", ks_rp_count(count, (int64_t)same, "run", "runs"),
		        !strcmp(status, "failed") ? "could not be judged" : "untested");
		put(p->out, reason);
		fputs("</li>\n", p->out);
	}
	fputs(lines ? "</ul>\n" : "", p->out);
}

static void put_first(const struct page *p)
{
	const json_t *s = json_object_get(p->result, "summary");
	int64_t as = ks_rp_int(s, "as_expected"), runs = ks_rp_int(s, "runs"), unmet = ks_rp_int(s, "unmet");
	int64_t untested = ks_rp_int(s, "untested"), failed = ks_rp_int(s, "failed");
	int64_t missing = ks_rp_missing(p->result);
	char number[KS_RP_NUMBER];
	fprintf(p->out, "<h1%s>%" PRId64 " of %" PRId64 " as expected", as == runs && !missing ? "" : " class=\"surprise\"", as, runs);
	if (missing)
		fprintf(p->out, ", not finished: %s missing", ks_rp_count(number, missing, "run is", "runs are"));
	fputs("</h1>\n<p class=\"lead\"><b>", p->out);
	put(p->out, ks_rp_str(p->result, "name"));
	fprintf(p->out, "</b>: %" PRId64 " of %" PRId64 " expectations met", ks_rp_int(s, "met"), ks_rp_int(s, "expectations"));
	if (unmet)
		fprintf(p->out, ", %" PRId64 " unmet", unmet);
	if (untested)
		fprintf(p->out, ", %" PRId64 " untested", untested);
	if (failed)
		fprintf(p->out, "; %" PRId64 " %s could not be judged", failed, failed == 1 ? "run" : "runs");
	fputs(".</p>\n", p->out);
	put_reasons(p);
}

static void put_run_link(FILE *out, const json_t *run)
{
	fputs("<a href=\"#", out);
	ks_html_anchor(out, run);
	fputs("\"><b>", out);
	put(out, ks_rp_str(run, "scenario"));
	fputs("</b> · ", out);
	put(out, ks_rp_str(run, "generator"));
	fputs(" · ", out);
	put(out, ks_rp_str(run, "world"));
	fprintf(out, " · seed %" PRId64 "</a>", ks_rp_int(run, "seed"));
}

static void put_trouble(void *to, const char *text)
{
	fputs("<li>", to);
	put(to, text);
	fputs("</li>\n", to);
}

static void put_surprises(const struct page *p)
{
	size_t i, n = 0;
	json_t *run;
	json_array_foreach(p->runs, i, run) {
		if (ks_rp_expected(run))
			continue;
		fputs(n++ ? "" : "<section>\n<h2>Not as expected</h2>\n", p->out);
		fputs("<div class=\"alarm\">\n", p->out);
		ks_html_chip(p->out, ks_rp_letter(run), false);
		fputs("&ensp;", p->out);
		put_run_link(p->out, run);
		fputs("\n<ul>\n", p->out);
		ks_rp_unexpected(run, KS_RP_ALL, put_trouble, p->out);
		fputs("</ul>\n<pre>", p->out);
		put(p->out, ks_rp_str(run, "reproduce"));
		fputs("</pre>\n</div>\n", p->out);
	}
	fputs(n ? "</section>\n" : "", p->out);
}

/* ---- the matrix ---- */

static bool same_row(const struct ks_rp_block *a, const struct ks_rp_block *b)
{
	return !strcmp(a->scenario, b->scenario) && !strcmp(a->about, b->about);
}

static void put_matrix_entry(const struct page *p, const struct ks_rp_block *b, const struct ks_rp_cell *cell, bool worlds)
{
	struct ks_rp_sum sum = ks_rp_sum(cell);
	fputs("<a href=\"#", p->out);
	ks_html_anchor(p->out, sum.run);
	fputs("\">", p->out);
	ks_html_chip(p->out, sum.letter, sum.expected);
	if (worlds) {
		fputs("&nbsp;", p->out);
		put(p->out, b->world);
	}
	if (cell->n > 1)
		fprintf(p->out, "&nbsp;%zu/%zu", sum.share, cell->n);
	fputs("</a>", p->out);
}

static void put_matrix_row(const struct page *p, size_t first, bool worlds)
{
	const struct ks_rp_block *row = &p->blocks.v[first];
	fputs("<tr><th scope=\"row\">", p->out);
	put(p->out, row->scenario);
	fputs("<span class=\"about\">", p->out);
	put(p->out, row->about);
	fputs("</span></th>", p->out);
	for (size_t g = 0; g < p->ngenerators; g++) {
		fputs("<td><div class=\"cell\">", p->out);
		for (size_t i = first; i < p->blocks.n; i++)
			for (size_t k = 0; same_row(row, &p->blocks.v[i]) && k < p->blocks.v[i].n; k++)
				if (!strcmp(p->blocks.v[i].cell[k].generator, p->generators[g]))
					put_matrix_entry(p, &p->blocks.v[i], &p->blocks.v[i].cell[k], worlds);
		fputs("</div></td>", p->out);
	}
	fputs("</tr>\n", p->out);
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
	fputs("<p class=\"legend\">", out);
	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
		fputs("<span>", out);
		ks_html_chip(out, entries[i].letter, entries[i].expected);
		fprintf(out, "%s</span>", entries[i].text);
	}
	fputs("<span>3/100: seeds</span></p>\n", out);
}

/* A generator's name, which may break where its options begin. */
static void put_breakable(FILE *out, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, ":/");
		len += text[len] != 0;
		ks_rp_putn(out, KS_RP_XML, text, len);
		fputs("<wbr>", out);
		text += len;
	}
}

static void put_matrix(const struct page *p)
{
	bool worlds = false;
	for (size_t i = 1; i < p->blocks.n; i++)
		worlds |= strcmp(p->blocks.v[i].world, p->blocks.v[0].world) != 0;
	fputs("<section id=\"matrix\">\n<h2>What holds</h2>\n", p->out);
	put_legend(p->out);
	fputs("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Scenarios by generators\"><table>\n<thead><tr><th>scenario</th>",
	      p->out);
	for (size_t g = 0; g < p->ngenerators; g++) {
		fputs("<th scope=\"col\">", p->out);
		put_breakable(p->out, p->generators[g]);
		fputs("</th>", p->out);
	}
	fputs("</tr></thead>\n<tbody>\n", p->out);
	for (size_t i = 0; i < p->blocks.n; i++) {
		bool begun = false;
		for (size_t k = 0; k < i && !begun; k++)
			begun = same_row(&p->blocks.v[k], &p->blocks.v[i]);
		if (!begun)
			put_matrix_row(p, i, worlds);
	}
	fputs("</tbody>\n</table></div>\n</section>\n", p->out);
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
		put(out, text.bytes);
	ks_rp_release(&text);
}

/* One claim of a report: the run that it is about, and what the first figure comes to with the other generators. */
static void put_reported_row(FILE *out, const struct ks_rp_block *block, const json_t *run)
{
	fputs("<tr><td><a href=\"#", out);
	ks_html_anchor(out, run);
	fputs("\">", out);
	put(out, block->scenario);
	fputs("</a><span class=\"about\">", out);
	put(out, ks_rp_str(run, "generator"));
	fputs("</span></td><td>", out);
	put(out, ks_rp_str(json_object_get(run, "reported"), "what"));
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
		put(out, block->cell[k].generator);
		fprintf(out, " %s", ks_rp_number(number, ks_rp_str(figure, "text"), v));
		any = true;
	}
	fputs("</td></tr>\n", out);
}

/* Of several seeds the first stands for all. */
static void put_reported(const struct page *p)
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

/* ---- the runs ---- */

/* Plots of surprises are inlined first: what they need is set aside before the others get theirs. */
static void put_runs(const struct page *p)
{
	size_t i, n = json_array_size(p->runs), need = 0, opened = 0, set_aside, rest;
	json_t *run;
	json_array_foreach(p->runs, i, run)
		if (!ks_rp_expected(run))
			need += ks_html_plot_bytes(run, p->dir);
	set_aside = need < KS_REPORT_PLOT_BYTES ? need : KS_REPORT_PLOT_BYTES;
	rest = KS_REPORT_PLOT_BYTES - set_aside;
	fputs("<section>\n<h2>Runs</h2>\n", p->out);
	if (n > OPEN_RUNS)
		fputs("<div class=\"filter\"><input type=\"search\" id=\"find\" placeholder=\"scenario, generator, world ...\" "
		      "aria-label=\"Show the runs whose heading has these words\"><label><input type=\"checkbox\" id=\"only\"> only not as "
		      "expected</label><span class=\"soft\" id=\"shown\" aria-live=\"polite\"></span></div>\n", p->out);
	json_array_foreach(p->runs, i, run) {
		bool surprise = !ks_rp_expected(run), open = n <= OPEN_RUNS || (surprise && opened++ < OPEN_SURPRISES);
		ks_html_run(p->out, run, p->dir, open, surprise ? &set_aside : &rest);
	}
	fputs("</section>\n", p->out);
}

static void put_foot(const struct page *p)
{
	const json_t *host = json_object_get(p->result, "host");
	const char *const members[] = {"system", "compiler", "time"};
	fputs("<footer>keyskew ", p->out);
	put(p->out, ks_rp_str(p->result, "keyskew"));
	for (size_t i = 0; i < 3; i++) {
		if (!*ks_rp_str(host, members[i]))
			continue;
		fputs(" · ", p->out);
		put(p->out, ks_rp_str(host, members[i]));
	}
	if (json_is_number(json_object_get(host, "wall_s")))
		fprintf(p->out, " · %.1f s", json_number_value(json_object_get(host, "wall_s")));
	fprintf(p->out, "</footer>\n</main>\n<script>\n%s</script>\n</body>\n</html>\n", ks_rp_page_js);
}

static int put_page(struct page *p, struct ks_err *err)
{
	char path[4096];
	struct ks_rp_text text;
	if ((size_t)snprintf(path, sizeof(path), "%s/index.html", p->dir) >= sizeof(path))
		return ks_fail(err, KS_E_USAGE, "path too long: \"%.200s...\"", p->dir);
	if (ks_rp_open(&text, err))
		return -1;
	p->out = text.f;
	put_head(p);
	put_first(p);
	put_surprises(p);
	put_matrix(p);
	put_reported(p);
	put_runs(p);
	put_foot(p);
	int rc = ks_rp_save(&text, path, err);
	ks_rp_release(&text);
	return rc;
}

int ks_report_html(const json_t *result, const char *dir, struct ks_err *err)
{
	struct page p = {.result = result, .runs = json_object_get(result, "runs"), .dir = dir};
	if (ks_rp_group(result, &p.blocks))
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	long n = ks_rp_generators(&p.blocks, &p.generators);
	p.ngenerators = n < 0 ? 0 : (size_t)n;
	int rc = n < 0 ? ks_fail(err, KS_E_INTERNAL, "out of memory") : put_page(&p, err);
	free(p.generators);
	ks_rp_blocks_release(&p.blocks);
	return rc;
}
