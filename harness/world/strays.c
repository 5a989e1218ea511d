#include "strays.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ks_mem.h"

#define ENVIRON_MAX (256 * 1024)
#define ROUNDS 20

extern char **environ;

void ks_stray_mark(char mark[64])
{
	static atomic_uint number;
	snprintf(mark, 64, KS_STRAY_MARK "%ld-%u", (long)getpid(), atomic_fetch_add(&number, 1));
}

char **ks_stray_environment(char *mark)
{
	size_t n = 0, used = 0;
	while (environ[n])
		n++;
	char **env = ks_alloc(n + 2, sizeof *env);
	for (size_t i = 0; env && i < n; i++)
		if (strncmp(environ[i], KS_STRAY_MARK, strlen(KS_STRAY_MARK)))
			env[used++] = environ[i];
	if (env)
		env[used] = mark;
	return env;
}

static bool has_mark(long pid, const char *mark, char *buf)
{
	char path[64];
	size_t n = 0;
	ssize_t got;
	snprintf(path, sizeof path, "/proc/%ld/environ", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (n < ENVIRON_MAX && (got = read(fd, buf + n, ENVIRON_MAX - n)) > 0)
		n += (size_t)got;
	close(fd);
	return n && memmem(buf, n, mark, strlen(mark) + 1); /* with its NUL: 1-1 is not 1-10 */
}

/* Its number may be another's by now: what is killed is looked at again, through a handle that cannot change. */
static bool kill_surely(long pid, const char *mark, char *buf)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0)
		return false;
	bool killed = has_mark(pid, mark, buf) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
	close(fd);
	return killed;
}

static int kill_round(const char *mark, char *buf)
{
	DIR *d = opendir("/proc");
	int killed = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);
		if (!*end && pid > 0 && pid != (long)getpid() && has_mark(pid, mark, buf))
			killed += kill_surely(pid, mark, buf);
	}
	if (d)
		closedir(d);
	return killed;
}

void ks_stray_kill(const char *mark)
{
	char *buf = ks_alloc(ENVIRON_MAX + 1, 1);
	const struct timespec nap = {.tv_nsec = 2000000};
	/* again until none is left: one may have been forking */
	for (int i = 0; buf && i < ROUNDS && kill_round(mark, buf); i++)
		nanosleep(&nap, NULL);
	ks_free(buf);
}
