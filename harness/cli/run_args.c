/* The command line of keyskew run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "ks_mem.h"
#include "run.h"

const struct ks_cli_option ks_run_options[] = {
	{"generators", 'g', "A,B", "generators with their options, such as snowflake:unchecked:node_bits=8; FILE.gen.yaml, ask:'COMMAND' (a key when asked), exec:'COMMAND' (a key a line)", KS_COMPLETE_GENERATOR, NULL},
	{"worlds", 'w', "W,..", "sim, faketime, qemu, or auto (default: sim; exec: faketime)", KS_COMPLETE_WORLD, NULL},
	{"seed", 0, "N", "default 1", KS_COMPLETE_NONE, NULL},
	{"seeds", 0, "A..B", "one run a seed", KS_COMPLETE_NONE, NULL},
	{"rotating-seed", 0, "N", "the seed of the day of suites that ask for one; default: the date in UTC, such as 20260115", KS_COMPLETE_NONE, NULL},
	{"jobs", 'j', "N", "runs at a time, default 1", KS_COMPLETE_NONE, NULL},
	{"set", 0, "PATH=VALUE", "changes the scenario: --set faults.back.step=-50ms", KS_COMPLETE_NONE, NULL},
	{"sweep", 0, "PATH=V,V,..", "a run for every value; of several sweeps, for every combination", KS_COMPLETE_NONE, NULL},
	{"shard", 0, "I/N", "every N-th run, from the I-th: parts for N machines, joined by keyskew report DIR...", KS_COMPLETE_NONE, NULL},
	{"failed", 0, NULL, "runs again what was not as expected in the last result (.keyskew/last, or -o DIR), which is made whole", KS_COMPLETE_NONE, NULL},
	{"resume", 0, "DIR", "goes on with an interrupted run, in its folder, with its command", KS_COMPLETE_FOLDER, NULL},
	{"accept", 0, NULL, "writes what was measured into the scenario files, after showing each line that changes", KS_COMPLETE_NONE, NULL},
	{"output", 'o', "DIR", "results go there (default: .keyskew/TIME-NAME, link .keyskew/last)", KS_COMPLETE_FOLDER, NULL},
	{"base", 0, "DIR|N", "the page tells what changed since that result, a folder or a number of keyskew history (default: the last of the same command in the history)", KS_COMPLETE_FOLDER, NULL},
	{"json", 0, "FILE", "the result document, also there (-: standard output, instead of the summary)", KS_COMPLETE_FILE, NULL},
	{"junit", 0, "FILE", "JUnit XML, also there", KS_COMPLETE_FILE, NULL},
	{"keys", 0, "FILE|DIR", "every call of every run, TSV", KS_COMPLETE_FILE, NULL},
	{"metrics", 0, "disorder", "also inversions and rem: pairs out of order, and how many keys are out of place", KS_COMPLETE_WORDS,
	 (const char *const[]){"disorder", NULL}},
	{"timeout", 0, "T", "of a run, as in 30s; what takes longer could not be judged, the others go on", KS_COMPLETE_NONE, NULL},
	{"memory", 0, "SIZE", "of a run, as in 512MiB (default: half of the machine's, over the runs at a time)", KS_COMPLETE_NONE, NULL},
	{"discard", 0, NULL, "judge calls of sim as they pass and keep none: no key file, plots, consumers; kept after all where that is not exact", KS_COMPLETE_NONE, NULL},
	{"twice", 0, NULL, "runs of sim twice; a record that differs ends it, named, with 5", KS_COMPLETE_NONE, NULL},
	{0},
};
enum { GENERATORS, WORLDS, SEED, SEEDS, ROTATING, JOBS, SET, SWEEP, SHARD, FAILED, RESUME, ACCEPT, OUTPUT, BASE, JSON, JUNIT, KEYS, METRICS, TIMEOUT, MEMORY, DISCARD, TWICE };

static const char *const synopsis[] = {"[SCENARIO|SUITE|FOLDER]... [OPTION]...", "--failed [-o DIR] [-j N]", "--resume DIR [-j N]", NULL};
const struct ks_cli_command ks_command_run = {
	.name = "run",
	.summary = "run scenarios or suites and judge them",
	.synopsis = synopsis,
	.text = "Without -g: the generators that the scenario expects something of.\n\n"
	        "exit: 0 every expectation met, 1 one unmet, 2 usage or file error, 3 could not be judged, 4 nothing matched,\n"
	        "      5 keyskew itself failed, 128+N signal N",
	.options = ks_run_options,
	.complete = KS_COMPLETE_SCENARIO,
	.run = ks_cmd_run,
};

static int split_generators(struct ks_run_args *a, const char *list, struct ks_err *err)
{
	/* a comma separates generators, but a command of ask: or exec: keeps its own */
	while (*list) {
		size_t n = strncmp(list, "exec:", 5) && strncmp(list, "ask:", 4) ? strcspn(list, ",") : strlen(list);
		char **grown = ks_grow(a->generator, a->generators, a->generators + 1, sizeof(char *));
		if (!n)
			return ks_fail(err, KS_E_USAGE, "empty generator name in -g");
		if (!grown)
			return ks_fail(err, KS_E_INTERNAL, "out of memory");
		a->generator = grown;
		a->generator[a->generators++] = strndup(list, n);
		list += n + (list[n] == ',');
	}
	return a->generators ? 0 : ks_fail(err, KS_E_USAGE, "-g names no generator");
}

