/* The faults of a scenario in one guest: what is done to it at which instant, by its own agent or from outside, what its five
 * clocks showed before and after each, and the proof that this is what the simulated clocks (sim/clock) do under it.
 *
 * Deeds are done one after the other. What the agent does it is told a little before the instant, and it acts at its own true
 * time. Whoever runs the guest hands over the answers and asks when there is something to do again. */
#ifndef KS_QEMU_PLAY_H
#define KS_QEMU_PLAY_H

#include "ks_qemu.h"
#include "ks_world.h"

/* A fault later than this is another scenario. */
#define KS_GUEST_LATE_MAX_NS (100 * KS_MS)
/* So long after its instant a machine may be put back: it is stopped, and its memory is read, after all that it told was taken. */
#define KS_GUEST_BACK_LATE_NS (2 * KS_SEC)
/* From the end of a machine to when it has booted anew. */
#define KS_GUEST_BOOT_NS (5 * KS_SEC)
#define KS_GUEST_BESIDE_NS (1500 * KS_MS) /* and so much more for each that boots beside it */
/* How long the machines of a restart have to be off at least. Pure. */
int64_t ks_guest_boot_takes(const struct ks_fault *restart);

/* Longer than QEMU says that a machine slept its clocks stand: while its kernel puts the last of its devices to sleep, and wakes. Of 16 sleeps
 * the shortest took 19 ms for that, the longest 75 ms, beside other guests on two cores. Before, from being told to sleeping, they took 48 to
 * 153 ms in which clocks run. */
#define KS_GUEST_EDGES_NS (200 * KS_MS)
#define KS_GUEST_FALLS_ASLEEP_NS (500 * KS_MS)

enum ks_deed_kind {
	KS_DEED_ACT,       /* the agent changes a clock */
	KS_DEED_LOOK,      /* a reading, as what happens then the kernel does by itself */
	KS_DEED_HOLD,      /* a thread, or all of them, stands */
	KS_DEED_S3,        /* the guest sleeps and is woken */
	KS_DEED_VM_STOP,   /* QEMU stops the machine */
	KS_DEED_HOST_STOP, /* QEMU itself is stopped */
	KS_DEED_SAVE,      /* the machine stands while it is kept */
	KS_DEED_BORN,      /* the machine begins, as a clone of what was kept */
	KS_DEED_BACK,      /* it is put back to where it was kept */
	KS_DEED_END,       /* it ends: what it goes on with is another life */
	KS_DEED_BOOT,      /* it begins, booted anew */
	KS_DEED_CORE,      /* one of QEMU's cores is stopped */
};

/* In what order a deed gets done. */
enum ks_deed_state { KS_DEED_WAITS, KS_DEED_ASKED, KS_DEED_READY, KS_DEED_STANDS, KS_DEED_ENDS, KS_DEED_DONE };

struct ks_deed {
	enum ks_deed_kind kind;
	enum ks_deed_state state;
	uint32_t event, end;      /* of the plan's events: what it does, and what ends it (or the same) */
	int64_t at_ns, until_ns;  /* true, since the start */
	struct ks_wire_act act;
	struct ks_wire_clocks before, after; /* in true time since the start */
	int64_t value;            /* as the agent said, or how long the machine stood */
	int64_t stood_ns;         /* since when */
	int64_t gap_ns;           /* of a stop of QEMU or a core: for how long the agent did not get to look at its clocks; of a machine that was
	                             put back: by how much its clocks are behind for it */
	int64_t beside_ns;        /* of a stop of a core: the same of the other one */
	pid_t thread;             /* likewise: the host's */
};

/* A machine that was kept. */
struct ks_guest_snapshot {
	struct ks_vm_saved *saved;     /* NULL: not yet */
	uint32_t life;                 /* whose it is: a number of the fleet */
	int64_t stood_ns, stood_for_ns; /* since when it stood, true, since the start; and for how long while it was kept */
	int64_t stopped_ns, went_on_ns; /* when a machine was stopped to be put back to it, and went on, true, since the start */
	struct ks_wire_clocks before;  /* a reading before that */
};
#define KS_GUEST_SNAPSHOTS_MAX 8

