/* The format as tables: one table a mapping, one line a key. From a table come the reading, the defaults, the checks
 * of type, unit and range, the nearest name of an unknown key, and the reference (ks_plan_reference). */
#ifndef KS_FIELDS_H
#define KS_FIELDS_H

#include "ks_plan.h"
#include "tree.h"

struct ks_reader {
	const char *file; /* for messages */
	struct ks_plan *plan;
	struct ks_suite *suite;
	struct ks_foreign *foreign;
	struct ks_err *err;
};

struct ks_field;
/* Reads value n of field f into the struct that the table describes. @return 0, or -1 with r->err. */
typedef int ks_read_fn(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into);

/* The order of the lines is the order in which keys are read, whatever their order in the file. */
struct ks_field {
	const char *name;
	const char *help;
	const char *def;     /* in the form of the file; NULL: nothing happens when the key is absent */
	const char *accepts; /* for messages and the reference; NULL: follows from the rest of the line */
	unsigned kinds;      /* mask of enum ks_tree_kind; 0: a text */
	ks_read_fn *read;
	size_t offset, size; /* of the member in the struct; size for texts */
	enum ks_opt_type type; /* of numbers: KS_OPT_INT, _DUR, _PPB */
	int64_t min, max;    /* of numbers */
	const char *const *words; /* of ks_read_word: NULL-terminated, in the order of the enum */
	unsigned carried;    /* of ks_read_word: mask of words that are carried; 0: all */
	const struct ks_field *table; /* of ks_read_map: the keys inside */
};
/* offset and size of a member */
#define KS_AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* Reads a mapping by its table, which ends with a NULL name. */
int ks_fields_read(struct ks_reader *r, const struct ks_tree *map, const struct ks_field *table, void *into);

/* What a field accepts, in words. @return buf, or a static text. */
const char *ks_field_accepts(const struct ks_field *f, char *buf, size_t size);

/* Readers of one value. The member is: */
ks_read_fn ks_read_text;   /* char[size]; any text but an empty one */
ks_read_fn ks_read_name;   /* char[size]; a letter, then letters, digits, - and _ */
ks_read_fn ks_read_number; /* int64_t or uint32_t (by size) of the field's type, within min..max */
ks_read_fn ks_read_utc;    /* int64_t ns since 1970 */
ks_read_fn ks_read_rate;   /* struct ks_rate */
ks_read_fn ks_read_word;   /* enum: index into words */
ks_read_fn ks_read_worlds; /* unsigned: mask of 1 << enum ks_world_id; auto: 0 */
ks_read_fn ks_read_map;    /* into itself, by the table of the field */
ks_read_fn ks_read_version;/* nothing: `keyskew: 1` */
ks_read_fn ks_read_not_carried; /* nothing: refuses the key by name */

/* The same without a field, for places whose keys are data. */
int ks_parse_name(struct ks_reader *r, const struct ks_tree *n, const char *what, char *out, size_t size);
int ks_parse_number(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, int64_t *v);
int ks_parse_band(struct ks_reader *r, const struct ks_tree *n, const char *what, struct ks_band *band);

/* Errors: "PLACE: text". The place is that of the value or of the key. @return -1. */
int ks_bad(struct ks_reader *r, const struct ks_tree *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int ks_bad_key(struct ks_reader *r, const struct ks_tree *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts the place before the error that is there. @return -1. */
int ks_blame(struct ks_reader *r, const struct ks_tree *at);
int ks_no_memory(struct ks_reader *r);

/* An error of an unknown word: "unknown WHAT 'x', expected one of ...; did you mean 'y'?". of_key: x is at's key. */
int ks_unknown(struct ks_reader *r, const struct ks_tree *at, bool of_key, const char *what, const char *const *names,
               size_t n);
bool ks_want(struct ks_reader *r, const struct ks_tree *n, unsigned kinds, const char *what, const char *accepts);

/* Parts of the scenario that have a file of their own. */
extern const struct ks_field ks_fleet_fields[];
ks_read_fn ks_read_clock_use; /* struct ks_clock_use */
ks_read_fn ks_read_fleet, ks_read_faults, ks_read_consumers, ks_read_expect, ks_read_figures;
/* Gives list items their default names, so that --set and messages can name them. @return 0, or -1 out of memory. */
int ks_fleet_normalise(struct ks_tree *root);
int ks_faults_normalise(struct ks_tree *root);
/* lives.c: faults that name snapshots, clones, places inside a call. */
ks_read_fn ks_read_place; /* struct ks_place: side, point and nth */
const char *ks_place_format(const struct ks_place *place, char *buf, size_t size);
int ks_place_check(struct ks_reader *r, const struct ks_tree *item, struct ks_fault *f);
/* Is its main value the name of a snapshot? */
bool ks_fault_has_label(const struct ks_fault_kind *kind);
/* Adds the nodes that clones will be, before anything is read that may name them. */
int ks_clones_announce(struct ks_reader *r, const struct ks_tree *list);
/* Resolves names once all faults are read. */
int ks_lives_finish(struct ks_reader *r, const struct ks_tree *list);
/* Once all is read: the default duration, and what depends on it. */
int ks_timeline_finish(struct ks_reader *r, const struct ks_tree *root);
/* The default group of expectations. */
int ks_expect_finish(struct ks_reader *r);

/* Print the reference (Markdown): a table of fields under a heading that says what they are of, and below it those that lie in them. */
void ks_fields_print(FILE *out, const char *path, const char *heading, const struct ks_field *table);
/* A cell of a table in Markdown. */
void ks_reference_cell(FILE *out, const char *text);
void ks_faults_print(FILE *out);
void ks_clocks_print(FILE *out);
/* As a file has it. */
void ks_clock_use_write(FILE *out, const struct ks_clock_use *use);

/* An error that names the nearest node. @return -1. */
int ks_unknown_node(struct ks_reader *r, const struct ks_tree *n);
/* @return the index of the node, or -1. */
int ks_plan_node_find(const struct ks_plan *plan, const char *name);

#define KS_SPAN_MAX (36500 * KS_DAY) /* of durations, steps, offsets */
/* Beyond a tenth no oscillator and no kernel goes: the tick of adjtimex ends there too. */
#define KS_DRIFT_MAX_PPB 100000000

#endif
