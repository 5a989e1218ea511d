#include "ks_diff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "sample.h"

/* The runs of one scenario x generator x world, over seeds. A suite may run a scenario several times, set differently: those
 * are told apart by their number among them. */
struct group {
	const char *scenario, *generator, *world, *effective;
	unsigned number;
	const json_t **run;
	size_t n;
};
struct groups {
	struct group *v;
	size_t n;
};

struct diff {
	json_t *list;
	const struct group *base, *new;
	bool is_sim;
	/* the number before, whose wider scope may say the same again */
	struct ks_sample last_base, last_new;
	const char *last_outer, *last_first; /* "duplicates", "thread" */
	json_t *last;                        /* its difference, borrowed, or NULL */
};

/* ---- grouping ---- */

static bool same_place(const struct group *a, const struct group *b)
{
	return !strcmp(a->scenario, b->scenario) && !strcmp(a->generator, b->generator) && !strcmp(a->world, b->world);
}

static struct group *group_of(struct groups *g, const json_t *run)
{
	struct group key = {.scenario = ks_rp_str(run, "scenario"), .generator = ks_rp_str(run, "generator"),
	                    .world = ks_rp_str(run, "world"), .effective = ks_rp_str(run, "effective")};
	for (size_t i = 0; i < g->n; i++) {
		if (!same_place(&g->v[i], &key))
			continue;
		if (!strcmp(g->v[i].effective, key.effective))
			return &g->v[i];
		key.number++;
	}
	struct group *v = reallocarray(g->v, g->n + 1, sizeof *v);
	if (!v)
		return NULL;
	g->v = v;
	v[g->n] = key;
	return &v[g->n++];
}

static int group(const json_t *result, struct groups *g)
{
	size_t i;
	json_t *run;
	json_array_foreach(json_object_get(result, "runs"), i, run) {
		struct group *x = group_of(g, run);
		const json_t **grown = x ? reallocarray(x->run, x->n + 1, sizeof *grown) : NULL;
		if (!grown)
			return -1;
		x->run = grown;
		x->run[x->n++] = run;
	}
	return 0;
}

static void release(struct groups *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->v[i].run);
	free(g->v);
}

/* The group of the same scenario, generator and world; the same text of the scenario before the same number. */
static const struct group *counterpart(const struct groups *g, const struct group *of)
{
	const struct group *found = NULL;
	for (size_t i = 0; i < g->n; i++) {
		if (!same_place(&g->v[i], of))
			continue;
		if (!strcmp(g->v[i].effective, of->effective))
			return &g->v[i];
		if (g->v[i].number == of->number)
			found = &g->v[i];
	}
	return found;
}

/* ---- differences ---- */

static json_t *add(struct diff *d, const char *kind, const char *weight, const char *subject, const char *reason)
{
	const struct group *g = d->new ? d->new : d->base;
	json_t *o = json_pack("{ss ss ss ss ss ss ss}", "kind", kind, "weight", weight, "scenario", g->scenario, "generator",
	                      g->generator, "world", g->world, "subject", subject, "reason", reason);
	json_array_append_new(d->list, o);
	return o;
}

/* How many runs of a group are in each state; a state is a small number, its names are given. */
#define STATES 4
struct tally {
	size_t of[STATES], n;
};

