/* Inside the engine: fleets, queues, stacks. Everything that outlives an environment call is here, in the heap.
 *
 * engine.c: stacks, tasks of threads, the loop. fleet.c: how it is built. faults.c: what events do. process.c: restarts,
 * snapshots, clones. place.c: pauses inside calls. post.c: messages. registry.c: the registry. keep.c: what a node does to
 * its clock. queue.c: whose turn it is. window.c: records on their way out. env.c: the slow side of the environment. */
#ifndef KS_ENGINE_PRIVATE_H
#define KS_ENGINE_PRIVATE_H

#include "context.h"
#include "env.h"
#include "keygen.h"
#include "ks_engine.h"
#include "window.h"

/* What a thread waits for; decides who goes first at one instant (see ks_engine.h). */
enum lane_state {
	LANE_IN_CALL = 0, /* interrupted inside its task: goes on at wake_ns */
	LANE_IDLE = 1,    /* between tasks: the next one begins at wake_ns */
	LANE_DONE,        /* does no more; or not begun yet */
};

/* What a thread does next, or is inside of. */
enum task {
	TASK_CALL,
	TASK_OBSERVE,    /* a message */
	TASK_INIT,       /* of a restarted process, by its first thread */
	TASK_BACKGROUND, /* by a thread that does nothing else */
	TASK_END_STOP,   /* not a thread: the end of a placed stop of a process */
};

struct trap;

struct message {
	int64_t at_ns;
	struct ks_key key;
	uint32_t lane, seq;  /* of the call that issued it */
	uint32_t node, slot; /* of who gets it */
	struct message *next;
};

struct lane {
	struct ks_env env; /* first: the generator's handle */
	struct node *node;
	struct process *process;
	void *local;
	struct ks_arrivals arrivals;
	enum lane_state state;
	enum task task;
	int64_t wake_ns;         /* while queued */
	uint32_t queue_place;    /* in node->queue, from 1; 0: not queued */
	uint32_t seq;
	int64_t due_ns, call_ns; /* of the call that is going on or next */
	bool wished;             /* a call is wanted that has not begun */
	int64_t begin_ns;        /* when it may begin; of a background thread: when it runs next */
	int64_t cpu_limit_ns;    /* livelocked when reached without waiting */
	struct stack *stack;     /* where the interrupted task lives */
	bool waits;              /* for wait_clock to show wait_value */
	enum ks_clock_id wait_clock;
	int64_t wait_value;
	uint32_t next_waiter;    /* for a lock: lane + 1 */
	uint32_t stops;          /* how many faults hold it */
	bool parked;             /* it would be queued at wake_ns, but for those */
	uint32_t slot;           /* its place in node->lanes */
	uint32_t thread;         /* of the process; of background threads none that a fault can name */
	uint32_t background;     /* which of the generator's */
	bool starts;             /* it is held until its process has been initialised */
	struct trap *traps;      /* placed pauses that may meet it */
	uint64_t traced; /* clock readings that were handed over, while it is watched */
	bool trapped;            /* one of them may act inside this call: every environment call asks */
	struct message *inbox;   /* in the order of arrival */
	bool caused;             /* the next call is: by that one */
	struct ks_cause cause;
	struct ks_arrivals mail; /* when it sends a message */
	int64_t mail_due_ns;     /* KS_NO_TIME: it sends none */
	uint32_t mail_turn;      /* whose turn it is among the receivers */
	struct {
		enum question { REGISTRY_LEASE, REGISTRY_REPORT, REGISTRY_REPORTED } what;
		bool pending, answered;
		int64_t sent_ns;
		uint64_t value;
	} request; /* to the registry */
};
#define THREAD_NONE (KS_ANY - 1)
#define KS_LEAPS_MAX 64

struct process {
	uint32_t index;       /* on its node */
	uint32_t incarnation;
	void *shared;
	uint64_t pid;
	bool down;
	struct { /* what its background threads read last: what a call goes by that reads no clock itself */
		bool known;
		uint8_t clock;
		int64_t value, at_ns;
	} beside;
	struct {
		bool set;
		uint64_t value;
	} persist[KS_PERSIST_SLOTS];
	struct { /* what the registry knows of it */
		bool leased, has_reported;
		uint64_t worker, reported;
	} registry;
};

