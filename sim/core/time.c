#include "ks_time.h"

#include <stdio.h>
#include <string.h>

/* A decimal number read exactly: mantissa / 10^places. */
struct decimal {
	bool negative;
	uint64_t mantissa;
	int places;
	const char *end;
};

static const uint64_t ten_to[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
#define PLACES_MAX 9

static int decimal_read(const char *s, struct decimal *d, const char **why)
{
	*d = (struct decimal){.negative = *s == '-'};
	if (*s == '-' || *s == '+')
		s++;
	int digits = 0;
	bool point = false;
	for (;; s++) {
		if (*s == '.' && !point && digits) {
			point = true;
			continue;
		}
		if (*s < '0' || *s > '9')
			break;
		if (d->mantissa > (UINT64_MAX - 9) / 10 || (point && d->places == PLACES_MAX)) {
			*why = "a number of at most 18 digits, 9 of them decimals";
			return -1;
		}
		d->mantissa = d->mantissa * 10 + (uint64_t)(*s - '0');
		d->places += point;
		digits++;
	}
	if (!digits || s[-1] == '.') {
		*why = "a number";
		return -1;
	}
	d->end = s;
	return 0;
}

/* mantissa * scale / 10^places, exactly, or -1. */
static int decimal_scale(const struct decimal *d, uint64_t scale, int64_t *out, const char **why)
{
	unsigned __int128 v = (unsigned __int128)d->mantissa * scale;
	if (v % ten_to[d->places]) {
		*why = "a value that is a whole number of the smallest unit";
		return -1;
	}
	v /= ten_to[d->places];
	if (v > INT64_MAX) {
		*why = "a value below 2^63 of the smallest unit";
		return -1;
	}
	*out = d->negative ? -(int64_t)v : (int64_t)v;
	return 0;
}

static const struct unit {
	const char *name;
	int64_t ns;
} units[] = {{"ns", 1},          {"us", KS_US},    {"ms", KS_MS},  {"s", KS_SEC},
             {"m", KS_MIN},      {"h", KS_HOUR},   {"d", KS_DAY},  {NULL, 0}};

static int64_t unit_ns(const char *name)
{
	for (const struct unit *u = units; u->name; u++)
		if (!strcmp(u->name, name))
			return u->ns;
	return 0;
}

int ks_dur_parse(const char *text, int64_t *ns, const char **why)
{
	struct decimal d;
	if (decimal_read(text, &d, why)) {
		*why = "a duration such as 120ms";
		return -1;
	}
	if (!*d.end) {
		*why = "a unit (ns us ms s m h d)";
		return -1;
	}
	int64_t scale = unit_ns(d.end);
	if (!scale) {
		*why = "a unit of ns us ms s m h d";
		return -1;
	}
	return decimal_scale(&d, (uint64_t)scale, ns, why);
}

/* Prints value / scale without trailing zeros; the remainder is exact. */
static void print_scaled(char *buf, size_t size, bool negative, uint64_t value, uint64_t scale, const char *unit)
{
	uint64_t whole = value / scale, rest = value % scale;
	char frac[24] = "";
	if (rest) {
		int n = 0;
		frac[n++] = '.';
		while (rest && n < 20) {
			rest *= 10;
			frac[n++] = (char)('0' + rest / scale);
			rest %= scale;
		}
		frac[n] = 0;
	}
	snprintf(buf, size, "%s%llu%s%s", negative ? "-" : "", (unsigned long long)whole, frac, unit);
}

const char *ks_dur_format(char buf[KS_TIME_TEXT], int64_t ns)
{
	uint64_t v = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	static const struct unit ladder[] = {{"d", KS_DAY}, {"h", KS_HOUR}, {"m", KS_MIN}, {"s", KS_SEC},
	                                     {"ms", KS_MS}, {"us", KS_US},  {"ns", 1}};
	if (!v)
		return strcpy(buf, "0s");
	for (size_t i = 0; i < sizeof ladder / sizeof *ladder; i++) {
		uint64_t scale = (uint64_t)ladder[i].ns;
		bool fits = scale > (uint64_t)KS_SEC ? v % scale == 0 : v >= scale;
		if (fits) {
			print_scaled(buf, KS_TIME_TEXT, ns < 0, v, scale, ladder[i].name);
			return buf;
		}
	}
	return buf;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible low-level
 * date algorithms"). */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	y -= m <= 2;
	int64_t era = y / 400;
	unsigned yoe = (unsigned)(y - era * 400);
	unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
	z += 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = (int64_t)yoe + era * 400 + (*m <= 2);
}

static bool two(const char *s, unsigned low, unsigned high, unsigned *v)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*v = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
	return *v >= low && *v <= high;
}

