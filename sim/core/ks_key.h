/* Keys: what a generator issues.
 *
 * Inside keyskew a key is a 128-bit number whose numeric order is the generator's sort order. Keys of up to 128
 * bits are that number. Longer or textual ones (of foreign programs, and of generators that issue texts) are held in
 * a text table (struct ks_texts): the key is the index there, and gets the rank of its text as number before anything is
 * judged. */
#ifndef KS_KEY_H
#define KS_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ks_key {
	uint64_t hi, lo;
};

static inline struct ks_key ks_key64(uint64_t lo)
{
	return (struct ks_key){0, lo};
}

/* @return < 0, 0, > 0 as a sorts before, with, after b. */
static inline int ks_key_cmp(struct ks_key a, struct ks_key b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return (a.lo > b.lo) - (a.lo < b.lo);
}

static inline bool ks_key_less(struct ks_key a, struct ks_key b)
{
	return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

static inline bool ks_key_equal(struct ks_key a, struct ks_key b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* Longest printed key with its NUL. Foreign keys beyond it are refused where they are read. */
#define KS_KEY_TEXT 257

/* How the printed form of a key sorts: as a decimal number of any length, or byte by byte. */
enum ks_compare { KS_COMPARE_NUMERIC, KS_COMPARE_BYTES };

/* Writers of printed forms; each returns buf. */
char *ks_key_decimal(char buf[KS_KEY_TEXT], struct ks_key key);
char *ks_key_hex16(char buf[KS_KEY_TEXT], struct ks_key key);  /* %016x of the lower word */
char *ks_key_uuid(char buf[KS_KEY_TEXT], struct ks_key key);   /* 8-4-4-4-12, lower case */

/* Readers of the same forms. @return 0, or -1 when the text is not one. */
int ks_key_from_decimal(const char *text, struct ks_key *key); /* no leading zeros */
int ks_key_from_hex16(const char *text, struct ks_key *key);
int ks_key_from_uuid(const char *text, struct ks_key *key); /* either case */

/* Texts of keys, in one arena; index i is the i-th text added. */
struct ks_texts {
	char *arena;
	size_t len, cap;
	uint64_t *at; /* n + 1 offsets into arena; text i is [at[i], at[i+1]) */
	size_t n, at_cap;
};

/* Adds len bytes. @return the index, or -1 when out of memory. */
int64_t ks_texts_add(struct ks_texts *t, const char *bytes, size_t len);
const char *ks_texts_get(const struct ks_texts *t, size_t i, size_t *len);
void ks_texts_release(struct ks_texts *t);

#endif
