/* Faults: their kinds and their reading. */
#include <string.h>

#include "fields.h"
#include "ks_mem.h"

/* One line a kind. Those of the design that are not carried yet are here to be refused by name. */
const struct ks_fault_kind ks_fault_kinds[] = {
	{"step", "moves the wall clock at once; positive: later", KS_FAULT_STEP, KS_OPT_DUR, -KS_SPAN_MAX,
	 KS_SPAN_MAX, "realtime tai"},
	{"drift", "sets the error of the oscillator from then on; positive: faster", KS_FAULT_DRIFT, KS_OPT_PPB,
	 -KS_DRIFT_MAX_PPB, KS_DRIFT_MAX_PPB, "realtime monotonic raw boottime tai"},
	{.name = "slew", .title = "bends the rate of the disciplined clocks for a while", .op = -1},
	{.name = "smear", .title = "bends the rate of the clock around a leap second", .op = -1},
	{.name = "leap", .title = "inserts or deletes a second after midnight", .op = -1},
	{.name = "jitter", .title = "moves the wall clock to and fro at random", .op = -1},
	{.name = "strobe", .title = "moves the wall clock to and fro", .op = -1},
	{.name = "freeze", .title = "holds clocks", .op = -1},
	{.name = "coarse", .title = "floors each clock to a tick", .op = -1},
	{.name = "rtc-reset", .title = "sets the battery-backed clock", .op = -1},
	{.name = "suspend", .title = "stops the machine for a while", .op = -1},
	{.name = "pause", .title = "stops a thread for a while", .op = -1},
	{.name = "stop-world", .title = "stops all threads of a process for a while", .op = -1},
	{.name = "restart", .title = "ends a process or a node and begins it anew", .op = -1},
	{.name = "snapshot", .title = "keeps the state of a node", .op = -1},
	{.name = "clone", .title = "starts a new node from a snapshot", .op = -1},
	{.name = "rollback", .title = "puts a node back to a snapshot", .op = -1},
	{.name = "cpu-skew", .title = "sets the clocks of a node's cores apart", .op = -1},
	{0},
};
#define KINDS_MAX 32

