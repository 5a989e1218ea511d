/* Lines over time, few enough points to draw, extremes kept. */
#include <inttypes.h>

#include "series.h"

/* A bucket keeps its lowest and its highest point, so that no spike is lost however many calls fall into it. */
#define BUCKETS (KS_SERIES_POINTS / 2)

struct bucket {
	struct ks_sr_point low, high, first, last; /* by value; by time */
	bool used;
};

struct series {
	struct ks_sr_window window;
	enum ks_sr_shape shape;
	struct bucket *bucket; /* a block: BUCKETS of them */
	int64_t low, high;
	uint64_t points;
};

static void series_add(struct series *s, uint32_t block, int64_t t, int64_t v)
{
	if (t < s->window.from_ns || t > s->window.to_ns)
		return;
	__int128 span = (__int128)s->window.to_ns - s->window.from_ns + 1;
	struct bucket *b = &s->bucket[(size_t)block * BUCKETS + (size_t)((__int128)(t - s->window.from_ns) * BUCKETS / span)];
	struct ks_sr_point p = {t, v};
	if (!b->used || v < b->low.v)
		b->low = p;
	if (!b->used || v > b->high.v)
		b->high = p;
	if (!b->used || t < b->first.t)
		b->first = p;
	if (!b->used || t >= b->last.t)
		b->last = p;
	b->used = true;
	s->low = !s->points || v < s->low ? v : s->low;
	s->high = !s->points || v > s->high ? v : s->high;
	s->points++;
}

/* Leaves out the points that lie on the straight line between those that stay (within tolerance): an undisturbed clock is
 * two points. The line from the anchor must pass through every skipped point's tolerance, which narrows a cone of slopes. */
struct thin {
	FILE *f;
	const char *name;
	double tolerance, slope_low, slope_high;
	struct ks_sr_point anchor, last;
	int n; /* 0: nothing yet, 1: the anchor alone, 2: and a pending point */
	bool dots;
};

static void thin_put(const struct thin *h, struct ks_sr_point p)
{
	ks_sr_seconds(h->f, p.t);
	fputc(' ', h->f);
	ks_sr_name(h->f, h->name);
	/* ns as ms, exactly */
	uint64_t v = p.v < 0 ? 0 - (uint64_t)p.v : (uint64_t)p.v;
	fprintf(h->f, " %s%" PRIu64 ".%06" PRIu64 "\n", p.v < 0 ? "-" : "", v / 1000000, v % 1000000);
}

static void thin_add(struct thin *h, struct ks_sr_point p)
{
	if (h->dots && h->n) { /* the anchor is the last one, and nothing is pending */
		thin_put(h, p);
		h->anchor = p;
		return;
	}
	double dt = (double)(p.t - h->anchor.t), dv = (double)p.v - (double)h->anchor.v;
	if (h->n == 2 && dt > 0 && dv / dt >= h->slope_low && dv / dt <= h->slope_high) {
		double low = (dv - h->tolerance) / dt, high = (dv + h->tolerance) / dt;
		h->slope_low = low > h->slope_low ? low : h->slope_low;
		h->slope_high = high < h->slope_high ? high : h->slope_high;
		h->last = p;
		return;
	}
	if (h->n == 2) {
		thin_put(h, h->last);
		h->anchor = h->last;
		dt = (double)(p.t - h->anchor.t);
		dv = (double)p.v - (double)h->anchor.v;
	} else if (h->n == 0) {
		thin_put(h, p);
		h->anchor = p;
		h->n = 1;
		return;
	}
	h->last = p;
	h->n = 2;
	h->slope_low = dt > 0 ? (dv - h->tolerance) / dt : 1;
	h->slope_high = dt > 0 ? (dv + h->tolerance) / dt : -1; /* an upright line ends at once */
}

/* Ends the line that is being drawn. */
static void thin_break(struct thin *h)
{
	if (h->n == 2)
		thin_put(h, h->last);
	h->n = 0;
}

/* From which silence on a line is interrupted: nothing is known of what lies between (refusals, a suspend). */
static int64_t gap_of(const struct series *s, const struct bucket *b)
{
	int64_t first = 0, last = 0, used = 0, width = (s->window.to_ns - s->window.from_ns) / BUCKETS + 1;
	for (size_t i = 0; i < BUCKETS; i++) {
		if (!b[i].used)
			continue;
		first = used++ ? first : b[i].first.t;
		last = b[i].first.t;
	}
	int64_t mean = used > 1 ? (last - first) / (used - 1) : width;
	return 8 * (mean > width ? mean : width);
}

/* Silence that is so wide that a line over it looks like a slope: 11 of a panel's 440 pixels. */
#define SEEN 40

/* Was the node's clock set between two points that are far apart? Then nobody saw when the one became the other, and a line from one
 * to the other would be a slope that there never was. */
