/* From the command line to jobs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "foreign.h"
#include "ks_mem.h"
#include "run.h"

static int out_of_memory(struct ks_err *err)
{
	return ks_fail(err, KS_E_INTERNAL, "out of memory");
}

/* ---- generators ---- */

static int add_generator(struct ks_batch *b, const char *text, struct ks_err *err)
{
	struct ks_gen_spec *grown = ks_grow(b->spec, b->specs, b->specs + 1, sizeof *grown);
	if (!grown)
		return out_of_memory(err);
	b->spec = grown;
	if (ks_generator_parse(text, &b->spec[b->specs], err))
		return -1;
	b->specs++;
	return 0;
}

/* -g, else what the suite names, else what the scenario expects something of, else every built-in. */
static int choose_generators(struct ks_batch *b, char *const *names, size_t n, struct ks_err *err)
{
	for (size_t i = 0; i < n; i++)
		if (add_generator(b, names[i], err))
			return -1;
	for (size_t i = 0; n == 0 && i < b->plan.groups; i++)
		if (strcmp(b->plan.group[i].generator, "other") && add_generator(b, b->plan.group[i].generator, err))
			return -1;
	for (const struct ks_gen *const *gen = ks_gens_sim; b->specs == 0 && *gen; gen++)
		if (strcmp((*gen)->name, "null") && add_generator(b, (*gen)->name, err))
			return -1;
	return 0;
}

int ks_check_groups(const struct ks_plan *plan, struct ks_err *err)
{
	for (size_t i = 0; i < plan->groups; i++) {
		struct ks_gen_spec spec;
		const struct ks_expect_group *g = &plan->group[i];
		if (!strcmp(g->generator, "other"))
			continue;
		if (ks_generator_parse(g->generator, &spec, err))
			return ks_fail_in(err, "%s:%d:%d", plan->file, g->n ? g->v[0].mark.line : 1, g->n ? g->v[0].mark.col : 1);
		ks_generator_release(&spec);
	}
	struct ks_gen_spec spec;
	if (!*plan->figures.generator)
		return 0;
	if (ks_generator_parse(plan->figures.generator, &spec, err))
		return ks_fail_in(err, "%s: reported.of", plan->file);
	ks_generator_release(&spec);
	return 0;
}

/* ---- jobs ---- */

static bool is_free_running(const struct ks_gen_spec *spec)
{
	return !spec->gen && spec->foreign->speaks == KS_SPEAKS_LINES;
}

static unsigned worlds_of(const struct ks_run_args *args, const struct ks_suite_item *item, const struct ks_plan *plan,
                          const struct ks_gen_spec *spec)
{
	unsigned worlds = args->worlds;
	if (item && item->worlds)
		worlds = worlds ? worlds & item->worlds : item->worlds;
	else if (!worlds)
		worlds = 1u << (is_free_running(spec) ? KS_WORLD_FAKETIME : KS_WORLD_SIM);
	return item && item->worlds ? worlds : worlds | plan->require;
}

static void put_id(struct ks_job *job, size_t number)
{
	int n = snprintf(job->id, sizeof job->id, "%04zu-%.60s-%.60s-%s-%llu", number, job->plan->name, job->gen->text,
	                 job->world->name, (unsigned long long)job->seed);
	for (int i = 0; i < n; i++) {
		char *c = &job->id[i];
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '.' || *c == '_';
		if (!plain)
			*c = '-';
	}
}

/* A word as a shell reads it. */
static void quote(char *buf, size_t size, const char *word)
{
	size_t n = 0;
	if (!word[strcspn(word, " \t\n'\"\\$`*?[]{}()<>|&;#~!")]) {
		snprintf(buf, size, "%s", word);
		return;
	}
	buf[n++] = '\'';
	for (; *word && n + 6 < size; word++) {
		if (*word == '\'') {
			memcpy(buf + n, "'\\''", 4);
			n += 4;
		} else {
			buf[n++] = *word;
		}
	}
	buf[n++] = '\'';
	buf[n] = 0;
}

/* What the caller says, else the suite, else what leaves the machine alive. */
static void limit_job(struct ks_job *job, const struct ks_run_args *args, const struct ks_suite_item *item)
{
	int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	int64_t half = pages > 0 && page > 0 ? pages / 2 * page / args->jobs : 0;
	job->timeout_ns = args->timeout_ns ? args->timeout_ns : item ? item->timeout_ns : 0;
	job->memory = (size_t)(args->memory ? args->memory : item && item->memory ? item->memory : half);
}

/* Where a scenario comes from: the item of a suite, or both NULL. */
struct origin {
	const struct ks_suite *suite;
	const struct ks_suite_item *item;
};

