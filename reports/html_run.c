/* The section of one run: a sentence, its claims with their witnesses, expectations, plots, metrics, and how to do it again. */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ks_time.h"

static void put(FILE *out, const char *text)
{
	ks_rp_put(out, KS_RP_XML, text);
}

/* A cell with a number of the named metric; without one it says so by a dash. */
static void put_number(FILE *out, const char *name, const json_t *value)
{
	char buf[KS_RP_NUMBER];
	int64_t v;
	fputs("<td class=\"n\">", out);
	if (ks_rp_integer(value, &v))
		put(out, ks_rp_number(buf, name, v));
	else
		fputs("<span class=\"soft\" title=\"not computed\">–</span>", out);
	fputs("</td>", out);
}

/* ---- claims ---- */

static void put_record(FILE *out, const json_t *r, bool marked)
{
	char at[KS_RP_NUMBER], off[KS_RP_NUMBER];
	int64_t ns;
	fprintf(out, "<tr%s><td class=\"n\">%" PRId64 "</td><td>", marked ? " class=\"surprise\"" : "", ks_rp_int(r, "row"));
	put(out, ks_rp_str(r, "node"));
	fprintf(out, "<span class=\"soft\"> p%" PRId64 " i%" PRId64 " t%" PRId64 " #%" PRId64 "</span></td>", ks_rp_int(r, "process"),
	        ks_rp_int(r, "incarnation"), ks_rp_int(r, "thread"), ks_rp_int(r, "seq"));
	const char *const times[] = {"call_ns", "return_ns"};
	for (int i = 0; i < 2; i++)
		fprintf(out, "<td class=\"n\">%s</td>", ks_rp_integer(json_object_get(r, times[i]), &ns) ? ks_rp_ns_like(at, ns, KS_SEC) : "–");
	fprintf(out, "<td class=\"n\">%s</td><td class=\"key\">",
	        ks_rp_integer(json_object_get(r, "clock_minus_true_ns"), &ns) ? ks_rp_number(off, "_ns", ns) : "–");
	put(out, *ks_rp_str(r, "key") ? ks_rp_str(r, "key") : ks_rp_str(r, "outcome"));
	fputs("</td></tr>\n", out);
}

static bool among(const json_t *rows, const json_t *record)
{
	size_t i;
	json_t *r;
	json_array_foreach(rows, i, r)
		if (ks_rp_int(r, "row") == ks_rp_int(record, "row"))
			return true;
	return false;
}

/* The two calls of the witness, and what was issued around them. */
static void put_records(FILE *out, const json_t *witness)
{
	const json_t *rows = json_object_get(witness, "rows"), *near = json_object_get(witness, "neighbours");
	size_t i;
	json_t *r;
	if (!json_array_size(rows))
		return;
	fputs("<details><summary>the calls</summary><div class=\"wide\"><table><thead><tr><th class=\"n\">row</th><th>who</th><th class=\"n\">call</th>"
	      "<th class=\"n\">return</th><th class=\"n\">clock − true</th><th>key</th></tr></thead><tbody>\n", out);
	json_array_foreach(rows, i, r)
		if (!among(near, r))
			put_record(out, r, true);
	json_array_foreach(near, i, r)
		put_record(out, r, among(rows, r));
	fputs("</tbody></table></div></details>\n", out);
}

static char claim_letter(const json_t *claim)
{
	const char *verdict = ks_rp_str(claim, "verdict");
	return !strcmp(verdict, "kept") ? 'K' : !strcmp(verdict, "broken") ? 'B' : 'U';
}

static void put_exposed(FILE *out, const json_t *claim)
{
	int64_t calls = ks_rp_int(claim, "exposed"), pairs = ks_rp_int(claim, "exposed_pairs");
	fprintf(out, "<td class=\"n\">%" PRId64 " call%s", calls, calls == 1 ? "" : "s");
	if (pairs)
		fprintf(out, ", %" PRId64 " pair%s", pairs, pairs == 1 ? "" : "s");
	fputs("</td>", out);
}

