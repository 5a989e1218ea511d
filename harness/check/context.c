#include "ks_check.h"
#include "ks_rand.h"

struct ks_context ks_context(const struct ks_plan *plan, uint64_t seed, const struct ks_lane *lane, uint32_t seq)
{
	/* Named by its ids, not by its place in a world's list; a restarted thread is another caller. */
	uint64_t id = ((uint64_t)lane->node * plan->processes + lane->process) * plan->threads + lane->thread;
	id += (uint64_t)lane->incarnation * KS_THREADS_MAX;
	uint64_t user = ks_rand_at(seed, KS_STREAM_CONTEXT, id, 2 * (uint64_t)seq);
	uint64_t depth = ks_rand_at(seed, KS_STREAM_CONTEXT, id, 2 * (uint64_t)seq + 1);
	return (struct ks_context){ks_rand_in(user, plan->user_low, plan->user_high),
				   ks_rand_in(depth, plan->depth_low, plan->depth_high)};
}
