/* The guests of a run, for the files that run them: qemu_prepare.c (until the start), qemu.c (from then on), qemu_lives.c
 * (machines that begin later). */
#ifndef KS_QEMU_FLEET_H
#define KS_QEMU_FLEET_H

#include "ft_records.h"
#include "ks_qemu.h"
#include "ks_world.h"
#include "qemu_carries.h"
#include "qemu_clone.h"
#include "qemu_keeper.h"
#include "qemu_play.h"

#define KS_GUEST_LIVES_MAX 16 /* of all nodes together */
#define KS_GUEST_FILES_MAX 16

/* How far a life is. */
enum ks_guest_stage {
	KS_GUEST_UNBORN,
	KS_GUEST_BOOTS,   /* its QEMU runs, and it has not said hello */
	KS_GUEST_AWAKENS, /* it is told what it is to do */
	KS_GUEST_READY,   /* it waits for its instant */
	KS_GUEST_LIVES
};

/* One life of a machine: a node has another one after it was rolled back, or booted anew. */
struct ks_guest {
	struct ks_vm *vm;     /* NULL: not yet, or no more */
	enum ks_guest_stage stage;
	uint32_t node, incarnation, first_lane;
	uint32_t born, died;  /* the events that begin and end it; KS_ANY: the scenario's start, its end */
	struct ks_guest *before; /* the life of the same node that it follows */
	int64_t ahead_ns;     /* its true time - the host's, when it was aligned */
	int64_t start_raw_ns; /* of the scenario, in its true time */
	int64_t launched_ns;  /* of one that boots in the scenario: when, and what its battery-backed clock showed; since the start, and unix */
	int64_t rtc_ns;
	struct ks_guest_play play;
	struct ks_guest_told told;  /* where machines are kept: what it told */
	const struct ks_guest *owner;  /* of one that goes on from where another was kept */
	struct ks_guest_keeper keeper;
	struct ks_wire_account account;
	struct {
		uint64_t n;
		int64_t due_ns; /* of the last one */
	} *taken; /* arrivals that were its own and its predecessors', by thread */
	struct {
		void *file[KS_GUEST_FILES_MAX]; /* payloads of KS_WIRE_FILE: what is on its disk when it ends */
		uint32_t size[KS_GUEST_FILES_MAX], n;
	} disk;
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
	struct ks_guest guest[KS_GUEST_LIVES_MAX];
	uint32_t n, lives; /* of guests that are looked after now; of all */
	uint32_t lanes;
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
/* Tells the guest what it is to do. It answers KS_WIRE_READY. */
int ks_guests_send_config(struct ks_guests *fleet, struct ks_guest *guest);
/* How far its true time is from the host's. */
int ks_guests_align(struct ks_guests *fleet, struct ks_guest *guest);
/* Gives all guests their date, configures them, and agrees on a start that is still to come then. */
int ks_guests_prepare(struct ks_guests *fleet);
/* What will be done to this life of its machine. */
int ks_guests_plan_deeds(struct ks_guests *fleet, struct ks_guest *guest);
/* The guest is told the start, and what is done to it begins. */
int ks_guests_hand_over(struct ks_guests *fleet, struct ks_guest *guest);


/* ---- lives (qemu_lives.c) ---- */

/* Which lives there will be, from the events, and how many lanes. */
void ks_guests_lay_out(struct ks_guests *fleet);
/* Does what is to be done for a life that has not begun. @return when something is due for it, ks_host_raw_ns (INT64_MAX: when another guest has
 * told something); INT64_MIN: an error. */
int64_t ks_guests_await(struct ks_guests *fleet, struct ks_guest *guest);
/* Takes HELLO, and then READY, of one that boots. @return 0, or -1. */
int ks_guests_take_birth(struct ks_guests *fleet, struct ks_guest *guest, int type, const void *payload, uint32_t length);
/* Takes KS_WIRE_FILE: a file on its disk. */
int ks_guests_take_file(struct ks_guests *fleet, struct ks_guest *guest, const void *payload, uint32_t length);
void ks_guest_release(struct ks_guest *guest);

#endif
