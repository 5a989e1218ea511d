/* keyskew run: jobs on worker threads, then every output. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ks_report.h"
#include "run.h"
#include "watch.h"

struct pool {
	struct ks_schedule *schedule;
	struct ks_watch *watch;
	struct ks_journal *journal;
	struct ks_err err; /* of the journal */
	pthread_mutex_t lock;
	size_t next;
};

static bool is_over_budget(const struct pool *p, const struct ks_job *job)
{
	return job->budget_ns && ks_now_ns() - p->watch->begin_ns > job->budget_ns;
}

static void *worker(void *context)
{
	struct pool *p = context;
	for (;;) {
		pthread_mutex_lock(&p->lock);
		while (p->next < p->schedule->jobs && p->schedule->job[p->next].result) { /* of the run that this one resumes */
			p->next++;
			p->watch->done++;
		}
		bool end = p->next == p->schedule->jobs || ks_signal || p->watch->failed;
		struct ks_job *job = end ? NULL : &p->schedule->job[p->next++];
		pthread_mutex_unlock(&p->lock);
		if (!job)
			return NULL;
		int failed = is_over_budget(p, job) ? ks_job_skip(job, "the suite's budget of time was used up") : ks_job_run(job);
		pthread_mutex_lock(&p->lock);
		if (failed || ks_journal_add(p->journal, job->result, &p->err)) /* it could not be reported */
			p->watch->failed = 1;
		p->watch->done++;
		pthread_mutex_unlock(&p->lock);
	}
}

static int run_jobs(struct ks_schedule *s, struct ks_journal *journal, int jobs, struct ks_watch *watch, struct ks_err *err)
{
	struct pool pool = {.schedule = s, .watch = watch, .journal = journal};
	pthread_t thread[256];
	int n = 0;
	pthread_mutex_init(&pool.lock, NULL);
	while (n < jobs && (size_t)n < s->jobs && !pthread_create(&thread[n], NULL, worker, &pool))
		n++;
	if (!n)
		worker(&pool);
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	for (size_t i = 0; watch->failed && i < s->jobs; i++)
		if (s->job[i].err.code) {
			*err = s->job[i].err;
			return -1;
		}
	if (watch->failed)
		*err = pool.err;
	return watch->failed ? -1 : 0;
}

static int finish(const struct ks_run_args *a, struct ks_schedule *s, const char *folder, double wall_s, json_t **document,
                  struct ks_err *err)
{
	*document = ks_run_collect(a, s, wall_s);
	if (!*document)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	if (a->compare && ks_compare_begin(*document, folder, err))
		return -1;
	return ks_run_write(a, *document, folder, err);
}

/* The day's seed becomes part of the command, so that it can be repeated on another day. */
static void say_rotating_seed(const struct ks_run_args *a, uint64_t seed)
{
	char text[32];
	snprintf(text, sizeof text, "--rotating-seed=%llu", (unsigned long long)seed);
	json_array_append_new(a->command, json_string(text));
	fprintf(stderr, "keyskew: rotating seed %llu\n", (unsigned long long)seed);
}

/* Before anything runs: a base that cannot be read is found out at once. */
static int check_base(const struct ks_run_args *a, struct ks_err *err)
{
	char folder[PATH_MAX];
	json_t *base = a->base ? ks_load_result(a->base, folder, sizeof folder, err) : NULL;
	json_decref(base);
	return a->base && !base ? -1 : 0;
}

