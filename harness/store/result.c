#include "ks_result.h"
#include "capture.h"

#include <string.h>

#include "ks_store.h"

/* How many rows before and after a witness are kept with it. */
#define NEIGHBOURS 3

json_t *ks_json_int(int64_t v)
{
	const int64_t safe = INT64_C(1) << 53;
	if (v >= -safe && v <= safe)
		return json_integer(v);
	return json_sprintf("%lld", (long long)v);
}

/* Six significant digits: the same text from every compiler's libm. Whole numbers stay whole. */
static json_t *rounded(double v)
{
	char buf[32];
	snprintf(buf, sizeof buf, "%.6g", v);
	if (v > -1e6 && v < 1e6 && v == (double)(int64_t)v)
		return json_integer((int64_t)v);
	return json_loads(buf, JSON_DECODE_ANY, NULL);
}

static json_t *text(const char *s)
{
	json_t *j = json_string(s);
	return j ? j : json_string("?"); /* not UTF-8 */
}

/* ---- claims ---- */

static void put_reason(const struct ks_run_facts *f, const struct ks_record *r, json_t *j)
{
	const struct ks_texts *reasons = &f->evidence->records->reasons;
	const char *why = f->gen->gen ? f->gen->gen->reasons[r->why % KS_REASONS_MAX] : NULL;
	char said[256];
	if (!f->gen->gen && r->why < reasons->n) {
		size_t len;
		const char *bytes = ks_texts_get(reasons, r->why, &len);
		snprintf(said, sizeof said, "%.*s", (int)len, bytes);
		why = said;
	}
	if (why)
		json_object_set_new(j, "why", text(why));
}

/* What the key says of itself; numbers beyond 2^53 are strings, as everywhere. */
static void put_fields(const struct ks_run_facts *f, const struct ks_record *r, json_t *j)
{
	struct ks_fields fields;
	if (!ks_gen_decode(f->gen, &f->evidence->records->texts, r->key, &fields) || !fields.nfields)
		return;
	json_t *said = json_object();
	for (int i = 0; i < fields.nfields; i++) {
		char digits[24];
		uint64_t v = fields.field[i].value;
		snprintf(digits, sizeof digits, "%llu", (unsigned long long)v);
		json_object_set_new(said, fields.field[i].name, v >> 53 ? text(digits) : json_integer((json_int_t)v));
	}
	json_object_set_new(j, "fields", said);
}

static json_t *row(const struct ks_run_facts *f, int64_t i)
{
	static const char *const outcomes[] = {"key", "refuse", "lost"};
	if (f->discarded)
		return json_pack("{sI}", "row", (json_int_t)i);
	struct ks_record r = ks_record_get(f->evidence->records, (size_t)i);
	const struct ks_lane *lane = &f->evidence->records->lanes[r.lane];
	char key[KS_ESCAPED_TEXT] = "";
	json_t *j = json_pack("{sI ss* si si si si ss}", "row", (json_int_t)i, "node", f->plan->node[lane->node].name, "process",
	                      (int)lane->process, "incarnation", (int)lane->incarnation, "thread", (int)lane->thread, "seq",
	                      (int)r.seq, "outcome", outcomes[r.outcome % 3]);
	if (!(r.flags & KS_CALL_UNKNOWN))
		json_object_set_new(j, "call_ns", ks_json_int(r.call_ns));
	if (r.return_ns != KS_NO_TIME)
		json_object_set_new(j, "return_ns", ks_json_int(r.return_ns));
	if (r.outcome == KS_KEY)
		json_object_set_new(j, "key", text(ks_key_print(f->evidence, (size_t)i, key)));
	if (r.outcome == KS_REFUSE)
		put_reason(f, &r, j);
	if (r.outcome == KS_KEY)
		put_fields(f, &r, j);
	if (r.read_ns != KS_NO_TIME)
		json_object_set_new(j, "clock_minus_true_ns", ks_json_int(r.read_ns - r.read_at_ns));
	return j;
}

