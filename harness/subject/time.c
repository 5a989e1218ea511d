/* keyskew-subject --time GENERATOR: what a key costs on this machine, one thread, back to back, on the machine's own clocks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KS_ENV_REAL 1
#include "env.h"
#include "keygen.h"
#include "ks_mem.h"
#include "subject_time.h"
#include "truetime.h"

#define TRIES 7
#define TRY_NS INT64_C(30000000)
#define CHUNK 64

static int cmp_i64(const void *pa, const void *pb)
{
	int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
	return (a > b) - (a < b);
}

/* ps a call, over TRY_NS. */
static int64_t one_try(const struct ks_gen_spec *spec, struct ks_env *env, void *shared, void *local)
{
	struct ks_key key;
	uint8_t why;
	int64_t begin = ks_true_ns(), now, n = 0;
	do {
		for (int i = 0; i < CHUNK; i++) {
			spec->gen->next(env, spec->cfg, shared, local, &key, &why);
			env->texts.n = env->texts.len = 0;
		}
		n += CHUNK;
		now = ks_true_ns();
	} while (now - begin < TRY_NS);
	return (now - begin) * 1000 / n;
}

int ks_subject_time(const char *generator)
{
	struct ks_gen_spec spec;
	struct ks_err err;
	struct ks_env_process process = {.worker = 1, .seed = 1, .about = {1, 1000, 0, 6}, .state_dir = "/nonexistent"};
	struct ks_env env = {.process = &process};
	int64_t ps[TRIES];
	if (ks_gen_parse(ks_gens_real, generator, &spec, &err)) {
		fprintf(stderr, "keyskew-subject: %s\n", err.text);
		return 2;
	}
	void *shared = ks_alloc(spec.gen->shared_size + 64, 1), *local = ks_alloc(spec.gen->local_size + 64, 1);
	if (!shared || !local)
		return 5;
	if (spec.gen->init)
		spec.gen->init(&env, spec.cfg, shared);
	for (int i = 0; i < TRIES; i++)
		ps[i] = one_try(&spec, &env, shared, local);
	qsort(ps, TRIES, sizeof *ps, cmp_i64);
	printf("%lld.%03lld\n", (long long)(ps[TRIES / 2] / 1000), (long long)(ps[TRIES / 2] % 1000));
	ks_texts_release(&env.texts);
	ks_free(shared);
	ks_free(local);
	return 0;
}
