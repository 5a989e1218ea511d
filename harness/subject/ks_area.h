/* The memory in which a subject host notes what its threads did: calls, what a probe saw of the clock, holds.
 *
 * Where host and harness share a machine it is a file that both map: calls cost no pipe, and what was noted before a
 * SIGKILL is still there. Elsewhere (a guest) the host has it for itself and sends the records over the wire.
 *
 * One writer for each part: a lane's thread its lane and records, the probe its readings, a held thread its hold. The
 * harness reads counts with acquire and believes nothing that it did not check. */
#ifndef KS_AREA_H
#define KS_AREA_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ks_record.h"
#include "ks_wire.h"

#define KS_AREA_MAGIC UINT64_C(0x3141535945534b31)
#define KS_AREA_HOLDS 1024 /* of a process; more are not noted, and so not proven */
#define KS_AREA_ASKS 1024  /* likewise questions to the registry */

/* How far a lane is, in one word, so that its end is one atomic step: 4 x calls completed + phase. */
enum ks_lane_phase { KS_LANE_IDLE, KS_LANE_INSIDE, KS_LANE_CLOSED, KS_LANE_HELD /* it begins no call until it is idle again */ };

struct ks_area_lane {
	_Alignas(64) _Atomic uint64_t state;
	_Atomic int64_t due_ns, call_ns; /* of the call that it is inside */
	_Atomic int64_t worst_late_ns;   /* max of call - when it could have begun: the host's own doing */
	_Atomic uint64_t reads;          /* clock readings before this call */
	_Atomic int64_t hold_ns;         /* how long it stops when it gets KS_HOLD_SIGNAL */
	_Atomic int32_t tid;             /* of its thread */
	_Atomic uint64_t drawn, taken;   /* arrivals that it asked for, and those for which a call was begun */
	uint64_t skip;                   /* arrivals that an earlier incarnation has had */
	_Atomic uint32_t through;
};

/* REALTIME as a program sees it, between two readings of true time (the epoch of ks_true_ns), and of the kernel. */
struct ks_area_probe {
	int64_t before_ns, after_ns; /* true time */
	int64_t host_ns;             /* REALTIME of the kernel, past any faking */
	int64_t value_ns;            /* REALTIME of the program */
};

/* A lane's thread that gets this signal stops where it is, also inside a call, for the hold_ns of its lane. */
#define KS_HOLD_SIGNAL SIGUSR2

/* A thread that was held, by its own readings of true time. end_ns is 0 while it is held. */
struct ks_area_hold {
	uint32_t thread, pad;
	_Atomic int64_t begin_ns, end_ns;
};

/* A question to the registry, by the process's own reading of true time. */
struct ks_area_ask {
	_Atomic int64_t sent_ns;
	_Atomic uint32_t done, lost; /* it is over; nobody answered */
};

struct ks_area_size {
	uint32_t threads, pad;
	uint64_t records; /* of a lane */
	uint64_t texts;   /* bytes of a lane, for keys that are texts: each as its length (uint16_t) and its bytes */
	uint64_t probes;
};

/* What a key that is a text may take on the average. */
#define KS_AREA_TEXT 128

struct ks_area_head {
	uint64_t magic;
	struct ks_area_size size;
	_Atomic uint64_t nprobes;
	_Atomic uint32_t nholds, nasks;
	uint64_t memory; /* of one that went on from another's: a hash of it before the first call */
	_Atomic uint32_t nreasons; /* what refusals of a program that was asked said, by `why` */
	char reason[KS_RECORD_REASONS][KS_REASON_TEXT];
	struct ks_area_ask ask[KS_AREA_ASKS];
};

struct ks_area {
	struct ks_area_head *head;
	struct ks_area_lane *lane;
	struct ks_area_hold *hold;
	struct ks_area_probe *probe;
	struct ks_wire_record *record; /* those of lane i begin at i x size.records; a text's key is its offset */
	char *text;                    /* those of lane i begin at i x size.texts */
	size_t bytes;
};

/* Room for a configuration: what is due and then some, as arrivals by chance and retries need it; no probes. */
struct ks_area_size ks_area_size(const struct ks_wire_config *config, bool texts);
/* @return bytes that an area takes, a multiple of the page; 0 when a size is out of range. */
size_t ks_area_bytes(const struct ks_area_size *size);
/* Makes zeroed memory an area. It has as many bytes as ks_area_bytes said. */
void ks_area_init(struct ks_area *area, void *memory, const struct ks_area_size *size);
/* Finds the parts of an area that another process made. @return false when the memory is none. */
bool ks_area_bind(struct ks_area *area, void *memory, size_t bytes);

/* Ends a lane from outside: what it completed until now stays as it is, and it adds nothing.
 * @return how many records it completed. *inside: it was inside a call, which is lost. */
size_t ks_area_close(struct ks_area_lane *lane, bool *inside);

/* The record of the call that a lane was inside when it was closed, its n-th. */
void ks_area_lost(const struct ks_area_lane *lane, uint32_t thread, size_t n, struct ks_wire_record *record);

/* Packs the texts of k records of a lane, from its first-th, as the wire wants them: at most k x (KS_KEY_TEXT + 2) bytes.
 * @return how many, or -1 when a record names no text. */
int64_t ks_area_texts(const struct ks_area *area, uint32_t lane, size_t first, size_t k, unsigned char *frame);

#endif