static void who(const struct ks_run_facts *f, int64_t i, char *buf, size_t size)
{
	if (f->discarded) {
		snprintf(buf, size, "row %lld", (long long)i);
		return;
	}
	struct ks_record r = ks_record_get(f->evidence->records, (size_t)i);
	const struct ks_lane *lane = &f->evidence->records->lanes[r.lane];
	char at[KS_TIME_TEXT] = "never", key[KS_ESCAPED_TEXT] = "-";
	if (r.return_ns != KS_NO_TIME)
		ks_dur_format(at, r.return_ns);
	if (r.outcome == KS_KEY)
		ks_key_print(f->evidence, (size_t)i, key);
	snprintf(buf, size, "%s p%u t%u (%.80s at %s)", f->plan->node[lane->node].name, lane->process, lane->thread, key, at);
}

/* The witness in one sentence. */
static const char *describe(const struct ks_run_facts *f, const struct ks_judgement *j, char *buf, size_t size)
{
	static const char *const verbs[KS_NPROPERTIES] = {
		[KS_UNIQUE] = "issued the key of",           [KS_INCREASING] = "returned before and has the larger key than",
		[KS_SORTED] = "is later by key and older than", [KS_CAUSAL] = "is not below its child",
		[KS_CLOCK_WITHIN] = "names a time too far from its call", [KS_AVAILABLE] = "was not served in time",
	};
	char a[300] = "", b[300] = "";
	int64_t first = j->witness[0] >= 0 ? j->witness[0] : j->witness[1];
	who(f, first, a, sizeof a);
	if (j->witness[0] < 0 || j->witness[1] < 0) {
		snprintf(buf, size, "%s %s", a, verbs[j->claim.property]);
		return buf;
	}
	who(f, j->witness[1], b, sizeof b);
	if (j->claim.property == KS_UNIQUE) /* the second repeats the first */
		snprintf(buf, size, "%s %s %s", b, verbs[KS_UNIQUE], a);
	else
		snprintf(buf, size, "%s %s %s", a, verbs[j->claim.property], b);
	return buf;
}

static json_t *witness(const struct ks_run_facts *f, const struct ks_judgement *j)
{
	json_t *w = json_object(), *rows = json_array(), *near = json_array();
	if (j->witness[0] < 0 && j->witness[1] < 0) {
		json_decref(rows);
		json_decref(near);
		return w;
	}
	int64_t last = -1, n = (int64_t)f->evidence->records->n;
	for (int i = 0; i < 2; i++) {
		int64_t at = j->witness[i];
		if (at < 0)
			continue;
		json_array_append_new(rows, row(f, at));
		for (int64_t k = at - NEIGHBOURS; k <= at + NEIGHBOURS; k++)
			if (k > last && k >= 0 && k < n) {
				json_array_append_new(near, row(f, k));
				last = k;
			}
	}
	char sentence[512];
	json_object_set_new(w, "text", text(describe(f, j, sentence, sizeof sentence)));
	json_object_set_new(w, "rows", rows);
	json_object_set_new(w, "neighbours", near);
	return w;
}

static const char *claim_source(const struct ks_run_facts *f, const struct ks_judgement *j)
{
	struct ks_claim claims[KS_CLAIMS_MAX];
	int n = ks_gen_claims(f->gen, claims);
	for (int i = 0; i < n; i++)
		if (!strcmp(claims[i].text, j->text))
			return claims[i].source;
	return "the scenario";
}

static json_t *claims(const struct ks_run_facts *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->judgements; i++) {
		const struct ks_judgement *j = &f->judgement[i];
		json_t *c = json_pack("{ss ss ss ss so so so}", "claim", j->text, "verdict", ks_verdict_names[j->verdict], "by",
		                      j->by_generator ? "generator" : "scenario", "source", claim_source(f, j), "count",
		                      ks_json_int((int64_t)j->count), "exposed", ks_json_int((int64_t)j->exposed), "exposed_pairs",
		                      ks_json_int((int64_t)j->exposed_pairs));
		if (j->verdict == KS_UNTESTED)
			json_object_set_new(c, "reason", text(j->reason));
		if (j->verdict == KS_KEPT && j->bound > 0)
			json_object_set_new(c, "bound", rounded(j->bound));
		if (f->control)
			json_object_set_new(c, "control", json_pack("{so}", "count", ks_json_int((int64_t)f->control_count[i])));
		json_object_set_new(c, "witness", witness(f, j));
		json_array_append_new(list, c);
	}
	return list;
}