static int add_job(struct ks_schedule *s, const struct ks_run_args *args, const struct origin *from, const struct ks_batch *b,
                   const struct ks_gen_spec *spec, const struct ks_world *world, uint64_t seed, struct ks_err *err)
{
	char generator[600];
	if (s->jobs == KS_JOBS_MAX)
		return ks_fail(err, KS_E_USAGE, "more than %d runs", KS_JOBS_MAX);
	if (s->jobs == s->job_cap) {
		size_t cap = s->job_cap ? 2 * s->job_cap : 16;
		struct ks_job *grown = ks_grow(s->job, s->job_cap, cap, sizeof *grown);
		if (!grown)
			return out_of_memory(err);
		s->job = grown;
		s->job_cap = cap;
	}
	struct ks_job *job = &s->job[s->jobs++];
	*job = (struct ks_job){.plan = &b->plan, .gen = spec, .world = world, .seed = seed, .sweep = b->sweep};
	limit_job(job, args, from->item);
	job->budget_ns = from->suite ? from->suite->budget_ns : 0;
	job->disorder = args->disorder;
	job->discard = args->discard && world->id == KS_WORLD_SIM;
	job->twice = args->twice && world->id == KS_WORLD_SIM;
	unsigned required = args->worlds | b->plan.require | (from->suite ? from->suite->require : 0);
	job->asked = (required >> world->id & 1) || is_free_running(spec);
	put_id(job, s->jobs);
	quote(generator, sizeof generator, spec->text);
	snprintf(job->reproduce, sizeof job->reproduce, "keyskew run %s -g %s -w %s --seed %llu%s%s%s", b->target, generator,
	         world->name, (unsigned long long)seed, b->sets, job->disorder ? " --metrics disorder" : "", job->twice ? " --twice" : "");
	return 0;
}

/* One run a seed, and in sim that of the day where the suite asks for it. */
static int add_seeds(struct ks_schedule *s, const struct ks_run_args *args, const struct origin *from, const struct ks_batch *b,
                     const struct ks_gen_spec *spec, const struct ks_world *world, struct ks_err *err)
{
	const struct ks_suite_item *item = from->item;
	bool own = args->seeds_given || !item;
	uint64_t low = own ? args->seed_low : (uint64_t)item->seed_low, high = own ? args->seed_high : (uint64_t)item->seed_high;
	for (uint64_t seed = low; seed <= high; seed++)
		if (add_job(s, args, from, b, spec, world, seed, err))
			return -1;
	uint64_t of_the_day = args->rotating_seed;
	bool rotates = from->suite && from->suite->rotating_seed && !args->seeds_given && world->id == KS_WORLD_SIM;
	if (!rotates || (of_the_day >= low && of_the_day <= high))
		return 0;
	s->rotating_seed = of_the_day;
	return add_job(s, args, from, b, spec, world, of_the_day, err);
}

static int add_jobs(struct ks_schedule *s, const struct ks_run_args *args, const struct origin *from, const struct ks_batch *b,
                    struct ks_err *err)
{
	for (size_t g = 0; g < b->specs; g++) {
		unsigned worlds = worlds_of(args, from->item, &b->plan, &b->spec[g]);
		for (const struct ks_world *const *w = ks_worlds; *w; w++) {
			bool named = b->plan.worlds_auto || b->plan.worlds >> (*w)->id & 1 || b->plan.require >> (*w)->id & 1;
			if ((worlds >> (*w)->id & 1) && named && add_seeds(s, args, from, b, &b->spec[g], *w, err))
				return -1;
		}
	}
	return 0;
}

/* ---- files ---- */

static void write_sets(struct ks_batch *b, const struct ks_set *sets, size_t n)
{
	size_t used = 0;
	for (size_t i = 0; i < n && used < sizeof b->sets; i++) {
		char word[512], quoted[512];
		snprintf(word, sizeof word, "%s=%s", sets[i].path, sets[i].value);
		quote(quoted, sizeof quoted, word);
		used += (size_t)snprintf(b->sets + used, sizeof b->sets - used, " --set %s", quoted);
	}
}

/* A scenario of the library goes by its name, any other by its path. */
static void name_target(struct ks_batch *b, const char *path)
{
	const char *library = ks_library();
	size_t n = library ? strlen(library) : 0;
	bool inside = n && !strncmp(path, library, n) && path[n] == '/';
	quote(b->target, sizeof b->target, inside ? b->plan.name : path);
}

/* What is set: the suite's, the command line's, and of every sweep the value whose turn it is. Texts of the suite are copied
 * to words. */
#define SETS_MAX 128
struct sets {
	struct ks_set v[SETS_MAX];
	size_t n;
	char words[64][256];
};

