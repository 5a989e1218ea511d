/* The window: what has returned but is not yet in fleet order, as nodes run one after another.
 *
 * Nodes run up to a common instant, the end of the window; no call that returns before it is still to come. Then what
 * returned before it goes to the sink, in fleet order, and the window moves on. How long windows are changes no result. */
#ifndef KS_WINDOW_H
#define KS_WINDOW_H

#include "ks_record.h"
#include "ks_sink.h"

/* Where a call came from: the seq-th one of a lane. */
struct ks_cause {
	uint32_t lane, seq;
};

struct ks_window {
	struct ks_record *v; /* as calls ended */
	size_t n, cap;
	struct ks_record *spare; /* room to put them in order */
	uint64_t *order;
	uint32_t *bucket;
	size_t room;
	struct ks_record *lost; /* for the end */
	size_t nlost, lost_cap;
	struct ks_cause *causes; /* of records in the window: their `parent` is the index here */
	size_t ncauses, cause_cap;
	int64_t end_ns, length_ns;
	uint64_t taken; /* records that went to the sink */
};

/* How many records a window should hold: with what sorts them they stay in the first-level cache. */
#define KS_WINDOW_RECORDS 512

void ks_window_init(struct ks_window *w);
void ks_window_release(struct ks_window *w);

/* @return a record to fill, or NULL out of memory. */
static inline struct ks_record *ks_window_add(struct ks_window *w);
/* Calls that return by themselves stay in v; a lost one waits for the end. @return 0, or -1 out of memory. */
int ks_window_add_lost(struct ks_window *w, const struct ks_record *r);
/* The cause of the record that was added last. @return 0, or -1 out of memory. */
int ks_window_cause(struct ks_window *w, struct ks_record *r, uint32_t lane, uint32_t seq);

/* Hands over what returned before until_ns; the next window begins there.
 * @return 0, or -1: out of memory, or the sink wants no more. */
int ks_window_flush(struct ks_window *w, int64_t until_ns, const struct ks_lane *lanes, const struct ks_sink *sink,
                    struct ks_err *err);
/* The same with all that there is, the lost ones last. */
int ks_window_finish(struct ks_window *w, const struct ks_lane *lanes, const struct ks_sink *sink, struct ks_err *err);

int ks_window_grow(struct ks_window *w);

static inline struct ks_record *ks_window_add(struct ks_window *w)
{
	if (__builtin_expect(w->n == w->cap, 0) && ks_window_grow(w))
		return NULL;
	return &w->v[w->n++];
}

#endif
