#include "foreign.h"

#include <stdio.h>
#include <string.h>

#include "keytime.h"
#include "ks_mem.h"

struct ks_foreign *ks_foreign_new(enum ks_speaks speaks, const char *command)
{
	struct ks_foreign *f = ks_alloc(1, sizeof *f);
	if (!f)
		return NULL;
	f->speaks = speaks;
	snprintf(f->text, sizeof f->text, "%s", command);
	f->layout.time = -1;
	strcpy(f->claim[0], "unique@fleet");
	f->claims = 1;
	return f;
}

void ks_foreign_free(struct ks_foreign *f)
{
	if (!f)
		return;
	for (int i = 0; i < KS_FOREIGN_WORDS; i++) {
		ks_free(f->word[i]);
		ks_free(f->build[i]);
		ks_free(f->needs[i]);
	}
	ks_free(f->makes[0]);
	ks_free(f);
}

/* ---- what a key says ---- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_number(const char *text, size_t len, bool hex, unsigned __int128 *number)
{
	const unsigned __int128 max = ~(unsigned __int128)0;
	unsigned base = hex ? 16 : 10, digits = 0;
	unsigned __int128 v = 0;
	for (size_t i = 0; i < len; i++) {
		int d = digit(text[i]);
		if (hex && text[i] == '-')
			continue;
		if (d < 0 || (unsigned)d >= base || v > (max - (unsigned)d) / base)
			return false;
		v = v * base + (unsigned)d;
		digits++;
	}
	*number = v;
	return digits > 0;
}

/* "1768471200000-0" */
static bool read_dashed(const struct ks_layout *l, const char *text, size_t len, unsigned __int128 *number)
{
	unsigned __int128 v = 0, part;
	for (int i = 0; i < l->n; i++) {
		const char *dash = memchr(text, '-', len);
		size_t n = dash ? (size_t)(dash - text) : len;
		unsigned bits = l->field[i].bits;
		if ((dash == NULL) != (i == l->n - 1) || !read_number(text, n, false, &part) || part >> bits)
			return false;
		v = v << bits | part; /* 128 bits in all, so only zeros leave at the top */
		text += n + (dash != NULL);
		len -= n + (dash != NULL);
	}
	*number = v;
	return true;
}

static bool read_whole(const struct ks_layout *l, const char *text, size_t len, unsigned __int128 *number)
{
	return l->form == KS_FORM_DASHED ? read_dashed(l, text, len, number)
	                                 : read_number(text, len, l->form == KS_FORM_HEX, number);
}

/* [time, time + 1) in units since the epoch, where it lies within what int64 ns can say. */
static bool read_time(const struct ks_layout *l, uint64_t time, struct ks_fields *f)
{
	__int128 lo = (__int128)time * l->unit_ns + l->epoch_unix_ns, hi = lo + l->unit_ns;
	if (lo <= INT64_MIN || hi > INT64_MAX)
		return false;
	f->has_time = true;
	f->embed_lo_unix_ns = (int64_t)lo;
	f->embed_hi_unix_ns = (int64_t)hi;
	return true;
}

static bool read_layout(const struct ks_layout *l, const char *text, size_t len, struct ks_fields *f)
{
	unsigned __int128 v;
	if (!read_whole(l, text, len, &v))
		return false;
	for (int i = l->n; i-- > 0;) {
		unsigned bits = l->field[i].bits; /* 1..64 */
		f->field[i].name = l->field[i].name;
		f->field[i].value = (uint64_t)v & (bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1);
		v >>= bits;
	}
	f->nfields = l->n;
	return v == 0 && (l->time < 0 || read_time(l, f->field[l->time].value, f));
}

bool ks_foreign_decode(const struct ks_foreign *foreign, const char *text, size_t len, struct ks_fields *fields)
{
	int64_t unix_ns, tick_ns;
	*fields = (struct ks_fields){0};
	if (foreign && foreign->layout.n) {
		if (read_layout(&foreign->layout, text, len, fields))
			return true;
		*fields = (struct ks_fields){0};
		return false;
	}
	if (!ks_keytime_read(text, len, &unix_ns, &tick_ns))
		return false;
	fields->has_time = true;
	fields->embed_lo_unix_ns = unix_ns;
	fields->embed_hi_unix_ns = unix_ns + tick_ns;
	return true;
}

/* ---- the order of keys ---- */

static int normal_number(const char *text, size_t len, char *buf)
{
	size_t from = 0;
	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return -1;
	while (from + 1 < len && text[from] == '0')
		from++;
	memcpy(buf, text + from, len - from);
	return len ? (int)(len - from) : -1;
}

static int normal_layout(const struct ks_layout *l, const char *text, size_t len, char *buf)
{
	unsigned __int128 v;
	if (!l->n || !read_whole(l, text, len, &v))
		return -1;
	for (int i = 0; i < 32; i++)
		buf[i] = "0123456789abcdef"[(unsigned)(v >> (124 - 4 * i)) & 15];
	return 32;
}

int ks_foreign_normal(const struct ks_foreign *foreign, const char *text, size_t len, char *buf)
{
	if (foreign->collation == KS_BY_NUMBER)
		return normal_number(text, len, buf);
	if (foreign->collation == KS_BY_LAYOUT)
		return normal_layout(&foreign->layout, text, len, buf);
	for (size_t i = 0; i < len; i++) {
		bool upper = foreign->collation == KS_BY_TEXT && text[i] >= 'A' && text[i] <= 'Z';
		buf[i] = upper ? (char)(text[i] | 0x20) : text[i];
	}
	return (int)len;
}
