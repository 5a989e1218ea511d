/* Plots: for each run folder its scripts, from meta.json and the templates, and gnuplot on them.
 *
 * A script is a list of assignments (what this run is) and a template (how such a plot looks). Text of the run enters as
 * gnuplot strings in single quotes, in which nothing but the quote is special, with enhanced text off. */
#include "gnuplot.h"
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct ks_rp_plot ks_rp_plots[KS_RP_PLOTS] = {
	{"clock", ks_rp_panels_gp, "clock minus true time", "the clock"},
	{"keytime", ks_rp_panels_gp, "key time minus call time", "key times"},
	{"order", ks_rp_panels_gp, "how late keys come in their order", "keys out of order"},
	{"dups", ks_rp_panels_gp, "duplicates over time", "duplicates"},
	{"causal", ks_rp_panels_gp, "key time minus key time of the cause", "calls caused by others"},
	{"served", ks_rp_panels_gp, "refused and lost calls over time", "refused or lost calls"},
	{"stalls", ks_rp_panels_gp, "return minus due over time", "waits of 1 ms"},
	{"waits", ks_rp_shares_gp, "how many calls waited how long", ""},
	{"damage", ks_rp_panels_gp, "damage over time", "damage"},
};

static bool is(const struct ks_rp_plot *plot, const char *name)
{
	return !strcmp(plot->name, name);
}

/* Its names when it shows counts over time, else NULL. */
static const json_t *counts_of(const json_t *meta, const struct ks_rp_plot *plot)
{
	return json_object_get(json_object_get(meta, "counts"), plot->name);
}

/* Fault marks beyond this many would only blacken the plot; names beyond a few overlap. */
#define MARKS_MAX 60
#define MARKS_NAMED 4
#define META_MAX (1u << 20)

static void put_string(FILE *out, const char *text, size_t max)
{
	struct ks_rp_text safe;
	struct ks_err err;
	fputc('\'', out);
	if (!ks_rp_open(&safe, &err)) {
		ks_rp_put(safe.f, KS_RP_PLAIN, text);
		if (!ks_rp_finish(&safe, &err)) {
			size_t len = safe.len < max ? safe.len : max;
			while (len && len < safe.len && ((unsigned char)safe.bytes[len] & 0xc0) == 0x80)
				len--; /* not inside a character */
			for (size_t i = 0; i < len; i++)
				fputs((char[]){safe.bytes[i], safe.bytes[i] == '\'' ? '\'' : 0, 0}, out);
			fputs(len < safe.len ? "..." : "", out);
		}
		ks_rp_release(&safe);
	}
	fputc('\'', out);
}

static void assign(FILE *out, const char *name, const char *text)
{
	fprintf(out, "%s = ", name);
	put_string(out, text, 240);
	fputc('\n', out);
}

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* The unit in which values are shown. */
struct unit {
	const char *name;
	double ms;
};
static const struct unit units[] = {{"s", 1000}, {"ms", 1}, {"µs", 1e-3}, {"ns", 1e-6}};

static struct unit unit_for(double largest_ms)
{
	for (size_t i = 0; i < 3; i++)
		if (largest_ms >= (i ? 0.5 : 5) * units[i].ms)
			return units[i];
	return largest_ms > 0 ? units[3] : units[1];
}

static void range_of(const json_t *meta, const char *series, double *low, double *high)
{
	const json_t *r = json_object_get(json_object_get(meta, "ranges"), series);
	*low = json_number_value(json_array_get(r, 0));
	*high = json_number_value(json_array_get(r, 1));
}

/* An axis with some air, and the zero line in sight if asked. */
static void put_axis(FILE *out, const char *prefix, double low, double high, bool zero)
{
	low = low < 0 || !zero ? low : 0;
	high = high > 0 || !zero ? high : 0;
	double air = (high - low) * 0.07;
	if (high <= low) { /* flat: 0 in the middle, a count at the bottom */
		air = zero ? 1 : 0.07;
		high += zero ? 0 : 1;
	}
	fprintf(out, "%slow = %.9g\n%shigh = %.9g\n", prefix, low - air, prefix, high + air);
}

