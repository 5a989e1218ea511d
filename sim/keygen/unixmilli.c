/* unixmilli: the wall clock in milliseconds, and nothing else. The naive key (field report G1). */
#include "env.h"
#include "keygen.h"

#define NS_PER_MS INT64_C(1000000)

static int claims(const void *cfg, struct ks_claim *c)
{
	(void)cfg;
	c[0] = (struct ks_claim){"unique@process", "G1: one call a millisecond is assumed"};
	c[1] = (struct ks_claim){"increasing@thread", "G1: later calls are assumed to read later times"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 1u << KS_REALTIME;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)shared, (void)local;
	int64_t now = env_clock(env, KS_REALTIME);
	if (now < 0) {
		*why = 0;
		return KS_REFUSE;
	}
	*key = ks_key64((uint64_t)(now / NS_PER_MS));
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	int64_t lo = (int64_t)(key.lo * (uint64_t)NS_PER_MS);
	*f = (struct ks_fields){true, lo, lo + NS_PER_MS, {{"unix_ms", key.lo}}, 1};
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_decimal(buf, key);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_decimal(text, key);
}

static const struct ks_opt opts[] = {{0}};

const struct ks_gen KS_GEN(unixmilli) = {
	.name = "unixmilli",
	.title = "wall clock in ms",
	.source = "field report G1",
	.opts = opts,
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the wall clock shows a time before 1970"},
	.claims = claims,
	.clocks = clocks,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
