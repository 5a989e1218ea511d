#include "ks_test.h"

#include <string.h>

#include "keygen.h"
#include "ks_engine.h"

#define START (INT64_C(1768471200) * KS_SEC)

static struct ks_gen_spec spec_of(const char *text)
{
	struct ks_gen_spec spec;
	struct ks_err err = {0};
	CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, text, &spec, &err), 0);
	return spec;
}

static struct ks_sim_result run(const struct ks_gen_spec *spec, int64_t rate, int64_t duration_ns, int64_t step_ns, uint32_t threads)
{
	static const struct ks_node_desc node = {.worker = 5};
	static struct ks_fault_event event;
	struct ks_err err = {0};
	struct ks_sim_result result;
	event = (struct ks_fault_event){.at_ns = duration_ns / 2, .op = KS_FAULT_STEP, .amount = step_ns};
	struct ks_sim sim = {.start_unix_ns = START, .duration_ns = duration_ns, .seed = 1, .nodes = 1, .processes = 1,
	                     .threads = threads, .node = &node, .load = {.rate = {rate, KS_SEC}}, .gen = spec->gen, .cfg = spec->cfg,
	                     .events = &event, .nevents = step_ns != 0};
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	return result;
}

static uint64_t count(const struct ks_sim_result *r, enum ks_outcome outcome)
{
	uint64_t n = 0;
	for (size_t i = 0; i < r->records.n; i++)
		n += ks_record_get(&r->records, i).outcome == outcome;
	return n;
}

static uint64_t descents(const struct ks_sim_result *r)
{
	uint64_t n = 0;
	struct ks_key last = {0};
	bool any = false;
	for (size_t i = 0; i < r->records.n; i++)
		if (ks_record_get(&r->records, i).outcome == KS_KEY) {
			struct ks_key key = ks_record_get(&r->records, i).key;
			n += any && !ks_key_less(last, key);
			last = key;
			any = true;
		}
	return n;
}

static void snowflake_policies(void)
{
	struct ks_gen_spec checked = spec_of("snowflake"), unchecked = spec_of("snowflake:unchecked");
	struct ks_sim_result r = run(&checked, 1000, 2 * KS_SEC, -120 * KS_MS, 1);
	CU_ASSERT_EQUAL(count(&r, KS_REFUSE), 119); /* the 120th call reads the last ms again: sequence 1 */
	CU_ASSERT_EQUAL(descents(&r), 0);
	struct ks_fields f;
	checked.gen->decode(checked.cfg, ks_record_get(&r.records, 0).key, &f);
	CU_ASSERT_EQUAL(f.embed_lo_unix_ns, START);
	CU_ASSERT_EQUAL(f.field[1].value, 5);
	ks_sim_result_release(&r);
	r = run(&unchecked, 1000, 2 * KS_SEC, -120 * KS_MS, 1);
	CU_ASSERT_EQUAL(count(&r, KS_REFUSE), 0);
	CU_ASSERT_EQUAL(descents(&r), 1);
	ks_sim_result_release(&r);
}

/* 4096 ids a ms, then the next ms: 10 M calls/s wait, in both policies and from several threads. */
static void snowflake_waits_for_the_next_ms(void)
{
	static const char *const variants[] = {"snowflake", "snowflake:unchecked"};
	for (int v = 0; v < 2; v++) {
		struct ks_gen_spec spec = spec_of(variants[v]);
		struct ks_sim_result r = run(&spec, 10000000, 5 * KS_MS, 0, 4);
		uint64_t per_ms[8] = {0};
		CU_ASSERT_EQUAL(count(&r, KS_REFUSE), 0);
		for (size_t i = 0; i < r.records.n; i++) {
			struct ks_fields f;
			spec.gen->decode(spec.cfg, ks_record_get(&r.records, i).key, &f);
			per_ms[(f.embed_lo_unix_ns - START) / KS_MS]++;
		}
		CU_ASSERT_EQUAL(per_ms[0], 4096);
		CU_ASSERT_EQUAL(per_ms[1], 4096);
		CU_ASSERT_EQUAL(descents(&r), 0);
		ks_sim_result_release(&r);
	}
}

