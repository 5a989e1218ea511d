/* uuidv1, uuidv6 (RFC 9562, 5.1 and 5.6): 60 bits of 100 ns since 1582, 14 of clock sequence, 48 of node. Version 6 has the same fields with the time
 * in the order of its digits, so that ids sort by it as long as the clock does not go back.
 *
 * clock-sequence (google/uuid): a time not later than the last one takes the next clock sequence; so does a second call in one
 * tick, and 16384 of them repeat the first. counted (npm uuid): ms, and a count of ids within the ms as the ticks; a clock that
 * went back takes the next clock sequence; after 10000 in one ms a new random node. */
#include "parts.h"

/* 100 ns ticks from the Gregorian reform (1582-10-15) to 1970. */
#define GREGORIAN UINT64_C(0x01b21dd213814000)
#define SEQ_MASK 0x3fff
#define PER_MS 10000
#define MULTICAST (UINT64_C(1) << 40) /* of a node that is no MAC */

enum { CLOCK_SEQUENCE, COUNTED };

struct cfg {
	int64_t policy;
};

struct shared {
	ks_lock lock;
	ks_word last; /* 100 ns since 1582; counted: unix ms */
	ks_word count;
	ks_word clock_seq, node;
};

struct stamp {
	uint64_t ticks, clock_seq, node;
};

static const char *const policies[] = {"clock-sequence", "counted", NULL};
static const struct ks_opt opts[] = {
	{"policy", KS_OPT_WORD, offsetof(struct cfg, policy), 0, 0, "clock-sequence", "what tells ids of one tick apart", policies, 1},
	{0},
};

static const struct ks_word_meaning words[] = {
	{"clock-sequence", "google/uuid: a time not later than the last takes the next of 16384 clock sequences; the node is the MAC"},
	{"counted", "npm uuid: counts the ticks of a ms; a clock that went back takes the next clock sequence; the node is random"},
	{0},
};

static int claims_v1(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "RFC 9562, 5.1"};
	return 1;
}

static int claims_v6(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "RFC 9562, 5.6"};
	claim[1] = (struct ks_claim){"increasing@process", "RFC 9562, 5.6: improved DB locality; sorts by time"};
	return 2;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	const struct cfg *c = cfg;
	struct shared *s = shared;
	uint64_t word = env_random(env);
	env_store(env, &s->clock_seq, word & SEQ_MASK);
	uint64_t mac = env_identity(env, KS_ID_MAC);
	word = env_random(env);
	uint64_t node = c->policy == COUNTED ? (word & UINT64_C(0xffffffffffff)) | MULTICAST : mac;
	env_store(env, &s->node, node);
}

/* ---- policies, with the lock held ---- */

static void by_sequence(struct ks_env *env, struct shared *s, struct stamp *t)
{
	uint64_t last = env_load(env, &s->last);
	t->clock_seq = env_load(env, &s->clock_seq);
	if (t->ticks <= last)
		t->clock_seq = (t->clock_seq + 1) & SEQ_MASK;
	env_store(env, &s->last, t->ticks);
	env_store(env, &s->clock_seq, t->clock_seq);
	t->node = env_load(env, &s->node);
}

static void by_count(struct ks_env *env, struct shared *s, struct stamp *t)
{
	uint64_t ms = (t->ticks - GREGORIAN) / PER_MS;
	uint64_t last = env_load(env, &s->last);
	uint64_t count = env_load(env, &s->count);
	t->clock_seq = env_load(env, &s->clock_seq);
	t->node = env_load(env, &s->node);
	count = ms == last ? count + 1 : 0;
	if (ms < last)
		t->clock_seq = (t->clock_seq + 1) & SEQ_MASK;
	if (count == PER_MS) {
		uint64_t word = env_random(env);
		t->node = (word & UINT64_C(0xffffffffffff)) | MULTICAST;
		env_store(env, &s->node, t->node);
		count = 0;
	}
	env_store(env, &s->last, ms);
	env_store(env, &s->count, count);
	env_store(env, &s->clock_seq, t->clock_seq);
	t->ticks = ms * PER_MS + count + GREGORIAN;
}

static bool read_stamp(struct ks_env *env, const struct cfg *c, struct shared *s, struct stamp *t)
{
	env_lock(env, &s->lock);
	int64_t now = env_clock(env, KS_REALTIME);
	t->ticks = now >= 0 ? (uint64_t)(now / 100) + GREGORIAN : 0;
	if (now >= 0 && c->policy == COUNTED)
		by_count(env, s, t);
	else if (now >= 0)
		by_sequence(env, s, t);
	env_unlock(env, &s->lock);
	return now >= 0;
}

