/* The terminal: a block a scenario x world, an aligned row an expectation, seeds of one generator folded into it. */
#include "ks_table.h"
#include "report.h"

#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "ks_time.h"

enum column { GENERATOR, SUBJECT, VERDICT, VALUE, DETAIL, CONTROL, NCOLUMNS };
#define CELL 320

#define INDENT 4 /* of the lines below a row */
#define WIDTH_OF_PIPES 120 /* what is read by programs is not folded */
#define NAME_SHOWN 40 /* of a generator or a damage: the rest is cut, or one long command would widen every row */
#define RED "\033[1;31m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

struct table {
	struct libscols_table *cols;
	size_t n, cap;
	struct row_note {
		bool unmet;
		struct ks_rp_text *after; /* lines below the row, ready to print; stays where it is when rows move */
	} *row;
	struct ks_table narrow; /* the same cells, for terminals that are too narrow */
	FILE *out;
	bool colour;
	int width;
};

/* A sentence below a row, folded at spaces. mark: what the first line begins with. */
static void put_note(const struct table *t, FILE *out, const char *mark, const char *colour, const char *text)
{
	size_t room = (size_t)(t->width - INDENT);
	while (*text) {
		size_t len = strlen(text);
		if (len > room) {
			size_t cut = room;
			while (cut && text[cut] != ' ')
				cut--;
			len = cut ? cut : strcspn(text, " ");
		}
		fprintf(out, "%s%-*s", t->colour ? colour : "", INDENT, mark);
		ks_rp_putn(out, KS_RP_PLAIN, text, len);
		fprintf(out, "%s\n", t->colour && *colour ? PLAIN : "");
		text += len + strspn(text + len, " ");
		mark = "";
	}
}

/* A line to paste is never folded. */
static void put_reproduce(FILE *out, const json_t *run)
{
	const char *line = ks_rp_str(run, "reproduce");
	if (!*line)
		return;
	fprintf(out, "%-*sreproduce: ", INDENT, "");
	ks_rp_put(out, KS_RP_PLAIN, line);
	fputc('\n', out);
}

static int table_open(struct table *t)
{
	static const double least[NCOLUMNS] = {0, 14, 0, 0, 14, 0};
	t->narrow = (struct ks_table){.columns = NCOLUMNS, .right = {[VALUE] = true}, .gap = 2};
	t->cols = scols_new_table();
	if (!t->cols)
		return -1;
	for (int i = 0; i < NCOLUMNS; i++)
		if (!scols_table_new_column(t->cols, "", least[i], i == VALUE ? SCOLS_FL_RIGHT : 0))
			return -1;
	scols_table_enable_noheadings(t->cols, 1);
	scols_table_enable_colors(t->cols, 0);
	scols_table_set_termforce(t->cols, SCOLS_TERMFORCE_NEVER);
	return scols_table_set_column_separator(t->cols, "  ");
}

static void table_close(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->row[i].after) {
			ks_rp_release(t->row[i].after);
			free(t->row[i].after);
		}
	free(t->row);
	ks_table_release(&t->narrow);
	scols_unref_table(t->cols);
}

/* Text that is safe on a terminal, cut where it is too long for a cell. */
static const char *shorten(char buf[CELL], const char *text)
{
	struct ks_rp_text safe;
	struct ks_err err;
	*buf = 0;
	if (ks_rp_open(&safe, &err))
		return buf;
	ks_rp_put(safe.f, KS_RP_PLAIN, text);
	if (!ks_rp_finish(&safe, &err)) {
		size_t len = safe.len;
		if (len > NAME_SHOWN)
			for (len = NAME_SHOWN - 3; len && ((unsigned char)safe.bytes[len] & 0xc0) == 0x80;)
				len--;
		snprintf(buf, CELL, "%.*s%s", (int)len, safe.bytes, len < safe.len ? "..." : "");
	}
	ks_rp_release(&safe);
	return buf;
}

static int table_add(struct table *t, const char *const cell[NCOLUMNS], bool unmet)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 16;
		struct row_note *row = reallocarray(t->row, cap, sizeof(*row));
		if (!row)
			return -1;
		t->row = row;
		t->cap = cap;
	}
	struct libscols_line *line = scols_table_new_line(t->cols, NULL);
	if (!line)
		return -1;
	for (size_t i = 0; i < NCOLUMNS; i++)
		if (scols_line_set_data(line, i, cell[i] ? cell[i] : ""))
			return -1;
	const char *text[NCOLUMNS];
	for (size_t i = 0; i < NCOLUMNS; i++)
		text[i] = cell[i] ? cell[i] : "";
	t->row[t->n++] = (struct row_note){.unmet = unmet};
	return ks_table_add(&t->narrow, text, NULL);
}

