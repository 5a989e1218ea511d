/* What a fleet of guests carries of a plan. */
#ifndef KS_QEMU_CARRIES_H
#define KS_QEMU_CARRIES_H

#include "ks_world.h"

#define KS_GUESTS_MAX 4 /* that two cores can run and still be on time */
#define KS_GUEST_THREADS_MAX 256

/* For struct ks_world: can guests run it? @return 0, or -1 with the reason. */
int ks_guests_carry(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size);
/* Of a guest that has a core stopped at some time: one that no fault stops; else KS_ANY. *stops: has it any stopped? */
uint32_t ks_guests_free_core(const struct ks_plan *plan, uint32_t node, bool *stops);
/* The clock source that the kernels of the fleet are to use; NULL: their own choice. */
const char *ks_guests_source(const struct ks_plan *plan);
/* The version that the scenario takes alone; NULL: any. */
const char *ks_guests_kernel(const struct ks_plan *plan);
/* Does a machine learn from a new generation id that it is another one? */
bool ks_guests_have_generation(const struct ks_plan *plan);

#endif
