/* unixmilli, unixnano: the wall clock and nothing else. The naive keys (field report G1, G2).
 *
 * plain: the number. user: `user:<uid>:log:<ms>` and `user:<uid>:<ns>`, which are made to be unique among the keys of a user
 * and sort by the user's digits first. The number of such a key packs the two numbers of its text, which sorts alike. */
#include <stdio.h>
#include <string.h>

#include "parts.h"

enum { PLAIN, USER };
enum { BEFORE_1970, USER_TOO_LONG };

struct cfg {
	int64_t form;
};

static const char *const forms[] = {"plain", "user", NULL};
static const struct ks_opt opts[] = {
	{"form", KS_OPT_WORD, offsetof(struct cfg, form), 0, 0, "plain", "the number alone, or with the user that the call is about", forms, 1},
	{0},
};

static int claims(const void *cfg, struct ks_claim *claim)
{
	const struct cfg *c = cfg;
	claim[0] = (struct ks_claim){"unique@process", "field report G1, G2: no two calls in one tick are assumed"};
	claim[1] = (struct ks_claim){"increasing@thread", "field report G1, G2: later calls are assumed to read later times"};
	return c->form == PLAIN ? 2 : 1;
}

static enum ks_compare compare(const void *cfg)
{
	const struct cfg *c = cfg;
	return c->form == PLAIN ? KS_COMPARE_NUMERIC : KS_COMPARE_BYTES;
}

static enum ks_outcome issue(struct ks_env *env, const struct cfg *c, int64_t tick_ns, struct ks_key *key, uint8_t *why)
{
	char text[48];
	int64_t now = env_clock(env, KS_REALTIME);
	if (now < 0) {
		*why = BEFORE_1970;
		return KS_REFUSE;
	}
	*key = ks_key64((uint64_t)(now / tick_ns));
	if (c->form == PLAIN)
		return KS_KEY;
	struct ks_call_context about = env_context(env);
	snprintf(text, sizeof text, "%lld:%lld", (long long)about.user, (long long)(now / tick_ns));
	*why = USER_TOO_LONG;
	return ks_pack_digits(text, key) ? KS_REFUSE : KS_KEY;
}

static void decode(const struct cfg *c, int64_t tick_ns, struct ks_key key, struct ks_fields *f)
{
	char text[KS_PACK_MAX + 1];
	uint64_t user = 0, tick = key.lo;
	*f = (struct ks_fields){0};
	if (c->form == USER) {
		const char *rest = ks_scan_decimal(ks_unpack_digits(key, text), &user);
		ks_scan_decimal(ks_scan_prefix(rest, ":"), &tick);
	}
	ks_embed(f, 0, tick, tick_ns);
	ks_field(f, tick_ns == 1 ? "unix_ns" : "unix_ms", tick);
	if (c->form == USER)
		ks_field(f, "user", user);
}

/* between: what stands between the two numbers. */
static char *format(const struct cfg *c, const char *between, struct ks_key key, char buf[KS_KEY_TEXT])
{
	char text[KS_PACK_MAX + 1];
	if (c->form == PLAIN)
		return ks_key_decimal(buf, key);
	char *colon = strchr(ks_unpack_digits(key, text), ':');
	if (colon)
		*colon = 0;
	snprintf(buf, KS_KEY_TEXT, "user:%s%s%s", text, between, colon ? colon + 1 : "");
	return buf;
}

static int parse(const struct cfg *c, const char *between, const char *text, struct ks_key *key)
{
	char both[48];
	uint64_t user, tick;
	if (c->form == PLAIN)
		return ks_parse_decimal(c, text, key);
	const char *rest = ks_scan_decimal(ks_scan_prefix(text, "user:"), &user);
	rest = ks_scan_decimal(ks_scan_prefix(rest, between), &tick);
	if (!rest || *rest)
		return -1;
	snprintf(both, sizeof both, "%llu:%llu", (unsigned long long)user, (unsigned long long)tick);
	return ks_pack_digits(both, key);
}

/* One generator for each tick. */
#define GENERATOR(NAME, TICK_NS, BETWEEN, TITLE, LAYOUT, SOURCE)                                                       \
	static enum ks_outcome NAME##_next(struct ks_env *env, const void *cfg, void *shared, void *local,             \
	                                   struct ks_key *key, uint8_t *why)                                           \
	{                                                                                                              \
		(void)shared, (void)local;                                                                             \
		return issue(env, cfg, TICK_NS, key, why);                                                             \
	}                                                                                                              \
	static void NAME##_decode(const void *cfg, struct ks_key key, struct ks_fields *f)                             \
	{                                                                                                              \
		decode(cfg, TICK_NS, key, f);                                                                          \
	}                                                                                                              \
	static char *NAME##_format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])                          \
	{                                                                                                              \
		return format(cfg, BETWEEN, key, buf);                                                                 \
	}                                                                                                              \
	static int NAME##_parse(const void *cfg, const char *text, struct ks_key *key)                                 \
	{                                                                                                              \
		return parse(cfg, BETWEEN, text, key);                                                                 \
	}                                                                                                              \
	const struct ks_gen KS_GEN(NAME) = {                                                                           \
		.name = #NAME,                                                                                         \
		.title = TITLE,                                                                                        \
		.layout = LAYOUT,                                                                                      \
		.source = SOURCE,                                                                                      \
		.opts = opts,                                                                                          \
		.cfg_size = sizeof(struct cfg),                                                                        \
		.compare_of = compare,                                                                                 \
		.reasons = {"the wall clock shows a time before 1970", "the user's number has too many digits"},       \
		.claims = claims,                                                                                      \
		.clocks = ks_reads_wall,                                                                               \
		.next = NAME##_next,                                                                                   \
		.decode = NAME##_decode,                                                                               \
		.format = NAME##_format,                                                                               \
		.parse = NAME##_parse,                                                                                 \
	}

GENERATOR(unixmilli, NS_PER_MS, ":log:", "wall clock in ms", "decimal: unix ms; user: user:<user>:log:<unix ms>", "field report G1");
GENERATOR(unixnano, 1, ":", "wall clock in ns", "decimal: unix ns; user: user:<user>:<unix ns>", "field report G2");