/* The stream of lines below the last row. */
static FILE *after(struct table *t)
{
	struct row_note *row = &t->row[t->n - 1];
	struct ks_err err;
	if (!row->after)
		row->after = calloc(1, sizeof(*row->after));
	if (!row->after || (!row->after->f && ks_rp_open(row->after, &err)))
		return NULL;
	return row->after->f;
}

/* line: of the table as it is; NULL: it is wider than the terminal. */
static int print_row(struct table *t, size_t i, const char *line, size_t len)
{
	while (len && line[len - 1] == ' ')
		len--;
	bool red = t->row[i].unmet && t->colour;
	const char *mark = t->row[i].unmet ? "! " : "  ";
	fputs(red ? RED : "", t->out);
	if (line)
		fprintf(t->out, "%s%.*s%s\n", mark, (int)len, line, red ? PLAIN : "");
	else
		ks_table_print_row(&t->narrow, t->out, mark, 2, (size_t)t->width, i);
	fputs(red && !line ? PLAIN : "", t->out);
	struct ks_rp_text *text = t->row[i].after;
	struct ks_err err;
	if (!text || !text->f)
		return 0;
	if (ks_rp_finish(text, &err))
		return -1;
	fwrite(text->bytes, 1, text->len, t->out);
	return 0;
}

/* Is no line longer, blanks at its end aside? */
static bool fits(const char *text, size_t width)
{
	while (*text) {
		size_t len = strcspn(text, "\n"), shown = len;
		while (shown && text[shown - 1] == ' ')
			shown--;
		if (shown > width)
			return false;
		text += len + (text[len] == '\n');
	}
	return true;
}

static int table_print(struct table *t)
{
	char *text = NULL;
	if (!t->n)
		return 0;
	if (scols_print_table_to_string(t->cols, &text))
		return -1;
	int rc = 0;
	const char *line = text;
	bool folded = t->width < WIDTH_OF_PIPES && !fits(text, (size_t)t->width - 2);
	for (size_t i = 0; i < t->n && !rc; i++) {
		size_t len = strcspn(line, "\n");
		rc = print_row(t, i, folded ? NULL : line, folded ? 0 : len);
		line += line[len] ? len + 1 : len;
	}
	free(text);
	return rc;
}

/* What the seeds of one expectation come to. */
struct folded {
	const json_t *first;       /* the expectation of the first judged run */
	const json_t *shown;       /* of the first unmet run, else of the first */
	const json_t *run;         /* that run */
	const json_t *claim;       /* that run's claim of that name, if it is one */
	size_t n, met, untested;
	int64_t low, high;         /* of the value or the count */
	bool valued;
};

static const json_t *same_expectation(const json_t *run, const char *text)
{
	size_t i;
	json_t *e;
	json_array_foreach(json_object_get(run, "expectations"), i, e)
		if (!strcmp(ks_rp_str(e, "text"), text))
			return e;
	return NULL;
}

/* The verdict that an expectation on a claim found; NULL for one on a number. */
static const char *verdict_of(const json_t *e)
{
	const char *value = ks_rp_str(e, "value");
	return !strcmp(value, "kept") || !strcmp(value, "broken") || !strcmp(value, "untested") ? value : NULL;
}

static void fold_one(struct folded *f, const json_t *run, const json_t *e)
{
	const char *wanted;
	size_t len = ks_rp_subject(e, &wanted);
	const json_t *claim = ks_rp_claim(run, ks_rp_str(e, "text"), len);
	bool met = ks_rp_true(e, "met"), untested = ks_rp_true(e, "untested");
	bool worse = !met && !untested && f->met + f->untested == f->n;
	if (!f->n || worse) {
		f->shown = e;
		f->run = run;
		f->claim = claim;
	}
	f->n++;
	f->untested += untested;
	f->met += met && !untested;
	const json_t *count = json_object_get(claim, "count");
	int64_t v;
	if (!count)
		count = json_object_get(e, verdict_of(e) ? "count" : "value");
	if (untested || !strcmp(ks_rp_str(e, "value"), "untested") || !ks_rp_integer(count, &v))
		return;
	f->low = f->valued && f->low < v ? f->low : v;
	f->high = f->valued && f->high > v ? f->high : v;
	f->valued = true;
}