static int parse_worlds(struct ks_run_args *a, const char *list, struct ks_err *err)
{
	char copy[128];
	if ((size_t)snprintf(copy, sizeof copy, "%s", list) >= sizeof copy)
		return ks_fail(err, KS_E_USAGE, "too many worlds in -w");
	if (!strcmp(copy, "auto"))
		return 0;
	for (char *save, *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		int id = 0;
		while (id < KS_NWORLDS && strcmp(ks_world_names[id], w))
			id++;
		const char *near = ks_nearest(w, ks_world_names, KS_NWORLDS);
		if (id == KS_NWORLDS)
			return ks_fail(err, KS_E_USAGE, "unknown world '%s', expected sim, faketime or qemu%s%s%s", w,
			               near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
		if (id == KS_WORLD_VDSO)
			return ks_fail(err, KS_E_USAGE, "world 'vdso' is not carried yet");
		a->worlds |= 1u << id;
	}
	return a->worlds ? 0 : ks_fail(err, KS_E_USAGE, "-w names no world");
}

static int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *v)
{
	char *end;
	errno = 0;
	if (*text < '0' || *text > '9')
		return -1;
	unsigned long long n = strtoull(text, &end, 10);
	if (errno || *end || n < min || n > max)
		return -1;
	*v = n;
	return 0;
}

static int parse_seeds(struct ks_run_args *a, char *text, struct ks_err *err)
{
	char *dots = strstr(text, "..");
	if (a->seeds_given)
		return ks_fail(err, KS_E_USAGE, "seeds are given twice, expected --seed N or --seeds A..B");
	a->seeds_given = true;
	if (dots)
		*dots = 0;
	if (parse_number(text, 0, INT64_MAX, &a->seed_low) || parse_number(dots ? dots + 2 : text, 0, INT64_MAX, &a->seed_high) ||
	    a->seed_low > a->seed_high || a->seed_high - a->seed_low >= KS_JOBS_MAX)
		return ks_fail(err, KS_E_USAGE, "bad seeds '%s%s%s', expected N or A..B", text, dots ? ".." : "", dots ? dots + 2 : "");
	return 0;
}

/* Values are separated by commas outside brackets and braces: PATH=[a, b],[c] has two. */
static size_t value_length(const char *s)
{
	int depth = 0;
	size_t n = 0;
	for (; s[n] && (s[n] != ',' || depth); n++)
		depth += (s[n] == '[' || s[n] == '{') - (s[n] == ']' || s[n] == '}');
	return n;
}

