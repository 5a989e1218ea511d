#include "ft_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_ROUNDS 2000 /* of 1 ms */

static void nap(long us)
{
	const struct timespec ts = {.tv_nsec = us * 1000};
	nanosleep(&ts, NULL);
}

/* Where cgroup v2 is mounted. */
static bool find_mount(char *mount, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char at[PATH_MAX];
		const char *type = strstr(line, " - cgroup2 ");
		found = type && sscanf(line, "%*s %*s %*s %*s %4095s", at) == 1 && strlen(at) < size;
		if (found)
			snprintf(mount, size, "%s", at);
	}
	if (f)
		fclose(f);
	return found;
}

/* Our own group of it: "0::/path". */
static bool find_own(char *own, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[4096];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, "0::/", 4) && strlen(line) < size;
		if (found)
			snprintf(own, size, "%s", !strcmp(line + 3, "/") ? "" : line + 3);
	}
	if (f)
		fclose(f);
	return found;
}

/* The path of the run's group. */
static bool group_of(const char *dir, char path[512])
{
	char mount[200], own[200];
	const char *name = strrchr(dir, '/'), *wish = getenv("KEYSKEW_CGROUP");

	if ((wish && !strcmp(wish, "off")) || !name || !find_mount(mount, sizeof(mount)) || !find_own(own, sizeof(own)))
		return false;
	return snprintf(path, 512, "%s%s%s", mount, own, name) < 400;
}

static int write_to(const char *path, const char *file, const char *text)
{
	char name[600];

	snprintf(name, sizeof(name), "%s/%s", path, file);
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	int why = errno;
	close(fd);
	errno = why;
	return n < 0 ? -1 : 0;
}

/* Waits until the line stands in cgroup.events. */
static int wait_event(const char *path, const char *line)
{
	char name[600], text[256];

	snprintf(name, sizeof(name), "%s/cgroup.events", path);
	for (int i = 0; i < WAIT_ROUNDS; i++) {
		int fd = open(name, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		if (n < 0)
			return -1;
		text[n] = '\0';
		if (strstr(text, line))
			return 0;
		nap(i < 100 ? 10 : 1000);
	}
	errno = ETIMEDOUT;
	return -1;
}

bool ks_ft_group_add(const char *dir, unsigned slot, char *procs, size_t size)
{
	char path[512], own[540];

	if (!group_of(dir, path))
		return false;
	snprintf(own, sizeof(own), "%s/p%u", path, slot);
	if ((mkdir(path, 0700) != 0 && errno != EEXIST) || (mkdir(own, 0700) != 0 && errno != EEXIST))
		return false;
	return (size_t)snprintf(procs, size, "%s/cgroup.procs", own) < size && access(procs, W_OK) == 0;
}

void ks_ft_group_join(const char *procs, long pid)
{
	char number[24];

	snprintf(number, sizeof(number), "%ld", pid);
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = write(fd, number, strlen(number));
	(void)n; /* it has ended already: others notice */
	close(fd);
}

int ks_ft_group_freeze(const char *dir, unsigned slot, bool freeze)
{
	char path[512], own[540];

	if (!group_of(dir, path))
		return -1;
	snprintf(own, sizeof(own), "%s/p%u", path, slot);
	if (write_to(own, "cgroup.freeze", freeze ? "1" : "0") != 0)
		return -1;
	return wait_event(own, freeze ? "frozen 1" : "frozen 0");
}

/* Kernels before 5.14 have no cgroup.kill. */
static void kill_members(const char *path)
{
	char name[600];
	long pid;

	snprintf(name, sizeof(name), "%s/cgroup.procs", path);
	FILE *f = fopen(name, "re");
	while (f && fscanf(f, "%ld", &pid) == 1)
		kill((pid_t)pid, SIGKILL);
	if (f)
		fclose(f);
}

/* Calls for each group below. */
static void each(const char *path, void (*fn)(const char *below))
{
	DIR *d = opendir(path);

	for (struct dirent *e; d && (e = readdir(d));) {
		char below[800];
		if (e->d_name[0] != 'p' || e->d_type != DT_DIR)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		fn(below);
	}
	if (d)
		closedir(d);
}

void ks_ft_group_kill(const char *dir)
{
	char path[512];

	if (!group_of(dir, path) || access(path, F_OK) != 0)
		return;
	if (write_to(path, "cgroup.kill", "1") != 0)
		each(path, kill_members);
	wait_event(path, "populated 0");
}

static void remove_group(const char *path)
{
	rmdir(path);
}

void ks_ft_group_remove(const char *dir)
{
	char path[512];

	if (!group_of(dir, path) || access(path, F_OK) != 0)
		return;
	each(path, remove_group);
	rmdir(path);
}