const struct ks_fault_kind *ks_fault_kind_find(const char *name)
{
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

/* --- one fault --- */

/* A fault while it is read. */
struct draft {
	struct ks_fault fault;
	bool hit[KS_NODES_MAX];
	bool by_node;
};

static int read_at(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct draft *d = into;
	const char *why = NULL;
	if (!strchr(n->text, 'T'))
		return ks_read_number(r, n, f, into);
	int64_t unix_ns;
	if (ks_utc_parse(n->text, &unix_ns, &why))
		return ks_bad(r, n, "bad %s '%s', expected %s", f->name, n->text, why);
	d->fault.at_ns = unix_ns - r->plan->start_unix_ns;
	if (d->fault.at_ns < 0)
		return ks_bad(r, n, "'%s' lies before the start", n->text);
	return 0;
}

static int unknown_node(struct ks_reader *r, const struct ks_tree *n)
{
	const char **names = ks_alloc(r->plan->nodes, sizeof *names);
	if (!names)
		return ks_no_memory(r);
	for (uint32_t i = 0; i < r->plan->nodes; i++)
		names[i] = r->plan->node[i].name;
	ks_unknown(r, n, false, "node", names, r->plan->nodes);
	ks_free(names);
	return -1;
}

static int hit_node(struct ks_reader *r, const struct ks_tree *n, struct draft *d)
{
	if (!ks_want(r, n, KS_TREE_TEXT, "node", "a name"))
		return -1;
	int i = ks_plan_node_find(r->plan, n->text);
	if (i < 0)
		return unknown_node(r, n);
	if (d->hit[i])
		return ks_bad(r, n, "node '%s' is given twice", n->text);
	d->hit[i] = true;
	return 0;
}

static int read_node(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct draft *d = into;
	d->by_node = true;
	if (n->kind == KS_TREE_TEXT)
		return hit_node(r, n, d);
	if (!n->n)
		return ks_bad(r, n, "'%s' is an empty list, expected at least one name", f->name);
	for (const struct ks_tree *c = n->first; c; c = c->next)
		if (hit_node(r, c, d))
			return -1;
	return 0;
}

static int unknown_zone(struct ks_reader *r, const struct ks_tree *n)
{
	const char *names[64];
	size_t count = 0;
	for (uint32_t i = 0; i < r->plan->nodes && count < 64; i++) {
		bool seen = !*r->plan->node[i].zone;
		for (size_t j = 0; j < count; j++)
			seen = seen || !strcmp(names[j], r->plan->node[i].zone);
		if (!seen)
			names[count++] = r->plan->node[i].zone;
	}
	if (!count)
		return ks_bad(r, n, "unknown zone '%s', no node names a zone", n->text);
	return ks_unknown(r, n, false, "zone", names, count);
}

static int read_zone(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct draft *d = into;
	bool any = false;
	if (d->by_node)
		return ks_bad_key(r, n, "'zone' beside 'node', expected one of them");
	if (ks_read_name(r, n, f, into))
		return -1;
	for (uint32_t i = 0; i < r->plan->nodes; i++)
		if (!strcmp(r->plan->node[i].zone, n->text))
			any = d->hit[i] = true;
	return any ? 0 : unknown_zone(r, n);
}

static const struct ks_field fault_fields[] = {
	{.name = "name", .help = "its name; default KIND-N, N its number in the file", .read = ks_read_name,
	 KS_AT(struct draft, fault.name)},
	{.name = "at", .help = "when, since the start, or as UTC time", .def = "0s",
	 .accepts = "a duration since the start, or a UTC time", .read = read_at, KS_AT(struct draft, fault.at_ns),
	 .type = KS_OPT_DUR, .max = KS_SPAN_MAX},
	{.name = "node", .help = "whom it hits; default: all nodes", .accepts = "a name or a list of names",
	 .kinds = KS_TREE_TEXT | KS_TREE_LIST, .read = read_node},
	{.name = "zone", .help = "whom it hits: the nodes of a zone", .read = read_zone,
	 KS_AT(struct draft, fault.zone)},
	{.name = "for", .read = ks_read_not_carried},
	{.name = "period", .read = ks_read_not_carried},
	{.name = "process", .read = ks_read_not_carried},
	{.name = "thread", .read = ks_read_not_carried},
	{.name = "state", .read = ks_read_not_carried},
	{.name = "hz", .read = ks_read_not_carried},
	{.name = "wake_error", .read = ks_read_not_carried},
	{.name = "as", .read = ks_read_not_carried},
	{.name = "vmgenid", .read = ks_read_not_carried},
	{0},
};
#define NFIELDS (sizeof fault_fields / sizeof *fault_fields - 1)

static int unknown_key(struct ks_reader *r, const struct ks_tree *at)
{
	const char *names[NFIELDS + KINDS_MAX];
	size_t n = 0;
	for (const struct ks_field *f = fault_fields; f->name; f++)
		if (f->read != ks_read_not_carried)
			names[n++] = f->name;
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++)
		names[n++] = k->name;
	return ks_unknown(r, at, true, "key", names, n);
}

static bool is_field(const char *name)
{
	for (const struct ks_field *f = fault_fields; f->name; f++)
		if (!strcmp(f->name, name))
			return true;
	return false;
}

/* The kind is the one key of the mapping that names a kind. */
static const struct ks_fault_kind *find_kind(struct ks_reader *r, const struct ks_tree *item)
{
	const struct ks_fault_kind *kind = NULL;
	for (const struct ks_tree *c = item->first; c; c = c->next) {
		const struct ks_fault_kind *k = ks_fault_kind_find(c->key);
		if (!k && !is_field(c->key)) {
			unknown_key(r, c);
			return NULL;
		}
		if (k && kind) {
			ks_bad_key(r, c, "a second kind '%s' beside '%s', expected one a fault", k->name, kind->name);
			return NULL;
		}
		if (k && k->op < 0) {
			ks_bad_key(r, c, "fault '%s' is not carried yet", k->name);
			return NULL;
		}
		kind = k ? k : kind;
	}
	if (!kind)
		ks_bad(r, item, "a fault without a kind, expected one such as 'step: -120ms' or 'drift: 50ppm'");
	return kind;
}

