/* Guests that were saved, and their clones: memory in a file without a name, of which clones map private copies, and the
 * state of the devices in another, which is a migration that leaves memory out. */
#include "qemu_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_time.h"

#define POLL_NS (2 * KS_MS) /* how often a migration is asked how far it is */
#define KIND_MAX 4096
#define RANDOM_BYTES 64

struct ks_vm_saved {
	int ram, state; /* files */
	char kind[KIND_MAX];
};

/* ---- Files ---- */

int ks_vm_memory(int memory_mb, struct ks_err *err)
{
	int fd = memfd_create("keyskew-guest", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)memory_mb << 20) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return ks_fail(err, KS_E_INTERNAL, "no memory for a guest: %s", strerror(errno));
}

/* Copies what was ever written to; the rest of the copy stays a hole. */
static int copy_pages(int from, int to)
{
	for (off_t at = 0, end; (at = lseek(from, at, SEEK_DATA)) >= 0; at = end) {
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0 || lseek(to, at, SEEK_SET) < 0)
			return -1;
		for (off_t done = at; done < end;)
			if (sendfile(to, from, &done, (size_t)(end - done)) <= 0)
				return -1;
	}
	return errno == ENXIO ? 0 : -1;
}

static int copy_memory(int from, int memory_mb, struct ks_err *err)
{
	int fd = ks_vm_memory(memory_mb, err);

	if (fd < 0 || copy_pages(from, fd) == 0)
		return fd;
	close(fd);
	return ks_fail(err, KS_E_INTERNAL, "no memory for a copy of a guest: %s", strerror(errno));
}

/* The same file with a position of its own. */
static int reopen(int fd)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* ---- Migration ---- */

/* Both sides leave out memory that is in a file; nobody shares our way, so that there is no limit on it. */
static int prepare(struct ks_qmp *q, int64_t deadline_ns, struct ks_err *err)
{
	json_t *leave_out = json_pack("{s:[{s:s,s:b}]}", "capabilities", "capability", "x-ignore-shared", "state", 1);
	json_t *quick = json_pack("{s:I}", "max-bandwidth", (json_int_t)1 << 40);

	if (ks_qmp_execute(q, "migrate-set-capabilities", leave_out, NULL, deadline_ns, err) != 0) {
		json_decref(quick);
		return -1;
	}
	return ks_qmp_execute(q, "migrate-set-parameters", quick, NULL, deadline_ns, err);
}

/* @return 1 when it is completed, 0 when it goes on, -1 when it failed. */
static int progress(struct ks_qmp *q, int64_t deadline_ns, struct ks_err *err)
{
	json_t *answer = NULL;
	char status[32] = "none";

	if (ks_qmp_execute(q, "query-migrate", NULL, &answer, deadline_ns, err) != 0)
		return -1;
	const char *told = json_string_value(json_object_get(answer, "status"));
	snprintf(status, sizeof(status), "%s", told ? told : "none");
	json_decref(answer);
	if (!strcmp(status, "completed"))
		return 1;
	return strcmp(status, "failed") && strcmp(status, "cancelled") ? 0 : ks_fail(err, KS_E_JUDGE, "qemu says that it %s", status);
}

static int migrate(struct ks_vm *vm, const char *command, int fd, int64_t deadline_ns, struct ks_err *err)
{
	if (prepare(vm->qmp, deadline_ns, err) != 0 || ks_qmp_give_file(vm->qmp, "state", fd, deadline_ns, err) != 0 ||
	    ks_qmp_execute(vm->qmp, command, json_pack("{s:s}", "uri", "fd:state"), NULL, deadline_ns, err) != 0)
		return -1;
	for (int done;;) {
		int64_t next = ks_host_ns() + POLL_NS;
		if ((done = progress(vm->qmp, deadline_ns, err)) != 0)
			return done < 0 ? -1 : 0;
		while ((done = ks_vm_loop_turn(vm->loop, next, err)) == 0)
			;
		if (done < 0)
			return -1;
		if (next > deadline_ns)
			return ks_fail(err, KS_E_JUDGE, "it took too long");
	}
}

/* ---- Saving ---- */

static int is_running(struct ks_vm *vm, bool *running, int64_t deadline_ns, struct ks_err *err)
{
	json_t *answer = NULL;

	if (ks_qmp_execute(vm->qmp, "query-status", NULL, &answer, deadline_ns, err) != 0)
		return -1;
	*running = json_is_true(json_object_get(answer, "running"));
	json_decref(answer);
	return 0;
}

