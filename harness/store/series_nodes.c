/* Differences over time, a line a node: of clocks, of the times that keys name, of their order, of waiting. */
#include "series.h"

/* ---- clock minus true time ---- */

static bool has_reading(const struct ks_sr_job *j, const struct ks_record *r)
{
	return r->read_ns != KS_NO_TIME && r->clock == j->clock;
}

static bool sample_clock(const struct ks_sr_job *j, size_t row, const struct ks_record *r, struct ks_sr_point *p)
{
	(void)row;
	if (!has_reading(j, r))
		return false;
	*p = (struct ks_sr_point){r->read_at_ns, r->read_ns - r->read_at_ns - j->base[ks_sr_node(j->e, r)]};
	return true;
}

/* The first clock that was read is the one that is drawn. Wall clocks have a reference of their own; of the others only
 * changes mean anything. */
static int choose_clock(struct ks_sr_job *j)
{
	uint32_t nodes = j->e->plan->nodes;
	j->clock = -1;
	j->base = ks_alloc(nodes, sizeof(*j->base));
	bool *seen = ks_alloc(nodes, sizeof(*seen));
	if (!j->base || !seen) {
		ks_free(seen);
		return ks_sr_no_memory(j->err);
	}
	for (size_t i = 0; i < j->e->records->n; i++) {
		struct ks_record r = ks_sr_get(j->e, i);
		if (j->clock < 0 && r.read_ns != KS_NO_TIME)
			j->clock = r.clock;
		uint32_t node = ks_sr_node(j->e, &r);
		if (!has_reading(j, &r) || seen[node])
			continue;
		seen[node] = true;
		if (j->clock != KS_REALTIME && j->clock != KS_TAI)
			j->base[node] = r.read_ns - r.read_at_ns;
	}
	ks_free(seen);
	return 0;
}

int ks_sr_clock(struct ks_sr_job *j)
{
	if (choose_clock(j))
		return -1;
	if (j->clock < 0)
		return ks_sr_missing(j, "clock", "the generator read no clock");
	return ks_sr_lines(j, "clock", KS_SR_LINE, sample_clock, "clock reading minus true time");
}

/* ---- key time minus call time ---- */

static bool sample_keytime(const struct ks_sr_job *j, size_t row, const struct ks_record *r, struct ks_sr_point *p)
{
	struct ks_fields fields;
	(void)row;
	if (r->outcome != KS_KEY || (r->flags & KS_CALL_UNKNOWN))
		return false;
	if (!ks_gen_decode(j->e->gen, &j->e->records->texts, r->key, &fields) || !fields.has_time)
		return false;
	*p = (struct ks_sr_point){r->call_ns, fields.embed_lo_unix_ns - j->e->plan->start_unix_ns - r->call_ns};
	return true;
}

static const char *why_no_keytime(const struct ks_sr_job *j)
{
	struct ks_sr_point p;
	for (size_t i = 0; i < j->e->records->n; i++) {
		struct ks_record r = ks_sr_get(j->e, i);
		if (sample_keytime(j, i, &r, &p))
			return NULL;
	}
	for (size_t i = 0; i < j->e->records->n; i++)
		if (ks_sr_get(j->e, i).flags & KS_CALL_UNKNOWN)
			return "call times are unknown";
	return "the keys hold no time";
}

int ks_sr_keytime(struct ks_sr_job *j)
{
	const char *why = why_no_keytime(j);
	if (why)
		return ks_sr_missing(j, "keytime", why);
	return ks_sr_lines(j, "keytime", KS_SR_LINE, sample_keytime, "key time minus call time");
}

/* ---- the order of keys ---- */

static int by_group(const void *a, const void *b, void *arg)
{
	const struct ks_sr_job *j = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint64_t gx = ks_sr_group(j->e, j->order_scope, x), gy = ks_sr_group(j->e, j->order_scope, y);
	return gx != gy ? (gx < gy ? -1 : 1) : (x > y) - (x < y);
}

/* How long before its own return a larger key of its group had been returned first: late[row], or -1 when none had been. tops:
 * the rows at which the maximum of the group grew, so the first larger key is found by halving. @return how many are late by
 * any time: of two that return at one instant none is. */
