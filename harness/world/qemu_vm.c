/* One guest: a QEMU process with its channel, monitor and console. */
#include "qemu_command.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_time.h"

#define TAIL_MAX 4096  /* bytes of console kept */

struct ks_vm {
	pid_t pid;
	int channel, console;
	volatile const int *stop;
	struct ks_qmp qmp;
	struct ks_wire_hello hello;
	pthread_t drain;
	bool draining;
	pthread_mutex_t lock; /* of tail */
	char tail[TAIL_MAX];
	size_t tail_len;      /* bytes ever put into the ring */
	char payload[KS_WIRE_MAX];
};

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
}

int64_t ks_host_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t ks_host_raw_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_RAW);
}

/* ---- Starting ---- */

/* In the child, between fork and exec: only what is allowed there. */
static void become_qemu(const struct ks_qemu_command *c, pid_t parent, const int theirs[3])
{
	int high[3];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	setpriority(PRIO_PROCESS, 0, -10); /* where it is allowed: a guest that waits for a core makes its calls late */
	setpgid(0, 0); /* a terminal's ^C is for the harness, which ends its guests itself */
	for (int i = 0; i < 3; i++)
		high[i] = fcntl(theirs[i], F_DUPFD, 10);
	for (int i = 0; i < 3; i++)
		dup2(high[i], KS_QEMU_FD_CHANNEL + i);
	for (int i = 0; i < 3; i++)
		close(high[i]);
	int null = open("/dev/null", O_RDONLY);
	dup2(null, 0);
	dup2(KS_QEMU_FD_CONSOLE, 1);
	dup2(KS_QEMU_FD_CONSOLE, 2);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(c->qemu, (char *const *)c->argv);
	_exit(127);
}

