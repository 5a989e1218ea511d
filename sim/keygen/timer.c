/* timer: not a generator of ids but of alarms: each call sleeps, and the key is the instant at which it ought to wake up.
 *
 * A timer that waits for an instant of the wall clock (timer_settime and clock_nanosleep with CLOCK_REALTIME and an absolute time, a
 * cron job, a deadline in a database) fires early or late when that clock is stepped meanwhile; one on CLOCK_MONOTONIC does not. Both
 * note the instant from CLOCK_MONOTONIC_RAW, which nobody sets: so a key ahead of its return (ahead_ns_max) is a timer that fired
 * early, and a stall beyond `after` one that fired late. */
#include "parts.h"

#include <stdio.h>

#define SLACK_NS NS_PER_MS

struct cfg {
	int64_t after_ns, clock;
	char on_time[48];
};

struct shared {
	int64_t raw_epoch_unix_ns; /* what the wall clock showed when RAW was 0, as far as it was right at the start */
};

static const char *const clock_names[] = {"wall", "monotonic", NULL};
static const struct ks_opt opts[] = {
	{"after", KS_OPT_DUR, offsetof(struct cfg, after_ns), 1, 3600 * NS_PER_S, "10ms", "how long it sleeps", NULL, 0},
	{"clock", KS_OPT_WORD, offsetof(struct cfg, clock), 0, 0, "wall", "which clock it waits for", clock_names, 1},
	{0},
};

static int configure(void *cfg, struct ks_err *err)
{
	struct cfg *c = cfg;
	(void)err;
	snprintf(c->on_time, sizeof c->on_time, "available(%lldns)@thread", (long long)(c->after_ns + SLACK_NS));
	return 0;
}

static int claims(const void *cfg, struct ks_claim *claim)
{
	const struct cfg *c = cfg;
	claim[0] = (struct ks_claim){"clock(1ms)@thread", "POSIX nanosleep: never early"};
	claim[1] = (struct ks_claim){c->on_time, "what callers expect: within 1 ms"};
	return 2;
}

static unsigned clocks(const void *cfg)
{
	const struct cfg *c = cfg;
	return 1u << KS_RAW | 1u << (c->clock ? KS_MONOTONIC : KS_REALTIME);
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	int64_t raw = env_clock(env, KS_RAW);
	int64_t wall = env_clock(env, KS_REALTIME);
	s->raw_epoch_unix_ns = wall - raw;
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	const struct cfg *c = cfg;
	const struct shared *s = shared;
	enum ks_clock_id id = c->clock ? KS_MONOTONIC : KS_REALTIME;
	(void)local;
	*why = 0;
	int64_t raw = env_clock(env, KS_RAW);
	int64_t now = env_clock(env, id);
	env_wait_until(env, id, now + c->after_ns);
	(void)env_clock(env, id); /* as every program does that was woken up */
	int64_t due = s->raw_epoch_unix_ns + raw + c->after_ns;
	if (due < 0)
		return KS_REFUSE;
	*key = ks_key64((uint64_t)due);
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, 0, key.lo, 1);
	ks_field(f, "due_unix_ns", key.lo);
}

const struct ks_gen KS_GEN(timer) = {
	.name = "timer",
	.title = "sleeps for a while; the key is when it should wake up",
	.layout = "decimal: unix ns at which it ought to wake up",
	.source = "field report C5: timers on the wall clock",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the wall clock showed a time before 1970 at the start"},
	.configure = configure,
	.claims = claims,
	.clocks = clocks,
	.init = init,
	.next = next,
	.decode = decode,
	.format = ks_print_decimal,
	.parse = ks_parse_decimal,
};
