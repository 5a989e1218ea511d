#include "ft.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft_group.h"
#include "ft_sweep.h"
#include "ks_mem.h"
#include "ks_rand.h"
#include "truetime.h"

extern char **environ;

/* ---- what the host has ---- */

int ks_ft_find_library(char path[256], char *why, size_t size)
{
	static const char *const places[] = {"/usr/lib/*/faketime/libfaketimeMT.so.1",
					     "/usr/lib/faketime/libfaketimeMT.so.1",
					     "/usr/local/lib/faketime/libfaketimeMT.so.1"};
	const char *given = getenv("KEYSKEW_FAKETIME");
	bool found = false;

	if (given && access(given, R_OK) == 0 && strlen(given) < 256) {
		strcpy(path, given);
		return 0;
	}
	for (size_t i = 0; !given && !found && i < sizeof(places) / sizeof(places[0]); i++) {
		glob_t g;
		if (glob(places[i], 0, NULL, &g) == 0) {
			found = strlen(g.gl_pathv[0]) < 256;
			if (found)
				strcpy(path, g.gl_pathv[0]);
			globfree(&g);
		}
	}
	if (!found)
		snprintf(why, size,
			 given ? "no readable libfaketimeMT at KEYSKEW_FAKETIME '%.100s'"
			       : "libfaketime is missing: apt-get install libfaketime%.0s",
			 given ? given : "");
	return found ? 0 : -1;
}

void ks_ft_describe(char *text, size_t size)
{
	FILE *f = fopen("/var/lib/dpkg/status", "re");
	char line[512];
	bool here = false;

	snprintf(text, size, "libfaketime");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "Package: ", 9))
			here = !strcmp(line + 9, "libfaketime");
		else if (here && !strncmp(line, "Version: ", 9))
			snprintf(text, size, "libfaketime %.40s", line + 9);
	}
	if (f)
		fclose(f);
}