/* Takes what the console says for as long as QEMU lives, so that a chatty guest never blocks, and keeps its end. */
static void *drain(void *arg)
{
	struct ks_vm *vm = arg;
	char chunk[1024];
	ssize_t n;

	while ((n = read(vm->console, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)) {
		pthread_mutex_lock(&vm->lock);
		for (ssize_t i = 0; i < n; i++)
			vm->tail[vm->tail_len++ % TAIL_MAX] = chunk[i];
		pthread_mutex_unlock(&vm->lock);
	}
	return NULL;
}

static int open_pairs(int ours[3], int theirs[3])
{
	for (int i = 0; i < 3; i++)
		ours[i] = theirs[i] = -1;
	for (int i = 0; i < 3; i++) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
			return -1;
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
	return 0;
}

static void close_pairs(const int fds[3])
{
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

struct ks_vm *ks_vm_start(const struct ks_vm_options *o, struct ks_err *err)
{
	struct ks_qemu_command c;
	int ours[3], theirs[3];
	struct ks_vm *vm;

	if (ks_qemu_command(&c, o, err) != 0)
		return NULL;
	vm = ks_alloc(1, sizeof(*vm));
	if (!vm || open_pairs(ours, theirs) != 0) {
		if (vm) {
			close_pairs(ours);
			close_pairs(theirs);
		}
		ks_free(vm);
		ks_fail(err, KS_E_INTERNAL, "out of memory or files for a guest");
		return NULL;
	}
	signal(SIGPIPE, SIG_IGN);
	pid_t parent = getpid();
	vm->pid = fork();
	if (vm->pid == 0)
		become_qemu(&c, parent, theirs);
	close_pairs(theirs);
	vm->channel = ours[0];
	vm->qmp.fd = ours[1];
	vm->console = ours[2];
	vm->stop = o->stop;
	pthread_mutex_init(&vm->lock, NULL);
	vm->draining = vm->pid > 0 && pthread_create(&vm->drain, NULL, drain, vm) == 0;
	if (vm->draining)
		return vm;
	ks_fail(err, KS_E_INTERNAL, "cannot start a process for a guest: %s", strerror(errno));
	ks_vm_free(vm);
	return NULL;
}

void ks_vm_free(struct ks_vm *vm)
{
	if (!vm)
		return;
	if (vm->pid > 0) {
		kill(vm->pid, SIGKILL);
		while (waitpid(vm->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (vm->draining)
		pthread_join(vm->drain, NULL); /* its read ends, as QEMU had the other side's only copy */
	close(vm->channel);
	close(vm->qmp.fd);
	close(vm->console);
	pthread_mutex_destroy(&vm->lock);
	ks_free(vm);
}

const char *ks_vm_system(const struct ks_vm *vm)
{
	return vm->hello.system;
}

pid_t ks_vm_pid(const struct ks_vm *vm)
{
	return vm->pid;
}

int ks_vm_fd(const struct ks_vm *vm)
{
	return vm->channel;
}

struct ks_qmp *ks_vm_qmp(struct ks_vm *vm)
{
	return &vm->qmp;
}

int ks_vm_cpu_threads(struct ks_vm *vm, pid_t thread[KS_VM_CPUS_MAX], struct ks_err *err)
{
	json_t *cpus, *cpu;
	size_t i;
	int n = 0;

	if (ks_qmp_execute(&vm->qmp, "query-cpus-fast", NULL, &cpus, ks_host_ns() + 10 * KS_SEC, err) != 0)
		return -1;
	json_array_foreach(cpus, i, cpu) {
		int index, id;
		if (json_unpack(cpu, "{s:i,s:i}", "cpu-index", &index, "thread-id", &id) == 0 && index >= 0 && index < KS_VM_CPUS_MAX) {
			thread[index] = id;
			n++;
		}
	}
	json_decref(cpus);
	return n ? n : ks_fail(err, KS_E_JUDGE, "qemu names no threads of its cores");
}

/* ---- Talking ---- */

/* The end of the console, oldest byte first. @return its length. */
static size_t copy_tail(struct ks_vm *vm, char text[TAIL_MAX])
{
	pthread_mutex_lock(&vm->lock);
	size_t len = vm->tail_len < TAIL_MAX ? vm->tail_len : TAIL_MAX;
	for (size_t i = 0; i < len; i++)
		text[i] = vm->tail[(vm->tail_len - len + i) % TAIL_MAX];
	pthread_mutex_unlock(&vm->lock);
	return len;
}

/* What says best why it ended: from the panic on, or else the last of it. */
const char *ks_vm_console(struct ks_vm *vm, char quote[KS_VM_CONSOLE_MAX])
{
	static const char panic[] = "Kernel panic";
	char text[TAIL_MAX];
	size_t len = copy_tail(vm, text), n = 0, max = KS_VM_CONSOLE_MAX - 1;
	const char *from = memmem(text, len, panic, sizeof(panic) - 1);

	if (!from)
		from = len > max ? text + len - max : text;
	for (; from < text + len && n < max; from++) {
		bool space = isspace((unsigned char)*from);
		if (space && (n == 0 || quote[n - 1] == ' '))
			continue;
		quote[n++] = space ? ' ' : (char)(*from >= 0x21 && *from <= 0x7e ? *from : '.');
	}
	while (n && quote[n - 1] == ' ')
		n--;
	quote[n] = '\0';
	return quote;
}

int ks_vm_fail(struct ks_vm *vm, struct ks_err *err, const char *fmt, ...)
{
	char what[400], quote[KS_VM_CONSOLE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	struct timespec moment = {.tv_nsec = 50 * KS_MS}; /* a guest that died may have more to say */
	nanosleep(&moment, NULL);
	ks_vm_console(vm, quote);
	return ks_fail(err, KS_E_JUDGE, "%s; its console: %s", what, *quote ? quote : "(nothing)");
}

int ks_vm_send(struct ks_vm *vm, uint32_t type, const void *payload, uint32_t length, struct ks_err *err)
{
	if (ks_wire_send(vm->channel, type, payload, length) != 0)
		return ks_vm_fail(vm, err, "guest does not take a message: %s", strerror(errno));
	return 0;
}

/* Waits for the first byte of a frame in slices, so that an interrupt is seen soon. */
static int wait_frame(struct ks_vm *vm, int64_t deadline_ns, struct ks_err *err)
{
	for (;;) {
		struct pollfd p = {.fd = vm->channel, .events = POLLIN};
		if (vm->stop && *vm->stop)
			return ks_fail(err, KS_E_JUDGE, "interrupted");
		if (poll(&p, 1, 50) > 0)
			return 0;
		if (ks_host_ns() >= deadline_ns)
			return ks_vm_fail(vm, err, "guest did not answer in time");
	}
}

int ks_vm_recv(struct ks_vm *vm, const void **payload, uint32_t *length, int64_t deadline_ns, struct ks_err *err)
{
	if (wait_frame(vm, deadline_ns, err) != 0)
		return -1;
	int type = ks_wire_recv(vm->channel, vm->payload, length, deadline_ns);
	if (type > 0 && type != KS_WIRE_ERROR) {
		*payload = vm->payload;
		return type;
	}
	if (type == KS_WIRE_ERROR) {
		for (uint32_t i = 0; i < *length; i++)
			if (vm->payload[i] < 0x20 || vm->payload[i] > 0x7e)
				vm->payload[i] = '.';
		return ks_vm_fail(vm, err, "guest gave up: %.*s", (int)(*length < 200 ? *length : 200), vm->payload);
	}
	if (type == 0 || errno == ECONNRESET)
		return ks_vm_fail(vm, err, "guest ended before its work was done");
	if (errno == ETIMEDOUT)
		return ks_vm_fail(vm, err, "guest stopped in the middle of a message");
	return ks_vm_fail(vm, err, errno == EBADMSG ? "guest sent garbage" : "channel to the guest failed");
}

int ks_vm_expect(struct ks_vm *vm, uint32_t type, void *payload, uint32_t length, int64_t deadline_ns,
                 struct ks_err *err)
{
	const void *got;
	uint32_t len;
	int t = ks_vm_recv(vm, &got, &len, deadline_ns, err);

	if (t < 0)
		return -1;
	if ((uint32_t)t != type || len != length)
		return ks_vm_fail(vm, err, "guest sent message %d of %u bytes, expected %u of %u", t, len, type, length);
	if (length)
		memcpy(payload, got, length);
	return 0;
}

int ks_vm_wait_hello(struct ks_vm *vm, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_err first;

	if (ks_qmp_open(&vm->qmp, vm->qmp.fd, deadline_ns, &first) != 0)
		return ks_vm_fail(vm, err, "%s", first.text);
	if (ks_vm_expect(vm, KS_WIRE_HELLO, &vm->hello, sizeof(vm->hello), deadline_ns, err) != 0)
		return -1;
	vm->hello.system[sizeof(vm->hello.system) - 1] = '\0';
	for (char *p = vm->hello.system; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '.';
	if (vm->hello.version != KS_WIRE_VERSION || vm->hello.record_size != sizeof(struct ks_wire_record))
		return ks_fail(err, KS_E_JUDGE, "guest image speaks another version of the wire: ./lab builds it anew");
	return 0;
}

int ks_vm_clocks(struct ks_vm *vm, int tries, struct ks_vm_clocks *best, struct ks_err *err)
{
	for (int i = 0; i < tries; i++) {
		struct ks_vm_clocks c;
		int64_t before = ks_host_raw_ns();
		if (ks_vm_send(vm, KS_WIRE_PING, NULL, 0, err) != 0 ||
		    ks_vm_expect(vm, KS_WIRE_CLOCKS, &c.guest, sizeof(c.guest), ks_host_ns() + 10 * KS_SEC, err) != 0)
			return -1;
		c.width_ns = ks_host_raw_ns() - before;
		c.host_raw_ns = before + c.width_ns / 2;
		if (i == 0 || c.width_ns < best->width_ns)
			*best = c;
	}
	return 0;
}

int ks_vm_act(struct ks_vm *vm, enum ks_wire_act_kind kind, int64_t at_raw_ns, int64_t amount,
              struct ks_wire_acted *acted, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_wire_act act = {.kind = kind, .at_raw_ns = at_raw_ns, .amount = amount};

	if (ks_vm_send(vm, KS_WIRE_ACT, &act, sizeof(act), err) != 0 ||
	    ks_vm_expect(vm, KS_WIRE_ACTED, acted, sizeof(*acted), deadline_ns, err) != 0)
		return -1;
	if (acted->error)
		return ks_vm_fail(vm, err, "the guest's kernel refuses to act on its clock: %s", strerror(acted->error));
	return 0;
}
