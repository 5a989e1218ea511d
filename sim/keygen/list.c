/* The list of generators, compiled once against each environment. To add one: its file and its line in keygen.h. */
#include "env.h"
#include "keygen.h"

#define DECLARE(name) extern const struct ks_gen KS_GEN(name);
KS_GENERATORS(DECLARE)

#define ENTRY(name) &KS_GEN(name),
#if defined(KS_ENV_SIM)
const struct ks_gen *const ks_gens_sim[] = {KS_GENERATORS(ENTRY) NULL};
#elif defined(KS_ENV_CHECK)
const struct ks_gen *const ks_gens_check[] = {KS_GENERATORS(ENTRY) NULL};
#else
const struct ks_gen *const ks_gens_real[] = {KS_GENERATORS(ENTRY) NULL};
#endif