static void put_claim(FILE *out, const json_t *claim)
{
	const json_t *witness = json_object_get(claim, "witness");
	double bound = ks_rp_real(json_object_get(claim, "bound"));
	const char *text = ks_rp_str(witness, "text"), *reason = ks_rp_str(claim, "reason");
	bool bounded = bound > 0 && claim_letter(claim) == 'K';
	bool below = *text || *reason || bounded;
	fprintf(out, "<tr%s><td>", below ? " class=\"above\"" : "");
	ks_html_chip(out, claim_letter(claim), true);
	fputs("</td><td><b>", out);
	put(out, ks_rp_str(claim, "claim"));
	fputs("</b></td><td>", out);
	put(out, ks_rp_str(claim, "verdict"));
	fputs("</td>", out);
	put_number(out, "", json_object_get(claim, "count"));
	put_number(out, "", json_object_get(json_object_get(claim, "control"), "count"));
	put_exposed(out, claim);
	fputs("<td class=\"soft\">", out);
	put(out, ks_rp_str(claim, "by"));
	fputs(*ks_rp_str(claim, "source") ? ": " : "", out);
	put(out, ks_rp_str(claim, "source"));
	fputs("</td></tr>\n", out);
	if (!below)
		return;
	fputs("<tr><td class=\"why\"></td><td class=\"why\" colspan=\"6\">", out);
	put(out, *text ? text : reason);
	if (bounded) {
		char small[KS_RP_NUMBER];
		fprintf(out, "%" PRId64 " of %" PRId64 ", at most %s per key (95 %%)", ks_rp_int(claim, "count"), ks_rp_int(claim, "exposed"),
		        ks_rp_small(small, bound));
	}
	put_records(out, witness);
	fputs("</td></tr>\n", out);
}

static void put_claims(FILE *out, const json_t *run)
{
	const json_t *claims = json_object_get(run, "claims");
	size_t i;
	json_t *claim;
	if (!json_array_size(claims))
		return;
	fputs("<h3>Claims</h3>\n<div class=\"wide\"><table><thead><tr><th></th><th>claim</th><th>verdict</th><th class=\"n\">violations</th>"
	      "<th class=\"n\">control</th><th class=\"n\">exposed</th><th>promised by</th></tr></thead><tbody>\n", out);
	json_array_foreach(claims, i, claim)
		put_claim(out, claim);
	fputs("</tbody></table></div>\n", out);
}

/* ---- expectations ---- */

static void put_expectation(FILE *out, const json_t *run, const json_t *e)
{
	const json_t *value = json_object_get(e, "value");
	const char *text = ks_rp_str(e, "text"), *verdict = json_string_value(value);
	bool met = ks_rp_true(e, "met"), untested = ks_rp_true(e, "untested");
	bool surprise = !met && !untested && !ks_rp_true(run, "canary");
	fprintf(out, "<tr%s><td>%s</td><td><b>", surprise ? " class=\"surprise\"" : "", untested ? "untested" : met ? "met" : "unmet");
	put(out, text);
	fputs("</b></td>", out);
	if (verdict && (strcmp(verdict, "0") && !strspn(verdict, "-0123456789"))) {
		fputs("<td class=\"n\">", out);
		put(out, verdict);
		fputs("</td>", out);
	} else {
		put_number(out, text, value);
	}
	put_number(out, text, json_object_get(e, "control"));
	fputs("<td class=\"soft\">", out);
	put(out, ks_rp_str(e, "reason"));
	fputs("</td></tr>\n", out);
}

static void put_expectations(FILE *out, const json_t *run)
{
	const json_t *expectations = json_object_get(run, "expectations");
	size_t i;
	json_t *e;
	if (!json_array_size(expectations))
		return;
	fputs("<h3>Expectations</h3>\n<div class=\"wide\"><table><thead><tr><th></th><th>expected</th><th class=\"n\">is</th><th class=\"n\">control</th>"
	      "<th></th></tr></thead><tbody>\n", out);
	json_array_foreach(expectations, i, e)
		put_expectation(out, run, e);
	fputs("</tbody></table></div>\n", out);
}

/* ---- metrics, damage ---- */

