/* The generator of programs that are asked for keys: what they request, they get from the environment. The threads of a
 * process share its program, so they take turns. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "env.h"
#include "keygen.h"

struct shared {
	ks_lock lock;
	struct ks_ask *program;
	struct ks_err *err; /* why there is none */
};

static int claims(const void *cfg, struct ks_claim *c)
{
	(void)cfg, (void)c;
	return 0; /* the generator's file says them */
}

static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return (1u << KS_NCLOCKS) - 1; /* it may ask for any */
}

/* Whose program it is: in the simulation all processes have theirs here, in a real one there is one. */
static uint32_t process_of(const struct ks_env *env)
{
#ifdef KS_ENV_SIM
	return ks_env_process(env);
#else
	(void)env;
	return 0;
#endif
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	const struct ks_ask_cfg *c = cfg;
	struct shared *s = shared;
	static _Thread_local struct ks_err err;
	uint64_t node_id = env_identity(env, KS_ID_WORKER);
	s->program = c->fleet->start(c->fleet, process_of(env), node_id, &err);
	s->err = &err; /* read by the first call, on this thread */
}

/* Sleeping is no reading of a clock: what the program read last stays. */
static void nap(struct ks_env *env, int64_t ns)
{
	int64_t value = env->read_value, at_ns = env->read_at_ns;
	uint8_t clock = env->read_clock, has_read = env->has_read;
	int64_t now = env_clock(env, KS_MONOTONIC);
	env_wait_until(env, KS_MONOTONIC, now + ns);
	env->read_value = value;
	env->read_at_ns = at_ns;
	env->read_clock = clock;
	env->has_read = has_read;
}

static int put_decimal(char *buf, int64_t v)
{
	char digits[24];
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	int n = 0, used = 0;
	do
		digits[n++] = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	if (v < 0)
		buf[used++] = '-';
	while (n)
		buf[used++] = digits[--n];
	return used;
}

static int put_random(struct ks_env *env, char *buf, uint32_t bytes)
{
	uint64_t word = 0;
	for (uint32_t i = 0; i < 2 * bytes; i++) {
		if (i % 16 == 0)
			word = env_random(env);
		buf[i] = "0123456789abcdef"[word >> 60];
		word <<= 4;
	}
	return (int)(2 * bytes);
}

/* @return the length of the answer. */
static int carry_out(struct ks_env *env, const struct ks_ask_line *said, char *answer)
{
	int n = 0;
	switch (said->kind) {
	case KS_ASK_CLOCK:
		n = put_decimal(answer, env_clock(env, said->clock));
		break;
	case KS_ASK_RANDOM:
		n = put_random(env, answer, said->bytes);
		break;
	default:
		nap(env, said->sleep_ns);
		memcpy(answer, "ok", 2);
		n = 2;
	}
	answer[n] = '\n';
	return n + 1;
}

/* Until it has said key or refuse. The program's words lie in its buffer, so they are used before anyone else speaks. */
static int converse(struct ks_env *env, struct ks_ask *program, struct ks_ask_line *said, struct ks_err *err)
{
	char answer[2 * KS_ASK_RANDOM_MAX + 2];
	if (ks_ask_is_quiet(program, err) || ks_ask_tell(program, "next\n", 5, err))
		return -1;
	for (int i = 0; i < KS_ASK_REQUESTS_MAX; i++) {
		if (ks_ask_hear(program, said, err))
			return -1;
		if (said->kind == KS_ASK_KEY || said->kind == KS_ASK_REFUSE)
			return 0;
		int n = carry_out(env, said, answer);
		if (ks_ask_tell(program, answer, (size_t)n, err))
			return -1;
	}
	return ks_fail(err, KS_E_JUDGE, "%s made %d requests in one call and issued no key", program->what, KS_ASK_REQUESTS_MAX);
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	struct ks_ask_line said;
	struct ks_err err;
	env_lock(env, &s->lock);
	if (!s->program)
		ks_env_fail(env, s->err);
	if (converse(env, s->program, &said, &err))
		ks_env_fail(env, &err);
	if (said.kind == KS_ASK_KEY)
		*key = env_text(env, said.text, said.len);
	else
		*why = ks_env_reason(env, said.text, said.len);
	env_unlock(env, &s->lock);
	return said.kind == KS_ASK_KEY ? KS_KEY : KS_REFUSE;
}

/* What a key says is known to whoever has the generator's file. */
static int decode_text(const void *cfg, const char *text, struct ks_fields *fields)
{
	(void)cfg, (void)text;
	*fields = (struct ks_fields){0};
	return 0;
}

static const struct ks_opt opts[] = {{0}};

const struct ks_gen KS_GEN(ask) = {
	.name = "ask",
	.title = "a program that is asked for keys",
	.source = "",
	.opts = opts,
	.cfg_size = sizeof(struct ks_ask_cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.claims = claims,
	.clocks = clocks,
	.init = init,
	.next = next,
	.decode_text = decode_text,
};
