/* A suite file: scenarios x generators x seeds x worlds. */
#include <string.h>

#include "fields.h"
#include "ks_mem.h"

#define RUNS_MAX 1024
#define SEEDS_MAX 100000
#define SETS_MAX 64

static int read_generators(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_suite_item *item = into;
	if (!n->n)
		return ks_bad(r, n, "'%s' is empty, expected at least one generator", f->name);
	item->generators = ks_alloc(n->n, sizeof *item->generators);
	if (!item->generators)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		if (!ks_want(r, c, KS_TREE_TEXT, "a generator", "a text such as snowflake:unchecked"))
			return -1;
		if (!*c->text)
			return ks_bad(r, c, "an empty generator");
		strcpy(item->generators[item->ngenerators++], c->text); /* texts of a tree fit */
	}
	return 0;
}

static int read_seeds(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_suite_item *item = into;
	struct ks_band band;
	if (ks_parse_band(r, n, f->name, &band))
		return -1;
	if (band.is_time || band.low < 0 || band.high == INT64_MAX || band.high - band.low >= SEEDS_MAX)
		return ks_bad(r, n, "bad %s '%s', expected a number or a band such as 1..3, of at most %d", f->name,
			      n->text, SEEDS_MAX);
	item->seed_low = band.low;
	item->seed_high = band.high;
	return 0;
}

static int read_sets(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_suite_item *item = into;
	if (n->n > SETS_MAX)
		return ks_bad(r, n, "%zu entries in '%s', expected at most %d", n->n, f->name, SETS_MAX);
	if (!n->n)
		return 0;
	item->sets = ks_alloc(n->n, sizeof *item->sets);
	if (!item->sets)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		if (!ks_want(r, c, KS_TREE_TEXT, c->key, "a single value"))
			return -1;
		int len = snprintf(item->sets[item->nsets], sizeof *item->sets, "%s=%s", c->key, c->text);
		if (strchr(c->key, '=') || len < 0 || (size_t)len >= sizeof *item->sets)
			return ks_bad_key(r, c, "bad path '%s', expected PATH: VALUE of at most 254 bytes, without '='",
					  c->key);
		item->nsets++;
	}
	return 0;
}

static int read_tags(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_suite_item *item = into;
	if (!n->n)
		return ks_bad(r, n, "'%s' is empty, expected at least one tag", f->name);
	item->tags = ks_alloc(n->n, sizeof *item->tags);
	if (!item->tags)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		if (!ks_want(r, c, KS_TREE_TEXT, "a tag", "a word"))
			return -1;
		if (!*c->text || strlen(c->text) >= sizeof *item->tags)
			return ks_bad(r, c, "bad tag '%s', expected a word of at most %zu bytes", c->text, sizeof *item->tags - 1);
		strcpy(item->tags[item->ntags++], c->text);
	}
	return 0;
}

static int read_memory(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_suite_item *item = into;
	if (ks_size_parse(n->text, &item->memory) || item->memory < KS_MEMORY_MIN)
		return ks_bad(r, n, "bad %s '%s', expected a size of at least 1MiB, such as 512MiB", f->name, n->text);
	return 0;
}

static const struct ks_field item_fields[] = {
	{.name = "scenario", .help = "its name, or its path below the folder of scenarios", .read = ks_read_text,
	 KS_AT(struct ks_suite_item, scenario)},
	{.name = "tags", .help = "instead of 'scenario': every scenario of the library with one of these", .kinds = KS_TREE_LIST,
	 .read = read_tags},
	{.name = "generators", .help = "as on the command line; default: as the caller asks", .kinds = KS_TREE_LIST,
	 .read = read_generators},
	{.name = "worlds", .help = "default: as the caller asks", .def = "auto",
	 .accepts = "auto, or a list of sim faketime qemu", .kinds = KS_TREE_TEXT | KS_TREE_LIST,
	 .read = ks_read_worlds, KS_AT(struct ks_suite_item, worlds)},
	{.name = "seeds", .help = "a run each", .def = "1", .accepts = "a number or a band such as 1..3",
	 .read = read_seeds},
	{.name = "set", .help = "changes to the scenario, as --set on the command line", .def = "{}",
	 .kinds = KS_TREE_MAP, .read = read_sets},
	{.name = "timeout", .help = "of a run; what takes longer could not be judged; default: as the caller asks",
	 .read = ks_read_number, KS_AT(struct ks_suite_item, timeout_ns), .type = KS_OPT_DUR, .min = 1, .max = 365 * KS_DAY},
	{.name = "memory", .help = "of a run, for records and for judging them; default: as the caller asks",
	 .accepts = "a size such as 512MiB", .read = read_memory},
	{0},
};

