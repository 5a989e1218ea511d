/* How libfaketime is driven: a private folder with one control file a node, and the schedule of steps.
 *
 * libfaketime reads the file at every clock reading (FAKETIME_NO_CACHE) and adds the offset in it to REALTIME, TAI and
 * gettimeofday; FAKETIME_DONT_FAKE_MONOTONIC leaves the other clocks alone, as a step of a kernel's clock does. */
#ifndef KS_FT_H
#define KS_FT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ks_engine.h"
#include "ks_world.h"
#include "proc.h"

/* Beyond this a proof fails. A reading under libfaketime takes about 10 us, its bracket rarely more than 100. */
#define KS_FT_TOLERANCE_NS KS_MS
/* A step later than this after its due time is another scenario. */
#define KS_FT_LATE_MAX_NS (50 * KS_MS)
/* Faults of one node need time for a clock reading between them. */
#define KS_FT_GAP_NS (50 * KS_MS)
#define KS_FT_PROCESSES_MAX 64

struct ks_ft_stage {
	char dir[64];       /* /dev/shm/keyskew-PID-RANDOM, "" when closed */
	char lib[256];      /* libfaketimeMT.so.1 */
	int64_t *offset_ns; /* of each node: its REALTIME minus the real one; what its file says */
	uint32_t nodes;
};

/* @return 0 with the path of the library, or -1 with the reason and what would help. */
int ks_ft_find_library(char path[256], char *why, size_t size);
/* "libfaketime 0.9.10-2.1", or without the version when Debian's package list does not tell it. */
void ks_ft_describe(char *text, size_t size);
/* The program that hosts built-in generators. @return 0, or -1 with the reason. */
int ks_ft_find_subject(char path[4096], char *why, size_t size);

/* Makes the folder, after removing what keyskew processes that no longer live have left. */
int ks_ft_open(struct ks_ft_stage *stage, uint32_t nodes, struct ks_err *err);
/* Makes the offset of a node what is given: seen by its processes from their next clock reading on. */
int ks_ft_set(struct ks_ft_stage *stage, uint32_t node, int64_t offset_ns, struct ks_err *err);
/* Starts a program on the node's clock. extra: a library to preload beside, or NULL. */
int ks_ft_start(struct ks_ft_stage *stage, uint32_t node, char *const argv[], bool with_input, const char *extra,
		struct ks_proc *proc, struct ks_err *err);
/* Removes the folder and what libfaketime of the started processes left. They must have been waited for. */
void ks_ft_close(struct ks_ft_stage *stage);

/* The offset that makes REALTIME show start_unix_ns at true time start_ns. */
int64_t ks_ft_base(int64_t start_unix_ns, int64_t start_ns);

/* The steps of a plan, and when each was done. */
struct ks_ft_step {
	struct ks_fault_event event;
	int64_t begin_ns, end_ns; /* true time: the file changed in between; 0: not done */
};

struct ks_ft_play {
	struct ks_ft_step *step; /* by time */
	uint32_t n, next;
	int64_t start_ns; /* true time of the scenario's start */
	bool busy;        /* it failed because the machine was too busy: another try may go well */
};

int ks_ft_play_init(struct ks_ft_play *play, const struct ks_run_request *request, struct ks_err *err);
void ks_ft_play_release(struct ks_ft_play *play);
/* @return the true time at which the next step is due, INT64_MAX when all are done. */
int64_t ks_ft_play_due(const struct ks_ft_play *play);
/* Does the steps that are due within the next ms or two, each at its instant. KS_E_JUDGE when one comes too late. */
int ks_ft_play_run(struct ks_ft_play *play, struct ks_ft_stage *stage, const struct ks_plan *plan, struct ks_err *err);

/* Both ways to run; records are not sorted yet. *busy: see struct ks_ft_play. */
int ks_ft_run_host(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err);
int ks_ft_run_exec(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err);

/* Common to both: lanes of the fleet, KS_E_JUDGE for interruption and time-out. */
int ks_ft_lanes(struct ks_records *records, const struct ks_plan *plan, uint32_t threads, struct ks_err *err);
int ks_ft_interrupted(const struct ks_run_request *request, int64_t limit_ns, struct ks_err *err);

#endif