static size_t find_late(const struct ks_sr_job *j, const uint32_t *row, size_t keys, uint32_t *tops, int64_t *late)
{
	size_t ntops = 0, found = 0;
	for (size_t i = 0; i < keys; i++) {
		struct ks_key key = ks_order(j->e, row[i]);
		bool begins = !i || ks_sr_group(j->e, j->order_scope, row[i - 1]) != ks_sr_group(j->e, j->order_scope, row[i]);
		size_t low = 0, high = ntops = begins ? 0 : ntops;
		while (low < high) {
			size_t mid = low + (high - low) / 2;
			if (ks_key_less(key, ks_order(j->e, tops[mid])))
				high = mid;
			else
				low = mid + 1;
		}
		late[row[i]] = low < ntops ? ks_sr_get(j->e, row[i]).return_ns - ks_sr_get(j->e, tops[low]).return_ns : -1;
		found += late[row[i]] > 0;
		if (low == ntops)
			tops[ntops++] = row[i];
	}
	return found;
}

/* In the scope of j. @return how many keys are late, or -1 out of memory. */
static long late_in(struct ks_sr_job *j, int64_t *late, size_t *keys)
{
	size_t n = 0;
	long found = -1;
	uint32_t *row = ks_alloc(j->e->records->n, sizeof(*row)), *tops = ks_alloc(j->e->records->n, sizeof(*tops));
	if (row && tops) {
		for (size_t i = 0; i < j->e->records->n; i++) {
			late[i] = -1;
			if (ks_sr_get(j->e, i).outcome == KS_KEY)
				row[n++] = (uint32_t)i;
		}
		if (j->order_scope != KS_SCOPE_FLEET)
			qsort_r(row, n, sizeof(*row), by_group, j);
		found = (long)find_late(j, row, n, tops, late);
	}
	ks_free(row);
	ks_free(tops);
	*keys = n;
	return found;
}

/* The scope follows from the run without faults, where there is one. */
static long choose_order_scope(struct ks_sr_job *j)
{
	struct ks_sr_job plain = *j;
	long found = 0;
	size_t keys;
	plain.e = j->control ? j->control : j->e;
	int64_t *late = ks_alloc(plain.e->records->n, sizeof(*late));
	for (size_t i = 0; late && i < 4; i++) {
		j->order_scope = plain.order_scope = ks_sr_scopes[i];
		found = late_in(&plain, late, &keys);
		if (found < 0 || ks_sr_few((size_t)found, keys))
			break;
	}
	ks_free(late);
	return late ? found : -1;
}

static bool sample_late(const struct ks_sr_job *j, size_t row, const struct ks_record *r, struct ks_sr_point *p)
{
	if (r->outcome != KS_KEY)
		return false;
	*p = (struct ks_sr_point){r->return_ns, j->late_ns[row] > 0 ? j->late_ns[row] : 0};
	return true;
}

int ks_sr_order(struct ks_sr_job *j)
{
	size_t keys;
	long control = choose_order_scope(j), found = -1;
	j->late_ns = ks_alloc(j->e->records->n, sizeof(*j->late_ns));
	if (j->late_ns && control >= 0)
		found = late_in(j, j->late_ns, &keys);
	if (found < 0)
		return ks_sr_no_memory(j->err);
	if (!found && !control)
		return ks_sr_missing(j, "order", "");
	return ks_sr_lines(j, "order", KS_SR_LINE, sample_late, "return minus the first return of a larger key");
}

/* ---- causes ---- */

static bool key_time(const struct ks_sr_job *j, const struct ks_record *r, int64_t *ns)
{
	struct ks_fields fields;
	if (r->outcome != KS_KEY || !ks_gen_decode(j->e->gen, &j->e->records->texts, r->key, &fields) || !fields.has_time)
		return false;
	*ns = fields.embed_lo_unix_ns;
	return true;
}

static bool sample_causal(const struct ks_sr_job *j, size_t row, const struct ks_record *r, struct ks_sr_point *p)
{
	int64_t child, parent;
	(void)row;
	if (r->parent == KS_NO_PARENT || r->parent >= j->e->records->n)
		return false;
	struct ks_record cause = ks_sr_get(j->e, r->parent);
	if (!key_time(j, r, &child) || !key_time(j, &cause, &parent))
		return false;
	*p = (struct ks_sr_point){r->return_ns, child - parent};
	return true;
}

int ks_sr_causal(struct ks_sr_job *j)
{
	struct ks_sr_point p;
	bool caused = false;
	for (size_t i = 0; i < j->e->records->n; i++) {
		struct ks_record r = ks_sr_get(j->e, i);
		caused = caused || (r.parent != KS_NO_PARENT && r.outcome == KS_KEY);
		if (sample_causal(j, i, &r, &p))
			return ks_sr_lines(j, "causal", KS_SR_DOTS, sample_causal, "key time minus key time of the cause");
	}
	return caused ? ks_sr_missing(j, "causal", "the keys hold no time") : 0;
}