/* ---- fields ---- */

static struct ks_key compose(const struct stamp *t, int version)
{
	struct ks_key key = {0, UINT64_C(2) << 62 | t->clock_seq << 48 | t->node};
	if (version == 1)
		key.hi = t->ticks << 32 | (t->ticks >> 32 & 0xffff) << 16 | UINT64_C(1) << 12 | t->ticks >> 48;
	else
		key.hi = t->ticks >> 12 << 16 | UINT64_C(6) << 12 | (t->ticks & 0xfff);
	return key;
}

static void decode(struct ks_key key, int version, struct ks_fields *f)
{
	uint64_t ticks = version == 1 ? (key.hi & 0xfff) << 48 | (key.hi >> 16 & 0xffff) << 32 | key.hi >> 32
	                              : key.hi >> 16 << 12 | (key.hi & 0xfff);
	*f = (struct ks_fields){0};
	if (ticks >= GREGORIAN)
		ks_embed(f, 0, ticks - GREGORIAN, 100);
	ks_field(f, "ticks", ticks);
	ks_field(f, "clock_seq", key.lo >> 48 & SEQ_MASK);
	ks_field(f, "node", key.lo & UINT64_C(0xffffffffffff));
}

static int parse(const char *text, int version, struct ks_key *key)
{
	if (ks_key_from_uuid(text, key))
		return -1;
	return (int)(key->hi >> 12 & 15) == version && key->lo >> 62 == 2 ? 0 : -1;
}

/* One generator for each version. */
#define GENERATOR(NAME, VERSION, TITLE, LAYOUT, CLAIMS)                                                                \
	static enum ks_outcome NAME##_next(struct ks_env *env, const void *cfg, void *shared, void *local,             \
	                                   struct ks_key *key, uint8_t *why)                                           \
	{                                                                                                              \
		struct stamp t;                                                                                        \
		(void)local;                                                                                           \
		*why = 0;                                                                                              \
		if (!read_stamp(env, cfg, shared, &t))                                                                 \
			return KS_REFUSE;                                                                              \
		*key = compose(&t, VERSION);                                                                           \
		return KS_KEY;                                                                                         \
	}                                                                                                              \
	static void NAME##_decode(const void *cfg, struct ks_key key, struct ks_fields *f)                             \
	{                                                                                                              \
		(void)cfg;                                                                                             \
		decode(key, VERSION, f);                                                                               \
	}                                                                                                              \
	static int NAME##_parse(const void *cfg, const char *text, struct ks_key *key)                                 \
	{                                                                                                              \
		(void)cfg;                                                                                             \
		return parse(text, VERSION, key);                                                                      \
	}                                                                                                              \
	const struct ks_gen KS_GEN(NAME) = {                                                                           \
		.name = #NAME,                                                                                         \
		.title = TITLE,                                                                                        \
		.layout = LAYOUT,                                                                                      \
		.source = "RFC 9562",                                                                                  \
		.opts = opts,                                                                                          \
		.words = words,                                                                                        \
		.cfg_size = sizeof(struct cfg),                                                                        \
		.shared_size = sizeof(struct shared),                                                                  \
		.compare = KS_COMPARE_BYTES,                                                                           \
		.reasons = {"the wall clock shows a time before 1970"},                                                \
		.claims = CLAIMS,                                                                                      \
		.clocks = ks_reads_wall,                                                                               \
		.init = init,                                                                                          \
		.next = NAME##_next,                                                                                   \
		.decode = NAME##_decode,                                                                               \
		.format = ks_print_uuid,                                                                               \
		.parse = NAME##_parse,                                                                                 \
	}

GENERATOR(uuidv1, 1, "RFC 9562 version 1: 100 ns since 1582, clock sequence, node",
          "UUID: 32 low, 16 middle, 4 version, 12 high bits of 100 ns, 2 variant, 14 clock sequence, 48 node", claims_v1);
GENERATOR(uuidv6, 6, "RFC 9562 version 6: version 1 with its time in order",
          "UUID: 48 high bits of 100 ns, 4 version, 12 low, 2 variant, 14 clock sequence, 48 node", claims_v6);
