/* What keys are like, from those that were issued: how long, whether their text sorts as they do, how exactly they tell the time. */
#include <string.h>

#include "ks_check.h"

/* More keys than this say nothing new. */
#define SAMPLE_MAX 20000

static int text_cmp(const char *a, size_t n, const char *b, size_t m)
{
	int c = memcmp(a, b, n < m ? n : m);
	return c ? c : (n > m) - (n < m);
}

static void look(const struct ks_evidence *e, size_t row, struct ks_traits *t, char *last, size_t *last_len, size_t last_row)
{
	char buf[KS_KEY_TEXT];
	size_t len;
	int64_t lo, hi;
	struct ks_record r = ks_record_get(e->records, row);
	const char *text = ks_gen_print(e->gen, &e->records->texts, r.key, buf, &len);
	t->chars_min = !t->keys || len < t->chars_min ? len : t->chars_min;
	t->chars_max = len > t->chars_max ? len : t->chars_max;
	if (ks_embedded(e, &r, &lo, &hi)) {
		t->tells_time = true;
		t->time_ns = hi - lo > t->time_ns ? hi - lo : t->time_ns;
	}
	if (t->keys) {
		int by_order = ks_key_cmp(ks_order(e, last_row), ks_order(e, row)), by_text = text_cmp(last, *last_len, text, len);
		t->text_sorts = t->text_sorts && (by_order < 0) == (by_text < 0) && (by_order > 0) == (by_text > 0);
	}
	*last_len = len < KS_KEY_TEXT ? len : KS_KEY_TEXT;
	memcpy(last, text, *last_len);
	t->keys++;
}

void ks_traits_find(const struct ks_evidence *e, struct ks_traits *t)
{
	char last[KS_KEY_TEXT];
	size_t last_len = 0, last_row = 0, n = e->records->n;
	size_t stride = n / SAMPLE_MAX + 1;
	*t = (struct ks_traits){.text_sorts = true};
	for (size_t row = 0; row < n; row += stride) {
		if (ks_record_get(e->records, row).outcome != KS_KEY)
			continue;
		look(e, row, t, last, &last_len, last_row);
		last_row = row;
	}
}
