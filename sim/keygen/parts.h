/* Parts that several generators are made of. Environment calls in them are one a statement, as everywhere. */
#ifndef KS_PARTS_H
#define KS_PARTS_H

#include "env.h"
#include "keygen.h"
#include "ks_digits.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

static inline unsigned ks_reads_none(const void *cfg)
{
	(void)cfg;
	return 0;
}

static inline unsigned ks_reads_wall(const void *cfg)
{
	(void)cfg;
	return 1u << KS_REALTIME;
}

static inline char *ks_print_decimal(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_decimal(buf, key);
}

/* 64 bits, written the one way. */
static inline int ks_parse_decimal(const void *cfg, const char *text, struct ks_key *key)
{
	const char *end = ks_scan_decimal(text, &key->lo);
	(void)cfg;
	key->hi = 0;
	return end && !*end ? 0 : -1;
}

static inline char *ks_print_uuid(const void *cfg, struct ks_key key, char buf[KS_KEY_TEXT])
{
	(void)cfg;
	return ks_key_uuid(buf, key);
}

static inline int ks_parse_uuid(const void *cfg, const char *text, struct ks_key *key)
{
	(void)cfg;
	return ks_key_from_uuid(text, key);
}

/* The wall clock in ms; -1 before 1970. */
static inline int64_t ks_wall_ms(struct ks_env *env)
{
	int64_t now = env_clock(env, KS_REALTIME);
	return now >= 0 ? now / NS_PER_MS : -1;
}

/* Waits until the wall clock shows a tick (of tick_ns) after `last`. @return it. */
static inline int64_t ks_wall_after(struct ks_env *env, int64_t last, int64_t tick_ns)
{
	int64_t tick;
	do {
		env_wait_until(env, KS_REALTIME, (last + 1) * tick_ns);
		tick = env_clock(env, KS_REALTIME) / tick_ns;
	} while (tick <= last);
	return tick;
}

/* A key's time: the tick-th stretch of tick_ns after the epoch. Beyond int64 ns (the year 2262) it stays at the end. */
static inline void ks_embed(struct ks_fields *f, int64_t epoch_unix_ns, uint64_t tick, int64_t tick_ns)
{
	unsigned __int128 lo = (unsigned __int128)tick * (uint64_t)tick_ns + (uint64_t)epoch_unix_ns;
	f->has_time = true;
	f->embed_lo_unix_ns = lo > (uint64_t)(INT64_MAX - tick_ns) ? INT64_MAX - tick_ns : (int64_t)lo;
	f->embed_hi_unix_ns = f->embed_lo_unix_ns + tick_ns;
}

static inline void ks_field(struct ks_fields *f, const char *name, uint64_t value)
{
	f->field[f->nfields].name = name;
	f->field[f->nfields++].value = value;
}

#endif
