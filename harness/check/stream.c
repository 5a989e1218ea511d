#include "ks_stream.h"

#include <string.h>

#include "exposure.h"
#include "groups.h"
#include "judge.h"
#include "ks_mem.h"
#include "repeats.h"
#include "stalls.h"

#define FRESH_MAX (1 << 12)  /* keys that are sorted at a time */
#define STALLS_MAX (1 << 20) /* different long stalls */

/* A row that passed; those without a key have no lane. */
struct row {
	struct ks_key key;
	int64_t return_ns;
	uint32_t lane;
};
#define NO_LANE UINT32_MAX

/* A place at which the running maximum of a group grew. */
struct peak {
	uint32_t row, place; /* of the run, in the group */
};

/* Of the peaks so far the first n are far back: beyond what the greatest displacement or lateness up to now spans. key: the
 * maximum there, or 0. A late key that is not below it sets no record, so it need not be searched for. No other peak gets
 * that far before the place, or the time, `until`. */
struct far {
	uint32_t n;
	int64_t until;
	struct ks_key key;
};

/* While a group is in order all its keys are peaks, and those that it consists of are in order, too: keys are counted then, and
 * peaks made up from the rows when it gets out of order. */
struct group {
	struct ks_key max, last; /* last: once it is out of order */
	uint32_t keys, refused; /* so far */
	bool disorderly;        /* a key was not larger than all before it */
	/* A ring of peaks, those whose rows are there yet: numbers first .. end - 1 of all. */
	struct peak *peak;
	uint32_t cap, first, end;
	struct far by_place, by_time;
};

/* A claim of order in one scope. */
struct order_claim {
	struct ks_judgement *j;
	bool increasing;
};

struct scope {
	struct group *group;
	uint32_t groups;
	uint32_t *of_lane;
	enum ks_scope same_as; /* a finer one with the same groups does the work; else itself */
	int64_t metric[KS_NSCOPED_METRICS];
	uint64_t pairs; /* exposed ones, when not every call is */
	struct order_claim *claim;
	size_t claims;
};

struct ks_stream_check {
	struct ks_evidence e;
	const struct ks_evidence *kept; /* the records are there after all: their threads and marks stand */
	struct ks_records none; /* but their lanes, as the plan has them */
	struct ks_judgement *judgement;
	size_t judgements;
	struct row *row; /* a ring of them */
	uint32_t rows, mask;
	struct scope scope[KS_NSCOPES];
	struct scope *doer[KS_NSCOPES]; /* coarse first: a thread's maximum must be that before the key */
	size_t doers;
	struct group *(*of_lane)[KS_NSCOPES]; /* its group in each of them */
	uint32_t lanes;
	struct ks_exposure exposure;
	struct ks_stalls stalls;
	struct ks_repeats repeats;
	bool ascending; /* every key was larger than all before it: none was repeated */
	uint64_t calls, refused, lost, nexposed;
	struct ks_counts counts;
	int64_t ahead_ns, behind_ns;
	struct ks_judgement **timed, **served; /* claims of clock and available */
	size_t ntimed, nserved;
	const char *why;
};

/* ---- making and releasing ---- */

static int add_claim(struct ks_stream_check *s, struct ks_judgement *j, struct ks_claim_ref claim)
{
	*j = (struct ks_judgement){.claim = claim, .witness = {-1, -1}};
	ks_claim_format(j->text, claim);
	struct scope *scope = &s->scope[claim.scope];
	switch (claim.property) {
	case KS_INCREASING:
	case KS_SORTED:
		scope->claim[scope->claims++] = (struct order_claim){j, claim.property == KS_INCREASING};
		return 0;
	case KS_CLOCK_WITHIN:
		s->timed[s->ntimed++] = j;
		return 0;
	case KS_AVAILABLE:
		s->served[s->nserved++] = j;
		return 0;
	default:
		return 0;
	}
}

