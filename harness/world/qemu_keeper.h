/* Nodes of a fleet of guests whose clocks chrony keeps: a real chronyd runs in each, and asks a server of ours (ntp.h), which moves when
 * the plan's `source` says so. */
#ifndef KS_QEMU_KEEPER_H
#define KS_QEMU_KEEPER_H

#include "ks_qemu.h"
#include "ks_world.h"

/* Of -netdev for a node that is kept; NULL: it is not. A guest sees its host as 10.0.2.2. */
const char *ks_guest_keeper_net(const struct ks_plan *plan, uint32_t node);
/* Is any? */
bool ks_guest_is_kept(const struct ks_plan *plan, uint32_t node);
bool ks_guests_are_kept(const struct ks_plan *plan);
/* How long before the start chronyd begins, so that it is sure of its source by then. */
#define KS_GUEST_SETTLE_NS (12 * KS_SEC)

/* Can guests carry the keepers of the plan, with its faults? @return 0, or -1 with the reason. */
int ks_guest_keeper_carries(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n, char *why, size_t size);

struct ks_guest_keeper {
	struct ks_ntp *ntp;
	const struct ks_plan *plan;
	const struct ks_fault_event *event; /* of all nodes, borrowed */
	uint32_t nevents, node;
	struct ks_wire_clocks first, last; /* at the start and after the end, in true time since the start */
};

/* Starts the server, and chronyd in a guest that is not configured yet. */
int ks_guest_keeper_start(struct ks_guest_keeper *keeper, struct ks_vm *vm, const struct ks_plan *plan, uint32_t node,
			  const struct ks_fault_event *event, uint32_t nevents, struct ks_err *err);
/* The scenario's start is agreed on: the server begins to answer. */
void ks_guest_keeper_serve(struct ks_guest_keeper *keeper, int64_t start_host_raw_ns);
/* When all is over: proves that the clock followed its source, from readings at the start and after the end. KS_E_JUDGE where not. */
int ks_guest_keeper_prove(struct ks_guest_keeper *keeper, struct ks_run_output *output, struct ks_err *err);
void ks_guest_keeper_release(struct ks_guest_keeper *keeper);
/* What the daemons did, from what was captured in their kernels: output->change. */
int ks_guest_keepers_tell(const struct ks_plan *plan, struct ks_run_output *output, struct ks_err *err);

#endif
