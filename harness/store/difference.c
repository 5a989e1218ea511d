/* Two runs of one plan that should be the same: where they part. */
#include <stdio.h>
#include <string.h>

#include "ks_store.h"

static bool same_lane(const struct ks_lane *a, const struct ks_lane *b)
{
	return a->node == b->node && a->process == b->process && a->incarnation == b->incarnation && a->thread == b->thread;
}

/* Keys of foreign generators are numbers of texts: their records compare by text. */
static bool same_row(const struct ks_evidence *a, const struct ks_evidence *b, size_t row)
{
	struct ks_record r = ks_record_get(a->records, row), s = ks_record_get(b->records, row);
	char first[KS_ESCAPED_TEXT], second[KS_ESCAPED_TEXT];
	if (r.due_ns != s.due_ns || r.call_ns != s.call_ns || r.return_ns != s.return_ns || r.read_ns != s.read_ns ||
	    r.read_at_ns != s.read_at_ns || r.seq != s.seq || r.parent != s.parent || r.outcome != s.outcome ||
	    r.clock != s.clock || r.why != s.why || r.flags != s.flags)
		return false;
	if (!same_lane(&a->records->lanes[r.lane], &b->records->lanes[s.lane]))
		return false;
	if (a->gen->gen)
		return ks_key_equal(r.key, s.key);
	return !strcmp(ks_key_print(a, row, first), ks_key_print(b, row, second));
}

/* "n2 process 0 incarnation 0 thread 1 call 17: key 1768 due 17000000 returned 17000030, its clock 17000010" */
static void describe(const struct ks_evidence *e, size_t row, char *text, size_t size)
{
	static const char *const outcomes[] = {"key", "refused", "lost"};
	char key[KS_ESCAPED_TEXT], clock[32] = "none";
	if (row >= e->records->n) {
		snprintf(text, size, "nothing: it has %zu records", e->records->n);
		return;
	}
	struct ks_record r = ks_record_get(e->records, row);
	const struct ks_lane *l = &e->records->lanes[r.lane];
	ks_key_print(e, row, key);
	if (r.read_ns != KS_NO_TIME)
		snprintf(clock, sizeof clock, "%lld", (long long)r.read_ns);
	snprintf(text, size, "%s process %u incarnation %u thread %u call %u: %s%s%.130s, due %lld, called %lld, returned %lld, read %s",
		 e->plan->node[l->node].name, l->process, l->incarnation, l->thread, r.seq, outcomes[r.outcome],
		 *key ? " " : "", key, (long long)r.due_ns, (long long)r.call_ns, (long long)r.return_ns, clock);
}

bool ks_first_difference(const struct ks_evidence *a, const struct ks_evidence *b, char *text, size_t size)
{
	size_t n = a->records->n < b->records->n ? a->records->n : b->records->n, row = 0;
	char first[400], second[400];
	while (row < n && same_row(a, b, row))
		row++;
	if (row == n && a->records->n == b->records->n)
		return false;
	describe(a, row, first, sizeof first);
	describe(b, row, second, sizeof second);
	snprintf(text, size, "record %zu is first\n  %s\nand then\n  %s", row, first, second);
	return true;
}
