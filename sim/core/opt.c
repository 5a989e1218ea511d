#include "ks_opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *field(const struct ks_opt *o, void *fields)
{
	return (char *)fields + o->offset;
}

static int parse_int(const char *text, int64_t *v, const char **why)
{
	const char *p = text + (*text == '-' || *text == '+');
	uint64_t n = 0;
	*why = "a whole number";
	if (!*p)
		return -1;
	for (; *p; p++) {
		if (*p < '0' || *p > '9' || n > (uint64_t)INT64_MAX / 10)
			return -1;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (n > INT64_MAX)
		return -1;
	*v = *text == '-' ? -(int64_t)n : (int64_t)n;
	return 0;
}

static int64_t word_index(const struct ks_opt *o, const char *value)
{
	for (int64_t i = 0; o->words[i]; i++)
		if (!strcmp(o->words[i], value))
			return i;
	return -1;
}

static int set(const struct ks_opt *o, void *at, const char *value, const char **why)
{
	int64_t v;
	switch (o->type) {
	case KS_OPT_INT:
		if (parse_int(value, &v, why))
			return -1;
		break;
	case KS_OPT_DUR:
		if (ks_dur_parse(value, &v, why))
			return -1;
		break;
	case KS_OPT_PPB:
		if (ks_ppb_parse(value, &v, why))
			return -1;
		break;
	case KS_OPT_RATE:
		return ks_rate_parse(value, at, why);
	case KS_OPT_WORD:
		v = word_index(o, value);
		*why = NULL;
		if (v < 0)
			return -1;
		*(int64_t *)at = v;
		return 0;
	case KS_OPT_BOOL:
		*why = "true or false";
		if (strcmp(value, "true") && strcmp(value, "false"))
			return -1;
		*(int64_t *)at = *value == 't';
		return 0;
	case KS_OPT_UTC:
		return ks_utc_parse(value, at, why);
	default:
		return -1;
	}
	*why = NULL; /* the range says it */
	if (v < o->min || v > o->max)
		return -1;
	*(int64_t *)at = v;
	return 0;
}

void ks_opts_default(const struct ks_opt *table, void *fields)
{
	const char *why;
	for (const struct ks_opt *o = table; o->name; o++)
		if (set(o, field(o, fields), o->def, &why))
			abort(); /* a table whose default it does not accept is a bug */
}

static size_t name_count(const struct ks_opt *table, const char **names, size_t max)
{
	size_t n = 0;
	for (; table[n].name && n < max; n++)
		names[n] = table[n].name;
	return n;
}

int ks_opts_set(const struct ks_opt *table, void *fields, const char *name, const char *value, struct ks_err *err)
{
	char accepts[256];
	for (const struct ks_opt *o = table; o->name; o++) {
		const char *why = NULL;
		if (strcmp(o->name, name))
			continue;
		if (!set(o, field(o, fields), value, &why))
			return 0;
		if (!why)
			why = ks_opt_accepts(o, accepts, sizeof accepts);
		const char *near = o->type == KS_OPT_WORD ? ks_nearest(value, o->words, SIZE_MAX) : NULL;
		return ks_fail(err, KS_E_USAGE, "bad value '%.100s' of option '%s', expected %s%s%s%s", value, name, why,
		               near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	}
	const char *names[64];
	size_t n = name_count(table, names, 64);
	const char *near = ks_nearest(name, names, n);
	return ks_fail(err, KS_E_USAGE, "unknown option '%.100s'%s%s%s", name, near ? "; did you mean '" : "",
	               near ? near : "", near ? "'" : "");
}

const char *ks_opt_format(const struct ks_opt *o, const void *fields, char *buf, size_t size)
{
	char text[KS_TIME_TEXT];
	const void *at = (const char *)fields + o->offset;
	int64_t v = o->type == KS_OPT_RATE ? 0 : *(const int64_t *)at;
	switch (o->type) {
	case KS_OPT_INT:
		snprintf(buf, size, "%lld", (long long)v);
		break;
	case KS_OPT_DUR:
		snprintf(buf, size, "%s", ks_dur_format(text, v));
		break;
	case KS_OPT_PPB:
		snprintf(buf, size, "%s", ks_ppb_format(text, v));
		break;
	case KS_OPT_RATE:
		snprintf(buf, size, "%s", ks_rate_format(text, *(const struct ks_rate *)at));
		break;
	case KS_OPT_WORD:
		snprintf(buf, size, "%s", o->words[v]);
		break;
	case KS_OPT_BOOL:
		snprintf(buf, size, "%s", v ? "true" : "false");
		break;
	case KS_OPT_UTC:
		snprintf(buf, size, "%s", ks_utc_format(text, v));
		break;
	}
	return buf;
}

const char *ks_opt_accepts(const struct ks_opt *o, char *buf, size_t size)
{
	char low[KS_TIME_TEXT], high[KS_TIME_TEXT];
	size_t n = 0;
	switch (o->type) {
	case KS_OPT_INT:
		snprintf(buf, size, "a whole number, %lld..%lld", (long long)o->min, (long long)o->max);
		break;
	case KS_OPT_DUR:
		snprintf(buf, size, "a duration, %s..%s", ks_dur_format(low, o->min), ks_dur_format(high, o->max));
		break;
	case KS_OPT_PPB:
		snprintf(buf, size, "a rate, %s..%s", ks_ppb_format(low, o->min), ks_ppb_format(high, o->max));
		break;
	case KS_OPT_RATE:
		snprintf(buf, size, "a rate such as 1000/s");
		break;
	case KS_OPT_WORD:
		for (size_t i = 0; o->words[i] && n < size; i++)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? "|" : "one of ", o->words[i]);
		break;
	case KS_OPT_BOOL:
		snprintf(buf, size, "true or false");
		break;
	case KS_OPT_UTC:
		snprintf(buf, size, "a UTC time, 1970-01-01T00:00:00Z..2261-12-31T23:59:59Z");
		break;
	}
	return buf;
}

/* Edit distance with swaps of neighbours (optimal string alignment), of words of at most WORD_MAX letters. */
#define WORD_MAX 48
static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned char d[WORD_MAX + 1][WORD_MAX + 1];
	for (size_t i = 0; i <= na; i++)
		d[i][0] = (unsigned char)i;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = (unsigned char)j;
	for (size_t i = 1; i <= na; i++)
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (d[i - 1][j] + 1u < best)
				best = d[i - 1][j] + 1u;
			if (d[i][j - 1] + 1u < best)
				best = d[i][j - 1] + 1u;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1u < best)
				best = d[i - 2][j - 2] + 1u;
			d[i][j] = (unsigned char)best;
		}
	return d[na][nb];
}

const char *ks_nearest(const char *text, const char *const *names, size_t n)
{
	size_t len = strlen(text);
	const char *best = NULL;
	unsigned best_distance = 0;
	if (!len || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n && names[i]; i++) {
		size_t m = strlen(names[i]);
		if (m > WORD_MAX)
			continue;
		unsigned d = distance(text, len, names[i], m);
		/* a word that the text begins, or a third of the letters wrong, is still "near" */
		if (len >= 3 && m > len && !strncmp(text, names[i], len))
			d = 1;
		if (d > (len > m ? len : m) / 3 + 1 || d >= m)
			continue;
		if (!best || d < best_distance) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}

int ks_size_parse(const char *text, int64_t *bytes)
{
	static const struct {
		const char *name;
		int64_t bytes;
	} units[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1000}, {"MB", 1000000}, {"GB", 1000000000}};
	int64_t n = 0;
	size_t digits = strspn(text, "0123456789");
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, text[i] - '0', &n))
			return -1;
	for (size_t u = 0; digits && u < sizeof units / sizeof *units; u++)
		if (!strcmp(text + digits, units[u].name))
			return __builtin_mul_overflow(n, units[u].bytes, bytes) ? -1 : 0;
	return -1;
}
