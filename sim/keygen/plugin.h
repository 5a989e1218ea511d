/* Plug-ins: generators in C that are loaded at run time (`-g ./mine.so`, with options as built-ins have them).
 *
 * A plug-in is a generator like sim/keygen/skeleton.c, with KS_PLUGIN(name) at its end, compiled with KS_ENV_TABLE:
 *
 *     cc -shared -fPIC -O2 -DKS_ENV_TABLE -I PREFIX/include/keyskew -o mine.so mine.c
 *
 * It runs inside keyskew and inside its subject hosts, and what it crashes is these. It may call what the headers beside this
 * one declare. */
#ifndef KS_PLUGIN_H
#define KS_PLUGIN_H

#include <stdint.h>

#include "env.h"
#include "env_table.h"
#include "keygen.h"

/* Changes when a table changes its meaning; the sizes tell when one has grown. */
#define KS_PLUGIN_VERSION 1u

struct ks_plugin {
	uint32_t version, gen_size, table_size;
	const struct ks_gen *gen;
	const struct ks_env_table **calls; /* where keyskew puts its table */
};

/* What is looked for in a plug-in. */
#define KS_PLUGIN_SYMBOL "ks_plugin_v1"

#define KS_PLUGIN(name)                                                                                                \
	const struct ks_env_table *ks_env_calls;                                                                       \
	extern const struct ks_plugin ks_plugin_v1;                                                                    \
	__attribute__((visibility("default"))) const struct ks_plugin ks_plugin_v1 = {                                 \
		KS_PLUGIN_VERSION, sizeof(struct ks_gen), sizeof(struct ks_env_table), &KS_GEN(name), &ks_env_calls}

#endif
