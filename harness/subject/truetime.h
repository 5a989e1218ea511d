/* True time in a real process or guest: CLOCK_MONOTONIC_RAW, read past everything that may fake it.
 *
 * libfaketime replaces clock_gettime of libc, so this calls the function that the kernel maps into every process
 * (the vDSO, found by the auxiliary vector); where there is none it makes the system call. All processes of a host
 * share this clock, so instants of harness and subjects compare.
 *
 * In a guest faults change that clock too, so there its counter is true time: see vm-images/agent_time.h. */
#ifndef KS_TRUETIME_H
#define KS_TRUETIME_H

#include <stdint.h>

/* @return ns since an epoch of the kernel's (about its boot). Never goes back. */
int64_t ks_true_ns(void);

/* REALTIME of the kernel, likewise unfaked, unix ns. */
int64_t ks_true_unix_ns(void);

/* Sleeps and then spins until true time is at least at_ns; late by what the kernel's wake-up costs beyond the spin.
 * The sleep is a relative one on CLOCK_MONOTONIC by a system call of its own: libraries that fake time do not see it.
 * @return the true time at which it came back. */
int64_t ks_true_wait(int64_t at_ns);

#endif
