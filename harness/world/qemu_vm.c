/* One guest: a QEMU process with its channel, monitor and console. */
#include "qemu_vm.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_time.h"
#include "qemu_core.h"

/* ---- Starting ---- */

/* In the child, between fork and exec: only what is allowed there. */
static void become_qemu(const struct ks_qemu_command *c, pid_t parent, const int theirs[KS_QEMU_FDS])
{
	int high[KS_QEMU_FDS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	setpriority(PRIO_PROCESS, 0, -10); /* where it is allowed: a guest that waits for a core makes its calls late */
	setpgid(0, 0); /* a terminal's ^C is for the harness, which ends its guests itself */
	for (int i = 0; i < KS_QEMU_FDS; i++)
		high[i] = fcntl(theirs[i], F_DUPFD_CLOEXEC, 10);
	for (int i = 0; i < KS_QEMU_FDS; i++)
		dup2(high[i], KS_QEMU_FD_CHANNEL + i); /* a file of its memory there may be none */
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

/* Keeps the end of what the console says. */
static void keep_tail(struct ks_flow *console, const char *bytes, size_t n)
{
	struct ks_vm *vm = console->context;

	for (size_t i = 0; i < n; i++)
		vm->tail[vm->tail_len++ % KS_VM_TAIL] = bytes[i];
}

static int listen_to(struct ks_vm *vm, struct ks_vm_loop *loop, const int ours[3], struct ks_err *err)
{
	vm->loop = loop;
	vm->channel.buf = vm->incoming;
	vm->channel.size = sizeof(vm->incoming);
	vm->console.buf = vm->chunk;
	vm->console.size = sizeof(vm->chunk);
	vm->console.came = keep_tail;
	vm->console.context = vm;
	int failed = ks_flow_open(&vm->channel, loop, ours[0], err);
	failed = ks_flow_open(&vm->console, loop, ours[2], err) || failed;
	vm->qmp = ks_qmp_new(loop, ours[1], err);
	return failed || !vm->qmp ? -1 : 0;
}

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
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

/* Starts QEMU and listens to it. */
static int start(struct ks_vm *vm, struct ks_vm_loop *loop, const struct ks_qemu_command *c, struct ks_err *err)
{
	int ours[3], theirs[KS_QEMU_FDS] = {-1, -1, -1, vm->ram};

	if (open_pairs(ours, theirs) != 0) {
		close_all(ours, 3);
		close_all(theirs, 3);
		return ks_fail(err, KS_E_INTERNAL, "out of files for a guest: %s", strerror(errno));
	}
	signal(SIGPIPE, SIG_IGN);
	pid_t parent = getpid();
	vm->pid = fork();
	if (vm->pid == 0)
		become_qemu(c, parent, theirs);
	int error = errno;
	close_all(theirs, 3);
	if (listen_to(vm, loop, ours, err) != 0)
		return -1;
	return vm->pid > 0 ? 0 : ks_fail(err, KS_E_INTERNAL, "cannot start a process for a guest: %s", strerror(error));
}

struct ks_vm *ks_vm_launch(struct ks_vm_loop *loop, const struct ks_vm_options *o, enum ks_qemu_ram ram, int file,
			   struct ks_vm_saved *from, struct ks_err *err)
{
	struct ks_qemu_command c;
	struct ks_vm *vm = NULL;

	if (ks_qemu_command(&c, o, ram, from != NULL, err) == 0 && !(vm = ks_alloc(1, sizeof(*vm))))
		ks_fail(err, KS_E_INTERNAL, "out of memory for a guest");
	if (!vm) {
		if (file >= 0)
			close(file);
		return NULL;
	}
	vm->ram = file;
	vm->options = *o;
	vm->savable = ram == KS_QEMU_RAM_SHARED;
	vm->from = from;
	if (start(vm, loop, &c, err) == 0)
		return vm;
	ks_vm_free(vm);
	return NULL;
}

struct ks_vm *ks_vm_start(struct ks_vm_loop *loop, const struct ks_vm_options *o, struct ks_err *err)
{
	int file = o->savable ? ks_vm_memory(ks_qemu_memory_mb(o), err) : -1;

	if (o->savable && file < 0)
		return NULL;
	return ks_vm_launch(loop, o, o->savable ? KS_QEMU_RAM_SHARED : KS_QEMU_RAM_OWN, file, NULL, err);
}

void ks_vm_free(struct ks_vm *vm)
{
	if (!vm)
		return;
	if (vm->pid > 0) {
		kill(vm->pid, SIGKILL);
		ks_vm_core_bury(vm);
		while (waitpid(vm->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	ks_flow_close(&vm->channel);
	ks_flow_close(&vm->console);
	ks_qmp_free(vm->qmp);
	if (vm->ram >= 0)
		close(vm->ram);
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

struct ks_qmp *ks_vm_qmp(struct ks_vm *vm)
{
	return vm->qmp;
}

int ks_vm_cpu_threads(struct ks_vm *vm, pid_t thread[KS_VM_CPUS_MAX], struct ks_err *err)
{
	json_t *cpus, *cpu;
	size_t i;
	int n = 0;

	if (ks_qmp_execute(vm->qmp, "query-cpus-fast", NULL, &cpus, ks_host_ns() + 10 * KS_SEC, err) != 0)
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
static size_t copy_tail(const struct ks_vm *vm, char text[KS_VM_TAIL])
{
	size_t len = vm->tail_len < KS_VM_TAIL ? vm->tail_len : KS_VM_TAIL;

	for (size_t i = 0; i < len; i++)
		text[i] = vm->tail[(vm->tail_len - len + i) % KS_VM_TAIL];
	return len;
}

/* What says best why it ended: from the panic on, or else the last of it. */
const char *ks_vm_console(struct ks_vm *vm, char quote[KS_VM_CONSOLE_MAX])
{
	static const char panic[] = "Kernel panic";
	char text[KS_VM_TAIL];
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
	int64_t moment = ks_host_ns() + 50 * KS_MS; /* a guest that died may have more to say */
	struct ks_err ignored;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	while (ks_vm_loop_turn(vm->loop, moment, &ignored) == 0)
		;
	ks_vm_console(vm, quote);
	return ks_fail(err, KS_E_JUDGE, "%s; its console: %s", what, *quote ? quote : "(nothing)");
}

int ks_vm_send(struct ks_vm *vm, uint32_t type, const void *payload, uint32_t length, struct ks_err *err)
{
	struct ks_wire_header h = {.magic = KS_WIRE_MAGIC, .type = type, .length = length, .sum = ks_wire_sum(payload, length)};

	if (ks_wire_check(&h) != 0)
		return ks_fail(err, KS_E_INTERNAL, "a message of %u bytes for a guest", length);
	if (ks_flow_send(&vm->channel, &h, sizeof(h)) != 0 || (length && ks_flow_send(&vm->channel, payload, length) != 0))
		return ks_vm_fail(vm, err, "guest does not take a message: %s", strerror(errno));
	return 0;
}

/* Would ks_vm_recv not wait? A frame that is none counts, and the end of them. */
static bool has_frame(const struct ks_vm *vm)
{
	const struct ks_flow *s = &vm->channel;
	struct ks_wire_header h;

	if (s->to - s->from < sizeof(h))
		return s->ended;
	memcpy(&h, s->buf + s->from, sizeof(h));
	return s->ended || ks_wire_check(&h) != 0 || s->to - s->from - sizeof(h) >= h.length;
}

int ks_vm_wait_any(struct ks_vm *const *vm, int n, int64_t until_ns, int *ready, struct ks_err *err)
{
	int turn = 0;

	for (*ready = -1; turn == 0; turn = ks_vm_loop_turn(vm[0]->loop, until_ns, err))
		for (int i = 0; i < n; i++)
			if (has_frame(vm[i])) {
				*ready = i;
				return 0;
			}
	return turn < 0 ? -1 : 0;
}

int ks_vm_send_long(struct ks_vm *vm, uint32_t type, const void *payload, uint32_t length, int64_t deadline_ns, struct ks_err *err)
{
	int turn = 0;

	while (turn == 0 && !has_frame(vm) && ks_flow_is_full(&vm->channel, sizeof(struct ks_wire_header) + length))
		turn = ks_vm_loop_turn(vm->loop, deadline_ns, err);
	if (turn < 0)
		return -1;
	if (turn > 0)
		return ks_vm_fail(vm, err, "guest did not take a message in time");
	if (!has_frame(vm))
		return ks_vm_send(vm, type, payload, length, err);
	type = (uint32_t)ks_vm_recv(vm, &payload, &length, deadline_ns, err);
	return (int)type < 0 ? -1 : ks_vm_fail(vm, err, "guest sent message %u out of turn", type);
}

/* Takes the frame at the front. @return its type, 0 when it is not whole, -1 when it is garbage. */
static int take_frame(struct ks_vm *vm, const void **payload, uint32_t *length)
{
	struct ks_flow *s = &vm->channel;
	struct ks_wire_rx rx = {(unsigned char *)s->buf + s->from, 0, (uint32_t)(s->to - s->from)};
	int type = ks_wire_rx_take(&rx, payload, length);

	ks_flow_taken(s, rx.from);
	return type;
}

static int gave_up(struct ks_vm *vm, const char *text, uint32_t length, struct ks_err *err)
{
	char why[200];
	uint32_t n = 0;

	for (; n < length && n < sizeof(why) - 1; n++)
		why[n] = (char)(text[n] < 0x20 || text[n] > 0x7e ? '.' : text[n]);
	why[n] = '\0';
	return ks_vm_fail(vm, err, "guest gave up: %s", why);
}

int ks_vm_recv(struct ks_vm *vm, const void **payload, uint32_t *length, int64_t deadline_ns, struct ks_err *err)
{
	int ready;

	if (ks_vm_wait_any(&vm, 1, deadline_ns, &ready, err) != 0)
		return -1;
	bool begun = vm->channel.to > vm->channel.from;
	int type = ready < 0 ? 0 : take_frame(vm, payload, length);
	if (type == KS_WIRE_ERROR)
		return gave_up(vm, *payload, *length, err);
	if (type > 0)
		return type;
	if (type < 0)
		return ks_vm_fail(vm, err, "guest sent garbage");
	if (ready == 0)
		return ks_vm_fail(vm, err, "guest ended before its work was done");
	return ks_vm_fail(vm, err, begun ? "guest stopped in the middle of a message" : "guest did not answer in time");
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

static int check_hello(struct ks_vm *vm, struct ks_err *err)
{
	vm->hello.system[sizeof(vm->hello.system) - 1] = '\0';
	for (char *p = vm->hello.system; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '.';
	if (vm->hello.version != KS_WIRE_VERSION || vm->hello.record_size != sizeof(struct ks_wire_record))
		return ks_fail(err, KS_E_JUDGE, "guest image speaks another version of the wire: ./lab builds it anew");
	return 0;
}

int ks_vm_wait_hello(struct ks_vm *vm, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_err first;

	if (ks_qmp_greet(vm->qmp, deadline_ns, &first) != 0)
		return ks_vm_fail(vm, err, "%s", first.text);
	if (vm->from && ks_vm_go(vm, deadline_ns, err) != 0)
		return -1;
	if (ks_vm_expect(vm, KS_WIRE_HELLO, &vm->hello, sizeof(vm->hello), deadline_ns, err) != 0)
		return -1;
	return check_hello(vm, err);
}

int ks_vm_take_hello(struct ks_vm *vm, const void *payload, uint32_t length, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_err first;

	if (length != sizeof(vm->hello))
		return ks_vm_fail(vm, err, "guest sent a greeting of %u bytes", length);
	memcpy(&vm->hello, payload, sizeof(vm->hello));
	if (ks_qmp_greet(vm->qmp, deadline_ns, &first) != 0)
		return ks_vm_fail(vm, err, "%s", first.text);
	return check_hello(vm, err);
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
