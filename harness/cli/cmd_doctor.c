/* keyskew doctor: what works on this machine, and what would help. Changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ks_qemu.h"
#include "ks_table.h"
#include "ks_world.h"

static bool on_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[4096];
	while (path && *path) {
		size_t n = strcspn(path, ":");
		snprintf(file, sizeof file, "%.*s/%s", (int)n, path, program);
		if (access(file, X_OK) == 0)
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

/* What was found out, in the order of looking: {what, works, note, install ("": nothing would help, or nothing has to)}. */
static void add(json_t *list, const char *what, bool works, const char *note, const char *install)
{
	json_array_append_new(list, json_pack("{ss sb ss ss}", "what", what, "works", works, "note", note, "install", works ? "" : install));
}

/* The guest image's own account of what is in it, but for checksums: "linux-image-... 6.12.117-1, vmgenid, package chrony 4.3". */
static void look_at_image(json_t *list)
{
	char path[4096], text[1000] = "", part[256];
	FILE *f = ks_guest_path("about", path, sizeof path) ? NULL : fopen(path, "re");
	while (f && fgets(part, sizeof part, f)) {
		size_t n = strlen(text);
		part[strcspn(part, "\n")] = '\0';
		if (!strstr(part, " agent"))
			snprintf(text + n, sizeof text - n, "%s%s", n ? ", " : "", part);
	}
	if (f)
		fclose(f);
	if (*text && !ks_guest_path_of("6.1", "vmlinux", path, sizeof path) && !strstr(text, "linux-image-6.1."))
		snprintf(text + strlen(text), sizeof text - strlen(text), "; one of kernel 6.1 beside it");
	add(list, "image", *text, *text ? text : "no guest image", "./lab, in the source tree");
}

static void look_at_worlds(json_t *list)
{
	for (const struct ks_world *const *w = ks_worlds; *w; w++) {
		char why[512] = "";
		bool works = (*w)->available(why, sizeof why) == 0;
		bool needs_qemu = !strcmp((*w)->name, "qemu") && !on_path("qemu-system-x86_64");
		add(list, (*w)->name, works, works ? (*w)->title : why,
		    !strcmp((*w)->name, "faketime") ? "apt-get install libfaketime" : needs_qemu ? "apt-get install qemu-system-x86" : "");
	}
}

static void look_at_kvm(json_t *list)
{
	bool qemu = on_path("qemu-system-x86_64"), kvm = qemu && !strcmp(ks_qemu_accel(), "kvm");
	const char *note = "guests run under it";
	if (!qemu)
		note = "nothing to try it with: no QEMU";
	else if (!kvm && access("/dev/kvm", R_OK | W_OK))
		note = "guests run under TCG, slower, without /dev/kvm";
	else if (!kvm)
		note = "/dev/kvm is there, but no guest boots with it: they run under TCG, slower";
	add(list, "kvm", kvm, note, "");
}

/* Programs that exist: those that lack something, each with the line that installs it. */
static void look_at_subjects(json_t *list)
{
	json_t *subjects = ks_list_subjects(), *s;
	size_t i;
	json_array_foreach(subjects, i, s) {
		const char *install = json_string_value(json_object_get(s, "install"));
		add(list, json_string_value(json_object_get(s, "name")), !*install, json_string_value(json_object_get(s, "state")), install);
	}
	json_decref(subjects);
}

static json_t *examine(void)
{
	json_t *list = json_array();
	look_at_worlds(list);
	look_at_image(list);
	look_at_kvm(list);
	bool plots = on_path("gnuplot");
	add(list, "plots", plots, plots ? "gnuplot" : "pages come without plots", "apt-get install gnuplot-nox");
	const char *library = ks_library();
	add(list, "library", library != NULL, library ? library : "no folder of scenarios", "export KEYSKEW_SCENARIOS=FOLDER");
	look_at_subjects(list);
	return list;
}

static void print(const json_t *list)
{
	struct ks_table t = {.columns = 3, .gap = 2};
	size_t i;
	json_t *x;
	json_array_foreach(list, i, x) {
		const char *install = json_string_value(json_object_get(x, "install")), *note = json_string_value(json_object_get(x, "note"));
		const char *works = json_is_true(json_object_get(x, "works")) ? "works" : "missing";
		ks_table_add(&t, (const char *[]){json_string_value(json_object_get(x, "what")), works, note}, NULL);
		if (*install && !strstr(note, install))
			ks_table_add(&t, (const char *[]){"", "", install}, NULL);
	}
	ks_table_print(&t, stdout, 0, ks_terminal_width());
	ks_table_release(&t);
}

static int cmd_doctor(int argc, char **argv);
static const char *const synopsis[] = {"[--json]", NULL};
static const struct ks_cli_option options[] = {{"json", 0, NULL, "as JSON", KS_COMPLETE_NONE, NULL}, {0}};
const struct ks_cli_command ks_command_doctor = {
	.name = "doctor",
	.summary = "what works on this machine, and what would help",
	.synopsis = synopsis,
	.text = "Tells what works on this machine, what is missing, and the line that installs it. Changes nothing.",
	.options = options,
	.run = cmd_doctor,
};

static int tell(bool as_json)
{
	json_t *list = examine();
	int failed = as_json ? json_dumpf(list, stdout, JSON_INDENT(1)) || putchar('\n') == EOF : 0;
	if (!as_json)
		print(list);
	json_decref(list);
	return failed ? KS_E_INTERNAL : 0;
}

static int cmd_doctor(int argc, char **argv)
{
	struct ks_cli cli;
	char *value;
	bool as_json = false;
	int code;
	ks_cli_begin(&cli, &ks_command_doctor, argc, argv);
	while ((code = ks_cli_next(&cli, &value)) >= 0)
		as_json = true;
	if (code != KS_CLI_END)
		code = ks_cli_end(&cli, code);
	else if (cli.words)
		code = ks_cli_usage(&ks_command_doctor);
	else
		code = tell(as_json);
	ks_cli_release(&cli);
	return code;
}
