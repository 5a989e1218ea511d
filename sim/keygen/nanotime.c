/* nanotime: `%019d:<parent>:<name>`, the number being the monotonic clock in ns (field report G9).
 *
 * Lexicographic order is meant to be time order: 19 digits hold the largest int64. The clock is the machine's own: it
 * stops in suspend, begins anew at boot and says nothing about other machines. parent is the user of the call, name its depth. */
#include <stdio.h>

#include "parts.h"

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@process", "field report G9"};
	claim[1] = (struct ks_claim){"increasing@process", "field report G9: lexicographic order is time order"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 1u << KS_MONOTONIC;
}

/* The time in one word, the other two numbers packed in the other. */
static int compose(uint64_t ns, uint64_t user, uint64_t depth, struct ks_key *key)
{
	char text[48];
	int n = snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)user, (unsigned long long)depth);
	if (n > 16 || ks_pack_digits(text, key))
		return -1;
	*key = (struct ks_key){ns, key->hi};
	return 0;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)shared, (void)local;
	struct ks_call_context about = env_context(env);
	int64_t ns = env_clock(env, KS_MONOTONIC);
	*why = 0;
	return compose((uint64_t)ns, (uint64_t)about.user, (uint64_t)about.depth, key) ? KS_REFUSE : KS_KEY;
}

static void numbers(struct ks_key key, uint64_t *user, uint64_t *depth)
{
	char text[KS_PACK_MAX + 1];
	*user = *depth = 0;
	const char *rest = ks_scan_decimal(ks_unpack_digits((struct ks_key){key.lo, 0}, text), user);
	ks_scan_decimal(ks_scan_prefix(rest, ":"), depth);
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	uint64_t user, depth;
	(void)cfg;
	numbers(key, &user, &depth);
	*f = (struct ks_fields){0};
	ks_field(f, "monotonic_ns", key.hi);
	ks_field(f, "user", user);
	ks_field(f, "depth", depth);
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	uint64_t user, depth;
	(void)cfg;
	numbers(key, &user, &depth);
	snprintf(buf, KS_KEY_TEXT, "%019llu:user%llu:field%llu", (unsigned long long)key.hi, (unsigned long long)user,
	         (unsigned long long)depth);
	return buf;
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	char digits[20];
	struct ks_key ns;
	uint64_t user, depth;
	int n = snprintf(digits, sizeof digits, "%.19s", text);
	(void)cfg;
	if (n != 19 || ks_key_from_digits(digits, 19, "0123456789", &ns) || ns.lo > INT64_MAX)
		return -1;
	const char *rest = ks_scan_decimal(ks_scan_prefix(text + 19, ":user"), &user);
	rest = ks_scan_decimal(ks_scan_prefix(rest, ":field"), &depth);
	return rest && !*rest ? compose(ns.lo, user, depth, key) : -1;
}

const struct ks_gen KS_GEN(nanotime) = {
	.name = "nanotime",
	.title = "monotonic clock in ns, 19 digits, then parent and name",
	.layout = "<19 digits of ns since boot>:user<user>:field<depth>",
	.source = "field report G9",
	.opts = opts,
	.compare = KS_COMPARE_BYTES,
	.reasons = {"the user's number has too many digits"},
	.claims = claims,
	.clocks = clocks,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
