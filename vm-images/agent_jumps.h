/* The capture of clock jumps in the guest: a program beside the agent, which watches the kernel with eBPF (jumps.c). */
#ifndef KS_AGENT_JUMPS_H
#define KS_AGENT_JUMPS_H

#include <stdint.h>

/* hooks->take for KS_WIRE_CAPTURE: starts it and waits until it watches. Where it cannot, that is told with the jumps. */
const char *ks_agent_watch(const void *payload, uint32_t length);
/* hooks->last: ends it, and sends what it captured. @return 0, or what send said. */
int ks_agent_tell_jumps(int (*send)(void *host, uint32_t type, const void *payload, uint32_t length), void *host);

#endif
