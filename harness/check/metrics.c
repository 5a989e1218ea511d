#include "groups.h"

#include "stalls.h"

int64_t ks_metric_get(const struct ks_metrics *m, enum ks_metric metric, enum ks_scope scope)
{
	return metric < KS_NSCOPED_METRICS ? m->scoped[metric][scope] : m->plain[metric - KS_NSCOPED_METRICS];
}

static void add(struct ks_metrics *m, enum ks_scope scope, const struct ks_disorder *d)
{
	m->scoped[KS_M_DUPLICATES][scope] += d->duplicates;
	m->scoped[KS_M_DESCENTS][scope] += d->descents;
	m->scoped[KS_M_BELOW_MAX][scope] += d->below_max;
	if (d->displacement > m->scoped[KS_M_DISPLACEMENT][scope])
		m->scoped[KS_M_DISPLACEMENT][scope] = d->displacement;
	if (d->late_ns_max > m->scoped[KS_M_LATE_NS_MAX][scope])
		m->scoped[KS_M_LATE_NS_MAX][scope] = d->late_ns_max;
}

/* *groups: of the scope before, which this one refines or coarsens: as many groups means the same groups. */
static int one_scope(const struct ks_evidence *e, enum ks_scope scope, uint32_t *groups, struct ks_scratch *scratch,
		     struct ks_metrics *m, struct ks_err *err)
{
	struct ks_groups g;
	struct ks_disorder d;
	int failed = ks_groups_init(&g, e->records, scope, err);
	if (!failed && scope && g.n == *groups) {
		for (int i = 0; i < KS_NSCOPED_METRICS; i++)
			m->scoped[i][scope] = m->scoped[i][scope - 1];
	} else {
		for (uint32_t i = 0; !failed && i < g.n; i++) {
			failed = ks_disorder(e, &g.rows[g.start[i]], g.start[i + 1] - g.start[i], scratch, &d, err);
			if (!failed)
				add(m, scope, &d);
		}
	}
	*groups = g.n;
	ks_groups_release(&g);
	return failed;
}

static void set_max(struct ks_metrics *m, enum ks_metric metric, int64_t value)
{
	int64_t *at = &m->plain[metric - KS_NSCOPED_METRICS];
	if (value > *at)
		*at = value;
}

/* How far keys are ahead of their calls, or behind. */
static void time_metrics(const struct ks_evidence *e, bool times_known, struct ks_metrics *m)
{
	int64_t lo, hi;
	for (size_t i = 0; i < e->records->n; i++) {
		struct ks_record r = ks_record_get(e->records, i);
		if (!ks_embedded(e, &r, &lo, &hi))
			continue;
		m->known[KS_M_AHEAD_NS_MAX] = true;
		m->known[KS_M_BEHIND_NS_MAX] = times_known;
		set_max(m, KS_M_AHEAD_NS_MAX, lo - r.return_ns);
		if (times_known)
			set_max(m, KS_M_BEHIND_NS_MAX, r.call_ns - hi);
	}
}

static int stall_metrics(const struct ks_evidence *e, struct ks_metrics *m, struct ks_err *err)
{
	struct ks_stalls stalls;
	int failed = ks_stalls_init(&stalls);
	for (size_t i = 0; !failed && i < e->records->n; i++) {
		struct ks_record r = ks_record_get(e->records, i);
		if (r.outcome != KS_LOST)
			failed = ks_stalls_add(&stalls, r.return_ns - r.due_ns);
	}
	if (!failed)
		ks_stalls_metrics(&stalls, m);
	ks_stalls_release(&stalls);
	return failed ? ks_fail(err, KS_E_INTERNAL, "out of memory for the stalls of %zu calls", e->records->n) : 0;
}

/* @return whether the times of all calls are known. */
static bool count(const struct ks_evidence *e, struct ks_metrics *m)
{
	const struct ks_records *r = e->records;
	bool times_known = true;
	m->calls = r->n;
	for (size_t i = 0; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		m->keys += v.outcome == KS_KEY;
		m->plain[KS_M_REFUSALS - KS_NSCOPED_METRICS] += v.outcome == KS_REFUSE;
		m->plain[KS_M_LOST - KS_NSCOPED_METRICS] += v.outcome == KS_LOST;
		times_known = times_known && !(v.flags & KS_CALL_UNKNOWN);
		if (v.outcome == KS_KEY && v.parent < r->n && ks_record_get(r, v.parent).outcome == KS_KEY)
			m->plain[KS_M_CAUSALITY_VIOLATIONS - KS_NSCOPED_METRICS] +=
			    !ks_key_less(ks_order(e, v.parent), ks_order(e, i));
	}
	return times_known;
}

int ks_metrics_compute(const struct ks_evidence *e, struct ks_metrics *m, struct ks_err *err)
{
	struct ks_scratch scratch = {0};
	uint32_t groups = 0;
	int failed = 0;
	*m = (struct ks_metrics){0};
	for (int i = 0; i < KS_M_INVERSIONS; i++)
		m->known[i] = true;
	m->known[KS_M_CAUSALITY_VIOLATIONS] = m->known[KS_M_REFUSALS] = m->known[KS_M_LOST] = true;
	bool times_known = count(e, m);
	time_metrics(e, times_known, m);
	for (int s = 0; !failed && s < KS_NSCOPES; s++)
		failed = one_scope(e, (enum ks_scope)s, &groups, &scratch, m, err);
	ks_scratch_release(&scratch);
	return failed || (times_known && stall_metrics(e, m, err)) ? -1 : 0;
}
