/* uuidv7 (RFC 9562, 5.7): 48 bits of unix ms, version, variant, and 74 bits by method, or as an implementation has them.
 *
 * method=random            (6.2 without a monotonicity method): all 74 are random; the time follows the clock
 * method=counter           (6.2 method 1, as LiosK's libraries do it): a 42-bit counter that starts at random in every new ms, and
 *                          32 random bits. A clock up to 10 s behind freezes the ms and goes on counting; further behind, it
 *                          starts anew from the clock and order breaks. A full counter moves the ms on by one
 * method=monotonic-random  (6.2 method 2, as npm's uuid 11): 32 bits of sequence that start at random below 2^31, 42 random bits.
 *                          However far the clock is behind, the ms is kept
 * method=submilli          (6.2 method 3, as PostgreSQL 18): 12 bits of the ms's fraction, 62 random bits. Each key is at least
 *                          245 ns (the next value of those 12 bits) after the one before
 * variant=google           (google/uuid): ms and the ns within it / 256 are one number; at least one more than the last
 * variant=cpython-3.14     42-bit counter, 32 random bits; while the clock is behind each call takes the last ms + 1, and so runs
 *                          ahead (cpython issue 138862)
 * variant=rust-contextv7   (uuid 1.15 to 1.23.1) 42-bit counter, 32 random bits; seconds and the part below are kept apart, and while the
 *                          clock is not ahead the larger part below is taken with the old seconds */
#include "parts.h"

#define COUNTER_BITS 42
#define COUNTER_MASK ((UINT64_C(1) << COUNTER_BITS) - 1)
#define TIME_MASK ((UINT64_C(1) << 48) - 1)
/* cpython and rust start a counter with its highest bit clear. */
#define START_MASK (COUNTER_MASK >> 1)
#define SUBMILLI_STEP_NS 245

enum { RANDOM, COUNTER, MONOTONIC_RANDOM, SUBMILLI };
enum { RFC, GOOGLE, CPYTHON_3_14, RUST_CONTEXTV7 };
enum { TIME_OUT_OF_RANGE };

struct cfg {
	int64_t method, variant, rollback_ns;
};

struct shared {
	ks_lock lock;
	ks_word last;    /* ms; submilli: ns; google: ms x 4096 + part; rust: ms of the last new counter */
	ks_word counter;
	ks_word seconds, part_ms; /* rust: of the last key */
};

/* What the methods work out of a reading. */
struct parts {
	uint64_t ms, rand_a, rand_b;
};

static const char *const methods[] = {"random", "counter", "monotonic-random", "submilli", NULL};
static const char *const variants[] = {"rfc", "google", "cpython-3.14", "rust-contextv7", NULL};
static const struct ks_opt opts[] = {
	{"method", KS_OPT_WORD, offsetof(struct cfg, method), 0, 0, "random", "what the 74 bits beside the time are", methods, 1},
	{"variant", KS_OPT_WORD, offsetof(struct cfg, variant), 0, 0, "rfc", "by method; or an implementation with its own", variants, 1},
	{"rollback", KS_OPT_DUR, offsetof(struct cfg, rollback_ns), 0, INT64_C(86400000000000), "10s",
	 "counter: how far the clock may be behind before it starts anew", NULL, 0},
	{0},
};

static bool is_random(const struct cfg *c)
{
	return c->variant == RFC && c->method == RANDOM;
}

static const struct ks_word_meaning words[] = {
	{"random", "74 random bits; follows the clock"},
	{"counter", "RFC 9562 6.2 method 1 (LiosK): 42 bits of counter; up to 10 s behind the ms is kept"},
	{"monotonic-random", "method 2 (npm uuid 11): 32 bits of sequence; the ms is kept however far behind"},
	{"submilli", "method 3 (PostgreSQL 18): 12 bits of the ms's fraction; each at least 245 ns after the last"},
	{"google", "google/uuid: ms and fraction are one number, at least one more than the last"},
	{"cpython-3.14", "while behind, every call takes the last ms + 1 (cpython issue 138862)"},
	{"rust-contextv7", "uuid 1.15 to 1.23.1: while behind, the larger part below a second with the old second"},
	{0},
};

static int configure(void *cfg, struct ks_err *err)
{
	const struct cfg *c = cfg;
	if (c->variant != RFC && c->method != RANDOM)
		return ks_fail(err, KS_E_USAGE, "variant %s has a method of its own, expected no option 'method'", variants[c->variant]);
	return 0;
}