static struct folded fold(const struct ks_rp_cell *cell, const json_t *first)
{
	struct folded f = {.first = first};
	for (size_t i = 0; i < cell->n; i++) {
		const json_t *e = same_expectation(cell->run[i], ks_rp_str(first, "text"));
		if (e && !strcmp(ks_rp_str(cell->run[i], "status"), "judged"))
			fold_one(&f, cell->run[i], e);
	}
	return f;
}

static void verdict_text(char *buf, size_t size, const struct folded *f)
{
	const char *wanted, *verdict = verdict_of(f->shown);
	bool unmet = f->met + f->untested < f->n;
	size_t share = unmet ? f->n - f->met - f->untested : f->met;
	char seeds[48] = "";
	ks_rp_subject(f->shown, &wanted);
	if (f->n > 1)
		snprintf(seeds, sizeof(seeds), " %zu/%zu", f->untested == f->n ? f->n : share, f->n);
	if (f->untested == f->n)
		snprintf(buf, size, "untested%s", seeds);
	else if (!verdict)
		snprintf(buf, size, "%s%s", unmet ? "unmet" : "met", seeds);
	else if (unmet && ks_rp_true(f->run, "canary"))
		snprintf(buf, size, "%s%s, as a canary must", verdict, seeds);
	else if (unmet)
		snprintf(buf, size, "%s%s, expected %s", verdict, seeds, wanted);
	else
		snprintf(buf, size, "%s%s%s", verdict, !strcmp(verdict, "kept") ? "" : ", expected", seeds);
}

static void value_text(char *buf, size_t size, const struct folded *f)
{
	char low[KS_RP_NUMBER], high[KS_RP_NUMBER];
	const char *text = ks_rp_str(f->first, "text");
	*buf = 0;
	if (!f->valued)
		return;
	if (f->low == f->high)
		snprintf(buf, size, "%s", ks_rp_number(low, text, f->low));
	else
		snprintf(buf, size, "%s..%s", ks_rp_number(low, text, f->low), ks_rp_number(high, text, f->high));
}

static void detail_text(char *buf, size_t size, const struct folded *f)
{
	const json_t *exposed = json_object_get(f->claim ? f->claim : f->shown, "exposed");
	double bound = ks_rp_real(json_object_get(f->claim, "bound"));
	const char *verdict = verdict_of(f->shown);
	char small[KS_RP_NUMBER];
	int64_t v;
	*buf = 0;
	if (f->untested == f->n)
		return;
	if (!verdict)
		snprintf(buf, size, "%s", ks_rp_str(f->shown, "band"));
	else if (bound > 0)
		snprintf(buf, size, "%" PRId64 " of %" PRId64 ", at most %s per key (95 %%)", ks_rp_int(f->claim, "count"),
		         ks_rp_int(f->claim, "exposed"), ks_rp_small(small, bound));
	else if (!strcmp(verdict, "kept") && ks_rp_integer(exposed, &v))
		snprintf(buf, size, "exposed %" PRId64, v);
}

static void control_text(char *buf, size_t size, const struct folded *f)
{
	char number[KS_RP_NUMBER];
	const json_t *control = json_object_get(f->shown, "control");
	int64_t v;
	*buf = 0;
	if (!ks_rp_integer(control, &v))
		control = json_object_get(json_object_get(f->claim, "control"), "count");
	if (f->valued && ks_rp_integer(control, &v))
		snprintf(buf, size, "control %s", ks_rp_number(number, ks_rp_str(f->shown, "text"), v));
}

static int add_expectation(struct table *t, const struct folded *f, const char *generator)
{
	char subject[CELL], verdict[CELL], value[CELL], detail[CELL], control[CELL];
	const char *wanted;
	/* A canary's unmet expectations are what it is for. */
	bool unmet = f->met + f->untested < f->n && !ks_rp_true(f->run, "canary");
	snprintf(subject, sizeof(subject), "%.*s", (int)ks_rp_subject(f->first, &wanted), ks_rp_str(f->first, "text"));
	verdict_text(verdict, sizeof(verdict), f);
	value_text(value, sizeof(value), f);
	detail_text(detail, sizeof(detail), f);
	control_text(control, sizeof(control), f);
	const char *const cell[NCOLUMNS] = {generator, subject, verdict, value, detail, control};
	if (table_add(t, cell, unmet))
		return -1;
	const char *reason = ks_rp_str(f->shown, "reason");
	if (!*reason)
		reason = ks_rp_str(f->claim, "reason");
	if (f->untested == f->n && *reason) {
		FILE *out = after(t);
		if (!out)
			return -1;
		char line[600];
		snprintf(line, sizeof(line), "untested: %s", reason);
		put_note(t, out, "", YELLOW, line);
	}
	return 0;
}

