#include "agent_jumps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent_time.h"
#include "ks_time.h"
#include "ks_wire.h"
#include "truetime.h"

#define PROGRAM "/bin/keyskew-guest-jumps"
#define FOUND "/tmp/.jumps"
#define START_NS (20 * KS_SEC)
#define END_NS (2 * KS_SEC)
#define BATCH 400 /* of a frame */

static pid_t pid;
static bool watched;
static char failure[80];

static void nap(void)
{
	struct timespec ts = {.tv_nsec = 5 * KS_MS};
	nanosleep(&ts, NULL);
}

static _Noreturn void become(const struct ks_wire_capture *w)
{
	char every[32], stretch[32];
	int fd = open(FOUND, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

	snprintf(every, sizeof(every), "%lld", (long long)w->every_ns);
	snprintf(stretch, sizeof(stretch), "%lld", (long long)w->stretch_ns);
	dup2(fd, 1);
	execl(PROGRAM, PROGRAM, every, stretch, (char *)NULL);
	_exit(127);
}

/* Has it said the like? */
static bool has_said(enum ks_jump_layer layer)
{
	struct ks_wire_jump j;
	int fd = open(FOUND, O_RDONLY | O_CLOEXEC);
	bool found = false;

	while (fd >= 0 && !found && read(fd, &j, sizeof(j)) == sizeof(j))
		found = j.layer == layer;
	if (fd >= 0)
		close(fd);
	return found;
}

static bool has_ended(void)
{
	if (pid > 0 && waitpid(pid, NULL, WNOHANG) == pid)
		pid = 0;
	return pid <= 0;
}

const char *ks_agent_watch(const void *payload, uint32_t length)
{
	struct ks_wire_capture w;

	if (length != sizeof(w) || watched)
		return "what is to be watched has the wrong size, or comes twice";
	memcpy(&w, payload, sizeof(w));
	watched = true;
	if (access(PROGRAM, X_OK) != 0) {
		snprintf(failure, sizeof(failure), "the guest image has no capture: clang and libbpf-dev build it");
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		become(&w);
	int64_t until = ks_true_ns() + START_NS;
	while (!has_said(KS_JUMP_READY) && !has_ended() && ks_true_ns() < until)
		nap();
	if (!has_said(KS_JUMP_READY) && !has_said(KS_JUMP_FAILED))
		snprintf(failure, sizeof(failure), "the capture did not begin");
	return NULL;
}

static void stop(void)
{
	int64_t until = ks_true_ns() + END_NS;

	if (has_ended())
		return;
	kill(pid, SIGTERM);
	while (!has_ended() && ks_true_ns() < until)
		nap();
	if (!has_ended()) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

int ks_agent_tell_jumps(int (*send)(void *host, uint32_t type, const void *payload, uint32_t length), void *host)
{
	static struct ks_wire_jump batch[BATCH];
	ssize_t n = 0;
	int status = 0;

	if (!watched)
		return 0;
	stop();
	if (*failure) {
		batch[0] = (struct ks_wire_jump){.layer = KS_JUMP_FAILED};
		memcpy(batch[0].name, failure, sizeof(failure));
		return send(host, KS_WIRE_JUMPS, batch, sizeof(batch[0]));
	}
	int fd = open(FOUND, O_RDONLY | O_CLOEXEC);
	while (status == 0 && fd >= 0 && (n = read(fd, batch, sizeof(batch))) >= (ssize_t)sizeof(batch[0])) {
		size_t k = (size_t)n / sizeof(batch[0]);
		for (size_t i = 0; i < k; i++)
			batch[i].at_ns = ks_agent_time_at((uint64_t)batch[i].at_ns);
		status = send(host, KS_WIRE_JUMPS, batch, (uint32_t)(k * sizeof(batch[0])));
	}
	if (fd >= 0)
		close(fd);
	return status;
}
