/* hlc: hybrid logical clocks (Kulkarni et al. 2014; field report G10). The larger of the wall clock and of what was seen, and a
 * counter for when the clock does not advance.
 *
 * wrapping (the field report's): 48 bits of wall ms and 16 of counter in one atomic word; the counter is masked, so that its
 * 65,537th use in one ms repeats the first. carrying: the word counts one up, and so carries into the ms. cockroach (CockroachDB's
 * pkg/util/hlc): wall ns and 32 bits of logical time; a stamp from elsewhere that is too far ahead is not taken over.
 *
 * A stamp that comes in a message is merged: merge=increment (the paper's: the arrival is an event and gets a stamp of its own) or
 * merge=max (the field report's: only the larger is kept). */
#include <stdio.h>
#include <string.h>

#include "parts.h"

#define COUNTER_BITS 16
#define COUNTER_MASK ((UINT64_C(1) << COUNTER_BITS) - 1)
/* Of printed stamps of cockroach: 19 digits of ns sort as numbers (from 2001-09-09 on). */
#define NS_19_DIGITS INT64_C(1000000000000000000)

enum { WRAPPING, CARRYING, COCKROACH };
enum { INCREMENT, MAX };
enum { NUMBER, JSON, JSON_DOUBLE };
enum { TIME_OUT_OF_RANGE, USED_UP };

struct cfg {
	int64_t variant, merge, form, max_offset_ns;
};

struct shared {
	ks_lock lock;    /* cockroach's: its stamp is two words */
	ks_word wall;    /* ms and counter; cockroach: ns */
	ks_word logical; /* cockroach's */
};

static const char *const variants[] = {"wrapping", "carrying", "cockroach", NULL};
static const char *const merges[] = {"increment", "max", NULL};
static const char *const forms[] = {"number", "json", "json-double", NULL};
static const struct ks_opt opts[] = {
	{"variant", KS_OPT_WORD, offsetof(struct cfg, variant), 0, 0, "wrapping", "what a full counter does; or CockroachDB's clock", variants, 1},
	{"merge", KS_OPT_WORD, offsetof(struct cfg, merge), 0, 0, "increment", "of a stamp from elsewhere: one more than the larger, or the larger", merges, 0},
	{"form", KS_OPT_WORD, offsetof(struct cfg, form), 0, 0, "number", "alone, or as member hlc of a JSON object", forms, 1},
	{"max_offset", KS_OPT_DUR, offsetof(struct cfg, max_offset_ns), 0, 3600 * NS_PER_S, "500ms",
	 "cockroach: stamps further ahead of the own wall clock are not merged", NULL, 0},
	{0},
};

static const struct ks_word_meaning words[] = {
	{"wrapping", "field report G10: 16 bits of counter, masked: the 65537th in a ms repeats the first"},
	{"carrying", "a full counter carries into the ms"},
	{"cockroach", "CockroachDB: wall ns and 32 bits of logical time"},
	{"json", "{\"data\":{},\"hlc\":N}, as the field report carries it"},
	{"json-double", "the same, as a reader has it who keeps numbers in doubles: N is above 2^53, so 16 stamps are one"},
	{"increment", "a stamp that is received counts as an event (Kulkarni 2014)"},
	{"max", "the larger of both is kept (field report G10)"},
	{0},
};

static int configure(void *cfg, struct ks_err *err)
{
	const struct cfg *c = cfg;
	if (c->variant == COCKROACH && c->form != NUMBER)
		return ks_fail(err, KS_E_USAGE, "form %s is of 64-bit stamps, expected variant wrapping or carrying", forms[c->form]);
	return 0;
}

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@process", "Kulkarni 2014: each event gets a stamp of its own"};
	claim[1] = (struct ks_claim){"increasing@process", "Kulkarni 2014, Theorem 1"};
	claim[2] = (struct ks_claim){"causal@fleet", "Kulkarni 2014, Theorem 1; field report G10: max() from parent to nested map"};
	return 3;
}

static enum ks_compare compare(const void *cfg)
{
	const struct cfg *c = cfg;
	return c->variant == COCKROACH ? KS_COMPARE_BYTES : KS_COMPARE_NUMERIC;
}

/* ---- one word ---- */

static uint64_t counted(const struct cfg *c, uint64_t stamp)
{
	if (c->variant == CARRYING)
		return stamp + 1;
	return (stamp & ~COUNTER_MASK) | ((stamp + 1) & COUNTER_MASK);
}

/* As a reader has it who keeps numbers of JSON in doubles: 53 bits, to the nearest, ties to even. */
static uint64_t as_double(uint64_t v)
{
	int beyond = v ? 64 - __builtin_clzll(v) - 53 : 0;
	if (beyond <= 0)
		return v;
	uint64_t rest = v & ((UINT64_C(1) << beyond) - 1), half = UINT64_C(1) << (beyond - 1);
	v >>= beyond;
	v += rest > half || (rest == half && (v & 1));
	return v << beyond;
}

static enum ks_outcome next_word(struct ks_env *env, const struct cfg *c, struct shared *s, struct ks_key *key)
{
	int64_t ms = ks_wall_ms(env);
	if (ms < 0)
		return KS_REFUSE;
	uint64_t own = env_load(env, &s->wall), stamp;
	bool done = false;
	while (!done) {
		uint64_t now = (uint64_t)ms << COUNTER_BITS;
		stamp = (uint64_t)ms > own >> COUNTER_BITS ? now : counted(c, own);
		done = env_cas(env, &s->wall, &own, stamp);
	}
	*key = ks_key64(c->form == JSON_DOUBLE ? as_double(stamp) : stamp);
	return KS_KEY;
}