struct ks_stream_check *ks_stream_check_new(const struct ks_evidence *e, const struct ks_claim_ref *claims, size_t n, uint32_t rows,
					    struct ks_err *err)
{
	struct ks_stream_check *s = ks_alloc(1, sizeof *s);
	bool failed = !s;
	if (s) {
		s->e = *e;
		s->e.records = &s->none;
		ks_evidence_ticks(&s->e);
		s->e.all_exposed = e->control || !e->plan->faults;
		s->ascending = true;
		s->judgements = n;
		s->judgement = ks_alloc(n, sizeof *s->judgement);
		s->timed = ks_alloc(n, sizeof(struct ks_judgement *));
		s->served = ks_alloc(n, sizeof(struct ks_judgement *));
		s->rows = rows;
		s->mask = rows - 1;
		s->row = ks_resize(NULL, rows, sizeof *s->row);
		failed = !s->judgement || !s->timed || !s->served || !s->row || ks_stalls_init(&s->stalls);
		for (int i = 0; i < KS_NSCOPES; i++) {
			s->scope[i].claim = ks_alloc(n, sizeof *s->scope[i].claim);
			failed = failed || !s->scope[i].claim;
		}
	}
	for (size_t i = 0; !failed && i < n; i++)
		failed = add_claim(s, &s->judgement[i], claims[i]);
	if (failed) {
		ks_stream_check_free(s);
		ks_fail(err, KS_E_INTERNAL, "out of memory for checkers");
		return NULL;
	}
	return s;
}

void ks_stream_check_free(struct ks_stream_check *s)
{
	if (!s)
		return;
	for (int i = 0; i < KS_NSCOPES; i++) {
		for (uint32_t g = 0; s->scope[i].group && g < s->scope[i].groups; g++)
			ks_free(s->scope[i].group[g].peak);
		ks_free(s->scope[i].group);
		ks_free(s->scope[i].of_lane);
		ks_free(s->scope[i].claim);
	}
	ks_free(s->of_lane);
	ks_exposure_release(&s->exposure);
	ks_stalls_release(&s->stalls);
	ks_repeats_release(&s->repeats);
	if (!s->kept)
		ks_free(s->none.lanes);
	ks_free(s->judgement);
	ks_free(s->timed);
	ks_free(s->served);
	ks_free(s->row);
	ks_free(s);
}

const char *ks_stream_check_inexact(const struct ks_stream_check *s)
{
	return s->why;
}

static int inexact(struct ks_stream_check *s, const char *why)
{
	s->why = s->why ? s->why : why;
	return -1;
}

/* The threads that there are from the start. */
static int name_lanes(struct ks_stream_check *s, struct ks_err *err)
{
	const struct ks_plan *plan = s->e.plan;
	uint32_t n = 0;
	if (s->kept) {
		s->none.lanes = s->kept->records->lanes;
		s->none.nlanes = s->kept->records->nlanes;
		return 0;
	}
	s->none.lanes = ks_alloc((size_t)plan->nodes * plan->processes * plan->threads, sizeof *s->none.lanes);
	if (!s->none.lanes)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for threads");
	for (uint32_t i = 0; i < plan->nodes; i++)
		for (uint32_t j = 0; j < plan->processes; j++)
			for (uint32_t k = 0; k < plan->threads; k++)
				s->none.lanes[n++] = (struct ks_lane){i, j, 0, k};
	s->none.nlanes = n;
	return 0;
}

/* Other faults leave traces that only whole records tell. */
static bool is_carried(const struct ks_plan *plan)
{
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		int op = f->kind->op;
		if (f->placed || op == KS_FAULT_ARM_LEAP || op == KS_FAULT_RESTART || op == KS_FAULT_SNAPSHOT || op == KS_FAULT_CLONE || op == KS_FAULT_ROLLBACK)
			return false;
	}
	for (uint32_t i = 0; i < plan->nodes; i++)
		if (plan->node[i].clock.keeper.kind != KS_KEEPER_NONE) /* it moves the clock when it likes */
			return false;
	return true;
}

