/* snowflake: ms since an epoch, a node id, a sequence within the ms; one lock around it all. Variants differ in what they do when
 * the clock reads less than at the last key, and when a sequence is used up.
 *
 * checked        Twitter 2012: refuses, the state is left alone
 * twitter-2010   refuses too, but has zeroed the sequence before it looks: the last ms is issued again from 1
 *                (twitter-archive/snowflake issue 6)
 * unchecked      bwmarrin/snowflake before 2019 (issues 18, 20): no comparison
 * monotonic      bwmarrin/snowflake since: the wall clock as it was at the start, plus the monotonic clock since
 * ms20           field report G6: ms << 20 | counter++; no node id, no check, and the counter is not masked
 * leaf           Meituan Leaf: up to 5 ms behind it sleeps twice that long and looks again; a sequence starts at random within
 *                0..99; tells the registry its time every 3 s, and issues nothing before the last time that was told
 * hutool         Hutool since 5.4.7: less than 2000 ms behind it keeps the last ms and counts on. A sequence that is used up
 *                while the clock is still behind is an error
 * hutool-5.4.6   before: that error comes after the sequence was zeroed (issue 1206)
 * mybatis-plus   its wall clock is a word that a background thread updates every ms; up to 5 ms behind as leaf; a sequence starts
 *                at 1 or 2; its node id is made from the MAC and the pid
 *
 * All but hutool wait for the next ms when a sequence is used up. */
#include <stdio.h>

#include "ks_rand.h"
#include "mono_offset.h"

enum { CHECKED, TWITTER_2010, UNCHECKED, MONOTONIC, MS20, LEAF, HUTOOL, HUTOOL_5_4_6, MYBATIS_PLUS };
enum { WORKER_AUTO, WORKER_GIVEN, WORKER_LEASE, WORKER_MAC_PID };
enum { FALLBACK_REFUSE, FALLBACK_MONO_OFFSET };
enum { CLOCK_WENT_BACK, TIME_OUT_OF_RANGE, NODE_ID_TOO_LARGE, NO_LEASE, STILL_BEHIND, BEFORE_REPORTED, COUNTER_USED_UP };

#define SHORT_BEHIND_MS 5       /* leaf, mybatis-plus: worth waiting for */
#define HUTOOL_BEHIND_MS 2000
#define COUNTER_BITS 20         /* of ms20 */
#define PERSIST_AHEAD_MS 1000
#define HIGH_WATER_SLOT 0

struct cfg {
	int64_t variant, node_bits, seq_bits, epoch_ns, worker, fallback, persist;
};

struct shared {
	ks_lock lock;
	ks_word last_ms; /* unix ms of the last key */
	ks_word seq;
	ks_word cached_ms;    /* mybatis-plus: what the background thread read last */
	ks_word high_water;   /* persist: no ms from here on was issued */
	ks_word count;        /* ms20, and of the fallback */
	ks_word leased;       /* the worker id that the registry gave, + 1 */
	/* set once, before the first call: */
	uint64_t worker;      /* unless it is leased */
	int64_t base_ns;      /* monotonic: wall clock less monotonic clock */
	uint64_t reported_ms; /* leaf */
};

static const char *const variants[] = {"checked", "twitter-2010", "unchecked", "monotonic", "ms20", "leaf", "hutool", "hutool-5.4.6",
                                       "mybatis-plus", NULL};
