#include "repeats.h"

#include <string.h>

#include "ks_mem.h"

int ks_repeats_init(struct ks_repeats *r, const uint32_t *const group[KS_NSCOPES], const uint32_t groups[KS_NSCOPES], size_t fresh_max,
		    size_t kept_max)
{
	*r = (struct ks_repeats){.fresh_max = fresh_max, .kept_max = kept_max};
	r->kept = ks_resize(NULL, 2 * kept_max + fresh_max, sizeof *r->kept);
	r->fresh = ks_resize(NULL, fresh_max, sizeof *r->fresh);
	r->sorted = ks_resize(NULL, fresh_max, sizeof *r->sorted);
	r->digest = ks_resize(NULL, fresh_max, sizeof *r->digest);
	bool failed = !r->kept || !r->fresh || !r->sorted || !r->digest;
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
	ks_free(r->sorted);
	ks_free(r->digest);
	for (int s = 0; s < KS_NSCOPES; s++) {
		ks_free(r->stamp[s]);
		ks_free(r->first[s]);
	}
	*r = (struct ks_repeats){0};
}

/* ---- sorting a batch ---- */

/* Byte by byte from the least significant one, those alone in which keys differ; stable, so rows of equal keys ascend. */

static unsigned digit(struct ks_key k, int byte)
{
	return (byte < 8 ? k.lo >> (8 * byte) : k.hi >> (8 * (byte - 8))) & 255;
}

static void scatter(const struct ks_passed *from, struct ks_passed *to, size_t n, int byte)
{
	uint32_t at[257] = {0};
	for (size_t i = 0; i < n; i++)
		at[digit(from[i].key, byte) + 1]++;
	for (int b = 0; b < 256; b++)
		at[b + 1] += at[b];
	for (size_t i = 0; i < n; i++)
		to[at[digit(from[i].key, byte)]++] = from[i];
}

static void sort_by_bytes(struct ks_repeats *r, struct ks_key differ)
{
	for (int b = 0; b < 16; b++) {
		if (!digit(differ, b))
			continue;
		struct ks_passed *from = r->fresh;
		scatter(from, r->sorted, r->nfresh, b);
		r->fresh = r->sorted;
		r->sorted = from;
	}
}

/* A digest: the uppermost bits in which keys of the batch differ, from a few stretches of neighbours. It ascends as keys do. */
#define DIGEST_BITS 10
#define DIGEST_PARTS 3
struct digest {
	int drop; /* bits of the key below the 64 that it is from */
	struct {
		int shift, up;
		uint64_t mask;
	} part[DIGEST_PARTS]; /* those that are not needed give 0 */
	int bits;
};

static inline uint64_t upper(struct ks_key k, int drop)
{
	return (uint64_t)(((unsigned __int128)k.hi << 64 | k.lo) >> drop);
}

static struct digest digest_of(struct ks_key differ)
{
	struct digest d = {.drop = differ.hi ? 64 - __builtin_clzll(differ.hi) : 0};
	uint64_t word = upper(differ, d.drop);
	int width[DIGEST_PARTS], parts = 0;
	for (; parts < DIGEST_PARTS && word && d.bits < DIGEST_BITS; parts++) {
		int top = 63 - __builtin_clzll(word), most = DIGEST_BITS - d.bits, n = 1;
		while (n < most && n <= top && word >> (top - n) & 1)
			n++;
		width[parts] = n;
		d.part[parts].shift = top - n + 1;
		d.part[parts].mask = (UINT64_C(1) << n) - 1;
		d.bits += n;
		word &= (UINT64_C(1) << d.part[parts].shift) - 1;
	}
	for (int i = parts - 1, up = 0; i >= 0; up += width[i--])
		d.part[i].up = up;
	return d;
}

static inline unsigned digest(const struct digest *d, struct ks_key k)
{
	uint64_t word = upper(k, d->drop), v = 0;
	for (int i = 0; i < DIGEST_PARTS; i++)
		v |= (word >> d->part[i].shift & d->part[i].mask) << d->part[i].up;
	return (unsigned)v;
}

static void sort_by_digest(struct ks_repeats *r, struct ks_key differ)
{
	const struct digest d = digest_of(differ);
	uint32_t at[(1 << DIGEST_BITS) + 1] = {0};
	for (size_t i = 0; i < r->nfresh; i++)
		at[(r->digest[i] = (uint16_t)digest(&d, r->fresh[i].key)) + 1]++;
	for (int b = 0; b < 1 << d.bits; b++)
		at[b + 1] += at[b];
	for (size_t i = 0; i < r->nfresh; i++)
		r->sorted[at[r->digest[i]]++] = r->fresh[i];
}

/* Of those with one digest most are in order already, as each node's keys are. @return whether all are by now. */
static bool insert(struct ks_passed *v, size_t n)
{
	size_t moves = 4 * n;
	for (size_t i = 1; i < n; i++) {
		if (!ks_key_less(v[i].key, v[i - 1].key))
			continue;
		struct ks_passed p = v[i];
		size_t j = i;
		do
			v[j] = v[j - 1];
		while (--j && ks_key_less(p.key, v[j - 1].key));
		v[j] = p;
		if (i - j > moves)
			return false;
		moves -= i - j;
	}
	return true;
}

static uint64_t differing(const uint64_t *first, size_t n)
{
	const size_t stride = sizeof(struct ks_passed) / sizeof *first;
	uint64_t bits = 0;
	for (size_t i = 1; i < n; i++)
		bits |= first[i * stride] ^ first[0];
	return bits;
}

static void sort_fresh(struct ks_repeats *r)
{
	struct ks_key differ = {.hi = differing(&r->fresh->key.hi, r->nfresh), .lo = differing(&r->fresh->key.lo, r->nfresh)};
	sort_by_digest(r, differ);
	if (insert(r->sorted, r->nfresh))
		return;
	sort_by_bytes(r, differ);
	struct ks_passed *sorted = r->fresh;
	r->fresh = r->sorted;
	r->sorted = sorted;
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

/* @return the first kept one that is not less than k: what is before it meets no fresh one. */
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

/* From the end, into the room behind the kept ones; of equal ones the fresh last: their rows are larger. */
static void merge(struct ks_repeats *r)
{
	size_t i = r->nkept, j = r->nfresh, n = i + j;
	r->nkept = n;
	while (i && j)
		r->kept[--n] = ks_key_less(r->sorted[j - 1].key, r->kept[i - 1].key) ? r->kept[--i] : r->sorted[--j];
	memcpy(r->kept, r->sorted, j * sizeof *r->kept);
}

/* Most batches have none. */
static bool has_runs(const struct ks_repeats *r, size_t from)
{
	const struct ks_passed *v = r->kept;
	unsigned any = 0;
	for (size_t i = from + 1; i < r->nkept; i++)
		any |= ((v[i].key.lo ^ v[i - 1].key.lo) | (v[i].key.hi ^ v[i - 1].key.hi)) == 0;
	return any;
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
	if (r->has_forgotten && !ks_key_less(r->forgotten, r->sorted[0].key))
		return -1;
	size_t from = place(r, r->sorted[0].key);
	merge(r);
	if (has_runs(r, from))
		find_runs(r, from, fresh_row);
	forget(r);
	r->nfresh = 0;
	return 0;
}