static int begin(struct ks_stream_check *s, const struct ks_lane *lanes, struct ks_err *err)
{
	const uint32_t *of_lane[KS_NSCOPES] = {0};
	uint32_t groups[KS_NSCOPES] = {0};
	if (name_lanes(s, err) || (!s->e.all_exposed && !s->kept && ks_exposure_init(&s->exposure, &s->e, err)))
		return -1;
	if (memcmp(lanes, s->none.lanes, s->none.nlanes * sizeof *lanes))
		inexact(s, "the threads are not those of the plan");
	if (!s->kept && !is_carried(s->e.plan))
		inexact(s, "leap seconds, what begins, ends or repeats lives, or stops them inside a call, needs the records");
	if (s->why)
		return ks_fail(err, KS_E_JUDGE, "not judged as it passed: %s", s->why);
	for (int i = 0; i < KS_NSCOPES; i++) {
		struct scope *scope = &s->scope[i];
		struct ks_groups g;
		if (ks_groups_init(&g, &s->none, (enum ks_scope)i, err))
			return -1;
		scope->groups = g.n;
		scope->of_lane = g.of_lane;
		g.of_lane = NULL;
		ks_groups_release(&g);
		scope->group = ks_alloc(scope->groups, sizeof *scope->group);
		if (!scope->group)
			return ks_fail(err, KS_E_INTERNAL, "out of memory for %u groups", scope->groups);
		bool same = i && s->scope[i - 1].groups == scope->groups; /* scopes refine each other */
		scope->same_as = same ? s->scope[i - 1].same_as : (enum ks_scope)i;
		of_lane[i] = same ? NULL : scope->of_lane;
		groups[i] = same ? 0 : scope->groups;
		struct scope *doer = &s->scope[scope->same_as];
		for (size_t k = 0; same && k < scope->claims; k++)
			doer->claim[doer->claims++] = scope->claim[k];
	}
	for (int i = KS_NSCOPES - 1; i >= 0; i--)
		if (s->scope[i].same_as == (enum ks_scope)i)
			s->doer[s->doers++] = &s->scope[i];
	s->lanes = (uint32_t)s->none.nlanes;
	s->of_lane = ks_alloc(s->lanes, sizeof *s->of_lane);
	if (!s->of_lane)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for threads");
	for (uint32_t lane = 0; lane < s->lanes; lane++)
		for (size_t i = 0; i < s->doers; i++)
			s->of_lane[lane][i] = &s->doer[i]->group[s->doer[i]->of_lane[lane]];
	if (ks_repeats_init(&s->repeats, of_lane, groups, s->rows < FRESH_MAX ? s->rows : FRESH_MAX, s->rows))
		return ks_fail(err, KS_E_INTERNAL, "out of memory for repeated keys");
	return 0;
}

/* ---- peaks ---- */

static const struct row *row_at(const struct ks_stream_check *s, uint32_t row)
{
	return &s->row[row & s->mask];
}

static struct peak *peak_at(const struct group *g, uint32_t i)
{
	return &g->peak[i & (g->cap - 1)];
}

static const struct row *peak_row(const struct ks_stream_check *s, const struct group *g, uint32_t i)
{
	return row_at(s, peak_at(g, i)->row);
}

/* Peaks whose rows were overwritten are forgotten. */
static void forget_peaks(const struct ks_stream_check *s, struct group *g)
{
	uint32_t low = g->first, high = g->end;
	if (low == high || (uint32_t)s->calls - peak_at(g, low)->row < s->rows)
		return;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if ((uint32_t)s->calls - peak_at(g, mid)->row < s->rows)
			high = mid;
		else
			low = mid + 1;
	}
	g->first = low;
}

static int grow_peaks(struct group *g)
{
	uint32_t cap = g->cap ? 2 * g->cap : 64;
	struct peak *peak = ks_resize(NULL, cap, sizeof *peak);
	if (!peak)
		return -1;
	for (uint32_t i = g->first; i < g->end; i++)
		peak[i & (cap - 1)] = *peak_at(g, i);
	ks_free(g->peak);
	g->peak = peak;
	g->cap = cap;
	return 0;
}

/* Room for one more. */
static __attribute__((noinline)) int peak_room(const struct ks_stream_check *s, struct group *g)
{
	forget_peaks(s, g);
	return g->end - g->first > g->cap / 2 || !g->cap ? grow_peaks(g) : 0;
}

/* @return the first peak that it holds for, as it does for all later ones: larger than k (by_key), or not returned before
 * t_ns; galloping from the end. */
static uint32_t first_peak(const struct ks_stream_check *s, const struct group *g, struct ks_key k, int64_t t_ns, bool by_key)
{
#define HOLDS(i) (by_key ? ks_key_less(k, peak_row(s, g, i)->key) : peak_row(s, g, i)->return_ns >= t_ns)
	uint32_t high = g->end, step = 1;
	while (high > g->first) {
		uint32_t at = high - g->first > step ? high - step : g->first;
		if (!HOLDS(at)) {
			uint32_t low = at + 1;
			while (low < high) {
				uint32_t mid = low + (high - low) / 2;
				if (HOLDS(mid))
					high = mid;
				else
					low = mid + 1;
			}
			return high;
		}
		high = at;
		step *= 2;
	}
	return g->first;
#undef HOLDS
}

/* Moves on to the peaks that are far back by now; those that were forgotten meanwhile count as one that was not. now: a
 * place, or a time; record: how far back the farthest one was. */
