/* keyskew-guest-jumps EVERY_NS STRETCH_NS [FUNCTION]...: captures what sets, bends or moves the clocks of the machine that it runs on, and writes
 * a struct ks_wire_jump for each to its standard output until it gets SIGTERM. FUNCTION: one more of the kernel that is watched. Runs in guests only, as root, and changes nothing.
 *
 * The half in the kernel is jumps.bpf.c, whose object is part of this program. What a record calls at_ns is a count of the
 * processor here: the agent makes true time of it. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "jumps_hooks.h"

__asm__(".section .rodata\n"
	".balign 16\n"
	"jumps_object: .incbin \"" KS_JUMPS_OBJECT "\"\n"
	"jumps_object_end:\n"
	".previous\n");
extern const char jumps_object[], jumps_object_end[];

/* Those of the table, and more that the command line names. */
static struct ks_jump_hook hooks[KS_JUMP_HOOKS_MAX];
static size_t nhooks;
#define FIND_LOOKS 6

static volatile sig_atomic_t stop;
static unsigned told;
static struct jump_event seen; /* the last one, while the timekeeper is looked for */

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts = {0};
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint64_t counter(void)
{
	return __builtin_ia32_rdtsc();
}

static void put(const struct ks_wire_jump *jump)
{
	if (told++ < KS_WIRE_JUMPS_MAX - KS_JUMP_HOOKS_MAX - 4) {
		ssize_t n = write(1, jump, sizeof(*jump)); /* one at a time: a record is whole */
		(void)n;
	}
}

static void say(enum ks_jump_layer layer, const char *name, uint32_t arg)
{
	struct ks_wire_jump j = {.at_ns = (int64_t)counter(), .layer = layer, .arg = arg};

	snprintf(j.name, sizeof(j.name), "%s", name);
	ssize_t n = write(1, &j, sizeof(j));
	(void)n;
}

static void fail(const char *what, int error)
{
	char text[80];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(error < 0 ? -error : error));
	say(KS_JUMP_FAILED, text, 0);
	exit(1);
}

/* ---- what the kernel's half tells ---- */

/* How many counts a ns are: an event is told a moment after it happened. */
static double counts_per_ns = 1;

static int take(void *context, void *data, size_t size)
{
	const struct jump_event *e = data;
	const bool *looking = context;
	int64_t age = clock_ns(CLOCK_MONOTONIC) - (int64_t)e->mono_ns;

	if (size < sizeof(*e) || e->what >= nhooks)
		return 0;
	seen = *e;
	if (*looking)
		return 0;
	struct ks_wire_jump j = {.at_ns = (int64_t)(counter() - (uint64_t)((age > 0 && age < 1000000000 ? (double)age : 0) * counts_per_ns)),
	                         .delta_ns = e->delta_ns, .layer = hooks[e->what].layer, .pid = e->pid, .arg = e->arg, .ret = e->ret};
	memcpy(j.command, e->comm, sizeof(j.command) - 1);
	snprintf(j.name, sizeof(j.name), "%s", hooks[e->what].name);
	put(&j);
	return 0;
}

static void measure_counter(void)
{
	struct timespec nap = {.tv_nsec = 20000000};
	uint64_t before = counter();
	int64_t begin = clock_ns(CLOCK_MONOTONIC_RAW);

	nanosleep(&nap, NULL);
	int64_t end = clock_ns(CLOCK_MONOTONIC_RAW);
	if (end > begin)
		counts_per_ns = (double)(counter() - before) / (double)(end - begin);
}

/* ---- attaching ---- */

static unsigned long long address_of(const char *symbol)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long long found = f ? ks_kallsyms_find(f, symbol) : 0;

	if (f)
		fclose(f);
	return found;
}

static void add_hooks(char *const *symbol)
{
	for (; nhooks < KS_JUMP_HOOKS; nhooks++)
		hooks[nhooks] = ks_jump_hooks[nhooks];
	for (; *symbol && nhooks < KS_JUMP_HOOKS_MAX; symbol++)
		hooks[nhooks++] = (struct ks_jump_hook){*symbol, *symbol, KS_JUMP_KERNEL, 0, ARG_NONE};
}

/* @return false when an end of it cannot be watched. */
static bool attach_one(struct bpf_program *begin, struct bpf_program *end, size_t i)
{
	const struct ks_jump_hook *h = &hooks[i];
	LIBBPF_OPTS(bpf_kprobe_opts, opts, .bpf_cookie = JUMP_COOKIE(i, h->after, h->arg));
	struct bpf_link *first = bpf_program__attach_kprobe_opts(begin, h->symbol, &opts);

	opts.retprobe = true;
	if (first && bpf_program__attach_kprobe_opts(end, h->symbol, &opts))
		return true;
	bpf_link__destroy(first);
	return false;
}

