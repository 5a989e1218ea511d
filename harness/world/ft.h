/* How libfaketime is driven: a private folder with one control file a process, what each node's clock is to show, and the
 * faults at their instants.
 *
 * libfaketime reads the file at every clock reading (FAKETIME_NO_CACHE) and makes REALTIME, TAI and gettimeofday of it;
 * FAKETIME_DONT_FAKE_MONOTONIC leaves the other clocks alone, as a step of a kernel's clock does. So every clock fault
 * here is a line that REALTIME follows (struct ks_seg), written as
 *
 *     offset and rate:   +D.ddddddddd xR     start of the process + D + R x (now - start of the process)
 *     a clock that stands, or shows ticks:   the unix time itself
 *
 * and ticks, strobe and jitter are made by rewriting the file at each of their instants, so not faster than KS_FT_GAP_NS. */
#ifndef KS_FT_H
#define KS_FT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault_clocks.h"
#include "ks_area.h"
#include "ks_clock.h"
#include "ks_engine.h"
#include "ks_world.h"
#include "proc.h"

/* Beyond this, and the width of the readings, a proof fails. A reading under libfaketime takes 2 to 100 us. */
#define KS_FT_TOLERANCE_NS (20 * KS_US)
/* A fault later than this after its due time is another scenario. */
#define KS_FT_LATE_MAX_NS (50 * KS_MS)
/* The control file is not rewritten faster than this. */
#define KS_FT_GAP_NS KS_MS
/* And events of a node by which a program without a probe is to show a step need more keys between them. */
#define KS_FT_FOREIGN_GAP_NS (50 * KS_MS)
/* A reader may have read the host's clock so long before it reads the file, and the file is there so long after it was
 * begun. What changes a rate meets the old line so much later or earlier: see meet() in ft_play.c. */
#define KS_FT_LEAD_NS (150 * KS_US)
#define KS_FT_PROCESSES_MAX 64
#define KS_FT_THREADS_MAX 256 /* of all of them */

struct ks_ft_stage {
	char dir[64];  /* /dev/shm/keyskew-PID-RANDOM, "" when closed */
	char lib[256]; /* libfaketimeMT.so.1 */
	int lock;      /* held as long as the folder is ours: see ft_sweep.h */
};

/* @return 0 with the path of the library, or -1 with the reason and what would help. */
int ks_ft_find_library(char path[256], char *why, size_t size);
/* "libfaketime 0.9.10-2.1", or without the version when Debian's package list does not tell it. */
void ks_ft_describe(char *text, size_t size);
/* The program that hosts built-in generators. @return 0, or -1 with the reason. */
int ks_ft_find_subject(char path[4096], char *why, size_t size);

/* Makes the folder, after removing what keyskew processes that no longer live have left. */
int ks_ft_open(struct ks_ft_stage *stage, struct ks_err *err);
/* Ends whatever still runs in it, removes the folder and what libfaketime of the started processes left. */
void ks_ft_close(struct ks_ft_stage *stage);

/* A process that sees a faked clock. */
struct ks_ft_process {
	const char *folder;   /* its working folder; NULL: ours */
	struct ks_proc proc;
	uint32_t node, process, incarnation;
	uint32_t slot;        /* its control file */
	int64_t started_ns;   /* true time */
	int64_t from_unix_ns; /* the host's time from which libfaketime counts in it: what a rate refers to */
	struct ks_area area;  /* of a subject host; zero for a foreign program */
	uint32_t first_lane;
	bool grouped;         /* it has a cgroup of its own: see ft_group.h */
	bool kept;            /* it goes on with the state that the incarnation before left */
	int64_t from_ns, until_ns; /* its life, true time since the start; the first one's begins at INT64_MIN */
	uint64_t was_inside[4]; /* a bit a thread: it was inside a call when its records were taken */
	uint32_t born;        /* the event that started it; KS_FT_NONE */
	uint64_t memory;      /* of one that goes on from another's: a hash of the generator's, as that one told it */
	bool up;              /* it runs, and its clock and threads can be acted on */
};

/* Starts a program on the clock that it was shown. With from_unix_ns 0, when nobody knows yet, its clock stands at just
 * that instant until it is shown a line. extra: a library to preload beside, or NULL. */
int ks_ft_start(struct ks_ft_stage *stage, struct ks_ft_process *process, char *const argv[], bool with_input,
		const char *extra, struct ks_err *err);
/* libfaketime makes a semaphore when a process starts, and whoever kills it just then leaves a file of a name that nobody
 * knows. So: waits until it has, a second after the start at most. To be called before processes are ended. */
void ks_ft_settle(const struct ks_ft_process *process);
/* Makes REALTIME of the process follow the line, from its next reading on. epoch_unix_ns: the host's time at true time 0
 * of the line. */
int ks_ft_show(const struct ks_ft_stage *stage, const struct ks_ft_process *process, const struct ks_seg *line,
	       int64_t epoch_unix_ns, struct ks_err *err);
/* Pure: what is written for it. @return its length. */
int ks_ft_line(char text[80], const struct ks_seg *line, int64_t from_unix_ns, int64_t epoch_unix_ns);

/* The host's unix time at true time 0 (ks_true_ns): what REALTIME of the kernel is ahead of it. */
int64_t ks_ft_unix_minus_true(void);

/* ---- the faults in time ---- */

/* What a node's REALTIME was made to follow, and when. */
struct ks_ft_change {
	int64_t begin_ns, end_ns; /* since the start: the files changed in between */
	struct ks_seg line;
	uint32_t event;           /* which one did it; KS_FT_NONE: the start */
};
#define KS_FT_NONE UINT32_MAX