static bool expected_already(const json_t *run, const char *name)
{
	size_t i, len = strlen(name);
	json_t *e;
	json_array_foreach(json_object_get(run, "expectations"), i, e) {
		const char *wanted;
		if (ks_rp_subject(e, &wanted) == len && !strncmp(ks_rp_str(e, "text"), name, len))
			return true;
	}
	return false;
}

/* Damage that was done and that no expectation names; of several seeds the first stands for all. */
static int add_damage(struct table *t, const json_t *run, const char *generator)
{
	const char *consumer, *name;
	json_t *counts, *value;
	json_object_foreach((json_t *)json_object_get(run, "damage"), consumer, counts) {
		json_object_foreach(counts, name, value) {
			char subject[CELL], shown_subject[CELL], shown[KS_RP_NUMBER], number[KS_RP_NUMBER], control[CELL] = "";
			int64_t v, c = 0;
			snprintf(subject, sizeof(subject), "%s.%s", consumer, name);
			bool has_control = ks_rp_integer(
				json_object_get(json_object_get(json_object_get(run, "control_damage"), consumer), name), &c);
			if (!ks_rp_integer(value, &v) || (!v && !c) || expected_already(run, subject))
				continue;
			shorten(shown_subject, subject);
			ks_rp_number(shown, name, v);
			if (has_control)
				snprintf(control, sizeof(control), "control %s", ks_rp_number(number, name, c));
			const char *const cell[NCOLUMNS] = {generator, shown_subject, "damage", shown, "", control};
			if (table_add(t, cell, false))
				return -1;
			generator = "";
		}
	}
	return 0;
}

/* Proofs of injection stand where they say something: where the clocks are real. */
static void put_injections(const struct table *t, FILE *out, const json_t *run)
{
	size_t i, n = json_array_size(json_object_get(run, "injection"));
	json_t *injection;
	if (!strcmp(ks_rp_str(run, "world"), "sim"))
		return;
	json_array_foreach(json_object_get(run, "injection"), i, injection) {
		char text[500];
		if (i == 3 && n > 4) {
			snprintf(text, sizeof(text), "and %zu more faults, each proven", n - i);
			put_note(t, out, "", "", text);
			break;
		}
		ks_rp_injection(text, sizeof(text), injection);
		put_note(t, out, "", "", text);
	}
}

/* What daemons did to the clocks that they keep, beyond slewing. */
static void put_keepers(const struct table *t, FILE *out, const json_t *run)
{
	const json_t *list = json_object_get(json_object_get(run, "keepers"), "notable");
	size_t i, n = json_array_size(list);
	json_t *act;
	json_array_foreach(list, i, act) {
		char text[500];
		if (i == 3 && n > 4) {
			snprintf(text, sizeof(text), "and %zu more", n - i);
			put_note(t, out, "", "", text);
			break;
		}
		ks_rp_keeper_act(text, sizeof(text), act);
		put_note(t, out, "", "", text);
	}
}

struct trouble {
	FILE *out;
	const struct table *t;
};

static void put_trouble(void *to, const char *text)
{
	struct trouble *w = to;
	put_note(w->t, w->out, "!", RED, text);
}

static void put_captured(void *to, const char *text)
{
	struct trouble *w = to;
	put_note(w->t, w->out, "", "", text);
}

