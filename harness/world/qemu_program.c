#include "qemu_program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "carry.h"
#include "command.h"
#include "foreign.h"
#include "ks_mem.h"

#define STDBUF "/usr/libexec/coreutils/libstdbuf.so"
#define SEND_NS (30 * KS_SEC)
#define PART ((size_t)512 << 10) /* bytes of a file in one message */
#define ROOM (2 * PATH_MAX + sizeof(struct ks_wire_file))
#define PLAIN_MB 384
#define PLAIN_FILES ((int64_t)24 << 20) /* what the plain guest has room for beside its records */

bool ks_guest_program_runs_free(const struct ks_gen_spec *gen)
{
	return !gen->gen && gen->foreign->speaks == KS_SPEAKS_LINES;
}

uint32_t ks_guest_program_threads(const struct ks_plan *plan, const struct ks_gen_spec *gen)
{
	return ks_guest_program_runs_free(gen) ? 1 : plan->threads;
}

/* The command of a node's program, and what it needs. @return 0, or -1 with carry->why; released by the caller. */
static int gather(const struct ks_plan *plan, const struct ks_gen_spec *gen, uint64_t seed, uint32_t node, struct ks_command *command,
		  struct ks_carry *carry)
{
	struct ks_command_values values = {.node_id = ks_plan_worker(plan, seed, node), .seed = seed, .node = plan->node[node].name};
	struct ks_err err;

	*carry = (struct ks_carry){0};
	if (ks_command_of(command, gen->foreign, &values, &err) != 0) {
		snprintf(carry->why, sizeof(carry->why), "%.290s", err.text);
		return -1;
	}
	if (ks_carry_program(carry, gen->foreign->folder, command->word) != 0)
		return -1;
	bool buffers = ks_guest_program_runs_free(gen) && carry->dynamic && access(STDBUF, R_OK) == 0;
	return buffers ? ks_carry_add(carry, STDBUF) : 0;
}

int ks_guest_program_carries(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	struct ks_command *command = ks_alloc(1, sizeof(*command));
	struct ks_carry carry = {.why = "out of memory"};

	int status = command ? gather(plan, gen, 0, 0, command, &carry) : -1;
	if (carry.missing)
		status = 0;
	if (status != 0)
		snprintf(why, size, "a guest cannot be given the program: %s", carry.why);
	ks_carry_release(&carry);
	ks_free(command);
	return status;
}

int ks_guest_program_find(const struct ks_run_request *request, struct ks_err *err)
{
	struct ks_command *command = ks_alloc(1, sizeof(*command));
	struct ks_carry carry = {0};

	if (command)
		gather(request->plan, request->gen, request->seed, 0, command, &carry);
	int status = carry.missing ? ks_fail(err, KS_E_USAGE, "%s", carry.why) : 0;
	ks_carry_release(&carry);
	ks_free(command);
	return status;
}

int ks_guest_program_memory_mb(const struct ks_run_request *request)
{
	struct ks_command *command = ks_alloc(1, sizeof(*command));
	struct ks_carry carry = {0};
	int mb = 0;

	/* its root folder is in memory, half of which it may fill */
	if (command && gather(request->plan, request->gen, request->seed, 0, command, &carry) == 0 && carry.bytes > PLAIN_FILES)
		mb = PLAIN_MB + (int)(2 * carry.bytes >> 20);
	ks_carry_release(&carry);
	ks_free(command);
	return mb;
}

/* ---- sending ---- */

struct parcel {
	struct ks_vm *vm;
	struct ks_err *err;
	char *bytes; /* of one message */
};

static size_t begin(struct parcel *p, const struct ks_carry_file *f, uint32_t kind)
{
	struct ks_wire_file head = {.kind = kind, .mode = f->mode, .mtime_s = f->mtime_s};
	size_t n = strlen(f->path) + 1;

	memcpy(p->bytes, &head, sizeof(head));
	memcpy(p->bytes + sizeof(head), f->path, n);
	return sizeof(head) + n;
}

static int parcel_send(struct parcel *p, uint32_t type, size_t length)
{
	return ks_vm_send_long(p->vm, type, p->bytes, (uint32_t)length, ks_host_ns() + SEND_NS, p->err);
}

static int send_link(struct parcel *p, const struct ks_carry_file *f)
{
	size_t at = begin(p, f, KS_FILE_LINK), n = strlen(f->link);

	memcpy(p->bytes + at, f->link, n);
	return parcel_send(p, KS_WIRE_FILE, at + n);
}

