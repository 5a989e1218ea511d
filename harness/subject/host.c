#include "ks_subject.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fork.h"
#include "ks_engine.h"
#include "lane.h"

#define THREADS_MAX 4096
#define STACK_BYTES (256 * 1024)
#define RECORD_BYTES ((size_t)1 << 30)
#define POPULATE_WRITE 23 /* MADV_POPULATE_WRITE, which not every libc names */
#define BATCH 900 /* records a frame: with its header just below 64 KiB, what a pipe holds */
#define CLOCK_TRIES 5

enum phase { NEW, CONFIGURED, RUNNING, FINISHED };

struct host {
	int in, out;
	const struct ks_subject_hooks *hooks;
	enum phase phase;
	struct ks_crew crew;
	struct ks_texts reasons;
	struct ks_env_failure failure;
	struct ks_lane_thread *lane;
	uint32_t lanes;
	int64_t probe_ns;
	bool revived; /* it goes on from another's memory: that is the generator's state, whatever begins */
	int area_fd;
	int wake[2];
	pthread_mutex_t sending; /* frames go out one by one, whoever sends them */
	struct {
		pthread_mutex_t one; /* question at a time */
		uint32_t asked;
		_Atomic uint32_t told;
		struct ks_wire_registry answer;
		int64_t way_ns;
	} registry;
	pthread_t main;
	int ended; /* the host ended while it waited for an answer: what `serve` gave */
	_Alignas(8) unsigned char frame[KS_WIRE_MAX];
};

/* Both give what `serve` returns: 0 goes on, anything else ends the host. */
enum { GO_ON = 0, FAILED = 1, OVER = 2 };

static int answer(struct host *h, uint32_t type, const void *payload, uint32_t length)
{
	pthread_mutex_lock(&h->sending);
	int status = ks_wire_send(h->out, type, payload, length);
	pthread_mutex_unlock(&h->sending);
	return status == 0 ? GO_ON : FAILED;
}

static int fail(struct host *h, const char *text)
{
	answer(h, KS_WIRE_ERROR, text, (uint32_t)strlen(text));
	return FAILED;
}

void ks_subject_look(struct ks_wire_clocks *clocks)
{
	clocks->raw_ns = ks_true_ns();
	for (int id = 0; id < KS_NCLOCKS; id++) {
		struct timespec ts;
		clock_gettime(ks_posix_clocks[id], &ts);
		clocks->clock_ns[id] = (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
	}
	clocks->raw_after_ns = ks_true_ns();
}

void ks_subject_clocks(struct ks_wire_clocks *clocks)
{
	for (int i = 0; i < CLOCK_TRIES; i++) {
		struct ks_wire_clocks c;
		ks_subject_look(&c);
		if (i == 0 || c.raw_after_ns - c.raw_ns < clocks->raw_after_ns - clocks->raw_ns)
			*clocks = c;
	}
}

static int say_hello(struct host *h)
{
	struct ks_wire_hello hello = {.version = KS_WIRE_VERSION, .record_size = sizeof(struct ks_wire_record)};
	struct utsname u;

	if (h->hooks->system) {
		snprintf(hello.system, sizeof(hello.system), "%s", h->hooks->system);
	} else {
		uname(&u);
		snprintf(hello.system, sizeof(hello.system), "linux %.100s", u.release);
	}
	return answer(h, KS_WIRE_HELLO, &hello, sizeof(hello));
}

/* ---- CONFIG ---- */

static bool sane(const struct ks_wire_config *c)
{
	return c->threads > 0 && c->threads <= THREADS_MAX && c->lanes_before <= UINT32_MAX - c->threads &&
	       c->lanes_before + c->threads <= c->lanes_of_node && c->duration_ns > 0 &&
	       c->duration_ns <= 366 * KS_DAY && c->rate_count > 0 && c->rate_per_ns > 0 && c->phase_ns >= 0 &&
	       c->phase_ns <= KS_HOUR && c->probe_ns >= 0 && c->arrival <= KS_ARRIVAL_BURST && c->model <= KS_MODEL_CLOSED &&
	       c->on_refuse <= KS_REFUSE_RETRY && c->worker_rule <= KS_WORKER_MAC && c->way_ns >= 0 && c->way_ns <= KS_HOUR && c->user_low >= 0 && c->user_low <= c->user_high &&
	       c->depth_low >= 0 && c->depth_low <= c->depth_high && c->cores <= KS_CORES_MAX &&
	       (c->core_beside < KS_CORES_MAX || c->core_beside == KS_ANY);
}

/* The area that the harness made. Its records get their pages now: a call would pay for them later. */
static const char *share_area(struct host *h)
{
	struct ks_area *a = &h->crew.area;
	struct stat st;

	if (fstat(h->area_fd, &st) != 0)
		return "cannot see the shared area";
	void *memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, h->area_fd, 0);
	if (memory == MAP_FAILED || !ks_area_bind(a, memory, (size_t)st.st_size))
		return "the shared area is none";
	char *end = (char *)memory + a->bytes;
	madvise(a->record, (size_t)(end - (char *)a->record), POPULATE_WRITE); /* kernels before 5.14 do not know it */
	return NULL;
}

