/* The simulated environment of one thread. See sim/keygen/env.h for what each call promises.
 *
 * The thread runs on by itself until its own time reaches `horizon_ns`, the first instant at which anything else
 * can happen on its node; only then does it ask the engine (ks_env_switch), which may run others, apply faults,
 * or never come back. So a call costs a few ns unless an event falls inside it. */
#ifndef KS_ENV_SIM_H
#define KS_ENV_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "ks_call.h"
#include "ks_clock.h"
#include "ks_point.h"
#include "ks_rand.h"

/* What environment calls cost in virtual time, ns: a vDSO clock read, a random word from a buffered source, an
 * uncontended atomic. Orders of magnitude of current x86-64 servers; what matters is that none is free. */
#define KS_COST_CLOCK_NS 25
#define KS_COST_RANDOM_NS 20
#define KS_COST_ATOMIC_NS 5
#define KS_COST_LOCK_NS 20
#define KS_COST_PERSIST_NS 20000
#define KS_COST_SEND_NS 1000 /* the way to the registry and back comes on top */

struct ks_env {
	int64_t now_ns;     /* true time of this thread */
	int64_t horizon_ns; /* when now_ns reaches it, the engine decides */
	const struct ks_seg *clocks; /* the five of its node */
	int64_t skew_ns;    /* by how much they read later on the core that it runs on */
	int64_t read_value; /* of the last clock read */
	int64_t read_at_ns;
	uint64_t reads;     /* clock reads so far */
	uint8_t read_clock; /* enum ks_clock_id */
	uint8_t has_read;
	uint32_t lane;
	struct ks_engine *engine;
	struct ks_stream random;
};

/* An atomic word and a lock of a process. Zeroed memory is a valid one of each. */
typedef struct {
	uint64_t value;
} ks_word;
typedef struct {
	uint32_t holder; /* lane + 1, 0 when free */
	uint32_t first, last; /* of those who wait: lane + 1 */
} ks_lock;

/* The slow side, in the engine. */
void ks_env_switch(struct ks_env *env, int64_t cost_ns, enum ks_point point);
void ks_env_wait(struct ks_env *env, enum ks_clock_id id, int64_t value);
void ks_env_lock_wait(struct ks_env *env, ks_lock *lock);
void ks_env_lock_pass(struct ks_env *env, ks_lock *lock);
uint64_t ks_env_identity(struct ks_env *env, int what);
bool ks_env_persist_get(struct ks_env *env, int slot, uint64_t *value);
void ks_env_persist_put(struct ks_env *env, int slot, uint64_t value);
bool ks_env_registry_lease(struct ks_env *env, uint64_t *worker);
void ks_env_registry_report(struct ks_env *env, uint64_t time);
bool ks_env_registry_reported(struct ks_env *env, uint64_t *time);
struct ks_call_context ks_env_context(struct ks_env *env);
/* Ends the run: the generator itself has failed, which is no outcome of a call. */
struct ks_err;
_Noreturn void ks_env_fail(struct ks_env *env, const struct ks_err *why);
/* The number of the caller's process in the fleet: node x processes of a node + process. The same for all incarnations. */
uint32_t ks_env_process(const struct ks_env *env);
uint8_t ks_env_reason(struct ks_env *env, const char *text, size_t len);
struct ks_key ks_env_text(struct ks_env *env, const char *bytes, size_t len);

static inline void env_spend(struct ks_env *e, int64_t cost_ns, enum ks_point point)
{
	e->now_ns += cost_ns;
	if (__builtin_expect(e->now_ns >= e->horizon_ns, 0))
		ks_env_switch(e, cost_ns, point);
}

static inline int64_t env_clock(struct ks_env *e, enum ks_clock_id id)
{
	env_spend(e, KS_COST_CLOCK_NS, KS_AT_CLOCK);
	int64_t v = ks_seg_at(&e->clocks[id], e->now_ns) + e->skew_ns;
	e->read_value = v;
	e->read_at_ns = e->now_ns;
	e->read_clock = (uint8_t)id;
	e->has_read = 1;
	e->reads++;
	return v;
}

