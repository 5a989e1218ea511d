/* How many calls each incarnation of a process, or of its threads, makes, where processes end and begin anew. Private to this
 * folder. */
#ifndef KS_INCARNATIONS_H
#define KS_INCARNATIONS_H

#include "ks_plan.h"

struct ks_incarnations {
	uint64_t calls, longest; /* of all; of the one that makes most */
	uint64_t open;           /* calls so near to an end that late_ns decides whose they are, or whether they are lost */
	const char *why;         /* there is no such count: the premise that is not met */
};
/* Of regular arrivals, for plans without other lives (clones, rollbacks) and stops. Calls that fall due while a process is down are
 * made by the next incarnation. own_lanes: how many threads share what is lost. @return false: see why. */
bool ks_incarnations_count(const struct ks_plan *plan, uint32_t own_lanes, int64_t late_ns, struct ks_incarnations *out);

#endif
