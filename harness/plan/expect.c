/* Consumers and expectations. */
#include <string.h>

#include "fields.h"
#include "ks_consumer.h"
#include "ks_mem.h"

/* --- consumers --- */

static int unknown_consumer(struct ks_reader *r, const struct ks_tree *n)
{
	const char *names[32];
	size_t count = 0;
	for (; ks_consumers[count] && count < 32; count++)
		names[count] = ks_consumers[count]->name;
	return ks_unknown(r, n, true, "consumer", names, count);
}

static int read_consumer(struct ks_reader *r, const struct ks_tree *n, struct ks_consumer_use *use)
{
	const struct ks_consumer *consumer = ks_consumer_find(n->key);
	if (!consumer)
		return unknown_consumer(r, n);
	if (consumer->cfg_size > sizeof use->cfg)
		return ks_fail(r->err, KS_E_INTERNAL, "consumer '%s' has too many options", consumer->name);
	if (!ks_want(r, n, KS_TREE_MAP, consumer->name, "a mapping of its options, or {}"))
		return -1;
	use->consumer = consumer;
	use->mark = n->key_mark;
	ks_opts_default(consumer->opts, use->cfg);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		if (!ks_want(r, c, KS_TREE_TEXT, c->key, "a single value"))
			return -1;
		if (ks_opts_set(consumer->opts, use->cfg, c->key, c->text, r->err))
			return ks_blame(r, c);
	}
	return 0;
}

int ks_read_consumers(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	(void)f;
	if (!n->n)
		return 0;
	plan->consumer = ks_alloc(n->n, sizeof *plan->consumer);
	if (!plan->consumer)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		if (read_consumer(r, c, &plan->consumer[plan->consumers]))
			return -1;
		plan->consumers++;
	}
	return 0;
}

/* --- expectations --- */

static int read_verdict(struct ks_reader *r, const struct ks_tree *n, struct ks_expect *e)
{
	if (!ks_want(r, n, KS_TREE_TEXT, n->key, "kept|broken|untested"))
		return -1;
	for (int i = 0; i < 3; i++)
		if (!strcmp(n->text, ks_verdict_names[i])) {
			e->verdict = (enum ks_verdict)i;
			return 0;
		}
	return ks_unknown(r, n, false, "verdict", ks_verdict_names, 3);
}

static int read_claim(struct ks_reader *r, const struct ks_tree *n, struct ks_expect *e)
{
	char claim[KS_NAME_MAX];
	e->kind = KS_EXPECT_CLAIM;
	if (ks_claim_parse(n->key, &e->claim, r->err)) {
		char place[KS_PLACE_MAX];
		return ks_fail_in(r->err, "%s", ks_tree_place(place, r->file, n, true));
	}
	if (read_verdict(r, n, e))
		return -1;
	snprintf(e->text, sizeof e->text, "%s: %s", ks_claim_format(claim, e->claim), ks_verdict_names[e->verdict]);
	return 0;
}

static int read_all_claims(struct ks_reader *r, const struct ks_tree *n, struct ks_expect *e)
{
	e->kind = KS_EXPECT_ALL_CLAIMS;
	if (read_verdict(r, n, e))
		return -1;
	snprintf(e->text, sizeof e->text, "claims: %s", ks_verdict_names[e->verdict]);
	return 0;
}

/* Nothing that is measured is below 0, so a band from there up without end would be met by anything. */
static int check_band(struct ks_reader *r, const struct ks_tree *n, struct ks_band *band)
{
	if (band->low <= 0 && band->high == INT64_MAX)
		return ks_bad(r, n, "'%s' is met by every value, expected a band that can be missed", n->text);
	if (band->high < 0)
		return ks_bad(r, n, "'%s' is met by no value, expected one of at least 0", n->text);
	return 0;
}

static bool is_time_metric(enum ks_metric m)
{
	return strstr(ks_metric_names[m], "_ns_") != NULL;
}

