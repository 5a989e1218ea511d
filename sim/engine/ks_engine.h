/* The simulation of a fleet: from a description of nodes, workload and faults to records.
 *
 * Total order of what happens, the contract that makes runs reproducible: by true time; at one instant first the
 * faults in the order of the scenario file, then what a node's own keeper and kernel do to its clock, then threads that go on with what they are inside of, then messages that
 * arrive and calls that fall due; among equals by lane number. Nodes share nothing between two barriers, so each runs on
 * its own queue up to the next one: a fleet event (fault), or, where messages or the registry connect nodes, the first
 * instant at which one of them could hear of what another does.
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
#include "ks_point.h"
#include "ks_keeper.h"
#include "ks_record.h"
#include "ks_sink.h"
#include "ks_time.h"
#include "ks_trace.h"

struct ks_gen;

struct ks_node_desc {
	int64_t offset_ns; /* of its wall clock at the start; positive: reads later */
	int64_t drift_ppb; /* of its oscillator; positive: runs faster */
	uint64_t worker;   /* its node id */
	struct ks_keeper_desc keeper;
	bool clone;        /* it is not there before a clone event; such nodes come last */
};

/* What a process is told when it asks for its worker id. */
enum ks_worker_rule {
	KS_WORKER_GIVEN, /* its node's */
	KS_WORKER_LEASE, /* what the registry leases to it; UINT64_MAX when none answers */
	KS_WORKER_PID,   /* the low 10 bits of its pid */
	KS_WORKER_MAC,   /* ks_worker_of_mac of its MAC address and pid */
};
/* 10 bits, folded as MyBatis-Plus and Hutool do: 5 from two bytes of the MAC address, 5 from a hash of these and the
 * pid. */
uint64_t ks_worker_of_mac(uint64_t mac, uint64_t pid);

/* Where processes live. machine: pids and MAC addresses are drawn. container: as Docker gives them, the MAC address is
 * 02:42 and the IP address, and the first process is pid 1. */
enum ks_host { KS_HOST_MACHINE, KS_HOST_CONTAINER };
/* process: its number in the fleet, in_node: on its node. */
uint64_t ks_host_pid(enum ks_host host, uint64_t seed, uint64_t process, uint32_t in_node, uint32_t incarnation);
uint64_t ks_host_ip(uint32_t node);
uint64_t ks_host_mac(enum ks_host host, uint64_t seed, uint32_t node);

struct ks_node_set {
	uint32_t *v; /* ascending, borrowed */
	uint32_t n;
};

/* Messages carry the latest key of a thread of one node to the thread of the same number on another. With several receivers
 * each gets one in turn; the sender itself, and nodes that have not been cloned yet, are passed over. */
struct ks_mail {
	struct ks_rate rate; /* of a node that sends, shared by its threads; count 0: no messages */
	struct ks_node_set from, to;
};
static inline bool ks_node_set_has(const struct ks_node_set *set, uint32_t node)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (set->v[i] == node)
			return true;
	return false;
}

/* A way is this long between two nodes, and between a node and the registry; a message's is longer by up to jitter, drawn
 * by seed. */
struct ks_network {
	int64_t delay_ns, jitter_ns;
};
/* A process that gets no answer from the registry gives up after this. */
#define KS_REGISTRY_PATIENCE_NS (100 * KS_MS)

/* What a fault does, at its instant, to one node. The plan hands them over in file order. */
enum ks_fault_op {
	KS_FAULT_STEP,    /* amount: ns, positive moves REALTIME and TAI later */
	KS_FAULT_DRIFT,   /* amount: ppb, positive runs all five faster */
	KS_FAULT_SLEW,    /* amount: ppb, positive runs all but RAW faster; 0 ends it */
	KS_FAULT_HOLD,    /* amount: mask of clocks that stand from now on */
	KS_FAULT_RELEASE, /* amount: mask of clocks that run on from where they stand */
	KS_FAULT_LEAP,    /* amount: ns, -1 s inserts a second, +1 s deletes one; REALTIME alone */
	KS_FAULT_STOP,    /* the threads named by process and thread stop; extra: 0, or KS_CORES_EXTRA(cores, core): those on that
	                     core alone */
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
	KS_FAULT_DOWN,    /* amount: mask of enum ks_restart; the process, or all, ends */
	KS_FAULT_UP,      /* amount: the same; a new incarnation begins */
	KS_FAULT_SNAPSHOT, /* amount: number of the snapshot, from 0 */
	KS_FAULT_CLONE,    /* amount: number; extra: mask of enum ks_revive; node: the new one */
	KS_FAULT_ROLLBACK, /* amount: number; extra: mask of enum ks_revive */
	KS_FAULT_PLACE,    /* amount: ns; place says where in a call the thread will be paused */
	KS_FAULT_REGISTRY, /* amount: 0: the registry does not answer this node from now on; 1: it does again */
	KS_FAULT_SOURCE,   /* amount: ns by which the time source of the node's keeper reads later from now on */
};

/* A process whose state is lost is killed where it stands: calls inside are lost. One whose state is kept hands it over:
 * it takes no more calls and ends when the last one has returned. What it persists, and the workload, stay in both. */
enum ks_restart { KS_RESTART_NODE = 1, KS_RESTART_KEPT = 2 };
/* reseed: the machine has a new vmgenid, so its random streams are new ones; else they go on from the snapshot.
 * clocks_run: clocks do not go back to the snapshot (rollback only). */