/* An area of our own, as large as the memory that we may take. */
static const char *make_area(struct host *h, const struct ks_wire_config *c)
{
	bool texts = ks_gen_issues_texts(&h->crew.spec);
	struct ks_area_size size = ks_area_size(c, texts);
	uint64_t room = (h->hooks->record_bytes ? h->hooks->record_bytes : RECORD_BYTES) / c->threads /
			(sizeof(struct ks_wire_record) + (texts ? KS_AREA_TEXT : 0));

	if (size.records > room) {
		size.records = room;
		size.texts = texts ? room * KS_AREA_TEXT : 0;
	}
	size_t bytes = ks_area_bytes(&size);
	void *memory = bytes ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
			     : MAP_FAILED;
	if (memory == MAP_FAILED)
		return "no memory for records";
	ks_area_init(&h->crew.area, memory, &size);
	return NULL;
}

/* ---- the registry ---- */

static int wait_and_serve(struct host *h, int wait_ms);

/* Somebody has to listen: the thread of `configure`, which asks for the generator's init, is the one that does. */
static bool await_answer(struct host *h, uint32_t number)
{
	const struct timespec nap = {.tv_nsec = 50 * KS_US};

	while (atomic_load(&h->registry.told) != number && h->ended == GO_ON) {
		if (pthread_equal(pthread_self(), h->main))
			h->ended = wait_and_serve(h, 1000);
		else
			syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
	}
	return h->ended == GO_ON;
}

static struct ks_area_ask *note_question(struct host *h, int64_t sent_ns)
{
	struct ks_area_head *head = h->crew.area.head;
	uint32_t n = atomic_fetch_add(&head->nasks, 1);

	if (n >= KS_AREA_ASKS)
		return NULL;
	atomic_store(&head->ask[n].sent_ns, sent_ns);
	return &head->ask[n];
}

/* An answer takes its way, there and back; nobody's answer takes as long as one waits for it. */
static bool ask_registry(void *host, uint32_t what, uint64_t *value)
{
	struct host *h = host;
	struct ks_wire_registry told = {.answer = KS_REGISTRY_LOST};

	pthread_mutex_lock(&h->registry.one);
	const struct ks_wire_registry q = {.number = ++h->registry.asked, .what = what, .value = *value};
	int64_t sent_ns = ks_true_ns();
	struct ks_area_ask *note = note_question(h, sent_ns);
	if (answer(h, KS_WIRE_ASK, &q, sizeof(q)) == GO_ON && await_answer(h, q.number))
		told = h->registry.answer;
	bool lost = told.answer == KS_REGISTRY_LOST;
	ks_true_wait(sent_ns + (lost ? KS_REGISTRY_PATIENCE_NS : 2 * h->registry.way_ns));
	if (note) {
		atomic_store(&note->lost, lost);
		atomic_store(&note->done, 1);
	}
	pthread_mutex_unlock(&h->registry.one);
	if (told.answer == KS_REGISTRY_KNOWN)
		*value = told.value;
	return told.answer == KS_REGISTRY_KNOWN;
}

static int take_told(struct host *h, uint32_t length)
{
	struct ks_wire_registry told;

	if (length != sizeof(told))
		return fail(h, "the registry's answer has the wrong size");
	memcpy(&told, h->frame, sizeof(told));
	if (told.number != h->registry.asked)
		return fail(h, "the registry answers what nobody asked");
	h->registry.answer = told;
	atomic_store(&h->registry.told, told.number);
	return GO_ON;
}

static void fill_crew(struct host *h, const struct ks_wire_config *c)
{
	struct ks_crew *crew = &h->crew;

	crew->process = (struct ks_env_process){.worker = c->worker,
						.seed = c->seed,
						.about = {c->user_low, c->user_high, c->depth_low, c->depth_high},
						.node = c->lanes_of_node ? (uint32_t)(c->lane_id / c->lanes_of_node) : 0,
						.process = c->process,
						.reasons = &h->reasons,
						.failure = h->hooks->tells ? &h->failure : NULL,
						.state_dir = h->hooks->state_dir,
						.worker_rule = c->worker_rule,
						.mac = c->mac,
						.own_random = c->own_random,
						.ip = c->ip,
						.pid = c->pid,
						.ask = h->hooks->registry ? ask_registry : NULL,
						.who = h};
	h->registry.way_ns = c->way_ns;
	crew->load = (struct ks_load){{c->rate_count, c->rate_per_ns},
				      (enum ks_arrival)c->arrival,
				      (enum ks_model)c->model,
				      (enum ks_on_refuse)c->on_refuse,
				      c->phase_ns};
	crew->duration_ns = c->duration_ns;
	crew->read_width_ns = h->hooks->read_width_ns ? h->hooks->read_width_ns : KS_READ_WIDTH_MAX_NS;
	crew->wake_fd = h->failure.wake_fd = h->wake[1];
	crew->work = h->hooks->work;
	pthread_mutex_init(&crew->gate, NULL);
	pthread_mutex_init(&crew->reading, NULL);
	crew->reads_beside = crew->spec.gen && crew->spec.gen->background && crew->spec.gen->background(crew->spec.cfg)[0].period_ns;
	crew->read_beside.known = false;
	pthread_cond_init(&crew->opened, NULL);
}

