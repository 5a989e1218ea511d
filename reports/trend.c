#include "ks_trend.h"

#include <string.h>

#include "chart.h"
#include "ks_time.h"
#include "report.h"

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

static double largest(const json_t *series)
{
	double most = 0;
	size_t i, k;
	json_t *s, *p;
	json_array_foreach(series, i, s)
		json_array_foreach(json_object_get(s, "points"), k, p)
			most = (double)ks_rp_int(p, "high") > most ? (double)ks_rp_int(p, "high") : most;
	return most;
}

static int add_point(struct ks_chart_line *line, const json_t *p, double scale)
{
	int64_t unix_ns = 0;
	const char *why;
	if (ks_utc_parse(ks_rp_str(p, "time"), &unix_ns, &why))
		return 0;
	return ks_chart_point(line, (double)(unix_ns / KS_SEC), (double)ks_rp_int(p, "low") / scale, (double)ks_rp_int(p, "median") / scale,
	                      (double)ks_rp_int(p, "high") / scale);
}

static int add_series(struct ks_chart *c, const json_t *s, double scale)
{
	size_t k;
	json_t *p;
	struct ks_chart_line *line = ks_chart_add(c, KS_CHART_POINTS, c->n);
	if (!line)
		return -1;
	snprintf(line->name, sizeof line->name, "%.60s  %.70s  %.60s", ks_rp_str(s, "scenario"), ks_rp_str(s, "generator"), ks_rp_str(s, "world"));
	json_array_foreach(json_object_get(s, "points"), k, p)
		if (add_point(line, p, scale))
			return -1;
	return 0;
}

int ks_report_trend(const json_t *series, const char *metric, const char *path, struct ks_err *err)
{
	char title[200];
	size_t i, n = json_array_size(series);
	json_t *s;
	struct unit unit = unit_of(metric, largest(series));
	struct ks_chart c = {.title = title, .caption = "line: the median over seeds; band: lowest to highest seed", .x_label = "",
	                     .y_label = unit.name, .time_x = true};
	int failed = 0;
	snprintf(title, sizeof title, "How did %.150s change?", metric);
	if (!ks_chart_name_fits(path))
		return ks_fail(err, KS_E_USAGE, "bad picture name '%.900s', expected one that ends in .svg or .png", path);
	if (n > KS_TREND_SERIES)
		return ks_fail(err, KS_E_USAGE, "%zu series, at most %d fit one picture: name a scenario, a generator or a world", n, KS_TREND_SERIES);
	json_array_foreach(series, i, s)
		failed |= add_series(&c, s, unit.ns);
	failed = failed ? ks_fail(err, KS_E_INTERNAL, "out of memory") : ks_chart_draw(&c, path, err);
	ks_chart_release(&c);
	return failed;
}
