/* What a run command is made of: the words of the command line, and the jobs that they stand for. */
#ifndef KS_RUN_H
#define KS_RUN_H

#include "job.h"
#include "options.h"

#define KS_JOBS_MAX 100000

/* --sweep PATH=V,V,..: every value of it, with every one of the others. */
#define KS_SWEEPS_MAX 4
#define KS_SWEEP_VALUES_MAX 1000
struct ks_sweep {
	const char *path;
	const char **value;
	size_t n;
};

struct ks_run_args {
	struct ks_cli cli;
	json_t *command; /* the words of the command line, owned */
	const char *resume; /* the folder of an interrupted run */
	bool failed, accept, jobs_given, compare;
	uint64_t rotating_seed; /* --rotating-seed, else the date in UTC: 20260115 */
	const char **target; /* scenarios, suites, folders */
	size_t targets;
	char **generator; /* texts of -g, owned */
	size_t generators;
	unsigned worlds;  /* of -w; 0: auto */
	uint64_t seed_low, seed_high;
	bool seeds_given, twice;
	bool disorder; /* --metrics disorder */
	bool discard;
	int64_t timeout_ns, memory; /* of a run; 0: not given */
	struct ks_set *set;
	size_t sets;
	struct ks_sweep sweep[KS_SWEEPS_MAX];
	size_t sweeps;
	uint64_t shard, shards; /* --shard I/N: every N-th run, from the I-th (1-based); 0: all */
	int jobs;
	const char *folder, *json, *keys, *junit;
	const char *base; /* with which the page compares the result; NULL: the last one of the same command */
};

/* A plan and the generators that run on it: what the jobs of one scenario share. */
struct ks_batch {
	struct ks_plan plan;
	struct ks_gen_spec *spec;
	size_t specs;
	char target[512]; /* the scenario as a shell would name it, for the reproduce line */
	char sets[512];   /* " --set a=b ...", too */
	json_t *sweep;    /* {PATH: VALUE} of --sweep, or NULL; owned */
};

struct ks_schedule {
	char name[KS_NAME_MAX]; /* of the folder: the suite, the scenario, or "run" */
	struct ks_batch **batch;
	size_t batches;
	struct ks_job *job;
	size_t jobs, job_cap;
	uint64_t rotating_seed; /* where a suite asked for it; 0: none did */
	size_t planned; /* jobs before some were left out */
};

/* run_args.c */
extern const struct ks_cli_option ks_run_options[];
/* @return 0, KS_CLI_HELP, or KS_CLI_BAD with the error in args->cli. */
int ks_run_args_parse(struct ks_run_args *args, int argc, char **argv);
/* keyskew compare takes the same words, and runs the basics when none names a scenario. */
int ks_compare_args_parse(struct ks_run_args *args, int argc, char **argv);
void ks_run_args_release(struct ks_run_args *args);

/* run_files.c */
/* Makes the folder of the run: -o, or .keyskew/20261122-101500-NAME, with -2, -3 behind it when two begin in one second. */
int ks_run_folder(const struct ks_run_args *args, const char *name, char *folder, struct ks_err *err);
/* Where each job's plots and keys go. */
int ks_run_place(const struct ks_run_args *args, struct ks_schedule *schedule, const char *folder, struct ks_err *err);
/* The result document. @return a new reference, or NULL out of memory. */
json_t *ks_run_collect(const struct ks_run_args *args, struct ks_schedule *schedule, double wall_s);
int ks_run_write(const struct ks_run_args *args, const json_t *document, const char *folder, struct ks_err *err);

/* journal.c */
struct ks_journal {
	FILE *f;
	const char *folder; /* borrowed */
};
/* go_on: behind what is there. */
int ks_journal_open(struct ks_journal *journal, const char *folder, const json_t *command, bool go_on, struct ks_err *err);
/* Takes a finished run; one that was interrupted is none. Not thread safe. */
int ks_journal_add(struct ks_journal *journal, const json_t *run, struct ks_err *err);
/* complete: nothing is left to go on with, the file goes. */
void ks_journal_close(struct ks_journal *journal, bool complete);
/* The command line of an interrupted run, and its finished runs. @return a new reference, or NULL: KS_E_NOMATCH there is none,
 * KS_E_USAGE. */
json_t *ks_journal_read(const char *folder, json_t **runs, struct ks_err *err);

/* Loads every file and makes the jobs, in order: scenario, generator, world, seed. Nothing has run when it fails.
 * @return 0, or -1: KS_E_USAGE, KS_E_NOMATCH. */
int ks_schedule_build(const struct ks_run_args *args, struct ks_schedule *schedule, struct ks_err *err);
void ks_schedule_release(struct ks_schedule *schedule);

/* cmd_compare.c: writes the comparison into the folder, measuring what a key costs (host.ns_per_key of the document). @return 0 or -1. */
int ks_compare_begin(json_t *document, const char *folder, struct ks_err *err);
/* Prints its tables. @return the exit code, or -1. */
int ks_compare_finish(const json_t *document, const char *folder, struct ks_err *err);

/* accept.c */
/* Writes what was measured into the scenario files where it is not what they expect; shows every changed line before and after,
 * and what could not be accepted. @return 0, or -1: a file cannot be read or written. */
int ks_accept(const struct ks_schedule *schedule, FILE *out, struct ks_err *err);

/* select.c: jobs that are left out. Those that stay keep their ids, so parts can be joined. */

/* Keeps the I-th of every N jobs, from the first (1-based): the same part for the same command on every machine. */
void ks_select_shard(struct ks_schedule *schedule, uint64_t i, uint64_t n);
/* The runs of a result that were as expected. @return a new array. */
json_t *ks_runs_as_expected(const json_t *document);
/* Gives the jobs that are among these runs, of the same command and scenario, their results (journal.c). @return how many. */
size_t ks_select_finished(struct ks_schedule *schedule, const json_t *runs);

/* Makes the programs of generator files, once for each. @return 0, or -1: KS_E_USAGE when one cannot be made. */
int ks_generators_make(const struct ks_schedule *schedule, struct ks_err *err);

/* Expectations of a generator that does not exist would never be looked at. @return 0, or -1 (KS_E_USAGE) with file:line:col
 * and the nearest name. */
int ks_check_groups(const struct ks_plan *plan, struct ks_err *err);

/* Writes result.json, junit.xml, metrics.prom, summary.md and the plots into a run folder. */
int ks_write_files(const json_t *document, const char *folder, int jobs, struct ks_err *err);
/* Writes index.html, and pictures of trends. base: a folder or a number of the history with which the result is compared, or NULL: the
 * last of the same command in the history, if it is in there itself. KS_E_USAGE: there is no such base. */
int ks_write_page(const json_t *document, const char *folder, const char *base, struct ks_err *err);

/* beside.c: what the page shows beside the result (ks_report_html). @return a new reference, or NULL with err: the base cannot be read. */
json_t *ks_beside(const json_t *document, const char *folder, const char *base, struct ks_err *err);

#endif
