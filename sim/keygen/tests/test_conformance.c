/* Conformance, of every generator in every variant: what a table promises holds for whoever fills one. */
#include "ks_test.h"

#include <stdlib.h>
#include <string.h>

#include "env.h"
#include "keygen.h"
#include "ks_engine.h"
#include "ks_mem.h"
#include "ks_rand.h"

#define START (INT64_C(1768471200) * KS_SEC)
#define THREADS 4
#define STOPS 24

extern const struct ks_gen ks_gen_skeleton_sim;

/* Calls `test` with each generator as it is, and with each word of each of its options. */
static void with_every_variant(void (*test)(const struct ks_gen_spec *spec))
{
	const struct ks_gen *const skeleton[] = {&ks_gen_skeleton_sim, NULL};
	const struct ks_gen *const *lists[] = {ks_gens_sim, skeleton};
	for (int l = 0; l < 2; l++)
		for (const struct ks_gen *const *gen = lists[l]; *gen; gen++) {
			struct ks_gen_spec spec;
			struct ks_err err = {0};
			char text[128];
			CU_ASSERT_EQUAL_FATAL(ks_gen_parse(lists[l], (*gen)->name, &spec, &err), 0);
			test(&spec);
			for (const struct ks_opt *o = (*gen)->opts; o->name; o++)
				for (int i = 0; o->type == KS_OPT_WORD && o->words[i]; i++) {
					snprintf(text, sizeof text, "%s:%s=%s", (*gen)->name, o->name, o->words[i]);
					CU_ASSERT_EQUAL_FATAL(ks_gen_parse(lists[l], text, &spec, &err), 0);
					test(&spec);
				}
		}
}

static void blame(const struct ks_gen_spec *spec, const char *what)
{
	printf("%s: %s\n", spec->text, what);
	CU_FAIL("a generator does not conform");
}

static struct ks_sim_result run(struct ks_sim sim, const struct ks_gen_spec *spec)
{
	static const struct ks_node_desc node = {.worker = 5};
	struct ks_sim_result result;
	struct ks_err err = {0};
	sim.nodes = sim.processes = 1;
	sim.node = sim.node ? sim.node : &node;
	sim.about = (struct ks_call_ranges){1, 1000, 0, 6};
	sim.gen = spec->gen;
	sim.cfg = spec->cfg;
	CU_ASSERT_EQUAL_FATAL(ks_sim_run(&sim, &result, &err), 0);
	return result;
}

/* ---- tables ---- */

static bool begins_with_any(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strncmp(text, *words, strlen(*words)))
			return true;
	return false;
}

static void table_is_whole(const struct ks_gen_spec *spec)
{
	static const char *const properties[] = {"unique@", "increasing@", "sorted(", "causal@", "clock(", "available(", NULL};
	static const char *const scopes[] = {"@thread", "@process", "@node", "@fleet", NULL};
	const struct ks_gen *g = spec->gen;
	struct ks_claim claims[KS_CLAIMS_MAX];
	if (!g->title || !g->layout || !g->source || !g->opts || !g->claims || !g->clocks || !g->next || g->cfg_size > sizeof spec->cfg)
		blame(spec, "its table has gaps");
	if (!g->decode_text && (!g->decode || !g->format || !g->parse))
		blame(spec, "its keys are numbers, but decode, format or parse is missing");
	int n = ks_gen_claims(spec, claims);
	if (n < 1 || n > KS_CLAIMS_MAX)
		blame(spec, "it claims nothing, or too much");
	for (int i = 0; i < n; i++) {
		const char *at = strchr(claims[i].text, '@');
		if (!at || !begins_with_any(claims[i].text, properties) || !begins_with_any(at, scopes))
			blame(spec, "a claim is none");
		if (!claims[i].source || !*claims[i].source)
			blame(spec, "a claim has no source");
	}
	int background = 0;
	for (const struct ks_background *b = ks_gen_background(g, spec->cfg); b->period_ns; b++)
		background += b->fn ? 1 : KS_BACKGROUND_MAX + 1;
	if (background > KS_BACKGROUND_MAX)
		blame(spec, "too much runs beside its calls");
}