static void tally_text(const struct tally *t, const char *const *names, char *buf, size_t size)
{
	size_t at = 0;
	buf[0] = 0;
	for (int i = 0; i < STATES; i++)
		if (t->of[i] && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s%s %zu/%zu", at ? ", " : "", names[i], t->of[i], t->n);
}

static bool same_shares(const struct tally *a, const struct tally *b)
{
	for (int i = 0; i < STATES; i++)
		if (a->of[i] * b->n != b->of[i] * a->n)
			return false;
	return true;
}

static void add_tally(struct diff *d, const char *kind, const char *weight, const char *subject, const char *reason,
                      const char *const *names, const struct tally *a, const struct tally *b)
{
	char base[160], new[160];
	json_t *o = add(d, kind, weight, subject, reason);
	tally_text(a, names, base, sizeof base);
	tally_text(b, names, new, sizeof new);
	json_object_set_new(o, "base", json_string(base));
	json_object_set_new(o, "new", json_string(new));
}

/* a/n of one share against another, without fractions. @return whether b's is larger. */
static bool grew(size_t a, size_t an, size_t b, size_t bn)
{
	return b * an > a * bn;
}

/* ---- status ---- */

enum { JUDGED, UNTESTED, FAILED };
static const char *const statuses[STATES] = {"judged", "untested", "failed", ""};

static int status_of(const json_t *run)
{
	const char *s = ks_rp_str(run, "status");
	return !strcmp(s, "judged") ? JUDGED : !strcmp(s, "untested") ? UNTESTED : FAILED;
}

static struct tally tally_status(const struct group *g)
{
	struct tally t = {.n = g->n};
	for (size_t i = 0; i < g->n; i++)
		t.of[status_of(g->run[i])]++;
	return t;
}

static const char *first_reason(const struct group *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (status_of(g->run[i]) != JUDGED)
			return ks_rp_str(g->run[i], "reason");
	return "";
}

static void diff_status(struct diff *d)
{
	struct tally a = tally_status(d->base), b = tally_status(d->new);
	if (same_shares(&a, &b))
		return;
	bool worse = grew(b.of[JUDGED], b.n, a.of[JUDGED], a.n) || grew(a.of[FAILED], a.n, b.of[FAILED], b.n);
	add_tally(d, "status", worse ? "regression" : "improvement", "", worse ? first_reason(d->new) : "", statuses, &a, &b);
}

static void diff_seeds(struct diff *d)
{
	char reason[120];
	if (d->new->n >= d->base->n)
		return;
	snprintf(reason, sizeof reason, "%zu seeds where there were %zu", d->new->n, d->base->n);
	add(d, "missing", "regression", "", reason);
}

static void diff_scenario(struct diff *d)
{
	if (strcmp(d->base->effective, d->new->effective))
		add(d, "scenario", "change", "", "the scenario itself has changed");
}

/* ---- claims and expectations: named states ---- */

enum { GOOD, BAD, OPEN, ABSENT };
static const char *const verdicts[STATES] = {"kept", "broken", "untested", "not claimed"};
static const char *const outcomes[STATES] = {"met", "unmet", "untested", "not asserted"};

static int claim_state(const json_t *item)
{
	const char *v = ks_rp_str(item, "verdict");
	return !strcmp(v, "kept") ? GOOD : !strcmp(v, "broken") ? BAD : OPEN;
}

static int expectation_state(const json_t *item)
{
	return ks_rp_true(item, "untested") ? OPEN : ks_rp_true(item, "met") ? GOOD : BAD;
}

struct aspect {
	const char *kind, *list, *name;
	int (*state)(const json_t *item);
	const char *const *names;
};
static const struct aspect aspects[] = {
	{"verdict", "claims", "claim", claim_state, verdicts},
	{"expectation", "expectations", "text", expectation_state, outcomes},
};

static const json_t *item_of(const json_t *run, const struct aspect *a, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(run, a->list), i, item)
		if (!strcmp(ks_rp_str(item, a->name), name))
			return item;
	return NULL;
}

/* Over the judged runs of the group. */
static struct tally tally_items(const struct group *g, const struct aspect *a, const char *name)
{
	struct tally t = {0};
	for (size_t i = 0; i < g->n; i++) {
		const json_t *item = status_of(g->run[i]) == JUDGED ? item_of(g->run[i], a, name) : NULL;
		if (status_of(g->run[i]) != JUDGED)
			continue;
		t.of[item ? a->state(item) : ABSENT]++;
		t.n++;
	}
	return t;
}

/* Names of the group's items, in the order of first appearance, each once. */
static size_t names_of(const struct group *g, const struct aspect *a, const char **names, size_t max, size_t n)
{
	for (size_t r = 0; r < g->n; r++) {
		size_t i;
		json_t *item;
		json_array_foreach(json_object_get(g->run[r], a->list), i, item) {
			const char *name = ks_rp_str(item, a->name);
			size_t k = 0;
			while (k < n && strcmp(names[k], name))
				k++;
			if (k == n && n < max)
				names[n++] = name;
		}
	}
	return n;
}

static void diff_item(struct diff *d, const struct aspect *a, const char *name)
{
	struct tally x = tally_items(d->base, a, name), y = tally_items(d->new, a, name);
	if (!x.n || !y.n || same_shares(&x, &y))
		return;
	bool worse = grew(x.of[BAD], x.n, y.of[BAD], y.n);
	bool less_tested = !worse && grew(y.of[GOOD] + y.of[BAD], y.n, x.of[GOOD] + x.of[BAD], x.n);
	bool better = !worse && !less_tested && grew(y.of[BAD], y.n, x.of[BAD], x.n);
	/* a verdict that was expected to be broken and now is kept shows up as an expectation, too */
	add_tally(d, a->kind, worse || less_tested ? "regression" : better ? "improvement" : "change", name,
	          less_tested ? y.of[OPEN] ? "no longer tested" : "no longer asserted" : "", a->names, &x, &y);
}

