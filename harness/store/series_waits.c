/* How long callers waited: over time, and how many waited how long. */
#include <inttypes.h>

#include "series.h"

/* Shorter waits are nobody's concern: without a longer one there is no picture. */
#define WORTH_NS KS_MS

static bool wait_of(const struct ks_record *r, int64_t *ns)
{
	if ((r->flags & KS_CALL_UNKNOWN) || r->return_ns == KS_NO_TIME)
		return false;
	*ns = r->return_ns > r->due_ns ? r->return_ns - r->due_ns : 0;
	return true;
}

static bool sample_wait(const struct ks_sr_job *j, size_t row, const struct ks_record *r, struct ks_sr_point *p)
{
	(void)j;
	(void)row;
	p->t = r->due_ns;
	return wait_of(r, &p->v);
}

static int64_t longest(const struct ks_evidence *e)
{
	int64_t max = -1, ns;
	for (size_t i = 0; e && i < e->records->n; i++) {
		struct ks_record r = ks_sr_get(e, i);
		if (wait_of(&r, &ns) && ns > max)
			max = ns;
	}
	return max;
}

static int by_length(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* "wait_ms share": so many of the calls waited at least so long. A point where both have moved on by a percent, so that steps of
 * a fall stay where they are. Waits begin at 1 ns: 0 has no place on a logarithmic axis. */
static void put_shares(FILE *f, const int64_t *wait, size_t n)
{
	double shown = 0;
	fputs(n ? "1e-6 1\n" : "NaN NaN\n", f);
	for (size_t i = 0; i < n; i++) {
		double ms = (double)(wait[i] > 0 ? wait[i] : 1) / 1e6;
		bool same = i && wait[i] == wait[i - 1];
		if (same || (i + 1 < n && i && ms < shown * 1.01 && n - i > n / 100))
			continue;
		shown = ms;
		fprintf(f, "%.6f %.9g\n", ms, (double)(n - i) / (double)n);
	}
	if (n) /* and none waited longer than the longest: the line ends below */
		fprintf(f, "%.6f 1e-12\n", (double)(wait[n - 1] > 0 ? wait[n - 1] : 1) / 1e6);
}

static int put_block(struct ks_sr_job *j, FILE *f, const struct ks_evidence *e, struct ks_sr_window w, const char *name)
{
	int64_t *wait = e ? ks_alloc(e->records->n, sizeof(*wait)) : NULL, ns;
	size_t n = 0;
	if (e && !wait)
		return ks_sr_no_memory(j->err);
	for (size_t i = 0; e && i < e->records->n; i++) {
		struct ks_record r = ks_sr_get(e, i);
		if (r.due_ns >= w.from_ns && r.due_ns <= w.to_ns && wait_of(&r, &ns))
			wait[n++] = ns;
	}
	if (n)
		qsort(wait, n, sizeof(*wait), by_length);
	fprintf(f, "# %s\n", name);
	put_shares(f, wait, n);
	ks_free(wait);
	return 0;
}

static int put_window(struct ks_sr_job *j, const char *name, struct ks_sr_window w)
{
	struct ks_file file;
	if (ks_sr_open(j, name, &file))
		return -1;
	fputs("# wait_ms share: of the calls waited at least so long\n", file.f);
	int rc = put_block(j, file.f, j->e, w, "run");
	fputs("\n\n", file.f);
	if (!rc)
		rc = put_block(j, file.f, j->control, w, "control");
	if (rc)
		ks_file_abort(&file);
	return rc ? -1 : ks_file_commit(&file, j->err);
}

/* Shares of keys that came late, as late_ns has them: "late_ms share", as of waits. Nobody late: no file. */
int ks_sr_lates(struct ks_sr_job *j)
{
	struct ks_file file;
	size_t n = 0, total = j->e->records->n;
	int64_t *late = j->late_ns ? ks_alloc(total, sizeof(*late)) : NULL;
	if (j->late_ns && !late)
		return ks_sr_no_memory(j->err);
	int64_t most = 0;
	for (size_t i = 0; late && i < total; i++) {
		if (ks_record_get(j->e->records, i).outcome != KS_KEY)
			continue;
		late[n] = j->late_ns[i] > 0 ? j->late_ns[i] : 0;
		most = late[n] > most ? late[n] : most;
		n++;
	}
	int rc = 0;
	if (most > 0) {
		qsort(late, n, sizeof(*late), by_length);
		rc = ks_sr_open(j, "lates", &file);
		if (!rc) {
			fputs("# late_ms share: of the keys that came at least so long after a larger one\n", file.f);
			put_shares(file.f, late, n);
			rc = ks_file_commit(&file, j->err);
		}
	}
	ks_free(late);
	return rc;
}

int ks_sr_stalls(struct ks_sr_job *j)
{
	int64_t run = longest(j->e), control = longest(j->control), most = run > control ? run : control;
	const char *why = run < 0 && j->e->records->n ? "call times are unknown" : "";
	if (most < WORTH_NS) {
		ks_sr_missing(j, "waits", why);
		return ks_sr_missing(j, "stalls", why);
	}
	ks_sr_range(j, "waits", 0, (double)most / 1e6, j->e->records->n);
	ks_sr_range(j, "near-waits", 0, (double)most / 1e6, j->e->records->n);
	if (put_window(j, "waits", j->whole) || put_window(j, "near-waits", j->near))
		return -1;
	return ks_sr_lines(j, "stalls", KS_SR_LINE, sample_wait, "return minus due");
}
