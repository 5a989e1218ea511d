/* Guests under QEMU: start one, talk to it, end it. Shared by the world `qemu` and the five-clock probe.
 *
 * Channel, monitor and console of a guest are socket pairs that QEMU inherits, so nothing of it has a name in the
 * file system and nothing can be left there. QEMU dies with the thread that started it. */
#ifndef KS_QEMU_H
#define KS_QEMU_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ks_err.h"
#include "ks_wire.h"

/* ---- Where things are ---- */

/* The guest image's file (vmlinux, bzImage, initramfs, about) in $KEYSKEW_GUEST, or the user's cache.
 * @return 0, or -1 when the path is too long or there is no home folder. */
int ks_guest_path(const char *file, char *path, size_t size);
/* The version of the image's kernel, "6.12.117+deb12"; "" when nobody knows. @return text. */
const char *ks_guest_kernel(char *text, size_t size);
/* Does the kernel of this version, NULL: the image's, learn of a new generation id? */
bool ks_guest_has_vmgenid(const char *version);
/* @return 0 and the program's path, or -1 when QEMU is not on PATH. */
int ks_qemu_path(char *path, size_t size);
/* The same of an image with a kernel of this version: the plain one, or one made beside it; NULL: the plain one. @return 0, or -1: there is none. */
int ks_guest_path_of(const char *version, const char *file, char *path, size_t size);
/* Can guests be started here? @return 0, or -1 with the reason and what would help in why. */
int ks_guest_available(char *why, size_t size);
/* "kvm" when a kernel speaks under it (tried at most once a process, 3 s; that none does is believed for an hour), else "tcg". KEYSKEW_ACCEL=tcg or kvm decides without trying. */
const char *ks_qemu_accel(void);

/* ---- Time, and the event loop ---- */

/* The harness's own clock for deadlines and for true time: CLOCK_MONOTONIC_RAW would be truer, but no kernel call waits
 * on it. ns. */
int64_t ks_host_ns(void);
/* CLOCK_MONOTONIC_RAW of the host: the reference that the probe compares guests with. ns. */
int64_t ks_host_raw_ns(void);

/* All guests of a run hang on one loop, and are used by one thread at a time. Whoever waits for one of them serves all.
 * stop: non-zero ends any waiting with KS_E_JUDGE "interrupted"; may be NULL. @return NULL with KS_E_INTERNAL. */
struct ks_vm_loop;
struct ks_vm_loop *ks_vm_loop_new(volatile const int *stop, struct ks_err *err);
/* After its guests. NULL is fine. */
void ks_vm_loop_free(struct ks_vm_loop *loop);

/* ---- The monitor (QMP) ---- */

enum ks_qmp_kind { KS_QMP_BAD, KS_QMP_GREETING, KS_QMP_RETURN, KS_QMP_ERROR, KS_QMP_EVENT };
/* Events that anybody here waits for; all others are skipped. */
enum ks_qmp_event { KS_QMP_OTHER, KS_QMP_STOP, KS_QMP_RESUME, KS_QMP_SUSPEND, KS_QMP_WAKEUP, KS_QMP_SHUTDOWN };

struct ks_qmp_message {
	enum ks_qmp_kind kind;
	enum ks_qmp_event event; /* of EVENT */
	int64_t unix_ns;         /* of EVENT: when it was, by the host's REALTIME; 0: nobody said */
	char text[160];          /* of ERROR: what QEMU says; of GREETING: its version, "7.2.22" */
	json_t *answer;          /* of RETURN: the receiver's (json_decref); else NULL */
};

/* Reads one line of len bytes without its end. Pure. A line that is no message of the protocol is KS_QMP_BAD. */
void ks_qmp_parse(const char *line, size_t len, struct ks_qmp_message *message);

#define KS_QMP_LINE_MAX 65536

struct ks_qmp;

/* Takes the socket over, also when it fails. End with ks_qmp_free before the loop. @return NULL with KS_E_INTERNAL. */
struct ks_qmp *ks_qmp_new(struct ks_vm_loop *loop, int fd, struct ks_err *err);
void ks_qmp_free(struct ks_qmp *qmp);
/* Its version, "7.2.22", once it was greeted. */
const char *ks_qmp_version(const struct ks_qmp *qmp);

