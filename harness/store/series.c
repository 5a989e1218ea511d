/* The series behind the plots: differences over true time, few enough points to draw, extremes kept. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ks_mem.h"
#include "ks_store.h"

/* A bucket keeps its lowest and its highest point, so that no spike is lost however many calls fall into it. */
#define BUCKETS (KS_SERIES_POINTS / 2)

struct point {
	int64_t t, v;
};
struct bucket {
	struct point low, high, first, last; /* by value; by time */
	bool used;
};
struct window {
	int64_t from_ns, to_ns; /* both inside */
};

/* The nodes that have a block of their own, and the block that each node's points go to. */
struct blocks {
	uint32_t own[KS_SERIES_NODES];
	uint32_t nown, n; /* n: with "others" */
	uint32_t *of;     /* a node each */
};

struct series {
	const char *file;
	struct window window;
	const struct blocks *blocks;
	struct bucket *bucket; /* blocks->n * BUCKETS */
	int64_t low, high;
	uint64_t points;
};

struct job {
	const struct ks_evidence *e, *control;
	int64_t witness;
	const char *dir;
	struct ks_err *err;
	struct blocks blocks;
	struct window whole, near;
	const char *about;  /* what near is around: "witness", "fault", "start" */
	int64_t end_ns;
	int clock;          /* enum ks_clock_id that the generator read, or -1 */
	int64_t *base;      /* a node each: offset of its first reading, where offsets are relative */
	enum ks_scope scope; /* within which duplicates are counted */
	json_t *ranges, *missing;
};

static int no_memory(struct ks_err *err)
{
	return ks_fail(err, KS_E_INTERNAL, "out of memory");
}

static struct ks_record get(const struct ks_evidence *e, size_t row)
{
	return ks_record_get(e->records, row);
}

static uint32_t node_of(const struct ks_evidence *e, const struct ks_record *r)
{
	return e->records->lanes[r->lane].node;
}

static int64_t latest(const struct ks_evidence *e, size_t row)
{
	struct ks_record r = get(e, row);
	return r.return_ns != KS_NO_TIME ? r.return_ns : r.call_ns;
}

/* ---- which nodes, which window ---- */

static void own_block(struct job *j, uint32_t node)
{
	struct blocks *b = &j->blocks;
	if (b->nown == KS_SERIES_NODES || node >= j->e->plan->nodes)
		return;
	for (uint32_t i = 0; i < b->nown; i++)
		if (b->own[i] == node)
			return;
	b->own[b->nown++] = node;
}

static int by_node(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static int choose_blocks(struct job *j)
{
	const struct ks_plan *plan = j->e->plan;
	struct blocks *b = &j->blocks;
	b->of = ks_alloc(plan->nodes, sizeof(*b->of));
	if (!b->of)
		return no_memory(j->err);
	if (j->witness >= 0)
		own_block(j, j->e->records->lanes[get(j->e, (size_t)j->witness).lane].node);
	for (size_t f = 0; f < plan->faults; f++)
		for (uint32_t i = 0; i < plan->fault[f].nnodes; i++)
			own_block(j, plan->fault[f].nodes[i]);
	for (uint32_t i = 0; i < plan->nodes; i++)
		own_block(j, i);
	if (plan->nodes > KS_SERIES_NODES)
		b->nown = KS_SERIES_NODES - 1; /* the last block is for the others */
	qsort(b->own, b->nown, sizeof(*b->own), by_node);
	b->n = b->nown + (plan->nodes > b->nown);
	for (uint32_t i = 0; i < plan->nodes; i++)
		b->of[i] = b->nown;
	for (uint32_t i = 0; i < b->nown; i++)
		b->of[b->own[i]] = i;
	return 0;
}

/* The fault that acted last before t, or the first of all. */
static const struct ks_fault *fault_before(const struct ks_plan *plan, int64_t t)
{
	const struct ks_fault *best = NULL;
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		bool later = best && f->at_ns > best->at_ns, before = f->at_ns <= t;
		if (!best || (before && (later || best->at_ns > t)) || (!before && best->at_ns > t && f->at_ns < best->at_ns))
			best = f;
	}
	return best;
}

