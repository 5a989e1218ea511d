/* The slow side of the real environment. */
#ifndef KS_ENV_REAL
#define KS_ENV_REAL 1
#endif
#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ks_engine.h"
#include "ks_wire.h"

/* A generator asked the machine for something that it does not give. Going on with made-up values would be judged as
 * if the machine had answered, so the process ends and the harness reports why. */
static void give_up(const char *what)
{
	dprintf(STDERR_FILENO, "keyskew-subject: %s: %m\n", what);
	_exit(70);
}

static void from_kernel(void *bytes, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = getrandom((char *)bytes + got, size - got, 0);
		if (n < 0 && errno != EINTR)
			give_up("getrandom");
		got += n > 0 ? (size_t)n : 0;
	}
}

/* Of the kernel; or, as with libraries that keep a generator of their own in the process, seeded by the kernel once. A process that
 * goes on from the memory of another draws what that one draws, unless the library notices. */
void ks_env_random_fill(struct ks_env *env)
{
	uint64_t seed[2];

	if (env->process->own_random) {
		if (!env->seeded) {
			from_kernel(seed, sizeof(seed));
			ks_stream_init(&env->source, seed[0], KS_STREAM_GENERATOR, seed[1]);
			env->seeded = true;
		}
		for (size_t i = 0; i < sizeof(env->random) / sizeof(uint64_t); i++) {
			uint64_t word = ks_stream_next(&env->source);
			memcpy(env->random + i * sizeof(word), &word, sizeof(word));
		}
	} else {
		from_kernel(env->random, sizeof(env->random));
	}
	env->random_left = sizeof(env->random);
}

/* Far from the value: sleep half of what is left, at most 1 ms, because the clock may be stepped meanwhile. Near: let
 * others run and look again. */
void ks_env_nap(int64_t left_ns)
{
	int64_t nap = left_ns / 2 < 1000000 ? left_ns / 2 : 1000000;

	if (nap < 100000) {
		sched_yield();
		return;
	}
	struct timespec ts = {.tv_nsec = nap};
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* FNV-1a of the host's name and the node's number: the nodes of a fleet are machines of their own, but may be processes of one. */
static uint64_t hash_of_host(const struct ks_env *env)
{
	char name[256] = "";
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	if (gethostname(name, sizeof(name) - 1) != 0)
		give_up("gethostname");
	for (const char *p = name; *p; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return (h ^ env->process->node) * UINT64_C(0x100000001b3);
}

static uint64_t pid_of(const struct ks_env *env)
{
	return env->process->pid ? env->process->pid : (uint64_t)getpid();
}

/* As in the simulation (sim/engine/env.c), but that the pid is the process's own. */
static uint64_t worker_of(struct ks_env *env)
{
	const struct ks_env_process *p = env->process;
	uint64_t worker = UINT64_MAX;

	switch ((enum ks_worker_rule)p->worker_rule) {
	case KS_WORKER_LEASE:
		ks_env_registry_lease(env, &worker);
		return worker;
	case KS_WORKER_PID:
		return pid_of(env) & 1023;
	case KS_WORKER_MAC:
		return ks_worker_of_mac(p->mac, pid_of(env));
	case KS_WORKER_GIVEN:
		break;
	}
	return p->worker;
}

uint64_t ks_env_identity(struct ks_env *env, int what)
{
	switch (what) {
	case KS_ID_WORKER:
		return worker_of(env);
	case KS_ID_MAC:
		return env->process->mac;
	case KS_ID_IP:
		return env->process->ip;
	case KS_ID_PID:
		return pid_of(env);
	default:
		return hash_of_host(env);
	}
}

_Noreturn void ks_env_fail(struct ks_env *env, const struct ks_err *why)
{
	struct ks_env_failure *f = env->process->failure;

	if (!f) {
		fprintf(stderr, "%s\n", why->text);
		_exit(KS_E_JUDGE);
	}
	if (!atomic_exchange(&f->taken, 1)) {
		snprintf(f->text, sizeof(f->text), "%s", why->text);
		atomic_store(&f->told, 1);
		ssize_t n = write(f->wake_fd, "", 1);
		(void)n;
	}
	for (;;)
		pause();
}

uint8_t ks_env_reason(struct ks_env *env, const char *text, size_t len)
{
	return env->process->reasons ? ks_reason_number(env->process->reasons, text, len) : 0;
}

struct ks_key ks_env_text(struct ks_env *env, const char *bytes, size_t len)
{
	int64_t index = ks_texts_add(&env->texts, bytes, len);

	if (index < 0)
		give_up("memory for keys");
	return ks_key64((uint64_t)index);
}

/* ---- words in files ---- */

static void path_of(const struct ks_env *env, const char *what, uint64_t number, const char *suffix, char path[4096])
{
	snprintf(path, 4096, "%s/%s-%u-%llu%s", env->process->state_dir, what, env->process->process,
		 (unsigned long long)number, suffix);
}

static bool word_get(const struct ks_env *env, const char *what, uint64_t number, uint64_t *value)
{
	char path[4096];
	path_of(env, what, number, "", path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		if (errno != ENOENT)
			give_up(path);
		return false;
	}
	bool whole = read(fd, value, sizeof(*value)) == sizeof(*value);
	close(fd);
	return whole;
}

/* On disk before it returns: written beside, synced, renamed over. The sync of the folder makes the name durable. */
static void word_put(const struct ks_env *env, const char *what, uint64_t number, uint64_t value)
{
	char path[4096], temp[4096];
	path_of(env, what, number, "", path);
	path_of(env, what, number, ".new", temp);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, &value, sizeof(value)) != sizeof(value) || fsync(fd) != 0 || close(fd) != 0 ||
	    rename(temp, path) != 0)
		give_up(path);
	int dir = open(env->process->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fsync(dir) != 0)
		give_up(env->process->state_dir);
	close(dir);
}

