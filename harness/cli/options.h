/* Commands and their options as data: one table yields the parser, --help, the man page and shell completion. */
#ifndef KS_OPTIONS_H
#define KS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ks_err.h"

/* What a shell may offer for a value or a word. */
enum ks_complete {
	KS_COMPLETE_NONE,
	KS_COMPLETE_FILE,
	KS_COMPLETE_FOLDER,
	KS_COMPLETE_SCENARIO,
	KS_COMPLETE_GENERATOR,
	KS_COMPLETE_WORLD,
	KS_COMPLETE_KIND,  /* of keyskew list */
	KS_COMPLETE_WORDS, /* those of `words` */
};

struct ks_cli_option {
	const char *name;  /* without "--" */
	char letter;       /* 0: none */
	const char *value; /* "PATH=VALUE"; NULL: it takes none */
	const char *help;  /* one line */
	enum ks_complete complete;
	const char *const *words; /* NULL-terminated, of KS_COMPLETE_WORDS */
};

struct ks_cli_command {
	const char *name;
	const char *summary;         /* one line */
	const char *const *synopsis; /* what follows the name, one form each; NULL-terminated */
	const char *text;            /* paragraphs; may be NULL */
	const struct ks_cli_option *options; /* ends with a NULL name; --help is every command's */
	enum ks_complete complete;   /* of the words that are no options */
	const char *const *words;    /* of KS_COMPLETE_WORDS */
	int (*run)(int argc, char **argv); /* @return the exit code */
};

/* A command line while it is read. */
struct ks_cli {
	const struct ks_cli_command *command;
	char **argv;
	int argc, at;
	const char *cluster;  /* letters behind one dash that are still to come */
	bool only_words;      /* after "--" */
	const char **word;    /* the words that are no options, in order; owned */
	size_t words;
	struct ks_err err;
};

#define KS_CLI_END (-1)
#define KS_CLI_BAD (-2)  /* err is set: KS_E_USAGE with the nearest name, KS_E_INTERNAL */
#define KS_CLI_HELP (-3) /* printed */

void ks_cli_begin(struct ks_cli *cli, const struct ks_cli_command *command, int argc, char **argv);
/* The next option as its index in the table, its value in *value (NULL: it takes none); words go into cli->word. Options and
 * words may be mixed; a word "-" is a word. */
int ks_cli_next(struct ks_cli *cli, char **value);
void ks_cli_release(struct ks_cli *cli);
/* What to return after KS_CLI_HELP or KS_CLI_BAD (err is printed), or for words that do not fit: prints the usage. */
int ks_cli_end(const struct ks_cli *cli, int result);
int ks_cli_usage(const struct ks_cli_command *command);

void ks_command_help(const struct ks_cli_command *command, FILE *out);

/* Ends with NULL. */
extern const struct ks_cli_command *const ks_commands[];

/* man.c: pages of section 1 in man(7), of one command or (NULL) of the program. */
void ks_man(const struct ks_cli_command *command, FILE *out);
/* completion.c */
void ks_completion_bash(FILE *out);
void ks_completion_zsh(FILE *out);

#endif
