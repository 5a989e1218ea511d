/* objectid (MongoDB) and xid (github.com/rs/xid): seconds, who it is, and a counter of 24 bits that starts at random.
 *
 * Both follow the clock and rest on the counter: a second that is lived again repeats an id only after 2^24 calls. objectid tells
 * processes apart by 40 random bits, xid by 24 bits of the machine and the low 16 of the pid. */
#include "parts.h"

#define COUNTER_MASK 0xffffffu
#define WHO_MASK ((UINT64_C(1) << 40) - 1)

struct shared {
	ks_word counter;
	uint64_t who; /* 40 bits, set once, before the first call */
};

static const struct ks_opt opts[] = {{0}};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "BSON ObjectID specification; rs/xid README: globally unique"};
	return 1;
}

static void init_objectid(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	uint64_t word = env_random(env);
	s->who = word & WHO_MASK;
	word = env_random(env);
	env_store(env, &s->counter, word & COUNTER_MASK);
}

static void init_xid(struct ks_env *env, const void *cfg, void *shared)
{
	struct shared *s = shared;
	(void)cfg;
	uint64_t host = env_identity(env, KS_ID_HOST);
	uint64_t pid = env_identity(env, KS_ID_PID);
	s->who = (host & 0xffffff) << 16 | (pid & 0xffff);
	uint64_t word = env_random(env);
	env_store(env, &s->counter, word & COUNTER_MASK);
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)local;
	struct shared *s = shared;
	int64_t now = env_clock(env, KS_REALTIME);
	uint64_t n = env_fetch_add(env, &s->counter, 1);
	*why = 0;
	if (now < 0 || now / NS_PER_S > UINT32_MAX)
		return KS_REFUSE;
	*key = (struct ks_key){(uint64_t)(now / NS_PER_S), s->who << 24 | (n & COUNTER_MASK)};
	return KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, 0, key.hi, NS_PER_S);
	ks_field(f, "unix_s", key.hi);
	ks_field(f, "who", key.lo >> 24);
	ks_field(f, "counter", key.lo & COUNTER_MASK);
}

static char *format_objectid(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_digits(buf, 24, key, ks_base16);
}

static int parse_objectid(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_digits(text, 24, ks_base16, key);
}

/* 96 bits are 19.2 letters: moved up by 4 bits they are 20. */
static char *format_xid(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_digits(buf, 20, (struct ks_key){key.hi << 4 | key.lo >> 60, key.lo << 4}, ks_base32_hex_lower);
}

static int parse_xid(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	if (ks_key_from_digits(text, 20, ks_base32_hex_lower, key) || key->lo & 15)
		return -1;
	*key = (struct ks_key){key->hi >> 4, key->hi << 60 | key->lo >> 4};
	return 0;
}

const struct ks_gen KS_GEN(objectid) = {
	.name = "objectid",
	.title = "seconds, 40 random bits of the process, counter",
	.layout = "24 hexadecimal digits: 32 unix s, 40 of the process, 24 counter",
	.source = "BSON ObjectID specification",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the time does not fit 32 bits of seconds"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init_objectid,
	.next = next,
	.decode = decode,
	.format = format_objectid,
	.parse = parse_objectid,
};

const struct ks_gen KS_GEN(xid) = {
	.name = "xid",
	.title = "seconds, machine, pid, counter",
	.layout = "20 letters of base32hex: 32 unix s, 24 machine, 16 pid, 24 counter",
	.source = "github.com/rs/xid",
	.opts = opts,
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the time does not fit 32 bits of seconds"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init_xid,
	.next = next,
	.decode = decode,
	.format = format_xid,
	.parse = parse_xid,
};
