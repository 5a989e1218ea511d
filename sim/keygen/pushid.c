/* pushid: 48 bits of ms and 72 random bits in 20 letters of an ordered alphabet (Firebase's generatePushID). In the same ms as the last
 * id the random part counts one up; any other ms, a smaller one too, draws anew. */
#include "parts.h"

#define LETTERS 20
#define TIME_MAX ((UINT64_C(1) << 48) - 1)

enum { TIME_OUT_OF_RANGE, USED_UP };

struct shared {
	ks_lock lock;
	ks_word last_ms;
	ks_word high, low; /* of the random part: 8 and 64 bits */
	ks_word issued;    /* an id was issued */
};

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "Firebase, The 2^120 Ways to Ensure Unique Identifiers"};
	claim[1] = (struct ks_claim){"increasing@process", "Firebase: they sort in the order of creation"};
	return 2;
}

/* With the lock held. @return false: the random part is used up. */
static bool advance(struct ks_env *env, struct shared *s, uint64_t ms, uint64_t *high, uint64_t *low)
{
	uint64_t last = env_load(env, &s->last_ms);
	uint64_t issued = env_load(env, &s->issued);
	if (issued && ms == last) {
		*high = env_load(env, &s->high);
		*low = env_load(env, &s->low);
		*low += 1;
		*high += !*low;
	} else {
		*low = env_random(env);
		*high = env_random(env);
		*high &= 0xff;
	}
	if (*high >> 8)
		return false;
	env_store(env, &s->last_ms, ms);
	env_store(env, &s->high, *high);
	env_store(env, &s->low, *low);
	env_store(env, &s->issued, 1);
	return true;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	uint64_t high = 0, low = 0;
	env_lock(env, &s->lock);
	int64_t ms = ks_wall_ms(env);
	bool fits = ms >= 0 && (uint64_t)ms <= TIME_MAX;
	bool left = !fits || advance(env, s, (uint64_t)ms, &high, &low);
	env_unlock(env, &s->lock);
	*why = fits ? USED_UP : TIME_OUT_OF_RANGE;
	if (!fits || !left)
		return KS_REFUSE;
	*key = (struct ks_key){(uint64_t)ms << 8 | high, low};
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, 0, key.hi >> 8, NS_PER_MS);
	ks_field(f, "unix_ms", key.hi >> 8);
	ks_field(f, "random_high", key.hi & 0xff);
	ks_field(f, "random_low", key.lo);
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_digits(buf, LETTERS, key, ks_base64_ordered);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_digits(text, LETTERS, ks_base64_ordered, key);
}

const struct ks_gen KS_GEN(pushid) = {
	.name = "pushid",
	.title = "48 bits of ms, 72 random bits, 20 ordered letters",
	.layout = "20 letters of - 0-9 A-Z _ a-z: 48 unix ms, 72 random",
	.source = "Firebase, generatePushID",
	.opts = opts,
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
