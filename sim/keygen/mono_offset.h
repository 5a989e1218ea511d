/* A counter of the process and the monotonic clock's ns within its second: what mono_offset.c issues, and what snowflake falls
 * back to. 33 bits of counter, then 30 bits of ns, so that it fits the column of a Snowflake id. */
#ifndef KS_MONO_OFFSET_H
#define KS_MONO_OFFSET_H

#include "parts.h"

#define KS_MONO_NS_BITS 30
#define KS_MONO_COUNT_MAX ((UINT64_C(1) << 33) - 1)

/* @return false when the counter is used up. */
static inline bool ks_mono_offset(struct ks_env *env, ks_word *count, struct ks_key *key)
{
	uint64_t n = env_fetch_add(env, count, 1);
	int64_t ns = env_clock(env, KS_MONOTONIC);
	*key = ks_key64((n + 1) << KS_MONO_NS_BITS | (uint64_t)(ns % NS_PER_S));
	return n < KS_MONO_COUNT_MAX;
}

#endif
