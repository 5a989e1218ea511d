/* The section of one run: a sentence, its claims with their witnesses, expectations, plots, metrics, and how to do it again. */
#include "html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ks_time.h"

/* A cell with a number of the named metric; without one it says so by a dash. */
static void put_number(FILE *out, const char *name, const json_t *value)
{
	char buf[KS_RP_NUMBER];
	int64_t v;
	fputs("<td>", out);
	if (ks_rp_integer(value, &v))
		ks_html_put(out, ks_rp_number(buf, name, v));
	else
		fputs("<span class=soft title=\"not computed\">–</span>", out);
}

/* ---- claims ---- */

static void put_record(FILE *out, const json_t *r, bool marked)
{
	char at[KS_RP_NUMBER], off[KS_RP_NUMBER];
	int64_t ns;
	fprintf(out, "<tr%s><td>%" PRId64 "<td>", marked ? " class=surprise" : "", ks_rp_int(r, "row"));
	ks_html_put(out, ks_rp_str(r, "node"));
	fprintf(out, " p%" PRId64 " i%" PRId64 " t%" PRId64 " #%" PRId64, ks_rp_int(r, "process"), ks_rp_int(r, "incarnation"), ks_rp_int(r, "thread"),
	        ks_rp_int(r, "seq"));
	const char *const times[] = {"call_ns", "return_ns"};
	for (int i = 0; i < 2; i++)
		fprintf(out, "<td>%s", ks_rp_integer(json_object_get(r, times[i]), &ns) ? ks_rp_ns_like(at, ns, KS_SEC) : "–");
	fprintf(out, "<td>%s<td>", ks_rp_integer(json_object_get(r, "clock_minus_true_ns"), &ns) ? ks_rp_number(off, "_ns", ns) : "–");
	ks_html_put(out, *ks_rp_str(r, "key") ? ks_rp_str(r, "key") : ks_rp_str(r, "outcome"));
	fputs("\n", out);
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
	fputs("<details><summary>the calls</summary><div class=wide><table class=calls><thead><tr><th>row<th>who<th>call<th>return<th>clock − true<th>key"
	      "</thead><tbody>\n", out);
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
	fprintf(out, "<td>%" PRId64 " call%s", calls, calls == 1 ? "" : "s");
	if (pairs)
		fprintf(out, ", %" PRId64 " pair%s", pairs, pairs == 1 ? "" : "s");
}

/* The claim before this one that has the same two calls for its witness, or NULL: they are shown there. */
static const json_t *same_witness(const json_t *claims, const json_t *claim)
{
	const json_t *rows = json_object_get(json_object_get(claim, "witness"), "rows");
	size_t i;
	json_t *before;
	json_array_foreach(claims, i, before) {
		const json_t *other = json_object_get(json_object_get(before, "witness"), "rows");
		if (before == claim)
			return NULL;
		if (json_array_size(rows) && other && json_equal(rows, other))
			return before;
	}
	return NULL;
}

static void put_witness(FILE *out, const json_t *claims, const json_t *claim)
{
	const json_t *shown = same_witness(claims, claim);
	if (!shown) {
		put_records(out, json_object_get(claim, "witness"));
		return;
	}
	fputs("<br>the calls: those of ", out);
	ks_html_put(out, ks_rp_str(shown, "claim"));
}

static void put_claim(FILE *out, const json_t *claims, const json_t *claim)
{
	const json_t *witness = json_object_get(claim, "witness");
	double bound = ks_rp_real(json_object_get(claim, "bound"));
	const char *text = ks_rp_str(witness, "text"), *reason = ks_rp_str(claim, "reason");
	bool bounded = bound > 0 && claim_letter(claim) == 'K';
	bool below = *text || *reason || bounded;
	fprintf(out, "<tr%s><td>", below ? " class=above" : "");
	ks_html_chip(out, claim_letter(claim), true);
	fputs("<td><b>", out);
	ks_html_put(out, ks_rp_str(claim, "claim"));
	fputs("</b><td>", out);
	ks_html_put(out, ks_rp_str(claim, "verdict"));
	put_number(out, "", json_object_get(claim, "count"));
	put_number(out, "", json_object_get(json_object_get(claim, "control"), "count"));
	put_exposed(out, claim);
	fputs("<td class=soft>", out);
	ks_html_put(out, *ks_rp_str(claim, "source") ? ks_rp_str(claim, "source") : ks_rp_str(claim, "by"));
	fputs("\n", out);
	if (!below)
		return;
	fputs("<tr><td class=why><td class=why colspan=\"6\">", out);
	ks_html_put(out, *text ? text : reason);
	if (bounded) {
		char small[KS_RP_NUMBER];
		fprintf(out, "%" PRId64 " of %" PRId64 ", at most %s per key (95 %%)", ks_rp_int(claim, "count"), ks_rp_int(claim, "exposed"),
		        ks_rp_small(small, bound));
	}
	put_witness(out, claims, claim);
	fputs("\n", out);
}