static int save_to(struct ks_vm *vm, struct ks_vm_saved *s, bool ends, int64_t deadline_ns, struct ks_err *err)
{
	bool running;

	if (ks_qemu_kind(&vm->options, s->kind, sizeof(s->kind), err) != 0 || is_running(vm, &running, deadline_ns, err) != 0 ||
	    (running && ks_qmp_command(vm->qmp, "stop", deadline_ns, err) != 0))
		return -1;
	s->state = memfd_create("keyskew-state", MFD_CLOEXEC);
	if (s->state < 0)
		return ks_fail(err, KS_E_INTERNAL, "no memory to save a guest: %s", strerror(errno));
	if (migrate(vm, "migrate", s->state, deadline_ns, err) != 0)
		return ks_fail_in(err, "saving a guest");
	s->ram = ends ? fcntl(vm->ram, F_DUPFD_CLOEXEC, 0) : copy_memory(vm->ram, ks_qemu_memory_mb(&vm->options), err);
	if (s->ram < 0)
		return ends ? ks_fail(err, KS_E_INTERNAL, "out of files") : -1;
	return running && !ends ? ks_qmp_command(vm->qmp, "cont", deadline_ns, err) : 0;
}

static struct ks_vm_saved *save(struct ks_vm *vm, bool ends, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_vm_saved *s = ks_alloc(1, sizeof(*s));

	if (!s || !vm->savable) {
		ks_free(s);
		ks_fail(err, KS_E_INTERNAL, s ? "a guest is saved that was not started savable" : "out of memory");
		return NULL;
	}
	s->ram = s->state = -1;
	if (save_to(vm, s, ends, deadline_ns, err) == 0)
		return s;
	ks_vm_saved_free(s);
	return NULL;
}

struct ks_vm_saved *ks_vm_save(struct ks_vm *vm, int64_t deadline_ns, struct ks_err *err)
{
	return save(vm, false, deadline_ns, err);
}

void ks_vm_saved_free(struct ks_vm_saved *s)
{
	if (!s)
		return;
	if (s->ram >= 0)
		close(s->ram);
	if (s->state >= 0)
		close(s->state);
	ks_free(s);
}

/* ---- Clones ---- */

struct ks_vm *ks_vm_clone(struct ks_vm_loop *loop, struct ks_vm_saved *saved, const struct ks_vm_options *o, struct ks_err *err)
{
	char kind[KIND_MAX];
	int file;

	if (ks_qemu_kind(o, kind, sizeof(kind), err) != 0)
		return NULL;
	if (strcmp(kind, saved->kind)) {
		ks_fail(err, KS_E_INTERNAL, "a clone cannot be another machine than the guest that was saved");
		return NULL;
	}
	file = o->savable ? copy_memory(saved->ram, ks_qemu_memory_mb(o), err) : fcntl(saved->ram, F_DUPFD_CLOEXEC, 0);
	if (file < 0) {
		if (!o->savable)
			ks_fail(err, KS_E_INTERNAL, "out of files");
		return NULL;
	}
	return ks_vm_launch(loop, o, o->savable ? KS_QEMU_RAM_SHARED : KS_QEMU_RAM_PRIVATE, file, saved, err);
}

static int stir(struct ks_vm *vm, struct ks_err *err)
{
	unsigned char fresh[RANDOM_BYTES];
	bool same = vm->options.same_random;

	if (!same && getrandom(fresh, sizeof(fresh), 0) != sizeof(fresh))
		return ks_fail(err, KS_E_INTERNAL, "no random bytes: %s", strerror(errno));
	return ks_vm_send(vm, KS_WIRE_WAKE, fresh, same ? 0 : sizeof(fresh), err);
}

int ks_vm_go(struct ks_vm *vm, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_err first;
	int fd = reopen(vm->from->state);

	if (fd < 0)
		return ks_fail(err, KS_E_INTERNAL, "cannot open a saved guest: %s", strerror(errno));
	int failed = migrate(vm, "migrate-incoming", fd, deadline_ns, &first) || ks_qmp_command(vm->qmp, "cont", deadline_ns, &first);
	close(fd);
	if (failed)
		return ks_vm_fail(vm, err, "a clone does not start: %s", first.text);
	return stir(vm, err);
}

/* ---- Templates ---- */

#define TEMPLATES_MAX 8 /* of 80 MB each */

static struct ks_vm_saved *template[TEMPLATES_MAX];
static int templates;
static pthread_mutex_t templates_lock = PTHREAD_MUTEX_INITIALIZER;

