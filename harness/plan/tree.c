#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "ks_mem.h"

/* --- files --- */

static int slurp_fd(int fd, const char *path, char **text, size_t *len, struct ks_err *err)
{
	/* one byte more than is allowed tells a file that is too large, whatever its size claims (a pipe, /dev/zero) */
	char *buf = ks_alloc(KS_FILE_MAX + 2, 1);
	if (!buf)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	size_t n = 0;
	while (n <= KS_FILE_MAX) {
		ssize_t got = read(fd, buf + n, KS_FILE_MAX + 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			ks_fail(err, KS_E_USAGE, "cannot read '%.500s': %s", path, strerror(errno));
			ks_free(buf);
			return -1;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (n > KS_FILE_MAX) {
		ks_free(buf);
		return ks_fail(err, KS_E_USAGE, "'%.500s' is too large, expected at most %d bytes", path, KS_FILE_MAX);
	}
	*text = buf;
	*len = n;
	return 0;
}

int ks_tree_slurp(const char *path, char **text, size_t *len, struct ks_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ks_fail(err, KS_E_USAGE, "cannot open '%.500s': %s", path, strerror(errno));
	int failed = slurp_fd(fd, path, text, len, err);
	close(fd);
	return failed;
}

/* --- trees --- */

void ks_tree_free(struct ks_tree *t)
{
	if (!t)
		return;
	for (struct ks_tree *c = t->first, *next; c; c = next) {
		next = c->next;
		ks_tree_free(c); /* as deep as KS_TREE_DEPTH_MAX */
	}
	ks_free(t->key);
	ks_free(t->text);
	ks_free(t);
}

static struct ks_tree *tree_new(enum ks_tree_kind kind)
{
	struct ks_tree *t = ks_alloc(1, sizeof *t);
	if (t)
		t->kind = kind;
	return t;
}

struct ks_tree *ks_tree_map(void)
{
	return tree_new(KS_TREE_MAP);
}

struct ks_tree *ks_tree_text(const char *text)
{
	struct ks_tree *t = tree_new(KS_TREE_TEXT);
	if (t && !(t->text = ks_strdup(text))) {
		ks_free(t);
		return NULL;
	}
	return t;
}

struct ks_tree *ks_tree_get(const struct ks_tree *t, const char *key)
{
	if (t && t->kind == KS_TREE_MAP)
		for (struct ks_tree *c = t->first; c; c = c->next)
			if (!strcmp(c->key, key))
				return c;
	return NULL;
}

static void append(struct ks_tree *t, struct ks_tree *child)
{
	if (t->last)
		t->last->next = child;
	else
		t->first = child;
	t->last = child;
	t->n++;
}

void ks_tree_replace(struct ks_tree *t, struct ks_tree *old, struct ks_tree *value)
{
	struct ks_tree **link = &t->first;
	while (*link != old)
		link = &(*link)->next;
	*link = value;
	value->next = old->next;
	if (t->last == old)
		t->last = value;
	ks_tree_free(old);
}

int ks_tree_put(struct ks_tree *map, const char *key, struct ks_tree *value)
{
	struct ks_tree *old = ks_tree_get(map, key);
	if (!value || !(value->key = ks_strdup(key))) {
		ks_tree_free(value);
		return -1;
	}
	if (!value->key_mark.line)
		value->key_mark = old ? old->key_mark : map->mark;
	if (old)
		ks_tree_replace(map, old, value);
	else
		append(map, value);
	return 0;
}

int ks_tree_put_default(struct ks_tree *map, const char *key, const char *text)
{
	struct ks_tree *value = ks_tree_text(text);
	if (value) {
		value->mark = map->mark;
		value->set = map->set;
	}
	return ks_tree_put(map, key, value);
}

const char *ks_tree_place(char buf[KS_PLACE_MAX], const char *file, const struct ks_tree *at, bool of_key)
{
	struct ks_mark m = !at ? (struct ks_mark){0, 0} : of_key ? at->key_mark : at->mark;
	if (at && at->set)
		snprintf(buf, KS_PLACE_MAX, "--set %.500s", at->set);
	else if (m.line)
		snprintf(buf, KS_PLACE_MAX, "%.500s:%d:%d", file, m.line, m.col);
	else
		snprintf(buf, KS_PLACE_MAX, "%.500s", file);
	return buf;
}

/* --- from YAML --- */

struct parse {
	yaml_parser_t yaml;
	const char *name, *text;
	size_t len, values;
	struct ks_err *err;
};

static struct ks_mark mark_of(yaml_mark_t m)
{
	return (struct ks_mark){(int)m.line + 1, (int)m.column + 1};
}

/* libyaml's reader knows only the offset of a bad byte. */
static struct ks_mark mark_of_offset(const struct parse *p, size_t offset)
{
	struct ks_mark m = {1, 1};
	for (size_t i = 0; i < offset && i < p->len; i++) {
		m.col++;
		if (p->text[i] == '\n') {
			m.line++;
			m.col = 1;
		}
	}
	return m;
}

static int bad(struct parse *p, yaml_mark_t at, const char *problem)
{
	struct ks_mark m = mark_of(at);
	return ks_fail(p->err, KS_E_USAGE, "%.500s:%d:%d: %s", p->name, m.line, m.col, problem);
}

static int bad_yaml(struct parse *p)
{
	const yaml_parser_t *y = &p->yaml;
	if (y->error == YAML_MEMORY_ERROR)
		return ks_fail(p->err, KS_E_INTERNAL, "out of memory");
	bool by_offset = y->error == YAML_READER_ERROR;
	struct ks_mark m = by_offset ? mark_of_offset(p, y->problem_offset) : mark_of(y->problem_mark);
	return ks_fail(p->err, KS_E_USAGE, "%.500s:%d:%d: not YAML: %s%s%s", p->name, m.line, m.col, y->problem,
	               y->context ? " " : "", y->context ? y->context : "");
}

/* The next event; its memory goes with yaml_event_delete. */
static int next_event(struct parse *p, yaml_event_t *e)
{
	return yaml_parser_parse(&p->yaml, e) ? 0 : bad_yaml(p);
}

/* Decodes one character of UTF-8. @return its length, or 0 when it is none (overlong, surrogate, cut off). */
static size_t utf8_next(const unsigned char *s, size_t n, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
	if (!len || len > n)
		return 0;
	*c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	return *c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000) ? 0 : len;
}

bool ks_text_is_clean(const char *text, size_t n)
{
	/* what acts on a terminal (C0, C1), hides (zero width, direction marks), or that YAML does not take back */
	static const struct {
		uint32_t low, high;
	} unclean[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x200b, 0x200f}, {0x2028, 0x202e},
	               {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfffe, 0xffff}};
	for (size_t i = 0; i < n;) {
		uint32_t c;
		size_t len = utf8_next((const unsigned char *)text + i, n - i, &c);
		if (!len)
			return false;
		for (size_t k = 0; k < sizeof unclean / sizeof *unclean; k++)
			if (c >= unclean[k].low && c <= unclean[k].high)
				return false;
		i += len;
	}
	return true;
}

