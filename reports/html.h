/* What the parts of the page share. Private to this folder. */
#ifndef KS_HTML_H
#define KS_HTML_H

#include "report.h"

struct ks_html_page {
	FILE *out;
	const json_t *result, *runs, *beside;
	const char *dir;
	bool comparison; /* of keyskew compare: generators come first */
	struct ks_rp_blocks blocks;
	const char **generators; /* in the order of the matrix: families together */
	size_t ngenerators;
	struct ks_html_images *images;
};

/* Escaped. */
void ks_html_put(FILE *out, const char *text);
/* Escaped, but for its newlines. */
void ks_html_put_lines(FILE *out, const char *text);
/* A verdict as a coloured letter; framed when it is not as expected. */
void ks_html_chip(FILE *out, char letter, bool expected);
/* The name of the run's anchor, the same for the same id. */
void ks_html_anchor(FILE *out, const json_t *run);
/* "scenario · generator · world", a link to the run. */
void ks_html_run_link(FILE *out, const json_t *run);
/* A run of that scenario, generator and world, the first that is not as expected, else the first; or NULL. */
const json_t *ks_html_find_run(const struct ks_html_page *p, const char *scenario, const char *generator, const char *world);

/* html_images.c: the pictures of a page. A few stand in it as they are; many are packed together, deflated, and unpacked by the
 * page's script when they come into sight. Beyond KS_REPORT_PLOT_BYTES they stay files beside the page. */
struct ks_html_images {
	bool packed;
	size_t left, set_aside;  /* bytes that packs may still take; those of them that are for surprises */
	struct ks_rp_text open;  /* the pack that is being filled */
	size_t in_pack, in_bytes; /* its pictures, their bytes */
	char **pack;             /* base64 */
	size_t n;
};
/* total: bytes of all pictures of the page; surprises: of those that come first. */
void ks_html_images_init(struct ks_html_images *images, size_t total, size_t surprises);
void ks_html_images_release(struct ks_html_images *images);
/* A figure with the picture of file `name` in folder dir; `relative`, already safe in an attribute, is where it is seen from the page.
 * @return false: there is no such file, nothing is written. */
bool ks_html_image(struct ks_html_images *images, FILE *out, const char *path, const char *relative, const char *alt, bool surprise);
/* The packs themselves, once, behind everything that shows them. */
void ks_html_put_packs(struct ks_html_images *images, FILE *out);

/* html_matrix.c */
void ks_html_matrix(const struct ks_html_page *p);
/* Orders generators by family ("snowflake:unchecked" beside "snowflake"), families by first appearance. */
void ks_html_families(const char **generators, size_t n);

/* html_beside.c: what changed, nights, trends. */
void ks_html_changes(const struct ks_html_page *p);
void ks_html_trends(const struct ks_html_page *p);
size_t ks_html_beside_bytes(const struct ks_html_page *p);

/* html_compare.c: generators side by side; what was reported. */
void ks_html_compare(const struct ks_html_page *p);
size_t ks_html_compare_bytes(const struct ks_html_page *p);
void ks_html_reported(const struct ks_html_page *p);

/* html_run.c: the section of one run. scenario: which of ks_html_scenarios() it is, from 1. */
void ks_html_run(const struct ks_html_page *p, const json_t *run, size_t scenario, bool open);
/* Sum of the sizes of the run's plots, bytes. */
size_t ks_html_plot_bytes(const json_t *run, const char *dir);

#endif