/* Below the rows of one generator: the first of its runs that is not as expected, with the line to paste. */
static int add_notes(struct table *t, const struct ks_rp_cell *cell)
{
	FILE *out = after(t);
	if (!out)
		return -1;
	bool proven = false;
	for (size_t i = 0; i < cell->n; i++) {
		const json_t *run = cell->run[i];
		if (strcmp(ks_rp_str(run, "status"), "judged"))
			continue;
		char reported[1000];
		if (!proven) {
			put_injections(t, out, run);
			put_keepers(t, out, run);
			ks_rp_capture(run, 4, 0, put_captured, &(struct trouble){out, t});
		}
		if (!proven && ks_rp_reported(reported, sizeof(reported), run))
			put_note(t, out, "", "", reported);
		if (!proven && ks_rp_int(run, "attempts") > 1)
			put_note(t, out, "", YELLOW, "judged at a second attempt: this world is noisy, and the first was not as expected");
		proven = true;
		if (ks_rp_true(run, "as_expected"))
			continue;
		struct trouble w = {out, t};
		/* Unmet expectations have a row of their own; say the rest. */
		ks_rp_unexpected(run, KS_RP_BEYOND_EXPECTATIONS, put_trouble, &w);
		put_reproduce(out, run);
		break;
	}
	return 0;
}

static bool is_unmet_in(const json_t *run, const json_t *expectation)
{
	const json_t *e = !strcmp(ks_rp_str(run, "status"), "judged") ? same_expectation(run, ks_rp_str(expectation, "text")) : NULL;
	return e && !ks_rp_true(e, "met") && !ks_rp_true(e, "untested");
}

/* Of several seeds those that failed, below the row: "with seeds 2, 5..8, 11". */
static void put_failing_seeds(struct table *t, const struct ks_rp_cell *cell, const json_t *expectation)
{
	FILE *out = after(t);
	char text[2000];
	const char *comma = " ";
	size_t failing = 0, n;
	for (size_t i = 0; i < cell->n; i++)
		failing += is_unmet_in(cell->run[i], expectation);
	n = (size_t)snprintf(text, sizeof(text), "with seed%s", failing == 1 ? "" : "s");
	for (size_t i = 0; i < cell->n && n < sizeof(text) - 64; i++) {
		size_t last = i;
		if (!is_unmet_in(cell->run[i], expectation))
			continue;
		while (last + 1 < cell->n && is_unmet_in(cell->run[last + 1], expectation) &&
		       ks_rp_int(cell->run[last + 1], "seed") == ks_rp_int(cell->run[last], "seed") + 1)
			last++;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%" PRId64, comma, ks_rp_int(cell->run[i], "seed"));
		if (last > i)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%" PRId64, last == i + 1 ? ", " : "..", ks_rp_int(cell->run[last], "seed"));
		comma = ", ";
		i = last;
	}
	if (out)
		put_note(t, out, "", "", text);
}

static int add_cell(struct table *t, const struct ks_rp_cell *cell)
{
	const json_t *first = NULL;
	for (size_t i = 0; i < cell->n && !first; i++)
		if (!strcmp(ks_rp_str(cell->run[i], "status"), "judged"))
			first = cell->run[i];
	if (!first)
		return 0;
	char name[CELL];
	const char *generator = shorten(name, cell->generator);
	size_t i;
	json_t *e;
	json_array_foreach(json_object_get(first, "expectations"), i, e) {
		struct folded f = fold(cell, e);
		if (!f.n)
			continue;
		if (add_expectation(t, &f, generator))
			return -1;
		if (f.n > 1 && f.met + f.untested < f.n && !ks_rp_true(f.run, "canary"))
			put_failing_seeds(t, cell, e);
		generator = "";
	}
	if (add_damage(t, first, generator))
		return -1;
	if (!json_array_size(json_object_get(first, "expectations")) && !json_object_size(json_object_get(first, "damage"))) {
		const char *const cell_text[NCOLUMNS] = {generator, "nothing expected"};
		if (table_add(t, cell_text, false))
			return -1;
	}
	return add_notes(t, cell);
}

/* Runs that gave no verdict: one line each reason. */
static void put_unjudged(struct table *t, const struct ks_rp_cell *cell)
{
	for (size_t i = 0; i < cell->n; i++) {
		const json_t *run = cell->run[i];
		const char *status = ks_rp_str(run, "status"), *reason = ks_rp_str(run, "reason");
		size_t same = 0;
		if (!strcmp(status, "judged"))
			continue;
		if (i && !strcmp(reason, ks_rp_str(cell->run[i - 1], "reason")))
			continue;
		for (size_t k = i; k < cell->n; k++)
			same += !strcmp(reason, ks_rp_str(cell->run[k], "reason")) &&
			        !strcmp(status, ks_rp_str(cell->run[k], "status"));
		bool failed = !strcmp(status, "failed");
		fprintf(t->out, "%s%s", t->colour ? failed ? RED : YELLOW : "", failed ? "! " : "  ");
		ks_rp_put(t->out, KS_RP_PLAIN, cell->generator);
		fprintf(t->out, "  %s", status);
		if (cell->n > 1)
			fprintf(t->out, " %zu/%zu", same, cell->n);
		fputs(": ", t->out);
		ks_rp_put(t->out, KS_RP_PLAIN, reason);
		fprintf(t->out, "%s\n", t->colour ? PLAIN : "");
		if (failed)
			put_reproduce(t->out, run);
	}
}

