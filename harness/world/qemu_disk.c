/* Snapshots inside a guest that lives, as savevm and loadvm make them: on a disk in memory that the guest does not see, plugged in
 * when the first one is taken. */
#include "qemu_vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ks_time.h"

#define POLL_NS (2 * KS_MS)  /* how often a job is asked how far it is */
#define DISK_BYTES (1 << 20) /* what a guest would see of it; the snapshots lie beyond */
#define FILE_SET 1
#define FILE_NODE "snapshots-file"
#define NODE "snapshots"
#define JOB "snapshot"

static const json_t *find_job(const json_t *jobs)
{
	size_t i;
	json_t *job;

	json_array_foreach(jobs, i, job) {
		const char *id = json_string_value(json_object_get(job, "id"));
		if (id && !strcmp(id, JOB))
			return job;
	}
	return NULL;
}

/* @return 1 when it is over, 0 when it goes on, -1 when it failed. */
static int progress(struct ks_qmp *q, int64_t deadline_ns, struct ks_err *err)
{
	json_t *jobs = NULL;

	if (ks_qmp_execute(q, "query-jobs", NULL, &jobs, deadline_ns, err) != 0)
		return -1;
	const json_t *job = find_job(jobs);
	const char *status = json_string_value(json_object_get(job, "status")), *error = json_string_value(json_object_get(job, "error"));
	int done = !job || !status ? ks_fail(err, KS_E_JUDGE, "qemu has lost a job") : strcmp(status, "concluded") ? 0 : 1;
	if (error)
		done = ks_fail(err, KS_E_JUDGE, "qemu says: %.200s", error);
	json_decref(jobs);
	return done;
}

static int run_job(struct ks_vm *vm, const char *command, json_t *arguments, int64_t deadline_ns, struct ks_err *err)
{
	if (ks_qmp_execute(vm->qmp, command, arguments, NULL, deadline_ns, err) != 0)
		return -1;
	for (int done;;) {
		int64_t next = ks_host_ns() + POLL_NS;
		if ((done = progress(vm->qmp, deadline_ns, err)) < 0)
			return -1;
		if (done)
			return ks_qmp_execute(vm->qmp, "job-dismiss", json_pack("{s:s}", "id", JOB), NULL, deadline_ns, err);
		while ((done = ks_vm_loop_turn(vm->loop, next, err)) == 0)
			;
		if (done < 0)
			return -1;
		if (next > deadline_ns)
			return ks_fail(err, KS_E_JUDGE, "it took too long");
	}
}

/* Memory of clones is a file that a migration may leave out: a snapshot must not. */
static int take_all_memory(struct ks_qmp *q, int64_t deadline_ns, struct ks_err *err)
{
	json_t *whole = json_pack("{s:[{s:s,s:b}]}", "capabilities", "capability", "x-ignore-shared", "state", 0);
	return ks_qmp_execute(q, "migrate-set-capabilities", whole, NULL, deadline_ns, err);
}

static int plug_in(struct ks_vm *vm, int64_t deadline_ns, struct ks_err *err)
{
	char path[32];
	int fd = memfd_create("keyskew-snapshots", MFD_CLOEXEC);

	if (fd < 0)
		return ks_fail(err, KS_E_INTERNAL, "no memory for snapshots of a guest: %s", strerror(errno));
	snprintf(path, sizeof(path), "/dev/fdset/%d", FILE_SET);
	int failed = ks_qmp_add_file(vm->qmp, FILE_SET, fd, deadline_ns, err);
	close(fd);
	if (failed)
		return -1;
	json_t *file = json_pack("{s:s,s:s,s:s}", "driver", "file", "node-name", FILE_NODE, "filename", path);
	if (ks_qmp_execute(vm->qmp, "blockdev-add", file, NULL, deadline_ns, err) != 0)
		return -1;
	json_t *make = json_pack("{s:s,s:{s:s,s:s,s:i}}", "job-id", JOB, "options", "driver", "qcow2", "file", FILE_NODE, "size", DISK_BYTES);
	if (run_job(vm, "blockdev-create", make, deadline_ns, err) != 0)
		return -1;
	json_t *disk = json_pack("{s:s,s:s,s:s}", "driver", "qcow2", "node-name", NODE, "file", FILE_NODE);
	vm->disk = ks_qmp_execute(vm->qmp, "blockdev-add", disk, NULL, deadline_ns, err) == 0;
	return vm->disk ? 0 : -1;
}

static int snapshot(struct ks_vm *vm, const char *command, uint32_t number, int64_t deadline_ns, struct ks_err *err)
{
	char tag[32];

	snprintf(tag, sizeof(tag), "number-%u", number);
	return run_job(vm, command, json_pack("{s:s,s:s,s:s,s:[s]}", "job-id", JOB, "tag", tag, "vmstate", NODE, "devices", NODE), deadline_ns, err);
}

int ks_vm_savevm(struct ks_vm *vm, uint32_t number, int64_t deadline_ns, struct ks_err *err)
{
	if ((!vm->disk && plug_in(vm, deadline_ns, err) != 0) || take_all_memory(vm->qmp, deadline_ns, err) != 0 ||
	    snapshot(vm, "snapshot-save", number, deadline_ns, err) != 0)
		return ks_fail_in(err, "savevm");
	return 0;
}

int ks_vm_loadvm(struct ks_vm *vm, uint32_t number, int64_t deadline_ns, struct ks_err *err)
{
	if (take_all_memory(vm->qmp, deadline_ns, err) != 0 || snapshot(vm, "snapshot-load", number, deadline_ns, err) != 0)
		return ks_fail_in(err, "loadvm");
	return 0;
}
