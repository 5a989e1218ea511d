#include "job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ks_mem.h"
#include "ks_store.h"
#include "ks_stream.h"
#include "watch.h"

/* Everything that one attempt holds. */
struct attempt {
	struct ks_run_output run, control;
	struct ks_evidence evidence, control_evidence;
	struct ks_run_facts facts;
};

static void release(struct attempt *a)
{
	ks_evidence_release(&a->evidence);
	ks_evidence_release(&a->control_evidence);
	ks_run_output_release(&a->run);
	ks_run_output_release(&a->control);
	ks_free(a->facts.judgement);
	ks_free(a->facts.control_count);
	ks_free(a->facts.expect);
	for (size_t i = 0; i < a->facts.damages; i++) {
		ks_toll_release(&a->facts.damage[i].toll);
		ks_toll_release(&a->facts.damage[i].control);
	}
	ks_free(a->facts.damage);
	*a = (struct attempt){0};
}

/* ---- what is expected of this generator ---- */

static bool same_generator(const struct ks_gen_spec *spec, const char *name)
{
	struct ks_gen_spec other;
	struct ks_err ignored;
	if (!strcmp(spec->text, name))
		return true;
	return spec->gen && ks_gen_parse(ks_gens_sim, name, &other, &ignored) == 0 && other.gen == spec->gen &&
	       !memcmp(other.cfg, spec->cfg, spec->gen->cfg_size);
}

const struct ks_expect_group *ks_group_of(const struct ks_plan *plan, const struct ks_gen_spec *spec)
{
	const struct ks_expect_group *others = NULL;
	for (size_t i = 0; i < plan->groups; i++) {
		if (same_generator(spec, plan->group[i].generator))
			return &plan->group[i];
		if (!strcmp(plan->group[i].generator, "other"))
			others = &plan->group[i];
	}
	return others;
}

/* ---- claims ---- */

static bool same_claim(struct ks_claim_ref a, struct ks_claim_ref b)
{
	return a.property == b.property && a.scope == b.scope && a.bound_ns == b.bound_ns;
}

static struct ks_judgement *find_judgement(struct ks_run_facts *f, struct ks_claim_ref claim, size_t *index)
{
	for (size_t i = 0; i < f->judgements; i++)
		if (same_claim(f->judgement[i].claim, claim)) {
			*index = i;
			return &f->judgement[i];
		}
	return NULL;
}

/* What is to be judged: each claim once. */
struct docket {
	struct ks_claim_ref *claim;
	size_t n, own; /* the first of them are the generator's own */
};

static void add_claim(struct docket *d, struct ks_claim_ref claim)
{
	for (size_t i = 0; i < d->n; i++)
		if (same_claim(d->claim[i], claim))
			return;
	d->claim[d->n++] = claim;
}

static int list_claims(struct docket *d, const struct ks_claim *claims, int n, const struct ks_expect_group *group, struct ks_err *err)
{
	for (int i = 0; i < n; i++) {
		struct ks_claim_ref claim;
		if (ks_claim_parse(claims[i].text, &claim, err))
			return -1;
		add_claim(d, claim);
	}
	d->own = d->n;
	for (size_t i = 0; group && i < group->n; i++)
		if (group->v[i].kind == KS_EXPECT_CLAIM)
			add_claim(d, group->v[i].claim);
	return 0;
}

static int judge_docket(struct attempt *a, const struct docket *d, struct ks_err *err)
{
	struct ks_run_facts *f = &a->facts;
	struct ks_judgement *control = ks_alloc(d->n, sizeof *control);
	f->judgement = ks_alloc(d->n, sizeof *f->judgement);
	f->control_count = ks_alloc(d->n, sizeof *f->control_count);
	int failed = f->judgement && f->control_count && control ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory");
	if (!failed)
		failed = ks_judge_all(&a->evidence, d->claim, d->n, &f->metrics, f->judgement, err);
	if (!failed && f->control)
		failed = ks_judge_all(&a->control_evidence, d->claim, d->n, &f->control_metrics, control, err);
	f->judgements = failed ? 0 : d->n;
	for (size_t i = 0; i < f->judgements; i++) {
		f->judgement[i].by_generator = i < d->own;
		f->control_count[i] = f->control ? control[i].count : 0;
	}
	ks_free(control);
	return failed;
}

