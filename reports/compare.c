/* A comparison: what generators are like, what came of them; as Markdown and CSV. */
#include "compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"

int ks_cmp_init(struct ks_cmp *c, const json_t *result, const json_t *costs, struct ks_err *err)
{
	*c = (struct ks_cmp){.result = result, .costs = costs};
	if (ks_rp_group(result, &c->blocks))
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	long n = ks_rp_generators(&c->blocks, &c->generator);
	c->n = n > 0 ? (size_t)n : 0;
	return n < 0 ? ks_fail(err, KS_E_INTERNAL, "out of memory") : 0;
}

void ks_cmp_release(struct ks_cmp *c)
{
	ks_rp_blocks_release(&c->blocks);
	free(c->generator);
}

const struct ks_rp_cell *ks_cmp_cell(const struct ks_rp_block *b, const char *generator)
{
	for (size_t i = 0; i < b->n; i++)
		if (!strcmp(b->cell[i].generator, generator))
			return &b->cell[i];
	return NULL;
}

/* ---- what a generator is like ---- */

const char *const ks_cmp_traits[KS_CMP_TRAITS] = {"characters", "sorts", "time to", "needs", "ns per key"};

/* Everything that its runs together say. */
struct traits {
	bool known, tells_time, text_sorts, descends;
	int64_t chars_min, chars_max, time_ns;
	const json_t *uses;
};

static void add_run(struct traits *t, const json_t *run)
{
	const json_t *key = json_object_get(run, "key"), *chars = json_object_get(key, "chars"), *uses = json_object_get(key, "uses");
	const json_t *control = json_object_get(json_object_get(run, "control"), "metrics");
	const json_t *descents = json_object_get(json_object_get(control, "descents"), "thread");
	int64_t min = ks_rp_int(chars, "min"), max = ks_rp_int(chars, "max"), n;
	if (json_array_size(uses) > json_array_size(t->uses) || !t->uses)
		t->uses = uses ? uses : t->uses;
	if (!chars)
		return;
	t->chars_min = !t->known || min < t->chars_min ? min : t->chars_min;
	t->chars_max = max > t->chars_max ? max : t->chars_max;
	t->text_sorts = (!t->known || t->text_sorts) && ks_rp_true(key, "text_sorts");
	t->tells_time = t->tells_time || json_object_get(key, "time_ns");
	t->time_ns = ks_rp_int(key, "time_ns") > t->time_ns ? ks_rp_int(key, "time_ns") : t->time_ns;
	t->descends = t->descends || (ks_rp_integer(descents, &n) && n > 0);
	t->known = true;
}

static struct traits traits_of(const struct ks_cmp *c, const char *generator)
{
	struct traits t = {0};
	for (size_t i = 0; i < c->blocks.n; i++) {
		const struct ks_rp_cell *cell = ks_cmp_cell(&c->blocks.v[i], generator);
		for (size_t k = 0; cell && k < cell->n; k++)
			add_run(&t, cell->run[k]);
	}
	return t;
}

static void put_needs(const json_t *uses, char *text)
{
	size_t n = 0, i;
	json_t *u;
	*text = 0;
	json_array_foreach(uses, i, u) {
		const char *word = json_string_value(u);
		if (strcmp(word, "random") && n < KS_CMP_TEXT)
			n += (size_t)snprintf(text + n, KS_CMP_TEXT - n, "%s%s", n ? ", " : "", !strcmp(word, "worker") ? "a node id" : word);
	}
	if (!n)
		snprintf(text, KS_CMP_TEXT, "%s", uses ? "nothing" : "?");
}

void ks_cmp_trait(const struct ks_cmp *c, const char *generator, int trait, char text[KS_CMP_TEXT])
{
	struct traits t = traits_of(c, generator);
	char number[KS_RP_NUMBER];
	const json_t *cost = json_object_get(c->costs, generator);
	snprintf(text, KS_CMP_TEXT, "?");
	if (trait == KS_CMP_COST && json_is_number(cost)) /* null: it could not be timed here */
		snprintf(text, KS_CMP_TEXT, "%.0f", json_number_value(cost));
	if (trait == KS_CMP_NEEDS)
		put_needs(t.uses, text);
	if (!t.known)
		return;
	if (trait == KS_CMP_KEY && t.chars_min == t.chars_max)
		snprintf(text, KS_CMP_TEXT, "%" PRId64, t.chars_max);
	else if (trait == KS_CMP_KEY)
		snprintf(text, KS_CMP_TEXT, "%" PRId64 "..%" PRId64, t.chars_min, t.chars_max);
	if (trait == KS_CMP_SORTS)
		snprintf(text, KS_CMP_TEXT, "%s", t.descends ? "no" : t.text_sorts ? "as text" : "as numbers");
	if (trait == KS_CMP_TIME && t.tells_time)
		snprintf(text, KS_CMP_TEXT, "%s", ks_rp_number(number, "_ns", t.time_ns));
	else if (trait == KS_CMP_TIME)
		snprintf(text, KS_CMP_TEXT, "none");
}

/* ---- what came of it ---- */

