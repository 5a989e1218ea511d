#include "ft_records.h"

#include <string.h>

#include "ft.h"
#include "ks_engine.h"

/* A thread may be held up between its due time and its call, by a busy machine. */
#define LATE_MAX_NS (60 * KS_SEC)

/* A background thread may have read before the call. */
static bool reading_ok(const struct ks_wire_account *a, const struct ks_wire_record *w)
{
	bool beside = a->spec->gen && ks_gen_background(a->spec->gen, a->spec->cfg)[0].period_ns;

	if (w->read_ns == KS_NO_TIME)
		return true;
	return w->clock < KS_NCLOCKS && (beside || w->read_at_ns >= w->call_ns) &&
	       (w->outcome == KS_LOST || w->read_at_ns <= w->return_ns);
}

static bool times_ok(const struct ks_wire_account *a, const struct ks_wire_record *w)
{
	if (a->lines)
		return w->due_ns == KS_NO_TIME && w->call_ns == KS_NO_TIME && w->outcome == KS_KEY && w->return_ns >= 0 &&
		       w->return_ns >= a->thread[w->thread].return_ns;
	if (w->due_ns < 0 || w->due_ns >= a->duration_ns || w->call_ns < w->due_ns ||
	    w->call_ns > a->duration_ns + LATE_MAX_NS || w->call_ns < a->thread[w->thread].return_ns)
		return false;
	return w->outcome == KS_LOST ? w->return_ns == KS_NO_TIME : w->return_ns >= w->call_ns;
}

/* KS_NO_TIME is before all times. */
static bool has_come(const struct ks_wire_record *w, int64_t until_ns)
{
	return w->call_ns <= until_ns && w->return_ns <= until_ns;
}

static bool knows_reason(const struct ks_wire_account *a, uint8_t why)
{
	return a->spec->gen ? why < KS_REASONS_MAX && a->spec->gen->reasons[why] : why < a->whys;
}

/* @return NULL, or what is wrong with it. */
static const char *wrong(struct ks_wire_account *a, const struct ks_wire_record *w, int64_t until_ns)
{
	if (w->thread >= a->threads)
		return "of a thread that there is not";
	if (a->thread[w->thread].lost || w->seq != a->thread[w->thread].seq)
		return "out of sequence";
	if (w->outcome > KS_LOST || w->flags != (a->lines ? KS_CALL_UNKNOWN : 0) || w->pad)
		return "of an unknown kind";
	if (w->outcome == KS_REFUSE && !knows_reason(a, w->why))
		return "refused for an unknown reason";
	if (!times_ok(a, w))
		return "at an impossible time";
	a->ahead = !has_come(w, until_ns);
	if (a->ahead)
		return "of a time that is still to come";
	if (!reading_ok(a, w))
		return "with an impossible clock reading";
	if (w->outcome == KS_KEY && ks_gen_issues_texts(a->spec) && a->text == a->text_end)
		return "whose key it did not send";
	return NULL;
}

/* What a key says of the clock, where nothing else does. */
static void read_key(const struct ks_wire_account *a, const struct ks_records *records, struct ks_record *r)
{
	size_t len;
	const char *text = ks_texts_get(&records->texts, r->key.lo, &len);

	ks_ft_read_key(a->lines, text, len, r);
}

static int add(struct ks_wire_account *a, const struct ks_wire_record *w, struct ks_records *records)
{
	bool texts = ks_gen_issues_texts(a->spec);
	struct ks_record r = KS_RECORD_NONE;

	r.due_ns = w->due_ns;
	r.call_ns = w->call_ns;
	r.return_ns = w->return_ns;
	r.key = texts && w->outcome == KS_KEY ? ks_key64(a->text++) : (struct ks_key){w->key_hi, w->key_lo};
	r.lane = a->first_lane + w->thread;
	r.seq = w->seq;
	r.outcome = w->outcome;
	r.flags = w->flags;
	r.why = !a->spec->gen && w->outcome == KS_REFUSE ? a->why[w->why] : w->why;
	/* A clock that is so far off that the difference does not fit shows nothing that can be compared. */
	if (w->read_ns != KS_NO_TIME && !__builtin_sub_overflow(w->read_ns, a->clock_base_ns[w->clock], &r.read_ns)) {
		r.clock = w->clock;
		r.read_at_ns = w->read_at_ns;
	} else {
		r.read_ns = KS_NO_TIME;
	}
	if (a->lines)
		read_key(a, records, &r);
	if (ks_records_add(records, &r))
		return -1;
	a->records++;
	a->thread[w->thread].seq++;
	a->thread[w->thread].lost = w->outcome == KS_LOST;
	a->thread[w->thread].return_ns = w->outcome == KS_LOST ? w->call_ns : w->return_ns;
	return 0;
}

/* @return how many bytes the text takes, or 0: it is not whole, or no key. */
static uint32_t add_text(const struct ks_wire_account *a, const char *at, uint32_t left, struct ks_records *records,
			 int64_t *index)
{
	char text[KS_KEY_TEXT];
	struct ks_fields fields;
	uint16_t len = 0;

	if (left >= sizeof(len))
		memcpy(&len, at, sizeof(len));
	if (!len || len >= sizeof(text) || len > left - sizeof(len))
		return 0;
	memcpy(text, at + sizeof(len), len);
	text[len] = '\0';
	if (a->spec->gen && a->spec->gen->decode_text(a->spec->cfg, text, &fields) != 0)
		return 0;
	*index = ks_texts_add(&records->texts, text, len);
	return (uint32_t)sizeof(len) + len;
}

int ks_wire_account_texts(struct ks_wire_account *account, const void *payload, uint32_t length, struct ks_records *records,
			  struct ks_err *err)
{
	int64_t index = 0;

	if (!ks_gen_issues_texts(account->spec) || account->text != account->text_end)
		return ks_fail(err, KS_E_JUDGE, "the subject sent keys without records");
	account->text = records->texts.n;
	for (uint32_t at = 0, n; at < length; at += n) {
		n = add_text(account, (const char *)payload + at, length - at, records, &index);
		if (!n)
			return ks_fail(err, KS_E_JUDGE, "the subject sent a key that is none");
		if (index < 0)
			return ks_fail(err, KS_E_INTERNAL, "out of memory for keys");
	}
	account->text_end = records->texts.n;
	return 0;
}

int ks_wire_account_add(struct ks_wire_account *account, const void *payload, uint32_t length, int64_t until_ns,
			struct ks_records *records, struct ks_err *err)
{
	struct ks_wire_record w;

	if (length % sizeof(w))
		return ks_fail(err, KS_E_JUDGE, "records of the subject are cut short");
	for (uint32_t at = 0; at < length; at += sizeof(w)) {
		memcpy(&w, (const char *)payload + at, sizeof(w));
		const char *what = wrong(account, &w, until_ns);
		if (what)
			return ks_fail(err, KS_E_JUDGE, "the subject sent a record %s (record %llu: due %lld, call %lld, return %lld; now %lld)", what,
				       (unsigned long long)account->records, (long long)w.due_ns, (long long)w.call_ns,
				       (long long)w.return_ns, (long long)until_ns);
		if (add(account, &w, records) != 0)
			return ks_records_full(records, err);
	}
	return 0;
}