static bool hit_by_fault(const json_t *meta, const char *node)
{
	size_t i, k;
	json_t *fault, *name;
	json_array_foreach(json_object_get(meta, "faults"), i, fault)
		json_array_foreach(json_object_get(fault, "nodes"), k, name)
			if (!strcmp(json_string_value(name) ? json_string_value(name) : "", node))
				return true;
	return false;
}

/* What is drawn: a line each, with its entry in the legend, which is laid out here as gnuplot wraps its own over the panels. */
struct entry {
	const char *name, *colour; /* name "": not in the legend */
	double width;
	size_t block, column;      /* where in the data */
};
#define ENTRIES_MAX 64
struct entries {
	struct entry v[ENTRIES_MAX];
	size_t n;
};

/* Widths are those of the template's 13 px font. */
#define WIDTH_PX 960.0
#define LEGEND_PX 560.0

static void add_entry(struct entries *e, const char *name, const char *colour, double width, size_t block, size_t column)
{
	if (e->n < ENTRIES_MAX)
		e->v[e->n++] = (struct entry){name, colour, width, block, column};
}

static double entry_px(const char *name, size_t name_max)
{
	size_t len = strlen(name);
	return len ? 44 + 7.8 * (double)(len > name_max ? name_max + 2 : len) : 0;
}

static double legend_px(const struct entries *e, size_t name_max)
{
	double px = 0;
	for (size_t i = 0; i < e->n; i++)
		px += entry_px(e->v[i].name, name_max);
	return px;
}

static void put_entries(FILE *out, const struct entries *e)
{
	static const char *const arrays[] = {"name", "colour", "width", "x", "block", "column"};
	size_t name_max = 26;
	while (name_max > 6 && legend_px(e, name_max) > LEGEND_PX)
		name_max--;
	double x = WIDTH_PX - 12 - legend_px(e, name_max);
	fprintf(out, "entries = %zu\n", e->n);
	for (size_t k = 0; k < sizeof(arrays) / sizeof(*arrays); k++)
		fprintf(out, "array entry_%s[%zu]\n", arrays[k], e->n ? e->n : 1);
	for (size_t i = 0; i < e->n; i++) {
		fprintf(out, "entry_name[%zu] = ", i + 1);
		put_string(out, e->v[i].name, name_max);
		fprintf(out, "\nentry_x[%zu] = %.4f\nentry_colour[%zu] = '%s'\nentry_width[%zu] = %.1f\n", i + 1, x / WIDTH_PX, i + 1,
		        e->v[i].colour, i + 1, e->v[i].width);
		fprintf(out, "entry_block[%zu] = %zu\nentry_column[%zu] = %zu\n", i + 1, e->v[i].block, i + 1, e->v[i].column);
		x += entry_px(e->v[i].name, name_max);
	}
}