static int claims(const void *cfg, struct ks_claim *claim)
{
	static const char *const of_method[] = {NULL, "RFC 9562, 6.2 method 1", "RFC 9562, 6.2 method 2", "RFC 9562, 6.2 method 3"};
	static const char *const of_variant[] = {NULL, "google/uuid NewV7", "Python 3.14 documentation of uuid7", "uuid crate, ContextV7"};
	const struct cfg *c = cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "RFC 9562, 6.7"};
	if (is_random(c))
		return 1;
	claim[1] = (struct ks_claim){"increasing@process", c->variant == RFC ? of_method[c->method] : of_variant[c->variant]};
	return 2;
}

static struct ks_key compose(uint64_t ms, uint64_t rand_a, uint64_t rand_b)
{
	return (struct ks_key){ms << 16 | UINT64_C(7) << 12 | (rand_a & 0xfff), UINT64_C(2) << 62 | (rand_b & (UINT64_MAX >> 2))};
}

/* A 42-bit counter over both parts, with 32 random bits below it. */
static void place_counter(struct ks_env *env, struct parts *p, uint64_t counter)
{
	uint64_t word = env_random(env);
	p->rand_a = counter >> 30;
	p->rand_b = counter << 32 | (word & UINT32_MAX);
}

/* ---- methods, with the lock held: p->ms is what the clock shows, and becomes the key's ---- */

static void counter(struct ks_env *env, const struct cfg *c, struct shared *s, struct parts *p)
{
	uint64_t ms = p->ms, value = 0;
	uint64_t last = env_load(env, &s->last);
	uint64_t rollback_ms = (uint64_t)(c->rollback_ns / NS_PER_MS);
	bool fresh = ms > last || ms + rollback_ms < last;
	if (!fresh) {
		ms = last;
		value = env_load(env, &s->counter);
		value += 1;
		fresh = value > COUNTER_MASK;
		ms += fresh;
	}
	if (fresh) {
		uint64_t word = env_random(env);
		value = word & COUNTER_MASK;
	}
	env_store(env, &s->last, ms);
	env_store(env, &s->counter, value);
	p->ms = ms;
	place_counter(env, p, value);
}

static void monotonic_random(struct ks_env *env, struct shared *s, struct parts *p)
{
	uint64_t last = env_load(env, &s->last);
	uint64_t seq = env_load(env, &s->counter);
	uint64_t word = env_random(env);
	if (p->ms > last) {
		seq = word >> 33; /* below 2^31 */
	} else {
		seq = (seq + 1) & UINT32_MAX;
		p->ms = last + !seq;
	}
	env_store(env, &s->last, p->ms);
	env_store(env, &s->counter, seq);
	word = env_random(env);
	p->rand_a = seq >> 20;
	p->rand_b = seq << 42 | (word & COUNTER_MASK);
}

static void submilli(struct ks_env *env, struct shared *s, int64_t now_ns, struct parts *p)
{
	uint64_t ns = (uint64_t)now_ns;
	uint64_t last = env_load(env, &s->last);
	if (ns < last + SUBMILLI_STEP_NS)
		ns = last + SUBMILLI_STEP_NS;
	env_store(env, &s->last, ns);
	p->ms = ns / (uint64_t)NS_PER_MS;
	p->rand_a = ns % (uint64_t)NS_PER_MS * 4096 / (uint64_t)NS_PER_MS;
	p->rand_b = env_random(env);
}

static void google(struct ks_env *env, struct shared *s, int64_t now_ns, struct parts *p)
{
	uint64_t now = p->ms << 12 | (uint64_t)(now_ns % NS_PER_MS) >> 8;
	uint64_t last = env_load(env, &s->last);
	if (now <= last)
		now = last + 1;
	env_store(env, &s->last, now);
	p->ms = now >> 12;
	p->rand_a = now & 0xfff;
	p->rand_b = env_random(env);
}

static void cpython(struct ks_env *env, struct shared *s, struct parts *p)
{
	uint64_t last = env_load(env, &s->last);
	uint64_t value = env_load(env, &s->counter);
	uint64_t word = env_random(env);
	if (p->ms > last) {
		value = word & START_MASK;
	} else {
		if (p->ms < last)
			p->ms = last + 1;
		if (++value > COUNTER_MASK) {
			p->ms++;
			value = word & START_MASK;
		}
	}
	env_store(env, &s->last, p->ms);
	env_store(env, &s->counter, value);
	place_counter(env, p, value);
}