static void put_claims(FILE *out, const json_t *run)
{
	const json_t *claims = json_object_get(run, "claims");
	size_t i;
	json_t *claim;
	if (!json_array_size(claims))
		return;
	fputs("<h3>Claims</h3>\n<div class=wide><table class=claims><thead><tr><th><th>claim<th>verdict<th>violations"
	      "<th>control<th>exposed<th>promised by</thead><tbody>\n", out);
	json_array_foreach(claims, i, claim)
		put_claim(out, claims, claim);
	fputs("</tbody></table></div>\n", out);
}

/* ---- expectations ---- */

static void put_expectation(FILE *out, const json_t *run, const json_t *e)
{
	const json_t *value = json_object_get(e, "value");
	const char *text = ks_rp_str(e, "text"), *verdict = json_string_value(value);
	bool met = ks_rp_true(e, "met"), untested = ks_rp_true(e, "untested");
	bool surprise = !met && !untested && !ks_rp_true(run, "canary");
	fprintf(out, "<tr%s><td>%s<td><b>", surprise ? " class=surprise" : "", untested ? "untested" : met ? "met" : "unmet");
	ks_html_put(out, text);
	fputs("</b>", out);
	if (verdict && (strcmp(verdict, "0") && !strspn(verdict, "-0123456789"))) {
		fputs("<td>", out);
		ks_html_put(out, verdict);
		} else {
		put_number(out, text, value);
	}
	put_number(out, text, json_object_get(e, "control"));
	fputs("<td class=soft>", out);
	ks_html_put(out, ks_rp_str(e, "reason"));
	fputs("\n", out);
}

