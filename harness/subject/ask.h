/* Programs that are asked for keys (`ask:COMMAND`): any language, one process for each process of the fleet.
 *
 * The exchange is lines over the program's standard input and output, keyskew on the left:
 *
 *     next            ->
 *                     <- clock wall|mono|raw|boot|tai      then one line: ns, of wall and tai since 1970
 *                     <- random N                          N bytes, 1..64: 2 N hexadecimal digits
 *                     <- sleep NS                          "ok", once so much time has passed (CLOCK_MONOTONIC)
 *                     <- key K                             ends the call; K is the rest of the line, 1..256 bytes
 *                     <- refuse WHY                        ends it too: no key, and why
 *
 * Any number of requests may come before the key. Each is an environment call of the simulation: it costs time, and
 * others may run, pause or die inside it. At the end of the run standard input ends. Lines must be flushed: a program
 * that keeps them in a buffer never answers. Whatever is not understood ends the run with KS_E_JUDGE. */
#ifndef KS_ASK_H
#define KS_ASK_H

#include "ks_record.h"
#include "proc.h"

#define KS_ASK_TIMEOUT_NS (10 * INT64_C(1000000000)) /* of an answer; the first may take three times as long */
#define KS_ASK_RANDOM_MAX 64
#define KS_ASK_REQUESTS_MAX 100000 /* of one call */

enum ks_ask_kind { KS_ASK_KEY, KS_ASK_REFUSE, KS_ASK_CLOCK, KS_ASK_RANDOM, KS_ASK_SLEEP };

struct ks_ask_line {
	enum ks_ask_kind kind;
	enum ks_clock_id clock;
	uint32_t bytes;   /* of random */
	int64_t sleep_ns;
	const char *text; /* of key and refuse */
	size_t len;
};

/* What a line says, without its end. Pure. @return NULL, or what was expected instead. */
const char *ks_ask_parse(const char *line, size_t len, struct ks_ask_line *said);

/* One program. Zeroed but for proc (KS_PROC_NONE) before it is started. */
struct ks_ask {
	struct ks_proc proc;
	char what[300];     /* "'python3 id.py' of node 'n2'", for messages */
	int64_t timeout_ns;
	bool answered;
	volatile const int *stop; /* may be NULL */
	unsigned user;      /* see struct ks_proc_place */
	char buf[2048];     /* what it has written and nobody has read */
	size_t from, to;
};

/* Starts it with an environment, NULL: ours; see ks_proc_start_in. @return 0, or -1: KS_E_USAGE when it cannot be run. */
int ks_ask_start(struct ks_ask *ask, const char *folder, char *const argv[], char *const envp[], struct ks_err *err);

/* All of these: @return 0, or -1 with KS_E_JUDGE: it died, hangs, floods, or says what is not understood. */

int ks_ask_tell(struct ks_ask *ask, const char *bytes, size_t n, struct ks_err *err);
/* The next line; valid until the next call. */
int ks_ask_hear(struct ks_ask *ask, struct ks_ask_line *said, struct ks_err *err);
/* Says that it wrote what nobody asked for, if it did. */
int ks_ask_is_quiet(struct ks_ask *ask, struct ks_err *err);

/* The generator of a world. Its cfg is a struct ks_ask_cfg. */
struct ks_ask_fleet {
	/* The program of a process, by its number in the fleet; one that runs already is ended first: the process begins anew. */
	struct ks_ask *(*start)(struct ks_ask_fleet *fleet, uint32_t process, uint64_t node_id, struct ks_err *err);
};
struct ks_ask_cfg {
	struct ks_ask_fleet *fleet;
};
/* Not of the lists: nobody names it, and it works only with a fleet. */
extern const struct ks_gen ks_gen_ask_sim, ks_gen_ask_real;

#endif
