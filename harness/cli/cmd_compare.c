/* keyskew compare: generators side by side. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ks_compare.h"
#include "ft.h"
#include "proc.h"
#include "run.h"

static int cmd_compare(int argc, char **argv);
static const char *const synopsis[] = {"-g A,B,.. [SCENARIO|SUITE|FOLDER]... [OPTION of run]...", "--from DIR", NULL};
const struct ks_cli_command ks_command_compare = {
	.name = "compare",
	.summary = "generators side by side: what they are like, what breaks them, at what cost",
	.synopsis = synopsis,
	.text = "Runs the generators under the same scenarios (default: all of basics, in sim) and writes compare.md, compare.csv and pictures\n"
	        "(SVG, PNG) into the run folder. With --sweep PATH=V,V,.. metrics are drawn against the value, theory beside them:\n\n"
	        "  keyskew compare -g snowflake,unixmilli ntp-step-back --sweep faults.back.step=-10ms,-100ms,-1s\n\n"
	        "ns per key are measured on this machine, one thread, back to back. \n\n--from DIR compares what a run folder holds, without running anything.",
	.options = ks_run_options,
	.complete = KS_COMPLETE_SCENARIO,
	.run = cmd_compare,
};

/* ---- what a key costs here ---- */

/* Reads a short answer of a program, to its end. @return 0, or -1. */
static int answer_of(char *const argv[], char *buf, size_t size)
{
	extern char **environ;
	struct ks_proc p = KS_PROC_NONE;
	struct ks_err err;
	size_t n = 0;
	if (ks_proc_start(&p, argv, environ, false, &err))
		return -1;
	for (int waited = 0; waited < 20000 && !ks_signal; waited++) { /* 20 s */
		ssize_t got = read(p.out, buf + n, size - 1 - n);
		n += got > 0 ? (size_t)got : 0;
		if (got == 0 || n == size - 1)
			break;
		usleep(1000);
	}
	buf[n] = 0;
	ks_proc_end(&p, 1, sizeof p, 100);
	return n ? 0 : -1;
}

/* {GENERATOR: ns}, of the built-in ones. */
static json_t *costs_of(const json_t *document)
{
	json_t *costs = json_object(), *run;
	char program[4096], why[300], text[64];
	size_t i;
	if (ks_ft_find_subject(program, why, sizeof why))
		return costs;
	json_array_foreach(json_object_get(document, "runs"), i, run) {
		const char *generator = json_string_value(json_object_get(run, "generator"));
		char time[] = "--time", *argv[] = {program, time, (char *)(uintptr_t)generator, NULL};
		if (!generator || json_object_get(costs, generator))
			continue;
		bool known = !answer_of(argv, text, sizeof text);
		json_object_set_new(costs, generator, known ? json_real(strtod(text, NULL)) : json_null());
	}
	return costs;
}

int ks_compare_begin(json_t *document, const char *folder, struct ks_err *err)
{
	json_t *host = json_object_get(document, "host"), *costs = costs_of(document);
	if (!host)
		json_object_set_new(document, "host", host = json_object());
	int failed = ks_compare_write(document, costs, folder, err);
	json_object_set_new(host, "ns_per_key", costs);
	return failed;
}

int ks_compare_finish(const json_t *document, const char *folder, struct ks_err *err)
{
	const json_t *costs = json_object_get(json_object_get(document, "host"), "ns_per_key");
	if (ks_compare_text(document, costs, stdout, ks_colour(), ks_width()))
		return ks_fail(err, KS_E_INTERNAL, "cannot write to standard output");
	printf("\ntables and pictures: %s/compare.md, compare.csv, *.svg, *.png\n", folder);
	return json_integer_value(json_object_get(json_object_get(document, "summary"), "failed")) ? KS_E_JUDGE : 0;
}

static int compare_from(const char *where)
{
	char folder[PATH_MAX];
	struct ks_err err;
	json_t *document = ks_load_result(where, folder, sizeof folder, &err);
	int failed = !document || ks_compare_begin(document, folder, &err) || ks_write_page(document, folder, NULL, &err);
	int code = failed ? -1 : ks_compare_finish(document, folder, &err);
	json_decref(document);
	return code < 0 ? ks_cli_error(&err) : code;
}

static int cmd_compare(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--from"))
		return compare_from(argv[2]);
	return ks_cmd_compare_run(argc, argv);
}
