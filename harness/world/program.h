/* Making the program of a generator file: its `build`. */
#ifndef KS_PROGRAM_H
#define KS_PROGRAM_H

#include <signal.h>

#include "foreign.h"

/* Runs the build in the generator's folder, ten minutes at most; says so on stderr. Nothing to build: nothing happens.
 * @return 0, or -1: KS_E_USAGE when it fails, KS_E_JUDGE when interrupted. */
int ks_program_make(const struct ks_foreign *foreign, const volatile sig_atomic_t *signal, struct ks_err *err);

#endif
