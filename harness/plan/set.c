/* --set PATH=VALUE, applied to the tree before it is read: so every check of the format holds for it too. */
#include <string.h>

#include "ks_mem.h"
#include "ks_opt.h"
#include "tree.h"

static void mark_all(struct ks_tree *t, const char *path)
{
	t->set = path;
	for (struct ks_tree *c = t->first; c; c = c->next)
		mark_all(c, path);
}

/* The value may be a list or a mapping in YAML's flow form: `worlds=[sim]`. */
static struct ks_tree *parse_value(const struct ks_set *set, struct ks_err *err)
{
	char name[KS_PLACE_MAX];
	if (!*set->value) {
		struct ks_tree *empty = ks_tree_text("");
		if (empty)
			mark_all(empty, set->path);
		else
			ks_fail(err, KS_E_INTERNAL, "out of memory");
		return empty;
	}
	snprintf(name, sizeof name, "--set %.500s", set->path);
	struct ks_tree *t = ks_tree_parse(set->value, strlen(set->value), name, err);
	if (t)
		mark_all(t, set->path);
	return t;
}

/* How many letters of path the longest key of the mapping takes that path begins with. Keys may hold dots
 * ("payment-gateway.double_charges"), so an existing key goes before the next dot. */
static size_t key_length(const struct ks_tree *map, const char *path)
{
	size_t best = strcspn(path, ".");
	for (const struct ks_tree *c = map->first; c; c = c->next) {
		size_t n = strlen(c->key);
		if (n > best && !strncmp(c->key, path, n) && (path[n] == '.' || !path[n]))
			best = n;
	}
	return best;
}

static const char *item_name(const struct ks_tree *item)
{
	const struct ks_tree *name = ks_tree_get(item, "name");
	return name && name->kind == KS_TREE_TEXT ? name->text : NULL;
}

static struct ks_tree *find_item(const struct ks_tree *list, const char *word)
{
	size_t index = 0;
	bool number = *word && strlen(word) <= 6;
	for (const char *p = word; *p; p++) {
		number = number && *p >= '0' && *p <= '9';
		index = number ? index * 10 + (size_t)(*p - '0') : 0;
	}
	size_t i = 0;
	for (struct ks_tree *c = list->first; c; c = c->next, i++) {
		const char *name = item_name(c);
		if ((name && !strcmp(name, word)) || (number && i == index))
			return c;
	}
	return NULL;
}

static int no_item(const struct ks_tree *list, const char *word, const struct ks_set *set, struct ks_err *err)
{
	const char *names[KS_TREE_KEYS_MAX];
	size_t n = 0;
	for (const struct ks_tree *c = list->first; c && n < KS_TREE_KEYS_MAX; c = c->next)
		if (item_name(c))
			names[n++] = item_name(c);
	const char *near = ks_nearest(word, names, n);
	const char *of = list->key ? list->key : "the list";
	if (!list->n)
		return ks_fail(err, KS_E_USAGE, "--set %.500s: no '%s', '%s' is empty", set->path, word, of);
	return ks_fail(err, KS_E_USAGE, "--set %.500s: no '%s' in '%s', expected a name or an index 0..%zu%s%s%s",
		       set->path, word, of, list->n - 1, near ? "; did you mean '" : "", near ? near : "",
		       near ? "'" : "");
}

/* The mapping under key of *at, made when it is not there. */
static struct ks_tree *enter(struct ks_tree *at, const char *word, const struct ks_set *set)
{
	struct ks_tree *child = ks_tree_get(at, word);
	if (child)
		return child;
	child = ks_tree_map();
	if (child)
		child->set = set->path;
	return ks_tree_put(at, word, child) ? NULL : child;
}

static int bad_path(const struct ks_set *set, const char *problem, struct ks_err *err)
{
	return ks_fail(err, KS_E_USAGE, "--set %.500s: %s", set->path, problem);
}

/* Where the value goes: in place of an item of a list, or under a key of a mapping. */
struct slot {
	struct ks_tree *parent, *item;
	char key[KS_TREE_TEXT_MAX];
};

/* Takes one part off the path and looks it up in slot->parent. */
static int take_part(const char **path, struct slot *slot, const struct ks_set *set, struct ks_err *err)
{
	const struct ks_tree *at = slot->parent;
	size_t n = at->kind == KS_TREE_MAP ? key_length(at, *path) : strcspn(*path, ".");
	if (n == 0 || n >= sizeof slot->key)
		return bad_path(set, "bad path, expected names joined by dots, such as faults.back.step", err);
	memcpy(slot->key, *path, n);
	slot->key[n] = 0;
	*path += n;
	if (at->kind == KS_TREE_TEXT)
		return ks_fail(err, KS_E_USAGE, "--set %.500s: no '%s' inside the value '%s'", set->path, slot->key,
			       at->text);
	if (at->kind == KS_TREE_LIST && !(slot->item = find_item(at, slot->key)))
		return no_item(at, slot->key, set, err);
	return 0;
}

static int find_slot(struct ks_tree *root, const struct ks_set *set, struct slot *slot, struct ks_err *err)
{
	const char *path = set->path;
	*slot = (struct slot){.parent = root};
	for (int depth = 0; depth < KS_TREE_DEPTH_MAX; depth++) {
		if (take_part(&path, slot, set, err))
			return -1;
		if (!*path)
			return 0;
		path++;
		slot->parent = slot->item ? slot->item : enter(slot->parent, slot->key, set);
		slot->item = NULL;
		if (!slot->parent)
			return ks_fail(err, KS_E_INTERNAL, "out of memory");
	}
	return bad_path(set, "more parts than any path has", err);
}

int ks_tree_set(struct ks_tree *root, const struct ks_set *set, struct ks_err *err)
{
	struct slot slot;
	if (!ks_text_is_clean(set->path, strlen(set->path)))
		return ks_fail(err, KS_E_USAGE, "--set: a path with control or invisible characters");
	if (find_slot(root, set, &slot, err))
		return -1;
	struct ks_tree *value = parse_value(set, err);
	if (!value)
		return -1;
	if (slot.item)
		ks_tree_replace(slot.parent, slot.item, value);
	else if (ks_tree_put(slot.parent, slot.key, value))
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	return 0;
}
