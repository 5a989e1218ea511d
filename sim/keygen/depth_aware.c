/* depth-aware: what a key is depends on how deep in the nested map it belongs (field report G11).
 *
 * reported: to depth 4 the path itself, `user.profile.address.city.street`; deeper a UUIDv7 and a 64-bit count of the process, 24 bytes, in
 * RFC 4648's base 32: 39 characters (the report says 32). A path is the same for every entry that belongs there, and that alphabet does
 * not keep the order of bytes. repaired: the id at every depth, in base32hex, which does; within a ms its random bits stay, so that the
 * count decides, and the ms never goes back.
 *
 * Paths and ids are texts: 192 bits are more than a number holds. */
#include <string.h>

#include "parts.h"

#define ID_BYTES 24
#define ID_LETTERS 39 /* 195 bits: the last 3 are 0 */
#define TIME_MASK ((UINT64_C(1) << 48) - 1)

enum { REPORTED, REPAIRED };

struct cfg {
	int64_t variant, deep;
};

struct shared {
	ks_lock lock;
	ks_word count;        /* the logical clock */
	ks_word last_ms;      /* repaired: and the random bits of that ms */
	ks_word high, low;
};

static const char *const variants[] = {"reported", "repaired", NULL};
static const struct ks_opt opts[] = {
	{"variant", KS_OPT_WORD, offsetof(struct cfg, variant), 0, 0, "reported", "as the report has it, or with its order and uniqueness mended", variants, 1},
	{"deep", KS_OPT_INT, offsetof(struct cfg, deep), 0, 5, "5", "reported: the first depth whose keys are ids", NULL, 0},
	{0},
};

static const char *const paths[] = {"user", "user.profile", "user.profile.address", "user.profile.address.city",
                                    "user.profile.address.city.street"};
#define PATHS (sizeof paths / sizeof *paths)

static const struct ks_word_meaning words[] = {
	{"reported", "to depth 4 the path, deeper an id in RFC 4648's base 32, which does not keep order"},
	{"repaired", "an id at every depth, in base32hex; the ms never goes back and a count decides within it"},
	{0},
};

static int claims(const void *cfg, struct ks_claim *claim)
{
	const struct cfg *c = cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "field report G11: collision odds of about 1e-9"};
	claim[1] = (struct ks_claim){"increasing@process", c->variant == REPORTED ? "field report G11: sorted by nature" : "keyskew: the repair"};
	return 2;
}

/* ---- printed ids ---- */

static const char *alphabet(const struct cfg *c)
{
	return c->variant == REPORTED ? ks_base32_rfc : ks_base32_hex;
}

static void put(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* 24 bytes are 38.4 letters: moved up by 3 bits they are 39. */
static void print_id(const struct cfg *c, uint64_t high, uint64_t low, uint64_t count, char text[ID_LETTERS + 1])
{
	uint8_t bytes[ID_BYTES + 1];
	bytes[0] = (uint8_t)(high >> 61);
	put(bytes + 1, high << 3 | low >> 61);
	put(bytes + 9, low << 3 | count >> 61);
	put(bytes + 17, count << 3);
	ks_digits_write(text, ID_LETTERS, bytes, sizeof bytes, alphabet(c));
}

static int decode_id(const struct cfg *c, const char *text, struct ks_fields *f)
{
	uint8_t bytes[ID_BYTES + 1];
	if (ks_digits_read(text, ID_LETTERS, bytes, sizeof bytes, alphabet(c)) || bytes[24] & 7)
		return -1;
	uint64_t high = (uint64_t)bytes[0] << 61 | get(bytes + 1) >> 3;
	uint64_t low = (uint64_t)(bytes[8] & 7) << 61 | get(bytes + 9) >> 3;
	uint64_t count = (uint64_t)(bytes[16] & 7) << 61 | get(bytes + 17) >> 3;
	if ((high >> 12 & 15) != 7 || low >> 62 != 2)
		return -1;
	ks_embed(f, 0, high >> 16, NS_PER_MS);
	ks_field(f, "unix_ms", high >> 16);
	ks_field(f, "rand_a", high & 0xfff);
	ks_field(f, "rand_b", low & (UINT64_MAX >> 2));
	ks_field(f, "count", count);
	return 0;
}

static int decode_text(const void *cfg, const char *text, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	*f = (struct ks_fields){0};
	for (size_t depth = 0; c->variant == REPORTED && depth < PATHS; depth++)
		if (!strcmp(text, paths[depth])) {
			ks_field(f, "depth", depth);
			return 0;
		}
	return decode_id(c, text, f);
}

/* ---- calls ---- */

/* The uuid of the report: 74 random bits in every key. */
static void draw(struct ks_env *env, uint64_t ms, uint64_t *high, uint64_t *low)
{
	uint64_t a = env_random(env);
	uint64_t b = env_random(env);
	*high = ms << 16 | UINT64_C(7) << 12 | (a & 0xfff);
	*low = UINT64_C(2) << 62 | (b & (UINT64_MAX >> 2));
}

static uint64_t issue_reported(struct ks_env *env, struct shared *s, uint64_t ms, uint64_t *high, uint64_t *low)
{
	uint64_t before = env_fetch_add(env, &s->count, 1);
	draw(env, ms, high, low);
	return before + 1;
}

/* With the lock held. */
static uint64_t issue_repaired(struct ks_env *env, struct shared *s, uint64_t ms, uint64_t *high, uint64_t *low)
{
	uint64_t last = env_load(env, &s->last_ms);
	uint64_t before = env_fetch_add(env, &s->count, 1);
	if (ms > last) {
		draw(env, ms, high, low);
		env_store(env, &s->last_ms, ms);
		env_store(env, &s->high, *high);
		env_store(env, &s->low, *low);
	} else {
		*high = env_load(env, &s->high);
		*low = env_load(env, &s->low);
	}
	return before + 1;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	char text[ID_LETTERS + 1];
	uint64_t high, low, count = 0;
	struct ks_call_context about = env_context(env);
	if (c->variant == REPORTED && about.depth < c->deep) {
		*key = env_text(env, paths[about.depth], strlen(paths[about.depth]));
		return KS_KEY;
	}
	if (c->variant == REPAIRED)
		env_lock(env, &s->lock);
	int64_t ms = ks_wall_ms(env);
	bool fits = ms >= 0 && (uint64_t)ms <= TIME_MASK;
	if (fits && c->variant == REPORTED)
		count = issue_reported(env, s, (uint64_t)ms, &high, &low);
	else if (fits)
		count = issue_repaired(env, s, (uint64_t)ms, &high, &low);
	if (c->variant == REPAIRED)
		env_unlock(env, &s->lock);
	*why = 0;
	if (!fits)
		return KS_REFUSE;
	print_id(c, high, low, count, text);
	*key = env_text(env, text, ID_LETTERS);
	return KS_KEY;
}

const struct ks_gen KS_GEN(depth_aware) = {
	.name = "depth-aware",
	.title = "by depth: the path, or UUIDv7 and a count in base 32",
	.layout = "reported: to depth 4 a path, below 39 letters of base 32; repaired: 39 letters of base32hex: 128 UUIDv7, 64 count",
	.source = "field report G11",
	.opts = opts,
	.words = words,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the time does not fit 48 bits of ms"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.next = next,
	.decode_text = decode_text,
};
