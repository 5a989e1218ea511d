/* The guests of a run, for the files that run them: qemu_prepare.c (until the start), qemu.c (from then on). */
#ifndef KS_QEMU_FLEET_H
#define KS_QEMU_FLEET_H

#include "ft_records.h"
#include "ks_qemu.h"
#include "ks_world.h"
#include "qemu_carries.h"
#include "qemu_clone.h"
#include "qemu_keeper.h"
#include "qemu_play.h"

struct ks_guest {
	struct ks_vm *vm;
	uint32_t node;
	int64_t ahead_ns;     /* its true time - the host's, when it was aligned */
	int64_t start_raw_ns; /* of the scenario, in its true time */
	struct ks_guest_play play;
	struct ks_guest_told told;  /* where there are clones: what it told */
	const struct ks_guest *owner;  /* of a clone */
	struct ks_guest_keeper keeper;
	struct ks_wire_account account;
	bool done;
};

struct ks_guests {
	const struct ks_run_request *request;
	const struct ks_plan *plan;
	struct ks_run_output *output;
	struct ks_fault_event *events;
	uint32_t nevents;
	struct ks_vm_loop *loop;
	uint32_t threads; /* of a guest */
	struct ks_guest guest[KS_GUESTS_MAX];
	uint32_t n;
	int64_t deadline_ns; /* of the whole run, ks_host_ns */
	struct ks_guest_snapshot snapshot[KS_GUEST_SNAPSHOTS_MAX];
	struct ks_vm_options options;
	void *frame;         /* of KS_WIRE_MAX bytes: records on their way */
	struct ks_err *err;
};

/* The machine that snapshots are of, and clones that do not know that they are others. */
#define KS_GUEST_GENERATION "5f0a8d2e-3c4b-4d6a-9e1f-000000000001"
#define KS_GUEST_ANSWER_NS (30 * KS_SEC)

/* When something that should take limit_ns is given up: then, or when the run is. ks_host_ns. */
int64_t ks_guests_within(const struct ks_guests *fleet, int64_t limit_ns);
bool ks_guests_run_free(const struct ks_guests *fleet);
int ks_guests_account(struct ks_guests *fleet, struct ks_guest *guest);
/* Starts all guests, as clones of one that was booted before where that works, and waits until each has answered. */
int ks_guests_boot(struct ks_guests *fleet);
int ks_guests_configure(struct ks_guests *fleet, struct ks_guest *guest);
/* Agrees on a start that is still to come when the last guest has been prepared; a slow machine needs a longer lead. */
int ks_guests_agree_on_start(struct ks_guests *fleet);
/* The guest is told the start, and what is done to it begins. */
int ks_guests_hand_over(struct ks_guests *fleet, struct ks_guest *guest);

#endif