static const char *const workers[] = {"auto", "given", "lease", "mac-pid", NULL};
static const char *const fallbacks[] = {"refuse", "mono-offset", NULL};
static const struct ks_opt opts[] = {
	{"variant", KS_OPT_WORD, offsetof(struct cfg, variant), 0, 0, "checked", "what it does when the clock went back", variants, 1},
	{"node_bits", KS_OPT_INT, offsetof(struct cfg, node_bits), 0, 22, "10", "bits of the node id", NULL, 0},
	{"seq_bits", KS_OPT_INT, offsetof(struct cfg, seq_bits), 1, 22, "12", "bits of the sequence within a ms", NULL, 0},
	{"epoch", KS_OPT_DUR, offsetof(struct cfg, epoch_ns), 0, INT64_C(4102444800000000000), "1288834974657ms",
	 "what time field 0 stands for, since 1970", NULL, 0},
	{"worker", KS_OPT_WORD, offsetof(struct cfg, worker), 0, 0, "auto",
	 "the node id: of the node, leased from the registry at the start, or made from MAC and pid (auto: mac-pid for mybatis-plus)", workers, 0},
	{"fallback", KS_OPT_WORD, offsetof(struct cfg, fallback), 0, 0, "refuse",
	 "lease: without an answer refuse and ask again, or issue mono-offset's ids instead", fallbacks, 0},
	{"persist", KS_OPT_BOOL, offsetof(struct cfg, persist), 0, 0, "false",
	 "keep a mark on disk, at most 1 s ahead of the ms in use; after a restart none below it is issued", NULL, 0},
	{0},
};

static const struct ks_word_meaning words[] = {
	{"checked", "Twitter 2012: refuses, the state is left alone"},
	{"twitter-2010", "refuses too, but has zeroed the sequence before it looks (twitter-archive/snowflake issue 6)"},
	{"unchecked", "bwmarrin/snowflake before 2019: does not look (issues 18, 20)"},
	{"monotonic", "bwmarrin/snowflake since: the wall clock as it was at the start, plus the monotonic clock since"},
	{"ms20", "field report G6: ms << 20 | counter++, the counter not masked; no node id"},
	{"leaf", "Meituan Leaf: up to 5 ms behind it sleeps twice as long; tells the registry its time every 3 s"},
	{"hutool", "Hutool since 5.4.7: less than 2 s behind it keeps the last ms and counts on"},
	{"hutool-5.4.6", "before: a sequence that is used up while behind starts again (issue 1206)"},
	{"mybatis-plus", "a wall clock that a background thread updates every ms; up to 5 ms behind as leaf"},
	{"lease", "the registry hands out worker ids at the start, and may not answer"},
	{"mac-pid", "mybatis-plus: 5 bits of the MAC, 5 of a hash with the pid; containers have few of either"},
	{"mono-offset", "without a lease: a count of the process and monotonic ns, in the same column"},
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
	if (c->variant == MS20) {
		c->epoch_ns = 0;
		c->node_bits = 0;
		c->seq_bits = COUNTER_BITS;
	}
	if (c->worker == WORKER_AUTO)
		c->worker = c->variant == MYBATIS_PLUS ? WORKER_MAC_PID : WORKER_GIVEN;
	return 0;
}

