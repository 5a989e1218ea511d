/* Generators as the command line names them: NAME[:WORD|:OPTION=VALUE]... */
#include <stdio.h>
#include <string.h>

#include "foreign.h"

const struct ks_gen *ks_gen_find(const struct ks_gen *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp((*list)->name, name))
			return *list;
	return NULL;
}

static int unknown(const struct ks_gen *const *list, const char *name, struct ks_err *err)
{
	const char *names[64];
	size_t n = 0;
	for (; list[n] && n < 64; n++)
		names[n] = list[n]->name;
	const char *near = ks_nearest(name, names, n);
	return ks_fail(err, KS_E_USAGE, "unknown generator '%.100s'%s%s%s, see keyskew list generators", name,
	               near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
}

/* The option that the bare word belongs to, or NULL. */
static const struct ks_opt *bare(const struct ks_opt *opts, const char *word)
{
	for (; opts->name; opts++)
		for (int i = 0; opts->bare && opts->words[i]; i++)
			if (!strcmp(opts->words[i], word))
				return opts;
	return NULL;
}

static int set_option(struct ks_gen_spec *spec, char *part, struct ks_err *err)
{
	const struct ks_opt *opts = spec->gen->opts;
	char *value = strchr(part, '=');
	if (value) {
		*value++ = 0;
		return ks_opts_set(opts, spec->cfg, part, value, err);
	}
	const struct ks_opt *o = bare(opts, part);
	if (o)
		return ks_opts_set(opts, spec->cfg, o->name, part, err);
	for (o = opts; o->name && !o->bare; o++)
		;
	const char *near = o->name ? ks_nearest(part, o->words, SIZE_MAX) : NULL;
	return ks_fail(err, KS_E_USAGE, "unknown variant '%.100s', expected OPTION=VALUE or a variant%s%s%s", part,
	               near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
}

int ks_gen_parse(const struct ks_gen *const *list, const char *text, struct ks_gen_spec *spec, struct ks_err *err)
{
	char copy[sizeof spec->text];
	*spec = (struct ks_gen_spec){0};
	if (strlen(text) >= sizeof spec->text)
		return ks_fail(err, KS_E_USAGE, "generator '%.60s...' is too long, expected at most %zu characters", text,
		               sizeof spec->text - 1);
	strcpy(spec->text, text);
	strcpy(copy, text);
	char *part = strchr(copy, ':');
	if (part)
		*part++ = 0;
	spec->gen = ks_gen_find(list, copy);
	if (!spec->gen)
		return unknown(list, copy, err);
	ks_opts_default(spec->gen->opts, spec->cfg);
	while (part) {
		char *end = strchr(part, ':');
		if (end)
			*end++ = 0;
		if (set_option(spec, part, err))
			return ks_fail_in(err, "generator '%s'", text);
		part = end;
	}
	if (spec->gen->configure && spec->gen->configure(spec->cfg, err))
		return ks_fail_in(err, "generator '%s'", text);
	return 0;
}

int ks_gen_claims(const struct ks_gen_spec *spec, struct ks_claim claims[KS_CLAIMS_MAX])
{
	if (spec->gen)
		return spec->gen->claims(spec->cfg, claims);
	claims[0] = (struct ks_claim){"unique@fleet", "assumed of every foreign generator"};
	for (int i = 0; spec->foreign && i < spec->foreign->claims; i++)
		claims[i] = (struct ks_claim){spec->foreign->claim[i], *spec->foreign->title ? spec->foreign->title : claims[0].source};
	return spec->foreign ? spec->foreign->claims : 1;
}

const char *ks_gen_print(const struct ks_gen_spec *spec, const struct ks_texts *texts, struct ks_key key, char buf[KS_KEY_TEXT],
                         size_t *len)
{
	if (!ks_gen_issues_texts(spec)) {
		spec->gen->format(spec->cfg, key, buf);
		*len = strlen(buf);
		return buf;
	}
	*len = 0;
	return key.lo < texts->n ? ks_texts_get(texts, key.lo, len) : "";
}

bool ks_gen_decode(const struct ks_gen_spec *spec, const struct ks_texts *texts, struct ks_key key, struct ks_fields *fields)
{
	char text[KS_KEY_TEXT];
	size_t len;
	*fields = (struct ks_fields){0};
	if (spec->gen && !spec->gen->decode_text) {
		spec->gen->decode(spec->cfg, key, fields);
		return true;
	}
	const char *bytes = ks_gen_print(spec, texts, key, text, &len);
	if (!spec->gen)
		return ks_foreign_decode(spec->foreign, bytes, len, fields);
	if (len >= sizeof text)
		return false;
	memcpy(text, bytes, len);
	text[len] = 0;
	return spec->gen->decode_text(spec->cfg, text, fields) == 0;
}
