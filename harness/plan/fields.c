#include "fields.h"

#include <string.h>

#include "ks_mem.h"

#define NAMES_MAX 64

/* --- errors --- */

int ks_blame(struct ks_reader *r, const struct ks_tree *at)
{
	char place[KS_PLACE_MAX];
	return ks_fail_in(r->err, "%s", ks_tree_place(place, r->file, at, false));
}

__attribute__((format(printf, 4, 0))) static int bad_at(struct ks_reader *r, const struct ks_tree *at, bool of_key,
                                                        const char *fmt, va_list ap)
{
	char text[800], place[KS_PLACE_MAX];
	vsnprintf(text, sizeof text, fmt, ap);
	return ks_fail(r->err, KS_E_USAGE, "%s: %s", ks_tree_place(place, r->file, at, of_key), text);
}

int ks_bad(struct ks_reader *r, const struct ks_tree *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	bad_at(r, at, false, fmt, ap);
	va_end(ap);
	return -1;
}

int ks_bad_key(struct ks_reader *r, const struct ks_tree *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	bad_at(r, at, true, fmt, ap);
	va_end(ap);
	return -1;
}

int ks_no_memory(struct ks_reader *r)
{
	return ks_fail(r->err, KS_E_INTERNAL, "out of memory");
}

int ks_unknown(struct ks_reader *r, const struct ks_tree *at, bool of_key, const char *what, const char *const *names,
               size_t n)
{
	const char *word = of_key ? at->key : at->text, *near = ks_nearest(word, names, n);
	char list[400];
	size_t len = 0;
	for (size_t i = 0; i < n && len < sizeof list; i++)
		len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? " " : "", names[i]);
	if (len >= sizeof list)
		strcpy(list + sizeof list - 4, "...");
	return (of_key ? ks_bad_key : ks_bad)(r, at, "unknown %s '%s', expected %s%s%s%s%s", what, word,
	                                      n > 1 ? "one of " : "", list, near ? "; did you mean '" : "",
	                                      near ? near : "", near ? "'" : "");
}

static const char *kind_name(enum ks_tree_kind kind)
{
	return kind == KS_TREE_TEXT ? "a single value" : kind == KS_TREE_LIST ? "a list" : "a mapping";
}

bool ks_want(struct ks_reader *r, const struct ks_tree *n, unsigned kinds, const char *what, const char *accepts)
{
	if (n->kind & kinds)
		return true;
	/* a name of the file in quotes; words of ours, for the root and items of lists, without */
	const char *quote = n->key ? "'" : "";
	ks_bad(r, n, "%s%s%s is %s, expected %s", quote, what, quote, kind_name(n->kind), accepts);
	return false;
}

/* --- what a field accepts, in words --- */

static const char *join_words(const struct ks_field *f, char *buf, size_t size)
{
	size_t len = 0;
	for (size_t i = 0; f->words[i] && len < size; i++)
		if (!f->carried || f->carried >> i & 1)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? "|" : "", f->words[i]);
	return buf;
}

const char *ks_field_accepts(const struct ks_field *f, char *buf, size_t size)
{
	char low[KS_TIME_TEXT], high[KS_TIME_TEXT];
	if (f->accepts)
		return f->accepts;
	if (f->read == ks_read_word)
		return join_words(f, buf, size);
	if (f->kinds == KS_TREE_MAP || f->kinds == KS_TREE_LIST)
		return f->kinds == KS_TREE_MAP ? "a mapping" : "a list";
	if (f->type == KS_OPT_UTC && f->read == ks_read_number)
		return "a UTC time such as 2026-01-15T10:00:00Z";
	if (f->min == f->max)
		return "a text";
	if (f->type == KS_OPT_DUR)
		snprintf(buf, size, "a duration, %s..%s", ks_dur_format(low, f->min), ks_dur_format(high, f->max));
	else if (f->type == KS_OPT_PPB)
		snprintf(buf, size, "a rate, %s..%s", ks_ppb_format(low, f->min), ks_ppb_format(high, f->max));
	else
		snprintf(buf, size, "a whole number, %lld..%lld", (long long)f->min, (long long)f->max);
	return buf;
}

/* --- mappings --- */

static size_t field_names(const struct ks_field *table, const char **names)
{
	size_t n = 0;
	for (; table[n].name && n < NAMES_MAX; n++)
		names[n] = table[n].name;
	return n;
}