static void put_expectations(FILE *out, const json_t *run)
{
	const json_t *expectations = json_object_get(run, "expectations");
	size_t i;
	json_t *e;
	if (!json_array_size(expectations))
		return;
	fputs("<h3>Expectations</h3>\n<div class=wide><table class=expected><thead><tr><th><th>expected<th>is<th>control"
	      "<th></thead><tbody>\n", out);
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
	ks_html_put(out, label);
	put_number(out, name, value);
	if (has_control) {
		put_number(out, name, control);
		bool both = ks_rp_integer(value, &v) && ks_rp_integer(control, &c) && !__builtin_sub_overflow(v, c, &d);
		fprintf(out, "<td>%s%s", both && d > 0 ? "+" : "", both && d ? ks_rp_number(buf, name, d) : "");
	}
	fputs("\n", out);
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

/* 0 in every scope. */
static bool is_nothing(const json_t *value)
{
	const char *scope;
	json_t *v;
	int64_t n;
	if (!json_is_object(value))
		return ks_rp_integer(value, &n) && !n;
	json_object_foreach((json_t *)value, scope, v)
		if (!is_nothing(v))
			return false;
	return json_object_size(value) > 0;
}

/* Those that are 0 with and without the faults need no rows. */
static void put_zeros(FILE *out, const json_t *metrics, const json_t *control)
{
	const char *name;
	json_t *value;
	bool any = false;
	json_object_foreach((json_t *)metrics, name, value) {
		if (!is_nothing(value) || (control && !is_nothing(json_object_get(control, name))))
			continue;
		fputs(any ? ", " : "<p class=soft>0: ", out);
		ks_html_put(out, name);
		any = true;
	}
	fputs(any ? ".</p>\n" : "", out);
}

static void put_metrics(FILE *out, const json_t *run)
{
	const json_t *metrics = json_object_get(run, "metrics"), *control = json_object_get(json_object_get(run, "control"), "metrics");
	const char *name;
	json_t *value;
	if (!json_object_size(metrics))
		return;
	fprintf(out, "<h3>Metrics</h3>\n<div class=wide><table class=num><thead><tr><th>metric<th>run%s</thead><tbody>\n",
	        control ? "<th>control<th>difference" : "");
	json_object_foreach((json_t *)metrics, name, value) {
		if (is_nothing(value) && (!control || is_nothing(json_object_get(control, name))))
			continue;
		if (json_is_object(value))
			put_scoped(out, name, value, json_object_get(control, name), control);
		else
			put_difference_row(out, name, name, value, json_object_get(control, name), control);
	}
	fputs("</tbody></table></div>\n", out);
	put_zeros(out, metrics, control);
}

/* Below its row: who did the first piece of it to whom. */
static void put_damage_row(FILE *out, const json_t *run, const json_t *note, bool has_control)
{
	const char *consumer = ks_rp_str(note, "consumer"), *name = ks_rp_str(note, "damage"), *first = ks_rp_str(note, "first");
	const json_t *value = json_object_get(json_object_get(json_object_get(run, "damage"), consumer), name);
	const json_t *control = json_object_get(json_object_get(json_object_get(run, "control_damage"), consumer), name);
	char buf[KS_RP_NUMBER];
	int64_t v, c, d;
	fprintf(out, "<tr%s><td><b>", *first ? " class=above" : "");
	ks_html_put(out, consumer);
	fputs(".", out);
	ks_html_put(out, name);
	fputs("</b>", out);
	put_number(out, name, value);
	if (has_control) {
		put_number(out, name, control);
		bool both = ks_rp_integer(value, &v) && ks_rp_integer(control, &c) && !__builtin_sub_overflow(v, c, &d);
		fprintf(out, "<td>%s%s", both && d > 0 ? "+" : "", both && d ? ks_rp_number(buf, name, d) : "");
	}
	fputs("<td class=soft>", out);
	ks_html_put(out, ks_rp_str(note, "help"));
	fputs("\n", out);
	if (*first) {
		fprintf(out, "<tr><td class=why colspan=\"%d\">first: ", has_control ? 5 : 3);
		ks_html_put(out, first);
		fputs("\n", out);
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
	fprintf(out, "<h3>Damage downstream</h3>\n<div class=wide><table class=num><thead><tr><th>damage<th>run%s"
	        "<th>what it counts</thead><tbody>\n", has_control ? "<th>control<th>difference" : "");
	json_array_foreach(notes, i, note) {
		if (!*ks_rp_str(note, "unknown")) {
			put_damage_row(out, run, note, has_control);
			continue;
		}
		fputs("<tr><td><b>", out);
		ks_html_put(out, ks_rp_str(note, "consumer"));
		fprintf(out, "</b><td class=soft colspan=\"%d\">untested: ", has_control ? 4 : 2);
		ks_html_put(out, ks_rp_str(note, "unknown"));
		fputs("\n", out);
	}
	fputs("</tbody></table></div>\n", out);
}

/* ---- theory, injection ---- */

static void put_theory(FILE *out, const json_t *run)
{
	const char *metric, *none = ks_rp_str(run, "no_theory");
	json_t *t;
	if (*none) {
		fputs("<h3>Theory</h3>\n<p>Of duplicates: ", out);
		ks_html_put(out, none);
		fputs(".</p>\n", out);
	}
	json_object_foreach((json_t *)json_object_get(run, "theory"), metric, t) {
		bool met = !json_is_false(json_object_get(t, "met"));
		fprintf(out, "<h3>Theory</h3>\n<p%s>", met ? "" : " class=\"alarm\"");
		ks_html_put(out, metric);
		fputs("@", out);
		ks_html_put(out, ks_rp_str(t, "scope"));
		fprintf(out, " is %" PRId64 "; %s %" PRId64 "..%" PRId64 " (", ks_rp_int(t, "value"), met ? "theory says" : "but theory says",
		        ks_rp_int(t, "low"), ks_rp_int(t, "high"));
		ks_html_put(out, ks_rp_str(t, "law"));
		if (json_is_number(json_object_get(t, "mean")))
			fprintf(out, ", mean %.6g", json_number_value(json_object_get(t, "mean")));
		fputs(*ks_rp_str(t, "text") ? ": " : "", out);
		ks_html_put(out, ks_rp_str(t, "text"));
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
	fputs("<h3>Faults, proven from the subject's own clock</h3>\n<ul class=plain>\n", out);
	json_array_foreach(list, i, injection) {
		char text[500];
		ks_rp_injection(text, sizeof(text), injection);
		fputs("<li>", out);
		ks_html_put(out, text);
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
	fputs("<h3>What daemons did to the clocks that they keep</h3>\n<ul class=plain>\n", out);
	json_array_foreach(list, i, act) {
		char text[500];
		if (shown++ == 12)
			break;
		ks_rp_keeper_act(text, sizeof(text), act);
		fputs("<li>", out);
		ks_html_put(out, text);
		fputs("</li>\n", out);
	}
	fprintf(out, "</ul>\n<p>%lld acts in all.</p>\n", (long long)ks_rp_int(keepers, "acts"));
}

static void put_captured(void *to, const char *text)
{
	FILE *out = to;
	fputs("<li>", out);
	ks_html_put(out, text);
	fputs("</li>\n", out);
}

static void put_capture(FILE *out, const json_t *run)
{
	if (!json_object_get(run, "capture"))
		return;
	fputs("<h3>What the kernel was seen doing to the clock</h3>\n<ul class=plain>\n", out);
	ks_rp_capture(run, 24, 12, put_captured, out);
	fputs("</ul>\n", out);
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
		if (plot_path(path, run, dir, file) && !stat(path, &st) && st.st_size > 0 && st.st_size <= KS_RP_SVG_MAX)
			sum += (size_t)st.st_size;
	}
	return sum;
}

/* Where a plot is seen from the page, safe in an attribute. */
static void relative_path(char *to, size_t size, const json_t *run, const char *file)
{
	size_t n = (size_t)snprintf(to, size, "runs/");
	for (const char *p = ks_rp_str(run, "id"); *p && n < size; p++) {
		bool plain = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') || strchr("-_.", *p);
		n += (size_t)snprintf(to + n, size - n, plain ? "%c" : "%%%02X", (unsigned char)*p);
	}
	if (n < size)
		snprintf(to + n, size - n, "/%s", file);
}

/* @return whether there was a plot to show. */
static bool put_plot(const struct ks_html_page *p, const json_t *run, const struct ks_rp_plot *plot)
{
	char path[4096], file[40], relative[1000];
	snprintf(file, sizeof(file), "%s.svg", plot->name);
	relative_path(relative, sizeof(relative), run, file);
	return plot_path(path, run, p->dir, file) && ks_html_image(p->images, p->out, path, relative, plot->shows, !ks_rp_expected(run));
}

/* What the run has none of, in one sentence. */
static void put_nothing(FILE *out, const json_t *missing)
{
	bool any = false;
	for (int i = 0; i < KS_RP_PLOTS; i++) {
		const char *why = json_string_value(json_object_get(missing, ks_rp_plots[i].name));
		if (!why || *why || !*ks_rp_plots[i].what)
			continue;
		fprintf(out, "%s%s", any ? ", no " : "<p class=soft>Nothing to draw: no ", ks_rp_plots[i].what);
		any = true;
	}
	fputs(any ? ".</p>\n" : "", out);
}

static void put_plots(const struct ks_html_page *p, const json_t *run)
{
	FILE *out = p->out;
	char path[4096];
	size_t len;
	char *bytes = plot_path(path, run, p->dir, "meta.json") ? ks_rp_read(path, 1u << 20, &len) : NULL;
	json_t *meta = bytes ? json_loadb(bytes, len, 0, NULL) : NULL;
	const json_t *missing = json_object_get(meta, "missing");
	bool absent = false;
	free(bytes);
	for (int i = 0; i < KS_RP_PLOTS; i++) {
		const struct ks_rp_plot *plot = &ks_rp_plots[i];
		const char *why = ks_rp_str(missing, plot->name);
		if (*why && *plot->what) {
			fprintf(out, "<p class=soft>No plot of %s: ", plot->what);
			ks_html_put(out, why);
			fputs(".</p>\n", out);
		} else if (!put_plot(p, run, plot)) {
			absent = absent || json_object_get(json_object_get(meta, "ranges"), plot->name);
		}
	}
	put_nothing(out, missing);
	if (absent && meta) {
		fputs("<p class=soft>Not drawn: of several seeds the first is, and those that are not as expected (none at all without gnuplot). "
		      "By hand: <code>gnuplot *.gp</code> in runs/", out);
		ks_html_put(out, ks_rp_str(run, "id"));
		fputs(".</p>\n", out);
	}
	json_decref(meta);
}

/* ---- the section ---- */

static void put_attribute(FILE *out, const char *name, const char *value)
{
	fprintf(out, " data-%s=\"", name);
	ks_html_put(out, value);
	fputc('"', out);
}

/* The marks are what the page's script filters and sorts by. */
static void put_heading(FILE *out, const json_t *run, bool open)
{
	fputs("<details class=run", out);
	put_attribute(out, "s", ks_rp_str(run, "scenario"));
	put_attribute(out, "g", ks_rp_str(run, "generator"));
	put_attribute(out, "w", ks_rp_str(run, "world"));
	fprintf(out, " data-v=%c%s%s>\n<summary>", ks_rp_letter(run), ks_rp_expected(run) ? "" : " data-surprise", open ? " open" : "");
	ks_html_chip(out, ks_rp_letter(run), ks_rp_expected(run));
	fputs("<b>", out);
	ks_html_put(out, ks_rp_str(run, "scenario"));
	fputs("</b><span>", out);
	ks_html_put(out, ks_rp_str(run, "generator"));
	fputs("</span><span class=soft>", out);
	ks_html_put(out, ks_rp_str(run, "world"));
	fprintf(out, ", seed %" PRId64 "%s</span></summary>\n", ks_rp_int(run, "seed"),
	        ks_rp_true(run, "canary") ? ", canary" : !ks_rp_expected(run) ? ", not as expected" : "");
}

static void put_facts(FILE *out, const json_t *run)
{
	const char *const members[] = {"title", "generator_title", "source", "world_detail"};
	bool any = false;
	fputs("<p class=soft>", out);
	for (size_t i = 0; i < 4; i++) {
		if (!*ks_rp_str(run, members[i]))
			continue;
		fputs(any ? " · " : "", out);
		ks_html_put(out, ks_rp_str(run, members[i]));
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
	ks_html_put(out, line);
	fputs("</p>\n", out);
}

static void put_trouble(void *to, const char *text)
{
	fputs("<li>", to);
	ks_html_put(to, text);
	fputs("</li>", to);
}

void ks_html_put_lines(FILE *out, const char *text)
{
	for (const char *line = text; *line; line += strcspn(line, "\n")) { /* the newlines of the text are real */
		while (*line == '\n')
			fputc(*line++, out);
		ks_rp_putn(out, KS_RP_XML, line, strcspn(line, "\n"));
	}
}

static void put_again(FILE *out, const json_t *run, size_t scenario)
{
	if (*ks_rp_str(run, "reproduce")) {
		fputs("<h3>Do it again</h3>\n<pre>", out);
		ks_html_put_lines(out, ks_rp_str(run, "reproduce"));
		fputs("</pre>\n", out);
	}
	fputs("<p class=soft>", out);
	if (scenario)
		fprintf(out, "<a href=\"#scenario-%zu\">The scenario with every default</a> · ", scenario);
	fputs("<a href=\"#matrix\">What holds</a></p>\n", out);
}

void ks_html_run(const struct ks_html_page *p, const json_t *run, size_t scenario, bool open)
{
	FILE *out = p->out;
	put_heading(out, run, open);
	/* The anchor lies inside: browsers open what they are sent into. */
	fputs("<div class=body id=\"", out);
	ks_html_anchor(out, run);
	fputs("\">\n<p class=lead>", out);
	ks_rp_sentence(out, KS_RP_XML, run);
	fputs("</p>\n", out);
	put_reported(out, run);
	put_facts(out, run);
	if (!ks_rp_expected(run)) {
		fputs("<div class=alarm><b>Not as expected</b><ul>", out);
		ks_rp_unexpected(run, KS_RP_ALL, put_trouble, out);
		fputs("</ul></div>\n", out);
	}
	put_claims(out, run);
	put_expectations(out, run);
	put_damage(out, run);
	put_plots(p, run);
	put_theory(out, run);
	put_injections(out, run);
	put_keepers(out, run);
	put_capture(out, run);
	put_metrics(out, run);
	put_again(out, run, scenario);
	fputs("</div>\n</details>\n", out);
}
