/* keyskew explain: the first violation of a run, or who issued a key, from the witnesses that result.json keeps. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_time.h"
#include "life.h"

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
		fprintf(stderr, "keyskew: no witness of this result names key '%s'; of real worlds a result keeps witnesses alone, 'run --keys FILE' writes all keys\n", key);
	else
		fputs("keyskew: no claim is broken in this result\n", stderr);
	return KS_E_NOMATCH;
}

/* ---- by making runs again ---- */

static const json_t *run_named(const json_t *document, const char *id)
{
	size_t i;
	json_t *run;
	json_array_foreach(json_object_get(document, "runs"), i, run)
		if (!strcmp(str(run, "id"), id))
			return run;
	return NULL;
}

static bool is_broken(const json_t *run)
{
	size_t i;
	json_t *claim;
	json_array_foreach(json_object_get(run, "claims"), i, claim)
		if (!strcmp(str(claim, "verdict"), "broken"))
			return true;
	return false;
}

/* The life of a key, from the runs of sim in their order, or from the one that is named. */
static int tell_life(const json_t *document, const char *id, const char *key, struct ks_err *err)
{
	size_t i, told = 0;
	json_t *run;
	json_array_foreach(json_object_get(document, "runs"), i, run) {
		struct ks_life life;
		bool wanted = id ? !strcmp(str(run, "id"), id) : !strcmp(str(run, "world"), "sim") && !strcmp(str(run, "status"), "judged");
		if (!wanted || ks_signal)
			continue;
		int failed = ks_life_begin(&life, run, err);
		told = failed ? 0 : ks_life_tell(&life, key, stdout);
		ks_life_release(&life);
		if (failed)
			return ks_cli_error(err);
		if (told)
			return 0;
	}
	return explain(document, key); /* of real worlds: what the witnesses keep */
}

static int write_test(const json_t *document, const char *id, const char *language, struct ks_err *err)
{
	const json_t *run = id ? run_named(document, id) : NULL;
	size_t i;
	json_t *r;
	struct ks_life life;
	json_array_foreach(json_object_get(document, "runs"), i, r)
		if (!id && !run && !strcmp(str(r, "world"), "sim") && is_broken(r))
			run = r;
	if (!run) {
		ks_fail(err, KS_E_NOMATCH, id ? "no run '%.200s' in this result" : "no claim is broken in a run of sim", id);
		return ks_cli_error(err);
	}
	int failed = ks_life_begin(&life, run, err);
	if (!failed)
		failed = ks_life_as_test(&life, language, stdout, err);
	ks_life_release(&life);
	return failed ? ks_cli_error(err) : 0;
}

/* ---- the command ---- */

static const char *const languages[] = {"c", "go", "java", "node", "python", "rust", NULL};
static const struct ks_cli_option options[] = {
	{"first", 0, NULL, "the first violation of the result, from its witness", KS_COMPLETE_NONE, NULL},
	{"as-test", 0, "LANGUAGE", "the first violation as a unit test for a mock clock: c, go, java, node, python, rust", KS_COMPLETE_WORDS, languages},
	{"run", 0, "ID", "of this run (its id in result.json)", KS_COMPLETE_NONE, NULL},
	{0},
};
enum { FIRST, AS_TEST, RUN };

static int cmd_explain(int argc, char **argv);
static const char *const synopsis[] = {"[DIR] --first", "[DIR] [--run ID] KEY", "[DIR] [--run ID] --as-test LANGUAGE", NULL};
const struct ks_cli_command ks_command_explain = {
	.name = "explain",
	.summary = "tell the first violation of a run, the life of a key, or write a violation as a unit test",
	.synopsis = synopsis,
	.text = "DIR: a run folder, default .keyskew/last. The life of a key: who issued it when, what each clock said, which faults were at\n"
	        "work, what the key says, who else issued it, what consumers made of it, and its neighbours; the run is made again for that, so it\n"
	        "must be one of sim (of real worlds the witnesses tell what they keep). A unit test holds the clock readings that the generator\n"
	        "saw, call by call; put your generator into the marked place.",
	.options = options,
	.complete = KS_COMPLETE_FOLDER,
	.run = cmd_explain,
};

struct wanted {
	const char *folder, *key, *id, *language;
	bool first;
};

static int load_and_explain(const struct wanted *w)
{
	char folder[PATH_MAX];
	struct ks_err err;
	json_t *document = ks_load_result(w->folder, folder, sizeof folder, &err);
	if (!document)
		return ks_cli_error(&err);
	int code = w->language ? write_test(document, w->id, w->language, &err)
	           : w->first  ? explain(document, NULL)
	                       : tell_life(document, w->id, w->key, &err);
	json_decref(document);
	return code;
}

static int cmd_explain(int argc, char **argv)
{
	struct ks_cli cli;
	struct wanted w = {0};
	char *value;
	int option, code;
	ks_cli_begin(&cli, &ks_command_explain, argc, argv);
	while ((option = ks_cli_next(&cli, &value)) >= 0) {
		w.first = w.first || option == FIRST;
		w.language = option == AS_TEST ? value : w.language;
		w.id = option == RUN ? value : w.id;
	}
	bool keyless = w.first || w.language;
	size_t folders = cli.words - (keyless ? 0 : 1); /* wraps when there is no word at all */
	if (option != KS_CLI_END) {
		code = ks_cli_end(&cli, option);
	} else if (folders > 1) {
		code = ks_cli_usage(&ks_command_explain);
	} else {
		w.folder = folders ? cli.word[0] : NULL;
		w.key = keyless ? NULL : cli.word[folders];
		code = load_and_explain(&w);
	}
	ks_cli_release(&cli);
	return code;
}