static int64_t metric(const json_t *of, const char *name, const char *scope, bool *known)
{
	const json_t *v = json_object_get(json_object_get(of, "metrics"), name);
	int64_t value = 0;
	*known = ks_rp_integer(scope ? json_object_get(v, scope) : v, &value);
	return value;
}

/* The lower median over the judged runs of a cell, or over their controls. @return false: no run has it. */
static bool median(const struct ks_rp_cell *cell, bool of_control, const char *name, const char *scope, int64_t *value)
{
	struct ks_sample s = {calloc(cell->n, sizeof(int64_t)), 0};
	for (size_t i = 0; s.v && i < cell->n; i++) {
		bool known;
		s.v[s.n] = metric(of_control ? json_object_get(cell->run[i], "control") : cell->run[i], name, scope, &known);
		s.n += known;
	}
	bool any = s.v && s.n;
	if (any) {
		ks_sample_sort(&s);
		*value = ks_sample_median(&s);
	}
	free(s.v);
	return any;
}

__attribute__((format(printf, 3, 4))) static void say(char *text, size_t size, const char *fmt, ...)
{
	size_t n = strlen(text);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text + n, size - n, fmt, ap);
	va_end(ap);
}

/* Claims of the generator itself that broke on some seed, each once. */
static size_t put_broken(const struct ks_rp_cell *cell, char *text, size_t size)
{
	size_t n = 0, i;
	json_t *claim;
	for (size_t r = 0; r < cell->n; r++)
		json_array_foreach(json_object_get(cell->run[r], "claims"), i, claim) {
			const char *name = ks_rp_str(claim, "claim");
			if (strcmp(ks_rp_str(claim, "verdict"), "broken") || strcmp(ks_rp_str(claim, "by"), "generator") || strstr(text, name))
				continue;
			say(text, size, "%s%s", n++ ? ", " : "broken: ", name);
		}
	return n;
}

/* In the widest scope in which the fault alone makes them: what happens all day between nodes says nothing of it. Where there is
 * none, the fleet's, with what there would be anyway. */
static void put_duplicates(const struct ks_rp_cell *cell, char *text, size_t size)
{
	static const char *const scopes[] = {"fleet", "node", "process", "thread"}, *const words[] = {"", " within a node", " within a process",
	                                                                                                 " within a thread"};
	int64_t v, without;
	for (int i = 0; i < 4; i++) {
		bool own = !median(cell, true, "duplicates", scopes[i], &without) || !without;
		if (own && median(cell, false, "duplicates", scopes[i], &v) && v) {
			say(text, size, "; %" PRId64 " duplicate%s%s", v, v == 1 ? "" : "s", words[i]);
			return;
		}
	}
	if (median(cell, false, "duplicates", "fleet", &v) && v && median(cell, true, "duplicates", "fleet", &without))
		say(text, size, "; %" PRId64 " duplicate%s (%" PRId64 " without the fault)", v, v == 1 ? "" : "s", without);
}

void ks_cmp_outcome(const struct ks_rp_cell *cell, char *text, size_t size)
{
	static const struct {
		const char *name, *scope, *word;
	} counts[] = {{"refusals", NULL, "refused"}, {"lost", NULL, "lost"}, {"causality_violations", NULL, "before their cause"}};
	struct ks_rp_sum sum = ks_rp_sum(cell);
	char number[KS_RP_NUMBER];
	int64_t v, without;
	*text = 0;
	if (sum.letter == 'F' || sum.letter == 'U') {
		snprintf(text, size, "%s", ks_rp_letter_word(sum.letter));
		return;
	}
	if (!put_broken(cell, text, size))
		say(text, size, "kept");
	put_duplicates(cell, text, size);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		if (median(cell, false, counts[i].name, counts[i].scope, &v) && v) {
			say(text, size, "; %" PRId64 " %s", v, counts[i].word);
			if (median(cell, true, counts[i].name, counts[i].scope, &without) && without)
				say(text, size, " (%" PRId64 " without the fault)", without);
		}
	if (median(cell, false, "late_ns_max", "process", &v) && v)
		say(text, size, "; %s late", ks_rp_number(number, "_ns", v));
	if (median(cell, false, "stall_ns_max", NULL, &v) && v >= 1000000)
		say(text, size, "; stalls %s", ks_rp_number(number, "_ns", v));
}

void ks_cmp_block_name(const struct ks_rp_block *b, char *text, size_t size)
{
	const char *path;
	json_t *value;
	*text = 0;
	say(text, size, "%s", b->scenario);
	json_object_foreach((json_t *)b->sweep, path, value)
		say(text, size, ", %s=%s", path, json_string_value(value));
	if (strcmp(b->world, "sim"))
		say(text, size, " (%s)", b->world);
}

/* ---- Markdown ---- */

static void cell(FILE *out, const char *text)
{
	fputc(' ', out);
	ks_rp_put(out, KS_RP_MD, text);
	fputs(" |", out);
}

