/* The pictures of a comparison. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "compare.h"
#include "sample.h"

/* A name as part of a file name. */
static void plain_name(char *buf, size_t size, const char *a, const char *b)
{
	snprintf(buf, size, "%.100s-%.100s", a, b);
	for (char *p = buf; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_'))
			*p = '-';
}

/* As SVG and as PNG. A picture without a point, or a machine without gnuplot, is no error. */
static int draw(const struct ks_chart *chart, const char *dir, const char *name, struct ks_err *err)
{
	static const char *const endings[] = {"svg", "png"};
	for (int i = 0; i < 2; i++) {
		char path[4300];
		struct ks_err why;
		snprintf(path, sizeof path, "%.4000s/%.220s.%s", dir, name, endings[i]);
		if (!ks_chart_draw(chart, path, &why))
			continue;
		if (why.code == KS_E_NOMATCH || why.code == KS_E_JUDGE)
			return 0;
		*err = why;
		return -1;
	}
	return 0;
}

/* ---- shares of calls that waited, of keys that were late ---- */

/* The run's own block of runs/ID/NAME.dat: "ms share" a line, up to the first empty one. */
static int read_shares(struct ks_chart_line *line, const char *dir, const char *id, const char *series)
{
	char path[4600], text[256];
	double ms, share;
	snprintf(path, sizeof path, "%.4000s/runs/%.300s/%s.dat", dir, id, series);
	FILE *f = ks_rp_is_name(id) ? fopen(path, "re") : NULL;
	if (!f)
		return 0;
	while (fgets(text, sizeof text, f) && *text != '\n')
		if (*text != '#' && sscanf(text, "%lf %lf", &ms, &share) == 2 && share > 1e-9 && isfinite(ms))
			if (ks_chart_point(line, ms / 1e3, share, share, share)) {
				fclose(f);
				return -1;
			}
	fclose(f);
	return 0;
}

static int plot_shares(const struct ks_cmp *c, const struct ks_rp_block *b, const char *series, const char *title, const char *dir,
                       struct ks_err *err)
{
	char name[300], scenario[300], caption[500];
	struct ks_chart chart = {.title = title, .caption = caption, .x_label = "", .y_label = "share, at least so long", .log_x = true,
	                         .log_y = true};
	size_t points = 0;
	int failed = 0;
	ks_cmp_block_name(b, scenario, sizeof scenario);
	snprintf(caption, sizeof caption, "%s; a generator that is not here had none", scenario);
	for (size_t i = 0; i < c->n && !failed; i++) {
		const struct ks_rp_cell *cell = ks_cmp_cell(b, c->generator[i]);
		struct ks_chart_line *line = cell ? ks_chart_add(&chart, KS_CHART_STEPS, i) : NULL;
		if (!cell)
			continue;
		failed = !line || read_shares(line, dir, ks_rp_str(cell->run[0], "id"), series);
		if (!failed && line->n)
			snprintf(line->name, sizeof line->name, "%.190s", c->generator[i]);
		points += failed ? 0 : line->n;
	}
	plain_name(name, sizeof name, series, scenario);
	failed = failed ? ks_fail(err, KS_E_INTERNAL, "out of memory") : points ? draw(&chart, dir, name, err) : 0;
	ks_chart_release(&chart);
	return failed;
}

/* ---- a metric against the value of a sweep ---- */

/* "-120ms", "1000/s", "50ppm", "7" as a number in the unit of the chart. */
static bool number_of(const char *text, double *value)
{
	static const struct {
		const char *unit;
		double size;
	} units[] = {{"", 1}, {"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7},
	             {"/s", 1}, {"/ms", 1e3}, {"/m", 1.0 / 60}, {"ppm", 1}, {"ppb", 1e-3}};
	char *end;
	double v = strtod(text, &end);
	for (size_t i = 0; end != text && i < sizeof units / sizeof *units; i++)
		if (!strcmp(end, units[i].unit)) {
			*value = v * units[i].size;
			return true;
		}
	return false;
}

static const char *unit_of(const char *text)
{
	size_t n = strcspn(text, "/abcdefghijklmnopqrstuvwxyz");
	const char *unit = text + n;
	return !*unit ? "" : *unit == '/' ? "per second" : !strncmp(unit, "pp", 2) ? "ppm" : "ms";
}

struct measure {
	const char *name, *metric, *scope, *question, *unit;
	double scale;
};
static const struct measure measures[] = {
	{"duplicates", "duplicates", "node", "How many keys of a node are duplicates?", "keys", 1},
	{"displacement", "displacement", "node", "How far are keys of a node out of their place?", "places", 1},
	{"late", "late_ns_max", "node", "How late does a key of a node come at most?", "ms", 1e6},
	{"refused", NULL, NULL, "Which share of calls gets no key?", "share", 1},
	{"stall", "stall_ns_max", NULL, "How long does a call wait at most?", "ms", 1e6},
};

static bool measure_run(const json_t *run, const struct measure *m, double *value)
{
	int64_t calls = ks_rp_int(run, "calls"), v;
	const json_t *o = json_object_get(json_object_get(run, "metrics"), m->metric ? m->metric : "");
	if (strcmp(ks_rp_str(run, "status"), "judged") || !calls)
		return false;
	if (!m->metric) {
		*value = 1 - (double)ks_rp_int(run, "keys") / (double)calls;
		return true;
	}
	if (!ks_rp_integer(m->scope ? json_object_get(o, m->scope) : o, &v))
		return false;
	*value = (double)v / m->scale;
	return true;
}

static int cmp_double(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;
	return (a > b) - (a < b);
}

static int add_cell(struct ks_chart_line *line, const struct ks_rp_cell *cell, const struct measure *m, double x)
{
	double *v = calloc(cell->n, sizeof *v);
	size_t n = 0;
	if (!v)
		return -1;
	for (size_t i = 0; i < cell->n; i++)
		n += measure_run(cell->run[i], m, &v[n]);
	qsort(v, n, sizeof *v, cmp_double);
	int failed = n ? ks_chart_point(line, x, v[0], v[(n - 1) / 2], v[n - 1]) : 0;
	free(v);
	return failed;
}

/* What theory says of the duplicates, where it speaks of nodes, or of a fleet whose nodes share no key. */
static int add_theory(struct ks_chart_line *line, const struct ks_rp_cell *cell, double x)
{
	const json_t *run = cell->run[0], *t = json_object_get(json_object_get(run, "theory"), "duplicates");
	const json_t *measured = json_object_get(json_object_get(run, "metrics"), "duplicates");
	const char *scope = ks_rp_str(t, "scope");
	double mean = ks_rp_real(json_object_get(t, "mean"));
	bool alike = ks_rp_int(measured, "fleet") == ks_rp_int(measured, "node");
	return t && (!strcmp(scope, "node") || (!strcmp(scope, "fleet") && alike)) ? ks_chart_point(line, x, mean, mean, mean) : 0;
}

static int by_x(const void *pa, const void *pb)
{
	return cmp_double(&((const struct ks_chart_point *)pa)->x, &((const struct ks_chart_point *)pb)->x);
}

/* Does the sweep of block b, but for the value of path, have the values of block a? */
static bool same_but(const struct ks_rp_block *a, const struct ks_rp_block *b, const char *path)
{
	const char *key;
	json_t *value;
	if (strcmp(a->scenario, b->scenario) || strcmp(a->world, b->world))
		return false;
	json_object_foreach((json_t *)a->sweep, key, value)
		if (strcmp(key, path) && !json_equal(value, json_object_get(b->sweep, key)))
			return false;
	return json_object_get(b->sweep, path) != NULL;
}

static int add_lines(struct ks_chart *chart, const struct ks_cmp *c, const struct ks_rp_block *first, const char *path, const struct measure *m,
                     size_t g, enum ks_chart_style style)
{
	struct ks_chart_line *line = ks_chart_add(chart, style, g);
	double x;
	if (!line)
		return -1;
	for (size_t i = 0; i < c->blocks.n; i++) {
		const struct ks_rp_block *b = &c->blocks.v[i];
		const struct ks_rp_cell *cell = same_but(first, b, path) ? ks_cmp_cell(b, c->generator[g]) : NULL;
		if (!cell || !number_of(json_string_value(json_object_get(b->sweep, path)), &x))
			continue;
		if (style == KS_CHART_THEORY ? add_theory(line, cell, x) : add_cell(line, cell, m, x))
			return -1;
	}
	if (line->n)
		qsort(line->v, line->n, sizeof *line->v, by_x);
	if (line->n && style == KS_CHART_POINTS)
		snprintf(line->name, sizeof line->name, "%.190s", c->generator[g]);
	return 0;
}

static bool says_something(const struct ks_chart *chart)
{
	for (size_t i = 0; i < chart->n; i++)
		for (size_t k = 0; k < chart->line[i].n; k++)
			if (chart->line[i].v[k].high > 0)
				return true;
	return false;
}

/* Times are in ms: shown in the unit that the largest of them fits. */
static void fit_unit(struct ks_chart *chart)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = {{"s", 1e3}, {"ms", 1}, {"us", 1e-3}, {"ns", 1e-6}};
	double most = 0;
	size_t u = 0;
	for (size_t i = 0; i < chart->n; i++)
		for (size_t k = 0; k < chart->line[i].n; k++)
			most = chart->line[i].v[k].high > most ? chart->line[i].v[k].high : most;
	while (u < 3 && most < 2 * units[u].ms)
		u++;
	for (size_t i = 0; i < chart->n; i++)
		for (size_t k = 0; k < chart->line[i].n; k++) {
			struct ks_chart_point *p = &chart->line[i].v[k];
			p->low /= units[u].ms;
			p->y /= units[u].ms;
			p->high /= units[u].ms;
		}
	chart->y_label = units[u].name;
}

static int plot_sweep(const struct ks_cmp *c, const struct ks_rp_block *first, const char *path, const struct measure *m, const char *dir,
                      struct ks_err *err)
{
	char name[300], caption[400], x_label[200];
	const char *value = json_string_value(json_object_get(first->sweep, path)), *unit = unit_of(value);
	struct ks_chart chart = {.title = m->question, .x_label = x_label, .y_label = m->unit, .caption = caption};
	int failed = 0;
	double x;
	if (!number_of(value, &x))
		return 0;
	snprintf(caption, sizeof caption, "%.80s; points: the median over seeds; band: lowest to highest seed%s", first->scenario,
	         strcmp(m->name, "duplicates") ? "" : "; dashed: theory");
	snprintf(x_label, sizeof x_label, "%.150s%s%s%s", path, *unit ? " (" : "", unit, *unit ? ")" : "");
	for (size_t g = 0; g < c->n && !failed; g++) {
		failed = add_lines(&chart, c, first, path, m, g, KS_CHART_POINTS);
		if (!failed && !strcmp(m->name, "duplicates"))
			failed = add_lines(&chart, c, first, path, m, g, KS_CHART_THEORY);
	}
	plain_name(name, sizeof name, path, m->name);
	if (!strcmp(m->unit, "ms"))
		fit_unit(&chart);
	if (failed)
		ks_fail(err, KS_E_INTERNAL, "out of memory");
	else
		failed = says_something(&chart) ? draw(&chart, dir, name, err) : 0;
	ks_chart_release(&chart);
	return failed;
}

/* Each path of a sweep once a scenario x world x values of the other paths: at its first block. */
static bool is_first(const struct ks_cmp *c, size_t at, const char *path)
{
	for (size_t i = 0; i < at; i++)
		if (c->blocks.v[i].sweep && same_but(&c->blocks.v[at], &c->blocks.v[i], path))
			return false;
	return true;
}

static int plot_block(const struct ks_cmp *c, size_t at, const char *dir, struct ks_err *err)
{
	const struct ks_rp_block *b = &c->blocks.v[at];
	const char *path;
	json_t *value;
	if (!b->sweep)
		return plot_shares(c, b, "waits", "How long do calls wait?", dir, err) || plot_shares(c, b, "lates", "How late do keys come?", dir, err) ? -1 : 0;
	json_object_foreach((json_t *)b->sweep, path, value)
		for (size_t m = 0; m < sizeof measures / sizeof *measures && is_first(c, at, path); m++)
			if (plot_sweep(c, b, path, &measures[m], dir, err))
				return -1;
	return 0;
}

int ks_cmp_plots(const struct ks_cmp *c, const char *dir, struct ks_err *err)
{
	for (size_t i = 0; i < c->blocks.n; i++)
		if (plot_block(c, i, dir, err))
			return -1;
	return 0;
}
