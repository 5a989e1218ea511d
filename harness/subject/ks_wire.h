/* The wire between the harness and a subject host: the program that hosts generators in a real process
 * (faketime) or in a guest (qemu). A stream of frames over a pipe, a socket or a virtio-serial port.
 *
 * A frame: magic "KSW1", type u32, length u32, the low half of XXH64 of the payload, then `length` bytes. All integers are little
 * endian, all structs packed as listed. The receiver checks magic, type, length (<= KS_WIRE_MAX) and sum and treats
 * anything else as garbage: the run ends with KS_E_JUDGE. Both sides are fuzzed. */
#ifndef KS_WIRE_H
#define KS_WIRE_H

#include <stdint.h>

#define KS_WIRE_MAGIC 0x3157534bu /* "KSW1" */
#define KS_WIRE_MAX (1u << 20)    /* bytes of a payload */
#define KS_WIRE_VERSION 12u
#define KS_WIRE_STIR_MAX 512u    /* bytes of WAKE */

enum ks_wire_type {
	KS_WIRE_HELLO = 1, /* subject: struct ks_wire_hello */
	KS_WIRE_CONFIG,    /* harness: struct ks_wire_config, then the generator's text */
	KS_WIRE_READY,     /* subject: configured, threads wait (no payload) */
	KS_WIRE_PING,      /* harness: nothing. Subject answers CLOCKS at once */
	KS_WIRE_CLOCKS,    /* subject: struct ks_wire_clocks */
	KS_WIRE_START,     /* harness: struct ks_wire_start: the calls begin */
	KS_WIRE_ACT,       /* harness: struct ks_wire_act; subject (a guest) changes its clock, answers ACTED */
	KS_WIRE_ACTED,     /* subject: struct ks_wire_acted */
	KS_WIRE_RECORDS,   /* subject: struct ks_wire_record[n], in batches */
	KS_WIRE_TEXTS,     /* subject: keys that are texts, of the next RECORDS: for each record with a key, in order, its
			      length (uint16_t) and that many bytes */
	KS_WIRE_DONE,      /* subject: struct ks_wire_done: all records are sent */
	KS_WIRE_ERROR,     /* subject: text: it cannot go on */
	KS_WIRE_QUIT,      /* harness: end (a guest powers off) */
	KS_WIRE_HALT,      /* harness: no more calls; the state is kept for the next incarnation. Subject answers DONE */
	KS_WIRE_ASK,       /* subject: struct ks_wire_registry: a question for the registry of the fleet */
	KS_WIRE_TOLD,      /* harness: the same, with the answer */
	KS_WIRE_WAKE,      /* harness: bytes to stir the machine's random source with, at most KS_WIRE_STIR_MAX, or none. Subject
			      (a guest that may be a clone) answers HELLO */
	KS_WIRE_FILE,      /* harness, before CONFIG, to a guest: struct ks_wire_file, path, then bytes. Subject (a guest), before DONE:
			      the same, of what it persisted */
	KS_WIRE_PROGRAM,   /* harness, before CONFIG, to a guest: struct ks_wire_program, then texts: keys come from a program */
	KS_WIRE_REASONS,   /* subject, before the first RECORDS, if there are any: what refusals of a program said, by `why`:
			      KS_REASON_TEXT bytes each */
	KS_WIRE_FORK,      /* harness: struct ks_wire_fork: a second process is to go on from the memory as it is between calls */
	KS_WIRE_FORKED,    /* subject: struct ks_wire_forked. The new one says HELLO on a line of its own, and awaits CONFIG */
	KS_WIRE_CAPTURE,   /* harness, before CONFIG, to a guest: struct ks_wire_capture: capture jumps of the clock */
	KS_WIRE_JUMPS,     /* subject, before DONE: struct ks_wire_jump[n] */
	KS_WIRE_KEEP,      /* harness, before CONFIG, to a guest: the configuration of chronyd, which keeps its clock from now on */
	KS_WIRE_SKIP,      /* harness, between CONFIG and START: uint64_t for each thread: arrivals that the incarnation before
			      has had */
	KS_WIRE_CALLS,     /* harness, before KS_ACT_BORN: uint64_t: ks_caller of thread 0 of the machine that it is now; then for each
			      thread the number of its next call: what calls are about is drawn of these */
	KS_WIRE_LAST = KS_WIRE_CALLS
};

struct ks_wire_header {
	uint32_t magic, type, length, sum;
};

struct ks_wire_hello {
	uint32_t version, record_size;
	char system[120]; /* "linux 6.1.0-54-cloud-amd64 tsc": NUL-terminated */
};

