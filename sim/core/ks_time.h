/* Time: signed 64-bit nanoseconds, everywhere.
 *
 * A duration is in ns. An instant is in ns since an epoch that is named at its declaration: `*_unix_ns`
 * since 1970-01-01T00:00:00Z (UTC as POSIX counts it, leap seconds not counted), all others since the
 * start of the scenario, in true time. int64 ns since 1970 ends on 2262-04-11. */
#ifndef KS_TIME_H
#define KS_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KS_US INT64_C(1000)
#define KS_MS INT64_C(1000000)
#define KS_SEC INT64_C(1000000000)
#define KS_MIN (60 * KS_SEC)
#define KS_HOUR (60 * KS_MIN)
#define KS_DAY (24 * KS_HOUR)

/* Longest text that any formatter of this file writes, with its NUL. */
#define KS_TIME_TEXT 40

/* Parses a duration: an optional sign, a decimal number, one unit of `ns us ms s m h d`; "-1.5ms", "0s".
 * The unit is required and the value must be a whole number of ns.
 * @return 0, or -1 with *why set to what was expected (static text). */
int ks_dur_parse(const char *text, int64_t *ns, const char **why);

/* Writes it exactly, in the largest unit that it reaches: "-120.000003ms", "1.5s"; m, h and d only when whole. */
const char *ks_dur_format(char buf[KS_TIME_TEXT], int64_t ns);

/* Parses "2026-01-15T10:00:00[.frac]Z" (RFC 3339, UTC only; at most 9 decimals).
 * @return 0, or -1 with *why set. Range: 1970-01-01 to 2261-12-31. */
int ks_utc_parse(const char *text, int64_t *unix_ns, const char **why);
const char *ks_utc_format(char buf[KS_TIME_TEXT], int64_t unix_ns);

/* Parses a rate of change: "-500ppm", "20ppb", "0.1ppm" into parts per billion (positive: runs faster).
 * @return 0, or -1 with *why set. */
int ks_ppb_parse(const char *text, int64_t *ppb, const char **why);
const char *ks_ppb_format(char buf[KS_TIME_TEXT], int64_t ppb);

/* A rate of events: `count` per `per_ns` ns, exact. "1000/s" is {1000, 1e9}; "0.5/s" is {5, 1e10}. */
struct ks_rate {
	int64_t count, per_ns;
};
int ks_rate_parse(const char *text, struct ks_rate *rate, const char **why);
const char *ks_rate_format(char buf[KS_TIME_TEXT], struct ks_rate rate);

/* A closed band of integers; an open end is INT64_MIN or INT64_MAX. "120", "119..121", "1..", "..5ms". A unit
 * of time makes it nanoseconds; both ends then need one. */
struct ks_band {
	int64_t low, high;
	bool is_time; /* written with units: print it so */
};
int ks_band_parse(const char *text, struct ks_band *band, const char **why);
const char *ks_band_format(char buf[2 * KS_TIME_TEXT], struct ks_band band);
static inline bool ks_band_has(struct ks_band b, int64_t v)
{
	return v >= b.low && v <= b.high;
}

#endif
