/* Programs of somebody else in the guest: their files come over the channel, then how they are started. They run as a user without
 * privileges; their keys are records of the subject host like any others. */
#ifndef KS_AGENT_RUN_H
#define KS_AGENT_RUN_H

#include "ks_subject.h"

/* hooks->take for KS_WIRE_FILE, KS_WIRE_PROGRAM, KS_WIRE_CAPTURE and KS_WIRE_KEEP. */
const char *ks_agent_take(uint32_t type, const void *payload, uint32_t length);
/* hooks->work: starts the program when the scenario starts, and notes each line that it prints, until the end. */
void ks_agent_listen(struct ks_lane_thread *lane);
/* hooks->spec_of; its generator is the program that ks_agent_take got, if it got one. */
const struct ks_gen_spec *ks_agent_spec(void);

#endif
