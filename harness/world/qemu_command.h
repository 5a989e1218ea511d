/* The command line that a guest is started with. */
#ifndef KS_QEMU_COMMAND_H
#define KS_QEMU_COMMAND_H

#include "ks_qemu.h"

#define KS_QEMU_ARGS 64

/* Numbers that the sockets and the file of its memory have in QEMU. */
enum { KS_QEMU_FD_CHANNEL = 3, KS_QEMU_FD_QMP, KS_QEMU_FD_CONSOLE, KS_QEMU_FD_RAM, KS_QEMU_FDS = 4 };

/* Where the guest's memory is. */
enum ks_qemu_ram {
	KS_QEMU_RAM_OWN,     /* QEMU's own affair */
	KS_QEMU_RAM_SHARED,  /* in the file that it inherits: who saves the guest has it there */
	KS_QEMU_RAM_PRIVATE, /* a copy of that file, page by page as it is written to */
};

struct ks_qemu_command {
	char qemu[1024], kernel[1024], initramfs[1024], append[1024], machine[32], ram[96], cpus[16], memory[16], vmgenid[80], drive[1100], netdev[256];
	const char *argv[KS_QEMU_ARGS]; /* ends with NULL; points into the texts here and into the options */
	int n;
};

/* @return 0, or -1: KS_E_JUDGE, no QEMU, no image; KS_E_INTERNAL, an option is too long. clone: it waits for a saved state. */
int ks_qemu_command(struct ks_qemu_command *command, const struct ks_vm_options *options, enum ks_qemu_ram ram, bool clone,
		    struct ks_err *err);
/* What two guests must have alike for one to be a clone of the other: the command line but for what may differ.
 * @return 0, or -1 when it does not fit. */
int ks_qemu_kind(const struct ks_vm_options *options, char *kind, size_t size, struct ks_err *err);
int ks_qemu_memory_mb(const struct ks_vm_options *options);

#endif
