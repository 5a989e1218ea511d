/* The key file: every record of a run as text, enough for an independent program to recompute all that is said of it.
 */
#include <string.h>

#include "foreign.h"
#include "ks_store.h"

/* Writes one byte, as it is or as \xHH. buf: 5 bytes. @return how many characters. */
static int escape(char *buf, unsigned char c)
{
	if (c >= 0x21 && c <= 0x7e && c != '\\') {
		buf[0] = (char)c;
		return 1;
	}
	return snprintf(buf, 5, "\\x%02x", c);
}

static void put_escaped(FILE *f, const char *s)
{
	char buf[5];
	for (; *s; s++)
		fwrite(buf, 1, (size_t)escape(buf, (unsigned char)*s), f);
}

static void put_head(FILE *f, const struct ks_evidence *e, uint64_t seed)
{
	fputs("# schema=1\n# scenario=", f);
	put_escaped(f, e->plan->name);
	fputs("\n# generator=", f);
	put_escaped(f, e->gen->text);
	fprintf(f, "\n# seed=%llu\n# start_unix_ns=%lld\n# compare=%s\n", (unsigned long long)seed,
		(long long)e->plan->start_unix_ns, e->compare == KS_COMPARE_NUMERIC ? "numeric" : "bytes");
	fputs("due_ns\tcall_ns\treturn_ns\tnode\tprocess\tincarnation\tthread\tseq\toutcome\tkey\torder_key\t"
	      "embed_lo_ns\tembed_hi_ns\tparent\tcontext\n",
	      f);
}

/* A number and the tab after it, or the tab alone. */
static void put_if(FILE *f, bool known, int64_t value)
{
	if (known)
		fprintf(f, "%lld", (long long)value);
	fputc('\t', f);
}

const char *ks_key_print(const struct ks_evidence *e, size_t row, char buf[KS_ESCAPED_TEXT])
{
	struct ks_record r = ks_record_get(e->records, row);
	char plain[KS_KEY_TEXT];
	const char *text = "";
	size_t len = 0, n = 0;
	if (r.outcome == KS_KEY)
		text = ks_gen_print(e->gen, &e->records->texts, r.key, plain, &len);
	for (size_t i = 0; i < len && n + 5 <= KS_ESCAPED_TEXT; i++)
		n += (size_t)escape(buf + n, (unsigned char)text[i]);
	buf[n] = 0;
	return buf;
}

/* The form by which a foreign key is compared, where a generator file says how. */
static void put_normal(const struct ks_evidence *e, const struct ks_record *r, char buf[KS_ESCAPED_TEXT])
{
	char plain[KS_KEY_TEXT], normal[KS_KEY_TEXT];
	size_t len, n = 0;
	const char *text = ks_gen_print(e->gen, &e->records->texts, r->key, plain, &len);
	int size = len < sizeof normal ? ks_foreign_normal(e->gen->foreign, text, len, normal) : -1;
	for (int i = 0; i < size && n + 5 <= KS_ESCAPED_TEXT; i++)
		n += (size_t)escape(buf + n, (unsigned char)normal[i]);
	buf[n] = 0;
}

static void put_key(FILE *f, const struct ks_evidence *e, size_t row, const struct ks_record *r)
{
	char buf[KS_ESCAPED_TEXT];
	bool collated = !e->gen->gen && e->gen->foreign && e->gen->foreign->collation != KS_BY_FORM;
	ks_key_print(e, row, buf);
	fprintf(f, "%s\t", buf);
	if (r->outcome == KS_KEY && collated)
		put_normal(e, r, buf);
	if (r->outcome == KS_KEY && !ks_gen_issues_texts(e->gen) && e->compare == KS_COMPARE_NUMERIC)
		ks_key_decimal(buf, r->key);
	fprintf(f, "%s\t", buf);
}

static void put_context(FILE *f, const struct ks_evidence *e, const struct ks_record *r)
{
	const struct ks_plan *p = e->plan;
	if (!(p->user_low | p->user_high | p->depth_low | p->depth_high))
		return;
	struct ks_call_context c = ks_context(p, e->seed, &e->records->lanes[r->lane], r->seq);
	fprintf(f, "user=%lld,depth=%lld", (long long)c.user, (long long)c.depth);
}

static void put_row(FILE *f, const struct ks_evidence *e, size_t row)
{
	static const char *const outcomes[] = {"key", "refuse", "lost"};
	struct ks_record r = ks_record_get(e->records, row);
	const struct ks_lane *l = &e->records->lanes[r.lane];
	bool times = !(r.flags & KS_CALL_UNKNOWN);
	int64_t lo = 0, hi = 0;
	bool embedded = ks_embedded(e, &r, &lo, &hi);
	put_if(f, times, r.due_ns);
	put_if(f, times, r.call_ns);
	put_if(f, r.return_ns != KS_NO_TIME, r.return_ns);
	fprintf(f, "%u\t%u\t%u\t%u\t%u\t%s\t", l->node, l->process, l->incarnation, l->thread, r.seq,
		outcomes[r.outcome]);
	put_key(f, e, row, &r);
	put_if(f, embedded, lo);
	put_if(f, embedded, hi);
	put_if(f, r.parent != KS_NO_PARENT, r.parent);
	put_context(f, e, &r);
	fputc('\n', f);
}

int ks_keys_write(const struct ks_evidence *e, uint64_t seed, const char *path, struct ks_err *err)
{
	struct ks_file file;
	if (ks_file_open(&file, path, err))
		return ks_fail_in(err, "key file");
	put_head(file.f, e, seed);
	for (size_t i = 0; i < e->records->n && !ferror(file.f); i++)
		put_row(file.f, e, i);
	return ks_file_commit(&file, err) ? ks_fail_in(err, "key file") : 0;
}