static inline void env_wait_until(struct ks_env *e, enum ks_clock_id id, int64_t value)
{
	env_spend(e, KS_COST_CLOCK_NS, KS_AT_WAIT);
	if (ks_seg_at(&e->clocks[id], e->now_ns) + e->skew_ns < value)
		ks_env_wait(e, id, value);
}

static inline uint64_t env_random(struct ks_env *e)
{
	env_spend(e, KS_COST_RANDOM_NS, KS_AT_RANDOM);
	return ks_stream_next(&e->random);
}

static inline void env_lock(struct ks_env *e, ks_lock *l)
{
	env_spend(e, KS_COST_LOCK_NS, KS_AT_LOCK);
	if (__builtin_expect(l->holder == 0, 1))
		l->holder = e->lane + 1;
	else
		ks_env_lock_wait(e, l);
}

static inline void env_unlock(struct ks_env *e, ks_lock *l)
{
	env_spend(e, KS_COST_ATOMIC_NS, KS_AT_UNLOCK);
	if (__builtin_expect(l->first == 0, 1))
		l->holder = 0;
	else
		ks_env_lock_pass(e, l);
}

static inline uint64_t env_load(struct ks_env *e, const ks_word *w)
{
	env_spend(e, KS_COST_ATOMIC_NS, KS_AT_LOAD);
	return w->value;
}

static inline void env_store(struct ks_env *e, ks_word *w, uint64_t value)
{
	env_spend(e, KS_COST_ATOMIC_NS, KS_AT_STORE);
	w->value = value;
}

static inline bool env_cas(struct ks_env *e, ks_word *w, uint64_t *expected, uint64_t value)
{
	env_spend(e, KS_COST_ATOMIC_NS, KS_AT_CAS);
	if (w->value != *expected) {
		*expected = w->value;
		return false;
	}
	w->value = value;
	return true;
}

static inline uint64_t env_fetch_add(struct ks_env *e, ks_word *w, uint64_t n)
{
	env_spend(e, KS_COST_ATOMIC_NS, KS_AT_ADD);
	uint64_t before = w->value;
	w->value = before + n;
	return before;
}

static inline uint64_t env_identity(struct ks_env *e, enum ks_identity what)
{
	env_spend(e, KS_COST_ATOMIC_NS, KS_AT_IDENTITY);
	return ks_env_identity(e, (int)what);
}

/* Arguments of the call, so it costs no time. */
static inline struct ks_call_context env_context(struct ks_env *e)
{
	return ks_env_context(e);
}

static inline struct ks_key env_text(struct ks_env *e, const char *bytes, size_t len)
{
	return ks_env_text(e, bytes, len);
}

static inline bool env_persist_get(struct ks_env *e, int slot, uint64_t *value)
{
	env_spend(e, KS_COST_PERSIST_NS, KS_AT_PERSIST);
	return ks_env_persist_get(e, slot, value);
}

static inline void env_persist_put(struct ks_env *e, int slot, uint64_t value)
{
	env_spend(e, KS_COST_PERSIST_NS, KS_AT_PERSIST);
	ks_env_persist_put(e, slot, value);
}

static inline bool env_registry_lease(struct ks_env *e, uint64_t *worker)
{
	env_spend(e, KS_COST_SEND_NS, KS_AT_REGISTRY);
	return ks_env_registry_lease(e, worker);
}

static inline void env_registry_report(struct ks_env *e, uint64_t time)
{
	env_spend(e, KS_COST_SEND_NS, KS_AT_REGISTRY);
	ks_env_registry_report(e, time);
}

static inline bool env_registry_reported(struct ks_env *e, uint64_t *time)
{
	env_spend(e, KS_COST_SEND_NS, KS_AT_REGISTRY);
	return ks_env_registry_reported(e, time);
}

#endif
