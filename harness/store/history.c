#include "ks_history.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Two writers wait this long for one another. */
#define BUSY_MS 30000
#define DOCUMENT_MAX (INT64_C(1) << 30)

struct ks_history {
	sqlite3 *db;
	char path[4096];
};

/* Step i takes a file of version i to version i + 1. Never change one that was released: add one. */
static const char *const migrations[] = {
	/* 0 -> 1 */
	"CREATE TABLE result (id INTEGER PRIMARY KEY, time TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,"
	"  wall_ms INTEGER NOT NULL, system TEXT NOT NULL, folder TEXT NOT NULL, runs INTEGER NOT NULL, as_expected INTEGER NOT NULL,"
	"  met INTEGER NOT NULL, unmet INTEGER NOT NULL, untested INTEGER NOT NULL, failed INTEGER NOT NULL, exit INTEGER NOT NULL,"
	"  size INTEGER NOT NULL, document BLOB NOT NULL, UNIQUE (time, name, wall_ms, system));"
	"CREATE TABLE run (id INTEGER PRIMARY KEY, result INTEGER NOT NULL REFERENCES result (id) ON DELETE CASCADE,"
	"  scenario TEXT NOT NULL, generator TEXT NOT NULL, world TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL,"
	"  as_expected INTEGER NOT NULL);"
	"CREATE TABLE claim (run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, claim TEXT NOT NULL, verdict TEXT NOT NULL,"
	"  count INTEGER NOT NULL);"
	"CREATE TABLE metric (run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, name TEXT NOT NULL, scope TEXT NOT NULL,"
	"  value INTEGER NOT NULL);",
	/* 1 -> 2: nights are looked up by result, claims and metrics by run and by name */
	("CREATE INDEX run_result ON run (result); CREATE INDEX claim_run ON claim (run);"
	 "CREATE INDEX metric_name ON metric (name, scope, run);"),
	/* 2 -> 3: the metrics of a night */
	"CREATE INDEX metric_run ON metric (run);",
};
#define VERSION ((int)(sizeof migrations / sizeof *migrations))

static int failed(struct ks_history *h, struct ks_err *err)
{
	int code = sqlite3_errcode(h->db);
	bool theirs = code == SQLITE_NOTADB || code == SQLITE_CANTOPEN || code == SQLITE_CORRUPT || code == SQLITE_READONLY;
	return ks_fail(err, theirs ? KS_E_USAGE : KS_E_INTERNAL, "history '%.900s': %s", h->path, sqlite3_errmsg(h->db));
}