/* `step: to-true` is a word in place of a number. */
static int read_amount(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	if (!strcmp(n->text, "to-true"))
		return ks_bad(r, n, "%s '%s' is not carried yet", f->name, n->text);
	return ks_read_number(r, n, f, into);
}

static int read_draft(struct ks_reader *r, const struct ks_tree *item, struct draft *d)
{
	const struct ks_fault_kind *kind = find_kind(r, item);
	struct ks_field table[NFIELDS + 2];
	if (!kind)
		return -1;
	memcpy(table, fault_fields, sizeof fault_fields);
	table[NFIELDS] = (struct ks_field){.name = kind->name, .read = read_amount, KS_AT(struct draft, fault.amount),
	                                   .type = kind->type, .min = kind->min, .max = kind->max};
	table[NFIELDS + 1] = (struct ks_field){0};
	d->fault.kind = kind;
	d->fault.mark = item->mark;
	return ks_fields_read(r, item, table, d);
}

/* Moves the draft into the plan, with the list of whom it hits. */
static int add_fault(struct ks_reader *r, struct draft *d)
{
	struct ks_plan *plan = r->plan;
	struct ks_fault *f = &d->fault;
	bool all = !d->by_node && !*f->zone;
	f->everywhere = all;
	for (uint32_t i = 0; i < plan->nodes; i++) {
		d->hit[i] = d->hit[i] || all;
		f->nnodes += d->hit[i];
	}
	f->nodes = ks_alloc(f->nnodes, sizeof *f->nodes);
	if (!f->nodes)
		return ks_no_memory(r);
	for (uint32_t i = 0, n = 0; i < plan->nodes; i++)
		if (d->hit[i])
			f->nodes[n++] = i;
	plan->fault[plan->faults++] = *f;
	return 0;
}

static int read_fault(struct ks_reader *r, const struct ks_tree *item)
{
	struct draft d = {0};
	if (!ks_want(r, item, KS_TREE_MAP, "a fault", "a mapping such as {at: 10s, node: n2, step: -120ms}") ||
	    read_draft(r, item, &d))
		return -1;
	for (size_t i = 0; i < r->plan->faults; i++)
		if (!strcmp(r->plan->fault[i].name, d.fault.name))
			return ks_bad(r, item, "a second fault '%s'", d.fault.name);
	return add_fault(r, &d);
}

int ks_read_faults(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	if (n->n > KS_FAULTS_MAX)
		return ks_bad(r, n, "%zu %s, expected at most %d", n->n, f->name, KS_FAULTS_MAX);
	if (!n->n)
		return 0;
	plan->fault = ks_alloc(n->n, sizeof *plan->fault);
	if (!plan->fault)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next)
		if (read_fault(r, c))
			return -1;
	return 0;
}

int ks_faults_normalise(struct ks_tree *root)
{
	struct ks_tree *faults = ks_tree_get(root, "faults");
	size_t i = 0;
	for (struct ks_tree *c = faults && faults->kind == KS_TREE_LIST ? faults->first : NULL; c; c = c->next) {
		char name[KS_NAME_MAX];
		const struct ks_tree *k = c->kind == KS_TREE_MAP ? c->first : NULL;
		i++;
		while (k && !ks_fault_kind_find(k->key))
			k = k->next;
		snprintf(name, sizeof name, "%s-%zu", k ? k->key : "", i);
		if (k && !ks_tree_get(c, "name") && ks_tree_put_default(c, "name", name))
			return -1;
	}
	return 0;
}

void ks_faults_print(FILE *out)
{
	char accepts[160];
	ks_fields_print(out, "faults[]", fault_fields);
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++) {
		const struct ks_opt o = {.type = k->type, .min = k->min, .max = k->max};
		if (k->op < 0)
			continue;
		fprintf(out, "faults[].%-13s %s\n", k->name, k->title);
		fprintf(out, "%-22s accepts %s; moves %s\n", "", ks_opt_accepts(&o, accepts, sizeof accepts), k->moves);
	}
}
