/* The simulation of a fleet: from a description of nodes, workload and faults to records.
 *
 * Total order of what happens, the contract that makes runs reproducible: by true time; at one instant first the
 * faults in the order of the scenario file, then what a node's own keeper and kernel do to its clock, then threads that go on with a call, then calls that fall due; among
 * equals by lane number. Nodes share nothing between two fleet events (faults), so each runs on its own queue up
 * to the next fleet event.
 *
 * A call runs on the engine's own stack unless an event falls inside it. Then the engine goes on on a fresh stack,
 * and the interrupted call is resumed later. */
#ifndef KS_ENGINE_H
#define KS_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "ks_arrivals.h"
#include "ks_call.h"
#include "ks_clock.h"
#include "ks_err.h"
#include "ks_keeper.h"
#include "ks_record.h"
#include "ks_sink.h"
#include "ks_time.h"

struct ks_gen;

struct ks_node_desc {
	int64_t offset_ns; /* of its wall clock at the start; positive: reads later */
	int64_t drift_ppb; /* of its oscillator; positive: runs faster */
	uint64_t worker;   /* its node id */
	struct ks_keeper_desc keeper;
};

/* What a fault does, at its instant, to one node. The plan hands them over in file order. */
enum ks_fault_op {
	KS_FAULT_STEP,    /* amount: ns, positive moves REALTIME and TAI later */
	KS_FAULT_DRIFT,   /* amount: ppb, positive runs all five faster */
	KS_FAULT_SLEW,    /* amount: ppb, positive runs all but RAW faster; 0 ends it */
	KS_FAULT_HOLD,    /* amount: mask of clocks that stand from now on */
	KS_FAULT_RELEASE, /* amount: mask of clocks that run on from where they stand */
	KS_FAULT_LEAP,    /* amount: ns, -1 s inserts a second, +1 s deletes one; REALTIME alone */
	KS_FAULT_STOP,    /* the threads named by process and thread stop */
	KS_FAULT_RUN,     /* and run on */
	KS_FAULT_SUSPEND, /* amount: enum ks_suspend; the clocks as it says, all threads stop */
	KS_FAULT_RESUME,  /* amount: enum ks_suspend; extra: wake error, ns */
	KS_FAULT_TO_TRUE, /* steps REALTIME and TAI to where REALTIME shows the true UTC */
	KS_FAULT_ARM_LEAP,/* a leap second of UTC is announced, amount as of LEAP; extra: hz. UTC has it at the next midnight;
	                     the node at the first tick after the next midnight of its own clock: then LEAP is seen */
	KS_FAULT_SMEAR,   /* amount: ns by which all but RAW are bent over the next extra ns; extra 0 ends it */
	KS_FAULT_COARSE,  /* amount: mask of clocks; extra: the tick, ns; 0 ends it */
	KS_FAULT_RTC,     /* amount: unix time that the battery-backed clock is set to */
	KS_FAULT_CORES,   /* amount: by how much the last core's clocks read later than the first's, those between in
	                     proportion; 0 ends it; extra: KS_CORES_EXTRA(cores, hops) */
	KS_FAULT_KEEPER,  /* not from a plan: what the node's keeper did. extra: enum ks_keeper_did, amount: its amount */
};

#define KS_ANY UINT32_MAX /* every process, every thread */

/* Cores of a machine whose clocks differ: thread k of the node (its processes counted through) runs on core
 * (k + hops) modulo cores. */
#define KS_CORES_MAX 1024
#define KS_CORES_EXTRA(cores, hops) ((int64_t)(hops) << 16 | (cores))

struct ks_fault_event {
	int64_t at_ns;
	uint32_t node;
	enum ks_fault_op op;
	int64_t amount, extra;
	uint32_t process, thread; /* of stop and run; KS_ANY */
	uint32_t fault;  /* index of the fault in the plan; KS_NO_FAULT: a keeper's act */
};

/* What the node's clocks showed just before and just after a fault event, read the way a subject reads them. */
struct ks_fault_seen {
	struct ks_fault_event event;
	int64_t before_ns[KS_NCLOCKS], after_ns[KS_NCLOCKS];
	/* Rates as the segments stand, from readings at the event and KS_PROBE_NS later; ppb. */
	int64_t raw_ppb, monotonic_ppb, monotonic_before_ppb;
	int64_t set_before_ns, set_after_ns; /* by how much REALTIME has been set in all, by whomever, before and after it */
	int64_t tick_ns;              /* REALTIME changes its reading by this from one to the next, just after it */
	int64_t rtc_ns, utc_ns;       /* what the battery-backed clock shows after it; and what UTC is */
	int64_t core_low_ns, core_high_ns; /* the lowest and highest reading of REALTIME of the node's threads, less the line */
};
#define KS_PROBE_NS (1000 * KS_SEC)

/* How far a run has come, for whoever watches it from another thread. */
struct ks_progress {
	_Atomic int64_t reached_ns; /* of true time */
	_Atomic uint64_t calls;     /* that have ended */
};

struct ks_sim {
	int64_t start_unix_ns;
	int64_t duration_ns;
	uint64_t seed;
	uint32_t nodes, processes, threads; /* processes of a node, threads of a process */
	const struct ks_node_desc *node;    /* nodes of them */
	struct ks_load load;
	struct ks_call_ranges about;        /* what calls are about */
	const struct ks_fault_event *events;
	uint32_t nevents;
	const struct ks_gen *gen;           /* from ks_gens_sim */
	const void *cfg;
	uint64_t record_limit;              /* more records than this end the run with KS_E_JUDGE; 0: 2^31 */
	size_t memory;                      /* bytes of kept records beyond which it ends with KS_E_JUDGE; 0: no limit */
	const struct ks_sink *sink;         /* may be NULL: the records are kept */
	struct ks_progress *progress;       /* may be NULL */
	volatile const int *stop;           /* may be NULL; non-zero ends the run with KS_E_JUDGE, "interrupted" */
};

struct ks_sim_result {
	struct ks_records records;  /* lanes only when there was a sink */
	struct ks_fault_seen *seen; /* by time: the plan's events, leaps that happened, and what keepers did */
	uint32_t nseen, seen_cap;
	uint64_t switches;          /* how often a call was interrupted */
};

/* The workload ends at duration_ns. Calls that have begun by then have this long to return; what is still inside
 * after it is lost. */
#define KS_DRAIN_NS KS_SEC
/* A thread that runs this long in one call without waiting for a clock or a lock is livelocked: the call is lost and
 * the thread makes no more. */
#define KS_CPU_BUDGET_NS KS_SEC

/* Up-time of a node at the start, TAI - REALTIME at the start: a server that has been up for a while under NTP. */
#define KS_UPTIME_NS (1000 * KS_SEC)
#define KS_TAI_OFFSET_S 37

int ks_sim_run(const struct ks_sim *sim, struct ks_sim_result *result, struct ks_err *err);
void ks_sim_result_release(struct ks_sim_result *result);

#endif
