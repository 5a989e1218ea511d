/* null: numbers the calls of each thread and does nothing else. What a run costs with it is what keyskew costs. */
#include "env.h"
#include "keygen.h"

struct local {
	uint64_t n;
};

static int claims(const void *cfg, struct ks_claim *c)
{
	(void)cfg;
	c[0] = (struct ks_claim){"unique@thread", "keyskew"};
	return 1;
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 0;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)env, (void)cfg, (void)shared, (void)why;
	*key = ks_key64(++((struct local *)local)->n);
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){.field = {{"n", key.lo}}, .nfields = 1};
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

const struct ks_gen KS_GEN(null) = {
	.name = "null",
	.title = "numbers the calls of each thread; the cost of keyskew itself",
	.layout = "decimal: count of the thread",
	.source = "keyskew",
	.opts = opts,
	.local_size = sizeof(struct local),
	.compare = KS_COMPARE_NUMERIC,
	.claims = claims,
	.clocks = clocks,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
