/* What a call is about: the user it is made for, and how deep in a nested map its key belongs.
 *
 * Drawn by (seed, caller, seq) and by nothing else, so that a thread's seq-th call is about the same whatever faults do,
 * and the same in every world and to checkers afterwards. */
#ifndef KS_CALL_H
#define KS_CALL_H

#include <stdint.h>

#include "ks_record.h"

/* What it is drawn from; ends included. All zero: calls are about nothing. */
struct ks_call_ranges {
	int64_t user_low, user_high, depth_low, depth_high;
};

struct ks_call_context {
	int64_t user, depth;
};

/* The number of a thread, by its ids and not by its place in a world's list; a restarted one is another caller.
 * processes: of a node, threads: of a process. */
uint64_t ks_caller(const struct ks_lane *lane, uint32_t processes, uint32_t threads);

struct ks_call_context ks_call_draw(const struct ks_call_ranges *ranges, uint64_t seed, uint64_t caller, uint32_t seq);

#endif