static void collect_sets(struct sets *s, const struct ks_run_args *args, const struct ks_suite_item *item, const size_t *turn)
{
	s->n = 0;
	for (size_t i = 0; item && i < item->nsets && i < 64; i++) {
		snprintf(s->words[i], sizeof s->words[i], "%s", item->sets[i]);
		char *eq = strchr(s->words[i], '=');
		*eq = 0;
		s->v[s->n++] = (struct ks_set){s->words[i], eq + 1};
	}
	for (size_t i = 0; i < args->sets && s->n < SETS_MAX - KS_SWEEPS_MAX; i++)
		s->v[s->n++] = args->set[i];
	for (size_t i = 0; i < args->sweeps; i++)
		s->v[s->n++] = (struct ks_set){args->sweep[i].path, args->sweep[i].value[turn[i]]};
}

static json_t *sweep_of(const struct ks_run_args *args, const size_t *turn)
{
	json_t *o = args->sweeps ? json_object() : NULL;
	for (size_t i = 0; i < args->sweeps; i++)
		json_object_set_new(o, args->sweep[i].path, json_string(args->sweep[i].value[turn[i]]));
	return o;
}

static struct ks_batch *new_batch(struct ks_schedule *s)
{
	struct ks_batch **grown = ks_grow(s->batch, s->batches, s->batches + 1, sizeof(struct ks_batch *));
	if (!grown)
		return NULL;
	s->batch = grown;
	struct ks_batch *b = ks_alloc(1, sizeof *b);
	if (b)
		s->batch[s->batches++] = b;
	return b;
}

static int add_batch(struct ks_schedule *s, const struct ks_run_args *args, const struct origin *from, const char *path,
                     const size_t *turn, struct ks_err *err)
{
	const struct ks_suite_item *item = from->item;
	struct sets sets;
	struct ks_batch *b = new_batch(s);
	if (!b)
		return out_of_memory(err);
	collect_sets(&sets, args, item, turn);
	b->sweep = sweep_of(args, turn);
	if (ks_plan_load(path, sets.v, sets.n, &b->plan, err))
		return -1;
	name_target(b, path);
	write_sets(b, sets.v, sets.n);
	bool given = args->generators > 0;
	char *named[64];
	size_t nnamed = 0;
	for (size_t i = 0; !given && item && i < item->ngenerators && i < 64; i++)
		named[nnamed++] = item->generators[i];
	if (ks_check_groups(&b->plan, err) || choose_generators(b, given ? args->generator : named, given ? args->generators : nnamed, err))
		return -1;
	return add_jobs(s, args, from, b, err);
}

/* One batch for every combination of the sweeps' values, the last one turning fastest. */
static int add_scenario(struct ks_schedule *s, const struct ks_run_args *args, const struct origin *from, const char *path,
                        struct ks_err *err)
{
	size_t turn[KS_SWEEPS_MAX] = {0};
	for (;;) {
		if (add_batch(s, args, from, path, turn, err))
			return -1;
		size_t i = args->sweeps;
		while (i && ++turn[i - 1] == args->sweep[i - 1].n)
			turn[--i] = 0;
		if (!i)
			return 0;
	}
}

/* ---- suites and folders ---- */

static const struct origin of_the_caller;

struct walk {
	struct ks_schedule *schedule;
	const struct ks_run_args *args;
	const struct origin *from;
	size_t found;
	struct ks_err *err;
};

static int visit(const char *path, void *context)
{
	struct walk *w = context;
	int suite = ks_file_is_suite(path, w->err);
	if (suite) /* a folder runs its scenarios; suites would run them twice */
		return suite < 0 ? -1 : 0;
	return add_scenario(w->schedule, w->args, w->from, path, w->err);
}

static bool has_tag(const struct ks_plan *plan, const struct ks_suite_item *item)
{
	for (int i = 0; i < plan->ntags; i++)
		for (size_t k = 0; k < item->ntags; k++)
			if (!strcmp(plan->tags[i], item->tags[k]))
				return true;
	return false;
}

static int visit_tagged(const char *path, void *context)
{
	struct walk *w = context;
	struct ks_plan plan;
	int suite = ks_file_is_suite(path, w->err);
	if (suite)
		return suite < 0 ? -1 : 0;
	if (ks_plan_load(path, NULL, 0, &plan, w->err))
		return -1;
	bool wanted = has_tag(&plan, w->from->item);
	ks_plan_release(&plan);
	w->found += wanted;
	return wanted ? add_scenario(w->schedule, w->args, w->from, path, w->err) : 0;
}