static int make_docket(struct docket *d, const struct ks_gen_spec *gen, const struct ks_expect_group *group, struct ks_err *err)
{
	struct ks_claim claims[KS_CLAIMS_MAX];
	int n = ks_gen_claims(gen, claims);
	*d = (struct docket){ks_alloc((size_t)n + (group ? group->n : 0), sizeof *d->claim), 0, 0};
	return d->claim ? list_claims(d, claims, n, group, err) : ks_fail(err, KS_E_INTERNAL, "out of memory");
}

static int judge(struct attempt *a, const struct ks_expect_group *group, struct ks_err *err)
{
	struct docket d;
	int failed = make_docket(&d, a->facts.gen, group, err);
	if (!failed)
		failed = judge_docket(a, &d, err);
	ks_free(d.claim);
	return failed;
}

/* ---- expectations ---- */

static void expect_claim(struct ks_run_facts *f, struct ks_claim_ref claim, enum ks_verdict want, enum ks_expect_kind kind)
{
	char name[KS_NAME_MAX];
	struct ks_expect_result *x = &f->expect[f->expects++];
	size_t i = 0;
	const struct ks_judgement *j = find_judgement(f, claim, &i);
	*x = (struct ks_expect_result){.kind = kind, .verdict = j->verdict, .value = (int64_t)j->count, .exposed = j->exposed};
	snprintf(x->text, sizeof x->text, "%s: %s", ks_claim_format(name, claim), ks_verdict_names[want]);
	x->has_control = f->control != NULL;
	x->control = (int64_t)f->control_count[i];
	if (j->verdict == want)
		x->met = KS_MET;
	else if (j->verdict == KS_UNTESTED)
		x->met = KS_NOT_TESTED;
	snprintf(x->reason, sizeof x->reason, "%s", j->reason);
}

static void expect_value(struct ks_run_facts *f, const struct ks_expect *want, bool known, int64_t value, int64_t control)
{
	struct ks_expect_result *x = &f->expect[f->expects++];
	*x = (struct ks_expect_result){.kind = want->kind, .value = value, .band = want->band, .control = control,
	                               .has_control = f->control != NULL};
	snprintf(x->text, sizeof x->text, "%s", want->text);
	x->met = ks_band_has(want->band, value) ? KS_MET : KS_UNMET;
	if (!known) {
		x->met = KS_NOT_TESTED;
		x->has_control = false;
		snprintf(x->reason, sizeof x->reason, "not computed: the records do not tell it");
	}
}

static void expect_damage(struct ks_run_facts *f, const struct ks_expect *want)
{
	for (size_t i = 0; i < f->damages; i++)
		for (int k = 0; f->damage[i].consumer->damages[k].name; k++) {
			const struct ks_damage_result *d = &f->damage[i];
			char name[2 * KS_NAME_MAX];
			snprintf(name, sizeof name, "%s.%s", d->consumer->name, d->consumer->damages[k].name);
			if (strcmp(name, want->damage))
				continue;
			expect_value(f, want, !*d->toll.unknown, d->toll.value[k], d->control.value[k]);
			if (*d->toll.unknown)
				snprintf(f->expect[f->expects - 1].reason, sizeof f->expect->reason, "%s", d->toll.unknown);
		}
}

static void expect_one(struct ks_run_facts *f, const struct ks_expect *want)
{
	switch (want->kind) {
	case KS_EXPECT_CLAIM:
		expect_claim(f, want->claim, want->verdict, KS_EXPECT_CLAIM);
		break;
	case KS_EXPECT_ALL_CLAIMS:
		for (size_t k = 0; k < f->judgements; k++)
			if (f->judgement[k].by_generator)
				expect_claim(f, f->judgement[k].claim, want->verdict, KS_EXPECT_ALL_CLAIMS);
		break;
	case KS_EXPECT_METRIC:
		expect_value(f, want, f->metrics.known[want->metric], ks_metric_get(&f->metrics, want->metric, want->scope),
		             ks_metric_get(&f->control_metrics, want->metric, want->scope));
		break;
	case KS_EXPECT_DAMAGE:
		expect_damage(f, want);
		break;
	}
}

