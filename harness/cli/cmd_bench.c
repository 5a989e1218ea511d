/* keyskew bench: what a key costs, by stage, beside the figures that were committed last. Never a test: it measures. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_guest.h"
#include "bench_process.h"
#include "cli.h"
#include "ks_check.h"
#include "ks_mem.h"
#include "ks_stream.h"
#include "ks_world.h"

extern char **environ;

static int cmd_bench(int argc, char **argv);
static const char *const synopsis[] = {"[OPTION]...", NULL};
enum { KEYS, SAVE, QUICK, GUESTS };
static const struct ks_cli_option options[] = {
	{"keys", 0, "N", "how many of each run, default 10000000", KS_COMPLETE_NONE, NULL},
	{"save", 0, "FILE", "writes the figures there, as the committed ones are written", KS_COMPLETE_FILE, NULL},
	{"quick", 0, NULL, "leaves out the nightly suite", KS_COMPLETE_NONE, NULL},
	{"guests", 0, NULL, "instead: what guests under QEMU cost, to boot, to clone, to hear from", KS_COMPLETE_NONE, NULL},
	{0},
};
const struct ks_cli_command ks_command_bench = {
	.name = "bench",
	.summary = "what a key costs, by stage, beside the committed figures",
	.synopsis = synopsis,
	.text = "Figures are ns of processor time a key on one core, the best of three, unless something else stands there. The\n"
	        "committed ones are from harness/cli/bench.txt, which names their host. What limits each is said beside it.",
	.options = options,
	.run = cmd_bench,
};

/* ---- figures ---- */

enum figure {
	ONE_ENGINE, ONE_GENERATOR, ONE_CHECK, ONE_ALL, FLEET_ENGINE, FLEET_GENERATOR, FLEET_CHECK, FLEET_ALL,
	KEPT_RECORD, KEPT_CHECK, KEPT_BYTES, DISORDER, UNIQUE, SORT_UNIQ, HOST, ASK_SIM, ASK_FAKETIME, NIGHTLY, FIGURES
};
static const struct {
	const char *name, *title, *unit, *limit;
} figures[FIGURES] = {
	[ONE_ENGINE] = {"one.engine", "one lane: engine", "ns", "arrivals, horizon, 80 bytes a record"},
	[ONE_GENERATOR] = {"one.generator", "  snowflake", "ns", "eight environment calls, a 128-bit product for the clock"},
	[ONE_CHECK] = {"one.check", "  record and check, passing", "ns", "two stores a key, kept for what may contradict it"},
	[ONE_ALL] = {"one.all", "  all", "ns", "target 20: 50 M keys/s"},
	[FLEET_ENGINE] = {"fleet.engine", "16 nodes x 4: engine", "ns", "whose turn it is; windows are put in fleet order"},
	[FLEET_GENERATOR] = {"fleet.generator", "  snowflake", "ns", "as above, with 16 nodes' state in the caches"},
	[FLEET_CHECK] = {"fleet.check", "  record and check, passing", "ns", "keys of nodes interleave: sorting them, late ones"},
	[FLEET_ALL] = {"fleet.all", "  all", "ns", "target 50: 20 M keys/s"},
	[KEPT_RECORD] = {"kept.record", "  record, kept", "ns", "packing; new pages of memory"},
	[KEPT_CHECK] = {"kept.check", "  check, kept", "ns", "unpacking; as above"},
	[KEPT_BYTES] = {"kept.bytes", "  memory at the peak", "bytes/key", "40 a record; the rest is what the checkers take"},
	[DISORDER] = {"disorder", "  --metrics disorder", "ns", "merging and patience sorting in four scopes"},
	[UNIQUE] = {"unique", "  repeated keys, kept: ours", "ns", "with all other metrics; as above"},
	[SORT_UNIQ] = {"sort", "  LC_ALL=C sort | uniq -d", "ns", "text; processor time of both programs"},
	[HOST] = {"host", "real process: counter", "ns", "target 200: 5 M keys/s a core; wall time; two true times and a record a key"},
	[ASK_SIM] = {"ask.sim", "ask:, example in C, in sim", "ns", "target 10000: 100 k keys/s; wall time; four switches of processes a key"},
	[ASK_FAKETIME] = {"ask.faketime", "  in faketime", "ns", "target 10000; as above, and the clock is libfaketime's"},
	[NIGHTLY] = {"nightly", "nightly suite in sim, -j2", "s", "target 60; page and plots included"},
};

struct bench {
	uint64_t keys;
	double value[FIGURES], before[FIGURES]; /* negative: there is none */
	char host[300], committed_host[300];
	bool same; /* sort | uniq -d found the same */
	uint64_t repeated;
	struct ks_err *err;
};

