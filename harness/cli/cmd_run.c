/* keyskew run: jobs on worker threads, then every output. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_report.h"
#include "run.h"
#include "watch.h"

struct pool {
	struct ks_schedule *schedule;
	struct ks_watch *watch;
	pthread_mutex_t lock;
	size_t next;
};

static void *worker(void *context)
{
	struct pool *p = context;
	for (;;) {
		pthread_mutex_lock(&p->lock);
		bool end = p->next == p->schedule->jobs || ks_signal || p->watch->failed;
		struct ks_job *job = end ? NULL : &p->schedule->job[p->next++];
		pthread_mutex_unlock(&p->lock);
		if (!job)
			return NULL;
		if (ks_job_run(job)) /* it could not be reported */
			p->watch->failed = 1;
		p->watch->done++;
	}
}

static int run_jobs(struct ks_schedule *s, int jobs, struct ks_watch *watch, struct ks_err *err)
{
	struct pool pool = {.schedule = s, .watch = watch};
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
	return 0;
}

static int finish(const struct ks_run_args *a, struct ks_schedule *s, const char *folder, double wall_s, json_t **document,
                  struct ks_err *err)
{
	*document = ks_run_collect(s, wall_s);
	if (!*document)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	return ks_run_write(a, *document, folder, err);
}

static int run(const struct ks_run_args *a, struct ks_schedule *s, struct ks_err *err)
{
	char folder[PATH_MAX];
	json_t *document = NULL;
	struct ks_watch watch;
	if (ks_schedule_build(a, s, err) || ks_run_folder(a, s->name, folder, err) || ks_run_place(a, s, folder, err))
		return -1;
	if (ks_watch_begin(&watch, s, err))
		return -1;
	int status = run_jobs(s, a->jobs, &watch, err);
	if (!status)
		status = finish(a, s, folder, (double)(ks_now_ns() - watch.begin_ns) / 1e9, &document, err);
	ks_watch_end(&watch);
	bool json_out = a->json && !strcmp(a->json, "-");
	if (!status && !json_out)
		status = ks_report_text(document, stdout, ks_colour(), ks_width(), a->folder ? folder : ".keyskew/last");
	if (!status && ks_signal)
		fprintf(stderr, "keyskew: interrupted; %zu of %zu runs are finished and kept in %s\n",
		        json_array_size(json_object_get(document, "runs")), s->jobs, folder);
	if (!status)
		status = ks_result_exit(document);
	json_decref(document);
	return status;
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
