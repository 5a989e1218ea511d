/* Differences for people: a terminal and a pull request. */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"
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

static struct libscols_table *table(int width, bool colour)
{
	static const char *const names[COLUMNS] = {"", "", "base", "new", ""};
	struct libscols_table *t = scols_new_table();
	if (!t)
		return NULL;
	for (int i = 0; i < COLUMNS; i++)
		if (!scols_table_new_column(t, names[i], 0, i == NOTE ? SCOLS_FL_WRAP : 0)) {
			scols_unref_table(t);
			return NULL;
		}
	scols_table_enable_noheadings(t, 0);
	scols_table_enable_colors(t, colour);
	scols_table_set_termforce(t, SCOLS_TERMFORCE_ALWAYS);
	scols_table_set_termwidth(t, (size_t)width);
	return t;
}

static int add_line(struct libscols_table *t, const json_t *x, const char *weight)
{
	char who[400], base[200], new[200], why[400];
	struct libscols_line *line = scols_table_new_line(t, NULL);
	if (!line)
		return -1;
	snprintf(who, sizeof who, "  %s %s %s", ks_rp_str(x, "scenario"), ks_rp_str(x, "generator"), ks_rp_str(x, "world"));
	ks_diff_side(x, "base", base, sizeof base);
	ks_diff_side(x, "new", new, sizeof new);
	ks_diff_note(x, why, sizeof why);
	if (!strcmp(weight, "regression"))
		scols_line_set_color(line, "red");
	return scols_line_set_data(line, WHO, who) || scols_line_set_data(line, WHAT, ks_diff_subject(x)) ||
	       scols_line_set_data(line, BASE, base) || scols_line_set_data(line, NEW, new) || scols_line_set_data(line, NOTE, why);
}

static int text_section(const json_t *diff, size_t section, FILE *out, bool colour, int width)
{
	const char *weight = ks_diff_weights[section].weight;
	size_t i, n = 0;
	json_t *x;
	struct libscols_table *t = table(width, colour);
	if (!t)
		return -1;
	int failed = 0;
	json_array_foreach(json_object_get(diff, "differences"), i, x) {
		if (strcmp(ks_rp_str(x, "weight"), weight))
			continue;
		failed |= add_line(t, x, weight);
		n++;
	}
	if (n && !failed) {
		fprintf(out, "%s\n", ks_diff_weights[section].heading);
		scols_table_set_stream(t, out);
		failed = scols_print_table(t);
		fputc('\n', out);
	}
	scols_unref_table(t);
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
	for (size_t i = 0; i < KS_DIFF_WEIGHTS; i++)
		if (text_section(diff, i, out, colour, width))
			return -1;
	ks_diff_closing(diff, out);
	fputc('\n', out);
	return 0;
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
