/* Watching a run from inside: every call as it begins, with all that its node's clocks show, and every clock reading. A run that is
 * watched makes the same records as one that is not, only more slowly. */
#ifndef KS_TRACE_H
#define KS_TRACE_H

#include "ks_record.h"

struct ks_trace_call {
	uint32_t lane, seq;
	int64_t call_ns;
	int64_t clock_ns[KS_NCLOCKS]; /* what the node's clocks show then: unix time for REALTIME and TAI, since boot for the others */
};

struct ks_trace_read {
	uint32_t lane, seq;
	int64_t at_ns;
	int64_t value_ns; /* as the generator saw it */
	uint8_t clock;    /* enum ks_clock_id */
};

struct ks_trace {
	void *context;
	void (*call)(void *context, const struct ks_trace_call *call);
	void (*read)(void *context, const struct ks_trace_read *read);
};

#endif
