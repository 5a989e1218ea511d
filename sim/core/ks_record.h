/* Records: one a call, the only thing that a world hands to the checkers.
 *
 * All instants are true time in ns since the start of the scenario. A world fills them from what it observed,
 * never from what was planned. */
#ifndef KS_RECORD_H
#define KS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ks_err.h"
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

/* A record as it is held: 40 bytes. Its time is return_ns, of a lost call call_ns.
 *
 *   when  48 bits time | 16 lane
 *   back  32 bits time - due | 24 time - call | 8 the low bits of seq
 *   read  32 bits reading - true time, beyond an anchor | 16 time - read_at | 16 the small fields, see record.c
 *
 * What does not fit there is held whole in a side table, and `when` is the place in it. Parents are few and have a table
 * too; the upper bits of seq follow from the row, as the calls of a lane come in their order. */
struct ks_packed {
	struct ks_key key;
	uint64_t when, back, read;
};
_Static_assert(sizeof(struct ks_packed) == 40, "a retained key takes 40 bytes");

#define KS_ANCHORS 16
#define KS_RECORD_REASONS 8 /* as many as `why` can tell apart */

struct ks_lane_rows;
struct ks_parent {
	uint32_t row, parent;
};

/* A change of a node's clock as it happened, beside the records: a fault's, or the doing of the daemon that keeps it. */
struct ks_clock_change {
	int64_t at_ns;
	int64_t amount_ns; /* by how much REALTIME was set; of a daemon: what it acted on (sim/clock/ks_keeper.h) */
	uint32_t node;
	uint32_t fault;    /* index into the plan, or KS_NO_FAULT */
	uint32_t did;      /* of a daemon: enum ks_keeper_did */
};
#define KS_NO_FAULT UINT32_MAX

/* A stretch of time in which a fault kept a thread from running, where only the run could tell when: a pause that was
 * placed inside a call. */
struct ks_halt {
	uint32_t lane;
	int64_t begin_ns, end_ns;
};

/* What a generator needs beside clocks. */
enum ks_uses {
	KS_USES_WORKER = 1, /* an id of its node that somebody hands out */
	KS_USES_MAC = 2,
	KS_USES_IP = 4,
	KS_USES_PID = 8,
	KS_USES_HOST = 16,
	KS_USES_REGISTRY = 32,
	KS_USES_PERSIST = 64,
	KS_USES_RANDOM = 128,
};
extern const char *const ks_uses_names[8]; /* by bit */

/* All records of a run. Owned; release with ks_records_release. */
struct ks_records {
	struct ks_packed *v;
	size_t n, cap;
	struct ks_record *whole; /* the side table */
	size_t nwhole, whole_cap;
	struct ks_parent *parents; /* by row */
	size_t nparents, parent_cap;
	int64_t anchor[KS_ANCHORS]; /* errors of clocks are held as what they differ from one of these */
	unsigned anchors;
	struct ks_lane_rows *rows; /* nrows of them, by lane */
	size_t nrows;
	struct ks_lane *lanes;
	size_t nlanes;
	struct ks_texts texts; /* when keys are texts: see ks_gen_issues_texts */
	struct ks_texts reasons; /* of a foreign generator: what its refusals say, by `why`; at most KS_RECORD_REASONS */
	uint64_t clock_reads;  /* how many clock reads the calls made */
	unsigned uses;         /* mask of enum ks_uses: what else the generator asked the world for; of sim */
	struct ks_halt *halts; /* by lane, then by time */
	size_t nhalts, halt_cap;
	size_t limit;          /* bytes, as ks_records_bytes counts them; 0: none. What would be more is not added */
};

/* A record of which nothing is known but that there was a call. */
#define KS_RECORD_NONE ((struct ks_record){.read_ns = KS_NO_TIME, .parent = KS_NO_PARENT})

/* Records go in and come out as values. The seq of a lane's records counts from 0 in the order in which they are added;
 * others are held, too, at more bytes. @return 0, or -1 out of memory or at the limit: then nothing was added, and
 * ks_records_full says which. */
