/* Writers: from a result (JSON, schema 1) to what people and CI read. They see the result and the run folders only.
 *
 * What they read of a result (all strings UTF-8, all text untrusted; a missing member is "not known", never 0):
 *
 *   summary  runs, as_expected (runs); expectations, met, unmet, untested; failed (runs)
 *   runs[]   id (also its folder, runs/ID beside index.html), scenario, title, source, generator, world, world_detail, seed,
 *            status judged | untested | failed with reason, about, calls, keys, canary, as_expected, reproduce, effective
 *     claims[]        claim, verdict kept | broken | untested, by, source, count, exposed, exposed_pairs, reason,
 *                     bound (of a probabilistic kept), control {count}, witness {text, rows[], neighbours[]}
 *     expectations[]  text "SUBJECT: WANTED", met, untested, reason, value (a verdict, or a number with a band), band,
 *                     exposed, control
 *     metrics, control.metrics    a number, or one a scope
 *     theory.duplicates           law, mean, low, high, scope, text, value, met
 *     damage, control_damage      {CONSUMER: {NAME: number}}
 *     damage_notes[]  consumer, damage, help, first (who did it to whom); or consumer, unknown (why it has no numbers)
 *     reported        what, of (a generator), of_this, figures[] {text "SUBJECT: BAND", value, control, met}
 *     faults[]        name, kind, at_ns, nodes[], text
 *     injection[]     fault, node, commanded_ns, observed_ns, tolerance_ns (or _ppb in place of _ns)
 *     capture         untested (why), or unusual, jumps, stretches, seen, lost, suspicious[] {node, at_ns, calls}, missing[],
 *                     events[] {at_ns, node, layer call | kernel | runtime, function, command, pid, delta_ns, returned, verdict,
 *                     move (events of one number tell of the same)}
 *   host     system, compiler, time, wall_s
 *
 * Integers may come as decimal strings (above 2^53). */
#ifndef KS_REPORT_H
#define KS_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "ks_err.h"

/* The terminal summary: a table, one block a scenario x world, several seeds folded into one row each. width: columns of the
 * terminal, at least 40; rows of tables are folded below 120, which is what pipes get, sentences always. where: the folder of the
 * run as the user would type it, printed in the closing line; NULL leaves it out. @return 0, or -1 when out of memory or when
 * out fails. */
int ks_report_text(const json_t *result, FILE *out, bool colour, int width, const char *where);
/* JUnit XML: a suite a scenario x generator x world, a case an expectation. Bytes XML 1.0 forbids are escaped. */
int ks_report_junit(const json_t *result, const char *path, struct ks_err *err);
/* OpenMetrics text: docs/alerts.yml has rules for it. */
int ks_report_openmetrics(const json_t *result, const char *path, struct ks_err *err);
int ks_report_markdown(const json_t *result, const char *path, struct ks_err *err);
/* Writes the scripts of every run folder (DIR/runs/ID: .dat -> .gp) and draws them (.svg) with gnuplot, `jobs` at a time (at least
 * 1): of several seeds those of the first run, and those of runs that are not as expected. A run without meta.json has nothing to draw. Without gnuplot: 0, and the page says that plots are missing.
 * Scripts are kept, and drawn again by hand with `gnuplot clock.gp`. @return 0, or -1 (KS_E_INTERNAL) with gnuplot's own
 * words. Its children get no shell, at most 60 s, and are ended on every way out. */
int ks_report_plots(const json_t *result, const char *dir, int jobs, struct ks_err *err);
/* DIR/index.html, self-contained, no network, readable without JavaScript. Plots stand in it: as they are while they are few, else
 * packed, up to KS_REPORT_PLOT_BYTES in all, those of unexpected runs first (the page of a nightly suite stays below 5 MB); what is
 * beyond stays files beside it. beside: what it is to be seen with, or NULL, each member as well:
 *
 *   base      with what it was compared, in words; diff: ks_diff() of the two
 *   nights    results of the same name, newest first, as of ks_history_list(); changes: as of ks_history_changes()
 *   trends[]  metric, series: what ks_report_trend() has drawn as DIR/trend-N.svg, N from 1
 */
#define KS_REPORT_PLOT_BYTES (2u << 20)
int ks_report_html(const json_t *result, const json_t *beside, const char *dir, struct ks_err *err);

#endif
