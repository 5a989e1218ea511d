/* What the series behind the plots share. Private to this folder. */
#ifndef KS_SERIES_H
#define KS_SERIES_H

#include <stdlib.h>
#include <string.h>

#include "ks_mem.h"
#include "ks_store.h"

struct ks_sr_point {
	int64_t t, v;
};
struct ks_sr_window {
	int64_t from_ns, to_ns; /* both inside */
};

/* The nodes that have a block of their own, and the block that each node's points go to. */
struct ks_sr_blocks {
	uint32_t own[KS_SERIES_NODES];
	uint32_t nown, n; /* n: with "others" */
	uint32_t *of;     /* a node each */
};

struct ks_sr_job {
	const struct ks_run_facts *facts;
	const struct ks_evidence *e, *control;
	int64_t witness;
	const char *dir;
	struct ks_err *err;
	struct ks_sr_blocks blocks;
	struct ks_sr_window whole, near;
	const char *about; /* what near is around: "witness", "damage", "fault", "start" */
	int64_t end_ns;
	int clock;     /* enum ks_clock_id that the generator read, or -1 */
	int64_t *base; /* a node each: offset of its first reading, where offsets are relative */
	enum ks_scope dups_scope, order_scope; /* within which duplicates and late keys are told */
	int64_t *late_ns; /* a row each, see ks_sr_order */
	json_t *ranges, *missing, *counts;
};

/* Memory or a file failed: -1. What cannot be told, or has nothing to show: 0, and meta.json says why. */
int ks_sr_no_memory(struct ks_err *err);
int ks_sr_missing(struct ks_sr_job *j, const char *series, const char *why);
int ks_sr_open(const struct ks_sr_job *j, const char *series, struct ks_file *file);
void ks_sr_range(struct ks_sr_job *j, const char *series, double low, double high, uint64_t points);
void ks_sr_seconds(FILE *f, int64_t ns);
void ks_sr_name(FILE *f, const char *name); /* as one word of a data file */
const char *ks_sr_block_name(const struct ks_sr_job *j, uint32_t block);

static inline struct ks_record ks_sr_get(const struct ks_evidence *e, size_t row)
{
	return ks_record_get(e->records, row);
}
static inline uint32_t ks_sr_node(const struct ks_evidence *e, const struct ks_record *r)
{
	return e->records->lanes[r->lane].node;
}

/* Whom a row belongs to in a scope: equal numbers are one group. */
uint64_t ks_sr_group(const struct ks_evidence *e, enum ks_scope scope, size_t row);
/* Is this the scope to tell a thing in? Asked from the widest on: the first one in which it happens to few keys without the
 * fault. What happens all day between nodes (bare milliseconds collide, keys of one ms sort by node) would drown what a
 * fault adds. Where it happens to many in every scope, the node. */
extern const enum ks_scope ks_sr_scopes[4];
bool ks_sr_few(size_t n, size_t keys);

/* Lines over time, a block a node. What the call of a row adds. @return whether it adds anything. */
typedef bool ks_sr_sample_fn(const struct ks_sr_job *j, size_t row, const struct ks_record *r, struct ks_sr_point *p);
/* Writes NAME.dat and near-NAME.dat. Of lines the points between the ends of a straight piece are left out; dots stand alone. */
enum ks_sr_shape { KS_SR_LINE, KS_SR_DOTS };
int ks_sr_lines(struct ks_sr_job *j, const char *name, enum ks_sr_shape shape, ks_sr_sample_fn *sample, const char *header);

/* One picture each. */
int ks_sr_clock(struct ks_sr_job *j);
int ks_sr_keytime(struct ks_sr_job *j);
int ks_sr_order(struct ks_sr_job *j);
int ks_sr_causal(struct ks_sr_job *j);
int ks_sr_stalls(struct ks_sr_job *j); /* and waits */
int ks_sr_lates(struct ks_sr_job *j);  /* after ks_sr_order */
int ks_sr_dups(struct ks_sr_job *j);
int ks_sr_served(struct ks_sr_job *j);
int ks_sr_damage(struct ks_sr_job *j);

#endif