static int check_keys(struct ks_reader *r, const struct ks_tree *map, const struct ks_field *table)
{
	const char *names[NAMES_MAX];
	size_t n = field_names(table, names);
	for (const struct ks_tree *c = map->first; c; c = c->next) {
		size_t i = 0;
		while (i < n && strcmp(names[i], c->key))
			i++;
		if (i == n)
			return ks_unknown(r, c, true, "key", names, n);
	}
	return 0;
}

static int read_field(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	char buf[256];
	if (f->read == ks_read_not_carried)
		return f->read(r, n, f, into);
	if (!ks_want(r, n, f->kinds ? f->kinds : KS_TREE_TEXT, f->name, ks_field_accepts(f, buf, sizeof buf)))
		return -1;
	return f->read(r, n, f, into);
}

/* A default is read as if the file had it: there is one meaning of a value, and a table with a bad default fails. */
static int read_default(struct ks_reader *r, const struct ks_field *f, void *into)
{
	char text[KS_TREE_TEXT_MAX];
	struct ks_tree n = {.kind = KS_TREE_TEXT, .text = text};
	snprintf(text, sizeof text, "%s", f->def);
	if (!strcmp(f->def, "{}"))
		n.kind = KS_TREE_MAP;
	else if (!strcmp(f->def, "[]"))
		n.kind = KS_TREE_LIST;
	return read_field(r, &n, f, into);
}

int ks_fields_read(struct ks_reader *r, const struct ks_tree *map, const struct ks_field *table, void *into)
{
	if (check_keys(r, map, table))
		return -1;
	for (const struct ks_field *f = table; f->name; f++) {
		const struct ks_tree *n = ks_tree_get(map, f->name);
		if (n ? read_field(r, n, f, into) : f->def ? read_default(r, f, into) : 0)
			return -1;
	}
	return 0;
}

int ks_read_map(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	return ks_fields_read(r, n, f->table, into);
}

/* --- values --- */

static int bad_value(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, const char *why)
{
	char buf[256];
	return ks_bad(r, n, "bad %s '%s', expected %s", f->name, n->text, why ? why : ks_field_accepts(f, buf, sizeof buf));
}

static void *member(const struct ks_field *f, void *into)
{
	return (char *)into + f->offset;
}

