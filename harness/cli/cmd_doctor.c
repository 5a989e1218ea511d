/* keyskew doctor: what works on this machine, and what would help. Changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ks_qemu.h"
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

static void line(const char *what, bool works, const char *note)
{
	printf("%-10s %-8s %s\n", what, works ? "works" : "missing", note);
}

/* The guest image's own account of what is in it, but for checksums: "linux-image-... 6.12.117-1, vmgenid, package chrony 4.3". */
static void tell_image(void)
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
	line("image", *text, *text ? text : "no guest image: ./lab makes it");
}

static void examine(void)
{
	for (const struct ks_world *const *w = ks_worlds; *w; w++) {
		char why[512] = "";
		bool works = (*w)->available(why, sizeof why) == 0;
		line((*w)->name, works, works ? (*w)->title : why);
	}
	tell_image();
	bool plots = on_path("gnuplot");
	line("plots", plots, plots ? "gnuplot" : "pages come without plots; apt-get install gnuplot-nox");
	const char *library = ks_library();
	line("library", library != NULL, library ? library : "set KEYSKEW_SCENARIOS to the folder of the scenarios");
	bool kvm = !strcmp(ks_qemu_accel(), "kvm");
	line("kvm", kvm, kvm ? "guests run under it" : access("/dev/kvm", R_OK | W_OK) ? "guests run under TCG, slower, without /dev/kvm"
	                                                                               : "/dev/kvm is there, but no guest boots with it: they run under TCG, slower");
}

static int cmd_doctor(int argc, char **argv);
static const char *const synopsis[] = {"", NULL};
static const struct ks_cli_option options[] = {{0}};
const struct ks_cli_command ks_command_doctor = {
	.name = "doctor",
	.summary = "what works on this machine, and what would help",
	.synopsis = synopsis,
	.text = "Tells what works on this machine, what is missing, and what would help. Changes nothing.",
	.options = options,
	.run = cmd_doctor,
};

static int cmd_doctor(int argc, char **argv)
{
	struct ks_cli cli;
	char *value;
	ks_cli_begin(&cli, &ks_command_doctor, argc, argv);
	int code = ks_cli_next(&cli, &value);
	if (code != KS_CLI_END)
		code = ks_cli_end(&cli, code);
	else if (cli.words)
		code = ks_cli_usage(&ks_command_doctor);
	else
		examine(), code = 0;
	ks_cli_release(&cli);
	return code;
}