#define NAMES_MAX 256
static void diff_items(struct diff *d, const struct aspect *a)
{
	const char *names[NAMES_MAX];
	size_t n = names_of(d->base, a, names, NAMES_MAX, 0);
	n = names_of(d->new, a, names, NAMES_MAX, n);
	for (size_t i = 0; i < n; i++)
		diff_item(d, a, names[i]);
}

/* ---- metrics and damage: numbers ---- */

struct number {
	const char *kind, *outer, *inner; /* metrics.duplicates.node; damage.CONSUMER.NAME */
};

static bool value_of(const json_t *run, const struct number *x, int64_t *value)
{
	const json_t *v = json_object_get(json_object_get(run, x->kind), x->outer);
	return ks_rp_integer(x->inner ? json_object_get(v, x->inner) : v, value);
}

static int sample(const struct group *g, const struct number *x, struct ks_sample *s, uint64_t *calls)
{
	int64_t value;
	*s = (struct ks_sample){.v = calloc(g->n, sizeof(int64_t))};
	*calls = 0;
	for (size_t i = 0; s->v && i < g->n; i++)
		if (status_of(g->run[i]) == JUDGED && value_of(g->run[i], x, &value)) {
			s->v[s->n++] = value;
			*calls += (uint64_t)ks_rp_int(g->run[i], "calls");
		}
	if (s->v)
		ks_sample_sort(s);
	return s->v ? 0 : -1;
}

static uint64_t sum(const struct ks_sample *s)
{
	uint64_t total = 0;
	for (size_t i = 0; i < s->n; i++)
		total += s->v[i] > 0 ? (uint64_t)s->v[i] : 0;
	return total;
}

struct moved {
	double p;
	const char *test;
	bool yes;
};

static struct moved is_moved(const struct diff *d, bool is_count, const struct ks_sample *a, uint64_t calls_a,
                             const struct ks_sample *b, uint64_t calls_b)
{
	bool apart = a->v[a->n - 1] < b->v[0] || b->v[b->n - 1] < a->v[0];
	struct moved m = {ks_mann_whitney(a, b), "mann-whitney", false};
	if (d->is_sim) {
		m.yes = apart || m.p < 0.01;
		if (apart)
			m.test = "disjoint";
	} else if (is_count) {
		m.p = calls_a && calls_b ? ks_counts_test(sum(a), calls_a, sum(b), calls_b) : 1;
		m.test = "exact, two counts";
		m.yes = m.p < 0.001;
	} else {
		m.yes = a->n >= 4 && b->n >= 4 && m.p < 0.01;
	}
	return m;
}

static json_t *summary_of(const struct ks_sample *s)
{
	int64_t low, high;
	ks_sample_interval(s, &low, &high);
	return json_pack("{sI sI sI sI}", "median", (json_int_t)ks_sample_median(s), "low", (json_int_t)low, "high", (json_int_t)high, "n",
	                 (json_int_t)s->n);
}

static bool same_sample(const struct ks_sample *a, const struct ks_sample *b)
{
	return a->n == b->n && !memcmp(a->v, b->v, a->n * sizeof *a->v);
}

/* A scope that holds the same values as the one before it is the same news: "duplicates@thread..node". */
static bool joins_last(struct diff *d, const struct number *x, const struct ks_sample *a, const struct ks_sample *b)
{
	char subject[200];
	if (!x->inner || strcmp(x->kind, "metrics") || !d->last_outer || d->last_outer != x->outer ||
	    !same_sample(a, &d->last_base) || !same_sample(b, &d->last_new))
		return false;
	snprintf(subject, sizeof subject, "%s@%s..%s", x->outer, d->last_first, x->inner);
	if (d->last)
		json_object_set_new(d->last, "subject", json_string(subject));
	return true;
}

static void keep_last(struct diff *d, const struct number *x, struct ks_sample *a, struct ks_sample *b, json_t *difference)
{
	free(d->last_base.v);
	free(d->last_new.v);
	d->last_base = *a;
	d->last_new = *b;
	a->v = b->v = NULL;
	d->last_outer = x->outer;
	d->last_first = x->inner;
	d->last = difference;
}