static void go_far(const struct ks_stream_check *s, const struct group *g, struct far *f, bool by_place, int64_t now, int64_t record)
{
	for (; f->n < g->end; f->n++) {
		uint32_t n = f->n < g->first ? g->first : f->n;
		int64_t at = by_place ? (int64_t)peak_at(g, n)->place : peak_row(s, g, n)->return_ns;
		f->until = at + record;
		if (now <= f->until)
			return;
		f->n = n;
		f->key = peak_row(s, g, n)->key;
	}
	f->until = INT64_MIN;
}

static __attribute__((noinline)) void look_far(const struct ks_stream_check *s, struct group *g, const struct ks_record *v, const int64_t *m)
{
	forget_peaks(s, g);
	if (g->first == g->end) { /* none is there any more: nothing is known */
		g->by_place.n = 0;
		g->by_place.until = INT64_MIN;
		return;
	}
	go_far(s, g, &g->by_place, true, g->keys, m[KS_M_DISPLACEMENT]);
	go_far(s, g, &g->by_time, false, v->return_ns, m[KS_M_LATE_NS_MAX]);
}

/* Could a key at this place and time be displaced farther, or be later, than all before? */
static inline bool sets_record(const struct ks_stream_check *s, struct group *g, const struct ks_record *v, const int64_t *m)
{
	const struct far *place = &g->by_place, *time = &g->by_time;
	if (__builtin_expect(g->keys > place->until || v->return_ns > time->until, 0))
		look_far(s, g, v, m);
	return ks_key_less(v->key, place->key) || ks_key_less(v->key, time->key) || place->n < g->first || time->n < g->first;
}

/* ---- order ---- */

static bool was_before(const struct row *a, const struct ks_record *b, const struct order_claim *c)
{
	if (!c->increasing)
		return b->return_ns - a->return_ns > c->j->claim.bound_ns;
	return a->return_ns < b->call_ns || a->lane == b->lane;
}

/* The nearest larger one that was before it. */
static int find_witness(struct ks_stream_check *s, const struct scope *scope, const struct order_claim *c, const struct ks_record *b)
{
	uint32_t group = scope->of_lane[b->lane], row = (uint32_t)s->calls;
	c->j->witness[1] = row;
	for (uint32_t back = 1; back < s->rows && back <= row; back++) {
		const struct row *a = row_at(s, row - back);
		if (a->lane != NO_LANE && scope->of_lane[a->lane] == group && ks_key_less(b->key, a->key) && was_before(a, b, c)) {
			c->j->witness[0] = row - back;
			return 0;
		}
	}
	return inexact(s, "what a key contradicts lies too far back");
}

/* Was a larger key of the group returned before t_ns? @return 1, 0, or -1 when that is not known. */
static int larger_before(struct ks_stream_check *s, const struct group *g, struct ks_key k, int64_t t_ns)
{
	uint32_t i = first_peak(s, g, k, t_ns, false);
	if (i > g->first)
		return ks_key_less(k, peak_row(s, g, i - 1)->key);
	return g->first ? -1 : 0;
}

/* A late key against the claims of order. */
static int check_order(struct ks_stream_check *s, struct scope *scope, const struct group *g, const struct ks_record *v)
{
	for (size_t i = 0; i < scope->claims; i++) {
		struct order_claim *c = &scope->claim[i];
		const struct scope *threads = &s->scope[KS_SCOPE_THREAD];
		const struct group *thread = &threads->group[threads->of_lane[v->lane]];
		int64_t t_ns = c->increasing ? v->call_ns : v->return_ns - c->j->claim.bound_ns;
		if (!c->increasing && v->return_ns < INT64_MIN + c->j->claim.bound_ns)
			continue;
		int broken = c->increasing && thread->keys && ks_key_less(v->key, thread->max) ? 1 : larger_before(s, g, v->key, t_ns);
		if (broken < 0)
			return inexact(s, "which keys were returned before a call lies too far back");
		c->j->count += (uint64_t)broken;
		if (broken && c->j->witness[1] < 0 && find_witness(s, scope, c, v))
			return -1;
	}
	return 0;
}

