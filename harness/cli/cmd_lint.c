/* keyskew lint: scenario and suite files, checked without running anything. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_mem.h"
#include "ks_plan.h"
#include "keygen.h"
#include "run.h"

static const char help[] = "usage: keyskew lint [--effective] [--set PATH=VALUE]... FILE...\n"
                           "       keyskew lint --words\n\n"
                           "Checks scenario and suite files. --effective prints the scenario with every default;\n"
                           "--words prints the words of the file format.\n";

static int lint_suite(const char *path, struct ks_err *err)
{
	struct ks_suite suite;
	int status = 0;
	if (ks_suite_load(path, &suite, err))
		return -1;
	for (size_t i = 0; i < suite.n && !status; i++) {
		char found[PATH_MAX];
		const struct ks_suite_item *item = &suite.item[i];
		status = ks_library_find(item->scenario, found, sizeof found, err);
		for (size_t g = 0; g < item->ngenerators && !status; g++) {
			struct ks_gen_spec spec;
			if (strncmp(item->generators[g], "exec:", 5))
				status = ks_gen_parse(ks_gens_sim, item->generators[g], &spec, err);
		}
		if (status)
			ks_fail_in(err, "%s:%d:%d", path, item->mark.line, item->mark.col);
	}
	ks_suite_release(&suite);
	return status;
}

static int lint_scenario(const char *path, const struct ks_set *sets, size_t nsets, bool effective, struct ks_err *err)
{
	struct ks_plan plan;
	if (ks_plan_load(path, sets, nsets, &plan, err))
		return -1;
	if (ks_check_groups(&plan, err)) {
		ks_plan_release(&plan);
		return -1;
	}
	int status = effective && ks_plan_write(&plan, stdout) ? ks_fail(err, KS_E_INTERNAL, "cannot write the effective form") : 0;
	ks_plan_release(&plan);
	return status;
}

static int lint(const char *name, const struct ks_set *sets, size_t nsets, bool effective, struct ks_err *err)
{
	char path[PATH_MAX];
	if (ks_library_find(name, path, sizeof path, err))
		return -1;
	int suite = ks_file_is_suite(path, err);
	if (suite < 0)
		return -1;
	return suite ? lint_suite(path, err) : lint_scenario(path, sets, nsets, effective, err);
}

int ks_cmd_lint(int argc, char **argv)
{
	static const struct option options[] = {{"effective", no_argument, NULL, 'e'}, {"set", required_argument, NULL, 's'},
	                                        {"words", no_argument, NULL, 'w'}, {"help", no_argument, NULL, 'h'}, {0}};
	struct ks_set sets[64];
	size_t nsets = 0;
	bool effective = false;
	int c, code = 0;
	struct ks_err err;
	optind = 1;
	while ((c = getopt_long(argc, argv, "eh", options, NULL)) != -1) {
		char *eq = optarg ? strchr(optarg, '=') : NULL;
		switch (c) {
		case 'e':
			effective = true;
			break;
		case 's':
			if (!eq || eq == optarg || nsets == sizeof sets / sizeof *sets) {
				fprintf(stderr, "keyskew: bad --set '%s', expected PATH=VALUE\n", optarg);
				return KS_E_USAGE;
			}
			*eq = 0;
			sets[nsets++] = (struct ks_set){optarg, eq + 1};
			break;
		case 'w':
			ks_plan_reference(stdout);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return KS_E_USAGE;
		}
	}
	if (optind == argc) {
		fprintf(stderr, "keyskew: what to lint? name a file\n");
		return KS_E_USAGE;
	}
	for (; optind < argc; optind++)
		if (lint(argv[optind], sets, nsets, effective, &err)) {
			int failed = ks_cli_error(&err);
			code = code ? code : failed;
		} else if (!effective) {
			printf("%s: ok\n", argv[optind]);
		}
	return code;
}
