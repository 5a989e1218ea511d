#include "ks_record.h"

#include <stdlib.h>
#include <string.h>

#include "ks_mem.h"

const char *const ks_uses_names[8] = {"worker", "mac", "ip", "pid", "host", "registry", "persist", "random"};
#include "ks_sink.h"

/* The rows at which the low bits of a lane's seq begin anew. */
struct ks_lane_rows {
	uint32_t seq; /* of the next record */
	uint32_t *row;
	size_t n, cap;
};

#define SEQ_LOW 256
#define LIMIT_ROWS 4096 /* how often the limit is looked at */

/* ---- growing ---- */

/* Room for one more. Not zeroed: pages that are not written take no memory. @return 0, or -1 out of memory. */
static int room(void **p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return 0;
	size_t grown = *cap ? *cap * 2 : 64;
	void *q = ks_resize(*p, grown, size);
	if (!q)
		return -1;
	*p = q;
	*cap = grown;
	return 0;
}

static struct ks_lane_rows *rows_of(struct ks_records *r, uint32_t lane)
{
	if (lane < r->nrows)
		return &r->rows[lane];
	size_t n = r->nrows ? r->nrows : 16;
	while (n <= lane)
		n *= 2;
	struct ks_lane_rows *rows = ks_grow(r->rows, r->nrows, n, sizeof *rows);
	if (!rows)
		return NULL;
	r->rows = rows;
	r->nrows = n;
	return &rows[lane];
}

/* ---- the packed form ---- */

/* @return the anchor that an error is near to, a new one if there is room, or -1. */
static int anchor_of(struct ks_records *r, int64_t error_ns)
{
	for (unsigned i = 0; i < r->anchors; i++) {
		int64_t off;
		if (!__builtin_sub_overflow(error_ns, r->anchor[i], &off) && off == (int32_t)off)
			return (int)i;
	}
	if (r->anchors == KS_ANCHORS)
		return -1;
	if (r->anchors == 0) { /* most clocks are nearly right */
		r->anchor[r->anchors++] = 0;
		return anchor_of(r, error_ns);
	}
	r->anchor[r->anchors] = error_ns;
	return (int)r->anchors++;
}

static bool pack_reading(struct ks_records *r, const struct ks_record *v, int64_t time, struct ks_packed *p, unsigned *small)
{
	int64_t error_ns, back_ns;
	if (v->read_ns == KS_NO_TIME) {
		*small |= KS_PACK_NO_CLOCK << KS_PACK_CLOCK;
		return v->clock == 0 && v->read_at_ns == 0;
	}
	if (v->clock >= KS_NCLOCKS || __builtin_sub_overflow(v->read_ns, v->read_at_ns, &error_ns) ||
	    __builtin_sub_overflow(time, v->read_at_ns, &back_ns) || back_ns != (uint16_t)back_ns)
		return false;
	int anchor = anchor_of(r, error_ns);
	if (anchor < 0)
		return false;
	*small |= (unsigned)v->clock << KS_PACK_CLOCK | (unsigned)anchor << KS_PACK_ANCHOR;
	p->read = (uint64_t)(uint32_t)(error_ns - r->anchor[anchor]) << 32 | (uint64_t)back_ns << 16;
	return true;
}

static bool pack_times(const struct ks_record *v, int64_t time, struct ks_packed *p)
{
	int64_t due_ns, call_ns;
	if (v->due_ns == KS_NO_TIME && v->call_ns == KS_NO_TIME) {
		p->back = (uint64_t)KS_PACK_NO_TIMES << 32;
		return true;
	}
	if (__builtin_sub_overflow(time, v->due_ns, &due_ns) || __builtin_sub_overflow(time, v->call_ns, &call_ns) ||
	    due_ns < 0 || due_ns >= KS_PACK_NO_TIMES || call_ns < 0 || call_ns >> 24)
		return false;
	p->back = (uint64_t)due_ns << 32 | (uint64_t)call_ns << 8;
	return true;
}