/* How far a late key is from where it belongs. */
static int measure(struct ks_stream_check *s, struct group *g, const struct ks_record *v, int64_t *m)
{
	uint32_t i = first_peak(s, g, v->key, 0, true);
	if (i == g->end || (i == g->first && g->first))
		return inexact(s, "a key is smaller than one too far back");
	int64_t displacement = g->keys - peak_at(g, i)->place;
	int64_t late_ns = v->return_ns - peak_row(s, g, i)->return_ns;
	m[KS_M_DISPLACEMENT] = displacement > m[KS_M_DISPLACEMENT] ? displacement : m[KS_M_DISPLACEMENT];
	m[KS_M_LATE_NS_MAX] = late_ns > m[KS_M_LATE_NS_MAX] ? late_ns : m[KS_M_LATE_NS_MAX];
	return 0;
}

static __attribute__((noinline)) int late_key(struct ks_stream_check *s, struct scope *scope, struct group *g, const struct ks_record *v,
					      bool record)
{
	forget_peaks(s, g);
	if (record && measure(s, g, v, scope->metric))
		return -1;
	return scope->claims ? check_order(s, scope, g, v) : 0;
}

/* A key that is not larger than all of its group before it. */
static inline int not_largest(struct ks_stream_check *s, struct scope *scope, struct group *g, const struct ks_record *v)
{
	int64_t *m = scope->metric;
	if (!ks_key_less(v->key, g->max))
		return 0;
	m[KS_M_BELOW_MAX]++;
	m[KS_M_DESCENTS] += ks_key_less(v->key, g->last);
	bool record = sets_record(s, g, v, m);
	return record || scope->claims ? late_key(s, scope, g, v, record) : 0;
}

/* The group gets out of order: its peaks, all keys up to now, are made up from the rows that are there. */
static __attribute__((noinline)) int look_closer(struct ks_stream_check *s, const struct scope *scope, uint32_t group)
{
	struct group *g = &scope->group[group];
	uint32_t now = (uint32_t)s->calls, from = now > s->mask ? now - s->mask : 0;
	g->disorderly = true;
	g->last = g->max;
	g->first = g->keys;
	for (int pass = 0; pass < 2; pass++) {
		g->end = g->first;
		for (uint32_t row = from; row < now; row++) {
			const struct row *r = row_at(s, row);
			if (r->lane == NO_LANE || scope->of_lane[r->lane] != group)
				continue;
			if (pass == 0) { /* how many there are */
				g->first--;
				continue;
			}
			if (g->end - g->first == g->cap && grow_peaks(g))
				return -1;
			*peak_at(g, g->end) = (struct peak){row, g->end};
			g->end++;
		}
	}
	return 0;
}

/* A group that is out of order, or gets so. */
static inline int closely(struct ks_stream_check *s, struct scope *scope, struct group *g, const struct ks_record *v)
{
	if (!g->disorderly && look_closer(s, scope, (uint32_t)(g - scope->group)))
		return -1;
	if (ks_key_less(g->max, v->key)) {
		if (__builtin_expect(g->end - g->first == g->cap, 0) && peak_room(s, g))
			return -1;
		*peak_at(g, g->end++) = (struct peak){(uint32_t)s->calls, g->keys};
		g->max = v->key;
	} else if (not_largest(s, scope, g, v)) {
		return -1;
	}
	g->last = v->key;
	g->keys++;
	return 0;
}

/* Until a key is not the largest so far none can be repeated; from then on the last rows are what it may repeat. */
static int end_ascent(struct ks_stream_check *s)
{
	uint32_t now = (uint32_t)s->calls, from = now > s->mask ? now - s->mask : 0;
	struct ks_repeats *r = &s->repeats;
	s->ascending = false;
	for (uint32_t row = from; row < now; row++)
		if (row_at(s, row)->lane != NO_LANE)
			r->kept[r->nkept++] = (struct ks_passed){row_at(s, row)->key, row, row_at(s, row)->lane};
	if (from && r->nkept) { /* what is forgotten is smaller than what is kept */
		r->has_forgotten = true;
		r->forgotten = r->kept[0].key;
	}
	return r->nkept || !from ? 0 : inexact(s, "all keys lie too far back");
}

static inline int repeated(struct ks_stream_check *s, const struct ks_record *v)
{
	const struct group *g = s->doer[0]->group; /* the fleet's */
	if (s->ascending && (!g->keys || ks_key_less(g->max, v->key)))
		return 0;
	if (s->ascending && end_ascent(s))
		return -1;
	if (ks_repeats_add(&s->repeats, v->key, (uint32_t)s->calls, v->lane) && ks_repeats_flush(&s->repeats))
		return inexact(s, "a key is too small to tell whether it is repeated");
	return 0;
}

