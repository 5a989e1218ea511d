/* What a configuration makes: the area of records, the crew and its lanes, and a thread for each, on its core. */
#include "host.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define THREADS_MAX 4096
#define STACK_BYTES (256 * 1024)
#define RECORD_BYTES ((size_t)1 << 30)
#define POPULATE_WRITE 23 /* MADV_POPULATE_WRITE, which not every libc names */

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

const char *ks_subject_share_area(struct host *h)
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
						.ask = h->hooks->registry ? ks_subject_ask_registry : NULL,
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

bool ks_subject_make_thread(const pthread_attr_t *attr, uint32_t core, void *(*run)(void *), void *context)
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

int ks_subject_configure(struct host *h, uint32_t length)
{
	struct ks_wire_config c;
	struct ks_err err = {0};
	const char *text = (const char *)h->frame + sizeof(c);
	pthread_attr_t attr;

	if (length < sizeof(c) + 2 || h->frame[length - 1] != '\0')
		return ks_subject_fail(h, "the configuration is cut short");
	memcpy(&c, h->frame, sizeof(c));
	if (!sane(&c))
		return ks_subject_fail(h, "the configuration has a value out of range");
	const struct ks_gen_spec *given = h->hooks->spec_of ? h->hooks->spec_of() : h->hooks->spec;
	if (given)
		h->crew.spec = *given;
	else if (h->revived)
		; /* it knows */
	else if (h->hooks->parse ? h->hooks->parse(text, &h->crew.spec, &err) : ks_gen_parse(ks_gens_real, text, &h->crew.spec, &err))
		return ks_subject_fail(h, err.text);
	const char *why = !h->area_fd ? make_area(h, &c) : h->revived ? ks_subject_share_area(h) : NULL;
	if (why)
		return ks_subject_fail(h, why);
	if (h->crew.area.head->size.threads != c.threads)
		return ks_subject_fail(h, "the shared area does not fit the configuration");
	fill_crew(h, &c);
	const struct ks_gen *gen = h->crew.spec.gen; /* NULL: of a program that is only heard */
	if (!gen && !h->hooks->work)
		return ks_subject_fail(h, "there is no generator");
	if (!make_lanes(h, &c))
		return ks_subject_fail(h, "out of memory");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED); /* nobody waits for one who may be stuck */
	h->crew.area.head->memory = ks_subject_hash_of_state(h);
	if (c.kept && (!gen || !ks_subject_pass_state(h, false)))
		return ks_subject_fail(h, "the state of the process before cannot be read");
	if (!c.kept && !h->revived && gen && gen->init)
		gen->init(&h->lane[0].env, h->crew.spec.cfg, h->crew.shared);
	if (h->ended != GO_ON)
		return h->ended;
	for (uint32_t i = 0; i < h->lanes; i++)
		if (!ks_subject_make_thread(&attr, c.cores ? (c.lanes_before + i) % c.cores : KS_ANY, ks_lane_run, &h->lane[i]))
			return ks_subject_fail(h, c.cores ? "out of threads, or of cores for them" : "out of threads");
	h->probe_ns = c.probe_ns;
	if (!ks_subject_start_beside(h, &attr, c.cores ? c.core_beside : KS_ANY) || ks_lane_catch_holds() != 0)
		return ks_subject_fail(h, "out of threads");
	h->phase = CONFIGURED;
	return ks_subject_answer(h, KS_WIRE_READY, NULL, 0);
}