/* Times are the subject's true time (truetime.h), ns. */
struct ks_wire_config {
	uint32_t process, threads, lanes_before,
	    lanes_of_node; /* lane index of thread 0 on its node; lanes of the node */
	uint64_t seed;
	uint64_t worker;
	int64_t duration_ns;
	int64_t rate_count, rate_per_ns, phase_ns;
	int64_t probe_ns; /* how often the host reads the wall clock itself, into a shared area; 0: never */
	uint32_t arrival, model, on_refuse; /* enums of ks_engine.h */
	uint32_t lane_id;                   /* fleet-wide number of thread 0 (ks_caller): stream of its arrivals */
	uint32_t kept;      /* 1: the generator's state is that which the incarnation before left at HALT */
	uint32_t worker_rule; /* enum ks_worker_rule: what the process is told when it asks for its worker id */
	uint64_t mac, ip;   /* of its node */
	uint64_t pid;       /* which a container gives it; 0: its own */
	int64_t way_ns;     /* to the registry, and as long back */
	uint32_t own_random, reseed; /* 1: random words are drawn in the process, see ks_env_random_fill; and begin anew now */
	uint64_t caller;    /* ks_caller of thread 0 */
	int64_t user_low, user_high, depth_low, depth_high; /* what calls are about: struct ks_call_ranges */
	uint32_t cores;       /* of the machine; thread k of its node stays on core k modulo cores. 0: wherever its kernel puts it */
	uint32_t core_beside; /* where what runs beside the threads stays then; UINT32_MAX: wherever */
					    /* then: generator text, NUL-terminated */
};

/* What a process may ask the registry of the fleet. The harness is the registry and the network to it: where the question gets
 * lost it says so at once, and the process waits its patience. So a harness that is slow is not taken for a registry that is
 * down. */
enum ks_registry_question { KS_REGISTRY_LEASE, KS_REGISTRY_REPORT, KS_REGISTRY_REPORTED };
enum ks_registry_answer { KS_REGISTRY_UNKNOWN, KS_REGISTRY_KNOWN, KS_REGISTRY_LOST };
struct ks_wire_registry {
	uint32_t number, what;
	uint64_t value;
	uint32_t answer, pad;
};

struct ks_wire_fork {
	char folder[64];        /* where its pipes, its clock and what it persists are */
	uint32_t slot, process; /* in their names */
};

struct ks_wire_forked {
	int32_t pid; /* of the new process */
	uint32_t pad;
	int64_t raw_ns;  /* true time of it */
	uint64_t memory; /* a hash of the generator's */
};

struct ks_wire_start {
	int64_t start_raw_ns;  /* subject's true time of the scenario's start */
	int64_t start_unix_ns; /* what to subtract from REALTIME readings */
};

struct ks_wire_clocks {
	int64_t raw_ns; /* true time, read before and after the five */
	int64_t raw_after_ns;
	int64_t clock_ns[5]; /* enum ks_clock_id, as a program sees them */
};

/* What a guest does to its clocks and threads. */
enum ks_wire_act_kind {
	KS_ACT_STEP = 1,     /* amount: ns that REALTIME and TAI move */
	KS_ACT_RATE,         /* amount: ppb by which the kernel's discipline bends all but RAW, until the next one */
	KS_ACT_LEAP,         /* announces a leap second for the end of the day of REALTIME. amount: -1 s inserts, +1 s deletes */
	KS_ACT_SET_REALTIME, /* at once; amount: unix ns that REALTIME is to show at at_raw_ns (0: now) */
	KS_ACT_TO_TRUE,      /* amount: unix ns of true time 0; value: by how much it stepped */
	KS_ACT_RTC,          /* amount: unix ns that the battery-backed clock is to show at at_raw_ns, reached by its next whole
	                        second; value: what it then showed less what it should, ns */
	KS_ACT_S3,           /* suspends to RAM; answers when it was woken */
	KS_ACT_HOLD,         /* a thread stops inside whatever it does, for `until` ns; amount: its number, -1: all of them.
	                        value: for how long, of several the shortest */
	KS_ACT_WATCH,        /* looks at its clocks until `until`, on the core `amount`. before, after: the first look and the last;
	                        value: the longest time that it did not get to look, ns */
	KS_ACT_TRUE,         /* at once: moves true time by amount ns: so long the guest stood and could not know */
	KS_ACT_BORN,         /* the same, of a machine that goes on from where another one was kept: what fell due before `until`
	                        (0: before now) was that one's to do */
	KS_ACT_HOPS,         /* amount: readings, each on another core than the one before after `until` of them; value: how
	                        many were before their predecessor; after.clock_ns[0]: the largest such, ns */
	KS_ACT_KEEP,         /* from the end of their calls on its threads begin none, and then the clocks are read: the machine may
	                        be kept. TRUE and BORN let them go on */
	KS_ACT_END,          /* the machine ends: whatever its threads are inside of is lost. RECORDS and DONE follow ACTED */
	KS_ACT_WATCH_CORE,   /* WATCH, but the clocks are read on another core; value: of the core `amount`; beside_ns: the same of
	                        all other cores together, the longest */
};
struct ks_wire_act {
	uint32_t kind, pad;
	int64_t at_raw_ns; /* subject's true time at which to act; 0: now */
	int64_t amount, until;
};

