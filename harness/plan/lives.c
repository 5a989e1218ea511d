/* Faults of processes and threads that name something: snapshots and what is made of them, places inside a call. */
#include <string.h>

#include "fields.h"
#include "ks_mem.h"

/* --- places: "before clock", "after store 2", any, every --- */

static int find_point(const char *word, size_t len)
{
	for (int i = 0; ks_point_names[i]; i++)
		if (strlen(ks_point_names[i]) == len && !strncmp(ks_point_names[i], word, len))
			return i;
	return -1;
}

static bool parse_nth(const char *text, uint32_t *nth)
{
	*nth = 1;
	if (!*text)
		return true;
	for (*nth = 0; *text; text++) {
		if (*text < '0' || *text > '9' || *nth > 100000)
			return false;
		*nth = *nth * 10 + (uint32_t)(*text - '0');
	}
	return *nth > 0;
}

static int bad_point(struct ks_reader *r, const struct ks_tree *n, const char *word)
{
	const char *near = ks_nearest(word, ks_point_names, KS_NPOINTS);
	char list[128] = "";
	for (int i = 0; ks_point_names[i]; i++)
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? " " : "", ks_point_names[i]);
	return ks_bad(r, n, "unknown environment call '%.40s', expected one of %s%s%s%s", word, list, near ? "; did you mean '" : "",
	              near ? near : "", near ? "'" : "");
}

int ks_read_place(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_place *place = (struct ks_place *)((char *)into + f->offset);
	const char *text = n->text;
	bool any = !strcmp(text, "any"), every = !strcmp(text, "every"), before = !strncmp(text, "before ", 7);
	if (any || every) {
		place->side = any ? KS_PLACE_ANY : KS_PLACE_EVERY;
		return 0;
	}
	if (!before && strncmp(text, "after ", 6))
		return ks_bad(r, n, "bad %s '%s', expected %s", f->name, text, f->accepts);
	char word[64];
	const char *point = text + (before ? 7 : 6);
	size_t len = strcspn(point, " ");
	snprintf(word, sizeof word, "%.*s", (int)(len < 63 ? len : 63), point);
	int id = find_point(point, len);
	if (id < 0)
		return bad_point(r, n, word);
	place->side = before ? KS_PLACE_BEFORE : KS_PLACE_AFTER;
	place->point = (uint32_t)id;
	if (!parse_nth(point + len + (point[len] == ' '), &place->nth) || (point[len] && !point[len + 1]))
		return ks_bad(r, n, "bad %s '%s', expected %s", f->name, text, f->accepts);
	return 0;
}

const char *ks_place_format(const struct ks_place *p, char *buf, size_t size)
{
	if (p->side == KS_PLACE_ANY || p->side == KS_PLACE_EVERY)
		snprintf(buf, size, "%s", p->side == KS_PLACE_ANY ? "any" : "every");
	else if (p->nth == 1)
		snprintf(buf, size, "%s %s", p->side == KS_PLACE_BEFORE ? "before" : "after", ks_point_names[p->point]);
	else
		snprintf(buf, size, "%s %s %u", p->side == KS_PLACE_BEFORE ? "before" : "after", ks_point_names[p->point], p->nth);
	return buf;
}

/* A pause is placed when it says in which call, or where in one. */
int ks_place_check(struct ks_reader *r, const struct ks_tree *item, struct ks_fault *f)
{
	const struct ks_tree *call = ks_tree_get(item, "call"), *where = ks_tree_get(item, "where");
	const struct ks_tree *times = ks_tree_get(item, "times"), *thread = ks_tree_get(item, "thread");
	f->placed = call || where;
	f->place.world = f->kind->op == KS_FAULT_STOP_WORLD;
	if (!f->placed && times)
		return ks_bad_key(r, times, "'times' without 'call' or 'where', which place it inside calls");
	if (!f->placed && thread && f->place.world)
		return ks_bad_key(r, thread, "'thread' does not belong to a stop-world that is not placed inside a call");
	if (f->placed && times && f->place.side == KS_PLACE_EVERY)
		return ks_bad_key(r, times, "'times' beside 'where: every', which is as often as a call has places");
	if (f->placed && f->place.world && !thread)
		f->thread = 0;
	if (f->placed && !where)
		f->place = (struct ks_place){.side = KS_PLACE_BEFORE, .point = KS_AT_CALL, .nth = 1, .call = f->place.call,
		                             .times = f->place.times, .world = f->place.world};
	return 0;
}

/* --- clones: nodes that begin later --- */

static bool is_text(const struct ks_tree *n)
{
	return n && n->kind == KS_TREE_TEXT;
}

static int add_clone(struct ks_reader *r, const struct ks_tree *as)
{
	struct ks_plan *p = r->plan;
	char name[KS_NAME_MAX] = "";
	uint64_t threads = ((uint64_t)p->nodes + 1) * p->processes * p->threads;
	if (ks_parse_name(r, as, "as", name, sizeof name))
		return -1;
	if (ks_plan_node_find(p, name) >= 0)
		return ks_bad(r, as, "a second node '%s'", name);
	if (p->nodes == KS_NODES_MAX || threads > KS_THREADS_MAX)
		return ks_bad(r, as, "a clone beyond %d nodes or %d threads", KS_NODES_MAX, KS_THREADS_MAX);
	struct ks_plan_node *grown = ks_grow(p->node, p->nodes, p->nodes + 1, sizeof *grown);
	if (!grown)
		return ks_no_memory(r);
	p->node = grown;
	p->node[p->nodes] = (struct ks_plan_node){.clone = true};
	memcpy(p->node[p->nodes].name, name, sizeof name);
	p->nodes++;
	p->clones++;
	return 0;
}

