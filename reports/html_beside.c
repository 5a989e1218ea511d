/* What stands beside a result on its page: what changed since a base, the nights so far, metrics that moved over them. */
#include "html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "diff.h"

#define ROWS_OPEN 40  /* of a table; the others are folded */
#define NIGHTS_OPEN 10

/* ---- what changed ---- */

static bool has_weight(const json_t *x, const char *weight)
{
	return !strcmp(ks_rp_str(x, "weight"), weight);
}

static void put_difference(const struct ks_html_page *p, const json_t *x)
{
	FILE *out = p->out;
	char base[200], new[200], why[400];
	const char *scenario = ks_rp_str(x, "scenario"), *generator = ks_rp_str(x, "generator"), *world = ks_rp_str(x, "world");
	const json_t *run = ks_html_find_run(p, scenario, generator, world);
	ks_diff_side(x, "base", base, sizeof(base));
	ks_diff_side(x, "new", new, sizeof(new));
	ks_diff_note(x, why, sizeof(why));
	fputs(has_weight(x, "regression") ? "<tr class=surprise><td>" : "<tr><td>", out);
	if (run) {
		fputs("<a href=\"#", out);
		ks_html_anchor(out, run);
		fputs("\">", out);
	}
	ks_html_put(out, scenario);
	fputs(run ? "</a> " : " ", out);
	ks_html_put(out, generator);
	fputs(" <span class=soft>", out);
	ks_html_put(out, world);
	fputs("</span><td><b>", out);
	ks_html_put(out, ks_diff_subject(x));
	fputs("</b><td>", out);
	ks_html_put(out, base);
	fputs("<td>", out);
	ks_html_put(out, new);
	fputs("<td class=soft>", out);
	ks_html_put(out, why);
	fputs("\n", out);
}

static void put_weight(const struct ks_html_page *p, const json_t *diff, const struct ks_diff_weight *w)
{
	size_t i, n = 0, all = 0;
	json_t *x;
	json_array_foreach(json_object_get(diff, "differences"), i, x)
		all += has_weight(x, w->weight);
	if (!all)
		return;
	bool folded = all > ROWS_OPEN || !strcmp(w->weight, "change");
	fprintf(p->out, folded ? "<details><summary>%s: %zu</summary>" : "<h3>%s: %zu</h3>", w->heading, all);
	fputs("<div class=wide><table><thead><tr><th>run<th>what<th>before<th>now<th></thead><tbody>\n", p->out);
	json_array_foreach(json_object_get(diff, "differences"), i, x)
		if (has_weight(x, w->weight) && n++ < 2000)
			put_difference(p, x);
	fputs(folded ? "</tbody></table></div></details>\n" : "</tbody></table></div>\n", p->out);
}

void ks_html_changes(const struct ks_html_page *p)
{
	const json_t *diff = json_object_get(p->beside, "diff");
	const json_t *s = json_object_get(diff, "summary");
	if (!diff)
		return;
	bool none = !json_array_size(json_object_get(diff, "differences"));
	fputs("<section id=changes>\n<h2>What changed</h2>\n<p>Against ", p->out);
	ks_html_put(p->out, ks_rp_str(p->beside, "base"));
	if (none)
		fprintf(p->out, ": nothing, in %" PRId64 " scenario × generator × world.</p>\n", ks_rp_int(s, "compared"));
	else
		fprintf(p->out, ": <b%s>%" PRId64 " regression%s</b>, %" PRId64 " improvement%s, %" PRId64 " other change%s; %" PRId64
		        " scenario × generator × world compared.</p>\n", ks_rp_int(s, "regressions") ? " class=surprise" : "",
		        ks_rp_int(s, "regressions"), ks_rp_int(s, "regressions") == 1 ? "" : "s", ks_rp_int(s, "improvements"),
		        ks_rp_int(s, "improvements") == 1 ? "" : "s", ks_rp_int(s, "changes"), ks_rp_int(s, "changes") == 1 ? "" : "s",
		        ks_rp_int(s, "compared"));
	for (size_t i = 0; i < KS_DIFF_WEIGHTS; i++)
		put_weight(p, diff, &ks_diff_weights[i]);
	fputs("</section>\n", p->out);
}

/* ---- nights ---- */

