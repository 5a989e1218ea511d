/* One core of a guest, stopped from outside as its host does when it gives its time to another: the thread of QEMU that is this
 * core is held by ptrace, while QEMU itself and its other cores go on. */
#ifndef KS_QEMU_CORE_H
#define KS_QEMU_CORE_H

#include "ks_qemu.h"

/* The host's thread of a core, from 0. @return 0, or -1 with KS_E_JUDGE. */
int ks_vm_core_find(struct ks_vm *vm, int core, pid_t *thread, struct ks_err *err);
/* Stops it, at a moment at which it holds nothing that the rest of QEMU waits for: QEMU's monitor still answers. One core of a
 * guest at a time; by the thread that started the guest, as ptrace wants it.
 * *since_ns: when it stood, ks_host_raw_ns. @return 0, or -1 with KS_E_JUDGE: this machine does not allow it, or QEMU ended. */
int ks_vm_core_stop(struct ks_vm *vm, pid_t thread, int64_t *since_ns, struct ks_err *err);
int ks_vm_core_go_on(struct ks_vm *vm, struct ks_err *err);
/* Of a guest that was killed: a thread that is traced is waited for by who traces it, or its process never ends. */
void ks_vm_core_bury(struct ks_vm *vm);

#endif
