/* Making the program of a generator file: its `build`. */
#ifndef KS_PROGRAM_H
#define KS_PROGRAM_H

#include <signal.h>
#include <stdbool.h>

#include "foreign.h"

/* @return the first of what it needs that is not here, or NULL. Names without a slash are programs in PATH. */
const char *ks_program_lacks(const struct ks_foreign *foreign);
/* Is there nothing to build, or has it been built? */
bool ks_program_is_made(const struct ks_foreign *foreign);

/* Runs the build in the generator's folder, ten minutes at most; says so on stderr. Nothing to build: nothing happens.
 * @return 0, or -1: KS_E_USAGE when it fails, KS_E_JUDGE when interrupted or when what it needs is not installed. */
int ks_program_make(const struct ks_foreign *foreign, const volatile sig_atomic_t *signal, struct ks_err *err);

#endif
