/* keyskew diff: what changed between two results. Exit 1 on a regression. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_diff.h"

enum form { TEXT, JSON, MARKDOWN };

static int print(const json_t *diff, enum form form)
{
	int failed = 0;
	switch (form) {
	case TEXT:
		failed = ks_diff_text(diff, stdout, ks_colour(), ks_width());
		break;
	case JSON:
		failed = json_dumpf(diff, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
		putchar('\n');
		break;
	case MARKDOWN:
		failed = ks_diff_markdown(diff, stdout);
		break;
	}
	if (failed)
		return KS_E_INTERNAL;
	return json_integer_value(json_object_get(json_object_get(diff, "summary"), "regressions")) ? 1 : 0;
}

static const struct ks_cli_option options[] = {
	{"json", 0, NULL, "the differences as JSON", KS_COMPLETE_NONE, NULL},
	{"markdown", 0, NULL, "for a pull request", KS_COMPLETE_NONE, NULL},
	{0},
};

static int cmd_diff(int argc, char **argv);
static const char *const synopsis[] = {"BASE [NEW] [--json|--markdown]", NULL};
const struct ks_cli_command ks_command_diff = {
	.name = "diff",
	.summary = "what changed between two results",
	.synopsis = synopsis,
	.text = "BASE and NEW are run folders, result files, or numbers of keyskew history; NEW is .keyskew/last unless given. Says which\n"
	        "verdicts changed, which metrics moved beyond their spread over seeds, and which runs are new, missing or no longer tested.\n\n"
	        "exit: 0 no regression, 1 a regression (coverage that fell is one), 2 usage or file error",
	.options = options,
	.complete = KS_COMPLETE_FOLDER,
	.run = cmd_diff,
};

static int load_and_diff(const char *base_name, const char *new_name, enum form form)
{
	char folder[PATH_MAX];
	struct ks_err err;
	json_t *base = ks_load_result(base_name, folder, sizeof folder, &err);
	json_t *new = base ? ks_load_result(new_name, folder, sizeof folder, &err) : NULL;
	json_t *diff = new ? ks_diff(base, new) : NULL;
	int code = !new ? ks_cli_error(&err) : diff ? print(diff, form) : KS_E_INTERNAL;
	json_decref(base);
	json_decref(new);
	json_decref(diff);
	return code;
}

static int cmd_diff(int argc, char **argv)
{
	struct ks_cli cli;
	enum form form = TEXT;
	char *value;
	int option, code;
	ks_cli_begin(&cli, &ks_command_diff, argc, argv);
	while ((option = ks_cli_next(&cli, &value)) >= 0)
		form = option == 0 ? JSON : MARKDOWN;
	if (option != KS_CLI_END)
		code = ks_cli_end(&cli, option);
	else if (cli.words < 1 || cli.words > 2)
		code = ks_cli_usage(&ks_command_diff);
	else
		code = load_and_diff(cli.word[0], cli.words > 1 ? cli.word[1] : NULL, form);
	ks_cli_release(&cli);
	return code;
}
