/* A YAML file as a small tree: texts, lists and mappings with their places. libyaml reads it; what a scenario has no
 * use for (aliases, anchors, tags, several documents, deep nesting) is refused here, so that nothing after this need
 * fear it.
 *
 * Every text of a tree is UTF-8 without control characters and shorter than KS_TREE_TEXT_MAX bytes. */
#ifndef KS_TREE_H
#define KS_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "ks_err.h"
#include "ks_plan.h"

#define KS_TREE_TEXT_MAX 256   /* bytes of a text, with the NUL */
#define KS_TREE_DEPTH_MAX 8    /* the format itself needs 5 */
#define KS_TREE_KEYS_MAX 256   /* of one mapping: duplicates are found by comparing pairs */
#define KS_TREE_VALUES_MAX 32768

enum ks_tree_kind { KS_TREE_TEXT = 1, KS_TREE_LIST = 2, KS_TREE_MAP = 4 }; /* bits, so that a set of them is a mask */

struct ks_tree {
	enum ks_tree_kind kind;
	struct ks_mark mark;     /* of the value */
	struct ks_mark key_mark; /* of the key, inside a mapping */
	const char *set;         /* the path of the --set that put it here, or NULL; borrowed */
	char *key;               /* inside a mapping */
	char *text;              /* of a TEXT */
	struct ks_tree *first, *last, *next; /* children of a LIST or MAP, in file order */
	size_t n;                /* how many */
};

/* Reads the whole of a file of at most KS_FILE_MAX bytes. *text is the caller's (ks_free), NUL-terminated.
 * @return 0, or -1 (KS_E_USAGE): cannot be read, too large, empty, binary. */
int ks_tree_slurp(const char *path, char **text, size_t *len, struct ks_err *err);

/* Parses one document. name stands in messages: "name:line:col: ...". @return the root, or NULL. */
struct ks_tree *ks_tree_parse(const char *text, size_t len, const char *name, struct ks_err *err);
void ks_tree_free(struct ks_tree *tree);

/* The value of a key of a mapping, or NULL. Also NULL when tree is NULL or no mapping. */
struct ks_tree *ks_tree_get(const struct ks_tree *tree, const char *key);
/* A new text that belongs to nobody yet. @return NULL when out of memory. */
struct ks_tree *ks_tree_text(const char *text);
struct ks_tree *ks_tree_map(void);
/* Puts a value under a key of a mapping, in place of what was there. Takes the value, also when it fails. */
int ks_tree_put(struct ks_tree *map, const char *key, struct ks_tree *value);

/* Puts a text that the file does not have under a key; its place is that of the mapping. */
int ks_tree_put_default(struct ks_tree *map, const char *key, const char *text);
/* Puts value, which it takes, where the child `old` stands, and frees old. */
void ks_tree_replace(struct ks_tree *parent, struct ks_tree *old, struct ks_tree *value);

/* Is the text UTF-8 without characters that act on a terminal, hide, or do not come back from a file? */
bool ks_text_is_clean(const char *text, size_t n);

/* Applies PATH=VALUE: keys and items of lists (by their `name`, or by index from 0) joined by dots. A key that is
 * not there yet is made; the tables of the format judge it later. @return 0, or -1: a list has no such item. */
int ks_tree_set(struct ks_tree *root, const struct ks_set *set, struct ks_err *err);

/* "file:line:col", "--set PATH", or "file", for messages. @return buf. */
#define KS_PLACE_MAX 640
const char *ks_tree_place(char buf[KS_PLACE_MAX], const char *file, const struct ks_tree *at, bool of_key);

#endif
