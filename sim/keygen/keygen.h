/* Generators: the interface that each one fills, and the list of all.
 *
 * A generator is a const table. Its functions are pure but for `init`, `next`, `observe` and `background`, which act
 * through the environment alone. To add one: copy skeleton.c to a file of its own, add one line to KS_GENERATORS. */
#ifndef KS_KEYGEN_H
#define KS_KEYGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ks_err.h"
#include "ks_key.h"
#include "ks_opt.h"
#include "ks_record.h"

struct ks_env;
struct ks_foreign;

/* A promise of the generator, in the language of expectations: "unique@fleet", "increasing@thread". */
struct ks_claim {
	const char *text;
	const char *source; /* who promises it: a specification, a README, the field report */
};

/* A word that an option takes, where its name alone does not say it. */
struct ks_word_meaning {
	const char *word, *meaning;
};

/* What a key says of itself. */
struct ks_fields {
	bool has_time;
	int64_t embed_lo_unix_ns; /* the key names an instant in [lo, hi): hi is excluded */
	int64_t embed_hi_unix_ns;
	struct {
		const char *name;
		uint64_t value;
	} field[6];
	int nfields;
};

/* Where a time that is a plain field of the key stands: the bits of a word from `shift` up count ticks after the epoch. */
struct ks_tick_field {
	int64_t epoch_unix_ns; /* not negative */
	int64_t tick_ns;
	bool upper; /* word */
	uint8_t shift;
};

/* Something that runs again and again, period_ns of true time after it began the last time. */
struct ks_background {
	int64_t period_ns;
	void (*fn)(struct ks_env *env, const void *cfg, void *shared);
};

#define KS_CLAIMS_MAX 6
#define KS_REASONS_MAX 8
#define KS_BACKGROUND_MAX 2

struct ks_gen {
	const char *name;
	const char *title;  /* one line */
	const char *layout; /* the printed form; of numbers their fields in bits, from the top */
	const char *source; /* of the layout and the policy */
	const struct ks_opt *opts; /* ends with a NULL name */
	const struct ks_word_meaning *words; /* what the words of its options mean; ends with a NULL word. May be NULL */
	size_t cfg_size;    /* of the struct that opts describes */
	size_t shared_size; /* of the state that the threads of a process share; zeroed, 64-byte aligned */
	size_t local_size;  /* of the state of one thread; zeroed */
	enum ks_compare compare; /* how the printed keys sort */
	enum ks_compare (*compare_of)(const void *cfg); /* where that depends on options; else NULL */
	bool probabilistic; /* uniqueness rests on random bits: verdicts print a bound */
	const char *reasons[KS_REASONS_MAX]; /* of refusals; next returns the index in *why */

	/* Checks options against each other and derives what next needs. Pure. May be NULL. */
	int (*configure)(void *cfg, struct ks_err *err);
	/* Fills claims for this configuration. @return how many, at most KS_CLAIMS_MAX. */
	int (*claims)(const void *cfg, struct ks_claim *claims);
	/* Which clocks it reads: a mask of 1 << enum ks_clock_id. 0: none, so no clock fault can meet it. */
	unsigned (*clocks)(const void *cfg);
	/* Once a process, before its first call. May be NULL. */
	void (*init)(struct ks_env *env, const void *cfg, void *shared);
	/* One call. @return KS_KEY with *key set, or KS_REFUSE with *why set. */
	enum ks_outcome (*next)(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key,
	                        uint8_t *why);
	/* A key that came in a message from another node: merges what it says into the state. Not a call: it issues nothing.
	 * May be NULL: it takes no notice of others. */
	void (*observe)(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key remote);
	/* What a process does beside its calls with these options, each in a thread of its own; ends with period 0, at most
	 * KS_BACKGROUND_MAX. May be NULL: nothing. See ks_gen_background. */
	const struct ks_background *(*background)(const void *cfg);
	/* Keys of up to 128 bits are numbers that sort as their printed forms do, and have the three functions below. Others are
	 * texts (env_text) and have only this one: what the text says. Pure. @return 0, or -1 when it is no key. */
	int (*decode_text)(const void *cfg, const char *text, struct ks_fields *fields);
	/* What the key says. Pure. */
	void (*decode)(const void *cfg, struct ks_key key, struct ks_fields *fields);
	/* The key's time as a field, where it is one: what decode says, for checkers in a hurry. Pure. May be NULL.
	 * @return false: with these options it is none. */
	bool (*ticks)(const void *cfg, struct ks_tick_field *field);
	/* The printed form. Pure. */
	char *(*format)(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT]);
	/* Reads the printed form back. Pure. @return 0, or -1. */
	int (*parse)(const void *cfg, const char *text, struct ks_key *key);
};

