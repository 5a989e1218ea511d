/* The series behind the plots: differences over true time, few enough points to draw, extremes kept. Which nodes and which
 * windows they show, and meta.json beside them. */
#include <inttypes.h>

#include "capture.h"
#include "series.h"

static int64_t latest(const struct ks_evidence *e, size_t row)
{
	struct ks_record r = ks_sr_get(e, row);
	return r.return_ns != KS_NO_TIME ? r.return_ns : r.call_ns;
}

/* ---- which nodes, which window ---- */

static void own_block(struct ks_sr_job *j, uint32_t node)
{
	struct ks_sr_blocks *b = &j->blocks;
	if (b->nown == KS_SERIES_NODES || node >= j->e->plan->nodes)
		return;
	for (uint32_t i = 0; i < b->nown; i++)
		if (b->own[i] == node)
			return;
	b->own[b->nown++] = node;
}

static int by_node(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static int choose_blocks(struct ks_sr_job *j)
{
	const struct ks_plan *plan = j->e->plan;
	struct ks_sr_blocks *b = &j->blocks;
	b->of = ks_alloc(plan->nodes, sizeof(*b->of));
	if (!b->of)
		return ks_sr_no_memory(j->err);
	if (j->witness >= 0)
		own_block(j, j->e->records->lanes[ks_sr_get(j->e, (size_t)j->witness).lane].node);
	for (size_t f = 0; f < plan->faults; f++)
		for (uint32_t i = 0; i < plan->fault[f].nnodes; i++)
			own_block(j, plan->fault[f].nodes[i]);
	for (uint32_t i = 0; i < plan->nodes; i++)
		own_block(j, i);
	if (plan->nodes > KS_SERIES_NODES)
		b->nown = KS_SERIES_NODES - 1; /* the last block is for the others */
	qsort(b->own, b->nown, sizeof(*b->own), by_node);
	b->n = b->nown + (plan->nodes > b->nown);
	for (uint32_t i = 0; i < plan->nodes; i++)
		b->of[i] = b->nown;
	for (uint32_t i = 0; i < b->nown; i++)
		b->of[b->own[i]] = i;
	return 0;
}

/* The fault that acted last before t, or the first of all. */
static const struct ks_fault *fault_before(const struct ks_plan *plan, int64_t t)
{
	const struct ks_fault *best = NULL;
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		bool later = best && f->at_ns > best->at_ns, before = f->at_ns <= t;
		if (!best || (before && (later || best->at_ns > t)) || (!before && best->at_ns > t && f->at_ns < best->at_ns))
			best = f;
	}
	return best;
}

/* The first damage of a kind that the run without faults has less of: its row, or -1. Of maxima the first larger one. */
static int64_t first_harm(const struct ks_sr_job *j)
{
	int64_t row = -1;
	for (size_t i = 0; i < j->facts->damages; i++) {
		const struct ks_damage_result *d = &j->facts->damage[i];
		for (size_t k = 0; k < d->toll.n; k++) {
			const struct ks_harm *h = &d->toll.v[k];
			bool max = ks_damage_is_max(d->consumer->damages[h->damage].name);
			bool more = !j->control || (max ? h->amount : d->toll.value[h->damage]) > d->control.value[h->damage];
			if (more && h->row < j->e->records->n && (row < 0 || h->row < row))
				row = h->row;
		}
	}
	return row;
}

/* What stops something is over after a while, and what comes of it begins there. */
static bool is_halt(const struct ks_fault *f)
{
	int op = f->kind->op;
	return op == KS_FAULT_SUSPEND || op == KS_FAULT_FREEZE || op == KS_FAULT_PAUSE || op == KS_FAULT_STOP_WORLD || op == KS_FAULT_RESTART;
}

/* About 200 calls to either side, or one and a half steps, so that both ends of what a step replays are in sight, as are those
 * of a halt; always narrower than half the run, or it would show nothing new. */
