/* Differences for people: a terminal and a pull request. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "ks_table.h"
#include "report.h"

const struct ks_diff_weight ks_diff_weights[KS_DIFF_WEIGHTS] = {
	{"regression", "Regressions"}, {"improvement", "Improvements"}, {"change", "Other changes"}};

void ks_diff_side(const json_t *difference, const char *which, char *buf, size_t size)
{
	const json_t *v = json_object_get(difference, which);
	const char *subject = ks_rp_str(difference, "subject");
	char median[KS_RP_NUMBER], low[KS_RP_NUMBER], high[KS_RP_NUMBER];
	if (!json_is_object(v)) {
		snprintf(buf, size, "%s", json_is_string(v) ? json_string_value(v) : "");
		return;
	}
	const char *m = ks_rp_number(median, subject, ks_rp_int(v, "median"));
	if (ks_rp_int(v, "n") < 2 || ks_rp_int(v, "low") == ks_rp_int(v, "high")) {
		snprintf(buf, size, "%s", m);
		return;
	}
	snprintf(buf, size, "%s (%s..%s)", m, ks_rp_number(low, subject, ks_rp_int(v, "low")),
	         ks_rp_number(high, subject, ks_rp_int(v, "high")));
}

void ks_diff_note(const json_t *difference, char *buf, size_t size)
{
	const json_t *effect = json_object_get(difference, "effect");
	const char *reason = ks_rp_str(difference, "reason"), *test = ks_rp_str(difference, "test");
	char p[KS_RP_NUMBER];
	if (!effect)
		snprintf(buf, size, "%s", reason);
	else if (!strcmp(test, "disjoint"))
		snprintf(buf, size, "%s", ks_rp_real(effect) > 0 ? "more in every run" : "less in every run");
	else
		snprintf(buf, size, "effect %+.2f, p %s (%s)", ks_rp_real(effect), ks_rp_small(p, ks_rp_real(json_object_get(difference, "p"))),
		         test);
}

const char *ks_diff_subject(const json_t *difference)
{
	const char *s = ks_rp_str(difference, "subject");
	return *s ? s : !strcmp(ks_rp_str(difference, "kind"), "status") ? "run" : ks_rp_str(difference, "kind");
}

/* ---- terminal ---- */

enum { WHO, WHAT, BASE, NEW, NOTE, COLUMNS };
#define RED "\033[31m"

static int add_line(struct ks_table *t, const json_t *x, const char *colour)
{
	char who[400], base[200], new[200], why[400];
	snprintf(who, sizeof who, "%s %s %s", ks_rp_str(x, "scenario"), ks_rp_str(x, "generator"), ks_rp_str(x, "world"));
	ks_diff_side(x, "base", base, sizeof base);
	ks_diff_side(x, "new", new, sizeof new);
	ks_diff_note(x, why, sizeof why);
	return ks_table_add(t, (const char *[COLUMNS]){who, ks_diff_subject(x), base, new, why}, colour);
}

static int text_section(const json_t *diff, size_t section, FILE *out, bool colour, int width)
{
	struct ks_table t = {.columns = COLUMNS, .title = {"", "", "base", "new", ""}, .gap = 2};
	const char *weight = ks_diff_weights[section].weight;
	size_t i;
	json_t *x;
	int failed = 0;
	json_array_foreach(json_object_get(diff, "differences"), i, x)
		if (!strcmp(ks_rp_str(x, "weight"), weight))
			failed |= add_line(&t, x, colour && !section ? RED : NULL);
	if (t.rows && !failed) {
		fprintf(out, "%s\n", ks_diff_weights[section].heading);
		ks_table_print(&t, out, 2, (size_t)width);
		fputc('\n', out);
	}
	ks_table_release(&t);
	return failed ? -1 : 0;
}

void ks_diff_closing(const json_t *diff, FILE *out)
{
	const json_t *s = json_object_get(diff, "summary");
	char a[KS_RP_NUMBER], b[KS_RP_NUMBER], c[KS_RP_NUMBER];
	fprintf(out, "%s, %s, %s; %" PRId64 " scenario x generator x world compared",
	        ks_rp_count(a, ks_rp_int(s, "regressions"), "regression", "regressions"),
	        ks_rp_count(b, ks_rp_int(s, "improvements"), "improvement", "improvements"),
	        ks_rp_count(c, ks_rp_int(s, "changes"), "other change", "other changes"), ks_rp_int(s, "compared"));
}

int ks_diff_text(const json_t *diff, FILE *out, bool colour, int width)
{
	struct ks_rp_text end;
	struct ks_err err;
	for (size_t i = 0; i < KS_DIFF_WEIGHTS; i++)
		if (text_section(diff, i, out, colour, width))
			return -1;
	if (ks_rp_open(&end, &err))
		return -1;
	ks_diff_closing(diff, end.f);
	int failed = ks_rp_finish(&end, &err);
	if (!failed)
		ks_put_folded(out, end.bytes, 0, 0, (size_t)width);
	ks_rp_release(&end);
	return failed;
}

/* ---- Markdown ---- */

static void cell(FILE *out, const char *text)
{
	fputs(" ", out);
	ks_rp_put(out, KS_RP_MD, text);
	fputs(" |", out);
}

static void markdown_section(const json_t *diff, size_t section, FILE *out)
{
	bool any = false;
	size_t i;
	json_t *x;
	json_array_foreach(json_object_get(diff, "differences"), i, x) {
		char base[200], new[200], why[400];
		if (strcmp(ks_rp_str(x, "weight"), ks_diff_weights[section].weight))
			continue;
		if (!any)
			fprintf(out, "\n### %s\n\n| scenario | generator | world | what | base | new | |\n|---|---|---|---|---|---|---|\n",
			        ks_diff_weights[section].heading);
		any = true;
		ks_diff_side(x, "base", base, sizeof base);
		ks_diff_side(x, "new", new, sizeof new);
		ks_diff_note(x, why, sizeof why);
		fputc('|', out);
		cell(out, ks_rp_str(x, "scenario"));
		cell(out, ks_rp_str(x, "generator"));
		cell(out, ks_rp_str(x, "world"));
		cell(out, ks_diff_subject(x));
		cell(out, base);
		cell(out, new);
		cell(out, why);
		fputc('\n', out);
	}
}

int ks_diff_markdown(const json_t *diff, FILE *out)
{
	fputs("## keyskew: ", out);
	ks_diff_closing(diff, out);
	fputc('\n', out);
	for (size_t i = 0; i < KS_DIFF_WEIGHTS; i++)
		markdown_section(diff, i, out);
	return ferror(out) ? -1 : 0;
}
