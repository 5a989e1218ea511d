/* keyskew list subjects: the ready-made generator files, and whether they can run here. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "foreign.h"
#include "ks_plan.h"
#include "program.h"

static json_t *entry(const char *folder, const char *name)
{
	char path[PATH_MAX], state[300];
	struct ks_err err;
	snprintf(path, sizeof path, "%.3000s/%.255s", folder, name);
	struct ks_foreign *f = ks_genfile_load(path, &err);
	if (!f)
		return json_pack("{ss ss ss ss}", "name", name, "title", "", "state", err.text, "install", "");
	const char *lacks = ks_program_lacks(f);
	snprintf(state, sizeof state, "%s%.200s", lacks ? "not installed: " : ks_program_is_made(f) ? "ready" : "made at first use",
	         lacks ? lacks : "");
	json_t *e = json_pack("{ss ss ss ss}", "name", name, "title", f->title, "state", state, "install", lacks ? f->install : "");
	ks_foreign_free(f);
	return e;
}

json_t *ks_list_subjects(void)
{
	json_t *list = json_array();
	struct dirent **names;
	const char *folder = ks_subjects();
	int n = folder ? scandir(folder, &names, NULL, alphasort) : -1;
	for (int i = 0; i < n; i++) {
		if (ks_is_genfile(names[i]->d_name))
			json_array_append_new(list, entry(folder, names[i]->d_name));
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return list;
}
