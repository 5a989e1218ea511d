#include "program.h"

#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ks_time.h"
#include "proc.h"
#include "truetime.h"

#define LIMIT_NS (10 * KS_MIN)
#define LOOK_MS 50
#define GRACE_MS 500

static bool in_path(const char *name)
{
	const char *path = getenv("PATH");
	char whole[PATH_MAX];
	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t n = strcspn(p, ":");
		snprintf(whole, sizeof whole, "%.*s/%s", (int)(n < 3000 ? n : 3000), p, name);
		if (access(whole, X_OK) == 0)
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static bool matches(const char *pattern)
{
	glob_t found;
	bool any = glob(pattern, 0, NULL, &found) == 0;
	if (any)
		globfree(&found);
	return any;
}

const char *ks_program_lacks(const struct ks_foreign *f)
{
	for (char *const *need = f->needs; *need; need++)
		if (!(strchr(*need, '/') ? matches(*need) : in_path(*need)))
			return *need;
	return NULL;
}

bool ks_program_is_made(const struct ks_foreign *f)
{
	if (!f->build[0])
		return true;
	if (!f->makes[0])
		return false;
	char path[PATH_MAX];
	bool inside = *f->folder && f->makes[0][0] != '/';
	snprintf(path, sizeof path, "%s%s%.3000s", inside ? f->folder : "", inside ? "/" : "", f->makes[0]);
	return access(path, F_OK) == 0;
}

/* What a build makes in the cache needs its folder. */
static void make_folder(const char *path)
{
	char part[PATH_MAX];
	snprintf(part, sizeof part, "%s", path);
	for (char *p = part + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = 0;
		mkdir(part, 0777); /* the build tells what does not work */
	}
}

static void announce(const struct ks_foreign *f)
{
	fputs("keyskew: making the program:", stderr);
	for (char *const *word = f->build; *word; word++)
		fprintf(stderr, " %s", *word);
	fputc('\n', stderr);
}

/* Its output is not ours to keep, but it must not stand in a full pipe. */
static void drain(struct ks_proc *p)
{
	char bytes[4096];
	struct pollfd fds[2] = {{.fd = p->out, .events = POLLIN}, {.fd = p->err, .events = POLLIN}};
	poll(fds, 2, LOOK_MS);
	for (int i = 0; i < 16 && read(p->out, bytes, sizeof bytes) > 0; i++)
		;
	ks_proc_read_err(p);
}

static int await(struct ks_proc *p, const volatile sig_atomic_t *signal, struct ks_err *err)
{
	char how[400];
	int64_t until = ks_true_ns() + LIMIT_NS;
	while (!ks_proc_poll(p)) {
		if (*signal)
			return ks_fail(err, KS_E_JUDGE, "interrupted");
		if (ks_true_ns() > until)
			return ks_fail(err, KS_E_USAGE, "its build takes longer than 10m");
		drain(p);
	}
	if (p->status == 0)
		return 0;
	return ks_fail(err, KS_E_USAGE, "its build %s", ks_proc_describe(p, how, sizeof how));
}

int ks_program_make(const struct ks_foreign *f, const volatile sig_atomic_t *signal, struct ks_err *err)
{
	extern char **environ;
	struct ks_proc p;
	struct ks_proc_place place = {.folder = *f->folder ? f->folder : NULL};
	const char *lacks = ks_program_lacks(f);
	if (lacks)
		return ks_fail(err, KS_E_JUDGE, "'%.200s' is not installed%s%s", lacks, *f->install ? ": " : "", f->install);
	if (ks_program_is_made(f))
		return 0;
	if (f->makes[0] && f->makes[0][0] == '/')
		make_folder(f->makes[0]);
	announce(f);
	if (ks_proc_start_in(&p, &place, f->build, environ, false, err))
		return -1;
	int status = await(&p, signal, err);
	ks_proc_end(&p, 1, sizeof p, GRACE_MS);
	return status;
}
