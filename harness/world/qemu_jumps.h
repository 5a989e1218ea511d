/* The capture of clock jumps in guests: asked for before a run, taken with its records. */
#ifndef KS_QEMU_JUMPS_H
#define KS_QEMU_JUMPS_H

#include "ks_qemu.h"
#include "ks_world.h"

/* Asks a guest to capture, if the plan does; before it is configured. */
int ks_guest_jumps_ask(struct ks_vm *vm, const struct ks_plan *plan, struct ks_err *err);
/* Takes KS_WIRE_JUMPS. start_ns: of the scenario, in the guest's true time; from_ns: from when on they are this guest's, and not the harness's
 * own doing, or another one's whose memory it has. */
int ks_guest_jumps_take(struct ks_vm *vm, uint32_t node, int64_t start_ns, int64_t from_ns, const void *payload, uint32_t length, struct ks_run_output *output,
			struct ks_err *err);
/* By node, then by time. */
void ks_guest_jumps_sort(struct ks_run_output *output);

#endif