/* All deadlines are ks_host_ns. @return 0, or -1 with KS_E_JUDGE. */
int ks_qmp_greet(struct ks_qmp *qmp, int64_t deadline_ns, struct ks_err *err);
/* A command without arguments: "stop", "cont", "system_wakeup". */
int ks_qmp_command(struct ks_qmp *qmp, const char *command, int64_t deadline_ns, struct ks_err *err);
/* Any command. arguments: a JSON object, given away; NULL: none. *answer: what it returned, json_decref it; may be NULL. */
int ks_qmp_execute(struct ks_qmp *qmp, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ns,
		   struct ks_err *err);
/* Hands an open file over under a name, for commands that take "fd:NAME". */
int ks_qmp_give_file(struct ks_qmp *qmp, const char *name, int fd, int64_t deadline_ns, struct ks_err *err);
/* The same for "/dev/fdset/SET", in place of a file of QEMU's own. */
int ks_qmp_add_file(struct ks_qmp *qmp, int set, int fd, int64_t deadline_ns, struct ks_err *err);
/* Does QEMU itself go on? *lives: it has answered; false: not by the deadline, and the answer is awaited by the next call of this, which has
 * to come before any other command. @return 0, or -1 with KS_E_JUDGE: it ended. */
int ks_qmp_lives(struct ks_qmp *qmp, int64_t deadline_ns, bool *lives, struct ks_err *err);
int ks_qmp_wait(struct ks_qmp *qmp, enum ks_qmp_event event, int64_t deadline_ns, struct ks_err *err);
/* When the event was that was waited for last, by QEMU's account: unix ns. */
int64_t ks_qmp_told_ns(const struct ks_qmp *qmp);

/* ---- A guest ---- */

#define KS_VM_CPUS_MAX 8

/* What a guest is made of. All zero is the plain one: one core, 384 MB, the kernel's own clock source, no disk, no net. Texts
 * must live until ks_vm_start returns. */
struct ks_vm_options {
	const char *accel;       /* "tcg" or "kvm"; NULL: ks_qemu_accel() */
	const char *kernel;      /* version, such as "6.1", of which there must be an image; NULL: the plain image */
	const char *clocksource; /* of the guest's kernel: "tsc", "hpet", "acpi_pm", "jiffies"; NULL: its own choice */
	bool s3;                 /* a machine that can be suspended to RAM (slower to boot) */
	int cpus;                /* 1 .. KS_VM_CPUS_MAX; 0: 1 */
	int memory_mb;           /* 0: 384 */
	const char *vmgenid;     /* a guid: the machine has a generation id; NULL: none */
	const char *drive;       /* a qcow2 file, as savevm and loadvm want one; the guest does not see it. NULL: none */
	const char *netdev;      /* a back end of -netdev without its id: "user,restrict=on"; NULL: no net */
	const char *rtc;         /* of -rtc: "base=2026-01-15T10:00:00,clock=vm"; NULL: QEMU's own, the host's UTC */
	const char *append;      /* further words of the kernel's command line; NULL: none */
	bool savable;            /* it can be saved while it lives (ks_vm_save): takes a copy of its memory to start from a template */
	bool same_random;        /* of a clone: its random source goes on where the saved guest's was, as that of all its clones does */
};

struct ks_vm;

/* Starts a guest; does not wait for it. From here on SIGPIPE is ignored, as a dead guest is an error like any other.
 * @return NULL with KS_E_JUDGE (no QEMU, no image) or KS_E_INTERNAL. End with ks_vm_free. */
struct ks_vm *ks_vm_start(struct ks_vm_loop *loop, const struct ks_vm_options *options, struct ks_err *err);
/* Waits until monitor and agent have answered; lets a clone go first, see ks_vm_clone. */
int ks_vm_wait_hello(struct ks_vm *vm, int64_t deadline_ns, struct ks_err *err);
/* For who takes its frames himself: this one was KS_WIRE_HELLO. */
int ks_vm_take_hello(struct ks_vm *vm, const void *payload, uint32_t length, int64_t deadline_ns, struct ks_err *err);
/* Kills and reaps it. NULL is fine. */
void ks_vm_free(struct ks_vm *vm);

/* "linux 6.1.0-56-cloud-amd64 tsc", as the agent said. */
const char *ks_vm_system(const struct ks_vm *vm);
pid_t ks_vm_pid(const struct ks_vm *vm);
struct ks_qmp *ks_vm_qmp(struct ks_vm *vm);
/* The host's threads that are the guest's cores, by number: to stop one of them. @return how many, or -1. */
int ks_vm_cpu_threads(struct ks_vm *vm, pid_t thread[KS_VM_CPUS_MAX], struct ks_err *err);
/* The end of what the guest's console said: printable, on one line, from a kernel's panic on where there was one. @return text. */
#define KS_VM_CONSOLE_MAX 401
const char *ks_vm_console(struct ks_vm *vm, char text[KS_VM_CONSOLE_MAX]);

