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
 *   dead-battery  it boots with another date than its battery-backed clock shows
 *   wrong-core, no-core, lost-core   the thread that its monitor says is core 1 is core 0, not named, no thread at all
 *   stuck-core                       its monitor waits for core 1
 *   (anything else: it behaves) */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
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
static atomic_llong boot_ns; /* what its other clocks begin at: one that has a date of its own booted just now */
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
	} else if (boot_ns && (id == CLOCK_MONOTONIC || id == CLOCK_BOOTTIME || id == CLOCK_MONOTONIC_RAW)) {
		int64_t ns = (int64_t)ts->tv_sec * KS_SEC + ts->tv_nsec - boot_ns;
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

/* Likewise: its cores are none of this machine's, which may have fewer. */
int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
	(void)pid, (void)size, (void)set;
	return 0;
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

static int64_t shown(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
}

/* ---- its cores: threads that look at their clock, and do nothing else ---- */

static struct core {
	atomic_int tid;
	atomic_llong looked_ns, gap_ns; /* when last, and the longest time between two */
} cores[2];

static void nap(int64_t ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static void *core(void *arg)
{
	struct core *c = arg;

	c->looked_ns = shown(CLOCK_MONOTONIC_RAW);
	c->tid = (int)syscall(SYS_gettid);
	for (;;) {
		nap(200 * KS_US);
		int64_t now = shown(CLOCK_MONOTONIC_RAW), gap = now - c->looked_ns;
		c->gap_ns = gap > c->gap_ns ? gap : c->gap_ns;
		c->looked_ns = now;
	}
	return NULL;
}

static void begin_cores(void)
{
	pthread_t thread;

	for (int i = 0; i < 2; i++) {
		if (!cores[i].tid)
			pthread_create(&thread, NULL, core, &cores[i]);
		while (!cores[i].tid)
			nap(KS_US);
	}
}

static void await_look(const struct core *c, int64_t since_ns)
{
	while (c->looked_ns < since_ns)
		nap(100 * KS_US);
}

static void name_cores(char *text, size_t size)
{
	bool swap = plays("wrong-core");

	begin_cores();
	snprintf(text, size, "{\"return\": [{\"cpu-index\": 0, \"thread-id\": %d}, {\"cpu-index\": %d, \"thread-id\": %d}]}\r\n", cores[swap ? 1 : 0].tid,
	         plays("no-core") ? 7 : 1, plays("lost-core") ? 0x7ffffff0 : cores[swap ? 0 : 1].tid);
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
	char line[4096], text[256];

	(void)arg;
	answer("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 0}}}}\r\n");
	while (in && fgets(line, sizeof(line), in)) {
		if (strstr(line, "query-status") && plays("stuck-core"))
			await_look(&cores[1], shown(CLOCK_MONOTONIC_RAW));
		if (strstr(line, "query-cpus-fast")) {
			name_cores(text, sizeof(text));
			answer(text);
		} else if (strstr(line, "query-status")) {
			answer("{\"return\": {\"running\": true}}\r\n");
		} else if (strstr(line, "query-migrate")) {
			answer("{\"return\": {\"status\": \"completed\"}}\r\n");
		} else {
			answer("{\"return\": {}}\r\n");
		}
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

static void wait_until(int64_t at_ns)
{
	for (int64_t left; (left = at_ns - shown(CLOCK_MONOTONIC_RAW)) > 0;) {
		struct timespec ts = {.tv_sec = left / KS_SEC, .tv_nsec = left % KS_SEC};
		nanosleep(&ts, NULL);
	}
}

static void watch(const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	wait_until(a->at_raw_ns);
	cores[0].gap_ns = cores[1].gap_ns = 0;
	ks_subject_clocks(&acted->before);
	wait_until(a->until);
	for (int i = 0; i < 2; i++)
		await_look(&cores[i], a->until);
	acted->value = cores[a->amount].gap_ns;
	acted->beside_ns = cores[1 - a->amount].gap_ns;
	ks_subject_clocks(&acted->after);
}

static void act(const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	int64_t at = a->at_raw_ns;

	memset(acted, 0, sizeof(*acted));
	acted->kind = a->kind;
	if (a->kind == KS_ACT_WATCH_CORE) {
		watch(a, acted);
		return;
	}
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

/* "base=2026-01-15T10:00:00,clock=vm". A kernel would lose a part of a second of it, and ours loses 0.3 s. */
static void boot_at(const char *rtc)
{
	struct tm tm = {0};
	int64_t now = shown(CLOCK_MONOTONIC);

	if (sscanf(rtc, "base=%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		_exit(1);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	wall_ns = timegm(&tm) * KS_SEC - 300 * KS_MS - shown(CLOCK_REALTIME) + (plays("dead-battery") ? -5 * KS_SEC : 0);
	boot_ns = now;
}

int main(int argc, char **argv)
{
	const struct ks_subject_hooks hooks = {.system = "linux 0.0 fake", .state_dir = "/nonexistent", .record_bytes = 64 << 20,
	                                       .act = act, .stir = stir, .take = take, .last = tell};
	pthread_t thread;

	for (int i = 1; i < argc - 1; i++)
		if (!strcmp(argv[i], "-rtc"))
			boot_at(argv[i + 1]);
	pthread_create(&thread, NULL, monitor, NULL);
	if (plays("chatter"))
		pthread_create(&thread, NULL, chatter, NULL);
	if (argc > 2 && !strcmp(argv[argc - 2], "-incoming"))
		wait_for_life();
	ks_subject_main(KS_QEMU_FD_CHANNEL, KS_QEMU_FD_CHANNEL, &hooks);
	return 0;
}