static void choose_windows(struct ks_sr_job *j)
{
	const struct ks_plan *plan = j->e->plan;
	const struct ks_records *r = j->e->records;
	j->end_ns = plan->duration_ns;
	for (size_t i = 0; i < r->n; i++)
		if (latest(j->e, i) > j->end_ns)
			j->end_ns = latest(j->e, i);
	j->whole = (struct ks_sr_window){0, j->end_ns};
	int64_t calls = (int64_t)(r->n ? r->n : 1), of_calls = j->end_ns / calls * 200;
	/* A violation before any fault is there all day, and its neighbourhood tells nothing of the fault. */
	const struct ks_fault *first = fault_before(plan, INT64_MIN);
	if (j->witness >= 0 && first && latest(j->e, (size_t)j->witness) < first->at_ns)
		j->witness = -1;
	j->about = "witness";
	if (j->witness < 0) {
		j->witness = first_harm(j);
		j->about = "damage";
	}
	int64_t center = j->witness >= 0 ? latest(j->e, (size_t)j->witness) : INT64_MIN;
	const struct ks_fault *f = fault_before(plan, j->witness >= 0 ? center : INT64_MAX);
	if (j->witness < 0) {
		f = first;
		j->about = f ? "fault" : "start";
		center = f ? f->at_ns : of_calls;
	}
	int64_t half = of_calls;
	if (f && f->kind->op == KS_FAULT_STEP && f->amount) { /* steps to true time do not say how far */
		int64_t step = f->amount >= 0 ? f->amount : f->amount > -j->end_ns ? -f->amount : j->end_ns;
		half = step < j->end_ns ? step + step / 2 : j->end_ns;
		half = half > of_calls / 10 ? half : of_calls / 10;
	}
	if (f && is_halt(f) && half < f->for_ns / 4 * 5)
		half = f->for_ns / 4 * 5;
	int64_t message = plan->mail.rate.count ? plan->mail.rate.per_ns / plan->mail.rate.count : 0;
	if (j->witness >= 0 && ks_sr_get(j->e, (size_t)j->witness).parent != KS_NO_PARENT && half / 10 < message)
		half = 10 * (message < j->end_ns / 10 ? message : j->end_ns / 10); /* a few that were caused, too */
	if (half > j->end_ns / 4)
		half = of_calls < j->end_ns / 4 ? of_calls : j->end_ns / 4;
	half = half > 0 ? half : 1;
	j->near = (struct ks_sr_window){center > half ? center - half : 0, center < j->end_ns - half ? center + half : j->end_ns};
}

/* ---- what all series need ---- */

int ks_sr_no_memory(struct ks_err *err)
{
	return ks_fail(err, KS_E_INTERNAL, "out of memory");
}

int ks_sr_missing(struct ks_sr_job *j, const char *series, const char *why)
{
	json_object_set_new(j->missing, series, json_string(why));
	return 0;
}

int ks_sr_open(const struct ks_sr_job *j, const char *series, struct ks_file *file)
{
	char path[4096];
	const char *end = strchr(series, '.') ? "" : ".dat";
	if ((size_t)snprintf(path, sizeof(path), "%s/%s%s", j->dir, series, end) >= sizeof(path))
		return ks_fail(j->err, KS_E_USAGE, "path too long: \"%.200s...\"", j->dir);
	return ks_file_open(file, path, j->err);
}

void ks_sr_range(struct ks_sr_job *j, const char *series, double low, double high, uint64_t points)
{
	json_object_set_new(j->ranges, series, json_pack("[f,f,I]", low, high, (json_int_t)points));
}

const enum ks_scope ks_sr_scopes[4] = {KS_SCOPE_FLEET, KS_SCOPE_NODE, KS_SCOPE_THREAD, KS_SCOPE_NODE};

bool ks_sr_few(size_t n, size_t keys)
{
	return n <= keys / 20;
}

uint64_t ks_sr_group(const struct ks_evidence *e, enum ks_scope scope, size_t row)
{
	const struct ks_lane *l = &e->records->lanes[ks_sr_get(e, row).lane];
	if (scope == KS_SCOPE_THREAD)
		return (uint64_t)l->node << 40 | (uint64_t)l->process << 20 | l->thread;
	return scope == KS_SCOPE_NODE ? l->node : 0;
}

void ks_sr_seconds(FILE *f, int64_t ns)
{
	fprintf(f, "%s%" PRId64 ".%09" PRId64, ns < 0 ? "-" : "", ns < 0 ? -(ns / KS_SEC) : ns / KS_SEC,
	        ns < 0 ? -(ns % KS_SEC) : ns % KS_SEC);
}

void ks_sr_name(FILE *f, const char *name)
{
	for (; *name; name++) {
		bool plain = (*name >= '0' && *name <= '9') || ((*name | 32) >= 'a' && (*name | 32) <= 'z') || strchr("-_.", *name);
		fputc(plain ? *name : '_', f);
	}
}

const char *ks_sr_block_name(const struct ks_sr_job *j, uint32_t block)
{
	return block < j->blocks.nown ? j->e->plan->node[j->blocks.own[block]].name : "others";
}

/* ---- meta.json ---- */