/* @return how many were attached. A kernel that tells no names is asked for each. */
static unsigned attach(struct bpf_object *object)
{
	struct bpf_program *begin = bpf_object__find_program_by_name(object, "on_begin");
	struct bpf_program *end = bpf_object__find_program_by_name(object, "on_end");
	FILE *names = fopen("/proc/kallsyms", "re");
	bool lacks[KS_JUMP_HOOKS_MAX] = {false};
	unsigned n = 0;

	if (names) {
		ks_jump_hooks_lacking(names, hooks, nhooks, lacks);
		fclose(names);
	}
	for (size_t i = 0; i < nhooks; i++)
		if (!lacks[i] && attach_one(begin, end, i))
			n++;
		else
			say(KS_JUMP_MISSING, hooks[i].name, 0);
	return n;
}

static int map_of(struct bpf_object *object, const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

static void set(struct bpf_object *object, unsigned long long timekeeper, unsigned looks)
{
	struct jump_settings s = {.timekeeper = timekeeper, .self = (unsigned)getpid(), .looks = looks};
	unsigned zero = 0;

	bpf_map_update_elem(map_of(object, "settings"), &zero, &s, BPF_ANY);
}

/* What REALTIME is ahead by, as the kernel's half sees it, is also what a program sees: so the right one of a few places is known. */
static bool is_timekeeper(struct bpf_object *object, struct ring_buffer *ring, unsigned long long at)
{
	struct timex nothing = {0};

	set(object, at, 1);
	seen = (struct jump_event){0};
	adjtimex(&nothing);
	ring_buffer__poll(ring, 200);
	int64_t ahead = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC), off = seen.ahead_ns - ahead;
	return seen.mono_ns && off > -1000000 && off < 1000000;
}

/* It follows a sequence counter in a structure that has no name. */
static void find_timekeeper(struct bpf_object *object, struct ring_buffer *ring)
{
	static const unsigned places[FIND_LOOKS] = {8, 0, 16, 24, 32, 64};
	unsigned long long core = address_of("tk_core");

	for (int i = 0; core && i < FIND_LOOKS; i++)
		if (is_timekeeper(object, ring, core + places[i])) {
			set(object, core + places[i], 0);
			return;
		}
	say(KS_JUMP_MISSING, "tk_core", 0); /* leap seconds move REALTIME and not TAI: they are told without their size */
	set(object, 0, 0);
}

/* The kernel's half begins to compare with what is the case now. */
static void settle(struct bpf_object *object)
{
	int64_t ahead = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	unsigned zero = 0;

	if (seen.mono_ns)
		ahead = seen.ahead_ns;
	bpf_map_update_elem(map_of(object, "settled"), &zero, &ahead, BPF_ANY);
}

/* ---- what a program sees ---- */

static int64_t every_ns, stretch_ns;

static void *watch(void *unused)
{
	struct timespec nap = {.tv_sec = every_ns / 1000000000, .tv_nsec = every_ns % 1000000000};

	for (int64_t last = clock_ns(CLOCK_MONOTONIC), now; !stop; last = now) {
		nanosleep(&nap, NULL);
		now = clock_ns(CLOCK_MONOTONIC);
		if (now - last <= stretch_ns)
			continue;
		struct ks_wire_jump j = {.at_ns = (int64_t)counter(), .delta_ns = now - last, .layer = KS_JUMP_RUNTIME, .pid = (uint32_t)getpid(),
		                         .command = "keyskew", .name = "clock_gettime"};
		put(&j);
	}
	return unused;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN)
		vfprintf(stderr, format, args);
	return 0;
}

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "jumps");
	pthread_t thread;
	bool looking = true;
	unsigned long long lost = 0;
	unsigned zero = 0;

	if (argc < 3)
		return 2;
	add_hooks(argv + 3);
	every_ns = strtoll(argv[1], NULL, 10);
	stretch_ns = strtoll(argv[2], NULL, 10);
	signal(SIGTERM, on_term);
	libbpf_set_print(quiet);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	measure_counter();
	struct bpf_object *object = bpf_object__open_mem(jumps_object, (size_t)(jumps_object_end - jumps_object), &opts);
	if (!object || bpf_object__load(object) != 0)
		fail("this kernel does not take the capture's program", errno);
	if (!attach(object))
		fail("none of the functions can be watched", errno);
	struct ring_buffer *ring = ring_buffer__new(map_of(object, "events"), take, &looking, NULL);
	if (!ring)
		fail("no ring buffer", errno);
	find_timekeeper(object, ring);
	settle(object);
	looking = false;
	if (every_ns && pthread_create(&thread, NULL, watch, NULL) != 0)
		fail("no thread", errno);
	say(KS_JUMP_READY, "", 0);
	while (!stop)
		ring_buffer__poll(ring, 100);
	ring_buffer__poll(ring, 0);
	bpf_map_lookup_elem(map_of(object, "lost"), &zero, &lost);
	if (told > KS_WIRE_JUMPS_MAX - KS_JUMP_HOOKS_MAX - 4)
		lost += told - (KS_WIRE_JUMPS_MAX - KS_JUMP_HOOKS_MAX - 4);
	if (lost)
		say(KS_JUMP_LOST, "", lost < UINT32_MAX ? (uint32_t)lost : UINT32_MAX);
	return 0;
}
