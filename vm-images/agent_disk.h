/* What would be on the machine's disk, if it had one, and in its registry: words that generators persist, as files in a folder of its memory. The
 * harness keeps them over a reboot. */
#ifndef KS_AGENT_DISK_H
#define KS_AGENT_DISK_H

#include <stdint.h>

/* Sends each file of the folder that holds such a word as KS_WIRE_FILE. @return 0, or what send said. */
int ks_agent_tell_disk(const char *folder, int (*send)(void *host, uint32_t type, const void *payload, uint32_t length), void *host);

#endif
