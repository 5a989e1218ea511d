/* What the writers share: reading a result, escaping, grouping runs, files that appear whole or not at all. */
#ifndef KS_REPORT_INTERNAL_H
#define KS_REPORT_INTERNAL_H

#include <stdint.h>

#include "ks_report.h"

/* Members of an object. Absent or of another type: "", 0, false. Nothing here owns. */
const char *ks_rp_str(const json_t *o, const char *key);
int64_t ks_rp_int(const json_t *o, const char *key); /* decimal strings count */
bool ks_rp_true(const json_t *o, const char *key);
/* A number, or the text of one ("2.5e-06"); else 0. */
double ks_rp_real(const json_t *v);
/* @return whether v is an integer or a string that is one. */
bool ks_rp_integer(const json_t *v, int64_t *value);

/* Text for a place. All forms make control bytes visible (\x1b) and direction overrides (\u202e), so that what is shown is
 * what is there. */
enum ks_rp_form {
	KS_RP_PLAIN, /* a terminal */
	KS_RP_XML,   /* XML and HTML, content and quoted attributes */
	KS_RP_MD,    /* a cell of a Markdown table */
};
void ks_rp_put(FILE *out, enum ks_rp_form form, const char *text);
void ks_rp_putn(FILE *out, enum ks_rp_form form, const char *text, size_t len);

#define KS_RP_NUMBER 48
/* ns, exact, in the unit that fits `like`: two values in one unit compare at a glance ("-120ms", "-120.000003ms"). @return buf. */
const char *ks_rp_ns_like(char buf[KS_RP_NUMBER], int64_t ns, int64_t like);
/* A number as people read it: values of names with "_ns" as durations ("1.5ms"). @return buf, or static text. */
const char *ks_rp_number(char buf[KS_RP_NUMBER], const char *name, int64_t value);

/* A small positive number: "2.5e-6". @return buf. */
const char *ks_rp_small(char buf[KS_RP_NUMBER], double value);

/* "5 runs", "1 run". */
const char *ks_rp_count(char buf[KS_RP_NUMBER], int64_t n, const char *one, const char *many);

/* Runs that were planned and are not there, as of an interrupted command. */
int64_t ks_rp_missing(const json_t *result);

/* Is the run no surprise? One that is merely untested is none; one that could not be judged is. */
bool ks_rp_expected(const json_t *run);
/* What a run amounts to, by the worst of its claims: 'B' one is broken, 'K' kept and none broken, 'U' untested, 'F' the run
 * could not be judged. */
char ks_rp_letter(const json_t *run);
const char *ks_rp_letter_word(char letter);
/* @return the claim of that name, or NULL. */
const json_t *ks_rp_claim(const json_t *run, const char *name, size_t len);
/* An expectation's subject is its text before ": ", what it wants stands after it. */
size_t ks_rp_subject(const json_t *expectation, const char **wanted);
/* One sentence: who, what came of it, under what. */
void ks_rp_sentence(FILE *out, enum ks_rp_form form, const json_t *run);
/* What differs from what was expected, one line each, through put(). @return how many lines. */
enum ks_rp_extent { KS_RP_ALL, KS_RP_BEYOND_EXPECTATIONS };
size_t ks_rp_unexpected(const json_t *run, enum ks_rp_extent extent, void (*put)(void *to, const char *text), void *to);
/* What a report claims and what was measured, in one line. @return whether there is one; buf is "" else. */
bool ks_rp_reported(char *buf, size_t size, const json_t *run);
/* The measured part of it alone; it may hold text of scenario files, so it is to be escaped. */
void ks_rp_measured(FILE *out, const json_t *run);
/* What was captured in a guest's kernel, a sentence each: at most max moves, and stretches of the monotonic clock
 * as long as there are fewer than max_stretches of both. @return how many sentences. */
size_t ks_rp_capture(const json_t *run, size_t max, size_t max_stretches, void (*put)(void *to, const char *text), void *to);
/* The injection proof in one line: "back on n2: commanded -120ms, observed -120.000003ms". */
void ks_rp_injection(char *buf, size_t size, const json_t *injection);
/* "n1's ntpd steps -128ms at 20.008s". */
void ks_rp_keeper_act(char *buf, size_t size, const json_t *act);

/* Runs that belong together: one scenario (with one description) in one world; in it a cell a generator, its runs differing
 * in seed. All in the order of first appearance. */
struct ks_rp_cell {
	const char *generator;
	const json_t **run;
	size_t n;
};
struct ks_rp_block {
	const char *scenario, *about, *world;
	const json_t *sweep; /* {PATH: VALUE}, or NULL */
	struct ks_rp_cell *cell;
	size_t n;
};
struct ks_rp_blocks {
	struct ks_rp_block *v;
	size_t n;
};
/* @return 0, or -1 when out of memory. */
int ks_rp_group(const json_t *result, struct ks_rp_blocks *blocks);
void ks_rp_blocks_release(struct ks_rp_blocks *blocks);
/* "seed 1", "seeds 1..100": of all runs of the block. */
const char *ks_rp_seeds(char buf[KS_RP_NUMBER], const struct ks_rp_block *block);

/* The generators of all blocks, in the order of first appearance; free(*names). @return how many, or -1 out of memory. */
long ks_rp_generators(const struct ks_rp_blocks *blocks, const char ***names);
/* What the seeds of a cell come to. */
struct ks_rp_sum {
	char letter;       /* the worst */
	size_t share;      /* how many seeds have it */
	bool expected;     /* all of them */
	const json_t *run; /* the one to look at first */
};
struct ks_rp_sum ks_rp_sum(const struct ks_rp_cell *cell);

/* Where a scenario ran in several worlds: what each found of the same claims, beside each other. */
void ks_rp_put_worlds(const struct ks_rp_blocks *blocks, FILE *out);

/* A text in memory that becomes a file: written beside PATH and renamed onto it, unless PATH is a device or a pipe. */
struct ks_rp_text {
	FILE *f;
	char *bytes;
	size_t len;
};
int ks_rp_open(struct ks_rp_text *text, struct ks_err *err);
/* Ends the text; bytes and len are valid until ks_rp_release. */
int ks_rp_finish(struct ks_rp_text *text, struct ks_err *err);
int ks_rp_save(struct ks_rp_text *text, const char *path, struct ks_err *err);
void ks_rp_release(struct ks_rp_text *text);

/* Is it a name that may become part of a path: not empty, no '/', no leading dot, at most 200 bytes? */
bool ks_rp_is_name(const char *id);

/* Reads a whole file of at most max bytes, NUL-terminated. @return NULL when it is not there or too long; free() it. */
char *ks_rp_read(const char *path, size_t max, size_t *len);

/* Files of this folder, built in. */
extern const char ks_rp_page_css[], ks_rp_page_js[], ks_rp_style_gp[], ks_rp_panels_gp[], ks_rp_shares_gp[], ks_rp_chart_gp[];

/* Rewrites an SVG file of gnuplot's, smaller. Longer than KS_RP_SVG_MAX is an error. */
#define KS_RP_SVG_MAX (4u << 20)
int ks_rp_svg_compact(const char *path, struct ks_err *err);

/* The plots, in the order of the page. A run has those that have something to show. */
struct ks_rp_plot {
	const char *name;   /* NAME.gp, NAME.svg, NAME.dat, near-NAME.dat */
	const char *script; /* its template */
	const char *shows;  /* in words, for those who do not see it */
	const char *what;   /* of a run that has none of it; "": goes without saying */
};
#define KS_RP_PLOTS 9
extern const struct ks_rp_plot ks_rp_plots[KS_RP_PLOTS];

#endif