/* ---- expectations ---- */

static json_t *expectations(const struct ks_run_facts *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->expects; i++) {
		const struct ks_expect_result *x = &f->expect[i];
		char band[2 * KS_TIME_TEXT];
		bool claim = x->kind == KS_EXPECT_CLAIM || x->kind == KS_EXPECT_ALL_CLAIMS;
		json_t *e = json_pack("{ss so so}", "text", x->text, "met", x->met == KS_NOT_TESTED ? json_null() : json_boolean(x->met == KS_MET),
		                      "untested", json_boolean(x->met == KS_NOT_TESTED));
		if (claim && x->met != KS_NOT_TESTED) {
			json_object_set_new(e, "value", json_string(ks_verdict_names[x->verdict]));
			json_object_set_new(e, "count", ks_json_int(x->value));
			json_object_set_new(e, "exposed", ks_json_int((int64_t)x->exposed));
		} else if (claim) {
			json_object_set_new(e, "value", json_string("untested"));
		} else {
			if (x->met != KS_NOT_TESTED)
				json_object_set_new(e, "value", ks_json_int(x->value));
			json_object_set_new(e, "band", json_string(ks_band_format(band, x->band)));
		}
		if (x->met == KS_NOT_TESTED)
			json_object_set_new(e, "reason", text(x->reason));
		if (x->has_control)
			json_object_set_new(e, "control", ks_json_int(x->control));
		json_array_append_new(list, e);
	}
	return list;
}

/* What a report claims beside what was measured. */
static json_t *reported(const struct ks_run_facts *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->figures; i++) {
		const struct ks_expect_result *x = &f->figure[i];
		json_t *value = x->met == KS_NOT_TESTED ? NULL : ks_json_int(x->value);
		json_array_append_new(list, json_pack("{ss so so* so*}", "text", x->text, "met",
		                                      x->met == KS_NOT_TESTED ? json_null() : json_boolean(x->met == KS_MET), "value",
		                                      value, "control", x->has_control ? ks_json_int(x->control) : NULL));
	}
	return json_pack("{so ss so so}", "what", text(f->plan->reported), "of", f->plan->figures.generator, "of_this",
	                 json_boolean(f->reported_of_this), "figures", list);
}

/* ---- metrics, theory, damage, faults ---- */

static json_t *metrics(const struct ks_metrics *m)
{
	json_t *o = json_object();
	for (int i = 0; i < KS_NMETRICS; i++) {
		if (!m->known[i])
			continue;
		if (i >= KS_NSCOPED_METRICS) {
			json_object_set_new(o, ks_metric_names[i], ks_json_int(m->plain[i - KS_NSCOPED_METRICS]));
			continue;
		}
		json_t *scopes = json_object();
		for (int s = 0; s < KS_NSCOPES; s++)
			json_object_set_new(scopes, ks_scope_names[s], ks_json_int(m->scoped[i][s]));
		json_object_set_new(o, ks_metric_names[i], scopes);
	}
	return o;
}

static json_t *theory(const struct ks_run_facts *f)
{
	const struct ks_theory *t = &f->theory;
	int64_t value = ks_metric_get(&f->metrics, KS_M_DUPLICATES, t->scope);
	json_t *d = json_pack("{ss so so so ss ss so so}", "law", ks_law_names[t->law], "mean", rounded(t->mean), "low",
	                      ks_json_int(t->low), "high", ks_json_int(t->high), "scope", ks_scope_names[t->scope], "text", t->text,
	                      "value", ks_json_int(value), "met", json_boolean(f->theory_met));
	return json_pack("{so}", "duplicates", d);
}