static void put_difference_row(FILE *out, const char *label, const char *name, const json_t *value, const json_t *control,
                               bool has_control)
{
	char buf[KS_RP_NUMBER];
	int64_t v, c, d;
	fputs("<tr><td>", out);
	put(out, label);
	fputs("</td>", out);
	put_number(out, name, value);
	if (has_control) {
		put_number(out, name, control);
		bool both = ks_rp_integer(value, &v) && ks_rp_integer(control, &c) && !__builtin_sub_overflow(v, c, &d);
		fprintf(out, "<td class=\"n\">%s%s</td>", both && d > 0 ? "+" : "", both && d ? ks_rp_number(buf, name, d) : "");
	}
	fputs("</tr>\n", out);
}

/* A scoped metric: one row where all scopes agree, else one a scope. */
static void put_scoped(FILE *out, const char *name, const json_t *value, const json_t *control, bool has_control)
{
	const char *scope;
	const json_t *one = json_object_get(value, "fleet"), *one_control = json_object_get(control, "fleet");
	json_t *v;
	bool same = true;
	char label[200];
	json_object_foreach((json_t *)value, scope, v)
		same &= json_equal(v, one) && json_equal(json_object_get(control, scope), one_control) + !one_control;
	if (same && one) {
		snprintf(label, sizeof(label), "%s, every scope", name);
		put_difference_row(out, label, name, one, one_control, has_control);
		return;
	}
	json_object_foreach((json_t *)value, scope, v) {
		snprintf(label, sizeof(label), "%s@%s", name, scope);
		put_difference_row(out, label, name, v, json_object_get(control, scope), has_control);
	}
}

static void put_metrics(FILE *out, const json_t *run)
{
	const json_t *metrics = json_object_get(run, "metrics"), *control = json_object_get(json_object_get(run, "control"), "metrics");
	const char *name;
	json_t *value;
	if (!json_object_size(metrics))
		return;
	fprintf(out, "<h3>Metrics</h3>\n<div class=\"wide\"><table><thead><tr><th>metric</th><th class=\"n\">run</th>%s</tr></thead><tbody>\n",
	        control ? "<th class=\"n\">control</th><th class=\"n\">difference</th>" : "");
	json_object_foreach((json_t *)metrics, name, value) {
		if (json_is_object(value))
			put_scoped(out, name, value, json_object_get(control, name), control);
		else
			put_difference_row(out, name, name, value, json_object_get(control, name), control);
	}
	fputs("</tbody></table></div>\n", out);
}

/* Below its row: who did the first piece of it to whom. */
static void put_damage_row(FILE *out, const json_t *run, const json_t *note, bool has_control)
{
	const char *consumer = ks_rp_str(note, "consumer"), *name = ks_rp_str(note, "damage"), *first = ks_rp_str(note, "first");
	const json_t *value = json_object_get(json_object_get(json_object_get(run, "damage"), consumer), name);
	const json_t *control = json_object_get(json_object_get(json_object_get(run, "control_damage"), consumer), name);
	char buf[KS_RP_NUMBER];
	int64_t v, c, d;
	fprintf(out, "<tr%s><td><b>", *first ? " class=\"above\"" : "");
	put(out, consumer);
	fputs(".", out);
	put(out, name);
	fputs("</b></td>", out);
	put_number(out, name, value);
	if (has_control) {
		put_number(out, name, control);
		bool both = ks_rp_integer(value, &v) && ks_rp_integer(control, &c) && !__builtin_sub_overflow(v, c, &d);
		fprintf(out, "<td class=\"n\">%s%s</td>", both && d > 0 ? "+" : "", both && d ? ks_rp_number(buf, name, d) : "");
	}
	fputs("<td class=\"soft\">", out);
	put(out, ks_rp_str(note, "help"));
	fputs("</td></tr>\n", out);
	if (*first) {
		fprintf(out, "<tr><td class=\"why\" colspan=\"%d\">first: ", has_control ? 5 : 3);
		put(out, first);
		fputs("</td></tr>\n", out);
	}
}

