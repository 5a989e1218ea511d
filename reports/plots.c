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
	{"clock", ks_rp_nodes_gp},
	{"keytime", ks_rp_nodes_gp},
	{"dups", ks_rp_dups_gp},
};

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
	put_string(out, text, 160);
	fputc('\n', out);
}

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* The unit in which the values of a series are shown; the series are in ms. */
struct unit {
	const char *name;
	double ms;
};

static struct unit unit_for(double largest_ms)
{
	static const struct unit units[] = {{"s", 1000}, {"ms", 1}, {"µs", 1e-3}, {"ns", 1e-6}};
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

/* The legend is laid out here, as gnuplot wraps its own over the panels. Widths are those of the template's 13 px font. */
#define WIDTH_PX 960.0
#define LEGEND_PX 560.0

static double entry_px(const char *name, size_t name_max)
{
	size_t len = !strcmp(name, "others") ? strlen("the others") : strlen(name);
	return 44 + 7.8 * (double)(len > name_max ? name_max + 2 : len);
}

static double legend_px(const json_t *nodes, size_t name_max)
{
	double px = 0;
	size_t i;
	json_t *node;
	json_array_foreach(nodes, i, node)
		px += entry_px(json_string_value(node) ? json_string_value(node) : "", name_max);
	return px;
}

/* Lines that lie on each other stay visible: those drawn first are wider (in nests). */
static void put_nodes(FILE *out, const json_t *meta, bool nested)
{
	static const char *const hit[] = {"#d55e00", "#cc79a7", "#e69f00"};
	static const char *const spared[] = {"#0072b2", "#009e73", "#56b4e9", "#000000"};
	const json_t *nodes = json_object_get(meta, "nodes");
	static const char *const arrays[] = {"name", "colour", "width", "x"};
	size_t n = json_array_size(nodes), nhit = 0, nspared = 0, i;
	json_t *node;
	const size_t name_max = legend_px(nodes, 16) > LEGEND_PX ? 8 : 16;
	double x = WIDTH_PX - 12 - legend_px(nodes, name_max);
	fprintf(out, "nodes = %zu\n", n);
	for (size_t k = 0; k < sizeof(arrays) / sizeof(*arrays); k++)
		fprintf(out, "array node_%s[%zu]\n", arrays[k], n ? n : 1);
	json_array_foreach(nodes, i, node) {
		const char *name = json_string_value(node) ? json_string_value(node) : "";
		bool others = !strcmp(name, "others");
		const char *colour = others                       ? "#9aa0a6"
		                     : hit_by_fault(meta, name) ? hit[nhit++ % 3]
		                                                : spared[nspared++ % 4];
		fprintf(out, "node_name[%zu] = ", i + 1);
		put_string(out, others ? "the others" : name, name_max);
		fprintf(out, "\nnode_x[%zu] = %.4f", i + 1, x / WIDTH_PX);
		x += entry_px(name, name_max);
		fprintf(out, "\nnode_colour[%zu] = '%s'\nnode_width[%zu] = %.1f\n", i + 1, colour, i + 1,
		        nested ? 1.5 + 1.5 * (double)(n - 1 - i < 3 ? n - 1 - i : 3) : 1.2);
	}
}

static void put_faults(FILE *out, const json_t *meta)
{
	const json_t *faults = json_object_get(meta, "faults");
	size_t n = json_array_size(faults), i;
	json_t *fault;
	n = n < MARKS_MAX ? n : MARKS_MAX;
	fprintf(out, "faults = %zu\narray fault_s[%zu]\narray fault_name[%zu]\n", n, n ? n : 1, n ? n : 1);
	json_array_foreach(faults, i, fault) {
		if (i == n)
			break;
		fprintf(out, "fault_s[%zu] = %.9f\nfault_name[%zu] = ", i + 1, number(fault, "at_s"), i + 1);
		put_string(out, n <= MARKS_NAMED ? ks_rp_str(fault, "name") : "", 24);
		fputc('\n', out);
	}
}

/* The neighbourhood: its ends, what it is around, and the unit of time in which it is read. */
static void put_near(FILE *out, const json_t *meta)
{
	const json_t *near = json_object_get(meta, "near");
	double from = number(near, "from_s"), to = number(near, "to_s"), center = (from + to) / 2;
	const char *about = ks_rp_str(near, "about"), *what = "the beginning";
	bool fine = to - from < 3;
	char text[100];
	if (!strcmp(about, "witness"))
		what = "around the first witness";
	else if (!strcmp(about, "fault"))
		what = "around the first fault";
	center = strcmp(about, "start") ? center : 0;
	fprintf(out, "from_s = %.9f\nto_s = %.9f\ncenter_s = %.9f\nnear_per = %d\n", from, to, center, fine ? 1000 : 1);
	assign(out, "near_title", what);
	snprintf(text, sizeof(text), center > 0 ? "%s before and after %.6g s" : "%s since the start", fine ? "ms" : "s", center);
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

static void put_words(FILE *out, const json_t *meta, const char *series, const char *unit)
{
	char title[100] = "Do the keys tell when they were made?", caption[200], ylabel[80];
	bool control = json_is_true(json_object_get(meta, "control"));
	if (!strcmp(series, "clock")) {
		clock_title(title, sizeof(title), meta);
		snprintf(caption, sizeof(caption),
		         "The %s clock minus true time, as the generator read it. 0 is true; above 0 the clock is ahead.",
		         ks_rp_str(meta, "clock"));
		snprintf(ylabel, sizeof(ylabel), "clock − true time (%s)", unit);
	} else if (!strcmp(series, "keytime")) {
		snprintf(caption, sizeof(caption),
		         "Time named by the key minus time of the call. 0 is honest; below 0 the key names the past, above 0 the future.");
		snprintf(ylabel, sizeof(ylabel), "key time − call time (%s)", unit);
	} else {
		const char *scope = ks_rp_str(meta, "dups_scope");
		snprintf(title, sizeof(title), "When do duplicates appear%s?", strcmp(scope, "fleet") ? " within a node" : "");
		if (!strcmp(scope, "thread"))
			snprintf(title, sizeof(title), "When do duplicates appear within a thread?");
		snprintf(caption, sizeof(caption), "Keys that %s%s had issued before, counted as calls return. %s",
		         strcmp(scope, "fleet") ? "the same " : "the ", scope, control ? "Grey: the same seed without faults."
		                 : "This world runs once, so there is no control.");
		snprintf(ylabel, sizeof(ylabel), "duplicates so far");
	}
	assign(out, "title", title);
	assign(out, "caption", caption);
	assign(out, "ylabel_text", ylabel);
	assign(out, "control_name", control ? "control" : "");
}

static void put_scale(FILE *out, const json_t *meta, const char *series, struct unit *unit)
{
	char near[40];
	double low, high, near_low, near_high;
	snprintf(near, sizeof(near), "near-%s", series);
	range_of(meta, series, &low, &high);
	range_of(meta, near, &near_low, &near_high);
	*unit = (struct unit){"", 1};
	if (strcmp(series, "dups"))
		*unit = unit_for(fabs(low) > fabs(high) ? fabs(low) : fabs(high));
	fprintf(out, "per = %.9g\nfew = %d\nnear_few = %d\n", unit->ms, high - low < 5, near_high - near_low < 5);
	put_axis(out, "", low / unit->ms, high / unit->ms, strcmp(series, "dups"));
	/* Counts only grow: the neighbourhood begins where it begins. */
	put_axis(out, "near_", near_low / unit->ms, near_high / unit->ms, strcmp(series, "dups"));
}

static int write_script(const struct ks_rp_plot *plot, const json_t *run, const json_t *meta, const char *dir,
                        struct ks_err *err)
{
	struct ks_rp_text text;
	struct unit unit;
	char path[4096];
	if (ks_rp_open(&text, err))
		return -1;
	fprintf(text.f, "# Draws %s.svg from %s.dat and near-%s.dat. Again by hand: gnuplot %s.gp\n# ", plot->name, plot->name,
	        plot->name, plot->name);
	ks_rp_put(text.f, KS_RP_PLAIN, ks_rp_str(run, "reproduce"));
	fputs("\nreset session\n\n# ---- what this run is ----\n", text.f);
	assign(text.f, "series", plot->name);
	put_scale(text.f, meta, plot->name, &unit);
	put_words(text.f, meta, plot->name, unit.name);
	fprintf(text.f, "end_s = %.9f\n", number(meta, "end_s") > 0 ? number(meta, "end_s") : 1);
	put_near(text.f, meta);
	put_nodes(text.f, meta, !strcmp(plot->name, "clock"));
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
	static const char *const names[KS_RP_PLOTS] = {"clock.gp", "keytime.gp", "dups.gp"};
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
		if (json_object_get(json_object_get(meta, "missing"), ks_rp_plots[i].name))
			continue;
		job->script[n++] = names[i];
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

int ks_report_plots(const json_t *result, const char *dir, int jobs, struct ks_err *err)
{
	const json_t *runs = json_object_get(result, "runs");
	struct ks_gnuplot_job *job = calloc(json_array_size(runs) + 1, sizeof(*job));
	size_t n = 0, i;
	int rc = job ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory");
	json_t *run;
	json_array_foreach(runs, i, run) {
		const char *id = ks_rp_str(run, "id");
		char *path;
		if (rc || !ks_rp_is_name(id))
			continue;
		if (asprintf(&path, "%s/runs/%s", dir, id) < 0) {
			rc = ks_fail(err, KS_E_INTERNAL, "out of memory");
			break;
		}
		job[n] = (struct ks_gnuplot_job){.dir = path};
		int scripts = prepare(run, &job[n], err);
		rc = scripts < 0 ? -1 : 0;
		if (scripts > 0)
			n++;
		else
			free(path);
	}
	if (!rc)
		rc = ks_gnuplot_run(job, n, jobs, err);
	for (size_t k = 0; k < n && !rc; k++)
		rc = make_small(job[k].dir, err);
	if (job)
		release_jobs(job, n);
	return rc;
}
