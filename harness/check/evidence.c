#include <stdlib.h>
#include <string.h>

#include "foreign.h"
#include "exposure.h"
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

static enum ks_collation collation_of(const struct ks_gen_spec *gen)
{
	return !gen->gen && gen->foreign ? gen->foreign->collation : KS_BY_FORM;
}

/* The forms that are compared, where a generator file says how. *arena: the caller's. */
static int normalise(const struct ks_evidence *e, struct text *text, size_t n, char **arena, struct ks_err *err)
{
	size_t need = 0, used = 0;
	for (size_t i = 0; i < n; i++)
		need += text[i].len > KS_NORMAL_MIN ? text[i].len : KS_NORMAL_MIN;
	*arena = ks_alloc(need + 1, 1);
	if (!*arena)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the order of %zu keys", n);
	for (size_t i = 0; i < n; i++) {
		int len = ks_foreign_normal(e->gen->foreign, text[i].s, text[i].len, *arena + used);
		if (len < 0)
			return ks_fail(err, KS_E_JUDGE, "key '%.*s' is no %s, as 'compare' has it",
			               (int)(text[i].len < 100 ? text[i].len : 100), text[i].s,
			               collation_of(e->gen) == KS_BY_NUMBER ? "decimal number" : "number of the layout");
		text[i].s = *arena + used;
		text[i].len = (size_t)len;
		used += (size_t)len;
	}
	return 0;
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

static int find_exposed(struct ks_evidence *e, struct ks_err *err)
{
	const struct ks_records *r = e->records;
	struct ks_exposure x;
	int failed = ks_exposure_init(&x, e, err);
	for (size_t i = 0; !failed && i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		failed = ks_exposure_learn(&x, r->lanes, &v, err);
	}
	for (size_t i = 0; !failed && i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		bool exposed = ks_exposure_judge(&x, r->lanes, &v);
		ks_record_mark(e->records, i, exposed);
		e->nexposed += exposed;
	}
	ks_exposure_release(&x);
	return failed;
}

void ks_evidence_ticks(struct ks_evidence *e)
{
	const struct ks_gen *gen = e->gen->gen;
	e->tick = (struct ks_tick_field){0};
	if (!gen || !gen->ticks || !gen->ticks(e->gen->cfg, &e->tick) || e->plan->start_unix_ns < 0)
		e->tick.tick_ns = 0;
	else
		e->tick_max = (uint64_t)((INT64_MAX - e->tick.epoch_unix_ns) / e->tick.tick_ns) - 2;
}

int ks_evidence_init(struct ks_evidence *e, struct ks_err *err)
{
	size_t n = e->records->n;
	if (n >= UINT32_MAX)
		return ks_fail(err, KS_E_INTERNAL, "%zu records, more than can be judged", n);
	e->order = NULL;
	ks_evidence_ticks(e);
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

bool ks_embedded_slow(const struct ks_evidence *e, const struct ks_record *r, int64_t *lo_ns, int64_t *hi_ns)
{
	struct ks_fields f;
	if (r->outcome != KS_KEY || !ks_gen_decode(e->gen, &e->records->texts, r->key, &f))
		return false;
	*lo_ns = clamp((__int128)f.embed_lo_unix_ns - e->plan->start_unix_ns);
	*hi_ns = clamp((__int128)f.embed_hi_unix_ns - e->plan->start_unix_ns);
	return f.has_time;
}
