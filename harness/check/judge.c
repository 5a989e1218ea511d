/* Judgements of properties. One function a property; all of them are listed in `checkers` below. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "foreign.h"
#include "groups.h"
#include "judge.h"
#include "ks_mem.h"

/* What the search of one property works on. */
struct search {
	const struct ks_evidence *e;
	const struct ks_groups *g;
	int64_t bound_ns;
	struct ks_judgement *j;
};

/* Notes n violations, of which the first is at row `later`. @return whether it is the first of all so far. */
static bool found(struct search *s, uint64_t n, size_t later)
{
	struct ks_judgement *j = s->j;
	j->count += n;
	if (j->witness[1] >= 0 && j->witness[1] <= (int64_t)later)
		return false;
	j->witness[1] = (int64_t)later;
	return true;
}

/* ---- unique ---- */

/* A key and its place in the group. */
struct placed {
	struct ks_key key;
	uint32_t place;
};

static int placed_cmp(const void *pa, const void *pb)
{
	const struct placed *a = pa, *b = pb;
	int c = ks_key_cmp(a->key, b->key);
	return c ? c : (a->place > b->place) - (a->place < b->place);
}

/* The first place whose key is there before, and where: neighbours once keys are sorted by key and place. */
static int first_equal(const struct ks_evidence *e, const uint32_t *row, size_t n, uint32_t *first, uint32_t *second,
		       struct ks_err *err)
{
	struct placed *p = ks_alloc(n, sizeof *p);
	if (!p)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the witness among %zu keys", n);
	for (size_t i = 0; i < n; i++)
		p[i] = (struct placed){ks_order(e, row[i]), (uint32_t)i};
	qsort(p, n, sizeof *p, placed_cmp);
	*second = UINT32_MAX;
	for (size_t i = 1; i < n; i++)
		if (ks_key_equal(p[i - 1].key, p[i].key) && p[i].place < *second) {
			*first = p[i - 1].place;
			*second = p[i].place;
		}
	ks_free(p);
	return 0;
}

static int search_unique(struct search *s, struct ks_err *err)
{
	struct ks_scratch scratch = {0};
	int failed = 0;
	for (uint32_t i = 0; !failed && i < s->g->n; i++) {
		const uint32_t *row = &s->g->rows[s->g->start[i]];
		size_t n = s->g->start[i + 1] - s->g->start[i];
		struct ks_disorder d;
		uint32_t first = 0, second = 0;
		failed = ks_disorder(s->e, row, n, &scratch, &d, err);
		if (failed || !d.duplicates)
			continue;
		failed = first_equal(s->e, row, n, &first, &second, err);
		if (!failed && found(s, (uint64_t)d.duplicates, row[second]))
			s->j->witness[0] = row[first];
	}
	ks_scratch_release(&scratch);
	return failed;
}

/* ---- increasing, sorted ---- */

/* Had a returned before b began? The calls of one thread follow one another even when an instant is shared. */
static bool was_before(const struct ks_record *a, const struct ks_record *b)
{
	if (b->flags & KS_CALL_UNKNOWN)
		return false;
	return a->return_ns < b->call_ns || (a->lane == b->lane && a->seq < b->seq);
}

static bool was_long_before(const struct ks_record *a, const struct ks_record *b, int64_t bound_ns)
{
	return b->return_ns - a->return_ns > bound_ns;
}

/* The nearest larger predecessor of place j that satisfies the order in question. */
static void nearest_larger(struct search *s, const uint32_t *row, size_t j)
{
	bool increasing = s->j->claim.property == KS_INCREASING;
	struct ks_record b = ks_record_get(s->e->records, row[j]);
	for (size_t i = j; i-- > 0;) {
		struct ks_record a = ks_record_get(s->e->records, row[i]);
		if (ks_key_less(ks_order(s->e, row[j]), ks_order(s->e, row[i])) &&
		    (increasing ? was_before(&a, &b) : was_long_before(&a, &b, s->bound_ns))) {
			s->j->witness[0] = row[i];
			return;
		}
	}
}