/* Zeroed, 64-byte aligned, never empty. */
static void *state_alloc(size_t size)
{
	size = (size + 64) / 64 * 64;
	void *p = aligned_alloc(64, size);
	return p ? memset(p, 0, size) : NULL;
}

/* ---- the state that outlives the process ---- */

static void state_path(const struct host *h, char path[4096])
{
	snprintf(path, 4096, "%s/state-%u", h->hooks->state_dir, h->crew.process.process);
}

static bool all_of(int fd, void *memory, size_t size, bool write_it)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = write_it ? write(fd, (char *)memory + at, size - at) : read(fd, (char *)memory + at, size - at);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* The memory of the generator, shared and of each thread, as it is between calls. */
static bool pass_state(struct host *h, bool write_it)
{
	const struct ks_gen *gen = h->crew.spec.gen;
	char path[4096];

	state_path(h, path);
	int fd = open(path, write_it ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);
	bool good = fd >= 0 && all_of(fd, h->crew.shared, gen->shared_size, write_it);
	for (uint32_t i = 0; good && i < h->lanes; i++)
		good = all_of(fd, h->lane[i].local, gen->local_size, write_it);
	if (fd >= 0)
		close(fd);
	return good;
}

static bool make_lane(struct host *h, const struct ks_wire_config *c, uint32_t i)
{
	struct ks_lane_thread *l = &h->lane[i];
	const struct ks_gen *gen = h->crew.spec.gen;

	l->crew = &h->crew;
	l->env.process = &h->crew.process;
	l->number = i;
	l->env.caller = c->caller + i;
	if (!l->local)
		l->local = state_alloc(gen ? gen->local_size : 0);
	l->cap = h->crew.area.head->size.records;
	l->area = &h->crew.area.lane[i];
	l->record = &h->crew.area.record[i * l->cap];
	l->text = h->crew.area.text + i * h->crew.area.head->size.texts;
	ks_arrivals_init(&l->arrivals, &h->crew.load, c->lanes_before + i, c->lanes_of_node, c->seed, c->lane_id + i);
	return l->local != NULL;
}

/* A revived host has state, and random words in store. */
static bool make_lanes(struct host *h, const struct ks_wire_config *c)
{
	struct ks_lane_thread *before = h->lane;

	if (!before)
		h->crew.shared = state_alloc(h->crew.spec.gen ? h->crew.spec.gen->shared_size : 0);
	h->lane = aligned_alloc(64, (c->threads * sizeof(*h->lane) + 63) / 64 * 64);
	if (!h->crew.shared || !h->lane || (before && h->lanes != c->threads))
		return false;
	memset(h->lane, 0, c->threads * sizeof(*h->lane));
	for (h->lanes = 0; h->lanes < c->threads; h->lanes++) {
		struct ks_lane_thread *l = &h->lane[h->lanes], *b = before ? &before[h->lanes] : NULL;
		if (b) {
			l->local = b->local;
			l->env.seeded = b->env.seeded && !c->reseed;
			l->env.source = b->env.source;
			l->env.random_left = c->reseed ? 0 : b->env.random_left;
			memcpy(l->env.random, b->env.random, sizeof(l->env.random));
		}
		if (!make_lane(h, c, h->lanes))
			return false;
	}
	free(before);
	return true;
}

