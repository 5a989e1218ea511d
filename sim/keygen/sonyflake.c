/* sonyflake: 39 bits of 10 ms, 8 of sequence, 16 of machine (github.com/sony/sonyflake).
 *
 * While the clock shows no later tick than the last one, that tick is kept and counted in. A sequence that is used up moves the
 * tick on by one, and the call sleeps until the clock has come that far, holding the lock: behind a step back every 257th call
 * waits for all of it. The machine is the low 16 bits of the private address. */
#include "parts.h"

#define TICK_NS (10 * NS_PER_MS)
#define TIME_BITS 39
#define SEQ_MASK 255

enum { V1, V2 };
enum { TIME_OUT_OF_RANGE };

struct cfg {
	int64_t version, epoch_ns;
};

struct shared {
	ks_lock lock;
	ks_word elapsed, seq;
	uint64_t machine; /* set once, before the first call */
};

static const char *const versions[] = {"v1", "v2", NULL};
static const int64_t epochs_s[] = {1409529600, 1735689600}; /* 2014-09-01, 2025-01-01 */
static const struct ks_opt opts[] = {
	{"version", KS_OPT_WORD, offsetof(struct cfg, version), 0, 0, "v1", "what time field 0 stands for: 2014-09-01 or 2025-01-01", versions, 1},
	{0},
};

static int configure(void *cfg, struct ks_err *err)
{
	struct cfg *c = cfg;
	(void)err;
	c->epoch_ns = epochs_s[c->version] * NS_PER_S;
	return 0;
}

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "Sonyflake README: distributed unique IDs"};
	claim[1] = (struct ks_claim){"increasing@process", "Sonyflake README: time-ordered"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 1u << KS_REALTIME | 1u << KS_MONOTONIC;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	uint64_t ip = env_identity(env, KS_ID_IP);
	s->machine = ip & 0xffff;
	env_store(env, &s->seq, SEQ_MASK);
}

/* With the lock held. @return the tick, or -1. */
static int64_t advance(struct ks_env *env, const struct cfg *c, struct shared *s, uint64_t *seq)
{
	int64_t now = env_clock(env, KS_REALTIME);
	int64_t current = (now - c->epoch_ns) / TICK_NS;
	if (now < c->epoch_ns || current >> TIME_BITS)
		return -1;
	int64_t elapsed = (int64_t)env_load(env, &s->elapsed);
	bool later = elapsed < current;
	*seq = 0;
	if (later) {
		elapsed = current;
	} else {
		*seq = env_load(env, &s->seq);
		*seq = (*seq + 1) & SEQ_MASK;
	}
	bool full = !later && *seq == 0;
	elapsed += full;
	env_store(env, &s->elapsed, (uint64_t)elapsed);
	env_store(env, &s->seq, *seq);
	if (full) {
		int64_t from = env_clock(env, KS_MONOTONIC);
		env_wait_until(env, KS_MONOTONIC, from + (elapsed - current) * TICK_NS - (now - c->epoch_ns) % TICK_NS);
	}
	return elapsed;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	struct shared *s = shared;
	uint64_t seq = 0;
	env_lock(env, &s->lock);
	int64_t elapsed = advance(env, cfg, s, &seq);
	env_unlock(env, &s->lock);
	*why = TIME_OUT_OF_RANGE;
	if (elapsed < 0 || elapsed >> TIME_BITS)
		return KS_REFUSE;
	*key = ks_key64((uint64_t)elapsed << 24 | seq << 16 | s->machine);
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, c->epoch_ns, key.lo >> 24, TICK_NS);
	ks_field(f, "elapsed", key.lo >> 24);
	ks_field(f, "seq", key.lo >> 16 & SEQ_MASK);
	ks_field(f, "machine", key.lo & 0xffff);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	if (ks_parse_decimal(cfg, text, key))
		return -1;
	return key->lo > INT64_MAX ? -1 : 0;
}

const struct ks_gen KS_GEN(sonyflake) = {
	.name = "sonyflake",
	.title = "39 bits of 10 ms, sequence, machine",
	.layout = "decimal: 39 ticks of 10 ms since 2014-09-01 (v2: 2025-01-01), 8 sequence, 16 machine",
	.source = "github.com/sony/sonyflake",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the time does not fit its field"},
	.configure = configure,
	.claims = claims,
	.clocks = clocks,
	.init = init,
	.next = next,
	.decode = decode,
	.format = ks_print_decimal,
	.parse = parse,
};
