/* nested-map: a cache in a process's memory, a map of maps (field report, F5).
 *
 * The outer key is the user of the call, the inner one the issued key. A call puts its entry there when the key returns; a
 * second entry under the same two keys replaces the first, which is lost. Every process has a map of its own, and a
 * restarted one begins with an empty map. */
#include "ks_consumer.h"

enum { LOST_ENTRIES, LOST_OTHER_THREAD };

static const struct ks_opt opts[] = {{0}};
static const struct ks_damage damages[] = {
	{"lost_entries", "entries that a later one replaced"},
	{"lost_other_thread", "of them: replaced by another thread"},
	{0},
};

struct map {
	const struct ks_evidence *e;
	struct ks_toll *toll;
};

static struct ks_home inner_map(const struct ks_evidence *e, size_t row)
{
	const struct ks_lane *l = ks_row_lane(e, row);
	return (struct ks_home){(uint64_t)l->node << 48 | (uint64_t)l->process << 32 | l->incarnation,
				(uint64_t)ks_row_context(e, row).user};
}

static void one_entry(void *context, const uint32_t *row, size_t n)
{
	const struct map *m = context;
	for (size_t i = 1; i < n; i++) {
		ks_harm(m->toll, LOST_ENTRIES, row[i], row[i - 1], 1);
		if (ks_row_lane(m->e, row[i - 1])->thread != ks_row_lane(m->e, row[i])->thread)
			ks_harm(m->toll, LOST_OTHER_THREAD, row[i], row[i - 1], 1);
	}
}

static int consume(const void *cfg, const struct ks_evidence *e, struct ks_toll *toll, struct ks_err *err)
{
	struct map m = {e, toll};
	(void)cfg;
	return ks_by_key(e, inner_map, one_entry, &m, err);
}

extern const struct ks_consumer ks_consumer_nested_map;
const struct ks_consumer ks_consumer_nested_map = {
	.name = "nested-map",
	.title = "a cache of each process, user over key: entries that replace each other",
	.opts = opts,
	.damages = damages,
	.consume = consume,
};
