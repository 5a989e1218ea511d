/* Inside the engine: fleets, queues, stacks. Everything that outlives an environment call is here, in the heap. */
#ifndef KS_ENGINE_PRIVATE_H
#define KS_ENGINE_PRIVATE_H

#include "context.h"
#include "env.h"
#include "keygen.h"
#include "ks_engine.h"
#include "window.h"

/* What a thread waits for; decides who goes first at one instant (see ks_engine.h). */
enum lane_state {
	LANE_IN_CALL = 0, /* interrupted inside a call: goes on at wake_ns */
	LANE_IDLE = 1,    /* between calls: the next one begins at wake_ns */
	LANE_DONE,        /* makes no more calls */
};

struct lane {
	struct ks_env env; /* first: the generator's handle */
	struct node *node;
	struct process *process;
	void *local;
	struct ks_arrivals arrivals;
	enum lane_state state;
	int64_t wake_ns;         /* while queued */
	uint32_t queue_place;    /* in node->queue, from 1; 0: not queued */
	uint32_t seq;
	int64_t due_ns, call_ns; /* of the call that is going on or next */
	int64_t cpu_limit_ns;    /* livelocked when reached without waiting */
	struct stack *stack;     /* where the interrupted call lives */
	bool waits;              /* for wait_clock to show wait_value */
	enum ks_clock_id wait_clock;
	int64_t wait_value;
	uint32_t next_waiter;    /* for a lock: lane + 1 */
	uint32_t stops;          /* how many faults hold it */
	bool parked;             /* it would be queued at wake_ns, but for those */
};

#define KS_LEAPS_MAX 64

struct process {
	void *shared;
	uint64_t pid;
	struct {
		bool set;
		uint64_t value;
	} persist[KS_PERSIST_SLOTS];
	bool has_reported;
	uint64_t reported; /* to the registry */
};

struct node {
	uint32_t index;
	struct ks_clocks clocks;
	uint64_t worker;
	struct lane *lanes; /* of this node */
	uint32_t nlanes;
	struct lane **queue; /* binary heap by (wake_ns, state, lane number) */
	uint32_t queued;
	/* keep.c: what the node does to its clock by itself */
	int64_t own_ns;           /* when it does so next; INT64_MAX: never */
	struct ks_keeper keeper;
	struct {
		int64_t delta_ns; /* 0: none is announced */
		int64_t unix_ns;  /* the midnight on its own clock */
		int64_t tick_ns, due_ns;
		uint32_t fault;
	} leap;
	uint32_t suspends;        /* how many hold it */
	int64_t suspended_at_ns;
	int64_t set_ns;           /* by how much REALTIME has been set in all */
};

struct stack {
	struct ks_context context;
	void *low;
	size_t size;
	struct stack *next; /* in the pool */
};

struct ks_engine {
	const struct ks_sim *sim;
	struct ks_sim_result *result;
	struct ks_err *err;
	int status;
	struct node *nodes;
	struct lane *lanes;
	struct process *processes;
	uint32_t nlanes, nprocesses;
	char *state; /* the arena of shared and local states */
	struct lane **queues;
	uint32_t node;      /* whose turn it is, up to the barrier */
	int64_t barrier_ns; /* the next fleet event, or the end */
	uint32_t event;     /* the next fault event */
	int64_t clock_base[KS_NCLOCKS]; /* what a perfect clock shows at the start */
	int64_t until_ns;   /* the barrier, or the end of the window before it */
	struct ks_window window;
	struct ks_sink sink;
	struct {
		int64_t at_ns, delta_ns;
	} leaps[KS_LEAPS_MAX]; /* of UTC */
	int nleaps;
	uint64_t record_limit;
	struct ks_context main;
	struct stack *current, *free;
	struct stack **all_list;
	uint32_t nstacks, max_stacks;
};

#define STACK_BYTES (128 * 1024)

/* keep.c */

/* What UTC is at true time t: leap seconds are in it, and time sources know it. */
int64_t ks_utc(const struct ks_engine *g, int64_t t_ns);
void ks_keep_init(struct ks_engine *g, struct node *n);
/* The node's own act at n->own_ns. */
void ks_keep_act(struct ks_engine *g, struct node *n);
/* A fault has acted on the node: its keeper and kernel take notice. */
void ks_keep_notice(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
/* The node has booted at t, its clocks as ks_clocks_boot left them. */
void ks_keep_boot(struct ks_engine *g, struct node *n, int64_t t_ns);
/* Announces a leap second. */
void ks_keep_arm(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
/* Puts the threads of the node on its cores. */
void ks_keep_cores(struct node *n, int64_t skew_ns, uint32_t cores, uint32_t hops);
/* What is seen around a change of the node's clocks: begin before it, end after it. */
struct ks_fault_seen *ks_seen_begin(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
void ks_seen_end(struct ks_engine *g, struct node *n, struct ks_fault_seen *seen);
/* Threads that wait for a clock which has changed wait for another instant now. */
void ks_waits_solve(struct node *n, int64_t now_ns);

/* queue.c */

/* Queues the lane for wake_ns; a stopped one is parked instead, until it runs again. */
void ks_queue_push(struct lane *lane, int64_t wake_ns);
/* Takes it from wherever it is queued or parked, if it is. */
void ks_queue_drop(struct lane *lane);
struct lane *ks_queue_pop(struct node *node);
void ks_queue_remove(struct lane *lane);
static inline struct lane *ks_queue_top(const struct node *node)
{
	return node->queued ? node->queue[0] : NULL;
}

/* The first instant at which anything but the lane that runs now can happen on its node. */
static inline int64_t ks_engine_horizon(const struct ks_engine *g, const struct lane *lane)
{
	int64_t h = g->barrier_ns;
	const struct lane *top = ks_queue_top(lane->node);
	if (top && top->wake_ns < h)
		h = top->wake_ns;
	if (lane->node->own_ns < h)
		h = lane->node->own_ns;
	return lane->cpu_limit_ns < h ? lane->cpu_limit_ns : h;
}

/* Leaves the call that runs now; the engine goes on on another stack. Returns when the call is resumed. */
void ks_engine_suspend(struct lane *lane);
/* Ends the thread that runs now inside its call, which is lost. Does not return. */
_Noreturn void ks_engine_abandon(struct lane *lane);
/* Ends the run from anywhere inside it. Does not return. */
_Noreturn void ks_engine_stop(struct ks_engine *g, int status);

#endif
