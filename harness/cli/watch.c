#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define NAP_NS (20 * KS_MS)
#define SILENT_NS (2 * KS_SEC) /* what is over by then needs no progress */
#define EVERY_NS (200 * KS_MS)

int64_t ks_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * KS_SEC + t.tv_nsec;
}

/* ---- ends ---- */

static void end_late(struct ks_watch *w, int64_t now_ns)
{
	for (size_t i = 0; i < w->schedule->jobs; i++) {
		struct ks_job *job = &w->schedule->job[i];
		int64_t begin_ns = job->begin_ns;
		if (!begin_ns || job->step == KS_STEP_DONE || job->stop)
			continue;
		if (ks_signal || w->failed)
			job->stop = KS_STOP_ASKED;
		else if (job->timeout_ns && now_ns - begin_ns >= job->timeout_ns)
			job->stop = KS_STOP_TIMEOUT;
	}
}

/* ---- progress ---- */

/* Of those that run the one that began first. */
static struct ks_job *oldest(const struct ks_schedule *s)
{
	struct ks_job *best = NULL;
	for (size_t i = 0; i < s->jobs; i++) {
		struct ks_job *job = &s->job[i];
		if (job->begin_ns && job->step != KS_STEP_DONE && (!best || job->begin_ns < best->begin_ns))
			best = job;
	}
	return best;
}

/* "1.2 M" of a count. */
static void short_number(char *buf, size_t size, double v)
{
	static const char *const units[] = {"", " k", " M", " G"};
	int u = 0;
	for (; v >= 1000 && u < 3; u++)
		v /= 1000;
	snprintf(buf, size, u ? "%.1f%s" : "%.0f%s", v, units[u]);
}

static size_t of_job(struct ks_job *job, int64_t now_ns, char *buf, size_t size)
{
	static const char *const steps[] = {"starts", "runs", "control", "is judged", "is drawn", ""};
	char calls[32], rate[32];
	uint64_t n = job->progress.calls;
	double reached_s = (double)job->progress.reached_ns / 1e9, whole_s = (double)job->plan->duration_ns / 1e9;
	double took_s = (double)(now_ns - job->step_ns) / 1e9;
	int step = job->step;
	size_t len = (size_t)snprintf(buf, size, "  %s  %.40s  %s  seed %llu  %s", job->plan->name, job->gen->text, job->world->name,
	                              (unsigned long long)job->seed, steps[step]);
	if ((step == KS_STEP_RUN || step == KS_STEP_CONTROL) && n && len < size) {
		short_number(calls, sizeof calls, (double)n);
		short_number(rate, sizeof rate, took_s > 0 ? (double)n / took_s : 0);
		len += (size_t)snprintf(buf + len, size - len, " %.4gs of %.4gs, %s calls, %s/s", reached_s < whole_s ? reached_s : whole_s,
		                        whole_s, calls, rate);
	}
	return len;
}

static size_t columns(void)
{
	struct winsize size;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void show(struct ks_watch *w, int64_t now_ns)
{
	char line[400];
	struct ks_job *job = oldest(w->schedule);
	size_t room = columns() < sizeof line ? columns() : sizeof line;
	int len = snprintf(line, sizeof line, "%zu/%zu  %llds", (size_t)w->done, w->schedule->jobs,
	                   (long long)((now_ns - w->begin_ns) / KS_SEC));
	if (job)
		of_job(job, now_ns, line + len, sizeof line - (size_t)len);
	else
		snprintf(line + len, sizeof line - (size_t)len, "  writing the reports");
	line[room - 1] = 0; /* one line, or it could not be taken back */
	fprintf(stderr, "\r\033[K%s", line);
	w->shown = true;
}

static void *watch(void *context)
{
	struct ks_watch *w = context;
	int64_t shown_ns = 0;
	while (!w->end) {
		int64_t now_ns = ks_now_ns();
		end_late(w, now_ns);
		if (w->terminal && now_ns - w->begin_ns >= SILENT_NS && now_ns - shown_ns >= EVERY_NS) {
			show(w, now_ns);
			shown_ns = now_ns;
		}
		nanosleep(&(struct timespec){0, NAP_NS}, NULL);
	}
	return NULL;
}

int ks_watch_begin(struct ks_watch *w, struct ks_schedule *schedule, struct ks_err *err)
{
	const char *term = getenv("TERM");
	*w = (struct ks_watch){.schedule = schedule, .begin_ns = ks_now_ns()};
	w->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
	if (pthread_create(&w->thread, NULL, watch, w))
		return ks_fail(err, KS_E_INTERNAL, "cannot start a thread");
	return 0;
}

void ks_watch_end(struct ks_watch *w)
{
	w->end = 1;
	pthread_join(w->thread, NULL);
	if (w->shown)
		fprintf(stderr, "\r\033[K");
}