/* ---- the committed ones ---- */

static void read_committed(struct bench *b)
{
	char path[PATH_MAX], line[400], name[100];
	double value;
	const char *library = ks_library();
	for (int i = 0; i < FIGURES; i++)
		b->before[i] = -1;
	snprintf(path, sizeof path, "%s/../harness/cli/bench.txt", library ? library : ".");
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f)) {
		if (!strncmp(line, "# host: ", 8))
			snprintf(b->committed_host, sizeof b->committed_host, "%.*s", (int)strcspn(line + 8, "\n"), line + 8);
		for (int i = 0; i < FIGURES && sscanf(line, "%99s %lf", name, &value) == 2; i++)
			if (!strcmp(name, figures[i].name))
				b->before[i] = value;
	}
	if (f)
		fclose(f);
}

static int save(const struct bench *b, const char *path)
{
	FILE *f = fopen(path, "w");
	if (!f)
		return ks_fail(b->err, KS_E_USAGE, "cannot write '%s': %s", path, strerror(errno));
	fprintf(f, "# keyskew bench --save, %llu keys\n# host: %s\n", (unsigned long long)b->keys, b->host);
	for (int i = 0; i < FIGURES; i++)
		if (b->value[i] >= 0)
			fprintf(f, "%s %.1f\n", figures[i].name, b->value[i]);
	return fclose(f) ? ks_fail(b->err, KS_E_INTERNAL, "cannot write '%s': %s", path, strerror(errno)) : 0;
}

static void name_host(struct bench *b)
{
	char line[300], *colon;
	FILE *f = fopen("/proc/cpuinfo", "r");
	snprintf(b->host, sizeof b->host, "unknown");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "model name", 10) && (colon = strchr(line, ':'))) {
			snprintf(b->host, sizeof b->host, "%.*s, %ld processors", (int)strcspn(colon + 2, "\n"), colon + 2,
			         sysconf(_SC_NPROCESSORS_ONLN));
			break;
		}
	if (f)
		fclose(f);
}

/* ---- runs ---- */

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct target {
	struct ks_plan plan;
	struct ks_gen_spec spec;
	struct ks_claim_ref claim[KS_CLAIMS_MAX];
	size_t claims;
};

/* fleet: 16 nodes of 4 threads; else one thread. */
static int aim(struct target *t, const struct bench *b, const char *generator, bool fleet, const char *more, struct ks_err *err)
{
	char yaml[1000];
	struct ks_claim claims[KS_CLAIMS_MAX];
	uint64_t ns = fleet ? b->keys * 10000 / 16 : b->keys * 1000;
	snprintf(yaml, sizeof yaml, "keyskew: 1\nduration: %lluns\nworkload: {rate: %s/s}\n%s%s", (unsigned long long)ns,
	         fleet ? "100000" : "1000000", fleet ? "fleet: {nodes: 16, threads: 4}\n" : "", more);
	*t = (struct target){0};
	if (ks_plan_parse(yaml, strlen(yaml), "bench", NULL, 0, &t->plan, err) || ks_gen_parse(ks_gens_sim, generator, &t->spec, err))
		return -1;
	int n = ks_gen_claims(&t->spec, claims);
	for (int i = 0; i < n; i++)
		if (ks_claim_parse(claims[i].text, &t->claim[t->claims++], err))
			return -1;
	return 0;
}

static int drop(void *context, const struct ks_lane *lanes, const struct ks_record *v, size_t n, struct ks_err *err)
{
	(void)lanes, (void)err;
	*(uint64_t *)context += n ? v[n - 1].key.lo : 0;
	return 0;
}

static int simulate(const struct target *t, const struct ks_sink *sink, struct ks_run_output *out, struct ks_err *err)
{
	struct ks_run_request request = {.plan = &t->plan, .gen = &t->spec, .seed = 1, .sink = sink};
	return ks_world_sim.run(&request, out, err);
}

/* @return ns a key of the best of three, or -1. */
static double time_dropped(struct bench *b, const char *generator, bool fleet)
{
	struct target t;
	uint64_t sum = 0;
	struct ks_sink sink = {.take = drop, .context = &sum};
	double best = -1;
	int failed = aim(&t, b, generator, fleet, "", b->err);
	for (int i = 0; i < 3 && !failed; i++) {
		struct ks_run_output out;
		double begin = cpu_ns();
		failed = simulate(&t, &sink, &out, b->err);
		double took = (cpu_ns() - begin) / (double)b->keys;
		best = best < 0 || took < best ? took : best;
		if (!failed)
			ks_run_output_release(&out);
	}
	ks_plan_release(&t.plan);
	return failed ? -1 : best;
}