static bool is_a_word_of(const struct ks_gen *g, const char *word)
{
	for (const struct ks_opt *o = g->opts; o->name; o++)
		for (int i = 0; o->type == KS_OPT_WORD && o->words[i]; i++)
			if (!strcmp(o->words[i], word))
				return true;
	return false;
}

static void words_are_options(const struct ks_gen_spec *spec)
{
	for (const struct ks_word_meaning *w = spec->gen->words; w && w->word; w++)
		if (!is_a_word_of(spec->gen, w->word) || !w->meaning)
			blame(spec, "it explains a word that no option takes");
}

static void tables(void)
{
	with_every_variant(table_is_whole);
	with_every_variant(words_are_options);
}

/* ---- printed forms ---- */

/* @return 0 and what it prints again as, or -1. */
static int reread(const struct ks_gen_spec *spec, const char *text, struct ks_key *key, char again[KS_KEY_TEXT])
{
	struct ks_fields f;
	memcpy(again, text, strlen(text) + 1);
	if (spec->gen->decode_text)
		return spec->gen->decode_text(spec->cfg, text, &f);
	if (spec->gen->parse(spec->cfg, text, key))
		return -1;
	spec->gen->format(spec->cfg, *key, again);
	return 0;
}

static bool says_nonsense(const struct ks_fields *f)
{
	bool names = f->nfields >= 0 && f->nfields <= (int)(sizeof f->field / sizeof *f->field);
	for (int i = 0; names && i < f->nfields; i++)
		names = f->field[i].name != NULL;
	return !names || (f->has_time && f->embed_lo_unix_ns >= f->embed_hi_unix_ns);
}

/* Whatever is read must print as it was: a text has one key, a key one text. Upper case is forgiven. */
static void mutate(const struct ks_gen_spec *spec, const char *text)
{
	size_t len = strlen(text);
	char bad[KS_KEY_TEXT + 1], again[KS_KEY_TEXT];
	struct ks_key key;
	for (size_t at = 0; at <= len; at++)
		for (int kind = 0; kind < 4; kind++) {
			static const char put[] = "0z:-";
			memcpy(bad, text, len + 1);
			if (kind == 3 && at < len)
				memmove(bad + at, bad + at + 1, len - at);
			else if (at == len || kind == 0)
				memmove(bad + at + 1, bad + at, len - at + 1);
			if (kind < 3 || at == len)
				bad[at] = put[kind];
			if (reread(spec, bad, &key, again) == 0 && strcasecmp(bad, again)) {
				printf("'%s' prints again as '%s'\n", bad, again);
				blame(spec, "a text that is not a key's is read as one");
				return;
			}
		}
}