/* A consumer that the records tell nothing has no values: absent means not computed. */
static json_t *damage(const struct ks_run_facts *f, bool control)
{
	json_t *o = json_object();
	for (size_t i = 0; i < f->damages; i++) {
		const struct ks_consumer *c = f->damage[i].consumer;
		const struct ks_toll *toll = control ? &f->damage[i].control : &f->damage[i].toll;
		json_t *values = json_object();
		for (int k = 0; c->damages[k].name && !*toll->unknown; k++)
			json_object_set_new(values, c->damages[k].name, ks_json_int(toll->value[k]));
		json_object_set_new(o, c->name, values);
	}
	return o;
}

/* The first piece of each damage, in one sentence: who did it to whom. */
static json_t *first_harm(const struct ks_run_facts *f, const struct ks_toll *toll, int damage)
{
	for (size_t i = 0; i < toll->n; i++) {
		const struct ks_harm *h = &toll->v[i];
		char by[300], of[300], sentence[640];
		if (h->damage != damage)
			continue;
		who(f, h->row, by, sizeof by);
		if (h->victim == KS_NO_PARENT) {
			snprintf(sentence, sizeof sentence, "%s", by);
		} else {
			who(f, h->victim, of, sizeof of);
			snprintf(sentence, sizeof sentence, "%s, after %s", by, of);
		}
		return text(sentence);
	}
	return NULL;
}

static json_t *damage_notes(const struct ks_run_facts *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->damages; i++) {
		const struct ks_damage_result *d = &f->damage[i];
		if (*d->toll.unknown)
			json_array_append_new(list, json_pack("{ss so}", "consumer", d->consumer->name, "unknown", text(d->toll.unknown)));
		for (int k = 0; d->consumer->damages[k].name && !*d->toll.unknown; k++) {
			json_t *first = first_harm(f, &d->toll, k);
			json_array_append_new(list, json_pack("{ss ss ss so*}", "consumer", d->consumer->name, "damage",
			                                      d->consumer->damages[k].name, "help", d->consumer->damages[k].help,
			                                      "first", first));
		}
	}
	return list;
}

static json_t *faults(const struct ks_plan *plan)
{
	json_t *list = json_array();
	for (size_t i = 0; i < plan->faults; i++) {
		const struct ks_fault *x = &plan->fault[i];
		char sentence[512];
		json_t *nodes = json_array();
		for (uint32_t k = 0; k < x->nnodes; k++)
			json_array_append_new(nodes, json_string(plan->node[x->nodes[k]].name));
		json_array_append_new(list, json_pack("{ss ss so so ss}", "name", x->name, "kind", x->kind->name, "at_ns",
		                                      ks_json_int(x->at_ns), "nodes", nodes, "text",
		                                      ks_fault_text(plan, x, sentence, sizeof sentence)));
	}
	return list;
}

static json_t *injection(const struct ks_run_facts *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->output->ninjection; i++) {
		const struct ks_injection *in = &f->output->injection[i];
		const struct ks_fault *x = &f->plan->fault[in->fault];
		bool rate = x->kind->type == KS_OPT_PPB;
		json_t *row =
			json_pack("{ss ss so so so so}", "fault", x->name, "node", f->plan->node[in->node].name, "at_ns",
		                        ks_json_int(in->at_ns), rate ? "commanded_ppb" : "commanded_ns", ks_json_int(in->commanded),
		                        rate ? "observed_ppb" : "observed_ns", ks_json_int(in->observed),
		                        rate ? "tolerance_ppb" : "tolerance_ns", ks_json_int(in->tolerance));
		if (in->changes) {
			json_object_set_new(row, "changes", json_integer(in->changes));
			json_object_set_new(row, "seen", json_integer(in->seen));
		}
		json_array_append_new(list, row);
	}
	return list;
}

/* What was not the generator's doing. */
static json_t *machine(const struct ks_machine *m)
{
	return json_pack("{so so so}", "call_late_ns_max", ks_json_int(m->call_late_ns_max), "calls_late",
	                 ks_json_int((int64_t)m->calls_late), "probe_late_ns_max", ks_json_int(m->probe_late_ns_max));
}

#define KEEPER_ACTS_MAX 1000 /* in a result; a long run has many */

