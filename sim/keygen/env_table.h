/* The environment of a plug-in: the calls go through a table that keyskew hands over when it loads the plug-in. The same
 * plug-in runs in the simulation and in real processes. See env.h for what each call promises, and plugin.h. */
#ifndef KS_ENV_TABLE_H
#define KS_ENV_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ks_call.h"

struct ks_env; /* keyskew's own */

/* Room for whatever keyskew keeps there; zeroed memory is a valid one of each. */
typedef struct {
	_Alignas(8) unsigned char opaque[8];
} ks_word;
typedef struct {
	_Alignas(8) unsigned char opaque[64];
} ks_lock;

struct ks_env_table {
	int64_t (*clock)(struct ks_env *env, enum ks_clock_id id);
	void (*wait_until)(struct ks_env *env, enum ks_clock_id id, int64_t value);
	uint64_t (*random)(struct ks_env *env);
	void (*lock)(struct ks_env *env, void *lock);
	void (*unlock)(struct ks_env *env, void *lock);
	uint64_t (*load)(struct ks_env *env, const void *word);
	void (*store)(struct ks_env *env, void *word, uint64_t value);
	bool (*cas)(struct ks_env *env, void *word, uint64_t *expected, uint64_t value);
	uint64_t (*fetch_add)(struct ks_env *env, void *word, uint64_t n);
	uint64_t (*identity)(struct ks_env *env, enum ks_identity what);
	bool (*persist_get)(struct ks_env *env, int slot, uint64_t *value);
	void (*persist_put)(struct ks_env *env, int slot, uint64_t value);
	bool (*registry_lease)(struct ks_env *env, uint64_t *worker);
	void (*registry_report)(struct ks_env *env, uint64_t time);
	bool (*registry_reported)(struct ks_env *env, uint64_t *time);
	struct ks_key (*text)(struct ks_env *env, const char *bytes, size_t len);
	struct ks_call_context (*context)(struct ks_env *env);
};

#ifndef KS_ENV_TABLE_TYPES_ONLY

/* Set by keyskew before anything of the plug-in runs. Defined by KS_PLUGIN. */
extern __attribute__((visibility("hidden"))) const struct ks_env_table *ks_env_calls;

static inline int64_t env_clock(struct ks_env *e, enum ks_clock_id id)
{
	return ks_env_calls->clock(e, id);
}

static inline void env_wait_until(struct ks_env *e, enum ks_clock_id id, int64_t value)
{
	ks_env_calls->wait_until(e, id, value);
}

static inline uint64_t env_random(struct ks_env *e)
{
	return ks_env_calls->random(e);
}

static inline void env_lock(struct ks_env *e, ks_lock *l)
{
	ks_env_calls->lock(e, l);
}

static inline void env_unlock(struct ks_env *e, ks_lock *l)
{
	ks_env_calls->unlock(e, l);
}

static inline uint64_t env_load(struct ks_env *e, const ks_word *w)
{
	return ks_env_calls->load(e, w);
}

static inline void env_store(struct ks_env *e, ks_word *w, uint64_t value)
{
	ks_env_calls->store(e, w, value);
}

static inline bool env_cas(struct ks_env *e, ks_word *w, uint64_t *expected, uint64_t value)
{
	return ks_env_calls->cas(e, w, expected, value);
}

static inline uint64_t env_fetch_add(struct ks_env *e, ks_word *w, uint64_t n)
{
	return ks_env_calls->fetch_add(e, w, n);
}

static inline uint64_t env_identity(struct ks_env *e, enum ks_identity what)
{
	return ks_env_calls->identity(e, what);
}

static inline bool env_persist_get(struct ks_env *e, int slot, uint64_t *value)
{
	return ks_env_calls->persist_get(e, slot, value);
}

static inline void env_persist_put(struct ks_env *e, int slot, uint64_t value)
{
	ks_env_calls->persist_put(e, slot, value);
}

static inline bool env_registry_lease(struct ks_env *e, uint64_t *worker)
{
	return ks_env_calls->registry_lease(e, worker);
}

static inline void env_registry_report(struct ks_env *e, uint64_t time)
{
	ks_env_calls->registry_report(e, time);
}

static inline bool env_registry_reported(struct ks_env *e, uint64_t *time)
{
	return ks_env_calls->registry_reported(e, time);
}

static inline struct ks_key env_text(struct ks_env *e, const char *bytes, size_t len)
{
	return ks_env_calls->text(e, bytes, len);
}

static inline struct ks_call_context env_context(struct ks_env *e)
{
	return ks_env_calls->context(e);
}

#endif
#endif