static int claims(const void *cfg, struct ks_claim *claim)
{
	const struct cfg *c = cfg;
	claim[0] = (struct ks_claim){"unique@fleet", c->variant == MS20 ? "field report F6: the first repair"
	                                                               : "Twitter Snowflake README: unique without coordination at run time"};
	claim[1] = (struct ks_claim){"increasing@process", "ids of one generator grow"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	const struct cfg *c = cfg;
	unsigned mask = 1u << KS_REALTIME;
	bool sleeps = c->variant == LEAF || c->variant == MYBATIS_PLUS;
	if (c->variant == MONOTONIC || sleeps || (c->worker == WORKER_LEASE && c->fallback == FALLBACK_MONO_OFFSET))
		mask |= 1u << KS_MONOTONIC;
	return mask;
}

/* ---- who it is ---- */

/* Java's String.hashCode of the decimal text. */
static uint32_t java_hash(const char *text)
{
	uint32_t h = 0;
	for (; *text; text++)
		h = 31 * h + (unsigned char)*text;
	return h;
}

/* mybatis-plus: 5 bits from the last two bytes of the MAC, 5 from the hash of those and the pid. In containers the MAC is the
 * address and the pid is small, so few pairs are left. */
static uint64_t mac_pid_worker(struct ks_env *env)
{
	char text[48];
	uint64_t mac = env_identity(env, KS_ID_MAC);
	uint64_t pid = env_identity(env, KS_ID_PID);
	uint64_t dc = (((mac >> 8 & 0xff) | (mac & 0xff) << 8) >> 6) % 32;
	snprintf(text, sizeof text, "%llu%llu", (unsigned long long)dc, (unsigned long long)pid);
	return dc << 5 | (java_hash(text) & 0xffff) % 32;
}

static void lease(struct ks_env *env, struct shared *s)
{
	uint64_t worker;
	if (env_registry_lease(env, &worker))
		env_store(env, &s->leased, worker + 1);
}

static void find_worker(struct ks_env *env, const struct cfg *c, struct shared *s)
{
	if (c->worker == WORKER_LEASE)
		lease(env, s);
	else if (c->worker == WORKER_MAC_PID)
		s->worker = mac_pid_worker(env);
	else
		s->worker = env_identity(env, KS_ID_WORKER);
}

/* Who asks the registry without an answer asks again at every call, unless it has something to fall back to.
 * @return false: there is none. */
static bool leased_worker(struct ks_env *env, const struct cfg *c, struct shared *s, uint64_t *worker)
{
	uint64_t leased = env_load(env, &s->leased);
	if (!leased && c->fallback == FALLBACK_REFUSE) {
		env_lock(env, &s->lock);
		leased = env_load(env, &s->leased);
		if (!leased)
			lease(env, s);
		leased = env_load(env, &s->leased);
		env_unlock(env, &s->lock);
	}
	*worker = leased - 1;
	return leased;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	const struct cfg *c = cfg;
	struct shared *s = shared;
	find_worker(env, c, s);
	if (c->variant == MONOTONIC) {
		int64_t wall_ns = env_clock(env, KS_REALTIME);
		int64_t monotonic_ns = env_clock(env, KS_MONOTONIC);
		s->base_ns = wall_ns - monotonic_ns;
	}
	if (c->variant == MYBATIS_PLUS) {
		int64_t ms = ks_wall_ms(env);
		env_store(env, &s->cached_ms, (uint64_t)ms);
	}
	uint64_t mark;
	if (c->variant == LEAF && env_registry_reported(env, &mark))
		s->reported_ms = mark;
	if (c->persist && env_persist_get(env, HIGH_WATER_SLOT, &mark)) {
		env_store(env, &s->high_water, mark);
		env_store(env, &s->last_ms, mark - 1);
	}
}

/* ---- beside the calls ---- */

static void update_cached(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	int64_t ms = ks_wall_ms(env);
	env_store(env, &s->cached_ms, (uint64_t)ms);
}

static void report(struct ks_env *env, const void *cfg, void *shared)
{
	(void)cfg, (void)shared;
	int64_t ms = ks_wall_ms(env);
	if (ms >= 0)
		env_registry_report(env, (uint64_t)ms);
}

static const struct ks_background *background(const void *cfg)
{
	static const struct ks_background none[] = {{0, NULL}};
	static const struct ks_background caches[] = {{NS_PER_MS, update_cached}, {0, NULL}};
	static const struct ks_background reports[] = {{3 * NS_PER_S, report}, {0, NULL}};
	const struct cfg *c = cfg;
	return c->variant == LEAF ? reports : c->variant == MYBATIS_PLUS ? caches : none;
}

/* ---- the time ---- */

static int64_t read_ms(struct ks_env *env, const struct cfg *c, struct shared *s)
{
	if (c->variant == MONOTONIC) {
		int64_t since = env_clock(env, KS_MONOTONIC);
		return s->base_ns + since >= 0 ? (s->base_ns + since) / NS_PER_MS : -1;
	}
	if (c->variant == MYBATIS_PLUS)
		return (int64_t)env_load(env, &s->cached_ms);
	return ks_wall_ms(env);
}

static void sleep_ms(struct ks_env *env, int64_t ms)
{
	int64_t now = env_clock(env, KS_MONOTONIC);
	env_wait_until(env, KS_MONOTONIC, now + ms * NS_PER_MS);
}

/* Waits until the clock shows a ms after last. */
static int64_t next_ms(struct ks_env *env, const struct cfg *c, struct shared *s, int64_t last)
{
	int64_t ms;
	do {
		if (c->variant == MONOTONIC)
			env_wait_until(env, KS_MONOTONIC, (last + 1) * NS_PER_MS - s->base_ns);
		else if (c->variant != MYBATIS_PLUS)
			env_wait_until(env, KS_REALTIME, (last + 1) * NS_PER_MS);
		ms = read_ms(env, c, s);
	} while (ms <= last);
	return ms;
}

/* ---- policies ---- */

/* The clock shows less than at the last key. @return the ms to go on with; less than last: refuse. */
static int64_t behind(struct ks_env *env, const struct cfg *c, struct shared *s, int64_t ms, int64_t last)
{
	switch (c->variant) {
	case HUTOOL:
	case HUTOOL_5_4_6:
		return last - ms < HUTOOL_BEHIND_MS ? last : ms;
	case LEAF:
	case MYBATIS_PLUS:
		if (last - ms > SHORT_BEHIND_MS)
			return ms;
		sleep_ms(env, 2 * (last - ms));
		return read_ms(env, c, s);
	case TWITTER_2010:
		env_store(env, &s->seq, 0);
		return ms;
	default:
		return ms;
	}
}

static bool looks_back(const struct cfg *c)
{
	return c->variant != UNCHECKED && c->variant != MONOTONIC;
}

/* Where a sequence starts in a new ms. */
static uint64_t first_seq(struct ks_env *env, const struct cfg *c)
{
	if (c->variant != LEAF && c->variant != MYBATIS_PLUS)
		return 0;
	uint64_t word = env_random(env);
	return c->variant == LEAF ? (uint64_t)ks_rand_in(word, 0, 99) : (uint64_t)ks_rand_in(word, 1, 2);
}

/* A sequence is used up. @return the next ms; last: refuse. */
static int64_t used_up(struct ks_env *env, const struct cfg *c, struct shared *s, int64_t last)
{
	if (c->variant == HUTOOL || c->variant == HUTOOL_5_4_6) {
		int64_t now = read_ms(env, c, s);
		if (now < last) {
			if (c->variant == HUTOOL_5_4_6)
				env_store(env, &s->seq, 0);
			return last;
		}
	}
	return next_ms(env, c, s, last);
}

/* The mark on disk is ahead of every ms in use. */
static void keep_mark(struct ks_env *env, struct shared *s, int64_t ms)
{
	uint64_t mark = env_load(env, &s->high_water);
	if ((uint64_t)ms < mark)
		return;
	mark = (uint64_t)(ms + PERSIST_AHEAD_MS);
	env_persist_put(env, HIGH_WATER_SLOT, mark);
	env_store(env, &s->high_water, mark);
}

/* What is between the locks. */
static enum ks_outcome issue(struct ks_env *env, const struct cfg *c, struct shared *s, uint64_t worker, struct ks_key *key,
                             uint8_t *why)
{
	int64_t ms = read_ms(env, c, s);
	int64_t last = (int64_t)env_load(env, &s->last_ms);
	uint64_t seq = 0;
	if (ms < last && looks_back(c)) {
		ms = behind(env, c, s, ms, last);
		if (ms < last) {
			*why = CLOCK_WENT_BACK;
			return KS_REFUSE;
		}
	}
	if (ms < (int64_t)s->reported_ms) {
		*why = BEFORE_REPORTED;
		return KS_REFUSE;
	}
	if (ms == last) {
		seq = env_load(env, &s->seq);
		seq = (seq + 1) & ((1u << c->seq_bits) - 1);
		if (seq == 0) {
			ms = used_up(env, c, s, last);
			if (ms == last) {
				*why = STILL_BEHIND;
				return KS_REFUSE;
			}
			seq = first_seq(env, c);
		}
	} else {
		seq = first_seq(env, c);
	}
	int64_t since = ms - c->epoch_ns / NS_PER_MS;
	int64_t shift = c->node_bits + c->seq_bits;
	if (since < 0 || since >> (63 - shift)) {
		*why = TIME_OUT_OF_RANGE;
		return KS_REFUSE;
	}
	if (c->persist)
		keep_mark(env, s, ms);
	env_store(env, &s->last_ms, (uint64_t)ms);
	env_store(env, &s->seq, seq);
	*key = ks_key64((uint64_t)since << shift | worker << c->seq_bits | seq);
	return KS_KEY;
}

/* No lock, no state but the counter; a counter of more than 20 bits spills into the ms. */
static enum ks_outcome issue_ms20(struct ks_env *env, struct shared *s, struct ks_key *key, uint8_t *why)
{
	int64_t ms = ks_wall_ms(env);
	uint64_t n = env_fetch_add(env, &s->count, 1);
	*why = TIME_OUT_OF_RANGE;
	if (ms < 0)
		return KS_REFUSE;
	*key = ks_key64(((uint64_t)ms << COUNTER_BITS | n) & INT64_MAX);
	return KS_KEY;
}

static enum ks_outcome without_worker(struct ks_env *env, const struct cfg *c, struct shared *s, struct ks_key *key, uint8_t *why)
{
	*why = c->fallback == FALLBACK_REFUSE ? NO_LEASE : COUNTER_USED_UP;
	if (c->fallback == FALLBACK_MONO_OFFSET)
		return ks_mono_offset(env, &s->count, key) ? KS_KEY : KS_REFUSE;
	return KS_REFUSE;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	if (c->variant == MS20)
		return issue_ms20(env, s, key, why);
	uint64_t worker = s->worker;
	if (c->worker == WORKER_LEASE && !leased_worker(env, c, s, &worker))
		return without_worker(env, c, s, key, why);
	if (worker >> c->node_bits) {
		*why = NODE_ID_TOO_LARGE;
		return KS_REFUSE;
	}
	env_lock(env, &s->lock);
	enum ks_outcome outcome = issue(env, c, s, worker, key, why);
	env_unlock(env, &s->lock);
	return outcome;
}

/* An id of the fallback reads like one of the first days after the epoch: nothing in it says what it is. */
static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	uint64_t ms = key.lo >> (c->node_bits + c->seq_bits);
	*f = (struct ks_fields){0};
	ks_embed(f, c->epoch_ns, ms, NS_PER_MS);
	ks_field(f, "ms", ms);
	if (c->variant != MS20)
		ks_field(f, "node", key.lo >> c->seq_bits & ((UINT64_C(1) << c->node_bits) - 1));
	ks_field(f, c->variant == MS20 ? "counter" : "seq", key.lo & ((UINT64_C(1) << c->seq_bits) - 1));
}

static bool ticks(const void *cfg, struct ks_tick_field *f)
{
	const struct cfg *c = cfg;
	*f = (struct ks_tick_field){c->epoch_ns, NS_PER_MS, false, (uint8_t)(c->node_bits + c->seq_bits)};
	return true;
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
	.layout = "decimal: 41 ms since the epoch (Twitter's), 10 node, 12 sequence; ms20: 43 unix ms, 20 counter",
	.source = "twitter-archive/snowflake 2012; field report G6, G7",
	.opts = opts,
	.words = words,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the clock went back", "the time does not fit its field", "the node id does not fit its field",
                    "no registry gave a worker id", "the sequence is used up while the clock is behind",
                    "the clock shows less than was reported to the registry", "the counter is used up"},
	.configure = configure,
	.claims = claims,
	.clocks = clocks,
	.init = init,
	.next = next,
	.background = background,
	.decode = decode,
	.ticks = ticks,
	.format = ks_print_decimal,
	.parse = parse,
};
