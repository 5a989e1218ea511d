/* An environment that watches: clocks go where the test says, and every call notes which bytes it was allowed to touch. What
 * else a generator changes in the state that threads share, or in what it kept from one call to the next elsewhere, is a fault. */
#ifndef KS_ENV_CHECK_H
#define KS_ENV_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ks_call.h"
#include "ks_rand.h"

#define CHECK_STATE_MAX 512

struct ks_env {
	int64_t clock_ns[KS_NCLOCKS];
	struct ks_stream random;
	unsigned reads;      /* mask of clocks */
	unsigned calls;      /* of the environment */
	bool registry_down;
	unsigned char *shared;
	bool may[CHECK_STATE_MAX]; /* a byte of the shared state that went through the environment */
	struct ks_call_context about;
	struct ks_texts texts;
	struct {
		bool set;
		uint64_t value;
	} persist[4], reported;
};

typedef struct {
	uint64_t value;
} ks_word;
typedef struct {
	uint64_t held;
} ks_lock;

static inline void env_touch(struct ks_env *e, const void *at, size_t n)
{
	size_t offset = (size_t)((const unsigned char *)at - e->shared);
	e->calls++;
	for (size_t i = 0; i < n && offset + i < CHECK_STATE_MAX; i++)
		e->may[offset + i] = true;
}

static inline int64_t env_clock(struct ks_env *e, enum ks_clock_id id)
{
	e->calls++;
	e->reads |= 1u << id;
	return e->clock_ns[id] += 25;
}

static inline void env_wait_until(struct ks_env *e, enum ks_clock_id id, int64_t value)
{
	e->calls++;
	int64_t by = value - e->clock_ns[id];
	for (int i = 0; by > 0 && i < KS_NCLOCKS; i++)
		e->clock_ns[i] += by;
}

static inline uint64_t env_random(struct ks_env *e)
{
	e->calls++;
	return ks_stream_next(&e->random);
}

static inline void env_lock(struct ks_env *e, ks_lock *l)
{
	env_touch(e, l, sizeof *l);
	l->held++;
}

static inline void env_unlock(struct ks_env *e, ks_lock *l)
{
	env_touch(e, l, sizeof *l);
	l->held--;
}

static inline uint64_t env_load(struct ks_env *e, const ks_word *w)
{
	e->calls++;
	return w->value;
}

static inline void env_store(struct ks_env *e, ks_word *w, uint64_t value)
{
	env_touch(e, w, sizeof *w);
	w->value = value;
}

static inline bool env_cas(struct ks_env *e, ks_word *w, uint64_t *expected, uint64_t value)
{
	env_touch(e, w, sizeof *w);
	bool same = w->value == *expected;
	if (same)
		w->value = value;
	else
		*expected = w->value;
	return same;
}

static inline uint64_t env_fetch_add(struct ks_env *e, ks_word *w, uint64_t n)
{
	env_touch(e, w, sizeof *w);
	w->value += n;
	return w->value - n;
}

static inline uint64_t env_identity(struct ks_env *e, enum ks_identity what)
{
	e->calls++;
	return what == KS_ID_MAC ? UINT64_C(0x0242ac110002) : 5;
}

static inline bool env_persist_get(struct ks_env *e, int slot, uint64_t *value)
{
	e->calls++;
	*value = e->persist[slot].value;
	return e->persist[slot].set;
}

static inline void env_persist_put(struct ks_env *e, int slot, uint64_t value)
{
	e->calls++;
	e->persist[slot].set = true;
	e->persist[slot].value = value;
}

static inline bool env_registry_lease(struct ks_env *e, uint64_t *worker)
{
	e->calls++;
	*worker = 7;
	return !e->registry_down;
}

static inline void env_registry_report(struct ks_env *e, uint64_t time)
{
	e->calls++;
	e->reported.set = !e->registry_down;
	e->reported.value = time;
}

static inline bool env_registry_reported(struct ks_env *e, uint64_t *time)
{
	e->calls++;
	*time = e->reported.value;
	return e->reported.set && !e->registry_down;
}

static inline struct ks_key env_text(struct ks_env *e, const char *bytes, size_t len)
{
	return ks_key64((uint64_t)ks_texts_add(&e->texts, bytes, len));
}

static inline struct ks_call_context env_context(struct ks_env *e)
{
	return e->about;
}

#endif
