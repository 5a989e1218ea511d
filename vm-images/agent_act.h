/* What the agent does to the clocks of its guest. Only the agent links this: it sets the clock of the machine it runs
 * on, which is a guest that lives for one run. */
#ifndef KS_AGENT_ACT_H
#define KS_AGENT_ACT_H

#include <stddef.h>

#include "ks_wire.h"

/* Waits until the guest's RAW clock shows act->at_raw_ns (0: does not), acts, and reads all five clocks just before
 * and just after. SET_REALTIME acts at once and makes REALTIME show `amount` at at_raw_ns (0: now).
 * acted->error is 0 or the errno of the kernel's refusal. */
void ks_agent_act(const struct ks_wire_act *act, struct ks_wire_acted *acted);

/* Adds to the kernel's random source and lets all of it go on from there at once: getrandom(2) gives other bytes than in the
 * guest that this one is a clone of. @return 0 or errno. */
int ks_agent_stir(const void *random, size_t size);

#endif
