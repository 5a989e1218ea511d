/* Man pages, from the tables of the commands: keyskew.1, keyskew-run.1, ... */
#include <ctype.h>
#include <string.h>

#include "options.h"

/* Text for man(7): a backslash and what begins a request are escaped, dashes are dashes. */
static void put(FILE *out, const char *text)
{
	bool at_start = true;
	for (; *text; text++) {
		if (at_start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
		at_start = *text == '\n';
	}
}

static void heading(FILE *out, const char *name, const char *summary)
{
	char upper[64];
	size_t n = 0;
	for (; name[n] && n < sizeof upper - 1; n++)
		upper[n] = (char)toupper((unsigned char)name[n]);
	upper[n] = 0;
	fprintf(out, ".TH %s 1 \"\" \"keyskew " KS_VERSION "\" \"keyskew\"\n.SH NAME\n", upper);
	put(out, name);
	fputs(" \\- ", out);
	put(out, summary);
	fputs("\n.SH SYNOPSIS\n", out);
}

static const char *const exits[] = {"0", "every expectation is met", "1", "one is unmet", "2", "usage or file error, nothing ran",
                                    "3", "could not be judged", "4", "nothing matched", "5", "keyskew itself failed",
                                    "128+N", "ended by signal N", NULL};

static void put_exits(FILE *out)
{
	fputs(".SH EXIT STATUS\n", out);
	for (size_t i = 0; exits[i]; i += 2) {
		fprintf(out, ".TP\n.B %s\n", exits[i]);
		put(out, exits[i + 1]);
		fputc('\n', out);
	}
}

static void put_option(FILE *out, const struct ks_cli_option *o)
{
	fputs(".TP\n", out);
	if (o->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
	fputs("\\fB\\-\\-", out);
	put(out, o->name);
	fputs("\\fR", out);
	if (o->value) {
		fputs(" \\fI", out);
		put(out, o->value);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	put(out, o->help);
	fputc('\n', out);
}

/* Lines that are indented stay as they are; an empty line begins a paragraph. */
static void put_text(FILE *out, const char *text)
{
	bool verbatim = false;
	while (*text) {
		char line[400];
		size_t n = strcspn(text, "\n");
		snprintf(line, sizeof line, "%.*s", (int)n, text);
		text += n + (text[n] == '\n');
		bool indented = line[0] == ' ';
		if (indented != verbatim)
			fputs(indented ? ".PP\n.nf\n" : ".fi\n.PP\n", out);
		verbatim = indented;
		if (!line[0])
			fputs(".PP", out);
		put(out, line);
		fputc('\n', out);
	}
	if (verbatim)
		fputs(".fi\n", out);
}

static void page_of_program(FILE *out)
{
	heading(out, "keyskew", "a fault-injection lab for time-based keys");
	fputs(".B keyskew\n.I COMMAND\n[\\fIARGUMENT\\fR]...\n.SH DESCRIPTION\n", out);
	put(out, "Drives id generators through clock faults and says which of their claims hold: unique, increasing, available, and what it\n"
	         "costs downstream when one does not.\n");
	fputs(".SH COMMANDS\n", out);
	for (size_t i = 0; ks_commands[i]; i++) {
		fprintf(out, ".TP\n\\fBkeyskew\\-%s\\fR(1)\n", ks_commands[i]->name);
		put(out, ks_commands[i]->summary);
		fputc('\n', out);
	}
	put_exits(out);
	fputs(".SH ENVIRONMENT\n.TP\n.B KEYSKEW_SCENARIOS\nthe folder of the scenario library\n"
	      ".TP\n.B KEYSKEW_HISTORY\nthe file of \\fBkeyskew\\-history\\fR(1)\n.TP\n.B NO_COLOR\nno colours on the terminal\n", out);
}

void ks_man(const struct ks_cli_command *c, FILE *out)
{
	char name[64];
	if (!c) {
		page_of_program(out);
		return;
	}
	snprintf(name, sizeof name, "keyskew-%s", c->name);
	heading(out, name, c->summary);
	for (size_t i = 0; c->synopsis[i]; i++) {
		fprintf(out, "%s.B keyskew %s\n", i ? ".br\n" : "", c->name);
		put(out, c->synopsis[i]);
		fputc('\n', out);
	}
	if (c->text) {
		fputs(".SH DESCRIPTION\n", out);
		put_text(out, c->text);
	}
	fputs(".SH OPTIONS\n", out);
	for (const struct ks_cli_option *o = c->options; o->name; o++)
		put_option(out, o);
	put_exits(out);
	fputs(".SH SEE ALSO\n.BR keyskew (1)\n", out);
}
