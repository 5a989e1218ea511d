/* keyskew explain: the first violation of a run, or who issued a key, from the witnesses that result.json keeps. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_time.h"

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static bool names_row(const json_t *rows, const json_t *row)
{
	size_t i;
	json_t *r;
	json_array_foreach(rows, i, r)
		if (json_equal(json_object_get(r, "row"), json_object_get(row, "row")))
			return true;
	return false;
}

/* "time 1736, node 2, seq 0" */
static void field_words(const json_t *row, char *buf, size_t size)
{
	const char *name;
	json_t *value;
	size_t n = 0;
	*buf = 0;
	json_object_foreach(json_object_get(row, "fields"), name, value) {
		char number[32];
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s %s", n ? ", " : "  ", name,
			                      json_is_string(value) ? json_string_value(value) : number);
	}
}

static void print_row(const json_t *row, bool marked)
{
	char call[KS_TIME_TEXT] = "-", offset[KS_TIME_TEXT] = "-", fields[300];
	json_t *at = json_object_get(row, "call_ns"), *off = json_object_get(row, "clock_minus_true_ns");
	if (json_is_integer(at))
		ks_dur_format(call, json_integer_value(at));
	if (json_is_integer(off))
		ks_dur_format(offset, json_integer_value(off));
	field_words(row, fields, sizeof fields);
	const char *what = *str(row, "key") ? str(row, "key") : str(row, "why");
	printf(" %c %-8.40s p%lld t%lld  call %-14s clock-true %-12s %-7s %.120s%s\n", marked ? '>' : ' ', str(row, "node"),
	       (long long)json_integer_value(json_object_get(row, "process")),
	       (long long)json_integer_value(json_object_get(row, "thread")), call, offset, str(row, "outcome"), what, fields);
}

#define KEEPER_ACTS 6

/* What daemons did to the clocks around the witness, or just before it. */
static void print_keepers(const json_t *run, const json_t *witness)
{
	const json_t *keepers = json_object_get(run, "keepers"), *list = json_object_get(keepers, "first");
	json_t *rows = json_object_get(witness, "neighbours");
	json_int_t last = json_integer_value(json_object_get(json_array_get(rows, json_array_size(rows) ? json_array_size(rows) - 1 : 0), "call_ns"));
	size_t end = 0, n = json_array_size(list);
	while (end < n && (!last || json_integer_value(json_object_get(json_array_get(list, end), "at_ns")) <= last))
		end++;
	for (size_t i = end > KEEPER_ACTS ? end - KEEPER_ACTS : 0; i < end; i++) {
		const json_t *act = json_array_get(list, i);
		char at[KS_TIME_TEXT];
		ks_dur_format(at, json_integer_value(json_object_get(act, "at_ns")));
		printf("%s%s at %s", i && i != end - KEEPER_ACTS ? "; " : "\nclocks: ", str(act, "text"), at);
	}
}

static void tell(const json_t *run, const json_t *claim)
{
	const json_t *w = json_object_get(claim, "witness");
	size_t i;
	json_t *row;
	printf("%s  %s  %s  %s  (%lld violations)\n%s\n\n", str(run, "scenario"), str(run, "generator"), str(claim, "claim"),
	       str(claim, "verdict"), (long long)json_integer_value(json_object_get(claim, "count")), str(w, "text"));
	json_array_foreach(json_object_get(w, "neighbours"), i, row)
		print_row(row, names_row(json_object_get(w, "rows"), row));
	printf("\nfaults: ");
	json_array_foreach(json_object_get(run, "faults"), i, row)
		printf("%s%s", i ? "; " : "", str(row, "text"));
	if (json_object_get(run, "keepers"))
		print_keepers(run, w);
	printf("\nagain:  %s\n", str(run, "reproduce"));
}

static bool about_key(const json_t *claim, const char *key)
{
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(json_object_get(claim, "witness"), "neighbours"), i, row)
		if (!strcmp(str(row, "key"), key))
			return true;
	return false;
}

static int explain(const json_t *document, const char *key)
{
	size_t i, k;
	json_t *run, *claim;
	int told = 0;
	json_array_foreach(json_object_get(document, "runs"), i, run)
		json_array_foreach(json_object_get(run, "claims"), k, claim) {
			if (strcmp(str(claim, "verdict"), "broken") || (key && !about_key(claim, key)))
				continue;
			tell(run, claim);
			told++;
			if (!key)
				return 0;
			putchar('\n');
		}
	if (told)
		return 0;
	if (key)
		fprintf(stderr, "keyskew: no witness of this result names key '%s'\n", key);
	else
		fputs("keyskew: no claim is broken in this result\n", stderr);
	return KS_E_NOMATCH;
}

static const struct ks_cli_option options[] = {
	{"first", 0, NULL, "the first violation of the run", KS_COMPLETE_NONE, NULL},
	{0},
};
enum { FIRST };

static int cmd_explain(int argc, char **argv);
static const char *const synopsis[] = {"[DIR] --first", "[DIR] KEY", NULL};
const struct ks_cli_command ks_command_explain = {
	.name = "explain",
	.summary = "tell the first violation of a run, or the life of a key",
	.synopsis = synopsis,
	.text = "Tells the first violation of a run and its neighbours, or what a witness says of KEY.\nDIR: a run folder, default .keyskew/last",
	.options = options,
	.complete = KS_COMPLETE_FOLDER,
	.run = cmd_explain,
};

static int load_and_explain(const char *where, const char *key)
{
	char folder[PATH_MAX];
	struct ks_err err;
	json_t *document = ks_load_result(where, folder, sizeof folder, &err);
	if (!document)
		return ks_cli_error(&err);
	int code = explain(document, key);
	json_decref(document);
	return code;
}

static int cmd_explain(int argc, char **argv)
{
	struct ks_cli cli;
	bool first = false;
	char *value;
	int option, code;
	ks_cli_begin(&cli, &ks_command_explain, argc, argv);
	while ((option = ks_cli_next(&cli, &value)) >= 0)
		first = first || option == FIRST;
	size_t folders = cli.words - (first ? 0 : 1); /* wraps when there is no word at all */
	if (option != KS_CLI_END)
		code = ks_cli_end(&cli, option);
	else if (folders > 1)
		code = ks_cli_usage(&ks_command_explain);
	else
		code = load_and_explain(folders ? cli.word[0] : NULL, first ? NULL : cli.word[folders]);
	ks_cli_release(&cli);
	return code;
}