static void put_damage(FILE *out, const json_t *run)
{
	const json_t *notes = json_object_get(run, "damage_notes");
	bool has_control = json_object_size(json_object_get(run, "control_damage")) > 0;
	size_t i;
	json_t *note;
	if (!json_array_size(notes))
		return;
	fprintf(out, "<h3>Damage downstream</h3>\n<div class=\"wide\"><table><thead><tr><th>damage</th><th class=\"n\">run</th>%s"
	        "<th>what it counts</th></tr></thead><tbody>\n", has_control ? "<th class=\"n\">control</th><th class=\"n\">difference</th>" : "");
	json_array_foreach(notes, i, note) {
		if (!*ks_rp_str(note, "unknown")) {
			put_damage_row(out, run, note, has_control);
			continue;
		}
		fputs("<tr><td><b>", out);
		put(out, ks_rp_str(note, "consumer"));
		fprintf(out, "</b></td><td class=\"soft\" colspan=\"%d\">untested: ", has_control ? 4 : 2);
		put(out, ks_rp_str(note, "unknown"));
		fputs("</td></tr>\n", out);
	}
	fputs("</tbody></table></div>\n", out);
}

/* ---- theory, injection ---- */

static void put_theory(FILE *out, const json_t *run)
{
	const char *metric;
	json_t *t;
	json_object_foreach((json_t *)json_object_get(run, "theory"), metric, t) {
		bool met = !json_is_false(json_object_get(t, "met"));
		fprintf(out, "<h3>Theory</h3>\n<p%s>", met ? "" : " class=\"alarm\"");
		put(out, metric);
		fputs("@", out);
		put(out, ks_rp_str(t, "scope"));
		fprintf(out, " is %" PRId64 "; %s %" PRId64 "..%" PRId64 " (", ks_rp_int(t, "value"), met ? "theory says" : "but theory says",
		        ks_rp_int(t, "low"), ks_rp_int(t, "high"));
		put(out, ks_rp_str(t, "law"));
		if (json_is_number(json_object_get(t, "mean")))
			fprintf(out, ", mean %.6g", json_number_value(json_object_get(t, "mean")));
		fputs(*ks_rp_str(t, "text") ? ": " : "", out);
		put(out, ks_rp_str(t, "text"));
		fputs(").</p>\n", out);
	}
}

static void put_injections(FILE *out, const json_t *run)
{
	const json_t *list = json_object_get(run, "injection");
	size_t i;
	json_t *injection;
	if (!json_array_size(list))
		return;
	fputs("<h3>Faults, proven from the subject's own clock</h3>\n<ul class=\"plain\">\n", out);
	json_array_foreach(list, i, injection) {
		char text[500];
		ks_rp_injection(text, sizeof(text), injection);
		fputs("<li>", out);
		put(out, text);
		fputs("</li>\n", out);
	}
	fputs("</ul>\n", out);
}

static void put_keepers(FILE *out, const json_t *run)
{
	const json_t *keepers = json_object_get(run, "keepers"), *list = json_object_get(keepers, "notable");
	size_t i, shown = 0;
	json_t *act;
	if (!keepers)
		return;
	if (!json_array_size(list))
		list = json_object_get(keepers, "first");
	fputs("<h3>What daemons did to the clocks that they keep</h3>\n<ul class=\"plain\">\n", out);
	json_array_foreach(list, i, act) {
		char text[500];
		if (shown++ == 12)
			break;
		ks_rp_keeper_act(text, sizeof(text), act);
		fputs("<li>", out);
		put(out, text);
		fputs("</li>\n", out);
	}
	fprintf(out, "</ul>\n<p>%lld acts in all.</p>\n", (long long)ks_rp_int(keepers, "acts"));
}

/* ---- plots ---- */

static const char *plot_path(char path[4096], const json_t *run, const char *dir, const char *file)
{
	const char *id = ks_rp_str(run, "id");
	if (!ks_rp_is_name(id) || (size_t)snprintf(path, 4096, "%s/runs/%s/%s", dir, id, file) >= 4096)
		return NULL;
	return path;
}

