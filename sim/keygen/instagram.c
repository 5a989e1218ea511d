/* instagram: 41 bits of ms since 2011, 13 of shard, 10 of a database sequence modulo 1024 (Instagram Engineering 2012). Looks at nothing:
 * 1024 ids of one ms later the first comes again, and a ms that is lived twice repeats an id when the sequence has come round.
 *
 * The sequence is the database's, so it outlives the process; as PostgreSQL does, its state on disk is 32 values ahead, which a
 * restart skips. */
#include "parts.h"

#define EPOCH_MS INT64_C(1314220021721)
#define SEQ_BITS 10
#define SHARD_BITS 13
#define SEQ_LOG_VALUES 32
#define SLOT 0

struct shared {
	ks_lock lock;
	ks_word next, logged; /* of the sequence; what is on disk */
	uint64_t shard;       /* set once, before the first call */
};

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "Instagram Engineering 2012: 1024 ids per shard and ms"};
	return 1;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	uint64_t logged;
	(void)cfg;
	uint64_t worker = env_identity(env, KS_ID_WORKER);
	s->shard = worker & ((1u << SHARD_BITS) - 1);
	if (env_persist_get(env, SLOT, &logged)) {
		env_store(env, &s->next, logged);
		env_store(env, &s->logged, logged);
	}
}

static uint64_t next_value(struct ks_env *env, struct shared *s)
{
	env_lock(env, &s->lock);
	uint64_t n = env_load(env, &s->next);
	uint64_t logged = env_load(env, &s->logged);
	if (n >= logged) {
		logged = n + SEQ_LOG_VALUES;
		env_persist_put(env, SLOT, logged);
		env_store(env, &s->logged, logged);
	}
	env_store(env, &s->next, n + 1);
	env_unlock(env, &s->lock);
	return n + 1;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	uint64_t n = next_value(env, s);
	int64_t ms = ks_wall_ms(env);
	*why = 0;
	if (ms < EPOCH_MS || (ms - EPOCH_MS) >> 41)
		return KS_REFUSE;
	*key = ks_key64((uint64_t)(ms - EPOCH_MS) << (SHARD_BITS + SEQ_BITS) | s->shard << SEQ_BITS | (n & ((1u << SEQ_BITS) - 1)));
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, EPOCH_MS * NS_PER_MS, key.lo >> (SHARD_BITS + SEQ_BITS), NS_PER_MS);
	ks_field(f, "ms", key.lo >> (SHARD_BITS + SEQ_BITS));
	ks_field(f, "shard", key.lo >> SEQ_BITS & ((1u << SHARD_BITS) - 1));
	ks_field(f, "seq", key.lo & ((1u << SEQ_BITS) - 1));
}

const struct ks_gen KS_GEN(instagram) = {
	.name = "instagram",
	.title = "41 bits of ms, shard, database sequence modulo 1024",
	.layout = "decimal: 41 ms since 2011-08-24, 13 shard, 10 sequence",
	.source = "Instagram Engineering, Sharding & IDs, 2012",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the time does not fit 41 bits of ms since 2011"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init,
	.next = next,
	.decode = decode,
	.format = ks_print_decimal,
	.parse = ks_parse_decimal,
};
