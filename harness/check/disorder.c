/* Disorder and duplicates of one group, in one pass and one sort of what is out of order.
 *
 * The keys at which the running maximum grows are the spine: strictly increasing, so free of duplicates and open to
 * binary search. All other keys are late. A late key's farthest larger predecessor is the first of the spine that is
 * larger; a key is a duplicate if it is late and equals one of the spine or another late one. A group in order has an
 * empty rest. */
#include <string.h>

#include "groups.h"
#include "ks_mem.h"

static int reserve(struct ks_scratch *s, size_t n, struct ks_err *err)
{
	if (n <= s->cap)
		return 0;
	ks_scratch_release(s);
	s->spine = ks_alloc(n, sizeof *s->spine);
	s->late = ks_alloc(n, sizeof *s->late);
	s->spare = ks_alloc(n, sizeof *s->spare);
	if (!s->spine || !s->late || !s->spare)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the order of %zu keys", n);
	s->cap = n;
	return 0;
}

void ks_scratch_release(struct ks_scratch *s)
{
	ks_free(s->spine);
	ks_free(s->late);
	ks_free(s->spare);
	*s = (struct ks_scratch){0};
}

/* @return the first place of the spine whose key is not less than k, or (above) larger than k; m if there is none. */
static size_t search(const struct ks_evidence *e, const uint32_t *row, const uint32_t *spine, size_t m, struct ks_key k,
		     bool above)
{
	size_t low = 0, high = m;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct ks_key at = ks_order(e, row[spine[mid]]);
		if (above ? ks_key_less(k, at) : !ks_key_less(at, k))
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* A key below the running maximum, at place j. */
static void below(const struct ks_evidence *e, const uint32_t *row, size_t j, const uint32_t *spine, size_t m,
		  struct ks_disorder *d)
{
	size_t i = spine[search(e, row, spine, m, ks_order(e, row[j]), true)];
	int64_t late_ns = ks_record_get(e->records, row[j]).return_ns - ks_record_get(e->records, row[i]).return_ns;
	d->below_max++;
	d->descents += ks_key_less(ks_order(e, row[j]), ks_order(e, row[j - 1]));
	if ((int64_t)(j - i) > d->displacement)
		d->displacement = (int64_t)(j - i);
	if (late_ns > d->late_ns_max)
		d->late_ns_max = late_ns;
}

/* How many late keys are new: neither in the spine nor equal to another late one before. */
static size_t fresh(const struct ks_evidence *e, const uint32_t *row, const struct ks_scratch *s, size_t m, size_t late)
{
	size_t count = 0;
	for (size_t i = 0; i < late; i++) {
		struct ks_key k = s->late[i];
		if (i && ks_key_equal(k, s->late[i - 1]))
			continue;
		size_t at = search(e, row, s->spine, m, k, false);
		count += at == m || !ks_key_equal(ks_order(e, row[s->spine[at]]), k);
	}
	return count;
}

int ks_disorder(const struct ks_evidence *e, const uint32_t *row, size_t n, struct ks_scratch *s, struct ks_disorder *d,
		struct ks_err *err)
{
	size_t m = 0, late = 0;
	*d = (struct ks_disorder){0};
	if (reserve(s, n, err))
		return -1;
	for (size_t j = 0; j < n; j++) {
		struct ks_key k = ks_order(e, row[j]);
		struct ks_key max = m ? ks_order(e, row[s->spine[m - 1]]) : k;
		if (!m || ks_key_less(max, k)) {
			s->spine[m++] = (uint32_t)j;
			continue;
		}
		s->late[late++] = k;
		if (ks_key_less(k, max))
			below(e, row, j, s->spine, m, d);
	}
	ks_keys_sort(s->late, s->spare, late);
	d->duplicates = (int64_t)(late - fresh(e, row, s, m, late));
	return 0;
}

static unsigned byte_of(struct ks_key k, int byte)
{
	return (byte < 8 ? k.lo >> (8 * byte) : k.hi >> (8 * (byte - 8))) & 255;
}

/* Few keys: not worth a histogram. */
static void insertion_sort(struct ks_key *keys, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct ks_key k = keys[i];
		size_t j = i;
		for (; j && ks_key_less(k, keys[j - 1]); j--)
			keys[j] = keys[j - 1];
		keys[j] = k;
	}
}

/* Radix sort, least significant byte first; a byte that all keys share, as most of a time-based key's, costs one count.
 */
void ks_keys_sort(struct ks_key *keys, struct ks_key *spare, size_t n)
{
	struct ks_key *from = keys, *to = spare;
	if (n <= 32) {
		insertion_sort(keys, n);
		return;
	}
	for (int byte = 0; byte < 16; byte++) {
		size_t at[256] = {0}, sum = 0;
		for (size_t i = 0; i < n; i++)
			at[byte_of(from[i], byte)]++;
		if (at[byte_of(from[0], byte)] == n)
			continue;
		for (int b = 0; b < 256; b++) {
			size_t count = at[b];
			at[b] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			to[at[byte_of(from[i], byte)]++] = from[i];
		struct ks_key *other = from;
		from = to;
		to = other;
	}
	if (from != keys)
		memcpy(keys, from, n * sizeof *keys);
}
