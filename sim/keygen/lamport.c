/* lamport: a logical clock and the node's id (Lamport, CACM 1978). No clock at all: an event counts one up, and a key that comes
 * in a message lifts the count above its own. 54 bits of count, 10 of node, as one number. */
#include "parts.h"

#define NODE_BITS 10
#define COUNT_MAX ((UINT64_C(1) << (64 - NODE_BITS)) - 1)

enum { NODE_ID_TOO_LARGE, USED_UP };

struct shared {
	ks_word count; /* of the last event */
	uint64_t node; /* set once, before the first call */
};

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "Lamport 1978: ties are broken by process"};
	claim[1] = (struct ks_claim){"increasing@process", "Lamport 1978, IR1"};
	claim[2] = (struct ks_claim){"causal@fleet", "Lamport 1978, IR2"};
	return 3;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	s->node = env_identity(env, KS_ID_WORKER);
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	*why = NODE_ID_TOO_LARGE;
	if (s->node >> NODE_BITS)
		return KS_REFUSE;
	uint64_t before = env_fetch_add(env, &s->count, 1);
	*why = USED_UP;
	if (before >= COUNT_MAX)
		return KS_REFUSE;
	*key = ks_key64((before + 1) << NODE_BITS | s->node);
	return KS_KEY;
}

/* The arrival is an event of its own: one more than the larger of both. */
static void observe(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key remote)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	uint64_t theirs = remote.lo >> NODE_BITS;
	uint64_t own = env_load(env, &s->count);
	bool done = false;
	while (!done) {
		uint64_t merged = (theirs > own ? theirs : own) + 1;
		done = env_cas(env, &s->count, &own, merged);
	}
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_field(f, "count", key.lo >> NODE_BITS);
	ks_field(f, "node", key.lo & ((1 << NODE_BITS) - 1));
}

const struct ks_gen KS_GEN(lamport) = {
	.name = "lamport",
	.title = "logical clock and node id",
	.layout = "decimal: 54 count, 10 node",
	.source = "Lamport, Time, Clocks, and the Ordering of Events, 1978",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the node id does not fit its field", "the count is used up"},
	.claims = claims,
	.clocks = ks_reads_none,
	.init = init,
	.next = next,
	.observe = observe,
	.decode = decode,
	.format = ks_print_decimal,
	.parse = ks_parse_decimal,
};
