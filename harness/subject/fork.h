/* A second life of a subject host: a process that goes on from the memory which this one has now.
 *
 * It is no child of ours: the process between us ends at once, so that the next that called itself a subreaper
 * (prctl(2)), the harness, becomes its parent and can wait for it as for one that it started. */
#ifndef KS_FORK_H
#define KS_FORK_H

#include <stdint.h>
#include <sys/types.h>

#include "ks_wire.h"

/* To be called while no other thread is inside a library. In the new process *in and *out are the pipes FOLDER/line-SLOT-in and
 * -out, libfaketime's file is FOLDER/clock-SLOT, and what process `from` persists in the folder is that of f->process too.
 * @return 0 in the new process, its pid in this one, or -1. */
pid_t ks_fork_off(const struct ks_wire_fork *f, uint32_t from, int *in, int *out);

#endif