int ks_utc_parse(const char *s, int64_t *unix_ns, const char **why)
{
	*why = "a UTC time such as 2026-01-15T10:00:00Z";
	unsigned cc, yy, mo, dd, hh, mi, ss;
	size_t n = strlen(s);
	if (n < 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':')
		return -1;
	if (!two(s, 19, 22, &cc) || !two(s + 2, 0, 99, &yy) || !two(s + 5, 1, 12, &mo) || !two(s + 8, 1, 31, &dd) ||
	    !two(s + 11, 0, 23, &hh) || !two(s + 14, 0, 59, &mi) || !two(s + 17, 0, 59, &ss))
		return -1;
	int64_t year = (int64_t)cc * 100 + yy, y2;
	unsigned m2, d2;
	int64_t days = days_from_civil(year, mo, dd);
	civil_from_days(days, &y2, &m2, &d2);
	if (y2 != year || m2 != mo || d2 != dd) {
		*why = "a day that exists";
		return -1;
	}
	if (year < 1970 || year > 2261) {
		*why = "a year from 1970 to 2261";
		return -1;
	}
	int64_t frac = 0;
	s += 19;
	if (*s == '.') {
		int64_t scale = KS_SEC / 10;
		for (s++; *s >= '0' && *s <= '9'; s++, scale /= 10) {
			if (!scale)
				return -1;
			frac += (*s - '0') * scale;
		}
	}
	if (s[0] != 'Z' || s[1])
		return -1;
	*unix_ns = (days * 86400 + hh * 3600 + mi * 60 + ss) * KS_SEC + frac;
	return 0;
}

const char *ks_utc_format(char buf[KS_TIME_TEXT], int64_t unix_ns)
{
	int64_t days = unix_ns / KS_DAY, rest = unix_ns % KS_DAY, y;
	unsigned m, d;
	if (rest < 0) {
		rest += KS_DAY;
		days--;
	}
	civil_from_days(days, &y, &m, &d);
	int64_t sec = rest / KS_SEC, frac = rest % KS_SEC;
	int n = snprintf(buf, KS_TIME_TEXT, "%04lld-%02u-%02uT%02d:%02d:%02d", (long long)y, m, d, (int)(sec / 3600),
	                 (int)(sec / 60 % 60), (int)(sec % 60));
	if (frac) {
		n += snprintf(buf + n, (size_t)(KS_TIME_TEXT - n), ".%09lld", (long long)frac);
		while (buf[n - 1] == '0')
			n--;
	}
	snprintf(buf + n, (size_t)(KS_TIME_TEXT - n), "Z");
	return buf;
}

int ks_ppb_parse(const char *text, int64_t *ppb, const char **why)
{
	struct decimal d;
	if (decimal_read(text, &d, why)) {
		*why = "a rate such as 20ppm";
		return -1;
	}
	if (!strcmp(d.end, "ppm"))
		return decimal_scale(&d, 1000, ppb, why);
	if (!strcmp(d.end, "ppb"))
		return decimal_scale(&d, 1, ppb, why);
	*why = "a unit of ppm or ppb";
	return -1;
}

const char *ks_ppb_format(char buf[KS_TIME_TEXT], int64_t ppb)
{
	print_scaled(buf, KS_TIME_TEXT, ppb < 0, ppb < 0 ? -(uint64_t)ppb : (uint64_t)ppb, 1000, "ppm");
	return buf;
}

