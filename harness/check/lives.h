/* Exposure to what ends, repeats or stops lives: restarts, clones, rollbacks, ids that two nodes share, and stops of which
 * only the records know when. */
#ifndef KS_LIVES_H
#define KS_LIVES_H

#include "ks_check.h"

struct ks_lives {
	const struct ks_evidence *e;
	bool *shared;      /* nodes: another node has the same worker id */
	size_t *halt;      /* lanes: the first stop that has not ended before the lane's last call was due */
	bool has_state;    /* the generator remembers anything */
	bool any;          /* there is something to look for */
};

/* @return 0, or -1 (KS_E_INTERNAL): out of memory. */
int ks_lives_init(struct ks_lives *l, const struct ks_evidence *e, struct ks_err *err);
void ks_lives_release(struct ks_lives *l);
/* Records are asked about in fleet order. */
bool ks_lives_met(struct ks_lives *l, const struct ks_record *v);

#endif
