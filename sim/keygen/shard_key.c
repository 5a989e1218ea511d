/* shard-key: the shard of a task, floor(trigger_at / 300 s), trigger_at being the client's wall clock (field report G12, F4).
 *
 * blind: the shard alone is the key, so every task of a shard has the same one, and a blind UPSERT keeps the last. This needs no
 * fault. compare-and-set: shard and task, `<shard>:<task>`; the task's number is the worker's and a count of its process, so a row
 * is one task's and a version can be compared. */
#include <stdio.h>
#include <string.h>

#include "parts.h"

enum { BLIND, COMPARE_AND_SET };
enum { BEFORE_1970, TOO_LONG };
#define COUNT_BITS 32

struct cfg {
	int64_t variant, period_ns;
};

struct shared {
	ks_word tasks;
	uint64_t worker; /* set once, before the first call */
};

static const char *const variants[] = {"blind", "compare-and-set", NULL};
static const struct ks_opt opts[] = {
	{"variant", KS_OPT_WORD, offsetof(struct cfg, variant), 0, 0, "blind", "the shard alone, or with the task", variants, 1},
	{"period", KS_OPT_DUR, offsetof(struct cfg, period_ns), NS_PER_S, 86400 * NS_PER_S, "300s", "of a shard", NULL, 0},
	{0},
};

static const struct ks_word_meaning words[] = {
	{"blind", "the shard alone: all tasks of a shard share a key"},
	{"compare-and-set", "shard and task: a row is one task's"},
	{0},
};

static int claims(const void *cfg, struct ks_claim *claim)
{
	const struct cfg *c = cfg;
	claim[0] = (struct ks_claim){"unique@fleet", c->variant == BLIND ? "field report F4: a row a task is assumed"
	                                                                : "field report G12: the safe pair"};
	return 1;
}

static enum ks_compare compare(const void *cfg)
{
	const struct cfg *c = cfg;
	return c->variant == BLIND ? KS_COMPARE_NUMERIC : KS_COMPARE_BYTES;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	s->worker = env_identity(env, KS_ID_WORKER);
}

static int pair(uint64_t shard, uint64_t task, struct ks_key *key)
{
	char text[48];
	snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)shard, (unsigned long long)task);
	return ks_pack_digits(text, key);
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	int64_t now = env_clock(env, KS_REALTIME);
	*why = BEFORE_1970;
	if (now < 0)
		return KS_REFUSE;
	*key = ks_key64((uint64_t)(now / c->period_ns));
	if (c->variant == BLIND)
		return KS_KEY;
	uint64_t n = env_fetch_add(env, &s->tasks, 1);
	*why = TOO_LONG;
	return n >> COUNT_BITS || pair(key->lo, s->worker << COUNT_BITS | n, key) ? KS_REFUSE : KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	char text[KS_PACK_MAX + 1];
	uint64_t shard = key.lo, task = 0;
	*f = (struct ks_fields){0};
	if (c->variant == COMPARE_AND_SET) {
		const char *rest = ks_scan_decimal(ks_unpack_digits(key, text), &shard);
		ks_scan_decimal(ks_scan_prefix(rest, ":"), &task);
	}
	ks_embed(f, 0, shard, c->period_ns);
	ks_field(f, "shard", shard);
	if (c->variant == COMPARE_AND_SET)
		ks_field(f, "task", task);
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	const struct cfg *c = cfg;
	return c->variant == BLIND ? ks_key_decimal(buf, key) : ks_unpack_digits(key, buf);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	const struct cfg *c = cfg;
	uint64_t shard, task;
	if (c->variant == BLIND)
		return ks_parse_decimal(cfg, text, key);
	const char *rest = ks_scan_decimal(ks_scan_prefix(ks_scan_decimal(text, &shard), ":"), &task);
	return rest && !*rest ? pair(shard, task, key) : -1;
}

const struct ks_gen KS_GEN(shard_key) = {
	.name = "shard-key",
	.title = "wall clock / 300 s, alone or with the task",
	.layout = "decimal: unix time / period; compare-and-set: <shard>:<task>, 32 worker, 32 count",
	.source = "field report G12",
	.opts = opts,
	.words = words,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare_of = compare,
	.reasons = {"the wall clock shows a time before 1970", "the pair is too long"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
