/* Generator files: anyone's program as a generator, NAME.gen.yaml. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "foreign.h"
#include "ks_mem.h"

#define SUFFIX ".gen.yaml"
#define CACHE "{cache}"
#define TIMEOUT_MAX KS_HOUR
#define LAYOUT_BITS_MAX 128

static const char *const speaks_words[] = {"lines", "ask", NULL};
static const char *const state_words[] = {"lost", "kept", NULL};
static const char *const compare_words[] = {"form", "numeric", "bytes", "text", "layout", NULL};
static const char *const form_words[] = {"decimal", "hex", "dashed", NULL};

/* ---- commands ---- */

/* Where programs are made: $KEYSKEW_CACHE, $XDG_CACHE_HOME/keyskew or ~/.cache/keyskew. */
static int cache_folder(struct ks_reader *r, const struct ks_tree *c, char buf[PATH_MAX])
{
	const char *own = getenv("KEYSKEW_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (own && *own == '/')
		snprintf(buf, PATH_MAX, "%.3000s", own);
	else if (xdg && *xdg == '/')
		snprintf(buf, PATH_MAX, "%.3000s/keyskew", xdg);
	else if (home && *home == '/')
		snprintf(buf, PATH_MAX, "%.3000s/.cache/keyskew", home);
	else
		return ks_bad(r, c, "'%s' names the cache, and there is no home for it: set KEYSKEW_CACHE to a folder", c->text);
	return 0;
}

static int copy_word(struct ks_reader *r, const struct ks_tree *c, char **word)
{
	char cache[PATH_MAX], whole[PATH_MAX + 2 * KS_TREE_TEXT_MAX];
	const char *at = strstr(c->text, CACHE);
	snprintf(whole, sizeof whole, "%s", c->text);
	if (at && cache_folder(r, c, cache))
		return -1;
	if (at)
		snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - c->text), c->text, cache, at + strlen(CACHE));
	*word = ks_strdup(whole);
	return *word ? 0 : ks_no_memory(r);
}

static int read_makes(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	return copy_word(r, n, (char **)(void *)((char *)into + f->offset));
}

static int read_words(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	char **word = (char **)(void *)((char *)into + f->offset);
	if (!n->n)
		return ks_bad(r, n, "'%s' is empty, expected %s", f->name, f->accepts);
	if (n->n > KS_FOREIGN_WORDS)
		return ks_bad(r, n, "%zu words in '%s', expected at most %d", n->n, f->name, KS_FOREIGN_WORDS);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		if (!ks_want(r, c, KS_TREE_TEXT, "a word", "a single value"))
			return -1;
		if (c == n->first && !*c->text)
			return ks_bad(r, c, "the first word of '%s' is empty, expected a program", f->name);
		if (copy_word(r, c, word++))
			return -1;
	}
	return 0;
}

/* ---- claims ---- */

static int read_claims(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_foreign *g = into;
	struct ks_claim_ref claim;
	if (n->n > KS_CLAIMS_MAX)
		return ks_bad(r, n, "%zu claims, expected at most %d", n->n, KS_CLAIMS_MAX);
	g->claims = 0;
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		if (!ks_want(r, c, KS_TREE_TEXT, "a claim", "PROPERTY@SCOPE such as unique@fleet"))
			return -1;
		if (ks_claim_parse(c->text, &claim, r->err))
			return ks_blame(r, c);
		for (int i = 0; i < g->claims; i++)
			if (!strcmp(g->claim[i], c->text))
				return ks_bad(r, c, "'%s' stands twice in '%s'", c->text, f->name);
		if (strlen(c->text) >= sizeof g->claim[0])
			return ks_bad(r, c, "'%s' is too long, expected at most %zu bytes", c->text, sizeof g->claim[0] - 1);
		strcpy(g->claim[g->claims++], c->text);
	}
	return 0;
}

/* ---- the layout ---- */

#define BITS_ACCEPTS "fields from the top, NAME BITS each, such as [time 41, node 10, seq 12]"