static char *scalar_text(struct parse *p, const yaml_event_t *e)
{
	size_t n = e->data.scalar.length;
	if (n >= KS_TREE_TEXT_MAX) {
		bad(p, e->start_mark, "a text of more than 255 bytes");
		return NULL;
	}
	if (!ks_text_is_clean((const char *)e->data.scalar.value, n)) {
		bad(p, e->start_mark, "a text with control or invisible characters");
		return NULL;
	}
	char *text = ks_strdup((const char *)e->data.scalar.value);
	if (!text)
		ks_fail(p->err, KS_E_INTERNAL, "out of memory");
	return text;
}

static int check_event(struct parse *p, const yaml_event_t *e, int depth)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
		break;
	case YAML_ALIAS_EVENT:
		return bad(p, e->start_mark, "YAML aliases are not accepted, expected the value itself");
	default:
		return bad(p, e->start_mark, "expected a value");
	}
	if (anchor)
		return bad(p, e->start_mark, "YAML anchors are not accepted");
	if (tag)
		return bad(p, e->start_mark, "YAML tags are not accepted");
	if (depth > KS_TREE_DEPTH_MAX)
		return bad(p, e->start_mark, "nested deeper than any scenario");
	if (++p->values > KS_TREE_VALUES_MAX)
		return bad(p, e->start_mark, "more than 32768 values");
	return 0;
}

static struct ks_tree *read_value(struct parse *p, yaml_event_t *e, int depth);

static int read_list(struct parse *p, struct ks_tree *list, int depth)
{
	for (;;) {
		yaml_event_t e;
		if (next_event(p, &e))
			return -1;
		if (e.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&e);
			return 0;
		}
		struct ks_tree *item = read_value(p, &e, depth + 1);
		if (!item)
			return -1;
		append(list, item);
	}
}

static int check_key(struct parse *p, const struct ks_tree *map, const yaml_event_t *e)
{
	char problem[KS_TREE_TEXT_MAX + 64];
	if (e->type != YAML_SCALAR_EVENT)
		return bad(p, e->start_mark, "a key that is not a word");
	if (e->data.scalar.anchor || e->data.scalar.tag)
		return bad(p, e->start_mark, "YAML anchors and tags are not accepted");
	if (map->n == KS_TREE_KEYS_MAX)
		return bad(p, e->start_mark, "a mapping of more than 256 keys");
	const struct ks_tree *before = ks_tree_get(map, (const char *)e->data.scalar.value);
	if (!before || e->data.scalar.length >= KS_TREE_TEXT_MAX)
		return 0;
	snprintf(problem, sizeof problem, "key '%s' is given twice, first in line %d", before->key,
		 before->key_mark.line);
	return bad(p, e->start_mark, problem);
}

