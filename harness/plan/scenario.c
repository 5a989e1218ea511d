/* A scenario file: its outermost keys, and how the parts come together. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "ks_mem.h"

/* --- workload --- */

static const char *const arrivals[] = {"regular", "poisson", "burst", NULL};
static const char *const models[] = {"open", "closed", NULL};
static const char *const on_refuse[] = {"drop", "retry", NULL};

#define USER_MAX (INT64_C(1) << 53)
#define DEPTH_MAX 64

static int read_range(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, int64_t *low,
                      int64_t *high)
{
	struct ks_band band;
	if (ks_parse_band(r, n, f->name, &band))
		return -1;
	if (band.is_time || band.low < f->min || band.high > f->max)
		return ks_bad(r, n, "bad %s '%s', expected a band within %lld..%lld", f->name, n->text,
			      (long long)f->min, (long long)f->max);
	*low = band.low;
	*high = band.high;
	return 0;
}

static int read_user(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	return read_range(r, n, f, &plan->user_low, &plan->user_high);
}

static int read_depth(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	return read_range(r, n, f, &plan->depth_low, &plan->depth_high);
}

static const struct ks_field context_fields[] = {
	{.name = "user", .help = "whom a call is about", .def = "1..1000", .accepts = "a band within 0..2^53",
	 .read = read_user, .max = USER_MAX},
	{.name = "depth", .help = "of nesting", .def = "0..6", .accepts = "a band within 0..64", .read = read_depth,
	 .max = DEPTH_MAX},
	{0},
};

static int add_mail_node(struct ks_reader *r, const struct ks_tree *n, struct ks_node_set *set, const char *what)
{
	if (!ks_want(r, n, KS_TREE_TEXT, what, "the name of a node"))
		return -1;
	int node = ks_plan_node_find(r->plan, n->text);
	if (node < 0)
		return ks_unknown_node(r, n);
	uint32_t at = set->n;
	if (ks_node_set_has(set, (uint32_t)node))
		return ks_bad(r, n, "node '%s' is given twice", n->text);
	for (; at && set->v[at - 1] > (uint32_t)node; at--)
		set->v[at] = set->v[at - 1];
	set->v[at] = (uint32_t)node;
	set->n++;
	return 0;
}

/* A name, a list of names, or all: a node that has this name comes first. */
static int read_mail_nodes(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_node_set *set = (struct ks_node_set *)(void *)((char *)into + f->offset);
	ks_free(set->v);
	*set = (struct ks_node_set){.v = ks_alloc(r->plan->nodes, sizeof *set->v)};
	if (!set->v)
		return ks_no_memory(r);
	if (n->kind == KS_TREE_LIST && !n->n)
		return ks_bad(r, n, "'%s' is empty, expected a node", f->name);
	if (n->kind == KS_TREE_TEXT && !strcmp(n->text, "all") && ks_plan_node_find(r->plan, "all") < 0) {
		for (; set->n < r->plan->nodes; set->n++)
			set->v[set->n] = set->n;
		return 0;
	}
	if (n->kind == KS_TREE_TEXT)
		return add_mail_node(r, n, set, f->name);
	for (const struct ks_tree *c = n->first; c; c = c->next)
		if (add_mail_node(r, c, set, f->name))
			return -1;
	return 0;
}

/* The fleet's node of that number, unless some were named. */
static int default_mail_node(struct ks_reader *r, struct ks_node_set *set, uint32_t node)
{
	if (set->v)
		return 0;
	*set = (struct ks_node_set){.v = ks_alloc(1, sizeof *set->v), .n = 1};
	if (!set->v)
		return ks_no_memory(r);
	*set->v = node;
	return 0;
}

static const struct ks_field message_fields[] = {
	{.name = "rate", .help = "how many a second from each node that sends, shared by its threads", .def = "10/s", .accepts = "a rate such as 10/s",
	 .read = ks_read_rate, KS_AT(struct ks_plan, mail.rate)},
	{.name = "from", .help = "which nodes send the key that a thread was given last; default: the first",
	 .accepts = "a name, a list of names, or all", .kinds = KS_TREE_TEXT | KS_TREE_LIST, .read = read_mail_nodes,
	 KS_AT(struct ks_plan, mail.from)},
	{.name = "to", .help = "which node gets it, of several one after another: the thread of the same number merges it, and its next "
	                       "call is caused by it; default: the second", .accepts = "a name, a list of names, or all",
	 .kinds = KS_TREE_TEXT | KS_TREE_LIST, .read = read_mail_nodes, KS_AT(struct ks_plan, mail.to)},
	{0},
};

