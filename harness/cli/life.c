#include "life.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ks_consumer.h"
#include "ks_mem.h"
#include "ks_store.h"

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static int64_t integer(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return json_is_string(v) ? strtoll(json_string_value(v), NULL, 10) : json_integer_value(v);
}

/* ---- making it again ---- */

static void on_call(void *context, const struct ks_trace_call *c)
{
	struct ks_life *l = context;
	if (l->calls == l->call_cap) {
		size_t cap = l->call_cap ? 2 * l->call_cap : 4096;
		struct ks_trace_call *grown = ks_grow(l->call, l->call_cap, cap, sizeof *grown);
		if (!grown) {
			l->no_memory = true;
			return;
		}
		l->call = grown;
		l->call_cap = cap;
	}
	l->call[l->calls++] = *c;
}

static void on_read(void *context, const struct ks_trace_read *r)
{
	struct ks_life *l = context;
	if (l->reads == l->read_cap) {
		size_t cap = l->read_cap ? 2 * l->read_cap : 4096;
		struct ks_trace_read *grown = ks_grow(l->read, l->read_cap, cap, sizeof *grown);
		if (!grown) {
			l->no_memory = true;
			return;
		}
		l->read = grown;
		l->read_cap = cap;
	}
	l->read[l->reads++] = *r;
}

#define CMP(a, b)                                                                                                      \
	if ((a) != (b))                                                                                                \
	return (a) < (b) ? -1 : 1

static int call_cmp(const void *pa, const void *pb)
{
	const struct ks_trace_call *a = pa, *b = pb;
	CMP(a->lane, b->lane);
	CMP(a->seq, b->seq);
	return 0;
}

static int read_cmp(const void *pa, const void *pb)
{
	const struct ks_trace_read *a = pa, *b = pb;
	CMP(a->lane, b->lane);
	CMP(a->seq, b->seq);
	CMP(a->at_ns, b->at_ns);
	return 0;
}

static int simulate(struct ks_life *l, uint64_t seed, struct ks_err *err)
{
	struct ks_trace trace = {l, on_call, on_read};
	struct ks_run_request request = {.plan = &l->plan, .gen = &l->gen, .seed = seed, .trace = &trace};
	if (ks_world_sim.run(&request, &l->output, err))
		return -1;
	l->evidence = (struct ks_evidence){.plan = &l->plan, .gen = &l->gen, .records = &l->output.records, .seed = seed};
	if (l->no_memory)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for the run");
	if (l->calls)
		qsort(l->call, l->calls, sizeof *l->call, call_cmp);
	if (l->reads)
		qsort(l->read, l->reads, sizeof *l->read, read_cmp);
	return ks_evidence_init(&l->evidence, err);
}

int ks_life_begin(struct ks_life *l, const json_t *run, struct ks_err *err)
{
	const char *text = str(run, "effective"), *generator = str(run, "generator");
	*l = (struct ks_life){.run = run};
	if (strcmp(str(run, "world"), "sim") || strcmp(str(run, "status"), "judged"))
		return ks_fail(err, KS_E_JUDGE, "run '%.100s' cannot be made again: only judged runs of sim can", str(run, "id"));
	if (integer(run, "calls") > KS_LIFE_CALLS_MAX)
		return ks_fail(err, KS_E_JUDGE, "run '%.100s' has more than %d calls; explain a shorter one", str(run, "id"), KS_LIFE_CALLS_MAX);
	if (ks_plan_parse(text, strlen(text), str(run, "scenario"), NULL, 0, &l->plan, err) || ks_generator_parse(generator, &l->gen, err))
		return -1;
	return simulate(l, (uint64_t)integer(run, "seed"), err);
}

void ks_life_release(struct ks_life *l)
{
	ks_evidence_release(&l->evidence);
	ks_run_output_release(&l->output);
	ks_generator_release(&l->gen);
	ks_plan_release(&l->plan);
	ks_free(l->call);
	ks_free(l->read);
	*l = (struct ks_life){0};
}

const struct ks_trace_call *ks_life_call(const struct ks_life *l, uint32_t lane, uint32_t seq)
{
	struct ks_trace_call key = {.lane = lane, .seq = seq};
	return l->calls ? bsearch(&key, l->call, l->calls, sizeof *l->call, call_cmp) : NULL;
}