static uint64_t add_to_hash(uint64_t hash, const void *memory, size_t size)
{
	const unsigned char *p = memory;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t hash_of_state(const struct host *h)
{
	const struct ks_gen *gen = h->crew.spec.gen;

	if (!gen)
		return 0;
	uint64_t hash = add_to_hash(UINT64_C(0xcbf29ce484222325), h->crew.shared, gen->shared_size);

	for (uint32_t i = 0; i < h->lanes; i++)
		hash = add_to_hash(hash, h->lane[i].local, gen->local_size);
	return hash;
}

/* ---- threads, each on its core ---- */

/* core: KS_ANY: wherever. A thread begins where the one is that makes it. */
static bool make_thread(const pthread_attr_t *attr, uint32_t core, void *(*run)(void *), void *context)
{
	cpu_set_t before, one;
	pthread_t thread;

	if (core == KS_ANY)
		return pthread_create(&thread, attr, run, context) == 0;
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	if (sched_getaffinity(0, sizeof(before), &before) != 0 || sched_setaffinity(0, sizeof(one), &one) != 0)
		return false;
	bool made = pthread_create(&thread, attr, run, context) == 0;
	return sched_setaffinity(0, sizeof(before), &before) == 0 && made;
}

/* ---- beside the lanes ---- */

static void wait_for_gate(struct ks_crew *c)
{
	pthread_mutex_lock(&c->gate);
	while (!c->open)
		pthread_cond_wait(&c->opened, &c->gate);
	pthread_mutex_unlock(&c->gate);
}

/* Sleeps until true time at_ns without spinning: a few tens of us late is no matter here. */
static void sleep_until(int64_t at_ns)
{
	for (int64_t left; (left = at_ns - ks_true_ns()) > 0;) {
		struct timespec ts = {.tv_sec = left / KS_SEC, .tv_nsec = left % KS_SEC};
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
	}
}

/* What is not a lane, but acts: not while the lanes are held. */
static void enter_beside(struct ks_crew *c)
{
	const struct timespec nap = {.tv_nsec = 20 * KS_US};

	for (;;) {
		atomic_fetch_add(&c->beside, 1);
		if (!atomic_load(&c->held))
			return;
		atomic_fetch_sub(&c->beside, 1);
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
	}
}

static void leave_beside(struct ks_crew *c)
{
	atomic_fetch_sub(&c->beside, 1);
}

/* The wall clock as the program sees it: the second reading finds the caches warm, so the narrower one is told. */
static struct ks_area_probe read_wall(void)
{
	struct ks_area_probe best = {0};

	for (int i = 0; i < 2; i++) {
		struct timespec ts;
		struct ks_area_probe p = {.before_ns = ks_true_ns(), .host_ns = ks_true_unix_ns()};
		clock_gettime(CLOCK_REALTIME, &ts);
		p.after_ns = ks_true_ns();
		p.value_ns = (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
		if (i == 0 || p.after_ns - p.before_ns < best.after_ns - best.before_ns)
			best = p;
	}
	return best;
}

/* Reads the clock in the middle of every stretch of probe_ns, as long as calls are made. */
static void *probe(void *host)
{
	struct host *h = host;
	struct ks_area_head *head = h->crew.area.head;
	int64_t gap = h->probe_ns;

	wait_for_gate(&h->crew);
	for (uint64_t n = 0; n < head->size.probes;) {
		int64_t begin = h->crew.start_ns, now = ks_true_ns();
		int64_t k = now - begin < gap / 2 ? 0 : (now - begin + gap / 2) / gap, due = begin + k * gap + gap / 2;
		if (due >= begin + h->crew.duration_ns)
			break;
		sleep_until(due);
		enter_beside(&h->crew);
		h->crew.area.probe[n] = read_wall();
		atomic_store_explicit(&head->nprobes, ++n, memory_order_release);
		leave_beside(&h->crew);
	}
	return NULL;
}

static void tell_reading(struct ks_crew *c, struct ks_env *env)
{
	if (!env->has_read)
		return;
	pthread_mutex_lock(&c->reading);
	c->read_beside.known = true;
	c->read_beside.clock = env->read_clock;
	c->read_beside.value = env->read_value;
	c->read_beside.at_ns = env->read_at_ns;
	c->read_beside.width_ns = env->read_width_ns;
	pthread_mutex_unlock(&c->reading);
	env->has_read = 0;
}

struct background {
	struct host *h;
	const struct ks_background *what;
};

/* What the generator does beside its calls, as long as calls are made. */
static void *background(void *context)
{
	struct background b = *(struct background *)context;
	struct ks_crew *c = &b.h->crew;
	struct ks_env env = {.process = &c->process};
	int64_t period = b.what->period_ns;

	free(context);
	wait_for_gate(c);
	int64_t begun = ks_true_ns() - c->start_ns; /* one that was started anew begins in the middle */
	for (int64_t at = (begun > 0 ? begun : 0) + period; at < c->duration_ns; at += period) {
		sleep_until(c->start_ns + at);
		enter_beside(c);
		if (!atomic_load(&c->halted))
			b.what->fn(&env, c->spec.cfg, c->shared);
		tell_reading(c, &env);
		leave_beside(c);
	}
	return NULL;
}

static bool start_beside(struct host *h, const pthread_attr_t *attr, uint32_t core)
{
	static const struct ks_background nothing[KS_BACKGROUND_MAX];
	const struct ks_gen *gen = h->crew.spec.gen;
	const struct ks_background *what = gen ? ks_gen_background(gen, h->crew.spec.cfg) : nothing;

	if (h->crew.area.head->size.probes && h->probe_ns && !make_thread(attr, core, probe, h))
		return false;
	for (int i = 0; i < KS_BACKGROUND_MAX && what[i].period_ns; i++) {
		struct background *b = malloc(sizeof(*b));
		if (!b)
			return false;
		*b = (struct background){h, &what[i]};
		if (!make_thread(attr, core, background, b))
			return false;
	}
	return true;
}

static int configure(struct host *h, uint32_t length)
{
	struct ks_wire_config c;
	struct ks_err err = {0};
	const char *text = (const char *)h->frame + sizeof(c);
	pthread_attr_t attr;

	if (length < sizeof(c) + 2 || h->frame[length - 1] != '\0')
		return fail(h, "the configuration is cut short");
	memcpy(&c, h->frame, sizeof(c));
	if (!sane(&c))
		return fail(h, "the configuration has a value out of range");
	const struct ks_gen_spec *given = h->hooks->spec_of ? h->hooks->spec_of() : h->hooks->spec;
	if (given)
		h->crew.spec = *given;
	else if (h->revived)
		; /* it knows */
	else if (h->hooks->parse ? h->hooks->parse(text, &h->crew.spec, &err) : ks_gen_parse(ks_gens_real, text, &h->crew.spec, &err))
		return fail(h, err.text);
	const char *why = !h->area_fd ? make_area(h, &c) : h->revived ? share_area(h) : NULL;
	if (why)
		return fail(h, why);
	if (h->crew.area.head->size.threads != c.threads)
		return fail(h, "the shared area does not fit the configuration");
	fill_crew(h, &c);
	const struct ks_gen *gen = h->crew.spec.gen; /* NULL: of a program that is only heard */
	if (!gen && !h->hooks->work)
		return fail(h, "there is no generator");
	if (!make_lanes(h, &c))
		return fail(h, "out of memory");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED); /* nobody waits for one who may be stuck */
	h->crew.area.head->memory = hash_of_state(h);
	if (c.kept && (!gen || !pass_state(h, false)))
		return fail(h, "the state of the process before cannot be read");
	if (!c.kept && !h->revived && gen && gen->init)
		gen->init(&h->lane[0].env, h->crew.spec.cfg, h->crew.shared);
	if (h->ended != GO_ON)
		return h->ended;
	for (uint32_t i = 0; i < h->lanes; i++)
		if (!make_thread(&attr, c.cores ? (c.lanes_before + i) % c.cores : KS_ANY, ks_lane_run, &h->lane[i]))
			return fail(h, c.cores ? "out of threads, or of cores for them" : "out of threads");
	h->probe_ns = c.probe_ns;
	if (!start_beside(h, &attr, c.cores ? c.core_beside : KS_ANY) || ks_lane_catch_holds() != 0)
		return fail(h, "out of threads");
	h->phase = CONFIGURED;
	return answer(h, KS_WIRE_READY, NULL, 0);
}

/* ---- START to DONE ---- */

static int start(struct host *h, uint32_t length)
{
	struct ks_wire_start s;

	if (length != sizeof(s))
		return fail(h, "the start has the wrong size");
	memcpy(&s, h->frame, sizeof(s));
	pthread_mutex_lock(&h->crew.gate);
	h->crew.start_ns = s.start_raw_ns;
	h->crew.open = true;
	pthread_cond_broadcast(&h->crew.opened);
	pthread_mutex_unlock(&h->crew.gate);
	h->phase = RUNNING;
	return GO_ON;
}

/* Between frames the buffer of what comes in is free. */
static int send_records(struct host *h, const struct ks_lane_thread *l, size_t n)
{
	for (size_t at = 0; at < n; at += BATCH) {
		size_t k = n - at < BATCH ? n - at : BATCH;
		int64_t texts = ks_gen_issues_texts(&h->crew.spec) ? ks_area_texts(&h->crew.area, l->number, at, k, h->frame) : 0;
		if (texts < 0)
			return fail(h, "a key got lost");
		if (texts && answer(h, KS_WIRE_TEXTS, h->frame, (uint32_t)texts) != GO_ON)
			return FAILED;
		if (answer(h, KS_WIRE_RECORDS, &l->record[at], (uint32_t)(k * sizeof(*l->record))) != GO_ON)
			return FAILED;
	}
	return GO_ON;
}

static void close_lane(struct ks_lane_thread *l)
{
	if (!l->closed)
		l->told = ks_area_close(l->area, &l->inside);
	l->closed = true;
}

/* Who maps the area reads the records there, and the call that is lost too. */
static int end_lane(struct host *h, struct ks_lane_thread *l, struct ks_wire_done *done)
{
	struct ks_area_lane *a = l->area;
	struct ks_wire_record lost;
	bool send = !h->area_fd;

	close_lane(l);
	if (send && send_records(h, l, l->told) != GO_ON)
		return FAILED;
	ks_area_lost(a, l->number, l->told, &lost);
	if (send && l->inside && answer(h, KS_WIRE_RECORDS, &lost, sizeof(lost)) != GO_ON)
		return FAILED;
	done->records += l->told + l->inside;
	done->clock_reads += a->reads;
	if (a->worst_late_ns > done->worst_late_ns)
		done->worst_late_ns = a->worst_late_ns;
	return GO_ON;
}

/* Written once, when all calls are over; a call that goes on may add one that nobody is told of. */
static void tell_reasons(struct host *h)
{
	struct ks_area_head *head = h->crew.area.head;
	size_t n = h->reasons.n;

	for (size_t i = 0; i < n; i++) {
		size_t len;
		const char *bytes = ks_texts_get(&h->reasons, i, &len);
		memcpy(head->reason[i], bytes, len);
	}
	atomic_store(&head->nreasons, (uint32_t)n);
}

static int send_more(void *host, uint32_t type, const void *payload, uint32_t length)
{
	return answer(host, type, payload, length);
}

static int finish(struct host *h)
{
	struct ks_wire_done done = {0};

	h->phase = FINISHED;
	tell_reasons(h);
	if (!h->hooks->area_fd && h->reasons.n &&
	    answer(h, KS_WIRE_REASONS, h->crew.area.head->reason, (uint32_t)h->reasons.n * KS_REASON_TEXT) != GO_ON)
		return FAILED;
	for (uint32_t i = 0; i < h->lanes; i++)
		if (end_lane(h, &h->lane[i], &done) != GO_ON)
			return FAILED;
	if (h->hooks->last && h->hooks->last(send_more, h) != GO_ON)
		return FAILED;
	return answer(h, KS_WIRE_DONE, &done, sizeof(done));
}

/* ---- a second life ---- */

/* Until let_go no call goes on and nothing runs beside them. @return false: they did not return in time. */
static bool hold_all(struct host *h)
{
	int64_t until = ks_true_ns() + KS_PATIENCE_NS;

	atomic_store(&h->crew.held, true);
	for (uint32_t i = 0; i < h->lanes; i++) {
		_Atomic uint64_t *state = &h->lane[i].area->state;
		uint64_t now = atomic_load(state);
		while (now % 4 != KS_LANE_CLOSED &&
		       (now % 4 == KS_LANE_INSIDE || !atomic_compare_exchange_weak(state, &now, now / 4 * 4 + KS_LANE_HELD))) {
			if (ks_true_ns() > until)
				return false;
			sched_yield();
			now = atomic_load(state);
		}
	}
	while (atomic_load(&h->crew.beside) && ks_true_ns() < until)
		sched_yield();
	return !atomic_load(&h->crew.beside);
}

static void let_go(struct host *h)
{
	for (uint32_t i = 0; i < h->lanes; i++) {
		_Atomic uint64_t *state = &h->lane[i].area->state;
		uint64_t now = atomic_load(state);
		if (now % 4 == KS_LANE_HELD)
			atomic_store(state, now / 4 * 4 + KS_LANE_IDLE);
	}
	atomic_store(&h->crew.held, false);
}

/* In the new process, in which this thread alone is left. */
static int begin_anew(struct host *h, const struct ks_wire_fork *f)
{
	char path[128];

	h->hooks->forked();
	snprintf(path, sizeof(path), "%.64s/area-%u", f->folder, f->slot);
	h->area_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW); /* none of one that is kept to begin others */
	h->revived = true;
	h->phase = NEW;
	h->ended = GO_ON;
	h->registry.asked = 0;
	atomic_store(&h->registry.told, 0);
	h->crew.open = false;
	atomic_store(&h->crew.halted, false);
	atomic_store(&h->crew.held, false);
	atomic_store(&h->crew.full, false);
	atomic_store(&h->crew.beside, 0);
	h->crew.process.process = f->process;
	pthread_mutex_init(&h->sending, NULL);
	pthread_mutex_init(&h->registry.one, NULL);
	return pipe(h->wake) == 0 ? say_hello(h) : fail(h, "no pipe");
}