/* @return whether all of it fits. */
static bool pack(struct ks_records *r, const struct ks_record *v, struct ks_packed *p)
{
	int64_t time = v->outcome == KS_LOST ? v->call_ns : v->return_ns;
	unsigned small = (unsigned)v->outcome << KS_PACK_OUTCOME | (unsigned)v->why << KS_PACK_WHY |
	                 (unsigned)v->flags << KS_PACK_FLAGS;
	*p = (struct ks_packed){.key = v->key};
	if (v->outcome > 3 || v->why > 7 || v->flags > 3 || v->lane > UINT16_MAX || time < 0 || time >> 48 ||
	    (v->outcome == KS_LOST && v->return_ns != KS_NO_TIME))
		return false;
	if (!pack_times(v, time, p) || !pack_reading(r, v, time, p, &small))
		return false;
	p->when = (uint64_t)time << 16 | v->lane;
	p->back |= v->seq % SEQ_LOW;
	p->read |= small;
	return true;
}

static bool is_whole(const struct ks_packed *p)
{
	return p->read >> KS_PACK_WHOLE & 1;
}

/* Into the side table, at `place` or at its end. */
static void pack_whole(struct ks_records *r, const struct ks_record *v, struct ks_packed *p, uint64_t place)
{
	r->whole[place] = *v;
	*p = (struct ks_packed){.key = v->key, .when = place, .read = UINT64_C(1) << KS_PACK_WHOLE};
}

/* ---- parents ---- */

/* @return the place of the first one whose row is not less. */
static size_t parent_place(const struct ks_records *r, size_t row)
{
	size_t low = 0, high = r->nparents;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (r->parents[mid].row < row)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint32_t ks_record_parent(const struct ks_records *r, size_t row)
{
	if (!r->nparents)
		return KS_NO_PARENT;
	size_t at = parent_place(r, row);
	return at < r->nparents && r->parents[at].row == row ? r->parents[at].parent : KS_NO_PARENT;
}

/* There is room for one more. */
static void set_parent(struct ks_records *r, size_t row, uint32_t parent)
{
	size_t at = parent_place(r, row), after = r->nparents - at;
	bool has = after && r->parents[at].row == row;
	if (has && parent == KS_NO_PARENT) {
		memmove(&r->parents[at], &r->parents[at + 1], (after - 1) * sizeof *r->parents);
		r->nparents--;
	} else if (parent != KS_NO_PARENT) {
		if (!has) {
			memmove(&r->parents[at + 1], &r->parents[at], after * sizeof *r->parents);
			r->nparents++;
		}
		r->parents[at] = (struct ks_parent){(uint32_t)row, parent};
	}
}

static int parent_room(struct ks_records *r, uint32_t parent)
{
	return parent == KS_NO_PARENT ? 0 : room((void **)&r->parents, r->nparents, &r->parent_cap, sizeof *r->parents);
}

/* ---- adding and changing ---- */

uint32_t ks_record_seq(const struct ks_records *r, size_t row)
{
	const struct ks_packed *p = &r->v[row];
	if (is_whole(p))
		return r->whole[p->when].seq;
	const struct ks_lane_rows *l = &r->rows[p->when & 0xffff];
	size_t low = 0, high = l->n; /* how many of them are not after the row: at least one */
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (l->row[mid] <= row)
			low = mid + 1;
		else
			high = mid;
	}
	return (uint32_t)(low - 1) * SEQ_LOW + (uint32_t)(p->back & (SEQ_LOW - 1));
}

int ks_records_add(struct ks_records *r, const struct ks_record *v)
{
	struct ks_lane_rows *l = rows_of(r, v->lane);
	struct ks_packed packed;
	if (r->limit && r->n % LIMIT_ROWS == 0 && ks_records_bytes(r) > r->limit)
		return -1;
	if (!l || r->n >= UINT32_MAX || room((void **)&r->v, r->n, &r->cap, sizeof *r->v) || parent_room(r, v->parent))
		return -1;
	bool next = v->seq == l->seq;
	if (next && v->seq % SEQ_LOW == 0 && room((void **)&l->row, l->n, &l->cap, sizeof *l->row))
		return -1;
	if (!next || !pack(r, v, &packed)) {
		if (room((void **)&r->whole, r->nwhole, &r->whole_cap, sizeof *r->whole))
			return -1;
		pack_whole(r, v, &packed, r->nwhole++);
	}
	if (next && v->seq % SEQ_LOW == 0)
		l->row[l->n++] = (uint32_t)r->n;
	l->seq += next;
	if (v->parent != KS_NO_PARENT)
		set_parent(r, r->n, v->parent);
	r->v[r->n++] = packed;
	return 0;
}

