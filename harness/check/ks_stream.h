/* Checkers of records as they pass: the same metrics and judgements as of kept records (ks_check.h), in memory that does
 * not grow with the run.
 *
 * It is optimistic: of what passed it keeps the last KS_STREAM_ROWS rows, and of what came before only maxima and counts. That is
 * exact as long as keys are nearly in order and clocks do not go far back. At the first record that it could not judge
 * exactly it wants no more and says why; the run is to be repeated with its records kept. What needs the records
 * themselves (consumers, plots, key files, disorder) is not for it. */
#ifndef KS_STREAM_H
#define KS_STREAM_H

#include "ks_check.h"
#include "ks_sink.h"

#define KS_STREAM_ROWS (1 << 14) /* what they take fits the caches */

/* e: plan, generator, seed, control and noise are used, and borrowed. rows: how many are kept, a power of 2 and at least 4;
 * usually KS_STREAM_ROWS. @return NULL out of memory. */
struct ks_stream_check *ks_stream_check_new(const struct ks_evidence *e, const struct ks_claim_ref *claims, size_t n, uint32_t rows,
					    struct ks_err *err);
void ks_stream_check_free(struct ks_stream_check *s);
/* For ks_sim. Its take fails with KS_E_JUDGE when it could not judge exactly. */
struct ks_sink ks_stream_check_sink(struct ks_stream_check *s);
/* NULL, or why it could not. */
const char *ks_stream_check_inexact(const struct ks_stream_check *s);
/* After the last record. judgement: n of them, by claims. @return 0, or -1 (KS_E_INTERNAL). */
int ks_stream_check_finish(struct ks_stream_check *s, struct ks_metrics *metrics, struct ks_judgement *judgement, uint64_t *nexposed,
			   struct ks_err *err);

#endif