/* @return how many of the group's first j keys were returned before t_ns: they are in the order of return. */
static size_t returned_before(const struct ks_records *r, const uint32_t *row, size_t j, int64_t t_ns)
{
	size_t low = 0, high = j;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (ks_record_get(r, row[mid]).return_ns < t_ns)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Largest keys: max[i] of the group's first i + 1; lane[l] of what thread l returned so far. */
struct largest {
	struct ks_key *max, *lane;
	uint8_t *lane_has;
};

/* Does a larger key come before place j in the order in question? Only the largest need be looked at. */
static bool has_larger(const struct search *s, const uint32_t *row, size_t j, const struct largest *l)
{
	const struct ks_records *r = s->e->records;
	struct ks_record b = ks_record_get(r, row[j]);
	struct ks_key k = ks_order(s->e, row[j]);
	if (!ks_key_less(k, l->max[j])) /* in order: the common case */
		return false;
	if (s->j->claim.property == KS_SORTED) {
		size_t n =
		    b.return_ns < INT64_MIN + s->bound_ns ? 0 : returned_before(r, row, j, b.return_ns - s->bound_ns);
		return n && ks_key_less(k, l->max[n - 1]);
	}
	if (b.flags & KS_CALL_UNKNOWN)
		return false;
	size_t n = returned_before(r, row, j, b.call_ns);
	return (n && ks_key_less(k, l->max[n - 1])) || (l->lane_has[b.lane] && ks_key_less(k, l->lane[b.lane]));
}

static void search_group(struct search *s, const uint32_t *row, size_t n, struct largest *l)
{
	for (size_t j = 0; j < n; j++) {
		struct ks_key k = ks_order(s->e, row[j]);
		uint32_t lane = ks_record_get(s->e->records, row[j]).lane;
		l->max[j] = j && ks_key_less(k, l->max[j - 1]) ? l->max[j - 1] : k;
		if (has_larger(s, row, j, l) && found(s, 1, row[j]))
			nearest_larger(s, row, j);
		if (!l->lane_has[lane] || ks_key_less(l->lane[lane], k))
			l->lane[lane] = k;
		l->lane_has[lane] = 1;
	}
}

static int search_order(struct search *s, struct ks_err *err)
{
	const struct ks_records *r = s->e->records;
	struct largest l = {ks_alloc(r->n, sizeof *l.max), ks_alloc(r->nlanes, sizeof *l.lane), ks_alloc(r->nlanes, 1)};
	int failed =
	    l.max && l.lane && l.lane_has ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory for %zu keys", r->n);
	for (uint32_t i = 0; !failed && i < s->g->n; i++) /* a lane is in one group only */
		search_group(s, &s->g->rows[s->g->start[i]], s->g->start[i + 1] - s->g->start[i], &l);
	ks_free(l.max);
	ks_free(l.lane);
	ks_free(l.lane_has);
	return failed;
}

/* ---- those of single calls ---- */

static bool has_cause(const struct ks_evidence *e, const struct ks_groups *g, size_t i)
{
	struct ks_record v = ks_record_get(e->records, i);
	if (v.outcome != KS_KEY || v.parent >= e->records->n)
		return false;
	struct ks_record p = ks_record_get(e->records, v.parent);
	return p.outcome == KS_KEY && g->of_lane[p.lane] == g->of_lane[v.lane];
}

static int search_causal(struct search *s, struct ks_err *err)
{
	(void)err;
	for (size_t i = 0; i < s->e->records->n; i++) {
		uint32_t parent = ks_record_get(s->e->records, i).parent;
		if (has_cause(s->e, s->g, i) && !ks_key_less(ks_order(s->e, parent), ks_order(s->e, i)) && found(s, 1, i))
			s->j->witness[0] = parent;
	}
	return 0;
}

static int search_clock(struct search *s, struct ks_err *err)
{
	int64_t lo, hi;
	(void)err;
	for (size_t i = 0; i < s->e->records->n; i++) {
		struct ks_record r = ks_record_get(s->e->records, i);
		if (!ks_embedded(s->e, &r, &lo, &hi))
			continue;
		bool ahead = (__int128)lo - r.return_ns > s->bound_ns;
		bool behind = !(r.flags & KS_CALL_UNKNOWN) && (__int128)r.call_ns - hi > s->bound_ns;
		if (ahead || behind)
			found(s, 1, i);
	}
	return 0;
}

static int search_available(struct search *s, struct ks_err *err)
{
	(void)err;
	for (size_t i = 0; i < s->e->records->n; i++) {
		struct ks_record r = ks_record_get(s->e->records, i);
		int64_t until = r.outcome == KS_LOST ? s->e->plan->duration_ns : r.return_ns;
		bool late = !(r.flags & KS_CALL_UNKNOWN) && until - r.due_ns > s->bound_ns;
		if (r.outcome == KS_REFUSE || late)
			found(s, 1, i);
	}
	return 0;
}

/* One line a property. */
static const struct checker {
	int (*search)(struct search *s, struct ks_err *err);
	bool of_keys;     /* nothing to judge without keys */
	bool needs_times; /* of calls */
} checkers[KS_NPROPERTIES] = {
	[KS_UNIQUE] = {search_unique, true, false},     [KS_INCREASING] = {search_order, true, true},
	[KS_SORTED] = {search_order, true, false},      [KS_CAUSAL] = {search_causal, true, false},
	[KS_CLOCK_WITHIN] = {search_clock, true, true}, [KS_AVAILABLE] = {search_available, false, true},
};

/* ---- exposure ---- */

static int count_exposed(const struct search *s, struct ks_counts *c, struct ks_err *err)
{
	const struct ks_evidence *e = s->e;
	const struct ks_records *r = e->records;
	int64_t lo, hi;
	uint64_t *before = ks_alloc(s->g->n, sizeof *before); /* returned calls of the group so far */
	if (!before)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for %u groups", s->g->n);
	*c = (struct ks_counts){.calls = r->n};
	for (size_t i = 0; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		bool cause = has_cause(e, s->g, i);
		bool counts = s->j->claim.property == KS_CAUSAL ? cause && (ks_exposed(e, i) || ks_exposed(e, v.parent))
								: ks_exposed(e, i);
		uint64_t *n = &before[s->g->of_lane[v.lane]];
		c->keys += v.outcome == KS_KEY;
		c->exposed_keys += v.outcome == KS_KEY && ks_exposed(e, i);
		c->with_cause += cause;
		c->with_time += s->j->claim.property == KS_CLOCK_WITHIN && ks_embedded(e, &v, &lo, &hi);
		c->times_unknown = c->times_unknown || (v.flags & KS_CALL_UNKNOWN);
		s->j->exposed += counts;
		if (v.outcome == KS_LOST)
			continue;
		s->j->exposed_pairs += counts ? *n : 0;
		(*n)++;
	}
	ks_free(before);
	return 0;
}

/* ---- verdicts ---- */

/* Which clocks the plan's faults move. */
static unsigned moved_clocks(const struct ks_plan *plan)
{
	const unsigned wall = 1u << KS_REALTIME | 1u << KS_TAI, all = (1u << KS_NCLOCKS) - 1;
	unsigned mask = 0;
	for (uint32_t i = 0; i < plan->nodes; i++)
		if (plan->node[i].clock.keeper.kind != KS_KEEPER_NONE)
			mask |= all & ~(1u << KS_RAW);
	for (size_t i = 0; i < plan->faults; i++)
		switch (plan->fault[i].kind->op) {
		case KS_FAULT_STEP:
		case KS_FAULT_STROBE:
		case KS_FAULT_JITTER:
		case KS_FAULT_RTC:
			mask |= wall;
			break;
		case KS_FAULT_ARM_LEAP:
			mask |= 1u << KS_REALTIME;
			break;
		case KS_FAULT_SLEW:
		case KS_FAULT_SMEAR:
			mask |= all & ~(1u << KS_RAW);
			break;
		case KS_FAULT_FREEZE:
			mask |= (unsigned)plan->fault[i].amount;
			break;
		case KS_FAULT_RESTART:
			mask |= plan->fault[i].amount ? all : 0;
			break;
		case KS_FAULT_PAUSE:
		case KS_FAULT_STOP_WORLD:
		case KS_FAULT_SNAPSHOT:
		case KS_FAULT_SOURCE: /* the keeper does */
		case KS_FAULT_CUT_OFF:
			break;
		default:
			mask |= all;
		}
	return mask;
}

/* Why no call met a fault. */
static void explain_unexposed(const struct ks_evidence *e, char *why, size_t size)
{
	const struct ks_gen *gen = e->gen->gen;
	unsigned clocks = gen && gen->clocks ? gen->clocks(e->gen->cfg) : ~0u;
	const struct ks_foreign *foreign = e->gen->foreign;
	if (foreign && foreign->speaks == KS_SPEAKS_LINES)
		snprintf(why, size, "the program printed no key while a fault was on");
	else if (!gen && !e->records->clock_reads)
		snprintf(why, size, "the program asked for no clock, and no fault stopped it");
	else if (!clocks)
		snprintf(why, size, "%s reads no clock", gen->name);
	else if (!(clocks & moved_clocks(e->plan)))
		snprintf(why, size, "%s reads no clock that the faults move", gen->name);
	else
		snprintf(why, size, "no call met a fault");
}

/* @return whether the property could not be tested, with the reason. */
static bool is_untested(const struct ks_evidence *e, const struct checker *checker, const struct ks_counts *c,
			struct ks_judgement *j)
{
	const char *why = NULL;
	if (!c->calls)
		why = "there was no call";
	else if (checker->of_keys && !c->keys)
		why = "no key was issued";
	else if (checker->needs_times && c->times_unknown)
		why = "the times of the calls are not known";
	else if (j->claim.property == KS_CLOCK_WITHIN && !c->with_time)
		why = "its keys carry no time";
	else if (j->claim.property == KS_CAUSAL && !c->with_cause)
		why = "no key has a cause";
	else if (j->exposed)
		return false;
	if (why)
		snprintf(j->reason, sizeof j->reason, "%s", why);
	else
		explain_unexposed(e, j->reason, sizeof j->reason);
	return true;
}

static double six_digits(double v)
{
	char text[32];
	snprintf(text, sizeof text, "%.6g", v);
	return strtod(text, NULL);
}

void ks_decide(const struct ks_evidence *e, const struct ks_counts *c, struct ks_judgement *j)
{
	const struct ks_gen *gen = e->gen->gen;
	if (j->count)
		j->verdict = KS_BROKEN;
	else if (is_untested(e, &checkers[j->claim.property], c, j))
		j->verdict = KS_UNTESTED;
	else
		j->verdict = KS_KEPT;
	if (j->verdict == KS_KEPT && j->claim.property == KS_UNIQUE && gen && gen->probabilistic && c->exposed_keys)
		j->bound = six_digits(-expm1(log(0.05) / (double)c->exposed_keys));
}

int ks_judge(const struct ks_evidence *e, struct ks_claim_ref claim, struct ks_judgement *j, struct ks_err *err)
{
	struct ks_groups groups;
	struct search s = {e, &groups, claim.bound_ns, j};
	struct ks_counts c = {0};
	*j = (struct ks_judgement){.claim = claim, .witness = {-1, -1}};
	ks_claim_format(j->text, claim);
	int failed = ks_groups_init(&groups, e->records, claim.scope, err);
	if (!failed)
		failed = checkers[claim.property].search(&s, err);
	if (!failed)
		failed = count_exposed(&s, &c, err);
	if (!failed)
		ks_decide(e, &c, j);
	ks_groups_release(&groups);
	return failed;
}
