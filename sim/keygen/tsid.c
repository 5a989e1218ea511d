/* tsid: 42 bits of ms since 2020, 10 of node, 12 of a counter that starts at random in every ms (f4b6a3/tsid-creator). While the clock
 * shows no later ms than the last one, that ms is kept, however far behind the clock is; a full counter carries into the ms. It
 * never waits and never refuses. */
#include "parts.h"

#define EPOCH_MS INT64_C(1577836800000)
#define COUNTER_BITS 12
#define NODE_BITS 10
#define COUNTER_MASK ((1u << COUNTER_BITS) - 1)
#define LETTERS 13

enum { TIME_OUT_OF_RANGE, NODE_ID_TOO_LARGE };

struct shared {
	ks_lock lock;
	ks_word last_ms; /* since the epoch */
	ks_word counter;
	uint64_t node;   /* set once, before the first call */
};

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "tsid-creator README: time-sorted unique identifiers"};
	claim[1] = (struct ks_claim){"increasing@process", "tsid-creator README: time-sorted"};
	return 2;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	s->node = env_identity(env, KS_ID_WORKER);
}

/* With the lock held. */
static uint64_t advance(struct ks_env *env, struct shared *s, uint64_t ms, uint64_t *counter)
{
	uint64_t last = env_load(env, &s->last_ms);
	if (ms > last) {
		uint64_t word = env_random(env);
		*counter = word & COUNTER_MASK;
	} else {
		*counter = env_load(env, &s->counter);
		*counter += 1;
		ms = last + (*counter >> COUNTER_BITS);
		*counter &= COUNTER_MASK;
	}
	env_store(env, &s->last_ms, ms);
	env_store(env, &s->counter, *counter);
	return ms;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	uint64_t counter = 0, stamp = 0;
	*why = NODE_ID_TOO_LARGE;
	if (s->node >> NODE_BITS)
		return KS_REFUSE;
	env_lock(env, &s->lock);
	int64_t ms = ks_wall_ms(env);
	if (ms >= EPOCH_MS)
		stamp = advance(env, s, (uint64_t)(ms - EPOCH_MS), &counter);
	env_unlock(env, &s->lock);
	*why = TIME_OUT_OF_RANGE;
	if (ms < EPOCH_MS || stamp >> 42)
		return KS_REFUSE;
	*key = ks_key64(stamp << 22 | s->node << COUNTER_BITS | counter);
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, EPOCH_MS * NS_PER_MS, key.lo >> 22, NS_PER_MS);
	ks_field(f, "ms", key.lo >> 22);
	ks_field(f, "node", key.lo >> COUNTER_BITS & ((1u << NODE_BITS) - 1));
	ks_field(f, "counter", key.lo & COUNTER_MASK);
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_digits(buf, LETTERS, key, ks_base32_crockford);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_digits(text, LETTERS, ks_base32_crockford, key) || key->hi ? -1 : 0;
}

const struct ks_gen KS_GEN(tsid) = {
	.name = "tsid",
	.title = "42 bits of ms, node, counter that starts at random",
	.layout = "13 letters of Crockford's base 32: 42 ms since 2020, 10 node, 12 counter",
	.source = "github.com/f4b6a3/tsid-creator",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.reasons = {"the time does not fit 42 bits of ms since 2020", "the node id does not fit its field"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