static int execute(struct ks_history *h, const char *sql, struct ks_err *err)
{
	return sqlite3_exec(h->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(h, err);
}

static sqlite3_stmt *prepare(struct ks_history *h, const char *sql, struct ks_err *err)
{
	sqlite3_stmt *s = NULL;
	if (sqlite3_prepare_v2(h->db, sql, -1, &s, NULL) != SQLITE_OK)
		failed(h, err);
	return s;
}

static int64_t integer(struct ks_history *h, const char *sql, int64_t missing)
{
	sqlite3_stmt *s = NULL;
	int64_t v = missing;
	if (sqlite3_prepare_v2(h->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		v = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return v;
}

/* Ends a transaction: whole, or not at all. */
static int end(struct ks_history *h, int status, struct ks_err *err)
{
	if (status >= 0 && execute(h, "COMMIT", err))
		status = -1;
	if (status < 0)
		sqlite3_exec(h->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

static int migrate(struct ks_history *h, struct ks_err *err)
{
	char set[64];
	int status = 0;
	if (execute(h, "BEGIN IMMEDIATE", err))
		return -1;
	for (int64_t v = integer(h, "PRAGMA user_version", 0); !status && v < VERSION; v++) {
		snprintf(set, sizeof set, "PRAGMA user_version = %d", (int)v + 1);
		status = execute(h, migrations[v], err) || execute(h, set, err) ? -1 : 0;
	}
	return end(h, status, err);
}

/* Another program's database has tables of its own and no version. */
static int check_version(struct ks_history *h, enum ks_history_mode mode, struct ks_err *err)
{
	int64_t version = integer(h, "PRAGMA user_version", -1), tables = integer(h, "SELECT count(*) FROM sqlite_master", -1);
	if (version < 0 || tables < 0)
		return failed(h, err);
	if (version > VERSION)
		return ks_fail(err, KS_E_USAGE, "history '%.900s' has schema %lld, this keyskew knows up to %d", h->path, (long long)version,
		               VERSION);
	if (version == 0 && tables > 0)
		return ks_fail(err, KS_E_USAGE, "'%.900s' is not a history of keyskew", h->path);
	if (version == VERSION)
		return 0;
	if (mode == KS_HISTORY_READ && version == 0)
		return ks_fail(err, KS_E_USAGE, "history '%.900s' is empty", h->path);
	return migrate(h, err);
}

struct ks_history *ks_history_open(const char *path, enum ks_history_mode mode, struct ks_err *err)
{
	struct ks_history *h = calloc(1, sizeof *h);
	if (!h) {
		ks_fail(err, KS_E_INTERNAL, "out of memory");
		return NULL;
	}
	snprintf(h->path, sizeof h->path, "%s", path);
	if (mode == KS_HISTORY_READ && access(path, F_OK)) {
		ks_fail(err, KS_E_USAGE, "no history at '%.900s'; keyskew run writes one, keyskew history add DIR too", path);
		free(h);
		return NULL;
	}
	int flags = SQLITE_OPEN_READWRITE | (mode == KS_HISTORY_WRITE ? SQLITE_OPEN_CREATE : 0);
	int status = sqlite3_open_v2(path, &h->db, flags, NULL) == SQLITE_OK ? 0 : failed(h, err);
	if (!status) {
		sqlite3_busy_timeout(h->db, BUSY_MS);
		status = check_version(h, mode, err) || execute(h, "PRAGMA foreign_keys = ON", err);
	}
	if (!status)
		return h;
	ks_history_close(h);
	return NULL;
}

void ks_history_close(struct ks_history *h)
{
	if (!h)
		return;
	sqlite3_close(h->db);
	free(h);
}

/* ---- adding ---- */

static const char *string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

/* A number, or the text of one (above 2^53). */
static bool number(const json_t *v, int64_t *value)
{
	const char *s = json_string_value(v);
	char *rest;
	if (json_is_integer(v)) {
		*value = json_integer_value(v);
		return true;
	}
	errno = 0;
	*value = s ? strtoll(s, &rest, 10) : 0;
	return s && *s && !*rest && !errno;
}

static int64_t int_of(const json_t *o, const char *key)
{
	int64_t v;
	return number(json_object_get(o, key), &v) ? v : 0;
}

/* Values of one row, in the order of the question marks: s text, i int64_t. */
static int insert(struct ks_history *h, sqlite3_stmt *s, const char *types, const void *const *values, struct ks_err *err)
{
	sqlite3_reset(s);
	for (int i = 0; types[i]; i++) {
		if (types[i] == 's')
			sqlite3_bind_text(s, i + 1, values[i], -1, SQLITE_TRANSIENT);
		else
			sqlite3_bind_int64(s, i + 1, *(const int64_t *)values[i]);
	}
	return sqlite3_step(s) == SQLITE_DONE ? 0 : failed(h, err);
}

struct inserts {
	sqlite3_stmt *run, *claim, *metric;
};

static int add_claims(struct ks_history *h, struct inserts *in, int64_t run, const json_t *claims, struct ks_err *err)
{
	size_t i;
	json_t *c;
	json_array_foreach(claims, i, c) {
		int64_t count = int_of(c, "count");
		if (insert(h, in->claim, "issi", (const void *[]){&run, string(c, "claim"), string(c, "verdict"), &count}, err))
			return -1;
	}
	return 0;
}

static int add_metric(struct ks_history *h, struct inserts *in, int64_t run, const char *name, const char *scope, const json_t *v,
                      struct ks_err *err)
{
	int64_t value;
	if (!number(v, &value))
		return 0;
	return insert(h, in->metric, "issi", (const void *[]){&run, name, scope, &value}, err);
}

static int add_metrics(struct ks_history *h, struct inserts *in, int64_t run, const json_t *metrics, struct ks_err *err)
{
	const char *name, *scope;
	json_t *v, *inner;
	json_object_foreach((json_t *)metrics, name, v) {
		if (!json_is_object(v) && add_metric(h, in, run, name, "", v, err))
			return -1;
		json_object_foreach(v, scope, inner)
			if (add_metric(h, in, run, name, scope, inner, err))
				return -1;
	}
	return 0;
}

static int add_run(struct ks_history *h, struct inserts *in, int64_t result, const json_t *run, struct ks_err *err)
{
	int64_t seed = int_of(run, "seed"), expected = json_is_true(json_object_get(run, "as_expected"));
	const void *values[] = {&result, string(run, "scenario"), string(run, "generator"), string(run, "world"),
	                        &seed,   string(run, "status"),   &expected};
	if (insert(h, in->run, "isssisi", values, err))
		return -1;
	int64_t id = sqlite3_last_insert_rowid(h->db);
	return add_claims(h, in, id, json_object_get(run, "claims"), err) || add_metrics(h, in, id, json_object_get(run, "metrics"), err) ? -1 : 0;
}

static int add_runs(struct ks_history *h, int64_t result, const json_t *runs, struct ks_err *err)
{
	struct inserts in = {
		prepare(h, "INSERT INTO run (result, scenario, generator, world, seed, status, as_expected) VALUES (?, ?, ?, ?, ?, ?, ?)", err),
		prepare(h, "INSERT INTO claim VALUES (?, ?, ?, ?)", err), prepare(h, "INSERT INTO metric VALUES (?, ?, ?, ?)", err)};
	int status = in.run && in.claim && in.metric ? 0 : -1;
	size_t i;
	json_t *run;
	json_array_foreach(runs, i, run)
		if (!status)
			status = add_run(h, &in, result, run, err);
	sqlite3_finalize(in.run);
	sqlite3_finalize(in.claim);
	sqlite3_finalize(in.metric);
	return status;
}

/* What diff and people need of a run, without what only pages show. */
static json_t *trimmed(const json_t *document)
{
	json_t *copy = json_deep_copy(document);
	size_t i, k;
	json_t *run, *claim;
	json_array_foreach(json_object_get(copy, "runs"), i, run) {
		json_object_del(run, "faults");
		json_array_foreach(json_object_get(run, "claims"), k, claim)
			json_object_del(claim, "witness");
	}
	return copy;
}

/* @return the document, packed; free() it. */
static Bytef *pack(const json_t *document, uLongf *packed, int64_t *size)
{
	json_t *copy = trimmed(document);
	char *text = copy ? json_dumps(copy, JSON_COMPACT) : NULL;
	json_decref(copy);
	if (!text)
		return NULL;
	*size = (int64_t)strlen(text);
	*packed = compressBound((uLong)*size);
	Bytef *out = malloc(*packed);
	if (out && compress2(out, packed, (const Bytef *)text, (uLong)*size, 6) != Z_OK) {
		free(out);
		out = NULL;
	}
	free(text);
	return out;
}

static int insert_result(struct ks_history *h, const json_t *d, const char *folder, const Bytef *packed, uLongf len, int64_t size,
                         struct ks_err *err)
{
	const json_t *host = json_object_get(d, "host"), *sum = json_object_get(d, "summary");
	static const char *const counts[] = {"runs", "as_expected", "met", "unmet", "untested", "failed", "exit"};
	sqlite3_stmt *s = prepare(h, "INSERT OR IGNORE INTO result (time, name, version, wall_ms, system, folder, runs, as_expected, met,"
	                             " unmet, untested, failed, exit, size, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", err);
	int i = 0;
	if (!s)
		return -1;
	sqlite3_bind_text(s, ++i, string(host, "time"), -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, ++i, string(d, "name"), -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, ++i, string(d, "keyskew"), -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s, ++i, (int64_t)(json_number_value(json_object_get(host, "wall_s")) * 1000));
	sqlite3_bind_text(s, ++i, string(host, "system"), -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, ++i, folder, -1, SQLITE_TRANSIENT);
	for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
		sqlite3_bind_int64(s, ++i, int_of(sum, counts[k]));
	sqlite3_bind_int64(s, ++i, size);
	sqlite3_bind_blob64(s, ++i, packed, len, SQLITE_STATIC);
	int status = sqlite3_step(s) == SQLITE_DONE ? sqlite3_changes(h->db) : failed(h, err);
	sqlite3_finalize(s);
	return status;
}

/* The number of a result that is there already. */
static int64_t find_result(struct ks_history *h, const json_t *d)
{
	const json_t *host = json_object_get(d, "host");
	struct ks_err ignored;
	sqlite3_stmt *s = prepare(h, "SELECT id FROM result WHERE time = ? AND name = ? AND wall_ms = ? AND system = ?", &ignored);
	int64_t id = 0;
	sqlite3_bind_text(s, 1, string(host, "time"), -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, 2, string(d, "name"), -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s, 3, (int64_t)(json_number_value(json_object_get(host, "wall_s")) * 1000));
	sqlite3_bind_text(s, 4, string(host, "system"), -1, SQLITE_TRANSIENT);
	if (sqlite3_step(s) == SQLITE_ROW)
		id = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return id;
}

int ks_history_add(struct ks_history *h, const json_t *document, const char *folder, int64_t *id, struct ks_err *err)
{
	uLongf len = 0;
	int64_t size = 0;
	Bytef *packed = pack(document, &len, &size);
	if (!packed)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the history");
	if (execute(h, "BEGIN IMMEDIATE", err)) {
		free(packed);
		return -1;
	}
	int status = insert_result(h, document, folder, packed, len, size, err);
	free(packed);
	*id = status == 1 ? sqlite3_last_insert_rowid(h->db) : status == 0 ? find_result(h, document) : 0;
	if (status == 1 && add_runs(h, *id, json_object_get(document, "runs"), err))
		status = -1;
	return end(h, status, err);
}

int ks_history_clear(struct ks_history *h, struct ks_err *err)
{
	return execute(h, "DELETE FROM result", err); /* the rest goes with it */
}

/* ---- reading ---- */

/* The rows of a statement as objects: integers and texts under the names of the columns. */
static json_t *rows(struct ks_history *h, sqlite3_stmt *s, struct ks_err *err)
{
	json_t *list = json_array();
	int code;
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		json_t *o = json_object();
		for (int i = 0; i < sqlite3_column_count(s); i++) {
			bool is_int = sqlite3_column_type(s, i) == SQLITE_INTEGER;
			json_object_set_new(o, sqlite3_column_name(s, i), is_int ? json_integer(sqlite3_column_int64(s, i))
			                                                        : json_string((const char *)sqlite3_column_text(s, i)));
		}
		json_array_append_new(list, o);
	}
	if (code != SQLITE_DONE) {
		failed(h, err);
		json_decref(list);
		list = NULL;
	}
	sqlite3_finalize(s);
	return list;
}

json_t *ks_history_list(struct ks_history *h, const char *name, int64_t limit, struct ks_err *err)
{
	sqlite3_stmt *s = prepare(h, "SELECT id, time, name, version, wall_ms, folder, runs, as_expected, met, unmet, untested, failed, exit"
	                             " FROM result WHERE ?2 IS NULL OR name = ?2 ORDER BY time DESC, id DESC LIMIT ?1", err);
	if (!s)
		return NULL;
	sqlite3_bind_int64(s, 1, limit);
	sqlite3_bind_text(s, 2, name, -1, SQLITE_TRANSIENT);
	return rows(h, s, err);
}

static json_t *unpack(struct ks_history *h, const void *packed, int len, int64_t size, struct ks_err *err)
{
	uLongf n = (uLongf)size;
	char *text = size > 0 && size < DOCUMENT_MAX ? malloc((size_t)size + 1) : NULL;
	json_t *document = NULL;
	if (text && uncompress((Bytef *)text, &n, packed, (uLong)len) == Z_OK && n == (uLongf)size)
		document = json_loadb(text, (size_t)size, 0, NULL);
	free(text);
	if (!document)
		ks_fail(err, KS_E_USAGE, "history '%.900s' holds a result that cannot be read", h->path);
	return document;
}

json_t *ks_history_document(struct ks_history *h, int64_t id, struct ks_err *err)
{
	sqlite3_stmt *s = prepare(h, "SELECT document, size FROM result WHERE id = ?1 OR ?1 = 0 ORDER BY time DESC, id DESC LIMIT 1", err);
	json_t *document = NULL;
	if (!s)
		return NULL;
	sqlite3_bind_int64(s, 1, id);
	int code = sqlite3_step(s);
	if (code == SQLITE_ROW)
		document = unpack(h, sqlite3_column_blob(s, 0), sqlite3_column_bytes(s, 0), sqlite3_column_int64(s, 1), err);
	else if (code == SQLITE_DONE)
		ks_fail(err, KS_E_NOMATCH, "no result %lld in history '%.900s', see keyskew history", (long long)id, h->path);
	else
		failed(h, err);
	sqlite3_finalize(s);
	return document;
}

#define FILTER                                                                                                         \
	" (?1 IS NULL OR run.scenario = ?1) AND (?2 IS NULL OR run.generator = ?2) AND (?3 IS NULL OR run.world = ?3)"     \
	" AND (?6 IS NULL OR result.name = ?6)"

static void bind_filter(sqlite3_stmt *s, const struct ks_history_filter *f)
{
	sqlite3_bind_text(s, 1, f->scenario, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, 2, f->generator, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, 3, f->world, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, 6, f->name, -1, SQLITE_TRANSIENT);
}

/* "broken 1/3": how a claim went on n seeds. */
#define SAID(kept, broken, n)                                                                                          \
	" CASE WHEN " broken " > 0 THEN 'broken ' || " broken " WHEN " kept " > 0 THEN 'kept ' || " kept                   \
	" ELSE 'untested ' || " n " END || '/' || " n

/* A night's verdicts of one claim, beside those of the night before that had the claim, on the seeds of both. */
json_t *ks_history_changes(struct ks_history *h, const struct ks_history_filter *filter, struct ks_err *err)
{
	sqlite3_stmt *s = prepare(h,
		"WITH said AS (SELECT result.id, result.time, result.name, run.scenario, run.generator, run.world, run.seed, claim.claim,"
		"    sum(claim.verdict = 'kept') AS kept, sum(claim.verdict = 'broken') AS broken, count(*) AS n"
		"  FROM claim JOIN run ON run.id = claim.run JOIN result ON result.id = run.result"
		"  WHERE " FILTER " AND (?4 IS NULL OR claim.claim = ?4)"
		"  GROUP BY result.id, run.scenario, run.generator, run.world, run.seed, claim.claim),"
		" pairs AS (SELECT *, lag(id) OVER w AS last_id, lag(kept) OVER w AS last_kept, lag(broken) OVER w AS last_broken, lag(n) OVER w AS last_n"
		"  FROM said WINDOW w AS (PARTITION BY scenario, generator, world, seed, claim ORDER BY time, id)),"
		" nights AS (SELECT id, time, name, scenario, generator, world, claim, sum(kept) AS kept, sum(broken) AS broken, sum(n) AS n,"
		"    sum(last_kept) AS last_kept, sum(last_broken) AS last_broken, sum(last_n) AS last_n, max(last_id) AS last_id"
		"  FROM pairs WHERE last_id IS NOT NULL GROUP BY id, scenario, generator, world, claim)"
		" SELECT id, time, name, scenario, generator, world, claim,"
		SAID("last_kept", "last_broken", "last_n") " AS 'from'," SAID("kept", "broken", "n") " AS 'to',"
		"    last_id"
		" FROM nights WHERE kept * last_n <> last_kept * n OR broken * last_n <> last_broken * n"
		" ORDER BY time, id, scenario, generator, world, claim", err);
	if (!s)
		return NULL;
	bind_filter(s, filter);
	sqlite3_bind_text(s, 4, filter->claim, -1, SQLITE_TRANSIENT);
	return rows(h, s, err);
}

/* Puts flat rows, sorted by series, into one object a series. */
static json_t *series_of(json_t *flat)
{
	json_t *list = json_array(), *points = NULL, *row;
	const char *last[3] = {"", "", ""};
	size_t i;
	json_array_foreach(flat, i, row) {
		const char *name[3] = {string(row, "scenario"), string(row, "generator"), string(row, "world")};
		if (!points || strcmp(name[0], last[0]) || strcmp(name[1], last[1]) || strcmp(name[2], last[2])) {
			points = json_array();
			json_array_append_new(list, json_pack("{ss ss ss so}", "scenario", name[0], "generator", name[1], "world", name[2],
			                                      "points", points));
			memcpy(last, name, sizeof last);
		}
		json_t *point = json_copy(row);
		json_object_del(point, "scenario");
		json_object_del(point, "generator");
		json_object_del(point, "world");
		json_array_append_new(points, point);
	}
	json_decref(flat);
	return list;
}

json_t *ks_history_trend(struct ks_history *h, const char *metric, const char *scope, const struct ks_history_filter *filter,
                         struct ks_err *err)
{
	sqlite3_stmt *s = prepare(h,
		"WITH v AS (SELECT run.scenario, run.generator, run.world, result.id, result.time, metric.value,"
		"    row_number() OVER (PARTITION BY result.id, run.scenario, run.generator, run.world ORDER BY metric.value) AS place,"
		"    count(*) OVER (PARTITION BY result.id, run.scenario, run.generator, run.world) AS n"
		"  FROM metric JOIN run ON run.id = metric.run JOIN result ON result.id = run.result"
		"  WHERE metric.name = ?4 AND metric.scope = ?5 AND" FILTER ")"
		" SELECT scenario, generator, world, id, time, min(value) AS low, max(CASE WHEN place = (n + 1) / 2 THEN value END) AS median,"
		"    max(value) AS high, max(n) AS n FROM v GROUP BY scenario, generator, world, id ORDER BY scenario, generator, world, time, id", err);
	if (!s)
		return NULL;
	bind_filter(s, filter);
	sqlite3_bind_text(s, 4, metric, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(s, 5, scope, -1, SQLITE_TRANSIENT);
	json_t *flat = rows(h, s, err);
	return flat ? series_of(flat) : NULL;
}

json_t *ks_history_moved(struct ks_history *h, const char *name, int64_t nights, int64_t limit, struct ks_err *err)
{
	sqlite3_stmt *s = prepare(h,
		"WITH night AS (SELECT id FROM result WHERE name = ?1 ORDER BY time DESC, id DESC LIMIT ?2),"
		" v AS (SELECT metric.name AS metric, metric.scope, run.scenario, run.generator, avg(metric.value) AS mean"
		"  FROM night JOIN run ON run.result = night.id JOIN metric ON metric.run = run.id"
		"  WHERE run.world = 'sim' AND metric.scope IN ('', 'fleet')"
		"  GROUP BY night.id, metric.name, metric.scope, run.scenario, run.generator)"
		" SELECT metric, scope, scenario, generator, CAST(min(mean) AS INTEGER) AS low, CAST(max(mean) AS INTEGER) AS high FROM v"
		" GROUP BY metric, scope, scenario, generator HAVING count(*) > 1 AND max(mean) > min(mean)"
		" ORDER BY (max(mean) - min(mean)) / max(abs(max(mean)), abs(min(mean))) DESC, metric, scope, scenario, generator LIMIT ?3", err);
	if (!s)
		return NULL;
	sqlite3_bind_text(s, 1, name, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(s, 2, nights);
	sqlite3_bind_int64(s, 3, limit);
	return rows(h, s, err);
}
