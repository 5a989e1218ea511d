#include "fork.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- what it persists ---- */

static bool copy(const char *from, const char *to)
{
	char bytes[4096];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n = -1;

	while (in >= 0 && out >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(out, bytes, (size_t)n) != n)
			n = -1;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return n == 0;
}

/* Its disk is a copy: what one writes the other does not see. */
static bool copy_disk(const char *folder, uint32_t from, uint32_t to)
{
	char mark[32], a[400], b[400];
	DIR *d = opendir(folder);
	bool good = d != NULL;
	int len = snprintf(mark, sizeof(mark), "persist-%u-", from);

	for (struct dirent *e; good && (e = readdir(d));) {
		if (strncmp(e->d_name, mark, (size_t)len) != 0 || strstr(e->d_name, ".new"))
			continue;
		snprintf(a, sizeof(a), "%.100s/%.200s", folder, e->d_name);
		snprintf(b, sizeof(b), "%.100s/persist-%u-%.200s", folder, to, e->d_name + len);
		good = copy(a, b);
	}
	if (d)
		closedir(d);
	return good;
}

/* ---- the new process ---- */

static bool connect_to(const struct ks_wire_fork *f, int *in, int *out)
{
	char path[2][128], file[128];

	for (int i = 0; i < 2; i++)
		snprintf(path[i], sizeof(path[i]), "%.64s/line-%u-%s", f->folder, f->slot, i ? "out" : "in");
	snprintf(file, sizeof(file), "%.64s/clock-%u", f->folder, f->slot);
	*in = open(path[0], O_RDONLY | O_CLOEXEC);
	*out = open(path[1], O_WRONLY | O_CLOEXEC);
	return *in >= 0 && *out >= 0 && setenv("FAKETIME_TIMESTAMP_FILE", file, 1) == 0;
}

/* The kernel ends it with its parent, once that is the harness. */
static void die_with_parent(pid_t between)
{
	const struct timespec nap = {.tv_nsec = 100000};

	while (getppid() == between)
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void tell(int fd, pid_t pid)
{
	ssize_t n = write(fd, &pid, sizeof(pid));
	(void)n; /* nobody to tell it to */
	close(fd);
}

pid_t ks_fork_off(const struct ks_wire_fork *f, uint32_t from, int *in, int *out)
{
	int news[2];
	pid_t born = -1;

	if (pipe(news) != 0)
		return -1;
	pid_t between = fork();
	if (between == 0) {
		pid_t self = getpid();
		if (fork() != 0)
			_exit(0);
		close(news[0]);
		setsid();
		if (!connect_to(f, in, out) || !copy_disk(f->folder, from, f->process))
			_exit(70);
		die_with_parent(self);
		tell(news[1], getpid());
		return 0;
	}
	close(news[1]);
	while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR)
		;
	if (read(news[0], &born, sizeof(born)) != sizeof(born))
		born = -1;
	close(news[0]);
	return born;
}