/* About 200 calls to either side, or one and a half steps, so that both ends of what a step replays are in sight; always
 * narrower than half the run, or it would show nothing new. */
static void choose_windows(struct job *j)
{
	const struct ks_plan *plan = j->e->plan;
	const struct ks_records *r = j->e->records;
	j->end_ns = plan->duration_ns;
	for (size_t i = 0; i < r->n; i++)
		if (latest(j->e, i) > j->end_ns)
			j->end_ns = latest(j->e, i);
	j->whole = (struct window){0, j->end_ns};
	int64_t calls = (int64_t)(r->n ? r->n : 1), of_calls = j->end_ns / calls * 200;
	int64_t center = j->witness >= 0 ? latest(j->e, (size_t)j->witness) : INT64_MIN;
	const struct ks_fault *f = fault_before(plan, j->witness >= 0 ? center : INT64_MAX);
	if (j->witness < 0 && f)
		f = fault_before(plan, INT64_MIN); /* without a witness: the first */
	j->about = j->witness >= 0 ? "witness" : f ? "fault" : "start";
	if (j->witness < 0)
		center = f ? f->at_ns : of_calls;
	int64_t half = of_calls;
	if (f && f->kind->op == KS_FAULT_STEP) {
		int64_t step = f->amount >= 0 ? f->amount : f->amount > -j->end_ns ? -f->amount : j->end_ns;
		half = step < j->end_ns ? step + step / 2 : j->end_ns;
		half = half > of_calls / 10 ? half : of_calls / 10;
	}
	if (half > j->end_ns / 4)
		half = of_calls < j->end_ns / 4 ? of_calls : j->end_ns / 4;
	half = half > 0 ? half : 1;
	j->near = (struct window){center > half ? center - half : 0, center < j->end_ns - half ? center + half : j->end_ns};
}

/* ---- points into buckets, buckets into a file ---- */

