/* Digits: printed forms of numbers in a base, by alphabet, and back. An alphabet in ASCII order keeps the order of the
 * numbers in forms of one length. */
#ifndef KS_DIGITS_H
#define KS_DIGITS_H

#include <stdbool.h>
#include <stdint.h>

#include "ks_key.h"

extern const char ks_base16[], ks_base36[], ks_base62[];
extern const char ks_base64_ordered[]; /* 64 letters in ASCII order: - 0-9 A-Z _ a-z */
extern const char ks_base32_crockford[]; /* no I L O U */
extern const char ks_base32_rfc[];     /* RFC 4648, 6: A-Z 2-7, which is not ASCII order */
extern const char ks_base32_hex[];     /* RFC 4648, 7: 0-9 A-V */
extern const char ks_base32_hex_lower[];

/* Writes the number in `bytes`, most significant first, as n digits and a NUL; what does not fit n digits is cut off
 * at the front. len: at most 32. @return p. */
char *ks_digits_write(char *p, int n, const uint8_t *bytes, int len, const char *alphabet);
/* Reads exactly n digits into len bytes. @return 0, or -1: another length, a letter that is none, a number that does not fit. */
int ks_digits_read(const char *text, int n, uint8_t *bytes, int len, const char *alphabet);

/* The same of a key. */
char *ks_key_digits(char *p, int n, struct ks_key key, const char *alphabet);
int ks_key_from_digits(const char *text, int n, const char *alphabet, struct ks_key *key);

/* The decimal number that text begins with, written the one way: no sign, no leading zero, within 64 bits.
 * @return what follows it, or NULL when there is none, or when text is NULL. */
const char *ks_scan_decimal(const char *text, uint64_t *value);
/* @return what follows the prefix, or NULL when text does not begin with it or is NULL. */
const char *ks_scan_prefix(const char *text, const char *prefix);

/* Texts of digits and colons as numbers: of two texts the one that sorts first byte by byte is the smaller number.
 * At most KS_PACK_MAX characters. @return 0, or -1: longer, or another character. */
#define KS_PACK_MAX 32
int ks_pack_digits(const char *text, struct ks_key *key);
char *ks_unpack_digits(struct ks_key key, char buf[KS_PACK_MAX + 1]);

#endif
