#include "lane.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ks_subject.h"

/* Only this thread writes what is stored relaxed: others see it with the next change of the state. */
#define NOTE(where, value) atomic_store_explicit(where, value, memory_order_relaxed)

/* @return false when the lane was closed meanwhile. *waited: it was held first. */
static bool enter(struct ks_area_lane *a, uint64_t n, bool *waited)
{
	const struct timespec nap = {.tv_nsec = 20 * KS_US};
	uint64_t now = 4 * n + KS_LANE_IDLE;

	*waited = false;
	while (!atomic_compare_exchange_strong(&a->state, &now, 4 * n + KS_LANE_INSIDE)) {
		if (now != 4 * n + KS_LANE_HELD)
			return false;
		*waited = true;
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
		now = 4 * n + KS_LANE_IDLE;
	}
	return true;
}

/* Back to before the call. @return false when the lane was closed meanwhile. */
static bool step_back(struct ks_area_lane *a, uint64_t n)
{
	uint64_t inside = 4 * n + KS_LANE_INSIDE;
	return atomic_compare_exchange_strong(&a->state, &inside, 4 * n + KS_LANE_IDLE);
}

static bool leave(struct ks_area_lane *a, uint64_t n)
{
	uint64_t inside = 4 * n + KS_LANE_INSIDE;
	return atomic_compare_exchange_strong(&a->state, &inside, 4 * (n + 1) + KS_LANE_IDLE);
}

static _Thread_local struct ks_lane_thread *held; /* this thread's, for the handler */

/* A reading that a background thread made counts for a call that makes none itself. */
static void take_beside(struct ks_lane_thread *l)
{
	struct ks_crew *c = l->crew;

	pthread_mutex_lock(&c->reading);
	l->env.has_read = c->read_beside.known;
	l->env.read_value = c->read_beside.value;
	l->env.read_at_ns = c->read_beside.at_ns;
	l->env.read_width_ns = c->read_beside.width_ns;
	l->env.read_clock = c->read_beside.clock;
	pthread_mutex_unlock(&c->reading);
}

static void note_reading(const struct ks_lane_thread *l, struct ks_wire_record *r)
{
	const struct ks_env *e = &l->env;

	r->read_ns = KS_NO_TIME;
	r->read_at_ns = KS_NO_TIME;
	if (!e->has_read || e->read_width_ns > l->crew->read_width_ns)
		return;
	r->clock = e->read_clock;
	r->read_ns = e->read_value;
	r->read_at_ns = e->read_at_ns - l->crew->start_ns;
}

/* A key that is a text goes where it outlives the process. @return false when there is no room. */
static bool keep_text(struct ks_lane_thread *l, struct ks_key *key)
{
	size_t len;
	const char *bytes = ks_texts_get(&l->env.texts, key->lo, &len);
	uint16_t size = (uint16_t)len;

	if (len > UINT16_MAX || l->text_used + sizeof(size) + len > l->crew->area.head->size.texts) {
		atomic_store(&l->crew->full, true);
		return false;
	}
	memcpy(l->text + l->text_used, &size, sizeof(size));
	memcpy(l->text + l->text_used + sizeof(size), bytes, len);
	*key = ks_key64(l->text_used);
	l->text_used += sizeof(size) + len;
	l->env.texts.n = l->env.texts.len = 0;
	return true;
}

/* What a call ends as that was not made: its arrival was another machine's. */
#define SKIPPED ((enum ks_outcome)(KS_LOST + 1))

/* One call, the lane's n-th. A call that is overdue begins when the one before returned: that reading of true time serves
 * both. @return its outcome, or KS_LOST when the lane was closed before the call was complete. */
static enum ks_outcome call(struct ks_lane_thread *l, uint64_t n, int64_t due_ns, int64_t begin_ns, int64_t *return_ns)
{
	struct ks_crew *c = l->crew;
	struct ks_area_lane *a = l->area;
	struct ks_wire_record *r = &l->record[n];
	struct ks_key key = {0, 0};
	uint8_t why = 0;
	bool waited;

	l->env.has_read = 0;
	if (c->reads_beside)
		take_beside(l);
	int64_t call_ns = begin_ns > *return_ns ? ks_true_wait(c->start_ns + begin_ns) - c->start_ns : *return_ns;
	if (due_ns < atomic_load(&c->born_ns))
		return SKIPPED;
	NOTE(&a->reads, l->env.reads);
	NOTE(&a->due_ns, due_ns);
	NOTE(&a->call_ns, call_ns);
	if (call_ns - begin_ns > atomic_load_explicit(&a->worst_late_ns, memory_order_relaxed))
		NOTE(&a->worst_late_ns, call_ns - begin_ns);
	if (!enter(a, n, &waited))
		return KS_LOST;
	if (waited && due_ns < atomic_load(&c->born_ns)) /* when it was held it was another machine */
		return step_back(a, n) ? SKIPPED : KS_LOST;
	if (waited) {
		call_ns = ks_true_ns() - c->start_ns;
		NOTE(&a->call_ns, call_ns);
	}
	l->env.seq = (uint32_t)(n + l->ahead);
	NOTE(&a->taken, atomic_load_explicit(&a->drawn, memory_order_relaxed));
	enum ks_outcome outcome = c->spec.gen->next(&l->env, c->spec.cfg, c->shared, l->local, &key, &why);
	*return_ns = ks_true_ns() - c->start_ns;
	if (outcome == KS_KEY && c->spec.gen->decode_text && !keep_text(l, &key))
		return KS_LOST;
	*r = (struct ks_wire_record){.due_ns = due_ns,
				     .call_ns = call_ns,
				     .return_ns = *return_ns,
				     .key_hi = key.hi,
				     .key_lo = key.lo,
				     .thread = l->number,
				     .seq = (uint32_t)n,
				     .outcome = (uint8_t)outcome,
				     .why = why};
	note_reading(l, r);
	return leave(a, n) ? outcome : KS_LOST;
}