struct ks_guest_play {
	struct ks_vm *vm;
	const struct ks_plan *plan;
	const struct ks_fault_event *event; /* of all nodes, borrowed */
	uint32_t nevents, node;
	uint32_t life;       /* a number of the fleet */
	uint32_t born, died; /* events: what is before the one, or after the other, is done to another life of its node. KS_ANY: none */
	uint64_t seed;
	char source[32];     /* the clock source of its kernel */
	int kernel;          /* its version: 6012 is 6.12 */
	int64_t start_ns;    /* of the scenario, in the guest's true time */
	int64_t ahead_ns;    /* the guest's true time - the host's */
	int64_t drift_ppb, slew_ppb; /* of its oscillator, as its discipline makes it look, and what is said to be discipline */
	struct ks_deed *deed;
	uint32_t deeds, next;
	struct ks_wire_clocks first, last; /* before all and after all */
	int64_t launched_ns, rtc_ns; /* of one that booted: when, true, since the start; what its battery-backed clock showed then, unix */
	struct ks_guest_snapshot *snapshot; /* the fleet's, by number; NULL: none are taken */
	struct {
		int64_t from_ns, until_ns, by_ns;
	} stood[16]; /* true times that the agent told without knowing that the machine had stood */
	uint32_t nstood;
	bool busy; /* it failed because this machine was: nothing was judged, another try may do better */
};

/* Can a guest do the event to a generator that reads these clocks (a mask)? source: fleet's clock source, NULL: the kernel's
 * choice. @return NULL, or what is missing. Pure. */
const char *ks_guest_lacks(const struct ks_plan *plan, const struct ks_fault_event *event, unsigned clocks, const char *source);
/* Two events of one node that are too near to do, or to prove, each. Pure. */
int64_t ks_guest_apart(const struct ks_fault_event *a, const struct ks_fault_event *b); /* how far they have to be apart, ns */
bool ks_guest_clash(const struct ks_fault_event *a, const struct ks_fault_event *b);
/* Does the event begin what the machine, or its agent, stands in until another event of the fault? Nothing else is done meanwhile.
 * Pure. */
bool ks_guest_stands_from(const struct ks_fault_event *event);
/* The same for the drift that a node has from its start. */
const char *ks_guest_lacks_drift(int64_t ppb, unsigned clocks, const char *source);

/* Two events of one node of which the first one lasts, and the second one takes the machine that it lasts on. Pure. */
const char *ks_guest_outlives(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n, uint32_t ends);

/* events: the whole plan's. @return 0, or -1. */
int ks_guest_play_init(struct ks_guest_play *play, struct ks_vm *vm, const struct ks_run_request *request, uint32_t node,
		       const struct ks_fault_event *event, uint32_t nevents, uint32_t born, uint32_t died, struct ks_err *err);
void ks_guest_play_release(struct ks_guest_play *play);
/* The start is agreed on and REALTIME set: takes the first reading. */
int ks_guest_play_start(struct ks_guest_play *play, int64_t start_ns, int64_t ahead_ns, struct ks_err *err);
/* In place of ks_guest_play_start, of one that has just gone on from what was kept: tells it how late it is. start_ns, ahead_ns: those of the
 * machine that was kept. */
int ks_guest_play_born(struct ks_guest_play *play, int64_t start_ns, int64_t ahead_ns, const struct ks_guest_snapshot *of,
		       struct ks_err *err);
/* After ks_guest_play_start, of one that has booted anew. before: the life of its node that has ended. */
int ks_guest_play_booted(struct ks_guest_play *play, const struct ks_guest_play *before, int64_t launched_ns, int64_t rtc_ns,
			 struct ks_err *err);
/* @return when there is something to do, ks_host_raw_ns; INT64_MAX: nothing, or the guest has to answer first. */
int64_t ks_guest_play_due(const struct ks_guest_play *play);
/* Does what is due by now. */
int ks_guest_play_run(struct ks_guest_play *play, struct ks_err *err);
/* Its answers. */
int ks_guest_play_acted(struct ks_guest_play *play, const struct ks_wire_acted *acted, struct ks_err *err);
int ks_guest_play_clocks(struct ks_guest_play *play, const struct ks_wire_clocks *clocks, struct ks_err *err);
static inline bool ks_guest_play_over(const struct ks_guest_play *play)
{
	return play->next == play->deeds;
}
/* What a time, since the start, is that the agent told in a record. */
int64_t ks_guest_play_true(const struct ks_guest_play *play, int64_t told_ns);

/* When all is over: takes the last reading. KS_E_JUDGE where the guest did not stand as long as it was told. */
int ks_guest_play_end(struct ks_guest_play *play, struct ks_err *err);
/* Then: adds the proofs of its faults to output->injection, which has room for the plan's faults x nodes. KS_E_JUDGE where a
 * clock did something else (qemu_prove.c). */
int ks_guest_prove(const struct ks_guest_play *play, struct ks_run_output *output, struct ks_err *err);

/* By how much the gap that a core's stop of commanded_ns leaves may differ from it, and up to which one of the other core is none. Pure. */
int64_t ks_guest_core_slack(int64_t commanded_ns);

/* By how much clocks of this source are behind after QEMU was stopped for stopped_ns: 0 of those whose counters run on. kernel:
 * see struct ks_guest_play. Pure. */
int64_t ks_guest_stop_loses(const char *source, int kernel, int64_t stopped_ns);

#endif
