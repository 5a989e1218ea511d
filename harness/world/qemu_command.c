#include "qemu_command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int find_files(const struct ks_vm_options *o, struct ks_qemu_command *c, struct ks_err *err)
{
	char why[600];

	if (ks_guest_available(why, sizeof(why)) != 0)
		return ks_fail(err, KS_E_JUDGE, "%s", why);
	ks_qemu_path(c->qemu, sizeof(c->qemu));
	/* S3 wakes up through the real-mode code of a bzImage's boot; vmlinux boots faster, through PVH. */
	if (ks_guest_path_of(o->kernel, o->s3 ? "bzImage" : "vmlinux", c->kernel, sizeof(c->kernel)) == 0 &&
	    ks_guest_path_of(o->kernel, "initramfs", c->initramfs, sizeof(c->initramfs)) == 0)
		return 0;
	return ks_fail(err, KS_E_JUDGE, "no guest image has kernel %s: vm-images/build --kernel %s makes one", o->kernel, o->kernel);
}

static void add(struct ks_qemu_command *c, const char *word)
{
	if (c->n < KS_QEMU_ARGS)
		c->argv[c->n++] = word;
}

static void add_all(struct ks_qemu_command *c, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add(c, words[i]);
}
#define ADD(c, ...) add_all(c, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* @return false when it does not fit. */
__attribute__((format(printf, 3, 4))) static bool print(char *text, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, size, fmt, ap);
	va_end(ap);
	return n >= 0 && (size_t)n < size;
}
#define PRINT(text, ...) print(text, sizeof(text), __VA_ARGS__)

static bool kernel_words(struct ks_qemu_command *c, const struct ks_vm_options *o, bool kvm)
{
	return PRINT(c->append,
		     "console=ttyS0 quiet panic=-1 rdinit=/init %sno_timer_check mitigations=off nokaslr "
		     "random.trust_cpu=on 8250.nr_uarts=1 cryptomgr.notests%s%s%s%s",
		     kvm ? "" : "tsc=reliable ", o->clocksource ? " clocksource=" : "", o->clocksource ? o->clocksource : "",
		     o->append ? " " : "", o->append ? o->append : "");
}

int ks_qemu_memory_mb(const struct ks_vm_options *o)
{
	return o->memory_mb ? o->memory_mb : 384;
}

static bool add_memory(struct ks_qemu_command *c, const struct ks_vm_options *o, enum ks_qemu_ram ram)
{
	ADD(c, "-m", c->memory, "-M", c->machine);
	if (ram != KS_QEMU_RAM_OWN)
		ADD(c, "-object", c->ram);
	return PRINT(c->memory, "%d", ks_qemu_memory_mb(o)) &&
	       PRINT(c->machine, "%s%s", o->s3 ? "pc" : "q35", ram != KS_QEMU_RAM_OWN ? ",memory-backend=ram" : "") &&
	       PRINT(c->ram, "memory-backend-file,id=ram,size=%dM,mem-path=/proc/self/fd/%d,share=%s", ks_qemu_memory_mb(o),
		     KS_QEMU_FD_RAM, ram == KS_QEMU_RAM_SHARED ? "on" : "off");
}

static bool add_machine(struct ks_qemu_command *c, const struct ks_vm_options *o)
{
	bool kvm = strcmp(o->accel ? o->accel : ks_qemu_accel(), "kvm") == 0;

	ADD(c, c->qemu, "-nodefaults", "-no-user-config", "-display", "none", "-accel", kvm ? "kvm" : "tcg,thread=multi", "-cpu", kvm ? "host" : "max", "-smp", c->cpus, "-kernel", c->kernel,
	    "-initrd", c->initramfs, "-append", c->append);
	if (!o->s3) /* a wake-up from S3 is a reset; elsewhere a reset is a panic, and the end */
		ADD(c, "-no-reboot");
	return PRINT(c->cpus, "%d", o->cpus ? o->cpus : 1) && kernel_words(c, o, kvm);
}

static bool add_devices(struct ks_qemu_command *c, const struct ks_vm_options *o)
{
	bool fits = true;

	ADD(c, "-chardev", "socket,id=console,fd=5", "-serial", "chardev:console", "-chardev", "socket,id=monitor,fd=4", "-mon",
	    "chardev=monitor,mode=control", "-device", "virtio-serial-pci", "-chardev", "socket,id=channel,fd=3", "-device",
	    "virtserialport,chardev=channel,name=keyskew");
	if (o->vmgenid) {
		fits = fits && PRINT(c->vmgenid, "vmgenid,guid=%s", o->vmgenid);
		ADD(c, "-device", c->vmgenid);
	}
	if (o->drive) {
		fits = fits && PRINT(c->drive, "if=none,id=state,format=qcow2,file=%s", o->drive);
		ADD(c, "-drive", c->drive);
	}
	if (o->netdev) {
		fits = fits && PRINT(c->netdev, "%s,id=net", o->netdev);
		ADD(c, "-netdev", c->netdev, "-device", "virtio-net-pci,netdev=net");
	}
	if (o->rtc)
		ADD(c, "-rtc", o->rtc);
	return fits;
}

int ks_qemu_command(struct ks_qemu_command *c, const struct ks_vm_options *o, enum ks_qemu_ram ram, bool clone,
		    struct ks_err *err)
{
	*c = (struct ks_qemu_command){.n = 0};
	if (find_files(o, c, err) != 0)
		return -1;
	bool fits = o->cpus >= 0 && o->cpus <= KS_VM_CPUS_MAX && o->memory_mb >= 0 && add_machine(c, o) && add_memory(c, o, ram) &&
		    add_devices(c, o);
	if (clone)
		ADD(c, "-incoming", "defer");
	if (!fits || c->n == KS_QEMU_ARGS)
		return ks_fail(err, KS_E_INTERNAL, "an option of the guest is too long or out of range");
	return 0;
}

int ks_qemu_kind(const struct ks_vm_options *options, char *kind, size_t size, struct ks_err *err)
{
	struct ks_vm_options o = *options;
	struct ks_qemu_command c;
	size_t len = 0;

	o.vmgenid = o.vmgenid ? "auto" : NULL;
	if (ks_qemu_command(&c, &o, KS_QEMU_RAM_OWN, false, err) != 0)
		return -1;
	for (int i = 0; i < c.n && len < size; i++)
		len += (size_t)snprintf(kind + len, size - len, "%s ", c.argv[i]);
	return len < size ? 0 : ks_fail(err, KS_E_INTERNAL, "the options of the guest are too long");
}