static void prints(const struct ks_gen_spec *spec)
{
	/* what has run out by now is asked in 2020 */
	int64_t start_unix_ns = strcmp(spec->gen->name, "uidgenerator") ? START : INT64_C(1579082400) * KS_SEC;
	struct ks_sim_result r = run((struct ks_sim){.start_unix_ns = start_unix_ns, .duration_ns = 10 * KS_MS, .seed = 1, .threads = 2,
	                                             .load = {.rate = {100000, KS_SEC}}}, spec);
	char text[KS_KEY_TEXT] = "", last[KS_KEY_TEXT] = "", buf[KS_KEY_TEXT], again[KS_KEY_TEXT];
	struct ks_key last_key = {0, 0}, back = {0, 0};
	size_t keys = 0;
	for (size_t i = 0; i < r.records.n; i++) {
		struct ks_record v = ks_record_get(&r.records, i);
		struct ks_fields f;
		size_t len;
		if (v.outcome != KS_KEY)
			continue;
		const char *bytes = ks_gen_print(spec, &r.records.texts, v.key, buf, &len);
		memcpy(text, bytes, len);
		text[len] = 0;
		if (reread(spec, text, &back, again) || strcmp(text, again) || (!spec->gen->decode_text && !ks_key_equal(back, v.key)))
			blame(spec, "a key that it issued does not read back");
		if (!ks_gen_decode(spec, &r.records.texts, v.key, &f) || says_nonsense(&f))
			blame(spec, "a key that it issued says nonsense");
		struct ks_tick_field t;
		if (spec->gen->ticks && spec->gen->ticks(spec->cfg, &t)) {
			uint64_t tick = (t.upper ? v.key.hi : v.key.lo) >> t.shift;
			int64_t lo = t.epoch_unix_ns + (int64_t)tick * t.tick_ns;
			if (!f.has_time || f.embed_lo_unix_ns != lo || f.embed_hi_unix_ns != lo + t.tick_ns)
				blame(spec, "its field of ticks is not what a key says");
		}
		if (keys && !spec->gen->decode_text && ks_gen_compare(spec) == KS_COMPARE_BYTES &&
		    (strcmp(last, text) < 0) != ks_key_less(last_key, v.key))
			blame(spec, "its numbers do not sort as their printed forms do");
		if (keys++ == 3)
			mutate(spec, text);
		memcpy(last, text, sizeof last);
		last_key = v.key;
	}
	if (!keys)
		blame(spec, "it issued nothing");
	ks_sim_result_release(&r);
}

static void printed_forms(void)
{
	with_every_variant(prints);
}

/* ---- clocks, refusals ---- */

static void reads_what_it_says(const struct ks_gen_spec *spec)
{
	struct ks_fault_event back = {.at_ns = 5 * KS_MS, .op = KS_FAULT_STEP, .amount = -2 * KS_MS};
	struct ks_sim_result r = run((struct ks_sim){.start_unix_ns = START, .duration_ns = 20 * KS_MS, .seed = 1, .threads = 2,
	                                             .load = {.rate = {20000, KS_SEC}}, .events = &back, .nevents = 1}, spec);
	unsigned says = spec->gen->clocks(spec->cfg), reads = 0;
	for (size_t i = 0; i < r.records.n; i++) {
		struct ks_record v = ks_record_get(&r.records, i);
		if (v.read_ns != KS_NO_TIME)
			reads |= 1u << v.clock;
	}
	if (reads & ~says)
		blame(spec, "it reads a clock that it does not name");
	if (says && !r.records.clock_reads)
		blame(spec, "it names a clock and reads none");
	ks_sim_result_release(&r);
}

static void clocks(void)
{
	with_every_variant(reads_what_it_says);
}

/* Before 1970 nothing that rests on the wall clock alone has a key to give, and it says why. */
static void refuses_with_a_reason(const struct ks_gen_spec *spec)
{
	static const struct ks_node_desc early = {.offset_ns = -10 * KS_SEC, .worker = 5};
	struct ks_sim_result r = run((struct ks_sim){.start_unix_ns = KS_SEC, .duration_ns = KS_SEC, .seed = 1, .threads = 1,
	                                             .node = &early, .load = {.rate = {100, KS_SEC}}}, spec);
	size_t keys = 0;
	for (size_t i = 0; i < r.records.n; i++) {
		struct ks_record v = ks_record_get(&r.records, i);
		keys += v.outcome == KS_KEY && v.read_ns != KS_NO_TIME && v.clock == KS_REALTIME;
		if (v.outcome == KS_REFUSE && (v.why >= KS_REASONS_MAX || !spec->gen->reasons[v.why]))
			blame(spec, "it refuses without a reason");
	}
	if (keys)
		blame(spec, "it issues keys of times before 1970");
	ks_sim_result_release(&r);
}

static void refusals(void)
{
	with_every_variant(refuses_with_a_reason);
}

/* ---- interleavings ---- */

