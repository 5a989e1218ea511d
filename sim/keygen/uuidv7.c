/* uuidv7 (RFC 9562, 5.7): 48 bits of unix ms, version, variant, and 74 bits by method.
 *
 * random (6.2 without a monotonicity method): all 74 are random; the time follows the clock.
 * counter (6.2 method 1, as LiosK's libraries do it): a 42-bit counter that starts at random in every new ms, and 32
 * random bits. A clock up to 10 s behind freezes the ms and goes on counting; further behind, it starts anew from the
 * clock and order breaks. A full counter moves the ms on by one. */
#include "env.h"
#include "keygen.h"

#define NS_PER_MS INT64_C(1000000)
#define COUNTER_BITS 42
#define COUNTER_MASK ((UINT64_C(1) << COUNTER_BITS) - 1)
#define TIME_MASK ((UINT64_C(1) << 48) - 1)

enum { RANDOM, COUNTER };
enum { TIME_OUT_OF_RANGE };

struct cfg {
	int64_t method, rollback_ns;
};

struct shared {
	ks_lock lock;
	ks_word last_ms;
	ks_word counter;
};

static const char *const methods[] = {"random", "counter", NULL};
static const struct ks_opt opts[] = {
	{"method", KS_OPT_WORD, offsetof(struct cfg, method), 0, 0, "random", "what the 74 bits beside the time are", methods, 1},
	{"rollback", KS_OPT_DUR, offsetof(struct cfg, rollback_ns), 0, INT64_C(86400000000000), "10s",
	 "counter: how far the clock may be behind before it starts anew", NULL, 0},
	{0},
};

static int claims(const void *cfg, struct ks_claim *claim)
{
	const struct cfg *c = cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "RFC 9562, 6.7"};
	if (c->method == RANDOM)
		return 1;
	claim[1] = (struct ks_claim){"increasing@process", "RFC 9562, 6.2 method 1"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 1u << KS_REALTIME;
}

static struct ks_key compose(uint64_t ms, uint64_t rand_a, uint64_t rand_b)
{
	return (struct ks_key){ms << 16 | UINT64_C(7) << 12 | (rand_a & 0xfff), UINT64_C(2) << 62 | (rand_b & (UINT64_MAX >> 2))};
}

/* Advances ms and counter as method 1 says. Called with the lock held. */
static uint64_t advance(struct ks_env *env, const struct cfg *c, struct shared *s, uint64_t ms, uint64_t *counter)
{
	uint64_t last = env_load(env, &s->last_ms);
	uint64_t rollback_ms = (uint64_t)(c->rollback_ns / NS_PER_MS);
	bool fresh = ms > last || ms + rollback_ms < last;
	if (!fresh) {
		ms = last;
		*counter = env_load(env, &s->counter);
		*counter += 1;
		fresh = *counter > COUNTER_MASK;
		ms += fresh;
	}
	if (fresh) {
		uint64_t word = env_random(env);
		*counter = word & COUNTER_MASK;
	}
	env_store(env, &s->last_ms, ms);
	env_store(env, &s->counter, *counter);
	return ms;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	if (c->method == COUNTER)
		env_lock(env, &s->lock);
	int64_t now = env_clock(env, KS_REALTIME);
	uint64_t ms = (uint64_t)(now / NS_PER_MS), counter = 0;
	bool fits = now >= 0 && ms <= TIME_MASK;
	if (c->method == COUNTER) {
		if (fits)
			ms = advance(env, c, s, ms, &counter);
		env_unlock(env, &s->lock);
	}
	if (!fits) {
		*why = TIME_OUT_OF_RANGE;
		return KS_REFUSE;
	}
	uint64_t a = env_random(env);
	if (c->method == COUNTER) {
		*key = compose(ms, counter >> 30, counter << 32 | (a & UINT32_MAX));
		return KS_KEY;
	}
	uint64_t b = env_random(env);
	*key = compose(ms, a, b);
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	uint64_t ms = key.hi >> 16;
	int64_t lo = ms > (uint64_t)(INT64_MAX / NS_PER_MS - 1) ? INT64_MAX - NS_PER_MS : (int64_t)ms * NS_PER_MS;
	*f = (struct ks_fields){true, lo, lo + NS_PER_MS, {{"unix_ms", ms}, {"version", key.hi >> 12 & 15}}, 2};
	if (c->method == COUNTER) {
		f->field[2].name = "counter";
		f->field[2].value = (key.hi & 0xfff) << 30 | (key.lo >> 32 & 0x3fffffff);
		f->nfields = 3;
	}
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_uuid(buf, key);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_uuid(text, key);
}

const struct ks_gen KS_GEN(uuidv7) = {
	.name = "uuidv7",
	.title = "RFC 9562 version 7: 48 bits of unix ms, 74 bits random or counted",
	.source = "RFC 9562",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the time does not fit 48 bits of ms"},
	.claims = claims,
	.clocks = clocks,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