static inline int one_key(struct ks_stream_check *s, const struct ks_record *v)
{
	s->row[s->calls & s->mask] = (struct row){v->key, v->return_ns, v->lane};
	if (repeated(s, v))
		return -1;
	struct group *const *of = s->of_lane[v->lane];
	size_t i = 0;
	for (; i < s->doers && (of[i]->disorderly || (of[i]->keys && !ks_key_less(of[i]->max, v->key))); i++)
		if (closely(s, s->doer[i], of[i], v))
			return -1;
	for (; i < s->doers; i++) { /* in order, and so are those that it consists of */
		of[i]->max = v->key;
		of[i]->keys++;
	}
	return 0;
}

/* ---- single calls ---- */

static void found(struct ks_stream_check *s, struct ks_judgement *j)
{
	j->count++;
	if (j->witness[1] < 0)
		j->witness[1] = (int64_t)s->calls;
}

static inline void key_time(struct ks_stream_check *s, const struct ks_record *v)
{
	int64_t lo, hi;
	if (!ks_embedded(&s->e, v, &lo, &hi))
		return;
	int64_t ahead_ns = lo - v->return_ns, behind_ns = v->call_ns - hi;
	s->counts.with_time++;
	s->ahead_ns = ahead_ns > s->ahead_ns ? ahead_ns : s->ahead_ns;
	s->behind_ns = behind_ns > s->behind_ns ? behind_ns : s->behind_ns;
	for (size_t i = 0; i < s->ntimed; i++) {
		int64_t bound_ns = s->timed[i]->claim.bound_ns;
		if ((__int128)lo - v->return_ns > bound_ns || (__int128)v->call_ns - hi > bound_ns)
			found(s, s->timed[i]);
	}
}

static void service(struct ks_stream_check *s, const struct ks_record *v)
{
	int64_t until_ns = v->outcome == KS_LOST ? s->e.plan->duration_ns : v->return_ns;
	for (size_t i = 0; i < s->nserved; i++)
		if (v->outcome == KS_REFUSE || until_ns - v->due_ns > s->served[i]->claim.bound_ns)
			found(s, s->served[i]);
}

/* @return 1, 0, or -1. */
static int is_exposed(struct ks_stream_check *s, const struct ks_lane *lanes, const struct ks_record *v, struct ks_err *err)
{
	if (s->kept)
		return ks_exposed(s->kept, (size_t)s->calls);
	if (ks_exposure_learn(&s->exposure, lanes, v, err))
		return -1;
	if (s->exposure.inexact)
		return inexact(s, "a clock reading from before a fault came after others were judged");
	return ks_exposure_judge(&s->exposure, lanes, v);
}

static int expose(struct ks_stream_check *s, const struct ks_lane *lanes, const struct ks_record *v, struct ks_err *err)
{
	int exposed = is_exposed(s, lanes, v, err);
	if (exposed <= 0)
		return exposed;
	s->nexposed++;
	s->counts.exposed_keys += v->outcome == KS_KEY;
	for (int i = 0; i < KS_NSCOPES && v->outcome != KS_LOST; i++) {
		struct scope *scope = &s->scope[i];
		const struct scope *doer = &s->scope[scope->same_as];
		const struct group *g = &doer->group[doer->of_lane[v->lane]];
		scope->pairs += g->keys + g->refused;
	}
	return 0;
}

static void no_key(struct ks_stream_check *s, const struct ks_record *v)
{
	s->row[s->calls & s->mask].lane = NO_LANE;
	s->refused += v->outcome == KS_REFUSE;
	s->lost += v->outcome == KS_LOST;
	for (int i = 0; i < KS_NSCOPES; i++) {
		struct scope *scope = &s->scope[i];
		struct group *g = &scope->group[scope->of_lane[v->lane]];
		if (scope->same_as != (enum ks_scope)i)
			continue;
		g->refused += v->outcome == KS_REFUSE;
	}
}

static inline int one(struct ks_stream_check *s, const struct ks_lane *lanes, const struct ks_record *v, struct ks_err *err)
{
	if (v->flags || v->parent != KS_NO_PARENT || v->lane >= s->lanes)
		return inexact(s, v->lane >= s->lanes ? "threads came later" : "causes need the records");
	if (!s->e.all_exposed && expose(s, lanes, v, err))
		return -1;
	if (v->outcome != KS_LOST && ks_stalls_add(&s->stalls, v->return_ns - v->due_ns))
		return ks_fail(err, KS_E_INTERNAL, "out of memory for stalls");
	if (s->nserved)
		service(s, v);
	if (v->outcome == KS_KEY) {
		key_time(s, v);
		if (one_key(s, v))
			return s->why ? -1 : ks_fail(err, KS_E_INTERNAL, "out of memory for keys");
	} else {
		no_key(s, v);
	}
	s->calls++;
	return 0;
}