static int read_messages(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	struct ks_node_set *from = &plan->mail.from, *to = &plan->mail.to;
	if (plan->nodes < 2)
		return ks_bad(r, n, "messages in a fleet of one node, expected at least two");
	if (ks_fields_read(r, n, f->table, plan) || default_mail_node(r, from, 0) || default_mail_node(r, to, 1))
		return -1;
	if (to->n == 1 && ks_node_set_has(from, *to->v))
		return ks_bad(r, n, "messages from node '%s' to itself", plan->node[*to->v].name);
	return 0;
}

static const struct ks_field workload_fields[] = {
	{.name = "rate", .help = "calls of a node, shared by its threads", .def = "1000/s",
	 .accepts = "a rate such as 1000/s", .read = ks_read_rate, KS_AT(struct ks_plan, load.rate)},
	{.name = "phase", .help = "by how much every call is due later; off the ticks, jitter of real worlds crosses none",
	 .def = "0s", .read = ks_read_number, KS_AT(struct ks_plan, load.phase_ns), .type = KS_OPT_DUR, .min = 0,
	 .max = KS_HOUR},
	{.name = "arrival", .help = "when calls fall due; a burst is of 10", .def = "regular", .read = ks_read_word,
	 KS_AT(struct ks_plan, load.arrival), .words = arrivals},
	{.name = "model", .help = "open: late calls queue; closed: a caller wishes for the next one an interval after it had the one before", .def = "open",
	 .read = ks_read_word, KS_AT(struct ks_plan, load.model), .words = models},
	{.name = "on_refuse", .help = "what a caller does when it gets no key; a retry comes 1ms later", .def = "drop",
	 .read = ks_read_word, KS_AT(struct ks_plan, load.on_refuse), .words = on_refuse},
	{.name = "context", .help = "what calls are about", .def = "{}", .kinds = KS_TREE_MAP, .read = ks_read_map,
	 .table = context_fields},
	{.name = "messages", .help = "keys that nodes send to each other; default: none", .kinds = KS_TREE_MAP, .read = read_messages,
	 .table = message_fields},
	{0},
};

/* --- capture --- */

static const struct ks_field capture_fields[] = {
	{.name = "unusual", .help = "the wall clock moving by more against the monotonic one is unusual", .def = "10ms", .read = ks_read_number,
	 KS_AT(struct ks_plan, capture.unusual_ns), .type = KS_OPT_DUR, .min = 1, .max = KS_DAY},
	{.name = "jump", .help = "and by more than this a jump", .def = "500ms", .read = ks_read_number,
	 KS_AT(struct ks_plan, capture.jump_ns), .type = KS_OPT_DUR, .min = 1, .max = KS_DAY},
	{.name = "calls", .help = "so many calls that set the clock within a minute are suspicious", .def = "5", .read = ks_read_number,
	 KS_AT(struct ks_plan, capture.calls), .type = KS_OPT_INT, .min = 1, .max = 1000000},
	{.name = "stretch", .help = "the monotonic clock moving by more between two readings 1ms apart is a stretch", .def = "10ms", .read = ks_read_number,
	 KS_AT(struct ks_plan, capture.stretch_ns), .type = KS_OPT_DUR, .min = 1, .max = KS_HOUR},
	{0},
};

static int read_capture(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	plan->capture.on = 1;
	return ks_fields_read(r, n, f->table, plan);
}

/* --- the outermost keys --- */

static int read_tags(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	if (n->n > sizeof plan->tags / sizeof *plan->tags)
		return ks_bad(r, n, "%zu %s, expected at most %zu", n->n, f->name,
			      sizeof plan->tags / sizeof *plan->tags);
	for (const struct ks_tree *c = n->first; c; c = c->next)
		if (!ks_want(r, c, KS_TREE_TEXT, "a tag", "a word") ||
		    ks_parse_name(r, c, "tag", plan->tags[plan->ntags++], KS_NAME_MAX))
			return -1;
	return 0;
}

static int read_plan_worlds(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	if (n->kind == KS_TREE_LIST && !n->n)
		return ks_bad(r, n, "'%s' is empty, expected auto or a list of worlds", f->name);
	if (ks_read_worlds(r, n, f, into))
		return -1;
	plan->worlds_auto = !plan->worlds;
	if (plan->worlds_auto)
		plan->worlds = (1u << KS_NWORLDS) - 1;
	return 0;
}