static int run(const struct ks_run_args *a, struct ks_schedule *s, const json_t *finished, struct ks_err *err)
{
	char folder[PATH_MAX];
	json_t *document = NULL;
	struct ks_watch watch;
	struct ks_journal journal;
	if (check_base(a, err) || ks_schedule_build(a, s, err) || ks_generators_make(s, err))
		return -1;
	if (finished)
		ks_select_finished(s, finished);
	if (s->rotating_seed)
		say_rotating_seed(a, s->rotating_seed);
	if (ks_run_folder(a, s->name, folder, err) || ks_run_place(a, s, folder, err))
		return -1;
	if (ks_journal_open(&journal, folder, a->command, finished != NULL, err))
		return -1;
	if (ks_watch_begin(&watch, s, err)) {
		ks_journal_close(&journal, false);
		return -1;
	}
	int status = run_jobs(s, &journal, a->jobs, &watch, err);
	if (!status)
		status = finish(a, s, folder, (double)(ks_now_ns() - watch.begin_ns) / 1e9, &document, err);
	ks_watch_end(&watch);
	bool json_out = a->json && !strcmp(a->json, "-");
	int compared = !status && a->compare ? ks_compare_finish(document, folder, err) : 0;
	status = compared < 0 ? compared : status;
	if (!status && !json_out && !a->compare)
		status = ks_report_text(document, stdout, ks_colour(), ks_width(), a->folder ? folder : ".keyskew/last");
	if (!status && a->accept && !ks_signal)
		status = ks_accept(s, json_out ? stderr : stdout, err);
	if (!status && ks_signal)
		fprintf(stderr, "keyskew: interrupted; %zu of %zu runs are finished and kept in %s\n  go on: keyskew run --resume %s\n",
		        json_array_size(json_object_get(document, "runs")), s->jobs, folder, folder);
	if (!status)
		status = a->compare ? compared : ks_result_exit(document);
	json_decref(document);
	ks_journal_close(&journal, status >= 0 && !ks_signal);
	return status;
}

/* The command line of an earlier run, read again; words and *inner live as long as the run. */
static int read_again(const json_t *command, struct ks_run_args *inner, char ***words, struct ks_err *err)
{
	size_t n = json_array_size(command);
	*words = calloc(n + 2, sizeof **words);
	if (!*words)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	(*words)[0] = strdup("run");
	for (size_t i = 0; i < n; i++) {
		const char *word = json_string_value(json_array_get(command, i));
		(*words)[i + 1] = strdup(word ? word : "");
	}
	if (!ks_run_args_parse(inner, (int)n + 1, *words))
		return 0;
	*err = inner->cli.err;
	return -1;
}

/* The command of an earlier run and those of its runs that need not be made again. */
static json_t *command_of(const struct ks_run_args *a, char *folder, json_t **finished, struct ks_err *err)
{
	if (a->resume) {
		snprintf(folder, PATH_MAX, "%s", a->resume);
		return ks_journal_read(a->resume, finished, err);
	}
	json_t *last = ks_load_result(a->folder, folder, PATH_MAX, err);
	json_t *command = json_incref(json_object_get(json_object_get(last, "host"), "command"));
	*finished = last ? ks_runs_as_expected(last) : NULL;
	if (last && !command)
		ks_fail(err, KS_E_USAGE, "the result in '%s' does not tell its command", folder);
	if (command && json_array_size(*finished) == json_array_size(json_object_get(last, "runs"))) {
		ks_fail(err, KS_E_NOMATCH, "nothing to run again: everything was as expected in '%s'", folder);
		json_decref(command);
		command = NULL;
	}
	json_decref(last);
	return command;
}

/* --resume and --failed: the command is an earlier one's, its result is made whole in its folder. */
static int run_again(const struct ks_run_args *a, struct ks_schedule *s, struct ks_err *err)
{
	struct ks_run_args inner = {0};
	char **words = NULL, folder[PATH_MAX];
	json_t *finished = NULL, *command = command_of(a, folder, &finished, err);
	int status = command ? read_again(command, &inner, &words, err) : -1;
	if (!status) {
		inner.folder = folder;
		inner.jobs = a->jobs_given ? a->jobs : inner.jobs;
		status = run(&inner, s, finished, err);
	}
	json_decref(command);
	json_decref(finished);
	ks_run_args_release(&inner);
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
	return status;
}

static int run_command(int argc, char **argv, int (*parse)(struct ks_run_args *, int, char **))
{
	struct ks_run_args args;
	struct ks_schedule schedule = {0};
	struct ks_err err = {.code = KS_E_INTERNAL, .text = "cannot write to standard output"};
	int code = parse(&args, argc, argv);
	if (code == 0) {
		bool again = args.resume || args.failed;
		code = again ? run_again(&args, &schedule, &err) : run(&args, &schedule, NULL, &err);
		code = code < 0 ? ks_cli_error(&err) : code;
	} else {
		code = ks_cli_end(&args.cli, code);
	}
	ks_schedule_release(&schedule);
	ks_run_args_release(&args);
	return code;
}

int ks_cmd_run(int argc, char **argv)
{
	return run_command(argc, argv, ks_run_args_parse);
}

int ks_cmd_compare_run(int argc, char **argv)
{
	return run_command(argc, argv, ks_compare_args_parse);
}
