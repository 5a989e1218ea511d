/* One run as a JSON object of the result document (schema 1). */
#ifndef KS_RESULT_H
#define KS_RESULT_H

#include <jansson.h>

#include "ks_check.h"
#include "ks_consumer.h"
#include "ks_world.h"

/* An expectation after the run. */
enum ks_met { KS_UNMET, KS_MET, KS_NOT_TESTED };
struct ks_expect_result {
	char text[2 * KS_NAME_MAX];
	enum ks_expect_kind kind;
	enum ks_met met;
	enum ks_verdict verdict;  /* of a claim */
	int64_t value;            /* of a metric or damage; of a claim the number of violations */
	struct ks_band band;
	int64_t control;
	bool has_control;
	uint64_t exposed;
	char reason[200];         /* of not tested */
};

struct ks_damage_result {
	const struct ks_consumer *consumer;
	struct ks_toll toll, control; /* control: of the run without faults, where there is one */
};

/* All that is known of one run. Pointers are borrowed. */
struct ks_run_facts {
	const char *id, *generator, *world, *reproduce;
	uint64_t seed;
	const char *status, *reason; /* judged | untested | failed */
	const struct ks_plan *plan;
	const struct ks_gen_spec *gen;
	/* the rest only when judged */
	const struct ks_run_output *output;
	const struct ks_evidence *evidence, *control; /* control: NULL when the world has none */
	struct ks_metrics metrics, control_metrics;
	struct ks_judgement *judgement;
	uint64_t *control_count;     /* of violations, by judgement */
	size_t judgements;
	struct ks_expect_result *expect;
	size_t expects;
	const struct ks_expect_result *figure; /* of what was reported, by plan->figures */
	size_t figures;
	bool reported_of_this; /* the report is about this generator */
	struct ks_theory theory;
	bool theory_met;
	struct ks_damage_result *damage;
	size_t damages;
	int attempts;
	bool discarded; /* the records were judged as they passed: rows are numbers alone */
	bool as_expected;
};

/* @return a new reference, or NULL when out of memory. */
json_t *ks_result_run(const struct ks_run_facts *facts);
/* The document around the runs (stolen): summary and exit code. @return a new reference, or NULL. */
json_t *ks_result_document(const char *name, json_t *runs);
/* The exit code that a document stands for: 0, 1 or 3, precedence 1 before 3. When no run at all could be judged, that is 3. */
int ks_result_exit(const json_t *document);
/* An integer as JSON: a number, or a string above 2^53. */
json_t *ks_json_int(int64_t v);

#endif
