/* The real environment of one thread: the clocks, atomics, locks and random source of the machine that it runs on.
 * See sim/keygen/env.h for what each call promises. Compiles for glibc and musl, in a process and in a guest.
 *
 * Clocks are read through clock_gettime of libc, so that whatever fakes time for programs fakes it for generators.
 * Around each reading stands true time, which nothing fakes: it says when the clock showed what it showed. */
#ifndef KS_ENV_REAL_H
#define KS_ENV_REAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "ks_call.h"
#include "ks_rand.h"
#include "truetime.h"

/* Why a generator itself failed, where that does not simply end the process: a guest's is its first one. */
struct ks_env_failure {
	_Atomic int taken, told; /* one thread writes the text; it may be read once it is told */
	int wake_fd;             /* gets a byte then */
	char text[1200]; /* as long as that of struct ks_err */
};

/* What the threads of a process have in common. */
struct ks_env_process {
	uint64_t worker;       /* its node's id */
	uint64_t seed;         /* of the run */
	struct ks_call_ranges about; /* what calls are about */
	uint32_t node;         /* its number in the fleet, from 0 */
	uint32_t worker_rule;  /* enum ks_worker_rule */
	bool own_random;       /* see ks_env_random_fill */
	uint64_t mac, ip, pid; /* of its node; pid 0: the real one */
	/* Asks the registry of the fleet (enum ks_registry_question). @return false: no answer, or none is known. NULL: there is a
	 * folder instead, see env_real.c. */
	bool (*ask)(void *who, uint32_t what, uint64_t *value);
	void *who;
	uint32_t process;      /* its number on the node: part of the name of what it persists */
	struct ks_texts *reasons; /* what refusals said; NULL: nobody reads them */
	struct ks_env_failure *failure; /* NULL: a failure is written to stderr and ends the process */
	const char *state_dir; /* where env_persist keeps its files; outlives the process */
};

struct ks_env {
	int64_t read_value;    /* of the last clock read, as the clock showed it */
	int64_t read_at_ns;    /* true time of it (the epoch of ks_true_ns): the middle of the bracket */
	int64_t read_width_ns; /* of the bracket: the reading lies within half of it */
	uint64_t reads;        /* clock reads so far */
	uint8_t read_clock;    /* enum ks_clock_id */
	uint8_t has_read;
	uint32_t seq;         /* of the call that goes on */
	uint64_t caller;      /* the thread's number, ks_caller */
	uint32_t random_left; /* unused bytes at the end of random */
	const struct ks_env_process *process;
	struct ks_texts texts; /* keys that are texts, of this thread */
	bool seeded;           /* its own source of random words is */
	struct ks_stream source;
	_Alignas(8) unsigned char random[256];
};

/* Zeroed memory is a valid one of each: glibc's and musl's PTHREAD_MUTEX_INITIALIZER are all zero. */
typedef struct {
	_Atomic uint64_t value;
} ks_word;
typedef struct {
	pthread_mutex_t mutex;
} ks_lock;

/* The slow side, in env_real.c. */
void ks_env_random_fill(struct ks_env *env);
void ks_env_nap(int64_t left_ns);
uint64_t ks_env_identity(struct ks_env *env, int what);
struct ks_err;
/* Ends the process, or tells and ends the thread's work: the generator itself has failed. */
_Noreturn void ks_env_fail(struct ks_env *env, const struct ks_err *why);
/* The number of a reason that a generator gives in its own words. */
uint8_t ks_env_reason(struct ks_env *env, const char *text, size_t len);
struct ks_key ks_env_text(struct ks_env *env, const char *bytes, size_t len);
bool ks_env_persist_get(struct ks_env *env, int slot, uint64_t *value);
void ks_env_persist_put(struct ks_env *env, int slot, uint64_t value);
bool ks_env_registry_lease(struct ks_env *env, uint64_t *worker);
void ks_env_registry_report(struct ks_env *env, uint64_t time);
bool ks_env_registry_reported(struct ks_env *env, uint64_t *time);

static const clockid_t ks_posix_clocks[KS_NCLOCKS] = {
    [KS_REALTIME] = CLOCK_REALTIME, [KS_MONOTONIC] = CLOCK_MONOTONIC,
    [KS_RAW] = CLOCK_MONOTONIC_RAW, [KS_BOOTTIME] = CLOCK_BOOTTIME,
    [KS_TAI] = CLOCK_TAI,
};

static inline int64_t env_clock(struct ks_env *e, enum ks_clock_id id)
{
	struct timespec ts;
	int64_t before = ks_true_ns();
	clock_gettime(ks_posix_clocks[id], &ts);
	int64_t after = ks_true_ns();

	e->read_value = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	e->read_width_ns = after - before;
	e->read_at_ns = before + e->read_width_ns / 2;
	e->read_clock = (uint8_t)id;
	e->has_read = 1;
	e->reads++;
	return e->read_value;
}

/* The kernel's own deadlines follow the real clock and not a faked one, so this looks again and again. */
static inline void env_wait_until(struct ks_env *e, enum ks_clock_id id, int64_t value)
{
	for (;;) {
		int64_t now = env_clock(e, id);
		if (now >= value)
			return;
		ks_env_nap(value - now);
	}
}

static inline uint64_t env_random(struct ks_env *e)
{
	uint64_t word;

	if (e->random_left < sizeof(word))
		ks_env_random_fill(e);
	memcpy(&word, e->random + sizeof(e->random) - e->random_left, sizeof(word));
	e->random_left -= (uint32_t)sizeof(word);
	return word;
}

static inline void env_lock(struct ks_env *e, ks_lock *l)
{
	(void)e;
	pthread_mutex_lock(&l->mutex);
}

static inline void env_unlock(struct ks_env *e, ks_lock *l)
{
	(void)e;
	pthread_mutex_unlock(&l->mutex);
}

static inline uint64_t env_load(struct ks_env *e, const ks_word *w)
{
	(void)e;
	return atomic_load(&w->value);
}

static inline void env_store(struct ks_env *e, ks_word *w, uint64_t value)
{
	(void)e;
	atomic_store(&w->value, value);
}

static inline bool env_cas(struct ks_env *e, ks_word *w, uint64_t *expected, uint64_t value)
{
	(void)e;
	return atomic_compare_exchange_strong(&w->value, expected, value);
}

static inline uint64_t env_fetch_add(struct ks_env *e, ks_word *w, uint64_t n)
{
	(void)e;
	return atomic_fetch_add(&w->value, n);
}

static inline uint64_t env_identity(struct ks_env *e, enum ks_identity what)
{
	return ks_env_identity(e, (int)what);
}

static inline struct ks_call_context env_context(struct ks_env *e)
{
	return ks_call_draw(&e->process->about, e->process->seed, e->caller, e->seq);
}

static inline struct ks_key env_text(struct ks_env *e, const char *bytes, size_t len)
{
	return ks_env_text(e, bytes, len);
}

static inline bool env_persist_get(struct ks_env *e, int slot, uint64_t *value)
{
	return ks_env_persist_get(e, slot, value);
}

static inline void env_persist_put(struct ks_env *e, int slot, uint64_t value)
{
	ks_env_persist_put(e, slot, value);
}

static inline bool env_registry_lease(struct ks_env *e, uint64_t *worker)
{
	return ks_env_registry_lease(e, worker);
}

static inline void env_registry_report(struct ks_env *e, uint64_t time)
{
	ks_env_registry_report(e, time);
}

static inline bool env_registry_reported(struct ks_env *e, uint64_t *time)
{
	return ks_env_registry_reported(e, time);
}

#endif
