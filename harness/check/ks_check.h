/* Checkers: judge properties and compute metrics from records alone. A checker knows no world. */
#ifndef KS_CHECK_H
#define KS_CHECK_H

#include "keygen.h"
#include "ks_call.h"
#include "ks_plan.h"
#include "ks_record.h"

/* Metrics of a run. Scoped ones by enum ks_scope. Counts are summed over the groups of a scope, maxima are maxima.
 *
 * A scope groups the keys by thread (of an incarnation), by process (each incarnation is one), by node, or not at all;
 * refused and lost calls have no part in the order. The order is the order of return. */
struct ks_metrics {
	int64_t scoped[KS_NSCOPED_METRICS][KS_NSCOPES];
	int64_t plain[KS_NMETRICS - KS_NSCOPED_METRICS]; /* by metric - KS_NSCOPED_METRICS */
	/* false: not computed. Stalls: a call whose times are not known, or no call that returned; ahead: no key with a
	 * time; behind: that, or a call whose times are not known. */
	bool known[KS_NMETRICS];
	uint64_t calls, keys;
};
int64_t ks_metric_get(const struct ks_metrics *m, enum ks_metric metric, enum ks_scope scope);

/* Everything a checker may look at. Records are in fleet order. Nothing here is owned but what is derived. */
struct ks_evidence {
	const struct ks_plan *plan;
	const struct ks_gen_spec *gen;
	struct ks_records *records; /* only the marks are changed */
	uint64_t seed;    /* of the run; only what calls are about is drawn from it (ks_context) */
	bool control;     /* the run was made without the plan's faults */
	const struct ks_clock_change *change; /* by time; NULL: the plan's faults are all that changed clocks */
	size_t nchange;
	int64_t noise_ns; /* of the world's clock readings */
	/* derived once by ks_evidence_init: */
	bool all_exposed; /* every call met a fault, else those that are marked (see ks_evidence_init) */
	uint64_t nexposed;
	struct ks_key *order;    /* a record each, of foreign keys: their ranks; NULL: a key is its own number */
	struct ks_tick_field tick; /* of the generator; tick_ns 0: none */
	uint64_t tick_max;         /* no later one is within int64 */
	enum ks_compare compare; /* how the printed keys sort: the generator's word, or found from foreign keys */
};

/* Derives the order of foreign keys and exposure.
 *
 * Foreign keys compare as numbers when all of them are decimal without leading zeros, else byte by byte; equal ranks
 * are equal texts.
 *
 * A call met a fault when the clock that it read last
 *   - had moved since the thread's previous reading of that clock by other than true time, beyond noise_ns, or
 *   - showed an instant that the node had lived before: not later than the latest reading of that clock on that node
 *     before the last change that a fault or the daemon that keeps it had made to the node's clocks by then, or
 *   - was read while the clocks of the machine's cores differed;
 * or when the call
 *   - was due, or going on, while its thread was stopped or its process away, or was lost by that,
 *   - came after a restart that lost the state of the process, where the generator has any,
 *   - came after a rollback, or from a clone, or, after the snapshot, from the node that was cloned,
 *   - came from a node whose worker id another node has too.
 * The first reading of a thread can meet a fault in the second way only. A free-running program's readings are not seen:
 * its calls count from the first fault on their node on. Without faults (none in the plan, or a control) every call counts.
 * Refused and lost calls count too: they were exposed, and that is why they have no key.
 * @return 0, or -1 (KS_E_INTERNAL): out of memory, too many records. */
int ks_evidence_init(struct ks_evidence *e, struct ks_err *err);
/* The number of a row that is compared, and whether the row's call met a fault. */
static inline struct ks_key ks_order(const struct ks_evidence *e, size_t row)
{
	return e->order ? e->order[row] : ks_record_get(e->records, row).key;
}
static inline bool ks_exposed(const struct ks_evidence *e, size_t row)
{
	return e->all_exposed || ks_record_marked(e->records, row);
}
void ks_evidence_release(struct ks_evidence *e);

/* The instant that a key names, in ns since the start of the scenario, hi excluded. @return false: it names none. */
bool ks_embedded_slow(const struct ks_evidence *e, const struct ks_record *r, int64_t *lo_ns, int64_t *hi_ns);
static inline bool ks_embedded(const struct ks_evidence *e, const struct ks_record *r, int64_t *lo_ns, int64_t *hi_ns)
{
	uint64_t tick = (e->tick.upper ? r->key.hi : r->key.lo) >> e->tick.shift;
	if (!e->tick.tick_ns || tick > e->tick_max)
		return ks_embedded_slow(e, r, lo_ns, hi_ns);
	*lo_ns = e->tick.epoch_unix_ns + (int64_t)tick * e->tick.tick_ns - e->plan->start_unix_ns;
	*hi_ns = *lo_ns + e->tick.tick_ns;
	return r->outcome == KS_KEY;
}
/* Part of ks_evidence_init. */
void ks_evidence_ticks(struct ks_evidence *e);

