/* keyskew report: the files of a run folder, written again from its result.json, or joined from those of its parts. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ks_report.h"
#include "ks_store.h"
#include "run.h"

static int cmd_report(int argc, char **argv);
static const char *const synopsis[] = {"[DIR] [--base DIR|N]", "DIR DIR... -o DIR [--base DIR|N]", NULL};
static const struct ks_cli_option options[] = {
	{"output", 'o', "DIR", "where the joined result goes", KS_COMPLETE_FOLDER, NULL},
	{"base", 0, "DIR|N", "the page tells what changed since that result: a folder, or a number of keyskew history", KS_COMPLETE_FOLDER, NULL},
	{0},
};
const struct ks_cli_command ks_command_report = {
	.name = "report",
	.summary = "write page, JUnit, Markdown and plots again; join the parts of --shard",
	.synopsis = synopsis,
	.text = "Writes page, JUnit, Markdown and plots of a run folder again (default .keyskew/last). Several folders, the parts of one\n"
	        "command with --shard, are joined: the result is that of the command without it. Without --base the page tells what changed since\n"
	        "the last result of the same command in the history, if the result is in there.",
	.options = options,
	.complete = KS_COMPLETE_FOLDER,
	.run = cmd_report,
};

/* @return 0, or the exit code of what went wrong. */
static int write_and_print(const json_t *document, const char *folder, const char *base)
{
	struct ks_err err;
	if (ks_write_files(document, folder, 2, &err) || ks_write_page(document, folder, base, &err))
		return ks_cli_error(&err);
	ks_report_text(document, stdout, ks_colour(), ks_width(), folder);
	return 0;
}

static int again(const char *where, const char *base)
{
	char folder[PATH_MAX];
	struct ks_err err;
	json_t *document = ks_load_result(where, folder, sizeof folder, &err);
	int code = document ? write_and_print(document, folder, base) : ks_cli_error(&err);
	json_decref(document);
	return code;
}

/* ---- joining ---- */

struct part {
	json_t *document;
	char folder[PATH_MAX];
};

static const char *id_of(const json_t *run)
{
	const char *s = json_string_value(json_object_get(run, "id"));
	return s ? s : "";
}

/* Ids begin with the number of the run in its plan. */
static int by_number(const void *pa, const void *pb)
{
	const char *a = id_of(*(json_t *const *)pa), *b = id_of(*(json_t *const *)pb);
	unsigned long na = strtoul(a, NULL, 10), nb = strtoul(b, NULL, 10);
	return na != nb ? (na < nb ? -1 : 1) : strcmp(a, b);
}

static bool same_member(const json_t *a, const json_t *b, const char *key)
{
	const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
	return x && y && json_equal((json_t *)x, (json_t *)y);
}

/* Parts of one command: of one version and suite, of as many parts, each part once. */
static int check_parts(const struct part *part, size_t n, struct ks_err *err)
{
	for (size_t i = 0; i < n; i++) {
		const json_t *d = part[i].document, *shard = json_object_get(d, "shard");
		if (!shard)
			return ks_fail(err, KS_E_USAGE, "'%.300s' is no part: it was run without --shard", part[i].folder);
		const json_t *first = json_object_get(part[0].document, "shard");
		if (!same_member(d, part[0].document, "keyskew") || !same_member(d, part[0].document, "name") ||
		    !same_member(shard, first, "of") || !same_member(shard, first, "planned"))
			return ks_fail(err, KS_E_USAGE, "'%.300s' and '%.300s' are not parts of one command", part[0].folder, part[i].folder);
		for (size_t k = 0; k < i; k++)
			if (same_member(shard, json_object_get(part[k].document, "shard"), "part"))
				return ks_fail(err, KS_E_USAGE, "'%.300s' and '%.300s' are the same part", part[k].folder, part[i].folder);
	}
	return 0;
}

