#include "qemu_core.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "ks_time.h"
#include "qemu_vm.h"

#define HELD_NS KS_SEC           /* to get a thread to stand: it does at the end of a system call, or at once */
#define ANSWER_NS (15 * KS_MS)   /* of QEMU's monitor, which takes a tenth of a ms */
#define FREED_NS (10 * KS_SEC)   /* of the same, when nothing stands any more */
#define TRIES 6

static void nap(int64_t ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

int ks_vm_core_find(struct ks_vm *vm, int core, pid_t *thread, struct ks_err *err)
{
	pid_t all[KS_VM_CPUS_MAX] = {0};
	int n = ks_vm_cpu_threads(vm, all, err);

	if (n < 0)
		return -1;
	if (core < 0 || core >= KS_VM_CPUS_MAX || all[core] <= 0)
		return ks_fail(err, KS_E_JUDGE, "qemu names %d cores, and no core %d", n, core);
	*thread = all[core];
	return 0;
}

static int ended(struct ks_vm *vm, struct ks_err *err)
{
	vm->held = 0;
	return ks_fail(err, KS_E_JUDGE, "qemu ended");
}

/* Whatever else it stops for, as a signal that comes at this moment, is passed on. */
static int await_stop(struct ks_vm *vm, struct ks_err *err)
{
	int64_t until_ns = ks_host_ns() + HELD_NS;
	int status;

	for (;;) {
		pid_t came = waitpid(vm->held, &status, __WALL | WNOHANG);
		if (came < 0 && errno != EINTR)
			return ended(vm, err);
		if (came > 0 && !WIFSTOPPED(status))
			return ended(vm, err);
		if (came > 0 && status >> 16 == PTRACE_EVENT_STOP)
			return 0;
		if (came > 0)
			ptrace(PTRACE_CONT, vm->held, NULL, (void *)(intptr_t)WSTOPSIG(status));
		if (ks_host_ns() > until_ns)
			return ks_fail(err, KS_E_JUDGE, "a core of QEMU did not stop within 1s");
		nap(20 * KS_US);
	}
}

/* Should we end, QEMU is killed. */
static int hold(struct ks_vm *vm, pid_t thread, struct ks_err *err)
{
	if (ptrace(PTRACE_SEIZE, thread, NULL, (void *)(intptr_t)PTRACE_O_EXITKILL) != 0)
		return ks_fail(err, KS_E_JUDGE, "a core of a guest is stopped by ptrace, which this machine does not allow: %s", strerror(errno));
	vm->held = thread;
	if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0)
		return ks_fail(err, KS_E_JUDGE, "cannot stop a core of QEMU: %s", strerror(errno));
	return await_stop(vm, err);
}

int ks_vm_core_go_on(struct ks_vm *vm, struct ks_err *err)
{
	if (ptrace(PTRACE_DETACH, vm->held, NULL, NULL) != 0)
		return ks_fail(err, KS_E_JUDGE, "cannot let a core of QEMU go on: %s", strerror(errno));
	vm->held = 0;
	return 0;
}

int ks_vm_core_stop(struct ks_vm *vm, pid_t thread, int64_t *since_ns, struct ks_err *err)
{
	bool lives = false;

	for (int try = 0; try < TRIES; try++) {
		if (hold(vm, thread, err) != 0)
			return -1;
		*since_ns = ks_host_raw_ns();
		if (ks_qmp_lives(vm->qmp, ks_host_ns() + ANSWER_NS, &lives, err) != 0)
			return -1;
		if (lives)
			return 0;
		/* It stands with a lock of QEMU in its hand, so all of the machine does. */
		if (ks_vm_core_go_on(vm, err) != 0 || ks_qmp_lives(vm->qmp, ks_host_ns() + FREED_NS, &lives, err) != 0)
			return -1;
		nap(KS_MS);
	}
	return ks_fail(err, KS_E_JUDGE, "a core of QEMU cannot be stopped alone: QEMU stands with it");
}

void ks_vm_core_bury(struct ks_vm *vm)
{
	int status = 0;

	while (vm->held) {
		pid_t came = waitpid(vm->held, &status, __WALL);
		if ((came < 0 && errno != EINTR) || (came > 0 && !WIFSTOPPED(status)))
			vm->held = 0;
	}
}