static int expect(struct ks_run_facts *f, const struct ks_expect_group *group, struct ks_err *err)
{
	static const struct ks_expect all_kept = {.kind = KS_EXPECT_ALL_CLAIMS, .verdict = KS_KEPT};
	const struct ks_expect *v = group ? group->v : &all_kept;
	size_t n = group ? group->n : 1;
	const struct ks_expect_group *figures = &f->plan->figures;
	f->expect = ks_alloc(n + n * f->judgements + figures->n, sizeof *f->expect);
	if (!f->expect)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (size_t i = 0; i < n; i++)
		expect_one(f, &v[i]);
	/* Figures of a report are looked up in the same way, but stand apart and decide nothing. */
	size_t own = f->expects;
	for (size_t i = 0; i < figures->n; i++)
		expect_one(f, &figures->v[i]);
	f->figure = f->expect + own;
	f->figures = f->expects - own;
	f->expects = own;
	f->reported_of_this = !*figures->generator || same_generator(f->gen, figures->generator);
	return 0;
}

static int consume(struct attempt *a, struct ks_err *err)
{
	struct ks_run_facts *f = &a->facts;
	f->damage = ks_alloc(f->plan->consumers, sizeof *f->damage);
	if (!f->damage)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (size_t i = 0; i < f->plan->consumers; i++) {
		const struct ks_consumer_use *use = &f->plan->consumer[i];
		struct ks_damage_result *d = &f->damage[f->damages++];
		d->consumer = use->consumer;
		if (f->discarded) {
			snprintf(d->toll.unknown, sizeof d->toll.unknown, "the records were not kept");
			continue;
		}
		if (ks_consume(use->consumer, use->cfg, &a->evidence, &d->toll, err))
			return -1;
		if (f->control && ks_consume(use->consumer, use->cfg, &a->control_evidence, &d->control, err))
			return -1;
	}
	return 0;
}

/* ---- one attempt ---- */

/* @return 0, or -1 when the run is to end. */
static int next_step(struct ks_job *job, int step, struct ks_err *err)
{
	if (job->stop)
		return ks_fail(err, KS_E_JUDGE, "interrupted");
	job->step = step;
	job->step_ns = ks_now_ns();
	if (step == KS_STEP_RUN || step == KS_STEP_CONTROL) {
		job->progress.reached_ns = 0;
		job->progress.calls = 0;
	}
	return 0;
}

/* Once more, into records of its own. What decides beside plan and seed is a bug of ours in a built-in generator, of the program
 * in a foreign one. */
static int run_again(const struct ks_run_request *request, const struct ks_job *job, const struct ks_evidence *first,
                     struct ks_err *err)
{
	struct ks_run_output again = {0};
	struct ks_evidence second = *first;
	char text[1000];
	int failed = job->world->run(request, &again, err);
	second.records = &again.records;
	const struct ks_gen *gen = job->gen->gen;
	bool ours = gen && ks_gen_find(ks_gens_sim, gen->name) == gen;
	if (!failed && ks_first_difference(first, &second, text, sizeof text))
		failed = ks_fail(err, ours ? KS_E_INTERNAL : KS_E_JUDGE, "%s: two runs differ: %s", job->id, text);
	ks_run_output_release(&again);
	return failed;
}

/* Of the memory a part is for the records of the run, one for those of the control, one for judging them. */
static struct ks_run_request request_of(struct ks_job *job)
{
	return (struct ks_run_request){.plan = job->plan, .gen = job->gen, .seed = job->seed, .stop = &job->stop,
	                               .progress = &job->progress, .memory = job->memory / (job->world->runs_control ? 3 : 2)};
}

static int run_worlds(struct attempt *a, struct ks_job *job, struct ks_err *err)
{
	struct ks_run_request request = request_of(job);
	if (next_step(job, KS_STEP_RUN, err))
		return -1;
	if (job->world->run(&request, &a->run, err))
		return -1;
	a->evidence = (struct ks_evidence){.plan = job->plan, .gen = job->gen, .records = &a->run.records, .seed = job->seed,
	                                   .noise_ns = a->run.noise_ns, .change = a->run.change, .nchange = a->run.nchange};
	if (ks_evidence_init(&a->evidence, err))
		return -1;
	a->facts.evidence = &a->evidence;
	if (job->twice && run_again(&request, job, &a->evidence, err))
		return -1;
	if (!job->world->runs_control)
		return 0;
	request.control = true;
	if (next_step(job, KS_STEP_CONTROL, err))
		return -1;
	if (job->world->run(&request, &a->control, err))
		return -1;
	a->control_evidence = (struct ks_evidence){.plan = job->plan, .gen = job->gen, .records = &a->control.records,
	                                           .seed = job->seed, .noise_ns = a->control.noise_ns, .control = true};
	if (ks_evidence_init(&a->control_evidence, err))
		return -1;
	a->facts.control = &a->control_evidence;
	return job->twice ? run_again(&request, job, &a->control_evidence, err) : 0;
}

