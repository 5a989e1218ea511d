/* The command line that a guest is started with. */
#ifndef KS_QEMU_COMMAND_H
#define KS_QEMU_COMMAND_H

#include "ks_qemu.h"

#define KS_QEMU_ARGS 64

/* Numbers that the sockets have in QEMU. */
enum { KS_QEMU_FD_CHANNEL = 3, KS_QEMU_FD_QMP, KS_QEMU_FD_CONSOLE };

struct ks_qemu_command {
	char qemu[1024], kernel[1024], initramfs[1024], append[1024], machine[32], cpus[16], memory[16], vmgenid[80], drive[1100], netdev[256];
	const char *argv[KS_QEMU_ARGS]; /* ends with NULL; points into the texts here and into the options */
	int n;
};

/* @return 0, or -1: KS_E_JUDGE, no QEMU, no image; KS_E_INTERNAL, an option is too long. */
int ks_qemu_command(struct ks_qemu_command *command, const struct ks_vm_options *options, struct ks_err *err);

#endif
