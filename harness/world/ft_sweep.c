#include "ft_sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ft_group.h"

#define MARK "FAKETIME_TIMESTAMP_FILE=" KS_FT_SHM "/" KS_FT_PREFIX
#define ENVIRON_MAX (256 << 10)
#define KILL_ROUNDS 200 /* of 10 ms */

static void nap(void)
{
	const struct timespec ts = {.tv_nsec = 10000000};
	nanosleep(&ts, NULL);
}

/* ---- folders ---- */

int ks_ft_folder(char dir[64])
{
	char owner[96];

	snprintf(dir, 64, KS_FT_SHM "/" KS_FT_PREFIX "%ld-XXXXXX", (long)getpid());
	if (!mkdtemp(dir))
		return -1;
	snprintf(owner, sizeof(owner), "%s/owner", dir);
	int fd = open(owner, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	ks_ft_remove(dir);
	return -1;
}

void ks_ft_note_process(const char *dir, long pid)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/pid-%ld", dir, pid);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

static bool gone(long pid)
{
	return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Without the file the folder is just being made, or is being removed; then the number in its name has to tell. */
static bool is_orphan(const char *dir)
{
	char owner[384];
	long pid = 0;

	if (sscanf(dir, KS_FT_SHM "/" KS_FT_PREFIX "%ld-", &pid) != 1)
		return false;
	snprintf(owner, sizeof(owner), "%.300s/owner", dir);
	int fd = open(owner, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return gone(pid);
	bool free = flock(fd, LOCK_EX | LOCK_NB) == 0;
	close(fd);
	return free;
}

/* The folder notes which processes were started in it, because libfaketime keeps a semaphore and a page under the
 * process's number and forgets both when the process is killed. */
static void forget_process(long pid)
{
	char path[64];

	snprintf(path, sizeof(path), KS_FT_SHM "/sem.faketime_sem_%ld", pid);
	unlink(path);
	snprintf(path, sizeof(path), KS_FT_SHM "/faketime_shm_%ld", pid);
	unlink(path);
}

/* ---- processes ---- */

/* The folder in whose name a process runs, "" when in none. */
static void folder_of(long pid, char *buf, char dir[64])
{
	char path[64];
	ssize_t n = 0, got;

	dir[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while (n < ENVIRON_MAX && (got = read(fd, buf + n, (size_t)(ENVIRON_MAX - n))) > 0)
		n += got;
	close(fd);
	char *at = n > 0 ? memmem(buf, (size_t)n, MARK, sizeof(MARK) - 1) : NULL;
	if (!at)
		return;
	at += sizeof(MARK) - sizeof(KS_FT_SHM "/" KS_FT_PREFIX);
	char *end = memchr(at + sizeof(KS_FT_SHM), '/', (size_t)(buf + n - at) - sizeof(KS_FT_SHM));
	if (end && end - at < 64)
		snprintf(dir, 64, "%.*s", (int)(end - at), at);
}

/* A number may have gone to a process of another run meanwhile. */
static void remove_files(int fd, DIR *d, char *buf)
{
	for (struct dirent *e; (e = readdir(d));) {
		char of[64] = "";
		long pid;
		if (sscanf(e->d_name, "pid-%ld", &pid) == 1) {
			folder_of(pid, buf, of);
			if (!of[0])
				forget_process(pid);
		}
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(fd, e->d_name, 0);
	}
}

void ks_ft_remove(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	ks_ft_group_remove(dir);
	/* Anyone may make names in /dev/shm: touch only what is ours. */
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != geteuid()) {
		if (fd >= 0)
			close(fd);
		return;
	}
	char *buf = malloc(ENVIRON_MAX);
	DIR *d = buf ? fdopendir(fd) : NULL;
	if (d) {
		remove_files(fd, d, buf);
		closedir(d);
		rmdir(dir);
	} else {
		close(fd);
	}
	free(buf);
}

/* Its number may be another's by now: what is killed is looked at again, through a handle that cannot change. */
static bool kill_surely(long pid, const char *dir, char *buf)
{
	char again[64];
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);

	if (fd < 0)
		return false;
	folder_of(pid, buf, again);
	bool same = !strcmp(dir, again) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
	close(fd);
	return same;
}

/* Kills what runs in the name of this folder, or with NULL of any whose owner is gone. @return how many there were. */
static int kill_round(const char *dir, char *buf)
{
	DIR *d = opendir("/proc");
	int killed = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		char *end, of[64];
		long pid = strtol(e->d_name, &end, 10);
		if (*end || pid <= 0 || pid == (long)getpid())
			continue;
		folder_of(pid, buf, of);
		if (!of[0] || (dir ? strcmp(of, dir) != 0 : !is_orphan(of)))
			continue;
		killed += kill_surely(pid, of, buf);
		ks_ft_note_process(of, pid);
	}
	if (d)
		closedir(d);
	return killed;
}

static void kill_all(const char *dir)
{
	char *buf = malloc(ENVIRON_MAX);

	/* again until none is left: one may have been forking */
	for (int i = 0; buf && i < KILL_ROUNDS && kill_round(dir, buf); i++)
		nap();
	free(buf);
}

void ks_ft_kill_strays(const char *dir)
{
	ks_ft_group_kill(dir);
	kill_all(dir);
}

void ks_ft_sweep(void)
{
	DIR *d = opendir(KS_FT_SHM);

	kill_all(NULL);
	for (struct dirent *e; d && (e = readdir(d));) {
		char dir[320];
		snprintf(dir, sizeof(dir), KS_FT_SHM "/%s", e->d_name);
		if (!is_orphan(dir))
			continue;
		ks_ft_group_kill(dir);
		ks_ft_remove(dir);
	}
	if (d)
		closedir(d);
}