static int fork_off(struct host *h, uint32_t length)
{
	struct ks_wire_fork f;
	struct ks_wire_forked news = {0};
	bool running = h->phase == RUNNING;
	int in, out;

	if (!h->hooks->forked || (h->phase != RUNNING && h->phase != FINISHED && !h->revived))
		return fail(h, "this host cannot be copied now");
	if (length != sizeof(f))
		return fail(h, "the fork has the wrong size");
	memcpy(&f, h->frame, sizeof(f));
	f.folder[sizeof(f.folder) - 1] = '\0';
	if (running && !hold_all(h))
		return fail(h, "its calls did not return within 1s for a snapshot");
	news.raw_ns = ks_true_ns();
	news.memory = hash_of_state(h);
	news.pid = (int32_t)ks_fork_off(&f, h->crew.process.process, &in, &out);
	if (news.pid == 0) {
		h->in = in;
		h->out = out;
		return begin_anew(h, &f);
	}
	if (running)
		let_go(h);
	return news.pid < 0 ? fail(h, "cannot make a second process") : answer(h, KS_WIRE_FORKED, &news, sizeof(news));
}

/* No lane begins a call any more, those inside have returned, and what runs beside them stands: then the state is whole. */
static int halt(struct host *h)
{
	int64_t until = ks_true_ns() + KS_SEC;

	atomic_store(&h->crew.halted, true);
	for (uint32_t i = 0; i < h->lanes; i++) {
		uint64_t now = atomic_load(&h->lane[i].area->state);
		while (now % 4 == KS_LANE_INSIDE || !atomic_compare_exchange_weak(&h->lane[i].area->state, &now,
										  now / 4 * 4 + KS_LANE_CLOSED)) {
			if (ks_true_ns() > until)
				return fail(h, "its calls did not return within 1s for the restart");
			now = atomic_load(&h->lane[i].area->state);
		}
	}
	while (atomic_load(&h->crew.beside) && ks_true_ns() < until)
		;
	if (!pass_state(h, true))
		return fail(h, "cannot keep the state for the next process");
	return finish(h);
}