/* The same rules as in the simulation (sim/engine/engine.c, schedule). */
static void work(struct ks_lane_thread *l)
{
	struct ks_crew *c = l->crew;
	enum ks_outcome last = KS_KEY;
	int64_t free_ns = -1, due_ns = 0, begin_ns; /* nothing has returned yet */

	for (; l->area->drawn < l->area->skip; l->area->drawn++)
		ks_arrivals_next(&l->arrivals);
	for (uint64_t n = 0;; n++) {
		if (last == KS_REFUSE && c->load.on_refuse == KS_REFUSE_RETRY) {
			begin_ns = free_ns + KS_RETRY_AFTER_NS;
		} else {
			due_ns = c->load.model == KS_MODEL_CLOSED
			             ? ks_arrivals_next_closed(&l->arrivals, n ? l->record[n - 1].call_ns - due_ns : 0, free_ns)
			             : ks_arrivals_next(&l->arrivals);
			NOTE(&l->area->drawn, atomic_load_explicit(&l->area->drawn, memory_order_relaxed) + 1);
			begin_ns = due_ns > free_ns ? due_ns : free_ns;
		}
		if (begin_ns >= c->duration_ns || due_ns >= c->duration_ns)
			return;
		if (n == l->cap) {
			atomic_store(&c->full, true);
			return;
		}
		last = call(l, n, due_ns, begin_ns, &free_ns);
		if (last == KS_LOST)
			return;
		if (last == SKIPPED) {
			last = KS_KEY;
			n--;
		}
	}
}

bool ks_lane_note(struct ks_lane_thread *l, uint64_t n, const char *text, size_t len, int64_t return_ns)
{
	bool waited;

	if (n >= l->cap || l->text_used + sizeof(uint16_t) + len > l->crew->area.head->size.texts || !enter(l->area, n, &waited))
		return false;
	struct ks_key key = ks_env_text(&l->env, text, len);
	if (!keep_text(l, &key))
		return false;
	l->record[n] = (struct ks_wire_record){.due_ns = KS_NO_TIME,
					       .call_ns = KS_NO_TIME,
					       .return_ns = return_ns,
					       .read_ns = KS_NO_TIME,
					       .read_at_ns = KS_NO_TIME,
					       .key_lo = key.lo,
					       .thread = l->number,
					       .seq = (uint32_t)n,
					       .outcome = KS_KEY,
					       .flags = KS_CALL_UNKNOWN};
	return leave(l->area, n);
}

void *ks_lane_run(void *lane)
{
	struct ks_lane_thread *l = lane;
	struct ks_crew *c = l->crew;

	held = l;
	atomic_store(&l->area->tid, (int32_t)syscall(SYS_gettid));
	pthread_mutex_lock(&c->gate);
	while (!c->open)
		pthread_cond_wait(&c->opened, &c->gate);
	pthread_mutex_unlock(&c->gate);
	(c->spec.gen ? work : c->work)(l);
	NOTE(&l->area->reads, l->env.reads);
	atomic_store(&l->area->through, 1);
	/* A full pipe holds a byte already: the reader will look at every lane. */
	ssize_t n = write(c->wake_fd, "", 1);
	(void)n;
	return NULL;
}

/* ---- holds ---- */

/* In the handler only what is safe there: atomics, true time, a sleep by system call. */
static void hold(int signal)
{
	(void)signal;
	int kept = errno;
	int64_t length = atomic_load(&held->area->hold_ns), begin = ks_true_ns(), end = begin + length;
	if (!length)
		return; /* it was to wake, and has */
	struct ks_area *a = &held->crew->area;
	uint32_t n = atomic_fetch_add(&a->head->nholds, 1);
	struct ks_area_hold *h = n < KS_AREA_HOLDS ? &a->hold[n] : NULL;

	if (h) {
		h->thread = held->number;
		atomic_store(&h->begin_ns, begin);
	}
	end = ks_true_wait(end);
	if (h)
		atomic_store(&h->end_ns, end);
	errno = kept;
}

int ks_lane_catch_holds(void)
{
	struct sigaction catch = {.sa_handler = hold, .sa_flags = SA_RESTART};
	return sigaction(KS_HOLD_SIGNAL, &catch, NULL);
}
