/* keyskew report: the files of a run folder, written again from its result.json. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_report.h"
#include "run.h"


int ks_cmd_report(int argc, char **argv)
{
	char folder[PATH_MAX];
	struct ks_err err;
	if (argc > 1 && argv[1][0] == '-') {
		bool asked = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");
		fputs("usage: keyskew report [DIR]\n\nWrites page, JUnit, Markdown and plots of a run folder again (default .keyskew/last).\n",
		      asked ? stdout : stderr);
		return asked ? 0 : KS_E_USAGE;
	}
	if (argc > 2) {
		fputs("keyskew: joining several folders is not carried yet, expected one\n", stderr);
		return KS_E_USAGE;
	}
	json_t *document = ks_load_result(argc > 1 ? argv[1] : NULL, folder, sizeof folder, &err);
	if (!document)
		return ks_cli_error(&err);
	int status = ks_write_reports(document, folder, 2, &err);
	if (!status)
		ks_report_text(document, stdout, ks_colour(), ks_width(), folder);
	json_decref(document);
	return status ? ks_cli_error(&err) : 0;
}