static json_t *join_runs(const struct part *part, size_t n)
{
	json_t *runs = json_array(), *run, **v;
	size_t i, count = 0;
	for (i = 0; i < n; i++)
		count += json_array_size(json_object_get(part[i].document, "runs"));
	v = calloc(count ? count : 1, sizeof *v);
	count = 0;
	for (size_t p = 0; v && p < n; p++)
		json_array_foreach(json_object_get(part[p].document, "runs"), i, run)
			v[count++] = run;
	if (v)
		qsort(v, count, sizeof *v, by_number);
	for (i = 0; v && i < count; i++)
		json_array_append(runs, v[i]);
	free(v);
	return runs;
}

static json_t *join_documents(const struct part *part, size_t n)
{
	const json_t *first = part[0].document;
	double wall_s = 0;
	json_t *document = ks_result_document(json_string_value(json_object_get(first, "name")), join_runs(part, n));
	for (size_t i = 0; i < n; i++)
		wall_s += json_number_value(json_object_get(json_object_get(part[i].document, "host"), "wall_s"));
	json_object_set(document, "planned", json_object_get(json_object_get(first, "shard"), "planned"));
	json_object_set_new(document, "host", json_deep_copy(json_object_get(first, "host")));
	json_object_set_new(json_object_get(document, "host"), "wall_s", json_real(wall_s));
	return document;
}

/* The files of the parts' runs: DIR/runs. */
static int copy_runs(const struct part *part, size_t n, const char *folder, struct ks_err *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	snprintf(to, sizeof to, "%.4000s/runs", folder);
	for (size_t i = 0; i < n; i++) {
		snprintf(from, sizeof from, "%.4000s/runs", part[i].folder);
		if (ks_copy_tree(from, to, err))
			return -1;
	}
	return 0;
}

static int join_into(const struct part *part, size_t n, const char *folder, const char *base, struct ks_err *err)
{
	struct ks_run_args args = {.folder = folder};
	char made[PATH_MAX];
	if (check_parts(part, n, err) || ks_run_folder(&args, "", made, err) || copy_runs(part, n, folder, err))
		return ks_cli_error(err);
	json_t *document = join_documents(part, n);
	size_t have = json_array_size(json_object_get(document, "runs"));
	json_int_t planned = json_integer_value(json_object_get(document, "planned"));
	int code = write_and_print(document, folder, base), verdict = ks_result_exit(document);
	json_decref(document);
	code = code ? code : verdict;
	if ((json_int_t)have == planned)
		return code;
	fprintf(stderr, "keyskew: %lld of %lld runs are missing: a part was not given, or was interrupted\n", (long long)planned - (long long)have,
	        (long long)planned);
	return code ? code : KS_E_JUDGE;
}

static int join(const char *const *where, size_t n, const char *folder, const char *base)
{
	struct ks_err err;
	struct part *part = calloc(n, sizeof *part);
	int code = part ? 0 : KS_E_INTERNAL;
	for (size_t i = 0; !code && i < n; i++) {
		part[i].document = ks_load_result(where[i], part[i].folder, sizeof part[i].folder, &err);
		code = part[i].document ? 0 : ks_cli_error(&err);
	}
	if (!code)
		code = join_into(part, n, folder, base, &err);
	for (size_t i = 0; part && i < n; i++)
		json_decref(part[i].document);
	free(part);
	return code;
}

static int cmd_report(int argc, char **argv)
{
	struct ks_cli cli;
	char *value, *folder = NULL, *base = NULL;
	int option, code;
	ks_cli_begin(&cli, &ks_command_report, argc, argv);
	while ((option = ks_cli_next(&cli, &value)) >= 0)
		*(option ? &base : &folder) = value;
	if (option != KS_CLI_END)
		code = ks_cli_end(&cli, option);
	else if ((cli.words > 1) != (folder != NULL))
		code = ks_cli_usage(&ks_command_report);
	else
		code = folder ? join(cli.word, cli.words, folder, base) : again(cli.words ? cli.word[0] : NULL, base);
	ks_cli_release(&cli);
	return code;
}
