/* A daemon that keeps the guest's clock: Debian's chronyd, as the image has it, with the harness as its only server. */
#ifndef KS_AGENT_KEEP_H
#define KS_AGENT_KEEP_H

#include <stdint.h>

/* hooks->take for KS_WIRE_KEEP: brings up the network and starts chronyd. @return NULL, or what is wrong. */
const char *ks_agent_keep(const void *payload, uint32_t length);
/* Loads the modules of a folder in the order of their names (agent.c). @return NULL, or the one that does not load. */
const char *ks_agent_load_modules(const char *folder);

#endif