#define CAPTURED_MAX 20 /* in a picture */

/* What the guests' kernels were seen doing stands beside the faults. */
static void add_captured(const struct ks_run_facts *facts, json_t *faults)
{
	const struct ks_run_output *o = facts->output;
	const struct ks_plan *plan = facts->evidence->plan;
	size_t n = 0;
	for (size_t i = 0; o && i < o->njump && n < CAPTURED_MAX; i++) {
		const struct ks_jump *j = &o->jump[i];
		char name[80], delta[KS_TIME_TEXT];
		if (j->layer == KS_JUMP_RUNTIME || !ks_capture_verdict(&plan->capture, j) || (i && ks_capture_same(j - 1, j)))
			continue;
		snprintf(name, sizeof name, "captured %s%s", j->delta_ns > 0 ? "+" : "",
		         ks_dur_format(delta, j->delta_ns / KS_MS * KS_MS));
		json_array_append_new(faults, json_pack("{s:s, s:s, s:f, s:[s]}", "name", name, "kind", "captured", "at_s", (double)j->at_ns / 1e9,
		                                        "nodes", plan->node[j->node].name));
		n++;
	}
}

static json_t *meta_faults(const struct ks_run_facts *facts)
{
	const struct ks_plan *plan = facts->evidence->plan;
	json_t *faults = json_array();
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *f = &plan->fault[i];
		json_t *nodes = json_array();
		for (uint32_t k = 0; k < f->nnodes; k++)
			json_array_append_new(nodes, json_string(plan->node[f->nodes[k]].name));
		json_array_append_new(faults, json_pack("{s:s, s:s, s:f, s:o}", "name", f->name, "kind", f->kind->name, "at_s",
		                                        (double)f->at_ns / 1e9, "nodes", nodes));
	}
	add_captured(facts, faults);
	return faults;
}

static int meta_put(struct ks_sr_job *j)
{
	json_t *nodes = json_array();
	for (uint32_t i = 0; i < j->blocks.n; i++)
		json_array_append_new(nodes, json_string(ks_sr_block_name(j, i)));
	json_t *near = json_pack("{s:f, s:f, s:s}", "from_s", (double)j->near.from_ns / 1e9, "to_s", (double)j->near.to_ns / 1e9,
	                         "about", j->about);
	json_t *meta = json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:f, s:O, s:O, s:O, s:b}", "generator", j->e->gen->text,
	                         "clock", j->clock < 0 ? "" : ks_clock_names[j->clock], "dups_scope", ks_scope_names[j->dups_scope],
	                         "order_scope", ks_scope_names[j->order_scope], "rows", (int)j->e->records->n, "nodes", nodes, "faults",
	                         meta_faults(j->facts), "near", near, "end_s", (double)j->end_ns / 1e9, "ranges", j->ranges,
	                         "missing", j->missing, "counts", j->counts, "control", j->control != NULL);
	struct ks_file file;
	int rc = meta ? ks_sr_open(j, "meta.json", &file) : ks_sr_no_memory(j->err);
	if (!rc) {
		json_dumpf(meta, file.f, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
		fputc('\n', file.f);
		rc = ks_file_commit(&file, j->err);
	}
	json_decref(meta);
	return rc;
}

int ks_series_write(const struct ks_run_facts *facts, int64_t witness, const char *dir, struct ks_err *err)
{
	static int (*const pictures[])(struct ks_sr_job *) = {ks_sr_clock, ks_sr_keytime, ks_sr_order, ks_sr_lates, ks_sr_dups,
							      ks_sr_causal, ks_sr_served, ks_sr_stalls, ks_sr_damage};
	struct ks_sr_job j = {.facts = facts, .e = facts->evidence, .control = facts->control, .witness = witness, .dir = dir, .err = err};
	if (witness >= (int64_t)j.e->records->n)
		return ks_fail(err, KS_E_INTERNAL, "witness row %" PRId64 " of %zu records", witness, j.e->records->n);
	j.ranges = json_object();
	j.missing = json_object();
	j.counts = json_object();
	int rc = choose_blocks(&j);
	if (!rc)
		choose_windows(&j);
	for (size_t i = 0; i < sizeof(pictures) / sizeof(*pictures) && !rc; i++)
		rc = pictures[i](&j);
	if (!rc)
		rc = meta_put(&j);
	json_decref(j.ranges);
	json_decref(j.missing);
	json_decref(j.counts);
	ks_free(j.blocks.of);
	ks_free(j.base);
	ks_free(j.late_ns);
	return rc;
}
