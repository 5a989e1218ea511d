#include "ks_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define PLAIN "\033[0m"
#define WORD_MAX 24 /* a longer word is cut rather than kept whole */

/* ---- filling ---- */

static char *safe_copy(const char *text)
{
	struct ks_rp_text safe;
	struct ks_err err;
	char *copy = NULL;
	if (ks_rp_open(&safe, &err))
		return NULL;
	ks_rp_put(safe.f, KS_RP_PLAIN, text);
	if (!ks_rp_finish(&safe, &err))
		copy = strdup(safe.bytes);
	ks_rp_release(&safe);
	return copy;
}

int ks_table_add(struct ks_table *t, const char *const *cell, const char *colour)
{
	if (t->rows == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 32;
		char **cells = reallocarray(t->cell, cap * t->columns, sizeof(*cells));
		t->cell = cells ? cells : t->cell;
		const char **colours = cells ? reallocarray(t->colour, cap, sizeof(*colours)) : NULL;
		if (!colours)
			return -1;
		t->colour = colours;
		t->cap = cap;
	}
	t->colour[t->rows] = colour;
	bool failed = false;
	for (size_t c = 0; c < t->columns; c++) {
		t->cell[t->rows * t->columns + c] = safe_copy(cell[c]);
		failed |= !t->cell[t->rows * t->columns + c];
	}
	t->rows++;
	return failed ? -1 : 0;
}

void ks_table_release(struct ks_table *t)
{
	for (size_t i = 0; i < t->rows * t->columns; i++)
		free(t->cell[i]);
	free(t->cell);
	free(t->colour);
	t->cell = NULL;
	t->colour = NULL;
	t->rows = t->cap = 0;
}

static const char *at(const struct ks_table *t, size_t row, size_t column)
{
	const char *text = t->cell[row * t->columns + column];
	return text ? text : "";
}

/* ---- widths ---- */

