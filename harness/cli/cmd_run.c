/* keyskew run: jobs on worker threads, then every output. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "ks_history.h"
#include "ks_mem.h"
#include "ks_report.h"
#include "ks_store.h"
#include "run.h"

static const char help[] =
	"usage: keyskew run [SCENARIO|SUITE|FOLDER]... [OPTION]...\n\n"
	"  -g, --generators A,B   generators with their options: snowflake:unchecked:node_bits=8, exec:'COMMAND'\n"
	"                         default: those that the scenario expects something of\n"
	"  -w, --worlds W,..      sim, faketime, qemu, or auto (default: sim; exec: faketime)\n"
	"      --seed N           default 1\n"
	"      --seeds A..B       one run a seed\n"
	"  -j, --jobs N           runs at a time, default 1\n"
	"      --twice            runs each twice and names the first record that differs; sim only\n"
	"      --set PATH=VALUE   changes the scenario: --set faults.back.step=-50ms\n"
	"  -o, --output DIR       results go there (default: .keyskew/TIME-NAME, link .keyskew/last)\n"
	"      --json FILE        the result document, also there (-: standard output, instead of the summary)\n"
	"      --junit FILE       JUnit XML, also there\n"
	"      --keys FILE|DIR    every call of every run, TSV\n\n"
	"exit: 0 every expectation met, 1 one unmet, 2 usage or file error, 3 could not be judged, 4 nothing matched,\n"
	"      5 keyskew itself failed, 128+N signal N\n";

/* ---- arguments ---- */

static int split_generators(struct ks_run_args *a, const char *list, struct ks_err *err)
{
	/* a comma separates generators, but a command of exec: keeps its own */
	while (*list) {
		size_t n = strncmp(list, "exec:", 5) ? strcspn(list, ",") : strlen(list);
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

enum { OPT_SEED = 1000, OPT_SEEDS, OPT_SET, OPT_JSON, OPT_JUNIT, OPT_KEYS, OPT_TWICE };
static const struct option options[] = {
	{"generators", required_argument, NULL, 'g'}, {"worlds", required_argument, NULL, 'w'},
	{"seed", required_argument, NULL, OPT_SEED},  {"seeds", required_argument, NULL, OPT_SEEDS},
	{"jobs", required_argument, NULL, 'j'},       {"set", required_argument, NULL, OPT_SET},
	{"output", required_argument, NULL, 'o'},     {"json", required_argument, NULL, OPT_JSON},
	{"junit", required_argument, NULL, OPT_JUNIT}, {"keys", required_argument, NULL, OPT_KEYS},
	{"twice", no_argument, NULL, OPT_TWICE},      {"help", no_argument, NULL, 'h'},
	{0},
};

/* @return 0 to go on, 1 when help was printed, -1 on an error. */
static int parse_args(int argc, char **argv, struct ks_run_args *a, struct ks_err *err)
{
	int c;
	uint64_t n = 1;
	*a = (struct ks_run_args){.seed_low = 1, .seed_high = 1, .jobs = 1};
	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:g:w:j:o:h", options, NULL)) != -1 || optind < argc) {
		if (c == -1) { /* a target between options */
			const char **grown = ks_grow(a->target, a->targets, a->targets + 1, sizeof(char *));
			if (!grown)
				return ks_fail(err, KS_E_INTERNAL, "out of memory");
			a->target = grown;
			a->target[a->targets++] = argv[optind++];
			continue;
		}
		switch (c) {
		case 'g':
			if (split_generators(a, optarg, err))
				return -1;
			break;
		case 'w':
			if (parse_worlds(a, optarg, err))
				return -1;
			break;
		case 'j':
			if (parse_number(optarg, 1, 256, &n))
				return ks_fail(err, KS_E_USAGE, "bad -j '%s', expected 1..256", optarg);
			a->jobs = (int)n;
			break;
		case OPT_SEED:
		case OPT_SEEDS:
			if (parse_seeds(a, optarg, err))
				return -1;
			break;
		case OPT_SET:
			if (parse_set(a, optarg, err))
				return -1;
			break;
		case 'o':
			a->folder = optarg;
			break;
		case OPT_JSON:
			a->json = optarg;
			break;
		case OPT_JUNIT:
			a->junit = optarg;
			break;
		case OPT_KEYS:
			a->keys = optarg;
			break;
		case OPT_TWICE:
			a->twice = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 1;
		case ':':
			return ks_fail(err, KS_E_USAGE, "option '%s' needs a value", argv[optind - 1]);
		default: {
			const char *names[16], *word = argv[optind - 1];
			size_t k = 0;
			for (; options[k].name; k++)
				names[k] = options[k].name;
			const char *near = !strncmp(word, "--", 2) ? ks_nearest(word + 2, names, k) : NULL;
			return ks_fail(err, KS_E_USAGE, "unknown option '%s'%s%s%s, see keyskew run --help", word,
			               near ? "; did you mean '--" : "", near ? near : "", near ? "'" : "");
		}
		}
	}
	if (!a->targets)
		return ks_fail(err, KS_E_USAGE, "what to run? name a scenario, a suite or a folder; see keyskew list scenarios");
	return 0;
}

static void release_args(struct ks_run_args *a)
{
	for (size_t i = 0; i < a->generators; i++)
		free(a->generator[i]);
	ks_free(a->generator);
	ks_free(a->set);
	ks_free(a->target);
}

/* ---- the folder of the run ---- */

static int make_folder(const char *path, struct ks_err *err)
{
	char part[PATH_MAX];
	if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part)
		return ks_fail(err, KS_E_USAGE, "folder name '%.60s...' is too long", path);
	for (char *p = part + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char end = *p;
		*p = 0;
		if (mkdir(part, 0777) && errno != EEXIST)
			return ks_fail(err, errno == ENOSPC ? KS_E_INTERNAL : KS_E_USAGE, "cannot make folder '%s': %s", part, strerror(errno));
		*p = end;
		if (!end)
			break;
	}
	struct stat st;
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return ks_fail(err, KS_E_USAGE, "'%s' is not a folder", path);
	return 0;
}

