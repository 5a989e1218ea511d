/* How far a group is from sorted: pairs out of order, and how many keys would have to go. Both are quick on what is
 * nearly in order, as keys of a clock are. */
#include <string.h>

#include "groups.h"
#include "ks_mem.h"

/* @return the first of n ascending keys that is larger than k (above: true) or not less than k; n if none is. Gallops
 * from the end: late keys belong near it. */
static size_t place(const struct ks_key *keys, size_t n, struct ks_key k, bool above)
{
	size_t high = n, step = 1;
	while (high) { /* keys[high..] are on the right side of k */
		size_t at = high > step ? high - step : 0;
		if (above ? !ks_key_less(k, keys[at]) : ks_key_less(keys[at], k)) {
			size_t low = at + 1;
			while (low < high) {
				size_t mid = low + (high - low) / 2;
				if (above ? ks_key_less(k, keys[mid]) : !ks_key_less(keys[mid], k))
					high = mid;
				else
					low = mid + 1;
			}
			return high;
		}
		high = at;
		step *= 2;
	}
	return 0;
}

/* Merges two neighbouring ascending runs; spare has room for the left one. @return the pairs out of order between them. */
static uint64_t merge(struct ks_key *keys, size_t left, size_t n, struct ks_key *spare)
{
	uint64_t pairs = 0;
	if (!left || left == n || !ks_key_less(keys[left], keys[left - 1]))
		return 0;
	size_t from = place(keys, left, keys[left], true); /* what is before it is in its place */
	size_t end = left + 1;
	while (end < n && ks_key_less(keys[end], keys[left - 1]))
		end++; /* what is after it, too */
	size_t rest = left - from, i = 0, j = left, out = from;
	memcpy(spare, &keys[from], rest * sizeof *keys);
	while (i < rest && j < end) {
		if (ks_key_less(keys[j], spare[i])) {
			pairs += rest - i;
			keys[out++] = keys[j++];
		} else {
			keys[out++] = spare[i++];
		}
	}
	memcpy(&keys[out], &spare[i], (rest - i) * sizeof *keys);
	return pairs;
}

/* Natural merge sort: neighbouring runs, pair by pair. start: room for n + 1 places. */
uint64_t ks_inversions(struct ks_key *keys, size_t n, struct ks_key *spare, uint32_t *start)
{
	uint64_t pairs = 0;
	size_t runs = 0;
	for (size_t i = 0; i < n; i++)
		if (!i || ks_key_less(keys[i], keys[i - 1]))
			start[runs++] = (uint32_t)i;
	start[runs] = (uint32_t)n;
	while (runs > 1) {
		size_t kept = 0;
		for (size_t i = 0; i < runs; i += 2) {
			uint32_t at = start[i];
			if (i + 1 < runs)
				pairs += merge(&keys[at], start[i + 1] - at, start[i + 2] - at, spare);
			start[kept++] = at;
		}
		start[kept] = (uint32_t)n;
		runs = kept;
	}
	return pairs;
}

/* Patience sorting: tail[i] is the smallest last key of a non-decreasing subsequence of i + 1 keys. */
uint64_t ks_rem(const struct ks_key *keys, size_t n, struct ks_key *tail)
{
	size_t m = 0;
	for (size_t i = 0; i < n; i++) {
		if (!m || !ks_key_less(keys[i], tail[m - 1]))
			tail[m++] = keys[i];
		else
			tail[place(tail, m, keys[i], true)] = keys[i];
	}
	return n - m;
}

struct room {
	struct ks_key *keys, *spare;
	uint32_t *start;
};

static void one_group(const struct ks_evidence *e, const uint32_t *row, size_t n, const struct room *room, int64_t *inversions,
                      int64_t *rem)
{
	for (size_t i = 0; i < n; i++)
		room->keys[i] = ks_order(e, row[i]);
	*rem += (int64_t)ks_rem(room->keys, n, room->spare); /* before the keys are sorted */
	*inversions += (int64_t)ks_inversions(room->keys, n, room->spare, room->start);
}

static int one_scope(const struct ks_evidence *e, enum ks_scope scope, const struct room *room, struct ks_metrics *m,
                     struct ks_err *err)
{
	struct ks_groups g;
	int failed = ks_groups_init(&g, e->records, scope, err);
	int64_t *inversions = &m->scoped[KS_M_INVERSIONS][scope], *rem = &m->scoped[KS_M_REM][scope];
	*inversions = *rem = 0;
	for (uint32_t i = 0; !failed && i < g.n; i++)
		one_group(e, &g.rows[g.start[i]], g.start[i + 1] - g.start[i], room, inversions, rem);
	ks_groups_release(&g);
	return failed;
}

int ks_metrics_disorder(const struct ks_evidence *e, struct ks_metrics *m, struct ks_err *err)
{
	size_t n = e->records->n;
	struct room room = {ks_resize(NULL, n, sizeof *room.keys), ks_resize(NULL, n, sizeof *room.spare),
	                    ks_resize(NULL, n + 1, sizeof *room.start)};
	int failed = room.keys && room.spare && room.start
	                 ? 0
	                 : ks_fail(err, KS_E_INTERNAL, "out of memory for the disorder of %zu keys", n);
	for (int s = 0; !failed && s < KS_NSCOPES; s++)
		failed = one_scope(e, (enum ks_scope)s, &room, m, err);
	m->known[KS_M_INVERSIONS] = m->known[KS_M_REM] = !failed;
	ks_free(room.keys);
	ks_free(room.spare);
	ks_free(room.start);
	return failed;
}