static int add_tagged(struct ks_schedule *s, const struct ks_run_args *args, const struct origin *from, struct ks_err *err)
{
	struct walk w = {.schedule = s, .args = args, .from = from, .err = err};
	const char *library = ks_library();
	if (!library)
		return ks_fail(err, KS_E_USAGE, "tags, and no scenario library: set KEYSKEW_SCENARIOS");
	if (ks_library_walk(library, visit_tagged, &w, err))
		return -1;
	return w.found ? 0 : ks_fail(err, KS_E_USAGE, "no scenario has the tag '%s'", from->item->tags[0]);
}

static int add_item(struct ks_schedule *s, const struct ks_run_args *args, const struct origin *from, struct ks_err *err)
{
	char scenario[PATH_MAX];
	if (from->item->ntags)
		return add_tagged(s, args, from, err);
	if (ks_library_find(from->item->scenario, scenario, sizeof scenario, err))
		return -1;
	return add_scenario(s, args, from, scenario, err);
}

/* A run in a world that is missing says so itself. Where none of the suite is in it, nobody else would: coverage fell without a word. */
static int check_required(const struct ks_schedule *s, size_t first, const struct ks_suite *suite, struct ks_err *err)
{
	for (const struct ks_world *const *w = ks_worlds; *w; w++) {
		char why[512] = "";
		bool has_runs = false;
		for (size_t i = first; i < s->jobs; i++)
			has_runs = has_runs || s->job[i].world == *w;
		if ((suite->require >> (*w)->id & 1) && !has_runs && (*w)->available(why, sizeof why))
			return ks_fail(err, KS_E_JUDGE, "suite '%.100s' requires the world %s: %.380s", suite->name, (*w)->name, why);
	}
	return 0;
}

static int add_suite(struct ks_schedule *s, const struct ks_run_args *args, const char *path, struct ks_err *err)
{
	struct ks_suite suite;
	size_t first = s->jobs;
	int status = 0;
	if (ks_suite_load(path, &suite, err))
		return -1;
	for (size_t i = 0; i < suite.n && status == 0; i++) {
		const struct origin from = {&suite, &suite.item[i]};
		status = add_item(s, args, &from, err);
		if (status && err->code == KS_E_USAGE && !strchr(err->text, '/'))
			ks_fail_in(err, "%s:%d:%d", path, from.item->mark.line, from.item->mark.col);
	}
	if (!status)
		status = check_required(s, first, &suite, err);
	snprintf(s->name, sizeof s->name, "%s", suite.name);
	ks_suite_release(&suite);
	return status;
}

static int add_target(struct ks_schedule *s, const struct ks_run_args *args, const char *target, struct ks_err *err)
{
	char path[PATH_MAX];
	struct stat st;
	if (ks_library_find(target, path, sizeof path, err))
		return -1;
	if (stat(path, &st))
		return ks_fail(err, KS_E_USAGE, "cannot open '%s': %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return ks_library_walk(path, visit, &(struct walk){.schedule = s, .args = args, .from = &of_the_caller, .err = err}, err);
	int suite = ks_file_is_suite(path, err);
	if (suite < 0)
		return -1;
	return suite ? add_suite(s, args, path, err) : add_scenario(s, args, &of_the_caller, path, err);
}

int ks_schedule_build(const struct ks_run_args *args, struct ks_schedule *s, struct ks_err *err)
{
	*s = (struct ks_schedule){0};
	for (size_t i = 0; i < args->targets; i++)
		if (add_target(s, args, args->target[i], err))
			return -1;
	if (!s->jobs)
		return ks_fail(err, KS_E_NOMATCH, "nothing to run: no scenario matched with these worlds");
	s->planned = s->jobs;
	if (args->shards)
		ks_select_shard(s, args->shard, args->shards);
	bool repeatable = !args->twice;
	for (size_t i = 0; i < s->jobs; i++)
		repeatable = repeatable || s->job[i].twice;
	if (!repeatable)
		return ks_fail(err, KS_E_USAGE, "--twice repeats runs of sim, and there is none: real worlds never run the same twice");
	if (!*s->name)
		snprintf(s->name, sizeof s->name, "%s", s->batches == 1 ? s->batch[0]->plan.name : "run");
	return 0;
}

void ks_schedule_release(struct ks_schedule *s)
{
	for (size_t i = 0; i < s->jobs; i++)
		json_decref(s->job[i].result);
	for (size_t i = 0; i < s->batches; i++) {
		ks_plan_release(&s->batch[i]->plan);
		json_decref(s->batch[i]->sweep);
		for (size_t k = 0; k < s->batch[i]->specs; k++)
			ks_generator_release(&s->batch[i]->spec[k]);
		ks_free(s->batch[i]->spec);
		ks_free(s->batch[i]);
	}
	ks_free(s->batch);
	ks_free(s->job);
	*s = (struct ks_schedule){0};
}