/* Fails with KS_E_JUDGE, and what the guest's console said last. @return -1. */
int ks_vm_fail(struct ks_vm *vm, struct ks_err *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

int ks_vm_send(struct ks_vm *vm, uint32_t type, const void *payload, uint32_t length, struct ks_err *err);
/* For what is long: waits until the guest has taken what was sent before. A guest that has something to say meanwhile gave up. */
int ks_vm_send_long(struct ks_vm *vm, uint32_t type, const void *payload, uint32_t length, int64_t deadline_ns, struct ks_err *err);
/* Waits for any frame. @return its type, payload in *payload until the next call; or -1. */
int ks_vm_recv(struct ks_vm *vm, const void **payload, uint32_t *length, int64_t deadline_ns, struct ks_err *err);
/* Waits until one of n guests of one loop has a frame, or has ended: ks_vm_recv will not wait then.
 * *ready: its number, or -1 when until_ns came first. @return 0, or -1 when interrupted. */
int ks_vm_wait_any(struct ks_vm *const *vm, int n, int64_t until_ns, int *ready, struct ks_err *err);
/* Waits for one frame of this type and exactly this length; any other is an error. */
int ks_vm_expect(struct ks_vm *vm, uint32_t type, void *payload, uint32_t length, int64_t deadline_ns,
                 struct ks_err *err);

/* The guest's clocks beside the host's. */
struct ks_vm_clocks {
	int64_t host_raw_ns, width_ns; /* the middle of the exchange, and how long it took */
	struct ks_wire_clocks guest;
};
/* The quickest of `tries` exchanges. */
int ks_vm_clocks(struct ks_vm *vm, int tries, struct ks_vm_clocks *clocks, struct ks_err *err);
/* Acts on the guest's clock and waits for it. A refusal of the guest's kernel is an error. */
int ks_vm_act(struct ks_vm *vm, enum ks_wire_act_kind kind, int64_t at_raw_ns, int64_t amount,
              struct ks_wire_acted *acted, int64_t deadline_ns, struct ks_err *err);

/* ---- Guests that were saved ---- */

/* A guest as it was at one moment: its memory and the state of its devices, in memory that has no name and goes away with
 * this process, however it ends. Clones of it share its pages until they write to them. */
struct ks_vm_saved;

/* Stops the guest, saves it and lets it run on, unless it stood before. It must have been started `savable`; 10 ms, and 40 to
 * copy its memory. */
struct ks_vm_saved *ks_vm_save(struct ks_vm *vm, int64_t deadline_ns, struct ks_err *err);
/* After its clones were started. NULL is fine. */
void ks_vm_saved_free(struct ks_vm_saved *saved);

/* Snapshots in a guest that stands and stays the same process: its memory and devices go back, and so do clocks that count QEMU's virtual time (hpet,
 * acpi_pm); the processor's counter does not, under TCG. Some 100 ms each. number: of the guest's snapshots. @return 0, or -1 with KS_E_JUDGE. */
int ks_vm_savevm(struct ks_vm *vm, uint32_t number, int64_t deadline_ns, struct ks_err *err);
int ks_vm_loadvm(struct ks_vm *vm, uint32_t number, int64_t deadline_ns, struct ks_err *err);

/* Starts a clone, which waits until ks_vm_wait_hello lets it go: start it before it is needed and it answers within some
 * 50 ms then. Options: those that the guest was saved with, but for vmgenid, which may be a new one, savable and same_random. Its
 * clocks go on from where they were saved; its random source is stirred anew before it answers, unless same_random. */
struct ks_vm *ks_vm_clone(struct ks_vm_loop *loop, struct ks_vm_saved *saved, const struct ks_vm_options *options,
			  struct ks_err *err);
/* A booted guest, saved once a process for each kind of guest; ours to keep. The caller waits while it boots.
 * @return NULL with an error. */
struct ks_vm_saved *ks_vm_template(struct ks_vm_loop *loop, const struct ks_vm_options *options, int64_t deadline_ns,
				   struct ks_err *err);
/* Are guests of this kind to be cloned, or booted each? Why they are booted stands in why. */
bool ks_vm_templates_work(const struct ks_vm_options *options, char *why, size_t size);

#endif
