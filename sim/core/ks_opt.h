/* Option tables: one descriptor an option yields its parser, default, range, help and listing.
 *
 * A table describes fields of a plain struct. Generators, faults and consumers bring one each. */
#ifndef KS_OPT_H
#define KS_OPT_H

#include <stddef.h>
#include <stdint.h>

#include "ks_err.h"
#include "ks_time.h"

enum ks_opt_type {
	KS_OPT_INT,  /* int64_t field */
	KS_OPT_DUR,  /* int64_t field, ns; the text needs a unit */
	KS_OPT_PPB,  /* int64_t field, parts per billion; the text is in ppm or ppb */
	KS_OPT_RATE, /* struct ks_rate field */
	KS_OPT_WORD, /* int64_t field: index into words */
	KS_OPT_BOOL, /* int64_t field: true or false */
	KS_OPT_UTC,  /* int64_t field, ns since 1970; the text is a UTC time */
};

struct ks_opt {
	const char *name;
	enum ks_opt_type type;
	size_t offset;        /* of the field in the struct */
	int64_t min, max;     /* for INT, DUR, PPB */
	const char *def;      /* the default, in the form a user would write it */
	const char *help;     /* one line; says unit and sign */
	const char *const *words; /* for WORD: NULL-terminated */
	int bare;             /* for WORD: a bare word on the command line sets this option */
};

/* Tables end with an entry whose name is NULL. */

/* Sets every field to its default. */
void ks_opts_default(const struct ks_opt *table, void *fields);
/* Sets one option. @return 0, or -1 (KS_E_USAGE): unknown (names the nearest), unit missing, out of range. */
int ks_opts_set(const struct ks_opt *table, void *fields, const char *name, const char *value, struct ks_err *err);
/* Prints the value of one option into buf as a user would write it. */
const char *ks_opt_format(const struct ks_opt *opt, const void *fields, char *buf, size_t size);
/* Prints what the option accepts: "duration, 1ns..10s", "one of a|b". */
const char *ks_opt_accepts(const struct ks_opt *opt, char *buf, size_t size);

/* The name of the list nearest to text by edit distance, or NULL if none is near. The list ends after n names or at
 * a NULL. */
const char *ks_nearest(const char *text, const char *const *names, size_t n);

/* Reads a size in bytes: a number with KB MB GB (powers of 1000) or KiB MiB GiB. @return 0, or -1. */
int ks_size_parse(const char *text, int64_t *bytes);

#endif