size_t ks_html_plot_bytes(const json_t *run, const char *dir)
{
	char path[4096], file[40];
	struct stat st;
	size_t sum = 0;
	for (int i = 0; i < KS_RP_PLOTS; i++) {
		snprintf(file, sizeof(file), "%s.svg", ks_rp_plots[i].name);
		if (plot_path(path, run, dir, file) && !stat(path, &st) && st.st_size > 0)
			sum += (size_t)st.st_size;
	}
	return sum;
}

/* An SVG as the address of an image: there it can neither run scripts nor clash with the page's names. */
static void put_data_uri(FILE *out, const char *svg, size_t len)
{
	fputs("data:image/svg+xml;charset=utf-8,", out);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)svg[i];
		if (c == '&')
			fputs("&amp;", out);
		else if (c == '\n')
			fputc(' ', out);
		else if (c < 0x20 || c == '%' || c == '#' || c == '"')
			fprintf(out, "%%%02X", c);
		else
			fputc(c, out);
	}
}

static void put_relative(FILE *out, const json_t *run, const char *name)
{
	fputs("runs/", out);
	for (const char *p = ks_rp_str(run, "id"); *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') || strchr("-_.", *p);
		fprintf(out, plain ? "%c" : "%%%02X", (unsigned char)*p);
	}
	fprintf(out, "/%s.svg", name);
}

/* @return whether there was a plot to show. */
static bool put_plot(FILE *out, const json_t *run, const char *dir, const struct ks_rp_plot *plot, size_t *budget)
{
	char path[4096], file[40];
	struct stat st;
	size_t len = 0;
	snprintf(file, sizeof(file), "%s.svg", plot->name);
	if (!plot_path(path, run, dir, file) || stat(path, &st))
		return false;
	char *svg = (size_t)st.st_size <= *budget ? ks_rp_read(path, KS_RP_SVG_MAX, &len) : NULL;
	*budget -= svg && len <= *budget ? len : 0;
	fputs("<figure tabindex=\"0\"><img width=\"960\" height=\"400\" loading=\"lazy\" decoding=\"async\" alt=\"", out);
	fputs(plot->shows, out);
	fputs("\" src=\"", out);
	if (svg)
		put_data_uri(out, svg, len);
	else
		put_relative(out, run, plot->name);
	fputs("\"></figure>\n", out);
	free(svg);
	return true;
}

/* What the run has none of, in one sentence. */
static void put_nothing(FILE *out, const json_t *missing)
{
	bool any = false;
	for (int i = 0; i < KS_RP_PLOTS; i++) {
		const char *why = json_string_value(json_object_get(missing, ks_rp_plots[i].name));
		if (!why || *why || !*ks_rp_plots[i].what)
			continue;
		fprintf(out, "%s%s", any ? ", no " : "<p class=\"soft\">Nothing to draw: no ", ks_rp_plots[i].what);
		any = true;
	}
	fputs(any ? ".</p>\n" : "", out);
}

static void put_plots(FILE *out, const json_t *run, const char *dir, size_t *budget)
{
	char path[4096];
	size_t len;
	char *bytes = plot_path(path, run, dir, "meta.json") ? ks_rp_read(path, 1u << 20, &len) : NULL;
	json_t *meta = bytes ? json_loadb(bytes, len, 0, NULL) : NULL;
	const json_t *missing = json_object_get(meta, "missing");
	bool absent = false;
	free(bytes);
	for (int i = 0; i < KS_RP_PLOTS; i++) {
		const struct ks_rp_plot *plot = &ks_rp_plots[i];
		const char *why = ks_rp_str(missing, plot->name);
		if (*why && *plot->what) {
			fprintf(out, "<p class=\"soft\">No plot of %s: ", plot->what);
			put(out, why);
			fputs(".</p>\n", out);
		} else if (!put_plot(out, run, dir, plot, budget)) {
			absent = absent || json_object_get(json_object_get(meta, "ranges"), plot->name);
		}
	}
	put_nothing(out, missing);
	if (absent && meta) {
		fputs("<p class=\"soft\">Not drawn: of several seeds the first is, and those that are not as expected (none at all without gnuplot). "
		      "By hand: <code>gnuplot *.gp</code> in runs/", out);
		put(out, ks_rp_str(run, "id"));
		fputs(".</p>\n", out);
	}
	json_decref(meta);
}

