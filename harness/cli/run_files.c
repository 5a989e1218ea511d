/* The files of a run: its folder, the result document, reports, the link to the last one. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "ks_history.h"
#include "ks_report.h"
#include "ks_store.h"
#include "run.h"

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

int ks_run_folder(const struct ks_run_args *a, const char *name, char *folder, struct ks_err *err)
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

/* ---- results ---- */

/* Reals of a result are rounded to six digits already; more would only show how binary fractions print. */
#define KS_JSON (JSON_INDENT(1) | JSON_REAL_PRECISION(6))

#ifdef __clang__
#define KS_COMPILER "clang " __clang_version__
#else
#define KS_COMPILER "gcc " __VERSION__
#endif

static json_t *host_of(const struct ks_run_args *a, double wall_s)
{
	struct utsname u;
	char stamp[KS_TIME_TEXT], system[300];
	uname(&u);
	snprintf(system, sizeof system, "%s %s %s", u.sysname, u.release, u.machine);
	return json_pack("{ss ss ss so sO}", "system", system, "compiler", KS_COMPILER, "time",
	                 ks_utc_format(stamp, (int64_t)time(NULL) * KS_SEC), "wall_s", json_real((double)(int64_t)(wall_s * 1000) / 1000),
	                 "command", a->command);
}

/* Runs that finished, in plan order; of an interrupted command the others are left out. */
json_t *ks_run_collect(const struct ks_run_args *a, struct ks_schedule *s, double wall_s)
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
		if (a->shards)
			json_object_set_new(document, "shard", json_pack("{sI sI sI}", "part", (json_int_t)a->shard, "of", (json_int_t)a->shards,
			                                                 "planned", (json_int_t)s->planned));
		json_object_set_new(document, "host", host_of(a, wall_s));
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

int ks_write_files(const json_t *document, const char *folder, int jobs, struct ks_err *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%.3900s/result.json", folder);
	if (write_json(document, path, err))
		return -1;
	snprintf(path, sizeof path, "%.3900s/junit.xml", folder);
	if (ks_report_junit(document, path, err))
		return -1;
	snprintf(path, sizeof path, "%.3900s/metrics.prom", folder);
	if (ks_report_openmetrics(document, path, err))
		return -1;
	snprintf(path, sizeof path, "%.3900s/summary.md", folder);
	if (ks_report_markdown(document, path, err))
		return -1;
	return ks_signal ? 0 : ks_report_plots(document, folder, jobs, err);
}

int ks_write_page(const json_t *document, const char *folder, const char *base, struct ks_err *err)
{
	json_t *beside = ks_beside(document, folder, base, err);
	int failed = beside ? ks_report_html(document, beside, folder, err) : -1;
	json_decref(beside);
	return failed;
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

int ks_run_write(const struct ks_run_args *a, const json_t *document, const char *folder, struct ks_err *err)
{
	if (ks_write_files(document, folder, a->jobs, err))
		return -1;
	if (a->json && write_json(document, a->json, err))
		return -1;
	if (a->junit && ks_report_junit(document, a->junit, err))
		return -1;
	remember(a, document, folder);
	if (ks_write_page(document, folder, a->base, err))
		return -1;
	return a->folder ? 0 : link_last(folder, err);
}

int ks_run_place(const struct ks_run_args *a, struct ks_schedule *s, const char *folder, struct ks_err *err)
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
