/* Plug-ins: the table of calls that they get, compiled against each environment, and their loading. */
#include "plugin_load.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "env.h"

/* The plug-in's idea of these types has other names here. */
#define ks_word ks_table_word
#define ks_lock ks_table_lock
#define KS_ENV_TABLE_TYPES_ONLY
#include "plugin.h"
#undef ks_word
#undef ks_lock

#define STATE_MAX (16u << 20)

_Static_assert(sizeof(ks_word) <= sizeof(ks_table_word) && sizeof(ks_lock) <= sizeof(ks_table_lock), "plug-ins have room for ours");

static int64_t t_clock(struct ks_env *e, enum ks_clock_id id)
{
	return env_clock(e, id);
}

static void t_wait_until(struct ks_env *e, enum ks_clock_id id, int64_t value)
{
	env_wait_until(e, id, value);
}

static uint64_t t_random(struct ks_env *e)
{
	return env_random(e);
}

static void t_lock(struct ks_env *e, void *lock)
{
	env_lock(e, lock);
}

static void t_unlock(struct ks_env *e, void *lock)
{
	env_unlock(e, lock);
}

static uint64_t t_load(struct ks_env *e, const void *word)
{
	return env_load(e, word);
}

static void t_store(struct ks_env *e, void *word, uint64_t value)
{
	env_store(e, word, value);
}

static bool t_cas(struct ks_env *e, void *word, uint64_t *expected, uint64_t value)
{
	return env_cas(e, word, expected, value);
}

static uint64_t t_fetch_add(struct ks_env *e, void *word, uint64_t n)
{
	return env_fetch_add(e, word, n);
}

static uint64_t t_identity(struct ks_env *e, enum ks_identity what)
{
	return env_identity(e, what);
}

static bool t_persist_get(struct ks_env *e, int slot, uint64_t *value)
{
	return env_persist_get(e, slot, value);
}

static void t_persist_put(struct ks_env *e, int slot, uint64_t value)
{
	env_persist_put(e, slot, value);
}

static bool t_registry_lease(struct ks_env *e, uint64_t *worker)
{
	return env_registry_lease(e, worker);
}

static void t_registry_report(struct ks_env *e, uint64_t time)
{
	env_registry_report(e, time);
}

static bool t_registry_reported(struct ks_env *e, uint64_t *time)
{
	return env_registry_reported(e, time);
}

static struct ks_key t_text(struct ks_env *e, const char *bytes, size_t len)
{
	return env_text(e, bytes, len);
}

static struct ks_call_context t_context(struct ks_env *e)
{
	return env_context(e);
}

static const struct ks_env_table table = {
	t_clock,    t_wait_until, t_random,      t_lock,        t_unlock,         t_load,            t_store,             t_cas,
	t_fetch_add, t_identity,  t_persist_get, t_persist_put, t_registry_lease, t_registry_report, t_registry_reported, t_text,
	t_context,
};

/* ---- loading ---- */

/* Where the options begin, or the end; NULL: no plug-in. */
static const char *options_of(const char *text)
{
	for (const char *p = text; (p = strstr(p, ".so")); p += 3)
		if (!p[3] || p[3] == ':')
			return p + 3;
	return NULL;
}

bool ks_names_plugin(const char *text)
{
	return options_of(text) != NULL;
}

static const char *lacks(const struct ks_gen *g)
{
	if (!g->name || !g->title || !g->opts || !g->claims || !g->clocks || !g->next)
		return "lacks one of name, title, opts, claims, clocks and next";
	if (!g->decode_text && (!g->decode || !g->format || !g->parse))
		return "has neither decode_text nor all of decode, format and parse";
	if (g->cfg_size > sizeof((struct ks_gen_spec *)0)->cfg || g->shared_size > STATE_MAX || g->local_size > STATE_MAX)
		return "has options or a state that are too large";
	return NULL;
}

static const struct ks_gen *load(const char *path, struct ks_err *err)
{
	char local[sizeof((struct ks_gen_spec *)0)->text + 3];
	snprintf(local, sizeof local, "%s%s", strchr(path, '/') ? "" : "./", path); /* a bare name would be looked up elsewhere */
	void *handle = dlopen(local, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		ks_fail(err, KS_E_USAGE, "cannot load plug-in '%s': %.600s", path, dlerror());
		return NULL;
	}
	const struct ks_plugin *p = dlsym(handle, KS_PLUGIN_SYMBOL);
	const char *what = NULL;
	if (!p)
		what = "is no plug-in of keyskew: it has no KS_PLUGIN";
	else if (p->version != KS_PLUGIN_VERSION || p->gen_size != sizeof(struct ks_gen) || p->table_size != sizeof table)
		what = "was compiled with the headers of another version of keyskew";
	else
		what = lacks(p->gen);
	if (what) {
		ks_fail(err, KS_E_USAGE, "'%s' %s", path, what);
		dlclose(handle);
		return NULL;
	}
	*p->calls = &table;
	return p->gen;
}

static int parse(const char *text, struct ks_gen_spec *spec, struct ks_err *err)
{
	const char *options = options_of(text);
	char path[sizeof spec->text], named[2 * sizeof spec->text];
	if (strlen(text) >= sizeof spec->text)
		return ks_fail(err, KS_E_USAGE, "generator '%.40s...' is too long, expected at most %zu characters", text,
		               sizeof spec->text - 1);
	snprintf(path, sizeof path, "%.*s", (int)(options - text), text);
	const struct ks_gen *list[] = {load(path, err), NULL};
	if (!list[0])
		return -1;
	snprintf(named, sizeof named, "%.200s%s", list[0]->name, options);
	if (ks_gen_parse(list, named, spec, err))
		return ks_fail_in(err, "plug-in '%s'", path);
	strcpy(spec->text, text);
	return 0;
}

#ifdef KS_ENV_SIM
int ks_plugin_parse_sim(const char *text, struct ks_gen_spec *spec, struct ks_err *err)
#else
int ks_plugin_parse_real(const char *text, struct ks_gen_spec *spec, struct ks_err *err)
#endif
{
	return parse(text, spec, err);
}
