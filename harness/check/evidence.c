#include <stdlib.h>
#include <string.h>

#include "foreign.h"
#include "ks_check.h"
#include "ks_mem.h"
#include "lives.h"

/* ---- the order of keys that are texts ---- */

struct text {
	const char *s;
	size_t len, row;
};

/* Decimal, and only one way to write it: so equal numbers are equal texts. */
static bool is_decimal(const char *s, size_t len)
{
	if (!len || (s[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return true;
}

static int text_cmp(const void *pa, const void *pb, void *compare)
{
	const struct text *a = pa, *b = pb;
	if (*(const enum ks_compare *)compare == KS_COMPARE_NUMERIC && a->len != b->len)
		return a->len < b->len ? -1 : 1;
	int c = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
	return c ? c : (a->len > b->len) - (a->len < b->len);
}

static size_t collect(struct text *text, const struct ks_records *r, enum ks_compare *compare)
{
	size_t n = 0;
	*compare = KS_COMPARE_NUMERIC;
	for (size_t i = 0; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		if (v.outcome != KS_KEY || v.key.lo >= r->texts.n)
			continue;
		struct text *t = &text[n++];
		t->row = i;
		t->s = ks_texts_get(&r->texts, v.key.lo, &t->len);
		if (!is_decimal(t->s, t->len))
			*compare = KS_COMPARE_BYTES;
	}
	return n;
}

/* The forms that are compared, where a generator file says how. *arena: the caller's. */
static int normalise(const struct ks_evidence *e, struct text *text, size_t n, char **arena, struct ks_err *err)
{
	size_t need = 0, used = 0;
	for (size_t i = 0; i < n; i++)
		need += text[i].len;
	*arena = ks_alloc(need + 1, 1);
	if (!*arena)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the order of %zu keys", n);
	for (size_t i = 0; i < n; i++) {
		int len = ks_foreign_normal(e->gen->foreign->collation, text[i].s, text[i].len, *arena + used);
		if (len < 0)
			return ks_fail(err, KS_E_JUDGE, "key '%.*s' is no decimal number, as 'compare: numeric' has it",
			               (int)(text[i].len < 100 ? text[i].len : 100), text[i].s);
		text[i].s = *arena + used;
		text[i].len = (size_t)len;
		used += (size_t)len;
	}
	return 0;
}

static enum ks_collation collation_of(const struct ks_gen_spec *gen)
{
	return !gen->gen && gen->foreign ? gen->foreign->collation : KS_BY_FORM;
}

static int rank_texts(struct ks_evidence *e, struct ks_err *err)
{
	struct text *text = ks_alloc(e->records->n, sizeof *text);
	e->order = ks_alloc(e->records->n, sizeof *e->order);
	if (!text || !e->order) {
		ks_free(text);
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the order of %zu keys", e->records->n);
	}
	size_t n = collect(text, e->records, &e->compare);
	if (e->gen->gen)
		e->compare = ks_gen_compare(e->gen);
	char *arena = NULL;
	if (collation_of(e->gen) != KS_BY_FORM) {
		e->compare = collation_of(e->gen) == KS_BY_NUMBER ? KS_COMPARE_NUMERIC : KS_COMPARE_BYTES;
		if (normalise(e, text, n, &arena, err)) {
			ks_free(arena);
			ks_free(text);
			return -1;
		}
	}
	qsort_r(text, n, sizeof *text, text_cmp, &e->compare);
	uint64_t rank = 0;
	for (size_t i = 0; i < n; i++) {
		rank += i && text_cmp(&text[i - 1], &text[i], &e->compare);
		e->order[text[i].row] = ks_key64(rank);
	}
	ks_free(arena);
	ks_free(text);
	return 0;
}

static int find_order(struct ks_evidence *e, struct ks_err *err)
{
	if (ks_gen_issues_texts(e->gen))
		return rank_texts(e, err);
	e->compare = ks_gen_compare(e->gen);
	return 0;
}

/* ---- exposure ---- */

/* The faults cut the time of each node into spans; span 0 ends at its first fault. */
struct spans {
	uint32_t *start; /* nodes + 1: node i has the faults at_ns[start[i]] .. at_ns[start[i + 1] - 1], by time */
	int64_t *at_ns;
	int64_t *latest_ns; /* a span and clock each: the latest reading in it; then: the latest before it */
};

static void spans_release(struct spans *s)
{
	ks_free(s->start);
	ks_free(s->at_ns);
	ks_free(s->latest_ns);
}

/* A node has one span more than faults. */
static size_t slot(const struct spans *s, uint32_t node, uint32_t span, int clock)
{
	return (((size_t)s->start[node] + node) + span) * KS_NCLOCKS + (size_t)clock;
}

/* The changes of clocks: as the world saw them, else as the plan has them. *owned: to be freed. */
static int find_changes(const struct ks_evidence *e, const struct ks_clock_change **change, size_t *n,
			struct ks_clock_change **owned, struct ks_err *err)
{
	struct ks_fault_event *events = NULL;
	uint32_t nevents = 0;
	*owned = NULL;
	*change = e->change;
	*n = e->nchange;
	if (e->change)
		return 0;
	if (ks_plan_events_real(e->plan, e->seed, &events, &nevents, err))
		return -1;
	*change = *owned = ks_alloc(nevents ? nevents : 1, sizeof **owned);
	*n = nevents;
	for (uint32_t i = 0; *owned && i < nevents; i++)
		(*owned)[i] = (struct ks_clock_change){.at_ns = events[i].at_ns, .node = events[i].node};
	ks_free(events);
	return *owned ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory for %u faults", nevents);
}

static int spans_init(struct spans *s, const struct ks_evidence *e, struct ks_err *err)
{
	const struct ks_plan *plan = e->plan;
	const struct ks_clock_change *change;
	struct ks_clock_change *owned;
	size_t n = 0;
	*s = (struct spans){0};
	if (find_changes(e, &change, &n, &owned, err))
		return -1;
	size_t slots = (n + plan->nodes) * KS_NCLOCKS;
	s->start = ks_alloc((size_t)plan->nodes + 2, sizeof *s->start);
	s->at_ns = ks_alloc(n, sizeof *s->at_ns);
	s->latest_ns = ks_alloc(slots, sizeof *s->latest_ns);
	if (!s->start || !s->at_ns || !s->latest_ns) {
		ks_free(owned);
		return ks_fail(err, KS_E_INTERNAL, "out of memory for %zu changes of clocks", n);
	}
	for (size_t i = 0; i < n; i++)
		s->start[change[i].node + 2]++;
	for (uint32_t i = 2; i <= plan->nodes; i++)
		s->start[i] += s->start[i - 1];
	for (size_t i = 0; i < n; i++)
		s->at_ns[s->start[change[i].node + 1]++] = change[i].at_ns;
	for (size_t i = 0; i < slots; i++)
		s->latest_ns[i] = INT64_MIN;
	ks_free(owned);
	return 0;
}

static uint32_t span_of(const struct spans *s, uint32_t node, int64_t t_ns)
{
	uint32_t low = s->start[node], high = s->start[node + 1];
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (s->at_ns[mid] <= t_ns)
			low = mid + 1;
		else
			high = mid;
	}
	return low - s->start[node];
}

static void find_latest(struct spans *s, const struct ks_plan *plan, const struct ks_records *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		if (v.read_ns == KS_NO_TIME)
			continue;
		uint32_t node = r->lanes[v.lane].node;
		int64_t *at = &s->latest_ns[slot(s, node, span_of(s, node, v.read_at_ns), v.clock)];
		*at = v.read_ns > *at ? v.read_ns : *at;
	}
	for (uint32_t node = 0; node < plan->nodes; node++)
		for (int clock = 0; clock < KS_NCLOCKS; clock++) {
			int64_t before = INT64_MIN;
			for (uint32_t span = 0; span <= s->start[node + 1] - s->start[node]; span++) {
				int64_t *at = &s->latest_ns[slot(s, node, span, clock)], own = *at;
				*at = before;
				before = own > before ? own : before;
			}
		}
}

/* What a thread read before. */
struct previous {
	int64_t error_ns; /* reading - true time */
	uint8_t clock, known;
};

/* Has the clock moved by other than true time since? */
static bool has_moved(struct previous *p, const struct ks_record *v, int64_t noise_ns)
{
	int64_t error_ns = v->read_ns - v->read_at_ns;
	int64_t by_ns = p->known && p->clock == v->clock ? error_ns - p->error_ns : 0;
	*p = (struct previous){error_ns, v->clock, 1};
	return by_ns > noise_ns || by_ns < -noise_ns;
}

/* Was the thread stopped while the call was due or going on? */
static bool was_stopped(const struct ks_evidence *e, const struct ks_record *v)
{
	const struct ks_lane *lane = &e->records->lanes[v->lane];
	for (size_t i = 0; i < e->plan->faults; i++) {
		const struct ks_fault *f = &e->plan->fault[i];
		int op = f->kind->op;
		if (op != KS_FAULT_PAUSE && op != KS_FAULT_STOP_WORLD && op != KS_FAULT_SUSPEND && op != KS_FAULT_RESTART)
			continue;
		if ((f->process != KS_ANY && f->process != lane->process) || (f->thread != KS_ANY && f->thread != lane->thread))
			continue;
		if (v->flags & KS_CALL_UNKNOWN || v->due_ns >= f->at_ns + f->for_ns ||
		    (v->return_ns != KS_NO_TIME && v->return_ns <= f->at_ns))
			continue;
		for (uint32_t k = 0; k < f->nnodes; k++)
			if (f->nodes[k] == lane->node)
				return true;
	}
	return false;
}

/* Did the clocks of its machine's cores differ when it read one? */
static bool read_a_core(const struct ks_evidence *e, const struct ks_record *v)
{
	uint32_t node = e->records->lanes[v->lane].node;
	for (size_t i = 0; i < e->plan->faults; i++) {
		const struct ks_fault *f = &e->plan->fault[i];
		if (f->kind->op != KS_FAULT_CORES || v->read_at_ns < f->at_ns || (f->for_ns && v->read_at_ns >= f->at_ns + f->for_ns))
			continue;
		for (uint32_t k = 0; k < f->nnodes; k++)
			if (f->nodes[k] == node)
				return true;
	}
	return false;
}

static bool is_exposed(const struct ks_evidence *e, const struct spans *s, struct ks_lives *lives, struct previous *p,
		       const struct ks_record *v)
{
	uint32_t node = e->records->lanes[v->lane].node;
	bool lived = ks_lives_met(lives, v); /* asked of every call, in their order */
	if (lived || was_stopped(e, v)) {
		if (v->read_ns != KS_NO_TIME)
			has_moved(p, v, e->noise_ns);
		return true;
	}
	if (v->read_ns != KS_NO_TIME) {
		bool moved = has_moved(p, v, e->noise_ns);
		uint32_t span = span_of(s, node, v->read_at_ns);
		return moved || read_a_core(e, v) || v->read_ns <= s->latest_ns[slot(s, node, span, v->clock)];
	}
	return v->flags & KS_CALL_UNKNOWN && v->return_ns != KS_NO_TIME && span_of(s, node, v->return_ns) > 0;
}

static int find_exposed(struct ks_evidence *e, struct ks_err *err)
{
	const struct ks_records *r = e->records;
	struct spans spans;
	struct ks_lives lives;
	if (ks_lives_init(&lives, e, err))
		return -1;
	struct previous *previous = ks_alloc(r->nlanes, sizeof *previous);
	int failed = previous ? spans_init(&spans, e, err) : ks_fail(err, KS_E_INTERNAL, "out of memory");
	if (!failed) {
		find_latest(&spans, e->plan, r);
		for (size_t i = 0; i < r->n; i++) { /* in fleet order, so each lane's calls come in their own order */
			struct ks_record v = ks_record_get(r, i);
			bool exposed = is_exposed(e, &spans, &lives, &previous[v.lane], &v);
			ks_record_mark(e->records, i, exposed);
			e->nexposed += exposed;
		}
	}
	if (previous)
		spans_release(&spans);
	ks_free(previous);
	ks_lives_release(&lives);
	return failed;
}

int ks_evidence_init(struct ks_evidence *e, struct ks_err *err)
{
	size_t n = e->records->n;
	if (n >= UINT32_MAX)
		return ks_fail(err, KS_E_INTERNAL, "%zu records, more than can be judged", n);
	e->order = NULL;
	e->all_exposed = e->control || !e->plan->faults;
	e->nexposed = e->all_exposed ? n : 0;
	int failed = find_order(e, err);
	if (!failed && !e->all_exposed)
		failed = find_exposed(e, err);
	if (failed)
		ks_evidence_release(e);
	return failed;
}

void ks_evidence_release(struct ks_evidence *e)
{
	ks_free(e->order);
	e->order = NULL;
	e->nexposed = 0;
}

/* ---- what a key says ---- */

static int64_t clamp(__int128 v)
{
	return v > INT64_MAX ? INT64_MAX : v <= INT64_MIN ? INT64_MIN + 1 : (int64_t)v;
}

bool ks_embedded(const struct ks_evidence *e, const struct ks_record *r, int64_t *lo_ns, int64_t *hi_ns)
{
	struct ks_fields f;
	if (r->outcome != KS_KEY || !ks_gen_decode(e->gen, &e->records->texts, r->key, &f))
		return false;
	*lo_ns = clamp((__int128)f.embed_lo_unix_ns - e->plan->start_unix_ns);
	*hi_ns = clamp((__int128)f.embed_hi_unix_ns - e->plan->start_unix_ns);
	return f.has_time;
}
