/* keyskew: the program. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "ks_opt.h"
#include "ks_table.h"

volatile sig_atomic_t ks_signal;

const struct ks_cli_command *const ks_commands[] = {&ks_command_run,     &ks_command_lint, &ks_command_list,   &ks_command_explain,
                                                &ks_command_diff, &ks_command_compare,    &ks_command_history, &ks_command_report,
                                                &ks_command_doctor, &ks_command_bench,  &ks_command_new,  &ks_command_man,  &ks_command_completion, NULL};

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

size_t ks_terminal_width(void)
{
	return isatty(STDOUT_FILENO) ? (size_t)ks_width() : 0;
}

static void usage(FILE *out)
{
	size_t width = ks_terminal_width() ? ks_terminal_width() : SIZE_MAX;
	fputs("usage: keyskew COMMAND [ARGUMENT]...\n\n", out);
	ks_put_folded(out, "A fault-injection lab for time-based keys: drives generators through clock faults and says which of their claims hold.", 0, 0,
	              width < 100 ? width : 100);
	fputs("\ncommands:\n", out);
	for (size_t i = 0; ks_commands[i]; i++) {
		fprintf(out, "  %-11s ", ks_commands[i]->name);
		ks_put_folded(out, ks_commands[i]->summary, 0, 14, width);
	}
	fputc('\n', out);
	ks_put_folded(out, "keyskew COMMAND --help tells more. Begin with: keyskew run ntp-step-back -g snowflake,unixmilli", 0, 0, width);
}

static int unknown(const char *name)
{
	const char *names[32];
	size_t n = 0;
	for (; ks_commands[n] && n < 32; n++)
		names[n] = ks_commands[n]->name;
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
	for (size_t i = 0; ks_commands[i]; i++)
		if (!strcmp(ks_commands[i]->name, argv[1])) {
			int code = finish(ks_commands[i]->run(argc - 1, argv + 1));
			return ks_signal ? 128 + (int)ks_signal : code;
		}
	return unknown(argv[1]);
}
