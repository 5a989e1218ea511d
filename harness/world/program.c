#include "program.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ks_time.h"
#include "proc.h"
#include "truetime.h"

#define LIMIT_NS (10 * KS_MIN)
#define LOOK_MS 50
#define GRACE_MS 500

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
	if (!f->build[0])
		return 0;
	announce(f);
	if (ks_proc_start_in(&p, &place, f->build, environ, false, err))
		return -1;
	int status = await(&p, signal, err);
	ks_proc_end(&p, 1, sizeof p, GRACE_MS);
	return status;
}
