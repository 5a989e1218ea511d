/* Rows of texts as a table that is no wider than a terminal: columns are narrowed, the widest first, their texts folded at spaces (which
 * libsmartcols does not: it cuts words); where even words do not fit, each row is told in lines of its own. */
#ifndef KS_TABLE_H
#define KS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define KS_TABLE_COLUMNS 16

struct ks_table {
	size_t columns;
	const char *title[KS_TABLE_COLUMNS]; /* all NULL: no line of titles; borrowed */
	bool right[KS_TABLE_COLUMNS];
	size_t gap;                          /* blanks between columns */
	char **cell;                         /* rows x columns, owned */
	const char **colour;                 /* of each row: an escape sequence, or NULL */
	size_t rows, cap;
};

/* Texts are copied, made safe for a terminal. colour: borrowed, or NULL. @return 0, or -1 out of memory. */
int ks_table_add(struct ks_table *table, const char *const *cell, const char *colour);
/* One row of it, without its title; the others decide with it how wide columns are. mark: what stands in the indent of its first line. */
void ks_table_print_row(const struct ks_table *table, FILE *out, const char *mark, size_t indent, size_t width, size_t row);
/* indent: blanks before every line. width: columns of the terminal; 0: any. */
void ks_table_print(const struct ks_table *table, FILE *out, size_t indent, size_t width);
void ks_table_release(struct ks_table *table);

/* A text, made safe for a terminal and folded at spaces: `first` blanks before the first line, `indent` before the others. With first 0
 * the caller has written up to column `indent`. */
void ks_put_folded(FILE *out, const char *text, size_t first, size_t indent, size_t width);

#endif