static void series_add(struct series *s, uint32_t block, int64_t t, int64_t v)
{
	if (t < s->window.from_ns || t > s->window.to_ns)
		return;
	__int128 span = (__int128)s->window.to_ns - s->window.from_ns + 1;
	struct bucket *b = &s->bucket[(size_t)block * BUCKETS + (size_t)((__int128)(t - s->window.from_ns) * BUCKETS / span)];
	struct point p = {t, v};
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

static void put_seconds(FILE *f, int64_t ns)
{
	fprintf(f, "%s%" PRId64 ".%09" PRId64, ns < 0 ? "-" : "", ns < 0 ? -(ns / KS_SEC) : ns / KS_SEC,
	        ns < 0 ? -(ns % KS_SEC) : ns % KS_SEC);
}

/* A name as one word of a data file. */
static void put_name(FILE *f, const char *name)
{
	for (; *name; name++) {
		bool plain = (*name >= '0' && *name <= '9') || ((*name | 32) >= 'a' && (*name | 32) <= 'z') || strchr("-_.", *name);
		fputc(plain ? *name : '_', f);
	}
}

static const char *block_name(const struct job *j, uint32_t block)
{
	return block < j->blocks.nown ? j->e->plan->node[j->blocks.own[block]].name : "others";
}

/* Leaves out the points that lie on the straight line between those that stay (within tolerance): an undisturbed clock is
 * two points. The line from the anchor must pass through every skipped point's tolerance, which narrows a cone of slopes. */
struct thin {
	FILE *f;
	const char *name;
	double tolerance, slope_low, slope_high;
	struct point anchor, last;
	int n; /* 0: nothing yet, 1: the anchor alone, 2: and a pending point */
};

static void thin_put(const struct thin *h, struct point p)
{
	put_seconds(h->f, p.t);
	fputc(' ', h->f);
	put_name(h->f, h->name);
	/* ns as ms, exactly */
	uint64_t v = p.v < 0 ? 0 - (uint64_t)p.v : (uint64_t)p.v;
	fprintf(h->f, " %s%" PRIu64 ".%06" PRIu64 "\n", p.v < 0 ? "-" : "", v / 1000000, v % 1000000);
}

static void thin_add(struct thin *h, struct point p)
{
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

/* The extremes of a bucket by time; where a line begins or ends there, also its very first or last point. */
static void put_bucket(struct thin *h, const struct bucket *b, bool begins, bool ends)
{
	bool low_first = b->low.t <= b->high.t;
	struct point p[] = {b->first, low_first ? b->low : b->high, low_first ? b->high : b->low, b->last};
	for (int i = begins ? 0 : 1; i < (ends ? 4 : 3); i++) {
		const struct point *at = h->n == 2 ? &h->last : &h->anchor;
		if (h->n == 0 || p[i].t != at->t || p[i].v != at->v)
			thin_add(h, p[i]);
	}
}

static void put_block(const struct job *j, const struct series *s, uint32_t block, FILE *f)
{
	/* A four-thousandth of the range is a tenth of a pixel. */
	double tolerance = ((double)s->high - (double)s->low) / 4000;
	struct thin h = {.f = f, .name = block_name(j, block), .tolerance = tolerance > 1 ? tolerance : 1};
	const struct bucket *b = &s->bucket[(size_t)block * BUCKETS], *before = NULL;
	int64_t gap = gap_of(s, b);
	fprintf(f, "%s# ", block ? "\n\n" : "");
	put_name(f, h.name);
	fputc('\n', f);
	for (size_t i = 0; i < BUCKETS; before = b[i].used ? &b[i] : before, i++) {
		size_t next = i + 1;
		if (!b[i].used)
			continue;
		while (next < BUCKETS && !b[next].used)
			next++;
		bool begins = !before || b[i].first.t - before->last.t > gap;
		bool ends = next == BUCKETS || b[next].first.t - b[i].last.t > gap;
		if (begins && before)
			fputc('\n', f);
		put_bucket(&h, &b[i], begins, ends);
		if (ends)
			thin_break(&h);
	}
	if (!before) /* gnuplot counts blocks: an empty one needs a line */
		fputs("NaN - NaN\n", f);
}

static int open_in(const struct job *j, const char *name, struct ks_file *file)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", j->dir, name) >= sizeof(path))
		return ks_fail(j->err, KS_E_USAGE, "path too long: \"%.200s...\"", j->dir);
	return ks_file_open(file, path, j->err);
}

static void put_range(struct job *j, const char *series, double low, double high)
{
	json_object_set_new(j->ranges, series, json_pack("[f,f]", low, high));
}

static int series_put(struct job *j, struct series *s, const char *name, const char *header)
{
	struct ks_file file;
	char file_name[64];
	snprintf(file_name, sizeof(file_name), "%s.dat", name);
	put_range(j, name, s->points ? (double)s->low / 1e6 : 0, s->points ? (double)s->high / 1e6 : 0);
	if (open_in(j, file_name, &file))
		return -1;
	fprintf(file.f, "# %s\n", header);
	for (uint32_t i = 0; i < j->blocks.n; i++)
		put_block(j, s, i, file.f);
	return ks_file_commit(&file, j->err);
}

/* What one call adds to a series. @return whether it adds anything. */
typedef bool (*sample_fn)(const struct job *j, const struct ks_record *r, struct point *p);

static int nodes_series(struct job *j, const char *name, struct window window, sample_fn sample, const char *header)
{
	struct series s = {.window = window, .blocks = &j->blocks};
	s.bucket = ks_alloc((size_t)j->blocks.n * BUCKETS, sizeof(*s.bucket));
	if (!s.bucket)
		return no_memory(j->err);
	for (size_t i = 0; i < j->e->records->n; i++) {
		struct ks_record r = get(j->e, i);
		struct point p;
		if (sample(j, &r, &p))
			series_add(&s, j->blocks.of[node_of(j->e, &r)], p.t, p.v);
	}
	int rc = series_put(j, &s, name, header);
	ks_free(s.bucket);
	return rc;
}

/* ---- clock minus true time ---- */

static bool has_reading(const struct job *j, const struct ks_record *r)
{
	return r->read_ns != KS_NO_TIME && r->clock == j->clock;
}

static bool sample_clock(const struct job *j, const struct ks_record *r, struct point *p)
{
	if (!has_reading(j, r))
		return false;
	*p = (struct point){r->read_at_ns, r->read_ns - r->read_at_ns - j->base[node_of(j->e, r)]};
	return true;
}

/* The first clock that was read is the one that is drawn. Wall clocks have a reference of their own; of the others only
 * changes mean anything. */
static int choose_clock(struct job *j)
{
	uint32_t nodes = j->e->plan->nodes;
	j->clock = -1;
	j->base = ks_alloc(nodes, sizeof(*j->base));
	bool *seen = ks_alloc(nodes, sizeof(*seen));
	if (!j->base || !seen) {
		ks_free(seen);
		return no_memory(j->err);
	}
	for (size_t i = 0; i < j->e->records->n; i++) {
		struct ks_record r = get(j->e, i);
		if (j->clock < 0 && r.read_ns != KS_NO_TIME)
			j->clock = r.clock;
		uint32_t node = node_of(j->e, &r);
		if (!has_reading(j, &r) || seen[node])
			continue;
		seen[node] = true;
		if (j->clock != KS_REALTIME && j->clock != KS_TAI)
			j->base[node] = r.read_ns - r.read_at_ns;
	}
	ks_free(seen);
	return 0;
}

static int missing(struct job *j, const char *series, const char *why)
{
	json_object_set_new(j->missing, series, json_string(why));
	return 0;
}

static int clock_series(struct job *j)
{
	if (choose_clock(j))
		return -1;
	if (j->clock < 0)
		return missing(j, "clock", "the generator read no clock");
	if (nodes_series(j, "clock", j->whole, sample_clock, "t_s node offset_ms: clock reading minus true time"))
		return -1;
	return nodes_series(j, "near-clock", j->near, sample_clock, "t_s node offset_ms: clock reading minus true time");
}

/* ---- key time minus call time ---- */

static bool sample_keytime(const struct job *j, const struct ks_record *r, struct point *p)
{
	struct ks_fields fields;
	if (r->outcome != KS_KEY || (r->flags & KS_CALL_UNKNOWN))
		return false;
	if (!ks_gen_decode(j->e->gen, &j->e->records->texts, r->key, &fields) || !fields.has_time)
		return false;
	*p = (struct point){r->call_ns, fields.embed_lo_unix_ns - j->e->plan->start_unix_ns - r->call_ns};
	return true;
}

static const char *why_no_keytime(const struct job *j)
{
	struct point p;
	if (!j->e->gen->gen)
		return "keys of a foreign program are opaque";
	for (size_t i = 0; i < j->e->records->n; i++) {
		struct ks_record r = get(j->e, i);
		if (sample_keytime(j, &r, &p))
			return NULL;
	}
	for (size_t i = 0; i < j->e->records->n; i++)
		if (get(j->e, i).flags & KS_CALL_UNKNOWN)
			return "call times are unknown";
	return "the keys hold no time";
}

static int keytime_series(struct job *j)
{
	const char *why = why_no_keytime(j);
	if (why)
		return missing(j, "keytime", why);
	if (nodes_series(j, "keytime", j->whole, sample_keytime, "t_s node lo_ms: key time minus call time"))
		return -1;
	return nodes_series(j, "near-keytime", j->near, sample_keytime, "t_s node lo_ms: key time minus call time");
}

/* ---- duplicates so far ---- */

struct order {
	const struct ks_evidence *e;
	enum ks_scope scope;
};

/* Whom a row belongs to in a scope: equal numbers are one group. */
static uint64_t group_of(const struct order *o, uint32_t row)
{
	const struct ks_lane *l = &o->e->records->lanes[get(o->e, row).lane];
	uint64_t node = l->node;
	if (o->scope == KS_SCOPE_THREAD)
		return node << 40 | (uint64_t)l->process << 20 | l->thread;
	return o->scope == KS_SCOPE_NODE ? node : 0;
}

static int by_group_key_row(const void *a, const void *b, void *arg)
{
	const struct order *o = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint64_t gx = group_of(o, x), gy = group_of(o, y);
	if (gx != gy)
		return gx < gy ? -1 : 1;
	int c = ks_key_cmp(ks_order(o->e, x), ks_order(o->e, y));
	return c ? c : (x > y) - (x < y);
}

/* Duplicates of one evidence: the rows whose key an earlier row of their group returned already, ascending. */
struct counted {
	const struct ks_evidence *e; /* NULL: there is none */
	uint32_t *row;
	size_t n, keys, at;
};

static int find_duplicates(struct counted *c, enum ks_scope scope, struct ks_err *err)
{
	struct order o = {c->e, scope};
	c->n = c->keys = 0;
	if (!c->e)
		return 0;
	ks_free(c->row);
	c->row = ks_alloc(c->e->records->n + 1, sizeof(*c->row));
	if (!c->row)
		return no_memory(err);
	for (size_t i = 0; i < c->e->records->n; i++)
		if (get(c->e, i).outcome == KS_KEY)
			c->row[c->keys++] = (uint32_t)i;
	qsort_r(c->row, c->keys, sizeof(*c->row), by_group_key_row, &o);
	uint32_t before = c->row[0];
	for (size_t i = 1; i < c->keys; i++) {
		uint32_t at = c->row[i];
		if (group_of(&o, before) == group_of(&o, at) && ks_key_equal(ks_order(c->e, before), ks_order(c->e, at)))
			c->row[c->n++] = at; /* never overtakes i */
		before = at;
	}
	qsort(c->row, c->n, sizeof(*c->row), by_node);
	return 0;
}

/* The widest scope in which duplicates are the exception without the fault: keys that collide between nodes all day (bare
 * milliseconds) would drown the ones that a fault adds. Where they collide in every scope, the node. */
static int choose_scope(struct job *j, struct counted *run, struct counted *control)
{
	static const enum ks_scope scopes[] = {KS_SCOPE_FLEET, KS_SCOPE_NODE, KS_SCOPE_THREAD, KS_SCOPE_NODE};
	for (size_t i = 0; i < sizeof(scopes) / sizeof(*scopes); i++) {
		struct counted *plain = control->e ? control : run;
		j->scope = scopes[i];
		if (find_duplicates(plain, j->scope, j->err))
			return -1;
		if (plain->n <= plain->keys / 20)
			break;
	}
	return control->e ? find_duplicates(run, j->scope, j->err) : 0;
}

/* @return how many duplicates had returned by t. Called with ascending t. */
static size_t count_until(struct counted *c, int64_t t)
{
	while (c->at < c->n && get(c->e, c->row[c->at]).return_ns <= t)
		c->at++;
	return c->at;
}

static int dups_put(struct job *j, const char *name, struct window w, struct counted *run, struct counted *control)
{
	struct ks_file file;
	char file_name[64];
	size_t shown = SIZE_MAX, shown_control = SIZE_MAX, low = SIZE_MAX, high = 0;
	snprintf(file_name, sizeof(file_name), "%s.dat", name);
	if (open_in(j, file_name, &file))
		return -1;
	fputs("# t_s duplicates control: n - distinct so far, in order of return\n", file.f);
	run->at = control->at = 0;
	for (int i = 0; i <= KS_SERIES_POINTS - 1; i++) {
		int64_t t = w.from_ns + (int64_t)((__int128)(w.to_ns - w.from_ns) * i / (KS_SERIES_POINTS - 1));
		size_t r = count_until(run, t), c = count_until(control, t);
		if (r == shown && c == shown_control && i < KS_SERIES_POINTS - 1)
			continue;
		shown = r;
		shown_control = c;
		if (!i) /* counts only grow */
			low = control->e && c < r ? c : r;
		high = r > c ? r : c;
		put_seconds(file.f, t);
		fprintf(file.f, control->e ? " %zu %zu\n" : " %zu NaN\n", r, c);
	}
	put_range(j, name, (double)low, (double)high);
	return ks_file_commit(&file, j->err);
}

static int dups_series(struct job *j)
{
	struct counted run = {.e = j->e}, control = {.e = j->control};
	int rc = choose_scope(j, &run, &control);
	if (!rc)
		rc = dups_put(j, "dups", j->whole, &run, &control);
	if (!rc)
		rc = dups_put(j, "near-dups", j->near, &run, &control);
	ks_free(run.row);
	ks_free(control.row);
	return rc;
}

/* ---- meta.json ---- */

static json_t *meta_faults(const struct ks_plan *plan)
{
	json_t *faults = json_array();
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		json_t *nodes = json_array();
		for (uint32_t k = 0; k < f->nnodes; k++)
			json_array_append_new(nodes, json_string(plan->node[f->nodes[k]].name));
		json_array_append_new(faults, json_pack("{s:s, s:s, s:f, s:o}", "name", f->name, "kind", f->kind->name, "at_s",
		                                        (double)f->at_ns / 1e9, "nodes", nodes));
	}
	return faults;
}

