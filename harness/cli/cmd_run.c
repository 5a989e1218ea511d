/* keyskew run: jobs on worker threads, then every output. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "ks_report.h"
#include "run.h"

struct pool {
	struct ks_schedule *schedule;
	pthread_mutex_t lock;
	size_t next, done;
	bool progress;
	int failed; /* a job could not be reported: stop */
};

static volatile int stop; /* for worlds: the signal, or a failure of keyskew itself */

static void progress(struct pool *p, const struct ks_job *job)
{
	if (p->progress)
		fprintf(stderr, "\r\033[K%zu/%zu  %.100s", p->done, p->schedule->jobs, job ? job->id : "");
}

static void *worker(void *context)
{
	struct pool *p = context;
	for (;;) {
		pthread_mutex_lock(&p->lock);
		bool end = p->next == p->schedule->jobs || stop;
		struct ks_job *job = end ? NULL : &p->schedule->job[p->next++];
		if (job)
			progress(p, job);
		pthread_mutex_unlock(&p->lock);
		if (!job)
			return NULL;
		int status = ks_job_run(job, &stop);
		pthread_mutex_lock(&p->lock);
		p->done++;
		if (status) {
			p->failed = 1;
			stop = 1;
		}
		pthread_mutex_unlock(&p->lock);
	}
}

/* The signal handler sets ks_signal; worlds look at `stop`. */
static void *watcher(void *context)
{
	volatile const int *end = context;
	while (!*end) {
		if (ks_signal)
			stop = 1;
		struct timespec nap = {0, 20000000};
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static int run_jobs(struct ks_schedule *s, int jobs, struct ks_err *err)
{
	struct pool pool = {.schedule = s, .progress = isatty(STDERR_FILENO)};
	pthread_t thread[256], watch;
	static volatile int end;
	int n = 0;
	pthread_mutex_init(&pool.lock, NULL);
	if (pthread_create(&watch, NULL, watcher, (void *)&end))
		return ks_fail(err, KS_E_INTERNAL, "cannot start a thread");
	while (n < jobs && (size_t)n < s->jobs && !pthread_create(&thread[n], NULL, worker, &pool))
		n++;
	if (!n)
		worker(&pool);
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	end = 1;
	pthread_join(watch, NULL);
	if (pool.progress)
		fprintf(stderr, "\r\033[K");
	for (size_t i = 0; pool.failed && i < s->jobs; i++)
		if (s->job[i].err.code) {
			*err = s->job[i].err;
			return -1;
		}
	return 0;
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(const struct ks_run_args *a, struct ks_schedule *s, struct ks_err *err)
{
	char folder[PATH_MAX];
	double begin = seconds();
	if (ks_schedule_build(a, s, err) || ks_run_folder(a, s->name, folder, err) || ks_run_place(a, s, folder, err))
		return -1;
	if (run_jobs(s, a->jobs, err))
		return -1;
	json_t *document = ks_run_collect(s, seconds() - begin);
	if (!document)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	int code = ks_result_exit(document);
	int status = ks_run_write(a, document, folder, err);
	bool json_out = a->json && !strcmp(a->json, "-");
	if (!status && !json_out)
		status = ks_report_text(document, stdout, ks_colour(), ks_width(), a->folder ? folder : ".keyskew/last");
	if (ks_signal)
		fprintf(stderr, "keyskew: interrupted; %zu of %zu runs are finished and kept in %s\n",
		        json_array_size(json_object_get(document, "runs")), s->jobs, folder);
	json_decref(document);
	return status ? status : code;
}

int ks_cmd_run(int argc, char **argv)
{
	struct ks_run_args args;
	struct ks_schedule schedule = {0};
	struct ks_err err = {.code = KS_E_INTERNAL, .text = "cannot write to standard output"};
	int code = ks_run_args_parse(&args, argc, argv);
	if (code == 0) {
		code = run(&args, &schedule, &err);
		code = code < 0 ? ks_cli_error(&err) : code;
	} else {
		code = ks_cli_end(&args.cli, code);
	}
	ks_schedule_release(&schedule);
	ks_run_args_release(&args);
	return code;
}
