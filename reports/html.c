/* index.html: one self-contained page. First the count, then what is unexpected, what changed, the matrix, generators side by side,
 * the nights so far, then every run and every scenario. */
#include "html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Up to this many runs all sections are open; beyond it the surprises are, as many of them. */
#define OPEN_RUNS 4
#define OPEN_SURPRISES 12

void ks_html_put(FILE *out, const char *text)
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

void ks_html_run_link(FILE *out, const json_t *run)
{
	fputs("<a href=\"#", out);
	ks_html_anchor(out, run);
	fputs("\"><b>", out);
	ks_html_put(out, ks_rp_str(run, "scenario"));
	fputs("</b> · ", out);
	ks_html_put(out, ks_rp_str(run, "generator"));
	fputs(" · ", out);
	ks_html_put(out, ks_rp_str(run, "world"));
	fprintf(out, " · seed %" PRId64 "</a>", ks_rp_int(run, "seed"));
}

const json_t *ks_html_find_run(const struct ks_html_page *p, const char *scenario, const char *generator, const char *world)
{
	const json_t *found = NULL;
	size_t i;
	json_t *run;
	json_array_foreach(p->runs, i, run) {
		bool same = !strcmp(ks_rp_str(run, "scenario"), scenario) && !strcmp(ks_rp_str(run, "generator"), generator) &&
		            !strcmp(ks_rp_str(run, "world"), world);
		if (same && (!found || (ks_rp_expected(found) && !ks_rp_expected(run))))
			found = run;
	}
	return found;
}

static void put_head(const struct ks_html_page *p)
{
	const json_t *s = json_object_get(p->result, "summary");
	FILE *out = p->out;
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
	      "script-src 'unsafe-inline'; img-src data: file: 'self'\">\n<title>", out);
	fprintf(out, "%" PRId64 " of %" PRId64 " as expected: ", ks_rp_int(s, "as_expected"), ks_rp_int(s, "runs"));
	ks_html_put(out, ks_rp_str(p->result, "name"));
	fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", ks_rp_page_css);
}

/* Runs without a verdict, one line a reason. */
static void put_reasons(const struct ks_html_page *p)
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
		ks_html_put(p->out, reason);
		fputs("</li>\n", p->out);
	}
	fputs(lines ? "</ul>\n" : "", p->out);
}

