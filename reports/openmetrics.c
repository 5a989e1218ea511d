/* metrics.prom: a result as OpenMetrics text, for a monitoring system that reads files (node_exporter's textfile collector) or is
 * pushed to. One sample a run and metric; times in seconds, as that format wants them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* A label's value: backslash, quote and line feed are escaped (OpenMetrics 1.0, 3.3). */
static void value(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else
			fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	}
}

static void labels(FILE *out, const json_t *run, const char *key, const char *more)
{
	static const char *const names[] = {"scenario", "generator", "world"};
	fputc('{', out);
	for (int i = 0; i < 3; i++) {
		fprintf(out, "%s%s=\"", i ? "," : "", names[i]);
		value(out, ks_rp_str(run, names[i]));
		fputc('"', out);
	}
	fprintf(out, ",seed=\"%" PRId64 "\"", ks_rp_int(run, "seed"));
	if (key) {
		fprintf(out, ",%s=\"", key);
		value(out, more);
		fputc('"', out);
	}
	fputs("} ", out);
}

static void family(FILE *out, const char *name, const char *unit, const char *help)
{
	fprintf(out, "# TYPE keyskew_%s gauge\n", name);
	if (*unit)
		fprintf(out, "# UNIT keyskew_%s %s\n", name, unit);
	fprintf(out, "# HELP keyskew_%s %s\n", name, help);
}

/* "stall_ns_max" is the family stall_max_seconds, in s. */
static bool in_seconds(const char *metric, char *name, size_t size)
{
	const char *ns = strstr(metric, "_ns");
	if (!ns)
		snprintf(name, size, "%s", metric);
	else
		snprintf(name, size, "%.*s%s_seconds", (int)(ns - metric), metric, ns + 3);
	return ns != NULL;
}

static void sample(FILE *out, const json_t *run, const char *name, const char *scope, const json_t *v, bool time)
{
	int64_t n;
	if (!ks_rp_integer(v, &n))
		return;
	fprintf(out, "keyskew_%s", name);
	labels(out, run, scope ? "scope" : NULL, scope);
	if (time)
		fprintf(out, "%s%" PRId64 ".%09" PRId64 "\n", n < 0 ? "-" : "", n < 0 ? -(n / 1000000000) : n / 1000000000, n < 0 ? -(n % 1000000000) : n % 1000000000);
	else
		fprintf(out, "%" PRId64 "\n", n);
}

/* All samples of a family stand together. */
static void put_metric(FILE *out, const json_t *runs, const char *metric)
{
	char name[120];
	bool time = in_seconds(metric, name, sizeof name);
	size_t i;
	json_t *run, *inner;
	family(out, name, time ? "seconds" : "", "see keyskew list metrics");
	json_array_foreach(runs, i, run) {
		const json_t *v = json_object_get(json_object_get(run, "metrics"), metric);
		const char *scope;
		if (!json_is_object(v))
			sample(out, run, name, NULL, v, time);
		json_object_foreach((json_t *)v, scope, inner)
			sample(out, run, name, scope, inner, time);
	}
}

/* Every metric that some run has, in the order of first appearance. */
static void put_metrics(FILE *out, const json_t *runs)
{
	json_t *seen = json_object(), *run, *v;
	size_t i;
	const char *metric;
	json_array_foreach(runs, i, run)
		json_object_foreach(json_object_get(run, "metrics"), metric, v)
			if (!json_object_get(seen, metric)) {
				json_object_set_new(seen, metric, json_true());
				put_metric(out, runs, metric);
			}
	json_decref(seen);
}

static void put_claims(FILE *out, const json_t *runs)
{
	size_t i, k;
	json_t *run, *claim;
	family(out, "claim_broken", "", "1: a claim of the generator is broken, 0: it is kept");
	json_array_foreach(runs, i, run)
		json_array_foreach(json_object_get(run, "claims"), k, claim) {
			const char *verdict = ks_rp_str(claim, "verdict");
			if (!strcmp(verdict, "untested") || strcmp(ks_rp_str(claim, "by"), "generator"))
				continue;
			fputs("keyskew_claim_broken", out);
			labels(out, run, "claim", ks_rp_str(claim, "claim"));
			fprintf(out, "%d\n", !strcmp(verdict, "broken"));
		}
}

/* By how much a subject's own clock was seen to be set. */
static void put_steps(FILE *out, const json_t *runs)
{
	size_t i, k;
	json_t *run, *in;
	int64_t n;
	family(out, "clock_set_seconds", "seconds", "by how much a fault set a clock, as the subject saw it");
	json_array_foreach(runs, i, run)
		json_array_foreach(json_object_get(run, "injection"), k, in)
			if (ks_rp_integer(json_object_get(in, "observed_ns"), &n)) {
				fputs("keyskew_clock_set_seconds", out);
				labels(out, run, "fault", ks_rp_str(in, "fault"));
				fprintf(out, "%.9f\n", (double)n / 1e9);
			}
}

/* What was seen of clocks in guests' kernels, by the scenario's thresholds. */
static void put_captured(FILE *out, const json_t *runs)
{
	static const char *const kinds[] = {"unusual", "jumps", "stretches"};
	size_t i;
	json_t *run;
	int64_t n;
	family(out, "captured", "", "moves of a clock that were seen in a guest's kernel, and stretches of the monotonic clock");
	json_array_foreach(runs, i, run)
		for (int k = 0; k < 3; k++)
			if (ks_rp_integer(json_object_get(json_object_get(run, "capture"), kinds[k]), &n)) {
				fputs("keyskew_captured", out);
				labels(out, run, "kind", kinds[k]);
				fprintf(out, "%" PRId64 "\n", n);
			}
}

static void put_expected(FILE *out, const json_t *runs)
{
	size_t i;
	json_t *run;
	family(out, "as_expected", "", "1: every expectation of the run is met");
	json_array_foreach(runs, i, run) {
		fputs("keyskew_as_expected", out);
		labels(out, run, NULL, NULL);
		fprintf(out, "%d\n", ks_rp_expected(run));
	}
}

static void put_summary(FILE *out, const json_t *result)
{
	static const char *const states[] = {"met", "unmet", "untested"};
	const json_t *s = json_object_get(result, "summary");
	family(out, "expectations", "", "of the whole result, by what came of them");
	for (int i = 0; i < 3; i++)
		fprintf(out, "keyskew_expectations{state=\"%s\"} %" PRId64 "\n", states[i], ks_rp_int(s, states[i]));
	family(out, "runs", "", "of the whole result");
	fprintf(out, "keyskew_runs %" PRId64 "\n", ks_rp_int(s, "runs"));
	family(out, "runs_missing", "", "planned, and not there");
	fprintf(out, "keyskew_runs_missing %" PRId64 "\n", ks_rp_missing(result));
}

int ks_report_openmetrics(const json_t *result, const char *path, struct ks_err *err)
{
	const json_t *runs = json_object_get(result, "runs");
	struct ks_rp_text text;
	if (ks_rp_open(&text, err))
		return -1;
	put_summary(text.f, result);
	put_expected(text.f, runs);
	put_claims(text.f, runs);
	put_steps(text.f, runs);
	put_captured(text.f, runs);
	put_metrics(text.f, runs);
	fputs("# EOF\n", text.f);
	int failed = ks_rp_save(&text, path, err);
	ks_rp_release(&text);
	return failed;
}