/* One line a generator, here and nowhere else. */
#define KS_GENERATORS(X)                                                                                               \
	X(null) X(unixmilli) X(unixnano) X(milli_rand32) X(trace_id) X(counter) X(snowflake) X(mono_offset) X(nanotime)  \
	X(hlc) X(depth_aware) X(shard_key) X(uuidv7) X(ulid) X(lamport) X(truetime) X(timer)                        \
	X(uuidv1) X(uuidv6) X(objectid) X(xid) X(ksuid) X(sonyflake) X(tsid) X(unique_rowid) X(instagram) X(pushid) X(flake)    \
	X(uidgenerator)

#if defined(KS_ENV_SIM)
#define KS_GEN(name) ks_gen_##name##_sim
#elif defined(KS_ENV_REAL)
#define KS_GEN(name) ks_gen_##name##_real
#elif defined(KS_ENV_CHECK)
#define KS_GEN(name) ks_gen_##name##_check
#elif defined(KS_ENV_TABLE)
#define KS_GEN(name) ks_gen_##name##_table
#endif

/* All lists end with NULL and name the same generators in the same order. */
extern const struct ks_gen *const ks_gens_sim[];
extern const struct ks_gen *const ks_gens_real[];
extern const struct ks_gen *const ks_gens_check[]; /* in its test only */

/* @return the generator of that name in the list, or NULL. */
const struct ks_gen *ks_gen_find(const struct ks_gen *const *list, const char *name);

/* A generator with its options, as given on the command line: "snowflake:unchecked:node_bits=8". */
struct ks_gen_spec {
	char text[256];           /* as given */
	const struct ks_gen *gen; /* NULL when foreign */
	_Alignas(16) char cfg[256]; /* gen->cfg_size bytes of it are used */
	struct ks_foreign *foreign; /* of a foreign one; owned (ks_foreign_free) */
};

/* Parses NAME[:WORD|:OPTION=VALUE]... against a list. @return 0, or -1 with the nearest name in the error. */
int ks_gen_parse(const struct ks_gen *const *list, const char *text, struct ks_gen_spec *spec, struct ks_err *err);
/* What runs beside the calls; never NULL, ends with period 0. */
static inline const struct ks_background *ks_gen_background(const struct ks_gen *gen, const void *cfg)
{
	static const struct ks_background none = {0, NULL};
	return gen->background ? gen->background(cfg) : &none;
}

/* Are its keys texts, rather than numbers that compare as they are? So are all foreign ones. */
static inline bool ks_gen_issues_texts(const struct ks_gen_spec *spec)
{
	return !spec->gen || spec->gen->decode_text;
}
/* How its printed keys sort. Not for foreign ones: theirs is found from the keys. */
static inline enum ks_compare ks_gen_compare(const struct ks_gen_spec *spec)
{
	return spec->gen->compare_of ? spec->gen->compare_of(spec->cfg) : spec->gen->compare;
}
/* The printed form of a key, in bytes: of a foreign one any, NULs included. @return where they are: in buf or in texts. */
const char *ks_gen_print(const struct ks_gen_spec *spec, const struct ks_texts *texts, struct ks_key key, char buf[KS_KEY_TEXT],
                         size_t *len);
/* What a key says. @return false when it says nothing that is known. */
bool ks_gen_decode(const struct ks_gen_spec *spec, const struct ks_texts *texts, struct ks_key key, struct ks_fields *fields);

/* Fills claims. A foreign generator claims unique@fleet unless its file says otherwise. @return how many. */
int ks_gen_claims(const struct ks_gen_spec *spec, struct ks_claim claims[KS_CLAIMS_MAX]);

#endif