/* ---- records that are judged as they pass ---- */

static bool is_built_in(const struct ks_job *job)
{
	return job->world->id == KS_WORLD_SIM && job->gen->gen && !ks_gen_issues_texts(job->gen);
}

/* Is the run so large that its records would not fit? */
static bool is_large(const struct ks_job *job)
{
	const struct ks_plan *p = job->plan;
	double calls = (double)p->load.rate.count / (double)p->load.rate.per_ns * (double)p->duration_ns * p->nodes;
	return job->memory && calls * (double)sizeof(struct ks_packed) > (double)(job->memory / 3);
}

static int pass(struct attempt *a, struct ks_job *job, bool control, const struct docket *d, struct ks_judgement *judgement,
                const char **why, struct ks_err *err)
{
	struct ks_run_output *out = control ? &a->control : &a->run;
	struct ks_evidence *e = control ? &a->control_evidence : &a->evidence;
	struct ks_run_request request = request_of(job);
	*e = (struct ks_evidence){.plan = job->plan, .gen = job->gen, .records = &out->records, .seed = job->seed, .control = control};
	struct ks_stream_check *s = ks_stream_check_new(e, d->claim, d->n, KS_STREAM_ROWS, err);
	if (!s || next_step(job, control ? KS_STEP_CONTROL : KS_STEP_RUN, err)) {
		ks_stream_check_free(s);
		return -1;
	}
	struct ks_sink sink = ks_stream_check_sink(s);
	request.control = control;
	request.sink = &sink;
	int failed = job->world->run(&request, out, err);
	if (!failed)
		failed = ks_stream_check_finish(s, control ? &a->facts.control_metrics : &a->facts.metrics, judgement, &e->nexposed, err);
	*why = ks_stream_check_inexact(s);
	ks_stream_check_free(s);
	return failed;
}

static int pass_both(struct attempt *a, struct ks_job *job, const struct docket *d, const char **why, struct ks_err *err)
{
	struct ks_run_facts *f = &a->facts;
	struct ks_judgement *control = ks_alloc(d->n, sizeof *control);
	f->judgement = ks_alloc(d->n, sizeof *f->judgement);
	f->control_count = ks_alloc(d->n, sizeof *f->control_count);
	int failed = f->judgement && f->control_count && control ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory");
	failed = failed || pass(a, job, false, d, f->judgement, why, err) || pass(a, job, true, d, control, why, err);
	f->judgements = failed ? 0 : d->n;
	for (size_t i = 0; i < f->judgements; i++) {
		f->judgement[i].by_generator = i < d->own;
		f->control_count[i] = control[i].count;
	}
	ks_free(control);
	return failed;
}

/* Judges run and control without keeping records, if that can be exact. @return 0 when it was, 1 when the records are to be
 * kept, -1 when it failed. Both times are told. */
static int run_discarding(struct attempt *a, struct ks_job *job, const struct ks_expect_group *group, struct ks_err *err)
{
	struct docket d;
	const char *why = NULL;
	int64_t begin_ns = ks_now_ns();
	int failed = make_docket(&d, job->gen, group, err) || pass_both(a, job, &d, &why, err);
	double took_s = (double)(ks_now_ns() - begin_ns) / 1e9;
	ks_free(d.claim);
	if (!failed) {
		fprintf(stderr, "keyskew: %s: judged as it passed in %.1f s; without records there are no key file, plots, consumers\n", job->id,
		        took_s);
		a->facts.evidence = &a->evidence;
		a->facts.control = &a->control_evidence;
		a->facts.discarded = true;
		return 0;
	}
	if (!why)
		return -1;
	fprintf(stderr, "keyskew: %s: could not be judged as it passed (%s), after %.1f s; again, with its records kept\n", job->id, why, took_s);
	release(a);
	*err = (struct ks_err){0};
	return 1;
}