static void markdown(const struct ks_cmp *c, FILE *out)
{
	char text[400];
	fputs("| generator |", out);
	for (int k = 0; k < KS_CMP_TRAITS; k++)
		cell(out, ks_cmp_traits[k]);
	fputs("\n|---|---|---|---|---|---|\n", out);
	for (size_t i = 0; i < c->n; i++) {
		fputc('|', out);
		cell(out, c->generator[i]);
		for (int k = 0; k < KS_CMP_TRAITS; k++) {
			ks_cmp_trait(c, c->generator[i], k, text);
			cell(out, text);
		}
		fputc('\n', out);
	}
	fputs("\n| scenario |", out);
	for (size_t i = 0; i < c->n; i++)
		cell(out, c->generator[i]);
	fputs("\n|---|", out);
	for (size_t i = 0; i < c->n; i++)
		fputs("---|", out);
	fputc('\n', out);
	for (size_t i = 0; i < c->blocks.n; i++) {
		ks_cmp_block_name(&c->blocks.v[i], text, sizeof text);
		fputc('|', out);
		cell(out, text);
		for (size_t k = 0; k < c->n; k++) {
			const struct ks_rp_cell *x = ks_cmp_cell(&c->blocks.v[i], c->generator[k]);
			*text = 0;
			if (x)
				ks_cmp_outcome(x, text, sizeof text);
			cell(out, text);
		}
		fputc('\n', out);
	}
}

/* ---- CSV: a line a run (RFC 4180) ---- */

static void field(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++)
		fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
	fputc('"', out);
}

static const char *const scoped[] = {"duplicates", "descents", "below_max", "displacement", "late_ns_max"};
static const char *const plain[] = {"ahead_ns_max", "behind_ns_max", "causality_violations", "stall_ns_max", "stall_ns_p50",
                                    "stall_ns_p99", "refusals", "lost"};
static const char *const scope_names[] = {"thread", "process", "node", "fleet"};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void csv_head(FILE *out)
{
	fputs("scenario,sweep,world,seed,generator,status,calls,keys,broken", out);
	for (size_t i = 0; i < COUNT(scoped); i++)
		for (size_t k = 0; k < COUNT(scope_names); k++)
			fprintf(out, ",%s@%s", scoped[i], scope_names[k]);
	for (size_t i = 0; i < COUNT(plain); i++)
		fprintf(out, ",%s", plain[i]);
	fputs("\r\n", out);
}

static void csv_value(FILE *out, const json_t *run, const char *name, const char *scope)
{
	bool known;
	int64_t v = metric(run, name, scope, &known);
	fputc(',', out);
	if (known)
		fprintf(out, "%" PRId64, v);
}

static void csv_run(FILE *out, const struct ks_rp_block *b, const json_t *run)
{
	char broken[400] = "", sweep[300] = "";
	const char *path;
	json_t *value;
	const json_t *one[] = {run};
	struct ks_rp_cell self = {ks_rp_str(run, "generator"), one, 1};
	json_object_foreach((json_t *)b->sweep, path, value)
		say(sweep, sizeof sweep, "%s%s=%s", *sweep ? "; " : "", path, json_string_value(value));
	put_broken(&self, broken, sizeof broken);
	field(out, b->scenario);
	fputc(',', out);
	field(out, sweep);
	fprintf(out, ",%s,%" PRId64 ",", b->world, ks_rp_int(run, "seed"));
	field(out, self.generator);
	fprintf(out, ",%s,%" PRId64 ",%" PRId64 ",", ks_rp_str(run, "status"), ks_rp_int(run, "calls"), ks_rp_int(run, "keys"));
	field(out, *broken ? broken + strlen("broken: ") : "");
	for (size_t i = 0; i < COUNT(scoped); i++)
		for (size_t k = 0; k < COUNT(scope_names); k++)
			csv_value(out, run, scoped[i], scope_names[k]);
	for (size_t i = 0; i < COUNT(plain); i++)
		csv_value(out, run, plain[i], NULL);
	fputs("\r\n", out);
}

static void csv(const struct ks_cmp *c, FILE *out)
{
	csv_head(out);
	for (size_t i = 0; i < c->blocks.n; i++)
		for (size_t k = 0; k < c->blocks.v[i].n; k++)
			for (size_t r = 0; r < c->blocks.v[i].cell[k].n; r++)
				csv_run(out, &c->blocks.v[i], c->blocks.v[i].cell[k].run[r]);
}

static int save(const struct ks_cmp *c, void (*put)(const struct ks_cmp *, FILE *), const char *dir, const char *name, struct ks_err *err)
{
	char path[4200];
	struct ks_rp_text text;
	if (ks_rp_open(&text, err))
		return -1;
	put(c, text.f);
	snprintf(path, sizeof path, "%.4000s/%s", dir, name);
	int failed = ks_rp_save(&text, path, err);
	ks_rp_release(&text);
	return failed;
}

int ks_compare_write(const json_t *result, const json_t *costs, const char *dir, struct ks_err *err)
{
	struct ks_cmp c;
	int failed = ks_cmp_init(&c, result, costs, err);
	if (!failed)
		failed = save(&c, markdown, dir, "compare.md", err) || save(&c, csv, dir, "compare.csv", err) || ks_cmp_plots(&c, dir, err);
	ks_cmp_release(&c);
	return failed ? -1 : 0;
}
