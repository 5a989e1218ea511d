#include "repeats.h"

#include <string.h>

#include "ks_mem.h"

int ks_repeats_init(struct ks_repeats *r, const uint32_t *const group[KS_NSCOPES], const uint32_t groups[KS_NSCOPES], size_t fresh_max,
		    size_t kept_max)
{
	*r = (struct ks_repeats){.fresh_max = fresh_max, .kept_max = kept_max};
	r->kept = ks_resize(NULL, 2 * kept_max + fresh_max, sizeof *r->kept);
	r->fresh = ks_resize(NULL, fresh_max, sizeof *r->fresh);
	r->spare = ks_resize(NULL, 2 * kept_max + fresh_max, sizeof *r->spare);
	bool failed = !r->kept || !r->fresh || !r->spare;
	for (int s = 0; s < KS_NSCOPES; s++) {
		r->witness[s][0] = r->witness[s][1] = -1;
		if (!groups[s])
			continue;
		r->group[s] = group[s];
		r->stamp[s] = ks_alloc(groups[s], sizeof *r->stamp[s]);
		r->first[s] = ks_alloc(groups[s], sizeof *r->first[s]);
		failed = failed || !r->stamp[s] || !r->first[s];
	}
	return failed ? -1 : 0;
}

void ks_repeats_release(struct ks_repeats *r)
{
	ks_free(r->kept);
	ks_free(r->fresh);
	ks_free(r->spare);
	for (int s = 0; s < KS_NSCOPES; s++) {
		ks_free(r->stamp[s]);
		ks_free(r->first[s]);
	}
	*r = (struct ks_repeats){0};
}

/* ---- sorting a batch ---- */

static unsigned digit(const struct ks_passed *p, int byte)
{
	return (byte < 8 ? p->key.lo >> (8 * byte) : p->key.hi >> (8 * (byte - 8))) & 255;
}

static void scatter(const struct ks_passed *from, struct ks_passed *to, size_t n, int byte, uint32_t *at)
{
	uint32_t sum = 0;
	for (int b = 0; b < 256; b++) {
		uint32_t count = at[b];
		at[b] = sum;
		sum += count;
	}
	if (byte < 8)
		for (size_t i = 0; i < n; i++)
			to[at[from[i].key.lo >> (8 * byte) & 255]++] = from[i];
	else
		for (size_t i = 0; i < n; i++)
			to[at[from[i].key.hi >> (8 * (byte - 8)) & 255]++] = from[i];
}

/* Least significant byte first, those alone in which keys differ; stable, so rows of equal keys ascend. */
static void sort_fresh(struct ks_repeats *r)
{
	struct ks_passed *from = r->fresh, *to = r->spare;
	size_t n = r->nfresh;
	struct ks_key differ = {0, 0};
	uint32_t at[16][256];
	int byte[16], bytes = 0;
	for (size_t i = 1; i < n; i++) {
		differ.hi |= from[i].key.hi ^ from[0].key.hi;
		differ.lo |= from[i].key.lo ^ from[0].key.lo;
	}
	for (int b = 0; b < 16; b++)
		if (digit(&(struct ks_passed){.key = differ}, b))
			byte[bytes++] = b;
	memset(at, 0, (size_t)bytes * sizeof *at);
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < bytes; k++)
			at[k][digit(&from[i], byte[k])]++;
	for (int k = 0; k < bytes; k++) {
		scatter(from, to, n, byte[k], at[k]);
		struct ks_passed *other = from;
		from = to;
		to = other;
	}
	if (from != r->fresh)
		memcpy(r->fresh, from, n * sizeof *from);
}

/* ---- merging it with what is kept ---- */

/* v: n entries of one key, rows ascending, those before `fresh_row` counted already. */
static void one_run(struct ks_repeats *r, const struct ks_passed *v, size_t n, uint32_t fresh_row)
{
	r->run++;
	for (int s = 0; s < KS_NSCOPES; s++) {
		if (!r->group[s])
			continue;
		for (size_t i = 0; i < n; i++) {
			uint32_t g = r->group[s][v[i].lane];
			if (r->stamp[s][g] != r->run) {
				r->stamp[s][g] = r->run;
				r->first[s][g] = v[i].row;
				continue;
			}
			if (v[i].row < fresh_row)
				continue;
			r->count[s]++;
			if (r->witness[s][1] < 0 || v[i].row < r->witness[s][1]) {
				r->witness[s][0] = r->first[s][g];
				r->witness[s][1] = v[i].row;
			}
		}
	}
}

/* @return the first kept one that is not less than k: whatever is before it meets no fresh one. */
static size_t place(const struct ks_repeats *r, struct ks_key k)
{
	size_t low = 0, high = r->nkept;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (ks_key_less(r->kept[mid].key, k))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void merge(struct ks_repeats *r, size_t from)
{
	size_t i = from, j = 0, n = 0;
	while (i < r->nkept && j < r->nfresh) /* of equal ones the kept first: their rows are smaller */
		r->spare[n++] = ks_key_less(r->fresh[j].key, r->kept[i].key) ? r->fresh[j++] : r->kept[i++];
	memcpy(&r->spare[n], &r->kept[i], (r->nkept - i) * sizeof *r->kept);
	n += r->nkept - i;
	memcpy(&r->kept[from], r->spare, n * sizeof *r->kept);
	memcpy(&r->kept[from + n], &r->fresh[j], (r->nfresh - j) * sizeof *r->kept);
	r->nkept = from + n + r->nfresh - j;
}

static void find_runs(struct ks_repeats *r, size_t from, uint32_t fresh_row)
{
	const struct ks_passed *v = r->kept;
	for (size_t i = from, end; i + 1 < r->nkept; i = end) {
		for (end = i + 1; end < r->nkept && ks_key_equal(v[i].key, v[end].key);)
			end++;
		if (end - i > 1)
			one_run(r, &v[i], end - i, fresh_row);
	}
}

static void forget(struct ks_repeats *r)
{
	if (r->nkept <= 2 * r->kept_max)
		return;
	size_t drop = r->nkept - r->kept_max;
	r->forgotten = r->kept[drop - 1].key;
	r->has_forgotten = true;
	memmove(r->kept, r->kept + drop, r->kept_max * sizeof *r->kept);
	r->nkept = r->kept_max;
}

int ks_repeats_flush(struct ks_repeats *r)
{
	if (!r->nfresh)
		return 0;
	uint32_t fresh_row = r->fresh[0].row;
	sort_fresh(r);
	if (r->has_forgotten && !ks_key_less(r->forgotten, r->fresh[0].key))
		return -1;
	size_t from = place(r, r->fresh[0].key);
	merge(r, from);
	find_runs(r, from, fresh_row);
	forget(r);
	r->nfresh = 0;
	return 0;
}