/* A fault that the subject's own clock does not show makes everything after it worthless. */
static int check_injection(const struct ks_run_facts *f, struct ks_err *err)
{
	for (size_t i = 0; i < f->output->ninjection; i++) {
		const struct ks_injection *in = &f->output->injection[i];
		int64_t off = in->observed - in->commanded;
		if (off <= in->tolerance && off >= -in->tolerance)
			continue;
		const struct ks_fault *fault = &f->plan->fault[in->fault];
		const char *(*format)(char *, int64_t) = fault->kind->type == KS_OPT_PPB ? ks_ppb_format : fault->kind->type == KS_OPT_UTC ? ks_utc_format : ks_dur_format;
		char wanted[KS_TIME_TEXT], shown[KS_TIME_TEXT];
		return ks_fail(err, KS_E_JUDGE, "fault '%s' not proven on %s: commanded %s, its clock showed %s", fault->name,
		               f->plan->node[in->node].name, format(wanted, in->commanded), format(shown, in->observed));
	}
	return 0;
}

static bool all_met(const struct ks_run_facts *f)
{
	for (size_t i = 0; i < f->expects; i++)
		if (f->expect[i].met == KS_UNMET)
			return false;
	return f->theory.law == KS_LAW_NONE || f->theory_met;
}

/* Whoever expects something of it asks for it. */
static bool expects_disorder(const struct ks_expect_group *group)
{
	for (size_t i = 0; group && i < group->n; i++)
		if (group->v[i].kind == KS_EXPECT_METRIC && (group->v[i].metric == KS_M_INVERSIONS || group->v[i].metric == KS_M_REM))
			return true;
	return false;
}

static int find_disorder(struct attempt *a, struct ks_err *err)
{
	struct ks_run_facts *f = &a->facts;
	if (ks_metrics_disorder(&a->evidence, &f->metrics, err))
		return -1;
	return f->control ? ks_metrics_disorder(&a->control_evidence, &f->control_metrics, err) : 0;
}

static void name_facts(struct attempt *a, const struct ks_job *job)
{
	struct ks_run_facts *f = &a->facts;
	f->id = job->id;
	f->generator = job->gen->text;
	f->world = job->world->name;
	f->seed = job->seed;
	f->status = "judged";
	f->reason = "";
	f->plan = job->plan;
	f->gen = job->gen;
	f->reproduce = job->reproduce;
	f->output = &a->run;
	f->attempts = 1;
}

static int attempt(struct attempt *a, struct ks_job *job, struct ks_err *err)
{
	struct ks_run_facts *f = &a->facts;
	const struct ks_expect_group *group = ks_group_of(job->plan, job->gen);
	bool disorder = job->disorder || expects_disorder(group), told = false;
	name_facts(a, job);
	if (is_built_in(job) && (job->discard || (is_large(job) && !disorder && !*job->keys && !job->plan->consumers))) {
		int status = run_discarding(a, job, group, err);
		if (status < 0)
			return -1;
		told = status > 0;
		name_facts(a, job);
		f->discarded = status == 0;
	}
	int64_t begin_ns = ks_now_ns();
	if (!f->discarded && run_worlds(a, job, err))
		return -1;
	if (check_injection(f, err) || next_step(job, KS_STEP_JUDGE, err))
		return -1;
	if (!f->discarded && (judge(a, group, err) || (disorder && find_disorder(a, err))))
		return -1;
	if (told)
		fprintf(stderr, "keyskew: %s: judged with its records kept in %.1f s\n", job->id, (double)(ks_now_ns() - begin_ns) / 1e9);
	if (consume(a, err) || expect(f, group, err))
		return -1;
	if (job->world->id == KS_WORLD_SIM) { /* laws are about the plan; real worlds add timing noise of their own */
		ks_theory_duplicates(job->plan, job->gen, job->seed, &f->theory);
		int64_t value = ks_metric_get(&f->metrics, KS_M_DUPLICATES, f->theory.scope);
		f->theory_met = value >= f->theory.low && value <= f->theory.high;
	}
	f->as_expected = all_met(f) != job->plan->canary;
	return 0;
}

static int64_t first_witness(const struct ks_run_facts *f)
{
	for (size_t i = 0; i < f->judgements; i++)
		if (f->judgement[i].verdict == KS_BROKEN && f->judgement[i].witness[1] >= 0)
			return f->judgement[i].witness[1];
	return -1;
}

static int write_files(struct attempt *a, struct ks_job *job, struct ks_err *err)
{
	if (next_step(job, KS_STEP_WRITE, err))
		return -1;
	if (a->facts.discarded)
		return 0;
	if (*job->keys && ks_keys_write(&a->evidence, job->seed, job->keys, err))
		return -1;
	if (!*job->folder)
		return 0;
	if (mkdir(job->folder, 0777) && errno != EEXIST)
		return ks_fail(err, KS_E_INTERNAL, "cannot make folder '%s': %s", job->folder, strerror(errno));
	return ks_series_write(&a->facts, first_witness(&a->facts), job->folder, err);
}

