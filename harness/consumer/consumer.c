#include "ks_consumer.h"

#include <stdlib.h>
#include <string.h>

#include "ks_mem.h"

/* One line a consumer. */
#define KS_CONSUMERS(X)                                                                                                \
	X(payment_gateway) X(key_value_store) X(lww_replica) X(shard_table) X(nested_map) X(trace_collector) X(publish_order)

#define X(name) extern const struct ks_consumer ks_consumer_##name;
KS_CONSUMERS(X)
#undef X
#define X(name) &ks_consumer_##name,
const struct ks_consumer *const ks_consumers[] = {KS_CONSUMERS(X) NULL};
#undef X

const struct ks_consumer *ks_consumer_find(const char *name)
{
	for (const struct ks_consumer *const *c = ks_consumers; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}

bool ks_damage_is_max(const char *name)
{
	size_t len = strlen(name);
	return len > 4 && !strcmp(name + len - 4, "_max");
}

bool ks_damage_is_time(const char *name)
{
	return strstr(name, "_ns_") != NULL;
}

/* ---- the toll ---- */

void ks_harm(struct ks_toll *toll, int damage, size_t row, size_t victim, int64_t amount)
{
	if (toll->n == toll->cap) {
		size_t cap = toll->cap ? 2 * toll->cap : 64;
		struct ks_harm *v = ks_grow(toll->v, toll->cap, cap, sizeof *v);
		toll->lost |= !v;
		if (!v)
			return;
		toll->v = v;
		toll->cap = cap;
	}
	toll->v[toll->n++] = (struct ks_harm){(uint32_t)row, (uint32_t)victim, (uint8_t)damage, amount};
}

void ks_toll_release(struct ks_toll *toll)
{
	ks_free(toll->v);
	*toll = (struct ks_toll){0};
}

static int by_row(const void *pa, const void *pb)
{
	const struct ks_harm *a = pa, *b = pb;
	if (a->row != b->row)
		return a->row < b->row ? -1 : 1;
	if (a->damage != b->damage)
		return a->damage < b->damage ? -1 : 1;
	if (a->victim != b->victim)
		return a->victim < b->victim ? -1 : 1;
	return (a->amount > b->amount) - (a->amount < b->amount);
}

int ks_consume(const struct ks_consumer *consumer, const void *cfg, const struct ks_evidence *e, struct ks_toll *toll,
	       struct ks_err *err)
{
	*toll = (struct ks_toll){0};
	if (consumer->consume(cfg, e, toll, err))
		return -1;
	if (toll->lost)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the damage of %s", consumer->name);
	if (toll->n)
		qsort(toll->v, toll->n, sizeof *toll->v, by_row);
	for (size_t i = 0; i < toll->n; i++) {
		const struct ks_harm *h = &toll->v[i];
		int64_t *value = &toll->value[h->damage];
		if (!ks_damage_is_max(consumer->damages[h->damage].name))
			*value += h->amount;
		else if (h->amount > *value)
			*value = h->amount;
	}
	return 0;
}

/* ---- rows ---- */

const struct ks_lane *ks_row_lane(const struct ks_evidence *e, size_t row)
{
	return &e->records->lanes[ks_record_get(e->records, row).lane];
}

int64_t ks_row_return(const struct ks_evidence *e, size_t row)
{
	return ks_record_get(e->records, row).return_ns;
}

struct ks_call_context ks_row_context(const struct ks_evidence *e, size_t row)
{
	return ks_context(e->plan, e->seed, ks_row_lane(e, row), ks_record_get(e->records, row).seq);
}

struct place {
	struct ks_home home;
	struct ks_key key;
	uint32_t row;
};

static int by_place(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;
	if (a->home.where != b->home.where)
		return a->home.where < b->home.where ? -1 : 1;
	if (a->home.part != b->home.part)
		return a->home.part < b->home.part ? -1 : 1;
	int c = ks_key_cmp(a->key, b->key);
	return c ? c : (a->row > b->row) - (a->row < b->row);
}

static bool together(const struct place *a, const struct place *b)
{
	return a->home.where == b->home.where && a->home.part == b->home.part && ks_key_equal(a->key, b->key);
}

int ks_by_key(const struct ks_evidence *e, ks_home_fn *home,
	      void (*each)(void *context, const uint32_t *row, size_t n), void *context, struct ks_err *err)
{
	struct place *place = ks_alloc(e->records->n, sizeof *place);
	uint32_t *row = ks_alloc(e->records->n, sizeof *row);
	size_t n = 0;
	for (size_t i = 0; place && row && i < e->records->n; i++)
		if (ks_record_get(e->records, i).outcome == KS_KEY)
			place[n++] = (struct place){home ? home(e, i) : (struct ks_home){0, 0}, ks_order(e, i), (uint32_t)i};
	if (n)
		qsort(place, n, sizeof *place, by_place);
	for (size_t i = 0; i < n; i++)
		row[i] = place[i].row;
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && together(&place[i], &place[end]);)
			end++;
		each(context, &row[i], end - i);
	}
	int rc = place && row ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory for %zu keys", e->records->n);
	ks_free(place);
	ks_free(row);
	return rc;
}
