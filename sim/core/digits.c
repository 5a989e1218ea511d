#include "ks_digits.h"

#include <string.h>

const char ks_base16[] = "0123456789abcdef";
const char ks_base36[] = "0123456789abcdefghijklmnopqrstuvwxyz";
const char ks_base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const char ks_base64_ordered[] = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
const char ks_base32_crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const char ks_base32_rfc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const char ks_base32_hex[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
const char ks_base32_hex_lower[] = "0123456789abcdefghijklmnopqrstuv";

#define BYTES_MAX 32

/* The number in words, most significant first. @return how many. */
static int to_words(const uint8_t *bytes, int len, uint32_t word[BYTES_MAX / 4])
{
	int words = (len + 3) / 4;
	memset(word, 0, (size_t)words * sizeof *word);
	for (int i = 0, at = 4 * words - len; i < len; i++, at++)
		word[at / 4] |= (uint32_t)bytes[i] << (24 - 8 * (at % 4));
	return words;
}

/* The largest power of the base in 32 bits: a long division by it gives that many digits at once. */
static uint32_t largest_power(uint32_t base, int *exponent)
{
	uint32_t power = base;
	for (*exponent = 1; (uint64_t)power * base <= UINT32_MAX; ++*exponent)
		power *= base;
	return power;
}

char *ks_digits_write(char *p, int n, const uint8_t *bytes, int len, const char *alphabet)
{
	uint32_t rest[BYTES_MAX / 4], base = (uint32_t)strlen(alphabet);
	int words = to_words(bytes, len, rest), digits;
	uint32_t power = largest_power(base, &digits);
	p[n] = 0;
	for (int i = n; i > 0;) {
		uint64_t carry = 0;
		for (int k = 0; k < words; k++) {
			uint64_t v = carry << 32 | rest[k];
			rest[k] = (uint32_t)(v / power);
			carry = v % power;
		}
		uint32_t left = (uint32_t)carry;
		for (int d = 0; d < digits && i > 0; d++, left /= base)
			p[--i] = alphabet[left % base];
	}
	return p;
}

int ks_digits_read(const char *text, int n, uint8_t *bytes, int len, const char *alphabet)
{
	unsigned base = (unsigned)strlen(alphabet);
	memset(bytes, 0, (size_t)len);
	for (int i = 0; i < n; i++) {
		const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;
		if (!at)
			return -1;
		unsigned carry = (unsigned)(at - alphabet);
		for (int k = len; k-- > 0;) {
			unsigned v = bytes[k] * base + carry;
			bytes[k] = (uint8_t)v;
			carry = v >> 8;
		}
		if (carry)
			return -1;
	}
	return text[n] ? -1 : 0;
}

static void to_bytes(struct ks_key key, uint8_t bytes[16])
{
	for (int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(key.hi >> (56 - 8 * i));
		bytes[8 + i] = (uint8_t)(key.lo >> (56 - 8 * i));
	}
}

char *ks_key_digits(char *p, int n, struct ks_key key, const char *alphabet)
{
	uint8_t bytes[16];
	to_bytes(key, bytes);
	return ks_digits_write(p, n, bytes, 16, alphabet);
}

int ks_key_from_digits(const char *text, int n, const char *alphabet, struct ks_key *key)
{
	uint8_t bytes[16];
	if (ks_digits_read(text, n, bytes, 16, alphabet))
		return -1;
	*key = (struct ks_key){0, 0};
	for (int i = 0; i < 8; i++) {
		key->hi = key->hi << 8 | bytes[i];
		key->lo = key->lo << 8 | bytes[8 + i];
	}
	return 0;
}

const char *ks_scan_decimal(const char *text, uint64_t *value)
{
	uint64_t v = 0;
	const char *p = text;
	if (!p || *p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return NULL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return NULL;
	*value = v;
	return p;
}

const char *ks_scan_prefix(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);
	return text && !strncmp(text, prefix, n) ? text + n : NULL;
}

/* Four bits a character: 0 ends the text, the rest is in ASCII order. */
static const char packed[] = " 0123456789:";

int ks_pack_digits(const char *text, struct ks_key *key)
{
	unsigned __int128 v = 0;
	size_t n = strlen(text);
	if (n > KS_PACK_MAX)
		return -1;
	for (size_t i = 0; i < KS_PACK_MAX; i++) {
		const char *at = i < n ? strchr(packed + 1, text[i]) : packed;
		if (!at)
			return -1;
		v = v << 4 | (unsigned)(at - packed);
	}
	*key = (struct ks_key){(uint64_t)(v >> 64), (uint64_t)v};
	return 0;
}

char *ks_unpack_digits(struct ks_key key, char buf[KS_PACK_MAX + 1])
{
	int n = 0;
	for (; n < KS_PACK_MAX; n++) {
		unsigned code = (unsigned)((n < 16 ? key.hi : key.lo) >> (60 - 4 * (n & 15)) & 15);
		if (!code || code >= sizeof packed - 1)
			break;
		buf[n] = packed[code];
	}
	buf[n] = 0;
	return buf;
}
