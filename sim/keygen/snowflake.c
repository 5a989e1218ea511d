/* snowflake: 41 bits of ms since an epoch, a node id, a sequence within the ms; one lock around it all.
 *
 * checked (Twitter 2012): when the clock reads less than at the last key, the call is refused and the state is left
 * alone. unchecked (bwmarrin/snowflake before 2019, its issues 18 and 20): no comparison; a clock that goes back
 * issues the same ms again from sequence 0. Both wait for the next ms when a sequence is used up. */
#include "parts.h"

enum { CHECKED, UNCHECKED };
enum { CLOCK_WENT_BACK, TIME_OUT_OF_RANGE, NODE_ID_TOO_LARGE };

struct cfg {
	int64_t variant, node_bits, seq_bits, epoch_ns;
};

struct shared {
	ks_lock lock;
	ks_word last_ms; /* unix ms of the last key */
	ks_word seq;
	uint64_t worker; /* set once, before the first call */
};

static const char *const variants[] = {"checked", "unchecked", NULL};
static const struct ks_opt opts[] = {
	{"variant", KS_OPT_WORD, offsetof(struct cfg, variant), 0, 0, "checked", "what it does when the clock went back", variants, 1},
	{"node_bits", KS_OPT_INT, offsetof(struct cfg, node_bits), 0, 22, "10", "bits of the node id", NULL, 0},
	{"seq_bits", KS_OPT_INT, offsetof(struct cfg, seq_bits), 1, 22, "12", "bits of the sequence within a ms", NULL, 0},
	{"epoch", KS_OPT_DUR, offsetof(struct cfg, epoch_ns), 0, INT64_C(4102444800000000000), "1288834974657ms",
	 "what time field 0 stands for, since 1970", NULL, 0},
	{0},
};

static int configure(void *cfg, struct ks_err *err)
{
	struct cfg *c = cfg;
	if (c->node_bits + c->seq_bits > 32)
		return ks_fail(err, KS_E_USAGE, "node_bits and seq_bits take %lld bits, expected at most 32",
		               (long long)(c->node_bits + c->seq_bits));
	if (c->epoch_ns % NS_PER_MS)
		return ks_fail(err, KS_E_USAGE, "bad value of option 'epoch', expected whole ms");
	return 0;
}

static int claims(const void *cfg, struct ks_claim *c)
{
	(void)cfg;
	c[0] = (struct ks_claim){"unique@fleet", "Twitter Snowflake README: unique without coordination at run time"};
	c[1] = (struct ks_claim){"increasing@process", "ids of one generator grow"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 1u << KS_REALTIME;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	(void)cfg;
	struct shared *s = shared;
	s->worker = env_identity(env, KS_ID_WORKER);
}

static int64_t read_ms(struct ks_env *env)
{
	int64_t now = env_clock(env, KS_REALTIME);
	return now >= 0 ? now / NS_PER_MS : -1;
}

/* Waits until the wall clock shows a ms after last. */
static int64_t next_ms(struct ks_env *env, int64_t last)
{
	int64_t ms;
	do {
		env_wait_until(env, KS_REALTIME, (last + 1) * NS_PER_MS);
		ms = read_ms(env);
	} while (ms <= last);
	return ms;
}

/* What is between the locks. */
static enum ks_outcome issue(struct ks_env *env, const struct cfg *c, struct shared *s, struct ks_key *key, uint8_t *why)
{
	int64_t ms = read_ms(env);
	int64_t last = (int64_t)env_load(env, &s->last_ms);
	uint64_t seq = 0;
	if (c->variant == CHECKED && ms < last) {
		*why = CLOCK_WENT_BACK;
		return KS_REFUSE;
	}
	if (ms == last) {
		seq = env_load(env, &s->seq);
		seq = (seq + 1) & ((1u << c->seq_bits) - 1);
		if (seq == 0)
			ms = next_ms(env, last);
	}
	int64_t since = ms - c->epoch_ns / NS_PER_MS;
	int64_t shift = c->node_bits + c->seq_bits;
	if (since < 0 || since >> (63 - shift)) {
		*why = TIME_OUT_OF_RANGE;
		return KS_REFUSE;
	}
	env_store(env, &s->last_ms, (uint64_t)ms);
	env_store(env, &s->seq, seq);
	*key = ks_key64((uint64_t)since << shift | s->worker << c->seq_bits | seq);
	return KS_KEY;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	if (s->worker >> c->node_bits) {
		*why = NODE_ID_TOO_LARGE;
		return KS_REFUSE;
	}
	env_lock(env, &s->lock);
	enum ks_outcome outcome = issue(env, c, s, key, why);
	env_unlock(env, &s->lock);
	return outcome;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	uint64_t ms = key.lo >> (c->node_bits + c->seq_bits);
	int64_t lo = c->epoch_ns + (int64_t)ms * NS_PER_MS;
	*f = (struct ks_fields){true,
	                        lo,
	                        lo + NS_PER_MS,
	                        {{"ms", ms},
	                         {"node", key.lo >> c->seq_bits & ((UINT64_C(1) << c->node_bits) - 1)},
	                         {"seq", key.lo & ((UINT64_C(1) << c->seq_bits) - 1)}},
	                        3};
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_decimal(buf, key);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	if (ks_parse_decimal(cfg, text, key))
		return -1;
	return key->lo > INT64_MAX ? -1 : 0;
}

const struct ks_gen KS_GEN(snowflake) = {
	.name = "snowflake",
	.title = "41 bits of ms, node id, sequence",
	.source = "twitter-archive/snowflake 2012; field report G7",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the clock went back", "the time does not fit its field", "the node id does not fit its field"},
	.configure = configure,
	.claims = claims,
	.clocks = clocks,
	.init = init,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