static int read_item(struct ks_reader *r, const struct ks_tree *n, struct ks_suite_item *item)
{
	item->mark = n->mark;
	if (!ks_want(r, n, KS_TREE_MAP, "a run", "a mapping such as {scenario: steady, seeds: 1..3}"))
		return -1;
	if (!ks_tree_get(n, "scenario") && !ks_tree_get(n, "tags"))
		return ks_bad(r, n, "a run without 'scenario' or 'tags'");
	if (ks_tree_get(n, "scenario") && ks_tree_get(n, "tags"))
		return ks_bad_key(r, ks_tree_get(n, "tags"), "'tags' beside 'scenario', expected one of them");
	return ks_fields_read(r, n, item_fields, item);
}

static int read_runs(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_suite *suite = into;
	if (!n->n || n->n > RUNS_MAX)
		return ks_bad(r, n, "%zu %s, expected 1..%d", n->n, f->name, RUNS_MAX);
	suite->item = ks_alloc(n->n, sizeof *suite->item);
	if (!suite->item)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next)
		if (read_item(r, c, &suite->item[suite->n++]))
			return -1;
	return 0;
}

static const char *const rotations[] = {"none", "daily", NULL};
static const struct ks_field suite_fields[] = {
	{.name = "keyskew", .help = "version of the format", .accepts = "1", .read = ks_read_version},
	{.name = "suite", .help = "its name", .read = ks_read_name, KS_AT(struct ks_suite, name)},
	{.name = "title", .help = "what it is for, in one line", .read = ks_read_text, KS_AT(struct ks_suite, title)},
	{.name = "require", .help = "worlds that must be able to run; the absence of one is a failure", .def = "[]",
	 .accepts = "a list of sim faketime qemu", .kinds = KS_TREE_TEXT | KS_TREE_LIST, .read = ks_read_worlds,
	 KS_AT(struct ks_suite, require)},
	{.name = "budget", .help = "of the host's time; runs that have not begun when it is used up are untested", .read = ks_read_number,
	 KS_AT(struct ks_suite, budget_ns), .type = KS_OPT_DUR, .min = 1, .max = 365 * KS_DAY},
	{.name = "rotating_seed", .help = "daily: runs of sim get one seed more, the date in UTC (20260115) or --rotating-seed", .def = "none",
	 .read = ks_read_word, KS_AT(struct ks_suite, rotating_seed), .words = rotations},
	{.name = "runs", .help = "what is run, in this order", .kinds = KS_TREE_LIST, .read = read_runs},
	{0},
};

static int interpret(struct ks_reader *r, const struct ks_tree *root)
{
	if (!ks_want(r, root, KS_TREE_MAP, "the file", "a mapping that begins with 'keyskew: 1'"))
		return -1;
	static const char *const needed[] = {"keyskew", "suite", "runs"};
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (!ks_tree_get(root, needed[i]))
			return ks_bad(r, root, "a suite without '%s'", needed[i]);
	return ks_fields_read(r, root, suite_fields, r->suite);
}

int ks_suite_parse(const char *text, size_t len, const char *name, struct ks_suite *suite, struct ks_err *err)
{
	struct ks_reader r = {.file = suite->file, .suite = suite, .err = err};
	*suite = (struct ks_suite){0};
	snprintf(suite->file, sizeof suite->file, "%s", name);
	struct ks_tree *root = ks_tree_parse(text, len, suite->file, err);
	if (!root)
		return -1;
	int failed = interpret(&r, root);
	ks_tree_free(root);
	if (failed)
		ks_suite_release(suite);
	return failed;
}

int ks_suite_load(const char *path, struct ks_suite *suite, struct ks_err *err)
{
	char *text;
	size_t len;
	*suite = (struct ks_suite){0};
	if (ks_tree_slurp(path, &text, &len, err))
		return -1;
	int failed = ks_suite_parse(text, len, path, suite, err);
	ks_free(text);
	return failed;
}

void ks_suite_release(struct ks_suite *suite)
{
	for (size_t i = 0; i < suite->n; i++) {
		ks_free(suite->item[i].generators);
		ks_free(suite->item[i].sets);
		ks_free(suite->item[i].tags);
	}
	ks_free(suite->item);
	*suite = (struct ks_suite){0};
}

int ks_file_is_suite(const char *path, struct ks_err *err)
{
	char *text;
	size_t len;
	if (ks_tree_slurp(path, &text, &len, err))
		return -1;
	struct ks_tree *root = ks_tree_parse(text, len, path, err);
	ks_free(text);
	if (!root)
		return -1;
	int is = ks_tree_get(root, "suite") != NULL;
	ks_tree_free(root);
	return is;
}

void ks_suite_reference(FILE *out)
{
	ks_fields_print(out, "", "Suites: a file with `suite:`", suite_fields);
	ks_fields_print(out, "runs[]", "`runs` of a suite: each of the list", item_fields);
}