/* world: what is known of it, or NULL. */
static json_t *not_judged(struct ks_job *job, const char *status, const char *reason, const struct ks_run_output *world)
{
	struct ks_run_facts f = {.id = job->id, .generator = job->gen->text, .world = job->world->name, .seed = job->seed,
	                         .status = status, .reason = reason, .plan = job->plan, .gen = job->gen, .output = world,
	                         .reproduce = job->reproduce};
	f.as_expected = !strcmp(status, "untested");
	return ks_result_run(&f);
}

int ks_job_skip(struct ks_job *job, const char *reason)
{
	job->result = not_judged(job, "untested", reason, NULL);
	return job->result ? 0 : ks_fail(&job->err, KS_E_INTERNAL, "out of memory for the result");
}

/* Real worlds are noisy: an unmet expectation is tried once more. *first keeps what the first attempt gave. */
static int attempts(struct attempt *a, struct ks_job *job, json_t **first)
{
	int status = attempt(a, job, &job->err);
	if (status || a->facts.as_expected || job->world->id == KS_WORLD_SIM || job->stop)
		return status;
	json_t *run = ks_result_run(&a->facts);
	*first = json_incref(json_object_get(run, "expectations"));
	json_decref(run);
	release(a);
	status = attempt(a, job, &job->err);
	a->facts.attempts = 2;
	return status;
}

/* What the world has to say of why it was not done yet: "interrupted; WHAT". */
static const char *said(const struct ks_err *err)
{
	const char *what = strchr(err->text, ';');
	return !strncmp(err->text, "interrupted;", 12) ? what : "";
}

static void tell_timeout(struct ks_job *job)
{
	struct ks_err first = job->err;
	static const char *const steps[] = {"it had not begun", "of the run", "of the control",
	                                    "both run and control were done, but not judged", "only its files were missing"};
	char timeout[KS_TIME_TEXT], reached[KS_TIME_TEXT], whole[KS_TIME_TEXT];
	int step = job->step;
	ks_dur_format(timeout, job->timeout_ns);
	if ((step == KS_STEP_RUN || step == KS_STEP_CONTROL) && job->progress.calls)
		ks_fail(&job->err, KS_E_JUDGE, "time-out after %s: %s of %s %s reached, %llu calls", timeout,
		        ks_dur_format(reached, job->progress.reached_ns), ks_dur_format(whole, job->plan->duration_ns), steps[step],
		        (unsigned long long)job->progress.calls);
	else
		ks_fail(&job->err, KS_E_JUDGE, "time-out after %s%s%s%s", timeout, step > KS_STEP_CONTROL ? ": " : "",
		        step > KS_STEP_CONTROL ? steps[step] : "", said(&first));
}

static int run_it(struct ks_job *job)
{
	char why[512] = "";
	struct attempt a = {0};
	int status;
	if (job->world->carries(job->plan, job->gen, why, sizeof why)) {
		bool required = job->plan->require >> job->world->id & 1;
		job->result = not_judged(job, required ? "failed" : "untested", why, NULL);
	} else if (job->world->available(why, sizeof why)) {
		job->result = not_judged(job, job->asked ? "failed" : "untested", why, NULL);
	} else {
		json_t *first = NULL;
		status = attempts(&a, job, &first);
		if (status == 0)
			status = write_files(&a, job, &job->err);
		if (status && job->stop == KS_STOP_TIMEOUT && job->err.code == KS_E_JUDGE)
			tell_timeout(job);
		if (status == 0)
			job->result = ks_result_run(&a.facts);
		else if (job->err.code == KS_E_JUDGE)
			job->result = not_judged(job, "failed", job->err.text, &a.run);
		if (first && job->result)
			json_object_set(job->result, "first_attempt", first);
		json_decref(first);
		release(&a);
		if (status && job->err.code != KS_E_JUDGE)
			return -1;
	}
	if (!job->result)
		return ks_fail(&job->err, KS_E_INTERNAL, "out of memory for the result");
	if (job->sweep)
		json_object_set(job->result, "sweep", job->sweep);
	job->err = (struct ks_err){0};
	return 0;
}

int ks_job_run(struct ks_job *job)
{
	job->step_ns = ks_now_ns();
	job->begin_ns = (int64_t)job->step_ns;
	int status = run_it(job);
	job->step = KS_STEP_DONE;
	return status;
}