static bool is_step_between(const struct ks_sr_job *j, const struct series *s, uint32_t block, int64_t from_ns, int64_t to_ns)
{
	const struct ks_evidence *e = j->e;
	if (block >= j->blocks.nown || to_ns - from_ns <= (s->window.to_ns - s->window.from_ns) / SEEN)
		return false;
	for (size_t i = 0; i < e->nchange; i++) {
		const struct ks_clock_change *c = &e->change[i];
		bool set = c->fault != KS_NO_FAULT ? c->amount_ns != 0 : c->did == KS_KEEPER_STEPPED;
		if (set && c->node == j->blocks.own[block] && c->at_ns > from_ns && c->at_ns <= to_ns)
			return true;
	}
	return false;
}

/* The extremes of a bucket by time; where a line begins or ends there, also its very first or last point. */
static void put_bucket(struct thin *h, const struct bucket *b, bool begins, bool ends)
{
	bool low_first = b->low.t <= b->high.t;
	struct ks_sr_point p[] = {b->first, low_first ? b->low : b->high, low_first ? b->high : b->low, b->last};
	for (int i = begins ? 0 : 1; i < (ends ? 4 : 3); i++) {
		const struct ks_sr_point *at = h->n == 2 ? &h->last : &h->anchor;
		if (h->n == 0 || p[i].t != at->t || p[i].v != at->v)
			thin_add(h, p[i]);
	}
}

static void put_block(const struct ks_sr_job *j, const struct series *s, uint32_t block, FILE *f)
{
	/* A four-thousandth of the range is a tenth of a pixel. */
	double tolerance = ((double)s->high - (double)s->low) / 4000;
	struct thin h = {.f = f, .name = ks_sr_block_name(j, block), .tolerance = tolerance > 1 ? tolerance : 1};
	h.dots = s->shape == KS_SR_DOTS;
	const struct bucket *b = &s->bucket[(size_t)block * BUCKETS], *before = NULL;
	int64_t gap = gap_of(s, b);
	fprintf(f, "%s# ", block ? "\n\n" : "");
	ks_sr_name(f, h.name);
	fputc('\n', f);
	for (size_t i = 0; i < BUCKETS; before = b[i].used ? &b[i] : before, i++) {
		size_t next = i + 1;
		if (!b[i].used)
			continue;
		while (next < BUCKETS && !b[next].used)
			next++;
		bool begins = !before || b[i].first.t - before->last.t > gap || is_step_between(j, s, block, before->last.t, b[i].first.t);
		bool ends = next == BUCKETS || b[next].first.t - b[i].last.t > gap || is_step_between(j, s, block, b[i].last.t, b[next].first.t);
		if (begins && before)
			fputc('\n', f);
		put_bucket(&h, &b[i], begins, ends);
		if (ends)
			thin_break(&h);
	}
	if (!before) /* gnuplot counts blocks: an empty one needs a line */
		fputs("NaN - NaN\n", f);
}

static int series_put(struct ks_sr_job *j, struct series *s, const char *name, const char *header)
{
	struct ks_file file;
	ks_sr_range(j, name, s->points ? (double)s->low / 1e6 : 0, s->points ? (double)s->high / 1e6 : 0, s->points);
	if (ks_sr_open(j, name, &file))
		return -1;
	fprintf(file.f, "# t_s node ms: %s\n", header);
	for (uint32_t i = 0; i < j->blocks.n; i++)
		put_block(j, s, i, file.f);
	return ks_file_commit(&file, j->err);
}

static int one_window(struct ks_sr_job *j, const char *name, struct ks_sr_window window, enum ks_sr_shape shape,
		      ks_sr_sample_fn *sample, const char *header)
{
	struct series s = {.window = window, .shape = shape};
	s.bucket = ks_alloc((size_t)j->blocks.n * BUCKETS, sizeof(*s.bucket));
	if (!s.bucket)
		return ks_sr_no_memory(j->err);
	for (size_t i = 0; i < j->e->records->n; i++) {
		struct ks_record r = ks_sr_get(j->e, i);
		struct ks_sr_point p;
		if (sample(j, i, &r, &p))
			series_add(&s, j->blocks.of[ks_sr_node(j->e, &r)], p.t, p.v);
	}
	int rc = series_put(j, &s, name, header);
	ks_free(s.bucket);
	return rc;
}

int ks_sr_lines(struct ks_sr_job *j, const char *name, enum ks_sr_shape shape, ks_sr_sample_fn *sample, const char *header)
{
	char near[40];
	snprintf(near, sizeof(near), "near-%s", name);
	if (one_window(j, name, j->whole, shape, sample, header))
		return -1;
	return one_window(j, near, j->near, shape, sample, header);
}