/* Columns that a text takes: characters, a byte that continues one is none. */
static size_t columns_of(const char *text, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len && text[i]; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

static size_t longest_word(const char *text)
{
	size_t most = 0;
	while (*text) {
		size_t len = strcspn(text, " "), n = columns_of(text, len);
		most = n > most ? n : most;
		text += len + strspn(text + len, " ");
	}
	return most < WORD_MAX ? most : WORD_MAX;
}

struct widths {
	size_t natural[KS_TABLE_COLUMNS], least[KS_TABLE_COLUMNS], shown[KS_TABLE_COLUMNS];
};

static void measure(const struct ks_table *t, struct widths *w)
{
	for (size_t c = 0; c < t->columns; c++) {
		const char *title = t->title[c] ? t->title[c] : "";
		w->natural[c] = columns_of(title, SIZE_MAX);
		w->least[c] = longest_word(title);
		for (size_t r = 0; r < t->rows; r++) {
			size_t n = columns_of(at(t, r, c), SIZE_MAX), word = longest_word(at(t, r, c));
			w->natural[c] = n > w->natural[c] ? n : w->natural[c];
			w->least[c] = word > w->least[c] ? word : w->least[c];
		}
		w->shown[c] = w->natural[c];
	}
}

static size_t sum_of(const struct ks_table *t, const struct widths *w)
{
	size_t sum = 0;
	for (size_t c = 0; c < t->columns; c++)
		sum += w->shown[c] + (c && w->shown[c] ? t->gap : 0);
	return sum;
}

/* Takes from the widest column that still gives. @return whether it fits. */
static bool narrow(const struct ks_table *t, struct widths *w, size_t width)
{
	while (sum_of(t, w) > width) {
		size_t widest = t->columns;
		for (size_t c = 0; c < t->columns; c++)
			if (w->shown[c] > w->least[c] && (widest == t->columns || w->shown[c] > w->shown[widest]))
				widest = c;
		if (widest == t->columns)
			return false;
		w->shown[widest]--;
	}
	return true;
}

/* ---- lines ---- */

/* Bytes of text that fit into room columns, up to a space if there is one. */
static size_t piece_of(const char *text, size_t room)
{
	size_t len = 0, cut = 0, n = 0;
	for (; text[len]; len++) {
		bool begins = ((unsigned char)text[len] & 0xc0) != 0x80;
		if (begins && n == room)
			break;
		n += begins;
		cut = text[len] == ' ' ? len : cut;
	}
	return !text[len] || text[len] == ' ' || !cut ? len : cut;
}

/* One line of a row; rest[c] moves on. @return whether there is more. */
static bool put_line(const struct ks_table *t, const struct widths *w, FILE *out, size_t indent, const char **rest)
{
	size_t blanks = indent;
	bool more = false;
	for (size_t c = 0; c < t->columns; c++) {
		size_t len = piece_of(rest[c], w->shown[c]), n = columns_of(rest[c], len), pad = w->shown[c] - n;
		if (!w->shown[c])
			continue;
		blanks += t->right[c] ? pad : 0;
		if (len) /* blanks at the end of a line are not written */
			fprintf(out, "%*s%.*s", (int)blanks, "", (int)len, rest[c]);
		blanks = len ? 0 : blanks;
		blanks += (t->right[c] ? 0 : pad) + t->gap;
		rest[c] += len + strspn(rest[c] + len, " ");
		more |= *rest[c] != 0;
	}
	fputc('\n', out);
	return more;
}

static void put_row(const struct ks_table *t, const struct widths *w, FILE *out, size_t indent, const char *const *cell, const char *colour)
{
	const char *rest[KS_TABLE_COLUMNS];
	for (size_t c = 0; c < t->columns; c++)
		rest[c] = cell[c] + strspn(cell[c], " ");
	fputs(colour ? colour : "", out);
	while (put_line(t, w, out, indent, rest))
		;
	fputs(colour ? PLAIN : "", out);
}

void ks_put_folded(FILE *out, const char *text, size_t first, size_t indent, size_t width)
{
	size_t used = first ? first : indent;
	char *safe = safe_copy(text);
	const char *at = safe ? safe : "";
	fprintf(out, "%*s", (int)first, "");
	do {
		size_t len = piece_of(at, width > used ? width - used : 1);
		fprintf(out, "%.*s\n", (int)len, at);
		at += len + strspn(at + len, " ");
		if (*at)
			fprintf(out, "%*s", (int)indent, "");
		used = indent;
	} while (*at);
	free(safe);
}

/* A row as lines of its own: its first text, then the others, each behind its title. */
static void put_told(const struct ks_table *t, FILE *out, size_t indent, size_t width, size_t row)
{
	fputs(t->colour[row] ? t->colour[row] : "", out);
	if (*at(t, row, 0))
		ks_put_folded(out, at(t, row, 0), indent, indent, width);
	for (size_t c = 1; c < t->columns; c++) {
		char line[2000];
		bool titled = t->title[c] && *t->title[c];
		if (!*at(t, row, c))
			continue;
		snprintf(line, sizeof(line), "%s%s%s", titled ? t->title[c] : "", titled ? ": " : "", at(t, row, c));
		ks_put_folded(out, line, indent + 2, indent + 4, width);
	}
	fputs(t->colour[row] ? PLAIN : "", out);
}

void ks_table_print(const struct ks_table *t, FILE *out, size_t indent, size_t width)
{
	struct widths w;
	measure(t, &w);
	bool fits = !width || narrow(t, &w, width > indent ? width - indent : 1);
	const char *title[KS_TABLE_COLUMNS];
	for (size_t c = 0; c < t->columns; c++)
		title[c] = t->title[c] ? t->title[c] : "";
	if (fits && t->title[0])
		put_row(t, &w, out, indent, title, NULL);
	for (size_t r = 0; r < t->rows; r++) {
		const char *cell[KS_TABLE_COLUMNS];
		for (size_t c = 0; c < t->columns; c++)
			cell[c] = at(t, r, c);
		if (fits)
			put_row(t, &w, out, indent, cell, t->colour[r]);
		else
			put_told(t, out, indent, width, r);
	}
}

void ks_table_print_row(const struct ks_table *t, FILE *out, const char *mark, size_t indent, size_t width, size_t row)
{
	struct ks_rp_text text;
	struct ks_err err;
	struct widths w;
	const char *cell[KS_TABLE_COLUMNS];
	measure(t, &w);
	if (ks_rp_open(&text, &err))
		return;
	for (size_t c = 0; c < t->columns; c++)
		cell[c] = at(t, row, c);
	if (narrow(t, &w, width > indent ? width - indent : 1))
		put_row(t, &w, text.f, indent, cell, NULL);
	else
		put_told(t, text.f, indent, width, row);
	if (!ks_rp_finish(&text, &err)) {
		size_t skip = text.len > indent ? strlen(mark) : 0;
		fprintf(out, "%s%s", skip ? mark : "", text.bytes + skip);
	}
	ks_rp_release(&text);
}