/* Waits until those threads that an event concerns are between tasks, then acts. */
struct gathering {
	bool going;
	const struct ks_fault_event *event;
	uint32_t inside; /* that many are not yet */
};

struct node {
	uint32_t index;
	struct ks_clocks clocks;
	uint64_t worker;
	bool born;
	int64_t source_ns; /* by how much the source of its keeper has moved; belongs to no snapshot */
	bool cut_off; /* from the registry */
	struct process *processes;
	struct lane **lanes; /* callers by process and thread, then background threads by process; the present ones */
	uint32_t ncallers, nlanes;
	struct lane **queue; /* heap by (wake_ns, state, lane number) */
	uint32_t queued;
	struct gathering gathering;
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
	int64_t smeared_ns;       /* of a leap second, so far */
};

struct snapshot {
	bool taken;
	int64_t at_ns;
	uint32_t node;
	struct ks_clocks clocks;
	struct ks_keeper keeper;
	struct process *processes; /* their persist alone counts */
	struct ks_stream *random;  /* of each thread */
	char *memory;              /* as ks_memory_copy lays it out */
};

/* A placed pause and a thread that it may meet. */
struct trap {
	const struct ks_fault_event *event;
	struct trap *next; /* of the lane */
	bool armed, spent;
	bool acts;         /* inside this call */
	uint32_t calls;    /* begun since it was armed */
	uint32_t hits;
	uint32_t point;    /* environment calls so far in this call */
	uint32_t matches;  /* of the kind */
	bool at_next;      /* what it waited for is done */
	uint32_t before;   /* any: places that the call before had; 0: none was counted yet */
	uint32_t target;   /* any, every: the place in this call */
	struct lane end;   /* of a stop of the process: its end, in the queue */
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
	bool begun;         /* processes are initialised before that, outside of time */
	struct node *nodes;
	struct process *processes;
	struct lane *lanes; /* callers of all incarnations, their number is that in the records; then background threads */
	uint32_t ncallers, nlanes, next_caller;
	struct lane **places; /* what node->lanes and node->queue point into */
	char *arena, *state; /* of shared and local states; state is where they begin, aligned */
	struct snapshot *snapshots;
	uint32_t nsnapshots;
	struct trap *traps;
	size_t ntraps;
	uint32_t node;      /* whose turn it is, up to the barrier */
	int64_t barrier_ns; /* the next instant at which nodes meet, or the end */
	int64_t end_ns;
	int64_t until_ns;   /* the barrier, or the end of the window before it */
	struct ks_window window;
	struct ks_sink sink;
	struct {
		int64_t at_ns, delta_ns;
	} leaps[KS_LEAPS_MAX]; /* of UTC */
	int nleaps;
	uint32_t event;     /* the next fault event */
	struct message *post; /* sent, not delivered; by arrival */
	uint32_t requests;  /* to the registry, pending */
	uint64_t leases;    /* so far */
	int64_t clock_base[KS_NCLOCKS]; /* what a perfect clock shows at the start */
	uint64_t record_limit;
	struct ks_context main;
	struct stack *current, *free;
	struct stack **all_list;
	uint32_t nstacks, max_stacks;
};

#define STACK_BYTES (128 * 1024)

/* engine.c */

/* Leaves the task that runs now; the engine goes on on another stack. Returns when the task is resumed. */
void ks_engine_suspend(struct lane *lane);
/* Ends the thread that runs now inside its task; a call is lost. Does not return. */
_Noreturn void ks_engine_abandon(struct lane *lane);
/* Ends the run from anywhere inside it. Does not return. */
_Noreturn void ks_engine_stop(struct ks_engine *g, int status);
_Noreturn void ks_engine_out_of_memory(struct ks_engine *g);
/* Nodes meet at t_ns at the latest. */
void ks_engine_meet(struct ks_engine *g, int64_t t_ns);
/* What the lane does after `now_ns`, being between tasks: queues it, or ends it. */
void ks_lane_go(struct lane *lane, int64_t now_ns);
/* The workload's next wish of the lane. */
void ks_lane_wish(struct lane *lane, int64_t now_ns, enum ks_outcome last);
/* Ends what it is inside of, which is lost, and all that it waits for. It is LANE_DONE then; what it wished stays. */
void ks_lane_kill(struct lane *lane);
/* While it is held it gets no turn. Holds add up. */
void ks_lane_hold(struct lane *lane);
void ks_lane_let_go(struct lane *lane, int64_t now_ns);