/* Okabe and Ito's colours: what a fault hits, or the run, in the warm ones. */
static const char *const warm[] = {"#d55e00", "#cc79a7", "#e69f00"};
static const char *const cool[] = {"#0072b2", "#009e73", "#56b4e9", "#000000"};
static const char *const all_colours[] = {"#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};
#define GREY "#9aa0a6"

/* A line a node. Lines that lie on each other stay visible: those drawn first are wider (in nests). */
static void node_entries(struct entries *e, const json_t *meta, bool nested)
{
	const json_t *nodes = json_object_get(meta, "nodes");
	size_t n = json_array_size(nodes), nhit = 0, nspared = 0, i;
	json_t *node;
	json_array_foreach(nodes, i, node) {
		const char *name = json_string_value(node) ? json_string_value(node) : "";
		bool others = !strcmp(name, "others");
		const char *colour = others                       ? GREY
		                     : hit_by_fault(meta, name) ? warm[nhit++ % 3]
		                                                : cool[nspared++ % 4];
		add_entry(e, others ? "the others" : name, colour, nested ? 1.5 + 1.5 * (double)(n - 1 - i < 3 ? n - 1 - i : 3) : 1.2, i, 3);
	}
}

/* A part of the first, such as lost_tasks_early of lost_tasks, is shown without the words of the first. */
static const char *part_of(const char *first, const char *name)
{
	size_t len = first ? strlen(first) : 0;
	bool part = len && name && strlen(name) > len + 1 && !strncmp(name, first, len) && name[len] == '_';
	return part ? name + len : name ? name : "";
}

/* A line a count, over those of the control, which are one grey. */
static void count_entries(struct entries *e, const json_t *meta, const json_t *names)
{
	size_t n = json_array_size(names), i;
	json_t *name;
	for (i = 0; i < n && json_is_true(json_object_get(meta, "control")); i++)
		add_entry(e, i ? "" : "control", GREY, 4 + 1.5 * (double)(n - 1 < 3 ? n - 1 : 3), 0, 2 + n + i);
	json_array_foreach(names, i, name)
		add_entry(e, part_of(json_string_value(json_array_get(names, 0)), json_string_value(name)), all_colours[i % 7],
		          2 + 1.5 * (double)(n - 1 - i < 3 ? n - 1 - i : 3), 0, 2 + i);
}

/* Names of faults that stand close together stand in one label, at the first of them. close_s: how near that is. */
static void put_fault_names(FILE *out, const json_t *faults, size_t n, const char *array, double close_s)
{
	size_t i;
	json_t *fault;
	double last_s = 0;
	char names[64] = "";
	size_t at = 0; /* whose label they are, from 1 */
	fprintf(out, "array %s[%zu]\n", array, n ? n : 1);
	json_array_foreach(faults, i, fault) {
		if (i == n)
			break;
		fprintf(out, "%s[%zu] = ''\n", array, i + 1);
		const char *name = n <= MARKS_NAMED ? ks_rp_str(fault, "name") : "";
		double s = number(fault, "at_s");
		bool joins = at && *names && fabs(s - last_s) < close_s && strlen(names) + strlen(name) + 3 < sizeof(names);
		if (!joins) {
			at = i + 1;
			last_s = s;
			*names = 0;
		}
		size_t len = strlen(names);
		snprintf(names + len, sizeof(names) - len, "%s%.40s", joins ? ", " : "", name);
		fprintf(out, "%s[%zu] = ", array, at);
		put_string(out, names, 48);
		fputc('\n', out);
	}
}

static void put_faults(FILE *out, const json_t *meta)
{
	const json_t *faults = json_object_get(meta, "faults"), *near = json_object_get(meta, "near");
	size_t n = json_array_size(faults), i;
	json_t *fault;
	n = n < MARKS_MAX ? n : MARKS_MAX;
	fprintf(out, "faults = %zu\narray fault_s[%zu]\n", n, n ? n : 1);
	json_array_foreach(faults, i, fault)
		if (i < n)
			fprintf(out, "fault_s[%zu] = %.9f\n", i + 1, number(fault, "at_s"));
	put_fault_names(out, faults, n, "fault_name", number(meta, "end_s") / 12);
	put_fault_names(out, faults, n, "fault_near_name", (number(near, "to_s") - number(near, "from_s")) / 10);
}

/* The unit in which a span of time is read on the x axis. */
static struct unit unit_of_span(double span_s)
{
	size_t i = 0;
	while (i < 3 && span_s * 1000 < 3 * units[i].ms)
		i++;
	return units[i];
}

/* A distance of tics of which at most six fit into a span, so that their labels do not touch. */
static double tics_of(double span)
{
	double step = pow(10, floor(log10(span / 6)));
	return span / 6 <= step ? step : span / 6 <= 2 * step ? 2 * step : span / 6 <= 5 * step ? 5 * step : 10 * step;
}

/* The neighbourhood: its ends, what it is around, and the units of time in which it and the whole are read. */
static void put_near(FILE *out, const json_t *meta)
{
	const json_t *near = json_object_get(meta, "near");
	double from = number(near, "from_s"), to = number(near, "to_s"), center = (from + to) / 2;
	double end = number(meta, "end_s") > 0 ? number(meta, "end_s") : 1;
	const char *about = ks_rp_str(near, "about"), *what = "the beginning";
	struct unit unit = unit_of_span(to - from), whole = unit_of_span(end);
	char text[100];
	if (!strcmp(about, "witness"))
		what = "around the first witness";
	else if (!strcmp(about, "damage"))
		what = "around the first damage";
	else if (!strcmp(about, "fault"))
		what = "around the first fault";
	center = strcmp(about, "start") ? center : 0;
	fprintf(out, "end_s = %.9f\nwhole_per = %.9g\nfrom_s = %.9f\nto_s = %.9f\ncenter_s = %.9f\nnear_per = %.9g\n", end,
	        1000 / whole.ms, from, to, center, 1000 / unit.ms);
	fprintf(out, "whole_tics = %.9g\nnear_tics = %.9g\n", tics_of(end * 1000 / whole.ms),
	        tics_of(to > from ? (to - from) * 1000 / unit.ms : 1));
	assign(out, "near_title", what);
	snprintf(text, sizeof(text), "true time since the start (%s)", whole.name);
	assign(out, "whole_xlabel", text);
	snprintf(text, sizeof(text), "%s before and after %.*g s", unit.name, unit.ms < 1 ? 9 : 6, center);
	if (center <= 0)
		snprintf(text, sizeof(text), "%s since the start", unit.name);
	assign(out, "near_xlabel", text);
}

static void clock_title(char *buf, size_t size, const json_t *meta)
{
	const json_t *nodes = json_object_get(meta, "nodes");
	const char *hit = NULL;
	size_t nhit = 0, i;
	json_t *node;
	json_array_foreach(nodes, i, node) {
		const char *name = json_string_value(node);
		if (name && hit_by_fault(meta, name)) {
			hit = name;
			nhit++;
		}
	}
	if (json_array_size(nodes) == 1)
		snprintf(buf, size, "Did the clock keep true time?");
	else if (nhit == 1)
		snprintf(buf, size, "Did the clock of %.40s keep true time?", hit);
	else
		snprintf(buf, size, "Did the clocks keep true time?");
}

static const char *within(char buf[24], const char *scope)
{
	*buf = 0;
	if (strcmp(scope, "fleet"))
		snprintf(buf, 24, " within a %s", scope);
	return buf;
}

/* "3 below the maximum, 1 descent, at most 5 places": what the run counts of disorder in a scope. */
static void add_disorder(char *buf, size_t size, const json_t *run, const char *scope)
{
	const json_t *m = json_object_get(run, "metrics");
	char below[KS_RP_NUMBER], descents[KS_RP_NUMBER], places[KS_RP_NUMBER];
	size_t len = strlen(buf);
	if (!json_object_get(m, "displacement"))
		return;
	snprintf(buf + len, size - len, " %s, %s, at most %s.",
	         ks_rp_count(below, ks_rp_int(json_object_get(m, "below_max"), scope), "key below the maximum", "keys below the maximum"),
	         ks_rp_count(descents, ks_rp_int(json_object_get(m, "descents"), scope), "descent", "descents"),
	         ks_rp_count(places, ks_rp_int(json_object_get(m, "displacement"), scope), "place", "places"));
}

/* Title, caption and name of the y axis. */
struct words {
	char title[100], caption[240], ylabel[80];
};

static void count_words(struct words *w, const struct ks_rp_plot *plot, const json_t *meta)
{
	const char *scope = ks_rp_str(meta, "dups_scope");
	const char *control = json_is_true(json_object_get(meta, "control")) ? "Grey: the same seed without faults."
	                                                                     : "This world runs once, so there is no control.";
	char in[24];
	if (is(plot, "dups")) {
		snprintf(w->title, sizeof(w->title), "When do duplicates appear%s?", within(in, scope));
		snprintf(w->caption, sizeof(w->caption), "Keys that %s%s had issued before, counted as calls return. %s",
		         strcmp(scope, "fleet") ? "the same " : "the ", scope, control);
		snprintf(w->ylabel, sizeof(w->ylabel), "duplicates so far");
	} else if (is(plot, "served")) {
		snprintf(w->title, sizeof(w->title), "When do callers get no key?");
		snprintf(w->caption, sizeof(w->caption), "Calls that the generator refused, and calls that never came back. %s", control);
		snprintf(w->ylabel, sizeof(w->ylabel), "calls so far");
	} else {
		snprintf(w->title, sizeof(w->title), "What does it cost downstream?");
		snprintf(w->caption, sizeof(w->caption), "What the consumers of the keys make of them, as calls return. %s", control);
		snprintf(w->ylabel, sizeof(w->ylabel), "damage so far");
	}
}

static void line_words(struct words *w, const struct ks_rp_plot *plot, const json_t *run, const json_t *meta, const char *unit)
{
	const char *scope = ks_rp_str(meta, "order_scope");
	char in[24];
	if (is(plot, "clock")) {
		clock_title(w->title, sizeof(w->title), meta);
		snprintf(w->caption, sizeof(w->caption),
		         "The %s clock minus true time, as the generator read it. 0 is true; above 0 the clock is ahead.",
		         ks_rp_str(meta, "clock"));
		snprintf(w->ylabel, sizeof(w->ylabel), "clock − true time (%s)", unit);
	} else if (is(plot, "keytime")) {
		snprintf(w->title, sizeof(w->title), "Do the keys tell when they were made?");
		snprintf(w->caption, sizeof(w->caption),
		         "Time named by the key minus time of the call. 0 is honest; below 0 the key names the past, above 0 the future.");
		snprintf(w->ylabel, sizeof(w->ylabel), "key time − call time (%s)", unit);
	} else if (is(plot, "order")) {
		snprintf(w->title, sizeof(w->title), "Do keys come in their order%s?", within(in, scope));
		snprintf(w->caption, sizeof(w->caption), "How long before a key a larger one was returned; 0 is in order.");
		add_disorder(w->caption, sizeof(w->caption), run, scope);
		snprintf(w->ylabel, sizeof(w->ylabel), "return − first larger return (%s)", unit);
	} else if (is(plot, "causal")) {
		snprintf(w->title, sizeof(w->title), "Do keys follow the keys that caused them?");
		snprintf(w->caption, sizeof(w->caption), "Time named by a key minus that of the key that caused the call. Below 0 the effect names an "
		         "earlier time than its cause.");
		snprintf(w->ylabel, sizeof(w->ylabel), "effect − cause (%s)", unit);
	} else {
		snprintf(w->title, sizeof(w->title), "How long do callers wait?");
		snprintf(w->caption, sizeof(w->caption), "Return of a call minus the time at which it was due, refused calls too. 0 is at once.");
		snprintf(w->ylabel, sizeof(w->ylabel), "return − due (%s)", unit);
	}
}

static void put_words(FILE *out, const struct words *w)
{
	assign(out, "title", w->title);
	assign(out, "caption", w->caption);
	assign(out, "ylabel_text", w->ylabel);
}

static void put_scale(FILE *out, const json_t *meta, const char *series, bool counts, struct unit *unit)
{
	char near[40];
	double low, high, near_low, near_high;
	snprintf(near, sizeof(near), "near-%s", series);
	range_of(meta, series, &low, &high);
	range_of(meta, near, &near_low, &near_high);
	*unit = (struct unit){"", 1};
	if (!counts)
		*unit = unit_for(fabs(low) > fabs(high) ? fabs(low) : fabs(high));
	fprintf(out, "per = %.9g\nfew = %d\nnear_few = %d\n", unit->ms, counts && high - low < 5, counts && near_high - near_low < 5);
	put_axis(out, "", low / unit->ms, high / unit->ms, !counts);
	if (!counts && fmax(fabs(near_low), fabs(near_high)) < 1e-3 * fmax(fabs(low), fabs(high))) {
		near_low = low; /* nothing to see there, and no digits for it in this unit */
		near_high = high;
	}
	/* Counts only grow: the neighbourhood begins where it begins. */
	put_axis(out, "near_", near_low / unit->ms, near_high / unit->ms, !counts);
}

#define FEW_POINTS 60 /* a line */
static bool few_points(const json_t *meta, const char *series, const char *prefix)
{
	char name[40];
	snprintf(name, sizeof(name), "%s%s", prefix, series);
	const json_t *range = json_object_get(json_object_get(meta, "ranges"), name);
	size_t lines = json_array_size(json_object_get(meta, "nodes"));
	return json_array_size(range) > 2 && json_number_value(json_array_get(range, 2)) <= FEW_POINTS * (double)(lines ? lines : 1);
}

static void put_panels(FILE *out, const struct ks_rp_plot *plot, const json_t *run, const json_t *meta)
{
	const json_t *names = counts_of(meta, plot);
	struct entries entries = {.n = 0};
	struct words words = {.title = ""};
	struct unit unit;
	put_scale(out, meta, plot->name, names, &unit);
	if (names) {
		count_entries(&entries, meta, names);
		count_words(&words, plot, meta);
	} else {
		node_entries(&entries, meta, is(plot, "clock"));
		line_words(&words, plot, run, meta, unit.name);
	}
	/* Where calls are few, each is seen. */
	static const char dots[] = "points pointtype 7 pointsize 0.35", line[] = "lines", both[] = "linespoints pointtype 7 pointsize 0.3";
	const char *how = names ? "steps" : is(plot, "causal") ? dots : line;
	bool few = how == line && few_points(meta, plot->name, "");
	bool near_few = how == line && few_points(meta, plot->name, "near-");
	fprintf(out, "how = '%s'\nnear_how = '%s'\n", few ? both : how, near_few ? both : how);
	put_words(out, &words);
	put_entries(out, &entries);
}

/* How many waited how long: both axes logarithmic, from a call's own work to the longest wait, from all calls to a single one. */
static void put_shares(FILE *out, const json_t *meta)
{
	struct entries entries = {.n = 0};
	struct words words = {.title = "How many callers wait how long?"};
	double low, high, rows = number(meta, "rows");
	range_of(meta, "waits", &low, &high);
	if (json_is_true(json_object_get(meta, "control")))
		add_entry(&entries, "control", GREY, 4, 1, 2);
	add_entry(&entries, "run", warm[0], 2, 0, 2);
	snprintf(words.caption, sizeof(words.caption), "The share of calls that returned so long after they were due, or later. A line further to "
	         "the right waits longer.");
	put_words(out, &words);
	put_entries(out, &entries);
	fprintf(out, "every = %d\nx_low = 1e-5\nx_high = %.9g\nshare_low = %.9g\n", high > 200 ? 2 : 1, (high > 1 ? high : 1) * 2, 0.6 / (rows > 10 ? rows : 10));
}

static int write_script(const struct ks_rp_plot *plot, const json_t *run, const json_t *meta, const char *dir,
                        struct ks_err *err)
{
	struct ks_rp_text text;
	char path[4096];
	if (ks_rp_open(&text, err))
		return -1;
	fprintf(text.f, "# Draws %s.svg from %s.dat and near-%s.dat. Again by hand: gnuplot %s.gp\n# ", plot->name, plot->name,
	        plot->name, plot->name);
	ks_rp_put(text.f, KS_RP_PLAIN, ks_rp_str(run, "reproduce"));
	fputs("\nreset session\n\n# ---- what this run is ----\n", text.f);
	assign(text.f, "series", plot->name);
	if (plot->script == ks_rp_shares_gp)
		put_shares(text.f, meta);
	else
		put_panels(text.f, plot, run, meta);
	put_near(text.f, meta);
	put_faults(text.f, meta);
	fputs(ks_rp_style_gp, text.f);
	fputs(plot->script, text.f);
	snprintf(path, sizeof(path), "%s/%s.gp", dir, plot->name);
	int rc = ks_rp_save(&text, path, err);
	ks_rp_release(&text);
	return rc;
}

/* @return how many scripts the run has, or -1. */
static int prepare(const json_t *run, struct ks_gnuplot_job *job, struct ks_err *err)
{
	char path[4096];
	int n = 0;
	snprintf(path, sizeof(path), "%s/meta.json", job->dir);
	if (access(path, F_OK))
		return 0;
	size_t len;
	char *bytes = ks_rp_read(path, META_MAX, &len);
	json_error_t where;
	json_t *meta = bytes ? json_loadb(bytes, len, 0, &where) : NULL;
	free(bytes);
	if (!meta)
		return ks_fail(err, KS_E_INTERNAL, "cannot read \"%.300s\"", path);
	for (int i = 0; i < KS_RP_PLOTS && n >= 0; i++) {
		snprintf(path, sizeof(path), "%s/%s.svg", job->dir, ks_rp_plots[i].name);
		unlink(path); /* what is there afterwards was drawn now */
		if (!json_object_get(json_object_get(meta, "ranges"), ks_rp_plots[i].name))
			continue;
		snprintf(job->script[n++], sizeof(job->script[0]), "%s.gp", ks_rp_plots[i].name);
		if (write_script(&ks_rp_plots[i], run, meta, job->dir, err))
			n = -1;
	}
	json_decref(meta);
	return n;
}

static int make_small(const char *dir, struct ks_err *err)
{
	char path[4096];
	int rc = 0;
	for (int i = 0; i < KS_RP_PLOTS && !rc; i++) {
		snprintf(path, sizeof(path), "%s/%s.svg", dir, ks_rp_plots[i].name);
		rc = access(path, F_OK) ? 0 : ks_rp_svg_compact(path, err);
	}
	return rc;
}

static void release_jobs(struct ks_gnuplot_job *job, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)job[i].dir);
	free(job);
}