static bool is_alone(const struct ks_stream_check *s)
{
	return s->doers == 1 && s->doer[0]->groups == 1 && s->e.all_exposed && !s->nserved && !s->ntimed && s->e.tick.tick_ns;
}

/* What most runs of a thread that is alone are: keys that ascend, of calls without delay. As `one` would, but with all that
 * it looks at in registers. @return how many records it took; the next one is for `one`. */
static size_t ascend(struct ks_stream_check *s, const struct ks_record *v, size_t n)
{
	struct group *g = s->doer[0]->group;
	if (!s->ascending || !g->keys)
		return 0;
	const struct ks_tick_field tick = s->e.tick;
	const uint64_t tick_max = s->e.tick_max;
	const int64_t epoch_ns = tick.epoch_unix_ns - s->e.plan->start_unix_ns; /* neither is negative */
	const uint32_t calls = (uint32_t)s->calls, mask = s->mask;
	struct row *row = s->row;
	uint64_t *low = s->stalls.low;
	struct ks_key max = g->max;
	int64_t ahead_ns = s->ahead_ns, behind_ns = s->behind_ns;
	uint32_t i = 0;
	for (; i < n; i++) {
		const struct ks_record *r = &v[i];
		uint64_t stall_ns = (uint64_t)(r->return_ns - r->due_ns), at = (tick.upper ? r->key.hi : r->key.lo) >> tick.shift;
		if (r->outcome != KS_KEY || r->flags || r->parent != KS_NO_PARENT || r->lane || stall_ns >= KS_STALLS_LOW || at > tick_max ||
		    !ks_key_less(max, r->key))
			break;
		int64_t lo_ns = epoch_ns + (int64_t)at * tick.tick_ns, hi_ns = lo_ns + tick.tick_ns;
		low[stall_ns]++;
		ahead_ns = lo_ns - r->return_ns > ahead_ns ? lo_ns - r->return_ns : ahead_ns;
		behind_ns = r->call_ns - hi_ns > behind_ns ? r->call_ns - hi_ns : behind_ns;
		row[(calls + i) & mask] = (struct row){r->key, r->return_ns, 0};
		max = r->key;
	}
	s->calls += i;
	s->counts.with_time += i;
	s->stalls.n += i;
	s->ahead_ns = ahead_ns;
	s->behind_ns = behind_ns;
	g->keys += i;
	g->max = max;
	return i;
}

static int take(void *context, const struct ks_lane *lanes, const struct ks_record *v, size_t n, struct ks_err *err)
{
	struct ks_stream_check *s = context;
	if (!s->lanes && begin(s, lanes, err))
		return -1;
	const bool alone = is_alone(s);
	for (size_t i = alone ? ascend(s, v, n) : 0; i < n; i += 1 + (alone ? ascend(s, v + i + 1, n - i - 1) : 0))
		if (one(s, lanes, &v[i], err))
			return s->why ? ks_fail(err, KS_E_JUDGE, "not judged as it passed: %s", s->why) : -1;
	if (s->stalls.nhigh > STALLS_MAX || s->calls >= UINT32_MAX - n)
		return ks_fail(err, KS_E_JUDGE, "not judged as it passed: %s", (inexact(s, "too many different stalls"), s->why));
	return 0;
}

struct ks_sink ks_stream_check_sink(struct ks_stream_check *s)
{
	return (struct ks_sink){.take = take, .context = s};
}

/* ---- the end ---- */

static void scoped_metrics(const struct ks_stream_check *s, struct ks_metrics *m)
{
	for (int i = 0; i < KS_NSCOPES; i++) {
		enum ks_scope doer = s->scope[i].same_as;
		for (int k = 0; k < KS_M_INVERSIONS; k++)
			m->scoped[k][i] = s->scope[doer].metric[k];
		m->scoped[KS_M_DUPLICATES][i] = (int64_t)s->repeats.count[doer];
	}
	for (int k = 0; k < KS_M_INVERSIONS; k++)
		m->known[k] = true;
}