/* fleet.c */
int ks_fleet_build(struct ks_engine *g);
void ks_fleet_release(struct ks_engine *g);
/* Makes a fresh thread of the number at the slot of its node. */
void ks_lane_init(struct ks_engine *g, struct lane *lane, uint32_t number, struct node *node, struct process *process, uint32_t slot);
uint64_t ks_pid_draw(const struct ks_engine *g, const struct node *n, const struct process *p);

/* faults.c */
void ks_fault_act(struct ks_engine *g, uint32_t event);

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
/* Bends by a part of a smear, or ends it. */
void ks_keep_smear(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
/* Puts the threads of the node on its cores. */
void ks_keep_cores(struct node *n, int64_t skew_ns, uint32_t cores, uint32_t hops);
/* What is seen around a change of the node's clocks: begin before it, end after it. */
struct ks_fault_seen *ks_seen_begin(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
void ks_seen_end(struct ks_engine *g, struct node *n, struct ks_fault_seen *seen);
/* Threads that wait for a clock which has changed wait for another instant now. */
void ks_waits_solve(struct node *n, int64_t now_ns);

/* process.c */
/* Does it wait until threads are between tasks? */
bool ks_gathers(const struct ks_fault_event *event);
void ks_gather_begin(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
/* A lane has come out of its task while its node gathers. */
void ks_gather(struct lane *lane);
void ks_process_down(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
void ks_process_up(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
void ks_process_started(struct lane *first);
void ks_snapshot_clone(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
void ks_snapshot_roll_back(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
/* Bytes that are not 0 in the memory of the processes that the event hits. */
uint64_t ks_memory_left(const struct ks_engine *g, const struct node *n, const struct ks_fault_event *event);
uint64_t ks_memory_hash(const struct ks_engine *g, const struct node *n);

/* place.c */
void ks_place_arm(struct ks_engine *g, struct node *n, const struct ks_fault_event *event);
void ks_place_begin(struct lane *lane); /* of a call */
void ks_place_pass(struct lane *lane, enum ks_point point);
void ks_place_return(struct lane *lane);
void ks_place_end_stop(struct lane *end);

/* post.c */
void ks_post_send(struct lane *lane, struct ks_key key); /* of the call that has just ended */
/* Gives the messages that arrive before until_ns to their threads. */
void ks_post_deliver(struct ks_engine *g, int64_t until_ns);
/* @return when the first one arrives; INT64_MAX: none is on its way. */
int64_t ks_post_first(const struct ks_engine *g);
void ks_post_observe(struct lane *lane); /* the task */
void ks_post_forget(struct lane *lane);
void ks_post_release(struct ks_engine *g);

/* registry.c */
/* Answers those who asked before now_ns. */
void ks_registry_answer(struct ks_engine *g, int64_t now_ns);
/* @return when the first question arrives; INT64_MAX: none is on its way. */
int64_t ks_registry_first(const struct ks_engine *g);
void ks_registry_forget(struct lane *lane);

/* queue.c */

/* Queues the lane for wake_ns; a stopped one is parked instead, until it runs again. */
void ks_queue_push(struct lane *lane, int64_t wake_ns);
/* Takes it from wherever it is queued or parked, if it is. */
void ks_queue_drop(struct lane *lane);
struct lane *ks_queue_pop(struct node *node);
/* Queues a lane that is neither queued nor held and pops whoever is first then. */
struct lane *ks_queue_swap(struct lane *lane, int64_t wake_ns);
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

/* Hands over the clock reading that the lane has made since the last time, if it has. */
void ks_engine_trace_read(struct lane *lane);

/* The first instant at which it has to ask: with a placed pause in this call, or watched, always. */
static inline void ks_engine_set_horizon(struct lane *lane)
{
	lane->env.horizon_ns = lane->trapped || lane->env.engine->sim->trace ? INT64_MIN : ks_engine_horizon(lane->env.engine, lane);
}

#endif
