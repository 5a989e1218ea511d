/* keyskew report: the files of a run folder, written again from its result.json. */
#include <limits.h>
#include <stdio.h>

#include "cli.h"
#include "ks_report.h"
#include "run.h"

static int cmd_report(int argc, char **argv);
static const char *const synopsis[] = {"[DIR]", NULL};
static const struct ks_cli_option options[] = {{0}};
const struct ks_command ks_command_report = {
	.name = "report",
	.summary = "write page, JUnit, Markdown and plots of a run folder again",
	.synopsis = synopsis,
	.text = "Writes page, JUnit, Markdown and plots of a run folder again (default .keyskew/last).",
	.options = options,
	.complete = KS_COMPLETE_FOLDER,
	.run = cmd_report,
};

static int again(const char *where)
{
	char folder[PATH_MAX];
	struct ks_err err;
	json_t *document = ks_load_result(where, folder, sizeof folder, &err);
	if (!document)
		return ks_cli_error(&err);
	int status = ks_write_reports(document, folder, 2, &err);
	if (!status)
		ks_report_text(document, stdout, ks_colour(), ks_width(), folder);
	json_decref(document);
	return status ? ks_cli_error(&err) : 0;
}

static int cmd_report(int argc, char **argv)
{
	struct ks_cli cli;
	char *value;
	ks_cli_begin(&cli, &ks_command_report, argc, argv);
	int code = ks_cli_next(&cli, &value);
	if (code != KS_CLI_END)
		code = ks_cli_end(&cli, code);
	else if (cli.words > 1)
		code = ks_cli_usage(&ks_command_report);
	else
		code = again(cli.words ? cli.word[0] : NULL);
	ks_cli_release(&cli);
	return code;
}