/* Writes the scripts of a run and appends it to the jobs, which have room for it, when it is to be drawn. */
static int add_job(const json_t *run, const char *dir, bool draw, struct ks_gnuplot_job *job, size_t *n, struct ks_err *err)
{
	const char *id = ks_rp_str(run, "id");
	char *path;
	if (!ks_rp_is_name(id))
		return 0;
	if (asprintf(&path, "%s/runs/%s", dir, id) < 0)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	job[*n] = (struct ks_gnuplot_job){.dir = path};
	int scripts = prepare(run, &job[*n], err);
	if (scripts > 0 && draw)
		(*n)++;
	else
		free(path);
	return scripts < 0 ? -1 : 0;
}

/* Of several seeds the first is drawn, and those that are not as expected: pictures of seeds are hard to tell apart, and many. */
static int add_jobs(const struct ks_rp_blocks *blocks, const char *dir, struct ks_gnuplot_job *job, size_t *n, struct ks_err *err)
{
	for (size_t b = 0; b < blocks->n; b++)
		for (size_t c = 0; c < blocks->v[b].n; c++) {
			const struct ks_rp_cell *cell = &blocks->v[b].cell[c];
			for (size_t i = 0; i < cell->n; i++)
				if (add_job(cell->run[i], dir, !i || !ks_rp_expected(cell->run[i]), job, n, err))
					return -1;
		}
	return 0;
}

int ks_report_plots(const json_t *result, const char *dir, int jobs, struct ks_err *err)
{
	size_t n = 0;
	struct ks_rp_blocks blocks;
	struct ks_gnuplot_job *job = calloc(json_array_size(json_object_get(result, "runs")) + 1, sizeof(*job));
	if (!job || ks_rp_group(result, &blocks)) {
		free(job);
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	}
	int rc = add_jobs(&blocks, dir, job, &n, err);
	if (!rc)
		rc = ks_gnuplot_run(job, n, jobs, err);
	for (size_t k = 0; k < n && !rc; k++)
		rc = make_small(job[k].dir, err);
	release_jobs(job, n);
	ks_rp_blocks_release(&blocks);
	return rc;
}
