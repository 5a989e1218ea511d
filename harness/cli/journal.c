/* The journal of a run: what has finished, so that an interrupted command, even a killed one, goes on where it was.
 *
 * runs.jsonl in the folder of the run: a line of {keyskew, command}, then a line a finished run, in the order of finishing. It
 * is gone when result.json holds them all. A line that was cut is one that is not there. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ks_mem.h"
#include "run.h"

#define LINE (JSON_COMPACT | JSON_REAL_PRECISION(6))

static const char *path_of(char path[PATH_MAX], const char *folder)
{
	snprintf(path, PATH_MAX, "%.3900s/runs.jsonl", folder);
	return path;
}

static int put_line(FILE *f, const json_t *o)
{
	return json_dumpf(o, f, LINE) || fputc('\n', f) == EOF || fflush(f) ? -1 : 0;
}

int ks_journal_open(struct ks_journal *j, const char *folder, const json_t *command, bool go_on, struct ks_err *err)
{
	char path[PATH_MAX];
	*j = (struct ks_journal){.folder = folder};
	j->f = fopen(path_of(path, folder), go_on ? "ae" : "we");
	if (!j->f)
		return ks_fail(err, KS_E_USAGE, "cannot write '%s': %s", path, strerror(errno));
	if (go_on) {
		fputc('\n', j->f); /* ends a line that was cut */
		return 0;
	}
	json_t *head = json_pack("{ss sO}", "keyskew", KS_VERSION, "command", command);
	int failed = !head || put_line(j->f, head);
	json_decref(head);
	return failed ? ks_fail(err, KS_E_INTERNAL, "cannot write '%s': %s", path, strerror(errno)) : 0;
}

int ks_journal_add(struct ks_journal *j, const json_t *run, struct ks_err *err)
{
	const char *reason = json_string_value(json_object_get(run, "reason"));
	if (reason && !strcmp(reason, "interrupted"))
		return 0;
	return put_line(j->f, run) ? ks_fail(err, KS_E_INTERNAL, "cannot write '%.900s/runs.jsonl': %s", j->folder, strerror(errno)) : 0;
}

void ks_journal_close(struct ks_journal *j, bool complete)
{
	char path[PATH_MAX];
	if (!j->f)
		return;
	fclose(j->f);
	j->f = NULL;
	if (complete)
		unlink(path_of(path, j->folder));
}

/* ---- going on ---- */

static json_t *read_head(FILE *f, const char *path, char **line, size_t *size, struct ks_err *err)
{
	json_t *head = getline(line, size, f) > 0 ? json_loads(*line, 0, NULL) : NULL;
	const char *version = json_string_value(json_object_get(head, "keyskew"));
	if (!version || !json_is_array(json_object_get(head, "command")))
		ks_fail(err, KS_E_USAGE, "'%s' is not the journal of a run", path);
	else if (strcmp(version, KS_VERSION))
		ks_fail(err, KS_E_USAGE, "'%s' was written by keyskew %.40s, this is %s: run it anew", path, version, KS_VERSION);
	else
		return head;
	json_decref(head);
	return NULL;
}

json_t *ks_journal_read(const char *folder, json_t **runs, struct ks_err *err)
{
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	FILE *f = fopen(path_of(path, folder), "re");
	*runs = NULL;
	if (!f) {
		ks_fail(err, errno == ENOENT ? KS_E_NOMATCH : KS_E_USAGE, errno == ENOENT ? "nothing to resume in '%.900s': its runs are all there"
		                                                                          : "cannot read '%.900s/runs.jsonl'", folder);
		return NULL;
	}
	json_t *head = read_head(f, path, &line, &size, err), *command = NULL;
	if (head) {
		*runs = json_array();
		while (getline(&line, &size, f) > 0) {
			json_t *run = json_loads(line, 0, NULL);
			if (json_is_object(run))
				json_array_append_new(*runs, run);
			else
				json_decref(run);
		}
		command = json_incref(json_object_get(head, "command"));
	}
	json_decref(head);
	free(line);
	fclose(f);
	return command;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

/* The scenario as it is now is the one that the run was made of. */
static bool same_scenario(const struct ks_plan *plan, const json_t *run)
{
	char *now = NULL;
	size_t size;
	FILE *f = open_memstream(&now, &size);
	bool same = f && !ks_plan_write(plan, f);
	if (f)
		fclose(f);
	same = same && !strcmp(now, text(run, "effective"));
	free(now);
	return same;
}

size_t ks_select_finished(struct ks_schedule *s, const json_t *runs)
{
	size_t i, taken = 0;
	json_t *run;
	json_array_foreach(runs, i, run)
		for (size_t k = 0; k < s->jobs; k++) {
			struct ks_job *job = &s->job[k];
			if (job->result || strcmp(job->id, text(run, "id")) || strcmp(job->reproduce, text(run, "reproduce")) ||
			    !same_scenario(job->plan, run))
				continue;
			job->result = json_incref(run);
			taken++;
			break;
		}
	return taken;
}
