#include "ks_check.h"

struct ks_call_context ks_context(const struct ks_plan *plan, uint64_t seed, const struct ks_lane *lane, uint32_t seq)
{
	struct ks_call_ranges ranges = ks_plan_calls(plan);
	return ks_call_draw(&ranges, seed, ks_caller(lane, plan->processes, plan->threads), seq);
}
