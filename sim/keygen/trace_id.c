/* trace-id: `<wall ms>-<8 random letters>` (field report G4, F6).
 *
 * seed=sound: the letters come from the system's random source. equal: from a generator of the process (splitmix64, Steele et
 * al. 2014) that every process seeds alike, as images do that carry a seed. start-second: seeded with the second of the process's
 * start, so that containers started together draw the same letters. The key packs `<ms>-` and the letters by rank. */
#include <stdio.h>
#include <string.h>

#include "parts.h"

#define LETTERS_MAX 8

enum { SOUND, EQUAL, START_SECOND };

struct cfg {
	int64_t letters, length, seed;
};

struct shared {
	ks_word state; /* of splitmix64 */
};

static const char *const letter_words[] = {"64", "62", "36", NULL};
static const char *const alphabets[] = {ks_base64_ordered, ks_base62, ks_base36};
static const char *const seeds[] = {"sound", "equal", "start-second", NULL};
static const struct ks_opt opts[] = {
	{"letters", KS_OPT_WORD, offsetof(struct cfg, letters), 0, 0, "64", "of the alphabet: 64 has - and _ besides 62; 36 has no capitals", letter_words, 1},
	{"length", KS_OPT_INT, offsetof(struct cfg, length), 1, LETTERS_MAX, "8", "how many random letters", NULL, 0},
	{"seed", KS_OPT_WORD, offsetof(struct cfg, seed), 0, 0, "sound", "of the random source: the system's; or in every process the same; or its start", seeds, 1},
	{0},
};

static const struct ks_word_meaning words[] = {
	{"sound", "letters from the system's random source"},
	{"equal", "a generator of the process that all processes seed alike"},
	{"start-second", "the same, seeded with the second of the process's start"},
	{0},
};

static int claims(const void *cfg, struct ks_claim *claim)
{
	(void)cfg;
	claim[0] = (struct ks_claim){"unique@fleet", "field report G4: odds given as 1 in 2^48"};
	return 1;
}

static uint64_t splitmix64(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static void init(struct ks_env *env, const void *cfg, void *shared)
{
	const struct cfg *c = cfg;
	struct shared *s = shared;
	if (c->seed != START_SECOND)
		return;
	int64_t now = env_clock(env, KS_REALTIME);
	env_store(env, &s->state, (uint64_t)(now / NS_PER_S));
}

/* letters ^ length */
static uint64_t space(const struct cfg *c)
{
	uint64_t n = 1, base = strlen(alphabets[c->letters]);
	for (int64_t i = 0; i < c->length; i++)
		n *= base;
	return n;
}

static uint64_t draw(struct ks_env *env, const struct cfg *c, struct shared *s)
{
	const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t word;
	if (c->seed == SOUND) {
		word = env_random(env);
	} else {
		uint64_t before = env_fetch_add(env, &s->state, step);
		word = splitmix64(before + step);
	}
	return (uint64_t)((unsigned __int128)word * space(c) >> 64);
}

/* 14 characters of `<ms>-` in 56 bits, the rank of the letters in 48. The dash sorts before digits, as an end does. */
static int compose(uint64_t ms, uint64_t rank, struct ks_key *key)
{
	char text[32];
	struct ks_key packed;
	snprintf(text, sizeof text, "%llu", (unsigned long long)ms);
	if (strlen(text) > 13 || ks_pack_digits(text, &packed))
		return -1;
	unsigned __int128 v = (unsigned __int128)(packed.hi >> 8) << 48 | rank;
	*key = (struct ks_key){(uint64_t)(v >> 64), (uint64_t)v};
	return 0;
}

static uint64_t ms_of(struct ks_key key)
{
	char text[KS_PACK_MAX + 1];
	uint64_t ms = 0;
	unsigned __int128 v = (unsigned __int128)key.hi << 64 | key.lo;
	ks_scan_decimal(ks_unpack_digits((struct ks_key){(uint64_t)(v >> 48) << 8, 0}, text), &ms);
	return ms;
}

static uint64_t rank_of(struct ks_key key)
{
	return key.lo & UINT64_C(0xffffffffffff);
}

static enum ks_outcome next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)local;
	int64_t ms = ks_wall_ms(env);
	uint64_t rank = draw(env, cfg, shared);
	*why = 0;
	return ms < 0 || compose((uint64_t)ms, rank, key) ? KS_REFUSE : KS_KEY;
}

static void decode(const void *cfg, struct ks_key key, struct ks_fields *f)
{
	(void)cfg;
	*f = (struct ks_fields){0};
	ks_embed(f, 0, ms_of(key), NS_PER_MS);
	ks_field(f, "unix_ms", ms_of(key));
	ks_field(f, "random", rank_of(key));
}

static char *format(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	const struct cfg *c = cfg;
	char letters[LETTERS_MAX + 1];
	ks_key_digits(letters, (int)c->length, ks_key64(rank_of(key)), alphabets[c->letters]);
	snprintf(buf, KS_KEY_TEXT, "%llu-%s", (unsigned long long)ms_of(key), letters);
	return buf;
}

static int parse(const void *cfg, const char *text, struct ks_key *key)
{
	const struct cfg *c = cfg;
	uint64_t ms;
	struct ks_key rank;
	const char *letters = ks_scan_prefix(ks_scan_decimal(text, &ms), "-");
	if (!letters || ks_key_from_digits(letters, (int)c->length, alphabets[c->letters], &rank))
		return -1;
	return compose(ms, rank.lo, key);
}

const struct ks_gen KS_GEN(trace_id) = {
	.name = "trace-id",
	.title = "wall clock in ms, a dash, random letters",
	.layout = "<unix ms>-<length letters of the alphabet>",
	.source = "field report G4",
	.opts = opts,
	.words = words,
	.cfg_size = sizeof(struct cfg),
	.shared_size = sizeof(struct shared),
	.compare = KS_COMPARE_BYTES,
	.probabilistic = true,
	.reasons = {"the wall clock shows a time before 1970 or after 2286"},
	.claims = claims,
	.clocks = ks_reads_wall,
	.init = init,
	.next = next,
	.decode = decode,
	.format = format,
	.parse = parse,
};
