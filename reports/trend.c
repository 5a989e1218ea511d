#include "ks_trend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gnuplot.h"
#include "report.h"

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

/* One unit for all: values in ns are shown in the largest unit that the largest of them reaches. */
struct unit {
	const char *name;
	double ns;
};
static struct unit unit_of(const char *metric, double largest)
{
	static const struct unit units[] = {{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}};
	if (!strstr(metric, "_ns"))
		return (struct unit){"", 1};
	int i = 0;
	while (i < 3 && largest < units[i].ns)
		i++;
	return units[i];
}

struct extent {
	double low, high;
	const char *from, *to;
	size_t points;
};

static struct extent extent_of(const json_t *series)
{
	struct extent e = {0};
	size_t i, k;
	json_t *s, *p;
	json_array_foreach(series, i, s) {
		json_array_foreach(json_object_get(s, "points"), k, p) {
			double low = (double)ks_rp_int(p, "low"), high = (double)ks_rp_int(p, "high");
			const char *time = ks_rp_str(p, "time");
			e.low = low < e.low ? low : e.low;
			e.high = high > e.high ? high : e.high;
			e.from = !e.points || strcmp(time, e.from) < 0 ? time : e.from;
			e.to = !e.points || strcmp(time, e.to) > 0 ? time : e.to;
			e.points++;
		}
	}
	return e;
}

static void put_data(FILE *f, const json_t *series, double scale)
{
	size_t i, k;
	json_t *s, *p;
	json_array_foreach(series, i, s) {
		fprintf(f, "$s%zu << EOD\n", i);
		json_array_foreach(json_object_get(s, "points"), k, p) {
			ks_rp_put(f, KS_RP_PLAIN, ks_rp_str(p, "time"));
			fprintf(f, " %.15g %.15g %.15g\n", (double)ks_rp_int(p, "low") / scale, (double)ks_rp_int(p, "median") / scale,
			        (double)ks_rp_int(p, "high") / scale);
		}
		fputs("EOD\n", f);
	}
}

static void put_plot(FILE *f, const json_t *series)
{
	size_t i;
	json_t *s;
	fputs("plot ", f);
	json_array_foreach(series, i, s) {
		char name[600];
		snprintf(name, sizeof name, "%.190s  %.190s  %.190s", ks_rp_str(s, "scenario"), ks_rp_str(s, "generator"), ks_rp_str(s, "world"));
		fprintf(f, "%s$s%zu using 1:2:4 with filledcurves linecolor rgb colour[%zu] notitle, \\\n", i ? ", \\\n" : "", i, i + 1);
		fprintf(f, "$s%zu using 1:3 with linespoints pointtype 7 pointsize 0.5 linewidth 2 linecolor rgb colour[%zu] title ", i, i + 1);
		quoted(f, name);
	}
	fputs("\nset output\n", f);
}

static void put_script(FILE *f, const json_t *series, const char *metric, bool png)
{
	char title[200];
	struct extent e = extent_of(series);
	double size = e.high > -e.low ? e.high : -e.low;
	struct unit unit = unit_of(metric, size);
	double margin = (e.high - e.low) * 0.06;
	bool one_day = !strncmp(e.from, e.to, 10);
	fprintf(f, "set terminal %s size 960,480 font 'sans-serif,13' background '#ffffff'\n", png ? "pngcairo" : "svg dynamic noenhanced");
	fprintf(f, "set output '%s'\n", png ? "trend.png" : "trend.svg");
	snprintf(title, sizeof title, "How did %.100s change?%s%s%s", metric, *unit.name ? " (" : "", unit.name, *unit.name ? ")" : "");
	fputs("title = ", f);
	quoted(f, title);
	fprintf(f, "\nseries = %zu\nlow = %.15g\nhigh = %.15g\nday = '%s'\n", json_array_size(series), (e.low - margin) / unit.ns,
	        e.high > e.low ? (e.high + margin) / unit.ns : e.low / unit.ns + 1, one_day ? "%H:%M" : "%Y-%m-%d");
	fprintf(f, "from = strptime('%%Y-%%m-%%dT%%H:%%M:%%SZ', '%.30s')\nto = strptime('%%Y-%%m-%%dT%%H:%%M:%%SZ', '%.30s')\n"
	           "if (from == to) { from = from - 3600; to = to + 3600 }\n", e.from, e.to);
	put_data(f, series, unit.ns);
	fputs(ks_rp_trend_gp, f);
	put_plot(f, series);
}

static int draw(const json_t *series, const char *metric, bool png, const char *dir, struct ks_err *err)
{
	char path[4200];
	struct ks_rp_text text;
	if (ks_rp_open(&text, err))
		return -1;
	put_script(text.f, series, metric, png);
	snprintf(path, sizeof path, "%s/trend.gp", dir);
	int failed = ks_rp_save(&text, path, err);
	ks_rp_release(&text);
	struct ks_gnuplot_job job = {dir, {"trend.gp"}};
	return failed ? -1 : ks_gnuplot_run(&job, 1, 1, err);
}

/* The picture is made beside its place and renamed onto it. */
static int draw_beside(const json_t *series, const char *metric, bool png, const char *path, struct ks_err *err)
{
	char dir[4120], made[4140], script[4140];
	if ((size_t)snprintf(dir, sizeof dir, "%s.XXXXXX", path) >= sizeof dir || !mkdtemp(dir))
		return ks_fail(err, KS_E_USAGE, "cannot write '%.900s': %s", path, strerror(errno));
	snprintf(made, sizeof made, "%s/trend.%s", dir, png ? "png" : "svg");
	snprintf(script, sizeof script, "%s/trend.gp", dir);
	int failed = draw(series, metric, png, dir, err);
	if (!failed && rename(made, path))
		failed = errno == ENOENT ? ks_fail(err, KS_E_JUDGE, "no picture: gnuplot is not installed")
		                         : ks_fail(err, KS_E_INTERNAL, "cannot write '%.900s': %s", path, strerror(errno));
	unlink(made);
	unlink(script);
	rmdir(dir);
	return failed;
}

int ks_report_trend(const json_t *series, const char *metric, const char *path, struct ks_err *err)
{
	size_t len = strlen(path), n = json_array_size(series);
	bool png = len > 4 && !strcmp(path + len - 4, ".png"), svg = len > 4 && !strcmp(path + len - 4, ".svg");
	if (!png && !svg)
		return ks_fail(err, KS_E_USAGE, "bad picture name '%.900s', expected one that ends in .svg or .png", path);
	if (n > KS_TREND_SERIES)
		return ks_fail(err, KS_E_USAGE, "%zu series, at most %d fit one picture: name a scenario, a generator or a world", n, KS_TREND_SERIES);
	if (!extent_of(series).points)
		return ks_fail(err, KS_E_NOMATCH, "nothing to draw: no result has '%.200s' there", metric);
	return draw_beside(series, metric, png, path, err);
}