static void rust(struct ks_env *env, struct shared *s, struct parts *p)
{
	uint64_t seeded = env_load(env, &s->last);
	uint64_t value = env_load(env, &s->counter);
	uint64_t seconds = env_load(env, &s->seconds);
	uint64_t part = env_load(env, &s->part_ms);
	uint64_t word = env_random(env);
	bool fresh = p->ms > seeded;
	if (fresh) {
		seconds = p->ms / 1000;
		part = p->ms % 1000;
	} else {
		part = p->ms % 1000 > part ? p->ms % 1000 : part;
		fresh = ++value > COUNTER_MASK;
		part += fresh;
	}
	p->ms = seconds * 1000 + part;
	if (fresh) {
		value = word & START_MASK;
		env_store(env, &s->last, p->ms);
	}
	env_store(env, &s->counter, value);
	env_store(env, &s->seconds, p->ms / 1000);
	env_store(env, &s->part_ms, p->ms % 1000);
	place_counter(env, p, value);
}

static void advance(struct ks_env *env, const struct cfg *c, struct shared *s, int64_t now_ns, struct parts *p)
{
	if (c->variant == GOOGLE)
		google(env, s, now_ns, p);
	else if (c->variant == CPYTHON_3_14)
		cpython(env, s, p);
	else if (c->variant == RUST_CONTEXTV7)
		rust(env, s, p);
	else if (c->method == COUNTER)
		counter(env, c, s, p);
	else if (c->method == MONOTONIC_RANDOM)
		monotonic_random(env, s, p);
	else
		submilli(env, s, now_ns, p);
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	bool shares = !is_random(c);
	if (shares)
		env_lock(env, &s->lock);
	int64_t now = env_clock(env, KS_REALTIME);
	struct parts p = {.ms = (uint64_t)(now / NS_PER_MS)};
	bool fits = now >= 0 && p.ms <= TIME_MASK;
	if (shares) {
		if (fits)
			advance(env, c, s, now, &p);
		env_unlock(env, &s->lock);
	}
	if (!fits) {
		*why = TIME_OUT_OF_RANGE;
		return KS_REFUSE;
	}
	if (shares) {
		*key = compose(p.ms, p.rand_a, p.rand_b);
		return KS_KEY;
	}
	uint64_t a = env_random(env);
	uint64_t b = env_random(env);
	*key = compose(p.ms, a, b);
	return KS_KEY;
}

static bool has_counter(const struct cfg *c)
{
	return c->variant == CPYTHON_3_14 || c->variant == RUST_CONTEXTV7 || (c->variant == RFC && c->method == COUNTER);
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, 0, key.hi >> 16, NS_PER_MS);
	ks_field(f, "unix_ms", key.hi >> 16);
	ks_field(f, "version", key.hi >> 12 & 15);
	if (has_counter(c))
		ks_field(f, "counter", (key.hi & 0xfff) << 30 | (key.lo >> 32 & 0x3fffffff));
	else if (c->variant == RFC && c->method == MONOTONIC_RANDOM)
		ks_field(f, "seq", (key.hi & 0xfff) << 20 | (key.lo >> 42 & 0xfffff));
	else if (!is_random(c))
		ks_field(f, "fraction", key.hi & 0xfff);
}

static bool ticks(const void *cfg, struct ks_tick_field *f)
{
	(void)cfg;
	*f = (struct ks_tick_field){0, NS_PER_MS, true, 16};
	return true;
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	if (ks_key_from_uuid(text, key))
		return -1;
	return (key->hi >> 12 & 15) == 7 && key->lo >> 62 == 2 ? 0 : -1;
}

const struct ks_gen KS_GEN(uuidv7) = {
	.name = "uuidv7",
	.title = "RFC 9562 version 7: 48 bits of unix ms, 74 bits random or counted",
	.layout = "UUID: 48 unix ms, 4 version, 12 and 62 by method, 2 variant",
	.source = "RFC 9562",
	.opts = opts,
	.words = words,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the time does not fit 48 bits of ms"},
	.configure = configure,
	.claims = claims,
	.clocks = ks_reads_wall,
	.next = next,
	.decode = decode,
	.ticks = ticks,
	.format = ks_print_uuid,
	.parse = parse,
};
