/* Programs of somebody else in a guest: `exec:`, `ask:` and generator files under the world qemu. */
#ifndef KS_QEMU_PROGRAM_H
#define KS_QEMU_PROGRAM_H

#include "ft_records.h"
#include "ks_qemu.h"
#include "ks_world.h"

/* Memory of a guest that takes the files of this program, for ks_vm_options. MB; 0: as without. */
int ks_guest_program_memory_mb(const struct ks_run_request *request);
/* Can the program be carried into a guest with all that it needs? One that is missing can: who runs it is told. @return 0, or -1 with the
 * reason. */
int ks_guest_program_carries(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size);
/* Is the program there? @return 0, or -1 (KS_E_USAGE). */
int ks_guest_program_find(const struct ks_run_request *request, struct ks_err *err);
/* Sends the program's files to a guest that said hello, and how it is started. */
int ks_guest_program_send(struct ks_vm *vm, const struct ks_run_request *request, uint32_t node, struct ks_err *err);
/* Threads of a node that issue keys: a program that is free running is one. */
uint32_t ks_guest_program_threads(const struct ks_plan *plan, const struct ks_gen_spec *gen);
/* Is it free running? */
bool ks_guest_program_runs_free(const struct ks_gen_spec *gen);
/* Takes KS_WIRE_REASONS. */
int ks_guest_program_reasons(struct ks_vm *vm, struct ks_wire_account *account, const void *payload, uint32_t length,
			     struct ks_records *records, struct ks_err *err);

#endif