static int pass_once(const struct target *t, struct ks_err *err)
{
	struct ks_evidence e = {.plan = &t->plan, .gen = &t->spec, .seed = 1};
	struct ks_metrics metrics;
	struct ks_judgement judgement[KS_CLAIMS_MAX];
	struct ks_run_output out;
	uint64_t nexposed;
	struct ks_stream_check *s = ks_stream_check_new(&e, t->claim, t->claims, KS_STREAM_ROWS, err);
	if (!s)
		return -1;
	struct ks_sink sink = ks_stream_check_sink(s);
	int failed = simulate(t, &sink, &out, err);
	if (!failed) {
		failed = ks_stream_check_finish(s, &metrics, judgement, &nexposed, err);
		ks_run_output_release(&out);
	}
	ks_stream_check_free(s);
	return failed;
}

static double time_passing(struct bench *b, bool fleet)
{
	struct target t;
	double best = -1;
	int failed = aim(&t, b, "snowflake", fleet, "", b->err);
	for (int i = 0; i < 3 && !failed; i++) {
		double begin = cpu_ns();
		failed = pass_once(&t, b->err);
		double took = (cpu_ns() - begin) / (double)b->keys;
		best = best < 0 || took < best ? took : best;
	}
	ks_plan_release(&t.plan);
	return failed ? -1 : best;
}

static int stages(struct bench *b, bool fleet)
{
	enum figure engine = fleet ? FLEET_ENGINE : ONE_ENGINE;
	double null = time_dropped(b, "null", fleet), dropped = time_dropped(b, "snowflake", fleet), all = time_passing(b, fleet);
	if (null < 0 || dropped < 0 || all < 0)
		return -1;
	b->value[engine] = null;
	b->value[engine + 1] = dropped - null;
	b->value[engine + 2] = all - dropped;
	b->value[engine + 3] = all;
	return 0;
}

/* ---- kept records ---- */

static int judge_kept(const struct target *t, struct ks_records *records, struct ks_evidence *e, struct ks_metrics *m, struct ks_err *err)
{
	struct ks_judgement judgement[KS_CLAIMS_MAX];
	*e = (struct ks_evidence){.plan = &t->plan, .gen = &t->spec, .records = records, .seed = 1};
	return ks_evidence_init(e, err) || ks_judge_all(e, t->claim, t->claims, m, judgement, err);
}

static int kept(struct bench *b)
{
	struct target t;
	struct ks_run_output out;
	struct ks_evidence e;
	struct ks_metrics m;
	double n = (double)b->keys;
	if (aim(&t, b, "snowflake", true, "", b->err))
		return -1;
	double begin = cpu_ns();
	if (simulate(&t, NULL, &out, b->err))
		return -1;
	double recorded = cpu_ns();
	int failed = judge_kept(&t, &out.records, &e, &m, b->err);
	double judged = cpu_ns();
	if (!failed)
		failed = ks_metrics_disorder(&e, &m, b->err);
	b->value[DISORDER] = (cpu_ns() - judged) / n;
	b->value[KEPT_CHECK] = (judged - recorded) / n;
	b->value[KEPT_RECORD] = (recorded - begin) / n - b->value[FLEET_ENGINE] - b->value[FLEET_GENERATOR];
	ks_evidence_release(&e);
	ks_run_output_release(&out);
	ks_plan_release(&t.plan);
	return failed;
}

/* The most memory that a child takes which keeps and judges so many keys; KiB, or -1. */
static long peak_kib(struct bench *b, uint64_t keys)
{
	struct rusage usage;
	int status;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct target t;
		struct ks_run_output out;
		struct ks_evidence e;
		struct ks_metrics m;
		struct ks_err err;
		struct bench half = *b;
		half.keys = keys;
		_exit(aim(&t, &half, "snowflake", true, "", &err) || simulate(&t, NULL, &out, &err) ||
		      judge_kept(&t, &out.records, &e, &m, &err));
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status)
		return -1;
	return usage.ru_maxrss;
}

static int memory(struct bench *b)
{
	long whole = peak_kib(b, b->keys), half = peak_kib(b, b->keys / 2);
	if (whole < 0 || half < 0)
		return ks_fail(b->err, KS_E_INTERNAL, "a child that measures memory failed");
	b->value[KEPT_BYTES] = (double)(whole - half) * 1024 / (double)(b->keys - b->keys / 2);
	return 0;
}

/* ---- LC_ALL=C sort | uniq -d ---- */

static int key_cmp(const void *a, const void *b)
{
	return ks_key_cmp(*(const struct ks_key *)a, *(const struct ks_key *)b);
}