/* Threads that call as fast as they can, and stop anywhere inside their calls for a while. */
static struct ks_sim_result interleave(const struct ks_gen_spec *spec, uint64_t seed)
{
	struct ks_fault_event event[2 * STOPS];
	const int64_t duration_ns = 300 * KS_US;
	for (uint32_t i = 0; i < STOPS; i++) { /* one after the other */
		int64_t at_ns = duration_ns / STOPS * i + ks_rand_in(ks_rand_at(seed, KS_STREAM_TEST, i, 0), 0, 3000);
		int64_t for_ns = ks_rand_in(ks_rand_at(seed, KS_STREAM_TEST, i, 1), 1, 6000);
		uint32_t thread = (uint32_t)ks_rand_in(ks_rand_at(seed, KS_STREAM_TEST, i, 2), 0, THREADS - 1);
		event[2 * i] = (struct ks_fault_event){.at_ns = at_ns, .op = KS_FAULT_STOP, .process = KS_ANY, .thread = thread};
		event[2 * i + 1] = event[2 * i];
		event[2 * i + 1].at_ns += for_ns;
		event[2 * i + 1].op = KS_FAULT_RUN;
	}
	return run((struct ks_sim){.start_unix_ns = START, .duration_ns = duration_ns, .seed = seed, .threads = THREADS,
	                           .load = {.rate = {20000000, KS_SEC}, .arrival = KS_ARRIVAL_POISSON}, .events = event,
	                           .nevents = 2 * STOPS}, spec);
}

struct issued {
	struct ks_key key;
	char text[64]; /* of keys that are texts */
	int64_t call_ns, return_ns;
	uint32_t lane;
};

static int compare_issued(const void *a, const void *b)
{
	const struct issued *x = a, *y = b;
	int c = strcmp(x->text, y->text);
	return c ? c : ks_key_cmp(x->key, y->key);
}

static size_t collect(const struct ks_gen_spec *spec, const struct ks_sim_result *r, struct issued *v)
{
	size_t n = 0, len;
	for (size_t i = 0; i < r->records.n; i++) {
		struct ks_record rec = ks_record_get(&r->records, i);
		if (rec.outcome != KS_KEY)
			continue;
		v[n] = (struct issued){rec.key, "", rec.call_ns, rec.return_ns, rec.lane};
		if (ks_gen_issues_texts(spec)) {
			const char *bytes = ks_texts_get(&r->records.texts, rec.key.lo, &len);
			memcpy(v[n].text, bytes, len < sizeof v[n].text ? len : sizeof v[n].text - 1);
			v[n].key = ks_key64(0);
		}
		n++;
	}
	return n;
}

/* Keys that are smaller than one whose call had returned before theirs began; in the order of return, as records are. */
static size_t decreasing(const struct issued *v, size_t n, bool by_thread)
{
	size_t found = 0, *largest = ks_alloc(n, sizeof *largest); /* of v[0] .. v[j] */
	const struct issued *of_lane[THREADS] = {NULL};
	for (size_t j = 0; j < n; j++) {
		size_t low = 0, high = j;
		while (low < high) { /* how many had returned before it began */
			size_t mid = (low + high) / 2;
			if (v[mid].return_ns < v[j].call_ns)
				low = mid + 1;
			else
				high = mid;
		}
		const struct issued **own = &of_lane[v[j].lane];
		found += (*own && compare_issued(&v[j], *own) < 0) || (!by_thread && low && compare_issued(&v[j], &v[largest[low - 1]]) < 0);
		if (!*own || compare_issued(*own, &v[j]) < 0)
			*own = &v[j];
		largest[j] = j && compare_issued(&v[j], &v[largest[j - 1]]) < 0 ? largest[j - 1] : j;
	}
	ks_free(largest);
	return found;
}

