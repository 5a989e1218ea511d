/* The command line: one file a subcommand, listed in main.c. Only main.c exits; each command returns the exit code. */
#ifndef KS_CLI_H
#define KS_CLI_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

#include "ks_err.h"
#include "options.h"

extern const struct ks_cli_command ks_command_run, ks_command_lint, ks_command_list, ks_command_explain, ks_command_diff, ks_command_compare,
	ks_command_history, ks_command_report, ks_command_doctor, ks_command_bench, ks_command_new, ks_command_man, ks_command_completion;
int ks_cmd_run(int argc, char **argv);
int ks_cmd_compare_run(int argc, char **argv); /* the runs of a comparison */

/* Set by SIGINT and SIGTERM to the signal's number. */
extern volatile sig_atomic_t ks_signal;

/* Prints "keyskew: TEXT" on stderr. @return the exit code of the error. */
int ks_cli_error(const struct ks_err *err);

struct ks_gen_spec;
/* A generator as -g, a suite or an expectation names it: a built-in with its options, ask:COMMAND, exec:COMMAND,
 * FILE.gen.yaml. @return 0 (then ks_generator_release), or -1 (KS_E_USAGE). */
int ks_generator_parse(const char *text, struct ks_gen_spec *spec, struct ks_err *err);
void ks_generator_release(struct ks_gen_spec *spec);

/* The folder of the scenario library: KEYSKEW_SCENARIOS, the one installed beside the program, or the source tree's.
 * @return a static string, or NULL. */
const char *ks_library(void);

/* The folder of ready-made generator files of foreign programs: KEYSKEW_SUBJECTS, or as above. @return likewise. */
const char *ks_subjects(void);

/* What keyskew list says of them. */
json_t *ks_list_subjects(void);

/* Finds what a user names: a path that exists, or a bare name in the library ("ntp-step-back", "suites/nightly").
 * @return 0 with the path, or -1 (KS_E_USAGE) with the nearest name. */
int ks_library_find(const char *name, char *path, size_t size, struct ks_err *err);

/* Calls visit for every *.yaml below a folder, in the order of their names. @return the first non-zero result. */
int ks_library_walk(const char *folder, int (*visit)(const char *path, void *context), void *context, struct ks_err *err);

/* The history file: $KEYSKEW_HISTORY, else .keyskew/history.db. */
const char *ks_history_path(void);

/* The result document of a run folder (NULL: .keyskew/last) or file, or by its number in the history ("12"). @return a new reference, or NULL (KS_E_USAGE). */
json_t *ks_load_result(const char *where, char *folder, size_t size, struct ks_err *err);

/* Prints the names of a kind of keyskew list, one a line; "kinds": those of the kinds. @return 0, or -1: no such kind. */
int ks_list_names(const char *kind, FILE *out);

/* Whether stdout takes colour (a terminal, NO_COLOR not set), and its width. */
bool ks_colour(void);
int ks_width(void);
/* Its width, or 0 when it is none: lines for other programs are not folded. */
size_t ks_terminal_width(void);

#endif
