#include "qemu_clone.h"

#include <stdbool.h>
#include <string.h>

#include "ks_mem.h"
#include "ks_record.h"

int ks_guest_told_add(struct ks_guest_told *t, const void *payload, uint32_t length, struct ks_err *err)
{
	size_t n = length / sizeof(*t->v);

	if (length % sizeof(*t->v))
		return ks_fail(err, KS_E_JUDGE, "records of the subject are cut short");
	if (t->n + n > t->cap) {
		size_t cap = 2 * (t->n + n);
		void *grown = ks_grow(t->v, t->cap, cap, sizeof(*t->v));
		if (!grown)
			return ks_fail(err, KS_E_INTERNAL, "out of memory for records");
		t->v = grown;
		t->cap = cap;
	}
	memcpy(t->v + t->n, payload, length);
	t->n += n;
	return 0;
}

void ks_guest_told_release(struct ks_guest_told *t)
{
	ks_free(t->v);
	*t = (struct ks_guest_told){0};
}

uint64_t ks_guest_told_by(const struct ks_guest_told *t, uint32_t thread, int64_t until_ns)
{
	uint64_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->v[i].thread == thread && (t->v[i].outcome == KS_LOST ? t->v[i].call_ns : t->v[i].return_ns) <= until_ns;
	return n;
}

static bool same(const struct ks_wire_record *a, const struct ks_wire_record *b)
{
	return a->seq == b->seq && a->call_ns == b->call_ns && a->return_ns == b->return_ns && a->key_hi == b->key_hi &&
	       a->key_lo == b->key_lo && a->outcome == b->outcome;
}

/* The next record of the thread from place i on; n: there is none. */
static size_t next_of(const struct ks_guest_told *t, uint32_t thread, size_t i)
{
	while (i < t->n && t->v[i].thread != thread)
		i++;
	return i;
}

void ks_guest_told_own(struct ks_guest_told *clone, const struct ks_guest_told *owner, uint32_t threads)
{
	size_t own = 0;

	for (uint32_t thread = 0; thread < threads; thread++) {
		size_t i = next_of(clone, thread, 0), k = next_of(owner, thread, 0);
		uint32_t common = 0;
		for (; i < clone->n && k < owner->n && same(&clone->v[i], &owner->v[k]); common++) {
			clone->v[i].thread = UINT32_MAX;
			i = next_of(clone, thread, i + 1);
			k = next_of(owner, thread, k + 1);
		}
		for (; i < clone->n; i = next_of(clone, thread, i + 1))
			clone->v[i].seq -= common;
	}
	for (size_t i = 0; i < clone->n; i++)
		if (clone->v[i].thread != UINT32_MAX)
			clone->v[own++] = clone->v[i];
	clone->n = own;
}
