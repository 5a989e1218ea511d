/* mono-offset: a counter of the process and the monotonic clock's ns within its second (field report G8): what a fleet falls
 * back to when no registry hands out worker ids.
 *
 * In one process it only grows, whatever clocks do; a restart counts from 1 again, and two processes differ by their ns
 * alone. */
#include "mono_offset.h"

#define NS_BITS KS_MONO_NS_BITS

struct shared {
	ks_word n;
};

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@process", "field report G8"};
	claim[1] = (struct ks_claim){"increasing@process", "field report G8: monotonic"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 1u << KS_MONOTONIC;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	*why = 0;
	return ks_mono_offset(env, &s->n, key) ? KS_KEY : KS_REFUSE;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_field(f, "n", key.lo >> NS_BITS);
	ks_field(f, "ns", key.lo & ((UINT64_C(1) << NS_BITS) - 1));
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	if (ks_parse_decimal(cfg, text, key))
		return -1;
	return key->lo > INT64_MAX || (key->lo & ((UINT64_C(1) << NS_BITS) - 1)) >= (uint64_t)NS_PER_S ? -1 : 0;
}

const struct ks_gen KS_GEN(mono_offset) = {
	.name = "mono-offset",
	.title = "counter of the process, monotonic ns within the second",
	.layout = "decimal: 33 count of the process, 30 ns within the second",
	.source = "field report G8",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the counter is used up"},
	.claims = claims,
	.clocks = clocks,
	.next = next,
	.decode = decode,
	.format = ks_print_decimal,
	.parse = parse,
};