int ks_records_add(struct ks_records *r, const struct ks_record *record);
/* @return -1, with KS_E_JUDGE at the limit, else KS_E_INTERNAL. */
int ks_records_full(const struct ks_records *r, struct ks_err *err);
/* Replaces a record by one of the same lane and seq. @return 0, or -1 out of memory: then it is as before. */
int ks_record_set(struct ks_records *r, size_t row, const struct ks_record *record);
/* @return 0, or -1 out of memory: then nothing was added. */
int ks_records_halt(struct ks_records *r, uint32_t lane, int64_t begin_ns, int64_t end_ns);
/* Once all are known. */
void ks_records_sort_halts(struct ks_records *r);
void ks_records_release(struct ks_records *r);
/* What they take now, texts included. */
size_t ks_records_bytes(const struct ks_records *r);

/* Puts the records into fleet order: by return_ns, then node, process, incarnation, thread, seq; lost ones last,
 * by call_ns. Total, so that the result does not depend on the order before. Parents follow their rows.
 * @return 0, or -1 out of memory. */
int ks_records_sort(struct ks_records *r);

/* That order: < 0, 0, > 0. Equal only for a record and itself. */
int ks_record_cmp(const struct ks_record *a, const struct ks_record *b, const struct ks_lane *lanes);

/* The number of a reason, which is added unless it is known; what cannot be printed becomes '?'. The last number stands
 * for all others. For `why` of foreign generators, in records->reasons. */
#define KS_REASON_TEXT 200
uint8_t ks_reason_number(struct ks_texts *reasons, const char *text, size_t len);

/* A mark on a row, for whoever reads the records: the checkers keep there whether the call met a fault. */
static inline void ks_record_mark(struct ks_records *r, size_t row, bool on)
{
	r->v[row].read = (r->v[row].read & ~(UINT64_C(1) << 15)) | (uint64_t)on << 15;
}
static inline bool ks_record_marked(const struct ks_records *r, size_t row)
{
	return r->v[row].read >> 15 & 1;
}

/* ---- reading; row < n ---- */

/* The small fields. */
enum { KS_PACK_OUTCOME = 0, KS_PACK_CLOCK = 2, KS_PACK_WHY = 5, KS_PACK_FLAGS = 8, KS_PACK_ANCHOR = 10, KS_PACK_WHOLE = 14 };
#define KS_PACK_NO_CLOCK 7u
#define KS_PACK_NO_TIMES UINT32_MAX /* instead of time - due: neither due nor call is known */

/* The slow parts; without effects, so a reader that does not use them does not pay for them. */
__attribute__((pure)) uint32_t ks_record_seq(const struct ks_records *r, size_t row);
__attribute__((pure)) uint32_t ks_record_parent(const struct ks_records *r, size_t row);

static inline struct ks_record ks_record_get(const struct ks_records *r, size_t row)
{
	const struct ks_packed *p = &r->v[row];
	unsigned small = (unsigned)p->read & 0xffff, back = (unsigned)(p->back >> 32);
	if (__builtin_expect(small >> KS_PACK_WHOLE & 1, 0))
		return r->whole[p->when];
	int64_t time = (int64_t)(p->when >> 16);
	uint8_t outcome = small >> KS_PACK_OUTCOME & 3, clock = small >> KS_PACK_CLOCK & 7;
	struct ks_record v = {.key = p->key, .lane = p->when & 0xffff, .outcome = outcome,
	                      .why = small >> KS_PACK_WHY & 7, .flags = small >> KS_PACK_FLAGS & 3};
	v.return_ns = outcome == KS_LOST ? KS_NO_TIME : time;
	v.due_ns = back == KS_PACK_NO_TIMES ? KS_NO_TIME : time - back;
	v.call_ns = back == KS_PACK_NO_TIMES ? KS_NO_TIME : time - (int64_t)(p->back >> 8 & 0xffffff);
	v.read_ns = KS_NO_TIME;
	if (clock != KS_PACK_NO_CLOCK) {
		v.clock = clock;
		v.read_at_ns = time - (int64_t)(p->read >> 16 & 0xffff);
		v.read_ns = v.read_at_ns + r->anchor[small >> KS_PACK_ANCHOR & 15] + (int32_t)(p->read >> 32);
	}
	v.seq = ks_record_seq(r, row);
	v.parent = ks_record_parent(r, row);
	return v;
}

#endif
