#include "ks_area.h"

#include <string.h>

#include "ks_engine.h"

#define PAGE 4096
#define THREADS_MAX 4096

static size_t pages(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

static size_t lay_out(struct ks_area *a, char *at, const struct ks_area_size *size)
{
	size_t head = pages(sizeof(*a->head)), lane = pages(size->threads * sizeof(*a->lane));
	size_t hold = pages(KS_AREA_HOLDS * sizeof(*a->hold)), probe = pages(size->probes * sizeof(*a->probe));
	size_t text = pages(size->threads * size->texts), parts = head + lane + hold + probe;

	a->head = (void *)at;
	a->lane = (void *)(at + head);
	a->hold = (void *)(at + head + lane);
	a->probe = (void *)(at + head + lane + hold);
	a->text = at + parts;
	a->record = (void *)(at + parts + text);
	a->bytes = parts + text + pages(size->threads * size->records * sizeof(*a->record));
	return a->bytes;
}

size_t ks_area_bytes(const struct ks_area_size *size)
{
	struct ks_area a;

	if (!size->threads || size->threads > THREADS_MAX || !size->records || size->records > UINT32_MAX ||
	    size->probes > UINT32_MAX || size->texts > (uint64_t)UINT32_MAX * KS_AREA_TEXT)
		return 0;
	return lay_out(&a, NULL, size);
}

void ks_area_init(struct ks_area *area, void *memory, const struct ks_area_size *size)
{
	lay_out(area, memory, size);
	area->head->size = *size;
	area->head->magic = KS_AREA_MAGIC;
}

bool ks_area_bind(struct ks_area *area, void *memory, size_t bytes)
{
	const struct ks_area_head *h = memory;
	struct ks_area_size size;

	if (bytes < PAGE || h->magic != KS_AREA_MAGIC)
		return false;
	size = h->size;
	if (ks_area_bytes(&size) != bytes)
		return false;
	lay_out(area, memory, &size);
	return true;
}

size_t ks_area_close(struct ks_area_lane *lane, bool *inside)
{
	uint64_t now = atomic_load(&lane->state);

	while (!atomic_compare_exchange_weak(&lane->state, &now, now / 4 * 4 + KS_LANE_CLOSED))
		;
	*inside = now % 4 == KS_LANE_INSIDE;
	return (size_t)(now / 4);
}

void ks_area_lost(const struct ks_area_lane *lane, uint32_t thread, size_t n, struct ks_wire_record *record)
{
	*record = (struct ks_wire_record){.due_ns = lane->due_ns,
					  .call_ns = lane->call_ns,
					  .return_ns = KS_NO_TIME,
					  .read_ns = KS_NO_TIME,
					  .read_at_ns = KS_NO_TIME,
					  .thread = thread,
					  .seq = (uint32_t)n,
					  .outcome = KS_LOST};
}

int64_t ks_area_texts(const struct ks_area *area, uint32_t lane, size_t first, size_t k, unsigned char *frame)
{
	const struct ks_wire_record *r = &area->record[lane * area->head->size.records + first];
	const char *text = area->text + lane * area->head->size.texts;
	uint64_t room = area->head->size.texts;
	int64_t used = 0;

	for (size_t i = 0; i < k; i++) {
		uint64_t at = r[i].key_lo;
		uint16_t len;
		if (r[i].outcome != KS_KEY)
			continue;
		if (at + sizeof(len) < at || at + sizeof(len) > room)
			return -1;
		memcpy(&len, text + at, sizeof(len));
		if (len >= KS_KEY_TEXT || at + sizeof(len) + len > room)
			return -1;
		memcpy(frame + used, text + at, sizeof(len) + len);
		used += (int64_t)sizeof(len) + len;
	}
	return used;
}

struct ks_area_size ks_area_size(const struct ks_wire_config *c, bool texts)
{
	long double due = (long double)c->duration_ns * (long double)c->rate_count / (long double)c->rate_per_ns /
			  c->lanes_of_node;
	long double need = due + 1024;

	if (c->arrival != KS_ARRIVAL_REGULAR) /* by chance, or ten at once */
		need += due < 1e6L ? due : 1e6L;
	if (c->on_refuse == KS_REFUSE_RETRY)
		need += (long double)(c->duration_ns / KS_RETRY_AFTER_NS);
	uint64_t records = need < (long double)UINT32_MAX ? (uint64_t)need : UINT32_MAX;
	return (struct ks_area_size){
	    .threads = c->threads, .records = records, .texts = texts ? records * KS_AREA_TEXT : 0};
}