int ks_rate_parse(const char *text, struct ks_rate *rate, const char **why)
{
	struct decimal d;
	*why = "a rate such as 1000/s";
	if (decimal_read(text, &d, why) || d.negative || *d.end != '/') {
		*why = "a rate such as 1000/s";
		return -1;
	}
	int64_t per = unit_ns(d.end + 1);
	if (!per) {
		*why = "a rate per ns us ms s m h d, such as 1000/s";
		return -1;
	}
	if (!d.mantissa) {
		*why = "a rate above 0";
		return -1;
	}
	/* drop zeros so that 0.50/s is 0.5/s */
	while (d.places && d.mantissa % 10 == 0) {
		d.mantissa /= 10;
		d.places--;
	}
	__int128 scaled = (__int128)per * (int64_t)ten_to[d.places];
	if (d.mantissa > INT64_MAX || scaled > INT64_MAX) {
		*why = "a rate of fewer digits";
		return -1;
	}
	*rate = (struct ks_rate){(int64_t)d.mantissa, (int64_t)scaled};
	return 0;
}

const char *ks_rate_format(char buf[KS_TIME_TEXT], struct ks_rate rate)
{
	static const char *const preferred[] = {"s", "ms", "us", "ns", "m", "h", "d"};
	for (size_t i = 0; i < sizeof preferred / sizeof *preferred; i++)
		for (int places = 0; places <= PLACES_MAX; places++) {
			char unit[8];
			if ((__int128)unit_ns(preferred[i]) * (int64_t)ten_to[places] != rate.per_ns)
				continue;
			snprintf(unit, sizeof unit, "/%s", preferred[i]);
			print_scaled(buf, KS_TIME_TEXT, false, (uint64_t)rate.count, ten_to[places], unit);
			return buf;
		}
	snprintf(buf, KS_TIME_TEXT, "%lld/%lldns", (long long)rate.count, (long long)rate.per_ns);
	return buf;
}

static int bound_parse(const char *text, size_t n, int64_t *v, bool *is_time, const char **why)
{
	char word[KS_TIME_TEXT];
	if (n == 0 || n >= sizeof word) {
		*why = "a number or a duration";
		return -1;
	}
	memcpy(word, text, n);
	word[n] = 0;
	struct decimal d;
	if (decimal_read(word, &d, why))
		return -1;
	*is_time = *d.end != 0;
	if (*is_time)
		return ks_dur_parse(word, v, why);
	return decimal_scale(&d, 1, v, why);
}

int ks_band_parse(const char *text, struct ks_band *band, const char **why)
{
	const char *dots = strstr(text, "..");
	bool low_time = false, high_time = false;
	*why = "a band such as 120, 119..121, 1.. or ..5ms";
	*band = (struct ks_band){INT64_MIN, INT64_MAX, false};
	if (!dots) {
		if (bound_parse(text, strlen(text), &band->low, &band->is_time, why))
			return -1;
		band->high = band->low;
		return 0;
	}
	const char *high = dots + 2;
	if (dots == text && !*high)
		return -1;
	if (dots != text && bound_parse(text, (size_t)(dots - text), &band->low, &low_time, why))
		return -1;
	if (*high && bound_parse(high, strlen(high), &band->high, &high_time, why))
		return -1;
	if (dots != text && *high && low_time != high_time) {
		*why = "a unit at both ends of the band, or at none";
		return -1;
	}
	band->is_time = low_time || high_time;
	if (band->low > band->high) {
		*why = "a band whose low end is not above its high end";
		return -1;
	}
	return 0;
}

static const char *bound_format(char buf[KS_TIME_TEXT], int64_t v, bool is_time)
{
	if (is_time)
		return ks_dur_format(buf, v);
	snprintf(buf, KS_TIME_TEXT, "%lld", (long long)v);
	return buf;
}

const char *ks_band_format(char buf[2 * KS_TIME_TEXT], struct ks_band band)
{
	char low[KS_TIME_TEXT] = "", high[KS_TIME_TEXT] = "";
	if (band.low != INT64_MIN)
		bound_format(low, band.low, band.is_time);
	if (band.high != INT64_MAX)
		bound_format(high, band.high, band.is_time);
	if (band.low == band.high)
		snprintf(buf, 2 * KS_TIME_TEXT, "%s", low);
	else
		snprintf(buf, 2 * KS_TIME_TEXT, "%s..%s", low, high);
	return buf;
}
