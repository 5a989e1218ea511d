/* A job: one run from plan to JSON. */
#ifndef KS_JOB_H
#define KS_JOB_H

#include <jansson.h>
#include <pthread.h>

#include "ks_result.h"

/* Where a run is, and what ends it early; written on one side and read on the other of two threads. */
enum ks_step { KS_STEP_BEGIN, KS_STEP_RUN, KS_STEP_CONTROL, KS_STEP_JUDGE, KS_STEP_WRITE, KS_STEP_DONE };
enum ks_stop { KS_STOP_ASKED = 1, KS_STOP_TIMEOUT };

struct ks_job {
	char id[256];
	const struct ks_plan *plan;
	const struct ks_gen_spec *gen;
	const struct ks_world *world;
	uint64_t seed;
	json_t *sweep;       /* {PATH: VALUE} of --sweep, borrowed; may be NULL */
	bool disorder;       /* inversions and rem, too */
	bool discard;        /* judge records as they pass and keep none, where that is exact; sim only */
	bool asked;          /* the world was named by -w or require: its absence is a failure */
	bool twice;          /* run it again and compare the records; sim only */
	char folder[4096];   /* for plots; "" writes none */
	char keys[4096];     /* for the key file; "" writes none */
	char reproduce[1024];
	int64_t timeout_ns;  /* of the host's time; 0: none */
	int64_t budget_ns;   /* of the host's time, from the first run on; later it does not begin; 0: none */
	size_t memory;       /* bytes of records and of what judging them takes; 0: no limit */
	volatile int stop;   /* enum ks_stop: set by who watches it */
	_Atomic int step;
	_Atomic int64_t begin_ns, step_ns; /* ks_now_ns; 0: it has not begun */
	struct ks_progress progress;
	json_t *result;      /* when done */
	struct ks_err err;   /* code KS_E_INTERNAL when keyskew itself failed */
};

/* The group of expectations that the plan has for a generator: its own, that of "other", or NULL. */
const struct ks_expect_group *ks_group_of(const struct ks_plan *plan, const struct ks_gen_spec *spec);

/* The job is not run: its result is untested, for that reason. @return 0, or -1 (KS_E_INTERNAL). */
int ks_job_skip(struct ks_job *job, const char *reason);

/* Runs the job and fills result. @return 0, or -1 (KS_E_INTERNAL) when it could not even be reported. */
int ks_job_run(struct ks_job *job);

#endif