static void snowflake_fields_must_fit(void)
{
	struct ks_gen_spec spec = spec_of("snowflake:node_bits=2"); /* worker 5 does not fit 2 bits */
	struct ks_sim_result r = run(&spec, 1000, 10 * KS_MS, 0, 1);
	CU_ASSERT_EQUAL(count(&r, KS_REFUSE), 10);
	CU_ASSERT_STRING_EQUAL(spec.gen->reasons[ks_record_get(&r.records, 0).why], "the node id does not fit its field");
	ks_sim_result_release(&r);
	spec = spec_of("snowflake:epoch=2000000000s"); /* starts after the run */
	r = run(&spec, 1000, 10 * KS_MS, 0, 1);
	CU_ASSERT_EQUAL(count(&r, KS_REFUSE), 10);
	ks_sim_result_release(&r);
	spec = spec_of("snowflake:epoch=0s:node_bits=10:seq_bits=22"); /* 31 bits of ms: over after 25 days */
	r = run(&spec, 1000, 10 * KS_MS, 0, 1);
	CU_ASSERT_EQUAL(count(&r, KS_REFUSE), 10);
	ks_sim_result_release(&r);
}

static void uuidv7_methods(void)
{
	struct ks_gen_spec random = spec_of("uuidv7"), counter = spec_of("uuidv7:counter");
	struct ks_sim_result r = run(&random, 100000, 100 * KS_MS, -20 * KS_MS, 1);
	CU_ASSERT(descents(&r) > 1000); /* unordered within a ms */
	for (size_t i = 0; i < r.records.n; i++) {
		CU_ASSERT_EQUAL(ks_record_get(&r.records, i).key.hi >> 12 & 15, 7);
		CU_ASSERT_EQUAL(ks_record_get(&r.records, i).key.lo >> 62, 2);
	}
	ks_sim_result_release(&r);
	r = run(&counter, 100000, 100 * KS_MS, -20 * KS_MS, 1);
	CU_ASSERT_EQUAL(descents(&r), 0); /* frozen, and counted on */
	ks_sim_result_release(&r);
	counter = spec_of("uuidv7:counter:rollback=10ms");
	r = run(&counter, 100000, 100 * KS_MS, -20 * KS_MS, 1);
	CU_ASSERT_EQUAL(descents(&r), 1); /* further back than allowed: starts anew */
	ks_sim_result_release(&r);
}

static void specs(void)
{
	static const char *const bad[][2] = {
		{"snowflak", "unknown generator 'snowflak'; did you mean 'snowflake', see keyskew list generators"},
		{"snowflake:uncheckd", "generator 'snowflake:uncheckd': unknown variant 'uncheckd', expected OPTION=VALUE or a variant; "
		                       "did you mean 'unchecked'"},
		{"snowflake:node_bit=8", "generator 'snowflake:node_bit=8': unknown option 'node_bit'; did you mean 'node_bits'"},
		{"snowflake:node_bits=22:seq_bits=12", "generator 'snowflake:node_bits=22:seq_bits=12': node_bits and seq_bits take 34 "
		                                       "bits, expected at most 32"},
		{"uuidv7:rollback=10", "generator 'uuidv7:rollback=10': bad value '10' of option 'rollback', expected a unit (ns us ms s m "
		                       "h d)"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct ks_gen_spec spec;
		struct ks_err err = {0};
		CU_ASSERT_EQUAL(ks_gen_parse(ks_gens_sim, bad[i][0], &spec, &err), -1);
		CU_ASSERT_STRING_EQUAL(err.text, bad[i][1]);
		CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	}
	struct ks_gen_spec a = spec_of("snowflake:unchecked"), b = spec_of("snowflake:variant=unchecked");
	CU_ASSERT_EQUAL(memcmp(a.cfg, b.cfg, sizeof a.cfg), 0);
}

int main(void)
{
	static const struct ks_test tests[] = {{"snowflake policies", snowflake_policies},
	                                       {"snowflake waits for the next ms", snowflake_waits_for_the_next_ms},
	                                       {"snowflake fields must fit", snowflake_fields_must_fit},
	                                       {"uuidv7 methods", uuidv7_methods},
	                                       {"specs", specs},
	                                       {0}};
	return ks_test_main("keygen", tests);
}