/* Each repeated key once, ascending, at the front of keys. @return how many. */
static size_t repeated_keys(struct ks_key *keys, size_t n)
{
	size_t m = 0;
	qsort(keys, n, sizeof *keys, key_cmp);
	for (size_t i = 1; i < n; i++)
		if (ks_key_equal(keys[i - 1], keys[i]) && (m == 0 || !ks_key_equal(keys[m - 1], keys[i])))
			keys[m++] = keys[i];
	return m;
}

/* What uniq printed, ascending. @return how many, or -1. */
static int64_t read_keys(const char *path, struct ks_key *keys, size_t room)
{
	char line[64];
	size_t n = 0;
	FILE *f = fopen(path, "r");
	while (f && n < room && fgets(line, sizeof line, f))
		keys[n++] = ks_key64(strtoull(line, NULL, 10));
	if (!f || !feof(f))
		n = SIZE_MAX;
	if (f)
		fclose(f);
	if (n != SIZE_MAX)
		qsort(keys, n, sizeof *keys, key_cmp);
	return (int64_t)n;
}

static int write_keys(const char *path, const struct ks_records *r, struct ks_key *keys, size_t *n)
{
	FILE *f = fopen(path, "w");
	*n = 0;
	for (size_t i = 0; f && i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		if (v.outcome != KS_KEY)
			continue;
		keys[(*n)++] = v.key;
		fprintf(f, "%llu\n", (unsigned long long)v.key.lo);
	}
	return !f || fclose(f) ? -1 : 0;
}

/* @return the processor time of both programs in ns, or -1. */
static double sort_uniq(const char *in, const char *out)
{
	char sh[] = "sh", c[] = "-c", script[] = "LC_ALL=C sort \"$0\" | uniq -d > \"$1\"";
	char *argv[] = {sh, c, script, (char *)(uintptr_t)in, (char *)(uintptr_t)out, NULL};
	struct rusage usage;
	pid_t pid;
	int status;
	if (posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) || wait4(pid, &status, 0, &usage) != pid || status)
		return -1;
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static int against_sort(struct bench *b, const struct target *t, struct ks_records *r, const char *folder)
{
	char in[PATH_MAX], out[PATH_MAX];
	struct ks_evidence e;
	struct ks_metrics m;
	struct ks_key *keys = ks_resize(NULL, r->n, sizeof *keys), *theirs = ks_resize(NULL, r->n, sizeof *theirs);
	size_t n = 0;
	snprintf(in, sizeof in, "%.4000s/keys", folder);
	snprintf(out, sizeof out, "%.4000s/repeated", folder);
	int failed = !keys || !theirs || write_keys(in, r, keys, &n) || judge_kept(t, r, &e, &m, b->err);
	double begin = cpu_ns();
	struct ks_judgement j;
	failed = failed || ks_judge_all(&e, &(struct ks_claim_ref){KS_UNIQUE, KS_SCOPE_FLEET, 0}, 1, &m, &j, b->err);
	b->value[UNIQUE] = (cpu_ns() - begin) / (double)n;
	double took = failed ? -1 : sort_uniq(in, out);
	int64_t found = took < 0 ? -1 : read_keys(out, theirs, r->n);
	b->value[SORT_UNIQ] = took / (double)n;
	if (!failed && found >= 0) {
		size_t own = repeated_keys(keys, n);
		b->repeated = own;
		b->same = own == (size_t)found && !memcmp(keys, theirs, own * sizeof *keys) && own <= j.count && (own > 0) == (j.count > 0);
	}
	ks_evidence_release(&e);
	unlink(in);
	unlink(out);
	ks_free(keys);
	ks_free(theirs);
	return failed || found < 0 ? ks_fail(b->err, KS_E_INTERNAL, "sort | uniq -d failed") : 0;
}

/* Keys of a fleet, one of its clocks back by 5 ms, of a generator that does not look: some are issued twice. */
static int compare_with_sort(struct bench *b)
{
	struct target t;
	struct ks_run_output out;
	char folder[PATH_MAX];
	const char *tmp = getenv("TMPDIR");
	snprintf(folder, sizeof folder, "%.4000s/keyskew-bench-XXXXXX", tmp ? tmp : "/tmp");
	if (aim(&t, b, "snowflake:unchecked", true, "faults: [{at: 20ms, node: n3, step: -5ms}]\n", b->err))
		return -1;
	if (simulate(&t, NULL, &out, b->err))
		return -1;
	int failed = mkdtemp(folder) ? against_sort(b, &t, &out.records, folder)
	                             : ks_fail(b->err, KS_E_INTERNAL, "cannot make folder '%s': %s", folder, strerror(errno));
	rmdir(folder);
	ks_run_output_release(&out);
	ks_plan_release(&t.plan);
	return failed;
}

