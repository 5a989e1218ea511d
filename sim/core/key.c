#include "ks_key.h"

#include <stdio.h>
#include <string.h>

#include "ks_mem.h"

char *ks_key_decimal(char buf[KS_KEY_TEXT], struct ks_key key)
{
	unsigned __int128 v = (unsigned __int128)key.hi << 64 | key.lo;
	char digits[40];
	int n = 0;
	do
		digits[n++] = (char)('0' + (int)(v % 10));
	while ((v /= 10) != 0);
	for (int i = 0; i < n; i++)
		buf[i] = digits[n - 1 - i];
	buf[n] = 0;
	return buf;
}

static char *hex(char *p, uint64_t v, int from, int to)
{
	for (int i = from; i < to; i++)
		*p++ = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
	return p;
}

char *ks_key_hex16(char buf[KS_KEY_TEXT], struct ks_key key)
{
	*hex(buf, key.lo, 0, 16) = 0;
	return buf;
}

char *ks_key_uuid(char buf[KS_KEY_TEXT], struct ks_key key)
{
	char *p = hex(buf, key.hi, 0, 8);
	*p++ = '-';
	p = hex(p, key.hi, 8, 12);
	*p++ = '-';
	p = hex(p, key.hi, 12, 16);
	*p++ = '-';
	p = hex(p, key.lo, 0, 4);
	*p++ = '-';
	*hex(p, key.lo, 4, 16) = 0;
	return buf;
}

int ks_key_from_decimal(const char *text, struct ks_key *key)
{
	unsigned __int128 v = 0, max = ~(unsigned __int128)0;
	if (!*text || (*text == '0' && text[1]))
		return -1;
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');
		if (digit > 9 || v > (max - digit) / 10)
			return -1;
		v = v * 10 + digit;
	}
	*key = (struct ks_key){(uint64_t)(v >> 64), (uint64_t)v};
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads `length` characters of hexadecimal digits; a '-' is skipped where the mask has a bit for its place in the text. */
static int hex_read(const char *text, int length, uint64_t dashes, struct ks_key *key)
{
	unsigned __int128 v = 0;
	for (int i = 0; i < length; i++) {
		if (dashes >> i & 1) {
			if (text[i] != '-')
				return -1;
			continue;
		}
		int d = text[i] ? hex_digit(text[i]) : -1;
		if (d < 0)
			return -1;
		v = v << 4 | (unsigned)d;
	}
	if (text[length])
		return -1;
	*key = (struct ks_key){(uint64_t)(v >> 64), (uint64_t)v};
	return 0;
}

int ks_key_from_hex16(const char *text, struct ks_key *key)
{
	return hex_read(text, 16, 0, key);
}

int ks_key_from_uuid(const char *text, struct ks_key *key)
{
	return hex_read(text, 36, 1 << 8 | 1 << 13 | 1 << 18 | 1 << 23, key);
}

int64_t ks_texts_add(struct ks_texts *t, const char *bytes, size_t len)
{
	if (t->n + 2 > t->at_cap) {
		size_t cap = t->at_cap ? t->at_cap * 2 : 1024;
		uint64_t *at = ks_grow(t->at, t->at_cap, cap, sizeof *at);
		if (!at)
			return -1;
		t->at = at;
		t->at_cap = cap;
	}
	if (!t->arena || t->len + len > t->cap) {
		size_t cap = (t->cap + len) * 2 + 4096;
		char *arena = ks_grow(t->arena, t->cap, cap, 1);
		if (!arena)
			return -1;
		t->arena = arena;
		t->cap = cap;
	}
	if (len)
		memcpy(t->arena + t->len, bytes, len);
	t->at[t->n] = t->len;
	t->len += len;
	t->at[t->n + 1] = t->len;
	return (int64_t)t->n++;
}

const char *ks_texts_get(const struct ks_texts *t, size_t i, size_t *len)
{
	*len = (size_t)(t->at[i + 1] - t->at[i]);
	return t->arena + t->at[i];
}

void ks_texts_release(struct ks_texts *t)
{
	ks_free(t->arena);
	ks_free(t->at);
	*t = (struct ks_texts){0};
}
