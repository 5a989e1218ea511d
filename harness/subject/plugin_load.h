/* Loading plug-ins (sim/keygen/plugin.h), in the simulation and in subject hosts. */
#ifndef KS_PLUGIN_LOAD_H
#define KS_PLUGIN_LOAD_H

#include <stdbool.h>

#include "keygen.h"

/* Does a generator's text name a plug-in: FILE.so, or FILE.so:OPTIONS? */
bool ks_names_plugin(const char *text);

/* Loads it and reads its options. A plug-in stays loaded until the program ends.
 * @return 0, or -1 (KS_E_USAGE): no such file, no plug-in, of another version, a table that is not complete, bad options. */
int ks_plugin_parse_sim(const char *text, struct ks_gen_spec *spec, struct ks_err *err);
int ks_plugin_parse_real(const char *text, struct ks_gen_spec *spec, struct ks_err *err);

#endif