static int parse_sweep(struct ks_run_args *a, char *text, struct ks_err *err)
{
	char *eq = strchr(text, '=');
	if (!eq || eq == text || !eq[1])
		return ks_fail(err, KS_E_USAGE, "bad --sweep '%s', expected PATH=VALUE,VALUE,..", text);
	if (a->sweeps == KS_SWEEPS_MAX)
		return ks_fail(err, KS_E_USAGE, "more than %d sweeps", KS_SWEEPS_MAX);
	struct ks_sweep *s = &a->sweep[a->sweeps++];
	*eq = 0;
	*s = (struct ks_sweep){.path = text};
	for (char *v = eq + 1;;) {
		size_t n = value_length(v);
		char end = v[n];
		const char **grown = ks_grow(s->value, s->n, s->n + 1, sizeof *grown);
		if (!grown)
			return ks_fail(err, KS_E_INTERNAL, "out of memory");
		s->value = grown;
		if (!n || s->n == KS_SWEEP_VALUES_MAX)
			return ks_fail(err, KS_E_USAGE, "bad --sweep of '%s', expected 1..%d values between commas, none empty", text,
			               KS_SWEEP_VALUES_MAX);
		s->value[s->n++] = v;
		v[n] = 0;
		if (!end)
			return 0;
		v += n + 1;
	}
}

static int parse_shard(struct ks_run_args *a, char *text, struct ks_err *err)
{
	char *slash = strchr(text, '/');
	if (slash)
		*slash = 0;
	if (!slash || parse_number(slash + 1, 1, KS_JOBS_MAX, &a->shards) || parse_number(text, 1, a->shards, &a->shard))
		return ks_fail(err, KS_E_USAGE, "bad --shard '%s%s%s', expected I/N with I from 1 to N", text, slash ? "/" : "",
		               slash ? slash + 1 : "");
	return 0;
}

static int parse_set(struct ks_run_args *a, char *text, struct ks_err *err)
{
	char *eq = strchr(text, '=');
	if (!eq || eq == text)
		return ks_fail(err, KS_E_USAGE, "bad --set '%s', expected PATH=VALUE", text);
	struct ks_set *grown = ks_grow(a->set, a->sets, a->sets + 1, sizeof *grown);
	if (!grown)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	*eq = 0;
	a->set = grown;
	a->set[a->sets++] = (struct ks_set){text, eq + 1};
	return 0;
}

static int take(struct ks_run_args *a, int option, char *value, struct ks_err *err)
{
	const char *why;
	uint64_t n;
	switch (option) {
	case GENERATORS:
		return split_generators(a, value, err);
	case WORLDS:
		return parse_worlds(a, value, err);
	case SEED:
	case SEEDS:
		return parse_seeds(a, value, err);
	case ROTATING:
		if (parse_number(value, 1, INT64_MAX, &a->rotating_seed))
			return ks_fail(err, KS_E_USAGE, "bad --rotating-seed '%s', expected a number from 1", value);
		return 0;
	case JOBS:
		if (parse_number(value, 1, 256, &n))
			return ks_fail(err, KS_E_USAGE, "bad -j '%s', expected 1..256", value);
		a->jobs = (int)n;
		a->jobs_given = true;
		return 0;
	case SET:
		return parse_set(a, value, err);
	case SWEEP:
		return parse_sweep(a, value, err);
	case SHARD:
		return parse_shard(a, value, err);
	case FAILED:
		a->failed = true;
		return 0;
	case RESUME:
		a->resume = value;
		return 0;
	case ACCEPT:
		a->accept = true;
		return 0;
	case OUTPUT:
		a->folder = value;
		return 0;
	case BASE:
		a->base = value;
		break;
	case JSON:
		a->json = value;
		return 0;
	case JUNIT:
		a->junit = value;
		return 0;
	case KEYS:
		a->keys = value;
		return 0;
	case METRICS:
		if (strcmp(value, "disorder"))
			return ks_fail(err, KS_E_USAGE, "unknown metrics '%s', expected disorder", value);
		a->disorder = true;
		return 0;
	case TIMEOUT:
		if (ks_dur_parse(value, &a->timeout_ns, &why) || a->timeout_ns <= 0)
			return ks_fail(err, KS_E_USAGE, "bad --timeout '%s', expected a time such as 30s", value);
		return 0;
	case MEMORY:
		if (ks_size_parse(value, &a->memory) || a->memory < KS_MEMORY_MIN)
			return ks_fail(err, KS_E_USAGE, "bad --memory '%s', expected a size of at least 1MiB, such as 512MiB", value);
		return 0;
	case DISCARD:
		a->discard = true;
		return 0;
	case TWICE:
		a->twice = true;
		return 0;
	}
	return 0;
}