/* "time 41" */
static int read_bits_of(struct ks_reader *r, const struct ks_tree *c, struct ks_layout *l)
{
	static const struct ks_field bits = {.name = "bits", .type = KS_OPT_INT, .min = 1, .max = 64};
	if (!ks_want(r, c, KS_TREE_TEXT, "a field", "NAME BITS such as time 41"))
		return -1;
	char name[KS_TREE_TEXT_MAX];
	strcpy(name, c->text);
	char *space = strchr(name, ' ');
	if (!space)
		return ks_bad(r, c, "bad field '%s', expected NAME BITS such as time 41", c->text);
	*space++ = 0;
	int64_t width;
	struct ks_tree name_tree = *c, bits_tree = *c;
	name_tree.text = name;
	bits_tree.text = space + strspn(space, " ");
	if (ks_parse_name(r, &name_tree, "field name", l->field[l->n].name, sizeof l->field[0].name) ||
	    ks_parse_number(r, &bits_tree, &bits, &width))
		return -1;
	for (int i = 0; i < l->n; i++)
		if (!strcmp(l->field[i].name, name))
			return ks_bad(r, c, "two fields are named '%s'", name);
	if (!strcmp(name, "time"))
		l->time = l->n;
	l->field[l->n++].bits = (uint32_t)width;
	return 0;
}

static int read_bits(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_layout *l = into;
	uint32_t sum = 0;
	if (!n->n || n->n > KS_LAYOUT_FIELDS)
		return ks_bad(r, n, "%zu fields in '%s', expected 1..%d", n->n, f->name, KS_LAYOUT_FIELDS);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		if (read_bits_of(r, c, l))
			return -1;
		sum += l->field[l->n - 1].bits;
	}
	if (sum > LAYOUT_BITS_MAX)
		return ks_bad(r, n, "%u bits in '%s', expected at most %d", sum, f->name, LAYOUT_BITS_MAX);
	return 0;
}

/* An instant, or a duration since 1970: both are written in the field. */
static int read_epoch(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_layout *l = into;
	const char *why;
	if (strchr(n->text, 'T') ? ks_utc_parse(n->text, &l->epoch_unix_ns, &why)
	                         : ks_dur_parse(n->text, &l->epoch_unix_ns, &why))
		return ks_bad(r, n, "bad %s '%s', expected %s", f->name, n->text, f->accepts);
	return 0;
}

static const struct ks_field layout_fields[] = {
	{.name = "bits", .help = "fields of the number, from the top; one may be named time", .accepts = BITS_ACCEPTS,
	 .kinds = KS_TREE_LIST, .read = read_bits},
	{.name = "unit", .help = "what the time counts", .def = "1ms", .read = ks_read_number, .type = KS_OPT_DUR, .min = 1,
	 .max = KS_DAY, KS_AT(struct ks_layout, unit_ns)},
	{.name = "epoch", .help = "when it counts 0", .def = "0s",
	 .accepts = "a duration since 1970 such as 1288834974657ms, or an instant such as 2010-11-04T01:42:54.657Z",
	 .read = read_epoch},
	{.name = "form", .help = "how the number is printed; dashed: a decimal number for each field", .def = "decimal", .read = ks_read_word, .words = form_words,
	 KS_AT(struct ks_layout, form)},
	{0},
};

static int read_layout(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_layout *l = &((struct ks_foreign *)into)->layout;
	if (!ks_tree_get(n, "bits"))
		return ks_bad(r, n, "'%s' without 'bits', expected %s", f->name, BITS_ACCEPTS);
	return ks_fields_read(r, n, layout_fields, l);
}

/* ---- the file ---- */

#define WORDS "a list of words such as [./orderid, \"{node_id}\"]"