enum ks_revive { KS_REVIVE_RESEED = 1, KS_REVIVE_CLOCKS_RUN = 2 };

/* Where in a call a pause is placed, counted in environment calls. */
enum ks_side {
	KS_PLACE_BEFORE, /* the nth environment call of the kind `point`, before it has done anything */
	KS_PLACE_AFTER,  /* once it is done */
	KS_PLACE_ANY,    /* anywhere in the call, drawn by seed among the places that the call before it had */
	KS_PLACE_EVERY,  /* before the first environment call of one call, the second of the next, .. until after the last */
};
struct ks_place {
	enum ks_side side;
	uint32_t point; /* enum ks_point */
	uint32_t nth;   /* from 1 */
	uint32_t call;  /* of the thread, from 0, of those that begin when the event has happened, or later */
	uint32_t times; /* how many calls it meets, one after another; not of EVERY */
	bool world;     /* all threads of the process stop */
};

#define KS_ANY UINT32_MAX /* every process, every thread */

/* Cores of a machine whose clocks differ: thread k of the node (its processes counted through) runs on core
 * (k + hops) modulo cores. */
#define KS_CORES_MAX 1024
#define KS_CORES_EXTRA(cores, hops) ((int64_t)(hops) << 16 | (cores))
static inline bool ks_core_has(uint32_t cores, uint32_t core, uint32_t thread_of_node)
{
	return thread_of_node % cores == core;
}

struct ks_fault_event {
	int64_t at_ns;
	uint32_t node;
	enum ks_fault_op op;
	int64_t amount, extra;
	uint32_t process, thread; /* of stop, run and place; process: of down and up; KS_ANY */
	struct ks_place place;
	uint32_t fault;  /* index of the fault in the plan; KS_NO_FAULT: a keeper's act */
};

/* Is it a stop, or a run, of what is on one core? Pure. */
static inline bool ks_fault_stops_by_core(const struct ks_fault_event *e)
{
	return (e->op == KS_FAULT_STOP || e->op == KS_FAULT_RUN) && e->extra;
}
/* Does it name this thread of this process? threads: of a process. Pure. */
static inline bool ks_fault_names(const struct ks_fault_event *e, uint32_t process, uint32_t thread, uint32_t threads)
{
	if (ks_fault_stops_by_core(e))
		return ks_core_has((uint32_t)(e->extra & 0xffff), (uint32_t)(e->extra >> 16), process * threads + thread);
	return (e->process == KS_ANY || e->process == process) && (e->thread == KS_ANY || e->thread == thread);
}

/* What the node's clocks showed just before and just after a fault event, read the way a subject reads them. */
struct ks_fault_seen {
	struct ks_fault_event event;
	int64_t before_ns[KS_NCLOCKS], after_ns[KS_NCLOCKS];
	/* Rates as the segments stand, from readings at the event and KS_PROBE_NS later; ppb. */
	int64_t raw_ppb, monotonic_ppb, monotonic_before_ppb;
	int64_t set_before_ns, set_after_ns; /* by how much REALTIME has been set in all, by whomever, before and after it */
	int64_t tick_ns;              /* REALTIME changes its reading by this from one to the next, just after it */
	int64_t source_moved_ns;      /* of SOURCE: by how much the source of the node's keeper moved */
	int64_t rtc_ns, utc_ns;       /* what the battery-backed clock shows after it; and what UTC is */
	uint64_t memory_before, memory_after; /* of down, up, snapshot, clone, rollback: a hash of the node's memory */
	uint64_t memory_left;         /* of up: bytes that are not 0 in the memory of the processes that begin */
	uint32_t begin;               /* of a run that ends a placed pause: the row of its beginning; else KS_ANY */
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
	enum ks_worker_rule worker;
	enum ks_host host;
	struct ks_mail mail;
	struct ks_network network;
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
	const struct ks_trace *trace;       /* may be NULL */
	volatile const int *stop;           /* may be NULL; non-zero ends the run with KS_E_JUDGE, "interrupted" */
};

struct ks_sim_result {
	struct ks_records records;  /* lanes only when there was a sink */
	struct ks_fault_seen *seen; /* by time on each node: the plan's events, what came of them later (leaps,
	                                 snapshots, placed pauses), and what keepers did */
	uint32_t nseen, seen_cap;
	uint64_t switches;          /* how often a call was interrupted */
};

/* The workload ends at duration_ns. Calls that have begun by then have this long to return; what is still inside
 * after it is lost. */
#define KS_DRAIN_NS KS_SEC
/* A thread that runs this long in one call without waiting for a clock or a lock is livelocked: the call is lost and
 * the thread makes no more. */
#define KS_CPU_BUDGET_NS KS_SEC
/* A snapshot, or a restart that keeps its state, waits this long for calls to return, or the run ends with KS_E_JUDGE. */
#define KS_PATIENCE_NS KS_SEC

/* Up-time of a node at the start, TAI - REALTIME at the start: a server that has been up for a while under NTP. */
#define KS_UPTIME_NS (1000 * KS_SEC)
#define KS_TAI_OFFSET_S 37

int ks_sim_run(const struct ks_sim *sim, struct ks_sim_result *result, struct ks_err *err);
void ks_sim_result_release(struct ks_sim_result *result);

#endif
