/* What calls itself qemu-system-x86_64 and is none: a monitor that says yes to everything, and the same host of generators that
 * an agent is, on this machine, with wall clocks that are its own. So all that the harness does with guests is tried without one,
 * and so is what it does when they misbehave ($KEYSKEW_FAKE):
 *   panic     says so on the console and ends, in the middle of its records
 *   hang      stands still there
 *   chatter   never stops talking on the console
 *   flood     sends frames that nobody asked for, without an end
 *   garbage   a byte of them is another than it was
 *   close     ends there
 *   deaf      its clock shows nothing of what is done to it
 *   (anything else: it behaves) */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ks_subject.h"
#include "ks_time.h"
#include "qemu_command.h"

#define BAD_BYTE 100000 /* of what it sends: in its records */

static atomic_llong wall_ns; /* its wall clocks - this machine's */
static atomic_llong sent;
static pthread_mutex_t going = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t goes = PTHREAD_COND_INITIALIZER;
static bool alive;

static bool plays(const char *what)
{
	const char *fake = getenv("KEYSKEW_FAKE");
	return fake && !strcmp(fake, what);
}

/* Instead of the C library's, in this whole program. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (syscall(SYS_clock_gettime, id, ts) != 0)
		return -1;
	if (id == CLOCK_REALTIME || id == CLOCK_TAI) {
		int64_t ns = (int64_t)ts->tv_sec * KS_SEC + ts->tv_nsec + wall_ns;
		ts->tv_sec = ns / KS_SEC;
		ts->tv_nsec = ns % KS_SEC;
	}
	return 0;
}

static void say(const char *text)
{
	if (syscall(SYS_write, 1, text, strlen(text)) < 0)
		_exit(1);
}

/* Frames of CLOCKS, for ever, where records were to begin. */
static void flood(const void *bytes, size_t n)
{
	struct ks_wire_header h;

	memcpy(&h, bytes, n < sizeof(h) ? n : sizeof(h));
	if (n != sizeof(h) || h.magic != KS_WIRE_MAGIC || h.type != KS_WIRE_RECORDS)
		return;
	h = (struct ks_wire_header){.magic = KS_WIRE_MAGIC, .type = KS_WIRE_CLOCKS, .sum = ks_wire_sum(NULL, 0)};
	while (syscall(SYS_write, KS_QEMU_FD_CHANNEL, &h, sizeof(h)) == sizeof(h))
		;
	_exit(0);
}

/* In the middle of the records: so many bytes of these are whole. */
static void misbehave(const void *bytes, size_t whole)
{
	if (plays("panic")) {
		say("Kernel panic - not syncing: out of \x1b[31mpatience\r\n");
		_exit(0);
	}
	if (plays("hang")) {
		say("watchdog: soft lockup\r\n");
		kill(getpid(), SIGSTOP);
	}
	if (plays("close")) {
		syscall(SYS_write, KS_QEMU_FD_CHANNEL, bytes, whole);
		_exit(0);
	}
}

/* Likewise: the channel's bytes are counted, and spoilt. */
ssize_t write(int fd, const void *bytes, size_t n)
{
	if (fd != KS_QEMU_FD_CHANNEL)
		return syscall(SYS_write, fd, bytes, n);
	long long at = atomic_fetch_add(&sent, (long long)n);
	if (plays("flood"))
		flood(bytes, n);
	if (at > BAD_BYTE || at + (long long)n <= BAD_BYTE)
		return syscall(SYS_write, fd, bytes, n);
	misbehave(bytes, (size_t)(BAD_BYTE - at));
	char *copy = malloc(n);
	if (!copy)
		abort();
	memcpy(copy, bytes, n);
	copy[BAD_BYTE - at] ^= plays("garbage") ? 0x10 : 0;
	ssize_t done = syscall(SYS_write, fd, copy, n);
	free(copy);
	return done;
}

/* ---- the monitor ---- */

static void answer(const char *text)
{
	if (syscall(SYS_write, KS_QEMU_FD_QMP, text, strlen(text)) < 0)
		_exit(0);
}