static const struct ks_field file_fields[] = {
	{.name = "title", .help = "what it is, in one line", .read = ks_read_text, KS_AT(struct ks_foreign, title)},
	{.name = "command", .help = "the program and its arguments, without a shell; {node_id} {node} {seed} {cache} are replaced",
	 .accepts = WORDS, .kinds = KS_TREE_LIST, .read = read_words, KS_AT(struct ks_foreign, word)},
	{.name = "build", .help = "makes the program; run once before it, in the same folder", .accepts = WORDS,
	 .kinds = KS_TREE_LIST, .read = read_words, KS_AT(struct ks_foreign, build)},
	{.name = "makes", .help = "a file that the build makes: when it is there, nothing is built", .accepts = "a path; {cache} is keyskew's cache",
	 .read = read_makes, KS_AT(struct ks_foreign, makes)},
	{.name = "needs", .help = "what must be installed", .accepts = "a list of programs and files, which may be patterns",
	 .kinds = KS_TREE_LIST, .read = read_words, KS_AT(struct ks_foreign, needs)},
	{.name = "install", .help = "the line that installs what it needs", .read = ks_read_text, KS_AT(struct ks_foreign, install)},
	{.name = "speaks", .help = "lines: a key a line, at its own pace; ask: a key when asked for one", .def = "ask",
	 .read = ks_read_word, .words = speaks_words, KS_AT(struct ks_foreign, speaks)},
	{.name = "compare", .help = "how keys sort; form: as numbers if all are, else bytes; text: case does not count; layout: by its fields",
	 .def = "form", .read = ks_read_word, .words = compare_words, KS_AT(struct ks_foreign, collation)},
	{.name = "layout", .help = "the fields of a key", .kinds = KS_TREE_MAP, .read = read_layout, .table = layout_fields},
	{.name = "claims", .help = "what it promises; default: unique@fleet", .accepts = "a list such as [unique@fleet, increasing@thread]",
	 .kinds = KS_TREE_LIST, .read = read_claims},
	{.name = "state", .help = "kept: a free-running program that is told to end (SIGTERM) goes on from its state when it is started again",
	 .def = "lost", .read = ks_read_word, .words = state_words, KS_AT(struct ks_foreign, keeps_state)},
	{.name = "timeout", .help = "an answer of ask takes at most this, the first one three times that", .def = "10s",
	 .read = ks_read_number, .type = KS_OPT_DUR, .min = KS_MS, .max = TIMEOUT_MAX, KS_AT(struct ks_foreign, timeout_ns)},
	{0},
};

_Static_assert(sizeof(enum ks_speaks) == sizeof(unsigned) && sizeof(enum ks_collation) == sizeof(unsigned),
               "ks_read_word stores an unsigned");

static int interpret(struct ks_reader *r, const struct ks_tree *root)
{
	if (!ks_want(r, root, KS_TREE_MAP, "the file", "a mapping such as 'command: [./orderid]'"))
		return -1;
	if (ks_fields_read(r, root, file_fields, r->foreign))
		return -1;
	if (!ks_tree_get(root, "command"))
		return ks_bad(r, root, "a generator without 'command', expected " WORDS);
	return 0;
}

bool ks_is_genfile(const char *path)
{
	size_t n = strlen(path), suffix = strlen(SUFFIX);
	return n > suffix && !strcmp(path + n - suffix, SUFFIX);
}

struct ks_foreign *ks_genfile_parse(const char *text, size_t len, const char *name, struct ks_err *err)
{
	struct ks_tree *root = ks_tree_parse(text, len, name, err);
	if (!root)
		return NULL;
	struct ks_foreign *g = ks_foreign_new(KS_SPEAKS_ASK, "");
	struct ks_reader r = {.file = name, .foreign = g, .err = err};
	int failed = g ? interpret(&r, root) : ks_no_memory(&r);
	ks_tree_free(root);
	if (!failed)
		return g;
	ks_foreign_free(g);
	return NULL;
}

struct ks_foreign *ks_genfile_load(const char *path, struct ks_err *err)
{
	char *text;
	size_t len;
	const char *slash = strrchr(path, '/');
	size_t folder = slash ? (size_t)(slash - path) + (slash == path) : 0;
	if (folder >= sizeof((struct ks_foreign *)0)->folder) {
		ks_fail(err, KS_E_USAGE, "path '%.60s...' is too long", path);
		return NULL;
	}
	if (ks_tree_slurp(path, &text, &len, err))
		return NULL;
	struct ks_foreign *g = ks_genfile_parse(text, len, path, err);
	ks_free(text);
	if (g)
		memcpy(g->folder, path, folder);
	return g;
}

void ks_genfile_reference(FILE *out)
{
	ks_fields_print(out, "", "Generator files: `NAME.gen.yaml`", file_fields);
}