int ks_read_text(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	size_t len = strlen(n->text);
	if (!len)
		return ks_bad(r, n, "'%s' is empty, expected a text", f->name);
	if (len >= f->size)
		return ks_bad(r, n, "'%s' is too long, expected at most %zu bytes", f->name, f->size - 1);
	memcpy(member(f, into), n->text, len + 1);
	return 0;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int ks_parse_name(struct ks_reader *r, const struct ks_tree *n, const char *what, char *out, size_t size)
{
	size_t len = strlen(n->text);
	bool ok = is_letter(n->text[0]) && len < size;
	for (const char *p = n->text; *p; p++)
		ok = ok && (is_letter(*p) || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_');
	if (!ok)
		return ks_bad(r, n, "bad %s '%s', expected a letter, then letters, digits, - or _, at most %zu in all",
			      what, n->text, size - 1);
	memcpy(out, n->text, len + 1);
	return 0;
}

int ks_read_name(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	return ks_parse_name(r, n, f->name, member(f, into), f->size);
}

/* Digits only: "1e9", "0x10", "1_000" and "1.0" are not whole numbers here. */
static bool parse_int(const char *text, int64_t *v)
{
	const char *p = text + (*text == '-' || *text == '+');
	uint64_t n = 0;
	if (!*p)
		return false;
	for (; *p; p++) {
		if (*p < '0' || *p > '9' || n > (uint64_t)INT64_MAX / 10)
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (n > INT64_MAX)
		return false;
	*v = *text == '-' ? -(int64_t)n : (int64_t)n;
	return true;
}

int ks_parse_number(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, int64_t *v)
{
	const char *why = NULL;
	int failed = f->type == KS_OPT_DUR   ? ks_dur_parse(n->text, v, &why)
	             : f->type == KS_OPT_PPB ? ks_ppb_parse(n->text, v, &why)
	             : f->type == KS_OPT_UTC ? ks_utc_parse(n->text, v, &why)
	                                     : !parse_int(n->text, v);
	if (failed)
		return bad_value(r, n, f, why);
	return f->type != KS_OPT_UTC && (*v < f->min || *v > f->max) ? bad_value(r, n, f, NULL) : 0;
}

int ks_read_number(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	int64_t v;
	if (ks_parse_number(r, n, f, &v))
		return -1;
	if (f->size == sizeof(uint32_t))
		*(uint32_t *)member(f, into) = (uint32_t)v;
	else
		*(int64_t *)member(f, into) = v;
	return 0;
}

int ks_read_utc(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	const char *why = NULL;
	return ks_utc_parse(n->text, member(f, into), &why) ? bad_value(r, n, f, why) : 0;
}

int ks_read_rate(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	const char *why = NULL;
	return ks_rate_parse(n->text, member(f, into), &why) ? bad_value(r, n, f, why) : 0;
}

int ks_parse_band(struct ks_reader *r, const struct ks_tree *n, const char *what, struct ks_band *band)
{
	const char *why = NULL;
	if (!ks_want(r, n, KS_TREE_TEXT, what, "a number or a band such as 119..121"))
		return -1;
	if (ks_band_parse(n->text, band, &why))
		return ks_bad(r, n, "bad %s '%s', expected %s", what, n->text, why);
	return 0;
}

static size_t count_words(const char *const *words)
{
	size_t n = 0;
	while (words[n])
		n++;
	return n;
}

int ks_read_word(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	size_t count = count_words(f->words);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(f->words[i], n->text))
			continue;
		if (f->carried && !(f->carried >> i & 1))
			return ks_bad(r, n, "%s '%s' is not carried yet", f->name, n->text);
		*(unsigned *)member(f, into) = (unsigned)i;
		return 0;
	}
	return ks_unknown(r, n, false, f->name, f->words, count);
}

static int read_world(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, unsigned *mask, bool *any)
{
	const char *names[KS_NWORLDS + 1] = {"auto"};
	memcpy(names + 1, ks_world_names, sizeof ks_world_names);
	if (!ks_want(r, n, KS_TREE_TEXT, f->name, "a world"))
		return -1;
	for (size_t i = 0; i <= KS_NWORLDS; i++) {
		if (strcmp(names[i], n->text))
			continue;
		if (i == KS_WORLD_VDSO + 1)
			return ks_bad(r, n, "world '%s' is not carried yet", n->text);
		*any = *any || i == 0;
		*mask |= i ? 1u << (i - 1) : 0;
		return 0;
	}
	return ks_unknown(r, n, false, "world", names, KS_NWORLDS + 1);
}

int ks_read_worlds(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	unsigned mask = 0;
	bool any = false;
	if (n->kind == KS_TREE_TEXT && read_world(r, n, f, &mask, &any))
		return -1;
	for (const struct ks_tree *c = n->first; c; c = c->next)
		if (read_world(r, c, f, &mask, &any))
			return -1;
	if (any && mask)
		return ks_bad(r, n, "'auto' beside other worlds in '%s', expected auto or a list of worlds", f->name);
	*(unsigned *)member(f, into) = mask;
	return 0;
}

int ks_read_version(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	(void)into;
	if (strcmp(n->text, "1"))
		return ks_bad(r, n, "format '%s' is not known to this version, expected %s: 1", n->text, f->name);
	return 0;
}

int ks_read_not_carried(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	(void)into;
	return ks_bad_key(r, n, "'%s' is not carried yet", f->name);
}

/* --- the reference --- */

void ks_reference_cell(FILE *out, const char *text)
{
	fputs("| ", out);
	for (; *text; text++)
		fprintf(out, strchr("|*<", *text) ? "\\%c" : "%c", *text);
	fputc(' ', out);
}

void ks_fields_print(FILE *out, const char *path, const char *heading, const struct ks_field *table)
{
	char buf[256], sub[128], name[140];
	fprintf(out, "\n## %s\n\n| key | what it is | accepts | default |\n| --- | --- | --- | --- |\n", heading);
	for (const struct ks_field *f = table; f->name; f++) {
		if (f->read == ks_read_not_carried)
			continue;
		snprintf(name, sizeof name, "`%s`", f->name);
		ks_reference_cell(out, name);
		ks_reference_cell(out, f->help);
		ks_reference_cell(out, ks_field_accepts(f, buf, sizeof buf));
		ks_reference_cell(out, f->def ? f->def : "");
		fputs("|\n", out);
	}
	for (const struct ks_field *f = table; f->name; f++) {
		if (!f->table || f->read == ks_read_not_carried)
			continue;
		snprintf(sub, sizeof sub, "%s%s%s", path, *path ? "." : "", f->name);
		snprintf(name, sizeof name, "`%s`", sub);
		ks_fields_print(out, sub, name, f->table);
	}
}
