/* Fuzz target of theory: whatever plan loads, laws come out without a fault, and their intervals are intervals. Plans of many calls or
 * nodes are left out: they take long and say no more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ks_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool holds, const char *generator, const struct ks_theory *t)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_theory: %s: %s [%lld, %lld] mean %g: %s\n", generator, ks_law_names[t->law], (long long)t->low,
	        (long long)t->high, t->mean, t->text);
	abort();
}

static bool is_small(const struct ks_plan *plan)
{
	double calls = (double)plan->load.rate.count / (double)plan->load.rate.per_ns * (double)plan->duration_ns;
	return plan->nodes <= 8 && plan->faults <= 8 && calls < 5000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const generators[] = {"unixmilli", "unixnano:user", "snowflake:unchecked", "trace-id:letters=36:length=1",
	                                         "trace-id:seed=equal", "counter", "mono-offset", "depth-aware", "hlc", "ulid", "shard-key"};
	struct ks_plan plan;
	struct ks_err err;
	if (ks_plan_parse((const char *)data, len, "f.yaml", NULL, 0, &plan, &err))
		return 0;
	for (size_t i = 0; is_small(&plan) && i < sizeof generators / sizeof *generators; i++) {
		struct ks_gen_spec spec;
		struct ks_theory t;
		if (ks_gen_parse(ks_gens_sim, generators[i], &spec, &err))
			abort();
		ks_theory_duplicates(&plan, &spec, 1, &t);
		bool law = t.law != KS_LAW_NONE;
		require(*t.text && t.low >= 0 && t.low <= t.high, generators[i], &t);
		require(!law || ((double)t.low <= t.mean + 1 && t.mean <= (double)t.high + 1), generators[i], &t);
	}
	ks_plan_release(&plan);
	return 0;
}