bool ks_env_persist_get(struct ks_env *env, int slot, uint64_t *value)
{
	return word_get(env, "persist", (uint64_t)slot, value);
}

void ks_env_persist_put(struct ks_env *env, int slot, uint64_t value)
{
	word_put(env, "persist", (uint64_t)slot, value);
}

/* ---- the registry ----
 *
 * One of the fleet, whom the process asks over the wire. Where nobody serves one (a guest): a folder, in which whoever makes the
 * file of a number has leased it. Each machine has a folder of its own, so the node ids from which they begin to look keep them
 * apart. */

static bool take_number(const struct ks_env *env, uint64_t number)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/registry-%llu", env->process->state_dir, (unsigned long long)number);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno != EEXIST)
		give_up(path);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The node's id is part of the name: the folder may be that of many nodes. */
static bool lease_in_folder(struct ks_env *env, uint64_t *worker)
{
	uint64_t number = env->process->worker;

	if (word_get(env, "leased", env->process->worker, worker))
		return true;
	while (!take_number(env, number))
		number++;
	word_put(env, "leased", env->process->worker, number);
	*worker = number;
	return true;
}

bool ks_env_registry_lease(struct ks_env *env, uint64_t *worker)
{
	const struct ks_env_process *p = env->process;
	return p->ask ? p->ask(p->who, KS_REGISTRY_LEASE, worker) : lease_in_folder(env, worker);
}

void ks_env_registry_report(struct ks_env *env, uint64_t time)
{
	const struct ks_env_process *p = env->process;

	if (p->ask)
		p->ask(p->who, KS_REGISTRY_REPORT, &time);
	else
		word_put(env, "reported", p->worker, time);
}

bool ks_env_registry_reported(struct ks_env *env, uint64_t *time)
{
	const struct ks_env_process *p = env->process;
	return p->ask ? p->ask(p->who, KS_REGISTRY_REPORTED, time) : word_get(env, "reported", p->worker, time);
}
