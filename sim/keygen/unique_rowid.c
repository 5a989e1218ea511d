/* unique-rowid: 48 bits of 10 us since 2015 and 15 of node, XORed (CockroachDB's unique_rowid()). A stamp is at least one more than the last of
 * the process, however far the clock is behind. */
#include "parts.h"

#define EPOCH_NS (INT64_C(1420070400) * NS_PER_S)
#define TICK_NS 10000
#define NODE_BITS 15

enum { TIME_OUT_OF_RANGE, NODE_ID_TOO_LARGE };

struct shared {
	ks_lock lock;
	ks_word last;
	uint64_t node; /* set once, before the first call */
};

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "CockroachDB documentation of unique_rowid()"};
	claim[1] = (struct ks_claim){"increasing@process", "CockroachDB: ordered by insert time, approximately"};
	return 2;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	s->node = env_identity(env, KS_ID_WORKER);
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	*why = NODE_ID_TOO_LARGE;
	if (s->node >> NODE_BITS)
		return KS_REFUSE;
	env_lock(env, &s->lock);
	int64_t now = env_clock(env, KS_REALTIME);
	uint64_t last = env_load(env, &s->last);
	bool fits = now >= EPOCH_NS;
	uint64_t stamp = fits ? (uint64_t)((now - EPOCH_NS) / TICK_NS) : 0;
	if (stamp <= last)
		stamp = last + 1;
	if (fits)
		env_store(env, &s->last, stamp);
	env_unlock(env, &s->lock);
	*why = TIME_OUT_OF_RANGE;
	if (!fits || stamp >> 48)
		return KS_REFUSE;
	*key = ks_key64(stamp << NODE_BITS ^ s->node);
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, EPOCH_NS, key.lo >> NODE_BITS, TICK_NS);
	ks_field(f, "stamp", key.lo >> NODE_BITS);
	ks_field(f, "node", key.lo & ((1u << NODE_BITS) - 1));
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	if (ks_parse_decimal(cfg, text, key))
		return -1;
	return key->lo > INT64_MAX ? -1 : 0;
}

const struct ks_gen KS_GEN(unique_rowid) = {
	.name = "unique-rowid",
	.title = "48 bits of 10 us, node",
	.layout = "decimal: 48 ticks of 10 us since 2015, 15 node",
	.source = "CockroachDB, unique_rowid()",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the time does not fit 48 bits of 10 us since 2015", "the node id does not fit its field"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init,
	.next = next,
	.decode = decode,
	.format = ks_print_decimal,
	.parse = parse,
};