const struct ks_trace_read *ks_life_reads(const struct ks_life *l, uint32_t lane, uint32_t seq, size_t *n)
{
	size_t low = 0, high = l->reads;
	struct ks_trace_read key = {.lane = lane, .seq = seq, .at_ns = INT64_MIN};
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (read_cmp(&l->read[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (*n = 0; low + *n < l->reads && l->read[low + *n].lane == lane && l->read[low + *n].seq == seq; ++*n)
		;
	return *n ? &l->read[low] : NULL;
}

/* ---- telling ---- */

static const char *duration(char buf[KS_TIME_TEXT], int64_t ns)
{
	return ks_dur_format(buf, ns);
}

static void tell_who(const struct ks_life *l, const struct ks_record *r, FILE *out)
{
	const struct ks_lane *lane = &l->output.records.lanes[r->lane];
	char due[KS_TIME_TEXT], call[KS_TIME_TEXT], ret[KS_TIME_TEXT];
	fprintf(out, "  %s process %u", l->plan.node[lane->node].name, lane->process);
	if (lane->incarnation)
		fprintf(out, " (incarnation %u)", lane->incarnation);
	fprintf(out, " thread %u, its call %u: due %s, called %s, returned %s\n", lane->thread, r->seq, duration(due, r->due_ns),
	        duration(call, r->call_ns), duration(ret, r->return_ns));
}

/* Each clock against what a perfect one would have shown: of those that count from boot, one that was never touched. */
static void tell_clocks(const struct ks_life *l, const struct ks_record *r, FILE *out)
{
	const struct ks_trace_call *c = ks_life_call(l, r->lane, r->seq);
	size_t n;
	const struct ks_trace_read *read = ks_life_reads(l, r->lane, r->seq, &n);
	char text[KS_TIME_TEXT], at[KS_TIME_TEXT];
	if (!c)
		return;
	fputs("    its clocks, minus true time:", out);
	for (int id = 0; id < KS_NCLOCKS; id++) {
		int64_t perfect = id == KS_REALTIME ? l->plan.start_unix_ns : id == KS_TAI ? l->plan.start_unix_ns + KS_TAI_OFFSET_S * KS_SEC : KS_UPTIME_NS;
		fprintf(out, "%s %s %s", id ? "," : "", ks_clock_names[id], duration(text, c->clock_ns[id] - perfect - c->call_ns));
	}
	fputc('\n', out);
	for (size_t i = 0; i < n && i < 8; i++)
		fprintf(out, "    it read %s: %s, at %s\n", ks_clock_names[read[i].clock],
		        read[i].clock == KS_REALTIME || read[i].clock == KS_TAI ? ks_utc_format(text, read[i].value_ns) : duration(text, read[i].value_ns),
		        duration(at, read[i].at_ns));
}

static bool hits(const struct ks_fault *f, uint32_t node)
{
	for (uint32_t i = 0; i < f->nnodes; i++)
		if (f->nodes[i] == node)
			return true;
	return false;
}

static void tell_faults(const struct ks_life *l, const struct ks_record *r, FILE *out)
{
	uint32_t node = l->output.records.lanes[r->lane].node, told = 0;
	char text[400], ago[KS_TIME_TEXT];
	for (size_t i = 0; i < l->plan.faults; i++) {
		const struct ks_fault *f = &l->plan.fault[i];
		if (!hits(f, node) || f->at_ns > r->call_ns)
			continue;
		bool during = f->for_ns && r->call_ns < f->at_ns + f->for_ns;
		fprintf(out, "    fault %s: %s, %s %s\n", f->name, ks_fault_text(&l->plan, f, text, sizeof text),
		        during ? "at work since" : "before, by", duration(ago, r->call_ns - f->at_ns));
		told++;
	}
	if (!told)
		fputs("    no fault had hit its node yet\n", out);
}

static void tell_fields(const struct ks_life *l, const struct ks_record *r, FILE *out)
{
	struct ks_fields f;
	char text[KS_TIME_TEXT];
	if (!ks_gen_decode(&l->gen, &l->output.records.texts, r->key, &f))
		return;
	for (int i = 0; i < f.nfields; i++)
		fprintf(out, "%s%s %" PRIu64, i ? ", " : "    the key says: ", f.field[i].name, f.field[i].value);
	fputs(f.nfields ? "\n" : "", out);
	if (!f.has_time)
		return;
	int64_t lo = f.embed_lo_unix_ns - l->plan.start_unix_ns, hi = f.embed_hi_unix_ns - l->plan.start_unix_ns;
	fprintf(out, "    its time: %s", ks_utc_format(text, f.embed_lo_unix_ns));
	if (lo > r->return_ns)
		fprintf(out, ", %s after its return", duration(text, lo - r->return_ns));
	else if (hi <= r->call_ns)
		fprintf(out, ", %s before its call", duration(text, r->call_ns - hi));
	fputc('\n', out);
}

static const char *print_key(const struct ks_life *l, size_t row, char buf[KS_ESCAPED_TEXT])
{
	return ks_key_print(&l->evidence, row, buf);
}

/* What consumers made of the call: the harm that it did, and that which was done to it. */
static void tell_consumers(const struct ks_life *l, uint32_t row, FILE *out)
{
	for (size_t i = 0; i < l->plan.consumers; i++) {
		const struct ks_consumer_use *use = &l->plan.consumer[i];
		struct ks_toll toll = {0};
		struct ks_err err;
		if (!ks_consume(use->consumer, use->cfg, &l->evidence, &toll, &err))
			for (size_t k = 0; k < toll.n; k++) {
				const struct ks_harm *h = &toll.v[k];
				if (h->row == row && h->victim != KS_NO_PARENT)
					fprintf(out, "    %s: %s, to the key of row %u\n", use->consumer->name, use->consumer->damages[h->damage].name, h->victim);
				else if (h->row == row)
					fprintf(out, "    %s: %s\n", use->consumer->name, use->consumer->damages[h->damage].name);
				else if (h->victim == row)
					fprintf(out, "    %s: %s, done to it by the key of row %u\n", use->consumer->name,
					        use->consumer->damages[h->damage].name, h->row);
			}
		ks_toll_release(&toll);
	}
}

#define AROUND 3
static void tell_neighbours(const struct ks_life *l, size_t row, FILE *out)
{
	const struct ks_records *all = &l->output.records;
	struct ks_record self = ks_record_get(all, row);
	size_t first = row > AROUND ? row - AROUND : 0, last = row + AROUND < all->n ? row + AROUND : all->n - 1;
	fputs("    around it, in the order of return:\n", out);
	for (size_t i = first; i <= last; i++) {
		struct ks_record r = ks_record_get(all, i);
		const struct ks_lane *lane = &all->lanes[r.lane];
		char key[KS_ESCAPED_TEXT], after[KS_TIME_TEXT];
		int64_t dt = r.return_ns == KS_NO_TIME ? 0 : r.return_ns - self.return_ns;
		const char *what = r.outcome == KS_KEY ? print_key(l, i, key) : r.outcome == KS_REFUSE ? "refused" : "lost";
		fprintf(out, "    %c row %-8zu %s%-12s %-8s p%u t%u  %s\n", i == row ? '>' : ' ', i, dt > 0 ? "+" : dt < 0 ? "" : " ", duration(after, dt),
		        l->plan.node[lane->node].name, lane->process, lane->thread, what);
	}
}

size_t ks_life_tell(const struct ks_life *l, const char *key, FILE *out)
{
	const struct ks_records *all = &l->output.records;
	size_t *row = NULL, n = 0;
	char buf[KS_ESCAPED_TEXT];
	for (size_t i = 0; i < all->n; i++) {
		if (ks_record_get(all, i).outcome != KS_KEY || strcmp(print_key(l, i, buf), key))
			continue;
		size_t *grown = ks_grow(row, n, n + 1, sizeof *row);
		if (!grown)
			break;
		row = grown;
		row[n++] = i;
	}
	if (n)
		fprintf(out, "%s\n%s, %s, sim, seed %" PRId64 ": issued %zu time%s\n", key, str(l->run, "scenario"), str(l->run, "generator"),
		        integer(l->run, "seed"), n, n > 1 ? "s" : "");
	for (size_t i = 0; i < n && i < 8; i++) {
		struct ks_record r = ks_record_get(all, row[i]);
		fprintf(out, "\n%zu. row %zu\n", i + 1, row[i]);
		tell_who(l, &r, out);
		tell_clocks(l, &r, out);
		tell_faults(l, &r, out);
		tell_fields(l, &r, out);
		tell_consumers(l, (uint32_t)row[i], out);
		tell_neighbours(l, row[i], out);
	}
	if (n > 8)
		fprintf(out, "\nand %zu more\n", n - 8);
	if (n)
		fprintf(out, "\nagain: %s\n", str(l->run, "reproduce"));
	ks_free(row);
	return n;
}