/* @return GO_ON when the run is not at its end yet; *wait_ms: how long to wait at most before the next look. */
static int look(struct host *h, int *wait_ms)
{
	*wait_ms = -1;
	if (atomic_load(&h->failure.told))
		return fail(h, h->failure.text);
	if (h->phase != RUNNING)
		return GO_ON;
	if (h->crew.full)
		return fail(h, "a thread made more calls than there is room for records");
	uint32_t through = 0;
	for (uint32_t i = 0; i < h->lanes; i++)
		through += h->lane[i].area->through;
	int64_t left = h->crew.start_ns + h->crew.duration_ns + KS_DRAIN_NS - ks_true_ns();
	if (through == h->lanes || left <= 0)
		return finish(h);
	*wait_ms = left < KS_MIN ? (int)(left / KS_MS) + 1 : 60000;
	return GO_ON;
}

/* ---- the wire ---- */

/* A thread that sleeps until a true time does so by a clock of the kernel, and has overslept where true time has moved on
 * without it. A hold of no length wakes it. */
static void wake_lanes(struct host *h)
{
	for (uint32_t i = 0; i < h->lanes; i++)
		if (h->lane[i].area->tid && !h->lane[i].area->through)
			syscall(SYS_tgkill, getpid(), h->lane[i].area->tid, KS_HOLD_SIGNAL);
}