int ks_clones_announce(struct ks_reader *r, const struct ks_tree *list)
{
	for (const struct ks_tree *c = list->first; c; c = c->next) {
		const struct ks_tree *as = c->kind == KS_TREE_MAP && ks_tree_get(c, "clone") ? ks_tree_get(c, "as") : NULL;
		if (is_text(as) && add_clone(r, as))
			return -1;
	}
	return 0;
}

bool ks_fault_has_label(const struct ks_fault_kind *kind)
{
	return kind->op == KS_FAULT_SNAPSHOT || kind->op == KS_FAULT_CLONE || kind->op == KS_FAULT_ROLLBACK;
}

static const struct ks_fault *snapshot_of(struct ks_reader *r, const struct ks_tree *at, const char *label)
{
	const struct ks_plan *p = r->plan;
	const char *names[KS_FAULTS_MAX];
	size_t n = 0;
	for (size_t i = 0; i < p->faults; i++) {
		if (p->fault[i].kind->op != KS_FAULT_SNAPSHOT)
			continue;
		if (!strcmp(p->fault[i].label, label))
			return &p->fault[i];
		names[n++] = p->fault[i].label;
	}
	if (n)
		ks_unknown(r, at, false, "snapshot", names, n);
	else
		ks_bad(r, at, "unknown snapshot '%s', no fault takes one", label);
	return NULL;
}

static int check_snapshot(struct ks_reader *r, const struct ks_tree *item, struct ks_fault *f, size_t index)
{
	const struct ks_plan *p = r->plan;
	if (f->nnodes != 1)
		return ks_bad(r, item, "a snapshot of %u nodes, expected 'node' with the one that it keeps", f->nnodes);
	f->amount = 0;
	for (size_t i = 0; i < index; i++) {
		if (p->fault[i].kind->op == KS_FAULT_SNAPSHOT && !strcmp(p->fault[i].label, f->label))
			return ks_bad(r, ks_tree_get(item, "snapshot"), "a second snapshot '%s'", f->label);
		f->amount += p->fault[i].kind->op == KS_FAULT_SNAPSHOT;
	}
	return 0;
}

static int check_after(struct ks_reader *r, const struct ks_tree *item, const struct ks_fault *f, const struct ks_fault *snapshot)
{
	char at[KS_TIME_TEXT], taken[KS_TIME_TEXT];
	if (f->at_ns > snapshot->at_ns)
		return 0;
	return ks_bad(r, item, "fault '%s' at %s does not come after snapshot '%s', which is taken at %s", f->name,
	              ks_dur_format(at, f->at_ns), f->label, ks_dur_format(taken, snapshot->at_ns));
}

/* The node is like the one that the snapshot is of. */
static void make_clone(struct ks_plan *p, struct ks_fault *f, uint32_t of)
{
	struct ks_plan_node *n = &p->node[ks_plan_node_find(p, f->as)];
	char name[KS_NAME_MAX];
	memcpy(name, n->name, sizeof name);
	*n = p->node[of];
	memcpy(n->name, name, sizeof name);
	n->clone = true;
	n->born_ns = f->at_ns;
	f->nodes[0] = (uint32_t)(n - p->node);
	f->nnodes = 1;
	f->everywhere = false;
}

static int make_rollback(struct ks_reader *r, const struct ks_tree *item, struct ks_fault *f, uint32_t of)
{
	const struct ks_tree *node = ks_tree_get(item, "node");
	if (node && (f->nnodes != 1 || f->nodes[0] != of))
		return ks_bad(r, node, "snapshot '%s' is of node '%s', expected that or nothing", f->label, r->plan->node[of].name);
	f->nodes[0] = of;
	f->nnodes = 1;
	f->everywhere = false;
	return 0;
}

static int resolve(struct ks_reader *r, const struct ks_tree *item, struct ks_fault *f)
{
	if (f->kind->op != KS_FAULT_CLONE && f->kind->op != KS_FAULT_ROLLBACK)
		return 0;
	const struct ks_fault *snapshot = snapshot_of(r, ks_tree_get(item, f->kind->name), f->label);
	if (!snapshot || check_after(r, item, f, snapshot))
		return -1;
	f->amount = snapshot->amount;
	if (f->kind->op == KS_FAULT_ROLLBACK)
		return make_rollback(r, item, f, snapshot->nodes[0]);
	make_clone(r->plan, f, snapshot->nodes[0]);
	return 0;
}

/* Nobody can do anything to a node that is not there yet. */
static int check_born(struct ks_reader *r, const struct ks_tree *item, const struct ks_fault *f)
{
	char at[KS_TIME_TEXT];
	for (uint32_t i = 0; !f->everywhere && !*f->zone && i < f->nnodes; i++) {
		const struct ks_plan_node *n = &r->plan->node[f->nodes[i]];
		if (n->clone && f->at_ns < n->born_ns)
			return ks_bad(r, ks_tree_get(item, "node"), "node '%s' is not there before %s", n->name, ks_dur_format(at, n->born_ns));
	}
	return 0;
}

int ks_lives_finish(struct ks_reader *r, const struct ks_tree *list)
{
	struct ks_plan *p = r->plan;
	size_t i = 0;
	for (const struct ks_tree *c = list->first; c; c = c->next, i++)
		if (p->fault[i].kind->op == KS_FAULT_SNAPSHOT && check_snapshot(r, c, &p->fault[i], i))
			return -1;
	i = 0;
	for (const struct ks_tree *c = list->first; c; c = c->next, i++)
		if (resolve(r, c, &p->fault[i]))
			return -1;
	i = 0;
	for (const struct ks_tree *c = list->first; c; c = c->next, i++)
		if (check_born(r, c, &p->fault[i]))
			return -1;
	return 0;
}