/* "n1's ntpd steps -128ms": what a daemon did that keeps a node's clock, as a sentence. */
static json_t *keeper_act(const struct ks_plan *plan, const struct ks_clock_change *c)
{
	static const char *const did[KS_NKEEPER_DID] = {"nothing", "steps", "slews", "waits", "gives up"};
	static const char *const words[KS_NKEEPER_DID] = {"does nothing about", "steps", "slews", "waits with", "gives up at"};
	const struct ks_plan_node *n = &plan->node[c->node];
	char text[3 * KS_NAME_MAX], offset[KS_TIME_TEXT];
	ks_dur_format(offset, c->amount_ns);
	snprintf(text, sizeof text, "%s's %s %s %s%s", n->name, ks_discipline_names[n->clock.by], words[c->did],
	         c->amount_ns > 0 ? "+" : "", offset);
	return json_pack("{so ss ss ss so ss}", "at_ns", ks_json_int(c->at_ns), "node", n->name, "by",
	                 ks_discipline_names[n->clock.by], "did", did[c->did], "offset_ns", ks_json_int(c->amount_ns), "text", text);
}

/* Of their acts the first ones, and each step (or giving up): those are what people look for. @return NULL: there are none. */
static json_t *keepers(const struct ks_run_facts *f)
{
	json_t *first = json_array(), *notable = json_array();
	size_t acts = 0;
	for (size_t i = 0; i < f->output->nchange; i++) {
		const struct ks_clock_change *c = &f->output->change[i];
		if (c->fault != KS_NO_FAULT)
			continue;
		if (acts++ < KEEPER_ACTS_MAX)
			json_array_append_new(first, keeper_act(f->plan, c));
		if ((c->did == KS_KEEPER_STEPPED || c->did == KS_KEEPER_GAVE_UP) && json_array_size(notable) < KEEPER_ACTS_MAX)
			json_array_append_new(notable, keeper_act(f->plan, c));
	}
	if (acts)
		return json_pack("{sI so so}", "acts", (json_int_t)acts, "notable", notable, "first", first);
	json_decref(first);
	json_decref(notable);
	return NULL;
}

static json_t *effective(const struct ks_plan *plan)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&buf, &size);
	if (!f)
		return NULL;
	int failed = ks_plan_write(plan, f);
	failed |= fclose(f);
	json_t *j = failed ? NULL : json_stringn(buf, size);
	free(buf);
	return j;
}

/* What keys are like, and in sim what the generator needs beside clocks. */
static json_t *traits(const struct ks_run_facts *f)
{
	struct ks_traits t;
	unsigned uses = f->output->records.uses;
	ks_traits_find(f->evidence, &t);
	json_t *o = json_object();
	if (t.keys) {
		json_object_set_new(o, "chars", json_pack("{sI sI}", "min", (json_int_t)t.chars_min, "max", (json_int_t)t.chars_max));
		json_object_set_new(o, "text_sorts", json_boolean(t.text_sorts));
		if (t.tells_time)
			json_object_set_new(o, "time_ns", ks_json_int(t.time_ns));
	}
	if (!strcmp(f->world, "sim")) {
		json_t *needs = json_array();
		for (int i = 0; i < 8; i++)
			if (uses >> i & 1)
				json_array_append_new(needs, json_string(ks_uses_names[i]));
		json_object_set_new(o, "uses", needs);
	}
	return o;
}

/* ---- the run ---- */