/* .keyskew/20261122-101500-NAME, with -2, -3 behind it when two begin in one second. */
static int choose_folder(const struct ks_run_args *a, const char *name, char folder[PATH_MAX], struct ks_err *err)
{
	char stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	if (a->folder) {
		snprintf(folder, PATH_MAX, "%s", a->folder);
		return make_folder(folder, err);
	}
	if (make_folder(".keyskew", err))
		return -1;
	strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
	for (int i = 1; i < 1000; i++) {
		char suffix[16] = "";
		if (i > 1)
			snprintf(suffix, sizeof suffix, "-%d", i);
		snprintf(folder, PATH_MAX, ".keyskew/%s-%s%s", stamp, name, suffix);
		if (mkdir(folder, 0777) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return ks_fail(err, KS_E_INTERNAL, "cannot make folder '%s': %s", folder, strerror(errno));
}

/* Points .keyskew/last at the folder; the link is replaced whole. */
static int link_last(const char *folder, struct ks_err *err)
{
	char temp[64];
	snprintf(temp, sizeof temp, ".keyskew/.last-%ld", (long)getpid());
	unlink(temp);
	if (symlink(strrchr(folder, '/') + 1, temp) || rename(temp, ".keyskew/last")) {
		unlink(temp);
		return ks_fail(err, KS_E_INTERNAL, "cannot link .keyskew/last: %s", strerror(errno));
	}
	return 0;
}

/* ---- running ---- */

struct pool {
	struct ks_schedule *schedule;
	pthread_mutex_t lock;
	size_t next, done;
	bool progress;
	int failed; /* a job could not be reported: stop */
};

static volatile int stop; /* for worlds: the signal, or a failure of keyskew itself */

static void progress(struct pool *p, const struct ks_job *job)
{
	if (p->progress)
		fprintf(stderr, "\r\033[K%zu/%zu  %.100s", p->done, p->schedule->jobs, job ? job->id : "");
}

static void *worker(void *context)
{
	struct pool *p = context;
	for (;;) {
		pthread_mutex_lock(&p->lock);
		bool end = p->next == p->schedule->jobs || stop;
		struct ks_job *job = end ? NULL : &p->schedule->job[p->next++];
		if (job)
			progress(p, job);
		pthread_mutex_unlock(&p->lock);
		if (!job)
			return NULL;
		int status = ks_job_run(job, &stop);
		pthread_mutex_lock(&p->lock);
		p->done++;
		if (status) {
			p->failed = 1;
			stop = 1;
		}
		pthread_mutex_unlock(&p->lock);
	}
}

/* The signal handler sets ks_signal; worlds look at `stop`. */
static void *watcher(void *context)
{
	volatile const int *end = context;
	while (!*end) {
		if (ks_signal)
			stop = 1;
		struct timespec nap = {0, 20000000};
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static int run_jobs(struct ks_schedule *s, int jobs, struct ks_err *err)
{
	struct pool pool = {.schedule = s, .progress = isatty(STDERR_FILENO)};
	pthread_t thread[256], watch;
	static volatile int end;
	int n = 0;
	pthread_mutex_init(&pool.lock, NULL);
	if (pthread_create(&watch, NULL, watcher, (void *)&end))
		return ks_fail(err, KS_E_INTERNAL, "cannot start a thread");
	while (n < jobs && (size_t)n < s->jobs && !pthread_create(&thread[n], NULL, worker, &pool))
		n++;
	if (!n)
		worker(&pool);
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	end = 1;
	pthread_join(watch, NULL);
	if (pool.progress)
		fprintf(stderr, "\r\033[K");
	for (size_t i = 0; pool.failed && i < s->jobs; i++)
		if (s->job[i].err.code) {
			*err = s->job[i].err;
			return -1;
		}
	return 0;
}

/* ---- results ---- */

/* Reals of a result are rounded to six digits already; more would only show how binary fractions print. */
#define KS_JSON (JSON_INDENT(1) | JSON_REAL_PRECISION(6))

#ifdef __clang__
#define KS_COMPILER "clang " __clang_version__
#else
#define KS_COMPILER "gcc " __VERSION__
#endif

static json_t *host_of(double wall_s)
{
	struct utsname u;
	char stamp[KS_TIME_TEXT], system[300];
	uname(&u);
	snprintf(system, sizeof system, "%s %s %s", u.sysname, u.release, u.machine);
	return json_pack("{ss ss ss so}", "system", system, "compiler", KS_COMPILER, "time",
	                 ks_utc_format(stamp, (int64_t)time(NULL) * KS_SEC), "wall_s", json_real((double)(int64_t)(wall_s * 1000) / 1000));
}

/* Runs that finished, in plan order; of an interrupted command the others are left out. */
static json_t *collect(struct ks_schedule *s, double wall_s)
{
	json_t *runs = json_array();
	for (size_t i = 0; i < s->jobs; i++) {
		json_t *run = s->job[i].result;
		const char *reason = json_string_value(json_object_get(run, "reason"));
		if (run && !(ks_signal && reason && !strcmp(reason, "interrupted")))
			json_array_append(runs, run);
	}
	json_t *document = ks_result_document(s->name, runs);
	if (document) {
		json_object_set_new(document, "planned", json_integer((json_int_t)s->jobs));
		json_object_set_new(document, "host", host_of(wall_s));
	}
	return document;
}

static int write_json(const json_t *document, const char *path, struct ks_err *err)
{
	struct ks_file file;
	if (!strcmp(path, "-")) {
		json_dumpf(document, stdout, KS_JSON);
		putchar('\n');
		return 0;
	}
	if (ks_file_open(&file, path, err))
		return -1;
	if (json_dumpf(document, file.f, KS_JSON) || fputc('\n', file.f) == EOF) {
		ks_file_abort(&file);
		return ks_fail(err, KS_E_INTERNAL, "cannot write '%s': %s", path, strerror(errno));
	}
	return ks_file_commit(&file, err);
}

int ks_write_reports(const json_t *document, const char *folder, int jobs, struct ks_err *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%.3900s/result.json", folder);
	if (write_json(document, path, err))
		return -1;
	snprintf(path, sizeof path, "%.3900s/junit.xml", folder);
	if (ks_report_junit(document, path, err))
		return -1;
	snprintf(path, sizeof path, "%.3900s/summary.md", folder);
	if (ks_report_markdown(document, path, err))
		return -1;
	if (!ks_signal && ks_report_plots(document, folder, jobs, err))
		return -1;
	return ks_report_html(document, folder, err);
}

/* The history is a convenience: that it cannot be written is said, and spoils no result. An interrupted run is no night. */
static void remember(const struct ks_run_args *a, const json_t *document, const char *folder)
{
	struct ks_err err;
	int64_t id;
	if (ks_signal || (a->folder && !getenv("KEYSKEW_HISTORY")))
		return;
	struct ks_history *h = ks_history_open(ks_history_path(), KS_HISTORY_WRITE, &err);
	if (!h || ks_history_add(h, document, folder, &id, &err) < 0)
		fprintf(stderr, "keyskew: not in the history: %s\n", err.text);
	ks_history_close(h);
}

static int write_all(const struct ks_run_args *a, const json_t *document, const char *folder, struct ks_err *err)
{
	if (ks_write_reports(document, folder, a->jobs, err))
		return -1;
	if (a->json && write_json(document, a->json, err))
		return -1;
	if (a->junit && ks_report_junit(document, a->junit, err))
		return -1;
	remember(a, document, folder);
	return a->folder ? 0 : link_last(folder, err);
}

/* Where each run's plots and keys go. */
static int place_files(const struct ks_run_args *a, struct ks_schedule *s, const char *folder, struct ks_err *err)
{
	struct stat st;
	char runs[PATH_MAX];
	snprintf(runs, sizeof runs, "%.3900s/runs", folder);
	if (make_folder(runs, err))
		return -1;
	bool many = a->keys && (s->jobs > 1 || a->keys[strlen(a->keys) - 1] == '/' ||
	                        (stat(a->keys, &st) == 0 && S_ISDIR(st.st_mode)));
	/* its own folder only: a mistyped path must not grow a tree */
	if (many && mkdir(a->keys, 0777) && errno != EEXIST)
		return ks_fail(err, KS_E_USAGE, "cannot make folder '%s': %s", a->keys, strerror(errno));
	for (size_t i = 0; i < s->jobs; i++) {
		struct ks_job *job = &s->job[i];
		if ((size_t)snprintf(job->folder, sizeof job->folder, "%.3700s/%s", runs, job->id) >= sizeof job->folder - 32)
			return ks_fail(err, KS_E_USAGE, "folder name '%.60s...' is too long", folder);
		if (many)
			snprintf(job->keys, sizeof job->keys, "%.3700s/%s.tsv", a->keys, job->id);
		else if (a->keys)
			snprintf(job->keys, sizeof job->keys, "%s", a->keys);
	}
	return 0;
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(const struct ks_run_args *a, struct ks_schedule *s, struct ks_err *err)
{
	char folder[PATH_MAX];
	double begin = seconds();
	if (ks_schedule_build(a, s, err) || choose_folder(a, s->name, folder, err) || place_files(a, s, folder, err))
		return -1;
	if (run_jobs(s, a->jobs, err))
		return -1;
	json_t *document = collect(s, seconds() - begin);
	if (!document)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	int code = ks_result_exit(document);
	int status = write_all(a, document, folder, err);
	bool json_out = a->json && !strcmp(a->json, "-");
	if (!status && !json_out)
		status = ks_report_text(document, stdout, ks_colour(), ks_width(), a->folder ? folder : ".keyskew/last");
	if (ks_signal)
		fprintf(stderr, "keyskew: interrupted; %zu of %zu runs are finished and kept in %s\n",
		        json_array_size(json_object_get(document, "runs")), s->jobs, folder);
	json_decref(document);
	return status ? status : code;
}

int ks_cmd_run(int argc, char **argv)
{
	struct ks_run_args args;
	struct ks_schedule schedule = {0};
	struct ks_err err = {.code = KS_E_INTERNAL, .text = "cannot write to standard output"};
	int code = parse_args(argc, argv, &args, &err);
	if (code == 0)
		code = run(&args, &schedule, &err);
	else if (code == 1)
		code = 0;
	if (code < 0)
		code = ks_cli_error(&err);
	ks_schedule_release(&schedule);
	release_args(&args);
	return code;
}
