/* The subject host: runs a built-in generator in real threads and tells what each call did, over the wire. The same
 * code serves a process (keyskew-subject) and a guest (the agent of vm-images).
 *
 * The exchange, harness on the left:
 *
 *                 <- HELLO
 *        FILE... PROGRAM ->           to a guest, where keys are a program's: what it needs, and how it is started
 *        CONFIG   -> READY            the generator is configured, its threads exist and wait
 *        START    ->                  the calls begin at start_raw_ns, which should lie in the future
 *                 <- RECORDS... DONE  once all threads are through, or KS_DRAIN_NS after the end: then what is still
 *                                     inside a call is lost
 *        PING     -> CLOCKS           at any time, also while the threads run
 *        ACT      -> ACTED            likewise, where the host can act on its clock
 *                 <- ASK
 *        TOLD     ->                  a question for the registry, and its answer, from CONFIG on
 *        WAKE     -> HELLO            likewise, where the host may be on a machine that was cloned
 *        FORK     -> FORKED           likewise; a second host with the memory of this one, between calls, greets on its own line
 *        QUIT     ->                  or end of file: the host returns at once, whatever its threads do
 *
 * Whatever is not understood, or comes out of turn, is answered with ERROR (text), and the host returns. */
#ifndef KS_SUBJECT_H
#define KS_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "keygen.h"

#include "ks_wire.h"

/* A clock reading whose bracket of true time is wider than this (the thread was preempted inside it) is not told:
 * nobody knows when the clock showed it. So every reading that is told is known to within half of this. */
#define KS_READ_WIDTH_MAX_NS 1000000
/* Of a process on this machine, under libfaketime: a reading takes 2 us, with cold caches up to 100. */
#define KS_READ_WIDTH_PROCESS_NS 200000

struct ks_lane_thread;

struct ks_subject_hooks {
	const char *system;    /* for HELLO; NULL: name and release of the kernel */
	const char *state_dir; /* an existing folder that outlives the process: what generators persist */
	size_t record_bytes;   /* memory for records, of all threads; not of a shared area */
	const struct ks_gen_spec *spec; /* the generator, whatever the configuration names; NULL: what it names */
	const struct ks_gen_spec *(*spec_of)(void); /* the same, asked for when there is a configuration; may be NULL */
	int (*parse)(const char *text, struct ks_gen_spec *spec, struct ks_err *err); /* its name; NULL: built-ins alone */
	void (*work)(struct ks_lane_thread *lane); /* the body of a lane when spec->gen is NULL: it only hears of keys */
	/* Takes a frame that comes before CONFIG and that the host itself does not know. @return NULL, or what is wrong with it. */
	const char *(*take)(uint32_t type, const void *payload, uint32_t length);
	/* Sends more, before DONE. @return 0, or what send said. */
	int (*last)(int (*send)(void *host, uint32_t type, const void *payload, uint32_t length), void *host);
	bool tells; /* a generator's failure is answered with ERROR, and does not end the process */
	int64_t read_width_ns; /* see KS_READ_WIDTH_MAX_NS; 0: that */
	bool registry;         /* the harness is the registry of the fleet, and answers ASK */
	void (*forked)(void);  /* called in a process that goes on from this one's memory. NULL: FORK is refused */
	int area_fd;           /* an area that the harness made (ks_area.h): records are left there; 0: they are sent */
	void (*act)(const struct ks_wire_act *act, struct ks_wire_acted *acted); /* NULL: ACT is refused */
	int (*stir)(const void *random, size_t size); /* the machine's random source; 0, or errno. NULL: WAKE is refused */
};

/* Serves until QUIT or end of file. The threads of the generator may still run when it returns: the caller ends the
 * process (or powers off). Ignores SIGPIPE.
 * @return 0, or 1 after something that was answered with ERROR or could not be answered. */
int ks_subject_main(int in_fd, int out_fd, const struct ks_subject_hooks *hooks);

/* The five clocks as a program sees them, between two readings of true time: the narrowest of a few brackets. */
void ks_subject_clocks(struct ks_wire_clocks *clocks);
/* The same, once. */
void ks_subject_look(struct ks_wire_clocks *clocks);

#endif
