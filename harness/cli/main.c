/* keyskew: the program. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "ks_opt.h"

volatile sig_atomic_t ks_signal;

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"run", ks_cmd_run, "run scenarios or suites and judge them"},
	{"lint", ks_cmd_lint, "check scenario and suite files; --effective prints every default"},
	{"list", ks_cmd_list, "scenarios, generators, faults, worlds, consumers"},
	{"explain", ks_cmd_explain, "tell the first violation of a run, or the life of a key"},
	{"diff", ks_cmd_diff, "what changed between two results"},
	{"history", ks_cmd_history, "results over time: trends, the night a verdict changed"},
	{"report", ks_cmd_report, "write page, JUnit, Markdown and plots of a run folder again"},
	{"doctor", ks_cmd_doctor, "what works on this machine, and what would help"},
	{NULL, NULL, NULL},
};

static void on_signal(int signal)
{
	ks_signal = signal;
}

static void catch_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal};
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	act.sa_handler = SIG_IGN; /* a reader that went away is a write error, not a death without clean-up */
	sigaction(SIGPIPE, &act, NULL);
}

int ks_cli_error(const struct ks_err *err)
{
	fprintf(stderr, "keyskew: %s\n", err->text);
	return err->code;
}

bool ks_colour(void)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int ks_width(void)
{
	struct winsize w;
	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40)
		return w.ws_col;
	return 120;
}

static void usage(FILE *out)
{
	fprintf(out, "usage: keyskew COMMAND [ARGUMENT]...\n\n"
	             "A fault-injection lab for time-based keys: drives generators through clock faults and says which\n"
	             "of their claims hold.\n\ncommands:\n");
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-9s %s\n", c->name, c->help);
	fprintf(out, "\nkeyskew COMMAND --help tells more. Begin with: keyskew run ntp-step-back -g snowflake,unixmilli\n");
}

static int unknown(const char *name)
{
	const char *names[16];
	size_t n = 0;
	for (; commands[n].name; n++)
		names[n] = commands[n].name;
	const char *near = ks_nearest(name, names, n);
	fprintf(stderr, "keyskew: unknown command '%s'%s%s%s\n", name, near ? "; did you mean '" : "", near ? near : "",
	        near ? "'" : "");
	return KS_E_USAGE;
}

/* stdout carries the result: if it could not be written, the run is not done. */
static int finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (code != KS_E_USAGE)
		fprintf(stderr, "keyskew: cannot write to standard output: %s\n", strerror(errno));
	return code == KS_E_USAGE ? code : KS_E_INTERNAL;
}

int main(int argc, char **argv)
{
	json_object_seed(1); /* before threads: the order of our objects is that of insertion anyway */
	if (argc < 2) {
		usage(stderr);
		return KS_E_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return finish(0);
	}
	if (!strcmp(argv[1], "--version")) {
		printf("keyskew %s\n", KS_VERSION);
		return finish(0);
	}
	catch_signals();
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, argv[1])) {
			int code = finish(c->run(argc - 1, argv + 1));
			return ks_signal ? 128 + (int)ks_signal : code;
		}
	return unknown(argv[1]);
}