static int print_block(const struct ks_rp_block *block, bool again, FILE *out, bool colour, int width)
{
	char seeds[KS_RP_NUMBER];
	ks_rp_put(out, KS_RP_PLAIN, block->scenario);
	if (!again) {
		fputs(": ", out);
		ks_rp_put(out, KS_RP_PLAIN, block->about);
	}
	fputs("; ", out);
	ks_rp_put(out, KS_RP_PLAIN, block->world);
	fprintf(out, ", %s\n", ks_rp_seeds(seeds, block));

	struct table t = {.out = out, .colour = colour, .width = width};
	int rc = table_open(&t);
	for (size_t i = 0; i < block->n && !rc; i++)
		rc = add_cell(&t, &block->cell[i]);
	if (!rc)
		rc = table_print(&t);
	for (size_t i = 0; i < block->n && !rc; i++)
		put_unjudged(&t, &block->cell[i]);
	table_close(&t);
	return rc;
}

static bool has_witness(const json_t *result)
{
	size_t i, k;
	json_t *run, *claim;
	json_array_foreach(json_object_get(result, "runs"), i, run)
		json_array_foreach(json_object_get(run, "claims"), k, claim)
			if (json_object_size(json_object_get(claim, "witness")))
				return true;
	return false;
}

static void print_closing(const json_t *result, FILE *out, bool colour, const char *where)
{
	const json_t *s = json_object_get(result, "summary");
	int64_t total = ks_rp_int(s, "expectations"), met = ks_rp_int(s, "met");
	int64_t untested = ks_rp_int(s, "untested"), failed = ks_rp_int(s, "failed");
	char text[KS_RP_NUMBER];
	bool red = colour && (failed || ks_rp_missing(result) || ks_rp_int(s, "as_expected") != ks_rp_int(s, "runs"));
	fprintf(out, "%s%" PRId64 " of %" PRId64 " expectations met", red ? RED : "", met, total);
	if (ks_rp_missing(result))
		fprintf(out, ", not finished: %s missing", ks_rp_count(text, ks_rp_missing(result), "run is", "runs are"));
	if (untested)
		fprintf(out, ", %" PRId64 " untested", untested);
	if (ks_rp_int(s, "runs_untested"))
		fprintf(out, ", %s untested", ks_rp_count(text, ks_rp_int(s, "runs_untested"), "run", "runs"));
	if (failed)
		fprintf(out, ", %s could not be judged", ks_rp_count(text, failed, "run", "runs"));
	fputs(red ? PLAIN : "", out);
	if (where) {
		fputs("   ", out);
		ks_rp_put(out, KS_RP_PLAIN, where);
	}
	if (has_witness(result)) {
		fputs("   next: keyskew explain ", out);
		if (where && strcmp(where, ".keyskew/last")) { /* explain looks there unless told otherwise */
			ks_rp_put(out, KS_RP_PLAIN, where);
			fputc(' ', out);
		}
		fputs("--first", out);
	} else if (failed) {
		fputs("   next: keyskew doctor", out);
	}
	fputc('\n', out);
}

int ks_report_text(const json_t *result, FILE *out, bool colour, int width, const char *where)
{
	struct ks_rp_blocks blocks;
	if (ks_rp_group(result, &blocks))
		return -1;
	int rc = 0;
	for (size_t i = 0; i < blocks.n && !rc; i++) {
		/* What a scenario is about is said once, however many worlds it runs in. */
		bool again = i && !strcmp(blocks.v[i].scenario, blocks.v[i - 1].scenario) &&
		             !strcmp(blocks.v[i].about, blocks.v[i - 1].about);
		rc = print_block(&blocks.v[i], again, out, colour, width < 40 ? 40 : width);
	}
	if (!rc)
		ks_rp_put_worlds(&blocks, out);
	ks_rp_blocks_release(&blocks);
	if (!rc)
		print_closing(result, out, colour, where);
	return rc || fflush(out) || ferror(out) ? -1 : 0;
}
