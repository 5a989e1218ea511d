/* uidgenerator: 28 bits of seconds since 2016-05-20, 22 of worker, 13 of sequence (Baidu's DefaultUidGenerator). Refuses while the clock is
 * behind; a sequence that is used up waits for the next second. With its own numbers of bits the seconds have run out in
 * November 2024: since then it refuses every call. Its documentation has 29, 21, 13 for those who want more years. */
#include "parts.h"

#define EPOCH_S INT64_C(1463673600)

enum { CLOCK_WENT_BACK, TIME_OUT_OF_RANGE, WORKER_TOO_LARGE };

struct cfg {
	int64_t time_bits, worker_bits, seq_bits;
};

struct shared {
	ks_lock lock;
	ks_word last_s, seq;
	uint64_t worker; /* set once, before the first call */
};

static const struct ks_opt opts[] = {
	{"time_bits", KS_OPT_INT, offsetof(struct cfg, time_bits), 1, 40, "28", "bits of the seconds", NULL, 0},
	{"worker_bits", KS_OPT_INT, offsetof(struct cfg, worker_bits), 1, 40, "22", "bits of the worker", NULL, 0},
	{"seq_bits", KS_OPT_INT, offsetof(struct cfg, seq_bits), 1, 30, "13", "bits of the sequence within a second", NULL, 0},
	{0},
};

static int configure(void *cfg, struct ks_err *err)
{
	const struct cfg *c = cfg;
	if (c->time_bits + c->worker_bits + c->seq_bits != 63)
		return ks_fail(err, KS_E_USAGE, "time_bits, worker_bits and seq_bits take %lld bits, expected 63",
		               (long long)(c->time_bits + c->worker_bits + c->seq_bits));
	return 0;
}

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "baidu/uid-generator README"};
	claim[1] = (struct ks_claim){"increasing@process", "baidu/uid-generator: refuses when the clock moved backwards"};
	return 2;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	s->worker = env_identity(env, KS_ID_WORKER);
}

static enum ks_outcome issue(struct ks_env *env, const struct cfg *c, struct shared *s, struct ks_key *key, uint8_t *why)
{
	int64_t now = env_clock(env, KS_REALTIME);
	int64_t second = now >= 0 ? now / NS_PER_S : -1;
	int64_t last = (int64_t)env_load(env, &s->last_s);
	uint64_t seq = 0;
	*why = TIME_OUT_OF_RANGE;
	if (second < EPOCH_S || (second - EPOCH_S) >> c->time_bits)
		return KS_REFUSE;
	*why = CLOCK_WENT_BACK;
	if (second < last)
		return KS_REFUSE;
	if (second == last) {
		seq = env_load(env, &s->seq);
		seq = (seq + 1) & ((UINT64_C(1) << c->seq_bits) - 1);
		if (seq == 0)
			second = ks_wall_after(env, last, NS_PER_S);
	}
	env_store(env, &s->last_s, (uint64_t)second);
	env_store(env, &s->seq, seq);
	*key = ks_key64((uint64_t)(second - EPOCH_S) << (c->worker_bits + c->seq_bits) | s->worker << c->seq_bits | seq);
	return KS_KEY;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	*why = WORKER_TOO_LARGE;
	if (s->worker >> c->worker_bits)
		return KS_REFUSE;
	env_lock(env, &s->lock);
	enum ks_outcome outcome = issue(env, c, s, key, why);
	env_unlock(env, &s->lock);
	return outcome;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, EPOCH_S * NS_PER_S, key.lo >> (c->worker_bits + c->seq_bits), NS_PER_S);
	ks_field(f, "s", key.lo >> (c->worker_bits + c->seq_bits));
	ks_field(f, "worker", key.lo >> c->seq_bits & ((UINT64_C(1) << c->worker_bits) - 1));
	ks_field(f, "seq", key.lo & ((UINT64_C(1) << c->seq_bits) - 1));
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	if (ks_parse_decimal(cfg, text, key))
		return -1;
	return key->lo > INT64_MAX ? -1 : 0;
}

const struct ks_gen KS_GEN(uidgenerator) = {
	.name = "uidgenerator",
	.title = "28 bits of seconds, worker, sequence",
	.layout = "decimal: 28 s since 2016-05-19T16:00:00Z, 22 worker, 13 sequence",
	.source = "github.com/baidu/uid-generator",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the clock went back", "the time does not fit its field", "the worker id does not fit its field"},
	.configure = configure,
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init,
	.next = next,
	.decode = decode,
	.format = ks_print_decimal,
	.parse = parse,
};
