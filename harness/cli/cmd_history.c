/* keyskew history: results over time. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ks_history.h"
#include "ks_opt.h"
#include "ks_table.h"
#include "ks_trend.h"

static const struct ks_cli_option options[] = {
	{"generator", 'g', "G", "only this generator", KS_COMPLETE_GENERATOR, NULL},
	{"world", 'w', "W", "only this world", KS_COMPLETE_WORLD, NULL},
	{"claim", 0, "C", "only this claim", KS_COMPLETE_NONE, NULL},
	{"limit", 0, "N", "how many results list shows, default 20", KS_COMPLETE_NONE, NULL},
	{"output", 'o', "FILE", "trend as a picture, .svg or .png", KS_COMPLETE_FILE, NULL},
	{"db", 0, "FILE", "the history (default: $KEYSKEW_HISTORY, else .keyskew/history.db)", KS_COMPLETE_FILE, NULL},
	{"json", 0, NULL, "as JSON", KS_COMPLETE_NONE, NULL},
	{0},
};
enum { GENERATOR, WORLD, CLAIM, LIMIT, OUTPUT, DB, AS_JSON };

static int cmd_history(int argc, char **argv);
static const char *const synopsis[] = {"[list]", "changes [SCENARIO]", "trend METRIC[@SCOPE] [SCENARIO] [-o FILE]", "add DIR...",
                                       "rebuild DIR...", NULL};
static const char *const verb_names[] = {"list", "changes", "trend", "add", "rebuild", NULL};
const struct ks_cli_command ks_command_history = {
	.name = "history",
	.summary = "results over time: trends, the night a verdict changed",
	.synopsis = synopsis,
	.text = "list: the last results, newest first. changes: the nights on which verdicts changed. trend: a metric over time.\n"
	        "add: takes results that lie in folders; rebuild: makes the history anew from them.\n\n"
	        "keyskew run adds its result when it writes into .keyskew, or when KEYSKEW_HISTORY names a file. diff takes the numbers:\n"
	        "keyskew diff 12 15",
	.options = options,
	.complete = KS_COMPLETE_WORDS,
	.words = verb_names,
	.run = cmd_history,
};

struct args {
	const char *verb, *db, *picture;
	struct ks_history_filter filter;
	int64_t limit;
	bool json;
	const char **rest;
	int n;
};

static int take(struct args *a, int option, char *value, struct ks_err *err)
{
	char *end;
	switch (option) {
	case GENERATOR:
		a->filter.generator = value;
		break;
	case WORLD:
		a->filter.world = value;
		break;
	case CLAIM:
		a->filter.claim = value;
		break;
	case LIMIT:
		a->limit = strtoll(value, &end, 10);
		if (*end || a->limit < 1)
			return ks_fail(err, KS_E_USAGE, "bad --limit '%s', expected a number from 1", value);
		break;
	case OUTPUT:
		a->picture = value;
		break;
	case DB:
		a->db = value;
		break;
	case AS_JSON:
		a->json = true;
		break;
	}
	return 0;
}

static int parse(struct ks_cli *cli, struct args *a)
{
	char *value;
	int option;
	*a = (struct args){.verb = "list", .db = ks_history_path(), .limit = 20};
	while ((option = ks_cli_next(cli, &value)) >= 0)
		if (take(a, option, value, &cli->err))
			return KS_CLI_BAD;
	if (cli->words)
		a->verb = cli->word[0];
	a->rest = cli->word + (cli->words > 0);
	a->n = (int)cli->words - (cli->words > 0);
	return option;
}

/* ---- tables ---- */

struct column {
	const char *title, *key;
	bool right;
};

static int print_table(const json_t *rows, const struct column *columns)
{
	struct ks_table t = {.gap = 2};
	size_t i;
	json_t *row;
	int failed = 0;
	for (; columns[t.columns].title; t.columns++) {
		t.title[t.columns] = columns[t.columns].title;
		t.right[t.columns] = columns[t.columns].right;
	}
	json_array_foreach(rows, i, row) {
		const char *cell[KS_TABLE_COLUMNS];
		char number[KS_TABLE_COLUMNS][32];
		for (size_t c = 0; c < t.columns; c++) {
			const json_t *v = json_object_get(row, columns[c].key);
			snprintf(number[c], sizeof number[c], "%lld", (long long)json_integer_value(v));
			cell[c] = json_is_string(v) ? json_string_value(v) : number[c];
		}
		failed |= ks_table_add(&t, cell, NULL);
	}
	if (!failed)
		ks_table_print(&t, stdout, 0, ks_terminal_width());
	ks_table_release(&t);
	return failed ? KS_E_INTERNAL : 0;
}

static int print(const struct args *a, const json_t *rows, const struct column *columns, const char *nothing)
{
	if (a->json) {
		int failed = json_dumpf(rows, stdout, JSON_INDENT(1));
		putchar('\n');
		return failed ? KS_E_INTERNAL : 0;
	}
	if (!json_array_size(rows)) {
		puts(nothing);
		return 0;
	}
	return print_table(rows, columns);
}

/* ---- verbs ---- */

static int list(struct ks_history *h, const struct args *a, struct ks_err *err)
{
	static const struct column columns[] = {{"ID", "id", true},           {"TIME", "time", false},      {"NAME", "name", false},
	                                        {"RUNS", "runs", true},       {"AS EXPECTED", "as_expected", true}, {"UNMET", "unmet", true},
	                                        {"UNTESTED", "untested", true}, {"FAILED", "failed", true},   {"FOLDER", "folder", false},
	                                        {NULL, NULL, false}};
	json_t *rows = ks_history_list(h, NULL, a->limit, err);
	int code = rows ? print(a, rows, columns, "no results yet") : ks_cli_error(err);
	json_decref(rows);
	return code;
}