static int read_require(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	if (ks_read_worlds(r, n, f, into))
		return -1;
	unsigned missing = plan->require & ~plan->worlds;
	for (int i = 0; i < KS_NWORLDS; i++)
		if (missing >> i & 1)
			return ks_bad(r, n, "world '%s' is required, but not under 'worlds'", ks_world_names[i]);
	return 0;
}

static const struct ks_field reported_fields[] = {
	{.name = "what", .help = "the claim, in words", .read = ks_read_text, KS_AT(struct ks_plan, reported)},
	{.name = "of", .help = "the generator that it is about; default: every one", .read = ks_read_text,
	 KS_AT(struct ks_plan, figures.generator)},
	{.name = "figures", .help = "its figures: bands by metric or damage, measured beside it", .kinds = KS_TREE_MAP,
	 .read = ks_read_figures},
	{0},
};

static const struct ks_field plan_fields[] = {
	{.name = "keyskew", .help = "version of the format; the one key that a file must have", .accepts = "1",
	 .read = ks_read_version},
	{.name = "title", .help = "what happens, in one line; default: the name of the file", .read = ks_read_text,
	 KS_AT(struct ks_plan, title)},
	{.name = "source", .help = "where it comes from", .read = ks_read_text, KS_AT(struct ks_plan, source)},
	{.name = "tags", .help = "words to select it by", .kinds = KS_TREE_LIST, .read = read_tags},
	{.name = "start", .help = "the true time that 0s is", .def = "2026-01-15T10:00:00Z",
	 .accepts = "a UTC time such as 2026-01-15T10:00:00Z", .read = ks_read_utc,
	 KS_AT(struct ks_plan, start_unix_ns)},
	{.name = "duration", .help = "of the run; default: 10s after the last fault", .read = ks_read_number,
	 KS_AT(struct ks_plan, duration_ns), .type = KS_OPT_DUR, .min = 1, .max = KS_SPAN_MAX},
	{.name = "worlds", .help = "where it may run; auto: in all that can carry it and that the caller asks for",
	 .def = "auto", .accepts = "auto, or a list of sim faketime qemu", .kinds = KS_TREE_TEXT | KS_TREE_LIST,
	 .read = read_plan_worlds, KS_AT(struct ks_plan, worlds)},
	{.name = "require", .help = "worlds whose absence is a failure", .def = "[]",
	 .accepts = "a list of sim faketime qemu", .kinds = KS_TREE_LIST, .read = read_require,
	 KS_AT(struct ks_plan, require)},
	{.name = "fleet", .help = "the nodes; `fleet: 3` is `fleet: {nodes: 3}`", .def = "{}", .kinds = KS_TREE_MAP,
	 .accepts = "a number of nodes or a mapping", .read = ks_read_fleet, .table = ks_fleet_fields},
	{.name = "workload", .help = "the calls", .def = "{}", .kinds = KS_TREE_MAP, .read = ks_read_map,
	 .table = workload_fields},
	{.name = "faults", .help = "what happens to clocks, nodes, processes and threads", .def = "[]",
	 .kinds = KS_TREE_LIST, .read = ks_read_faults},
	{.name = "consumers", .help = "downstream models, by name, with their options", .def = "{}",
	 .kinds = KS_TREE_MAP, .read = ks_read_consumers},
	{.name = "capture", .help = "what sets or moves the clock of a guest, as its kernel sees it; default: none; {}: with these thresholds",
	 .kinds = KS_TREE_MAP, .read = read_capture, .table = capture_fields},
	{.name = "reported", .help = "what a report claims: printed beside what is measured, decides nothing", .def = "{}",
	 .kinds = KS_TREE_MAP, .read = ks_read_map, .table = reported_fields},
	{.name = "expect", .help = "expectations, by generator; other: those not named, {claims: kept} unless given",
	 .def = "{}", .kinds = KS_TREE_MAP, .read = ks_read_expect},
	{0},
};

void ks_plan_reference(FILE *out)
{
	ks_fields_print(out, "", "A scenario", plan_fields);
	ks_clocks_print(out);
	ks_faults_print(out);
}

/* --- loading --- */

