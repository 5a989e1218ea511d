/* Consumers: downstream models that turn broken claims into damage.
 *
 * They see keys in the order of return, which is the order of rows, and what each call is about (ks_context). They see
 * nothing of the faults: all damage follows from calls, returns, keys, contexts and clock readings. */
#ifndef KS_CONSUMER_H
#define KS_CONSUMER_H

#include "ks_check.h"
#include "ks_opt.h"

/* What a consumer counts. Names that end in _max are maxima, with _ns_ in them durations; all others are counts. */
struct ks_damage {
	const char *name; /* "double_charges" */
	const char *help; /* one line */
};
#define KS_DAMAGES_MAX 8

/* One piece of damage: the call that did it, and the earlier one that it was done to. */
struct ks_harm {
	uint32_t row, victim; /* victim: KS_NO_PARENT when there is none */
	uint8_t damage;       /* index into the consumer's damages */
	int64_t amount;       /* 1 of what is counted; of maxima the value */
};

/* What a consumer makes of a run. Owned; release with ks_toll_release. */
struct ks_toll {
	int64_t value[KS_DAMAGES_MAX];
	struct ks_harm *v; /* ascending by row, then damage, then victim */
	size_t n, cap;
	bool lost;       /* memory ran out while adding */
	char unknown[160]; /* not "": the records do not tell, and why */
};

struct ks_consumer {
	const char *name, *title;
	const struct ks_opt *opts;
	size_t cfg_size;
	const struct ks_damage *damages; /* ends with a NULL name */
	/* Adds its damages to the toll. @return 0, or -1 (KS_E_INTERNAL). */
	int (*consume)(const void *cfg, const struct ks_evidence *e, struct ks_toll *toll, struct ks_err *err);
};
extern const struct ks_consumer *const ks_consumers[]; /* ends with NULL */
const struct ks_consumer *ks_consumer_find(const char *name);
/* Is it a maximum, is it a duration? */
bool ks_damage_is_max(const char *name);
bool ks_damage_is_time(const char *name);

/* @return 0, or -1 (KS_E_INTERNAL): out of memory. Release the toll in any case. */
int ks_consume(const struct ks_consumer *consumer, const void *cfg, const struct ks_evidence *e, struct ks_toll *toll,
	       struct ks_err *err);
void ks_toll_release(struct ks_toll *toll);

/* ---- for consumers ---- */

void ks_harm(struct ks_toll *toll, int damage, size_t row, size_t victim, int64_t amount);
/* What the call of a row is about. */
struct ks_call_context ks_row_context(const struct ks_evidence *e, size_t row);
const struct ks_lane *ks_row_lane(const struct ks_evidence *e, size_t row);
int64_t ks_row_return(const struct ks_evidence *e, size_t row);

/* Where a key lives: keys of different homes never meet. */
struct ks_home {
	uint64_t where, part;
};
typedef struct ks_home ks_home_fn(const struct ks_evidence *e, size_t row);
/* Calls each for every set of rows that share home and key, in order of return. home: NULL when all keys live in one
 * place. @return 0, or -1 (KS_E_INTERNAL): out of memory. */
int ks_by_key(const struct ks_evidence *e, ks_home_fn *home,
	      void (*each)(void *context, const uint32_t *row, size_t n), void *context, struct ks_err *err);

#endif