/* ---- the nightly suite ---- */

static int nightly(struct bench *b)
{
	char self[PATH_MAX], folder[PATH_MAX], command[2 * PATH_MAX + 100];
	const char *tmp = getenv("TMPDIR");
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	struct timespec begin, end;
	snprintf(folder, sizeof folder, "%.4000s/keyskew-bench-XXXXXX", tmp ? tmp : "/tmp");
	if (n < 0 || !mkdtemp(folder))
		return ks_fail(b->err, KS_E_INTERNAL, "cannot make folder '%s': %s", folder, strerror(errno));
	self[n] = 0;
	snprintf(command, sizeof command, "'%s' run nightly -w sim -j2 -o '%s' >/dev/null 2>&1; s=$?; rm -r '%s'; exit $s", self, folder, folder);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	int status = system(command);
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (status)
		return ks_fail(b->err, KS_E_INTERNAL, "the nightly suite failed");
	b->value[NIGHTLY] = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	return 0;
}

/* ---- real processes ---- */

static int processes(struct bench *b)
{
	struct ks_bench_process p;
	if (ks_bench_processes(&p, b->err))
		return -1;
	b->value[HOST] = p.host;
	b->value[ASK_SIM] = p.ask_sim;
	b->value[ASK_FAKETIME] = p.ask_faketime;
	return 0;
}

/* ---- the command ---- */

static void print(const struct bench *b)
{
	printf("%llu keys a run; %s\ncommitted: %s\n\n%-30s %9s %10s  %-10s %10s\n", (unsigned long long)b->keys, b->host,
	       *b->committed_host ? b->committed_host : "none", "", "now", "committed", "", "M keys/s");
	for (int i = 0; i < FIGURES; i++) {
		char before[32] = "-", rate[32] = "";
		if (b->before[i] >= 0)
			snprintf(before, sizeof before, "%.1f", b->before[i]);
		if (b->value[i] < 0)
			continue;
		if (!strcmp(figures[i].unit, "ns") && b->value[i] > 0)
			snprintf(rate, sizeof rate, b->value[i] < 1000 ? "%.1f" : "%.3f", 1000 / b->value[i]);
		printf("%-30s %9.1f %10s  %-10s %10s   %s\n", figures[i].title, b->value[i], before, figures[i].unit, rate, figures[i].limit);
	}
	printf("\nsort | uniq -d finds %s %llu repeated keys among the same keys\n", b->same ? "the same" : "OTHER THAN OUR",
	       (unsigned long long)b->repeated);
#ifndef __OPTIMIZE__
	printf("this build is not optimised: the figures say little\n");
#endif
}

static int bench(struct bench *b, const char *file, bool quick)
{
	for (int i = 0; i < FIGURES; i++)
		b->value[i] = -1;
	name_host(b);
	read_committed(b);
	if (memory(b) || stages(b, false) || stages(b, true) || kept(b) || compare_with_sort(b) || processes(b) || (!quick && nightly(b)))
		return -1;
	print(b);
	if (file && save(b, file))
		return -1;
	return b->same ? 0 : ks_fail(b->err, KS_E_INTERNAL, "sort | uniq -d does not find the same repeated keys");
}

static int cmd_bench(int argc, char **argv)
{
	struct ks_cli cli;
	struct bench b = {.keys = 10000000};
	const char *file = NULL;
	char *value, *end;
	bool quick = false, guests = false;
	int option;
	ks_cli_begin(&cli, &ks_command_bench, argc, argv);
	while ((option = ks_cli_next(&cli, &value)) >= 0)
		if (option == SAVE)
			file = value;
		else if (option == QUICK)
			quick = true;
		else if (option == GUESTS)
			guests = true;
		else if ((b.keys = strtoull(value, &end, 10)) < 100000 || *end || b.keys > 200000000) {
			ks_fail(&cli.err, KS_E_USAGE, "bad --keys '%s', expected 100000..200000000", value);
			option = KS_CLI_BAD;
			break;
		}
	if (option != KS_CLI_END) {
		int code = ks_cli_end(&cli, option);
		ks_cli_release(&cli);
		return code;
	}
	int words = (int)cli.words;
	ks_cli_release(&cli);
	if (words)
		return ks_cli_usage(&ks_command_bench);
	struct ks_err err = {0};
	b.err = &err;
	return (guests ? ks_bench_guest(&err) : bench(&b, file, quick)) ? ks_cli_error(&err) : 0;
}