int ks_records_take(void *records, const struct ks_lane *lanes, const struct ks_record *v, size_t n, struct ks_err *err)
{
	(void)lanes;
	for (size_t i = 0; i < n; i++)
		if (ks_records_add(records, &v[i]))
			return ks_records_full(records, err);
	return 0;
}

uint32_t ks_records_row(void *records, uint32_t lane, uint32_t seq)
{
	const struct ks_records *r = records;
	if (lane >= r->nrows || seq >= r->rows[lane].seq)
		return KS_NO_PARENT;
	for (size_t row = r->rows[lane].row[seq / SEQ_LOW]; row < r->n; row++) {
		struct ks_record v = ks_record_get(r, row);
		if (v.lane == lane && v.seq == seq)
			return (uint32_t)row;
	}
	return KS_NO_PARENT;
}

int ks_record_set(struct ks_records *r, size_t row, const struct ks_record *v)
{
	struct ks_packed packed, *p = &r->v[row];
	bool marked = ks_record_marked(r, row);
	if (parent_room(r, v->parent))
		return -1;
	if (is_whole(p)) { /* its seq may be out of order: it stays there */
		pack_whole(r, v, &packed, p->when);
	} else if (!pack(r, v, &packed)) {
		if (room((void **)&r->whole, r->nwhole, &r->whole_cap, sizeof *r->whole))
			return -1;
		pack_whole(r, v, &packed, r->nwhole++);
	}
	*p = packed;
	ks_record_mark(r, row, marked);
	set_parent(r, row, v->parent);
	return 0;
}

static void drop_records(struct ks_records *r)
{
	for (size_t i = 0; i < r->nrows; i++)
		ks_free(r->rows[i].row);
	ks_free(r->rows);
	ks_free(r->v);
	ks_free(r->whole);
	ks_free(r->parents);
}

void ks_records_release(struct ks_records *r)
{
	drop_records(r);
	ks_free(r->lanes);
	ks_free(r->halts);
	ks_texts_release(&r->texts);
	ks_texts_release(&r->reasons);
	*r = (struct ks_records){0};
}

size_t ks_records_bytes(const struct ks_records *r)
{
	size_t bytes = r->n * sizeof *r->v + r->nwhole * sizeof *r->whole + r->nparents * sizeof *r->parents + r->texts.len +
	               r->texts.n * sizeof *r->texts.at;
	for (size_t i = 0; i < r->nrows; i++)
		bytes += sizeof r->rows[i] + r->rows[i].n * sizeof *r->rows[i].row;
	return bytes;
}

int ks_records_full(const struct ks_records *r, struct ks_err *err)
{
	size_t bytes = ks_records_bytes(r);
	if (r->limit && bytes > r->limit)
		return ks_fail(err, KS_E_JUDGE, "memory cap: %zu calls take %zu MiB, and as much again is needed to judge them", r->n,
		               bytes >> 20);
	return ks_fail(err, KS_E_INTERNAL, "out of memory for %zu records", r->n);
}

/* ---- order ---- */

#define CMP(a, b)                                                                                                      \
	if ((a) != (b))                                                                                                \
	return (a) < (b) ? -1 : 1

static int lane_cmp(const struct ks_lane *a, const struct ks_lane *b)
{
	CMP(a->node, b->node);
	CMP(a->process, b->process);
	CMP(a->incarnation, b->incarnation);
	CMP(a->thread, b->thread);
	return 0;
}