/* What a call is about (see ks_call.h), drawn from the plan's ranges: the same that the generator was told. */
struct ks_call_context ks_context(const struct ks_plan *plan, uint64_t seed, const struct ks_lane *lane, uint32_t seq);

/* @return 0, or -1 (KS_E_INTERNAL): out of memory. Exact; O(n log n) time, about ten words a key. */
int ks_metrics_compute(const struct ks_evidence *e, struct ks_metrics *m, struct ks_err *err);
/* Adds inversions and rem, which are unknown without it. O(n log n), little more than O(n) when nearly in order; nine
 * words a key. @return 0, or -1 (KS_E_INTERNAL): out of memory. */
int ks_metrics_disorder(const struct ks_evidence *e, struct ks_metrics *m, struct ks_err *err);

/* What the keys of a run are like, measured on up to 20,000 of them, evenly spread over it. */
struct ks_traits {
	uint64_t keys;               /* looked at; 0: the rest says nothing */
	size_t chars_min, chars_max; /* of the printed form, bytes */
	bool text_sorts;             /* byte by byte, as the keys do */
	bool tells_time;             /* the key names an instant, to within */
	int64_t time_ns;             /* that */
};
void ks_traits_find(const struct ks_evidence *e, struct ks_traits *traits);

/* A property, judged in a scope. Violations, each found at its later call:
 *   unique      the key equals an earlier one of its group
 *   increasing  the key is smaller than one whose call had returned before this one began. Calls of one thread follow
 * one another; between threads an equal instant is not before sorted(b)   the key is smaller than one that had been
 * returned more than b earlier causal      the key is not larger than that of the call that caused it (record.parent),
 * both in one group clock(b)    the instant in the key lies more than b after the return or before the call (0 when it
 * is inside) available(b) the call was refused, returned more than b after it was due, or was lost when the run ended
 * more than b after it was due
 *
 * broken: a violation was found. Else untested, with the reason: nothing was called or issued, what is needed is not
 * known, or no call met a fault. Else kept. The witness is the violation whose later call comes first in fleet order,
 * and of the earlier calls that it contradicts the nearest one (unique: the first one with that key; null: one row
 * only). */
struct ks_judgement {
	struct ks_claim_ref claim;
	char text[KS_NAME_MAX];
	bool by_generator; /* set by the caller: its own promise, or only asserted by the scenario */
	enum ks_verdict verdict;
	uint64_t count;         /* of violations: calls; for unique n - distinct */
	uint64_t exposed;       /* calls that a fault could have broken; causal: those with a cause */
	uint64_t exposed_pairs; /* pairs of such a call with an earlier returned one of its group */
	char reason[160];       /* of untested */
	/* Of unique, kept, where uniqueness rests on random bits: with n exposed keys and no duplicate, at most this
	 * share of keys is one (95 %): 1 - 0.05^(1/n), to 6 digits. 0: none. */
	double bound;
	int64_t witness[2]; /* rows (indices into records), the earlier first; -1: none */
};
/* @return 0, or -1 (KS_E_INTERNAL): out of memory. */
int ks_judge(const struct ks_evidence *e, struct ks_claim_ref claim, struct ks_judgement *j, struct ks_err *err);

/* All metrics but those of disorder, and all claims at once: the same as from the functions above, sooner where keys are nearly
 * in order. judgement: n of them, by claims. @return 0, or -1 (KS_E_INTERNAL): out of memory. */
int ks_judge_all(const struct ks_evidence *e, const struct ks_claim_ref *claims, size_t n, struct ks_metrics *m,
		 struct ks_judgement *judgement, struct ks_err *err);

/* Theory: what n - distinct should be, in closed form, for generator x fault that have one. It follows from the plan, and from
 * what the plan draws by seed (node ids, drifts, jitter), alone. It holds for `sim`: calls read their clock within
 * KS_THEORY_LATE_NS of being due, or of the thread being free. Where processes begin anew or nodes are cloned it is what state
 * that lasts as long as a process keeps within one. For a control, pass the plan with no faults. */
enum ks_law { KS_LAW_NONE, KS_LAW_EXACT, KS_LAW_POISSON, KS_LAW_NORMAL };
extern const char *const ks_law_names[4];
#define KS_THEORY_LATE_NS KS_US
struct ks_theory {
	enum ks_law law;
	enum ks_scope scope;   /* whose: the fleet's where they have a law that faults show in, else each node's,
				  process's, thread's */
	double mean, variance; /* to 6 digits */
	/* The two-sided 1e-9 prediction interval: exact: the mean, wider by one for each call so near to a tick or a
	 * fault that KS_THEORY_LATE_NS decides; others: Chernoff's bound, so of at least that confidence. */
	int64_t low, high;
	char text[160]; /* the formula; of NONE: the premise that is not met */
};
/* law NONE when there is no closed form. A result outside [low, high] fails the run. */
void ks_theory_duplicates(const struct ks_plan *plan, const struct ks_gen_spec *gen, uint64_t seed, struct ks_theory *theory);

#endif
