/* Checkers of passing records against those of kept ones: the same results, or a plain word that it cannot be. */
#include "fixture.h"

#include "ks_engine.h"
#include "ks_stream.h"

static const enum ks_property properties[] = {KS_UNIQUE, KS_INCREASING, KS_SORTED, KS_CAUSAL, KS_CLOCK_WITHIN, KS_AVAILABLE};
#define CLAIMS (6 * KS_NSCOPES)

static void all_claims(struct ks_claim_ref *claim, int64_t bound_ns)
{
	for (size_t p = 0; p < 6; p++)
		for (int s = 0; s < KS_NSCOPES; s++)
			claim[p * KS_NSCOPES + (size_t)s] = (struct ks_claim_ref){properties[p], (enum ks_scope)s, bound_ns};
}

static int same_metrics(const struct ks_metrics *a, const struct ks_metrics *b)
{
	int differ = a->calls != b->calls || a->keys != b->keys;
	for (int i = 0; i < KS_NMETRICS; i++) {
		bool scoped = i < KS_NSCOPED_METRICS;
		differ += a->known[i] != b->known[i];
		for (int s = 0; a->known[i] && s < (scoped ? KS_NSCOPES : 1); s++)
			differ += ks_metric_get(a, (enum ks_metric)i, (enum ks_scope)s) != ks_metric_get(b, (enum ks_metric)i, (enum ks_scope)s);
		if (differ) {
			printf("%s %lld %lld\n", ks_metric_names[i], (long long)ks_metric_get(a, (enum ks_metric)i, 3),
			       (long long)ks_metric_get(b, (enum ks_metric)i, 3));
			return 1;
		}
	}
	return differ;
}

static int same_judgement(const struct ks_judgement *a, const struct ks_judgement *b)
{
	int differ = a->verdict != b->verdict || a->count != b->count || a->exposed != b->exposed ||
		     a->exposed_pairs != b->exposed_pairs || strcmp(a->reason, b->reason) || a->bound != b->bound ||
		     a->witness[0] != b->witness[0] || a->witness[1] != b->witness[1] || strcmp(a->text, b->text);
	if (differ)
		printf("%s: %d %llu %llu %llu %s %lld %lld, kept %d %llu %llu %llu %s %lld %lld\n", a->text, a->verdict,
		       (unsigned long long)a->count, (unsigned long long)a->exposed, (unsigned long long)a->exposed_pairs, a->reason,
		       (long long)a->witness[0], (long long)a->witness[1], b->verdict, (unsigned long long)b->count,
		       (unsigned long long)b->exposed, (unsigned long long)b->exposed_pairs, b->reason, (long long)b->witness[0],
		       (long long)b->witness[1]);
	return differ;
}

/* @return how many results of judging all at once differ from those of one by one. */
static int compare_all(const struct ks_evidence *kept, const struct ks_claim_ref *claim, size_t n)
{
	struct ks_metrics all, whole;
	struct ks_judgement judged[CLAIMS], one;
	struct ks_err err;
	CU_ASSERT_EQUAL_FATAL(ks_judge_all(kept, claim, n, &all, judged, &err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_metrics_compute(kept, &whole, &err), 0);
	int wrong = same_metrics(&all, &whole);
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT_EQUAL_FATAL(ks_judge(kept, claim[i], &one, &err), 0);
		wrong += same_judgement(&judged[i], &one);
	}
	return wrong;
}

/* @return how many results of s differ from those of the kept records. */
static int compare(struct ks_stream_check *s, const struct ks_evidence *kept, const struct ks_claim_ref *claim, size_t n)
{
	struct ks_metrics passing, whole;
	struct ks_judgement judged[CLAIMS], one;
	struct ks_err err;
	uint64_t nexposed;
	CU_ASSERT_EQUAL_FATAL(ks_stream_check_finish(s, &passing, judged, &nexposed, &err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_metrics_compute(kept, &whole, &err), 0);
	int wrong = same_metrics(&passing, &whole) + (nexposed != kept->nexposed);
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT_EQUAL_FATAL(ks_judge(kept, claim[i], &one, &err), 0);
		wrong += same_judgement(&judged[i], &one);
	}
	return wrong;
}

/* ---- random records ---- */

/* Faults, and readings of clocks that they may have moved. */
static void add_readings(struct fixture *f, uint64_t seed)
{
	struct ks_stream s;
	ks_stream_init(&s, seed, KS_STREAM_TEST, 11);
	fix_fault(f, "step", ks_rand_in(ks_stream_next(&s), 0, 60), 0, -20);
	fix_fault(f, "step", ks_rand_in(ks_stream_next(&s), 0, 60), 0, -5);
	fix_fault(f, "step", ks_rand_in(ks_stream_next(&s), 0, 60), 1, 10);
	for (size_t i = 0; i < f->records.n; i++) {
		struct ks_record r = ks_record_get(&f->records, i);
		uint64_t word = ks_stream_next(&s);
		if (!(word & 3))
			continue;
		int64_t end_ns = r.return_ns == KS_NO_TIME ? r.call_ns + 5 : r.return_ns;
		r.read_at_ns = ks_rand_in(word, r.call_ns, end_ns);
		r.read_ns = r.read_at_ns - (word >> 8 & 1 ? 0 : 20);
		r.clock = word >> 9 & 1 ? KS_TAI : KS_REALTIME;
		CU_ASSERT_EQUAL_FATAL(ks_record_set(&f->records, i, &r), 0);
	}
}

