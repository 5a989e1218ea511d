/* counter: %016x of an atomic counter of the process (field report G5). No clock at all: no clock fault can meet it,
 * but every process and every restart begins at 1 again. */
#include "env.h"
#include "keygen.h"

struct shared {
	ks_word n;
};

static int claims(const void *cfg, struct ks_claim *c)
{
	(void)cfg;
	c[0] = (struct ks_claim){"unique@process", "field report G5: no conflicts"};
	c[1] = (struct ks_claim){"increasing@process", "field report G5: an atomic sequence"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 0;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local, (void)why;
	struct shared *s = shared;
	uint64_t before = env_fetch_add(env, &s->n, 1);
	*key = ks_key64(before + 1);
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
	return ks_key_hex16(buf, key);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_hex16(text, key);
}

static const struct ks_opt opts[] = {{0}};

const struct ks_gen KS_GEN(counter) = {
	.name = "counter",
	.title = "atomic counter of the process, 16 hexadecimal digits",
	.layout = "16 hexadecimal digits: count of the process, from 1",
	.source = "field report G5",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.claims = claims,
	.clocks = clocks,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
