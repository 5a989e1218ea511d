/* keyskew run --accept: scenario files say what was measured. Only the value of an unmet expectation is replaced, where it stands;
 * comments and layout stay. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ks_mem.h"
#include "ks_store.h"
#include "run.h"

/* A value to be written behind the key at mark. */
struct edit {
	const char *file;
	struct ks_mark mark;
	char value[2 * KS_TIME_TEXT];
};

struct edits {
	struct edit *v;
	size_t n;
	size_t left; /* expectations that cannot be accepted */
	FILE *out;
};

/* ---- what was measured ---- */

/* What the seeds of one expectation came to. */
struct measured {
	int64_t low, high;
	enum ks_verdict verdict;
	size_t n, unmet;
	bool mixed; /* verdicts differ */
};

static const json_t *expectation_of(const json_t *run, const struct ks_expect *x)
{
	char text[2 * KS_NAME_MAX], name[KS_NAME_MAX];
	size_t i;
	json_t *e;
	snprintf(text, sizeof text, "%s", x->text);
	if (x->kind == KS_EXPECT_CLAIM)
		snprintf(text, sizeof text, "%s: %s", ks_claim_format(name, x->claim), ks_verdict_names[x->verdict]);
	json_array_foreach(json_object_get(run, "expectations"), i, e)
		if (!strcmp(json_string_value(json_object_get(e, "text")), text))
			return e;
	return NULL;
}

static bool integer(const json_t *v, int64_t *value)
{
	if (json_is_string(v))
		*value = strtoll(json_string_value(v), NULL, 10);
	else
		*value = json_integer_value(v);
	return v != NULL;
}

static void measure(struct measured *m, const struct ks_expect *x, const json_t *e)
{
	const json_t *met = json_object_get(e, "met"), *value = json_object_get(e, "value");
	int64_t v = 0;
	enum ks_verdict verdict = KS_KEPT;
	if (!e || json_is_null(met) || !value)
		return;
	if (x->kind == KS_EXPECT_CLAIM) {
		while (verdict < KS_UNTESTED && strcmp(ks_verdict_names[verdict], json_string_value(value)))
			verdict++;
		m->mixed = m->mixed || (m->n && verdict != m->verdict);
		m->verdict = verdict;
	} else if (integer(value, &v)) {
		m->low = !m->n || v < m->low ? v : m->low;
		m->high = !m->n || v > m->high ? v : m->high;
	}
	m->n++;
	m->unmet += json_is_false(met);
}

static struct measured measure_all(const struct ks_schedule *s, const struct ks_plan *plan, const struct ks_expect_group *group,
                                   const struct ks_expect *x)
{
	struct measured m = {0};
	for (size_t i = 0; i < s->jobs; i++)
		if (s->job[i].plan == plan && s->job[i].result && ks_group_of(plan, s->job[i].gen) == group)
			measure(&m, x, expectation_of(s->job[i].result, x));
	return m;
}

static void refuse(struct edits *all, const struct ks_plan *plan, const struct ks_expect *x, const char *why)
{
	all->left++;
	fprintf(all->out, "%s:%d:%d: not accepted: %s: %s\n", plan->file, x->mark.line, x->mark.col, x->text, why);
}

static int add_edit(struct edits *all, const struct ks_plan *plan, const struct ks_expect *x, const struct measured *m)
{
	struct edit *grown = ks_grow(all->v, all->n, all->n + 1, sizeof *grown);
	if (!grown)
		return -1;
	all->v = grown;
	struct edit *e = &all->v[all->n++];
	*e = (struct edit){.file = plan->file, .mark = x->mark};
	if (x->kind == KS_EXPECT_CLAIM)
		snprintf(e->value, sizeof e->value, "%s", ks_verdict_names[m->verdict]);
	else
		ks_band_format(e->value, (struct ks_band){m->low, m->high, x->band.is_time});
	return 0;
}

static int accept_group(struct edits *all, const struct ks_schedule *s, const struct ks_batch *b, const struct ks_expect_group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct ks_expect *x = &g->v[i];
		struct measured m = measure_all(s, &b->plan, g, x);
		if (!m.unmet)
			continue;
		if (*b->sets)
			refuse(all, &b->plan, x, "the run was changed by set");
		else if (x->kind == KS_EXPECT_ALL_CLAIMS)
			refuse(all, &b->plan, x, "it stands for every claim; name the claims that are broken");
		else if (m.mixed)
			refuse(all, &b->plan, x, "the verdict differs between seeds");
		else if (add_edit(all, &b->plan, x, &m))
			return -1;
	}
	return 0;
}

