/* The command line of a foreign program, split into words without a shell.
 *
 * Words are separated by blanks. 'single quotes' keep everything, "double quotes" everything but \" and \\, a backslash
 * outside of quotes keeps the next character. There are no variables, patterns, pipes or redirections: `$`, `*`, `|`,
 * `>` are characters like others. {node_id}, {node} and {seed} are replaced wherever they stand, quoted or not, and
 * what replaces them never splits a word; other braces stay as they are. */
#ifndef KS_COMMAND_H
#define KS_COMMAND_H

#include <stdint.h>

#include "foreign.h"
#include "ks_err.h"

#define KS_COMMAND_WORDS KS_FOREIGN_WORDS
#define KS_COMMAND_BYTES 8192 /* of all words, with their NULs */

struct ks_command {
	char *word[KS_COMMAND_WORDS + 1]; /* ends with NULL; points into bytes */
	int words;
	char bytes[KS_COMMAND_BYTES];
};

struct ks_command_values {
	uint64_t node_id, seed;
	const char *node;
};

/* @return 0, or -1 (KS_E_USAGE): nothing in it, a quote that does not end, too long. */
int ks_command_split(struct ks_command *command, const char *text, const struct ks_command_values *values,
		     struct ks_err *err);

/* The same for words that are split already, which end with NULL: only placeholders are replaced. */
int ks_command_fill(struct ks_command *command, char *const *words, const struct ks_command_values *values,
		    struct ks_err *err);
/* Whichever the generator has. */
int ks_command_of(struct ks_command *command, const struct ks_foreign *foreign, const struct ks_command_values *values,
		  struct ks_err *err);

#endif
