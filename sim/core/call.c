#include "ks_call.h"

#include "ks_rand.h"

/* More than the threads of any fleet. */
#define INCARNATION 4096

uint64_t ks_caller(const struct ks_lane *lane, uint32_t processes, uint32_t threads)
{
	uint64_t number = ((uint64_t)lane->node * processes + lane->process) * threads + lane->thread;
	return number + (uint64_t)lane->incarnation * INCARNATION;
}

struct ks_call_context ks_call_draw(const struct ks_call_ranges *ranges, uint64_t seed, uint64_t caller, uint32_t seq)
{
	uint64_t user = ks_rand_at(seed, KS_STREAM_CONTEXT, caller, 2 * (uint64_t)seq);
	uint64_t depth = ks_rand_at(seed, KS_STREAM_CONTEXT, caller, 2 * (uint64_t)seq + 1);
	return (struct ks_call_context){ks_rand_in(user, ranges->user_low, ranges->user_high),
	                                ks_rand_in(depth, ranges->depth_low, ranges->depth_high)};
}
