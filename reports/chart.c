#include "chart.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gnuplot.h"
#include "report.h"

/* ---- filling ---- */

struct ks_chart_line *ks_chart_add(struct ks_chart *c, enum ks_chart_style style, size_t colour)
{
	struct ks_chart_line *grown = reallocarray(c->line, c->n + 1, sizeof *grown);
	if (!grown)
		return NULL;
	c->line = grown;
	c->line[c->n] = (struct ks_chart_line){.style = style, .colour = colour % KS_CHART_COLOURS};
	return &c->line[c->n++];
}

int ks_chart_point(struct ks_chart_line *l, double x, double low, double y, double high)
{
	struct ks_chart_point *grown = reallocarray(l->v, l->n + 1, sizeof *grown);
	if (!grown)
		return -1;
	l->v = grown;
	l->v[l->n++] = (struct ks_chart_point){x, low, y, high};
	return 0;
}

void ks_chart_release(struct ks_chart *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->line[i].v);
	free(c->line);
	c->line = NULL;
	c->n = 0;
}

/* ---- the script ---- */

/* Text inside gnuplot's single quotes: a quote is two, and nothing else is special. */
static void quoted(FILE *f, const char *text)
{
	fputc('\'', f);
	for (; *text; text++) {
		if (*text == '\'')
			fputc('\'', f);
		fputc((unsigned char)*text < 0x20 ? ' ' : *text, f);
	}
	fputc('\'', f);
}

static void assign(FILE *f, const char *name, const char *text)
{
	fprintf(f, "%s = ", name);
	quoted(f, text);
	fputc('\n', f);
}

struct extent {
	double x_low, x_high, y_low, y_high;
	size_t points, titles;
};

static struct extent extent_of(const struct ks_chart *c)
{
	struct extent e = {INFINITY, -INFINITY, c->log_y ? INFINITY : 0, c->log_y ? -INFINITY : 0, 0, 0};
	for (size_t i = 0; i < c->n; i++) {
		e.titles += *c->line[i].name != 0;
		for (size_t k = 0; k < c->line[i].n; k++) {
			const struct ks_chart_point *p = &c->line[i].v[k];
			e.x_low = fmin(e.x_low, p->x);
			e.x_high = fmax(e.x_high, p->x);
			e.y_low = fmin(e.y_low, p->low);
			e.y_high = fmax(e.y_high, p->high);
			e.points++;
		}
	}
	return e;
}

/* Lines of one height would lie on the frame. */
static void widen(double *low, double *high, bool is_log)
{
	if (is_log) {
		*low /= 1.3;
		*high *= 1.3;
		return;
	}
	double margin = *high > *low ? (*high - *low) * 0.05 : 1;
	*low = *low < 0 ? *low - margin : *low;
	*high += margin;
}

static void put_data(FILE *f, const struct ks_chart *c)
{
	for (size_t i = 0; i < c->n; i++) {
		fprintf(f, "$s%zu << EOD\n", i);
		for (size_t k = 0; k < c->line[i].n; k++) {
			const struct ks_chart_point *p = &c->line[i].v[k];
			fprintf(f, "%.15g %.15g %.15g %.15g\n", p->x, p->low, p->y, p->high);
		}
		fputs("EOD\n", f);
	}
}

static void put_line(FILE *f, const struct ks_chart_line *l, size_t i)
{
	static const char *const styles[] = {
		[KS_CHART_POINTS] = "linespoints linewidth 2",
		[KS_CHART_STEPS] = "fsteps linewidth 2",
		[KS_CHART_THEORY] = "lines dashtype 2 linewidth 1.5",
	};
	if (l->style == KS_CHART_POINTS)
		fprintf(f, "$s%zu using 1:2:4 with filledcurves linecolor rgb colour[%zu] notitle, \\\n", i, l->colour + 1);
	fprintf(f, "$s%zu using 1:3 with %s linecolor rgb colour[%zu] ", i, styles[l->style], l->colour + 1);
	if (l->style == KS_CHART_POINTS) /* lines that lie on one another are told apart: the later, the smaller */
		fprintf(f, "pointtype shape[%zu] pointsize %.2f ", l->colour + 1, 1.3 - 0.1 * (double)l->colour);
	if (*l->name) {
		fputs("title ", f);
		quoted(f, l->name);
	} else {
		fputs("notitle", f);
	}
}