static void put_night(FILE *out, const json_t *n)
{
	int64_t as = ks_rp_int(n, "as_expected"), runs = ks_rp_int(n, "runs");
	fprintf(out, "<tr%s><td>%" PRId64 "<td>", as == runs ? "" : " class=surprise", ks_rp_int(n, "id"));
	ks_html_put(out, ks_rp_str(n, "time"));
	fprintf(out, "<td>%" PRId64 " of %" PRId64 "<td>%" PRId64 "<td>%" PRId64 "<td>%" PRId64 "<td>%.1f s<td>", as, runs, ks_rp_int(n, "unmet"),
	        ks_rp_int(n, "untested"), ks_rp_int(n, "failed"), (double)ks_rp_int(n, "wall_ms") / 1e3);
	ks_html_put(out, ks_rp_str(n, "version"));
	fputs("\n", out);
}

static void put_nights(const struct ks_html_page *p, const json_t *nights)
{
	static const char head[] = "<div class=wide><table class=num><thead><tr><th>number<th>time<th>as expected<th>unmet<th>untested<th>not judged"
	                           "<th>took<th>version</thead><tbody>\n";
	size_t i, n = json_array_size(nights);
	json_t *night;
	fputs(head, p->out);
	json_array_foreach(nights, i, night) {
		if (i == NIGHTS_OPEN) {
			fprintf(p->out, "</tbody></table></div><details><summary>%zu before</summary>", n - i);
			fputs(head, p->out);
		}
		put_night(p->out, night);
	}
	fputs(n > NIGHTS_OPEN ? "</tbody></table></div></details>\n" : "</tbody></table></div>\n", p->out);
}

static void put_verdict_changes(const struct ks_html_page *p, const json_t *changes)
{
	size_t n = json_array_size(changes);
	if (!n)
		return;
	fputs("<h3>Where verdicts changed, newest first</h3>\n<div class=wide><table><thead><tr><th>number<th>time<th>run<th>claim<th>from<th>to"
	      "</thead><tbody>\n", p->out);
	for (size_t i = n; i-- > 0 && n - i <= ROWS_OPEN;) {
		static const char *const members[] = {"scenario", "generator", "world"};
		const json_t *c = json_array_get(changes, i);
		fprintf(p->out, "<tr><td>%" PRId64 "<td>", ks_rp_int(c, "id"));
		ks_html_put(p->out, ks_rp_str(c, "time"));
		fputs("<td>", p->out);
		for (int k = 0; k < 3; k++) {
			fputs(k ? " " : "", p->out);
			ks_html_put(p->out, ks_rp_str(c, members[k]));
		}
		fputs("<td><b>", p->out);
		ks_html_put(p->out, ks_rp_str(c, "claim"));
		fputs("</b><td>", p->out);
		ks_html_put(p->out, ks_rp_str(c, "from"));
		fputs("<td>", p->out);
		ks_html_put(p->out, ks_rp_str(c, "to"));
		fputs("\n", p->out);
	}
	fputs("</tbody></table></div>\n", p->out);
	if (n > ROWS_OPEN)
		fprintf(p->out, "<p class=soft>%zu before them: keyskew history changes.</p>\n", n - ROWS_OPEN);
}

/* ---- trends: pictures trend-1.svg .. beside the page ---- */

static void trend_path(const struct ks_html_page *p, size_t i, char path[4200], char name[40])
{
	snprintf(name, 40, "trend-%zu.svg", i + 1);
	snprintf(path, 4200, "%.4000s/%s", p->dir, name);
}

size_t ks_html_beside_bytes(const struct ks_html_page *p)
{
	char path[4200], name[40];
	size_t i, sum = 0;
	struct stat st;
	json_t *trend;
	json_array_foreach(json_object_get(p->beside, "trends"), i, trend) {
		trend_path(p, i, path, name);
		sum += stat(path, &st) ? 0 : (size_t)st.st_size;
	}
	return sum;
}

static void put_trend_pictures(const struct ks_html_page *p)
{
	char path[4200], name[40];
	size_t i;
	json_t *trend;
	json_array_foreach(json_object_get(p->beside, "trends"), i, trend) {
		trend_path(p, i, path, name);
		ks_html_image(p->images, p->out, path, name, "a metric over the results so far", true);
	}
}

void ks_html_trends(const struct ks_html_page *p)
{
	const json_t *nights = json_object_get(p->beside, "nights");
	if (json_array_size(nights) < 2)
		return;
	fputs("<section id=trends>\n<h2>Results so far</h2>\n", p->out);
	put_nights(p, nights);
	put_verdict_changes(p, json_object_get(p->beside, "changes"));
	put_trend_pictures(p);
	fputs("</section>\n", p->out);
}