static int send_file(struct parcel *p, const struct ks_carry_file *f)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC), status = 0;
	uint32_t kind = KS_FILE_NEW;

	if (fd < 0)
		return ks_fail(p->err, KS_E_JUDGE, "cannot read '%.200s': %s", f->path, strerror(errno));
	for (ssize_t n = 1; status == 0 && n > 0; kind = KS_FILE_MORE) {
		size_t at = begin(p, f, kind);
		n = read(fd, p->bytes + at, PART);
		if (n < 0)
			status = ks_fail(p->err, KS_E_JUDGE, "cannot read '%.200s': %s", f->path, strerror(errno));
		else if (n > 0 || kind == KS_FILE_NEW)
			status = parcel_send(p, KS_WIRE_FILE, at + (size_t)n);
	}
	close(fd);
	return status;
}

static size_t put(char *bytes, size_t at, const char *text)
{
	size_t n = strlen(text) + 1;
	memcpy(bytes + at, text, n);
	return at + n;
}

static int send_program(struct parcel *p, const struct ks_run_request *request, uint32_t node, const struct ks_command *command,
			const struct ks_carry *carry)
{
	const struct ks_foreign *f = request->gen->foreign;
	struct ks_wire_program head = {.speaks = f->speaks, .timeout_ns = f->timeout_ns ? f->timeout_ns : KS_ASK_TIMEOUT_NS};
	char what[300], folder[PATH_MAX];
	bool buffers = ks_guest_program_runs_free(request->gen) && carry->dynamic && access(STDBUF, R_OK) == 0;

	while (command->word[head.words])
		head.words++;
	snprintf(what, sizeof(what), "'%.150s' of node '%.100s'", request->gen->text, request->plan->node[node].name);
	if (!realpath(*f->folder ? f->folder : ".", folder))
		return ks_fail(p->err, KS_E_JUDGE, "cannot read the folder '%.200s'", f->folder);
	memcpy(p->bytes, &head, sizeof(head));
	size_t at = put(p->bytes, sizeof(head), what);
	at = put(p->bytes, at, folder);
	at = put(p->bytes, at, buffers ? STDBUF : "");
	for (uint32_t i = 0; i < head.words; i++)
		at = put(p->bytes, at, i ? command->word[i] : carry->program);
	return parcel_send(p, KS_WIRE_PROGRAM, at);
}

/* Its folder must be there, also where nothing of the program lies in it. */
static int send_folder(struct parcel *p, const struct ks_foreign *f)
{
	char path[PATH_MAX + 16];

	if (!realpath(*f->folder ? f->folder : ".", path))
		return ks_fail(p->err, KS_E_JUDGE, "cannot read the folder '%.200s'", f->folder);
	strcat(path, strcmp(path, "/") ? "/.keyskew" : ".keyskew");
	struct ks_carry_file empty = {.path = path, .mode = 0444};
	return parcel_send(p, KS_WIRE_FILE, begin(p, &empty, KS_FILE_NEW));
}

int ks_guest_program_send(struct ks_vm *vm, const struct ks_run_request *request, uint32_t node, struct ks_err *err)
{
	struct ks_command *command = ks_alloc(1, sizeof(*command));
	struct parcel p = {.vm = vm, .err = err, .bytes = ks_alloc(1, PART + ROOM)};
	struct ks_carry carry = {.why = "out of memory"};
	int status = -1;

	if (!command || !p.bytes || gather(request->plan, request->gen, request->seed, node, command, &carry) != 0)
		ks_fail(err, KS_E_JUDGE, "a guest cannot be given the program: %s", carry.why);
	else
		status = send_folder(&p, request->gen->foreign);
	for (size_t i = 0; status == 0 && i < carry.n; i++)
		status = carry.file[i].link ? send_link(&p, &carry.file[i]) : send_file(&p, &carry.file[i]);
	if (status == 0)
		status = send_program(&p, request, node, command, &carry);
	ks_carry_release(&carry);
	ks_free(p.bytes);
	ks_free(command);
	return status;
}

int ks_guest_program_reasons(struct ks_vm *vm, struct ks_wire_account *account, const void *payload, uint32_t length,
			     struct ks_records *records, struct ks_err *err)
{
	uint32_t n = length / KS_REASON_TEXT;

	if (account->spec->gen || account->whys || !n || n > KS_RECORD_REASONS || length % KS_REASON_TEXT)
		return ks_vm_fail(vm, err, "guest sent reasons that are none");
	for (account->whys = 0; account->whys < n; account->whys++) {
		const char *text = (const char *)payload + account->whys * KS_REASON_TEXT;
		account->why[account->whys] = ks_reason_number(&records->reasons, text, strnlen(text, KS_REASON_TEXT));
	}
	return 0;
}