static int changes(struct ks_history *h, const struct args *a, struct ks_err *err)
{
	static const struct column columns[] = {{"ID", "id", true},       {"TIME", "time", false},           {"SCENARIO", "scenario", false},
	                                        {"GENERATOR", "generator", false}, {"WORLD", "world", false}, {"CLAIM", "claim", false},
	                                        {"FROM", "from", false},  {"TO", "to", false},               {"SINCE", "last_id", true},
	                                        {NULL, NULL, false}};
	json_t *rows = ks_history_changes(h, &a->filter, err);
	int code = rows ? print(a, rows, columns, "no verdict has changed") : ks_cli_error(err);
	json_decref(rows);
	return code;
}

/* Every point as a row, for a terminal. */
static json_t *flat(const json_t *series)
{
	json_t *rows = json_array(), *s, *p;
	size_t i, k;
	json_array_foreach(series, i, s) {
		json_array_foreach(json_object_get(s, "points"), k, p) {
			json_t *row = json_copy(p);
			json_object_set(row, "scenario", json_object_get(s, "scenario"));
			json_object_set(row, "generator", json_object_get(s, "generator"));
			json_object_set(row, "world", json_object_get(s, "world"));
			json_array_append_new(rows, row);
		}
	}
	return rows;
}

static int show_trend(const struct args *a, const json_t *series, const char *metric, struct ks_err *err)
{
	static const struct column columns[] = {{"SCENARIO", "scenario", false}, {"GENERATOR", "generator", false}, {"WORLD", "world", false},
	                                        {"ID", "id", true},              {"TIME", "time", false},           {"LOW", "low", true},
	                                        {"MEDIAN", "median", true},      {"HIGH", "high", true},            {"SEEDS", "n", true},
	                                        {NULL, NULL, false}};
	if (a->picture && ks_report_trend(series, metric, a->picture, err))
		return ks_cli_error(err);
	if (a->picture)
		return 0;
	json_t *rows = a->json ? json_incref((json_t *)series) : flat(series);
	int code = print(a, rows, columns, "no result has that metric");
	json_decref(rows);
	return code;
}

static int trend(struct ks_history *h, const struct args *a, struct ks_err *err)
{
	char metric[200];
	snprintf(metric, sizeof metric, "%s", a->rest[0]);
	char *at = strchr(metric, '@');
	if (at)
		*at = 0;
	json_t *series = ks_history_trend(h, metric, at ? at + 1 : "", &a->filter, err);
	int code = series ? show_trend(a, series, a->rest[0], err) : ks_cli_error(err);
	json_decref(series);
	return code;
}

static int add(struct ks_history *h, const struct args *a, struct ks_err *err)
{
	int news = 0;
	for (int i = 0; i < a->n; i++) {
		char folder[PATH_MAX];
		int64_t id;
		json_t *document = ks_load_result(a->rest[i], folder, sizeof folder, err);
		int status = document ? ks_history_add(h, document, folder, &id, err) : -1;
		json_decref(document);
		if (status < 0)
			return ks_cli_error(err);
		news += status;
	}
	printf("%d of %d added, the others were there already\n", news, a->n);
	return 0;
}

static int rebuild(struct ks_history *h, const struct args *a, struct ks_err *err)
{
	return ks_history_clear(h, err) ? ks_cli_error(err) : add(h, a, err);
}

static const struct verb {
	const char *name;
	int (*run)(struct ks_history *h, const struct args *a, struct ks_err *err);
	int before_scenario, most; /* arguments; of those that take a scenario it is the last */
	bool scenario, writes;
} verbs[] = {{"list", list, 0, 0, false, false},
             {"changes", changes, 0, 1, true, false},
             {"trend", trend, 1, 2, true, false},
             {"add", add, 1, INT_MAX, false, true},
             {"rebuild", rebuild, 1, INT_MAX, false, true}};
#define VERBS (sizeof verbs / sizeof *verbs)

static const struct verb *find_verb(const char *name, struct ks_err *err)
{
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	const char *near = ks_nearest(name, verb_names, VERBS);
	ks_fail(err, KS_E_USAGE, "unknown word '%.100s' after history%s%s%s", name, near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	return NULL;
}

static int run_verb(const struct verb *v, struct args *a, struct ks_err *err)
{
	if (a->n < v->before_scenario || a->n > v->most)
		return ks_cli_usage(&ks_command_history);
	if (v->scenario && a->n > v->before_scenario)
		a->filter.scenario = a->rest[v->before_scenario];
	struct ks_history *h = ks_history_open(a->db, v->writes ? KS_HISTORY_WRITE : KS_HISTORY_READ, err);
	if (!h)
		return ks_cli_error(err);
	int code = v->run(h, a, err);
	ks_history_close(h);
	return code;
}

static int cmd_history(int argc, char **argv)
{
	struct ks_cli cli;
	struct args a;
	ks_cli_begin(&cli, &ks_command_history, argc, argv);
	int code = parse(&cli, &a);
	if (code != KS_CLI_END) {
		code = ks_cli_end(&cli, code);
	} else {
		const struct verb *v = find_verb(a.verb, &cli.err);
		code = v ? run_verb(v, &a, &cli.err) : ks_cli_error(&cli.err);
	}
	ks_cli_release(&cli);
	return code;
}
