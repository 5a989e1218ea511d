/* summary.md: what a pull request or a job page shows. First the count, then what is unexpected, then the matrix. */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void put(FILE *out, const char *text)
{
	ks_rp_put(out, KS_RP_MD, text);
}

/* Text as code: no escapes work inside it, so the fence is longer than any run of backticks in the text. */
static void put_code(FILE *out, const char *text)
{
	size_t longest = 0;
	for (const char *p = text; *p; p++) {
		size_t ticks = strspn(p, "`");
		longest = ticks > longest ? ticks : longest;
	}
	for (size_t i = 0; i <= longest; i++)
		fputc('`', out);
	fputc(' ', out);
	ks_rp_put(out, KS_RP_PLAIN, text);
	fputc(' ', out);
	for (size_t i = 0; i <= longest; i++)
		fputc('`', out);
}

static void put_trouble(void *to, const char *text)
{
	fputs("  - ", to);
	put(to, text);
	fputc('\n', to);
}

static void put_run_name(FILE *out, const json_t *run)
{
	fputs("- **", out);
	put(out, ks_rp_str(run, "scenario"));
	fputs("**, ", out);
	put(out, ks_rp_str(run, "generator"));
	fputs(", ", out);
	put(out, ks_rp_str(run, "world"));
	fprintf(out, ", seed %" PRId64, ks_rp_int(run, "seed"));
}

static void put_unexpected(FILE *out, const json_t *runs)
{
	bool any = false;
	size_t i;
	json_t *run;
	json_array_foreach(runs, i, run) {
		if (ks_rp_expected(run))
			continue;
		fputs(any ? "" : "\n## Not as expected\n\n", out);
		any = true;
		put_run_name(out, run);
		fputc('\n', out);
		ks_rp_unexpected(run, KS_RP_ALL, put_trouble, out);
		fputs("  - ", out);
		put_code(out, ks_rp_str(run, "reproduce"));
		fputc('\n', out);
	}
}

static void put_untested(FILE *out, const json_t *runs)
{
	bool any = false;
	size_t i;
	json_t *run;
	json_array_foreach(runs, i, run) {
		if (strcmp(ks_rp_str(run, "status"), "untested"))
			continue;
		fputs(any ? "" : "\n## Untested\n\n", out);
		any = true;
		put_run_name(out, run);
		fputs(": ", out);
		put(out, ks_rp_str(run, "reason"));
		fputc('\n', out);
	}
}

/* Of several seeds the first stands for all, of several generators the one that the report is about. */
static void put_reported(FILE *out, const struct ks_rp_blocks *blocks)
{
	char line[1000];
	bool any = false;
	for (size_t i = 0; i < blocks->n; i++)
		for (size_t k = 0; k < blocks->v[i].n; k++) {
			const json_t *run = blocks->v[i].cell[k].run[0];
			if (!ks_rp_reported(line, sizeof(line), run) || !ks_rp_true(json_object_get(run, "reported"), "of_this"))
				continue;
			fputs(any ? "" : "\n## Reported and measured\n\n", out);
			any = true;
			put_run_name(out, run);
			fputs(": ", out);
			put(out, line);
			fputc('\n', out);
		}
}

/* "B 3/100": seeds that share the cell's worst letter; bold and "!" when a run is not as expected. */
static void put_cell(FILE *out, const struct ks_rp_cell *cell)
{
	struct ks_rp_sum sum = ks_rp_sum(cell);
	fputs(sum.expected ? "" : "**", out);
	fputc(sum.letter, out);
	if (cell->n > 1)
		fprintf(out, " %zu/%zu", sum.share, cell->n);
	fputs(sum.expected ? "" : " !**", out);
}

static void put_matrix(FILE *out, const struct ks_rp_blocks *blocks, const char **names, size_t n)
{
	fputs("\n## Claims\n\nK kept, B broken, U untested, F could not be judged; **!** not as expected; 3/100: seeds.\n\n"
	      "| scenario | world |", out);
	for (size_t g = 0; g < n; g++) {
		fputc(' ', out);
		put(out, names[g]);
		fputs(" |", out);
	}
	fputs("\n| --- | --- |", out);
	for (size_t g = 0; g < n; g++)
		fputs(" --- |", out);
	for (size_t i = 0; i < blocks->n; i++) {
		const struct ks_rp_block *b = &blocks->v[i];
		fputs("\n| ", out);
		put(out, b->scenario);
		fputs(" | ", out);
		put(out, b->world);
		fputs(" |", out);
		for (size_t g = 0; g < n; g++) {
			fputc(' ', out);
			for (size_t k = 0; k < b->n; k++)
				if (!strcmp(b->cell[k].generator, names[g]))
					put_cell(out, &b->cell[k]);
			fputs(" |", out);
		}
	}
	fputc('\n', out);
}

int ks_report_markdown(const json_t *result, const char *path, struct ks_err *err)
{
	const json_t *s = json_object_get(result, "summary"), *runs = json_object_get(result, "runs");
	const char **names = NULL;
	struct ks_rp_blocks blocks;
	struct ks_rp_text text = {0};
	char number[KS_RP_NUMBER];
	if (ks_rp_group(result, &blocks))
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	long n = ks_rp_generators(&blocks, &names);
	int rc = n < 0 ? ks_fail(err, KS_E_INTERNAL, "out of memory") : ks_rp_open(&text, err);
	if (!rc) {
		fprintf(text.f, "%" PRId64 " of %" PRId64 " as expected\n\n", ks_rp_int(s, "as_expected"), ks_rp_int(s, "runs"));
		if (ks_rp_missing(result))
			fprintf(text.f, "**Not finished**: %s missing.\n\n", ks_rp_count(number, ks_rp_missing(result), "run is", "runs are"));
		put(text.f, ks_rp_str(result, "name"));
		fprintf(text.f, ": %" PRId64 " of %" PRId64 " expectations met, %" PRId64 " untested, %" PRId64
		        " could not be judged.\n", ks_rp_int(s, "met"), ks_rp_int(s, "expectations"), ks_rp_int(s, "untested"),
		        ks_rp_int(s, "failed"));
		put_unexpected(text.f, runs);
		put_untested(text.f, runs);
		put_reported(text.f, &blocks);
		put_matrix(text.f, &blocks, names, (size_t)n);
		rc = ks_rp_save(&text, path, err);
	}
	free(names);
	ks_rp_release(&text);
	ks_rp_blocks_release(&blocks);
	return rc;
}
