/* The records of a guest that is a clone. Its memory holds those of the machine that it is a clone of, too, up to the moment at
 * which that was kept: they are the same to the ns, and after it none is. Pure. */
#ifndef KS_QEMU_CLONE_H
#define KS_QEMU_CLONE_H

#include <stddef.h>

#include "ks_err.h"
#include "ks_wire.h"

/* Records as a guest told them. Zeroed is empty. */
struct ks_guest_told {
	struct ks_wire_record *v;
	size_t n, cap;
};

/* Adds those of a frame. @return 0, or -1 (KS_E_INTERNAL). */
int ks_guest_told_add(struct ks_guest_told *told, const void *payload, uint32_t length, struct ks_err *err);
void ks_guest_told_release(struct ks_guest_told *told);
/* How many of the thread's calls had returned by then, or were given up. until_ns: in the guest's true time as it tells it; INT64_MAX: all. */
uint64_t ks_guest_told_by(const struct ks_guest_told *told, uint32_t thread, int64_t until_ns);
/* Leaves of the clone's records those that are its own, and counts them from 0 in each of its threads. */
void ks_guest_told_own(struct ks_guest_told *clone, const struct ks_guest_told *owner, uint32_t threads);

#endif
