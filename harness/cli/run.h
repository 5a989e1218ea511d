/* What a run command is made of: the words of the command line, and the jobs that they stand for. */
#ifndef KS_RUN_H
#define KS_RUN_H

#include "job.h"

#define KS_JOBS_MAX 100000

struct ks_run_args {
	const char **target; /* scenarios, suites, folders */
	size_t targets;
	char **generator; /* texts of -g, owned */
	size_t generators;
	unsigned worlds;  /* of -w; 0: auto */
	uint64_t seed_low, seed_high;
	bool seeds_given, twice;
	struct ks_set *set;
	size_t sets;
	int jobs;
	const char *folder, *json, *keys, *junit;
};

/* A plan and the generators that run on it: what the jobs of one scenario share. */
struct ks_batch {
	struct ks_plan plan;
	struct ks_gen_spec *spec;
	size_t specs;
	char target[512]; /* the scenario as a shell would name it, for the reproduce line */
	char sets[512];   /* " --set a=b ...", too */
};

struct ks_schedule {
	char name[KS_NAME_MAX]; /* of the folder: the suite, the scenario, or "run" */
	struct ks_batch **batch;
	size_t batches;
	struct ks_job *job;
	size_t jobs, job_cap;
};

/* Loads every file and makes the jobs, in order: scenario, generator, world, seed. Nothing has run when it fails.
 * @return 0, or -1: KS_E_USAGE, KS_E_NOMATCH. */
int ks_schedule_build(const struct ks_run_args *args, struct ks_schedule *schedule, struct ks_err *err);
void ks_schedule_release(struct ks_schedule *schedule);

/* Expectations of a generator that does not exist would never be looked at. @return 0, or -1 (KS_E_USAGE) with file:line:col
 * and the nearest name. */
int ks_check_groups(const struct ks_plan *plan, struct ks_err *err);

/* Writes result.json, junit.xml, summary.md, plots and index.html into a run folder. */
int ks_write_reports(const json_t *document, const char *folder, int jobs, struct ks_err *err);

#endif