/* The threads that are to be held: one, or with -1 all. */
static bool is_held(const struct ks_wire_act *a, uint32_t lane)
{
	return a->amount == -1 || a->amount == lane;
}

/* Threads tell themselves when they were held and when they went on. @return how long the shortest one was, or -1: not all
 * have told. */
static int64_t shortest_hold(const struct host *h, uint32_t first, uint32_t n)
{
	const struct ks_area *area = &h->crew.area;
	int64_t shortest = INT64_MAX;

	if (area->head->nholds < first + n)
		return -1;
	for (uint32_t i = first; i < first + n; i++) {
		int64_t end = atomic_load(&area->hold[i].end_ns), length = end - area->hold[i].begin_ns;
		if (!end)
			return -1;
		shortest = length < shortest ? length : shortest;
	}
	return shortest;
}

static int hold_lanes(struct host *h, const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	uint32_t first = h->crew.area.head->nholds, n = 0;

	if (a->amount < -1 || a->amount >= h->lanes || a->until < 0 || a->until > KS_HOUR || first + h->lanes > KS_AREA_HOLDS)
		return EINVAL;
	ks_true_wait(a->at_raw_ns);
	ks_subject_clocks(&acted->before);
	for (uint32_t i = 0; i < h->lanes; i++) {
		struct ks_area_lane *lane = h->lane[i].area;
		if (!is_held(a, i) || lane->through)
			continue;
		atomic_store(&lane->hold_ns, a->until);
		n += syscall(SYS_tgkill, getpid(), lane->tid, KS_HOLD_SIGNAL) == 0;
	}
	int64_t limit = ks_true_ns() + a->until + 5 * KS_SEC;
	while (n && (acted->value = shortest_hold(h, first, n)) < 0 && ks_true_ns() < limit)
		sleep_until(ks_true_ns() + KS_MS);
	for (uint32_t i = 0; i < h->lanes; i++)
		atomic_store(&h->lane[i].area->hold_ns, 0);
	ks_subject_clocks(&acted->after);
	return !n ? ESRCH : acted->value < 0 ? ETIMEDOUT : 0;
}

/* @return 0, or errno. */
static int keep(struct host *h, const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	ks_true_wait(a->at_raw_ns);
	if (!hold_all(h))
		return ETIMEDOUT;
	ks_subject_clocks(&acted->before);
	acted->after = acted->before;
	return 0;
}

static int end_all(struct host *h, const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	ks_true_wait(a->at_raw_ns);
	atomic_store(&h->crew.halted, true);
	for (uint32_t i = 0; i < h->lanes; i++)
		close_lane(&h->lane[i]);
	ks_subject_clocks(&acted->before);
	acted->after = acted->before;
	return 0;
}

static bool is_of_lanes(uint32_t kind)
{
	return kind == KS_ACT_HOLD || kind == KS_ACT_KEEP || kind == KS_ACT_END;
}

static int act_on_lanes(struct host *h, const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	if (a->kind == KS_ACT_HOLD)
		return hold_lanes(h, a, acted);
	if (h->phase != RUNNING || !h->crew.spec.gen)
		return EINVAL;
	return a->kind == KS_ACT_KEEP ? keep(h, a, acted) : end_all(h, a, acted);
}