static void *monitor(void *arg)
{
	FILE *in = fdopen(dup(KS_QEMU_FD_QMP), "r");
	char line[4096];

	(void)arg;
	answer("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 0}}}}\r\n");
	while (in && fgets(line, sizeof(line), in)) {
		if (strstr(line, "query-status"))
			answer("{\"return\": {\"running\": true}}\r\n");
		else if (strstr(line, "query-migrate"))
			answer("{\"return\": {\"status\": \"completed\"}}\r\n");
		else
			answer("{\"return\": {}}\r\n");
		if (strstr(line, "cont")) {
			pthread_mutex_lock(&going);
			alive = true;
			pthread_cond_signal(&goes);
			pthread_mutex_unlock(&going);
		}
	}
	_exit(0);
}

/* ---- the agent ---- */

static int64_t shown(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
}

static void wait_until(int64_t at_ns)
{
	for (int64_t left; (left = at_ns - shown(CLOCK_MONOTONIC_RAW)) > 0;) {
		struct timespec ts = {.tv_sec = left / KS_SEC, .tv_nsec = left % KS_SEC};
		nanosleep(&ts, NULL);
	}
}

static void act(const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	int64_t at = a->at_raw_ns;

	memset(acted, 0, sizeof(*acted));
	acted->kind = a->kind;
	if (a->kind == KS_ACT_STEP)
		wait_until(at);
	ks_subject_clocks(&acted->before);
	if (a->kind == KS_ACT_SET_REALTIME)
		wall_ns += a->amount - at - (shown(CLOCK_REALTIME) - shown(CLOCK_MONOTONIC_RAW));
	else if (a->kind == KS_ACT_STEP && !plays("deaf"))
		wall_ns += a->amount;
	else if (a->kind != KS_ACT_STEP)
		acted->error = ENOSYS;
	ks_subject_clocks(&acted->after);
}

static int stir(const void *random, size_t size)
{
	return random && size ? 0 : EINVAL;
}

static bool captures;

/* Its kernel has nothing to watch but a function that no other one lacks. */
static const char *take(uint32_t type, const void *payload, uint32_t length)
{
	(void)payload, (void)length;
	captures = type == KS_WIRE_CAPTURE;
	return captures ? NULL : "a fake runs no programs";
}

static int tell(int (*send)(void *host, uint32_t type, const void *payload, uint32_t length), void *host)
{
	const struct ks_wire_jump told[] = {{.layer = KS_JUMP_MISSING, .name = "do_\033[31madjtimex"}, {.layer = KS_JUMP_READY}};
	return captures ? send(host, KS_WIRE_JUMPS, told, sizeof(told)) : 0;
}

static void *chatter(void *arg)
{
	(void)arg;
	for (;;)
		say("what a nice day for a machine to be on and on and on about\r\n");
	return NULL;
}

/* A clone says nothing before it is let go, and was told to wake. */
static void wait_for_life(void)
{
	static unsigned char buf[KS_WIRE_MAX];
	uint32_t length;

	pthread_mutex_lock(&going);
	while (!alive)
		pthread_cond_wait(&goes, &going);
	pthread_mutex_unlock(&going);
	if (ks_wire_recv(KS_QEMU_FD_CHANNEL, buf, &length, 0) != KS_WIRE_WAKE)
		_exit(1);
}

int main(int argc, char **argv)
{
	const struct ks_subject_hooks hooks = {.system = "linux 0.0 fake", .state_dir = "/nonexistent", .record_bytes = 64 << 20,
	                                       .act = act, .stir = stir, .take = take, .last = tell};
	pthread_t thread;

	pthread_create(&thread, NULL, monitor, NULL);
	if (plays("chatter"))
		pthread_create(&thread, NULL, chatter, NULL);
	if (argc > 2 && !strcmp(argv[argc - 2], "-incoming"))
		wait_for_life();
	ks_subject_main(KS_QEMU_FD_CHANNEL, KS_QEMU_FD_CHANNEL, &hooks);
	return 0;
}
