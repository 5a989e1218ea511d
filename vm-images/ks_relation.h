/* What a clock may do under a fault, in words: the language between the probe, which looks at real kernels, and the
 * test that holds the simulated clock to them. */
#ifndef KS_RELATION_H
#define KS_RELATION_H

#include <stdbool.h>
#include <stdint.h>

#include "ks_record.h"

enum ks_relation {
	KS_RELATION_RUNS_ON, /* keeps true time */
	KS_RELATION_JUMPS,   /* keeps true time, and so leaps over the time in which the guest stood still */
	KS_RELATION_MOVES,   /* by the fault's amount, at once */
	KS_RELATION_BENDS,   /* gains the fault's amount (ppb) for as long as it lasts */
	KS_RELATION_STOPS,   /* loses the time that the fault lasts, while other clocks run on */
	KS_RELATION_FREEZES, /* likewise, and so do all others */
	KS_RELATION_BACK_1S, /* goes back one second */
	KS_RELATION_OTHER,   /* none of these */
	KS_NRELATIONS
};
extern const char *const ks_relation_names[KS_NRELATIONS];

enum ks_relation_fault_id { KS_RF_STEP, KS_RF_SLEW, KS_RF_TICK, KS_RF_VM_STOP, KS_RF_HOST_STOP, KS_RF_LEAP, KS_RF_S3 };

struct ks_relation_fault {
	enum ks_relation_fault_id id;
	const char *name;
	int64_t amount;           /* step: ns, positive moves later; slew, tick: ppb, positive runs faster */
	int64_t for_ns;           /* how long it lasts; 0: at once */
	bool stands_still;        /* the guest does, so only the host's clock can tell true time */
	enum ks_relation still;   /* what a clock that the fault does not touch is said to do */
	enum ks_relation moved;   /* what one does that it touches */
	int64_t tolerance_ns;     /* of a measured clock that the fault works on exactly */
	int64_t bridged_ns;       /* of REALTIME, TAI, BOOTTIME: what a clock without fractions bridges */
};
extern const struct ks_relation_fault ks_relation_faults[]; /* ends with a NULL name */

/* By how much more than true time a clock moves that has this relation. */
int64_t ks_relation_expected(const struct ks_relation_fault *fault, enum ks_relation relation);
/* The relation of a clock that moved by delta_ns more than true time. */
enum ks_relation ks_relation_of(const struct ks_relation_fault *fault, enum ks_clock_id clock, int64_t delta_ns);

#endif
