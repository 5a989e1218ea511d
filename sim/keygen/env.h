/* The environment: all that a generator sees of the world.
 *
 * One source of each generator is compiled once against each environment: KS_ENV_SIM takes the simulation's
 * (sim/engine/env_sim.h), KS_ENV_REAL the real one (harness/subject/env_real.h), KS_ENV_TABLE a table of
 * functions (plug-ins), KS_ENV_CHECK one that watches what they touch (tests/env_check.h). Each defines struct ks_env and these, static inline:
 *
 *   int64_t  env_clock(env, id)             what clock id shows, ns; unix time for REALTIME and TAI
 *   void     env_wait_until(env, id, value) returns when clock id shows at least value
 *   uint64_t env_random(env)                64 random bits
 *   void     env_lock(env, lock), env_unlock(env, lock)       a lock of the process
 *   uint64_t env_load(env, word)            sequentially consistent, as all of these
 *   void     env_store(env, word, value)
 *   bool     env_cas(env, word, &expected, value)
 *   uint64_t env_fetch_add(env, word, n)    the value before
 *   uint64_t env_identity(env, what)        who the caller is: enum ks_identity
 *   bool     env_persist_get(env, slot, &value), void env_persist_put(env, slot, value)
 *                                           a small store of the process's name that outlives a restart of it
 *   bool     env_registry_lease(env, &worker)  a worker id from the fleet's registry, no two of which are alike; the same
 *                                           again for a process that had one. false: no answer came
 *   void     env_registry_report(env, time) tells the registry a time of this process; lost when none answers
 *   bool     env_registry_reported(env, &time) the last that this process, or one before it, reported. false: none, or no
 *                                           answer came
 *
 *   struct ks_key env_text(env, bytes, len) a key that is a text: holds it and returns what stands for it. At most
 *                                           KS_KEY_TEXT - 1 bytes; costs nothing. For generators with decode_text
 *   struct ks_call_context env_context(env)  what the call is about (ks_call.h): its arguments, so it costs nothing
 *
 * Every one of them that is not said to cost nothing costs time and may let other threads run, pause or kill the caller. Therefore: all shared
 * state goes through these; and no two of them in one expression, as C does not order them. */
#ifndef KS_ENV_H
#define KS_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "ks_record.h"

enum ks_identity { KS_ID_WORKER, KS_ID_MAC, KS_ID_IP, KS_ID_PID, KS_ID_HOST };

#define KS_PERSIST_SLOTS 4

#if defined(KS_ENV_SIM)
#include "env_sim.h"
#elif defined(KS_ENV_REAL)
#include "env_real.h"
#elif defined(KS_ENV_CHECK)
#include "env_check.h"
#elif defined(KS_ENV_TABLE)
#include "env_table.h"
#else
#error "compile generators with KS_ENV_SIM, KS_ENV_REAL, KS_ENV_CHECK or KS_ENV_TABLE"
#endif

#endif
