/* What a result is seen with on its page: what changed since a base, the nights so far, metrics that moved. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ks_diff.h"
#include "ks_history.h"
#include "ks_trend.h"
#include "run.h"

#define NIGHTS 60       /* that a page tells of */
#define CANDIDATES 20   /* earlier results that are looked at for one of the same command */
#define TREND_PICTURES 4
#define TREND_SERIES 6

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

/* ---- what changed ---- */

static int put_diff(json_t *beside, const json_t *base, const json_t *document, const char *words)
{
	json_t *diff = ks_diff(base, document);
	return !diff || json_object_set_new(beside, "diff", diff) || json_object_set_new(beside, "base", json_string(words)) ? -1 : 0;
}

static int put_given_base(json_t *beside, const json_t *document, const char *where, struct ks_err *err)
{
	char folder[PATH_MAX], words[400];
	json_t *base = ks_load_result(where, folder, sizeof folder, err);
	if (!base)
		return -1;
	snprintf(words, sizeof words, "%.200s, of %.60s", where, text(json_object_get(base, "host"), "time"));
	int failed = put_diff(beside, base, document, words);
	json_decref(base);
	return failed ? ks_fail(err, KS_E_INTERNAL, "out of memory") : 0;
}

/* Words of a command that decide where and how it runs, not what: -o DIR, -j N and the like. @return how many words to leave out. */
static size_t aside(const char *word)
{
	static const char *const with_value[] = {"-o", "--output", "-j", "--jobs", "--json", "--junit", "--keys", "--base", "--shard", "--rotating-seed"};
	for (size_t i = 0; i < sizeof with_value / sizeof *with_value; i++) {
		size_t len = strlen(with_value[i]);
		bool is_long = len > 2;
		if (!strcmp(word, with_value[i]))
			return 2;
		if (!strncmp(word, with_value[i], len) && (!is_long || word[len] == '='))
			return 1;
	}
	return 0;
}

static json_t *essence(const json_t *document)
{
	const json_t *command = json_object_get(json_object_get(document, "host"), "command");
	json_t *rest = json_array();
	for (size_t i = 0; i < json_array_size(command);) {
		const char *word = json_string_value(json_array_get(command, i));
		size_t skip = aside(word ? word : "");
		if (!skip)
			json_array_append(rest, json_array_get(command, i));
		i += skip ? skip : 1;
	}
	return rest;
}

/* A result of a part of a command, or of other generators, is no base: everything that it lacks would look new. */
static bool same_command(const json_t *a, const json_t *b)
{
	json_t *x = essence(a), *y = essence(b);
	bool same = json_equal(x, y);
	json_decref(x);
	json_decref(y);
	return same;
}

/* nights begins with the result itself. The newest before it that came of the same command is the base. */
static int put_last_night(struct ks_history *h, json_t *beside, const json_t *document, const json_t *nights, struct ks_err *err)
{
	for (size_t i = 1; i < json_array_size(nights) && i <= CANDIDATES; i++) {
		const json_t *night = json_array_get(nights, i);
		int64_t id = json_integer_value(json_object_get(night, "id"));
		json_t *base = ks_history_document(h, id, err);
		bool same = base && same_command(base, document);
		char words[200];
		snprintf(words, sizeof words, "the last result of the same command, number %lld of %.60s", (long long)id, text(night, "time"));
		int failed = same ? put_diff(beside, base, document, words) : 0;
		json_decref(base);
		if (failed)
			return ks_fail(err, KS_E_INTERNAL, "out of memory");
		if (same || !base)
			return base ? 0 : -1;
	}
	return 0;
}

/* ---- nights and trends ---- */

/* Those before the result are left out, when it is among them: a page that is written again tells what was known then. */
static json_t *nights_up_to(struct ks_history *h, const json_t *document, struct ks_err *err)
{
	const char *time = text(json_object_get(document, "host"), "time");
	json_t *nights = ks_history_list(h, text(document, "name"), 10000, err);
	while (json_array_size(nights) && strcmp(text(json_array_get(nights, 0), "time"), time) > 0)
		json_array_remove(nights, 0);
	if (json_array_size(nights) && strcmp(text(json_array_get(nights, 0), "time"), time) != 0)
		json_array_clear(nights); /* it is not in this history */
	while (json_array_size(nights) > NIGHTS)
		json_array_remove(nights, NIGHTS);
	return nights;
}