static size_t repeated(struct issued *v, size_t n, bool by_thread)
{
	size_t found = 0;
	qsort(v, n, sizeof *v, compare_issued);
	for (size_t i = 1; i < n; i++)
		found += compare_issued(&v[i - 1], &v[i]) == 0 && (!by_thread || v[i - 1].lane == v[i].lane);
	return found;
}

/* How often a claim is violated within one process, whatever scope beyond it is claimed. */
static size_t violations(const struct ks_gen_spec *spec, const char *claim, const struct ks_sim_result *r)
{
	struct issued *v = ks_alloc(r->records.n, sizeof *v);
	size_t n = collect(spec, r, v), found = 0;
	bool by_thread = strstr(claim, "@thread") != NULL;
	if (!strncmp(claim, "unique@", 7))
		found = repeated(v, n, by_thread);
	else if (!strncmp(claim, "increasing@", 11))
		found = decreasing(v, n, by_thread);
	ks_free(v);
	return found;
}

/* What breaks with good clocks as soon as threads are fast: a tick with two calls in it, or an order that is random in it. */
static bool breaks_by_design(const struct ks_gen_spec *spec, const char *claim)
{
	static const char *const breaks[][2] = {
		{"unixmilli", "unique@process"}, {"unixnano", "unique@process"}, {"milli-rand32", "increasing@thread"},
		{"hlc", "unique@process"}, {"shard-key", "unique@fleet"}, {"depth-aware", "unique@fleet"}, {"depth-aware", "increasing@process"},
	};
	if (strstr(spec->text, "repaired") || strstr(spec->text, "compare-and-set") || strstr(spec->text, "unixnano:form=user"))
		return false;
	if (!strcmp(spec->gen->name, "hlc") && !strstr(spec->text, "json-double"))
		return false;
	for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++)
		if (!strcmp(breaks[i][0], spec->gen->name) && !strcmp(breaks[i][1], claim))
			return true;
	return false;
}

static void survives_interleavings(const struct ks_gen_spec *spec)
{
	struct ks_claim claims[KS_CLAIMS_MAX];
	int n = ks_gen_claims(spec, claims);
	size_t found[KS_CLAIMS_MAX] = {0};
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct ks_sim_result r = interleave(spec, seed);
		for (int i = 0; i < n; i++)
			found[i] += violations(spec, claims[i].text, &r);
		ks_sim_result_release(&r);
	}
	for (int i = 0; i < n; i++)
		if (!found[i] == breaks_by_design(spec, claims[i].text)) {
			printf("%s: %zu violations\n", claims[i].text, found[i]);
			blame(spec, found[i] ? "threads that interleave break a claim" : "a claim that breaks by design did not");
		}
}

static void interleavings(void)
{
	with_every_variant(survives_interleavings);
}

/* ---- a generator that does not conform, to see that it is noticed ---- */

static enum ks_outcome racy_next(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	ks_word *word = shared;
	(void)cfg, (void)local, (void)why;
	uint64_t n = env_load(env, word); /* and not fetch_add */
	env_store(env, word, n + 1);
	*key = ks_key64(n);
	return KS_KEY;
}

static void a_race_is_seen(void)
{
	static const struct ks_opt no_opts[] = {{0}};
	struct ks_gen racy = *ks_gen_find(ks_gens_sim, "counter");
	struct ks_gen_spec spec = {.gen = &racy, .text = "racy"};
	racy.next = racy_next;
	racy.opts = no_opts;
	struct ks_sim_result r = interleave(&spec, 1);
	CU_ASSERT(r.records.n > 1000);
	CU_ASSERT(violations(&spec, "unique@process", &r) > 10);
	ks_sim_result_release(&r);
}

int main(void)
{
	static const struct ks_test tests[] = {{"tables", tables},     {"printed forms", printed_forms}, {"clocks", clocks},
	                                       {"refusals", refusals}, {"interleavings", interleavings}, {"a race is seen", a_race_is_seen},
	                                       {0}};
	return ks_test_main("conformance", tests);
}
