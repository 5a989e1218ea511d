/* flake: 64 bits of ms, 48 of MAC, 16 of sequence (Boundary's flake). Refuses while the clock is behind the last id. The sequence is not checked:
 * the 65537th id of a ms repeats the first. A stamp goes to disk every second; a process that starts with a clock behind it refuses
 * until the clock has passed it. */
#include "parts.h"

#define LETTERS 22
#define SLOT 0

enum { CLOCK_WENT_BACK, BEFORE_STAMP, BEFORE_1970 };

struct shared {
	ks_lock lock;
	ks_word last_ms, seq;
	uint64_t mac, stamp_ms; /* set once, before the first call */
};

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "boundary/flake README: decentralized, k-ordered unique ids"};
	claim[1] = (struct ks_claim){"increasing@process", "boundary/flake README: k-ordered"};
	return 2;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	uint64_t stamp;
	(void)cfg;
	s->mac = env_identity(env, KS_ID_MAC);
	if (env_persist_get(env, SLOT, &stamp))
		s->stamp_ms = stamp;
}

static void write_stamp(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	uint64_t last = env_load(env, &s->last_ms);
	env_persist_put(env, SLOT, last);
}

static const struct ks_background *background(const void *cfg)
{
	static const struct ks_background stamps[] = {{NS_PER_S, write_stamp}, {0, NULL}};
	(void)cfg;
	return stamps;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	env_lock(env, &s->lock);
	int64_t ms = ks_wall_ms(env);
	int64_t last = (int64_t)env_load(env, &s->last_ms);
	uint64_t seq = 0;
	bool fits = ms >= last && ms > (int64_t)s->stamp_ms;
	if (fits && ms == last) {
		seq = env_load(env, &s->seq);
		seq++;
	}
	if (fits) {
		env_store(env, &s->last_ms, (uint64_t)ms);
		env_store(env, &s->seq, seq);
	}
	env_unlock(env, &s->lock);
	*why = ms < 0 ? BEFORE_1970 : ms < last ? CLOCK_WENT_BACK : BEFORE_STAMP;
	if (!fits)
		return KS_REFUSE;
	*key = (struct ks_key){(uint64_t)ms, (s->mac & UINT64_C(0xffffffffffff)) << 16 | (seq & 0xffff)};
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, 0, key.hi, NS_PER_MS);
	ks_field(f, "unix_ms", key.hi);
	ks_field(f, "mac", key.lo >> 16);
	ks_field(f, "seq", key.lo & 0xffff);
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_digits(buf, LETTERS, key, ks_base62);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_digits(text, LETTERS, ks_base62, key);
}

const struct ks_gen KS_GEN(flake) = {
	.name = "flake",
	.title = "64 bits of ms, MAC, sequence",
	.layout = "22 letters of base 62: 64 unix ms, 48 MAC, 16 sequence",
	.source = "github.com/boundary/flake",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.reasons = {"the clock went back", "the clock shows no more than the stamp on disk", "the wall clock shows a time before 1970"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init,
	.next = next,
	.background = background,
	.decode = decode,
	.format = format,
	.parse = parse,
};
