/* Where scenarios are, and how a name finds one. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "ks_history.h"
#include "ks_opt.h"
#include "ks_plan.h"

static bool is_folder(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A folder of ours: installed beside the program, or of the source tree. */
static const char *find_folder(const char *installed, const char *source, char found[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (*found)
		return found;
	if (n > 0) {
		self[n] = 0;
		char *slash = strrchr(self, '/');
		if (slash)
			*slash = 0;
		snprintf(found, PATH_MAX, "%.3000s/%s", self, installed);
		if (is_folder(found))
			return found;
	}
	snprintf(found, PATH_MAX, "%s", source);
	if (is_folder(found))
		return found;
	*found = 0;
	return NULL;
}

const char *ks_library(void)
{
	static char found[PATH_MAX];
	const char *given = getenv("KEYSKEW_SCENARIOS");
	return given && *given ? given : find_folder("../share/keyskew/scenarios", KS_SOURCE_SCENARIOS, found);
}

const char *ks_subjects(void)
{
	static char found[PATH_MAX];
	const char *given = getenv("KEYSKEW_SUBJECTS");
	return given && *given ? given : find_folder("../share/keyskew/subjects", KS_SOURCE_SUBJECTS, found);
}

static int walk(const char *folder, int depth, int (*visit)(const char *, void *), void *context, struct ks_err *err)
{
	if (depth > 8)
		return ks_fail(err, KS_E_USAGE, "'%s' is nested deeper than 8 folders", folder);
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, alphasort), status = 0;
	if (n < 0)
		return ks_fail(err, KS_E_USAGE, "cannot read folder '%s': %s", folder, strerror(errno));
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		const char *name = entries[i]->d_name;
		size_t len = strlen(name);
		if (status == 0 && name[0] != '.' && (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path) {
			if (is_folder(path))
				status = walk(path, depth + 1, visit, context, err);
			else if (len > 5 && !strcmp(name + len - 5, ".yaml") && !ks_is_genfile(name))
				status = visit(path, context);
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}

int ks_library_walk(const char *folder, int (*visit)(const char *, void *), void *context, struct ks_err *err)
{
	return walk(folder, 0, visit, context, err);
}

/* ---- names ---- */

struct names {
	const char *wanted;
	char *path; /* of a match */
	size_t size;
	char *name[512];
	size_t n;
};

static int collect(const char *path, void *context)
{
	struct names *names = context;
	char base[256];
	const char *slash = strrchr(path, '/');
	snprintf(base, sizeof base, "%s", slash ? slash + 1 : path);
	base[strlen(base) - strlen(".yaml")] = 0;
	if (!strcmp(base, names->wanted)) {
		snprintf(names->path, names->size, "%s", path);
		return 1;
	}
	if (names->n < sizeof names->name / sizeof *names->name)
		names->name[names->n++] = strdup(base);
	return 0;
}

int ks_library_find(const char *name, char *path, size_t size, struct ks_err *err)
{
	const char *library = ks_library();
	struct names names = {.wanted = name, .path = path, .size = size};
	if (access(name, F_OK) == 0) {
		snprintf(path, size, "%s", name);
		return 0;
	}
	if (strchr(name, '/') && errno != ENOENT)
		return ks_fail(err, KS_E_USAGE, "cannot open '%s': %s", name, strerror(errno));
	if (!library)
		return ks_fail(err, KS_E_USAGE, "no file '%s', and no scenario library: set KEYSKEW_SCENARIOS", name);
	snprintf(path, size, "%s/%s", library, name);
	if (*name && access(path, F_OK) == 0)
		return 0;
	snprintf(path, size, "%s/%s.yaml", library, name);
	if (access(path, F_OK) == 0)
		return 0;
	int found = ks_library_walk(library, collect, &names, err);
	if (found == 0) {
		const char *near = ks_nearest(name, (const char *const *)names.name, names.n);
		ks_fail(err, KS_E_USAGE, "no scenario '%s'%s%s%s, see keyskew list scenarios", name, near ? "; did you mean '" : "",
		        near ? near : "", near ? "'" : "");
	}
	for (size_t i = 0; i < names.n; i++)
		free(names.name[i]);
	return found == 1 ? 0 : -1;
}

const char *ks_history_path(void)
{
	const char *given = getenv("KEYSKEW_HISTORY");
	return given && *given ? given : ".keyskew/history.db";
}

/* "12", when it is no file: the result of that number in the history. */
static bool is_history_id(const char *where)
{
	return where && *where && strspn(where, "0123456789") == strlen(where) && access(where, F_OK);
}

static json_t *load_from_history(const char *id, char *folder, size_t size, struct ks_err *err)
{
	snprintf(folder, size, ".");
	struct ks_history *h = ks_history_open(ks_history_path(), KS_HISTORY_READ, err);
	json_t *document = h ? ks_history_document(h, strtoll(id, NULL, 10), err) : NULL;
	ks_history_close(h);
	return document;
}

json_t *ks_load_result(const char *where, char *folder, size_t size, struct ks_err *err)
{
	char path[PATH_MAX];
	json_error_t e;
	if (is_history_id(where))
		return load_from_history(where, folder, size, err);
	snprintf(folder, size, "%s", where ? where : ".keyskew/last");
	if (is_folder(folder)) {
		snprintf(path, sizeof path, "%.3000s/result.json", folder);
	} else {
		snprintf(path, sizeof path, "%s", folder);
		char *slash = strrchr(folder, '/');
		if (slash)
			*slash = 0;
		else
			snprintf(folder, size, ".");
	}
	json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
	if (!document && e.line <= 0 && access(path, F_OK)) {
		ks_fail(err, KS_E_USAGE, "no result at '%s'; begin with keyskew run", where ? where : ".keyskew/last");
		return NULL;
	}
	if (!document) {
		ks_fail(err, KS_E_USAGE, "%s:%d:%d: %s", path, e.line, e.column, e.text);
		return NULL;
	}
	if (json_integer_value(json_object_get(document, "schema")) != 1 || !json_is_array(json_object_get(document, "runs"))) {
		json_decref(document);
		ks_fail(err, KS_E_USAGE, "'%s' is not a result of schema 1", path);
		return NULL;
	}
	return document;
}