int ks_ft_find_subject(char path[4096], char *why, size_t size)
{
	static const char *const beside[] = {"", "../libexec/keyskew/"};
	const char *libexec = getenv("KEYSKEW_LIBEXEC");
	char self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (libexec) {
		snprintf(path, 4096, "%.2000s/keyskew-subject", libexec);
		if (access(path, X_OK) == 0)
			return 0;
	}
	self[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(self, '/');
	for (size_t i = 0; slash && !libexec && i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(path, 4096, "%.*s/%skeyskew-subject", (int)(slash - self), self, beside[i]);
		if (access(path, X_OK) == 0)
			return 0;
	}
	snprintf(why, size,
		 "no program keyskew-subject %s: install keyskew as a whole, or set KEYSKEW_LIBEXEC to its folder",
		 libexec ? "in KEYSKEW_LIBEXEC" : "beside keyskew or in ../libexec/keyskew");
	return -1;
}

/* ---- the folder ---- */

int ks_ft_open(struct ks_ft_stage *stage, struct ks_err *err)
{
	char why[256];

	*stage = (struct ks_ft_stage){0};
	if (ks_ft_find_library(stage->lib, why, sizeof(why)) != 0)
		return ks_fail(err, KS_E_JUDGE, "%s", why);
	ks_ft_sweep();
	stage->lock = ks_ft_folder(stage->dir);
	if (stage->lock < 0) {
		int no = errno;
		stage->dir[0] = '\0';
		return ks_fail(err, KS_E_JUDGE, "cannot make a folder in " KS_FT_SHM ": %s", strerror(no));
	}
	return 0;
}

void ks_ft_close(struct ks_ft_stage *stage)
{
	if (stage->dir[0]) {
		ks_ft_kill_strays(stage->dir);
		ks_ft_remove(stage->dir);
		close(stage->lock);
	}
	*stage = (struct ks_ft_stage){0};
}

/* ---- control files ---- */

/* Written beside and renamed over: a reader would parse a file that is half written, and a missing one would show it
 * the real time. */
static int control(const struct ks_ft_stage *stage, uint32_t slot, const char *text, int length, struct ks_err *err)
{
	char temp[96], path[96];

	snprintf(temp, sizeof(temp), "%s/new-%u", stage->dir, slot);
	snprintf(path, sizeof(path), "%s/clock-%u", stage->dir, slot);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	bool ok = fd >= 0 && write(fd, text, (size_t)length) == length;
	int no = errno;
	if (fd >= 0)
		close(fd);
	if (!ok || rename(temp, path) != 0)
		return ks_fail(err, KS_E_INTERNAL, "cannot write '%s': %s", path, strerror(ok ? errno : no));
	return 0;
}

static int seconds(char *text, size_t size, const char *sign, int64_t ns)
{
	uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	return snprintf(text, size, "%s%" PRIu64 ".%09" PRIu64, sign, v / 1000000000, v % 1000000000);
}

/* now = the host's time, from = that of the process's start, epoch = that of the line's true time 0, dev = rate - 1:
 *     from + D + (now - from)(1 + dev) = v0 + (now - epoch - t0)(1 + dev)
 * so  D = v0 - (epoch + t0) - (from - epoch - t0) dev + ... with U = epoch + t0:  D = (v0 - U) - (U - from) dev. */
int ks_ft_line(char text[80], const struct ks_seg *line, int64_t from_unix_ns, int64_t epoch_unix_ns)
{
	int64_t meet = epoch_unix_ns + line->t0_ns;
	int64_t bent = (int64_t)(((__int128)(meet - from_unix_ns) * line->rate_q64) >> 64), by = line->v0_ns - meet - bent;

	if (line->held) {
		int n = seconds(text, 60, "", line->v0_ns); /* half a ns more: it is read as a double and cut off */
		return n + snprintf(text + n, 20, "5\n");
	}
	int n = seconds(text, 48, by < 0 ? "-" : "+", by);
	return n + snprintf(text + n, 32, " x%.15g\n", 1 + (double)line->rate_q64 / 18446744073709551616.0);
}

int ks_ft_show(const struct ks_ft_stage *stage, const struct ks_ft_process *process, const struct ks_seg *line,
	       int64_t epoch_unix_ns, struct ks_err *err)
{
	char text[80];
	return control(stage, process->slot, text, ks_ft_line(text, line, process->from_unix_ns, epoch_unix_ns), err);
}

/* ---- processes ---- */

/* The caller's environment without anything that would fake time in another way. */
static bool is_ours(const char *entry)
{
	return !strncmp(entry, "LD_PRELOAD=", 11) || !strncmp(entry, "FAKETIME", 8) || !strncmp(entry, "_STDBUF_", 8);
}

#define EXTRA 8

static char **make_environment(const struct ks_ft_stage *stage, uint32_t slot, const char *extra, char preload[600],
			       char file[128])
{
	static char monotonic[] = "FAKETIME_DONT_FAKE_MONOTONIC=1", no_cache[] = "FAKETIME_NO_CACHE=1";
	static char line_buffered[] = "_STDBUF_O=L", unix_seconds[] = "FAKETIME_FMT=%s";
	size_t n = 0, at = 0;

	while (environ[n])
		n++;
	char **env = ks_alloc(n + EXTRA, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!is_ours(environ[i]))
			env[at++] = environ[i];
	snprintf(preload, 600, "LD_PRELOAD=%s%s%s", stage->lib, extra ? ":" : "", extra ? extra : "");
	snprintf(file, 128, "FAKETIME_TIMESTAMP_FILE=%s/clock-%u", stage->dir, slot);
	env[at++] = preload;
	env[at++] = file;
	env[at++] = monotonic;
	env[at++] = no_cache;
	env[at++] = unix_seconds;
	if (extra)
		env[at++] = line_buffered;
	return env;
}

int ks_ft_start(struct ks_ft_stage *stage, struct ks_ft_process *process, char *const argv[], bool with_input,
		const char *extra, struct ks_err *err)
{
	/* at rate 0 the clock stands at the instant from which libfaketime counts */
	static const char standing[] = "+0 x0\n";
	char preload[600], file[128], procs[640];

	if (!process->from_unix_ns && control(stage, process->slot, standing, sizeof(standing) - 1, err) != 0)
		return -1;
	char **env = make_environment(stage, process->slot, extra, preload, file);
	if (!env)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	process->grouped = ks_ft_group_add(stage->dir, process->slot, procs, sizeof(procs));
	const struct ks_proc_place place = {.folder = process->folder, .group = process->grouped ? procs : NULL};
	int status = ks_proc_start_in(&process->proc, &place, argv, env, with_input, err);
	process->started_ns = ks_true_ns();
	if (status == 0)
		ks_ft_note_process(stage->dir, process->proc.pid);
	ks_free(env);
	return status;
}

void ks_ft_settle(const struct ks_ft_process *process)
{
	char path[64];

	snprintf(path, sizeof(path), KS_FT_SHM "/faketime_shm_%ld", (long)process->proc.pid);
	while (process->proc.pid > 0 && ks_true_ns() - process->started_ns < KS_SEC && access(path, F_OK) != 0 &&
	       kill(process->proc.pid, 0) == 0)
		usleep(1000);
}

int64_t ks_ft_unix_minus_true(void)
{
	int64_t best = INT64_MAX, difference = 0;

	for (int i = 0; i < 5; i++) { /* the narrowest bracket of five */
		int64_t before = ks_true_ns(), now = ks_true_unix_ns(), after = ks_true_ns();
		if (after - before < best) {
			best = after - before;
			difference = now - (before + best / 2);
		}
	}
	return difference;
}

int ks_ft_interrupted(const struct ks_run_request *request, int64_t limit_ns, struct ks_err *err)
{
	if (request->stop && *request->stop)
		return ks_fail(err, KS_E_JUDGE, "interrupted");
	if (ks_true_ns() > limit_ns)
		return ks_fail(err, KS_E_JUDGE, "the subjects took too long, the run was given up");
	return 0;
}
