/* Generators as a user names them: a built-in, a program in any language, a generator file. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "foreign.h"
#include "ks_plan.h"
#include "plugin_load.h"
#include "program.h"
#include "run.h"

static int from_command(struct ks_gen_spec *spec, enum ks_speaks speaks, const char *prefix, const char *text, struct ks_err *err)
{
	const char *command = text + strlen(prefix);
	if (!command[strspn(command, " \t\n")])
		return ks_fail(err, KS_E_USAGE, "generator '%s' names no command, expected %sPROGRAM ARGUMENTS", text, prefix);
	spec->foreign = ks_foreign_new(speaks, command);
	return spec->foreign ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory");
}

/* A file that there is, or one of the ready-made ones by its bare name. */
static const char *find_file(const char *name, char path[PATH_MAX])
{
	const char *ready = ks_subjects();
	if (access(name, F_OK) == 0 || strchr(name, '/') || !ready)
		return name;
	snprintf(path, PATH_MAX, "%.3000s/%s", ready, name);
	return access(path, F_OK) == 0 ? path : name;
}

int ks_generator_parse(const char *text, struct ks_gen_spec *spec, struct ks_err *err)
{
	bool ask = !strncmp(text, "ask:", 4), exec = !strncmp(text, "exec:", 5);
	if (ks_names_plugin(text) && !ask && !exec)
		return ks_plugin_parse_sim(text, spec, err);
	if (!ask && !exec && !ks_is_genfile(text))
		return ks_gen_parse(ks_gens_sim, text, spec, err);
	*spec = (struct ks_gen_spec){0};
	if (strlen(text) >= sizeof spec->text)
		return ks_fail(err, KS_E_USAGE, "generator '%.40s...' is too long, expected at most %zu characters", text,
		               sizeof spec->text - 1);
	strcpy(spec->text, text);
	if (ask || exec)
		return from_command(spec, ask ? KS_SPEAKS_ASK : KS_SPEAKS_LINES, ask ? "ask:" : "exec:", text, err);
	char path[PATH_MAX];
	spec->foreign = ks_genfile_load(find_file(text, path), err);
	return spec->foreign ? 0 : -1;
}

void ks_generator_release(struct ks_gen_spec *spec)
{
	ks_foreign_free(spec->foreign);
	spec->foreign = NULL;
}

/* Has the same generator file stood in an earlier scenario? */
static bool is_made(const struct ks_schedule *s, size_t before, const char *text)
{
	for (size_t i = 0; i < before; i++)
		for (size_t k = 0; k < s->batch[i]->specs; k++)
			if (!strcmp(s->batch[i]->spec[k].text, text))
				return true;
	return false;
}

int ks_generators_make(const struct ks_schedule *s, struct ks_err *err)
{
	for (size_t i = 0; i < s->batches; i++)
		for (size_t k = 0; k < s->batch[i]->specs; k++) {
			const struct ks_gen_spec *spec = &s->batch[i]->spec[k];
			if (spec->foreign && !is_made(s, i, spec->text) && ks_program_make(spec->foreign, &ks_signal, err))
				return ks_fail_in(err, "%s", spec->text);
		}
	return 0;
}
