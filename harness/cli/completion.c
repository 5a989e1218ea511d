/* Shell completion, from the tables of the commands. Names of scenarios, generators and worlds are asked of keyskew itself, so
 * that they are those of the installed version. */
#include <string.h>

#include "options.h"

static const char *const asked[] = {[KS_COMPLETE_SCENARIO] = "scenarios", [KS_COMPLETE_GENERATOR] = "generators",
                                    [KS_COMPLETE_WORLD] = "worlds", [KS_COMPLETE_KIND] = "kinds"};

/* A bash command that fills COMPREPLY for the word in $cur. */
static void bash_reply(FILE *out, enum ks_complete what, const char *const *words)
{
	switch (what) {
	case KS_COMPLETE_NONE:
		fputs(":", out);
		break;
	case KS_COMPLETE_FILE:
		fputs("COMPREPLY=($(compgen -f -- \"$cur\"))", out);
		break;
	case KS_COMPLETE_FOLDER:
		fputs("COMPREPLY=($(compgen -d -- \"$cur\"))", out);
		break;
	case KS_COMPLETE_WORDS:
		fputs("COMPREPLY=($(compgen -W '", out);
		for (; words && *words; words++)
			fprintf(out, "%s ", *words);
		fputs("' -- \"$cur\"))", out);
		break;
	default: /* a scenario may be a file, too; after a comma another name follows */
		fprintf(out, "_keyskew_names %s", asked[what]);
		break;
	}
}

static void bash_command(FILE *out, const struct ks_cli_command *c)
{
	fprintf(out, "\t%s)\n\t\tcase $prev in\n", c->name);
	for (const struct ks_cli_option *o = c->options; o->name; o++) {
		if (!o->value)
			continue;
		fprintf(out, "\t\t--%s", o->name);
		if (o->letter)
			fprintf(out, "|-%c", o->letter);
		fputs(") ", out);
		bash_reply(out, o->complete, o->words);
		fputs("; return;;\n", out);
	}
	fputs("\t\tesac\n\t\tif [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '", out);
	for (const struct ks_cli_option *o = c->options; o->name; o++)
		fprintf(out, "--%s ", o->name);
	fputs("--help' -- \"$cur\")); else ", out);
	bash_reply(out, c->complete, c->words);
	fputs("; fi;;\n", out);
}

void ks_completion_bash(FILE *out)
{
	fputs("# bash completion of keyskew; made by keyskew completion bash\n"
	      "_keyskew_names() {\n"
	      "\tlocal IFS=$'\\n' head=\n"
	      "\t[[ $cur == *,* ]] && head=${cur%,*},\n"
	      "\tCOMPREPLY=($(compgen -P \"$head\" -W \"$(keyskew completion \"$1\" 2>/dev/null)\" -- \"${cur##*,}\"))\n"
	      "\t[[ $1 == scenarios ]] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
	      "}\n"
	      "_keyskew() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tCOMPREPLY=()\n"
	      "\tif ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W '", out);
	for (size_t i = 0; ks_commands[i]; i++)
		fprintf(out, "%s ", ks_commands[i]->name);
	fputs("--help --version' -- \"$cur\")); return; fi\n\tcase ${COMP_WORDS[1]} in\n", out);
	for (size_t i = 0; ks_commands[i]; i++)
		bash_command(out, ks_commands[i]);
	fputs("\tesac\n}\ncomplete -o filenames -F _keyskew keyskew\n", out);
}

/* A word of _arguments: no quote, bracket or colon may end it early. */
static void zsh_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr("[]:\\", *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

static void zsh_action(FILE *out, enum ks_complete what, const char *const *words)
{
	switch (what) {
	case KS_COMPLETE_NONE:
		fputs(" ", out);
		break;
	case KS_COMPLETE_FILE:
		fputs("_files", out);
		break;
	case KS_COMPLETE_FOLDER:
		fputs("_files -/", out);
		break;
	case KS_COMPLETE_WORDS:
		fputc('(', out);
		for (; words && *words; words++)
			fprintf(out, "%s%s", *words, words[1] ? " " : "");
		fputc(')', out);
		break;
	default:
		fprintf(out, "{_keyskew_names %s}", asked[what]);
		break;
	}
}

static void zsh_option(FILE *out, const struct ks_cli_option *o, bool by_letter)
{
	if (by_letter)
		fprintf(out, " \\\n\t\t\t'*-%c", o->letter);
	else
		fprintf(out, " \\\n\t\t\t'*--%s", o->name);
	fputc('[', out);
	zsh_text(out, o->help);
	fputc(']', out);
	if (o->value) {
		fputc(':', out);
		zsh_text(out, o->value);
		fputc(':', out);
		zsh_action(out, o->complete, o->words);
	}
	fputc('\'', out);
}

void ks_completion_zsh(FILE *out)
{
	fputs("#compdef keyskew\n# zsh completion of keyskew; made by keyskew completion zsh\n"
	      "_keyskew_names() {\n"
	      "\tlocal -a names; names=(${(f)\"$(keyskew completion $1 2>/dev/null)\"})\n"
	      "\tcompset -P '*,'\n\tcompadd -a names\n\t[[ $1 == scenarios ]] && _files\n}\n"
	      "_keyskew() {\n\tlocal context state line\n\tif ((CURRENT == 2)); then\n\t\tlocal -a commands; commands=(\n", out);
	for (size_t i = 0; ks_commands[i]; i++) {
		fprintf(out, "\t\t\t'%s:", ks_commands[i]->name);
		zsh_text(out, ks_commands[i]->summary);
		fputs("'\n", out);
	}
	fputs("\t\t)\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tlocal command=$words[2]\n\tshift words; ((CURRENT--))\n\tcase $command in\n", out);
	for (size_t i = 0; ks_commands[i]; i++) {
		const struct ks_cli_command *c = ks_commands[i];
		fprintf(out, "\t%s)\n\t\t_arguments", c->name);
		for (const struct ks_cli_option *o = c->options; o->name; o++) {
			if (o->letter)
				zsh_option(out, o, true);
			zsh_option(out, o, false);
		}
		fputs(" \\\n\t\t\t'--help[this text]' \\\n\t\t\t'*: :", out);
		zsh_action(out, c->complete, c->words);
		fputs("';;\n", out);
	}
	fputs("\tesac\n}\n_keyskew \"$@\"\n", out);
}
