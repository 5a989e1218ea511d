/* ksuid: 32 bits of seconds since 2014-05-13, 128 random bits, base 62 (github.com/segmentio/ksuid). Follows the clock; within a second
 * the order is random. 160 bits are more than a number holds, so it issues texts. */
#include "parts.h"

#define EPOCH_S INT64_C(1400000000)
#define BYTES 20
#define LETTERS 27

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "segmentio/ksuid README: collision-free"};
	return 1;
}

static void put(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

static uint64_t get(const uint8_t *p, int bytes)
{
	uint64_t v = 0;
	for (int i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)shared, (void)local;
	uint8_t bytes[BYTES];
	char text[LETTERS + 1];
	int64_t now = env_clock(env, KS_REALTIME);
	uint64_t high = env_random(env);
	uint64_t low = env_random(env);
	*why = 0;
	if (now < EPOCH_S * NS_PER_S || now / NS_PER_S - EPOCH_S > UINT32_MAX)
		return KS_REFUSE;
	put(bytes, (uint64_t)(now / NS_PER_S - EPOCH_S), 4);
	put(bytes + 4, high, 8);
	put(bytes + 12, low, 8);
	ks_digits_write(text, LETTERS, bytes, BYTES, ks_base62);
	*key = env_text(env, text, LETTERS);
	return KS_KEY;
}

static int decode_text(const void *cfg, const char *text, struct ks_fields *f)
{
	uint8_t bytes[BYTES];
	(void)cfg;
	*f = (struct ks_fields){0};
	if (ks_digits_read(text, LETTERS, bytes, BYTES, ks_base62))
		return -1;
	ks_embed(f, EPOCH_S * NS_PER_S, get(bytes, 4), NS_PER_S);
	ks_field(f, "stamp", get(bytes, 4));
	ks_field(f, "random_high", get(bytes + 4, 8));
	ks_field(f, "random_low", get(bytes + 12, 8));
	return 0;
}

const struct ks_gen KS_GEN(ksuid) = {
	.name = "ksuid",
	.title = "32 bits of seconds, 128 random bits, base 62",
	.layout = "27 letters of base 62: 32 s since 2014-05-13T16:53:20Z, 128 random",
	.source = "github.com/segmentio/ksuid",
	.opts = opts,
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the time does not fit 32 bits of seconds since 2014"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.next = next,
	.decode_text = decode_text,
};