static void merge_word(struct ks_env *env, const struct cfg *c, struct shared *s, uint64_t theirs)
{
	int64_t ms = ks_wall_ms(env);
	uint64_t now = ms < 0 ? 0 : (uint64_t)ms << COUNTER_BITS;
	uint64_t own = env_load(env, &s->wall);
	bool done = false;
	while (!done) {
		uint64_t larger = theirs > own ? theirs : own;
		uint64_t merged = now >> COUNTER_BITS > larger >> COUNTER_BITS ? now : c->merge == MAX ? larger : counted(c, larger);
		done = env_cas(env, &s->wall, &own, merged);
	}
}

/* ---- cockroach: two words under a lock ---- */

/* Sets the stamp to the wall clock if that is ahead of (wall, logical), else to one logical step more.
 * @return false: logical time is used up. */
static bool step(struct ks_env *env, struct shared *s, int64_t now, struct ks_key *stamp)
{
	if ((uint64_t)now > stamp->hi)
		*stamp = (struct ks_key){(uint64_t)now, 0};
	else if (++stamp->lo > INT32_MAX)
		return false;
	env_store(env, &s->wall, stamp->hi);
	env_store(env, &s->logical, stamp->lo);
	return true;
}

static struct ks_key stamp_of(struct ks_env *env, struct shared *s)
{
	uint64_t wall = env_load(env, &s->wall);
	uint64_t logical = env_load(env, &s->logical);
	return (struct ks_key){wall, logical};
}

static enum ks_outcome next_pair(struct ks_env *env, struct shared *s, struct ks_key *key, uint8_t *why)
{
	env_lock(env, &s->lock);
	int64_t now = env_clock(env, KS_REALTIME);
	bool fits = now >= NS_19_DIGITS, left = true;
	if (fits) {
		*key = stamp_of(env, s);
		left = step(env, s, now, key);
	}
	env_unlock(env, &s->lock);
	*why = fits ? USED_UP : TIME_OUT_OF_RANGE;
	return fits && left ? KS_KEY : KS_REFUSE;
}

static void merge_pair(struct ks_env *env, const struct cfg *c, struct shared *s, struct ks_key theirs)
{
	env_lock(env, &s->lock);
	int64_t now = env_clock(env, KS_REALTIME);
	if (now >= 0 && theirs.hi <= (uint64_t)now + (uint64_t)c->max_offset_ns) {
		struct ks_key own = stamp_of(env, s);
		struct ks_key larger = ks_key_less(own, theirs) ? theirs : own;
		if (c->merge == INCREMENT) {
			step(env, s, now, &larger);
		} else {
			env_store(env, &s->wall, larger.hi);
			env_store(env, &s->logical, larger.lo);
		}
	}
	env_unlock(env, &s->lock);
}

/* ---- both ---- */

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	const struct cfg *c = cfg;
	(void)local;
	*why = TIME_OUT_OF_RANGE;
	return c->variant == COCKROACH ? next_pair(env, shared, key, why) : next_word(env, c, shared, key);
}

static void observe(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key remote)
{
	const struct cfg *c = cfg;
	(void)local;
	if (c->variant == COCKROACH)
		merge_pair(env, c, shared, remote);
	else
		merge_word(env, c, shared, remote.lo);
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	*f = (struct ks_fields){0};
	if (c->variant == COCKROACH) {
		ks_embed(f, 0, key.hi, 1);
		ks_field(f, "wall_ns", key.hi);
		ks_field(f, "logical", key.lo);
		return;
	}
	ks_embed(f, 0, key.lo >> COUNTER_BITS, NS_PER_MS);
	ks_field(f, "unix_ms", key.lo >> COUNTER_BITS);
	ks_field(f, "counter", key.lo & COUNTER_MASK);
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	const struct cfg *c = cfg;
	if (c->variant == COCKROACH)
		snprintf(buf, KS_KEY_TEXT, "%llu.%010llu", (unsigned long long)key.hi, (unsigned long long)key.lo);
	else if (c->form != NUMBER)
		snprintf(buf, KS_KEY_TEXT, "{\"data\":{},\"hlc\":%llu}", (unsigned long long)key.lo);
	else
		ks_key_decimal(buf, key);
	return buf;
}

static int parse_pair(const char *text, struct ks_key *key)
{
	struct ks_key logical;
	const char *rest = ks_scan_prefix(ks_scan_decimal(text, &key->hi), ".");
	if (!rest || key->hi < (uint64_t)NS_19_DIGITS || key->hi > INT64_MAX || ks_key_from_digits(rest, 10, "0123456789", &logical))
		return -1;
	key->lo = logical.lo;
	return key->lo > INT32_MAX ? -1 : 0;
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	const struct cfg *c = cfg;
	if (c->variant == COCKROACH)
		return parse_pair(text, key);
	if (c->form == NUMBER)
		return ks_parse_decimal(cfg, text, key);
	*key = (struct ks_key){0, 0};
	const char *rest = ks_scan_decimal(ks_scan_prefix(text, "{\"data\":{},\"hlc\":"), &key->lo);
	return rest && !strcmp(rest, "}") ? 0 : -1;
}

const struct ks_gen KS_GEN(hlc) = {
	.name = "hlc",
	.title = "hybrid logical clock: wall clock and counter, merged with what is received",
	.layout = "decimal: 48 unix ms, 16 counter; json: {\"data\":{},\"hlc\":N}; cockroach: <unix ns>.<10 digits of logical time>",
	.source = "Kulkarni et al. 2014; field report G10",
	.opts = opts,
	.words = words,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare_of = compare,
	.reasons = {"the wall clock shows a time out of range", "the logical part is used up"},
	.configure = configure,
	.claims = claims,
	.clocks = ks_reads_wall,
	.next = next,
	.observe = observe,
	.decode = decode,
	.format = format,
	.parse = parse,
};
