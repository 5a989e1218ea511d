/* keyskew new: a generator of one's own to begin with, in any of the languages of the examples. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "examples.h"
#include "ks_opt.h"
#include "ks_plan.h"
#include "options.h"

/* How the program of a language is made and run; NAME is replaced. */
static const struct language {
	const char *name, *suffix, *source;
	const char *build; /* NULL: nothing to do */
	const char *command;
} languages[] = {
	{"c", "c", ks_example_c, "[cc, -O2, -o, NAME, NAME.c]", "[./NAME, \"{node_id}\"]"},
	{"go", "go", ks_example_go, "[go, build, -o, NAME, NAME.go]", "[./NAME, \"{node_id}\"]"},
	{"java", "java", ks_example_java, NULL, "[java, -XX:TieredStopAtLevel=1, NAME.java, \"{node_id}\"]"},
	{"node", "js", ks_example_js, NULL, "[node, NAME.js, \"{node_id}\"]"},
	{"python", "py", ks_example_py, NULL, "[python3, NAME.py, \"{node_id}\"]"},
	{"rust", "rs", ks_example_rs, "[rustc, -O, -o, NAME, NAME.rs]", "[./NAME, \"{node_id}\"]"},
};
#define LANGUAGES (sizeof languages / sizeof *languages)

static int cmd_new(int argc, char **argv);
static const char *const synopsis[] = {"generator NAME --lang LANGUAGE", NULL};
static const char *const language_words[] = {"c", "go", "java", "node", "python", "rust", NULL};
static const char *const kind_words[] = {"generator", NULL};
static const struct ks_cli_option options[] = {
	{"lang", 'l', "LANGUAGE", "c, go, java, node, python or rust", KS_COMPLETE_WORDS, language_words},
	{0},
};
const struct ks_cli_command ks_command_new = {
	.name = "new",
	.summary = "write a generator of your own to begin with",
	.synopsis = synopsis,
	.text = "Writes NAME.SUFFIX, a program of 15 lines that keyskew asks for keys, and NAME.gen.yaml, which says how to run it and "
	        "what its keys hold. Nothing is overwritten.",
	.options = options,
	.complete = KS_COMPLETE_WORDS,
	.words = kind_words,
	.run = cmd_new,
};

static const struct language *find_language(const char *name, struct ks_err *err)
{
	const char *names[LANGUAGES];
	for (size_t i = 0; i < LANGUAGES; i++) {
		if (!strcmp(languages[i].name, name) || !strcmp(languages[i].suffix, name))
			return &languages[i];
		names[i] = languages[i].name;
	}
	const char *near = ks_nearest(name, names, LANGUAGES);
	ks_fail(err, KS_E_USAGE, "unknown language '%.100s', expected c, go, java, node, python or rust%s%s%s", name,
	        near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	return NULL;
}

static bool is_name(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (p > name && ((*p >= '0' && *p <= '9') || *p == '-' || *p == '_'))))
			return false;
	return *name && strlen(name) <= 60;
}

static void put(FILE *f, const char *text, const char *name)
{
	for (const char *at; (at = strstr(text, "NAME")); text = at + strlen("NAME"))
		fprintf(f, "%.*s%s", (int)(at - text), text, name);
	fputs(text, f);
}

/* A new file, or an error: also a link that leads nowhere is not written through. */
static FILE *create(const char *path, struct ks_err *err)
{
	FILE *f = fopen(path, "wxe");
	if (!f && errno == EEXIST)
		ks_fail(err, KS_E_USAGE, "'%s' exists already, nothing was written", path);
	else if (!f)
		ks_fail(err, errno == ENOSPC ? KS_E_INTERNAL : KS_E_USAGE, "cannot write '%s': %s", path, strerror(errno));
	return f;
}

static int finish(FILE *f, const char *path, struct ks_err *err)
{
	int bad = ferror(f);
	if (fclose(f) || bad)
		return ks_fail(err, KS_E_INTERNAL, "cannot write '%s': %s", path, strerror(errno));
	return 0;
}

static void put_genfile(FILE *f, const struct language *l, const char *name)
{
	fprintf(f, "# keyskew run ntp-step-back -g %s.gen.yaml      keyskew lint --words tells every key of this file\n", name);
	fprintf(f, "title: %s, an id generator in %s\n", name, l->name);
	if (l->build) {
		fputs("build: ", f);
		put(f, l->build, name);
		fputc('\n', f);
	}
	fputs("command: ", f);
	put(f, l->command, name);
	fputs("\nspeaks: ask\ncompare: numeric\n"
	      "layout: {bits: [time 41, node 10, seq 12], unit: 1ms, epoch: 1288834974657ms}\n"
	      "claims: [unique@fleet, increasing@thread]\n", f);
}

static int write_both(const struct language *l, const char *name, struct ks_err *err)
{
	char source[80], genfile[80];
	snprintf(source, sizeof source, "%s.%s", name, l->suffix);
	snprintf(genfile, sizeof genfile, "%s.gen.yaml", name);
	FILE *f = create(source, err);
	if (!f)
		return -1;
	fputs(l->source, f);
	if (finish(f, source, err) || !(f = create(genfile, err))) {
		unlink(source); /* it is ours: it was not there before */
		return -1;
	}
	put_genfile(f, l, name);
	if (finish(f, genfile, err))
		return -1;
	printf("%s\n%s\nnext: keyskew run ntp-step-back -g %s\n", source, genfile, genfile);
	return 0;
}

static int make(const struct ks_cli *cli, const char *language, struct ks_err *err)
{
	if (strcmp(cli->word[0], "generator"))
		return ks_fail(err, KS_E_USAGE, "unknown kind '%.100s', expected generator", cli->word[0]);
	if (!is_name(cli->word[1]))
		return ks_fail(err, KS_E_USAGE, "bad name '%.100s', expected a letter, then letters, digits, - or _, at most 60 in all",
		               cli->word[1]);
	if (!language)
		return ks_fail(err, KS_E_USAGE, "in which language? expected --lang c, go, java, node, python or rust");
	const struct language *l = find_language(language, err);
	return l ? write_both(l, cli->word[1], err) : -1;
}

static int cmd_new(int argc, char **argv)
{
	struct ks_cli cli;
	const char *language = NULL;
	char *value;
	int option, code = 0;
	ks_cli_begin(&cli, &ks_command_new, argc, argv);
	while ((option = ks_cli_next(&cli, &value)) >= 0)
		language = value;
	if (option != KS_CLI_END)
		code = ks_cli_end(&cli, option);
	else if (cli.words != 2)
		code = ks_cli_usage(&ks_command_new);
	else if (make(&cli, language, &cli.err))
		code = ks_cli_error(&cli.err);
	ks_cli_release(&cli);
	return code;
}
