/* keyskew doctor: what works on this machine, and what would help. Changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
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

int ks_cmd_doctor(int argc, char **argv)
{
	if (argc > 1) {
		bool asked = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");
		fputs("usage: keyskew doctor\n\nTells what works on this machine, what is missing, and what would help.\n", asked ? stdout : stderr);
		return asked ? 0 : KS_E_USAGE;
	}
	for (const struct ks_world *const *w = ks_worlds; *w; w++) {
		char why[512] = "";
		bool works = (*w)->available(why, sizeof why) == 0;
		line((*w)->name, works, works ? (*w)->title : why);
	}
	bool plots = on_path("gnuplot");
	line("plots", plots, plots ? "gnuplot" : "pages come without plots; apt-get install gnuplot-nox");
	const char *library = ks_library();
	line("library", library != NULL, library ? library : "set KEYSKEW_SCENARIOS to the folder of the scenarios");
	line("kvm", access("/dev/kvm", R_OK | W_OK) == 0, "guests run under TCG, slower, without /dev/kvm");
	return 0;
}
