/* State: what threads share goes through the environment, and nothing is kept elsewhere. */
#include "ks_test.h"

#include <stdlib.h>
#include <string.h>

#include "env.h"
#include "keygen.h"

#define START (INT64_C(1768471200) * KS_SEC)
#define CALLS 400

struct watch {
	struct ks_env env;
	_Alignas(64) unsigned char shared[CHECK_STATE_MAX], before[CHECK_STATE_MAX];
	_Alignas(64) unsigned char local[CHECK_STATE_MAX];
	const char *wrong;
};

static void start(struct watch *w, const struct ks_gen_spec *spec)
{
	memset(w, 0, sizeof *w);
	w->env.shared = w->shared;
	for (int i = 0; i < KS_NCLOCKS; i++)
		w->env.clock_ns[i] = i == KS_REALTIME || i == KS_TAI ? START : 1000 * KS_SEC;
	ks_stream_init(&w->env.random, 1, KS_STREAM_TEST, 0);
	if (spec->gen->init)
		spec->gen->init(&w->env, spec->cfg, w->shared);
}

/* The clocks before call i: forwards within and across ms, standing, back a little and a lot. */
static void move_clocks(struct watch *w, int i)
{
	static const int64_t by[] = {0, 300, KS_MS, 0, -2 * KS_MS, 4 * KS_MS, -3 * KS_SEC, 7 * KS_SEC, 0, -20 * KS_SEC, 21 * KS_SEC, 1};
	w->env.clock_ns[KS_REALTIME] += by[(size_t)i % (sizeof by / sizeof *by)];
	w->env.clock_ns[KS_MONOTONIC] += KS_MS;
	w->env.about = (struct ks_call_context){i % 50, i % 8};
}

static void watched(struct watch *w)
{
	memcpy(w->before, w->shared, sizeof w->shared);
	memset(w->env.may, 0, sizeof w->env.may);
	w->env.reads = w->env.calls = 0;
}

static void compare(struct watch *w)
{
	for (size_t i = 0; i < sizeof w->shared; i++)
		if (w->shared[i] != w->before[i] && !w->env.may[i])
			w->wrong = "it changes shared state past the environment";
}

static enum ks_outcome call(struct watch *w, const struct ks_gen_spec *spec, int i, struct ks_key *key)
{
	uint8_t why = 0;
	move_clocks(w, i);
	watched(w);
	enum ks_outcome outcome = spec->gen->next(&w->env, spec->cfg, w->shared, w->local, key, &why);
	compare(w);
	if (w->env.reads & ~spec->gen->clocks(spec->cfg))
		w->wrong = "it reads a clock that it does not name";
	if (outcome == KS_REFUSE && (why >= KS_REASONS_MAX || !spec->gen->reasons[why]))
		w->wrong = "it refuses without a reason";
	return outcome;
}

static void beside(struct watch *w, const struct ks_gen_spec *spec, struct ks_key remote)
{
	for (const struct ks_background *b = ks_gen_background(spec->gen, spec->cfg); b->period_ns; b++) {
		watched(w);
		b->fn(&w->env, spec->cfg, w->shared);
		compare(w);
	}
	watched(w);
	if (spec->gen->observe)
		spec->gen->observe(&w->env, spec->cfg, w->shared, w->local, remote);
	compare(w);
}

/* Two processes of one program take turns; their keys must be those that each issues when it is alone. */
static const char *keeps_apart(const struct ks_gen_spec *spec)
{
	static struct watch alone, one, other;
	struct ks_key want[CALLS], key, ignored;
	enum ks_outcome outcome[CALLS];
	start(&alone, spec);
	for (int i = 0; i < CALLS; i++)
		outcome[i] = call(&alone, spec, i, &want[i]);
	start(&one, spec);
	start(&other, spec);
	for (int i = 0; i < CALLS; i++) {
		call(&other, spec, i + 5, &ignored);
		if (call(&one, spec, i, &key) != outcome[i] || (outcome[i] == KS_KEY && !ks_key_equal(key, want[i])))
			return "it keeps something outside of its state";
	}
	ks_texts_release(&alone.env.texts);
	ks_texts_release(&one.env.texts);
	ks_texts_release(&other.env.texts);
	return alone.wrong;
}

static const char *goes_through_the_environment(const struct ks_gen_spec *spec)
{
	static struct watch w;
	struct ks_key key = {0, 0};
	start(&w, spec);
	for (int i = 0; i < CALLS; i++) {
		w.env.registry_down = i % 16 < 8;
		call(&w, spec, i, &key);
		beside(&w, spec, key);
	}
	ks_texts_release(&w.env.texts);
	return w.wrong;
}

static void check(const struct ks_gen_spec *spec)
{
	const char *wrong = goes_through_the_environment(spec);
	wrong = wrong ? wrong : keeps_apart(spec);
	if (wrong) {
		printf("%s: %s\n", spec->text, wrong);
		CU_FAIL("a generator's state is not what it should be");
	}
}

static void every_generator(void)
{
	for (const struct ks_gen *const *gen = ks_gens_check; *gen; gen++) {
		struct ks_gen_spec spec;
		struct ks_err err = {0};
		char text[128];
		CU_ASSERT_FATAL((*gen)->shared_size <= CHECK_STATE_MAX && (*gen)->local_size <= CHECK_STATE_MAX);
		for (const struct ks_opt *o = (*gen)->opts; o->name; o++)
			for (int i = 0; o->type == KS_OPT_WORD && o->words[i]; i++) {
				snprintf(text, sizeof text, "%s:%s=%s", (*gen)->name, o->name, o->words[i]);
				CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_check, text, &spec, &err), 0);
				check(&spec);
			}
		CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_check, (*gen)->name, &spec, &err), 0);
		check(&spec);
	}
}

/* ---- those that must be found ---- */

static enum ks_outcome past(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	ks_word *word = shared;
	(void)env, (void)cfg, (void)local, (void)why;
	*key = ks_key64(word->value++);
	return KS_KEY;
}

static enum ks_outcome global(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	static uint64_t n;
	(void)env, (void)cfg, (void)shared, (void)local, (void)why;
	*key = ks_key64(n++);
	return KS_KEY;
}

static enum ks_outcome other_clock(struct ks_env *env, const void *cfg, void *shared, void *local, struct ks_key *key, uint8_t *why)
{
	(void)cfg, (void)shared, (void)local, (void)why;
	int64_t ns = env_clock(env, KS_BOOTTIME);
	*key = ks_key64((uint64_t)ns);
	return KS_KEY;
}

static void what_is_wrong_is_found(void)
{
	struct ks_gen gen = *ks_gen_find(ks_gens_check, "counter");
	struct ks_gen_spec spec = {.gen = &gen, .text = "wrong"};
	gen.next = past;
	CU_ASSERT_STRING_EQUAL(goes_through_the_environment(&spec), "it changes shared state past the environment");
	gen.next = global;
	CU_ASSERT_STRING_EQUAL(keeps_apart(&spec), "it keeps something outside of its state");
	gen.next = other_clock;
	CU_ASSERT_STRING_EQUAL(goes_through_the_environment(&spec), "it reads a clock that it does not name");
}

int main(void)
{
	static const struct ks_test tests[] = {{"every generator", every_generator}, {"what is wrong is found", what_is_wrong_is_found}, {0}};
	return ks_test_main("state", tests);
}
