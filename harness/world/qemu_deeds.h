/* What the files share that play a plan in a guest: what it lacks (qemu_lacks.c), its deeds (qemu_deeds.c), how they are done
 * (qemu_play.c), and the first one of a machine that goes on from another (qemu_births.c). */
#ifndef KS_QEMU_DEEDS_H
#define KS_QEMU_DEEDS_H

#include "qemu_play.h"

/* So long before QEMU is stopped the agent begins to look, and as long after. */
#define KS_GUEST_WATCH_NS (60 * KS_MS)
#define KS_GUEST_ANSWER_NS (30 * KS_SEC)
/* From the command to where it acts, as measured under TCG: both are asked of QEMU's main loop. */
#define KS_GUEST_STOP_TAKES_NS (300 * KS_US)
#define KS_GUEST_CONT_TAKES_NS (500 * KS_US)

/* Of an event that changes it: ppb. Of a smear: what it makes of it while it lasts. Pure. */
int64_t ks_guest_rate(const struct ks_fault_event *e);
/* At it or after it. Pure. */
int64_t ks_guest_next_midnight(int64_t unix_ns);

/* True time since the start, of the host's. */
int64_t ks_guest_play_since_of(const struct ks_guest_play *p, int64_t host_raw_ns);
/* A reading as the guest told it, with true times since the start. */
struct ks_wire_clocks ks_guest_play_since(const struct ks_guest_play *p, const struct ks_wire_clocks *told);
/* The fault of a deed. */
const char *ks_guest_play_name_of(const struct ks_guest_play *p, const struct ks_deed *d);
/* Was a deed that is done what it was to be? did_ns: when it was, true, since the start. @return 0, or -1 with KS_E_JUDGE: too late,
 * or too long or too short, on a machine that is too busy. */
int ks_guest_play_late(struct ks_guest_play *p, const struct ks_deed *d, int64_t did_ns, struct ks_err *err);

#endif