/* "a/b/steady.yaml" is steady, and of folder b. */
static int take_name(struct ks_plan *plan, const char *path, struct ks_err *err)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	size_t len = strlen(base);
	if (len > 9 && !strcmp(base + len - 9, ".gen.yaml"))
		return ks_fail(err, KS_E_USAGE, "%.500s: generator files are not carried yet", path);
	if (len > 5 && !strcmp(base + len - 5, ".yaml"))
		len -= 5;
	if (!len || len >= KS_NAME_MAX || !ks_text_is_clean(base, len))
		return ks_fail(err, KS_E_USAGE, "%.500s: bad file name, expected at most %d letters before .yaml", path,
		               KS_NAME_MAX - 1);
	memcpy(plan->name, base, len);
	snprintf(plan->file, sizeof plan->file, "%s", path);
	snprintf(plan->title, sizeof plan->title, "%s", plan->name);
	return 0;
}

static bool is_in_canary(const char *path)
{
	const char *slash = strrchr(path, '/'), *from = slash;
	if (!slash)
		return false;
	while (from > path && from[-1] != '/')
		from--;
	return slash - from == 6 && !strncmp(from, "canary", 6);
}

static int normalise(struct ks_reader *r, struct ks_tree *root)
{
	return ks_fleet_normalise(root) || ks_faults_normalise(root) ? ks_no_memory(r) : 0;
}

/* Defaults of names first, so that --set can address them; then what --set brought may lack them too. */
static int apply_sets(struct ks_reader *r, struct ks_tree *root, const struct ks_set *sets, size_t nsets)
{
	if (normalise(r, root))
		return -1;
	for (size_t i = 0; i < nsets; i++)
		if (ks_tree_set(root, &sets[i], r->err))
			return -1;
	return nsets ? normalise(r, root) : 0;
}

static int check_root(struct ks_reader *r, const struct ks_tree *root)
{
	if (!ks_want(r, root, KS_TREE_MAP, "the file", "a mapping that begins with 'keyskew: 1'"))
		return -1;
	if (ks_tree_get(root, "suite"))
		return ks_bad(r, root, "a suite, expected a scenario");
	if (ks_tree_get(root, "command") || ks_tree_get(root, "speaks"))
		return ks_bad(r, root, "generator files are not carried yet");
	if (!ks_tree_get(root, "keyskew"))
		return ks_bad(r, root, "no 'keyskew', expected 'keyskew: 1'");
	return 0;
}

static int interpret(struct ks_reader *r, struct ks_tree *root, const struct ks_set *sets, size_t nsets)
{
	if (check_root(r, root) || apply_sets(r, root, sets, nsets))
		return -1;
	if (ks_fields_read(r, root, plan_fields, r->plan) || ks_expect_finish(r))
		return -1;
	return ks_timeline_finish(r, root);
}

int ks_plan_parse(const char *text, size_t len, const char *name, const struct ks_set *sets, size_t nsets,
                  struct ks_plan *plan, struct ks_err *err)
{
	struct ks_reader r = {.file = plan->file, .plan = plan, .err = err};
	*plan = (struct ks_plan){0};
	if (take_name(plan, name, err))
		return -1;
	plan->canary = is_in_canary(name);
	struct ks_tree *root = ks_tree_parse(text, len, plan->file, err);
	if (!root)
		return -1;
	int failed = interpret(&r, root, sets, nsets);
	ks_tree_free(root);
	if (failed)
		ks_plan_release(plan);
	return failed;
}

int ks_plan_load(const char *path, const struct ks_set *sets, size_t nsets, struct ks_plan *plan, struct ks_err *err)
{
	char *text;
	size_t len;
	*plan = (struct ks_plan){0};
	if (ks_tree_slurp(path, &text, &len, err))
		return -1;
	int failed = ks_plan_parse(text, len, path, sets, nsets, plan, err);
	ks_free(text);
	if (failed)
		return -1;
	char *real = realpath(path, NULL); /* inside the folder, the path as given does not name it */
	plan->canary = plan->canary || (real && is_in_canary(real));
	free(real);
	return 0;
}

void ks_plan_release(struct ks_plan *plan)
{
	for (size_t i = 0; i < plan->faults; i++)
		ks_free(plan->fault[i].nodes);
	for (size_t i = 0; i < plan->groups; i++)
		ks_free(plan->group[i].v);
	ks_free(plan->fault);
	ks_free(plan->node);
	ks_free(plan->consumer);
	ks_free(plan->group);
	ks_free(plan->figures.v);
	ks_free(plan->mail.from.v);
	ks_free(plan->mail.to.v);
	*plan = (struct ks_plan){0};
}
