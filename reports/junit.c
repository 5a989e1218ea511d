/* JUnit XML for CI: a suite a scenario x generator x world, a case an expectation of a seed.
 *
 * What CI shows agrees with the exit code: a run that is not as expected has a failure, one that could not be judged an
 * error, and what is untested is skipped with its reason. A canary is one case, which passes when the canary tripped. */
#include "report.h"

#include <inttypes.h>
#include <string.h>

enum outcome { PASSED, FAILED, ERRORED, SKIPPED, NOUTCOMES };
static const char *const outcome_tags[NOUTCOMES] = {NULL, "failure", "error", "skipped"};

struct suite {
	FILE *cases;
	const struct ks_rp_block *block;
	const struct ks_rp_cell *cell;
	size_t n, count[NOUTCOMES];
};

static void put(FILE *out, const char *text)
{
	ks_rp_put(out, KS_RP_XML, text);
}

/* A case; details may be NULL. */
static void add_case(struct suite *s, const json_t *run, const char *name, enum outcome outcome, const char *message)
{
	s->n++;
	s->count[outcome]++;
	fputs("    <testcase classname=\"", s->cases);
	put(s->cases, s->block->scenario);
	fputc('.', s->cases);
	put(s->cases, s->cell->generator);
	fputc('.', s->cases);
	put(s->cases, s->block->world);
	fputs("\" name=\"", s->cases);
	put(s->cases, name);
	fprintf(s->cases, " (seed %" PRId64 ")\" time=\"0\"", ks_rp_int(run, "seed"));
	if (outcome == PASSED) {
		fputs("/>\n", s->cases);
		return;
	}
	fprintf(s->cases, "><%s message=\"", outcome_tags[outcome]);
	put(s->cases, message);
	fputs("\">", s->cases);
	if (outcome != SKIPPED) {
		put(s->cases, ks_rp_str(run, "about"));
		fputs("\nreproduce: ", s->cases);
		put(s->cases, ks_rp_str(run, "reproduce"));
	}
	fprintf(s->cases, "</%s></testcase>\n", outcome_tags[outcome]);
}

static void keep_first(void *to, const char *text)
{
	char *buf = to;
	if (!*buf)
		snprintf(buf, 1000, "%s", text);
}

static void expectation_case(struct suite *s, const json_t *run, const json_t *e)
{
	const json_t *value = json_object_get(e, "value");
	char number[KS_RP_NUMBER], message[1000];
	const char *text = ks_rp_str(e, "text"), *shown = json_string_value(value);
	int64_t v;
	if (ks_rp_true(e, "untested")) {
		const char *reason = ks_rp_str(e, "reason");
		add_case(s, run, text, SKIPPED, *reason ? reason : "untested");
	} else if (ks_rp_true(e, "met")) {
		add_case(s, run, text, PASSED, NULL);
	} else {
		if (!json_is_string(value) && ks_rp_integer(value, &v))
			shown = ks_rp_number(number, text, v);
		snprintf(message, sizeof(message), "expected %s, is %s", text, shown ? shown : "not known");
		add_case(s, run, text, FAILED, message);
	}
}

/* What fails a run beside its expectations: theory. And no run that is not as expected goes without a failure. */
static void beyond_expectations(struct suite *s, const json_t *run)
{
	char message[1000] = "";
	ks_rp_unexpected(run, KS_RP_BEYOND_EXPECTATIONS, keep_first, message);
	bool theory = json_object_size(json_object_get(run, "theory")) > 0;
	if (*message)
		add_case(s, run, theory ? "theory" : "as expected", FAILED, message);
}

static void run_cases(struct suite *s, const json_t *run)
{
	const char *status = ks_rp_str(run, "status");
	if (!strcmp(status, "failed") || !strcmp(status, "untested")) {
		add_case(s, run, "run", *status == 'f' ? ERRORED : SKIPPED, ks_rp_str(run, "reason"));
		return;
	}
	if (ks_rp_true(run, "canary")) {
		char message[1000] = "";
		ks_rp_unexpected(run, KS_RP_ALL, keep_first, message);
		add_case(s, run, "canary trips", *message ? FAILED : PASSED, message);
		return;
	}
	size_t i;
	json_t *e;
	json_array_foreach(json_object_get(run, "expectations"), i, e)
		expectation_case(s, run, e);
	beyond_expectations(s, run);
}

static int put_suite(FILE *out, const struct ks_rp_block *block, const struct ks_rp_cell *cell, struct ks_err *err)
{
	struct ks_rp_text cases;
	if (ks_rp_open(&cases, err))
		return -1;
	struct suite s = {.cases = cases.f, .block = block, .cell = cell};
	for (size_t i = 0; i < cell->n; i++)
		run_cases(&s, cell->run[i]);
	int rc = ks_rp_finish(&cases, err);
	if (!rc) {
		fputs("  <testsuite name=\"", out);
		put(out, block->scenario);
		fputc('/', out);
		put(out, cell->generator);
		fputc('/', out);
		put(out, block->world);
		fprintf(out, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"0\">\n", s.n, s.count[FAILED],
		        s.count[ERRORED], s.count[SKIPPED]);
		fwrite(cases.bytes, 1, cases.len, out);
		fputs("  </testsuite>\n", out);
	}
	ks_rp_release(&cases);
	return rc;
}

int ks_report_junit(const json_t *result, const char *path, struct ks_err *err)
{
	struct ks_rp_blocks blocks;
	struct ks_rp_text text = {0};
	if (ks_rp_group(result, &blocks))
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	int rc = ks_rp_open(&text, err);
	if (!rc) {
		fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"", text.f);
		put(text.f, ks_rp_str(result, "name"));
		fputs("\">\n", text.f);
	}
	for (size_t i = 0; i < blocks.n && !rc; i++)
		for (size_t k = 0; k < blocks.v[i].n && !rc; k++)
			rc = put_suite(text.f, &blocks.v[i], &blocks.v[i].cell[k], err);
	if (!rc) {
		fputs("</testsuites>\n", text.f);
		rc = ks_rp_save(&text, path, err);
	}
	ks_rp_release(&text);
	ks_rp_blocks_release(&blocks);
	return rc;
}
