/* Runs gnuplot in folders, a few at a time: no shell, a time-out, its own words when it fails. */
#include "gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 60000
#define JOBS_MAX 64

extern char **environ;

struct child {
	pid_t pid; /* 0: this place is free */
	int fd;    /* its stderr */
	int64_t deadline_ms;
	const char *dir;
	char said[600];
	size_t len;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* @return 0, ENOENT when there is no gnuplot, or another errno. */
static int start(struct child *c, const struct ks_gnuplot_job *job)
{
	int end[2];
	if (pipe2(end, O_CLOEXEC))
		return errno;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, end[1], 2);
	posix_spawn_file_actions_addchdir_np(&actions, job->dir);
	/* -d: nobody's ~/.gnuplot changes the pictures */
	const char *argv[KS_GNUPLOT_SCRIPTS + 3] = {"gnuplot", "-d"};
	for (int i = 0; i < KS_GNUPLOT_SCRIPTS && *job->script[i]; i++)
		argv[2 + i] = job->script[i];
	pid_t pid;
	int error = posix_spawnp(&pid, "gnuplot", &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(end[1]);
	if (error) {
		close(end[0]);
		return error;
	}
	*c = (struct child){.pid = pid, .fd = end[0], .deadline_ms = now_ms() + TIMEOUT_MS, .dir = job->dir};
	return 0;
}

/* Ends a child that closed its stderr or ran out of time. */
static int reap(struct child *c, bool late, struct ks_err *err)
{
	int status = 0;
	pid_t got;
	while (!late && (got = waitpid(c->pid, &status, WNOHANG)) == 0 && now_ms() < c->deadline_ms)
		poll(NULL, 0, 1);
	if (late || now_ms() >= c->deadline_ms) {
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
			;
		late = true;
	}
	close(c->fd);
	c->pid = 0;
	if (late)
		return ks_fail(err, KS_E_INTERNAL, "gnuplot did not finish in \"%.300s\" within %d s", c->dir, TIMEOUT_MS / 1000);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	c->said[c->len] = 0;
	return ks_fail(err, KS_E_INTERNAL, "gnuplot failed in \"%.300s\": %s", c->dir, c->len ? c->said : "it said nothing");
}

/* Takes what the child says; beyond what an error can hold it is thrown away. @return whether it has ended. */
static bool listen_to(struct child *c)
{
	char rest[4096];
	size_t room = sizeof(c->said) - 1 - c->len;
	ssize_t n = read(c->fd, room ? c->said + c->len : rest, room ? room : sizeof(rest));
	if (n > 0 && room)
		c->len += (size_t)n;
	return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
}

static int wait_some(struct child *c, int n, struct ks_err *err)
{
	struct pollfd p[JOBS_MAX];
	int64_t now = now_ms(), first = now + TIMEOUT_MS;
	int rc = 0;
	for (int i = 0; i < n; i++) {
		p[i] = (struct pollfd){.fd = c[i].pid ? c[i].fd : -1, .events = POLLIN};
		if (c[i].pid && c[i].deadline_ms < first)
			first = c[i].deadline_ms;
	}
	if (poll(p, (nfds_t)n, first > now ? (int)(first - now) : 0) < 0)
		return errno == EINTR ? 0 : ks_fail(err, KS_E_INTERNAL, "cannot wait for gnuplot: %s", strerror(errno));
	now = now_ms();
	for (int i = 0; i < n; i++) {
		bool ended = p[i].revents && listen_to(&c[i]), late = c[i].pid && now >= c[i].deadline_ms;
		struct ks_err mine;
		if ((ended || late) && reap(&c[i], !ended, &mine) && !rc) {
			rc = -1;
			*err = mine;
		}
	}
	return rc;
}

static void end_all(struct child *c, int n)
{
	struct ks_err ignored;
	for (int i = 0; i < n; i++)
		if (c[i].pid)
			reap(&c[i], true, &ignored);
}

static int free_place(const struct child *c, int n)
{
	for (int i = 0; i < n; i++)
		if (!c[i].pid)
			return i;
	return -1;
}

static bool busy(const struct child *c, int n)
{
	for (int i = 0; i < n; i++)
		if (c[i].pid)
			return true;
	return false;
}

int ks_gnuplot_run(const struct ks_gnuplot_job *job, size_t n, int jobs, struct ks_err *err)
{
	struct child child[JOBS_MAX] = {0};
	int rc = 0, places = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
	size_t next = 0;
	while (!rc && (next < n || busy(child, places))) {
		int place = free_place(child, places);
		if (next == n || place < 0) {
			rc = wait_some(child, places, err);
			continue;
		}
		int error = start(&child[place], &job[next++]);
		if (error == ENOENT && next == 1)
			return 0; /* no gnuplot here: the page says so */
		if (error)
			rc = ks_fail(err, KS_E_INTERNAL, "cannot start gnuplot in \"%.300s\": %s", job[next - 1].dir, strerror(error));
	}
	end_all(child, places);
	return rc;
}