static int meta_put(struct job *j)
{
	json_t *nodes = json_array();
	for (uint32_t i = 0; i < j->blocks.n; i++)
		json_array_append_new(nodes, json_string(block_name(j, i)));
	json_t *meta = json_pack("{s:s, s:s, s:s, s:o, s:o, s:{s:f, s:f, s:s}, s:f, s:O, s:O, s:b}", "generator", j->e->gen->text,
	                         "clock", j->clock < 0 ? "" : ks_clock_names[j->clock], "dups_scope",
	                         ks_scope_names[j->scope], "nodes", nodes, "faults", meta_faults(j->e->plan), "near", "from_s", (double)j->near.from_ns / 1e9, "to_s",
	                         (double)j->near.to_ns / 1e9, "about", j->about, "end_s", (double)j->end_ns / 1e9, "ranges",
	                         j->ranges, "missing", j->missing, "control", j->control != NULL);
	struct ks_file file;
	int rc = meta ? open_in(j, "meta.json", &file) : no_memory(j->err);
	if (!rc) {
		json_dumpf(meta, file.f, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
		fputc('\n', file.f);
		rc = ks_file_commit(&file, j->err);
	}
	json_decref(meta);
	return rc;
}

int ks_series_write(const struct ks_evidence *e, const struct ks_evidence *control, int64_t witness, const char *dir,
                    struct ks_err *err)
{
	struct job j = {.e = e, .control = control, .witness = witness, .dir = dir, .err = err};
	if (witness >= (int64_t)e->records->n)
		return ks_fail(err, KS_E_INTERNAL, "witness row %" PRId64 " of %zu records", witness, e->records->n);
	j.ranges = json_object();
	j.missing = json_object();
	int rc = choose_blocks(&j);
	if (!rc)
		choose_windows(&j);
	if (!rc)
		rc = clock_series(&j);
	if (!rc)
		rc = keytime_series(&j);
	if (!rc)
		rc = dups_series(&j);
	if (!rc)
		rc = meta_put(&j);
	json_decref(j.ranges);
	json_decref(j.missing);
	ks_free(j.blocks.of);
	ks_free(j.base);
	return rc;
}
