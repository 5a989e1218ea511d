/* Records: one a call, the only thing that a world hands to the checkers.
 *
 * All instants are true time in ns since the start of the scenario. A world fills them from what it observed,
 * never from what was planned. */
#ifndef KS_RECORD_H
#define KS_RECORD_H

#include <stdint.h>

#include "ks_key.h"

enum ks_outcome {
	KS_KEY = 0,    /* a key was issued */
	KS_REFUSE = 1, /* the generator said no, and why */
	KS_LOST = 2,   /* killed, or still inside at the end: no return */
};

enum ks_clock_id { KS_REALTIME, KS_MONOTONIC, KS_RAW, KS_BOOTTIME, KS_TAI, KS_NCLOCKS };

#define KS_NO_TIME INT64_MIN
#define KS_NO_PARENT UINT32_MAX

/* What is known of a call beyond its times. */
enum ks_record_flag {
	KS_CALL_UNKNOWN = 1,  /* due and call are not known (a free-running program); ret is the time of receipt */
};

struct ks_record {
	int64_t due_ns;     /* when the workload wanted it */
	int64_t call_ns;    /* when it began */
	int64_t return_ns;  /* when it returned; KS_NO_TIME if lost */
	int64_t read_ns;    /* what the last clock that it read showed, since that clock's value at the start; or KS_NO_TIME */
	int64_t read_at_ns; /* the true time at which it showed that */
	struct ks_key key;  /* the issued key; for keys that are texts the index into the texts (lo) */
	uint32_t lane;      /* index into ks_records.lanes */
	uint32_t seq;       /* of the lane, from 0 */
	uint32_t parent;    /* row of the key that caused this one, or KS_NO_PARENT */
	uint8_t outcome;    /* enum ks_outcome */
	uint8_t clock;      /* enum ks_clock_id of read_ns */
	uint8_t why;        /* of a refusal: index into the generator's reasons */
	uint8_t flags;      /* enum ks_record_flag */
};

/* Who calls: a thread of an incarnation of a process of a node. Ids count from 0; node 0 prints as its name. */
struct ks_lane {
	uint32_t node, process, incarnation, thread;
};

/* All records of a run. Owned; release with ks_records_release. */
struct ks_records {
	struct ks_record *v;
	size_t n, cap;
	struct ks_lane *lanes;
	size_t nlanes;
	struct ks_texts texts; /* when keys are texts: see ks_gen_issues_texts */
	uint64_t clock_reads;  /* how many clock reads the calls made */
};

/* A record of which nothing is known but that there was a call. */
#define KS_RECORD_NONE ((struct ks_record){.read_ns = KS_NO_TIME, .parent = KS_NO_PARENT})

/* How records are held is the store's own matter: they go in and come out as values. */
/* @return 0, or -1 out of memory: then nothing was added. */
int ks_records_add(struct ks_records *r, const struct ks_record *record);
/* row < n. */
static inline struct ks_record ks_record_get(const struct ks_records *r, size_t row)
{
	return r->v[row];
}
/* Replaces a record. @return 0, or -1 out of memory: then it is as before. */
int ks_record_set(struct ks_records *r, size_t row, const struct ks_record *record);
int ks_records_reserve(struct ks_records *r, size_t n);
void ks_records_release(struct ks_records *r);

/* Puts the records into fleet order: by return_ns, then node, process, incarnation, thread, seq; lost ones last,
 * by call_ns. Total, so that the result does not depend on the order before. @return 0, or -1 out of memory. */
int ks_records_sort(struct ks_records *r);

#endif