static int read_scope(struct ks_reader *r, const struct ks_tree *n, const char *scope, struct ks_expect *e)
{
	const char *name = ks_metric_names[e->metric];
	e->scope = KS_SCOPE_FLEET;
	if (!scope)
		return 0;
	if (e->metric >= KS_NSCOPED_METRICS)
		return ks_bad_key(r, n, "metric '%s' is of the whole run, expected no '@%s'", name, scope);
	for (int i = 0; i < KS_NSCOPES; i++)
		if (!strcmp(scope, ks_scope_names[i])) {
			e->scope = (enum ks_scope)i;
			return 0;
		}
	const char *near = ks_nearest(scope, ks_scope_names, KS_NSCOPES);
	return ks_bad_key(r, n, "unknown scope '%s', expected one of thread process node fleet%s%s%s", scope,
	                  near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
}

static int read_metric(struct ks_reader *r, const struct ks_tree *n, enum ks_metric m, const char *scope,
                       struct ks_expect *e)
{
	char band[2 * KS_TIME_TEXT];
	e->kind = KS_EXPECT_METRIC;
	e->metric = m;
	if (read_scope(r, n, scope, e) || ks_parse_band(r, n, n->key, &e->band) || check_band(r, n, &e->band))
		return -1;
	if (e->band.is_time != is_time_metric(m))
		return ks_bad(r, n, "bad %s '%s', expected %s", n->key, n->text,
		              is_time_metric(m) ? "a unit such as 1ms" : "a number without a unit");
	if (m < KS_NSCOPED_METRICS)
		snprintf(e->text, sizeof e->text, "%s@%s: %s", ks_metric_names[m], ks_scope_names[e->scope],
		         ks_band_format(band, e->band));
	else
		snprintf(e->text, sizeof e->text, "%s: %s", ks_metric_names[m], ks_band_format(band, e->band));
	return 0;
}

static int check_damage_name(struct ks_reader *r, const struct ks_tree *n, const char *damage)
{
	const struct ks_plan *plan = r->plan;
	const char *dot = strchr(damage, '.'), *names[KS_DAMAGES_MAX];
	for (size_t i = 0; i < plan->consumers; i++) {
		const struct ks_consumer *c = plan->consumer[i].consumer;
		size_t count = 0;
		if (strncmp(c->name, damage, (size_t)(dot - damage)) || strlen(c->name) != (size_t)(dot - damage))
			continue;
		for (; c->damages[count].name; count++) {
			names[count] = c->damages[count].name;
			if (!strcmp(names[count], dot + 1))
				return 0;
		}
		const char *near = ks_nearest(dot + 1, names, count);
		return ks_bad_key(r, n, "consumer '%s' does no damage '%s'%s%s%s", c->name, dot + 1,
		                  near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	}
	return ks_bad_key(r, n, "consumer '%.*s' is not used by this scenario, expected it under 'consumers'",
	                  (int)(dot - damage), damage);
}

static int read_damage(struct ks_reader *r, const struct ks_tree *n, struct ks_expect *e)
{
	char band[2 * KS_TIME_TEXT];
	e->kind = KS_EXPECT_DAMAGE;
	if (check_damage_name(r, n, n->key))
		return -1;
	if (strlen(n->key) >= sizeof e->damage)
		return ks_bad_key(r, n, "'%s' is too long", n->key);
	strcpy(e->damage, n->key);
	if (ks_parse_band(r, n, n->key, &e->band) || check_band(r, n, &e->band))
		return -1;
	bool is_time = ks_damage_is_time(strchr(e->damage, '.') + 1);
	if (e->band.is_time != is_time)
		return ks_bad(r, n, "bad %s '%s', expected %s", n->key, n->text,
			      is_time ? "a unit such as 1ms" : "a number without a unit");
	snprintf(e->text, sizeof e->text, "%s: %s", e->damage, ks_band_format(band, e->band));
	return 0;
}

static int unknown_expectation(struct ks_reader *r, const struct ks_tree *n)
{
	static const char *const claims[] = {"claims",       "unique@fleet", "increasing@thread", "sorted(1ms)@fleet",
	                                     "causal@fleet", "clock(1ms)@fleet", "available(1ms)@fleet"};
	const char *names[sizeof claims / sizeof *claims + KS_NMETRICS];
	memcpy(names, claims, sizeof claims);
	memcpy(names + sizeof claims / sizeof *claims, ks_metric_names, sizeof ks_metric_names);
	return ks_unknown(r, n, true, "expectation", names, sizeof names / sizeof *names);
}

static int read_expectation(struct ks_reader *r, const struct ks_tree *n, struct ks_expect *e)
{
	char word[KS_TREE_TEXT_MAX];
	e->mark = n->key_mark;
	if (!strcmp(n->key, "claims"))
		return read_all_claims(r, n, e);
	strcpy(word, n->key); /* keys of a tree fit */
	char *at = strrchr(word, '@');
	if (at)
		*at = 0;
	for (int m = 0; m < KS_NMETRICS; m++)
		if (!strcmp(word, ks_metric_names[m]))
			return read_metric(r, n, (enum ks_metric)m, at ? at + 1 : NULL, e);
	word[strcspn(word, "(")] = 0;
	for (int i = 0; i < KS_NPROPERTIES; i++)
		if (!strcmp(word, ks_property_names[i]))
			return read_claim(r, n, e);
	return strchr(n->key, '.') ? read_damage(r, n, e) : unknown_expectation(r, n);
}

/* Two expectations of the same thing under two spellings (refusals, duplicates and duplicates@fleet). */
static const struct ks_expect *same_subject(const struct ks_expect_group *g, const struct ks_expect *e)
{
	size_t len = strcspn(e->text, " ");
	for (size_t i = 0; i < g->n; i++)
		if (!strncmp(g->v[i].text, e->text, len + 1))
			return &g->v[i];
	return NULL;
}

static int read_group(struct ks_reader *r, const struct ks_tree *n, struct ks_expect_group *g)
{
	if (!*n->key)
		return ks_bad_key(r, n, "an empty name, expected a generator or other");
	if (!ks_want(r, n, KS_TREE_MAP, n->key, "a mapping such as {unique@fleet: kept}"))
		return -1;
	if (!n->n)
		return ks_bad(r, n, "'%s' expects nothing, expected at least one expectation", n->key);
	strcpy(g->generator, n->key);
	g->v = ks_alloc(n->n, sizeof *g->v);
	if (!g->v)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		struct ks_expect *e = &g->v[g->n];
		if (read_expectation(r, c, e))
			return -1;
		if (same_subject(g, e))
			return ks_bad_key(r, c, "'%s' is expected twice, first in line %d", c->key,
					  same_subject(g, e)->mark.line);
		g->n++;
	}
	return 0;
}

/* Figures of a report: what expectations say of metrics and damage, held against a run without deciding anything. */
int ks_read_figures(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_expect_group *g = &((struct ks_plan *)into)->figures;
	(void)f;
	g->v = ks_alloc(n->n, sizeof *g->v);
	if (!g->v)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		struct ks_expect *e = &g->v[g->n];
		if (read_expectation(r, c, e))
			return -1;
		if (e->kind != KS_EXPECT_METRIC && e->kind != KS_EXPECT_DAMAGE)
			return ks_bad_key(r, c, "'%s' is a claim, expected a metric or a damage with a band", c->key);
		if (same_subject(g, e))
			return ks_bad_key(r, c, "'%s' is reported twice, first in line %d", c->key, same_subject(g, e)->mark.line);
		g->n++;
	}
	return 0;
}

int ks_read_expect(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	size_t total = 0;
	plan->group = ks_alloc(n->n + 1, sizeof *plan->group); /* one more for the default group */
	if (!plan->group)
		return ks_no_memory(r);
	for (const struct ks_tree *c = n->first; c; c = c->next) {
		struct ks_expect_group *g = &plan->group[plan->groups++];
		if (read_group(r, c, g))
			return -1;
		total += g->n;
	}
	if (total > KS_EXPECT_MAX)
		return ks_bad(r, n, "%zu expectations under '%s', expected at most %d", total, f->name, KS_EXPECT_MAX);
	return 0;
}

int ks_expect_finish(struct ks_reader *r)
{
	struct ks_plan *plan = r->plan;
	for (size_t i = 0; i < plan->groups; i++)
		if (!strcmp(plan->group[i].generator, "other"))
			return 0;
	struct ks_expect *e = ks_alloc(1, sizeof *e);
	if (!e)
		return ks_no_memory(r);
	*e = (struct ks_expect){.kind = KS_EXPECT_ALL_CLAIMS, .text = "claims: kept", .verdict = KS_KEPT};
	plan->group[plan->groups++] = (struct ks_expect_group){.generator = "other", .v = e, .n = 1};
	return 0;
}
