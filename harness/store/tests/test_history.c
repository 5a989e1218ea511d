/* The history, on files of its own: twice the same, changes of verdicts, trends, migration, two writers, a kill. */
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ks_history.h"
#include "ks_test.h"

static char dir[] = "/tmp/ks_test_history_XXXXXX";
static char path[200];

static struct ks_history *fresh(void)
{
	struct ks_err err = {0};
	snprintf(path, sizeof path, "%s/history.db", dir);
	unlink(path);
	struct ks_history *h = ks_history_open(path, KS_HISTORY_WRITE, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	return h;
}

/* The result of a night: two seeds, the second one's verdict as given. */
static json_t *night(int day, const char *verdict, int64_t duplicates)
{
	char time[32];
	json_t *runs = json_array();
	snprintf(time, sizeof time, "2026-01-%02dT03:00:00Z", day);
	for (int seed = 1; seed <= 2; seed++) {
		json_t *run = json_pack("{ss ss ss si ss}", "scenario", "ntp-step-back", "generator", "unixmilli", "world", "sim", "seed", seed,
		                        "status", "judged");
		json_object_set_new(run, "claims", json_pack("[{ss ss si so}]", "claim", "unique@node", "verdict", seed == 2 ? verdict : "kept",
		                                             "count", 0, "witness", json_object()));
		json_object_set_new(run, "metrics", json_pack("{s{sI sI} ss}", "duplicates", "node", (json_int_t)duplicates, "fleet",
		                                              (json_int_t)duplicates, "behind_ns_max", "9007199254740993"));
		json_array_append_new(runs, run);
	}
	return json_pack("{ss si ss s{si si} s{ss ss sf} so}", "keyskew", "0.1.0", "schema", 1, "name", "nightly", "summary", "runs", 2, "exit", 0,
	                 "host", "time", time, "system", "Linux", "wall_s", 1.5, "runs", runs);
}

static int64_t add(struct ks_history *h, json_t *document, int *new)
{
	struct ks_err err = {0};
	int64_t id = 0;
	*new = ks_history_add(h, document, "a/folder", &id, &err);
	json_decref(document);
	return id;
}

static void test_twice(void)
{
	struct ks_err err = {0};
	struct ks_history *h = fresh();
	int new;
	int64_t id = add(h, night(1, "kept", 0), &new);
	CU_ASSERT_EQUAL(new, 1);
	CU_ASSERT_EQUAL(add(h, night(1, "kept", 0), &new), id);
	CU_ASSERT_EQUAL(new, 0);
	json_t *list = ks_history_list(h, NULL, 10, &err), *document = ks_history_document(h, id, &err);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(list, 0), "folder")), "a/folder");
	json_t *claim = json_array_get(json_object_get(json_array_get(json_object_get(document, "runs"), 0), "claims"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(claim, "verdict")), "kept");
	CU_ASSERT_PTR_NULL(json_object_get(claim, "witness"));
	CU_ASSERT_PTR_NULL(ks_history_document(h, 77, &err));
	CU_ASSERT_EQUAL(err.code, KS_E_NOMATCH);
	json_decref(list);
	json_decref(document);
	ks_history_close(h);
}

static void test_changes(void)
{
	struct ks_err err = {0};
	struct ks_history_filter any = {0}, other = {.generator = "snowflake"};
	struct ks_history *h = fresh();
	int new;
	for (int day = 1; day <= 6; day++) /* broken on the third and fourth night */
		add(h, night(day, day == 3 || day == 4 ? "broken" : "kept", day), &new);
	json_t *c = ks_history_changes(h, &any, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_EQUAL_FATAL(json_array_size(c), 2);
	json_t *first = json_array_get(c, 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(first, "time")), "2026-01-03T03:00:00Z");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(first, "from")), "kept 2/2");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(first, "to")), "broken 1/2");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(c, 1), "time")), "2026-01-05T03:00:00Z");
	json_decref(c);
	c = ks_history_changes(h, &other, &err);
	CU_ASSERT_EQUAL(json_array_size(c), 0);
	json_decref(c);
	ks_history_close(h);
}

static void test_trend(void)
{
	struct ks_err err = {0};
	struct ks_history_filter any = {0};
	struct ks_history *h = fresh();
	int new;
	add(h, night(2, "kept", 20), &new);
	add(h, night(1, "kept", 10), &new); /* added late: the order is that of time */
	json_t *t = ks_history_trend(h, "duplicates", "node", &any, &err);
	json_t *points = json_object_get(json_array_get(t, 0), "points");
	CU_ASSERT_EQUAL_FATAL(json_array_size(points), 2);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(points, 0), "median")), 10);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(points, 1), "n")), 2);
	json_decref(t);
	t = ks_history_trend(h, "behind_ns_max", "", &any, &err); /* above 2^53, exactly */
	points = json_object_get(json_array_get(t, 0), "points");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(points, 0), "high")), INT64_C(9007199254740993));
	json_decref(t);
	json_t *moved = ks_history_moved(h, "nightly", 10, 5, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(moved);
	CU_ASSERT_EQUAL_FATAL(json_array_size(moved), 1); /* what stays the same is not there */
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(moved, 0), "metric")), "duplicates");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(moved, 0), "low")), 10);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(moved, 0), "high")), 20);
	json_decref(moved);
	moved = ks_history_moved(h, "another", 10, 5, &err);
	CU_ASSERT_EQUAL(json_array_size(moved), 0);
	json_decref(moved);
	struct ks_history_filter named = {.name = "another"};
	t = ks_history_trend(h, "duplicates", "node", &named, &err);
	CU_ASSERT_EQUAL(json_array_size(t), 0);
	json_decref(t);
	ks_history_close(h);
}

