/* What is done to all lanes at once: they are held, let go, woken, ended, and what they noted is told. */
#include "host.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH 900 /* records a frame: with its header just below 64 KiB, what a pipe holds */

/* Between frames the buffer of what comes in is free. */
static int send_records(struct host *h, const struct ks_lane_thread *l, size_t n)
{
	for (size_t at = 0; at < n; at += BATCH) {
		size_t k = n - at < BATCH ? n - at : BATCH;
		int64_t texts = ks_gen_issues_texts(&h->crew.spec) ? ks_area_texts(&h->crew.area, l->number, at, k, h->frame) : 0;
		if (texts < 0)
			return ks_subject_fail(h, "a key got lost");
		if (texts && ks_subject_answer(h, KS_WIRE_TEXTS, h->frame, (uint32_t)texts) != GO_ON)
			return FAILED;
		if (ks_subject_answer(h, KS_WIRE_RECORDS, &l->record[at], (uint32_t)(k * sizeof(*l->record))) != GO_ON)
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
	if (send && l->inside && ks_subject_answer(h, KS_WIRE_RECORDS, &lost, sizeof(lost)) != GO_ON)
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
	return ks_subject_answer(host, type, payload, length);
}

int ks_subject_finish(struct host *h)
{
	struct ks_wire_done done = {0};

	h->phase = FINISHED;
	tell_reasons(h);
	if (!h->hooks->area_fd && h->reasons.n &&
	    ks_subject_answer(h, KS_WIRE_REASONS, h->crew.area.head->reason, (uint32_t)h->reasons.n * KS_REASON_TEXT) != GO_ON)
		return FAILED;
	for (uint32_t i = 0; i < h->lanes; i++)
		if (end_lane(h, &h->lane[i], &done) != GO_ON)
			return FAILED;
	if (h->hooks->last && h->hooks->last(send_more, h) != GO_ON)
		return FAILED;
	return ks_subject_answer(h, KS_WIRE_DONE, &done, sizeof(done));
}

bool ks_subject_hold_all(struct host *h)
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

void ks_subject_let_go(struct host *h)
{
	for (uint32_t i = 0; i < h->lanes; i++) {
		_Atomic uint64_t *state = &h->lane[i].area->state;
		uint64_t now = atomic_load(state);
		if (now % 4 == KS_LANE_HELD)
			atomic_store(state, now / 4 * 4 + KS_LANE_IDLE);
	}
	atomic_store(&h->crew.held, false);
}

int ks_subject_halt(struct host *h)
{
	int64_t until = ks_true_ns() + KS_SEC;

	atomic_store(&h->crew.halted, true);
	for (uint32_t i = 0; i < h->lanes; i++) {
		uint64_t now = atomic_load(&h->lane[i].area->state);
		while (now % 4 == KS_LANE_INSIDE || !atomic_compare_exchange_weak(&h->lane[i].area->state, &now,
										  now / 4 * 4 + KS_LANE_CLOSED)) {
			if (ks_true_ns() > until)
				return ks_subject_fail(h, "its calls did not return within 1s for the restart");
			now = atomic_load(&h->lane[i].area->state);
		}
	}
	while (atomic_load(&h->crew.beside) && ks_true_ns() < until)
		;
	if (!ks_subject_pass_state(h, true))
		return ks_subject_fail(h, "cannot keep the state for the next process");
	return ks_subject_finish(h);
}

void ks_subject_wake_lanes(struct host *h)
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
		ks_subject_sleep_until(ks_true_ns() + KS_MS);
	for (uint32_t i = 0; i < h->lanes; i++)
		atomic_store(&h->lane[i].area->hold_ns, 0);
	ks_subject_clocks(&acted->after);
	return !n ? ESRCH : acted->value < 0 ? ETIMEDOUT : 0;
}

/* @return 0, or errno. */
static int keep(struct host *h, const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	ks_true_wait(a->at_raw_ns);
	if (!ks_subject_hold_all(h))
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

bool ks_subject_is_of_lanes(uint32_t kind)
{
	return kind == KS_ACT_HOLD || kind == KS_ACT_KEEP || kind == KS_ACT_END;
}

int ks_subject_act_on_lanes(struct host *h, const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	if (a->kind == KS_ACT_HOLD)
		return hold_lanes(h, a, acted);
	if (h->phase != RUNNING || !h->crew.spec.gen)
		return EINVAL;
	return a->kind == KS_ACT_KEEP ? keep(h, a, acted) : end_all(h, a, acted);
}
