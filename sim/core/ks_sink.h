/* A sink takes records as they come to be known, in fleet order. */
#ifndef KS_SINK_H
#define KS_SINK_H

#include "ks_err.h"
#include "ks_record.h"

struct ks_sink {
	/* Takes n records; they are the caller's, and so are the lanes, of which there may be more the next time. A parent is the row of it, counted from the first record taken.
	 * @return 0, or -1: it wants no more. */
	int (*take)(void *context, const struct ks_lane *lanes, const struct ks_record *records, size_t n, struct ks_err *err);
	/* The row of a lane's seq-th record, which was taken already; or KS_NO_PARENT. */
	uint32_t (*row)(void *context, uint32_t lane, uint32_t seq);
	void *context;
};

/* One that keeps them all: context is a struct ks_records. */
int ks_records_take(void *records, const struct ks_lane *lanes, const struct ks_record *v, size_t n, struct ks_err *err);
uint32_t ks_records_row(void *records, uint32_t lane, uint32_t seq);

#endif