/* ---- the files ---- */

static int by_place(const void *pa, const void *pb)
{
	const struct edit *a = pa, *b = pb;
	int c = strcmp(a->file, b->file);
	if (c)
		return c;
	if (a->mark.line != b->mark.line)
		return a->mark.line < b->mark.line ? -1 : 1;
	return (a->mark.col < b->mark.col) - (a->mark.col > b->mark.col); /* last column first: the others keep theirs */
}

/* Where the value behind the key at col begins and ends. A column counts characters of UTF-8. @return false: not on this line. */
static bool find_value(const char *line, int col, size_t *begin, size_t *end)
{
	const char *p = line;
	for (int i = 1; i < col && *p; i++)
		for (p++; (*p & 0xc0) == 0x80; p++)
			;
	char quote = *p == '"' || *p == '\'' ? *p : 0;
	const char *colon = quote ? strchr(p + 1, quote) : p;
	colon = colon ? strstr(colon, ": ") : NULL;
	if (!colon)
		return false;
	p = colon + 1;
	p += strspn(p, " ");
	quote = *p == '"' || *p == '\'' ? *p : 0;
	const char *stop = quote ? strchr(p + 1, quote) : p + strcspn(p, ",}\n #");
	if (!stop || stop == p)
		return false;
	*begin = (size_t)(p - line);
	*end = (size_t)(stop - line) + (quote != 0);
	return true;
}

/* Writes the line with its edits, which are given last column first. @return how many could be made. */
static size_t put_line(FILE *out, const char *line, const struct edit *edit, size_t n)
{
	char text[4096];
	size_t made = 0;
	snprintf(text, sizeof text, "%s", line);
	for (size_t i = 0; i < n; i++) {
		char rest[4096];
		size_t begin, end;
		if (strlen(line) + KS_TIME_TEXT * 2 * n >= sizeof text || !find_value(text, edit[i].mark.col, &begin, &end))
			continue;
		snprintf(rest, sizeof rest, "%s", text + end);
		snprintf(text + begin, sizeof text - begin, "%s%s", edit[i].value, rest);
		made++;
	}
	fputs(made ? text : line, out);
	return made;
}

/* All edits of one file; shows each changed line before and after. */
static int rewrite(const struct edit *edit, size_t n, FILE *shown, size_t *made, struct ks_err *err)
{
	struct ks_file file;
	char *line = NULL, *changed = NULL;
	size_t size = 0, changed_len = 0, at = 0;
	FILE *f = fopen(edit->file, "re");
	if (!f)
		return ks_fail(err, KS_E_USAGE, "cannot read '%.900s': %s", edit->file, strerror(errno));
	if (ks_file_open(&file, edit->file, err)) {
		fclose(f);
		return -1;
	}
	for (int number = 1; getline(&line, &size, f) > 0; number++) {
		size_t mine = 0;
		while (at + mine < n && edit[at + mine].mark.line == number)
			mine++;
		FILE *text = open_memstream(&changed, &changed_len);
		*made += put_line(text, line, &edit[at], mine);
		fclose(text);
		fputs(changed, file.f);
		if (strcmp(changed, line))
			fprintf(shown, "%s:%d\n-%s+%s", edit->file, number, line, changed);
		free(changed);
		at += mine;
	}
	free(line);
	fclose(f);
	return ks_file_commit(&file, err);
}

static int rewrite_all(struct edits *all, size_t *made, struct ks_err *err)
{
	qsort(all->v, all->n, sizeof *all->v, by_place);
	for (size_t i = 0, n; i < all->n; i += n) {
		for (n = 1; i + n < all->n && !strcmp(all->v[i].file, all->v[i + n].file); n++)
			;
		if (rewrite(&all->v[i], n, all->out, made, err))
			return -1;
	}
	return 0;
}

int ks_accept(const struct ks_schedule *s, FILE *out, struct ks_err *err)
{
	struct edits all = {.out = out};
	size_t made = 0;
	int failed = 0;
	for (size_t b = 0; b < s->batches && !failed; b++)
		for (size_t g = 0; g < s->batch[b]->plan.groups && !failed; g++)
			failed = accept_group(&all, s, s->batch[b], &s->batch[b]->plan.group[g]);
	if (failed)
		ks_fail(err, KS_E_INTERNAL, "out of memory");
	else
		failed = rewrite_all(&all, &made, err);
	if (!failed)
		fprintf(out, "%zu expectation%s accepted, %zu left\n", made, made == 1 ? "" : "s", all.left + all.n - made);
	ks_free(all.v);
	return failed;
}
