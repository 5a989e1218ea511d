/* The history: one SQLite file of results, to see trends and to find the night on which a verdict changed.
 *
 * It holds what it needs of each result (claims, expectations, metrics, damage), not its plots or witnesses, and can be rebuilt
 * from result folders. Every result is one transaction, so a kill at any point leaves it with or without that result;
 * two writers wait for one another. Its schema has a version (PRAGMA user_version); older ones are migrated in place,
 * newer ones are refused. */
#ifndef KS_HISTORY_H
#define KS_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ks_err.h"

struct ks_history;

enum ks_history_mode { KS_HISTORY_READ, KS_HISTORY_WRITE };
/* READ: the file must be there. WRITE: it is made when it is not, and migrated. KS_E_USAGE: not a history, a newer schema.
 * @return NULL with err. */
struct ks_history *ks_history_open(const char *path, enum ks_history_mode mode, struct ks_err *err);
void ks_history_close(struct ks_history *h);

/* Adds a result. folder: where it lies, for people. *id: its number; of one that is there already, that one's.
 * @return 1 when it is new, 0 when it was there, -1 with err. */
int ks_history_add(struct ks_history *h, const json_t *document, const char *folder, int64_t *id, struct ks_err *err);
/* Forgets everything. */
int ks_history_clear(struct ks_history *h, struct ks_err *err);

/* The last `limit` results (of that name; NULL: of any), newest first: {id, time, name, version, wall_ms, folder, runs, as_expected,
 * met, unmet, untested, failed, exit}. All of these: a new reference, or NULL with err. */
json_t *ks_history_list(struct ks_history *h, const char *name, int64_t limit, struct ks_err *err);
/* A result as it was added, without plots and witnesses: diff reads it. id 0: the newest. KS_E_NOMATCH: no such id. */
json_t *ks_history_document(struct ks_history *h, int64_t id, struct ks_err *err);

/* What to look at; NULL: any. */
struct ks_history_filter {
	const char *scenario, *generator, *world, *claim;
	const char *name; /* of the result */
};
/* Where verdicts changed, oldest first: {id, time, name, scenario, generator, world, claim, from, to, last_id}: on the seeds
 * that both the result and the one before it with that claim (last_id) have, from and to are "kept 3/3". */
json_t *ks_history_changes(struct ks_history *h, const struct ks_history_filter *filter, struct ks_err *err);
/* A metric over time: {scenario, generator, world, points: [{id, time, low, median, high, n}]} a series. scope "" for metrics
 * that have none. */
json_t *ks_history_trend(struct ks_history *h, const char *metric, const char *scope, const struct ks_history_filter *filter,
                         struct ks_err *err);
/* What moved most in `sim`, of the whole fleet, over the last `nights` results of that name: {metric, scope ("" or "fleet"), scenario,
 * generator, low, high}, means over seeds, the largest share of `high` first; at most `limit`. */
json_t *ks_history_moved(struct ks_history *h, const char *name, int64_t nights, int64_t limit, struct ks_err *err);

#endif
