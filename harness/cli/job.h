/* A job: one run from plan to JSON. */
#ifndef KS_JOB_H
#define KS_JOB_H

#include <jansson.h>
#include <pthread.h>

#include "ks_result.h"

struct ks_job {
	char id[256];
	const struct ks_plan *plan;
	const struct ks_gen_spec *gen;
	const struct ks_world *world;
	uint64_t seed;
	json_t *sweep;       /* {PATH: VALUE} of --sweep, borrowed; may be NULL */
	bool disorder;       /* inversions and rem, too */
	bool asked;          /* the world was named by -w or require: its absence is a failure */
	bool twice;          /* run it again and compare the records; sim only */
	char folder[4096];   /* for plots; "" writes none */
	char keys[4096];     /* for the key file; "" writes none */
	char reproduce[1024];
	json_t *result;      /* when done */
	struct ks_err err;   /* code KS_E_INTERNAL when keyskew itself failed */
};

/* Runs the job and fills result. @return 0, or -1 (KS_E_INTERNAL) when it could not even be reported. */
int ks_job_run(struct ks_job *job, volatile const int *stop);

#endif
