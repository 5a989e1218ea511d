#include "lane.h"

#include <unistd.h>

#include "ks_subject.h"

/* @return false when the lane was closed meanwhile. */
static bool enter(struct ks_lane_thread *l, uint64_t n)
{
	uint64_t idle = 4 * n + KS_LANE_IDLE;
	return atomic_compare_exchange_strong(&l->state, &idle, 4 * n + KS_LANE_INSIDE);
}

static bool leave(struct ks_lane_thread *l, uint64_t n)
{
	uint64_t inside = 4 * n + KS_LANE_INSIDE;
	return atomic_compare_exchange_strong(&l->state, &inside, 4 * (n + 1) + KS_LANE_IDLE);
}

static void note_reading(const struct ks_lane_thread *l, struct ks_wire_record *r)
{
	const struct ks_env *e = &l->env;

	r->read_ns = KS_NO_TIME;
	r->read_at_ns = KS_NO_TIME;
	if (!e->has_read || e->read_width_ns > KS_READ_WIDTH_MAX_NS)
		return;
	r->clock = e->read_clock;
	r->read_ns = e->read_value;
	r->read_at_ns = e->read_at_ns - l->crew->start_ns;
}

/* One call, the lane's n-th. @return its outcome, or KS_LOST when the lane was closed before the call was complete. */
static enum ks_outcome call(struct ks_lane_thread *l, uint64_t n, int64_t due_ns, int64_t begin_ns, int64_t *return_ns)
{
	struct ks_crew *c = l->crew;
	struct ks_wire_record *r = &l->record[n];
	struct ks_key key = {0, 0};
	uint8_t why = 0;

	l->reads = l->env.reads;
	l->env.has_read = 0;
	l->env.seq = (uint32_t)n;
	l->due_ns = due_ns;
	l->call_ns = ks_true_wait(c->start_ns + begin_ns) - c->start_ns;
	if (l->call_ns - begin_ns > l->worst_late_ns)
		l->worst_late_ns = l->call_ns - begin_ns;
	if (!enter(l, n))
		return KS_LOST;
	enum ks_outcome outcome = c->spec.gen->next(&l->env, c->spec.cfg, c->shared, l->local, &key, &why);
	*return_ns = ks_true_ns() - c->start_ns;
	*r = (struct ks_wire_record){.due_ns = due_ns,
				     .call_ns = l->call_ns,
				     .return_ns = *return_ns,
				     .key_hi = key.hi,
				     .key_lo = key.lo,
				     .thread = l->number,
				     .seq = (uint32_t)n,
				     .outcome = (uint8_t)outcome,
				     .why = why};
	note_reading(l, r);
	return leave(l, n) ? outcome : KS_LOST;
}

/* The same rules as in the simulation (sim/engine/engine.c, schedule). */
static void work(struct ks_lane_thread *l)
{
	struct ks_crew *c = l->crew;
	enum ks_outcome last = KS_KEY;
	int64_t free_ns = 0, due_ns = 0, begin_ns;

	for (uint64_t n = 0;; n++) {
		if (last == KS_REFUSE && c->load.on_refuse == KS_REFUSE_RETRY) {
			begin_ns = free_ns + KS_RETRY_AFTER_NS;
		} else {
			due_ns = ks_arrivals_next(&l->arrivals);
			if (c->load.model == KS_MODEL_CLOSED && due_ns < free_ns)
				due_ns = free_ns;
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
	}
}

void *ks_lane_run(void *lane)
{
	struct ks_lane_thread *l = lane;
	struct ks_crew *c = l->crew;

	pthread_mutex_lock(&c->gate);
	while (!c->open)
		pthread_cond_wait(&c->opened, &c->gate);
	pthread_mutex_unlock(&c->gate);
	work(l);
	atomic_store(&l->through, true);
	/* A full pipe holds a byte already: the reader will look at every lane. */
	ssize_t n = write(c->wake_fd, "", 1);
	(void)n;
	return NULL;
}

size_t ks_lane_close(struct ks_lane_thread *lane, bool *inside)
{
	uint64_t now = atomic_load(&lane->state);

	while (!atomic_compare_exchange_weak(&lane->state, &now, now / 4 * 4 + KS_LANE_CLOSED))
		;
	*inside = now % 4 == KS_LANE_INSIDE;
	return (size_t)(now / 4);
}