struct ks_ft_done {
	int64_t begin_ns, end_ns; /* since the start; end 0: not done */
	int64_t amount;           /* ns by which the wall clock was stepped, when the plan does not say so itself */
};

struct ks_ft_node {
	struct ks_clocks clocks; /* as the plan says, with faults acting when they were done */
	struct ks_ft_change *change;
	size_t changes, cap;
	struct {
		int64_t delta_ns, unix_ns, tick_ns; /* that is announced; delta 0: none */
		uint32_t event;                     /* which announced it */
	} leap;
	int64_t leap_due_ns, tick_due_ns; /* since the start; INT64_MAX: none */
};

struct ks_ft_play {
	const struct ks_plan *plan;
	struct ks_fault_event *event; /* by time */
	struct ks_ft_done *done;      /* of each */
	uint32_t n, next;
	struct ks_ft_node *node;
	int64_t start_ns;      /* true time of the scenario's start */
	int64_t epoch_unix_ns; /* the host's time then */
	struct ks_ft_stage *stage;
	/* Whom it acts on; the owner keeps them up to date. */
	struct ks_ft_process *process;
	size_t stride;
	uint32_t processes;
	/* Does what is not about clocks and stops: a restart, a clone. NULL: there is nothing such. */
	int (*act)(void *who, uint32_t event, struct ks_err *err);
	void *who;
	struct {
		int64_t at_ns, delta_ns;
	} utc_leap[8]; /* of UTC itself, announced */
	uint32_t utc_leaps;
	uint64_t seed;
	/* Of the plan's snapshots, by number: the clocks of their nodes, and when they were kept; n of them. */
	struct {
		struct ks_clocks clocks;
		int64_t at_ns, planned_ns; /* since the start */
	} *kept;
	int64_t worst_late_ns;
	bool busy; /* it failed because the machine was too busy: another try may go well */
};

int ks_ft_play_init(struct ks_ft_play *play, const struct ks_run_request *request, struct ks_err *err);
void ks_ft_play_release(struct ks_ft_play *play);
struct ks_ft_process *ks_ft_process(const struct ks_ft_play *play, uint32_t i);
/* Sets the start, and every process to what its node's clock shows from then on. */
int ks_ft_play_start(struct ks_ft_play *play, int64_t start_ns, struct ks_err *err);
/* Shows a process that is new what the clock of its node is now. */
int ks_ft_play_show(struct ks_ft_play *play, const struct ks_ft_process *process, struct ks_err *err);
/* @return the true time at which something is due, INT64_MAX when all is done. */
int64_t ks_ft_play_due(const struct ks_ft_play *play);
/* Does one thing that is due within the next ms or two, at its instant. KS_E_JUDGE when it comes too late. */
int ks_ft_play_run(struct ks_ft_play *play, struct ks_err *err);

/* Acts on a node's clock and shows the outcome to its processes. change: the instants and what did it. Of use to ft_own.c. */
int ks_ft_play_bend(struct ks_ft_play *play, const struct ks_fault_event *event, uint32_t k, struct ks_err *err);
/* Shows all processes of a node what its clock is. */
int ks_ft_play_show_all(struct ks_ft_play *play, uint32_t node, struct ks_err *err);
int64_t ks_ft_play_now(const struct ks_ft_play *play);

/* ---- what a node's clock does by itself (ft_own.c) ---- */

/* UTC at true time t_ns, with the leap seconds that were announced. */
int64_t ks_ft_utc(const struct ks_ft_play *play, int64_t t_ns);
void ks_ft_own_arm(struct ks_ft_play *play, uint32_t k);
/* Something was done to the node's clock: when do its leap second and its next tick come? */
void ks_ft_own_plan(struct ks_ft_play *play, uint32_t node);
/* @return the true time since the start of the next one, of all nodes, INT64_MAX when there is none. */
int64_t ks_ft_own_due(const struct ks_ft_play *play, uint32_t *node);
int ks_ft_own_act(struct ks_ft_play *play, uint32_t node, struct ks_err *err);

/* Pure: can libfaketime do that event to a generator that reads these clocks (a mask)? @return NULL, or what is missing. */
const char *ks_ft_lacks(const struct ks_fault_event *event, unsigned clocks);
/* How many more processes the restarts of the plan will start (ft_restart.c). */
uint32_t ks_ft_restarts(const struct ks_ft_play *play, const struct ks_plan *plan);

/* ---- the proof ---- */

/* Proves every fault from the probes and holds in the areas of the processes, and that their clocks showed nothing else.
 * Fills output->injection. */
int ks_ft_prove(const struct ks_ft_play *play, const struct ks_run_request *request, struct ks_run_output *output,
		struct ks_err *err);
/* How often the probe should read so that everything that is planned can be proven. */
int64_t ks_ft_probe_gap(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n);

/* What the machine did to the calls; from the areas, when all have been collected. */
void ks_ft_machine(const struct ks_ft_play *play, struct ks_machine *machine);

/* The reading of a clock that a foreign program's key tells, if it tells one: read_ns and so on of the record, whose
 * return_ns is set. */
void ks_ft_read_key(const struct ks_run_request *request, const char *text, size_t len, struct ks_record *record);
/* Proves the faults of clocks from such readings, also of programs that were asked and read a clock of their own. */
int ks_ft_prove_keys(const struct ks_ft_play *play, const struct ks_run_request *request, struct ks_run_output *output,
		     struct ks_err *err);

/* Both ways to run; records are not sorted yet. *busy: see struct ks_ft_play. */
int ks_ft_run_host(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err);
int ks_ft_run_exec(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err);

/* Common to both: KS_E_JUDGE for interruption and time-out. */
int ks_ft_interrupted(const struct ks_run_request *request, int64_t limit_ns, struct ks_err *err);

#endif