static void add_judged(json_t *run, const struct ks_run_facts *f)
{
	json_object_set_new(run, "calls", ks_json_int((int64_t)f->metrics.calls));
	json_object_set_new(run, "keys", ks_json_int((int64_t)f->metrics.keys));
	json_object_set_new(run, "clock_reads", ks_json_int((int64_t)f->output->records.clock_reads));
	json_object_set_new(run, "key", traits(f));
	json_object_set_new(run, "claims", claims(f));
	json_object_set_new(run, "expectations", expectations(f));
	if (*f->plan->reported || f->figures)
		json_object_set_new(run, "reported", reported(f));
	json_object_set_new(run, "metrics", metrics(&f->metrics));
	if (f->control)
		json_object_set_new(run, "control", json_pack("{so}", "metrics", metrics(&f->control_metrics)));
	if (f->theory.law != KS_LAW_NONE)
		json_object_set_new(run, "theory", theory(f));
	else if (*f->theory.text)
		json_object_set_new(run, "no_theory", json_string(f->theory.text));
	json_object_set_new(run, "damage", damage(f, false));
	if (f->control)
		json_object_set_new(run, "control_damage", damage(f, true));
	json_object_set_new(run, "damage_notes", damage_notes(f));
	json_object_set_new(run, "injection", injection(f));
	if (f->output->machine.known)
		json_object_set_new(run, "machine", machine(&f->output->machine));
	if (f->plan->capture.on && strcmp(f->world, "sim"))
		json_object_set_new(run, "capture", ks_capture_json(f->plan, f->output));
	json_t *kept = keepers(f);
	if (kept)
		json_object_set_new(run, "keepers", kept);
	if (f->discarded)
		json_object_set_new(run, "discarded", json_true());
	if (f->attempts > 1)
		json_object_set_new(run, "attempts", json_integer(f->attempts));
}

json_t *ks_result_run(const struct ks_run_facts *f)
{
	char about[512];
	const struct ks_plan *p = f->plan;
	json_t *tags = json_array();
	for (int i = 0; i < p->ntags; i++)
		json_array_append_new(tags, text(p->tags[i]));
	json_t *run = json_pack("{ss ss ss so so so ss ss ss ss so ss ss ss}", "id", f->id, "scenario", p->name, "file", p->file, "title",
	                        text(p->title), "source", text(p->source), "tags", tags, "generator", f->generator,
	                        "generator_title", f->gen->gen ? f->gen->gen->title : "a foreign program", "world", f->world,
	                        "world_detail", f->output ? f->output->detail : "", "seed", ks_json_int((int64_t)f->seed), "status",
	                        f->status, "reason", f->reason, "about", ks_plan_about(p, about, sizeof about));
	if (!run)
		return NULL;
	if (f->evidence)
		add_judged(run, f);
	json_object_set_new(run, "faults", faults(p));
	json_object_set_new(run, "effective", effective(p));
	json_object_set_new(run, "canary", json_boolean(p->canary));
	json_object_set_new(run, "as_expected", json_boolean(f->as_expected));
	json_object_set_new(run, "reproduce", text(f->reproduce));
	return run;
}

/* ---- the document ---- */

json_t *ks_result_document(const char *name, json_t *runs)
{
	int as_expected = 0, met = 0, unmet = 0, untested = 0, failed = 0, unexpected = 0, runs_untested = 0;
	size_t i, k;
	json_t *run, *e;
	json_array_foreach(runs, i, run) {
		const char *status = json_string_value(json_object_get(run, "status"));
		bool expected = json_is_true(json_object_get(run, "as_expected"));
		as_expected += expected;
		failed += !strcmp(status, "failed");
		runs_untested += !strcmp(status, "untested");
		unexpected += !expected && !strcmp(status, "judged");
		json_array_foreach(json_object_get(run, "expectations"), k, e) {
			json_t *m = json_object_get(e, "met");
			bool as_a_canary_must = expected && json_is_true(json_object_get(run, "canary"));
			met += json_is_true(m) || (json_is_false(m) && as_a_canary_must);
			unmet += json_is_false(m) && !as_a_canary_must;
			untested += json_is_null(m);
		}
	}
	bool nothing = json_array_size(runs) > 0 && runs_untested == (int)json_array_size(runs);
	json_t *summary = json_pack("{si si si si si si si si si}", "runs", (int)json_array_size(runs), "as_expected", as_expected,
	                            "expectations", met + unmet + untested, "met", met, "unmet", unmet, "untested", untested,
	                            "failed", failed, "runs_untested", runs_untested, "exit", unexpected ? 1 : failed || nothing ? 3 : 0);
	return json_pack("{ss si ss so so}", "keyskew", KS_VERSION, "schema", 1, "name", name, "summary", summary, "runs", runs);
}

int ks_result_exit(const json_t *document)
{
	return (int)json_integer_value(json_object_get(json_object_get(document, "summary"), "exit"));
}