static uint64_t date_in_utc(void)
{
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	return (uint64_t)(tm.tm_year + 1900) * 10000 + (uint64_t)(tm.tm_mon + 1) * 100 + (uint64_t)tm.tm_mday;
}

static int parse(struct ks_run_args *a, const struct ks_cli_command *command, int argc, char **argv)
{
	char *value;
	int option;
	*a = (struct ks_run_args){.seed_low = 1, .seed_high = 1, .jobs = 1};
	a->command = json_array();
	for (int i = 1; i < argc; i++) /* now: reading cuts the words */
		json_array_append_new(a->command, json_string(argv[i]));
	ks_cli_begin(&a->cli, command, argc, argv);
	while ((option = ks_cli_next(&a->cli, &value)) >= 0)
		if (take(a, option, value, &a->cli.err))
			return KS_CLI_BAD;
	if (option != KS_CLI_END)
		return option;
	if (!a->rotating_seed)
		a->rotating_seed = date_in_utc();
	a->target = a->cli.word;
	a->targets = a->cli.words;
	if ((a->failed || a->resume) && a->targets) {
		ks_fail(&a->cli.err, KS_E_USAGE, "--failed and --resume take the command of the run before, and no scenario");
		return KS_CLI_BAD;
	}
	if (a->discard && (a->keys || a->disorder || a->twice)) {
		ks_fail(&a->cli.err, KS_E_USAGE, "--discard keeps no records, and %s needs them",
		        a->keys ? "--keys" : a->disorder ? "--metrics disorder" : "--twice");
		return KS_CLI_BAD;
	}
	return 0;
}

int ks_run_args_parse(struct ks_run_args *a, int argc, char **argv)
{
	int status = parse(a, &ks_command_run, argc, argv);
	if (status || a->targets || a->failed || a->resume)
		return status;
	ks_fail(&a->cli.err, KS_E_USAGE, "what to run? name a scenario, a suite or a folder; see keyskew list scenarios");
	return KS_CLI_BAD;
}

int ks_compare_args_parse(struct ks_run_args *a, int argc, char **argv)
{
	static const char *basics[] = {"basics"};
	int status = parse(a, &ks_command_compare, argc, argv);
	a->compare = true;
	if (status)
		return status;
	if (!a->generators) {
		ks_fail(&a->cli.err, KS_E_USAGE, "compare what? name generators: -g snowflake,uuidv7; see keyskew list generators");
		return KS_CLI_BAD;
	}
	if (!a->targets) {
		a->target = basics;
		a->targets = 1;
	}
	return 0;
}

void ks_run_args_release(struct ks_run_args *a)
{
	for (size_t i = 0; i < a->generators; i++)
		free(a->generator[i]);
	for (size_t i = 0; i < a->sweeps; i++)
		ks_free(a->sweep[i].value);
	ks_free(a->generator);
	ks_free(a->set);
	ks_cli_release(&a->cli);
	json_decref(a->command);
}
