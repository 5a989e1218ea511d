/* What an event of a plan does to the five clocks of a node: what they are to show, for worlds that bring it about by other means
 * and are held to it. */
#ifndef KS_FAULT_CLOCKS_H
#define KS_FAULT_CLOCKS_H

#include "ks_clock.h"
#include "ks_engine.h"

/* At true time t_ns, or at the last change of REALTIME where that is later. Events that do nothing to clocks are ignored. */
void ks_fault_on_clocks(struct ks_clocks *clocks, const struct ks_fault_event *event, int64_t t_ns);
/* The clocks that do not simply run on under it, a mask. */
unsigned ks_fault_affects(const struct ks_fault_event *event);

#endif
