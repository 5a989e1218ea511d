/* skeleton: a generator to copy. It issues (wall ms << 16 | a sequence of the process) and is not in the list.
 *
 * 1. Copy this file to NAME.c, replace `skeleton` by NAME, describe the scheme and its source here.
 * 2. Add X(NAME) to KS_GENERATORS in keygen.h and the file to CMakeLists.txt.
 * 3. Add known answers to tests/test_keygen.c. Conformance runs by itself. */
#include "env.h"
#include "keygen.h"

#define NS_PER_MS INT64_C(1000000)

/* Options: a struct of int64_t, and a table that describes each field. Defaults are written as a user would. */
struct cfg {
	int64_t offset_ms;
};

static const struct ks_opt opts[] = {
	{"offset", KS_OPT_INT, offsetof(struct cfg, offset_ms), 0, 1000000, "0", "added to the time field, ms", NULL, 0},
	{0},
};

/* What the threads of a process share; zeroed. Every access that another thread may see goes through the environment. */
struct shared {
	ks_word seq;
};

/* What the scheme promises, and who says so. The verdicts of keyskew are about these. */
static int claims(const void *cfg, struct ks_claim *c)
{
	(void)cfg;
	c[0] = (struct ks_claim){"unique@process", "this file"};
	return 1;
}

/* The clocks that it reads: a fault of another clock cannot meet it. Conformance compares this with what next did. */
static unsigned clocks(const void *cfg)
{
	(void)cfg;
	return 1u << KS_REALTIME;
}

/* One call. An environment call may let others run, so: one a statement, and nothing remembered across it that
 * another thread may change. Refusing is an outcome, not an error: *why is an index into .reasons. */
static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	const struct cfg *c = cfg;
	struct shared *s = shared;
	int64_t now = env_clock(env, KS_REALTIME);
	if (now < 0) {
		*why = 0;
		return KS_REFUSE;
	}
	uint64_t seq = env_fetch_add(env, &s->seq, 1);
	*key = ks_key64((uint64_t)(now / NS_PER_MS + c->offset_ms) << 16 | (seq & 0xffff));
	return KS_KEY;
}

/* What the key says of itself: the instant [lo, hi) that it names, and its fields. */
static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	const struct cfg *c = cfg;
	int64_t lo = ((int64_t)(key.lo >> 16) - c->offset_ms) * NS_PER_MS;
	*f = (struct ks_fields){true, lo, lo + NS_PER_MS, {{"unix_ms", key.lo >> 16}, {"seq", key.lo & 0xffff}}, 2};
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_decimal(buf, key);
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_decimal(text, key);
}

extern const struct ks_gen KS_GEN(skeleton);
const struct ks_gen KS_GEN(skeleton) = {
	.name = "skeleton",
	.title = "an example to copy",
	.layout = "decimal: 48 unix ms, 16 sequence",
	.source = "keyskew",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_NUMERIC,
	.reasons = {"the wall clock shows a time before 1970"},
	/* .init, .observe and .background: see keygen.h; each may be left out */
	.claims = claims,
	.clocks = clocks,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};

/* Outside of keyskew: compiled with KS_ENV_TABLE this file is a plug-in, see plugin.h. */
#ifdef KS_ENV_TABLE
#include "plugin.h"
KS_PLUGIN(skeleton);
#endif