int ks_record_cmp(const struct ks_record *a, const struct ks_record *b, const struct ks_lane *lanes)
{
	int lost_a = a->return_ns == KS_NO_TIME, lost_b = b->return_ns == KS_NO_TIME;
	CMP(lost_a, lost_b);
	CMP(a->return_ns, b->return_ns);
	if (lost_a)
		CMP(a->call_ns, b->call_ns);
	int c = lane_cmp(&lanes[a->lane], &lanes[b->lane]);
	if (c)
		return c;
	CMP(a->seq, b->seq);
	return 0;
}

static int row_cmp(const void *pa, const void *pb, void *records)
{
	const struct ks_records *r = records;
	const uint32_t *a = pa, *b = pb;
	struct ks_record x = ks_record_get(r, *a), y = ks_record_get(r, *b);
	int c = ks_record_cmp(&x, &y, r->lanes);
	if (!c)
		CMP(*a, *b);
	return c;
}

/* Copies the records over in the order of `from`; place: room for all rows. */
static int reorder(const struct ks_records *r, const uint32_t *from, uint32_t *place, struct ks_records *sorted)
{
	for (size_t i = 0; i < r->n; i++)
		place[from[i]] = (uint32_t)i;
	for (size_t i = 0; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, from[i]);
		if (v.parent < r->n)
			v.parent = place[v.parent];
		if (ks_records_add(sorted, &v))
			return -1;
	}
	return 0;
}

int ks_records_sort(struct ks_records *r)
{
	size_t i = 1;
	for (struct ks_record before = r->n ? ks_record_get(r, 0) : KS_RECORD_NONE; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		if (ks_record_cmp(&before, &v, r->lanes) > 0)
			break;
		before = v;
	}
	if (i >= r->n)
		return 0;
	uint32_t *from = ks_alloc(r->n, sizeof *from), *place = ks_alloc(r->n, sizeof *place);
	struct ks_records sorted = {0};
	for (i = 0; from && i < r->n; i++)
		from[i] = (uint32_t)i;
	if (from)
		qsort_r(from, r->n, sizeof *from, row_cmp, r);
	int failed = from && place ? reorder(r, from, place, &sorted) : -1;
	ks_free(from);
	ks_free(place);
	if (failed) {
		drop_records(&sorted);
		return -1;
	}
	drop_records(r);
	sorted.lanes = r->lanes;
	sorted.nlanes = r->nlanes;
	sorted.texts = r->texts;
	sorted.reasons = r->reasons;
	sorted.clock_reads = r->clock_reads;
	*r = sorted;
	return 0;
}

/* ---- halts ---- */

int ks_records_halt(struct ks_records *r, uint32_t lane, int64_t begin_ns, int64_t end_ns)
{
	if (room((void **)&r->halts, r->nhalts, &r->halt_cap, sizeof *r->halts))
		return -1;
	r->halts[r->nhalts++] = (struct ks_halt){lane, begin_ns, end_ns};
	return 0;
}

static int halt_cmp(const void *pa, const void *pb)
{
	const struct ks_halt *a = pa, *b = pb;
	CMP(a->lane, b->lane);
	CMP(a->begin_ns, b->begin_ns);
	CMP(a->end_ns, b->end_ns);
	return 0;
}

void ks_records_sort_halts(struct ks_records *r)
{
	if (r->nhalts)
		qsort(r->halts, r->nhalts, sizeof *r->halts, halt_cmp);
}

/* ---- reasons ---- */

uint8_t ks_reason_number(struct ks_texts *reasons, const char *text, size_t len)
{
	static const char others[] = "other reasons";
	char clean[KS_REASON_TEXT];
	size_t n = 0;
	for (size_t i = 0; i < len && n < sizeof clean - 1; i++)
		clean[n++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	for (size_t i = 0; i < reasons->n; i++) {
		size_t size;
		const char *known = ks_texts_get(reasons, i, &size);
		if (size == n && !memcmp(known, clean, n))
			return (uint8_t)i;
	}
	if (reasons->n == KS_RECORD_REASONS)
		return KS_RECORD_REASONS - 1;
	bool last = reasons->n == KS_RECORD_REASONS - 1;
	int64_t index = ks_texts_add(reasons, last ? others : clean, last ? sizeof others - 1 : n);
	return index < 0 ? 0 : (uint8_t)index;
}
