/* ulid: 48 bits of unix ms, 80 random bits, 26 letters of Crockford's base 32 (github.com/ulid/spec).
 *
 * plain: every key draws all 80; within a ms the order is random. monotonic (npm ulid): while the clock shows no later ms than the
 * last key's, that ms is kept and the random part counts one up; used up is an error. oklog (oklog/ulid): counts up, by a random
 * amount, only while the ms is the same; a clock that goes back draws anew and so gives a smaller id. */
#include "parts.h"

#define TIME_MAX ((UINT64_C(1) << 48) - 1)
#define LETTERS 26

enum { PLAIN, MONOTONIC, OKLOG };
enum { TIME_OUT_OF_RANGE, USED_UP };

struct cfg {
	int64_t variant;
};

struct shared {
	ks_lock lock;
	ks_word last_ms;
	ks_word high, low; /* of the last random part: 16 and 64 bits */
	ks_word issued;    /* a key was issued */
};

static const char *const variants[] = {"plain", "monotonic", "oklog", NULL};
static const struct ks_opt opts[] = {
	{"variant", KS_OPT_WORD, offsetof(struct cfg, variant), 0, 0, "plain", "what the 80 bits are within one ms", variants, 1},
	{0},
};

static const struct ks_word_meaning words[] = {
	{"plain", "80 random bits in every id"},
	{"monotonic", "npm ulid: while the ms is not a later one, the last id + 1"},
	{"oklog", "oklog/ulid: counts up in the same ms only; a smaller ms draws anew"},
	{0},
};

static int claims(const void *cfg, struct ks_claim *claim)
{
	const struct cfg *c = cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "ULID specification: 1.21e24 per ms"};
	claim[1] = (struct ks_claim){"increasing@process", c->variant == OKLOG ? "oklog/ulid: monotonic entropy"
	                                                                      : "ULID specification: monotonicity"};
	return c->variant == PLAIN ? 1 : 2;
}

/* The random part of the next key, with the lock held. ms: what the clock shows; becomes the key's. @return false: used up. */
static bool advance(struct ks_env *env, const struct cfg *c, struct shared *s, uint64_t *ms, uint64_t *high, uint64_t *low)
{
	uint64_t last = env_load(env, &s->last_ms);
	uint64_t issued = env_load(env, &s->issued);
	bool counts = issued && (c->variant == MONOTONIC ? *ms <= last : *ms == last);
	uint64_t word = c->variant == MONOTONIC && counts ? 0 : env_random(env);
	if (counts) {
		uint64_t by = c->variant == MONOTONIC ? 1 : 1 + (word >> 32); /* oklog: 1..2^32 */
		*high = env_load(env, &s->high);
		*low = env_load(env, &s->low);
		*low += by;
		*high += *low < by;
		if (*high >> 16)
			return false;
		*ms = last;
	} else {
		*low = word;
		word = env_random(env);
		*high = word & 0xffff;
	}
	env_store(env, &s->last_ms, *ms);
	env_store(env, &s->high, *high);
	env_store(env, &s->low, *low);
	env_store(env, &s->issued, 1);
	return true;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	uint64_t high, low;
	if (c->variant != PLAIN)
		env_lock(env, &s->lock);
	int64_t now = ks_wall_ms(env);
	uint64_t ms = (uint64_t)now;
	bool fits = now >= 0 && ms <= TIME_MAX, left = true;
	if (c->variant != PLAIN) {
		left = !fits || advance(env, c, s, &ms, &high, &low);
		env_unlock(env, &s->lock);
	} else {
		low = env_random(env);
		high = env_random(env);
		high &= 0xffff;
	}
	*why = fits ? USED_UP : TIME_OUT_OF_RANGE;
	if (!fits || !left)
		return KS_REFUSE;
	*key = (struct ks_key){ms << 16 | high, low};
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, 0, key.hi >> 16, NS_PER_MS);
	ks_field(f, "unix_ms", key.hi >> 16);
	ks_field(f, "random_high", key.hi & 0xffff);
	ks_field(f, "random_low", key.lo);
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_digits(buf, LETTERS, key, ks_base32_crockford);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_digits(text, LETTERS, ks_base32_crockford, key);
}

const struct ks_gen KS_GEN(ulid) = {
	.name = "ulid",
	.title = "48 bits of unix ms, 80 random bits, Crockford's base 32",
	.layout = "26 letters of Crockford's base 32: 48 unix ms, 80 random",
	.source = "github.com/ulid/spec",
	.opts = opts,
	.words = words,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the time does not fit 48 bits of ms", "the random part is used up"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
