/* A run of sim made again from its result, watched: what a result does not keep can be told exactly. */
#ifndef KS_LIFE_H
#define KS_LIFE_H

#include <jansson.h>
#include <stdio.h>

#include "ks_check.h"
#include "ks_world.h"

struct ks_life {
	const json_t *run; /* of the result */
	struct ks_plan plan;
	struct ks_gen_spec gen;
	struct ks_run_output output;
	struct ks_evidence evidence;
	struct ks_trace_call *call; /* by lane, then seq */
	size_t calls, call_cap;
	struct ks_trace_read *read; /* by lane, then seq, then time */
	size_t reads, read_cap;
	bool no_memory;
};

/* More calls than this are not made again to be looked at. */
#define KS_LIFE_CALLS_MAX 5000000

/* Makes it again. @return 0, or -1: KS_E_JUDGE when it is not of sim or too long; a released life either way. */
int ks_life_begin(struct ks_life *life, const json_t *run, struct ks_err *err);
void ks_life_release(struct ks_life *life);

/* The call as the trace has it, or NULL. */
const struct ks_trace_call *ks_life_call(const struct ks_life *life, uint32_t lane, uint32_t seq);
/* Its first reading; *n of them. */
const struct ks_trace_read *ks_life_reads(const struct ks_life *life, uint32_t lane, uint32_t seq, size_t *n);

/* Tells of every call that issued the key: when, what the clocks said, which faults were at work, what the key says, who else
 * issued it, what consumers made of it, and its neighbours. @return how many calls did. */
size_t ks_life_tell(const struct ks_life *life, const char *key, FILE *out);

/* The first violation as a unit test for a mock clock, in "c", "go", "java", "node", "python" or "rust". @return 0, or -1:
 * KS_E_USAGE (no such language; the nearest), KS_E_NOMATCH (nothing is broken), KS_E_JUDGE (a property that no such test shows). */
int ks_life_as_test(const struct ks_life *life, const char *language, FILE *out, struct ks_err *err);

#endif
