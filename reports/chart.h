/* A chart of several lines, drawn by gnuplot into one file. Private to this folder. */
#ifndef KS_CHART_H
#define KS_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "ks_err.h"

struct ks_chart_point {
	double x, low, y, high; /* low and high: a band around y */
};

enum ks_chart_style {
	KS_CHART_POINTS, /* joined points, and the band */
	KS_CHART_STEPS,  /* a line that keeps its value up to the next x */
	KS_CHART_THEORY, /* a dashed line */
};

struct ks_chart_line {
	char name[200];
	enum ks_chart_style style;
	size_t colour; /* lines of one colour belong together; KS_CHART_COLOURS of them */
	struct ks_chart_point *v;
	size_t n;
};
#define KS_CHART_COLOURS 8

struct ks_chart {
	const char *title;   /* a question */
	const char *caption; /* how to read it */
	const char *x_label, *y_label;
	bool log_x, log_y; /* log_x: x is in s, and labelled in ns to s */
	bool time_x; /* x is unix time, s */
	struct ks_chart_line *line;
	size_t n;
};

/* A file of that name can be drawn: it ends in .svg or .png. */
bool ks_chart_name_fits(const char *path);
/* Appends a line. @return NULL when out of memory. */
struct ks_chart_line *ks_chart_add(struct ks_chart *chart, enum ks_chart_style style, size_t colour);
/* @return 0, or -1 out of memory. */
int ks_chart_point(struct ks_chart_line *line, double x, double low, double y, double high);
/* The file appears whole or not at all. @return 0, or -1: KS_E_USAGE (its ending, its folder), KS_E_NOMATCH (no point),
 * KS_E_JUDGE (no gnuplot), KS_E_INTERNAL with gnuplot's words. */
int ks_chart_draw(const struct ks_chart *chart, const char *path, struct ks_err *err);
void ks_chart_release(struct ks_chart *chart);

#endif