/* ---- the section ---- */

static void put_heading(FILE *out, const json_t *run)
{
	fputs("<summary>", out);
	ks_html_chip(out, ks_rp_letter(run), ks_rp_expected(run));
	fputs("<b>", out);
	put(out, ks_rp_str(run, "scenario"));
	fputs("</b><span>", out);
	put(out, ks_rp_str(run, "generator"));
	fputs("</span><span class=\"soft\">", out);
	put(out, ks_rp_str(run, "world"));
	fprintf(out, ", seed %" PRId64 "%s</span></summary>\n", ks_rp_int(run, "seed"),
	        ks_rp_true(run, "canary") ? ", canary" : !ks_rp_expected(run) ? ", not as expected" : "");
}

static void put_facts(FILE *out, const json_t *run)
{
	const char *const members[] = {"title", "generator_title", "source", "world_detail"};
	bool any = false;
	fputs("<p class=\"soft\">", out);
	for (size_t i = 0; i < 4; i++) {
		if (!*ks_rp_str(run, members[i]))
			continue;
		fputs(any ? " · " : "", out);
		put(out, ks_rp_str(run, members[i]));
		any = true;
	}
	if (ks_rp_int(run, "calls"))
		fprintf(out, "%s%" PRId64 " calls, %" PRId64 " keys", any ? " · " : "", ks_rp_int(run, "calls"), ks_rp_int(run, "keys"));
	if (ks_rp_int(run, "attempts") > 1)
		fprintf(out, " · judged at attempt %" PRId64, ks_rp_int(run, "attempts"));
	if (ks_rp_true(run, "canary"))
		fputs(" · a canary: it must fail, or the lab is blind", out);
	fputs("</p>\n", out);
}

static void put_reported(FILE *out, const json_t *run)
{
	char line[1000];
	if (!ks_rp_reported(line, sizeof(line), run))
		return;
	fputs("<p class=\"reported\">", out);
	put(out, line);
	fputs("</p>\n", out);
}

static void put_trouble(void *to, const char *text)
{
	fputs("<li>", to);
	put(to, text);
	fputs("</li>", to);
}

static void put_pre(FILE *out, const char *title, const char *text, bool folded)
{
	if (!*text)
		return;
	fprintf(out, folded ? "<details><summary>%s</summary><pre>" : "<h3>%s</h3>\n<pre>", title);
	for (const char *line = text; *line; line += strcspn(line, "\n")) { /* the newlines of the text are real */
		if (*line == '\n')
			fputc(*line++, out);
		ks_rp_putn(out, KS_RP_XML, line, strcspn(line, "\n"));
	}
	fputs(folded ? "</pre></details>\n" : "</pre>\n", out);
}

void ks_html_run(FILE *out, const json_t *run, const char *dir, bool open, size_t *budget)
{
	fprintf(out, "<details class=\"run\"%s%s>\n", open ? " open" : "", ks_rp_expected(run) ? "" : " data-surprise");
	put_heading(out, run);
	/* The anchor lies inside: browsers open what they are sent into. */
	fputs("<div class=\"body\" id=\"", out);
	ks_html_anchor(out, run);
	fputs("\">\n<p class=\"lead\">", out);
	ks_rp_sentence(out, KS_RP_XML, run);
	fputs("</p>\n", out);
	put_reported(out, run);
	put_facts(out, run);
	if (!ks_rp_expected(run)) {
		fputs("<div class=\"alarm\"><b>Not as expected</b><ul>", out);
		ks_rp_unexpected(run, KS_RP_ALL, put_trouble, out);
		fputs("</ul></div>\n", out);
	}
	put_claims(out, run);
	put_expectations(out, run);
	put_damage(out, run);
	put_plots(out, run, dir, budget);
	put_theory(out, run);
	put_injections(out, run);
	put_keepers(out, run);
	put_metrics(out, run);
	put_pre(out, "Do it again", ks_rp_str(run, "reproduce"), false);
	put_pre(out, "The scenario with every default", ks_rp_str(run, "effective"), true);
	fputs("</div>\n</details>\n", out);
}