struct ks_wire_acted {
	uint32_t kind;
	int32_t error; /* 0 or errno */
	int64_t value;
	struct ks_wire_clocks before, after;
	int64_t beside_ns;
};

/* A record as the subject saw it; times are true, since the start. */
struct ks_wire_record {
	int64_t due_ns, call_ns, return_ns; /* return: INT64_MIN when lost */
	int64_t read_ns, read_at_ns;        /* the clock's own value (unix or since boot); INT64_MIN: none read */
	uint64_t key_hi, key_lo;
	uint32_t thread, seq;
	uint8_t outcome, clock, why, flags;
	uint32_t pad;
};

/* A file that a program needs, or the next part of it; folders come by themselves. Then its path, absolute, NUL-terminated, and
 * its bytes (of a link: what it points at). */
struct ks_wire_file {
	uint32_t kind; /* enum ks_wire_file_kind */
	uint32_t mode; /* permissions */
	int64_t mtime_s; /* interpreters compare it */
};
enum ks_wire_file_kind { KS_FILE_NEW = 1, KS_FILE_MORE, KS_FILE_LINK };

/* A program of somebody else's. Then NUL-terminated texts: what messages call it, the folder it runs in, a library to preload
 * ("": none), and its words. */
struct ks_wire_program {
	uint32_t speaks; /* enum ks_speaks */
	uint32_t words;
	int64_t timeout_ns; /* of an answer */
};
/* What is looked for beside calls of the kernel. */
struct ks_wire_capture {
	int64_t every_ns;   /* a program reads its monotonic clock so often; 0: none does */
	int64_t stretch_ns; /* and tells when it moved by more than this in between */
};

/* One of those that set, bent or moved a clock, or was meant to be seen and cannot be. */
enum ks_jump_layer {
	KS_JUMP_CALL = 1, /* a system call */
	KS_JUMP_KERNEL,   /* a function of the kernel */
	KS_JUMP_RUNTIME,  /* what a program that only reads saw */
	KS_JUMP_MISSING,  /* name: a function that this kernel does not have */
	KS_JUMP_LOST,     /* arg: so many came too fast to be told */
	KS_JUMP_FAILED,   /* name: why nothing is captured */
	KS_JUMP_READY
};
struct ks_wire_jump {
	int64_t at_ns;    /* subject's true time of its end */
	int64_t delta_ns; /* REALTIME moved by this against MONOTONIC; RUNTIME: MONOTONIC moved by this at once */
	uint32_t layer, pid;
	uint32_t arg;     /* of a call that adjusts: timex.modes; of one that sets: the clock */
	int32_t ret;      /* what it returned */
	char command[16]; /* who called: NUL-terminated */
	char name[80];    /* of the function: likewise */
};
#define KS_WIRE_JUMPS_MAX 20000 /* of a guest */

/* Lines that are read of a free-running program. */
#define KS_WIRE_LINES_MAX 500000

struct ks_wire_done {
	uint64_t records, clock_reads;
	int64_t
	    worst_late_ns; /* the host's own lateness: max over calls of call - due that the generator did not cause */
};

/* Writes a frame to fd. @return 0, or -1 with errno. */
int ks_wire_send(int fd, uint32_t type, const void *payload, uint32_t length);

/* Reads a frame with a deadline (CLOCK_MONOTONIC ns of the caller's world; 0: none) into buf of KS_WIRE_MAX bytes.
 * @return its type; 0 at end of file; -1 on garbage (errno EBADMSG), time-out (ETIMEDOUT), or another errno. */
int ks_wire_recv(int fd, void *buf, uint32_t *length, int64_t deadline_ns);

/* A receiver that never waits, for one who listens to many: bytes go in as they come, frames come out. */
struct ks_wire_rx {
	unsigned char *buf; /* of KS_WIRE_RX_BYTES, the owner's */
	uint32_t from, to;  /* what is in it and not taken yet */
};
#define KS_WIRE_RX_BYTES (KS_WIRE_MAX + sizeof(struct ks_wire_header))

/* Reads what is there. @return 1, 0 at end of file, or -1 with errno (EAGAIN: nothing now). */
int ks_wire_rx_fill(struct ks_wire_rx *rx, int fd);
/* Takes the next frame; *payload is valid until the next fill.
 * @return its type, 0 when it is not complete yet, or -1 on garbage. */
int ks_wire_rx_take(struct ks_wire_rx *rx, const void **payload, uint32_t *length);

/* Pure: checks a header. @return 0, or -1. */
int ks_wire_check(const struct ks_wire_header *header);
uint32_t ks_wire_sum(const void *bytes, uint32_t n);

#endif