static struct ks_stream_check *pass(struct fixture *f, const struct ks_claim_ref *claim, uint32_t rows, int *status)
{
	struct ks_err err;
	struct ks_record batch[7];
	struct ks_stream_check *s = ks_stream_check_new(&f->e, claim, CLAIMS, rows, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	struct ks_sink sink = ks_stream_check_sink(s);
	*status = 0;
	for (size_t i = 0; i < f->records.n && !*status;) {
		size_t n = 0;
		while (n < 7 && i < f->records.n)
			batch[n++] = ks_record_get(&f->records, i++);
		*status = sink.take(sink.context, f->records.lanes, batch, n, &err);
	}
	return s;
}

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 750 }; /* ten times slower */
#else
enum { SEEDS = 3000 };
#endif

static void random_records(void)
{
	int wrong = 0, exact = 0, given_up = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct fixture f;
		struct ks_claim_ref claim[CLAIMS];
		struct ks_err err;
		int status;
		fix_random(&f, seed);
		all_claims(claim, (int64_t)(seed % 5) * 3);
		wrong += compare_all(&f.e, claim, CLAIMS); /* some have causes */
		for (size_t i = 0; i < f.records.n; i++)
			FIX_CHANGE(&f.records, i, parent = KS_NO_PARENT);
		if (seed & 1)
			add_readings(&f, seed);
		ks_evidence_release(&f.e);
		CU_ASSERT_EQUAL_FATAL(ks_evidence_init(&f.e, &err), 0);
		wrong += compare_all(&f.e, claim, CLAIMS);
		struct ks_stream_check *s = pass(&f, claim, seed % 3 ? 64 : 8, &status);
		struct ks_metrics m;
		struct ks_judgement j[CLAIMS];
		uint64_t nexposed;
		if (!status && f.records.n && seed % 3 == 0 && ks_stream_check_finish(s, &m, j, &nexposed, &err)) {
			CU_ASSERT_PTR_NOT_NULL(ks_stream_check_inexact(s));
			given_up++;
		} else if (status) {
			CU_ASSERT_PTR_NOT_NULL(ks_stream_check_inexact(s));
			given_up++;
		} else if (f.records.n) {
			ks_stream_check_free(s);
			s = pass(&f, claim, seed % 3 ? 64 : 8, &status);
			int differ = compare(s, &f.e, claim, CLAIMS);
			if (differ)
				printf("seed %llu\n", (unsigned long long)seed);
			wrong += differ;
			exact++;
		}
		ks_stream_check_free(s);
		fix_release(&f);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(exact > SEEDS / 3 && given_up > SEEDS / 10);
	printf("(%d exact, %d given up) ", exact, given_up);
}

/* ---- simulated runs ---- */

static int run(const struct ks_plan *plan, const struct ks_gen_spec *spec, uint64_t seed, const struct ks_sink *sink,
	       struct ks_sim_result *result, struct ks_err *err)
{
	struct ks_node_desc node[8];
	struct ks_fault_event *events;
	uint32_t n;
	CU_ASSERT_FATAL(plan->nodes <= 8);
	for (uint32_t i = 0; i < plan->nodes; i++)
		node[i] = (struct ks_node_desc){.offset_ns = plan->node[i].offset_ns, .drift_ppb = plan->node[i].drift_ppb,
						.worker = ks_plan_worker(plan, seed, i)};
	CU_ASSERT_EQUAL_FATAL(ks_plan_events(plan, seed, &events, &n, err), 0);
	struct ks_sim sim = {.start_unix_ns = plan->start_unix_ns, .duration_ns = plan->duration_ns, .seed = seed,
			     .nodes = plan->nodes, .processes = plan->processes, .threads = plan->threads, .node = node,
			     .load = plan->load, .events = events, .nevents = n, .gen = spec->gen, .cfg = spec->cfg, .sink = sink};
	int failed = ks_sim_run(&sim, result, err);
	ks_free(events);
	return failed;
}