static int read_pair(struct parse *p, struct ks_tree *map, yaml_event_t *e, int depth)
{
	struct ks_mark key_mark = mark_of(e->start_mark);
	char *key = check_key(p, map, e) ? NULL : scalar_text(p, e);
	yaml_event_delete(e);
	if (!key)
		return -1;
	yaml_event_t v;
	struct ks_tree *value = next_event(p, &v) ? NULL : read_value(p, &v, depth + 1);
	if (!value) {
		ks_free(key);
		return -1;
	}
	value->key = key;
	value->key_mark = key_mark;
	append(map, value);
	return 0;
}

static int read_map(struct parse *p, struct ks_tree *map, int depth)
{
	for (;;) {
		yaml_event_t e;
		if (next_event(p, &e))
			return -1;
		if (e.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&e);
			return 0;
		}
		if (read_pair(p, map, &e, depth))
			return -1;
	}
}

/* Reads the value that begins with *e, and takes *e. */
static struct ks_tree *read_value(struct parse *p, yaml_event_t *e, int depth)
{
	struct ks_tree *t = NULL;
	enum ks_tree_kind kind = e->type == YAML_SCALAR_EVENT           ? KS_TREE_TEXT
	                         : e->type == YAML_SEQUENCE_START_EVENT ? KS_TREE_LIST
	                                                                : KS_TREE_MAP;
	int failed = check_event(p, e, depth);
	if (!failed && !(t = tree_new(kind)))
		failed = ks_fail(p->err, KS_E_INTERNAL, "out of memory");
	if (!failed) {
		t->mark = mark_of(e->start_mark);
		if (kind == KS_TREE_TEXT)
			failed = !(t->text = scalar_text(p, e));
	}
	yaml_event_delete(e);
	if (!failed && kind == KS_TREE_LIST)
		failed = read_list(p, t, depth);
	if (!failed && kind == KS_TREE_MAP)
		failed = read_map(p, t, depth);
	if (!failed)
		return t;
	ks_tree_free(t);
	return NULL;
}

/* Takes the next event, which must be of that type. */
static int expect_event(struct parse *p, yaml_event_type_t type, const char *problem)
{
	yaml_event_t e;
	if (next_event(p, &e))
		return -1;
	int failed = 0;
	if (e.type != type)
		failed = bad(p, e.start_mark, problem);
	else if (type == YAML_DOCUMENT_START_EVENT && e.data.document_start.tag_directives.start !=
	                                                      e.data.document_start.tag_directives.end)
		failed = bad(p, e.start_mark, "YAML tags are not accepted");
	yaml_event_delete(&e);
	return failed;
}

static struct ks_tree *read_stream(struct parse *p)
{
	yaml_event_t e;
	if (expect_event(p, YAML_STREAM_START_EVENT, "not YAML") ||
	    expect_event(p, YAML_DOCUMENT_START_EVENT, "empty, expected a value such as 'keyskew: 1'") ||
	    next_event(p, &e))
		return NULL;
	struct ks_tree *root = read_value(p, &e, 0);
	if (root && (expect_event(p, YAML_DOCUMENT_END_EVENT, "expected the end") ||
	             expect_event(p, YAML_STREAM_END_EVENT, "a second document, expected one a file"))) {
		ks_tree_free(root);
		return NULL;
	}
	return root;
}

struct ks_tree *ks_tree_parse(const char *text, size_t len, const char *name, struct ks_err *err)
{
	struct parse p = {.name = name, .text = text, .len = len, .err = err};
	if (len > KS_FILE_MAX) {
		ks_fail(err, KS_E_USAGE, "'%.500s' is too large, expected at most %d bytes", name, KS_FILE_MAX);
		return NULL;
	}
	const char *nul = memchr(text, 0, len);
	if (nul) {
		ks_fail(err, KS_E_USAGE, "'%.500s' is not a text file: a NUL at byte %zu", name, (size_t)(nul - text));
		return NULL;
	}
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* a byte order mark, as some editors write it */
		p.text += 3;
		p.len -= 3;
	}
	if (!yaml_parser_initialize(&p.yaml)) {
		ks_fail(err, KS_E_INTERNAL, "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.yaml, (const unsigned char *)p.text, p.len);
	struct ks_tree *root = read_stream(&p);
	yaml_parser_delete(&p.yaml);
	return root;
}