static void sql(const char *text)
{
	sqlite3 *db;
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_versions(void)
{
	struct ks_err err = {0};
	struct ks_history *h = fresh();
	int new;
	int64_t id = add(h, night(1, "kept", 0), &new);
	ks_history_close(h);
	/* a file as version 1 left it: nothing is lost on the way to this one */
	sql("DROP INDEX run_result; DROP INDEX claim_run; DROP INDEX metric_name; DROP INDEX metric_run; PRAGMA user_version = 1");
	h = ks_history_open(path, KS_HISTORY_READ, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	json_t *document = ks_history_document(h, id, &err);
	CU_ASSERT_PTR_NOT_NULL(document);
	json_decref(document);
	ks_history_close(h);
	sql("PRAGMA user_version = 1000");
	CU_ASSERT_PTR_NULL(ks_history_open(path, KS_HISTORY_READ, &err));
	CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "schema 1000"));
	sql("PRAGMA user_version = 0"); /* tables of somebody else */
	CU_ASSERT_PTR_NULL(ks_history_open(path, KS_HISTORY_WRITE, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not a history of keyskew"));
	FILE *f = fopen(path, "w");
	fputs("this is a text, and a longer one than the header of a database, which has a hundred bytes of its own in it\n", f);
	fclose(f);
	CU_ASSERT_PTR_NULL(ks_history_open(path, KS_HISTORY_READ, &err));
	CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	unlink(path);
	CU_ASSERT_PTR_NULL(ks_history_open(path, KS_HISTORY_READ, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no history at"));
}

/* A process that adds the nights of a month, 100 * k apart from those of another. */
static pid_t writer(int k)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	struct ks_err err = {0};
	struct ks_history *h = ks_history_open(path, KS_HISTORY_WRITE, &err);
	int new = 0;
	for (int i = 1; h && i <= 28; i++) {
		json_t *d = night(i, "kept", i);
		json_object_set_new(d, "name", json_sprintf("suite-%d", k));
		add(h, d, &new);
		if (new != 1)
			_exit(1);
	}
	ks_history_close(h);
	_exit(h ? 0 : 1);
}

static void test_two_writers(void)
{
	struct ks_err err = {0};
	int status;
	ks_history_close(fresh());
	pid_t pid[2] = {writer(1), writer(2)};
	for (int i = 0; i < 2; i++) {
		waitpid(pid[i], &status, 0);
		CU_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status));
	}
	struct ks_history *h = ks_history_open(path, KS_HISTORY_READ, &err);
	json_t *list = ks_history_list(h, NULL, 1000, &err);
	CU_ASSERT_EQUAL(json_array_size(list), 56);
	json_decref(list);
	ks_history_close(h);
}

/* Killed at points spread over its writing, the file stays whole: what is listed can be read. */
static void test_killed(void)
{
	struct ks_err err = {0};
	for (int i = 0; i < 12; i++) {
		ks_history_close(fresh());
		pid_t pid = writer(1);
		usleep((useconds_t)(1500 * i));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		struct ks_history *h = ks_history_open(path, KS_HISTORY_WRITE, &err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(h);
		json_t *list = ks_history_list(h, NULL, 1000, &err), *row;
		size_t k;
		json_array_foreach(list, k, row) {
			json_t *d = ks_history_document(h, json_integer_value(json_object_get(row, "id")), &err);
			CU_ASSERT_EQUAL(json_array_size(json_object_get(d, "runs")), 2);
			json_decref(d);
		}
		struct ks_history_filter any = {0};
		json_t *t = ks_history_trend(h, "duplicates", "node", &any, &err);
		size_t points = json_array_size(json_object_get(json_array_get(t, 0), "points"));
		CU_ASSERT_EQUAL(points, json_array_size(list)); /* no result without its runs */
		json_decref(t);
		json_decref(list);
		ks_history_close(h);
	}
}

static void test_clear(void)
{
	struct ks_err err = {0};
	struct ks_history *h = fresh();
	struct ks_history_filter any = {0};
	int new;
	add(h, night(1, "kept", 0), &new);
	CU_ASSERT_EQUAL(ks_history_clear(h, &err), 0);
	json_t *t = ks_history_trend(h, "duplicates", "node", &any, &err);
	CU_ASSERT_EQUAL(json_array_size(t), 0);
	json_decref(t);
	ks_history_close(h);
}

int main(void)
{
	static const struct ks_test tests[] = {{"a result is added once", test_twice},
	                                       {"nights on which a verdict changed", test_changes},
	                                       {"a metric over time", test_trend},
	                                       {"older, newer and foreign files", test_versions},
	                                       {"two writers", test_two_writers},
	                                       {"killed at any point", test_killed},
	                                       {"forgetting", test_clear},
	                                       {NULL, NULL}};
	if (!mkdtemp(dir))
		return 2;
	int failed = ks_test_main("history", tests);
	unlink(path);
	rmdir(dir);
	return failed;
}