static json_t *compare_samples(struct diff *d, const struct number *x, const struct ks_sample *a, uint64_t calls_a,
                            const struct ks_sample *b, uint64_t calls_b)
{
	char subject[200];
	bool is_damage = !strcmp(x->kind, "damage"), is_time = strstr(x->outer, "_ns") || (x->inner && strstr(x->inner, "_ns"));
	struct moved m = is_moved(d, !is_time, a, calls_a, b, calls_b);
	if (!m.yes)
		return NULL;
	double delta = ks_cliff_delta(a, b);
	bool worse = delta > 0 || (delta == 0 && sum(b) > sum(a));
	snprintf(subject, sizeof subject, is_damage ? "%s.%s" : x->inner ? "%s@%s" : "%s", x->outer, x->inner ? x->inner : "");
	json_t *o = add(d, is_damage ? "damage" : "metric", worse ? "regression" : "improvement", subject, "");
	json_object_set_new(o, "base", summary_of(a));
	json_object_set_new(o, "new", summary_of(b));
	json_object_set_new(o, "effect", json_real(delta));
	json_object_set_new(o, "p", json_real(m.p));
	json_object_set_new(o, "test", json_string(m.test));
	return o;
}

static int diff_number(struct diff *d, const struct number *x)
{
	struct ks_sample a, b;
	uint64_t calls_a, calls_b;
	int failed = sample(d->base, x, &a, &calls_a);
	failed |= sample(d->new, x, &b, &calls_b);
	if (!failed && a.n && b.n && !joins_last(d, x, &a, &b))
		keep_last(d, x, &a, &b, compare_samples(d, x, &a, calls_a, &b, calls_b));
	free(a.v);
	free(b.v);
	return failed;
}

/* What the first judged run of the new side has; a number that the base lacks has nothing to be held against. */
static int diff_numbers(struct diff *d, const char *kind)
{
	const char *outer, *inner;
	json_t *v, *unused;
	for (size_t i = 0; i < d->new->n; i++) {
		if (status_of(d->new->run[i]) != JUDGED)
			continue;
		json_object_foreach(json_object_get(d->new->run[i], kind), outer, v) {
			struct number x = {kind, outer, NULL};
			if (!json_is_object(v)) {
				if (diff_number(d, &x))
					return -1;
				continue;
			}
			json_object_foreach(v, inner, unused) {
				x.inner = inner;
				if (diff_number(d, &x))
					return -1;
			}
		}
		return 0;
	}
	return 0;
}

/* ---- the whole ---- */

static int diff_group(struct diff *d)
{
	d->is_sim = !strcmp(d->new->world, "sim");
	d->last_outer = NULL;
	diff_scenario(d);
	diff_seeds(d);
	diff_status(d);
	for (size_t i = 0; i < sizeof aspects / sizeof *aspects; i++)
		diff_items(d, &aspects[i]);
	return diff_numbers(d, "metrics") || diff_numbers(d, "damage") ? -1 : 0;
}

static int walk(struct diff *d, const struct groups *base, const struct groups *new, int64_t *compared)
{
	for (size_t i = 0; i < new->n; i++) {
		d->new = &new->v[i];
		d->base = counterpart(base, d->new);
		if (!d->base)
			add(d, "new", "change", "", "not in the base");
		else if (diff_group(d))
			return -1;
		*compared += d->base != NULL;
	}
	d->new = NULL;
	for (size_t i = 0; i < base->n; i++) {
		d->base = &base->v[i];
		if (!counterpart(new, d->base))
			add(d, "missing", "regression", "", "in the base, and not run any more");
	}
	return 0;
}

static json_t *summary(const json_t *list, int64_t compared)
{
	static const char *const words[] = {"regression", "improvement", "change"};
	json_int_t count[3] = {0};
	size_t i;
	json_t *x;
	json_array_foreach(list, i, x)
		for (int k = 0; k < 3; k++)
			count[k] += !strcmp(ks_rp_str(x, "weight"), words[k]);
	return json_pack("{sI sI sI sI}", "regressions", count[0], "improvements", count[1], "changes", count[2], "compared",
	                 (json_int_t)compared);
}

json_t *ks_diff(const json_t *base, const json_t *new)
{
	struct groups a = {0}, b = {0};
	struct diff d = {.list = json_array()};
	int64_t compared = 0;
	int failed = !d.list || group(base, &a) || group(new, &b) || walk(&d, &a, &b, &compared);
	release(&a);
	release(&b);
	free(d.last_base.v);
	free(d.last_new.v);
	if (failed) {
		json_decref(d.list);
		return NULL;
	}
	return json_pack("{ss si ss so so}", "keyskew", KS_VERSION, "schema", 1, "kind", "diff", "summary", summary(d.list, compared),
	                 "differences", d.list);
}