static void put_script(FILE *f, const struct ks_chart *c, bool png)
{
	struct extent e = extent_of(c);
	double span_s = e.x_high - e.x_low;
	const char *format = span_s < 1800 ? "%H:%M:%S" : span_s < 86400 ? "%H:%M" : "%Y-%m-%d";
	widen(&e.y_low, &e.y_high, c->log_y);
	if (c->log_x || e.x_low == e.x_high)
		widen(&e.x_low, &e.x_high, c->log_x);
	fprintf(f, "set terminal %s size 960,%zu font 'sans-serif,13' background '#ffffff'\n", png ? "pngcairo noenhanced" : "svg dynamic noenhanced",
	        400 + 20 * e.titles);
	fprintf(f, "set output 'chart.%s'\n", png ? "png" : "svg");
	assign(f, "title", c->title);
	assign(f, "caption", c->caption);
	assign(f, "x_label", c->x_label);
	assign(f, "y_label", c->y_label);
	fprintf(f, "titles = %zu\nx_low = %.15g\nx_high = %.15g\ny_low = %.15g\ny_high = %.15g\n", e.titles, e.x_low, e.x_high, e.y_low, e.y_high);
	fputs(ks_rp_chart_gp, f);
	if (c->log_x)
		fputs("set logscale x\nset format x '%.0s %cs'\n", f);
	if (c->log_y)
		fputs("set logscale y\nset format y '%h'\n", f);
	if (c->time_x)
		fprintf(f, "set xdata time\nset timefmt '%%s'\nset format x '%s'\n", format);
	put_data(f, c);
	for (size_t i = 0; i < c->n; i++) {
		fputs(i ? ", \\\n" : "plot ", f);
		put_line(f, &c->line[i], i);
	}
	fputs("\nset output\n", f);
}

/* ---- the file ---- */

static bool ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);
	return n > m && !strcmp(path + n - m, end);
}

bool ks_chart_name_fits(const char *path)
{
	return ends_in(path, ".svg") || ends_in(path, ".png");
}

static int draw_in(const struct ks_chart *c, bool png, const char *dir, struct ks_err *err)
{
	char path[4200];
	struct ks_rp_text text;
	if (ks_rp_open(&text, err))
		return -1;
	put_script(text.f, c, png);
	snprintf(path, sizeof path, "%s/chart.gp", dir);
	int failed = ks_rp_save(&text, path, err);
	ks_rp_release(&text);
	struct ks_gnuplot_job job = {dir, {"chart.gp"}};
	return failed ? -1 : ks_gnuplot_run(&job, 1, 1, err);
}

int ks_chart_draw(const struct ks_chart *c, const char *path, struct ks_err *err)
{
	char dir[4120], made[4140], script[4140];
	bool png = ends_in(path, ".png");
	if (!ks_chart_name_fits(path))
		return ks_fail(err, KS_E_USAGE, "bad picture name '%.900s', expected one that ends in .svg or .png", path);
	if (!extent_of(c).points)
		return ks_fail(err, KS_E_NOMATCH, "nothing to draw in '%.900s'", path);
	if ((size_t)snprintf(dir, sizeof dir, "%s.XXXXXX", path) >= sizeof dir || !mkdtemp(dir))
		return ks_fail(err, KS_E_USAGE, "cannot write '%.900s': %s", path, strerror(errno));
	snprintf(made, sizeof made, "%s/chart.%s", dir, png ? "png" : "svg");
	snprintf(script, sizeof script, "%s/chart.gp", dir);
	int failed = draw_in(c, png, dir, err);
	if (!failed && !png && !access(made, F_OK))
		failed = ks_rp_svg_compact(made, err);
	if (!failed && rename(made, path))
		failed = errno == ENOENT ? ks_fail(err, KS_E_JUDGE, "no picture: gnuplot is not installed")
		                         : ks_fail(err, KS_E_INTERNAL, "cannot write '%.900s': %s", path, strerror(errno));
	unlink(made);
	unlink(script);
	rmdir(dir);
	return failed;
}
