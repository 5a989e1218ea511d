/* keyskew lint: scenario and suite files, checked without running anything. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_mem.h"
#include "ks_plan.h"
#include "keygen.h"
#include "run.h"

static int lint_suite(const char *path, struct ks_err *err)
{
	struct ks_suite suite;
	int status = 0;
	if (ks_suite_load(path, &suite, err))
		return -1;
	for (size_t i = 0; i < suite.n && !status; i++) {
		char found[PATH_MAX];
		const struct ks_suite_item *item = &suite.item[i];
		if (!item->ntags)
			status = ks_library_find(item->scenario, found, sizeof found, err);
		for (size_t g = 0; g < item->ngenerators && !status; g++) {
			struct ks_gen_spec spec;
			status = ks_generator_parse(item->generators[g], &spec, err);
			if (!status)
				ks_generator_release(&spec);
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

static int lint_generator(const char *path, struct ks_err *err)
{
	struct ks_gen_spec spec;
	int status = ks_generator_parse(path, &spec, err);
	if (!status)
		ks_generator_release(&spec);
	return status;
}

static int lint(const char *name, const struct ks_set *sets, size_t nsets, bool effective, struct ks_err *err)
{
	char path[PATH_MAX];
	if (ks_is_genfile(name))
		return lint_generator(name, err);
	if (ks_library_find(name, path, sizeof path, err))
		return -1;
	int suite = ks_file_is_suite(path, err);
	if (suite < 0)
		return -1;
	return suite ? lint_suite(path, err) : lint_scenario(path, sets, nsets, effective, err);
}

static const struct ks_cli_option options[] = {
	{"effective", 'e', NULL, "print the scenario with every default", KS_COMPLETE_NONE, NULL},
	{"set", 0, "PATH=VALUE", "changes the scenario, as keyskew run does", KS_COMPLETE_NONE, NULL},
	{"words", 0, NULL, "print the reference of the file formats, Markdown", KS_COMPLETE_NONE, NULL},
	{0},
};
enum { EFFECTIVE, SET, WORDS };

static int cmd_lint(int argc, char **argv);
static const char *const synopsis[] = {"[--effective] [--set PATH=VALUE]... FILE...", "--words", NULL};
const struct ks_cli_command ks_command_lint = {
	.name = "lint",
	.summary = "check scenario, suite and generator files; --effective prints every default",
	.synopsis = synopsis,
	.text = "Checks files without running anything. Errors name file:line:col, what was expected, and the nearest name.",
	.options = options,
	.complete = KS_COMPLETE_SCENARIO,
	.run = cmd_lint,
};

#define SETS_MAX 64
struct sets {
	struct ks_set v[SETS_MAX];
	size_t n;
};

static int add_set(struct sets *s, char *text, struct ks_err *err)
{
	char *eq = strchr(text, '=');
	if (!eq || eq == text || s->n == SETS_MAX)
		return ks_fail(err, KS_E_USAGE, "bad --set '%s', expected PATH=VALUE, at most %d of them", text, SETS_MAX);
	*eq = 0;
	s->v[s->n++] = (struct ks_set){text, eq + 1};
	return 0;
}

static int lint_all(const struct ks_cli *cli, const struct sets *sets, bool effective)
{
	int code = 0;
	struct ks_err err;
	for (size_t i = 0; i < cli->words; i++)
		if (lint(cli->word[i], sets->v, sets->n, effective, &err)) {
			int failed = ks_cli_error(&err);
			code = code ? code : failed;
		} else if (!effective) {
			printf("%s: ok\n", cli->word[i]);
		}
	return code;
}

static const char introduction[] =
	"# The format of scenarios, suites and generator files\n"
	"\n"
	"What `keyskew lint --words` prints. Files are YAML; `keyskew lint FILE` checks one and names the place and the nearest word of\n"
	"what it does not know, `keyskew lint --effective FILE` prints it with every default.\n"
	"\n"
	"```yaml\n"
	"keyskew: 1\n"
	"title: NTP steps one of three order nodes back 120 ms\n"
	"fleet: 3\n"
	"workload: {rate: 1000/s}\n"
	"faults:\n"
	"  - {name: back, at: 10s, node: n2, step: -120ms}\n"
	"expect:\n"
	"  snowflake: {unique@fleet: kept, refusals: 119..121}\n"
	"  unixmilli: {unique@node: broken, duplicates@node: 120}\n"
	"```\n"
	"\n"
	"- Only `keyskew: 1` is required. Units are: durations `ns us ms s m h d`, rates of clocks `ppm ppb`, rates of calls `/s`.\n"
	"- Times are true time, `0s` is `start`; faults may also use UTC times. Signs: positive means that a clock reads later, or runs faster.\n"
	"- A band is a number (`120`), or `119..121`, `1..`, `..5ms`; it needs no quotes.\n"
	"- `expect` has a mapping for a generator, as `-g` names it, or for `other`: those not named. Its keys are properties (`unique increasing sorted(5ms)\n"
	"  causal clock(1ms) available(10ms)`, within a bound) with `kept`, `broken` or `untested`, or metrics and damages with a band; `claims: kept` are all that the\n"
	"  generator promises. A scope stands behind an `@`: `thread process node fleet`.\n"
	"- Every key can be set from the command line: `--set faults.back.step=-50ms`, `--sweep workload.rate=100/s,1000/s`.\n";

static void print_words(void)
{
	fputs(introduction, stdout);
	ks_plan_reference(stdout);
	ks_suite_reference(stdout);
	ks_genfile_reference(stdout);
}

static int cmd_lint(int argc, char **argv)
{
	struct ks_cli cli;
	struct sets sets = {.n = 0};
	bool effective = false, words = false;
	char *value;
	int option;
	ks_cli_begin(&cli, &ks_command_lint, argc, argv);
	while ((option = ks_cli_next(&cli, &value)) >= 0) {
		effective = effective || option == EFFECTIVE;
		words = words || option == WORDS;
		if (option == SET && add_set(&sets, value, &cli.err)) {
			option = KS_CLI_BAD;
			break;
		}
	}
	int code = 0;
	if (option != KS_CLI_END)
		code = ks_cli_end(&cli, option);
	else if (words)
		print_words();
	else
		code = cli.words ? lint_all(&cli, &sets, effective) : ks_cli_usage(&ks_command_lint);
	ks_cli_release(&cli);
	return code;
}