static const char *const runs[] = {
	"duration: 1s",
	"duration: 300ms\nfleet: {nodes: 4, processes: 2, threads: 2}\nworkload: {rate: 8000/s, arrival: poisson}",
	("duration: 300ms\nfleet: {nodes: 3, threads: 4}\nworkload: {rate: 8000/s, arrival: burst}\n"
	 "faults: [{at: 100ms, node: n2, step: -40ms}]"),
	"duration: 4s\nfleet: 3\nfaults: [{at: 2s, node: n2, step: -120ms}]",
	"duration: 4s\nfleet: 3\nfaults: [{at: 2s, node: n2, step: 120ms}, {at: 3s, node: n2, step: -120ms}]",
	"duration: 2s\nfleet: {nodes: 2, threads: 3}\nfaults: [{at: 500ms, node: n1, strobe: 20ms, period: 2ms, for: 1s}]",
	"duration: 2s\nfleet: {nodes: 2, threads: 3}\nfaults: [{at: 500ms, node: n1, pause: 100ms, thread: 1}]",
	"duration: 2s\nfleet: {nodes: 2, threads: 3}\nfaults: [{at: 500ms, node: n1, pause: 100ms, core: 0}]",
	"duration: 2s\nfleet: 2\nfaults: [{at: 500ms, node: n1, suspend: s3, for: 300ms}, {at: 1s, node: n2, drift: 400ppm}]",
	"duration: 2s\nfleet: {nodes: [{name: a}, {name: b, offset: +8ms}], threads: 2}\nworkload: {rate: 2000/s, model: closed}",
	"duration: 2s\nworkload: {rate: 3000/s, on_refuse: retry}\nfaults: [{at: 1s, step: -50ms}, {at: 1500ms, slew: -500ppm, for: 200ms}]",
};

struct tally {
	int wrong, exact, given_up, broken;
};

static void one_run(const struct ks_plan *plan, const struct ks_gen_spec *spec, uint64_t seed, uint32_t rows, struct tally *t)
{
	struct ks_sim_result kept, passed;
	struct ks_err err = {0};
	struct ks_claim_ref claim[CLAIMS];
	all_claims(claim, seed == 1 ? KS_MS : 30 * KS_MS);
	struct ks_evidence e = {.plan = plan, .gen = spec, .records = &kept.records, .seed = seed};
	struct ks_stream_check *s = ks_stream_check_new(&e, claim, CLAIMS, rows, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	struct ks_sink sink = ks_stream_check_sink(s);
	CU_ASSERT_EQUAL_FATAL(run(plan, spec, seed, NULL, &kept, &err) || ks_evidence_init(&e, &err), 0);
	t->wrong += compare_all(&e, claim, CLAIMS);
	int failed = run(plan, spec, seed, &sink, &passed, &err);
	struct ks_metrics m;
	struct ks_judgement j[CLAIMS];
	if (!failed)
		ks_sim_result_release(&passed);
	if (failed) {
		CU_ASSERT_TRUE(err.code == KS_E_JUDGE && ks_stream_check_inexact(s));
		t->given_up++;
	} else {
		int differ = compare(s, &e, claim, CLAIMS);
		if (differ)
			printf("%s seed %llu rows %u of %s\n", spec->text, (unsigned long long)seed, rows, plan->name);
		t->wrong += differ;
		t->exact++;
		CU_ASSERT_EQUAL_FATAL(ks_metrics_compute(&e, &m, &err) || ks_judge(&e, claim[3], &j[0], &err), 0);
		t->broken += j[0].count > 0;
	}
	ks_stream_check_free(s);
	ks_evidence_release(&e);
	ks_sim_result_release(&kept);
}

static void simulated_runs(void)
{
	struct tally t = {0};
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct ks_plan plan;
		struct ks_err err = {0};
		char yaml[1000];
		snprintf(yaml, sizeof yaml, "keyskew: 1\n%s\n", runs[i]);
		int failed = ks_plan_parse(yaml, strlen(yaml), "s.yaml", NULL, 0, &plan, &err);
		if (failed)
			printf("\n%s\n", err.text);
		CU_ASSERT_EQUAL_FATAL(failed, 0);
		for (const struct ks_gen *const *gen = ks_gens_sim; *gen; gen++) {
			struct ks_gen_spec spec;
			if (ks_gen_parse(ks_gens_sim, (*gen)->name, &spec, &err) || ks_gen_issues_texts(&spec) || !(*gen)->decode)
				continue;
			uint64_t seed = 1 + (i + (uint64_t)(gen - ks_gens_sim)) % 2; /* each of both with every other run */
			one_run(&plan, &spec, seed, seed == 1 ? KS_STREAM_ROWS : 256, &t);
		}
		ks_plan_release(&plan);
	}
	CU_ASSERT_EQUAL(t.wrong, 0);
	CU_ASSERT(t.exact > 100 && t.given_up > 10 && t.broken > 20);
	printf("(%d exact, %d given up) ", t.exact, t.given_up);
}

int main(void)
{
	static const struct ks_test tests[] = {{"random records", random_records}, {"simulated runs", simulated_runs}, {0}};
	return ks_test_main("stream", tests);
}