static int act(struct host *h, uint32_t length)
{
	struct ks_wire_act a;
	struct ks_wire_acted acted = {0};

	if (!h->hooks->act)
		return fail(h, "this host cannot act on its clock");
	if (length != sizeof(a))
		return fail(h, "the act has the wrong size");
	memcpy(&a, h->frame, sizeof(a));
	if (is_of_lanes(a.kind)) {
		acted.kind = a.kind;
		acted.error = act_on_lanes(h, &a, &acted);
	} else {
		h->hooks->act(&a, &acted);
	}
	if (a.kind == KS_ACT_BORN)
		atomic_store(&h->crew.born_ns, (a.until ? a.until : ks_true_ns()) - h->crew.start_ns);
	if (a.kind == KS_ACT_TRUE || a.kind == KS_ACT_BORN)
		let_go(h);
	if (a.kind == KS_ACT_TRUE || a.kind == KS_ACT_S3 || a.kind == KS_ACT_BORN)
		wake_lanes(h);
	int status = answer(h, KS_WIRE_ACTED, &acted, sizeof(acted));
	return status == GO_ON && a.kind == KS_ACT_END && !acted.error ? finish(h) : status;
}

/* A clone has the random state of the machine that it was copied from, until it is given bytes of its own. */
static int wake(struct host *h, uint32_t length)
{
	if (!h->hooks->stir)
		return fail(h, "this host is on no machine that could be cloned");
	if (length > KS_WIRE_STIR_MAX)
		return fail(h, "too many bytes for the random source");
	if (length && h->hooks->stir(h->frame, length) != 0)
		return fail(h, "the random source cannot be stirred");
	return say_hello(h);
}

static int skip(struct host *h, uint32_t length)
{
	uint64_t n;

	if (h->phase != CONFIGURED || length != h->lanes * sizeof(n))
		return fail(h, "arrivals to skip that fit no threads");
	for (uint32_t i = 0; i < h->lanes; i++) {
		memcpy(&n, h->frame + i * sizeof(n), sizeof(n));
		if (n > h->lane[i].cap)
			return fail(h, "more arrivals to skip than there are");
		h->lane[i].area->skip = n;
	}
	return GO_ON;
}

/* What only some hosts know. */
static int take(struct host *h, uint32_t type, uint32_t length)
{
	if (!h->hooks->take || h->phase != NEW)
		return fail(h, "a frame out of turn");
	const char *why = h->hooks->take(type, h->frame, length);
	return why ? fail(h, why) : GO_ON;
}

static int serve(struct host *h)
{
	uint32_t length = 0;
	struct ks_wire_clocks clocks;
	int type = ks_wire_recv(h->in, h->frame, &length, 0);

	switch (type) {
	case 0:
	case KS_WIRE_QUIT:
		return OVER;
	case KS_WIRE_PING:
		ks_subject_clocks(&clocks);
		return answer(h, KS_WIRE_CLOCKS, &clocks, sizeof(clocks));
	case KS_WIRE_ACT:
		return act(h, length);
	case KS_WIRE_TOLD:
		return take_told(h, length);
	case KS_WIRE_WAKE:
		return wake(h, length);
	case KS_WIRE_FORK:
		return fork_off(h, length);
	case KS_WIRE_HALT:
		return h->phase == RUNNING && h->crew.spec.gen ? halt(h) : fail(h, "halted out of turn");
	case KS_WIRE_CONFIG:
		return h->phase == NEW ? configure(h, length) : fail(h, "configured twice");
	case KS_WIRE_START:
		return h->phase == CONFIGURED ? start(h, length)
					      : fail(h, "started twice, or before it was configured");
	case KS_WIRE_SKIP:
		return skip(h, length);
	case KS_WIRE_FILE:
	case KS_WIRE_PROGRAM:
	case KS_WIRE_CAPTURE:
	case KS_WIRE_KEEP:
		return take(h, (uint32_t)type, length);
	case -1:
		return fail(h, errno == EBADMSG ? "garbage on the wire" : "the wire broke");
	default:
		return fail(h, "a frame that only a subject sends");
	}
}

static int wait_and_serve(struct host *h, int wait_ms)
{
	struct pollfd p[2] = {{.fd = h->in, .events = POLLIN}, {.fd = h->wake[0], .events = POLLIN}};
	char bytes[64];

	if (poll(p, 2, wait_ms) < 0)
		return errno == EINTR ? GO_ON : FAILED;
	if (p[1].revents & POLLIN && read(h->wake[0], bytes, sizeof(bytes)) < 0 && errno != EINTR)
		return FAILED;
	return p[0].revents ? serve(h) : GO_ON;
}

int ks_subject_main(int in_fd, int out_fd, const struct ks_subject_hooks *hooks)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1UL); /* threads inherit it: wake when due, not up to 50 us later */
	pthread_mutex_init(&h->sending, NULL);
	pthread_mutex_init(&h->registry.one, NULL);
	h->main = pthread_self();
	h->in = in_fd;
	h->out = out_fd;
	h->hooks = hooks;
	if (pipe(h->wake) != 0)
		return fail(h, "no pipe");
	h->area_fd = hooks->area_fd;
	const char *why = h->area_fd ? share_area(h) : NULL;
	int status = why ? fail(h, why) : say_hello(h), wait_ms;
	while (status == GO_ON) {
		status = look(h, &wait_ms);
		if (status == GO_ON)
			status = wait_and_serve(h, wait_ms);
	}
	/* h is not freed: its threads may still run in it. */
	return status == OVER ? 0 : 1;
}
