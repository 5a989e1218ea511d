/* keyskew man and keyskew completion: what is generated from the tables of the commands. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_opt.h"

static int cmd_man(int argc, char **argv);
static const char *const man_synopsis[] = {"[COMMAND]", NULL};
static const struct ks_cli_option none[] = {{0}};
const struct ks_cli_command ks_command_man = {
	.name = "man",
	.summary = "print a man page: keyskew man run | man -l -",
	.synopsis = man_synopsis,
	.options = none,
	.run = cmd_man,
};

static const struct ks_cli_command *find(const char *name, struct ks_err *err)
{
	const char *names[32];
	size_t n = 0;
	for (; ks_commands[n] && n < 32; n++) {
		names[n] = ks_commands[n]->name;
		if (!strcmp(names[n], name))
			return ks_commands[n];
	}
	const char *near = ks_nearest(name, names, n);
	ks_fail(err, KS_E_USAGE, "unknown command '%.100s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	return NULL;
}

/* The words of a command that takes no options. @return how many, or -1 - exit code. */
static int words(struct ks_cli *cli, const struct ks_cli_command *command, int argc, char **argv, size_t most)
{
	char *value;
	ks_cli_begin(cli, command, argc, argv);
	int code = ks_cli_next(cli, &value);
	if (code != KS_CLI_END)
		return -1 - ks_cli_end(cli, code);
	return cli->words > most ? -1 - ks_cli_usage(command) : (int)cli->words;
}

static int cmd_man(int argc, char **argv)
{
	struct ks_cli cli;
	int n = words(&cli, &ks_command_man, argc, argv, 1), code = n < 0 ? -1 - n : 0;
	const struct ks_cli_command *c = n == 1 ? find(cli.word[0], &cli.err) : NULL;
	if (n == 1 && !c)
		code = ks_cli_error(&cli.err);
	else if (n >= 0)
		ks_man(c, stdout);
	ks_cli_release(&cli);
	return code;
}

/* ---- completion ---- */

static int cmd_completion(int argc, char **argv);
static const char *const completion_synopsis[] = {"bash|zsh", "scenarios|generators|worlds|kinds|commands", NULL};
static const char *const completion_words[] = {"bash", "zsh", "scenarios", "generators", "worlds", "kinds", "commands", NULL};
const struct ks_cli_command ks_command_completion = {
	.name = "completion",
	.summary = "print shell completion: source <(keyskew completion bash)",
	.synopsis = completion_synopsis,
	.text = "bash, zsh: the script. The other words print the names that it offers, one a line.",
	.options = none,
	.complete = KS_COMPLETE_WORDS,
	.words = completion_words,
	.run = cmd_completion,
};

static int complete(const char *what, struct ks_err *err)
{
	if (!strcmp(what, "bash"))
		ks_completion_bash(stdout);
	else if (!strcmp(what, "zsh"))
		ks_completion_zsh(stdout);
	else if (!strcmp(what, "commands"))
		for (size_t i = 0; ks_commands[i]; i++)
			puts(ks_commands[i]->name);
	else if (ks_list_names(what, stdout))
		return ks_fail(err, KS_E_USAGE, "unknown word '%.100s', see keyskew completion --help", what);
	return 0;
}

static int cmd_completion(int argc, char **argv)
{
	struct ks_cli cli;
	int n = words(&cli, &ks_command_completion, argc, argv, 1), code = n < 0 ? -1 - n : 0;
	if (n == 0)
		code = ks_cli_usage(&ks_command_completion);
	else if (n == 1 && complete(cli.word[0], &cli.err))
		code = ks_cli_error(&cli.err);
	ks_cli_release(&cli);
	return code;
}
