#include "keytime.h"

#include <string.h>

#define MS INT64_C(1000000)
/* 100 ns ticks from the Gregorian reform (1582-10-15) to 1970-01-01. */
#define GREGORIAN_TICKS INT64_C(0x01b21dd213814000)

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The upper 64 bits of 8-4-4-4-12 hex digits, all of them checked. */
static bool uuid_high(const char *text, uint64_t *high, int *variant)
{
	int digits = 0;

	*high = 0;
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		int d = hex(text[i]);
		if (dash ? text[i] != '-' : d < 0)
			return false;
		if (dash)
			continue;
		if (digits < 16)
			*high = *high << 4 | (uint64_t)d;
		else if (digits == 16)
			*variant = d;
		digits++;
	}
	return true;
}

static bool gregorian(uint64_t ticks, int64_t *unix_ns, int64_t *tick_ns)
{
	int64_t since_1970 = (int64_t)ticks - GREGORIAN_TICKS; /* 60 bits: no overflow */
	if (since_1970 < 0 || since_1970 > INT64_MAX / 100)
		return false;
	*unix_ns = since_1970 * 100;
	*tick_ns = 100;
	return true;
}

static bool unix_ms(uint64_t ms, int64_t *unix_ns, int64_t *tick_ns)
{
	if (ms > (uint64_t)(INT64_MAX / MS))
		return false;
	*unix_ns = (int64_t)ms * MS;
	*tick_ns = MS;
	return true;
}

static bool read_uuid(const char *text, int64_t *unix_ns, int64_t *tick_ns)
{
	uint64_t h;
	int variant = 0;

	if (!uuid_high(text, &h, &variant) || variant < 8 || variant > 11)
		return false;
	switch (h >> 12 & 15) {
	case 1: /* low 32, mid 16, version, high 12 */
		return gregorian((h & 0xfff) << 48 | (h >> 16 & 0xffff) << 32 | h >> 32, unix_ns, tick_ns);
	case 6: /* high 32, mid 16, version, low 12 */
		return gregorian(h >> 16 << 12 | (h & 0xfff), unix_ns, tick_ns);
	case 7:
		return unix_ms(h >> 16, unix_ns, tick_ns);
	default:
		return false;
	}
}

/* Crockford's base 32: 10 characters of ms, 16 of chance. */
static bool read_ulid(const char *text, int64_t *unix_ns, int64_t *tick_ns)
{
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t ms = 0;

	for (int i = 0; i < 26; i++) {
		char c = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32) : text[i];
		const char *at = c ? strchr(alphabet, c) : NULL;
		if (!at || (i == 0 && at - alphabet > 7))
			return false;
		if (i < 10)
			ms = ms << 5 | (uint64_t)(at - alphabet);
	}
	return unix_ms(ms, unix_ns, tick_ns);
}

bool ks_keytime_read(const char *text, size_t len, int64_t *unix_ns, int64_t *tick_ns)
{
	if (len == 36)
		return read_uuid(text, unix_ns, tick_ns);
	return len == 26 && read_ulid(text, unix_ns, tick_ns);
}