bool ks_vm_templates_work(const struct ks_vm_options *o, char *why, size_t size)
{
	const char *reason = NULL;

	if (!strcmp(o->accel ? o->accel : ks_qemu_accel(), "kvm"))
		reason = "guests under KVM are booted each: clones were tried under TCG only";
	else if (o->drive || o->netdev || o->rtc)
		reason = "guests with a disk, a net or a date of their own are booted each: a template has none";
	snprintf(why, size, "%s", reason ? reason : "");
	return !reason;
}

/* While another thread boots one. */
static int lock_templates(const struct ks_vm_loop *loop, int64_t deadline_ns, struct ks_err *err)
{
	struct timespec moment = {.tv_nsec = 10 * KS_MS};

	while (pthread_mutex_trylock(&templates_lock) != 0) {
		if (loop->stop && *loop->stop)
			return ks_fail(err, KS_E_JUDGE, "interrupted");
		if (ks_host_ns() > deadline_ns)
			return ks_fail(err, KS_E_JUDGE, "no template of guests in time");
		nanosleep(&moment, NULL);
	}
	return 0;
}

static struct ks_vm_saved *find_template(const char *kind)
{
	for (int i = 0; i < templates; i++)
		if (!strcmp(template[i]->kind, kind))
			return template[i];
	return NULL;
}

#define LOOK_NS (200 * KS_MS)
#define RATE_MAX_PPT 20 /* thousandths: far above what a busy machine makes of LOOK_NS, far below a rate that is wrong */
#define BOOTS 3

/* Does its true time run as ours does? A guest finds out at its boot how fast its processor counts, and all clones keep what it
 * found; on a machine that is busy it may be wrong. */
static int keeps_time(struct ks_vm *vm, struct ks_err *err)
{
	struct ks_vm_clocks a, b;
	int64_t until;

	if (ks_vm_clocks(vm, 8, &a, err) != 0)
		return -1;
	until = ks_host_ns() + LOOK_NS;
	for (int turn; (turn = ks_vm_loop_turn(vm->loop, until, err)) != 1;)
		if (turn < 0)
			return -1;
	if (ks_vm_clocks(vm, 8, &b, err) != 0)
		return -1;
	int64_t host = b.host_raw_ns - a.host_raw_ns, off = b.guest.raw_ns - a.guest.raw_ns - host;
	int64_t unsure = (a.width_ns + b.width_ns) / 2;
	if ((off < 0 ? -off : off) <= host / 1000 * RATE_MAX_PPT + unsure)
		return 0;
	return ks_vm_fail(vm, err, "guest's true time is off by %lld ns within %lld ns", (long long)off, (long long)host);
}

static struct ks_vm_saved *boot_template(struct ks_vm_loop *loop, const struct ks_vm_options *options, int64_t deadline_ns,
					 bool *off, struct ks_err *err)
{
	struct ks_vm_options o = *options;
	struct ks_vm_saved *saved = NULL;

	o.savable = true;
	struct ks_vm *vm = ks_vm_start(loop, &o, err);
	*off = false;
	if (vm && ks_vm_wait_hello(vm, deadline_ns, err) == 0) {
		*off = keeps_time(vm, err) != 0;
		saved = *off ? NULL : save(vm, true, deadline_ns, err);
	}
	ks_vm_free(vm);
	return saved;
}

static struct ks_vm_saved *make_template(struct ks_vm_loop *loop, const struct ks_vm_options *options, int64_t deadline_ns,
					 struct ks_err *err)
{
	struct ks_vm_saved *saved = NULL;
	bool off = true;

	if (templates == TEMPLATES_MAX) {
		ks_fail(err, KS_E_JUDGE, "more than %d kinds of guests in one call of keyskew", TEMPLATES_MAX);
		return NULL;
	}
	for (int i = 0; !saved && off && i < BOOTS && !(loop->stop && *loop->stop); i++)
		saved = boot_template(loop, options, deadline_ns, &off, err);
	if (saved)
		template[templates++] = saved;
	return saved;
}

struct ks_vm_saved *ks_vm_template(struct ks_vm_loop *loop, const struct ks_vm_options *options, int64_t deadline_ns,
				   struct ks_err *err)
{
	char kind[KIND_MAX];

	if (ks_qemu_kind(options, kind, sizeof(kind), err) != 0 || lock_templates(loop, deadline_ns, err) != 0)
		return NULL;
	struct ks_vm_saved *saved = find_template(kind);
	if (!saved)
		saved = make_template(loop, options, deadline_ns, err);
	pthread_mutex_unlock(&templates_lock);
	return saved;
}
