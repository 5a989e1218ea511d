/* milli-rand32: `evt:<wall ms>:<32 random bits in hexadecimal, unpadded>` (field report G3).
 *
 * Called safe and monotonic there. It follows the wall clock back, and within a ms the order is random; as the digits are
 * not padded they do not even sort as numbers. The key packs what the text sorts by: the ms, the digits from the left, their
 * number. */
#include <stdio.h>
#include <string.h>

#include "parts.h"

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "field report G3: called safe"};
	claim[1] = (struct ks_claim){"increasing@thread", "field report G3: called monotonic"};
	return 2;
}

static int hex_digits(uint32_t v)
{
	return v ? (35 - __builtin_clz(v)) / 4 : 1;
}

/* 14 characters of `<ms>:` in 56 bits, 8 digits from the left in 32, their number in 4. @return -1: ms has too many digits. */
static int compose(uint64_t ms, uint32_t random, struct ks_key *key)
{
	char text[32];
	struct ks_key packed;
	int digits = hex_digits(random);
	snprintf(text, sizeof text, "%llu:", (unsigned long long)ms);
	if (strlen(text) > 14 || ks_pack_digits(text, &packed))
		return -1;
	unsigned __int128 v = (unsigned __int128)(packed.hi >> 8) << 36;
	v |= (uint64_t)(random << (32 - 4 * digits)) << 4 | (unsigned)digits;
	*key = (struct ks_key){(uint64_t)(v >> 64), (uint64_t)v};
	return 0;
}

static void take_apart(struct ks_key key, uint64_t *ms, uint32_t *random)
{
	char text[KS_PACK_MAX + 1];
	unsigned __int128 v = (unsigned __int128)key.hi << 64 | key.lo;
	unsigned digits = (unsigned)v & 15;
	*ms = 0;
	ks_scan_decimal(ks_unpack_digits((struct ks_key){(uint64_t)(v >> 36) << 8, 0}, text), ms);
	*random = digits && digits <= 8 ? (uint32_t)(v >> 4) >> (32 - 4 * digits) : 0;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)shared, (void)local;
	int64_t ms = ks_wall_ms(env);
	uint64_t random = env_random(env);
	*why = 0;
	return ms < 0 || compose((uint64_t)ms, (uint32_t)random, key) ? KS_REFUSE : KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	uint64_t ms;
	uint32_t random;
	(void)cfg;
	take_apart(key, &ms, &random);
	*f = (struct ks_fields){0};
	ks_embed(f, 0, ms, NS_PER_MS);
	ks_field(f, "unix_ms", ms);
	ks_field(f, "random", random);
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	uint64_t ms;
	uint32_t random;
	(void)cfg;
	take_apart(key, &ms, &random);
	snprintf(buf, KS_KEY_TEXT, "evt:%llu:%x", (unsigned long long)ms, random);
	return buf;
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	uint64_t ms;
	struct ks_key random;
	const char *hex = ks_scan_prefix(ks_scan_decimal(ks_scan_prefix(text, "evt:"), &ms), ":");
	size_t n = hex ? strlen(hex) : 0;
	(void)cfg;
	if (!n || n > 8 || (*hex == '0' && n > 1) || ks_key_from_digits(hex, (int)n, ks_base16, &random))
		return -1;
	return compose(ms, (uint32_t)random.lo, key);
}

const struct ks_gen KS_GEN(milli_rand32) = {
	.name = "milli-rand32",
	.title = "evt:, wall clock in ms, 32 random bits in hexadecimal",
	.layout = "evt:<unix ms>:<32 random bits, 1 to 8 hexadecimal digits>",
	.source = "field report G3",
	.opts = opts,
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the wall clock shows a time before 1970 or after 2286"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
