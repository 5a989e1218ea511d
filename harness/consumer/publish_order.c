/* publish-order: threads publish pairs of key and value, others read them in the order of publishing (field report, F7).
 *
 * A call publishes when its key returns. The value is made just before the key is asked for (`order: value-first`) or just
 * after it was returned (`key-first`); the key's time is the true time at which the generator read its clock. Program order
 * alone says which of the two is later. A pause between them only makes the gap longer; but what other threads publish
 * meanwhile has larger keys, so that the order of publishing and the order of keys part: `inverted`.
 *
 * Readers of one process see its publications only (a restarted process is another one). */
#include "ks_consumer.h"

#include "ks_mem.h"

enum { INVERTED, KEY_LATER, VALUE_LATER, GAP_NS_MAX };
enum { VALUE_FIRST, KEY_FIRST };

struct cfg {
	int64_t order;
};

static const char *const orders[] = {"value-first", "key-first", NULL};
static const struct ks_opt opts[] = {
	{"order", KS_OPT_WORD, offsetof(struct cfg, order), 0, 0, "value-first", "which of the pair the program makes first", orders, 0},
	{0},
};
static const struct ks_damage damages[] = {
	{"inverted", "pairs published after one of another thread with a larger key"},
	{"key_later", "pairs whose key's time is later than the value's"},
	{"value_later", "pairs whose value's time is later than the key's"},
	{"gap_ns_max", "the longest time between the two times of a pair"},
	{0},
};

/* Of a process: the largest key published so far, and the largest of all threads but the one that has it. */
struct shelf {
	struct ks_key key[2];
	uint32_t row[2], thread;
	bool used[2];
};

static void put(struct shelf *s, const struct ks_evidence *e, uint32_t row)
{
	struct ks_key key = ks_order(e, row);
	uint32_t thread = ks_row_lane(e, row)->thread;
	bool own = s->used[0] && s->thread == thread;
	if (!s->used[0] || ks_key_less(s->key[0], key)) {
		if (s->used[0] && !own) {
			s->key[1] = s->key[0];
			s->row[1] = s->row[0];
			s->used[1] = true;
		}
		s->key[0] = key;
		s->row[0] = row;
		s->thread = thread;
		s->used[0] = true;
	} else if (!own && (!s->used[1] || ks_key_less(s->key[1], key))) {
		s->key[1] = key;
		s->row[1] = row;
		s->used[1] = true;
	}
}

static void publish(struct shelf *s, const struct ks_evidence *e, uint32_t row, struct ks_toll *toll)
{
	int other = s->used[0] && s->thread == ks_row_lane(e, row)->thread;
	if (s->used[other] && ks_key_less(ks_order(e, row), s->key[other]))
		ks_harm(toll, INVERTED, row, s->row[other], 1);
	put(s, e, row);
}

static void compare(const struct cfg *cfg, const struct ks_record *r, size_t row, struct ks_toll *toll)
{
	int64_t gap_ns = cfg->order == VALUE_FIRST ? r->read_at_ns - r->call_ns : r->return_ns - r->read_at_ns;
	if (gap_ns <= 0)
		return;
	ks_harm(toll, cfg->order == VALUE_FIRST ? KEY_LATER : VALUE_LATER, row, KS_NO_PARENT, 1);
	ks_harm(toll, GAP_NS_MAX, row, KS_NO_PARENT, gap_ns);
}

/* Lanes of one process share a shelf. @return the number of shelves. */
static uint32_t number_shelves(const struct ks_records *r, uint32_t *of)
{
	uint32_t n = 0;
	for (size_t i = 0; i < r->nlanes; i++) {
		size_t k = 0; /* lanes of a process stand together in every world, so the search is short */
		for (k = i; k-- > 0;)
			if (r->lanes[k].node == r->lanes[i].node && r->lanes[k].process == r->lanes[i].process &&
			    r->lanes[k].incarnation == r->lanes[i].incarnation)
				break;
		of[i] = k < i ? of[k] : n++;
	}
	return n;
}

static bool knows_times(const struct ks_evidence *e)
{
	for (size_t i = 0; i < e->records->n; i++) {
		struct ks_record r = ks_record_get(e->records, i);
		if (r.outcome == KS_KEY && (r.read_ns == KS_NO_TIME || (r.flags & KS_CALL_UNKNOWN)))
			return false;
	}
	return true;
}

static int consume(const void *cfg, const struct ks_evidence *e, struct ks_toll *toll, struct ks_err *err)
{
	if (!knows_times(e)) {
		snprintf(toll->unknown, sizeof toll->unknown, "some calls read no clock that was seen, so their key has no time");
		return 0;
	}
	uint32_t *of = ks_alloc(e->records->nlanes, sizeof *of);
	struct shelf *shelf = of ? ks_alloc(number_shelves(e->records, of), sizeof *shelf) : NULL;
	int rc = shelf ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory for %zu threads", e->records->nlanes);
	for (size_t i = 0; !rc && i < e->records->n; i++) {
		struct ks_record r = ks_record_get(e->records, i);
		if (r.outcome != KS_KEY)
			continue;
		compare(cfg, &r, i, toll);
		publish(&shelf[of[r.lane]], e, (uint32_t)i, toll);
	}
	ks_free(shelf);
	ks_free(of);
	return rc;
}

extern const struct ks_consumer ks_consumer_publish_order;
const struct ks_consumer ks_consumer_publish_order = {
	.name = "publish-order",
	.title = "pairs of key and value published by threads: what others see in the wrong order",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.damages = damages,
	.consume = consume,
};