static void set(struct ks_metrics *m, enum ks_metric metric, bool known, int64_t value)
{
	m->known[metric] = known;
	m->plain[metric - KS_NSCOPED_METRICS] = known ? value : 0;
}

/* Pairs of a returned call with an earlier one of its group. */
static uint64_t all_pairs(const struct scope *scope)
{
	uint64_t pairs = 0;
	for (uint32_t g = 0; g < scope->groups; g++) {
		uint64_t returned = (uint64_t)scope->group[g].keys + scope->group[g].refused;
		pairs += returned * (returned - 1) / 2;
	}
	return pairs;
}

static void judge(const struct ks_stream_check *s, struct ks_judgement *j)
{
	const struct scope *scope = &s->scope[j->claim.scope];
	if (j->claim.property == KS_UNIQUE) {
		j->count = s->repeats.count[scope->same_as];
		memcpy(j->witness, s->repeats.witness[scope->same_as], sizeof j->witness);
	}
	j->exposed = j->claim.property == KS_CAUSAL ? 0 : s->nexposed;
	if (j->claim.property != KS_CAUSAL && s->lanes)
		j->exposed_pairs = s->e.all_exposed ? all_pairs(&s->scope[scope->same_as]) : scope->pairs;
	ks_decide(&s->e, &s->counts, j);
}

int ks_stream_check_finish(struct ks_stream_check *s, struct ks_metrics *m, struct ks_judgement *judgement, uint64_t *nexposed,
			   struct ks_err *err)
{
	if (!s->why && s->lanes && ks_repeats_flush(&s->repeats))
		inexact(s, "a key is too small to tell whether it is repeated");
	if (s->why)
		return ks_fail(err, KS_E_JUDGE, "not judged as it passed: %s", s->why);
	*m = (struct ks_metrics){.calls = s->calls, .keys = s->calls - s->refused - s->lost};
	s->counts.calls = m->calls;
	s->counts.keys = m->keys;
	if (s->e.all_exposed) {
		s->nexposed = s->calls;
		s->counts.exposed_keys = m->keys;
	}
	scoped_metrics(s, m);
	set(m, KS_M_AHEAD_NS_MAX, s->counts.with_time > 0, s->ahead_ns);
	set(m, KS_M_BEHIND_NS_MAX, s->counts.with_time > 0, s->behind_ns);
	set(m, KS_M_CAUSALITY_VIOLATIONS, true, 0);
	set(m, KS_M_REFUSALS, true, (int64_t)s->refused);
	set(m, KS_M_LOST, true, (int64_t)s->lost);
	ks_stalls_metrics(&s->stalls, m);
	for (size_t i = 0; i < s->judgements; i++)
		judge(s, &s->judgement[i]);
	memcpy(judgement, s->judgement, s->judgements * sizeof *judgement);
	*nexposed = s->nexposed;
	return 0;
}

/* ---- kept records, as if they passed ---- */

#define BATCH 256

/* @return 0; 1 when it was not exact; or -1. */
static int pass_kept(const struct ks_evidence *e, struct ks_stream_check *s, struct ks_metrics *m, struct ks_judgement *judgement,
		     struct ks_err *err)
{
	struct ks_record v[BATCH];
	uint64_t nexposed;
	for (size_t row = 0; row < e->records->n;) {
		size_t n = 0;
		while (n < BATCH && row < e->records->n)
			v[n++] = ks_record_get(e->records, row++);
		if (take(s, e->records->lanes, v, n, err))
			return s->why ? 1 : -1;
	}
	if (ks_stream_check_finish(s, m, judgement, &nexposed, err))
		return s->why ? 1 : -1;
	return 0;
}

int ks_judge_all(const struct ks_evidence *e, const struct ks_claim_ref *claims, size_t n, struct ks_metrics *m,
		 struct ks_judgement *judgement, struct ks_err *err)
{
	int status = 1;
	if (!e->order && e->records->n) {
		struct ks_stream_check *s = ks_stream_check_new(e, claims, n, KS_STREAM_ROWS, err);
		if (!s)
			return -1;
		s->kept = e;
		s->e.all_exposed = e->all_exposed;
		status = pass_kept(e, s, m, judgement, err);
		ks_stream_check_free(s);
	}
	if (status == 1)
		status = ks_metrics_compute(e, m, err);
	else
		return status;
	for (size_t i = 0; i < n && !status; i++)
		status = ks_judge(e, claims[i], &judgement[i], err);
	return status;
}
