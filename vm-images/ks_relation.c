#include "ks_relation.h"

#include <stddef.h>

#include "ks_time.h"

const char *const ks_relation_names[KS_NRELATIONS] = {
	"runs-on", "jumps", "moves", "bends", "stops", "freezes", "back-1s", "other",
};

#define RUNS_ON KS_RELATION_RUNS_ON

/* Tolerances are for a machine that is busy with other things; each is far below what tells its relations apart. A
 * kernel that was suspended asks the RTC how long, which counts whole seconds. */
const struct ks_relation_fault ks_relation_faults[] = {
	{KS_RF_STEP, "step", -120 * KS_MS, 0, false, RUNS_ON, KS_RELATION_MOVES, 2 * KS_MS, 0},
	{KS_RF_SLEW, "slew", 500000, 2 * KS_SEC, false, RUNS_ON, KS_RELATION_BENDS, 300 * KS_US, 0},
	{KS_RF_TICK, "tick", 10000000, 2 * KS_SEC, false, RUNS_ON, KS_RELATION_BENDS, 6 * KS_MS, 0},
	{KS_RF_VM_STOP, "vm-stop", 0, 3 * KS_SEC, true, RUNS_ON, KS_RELATION_FREEZES, 300 * KS_MS, 0},
	{KS_RF_HOST_STOP, "host-stop", 0, 3 * KS_SEC, true, KS_RELATION_JUMPS, KS_RELATION_FREEZES, 20 * KS_MS, 0},
	{KS_RF_LEAP, "leap", -KS_SEC, 0, false, RUNS_ON, KS_RELATION_BACK_1S, 20 * KS_MS, 0},
	{KS_RF_S3, "s3", 0, 3 * KS_SEC, true, RUNS_ON, KS_RELATION_STOPS, 400 * KS_MS, 1200 * KS_MS},
	{0, NULL, 0, 0, false, RUNS_ON, RUNS_ON, 0, 0},
};

int64_t ks_relation_expected(const struct ks_relation_fault *f, enum ks_relation relation)
{
	switch (relation) {
	case KS_RELATION_MOVES:
	case KS_RELATION_BACK_1S:
		return f->amount;
	case KS_RELATION_BENDS:
		return f->for_ns / KS_MS * f->amount / 1000;
	case KS_RELATION_STOPS:
	case KS_RELATION_FREEZES:
		return -f->for_ns;
	default:
		return 0;
	}
}

static int64_t distance(int64_t a, int64_t b)
{
	return a < b ? b - a : a - b;
}

enum ks_relation ks_relation_of(const struct ks_relation_fault *f, enum ks_clock_id clock, int64_t delta_ns)
{
	bool bridged = clock == KS_REALTIME || clock == KS_TAI || clock == KS_BOOTTIME;
	int64_t tolerance = bridged && f->bridged_ns ? f->bridged_ns : f->tolerance_ns;

	if (distance(delta_ns, ks_relation_expected(f, f->still)) <= tolerance)
		return f->still;
	if (distance(delta_ns, ks_relation_expected(f, f->moved)) <= tolerance)
		return f->moved;
	return KS_RELATION_OTHER;
}