static void put_first(const struct ks_html_page *p)
{
	const json_t *s = json_object_get(p->result, "summary");
	int64_t as = ks_rp_int(s, "as_expected"), runs = ks_rp_int(s, "runs"), unmet = ks_rp_int(s, "unmet");
	int64_t untested = ks_rp_int(s, "untested"), failed = ks_rp_int(s, "failed");
	int64_t missing = ks_rp_missing(p->result);
	char number[KS_RP_NUMBER];
	if (p->comparison)
		fprintf(p->out, "<h1>%s, side by side", ks_rp_count(number, (int64_t)p->ngenerators, "generator", "generators"));
	else
		fprintf(p->out, "<h1%s>%" PRId64 " of %" PRId64 " as expected", as == runs && !missing ? "" : " class=surprise", as, runs);
	if (missing)
		fprintf(p->out, ", not finished: %s missing", ks_rp_count(number, missing, "run is", "runs are"));
	fputs("</h1>\n<p class=\"lead\"><b>", p->out);
	ks_html_put(p->out, ks_rp_str(p->result, "name"));
	if (p->comparison)
		fprintf(p->out, "</b>: %" PRId64 " of %" PRId64 " runs as their scenarios expect (a sweep changes what there is to expect)<b>", as, runs);
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

static void put_trouble(void *to, const char *text)
{
	fputs("<li>", to);
	ks_html_put(to, text);
	fputs("</li>\n", to);
}

static void put_surprise(FILE *out, const json_t *run)
{
	fputs("<div class=alarm>\n", out);
	ks_html_chip(out, ks_rp_letter(run), false);
	fputs("&ensp;", out);
	ks_html_run_link(out, run);
	fputs("\n<ul>\n", out);
	ks_rp_unexpected(run, KS_RP_ALL, put_trouble, out);
	fputs("</ul>\n<pre>", out);
	ks_html_put(out, ks_rp_str(run, "reproduce"));
	fputs("</pre>\n</div>\n", out);
}

/* The first of them open. In a comparison, whose sweeps leave what scenarios expect, none is. */
static void put_surprises(const struct ks_html_page *p)
{
	size_t i, n = 0, all = 0, shown = p->comparison ? 0 : OPEN_SURPRISES;
	json_t *run;
	json_array_foreach(p->runs, i, run)
		all += !ks_rp_expected(run);
	if (!all)
		return;
	fputs("<section>\n<h2>Not as expected</h2>\n", p->out);
	json_array_foreach(p->runs, i, run) {
		if (ks_rp_expected(run))
			continue;
		if (n++ == shown)
			fprintf(p->out, "<details><summary>%zu%s</summary>\n", all - shown, shown ? " more" : "");
		put_surprise(p->out, run);
	}
	fputs(all > shown ? "</details>\n</section>\n" : "</section>\n", p->out);
}

/* ---- the runs ---- */

/* The texts of scenarios with every default, each once: runs link to them. */
struct scenarios {
	const json_t **run; /* the first of each */
	size_t n;
};

/* @return which it is, from 1; 0 when it has no text. */
static size_t scenario_of(struct scenarios *s, const json_t *run)
{
	const char *text = ks_rp_str(run, "effective");
	for (size_t i = s->n; *text && i-- > 0;) /* the last is the likeliest */
		if (!strcmp(ks_rp_str(s->run[i], "effective"), text))
			return i + 1;
	const json_t **grown = *text ? reallocarray(s->run, s->n + 1, sizeof(*grown)) : NULL;
	if (!grown)
		return 0;
	s->run = grown;
	s->run[s->n++] = run;
	return s->n;
}

static void put_runs(const struct ks_html_page *p, struct scenarios *scenarios)
{
	size_t i, n = json_array_size(p->runs), opened = 0;
	json_t *run;
	fputs("<section id=runs>\n<h2>Runs</h2>\n", p->out);
	json_array_foreach(p->runs, i, run) {
		bool surprise = !ks_rp_expected(run), open = n <= OPEN_RUNS || (surprise && opened++ < OPEN_SURPRISES);
		ks_html_run(p, run, scenario_of(scenarios, run), open);
	}
	fputs("</section>\n", p->out);
}

static void put_scenarios(const struct ks_html_page *p, const struct scenarios *s)
{
	fputs(s->n ? "<section id=scenarios>\n<h2>Scenarios with every default</h2>\n" : "", p->out);
	for (size_t i = 0; i < s->n; i++) {
		fputs("<details class=scenario><summary>", p->out);
		ks_html_put(p->out, ks_rp_str(s->run[i], "scenario"));
		fputs(" <span class=soft>", p->out);
		ks_html_put(p->out, ks_rp_str(s->run[i], "about"));
		fprintf(p->out, "</span></summary><pre tabindex=0 id=scenario-%zu>", i + 1);
		ks_html_put_lines(p->out, ks_rp_str(s->run[i], "effective"));
		fputs("</pre></details>\n", p->out);
	}
	fputs(s->n ? "</section>\n" : "", p->out);
}

static void put_foot(const struct ks_html_page *p)
{
	const json_t *host = json_object_get(p->result, "host");
	const char *const members[] = {"system", "compiler", "time"};
	fputs("<footer>keyskew ", p->out);
	ks_html_put(p->out, ks_rp_str(p->result, "keyskew"));
	for (size_t i = 0; i < 3; i++) {
		if (!*ks_rp_str(host, members[i]))
			continue;
		fputs(" · ", p->out);
		ks_html_put(p->out, ks_rp_str(host, members[i]));
	}
	if (json_is_number(json_object_get(host, "wall_s")))
		fprintf(p->out, " · %.1f s", json_number_value(json_object_get(host, "wall_s")));
	fputs("</footer>\n</main>\n", p->out);
	ks_html_put_packs(p->images, p->out);
	fprintf(p->out, "<script>\n%s</script>\n</body>\n</html>\n", ks_rp_page_js);
}

static void put_contents(const struct ks_html_page *p)
{
	struct scenarios scenarios = {0};
	put_head(p);
	put_first(p);
	if (p->comparison)
		ks_html_compare(p);
	put_surprises(p);
	ks_html_changes(p);
	ks_html_matrix(p);
	if (!p->comparison)
		ks_html_compare(p);
	ks_html_reported(p);
	ks_html_trends(p);
	put_runs(p, &scenarios);
	put_scenarios(p, &scenarios);
	put_foot(p);
	free(scenarios.run);
}

static void init_images(const struct ks_html_page *p)
{
	size_t i, total = ks_html_beside_bytes(p) + ks_html_compare_bytes(p), surprises = total;
	json_t *run;
	json_array_foreach(p->runs, i, run) {
		size_t bytes = ks_html_plot_bytes(run, p->dir);
		total += bytes;
		surprises += ks_rp_expected(run) ? 0 : bytes;
	}
	ks_html_images_init(p->images, total, surprises);
}

static int put_page(struct ks_html_page *p, struct ks_err *err)
{
	char path[4096];
	struct ks_rp_text text;
	struct ks_html_images images;
	if ((size_t)snprintf(path, sizeof(path), "%s/index.html", p->dir) >= sizeof(path))
		return ks_fail(err, KS_E_USAGE, "path too long: \"%.200s...\"", p->dir);
	if (ks_rp_open(&text, err))
		return -1;
	p->out = text.f;
	p->images = &images;
	init_images(p);
	put_contents(p);
	int rc = ks_rp_save(&text, path, err);
	ks_html_images_release(&images);
	ks_rp_release(&text);
	return rc;
}

int ks_report_html(const json_t *result, const json_t *beside, const char *dir, struct ks_err *err)
{
	struct ks_html_page p = {.result = result, .runs = json_object_get(result, "runs"), .beside = beside, .dir = dir};
	p.comparison = json_object_get(json_object_get(result, "host"), "ns_per_key");
	if (ks_rp_group(result, &p.blocks))
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	long n = ks_rp_generators(&p.blocks, &p.generators);
	p.ngenerators = n < 0 ? 0 : (size_t)n;
	ks_html_families(p.generators, p.ngenerators);
	int rc = n < 0 ? ks_fail(err, KS_E_INTERNAL, "out of memory") : put_page(&p, err);
	free(p.generators);
	ks_rp_blocks_release(&p.blocks);
	return rc;
}
