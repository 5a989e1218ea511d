/* truetime: the latest that the time can be, and a wait until it must have passed (Spanner: Corbett et al., OSDI 2012).
 *
 * TT.now() is [wall - eps, wall + eps]. A key is TT.now().latest, or one more than the last key of the process; it is handed out when
 * TT.now().earliest is above it, about 2 eps later. As long as no clock is off by more than eps, a key that is asked for after
 * another was handed out, anywhere, is larger. eps is a promise of those who keep the clocks; a step beyond it breaks the order
 * without any sign. */
#include "parts.h"

struct cfg {
	int64_t eps_ns;
};

struct shared {
	ks_lock lock;
	ks_word last;
};

static const struct ks_opt opts[] = {
	{"eps", KS_OPT_DUR, offsetof(struct cfg, eps_ns), 0, NS_PER_S, "400us",
	 "how far clocks may be off: 1ms to 7ms in the paper, less with better clocks", NULL, 0},
	{0},
};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@process", "Spanner 4.1.2: timestamps of a leader grow"};
	claim[1] = (struct ks_claim){"increasing@fleet", "Spanner 4.1.2: external consistency"};
	return 2;
}

/* @return the key, or 0: out of range. */
static uint64_t assign(struct ks_env *env, const struct cfg *c, struct shared *s)
{
	int64_t now = env_clock(env, KS_REALTIME);
	uint64_t last = env_load(env, &s->last);
	if (now < 0 || now > INT64_MAX - 2 * c->eps_ns - 1)
		return 0;
	uint64_t latest = (uint64_t)(now + c->eps_ns);
	latest = latest > last ? latest : last + 1;
	env_store(env, &s->last, latest);
	return latest;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	env_lock(env, &s->lock);
	uint64_t stamp = assign(env, c, s);
	env_unlock(env, &s->lock);
	*why = 0;
	if (!stamp || stamp > (uint64_t)(INT64_MAX - c->eps_ns - 1))
		return KS_REFUSE;
	env_wait_until(env, KS_REALTIME, (int64_t)stamp + c->eps_ns + 1);
	*key = ks_key64(stamp);
	return KS_KEY;
}

/* It names the middle of what TT.now() was: the clock's own reading. */
static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	*f = (struct ks_fields){0};
	if (key.lo >= (uint64_t)c->eps_ns)
		ks_embed(f, 0, key.lo - (uint64_t)c->eps_ns, 1);
	ks_field(f, "latest_unix_ns", key.lo);
}

const struct ks_gen KS_GEN(truetime) = {
	.name = "truetime",
	.title = "latest possible wall clock in ns, commit wait",
	.layout = "decimal: unix ns, the latest that it could be",
	.source = "Spanner, OSDI 2012",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the wall clock shows a time before 1970 or near 2262"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.next = next,
	.decode = decode,
	.format = ks_print_decimal,
	.parse = ks_parse_decimal,
};
