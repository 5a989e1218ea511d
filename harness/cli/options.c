#include "options.h"

#include <stdint.h>
#include <string.h>

#include "cli.h"
#include "ks_mem.h"
#include "ks_opt.h"
#include "ks_table.h"

static const struct ks_cli_option help_option = {"help", 'h', NULL, "this text", KS_COMPLETE_NONE, NULL};

void ks_cli_begin(struct ks_cli *cli, const struct ks_cli_command *command, int argc, char **argv)
{
	*cli = (struct ks_cli){.command = command, .argv = argv, .argc = argc, .at = 1};
}

void ks_cli_release(struct ks_cli *cli)
{
	ks_free(cli->word);
	cli->word = NULL;
	cli->words = 0;
}

static int bad(struct ks_cli *cli, const char *problem, const char *subject, const char *near)
{
	ks_fail(&cli->err, KS_E_USAGE, "%s '%.200s'%s%s%s, see keyskew %s --help", problem, subject, near ? "; did you mean '--" : "",
	        near ? near : "", near ? "'" : "", cli->command->name);
	return KS_CLI_BAD;
}

static int add_word(struct ks_cli *cli, const char *word)
{
	const char **grown = ks_grow(cli->word, cli->words, cli->words + 1, sizeof *grown);
	if (!grown)
		return ks_fail(&cli->err, KS_E_INTERNAL, "out of memory");
	cli->word = grown;
	cli->word[cli->words++] = word;
	return 0;
}

static int take(struct ks_cli *cli, const struct ks_cli_option *o, const char *as_given, char *inline_value, char **value)
{
	if (o == &help_option) {
		ks_command_help(cli->command, stdout);
		return KS_CLI_HELP;
	}
	*value = inline_value;
	if (!o->value && inline_value)
		return bad(cli, "no value goes with option", as_given, NULL);
	if (o->value && !inline_value) {
		if (cli->at == cli->argc)
			return bad(cli, "a value is missing after option", as_given, NULL);
		*value = cli->argv[cli->at++];
	}
	return (int)(o - cli->command->options);
}

#define OPTIONS_MAX 64

/* --name, --name=value, or an unambiguous beginning of a name. */
static int long_option(struct ks_cli *cli, char *arg, char **value)
{
	const struct ks_cli_option *found = NULL;
	const char *names[OPTIONS_MAX];
	size_t count = 0, len = strcspn(arg + 2, "=");
	bool exact = false;
	for (const struct ks_cli_option *o = cli->command->options; o->name; o++) {
		names[count < OPTIONS_MAX - 1 ? count++ : count] = o->name;
		if (exact || strncmp(o->name, arg + 2, len))
			continue;
		exact = strlen(o->name) == len;
		if (found && !exact)
			return bad(cli, "more than one option begins with", arg, NULL);
		found = o;
	}
	names[count++] = help_option.name;
	if (!found && len && !strncmp(help_option.name, arg + 2, len))
		found = &help_option;
	if (!found || !len) {
		char word[256];
		snprintf(word, sizeof word, "%.*s", (int)len, arg + 2);
		return bad(cli, "unknown option", arg, ks_nearest(word, names, count));
	}
	char *eq = strchr(arg, '=');
	if (!eq)
		return take(cli, found, arg, NULL, value);
	*eq = 0;
	return take(cli, found, arg, eq + 1, value);
}

/* -x, -xVALUE, -xyz. */
static int short_option(struct ks_cli *cli, char **value)
{
	char letter = *cli->cluster++, name[3] = {'-', letter, 0};
	const struct ks_cli_option *found = letter == help_option.letter ? &help_option : NULL;
	for (const struct ks_cli_option *o = cli->command->options; o->name; o++)
		if (o->letter == letter)
			found = o;
	if (!found)
		return bad(cli, "unknown option", name, NULL);
	char *rest = found->value && *cli->cluster ? (char *)(uintptr_t)cli->cluster : NULL;
	if (rest || !*cli->cluster)
		cli->cluster = NULL;
	return take(cli, found, name, rest, value);
}

int ks_cli_next(struct ks_cli *cli, char **value)
{
	*value = NULL;
	if (cli->cluster)
		return short_option(cli, value);
	while (cli->at < cli->argc) {
		char *arg = cli->argv[cli->at++];
		if (cli->only_words || arg[0] != '-' || !arg[1]) {
			if (add_word(cli, arg))
				return KS_CLI_BAD;
		} else if (!strcmp(arg, "--")) {
			cli->only_words = true;
		} else if (arg[1] == '-') {
			return long_option(cli, arg, value);
		} else {
			cli->cluster = arg + 1;
			return short_option(cli, value);
		}
	}
	return KS_CLI_END;
}

int ks_cli_end(const struct ks_cli *cli, int result)
{
	return result == KS_CLI_HELP ? 0 : ks_cli_error(&cli->err);
}

int ks_cli_usage(const struct ks_cli_command *command)
{
	for (size_t i = 0; command->synopsis[i]; i++)
		fprintf(stderr, "%s keyskew %s %s\n", i ? "      " : "usage:", command->name, command->synopsis[i]);
	fprintf(stderr, "see keyskew %s --help\n", command->name);
	return KS_E_USAGE;
}

#define HELP_AT 30 /* the column of what an option does */

static void put_option(FILE *out, const struct ks_cli_option *o, size_t width)
{
	char left[80];
	if (o->letter)
		snprintf(left, sizeof left, "  -%c, --%s%s%s", o->letter, o->name, o->value ? " " : "", o->value ? o->value : "");
	else
		snprintf(left, sizeof left, "      --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
	if (strlen(left) > HELP_AT - 2)
		fprintf(out, "%s\n%*s", left, HELP_AT, "");
	else
		fprintf(out, "%-*s", HELP_AT, left);
	ks_put_folded(out, o->help, 0, HELP_AT, width);
}

/* Lines that fit stay as they were written. */
static void put_text(FILE *out, const char *text, size_t width)
{
	while (*text) {
		char line[1000];
		size_t len = strcspn(text, "\n"), indent = strspn(text, " ");
		snprintf(line, sizeof line, "%.*s", (int)(len - (indent < len ? indent : len)), text + indent);
		ks_put_folded(out, line, indent, indent, width);
		text += len + (text[len] == '\n');
	}
}

void ks_command_help(const struct ks_cli_command *c, FILE *out)
{
	for (size_t i = 0; c->synopsis[i]; i++)
		fprintf(out, "%s keyskew %s %s\n", i ? "      " : "usage:", c->name, c->synopsis[i]);
	size_t width = ks_terminal_width() ? ks_terminal_width() : SIZE_MAX;
	if (c->text)
		fputc('\n', out);
	put_text(out, c->text ? c->text : "", width);
	fputc('\n', out);
	for (const struct ks_cli_option *o = c->options; o->name; o++)
		put_option(out, o, width);
	put_option(out, &help_option, width);
}