static bool is_moved(const json_t *moved, const json_t *first, const json_t *series)
{
	size_t i, n = 0;
	json_t *m;
	json_array_foreach(moved, i, m) {
		bool same_metric = !strcmp(text(m, "metric"), text(first, "metric")) && !strcmp(text(m, "scope"), text(first, "scope"));
		if (same_metric && n++ < TREND_SERIES && !strcmp(text(m, "scenario"), text(series, "scenario")) &&
		    !strcmp(text(m, "generator"), text(series, "generator")))
			return true;
	}
	return false;
}

/* One picture: the series of a metric that moved most. */
static int put_trend(struct ks_history *h, json_t *trends, const json_t *document, const json_t *moved, const json_t *first, const char *folder,
                     struct ks_err *err)
{
	struct ks_history_filter filter = {.world = "sim", .name = text(document, "name")};
	char metric[200], path[PATH_MAX];
	json_t *all = ks_history_trend(h, text(first, "metric"), text(first, "scope"), &filter, err), *chosen = json_array(), *series;
	size_t i;
	json_array_foreach(all, i, series)
		if (is_moved(moved, first, series))
			json_array_append(chosen, series);
	snprintf(metric, sizeof metric, "%s%s%s", text(first, "metric"), *text(first, "scope") ? "@" : "", text(first, "scope"));
	snprintf(path, sizeof path, "%.4000s/trend-%zu.svg", folder, json_array_size(trends) + 1);
	int failed = !all || ks_report_trend(chosen, metric, path, err) ? -1 : 0;
	if (!failed)
		json_array_append_new(trends, json_pack("{ss sO}", "metric", metric, "series", chosen));
	json_decref(all);
	json_decref(chosen);
	return failed && err->code == KS_E_JUDGE ? 0 : failed; /* without gnuplot there is no picture */
}

static bool is_first_of_metric(const json_t *moved, size_t at)
{
	const json_t *m = json_array_get(moved, at);
	for (size_t i = 0; i < at; i++)
		if (!strcmp(text(json_array_get(moved, i), "metric"), text(m, "metric")))
			return false;
	return true;
}

static int put_trends(struct ks_history *h, json_t *beside, const json_t *document, const char *folder, struct ks_err *err)
{
	json_t *moved = ks_history_moved(h, text(document, "name"), NIGHTS, 200, err), *trends = json_array(), *m;
	int failed = moved ? 0 : -1;
	size_t i;
	json_array_foreach(moved, i, m)
		if (!failed && is_first_of_metric(moved, i) && json_array_size(trends) < TREND_PICTURES)
			failed = put_trend(h, trends, document, moved, m, folder, err);
	json_object_set_new(beside, "trends", trends);
	json_decref(moved);
	return failed;
}

static int put_history(struct ks_history *h, json_t *beside, const json_t *document, const char *folder, struct ks_err *err)
{
	struct ks_history_filter filter = {.name = text(document, "name")};
	json_t *nights = nights_up_to(h, document, err);
	int failed = nights ? 0 : -1;
	if (!failed && !json_object_get(beside, "diff"))
		failed = put_last_night(h, beside, document, nights, err);
	if (!failed && json_array_size(nights) > 1) {
		json_t *changes = ks_history_changes(h, &filter, err);
		failed = !changes || json_object_set_new(beside, "changes", changes) || json_object_set(beside, "nights", nights) ||
		         put_trends(h, beside, document, folder, err);
	}
	json_decref(nights);
	return failed ? -1 : 0;
}

static void remove_old_pictures(const char *folder)
{
	char path[PATH_MAX];
	for (int i = 1; i <= TREND_PICTURES; i++) {
		snprintf(path, sizeof path, "%.4000s/trend-%d.svg", folder, i);
		unlink(path);
	}
}

json_t *ks_beside(const json_t *document, const char *folder, const char *base, struct ks_err *err)
{
	json_t *beside = json_object();
	struct ks_err said;
	remove_old_pictures(folder);
	if (base && put_given_base(beside, document, base, err)) {
		json_decref(beside);
		return NULL;
	}
	if (access(ks_history_path(), F_OK))
		return beside;
	/* The history is a convenience: that it cannot be read is said, and spoils no page. */
	struct ks_history *h = ks_history_open(ks_history_path(), KS_HISTORY_READ, &said);
	if (!h || put_history(h, beside, document, folder, &said))
		fprintf(stderr, "keyskew: the page does not tell of earlier results: %s\n", said.text);
	ks_history_close(h);
	return beside;
}
