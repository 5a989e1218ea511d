/* A guest from the inside, for the files that make one: qemu_vm.c (its life, its channel), qemu_saved.c (clones). */
#ifndef KS_QEMU_VM_H
#define KS_QEMU_VM_H

#include "qemu_command.h"
#include "qemu_loop.h"

#define KS_VM_TAIL 4096 /* bytes of console kept */

struct ks_vm {
	pid_t pid;
	pid_t held; /* a thread of it that is traced (qemu_core.c); 0: none */
	struct ks_vm_loop *loop;
	struct ks_vm_options options;
	bool savable;
	bool disk;                /* that for snapshots is plugged in */
	int ram;                  /* the file of its memory, or -1 */
	struct ks_vm_saved *from; /* of a clone */
	struct ks_flow channel, console;
	struct ks_qmp *qmp;
	struct ks_wire_hello hello;
	size_t tail_len; /* bytes ever put into the ring */
	char tail[KS_VM_TAIL], chunk[4096];
	_Alignas(8) char incoming[KS_WIRE_RX_BYTES];
};

/* Starts QEMU. Takes the file of its memory over, also when it fails; -1: none. from: it waits for that state; may be NULL. */
struct ks_vm *ks_vm_launch(struct ks_vm_loop *loop, const struct ks_vm_options *options, enum ks_qemu_ram ram, int file,
			   struct ks_vm_saved *from, struct ks_err *err);
/* A file without a name of that many MB. @return -1 with KS_E_INTERNAL. */
int ks_vm_memory(int memory_mb, struct ks_err *err);
/* Lets a clone begin to live: it answers with HELLO. */
int ks_vm_go(struct ks_vm *clone, int64_t deadline_ns, struct ks_err *err);

#endif
