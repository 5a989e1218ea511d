/* Results: from judgements to one JSON document (schema 1), the key file, the series behind the plots, the run folder.
 * Everything is written to a temporary file in the same folder and renamed. */
#ifndef KS_STORE_H
#define KS_STORE_H

#include <jansson.h>

#include "ks_check.h"
#include "ks_consumer.h"
#include "ks_err.h"
#include "ks_result.h"
#include "ks_world.h"

/* An output file that appears whole or not at all. */
struct ks_file {
	FILE *f;
	char path[4096], temp[4120];
};
int ks_file_open(struct ks_file *file, const char *path, struct ks_err *err);
/* Flushes, checks (disk full is KS_E_INTERNAL), renames. The file is gone in any case when it fails. */
int ks_file_commit(struct ks_file *file, struct ks_err *err);
void ks_file_abort(struct ks_file *file);

/* Copies a folder of files and folders into another, which is made; what is there already is replaced. Links and devices are left
 * out. */
int ks_copy_tree(const char *from, const char *to, struct ks_err *err);

/* The printed key of a row, bytes outside 0x21-0x7e and backslash as \xHH; "" when the call has none. @return buf. */
#define KS_ESCAPED_TEXT (4 * KS_KEY_TEXT)
const char *ks_key_print(const struct ks_evidence *e, size_t row, char buf[KS_ESCAPED_TEXT]);

/* The key file (TSV): README and recompute.py tell its columns. */
int ks_keys_write(const struct ks_evidence *e, uint64_t seed, const char *path, struct ks_err *err);

/* The first record, in fleet order, in which two runs of one plan differ: its row in the key file (from 0) and both versions
 * of it, in lines. @return false: there is none. */
bool ks_first_difference(const struct ks_evidence *a, const struct ks_evidence *b, char *text, size_t size);

/* The series behind the plots of one run, into folder dir (which exists). A node is a block of lines (gnuplot's `index`), at most
 * KS_SERIES_POINTS of them, extremes kept:
 *   clock.dat    t_s node ms   clock reading minus true time, of the clock that the generator read; a clock other than REALTIME
 *                              and TAI against the node's first reading of it
 *   keytime.dat  t_s node ms   earliest instant that the key names, minus the time of the call
 *   order.dat    t_s node ms   return of a key minus the first return of a larger one before it; 0: there was none
 *   causal.dat   t_s node ms   instant that the key names, minus that of the key that caused the call
 *   stalls.dat   t_s node ms   return minus due
 * Counts so far, run, then control if there is one:
 *   dups.dat     t_s duplicates, control     served.dat   t_s refused lost, control     damage.dat   t_s DAMAGE.., control
 * and lates.dat: late_ms share, of the keys that came at least so late; waits.dat: wait_ms share, of the calls that waited at least so long; block 0 the run, 1 the control.
 *   near-*.dat   the same around the witness (or the first damage beyond the control, the first fault, the beginning)
 *   meta.json    generator, clock, dups_scope and order_scope (the widest of fleet, node, thread in which the run without faults has
 *                few), rows, nodes (in the order of the blocks), faults (name, at_s, nodes), near (from_s, to_s, about), end_s,
 *                ranges (lowest and highest value of each series, and of how many calls), counts {series: [names]}, control,
 *                missing {series: why; "" when there is nothing to show}: that one has no files
 * Of more than KS_SERIES_NODES nodes the ones hit by a fault or in the witness stand alone and the others share a block "others".
 * witness: row or -1. */
#define KS_SERIES_POINTS 600
#define KS_SERIES_NODES 6
int ks_series_write(const struct ks_run_facts *facts, int64_t witness, const char *dir, struct ks_err *err);

#endif
