/* keyskew diff: what changed between two results. Exit 1 on a regression. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_diff.h"

static const char help[] =
	"usage: keyskew diff BASE [NEW] [OPTION]...\n\n"
	"BASE and NEW are run folders, result files, or numbers of keyskew history; NEW is .keyskew/last unless given. Says which verdicts changed, which metrics\n"
	"moved beyond their spread over seeds, and which runs are new, missing or no longer tested.\n\n"
	"      --json      the differences as JSON\n"
	"      --markdown  for a pull request\n\n"
	"exit: 0 no regression, 1 a regression (coverage that fell is one), 2 usage or file error\n";

enum form { TEXT, JSON, MARKDOWN };

static int parse(int argc, char **argv, enum form *form)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'J'}, {"markdown", no_argument, NULL, 'M'}, {"help", no_argument, NULL, 'h'}, {0}};
	int c;
	*form = TEXT;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'J':
			*form = JSON;
			break;
		case 'M':
			*form = MARKDOWN;
			break;
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			fprintf(stderr, "keyskew: unknown option '%s', see keyskew diff --help\n", argv[optind - 1]);
			return -1;
		}
	}
	if (argc - optind >= 1 && argc - optind <= 2)
		return 0;
	fputs(help, stderr);
	return -1;
}

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

int ks_cmd_diff(int argc, char **argv)
{
	char folder[PATH_MAX];
	struct ks_err err;
	enum form form;
	int status = parse(argc, argv, &form);
	if (status)
		return status < 0 ? KS_E_USAGE : 0;
	json_t *base = ks_load_result(argv[optind], folder, sizeof folder, &err);
	json_t *new = base ? ks_load_result(argc - optind > 1 ? argv[optind + 1] : NULL, folder, sizeof folder, &err) : NULL;
	json_t *diff = new ? ks_diff(base, new) : NULL;
	if (!new)
		status = ks_cli_error(&err);
	else
		status = diff ? print(diff, form) : KS_E_INTERNAL;
	json_decref(base);
	json_decref(new);
	json_decref(diff);
	return status;
}
