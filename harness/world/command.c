#include "command.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct splitter {
	struct ks_command *c;
	const struct ks_command_values *values;
	size_t used;
	bool in_word, overflow;
};

static void put(struct splitter *s, const char *bytes, size_t n)
{
	struct ks_command *c = s->c;

	if (!s->in_word) {
		if (c->words == KS_COMMAND_WORDS) {
			s->overflow = true;
			return;
		}
		c->word[c->words++] = c->bytes + s->used;
		s->in_word = true;
	}
	if (n >= sizeof(c->bytes) - s->used) { /* room for the NUL stays */
		s->overflow = true;
		return;
	}
	memcpy(c->bytes + s->used, bytes, n);
	s->used += n;
}

static void end_word(struct splitter *s)
{
	if (!s->in_word)
		return;
	s->c->bytes[s->used] = '\0';
	s->used++;
	s->in_word = false;
	if (s->used == sizeof(s->c->bytes))
		s->overflow = true;
}

/* Puts what a placeholder at p stands for. @return its length, 0 when there is none at p. */
static size_t put_value(struct splitter *s, const char *p)
{
	char number[24];

	if (!strncmp(p, "{node_id}", 9)) {
		put(s, number, (size_t)snprintf(number, sizeof(number), "%" PRIu64, s->values->node_id));
		return 9;
	}
	if (!strncmp(p, "{seed}", 6)) {
		put(s, number, (size_t)snprintf(number, sizeof(number), "%" PRIu64, s->values->seed));
		return 6;
	}
	if (!strncmp(p, "{node}", 6)) {
		put(s, s->values->node, strlen(s->values->node));
		return 6;
	}
	return 0;
}

/* One character or placeholder at p, or an escape of it. @return how far it reaches. */
static size_t put_one(struct splitter *s, const char *p, char quote)
{
	bool escape = *p == '\\' && p[1] && (quote == 0 || (quote == '"' && (p[1] == '"' || p[1] == '\\')));

	if (escape) {
		put(s, p + 1, 1);
		return 2;
	}
	size_t n = put_value(s, p);
	if (n)
		return n;
	put(s, p, 1);
	return 1;
}

static int finish(struct splitter *s, const char *text, struct ks_err *err)
{
	if (!s->overflow)
		end_word(s);
	if (s->overflow)
		return ks_fail(err, KS_E_USAGE,
			       "command is too long, expected at most %d words and %d bytes: '%.60s...'",
			       KS_COMMAND_WORDS, KS_COMMAND_BYTES, text);
	if (!s->c->words)
		return ks_fail(err, KS_E_USAGE, "the command is empty, expected PROGRAM ARGUMENTS");
	return 0;
}

int ks_command_split(struct ks_command *command, const char *text, const struct ks_command_values *values,
		     struct ks_err *err)
{
	struct splitter s = {.c = command, .values = values};
	char quote = 0;

	memset(command, 0, sizeof(*command));
	for (const char *p = text; *p && !s.overflow;) {
		if (quote && *p == quote) {
			quote = 0;
			p++;
		} else if (!quote && (*p == '\'' || *p == '"')) {
			quote = *p++;
			put(&s, "", 0); /* an empty pair of quotes is a word */
		} else if (!quote && strchr(" \t\n", *p)) {
			end_word(&s);
			p++;
		} else {
			p += put_one(&s, p, quote);
		}
	}
	if (quote)
		return ks_fail(err, KS_E_USAGE, "a quote %c does not end in command '%.200s'", quote, text);
	return finish(&s, text, err);
}

int ks_command_fill(struct ks_command *command, char *const *words, const struct ks_command_values *values,
		    struct ks_err *err)
{
	struct splitter s = {.c = command, .values = values};

	memset(command, 0, sizeof(*command));
	for (char *const *word = words; *word && !s.overflow; word++) {
		put(&s, "", 0); /* also an empty one is a word */
		for (const char *p = *word; *p && !s.overflow;) {
			size_t n = put_value(&s, p);
			if (!n)
				put(&s, p, 1);
			p += n ? n : 1;
		}
		if (!s.overflow)
			end_word(&s);
	}
	return finish(&s, words[0] ? words[0] : "", err);
}

int ks_command_of(struct ks_command *command, const struct ks_foreign *foreign, const struct ks_command_values *values,
		  struct ks_err *err)
{
	return *foreign->text ? ks_command_split(command, foreign->text, values, err)
			      : ks_command_fill(command, foreign->word, values, err);
}
