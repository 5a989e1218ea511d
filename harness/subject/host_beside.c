/* What runs beside the lanes: the probe of the wall clock, and what a generator does between its calls. */
#include "host.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_for_gate(struct ks_crew *c)
{
	pthread_mutex_lock(&c->gate);
	while (!c->open)
		pthread_cond_wait(&c->opened, &c->gate);
	pthread_mutex_unlock(&c->gate);
}

void ks_subject_sleep_until(int64_t at_ns)
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
		ks_subject_sleep_until(due);
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
		ks_subject_sleep_until(c->start_ns + at);
		enter_beside(c);
		if (!atomic_load(&c->halted))
			b.what->fn(&env, c->spec.cfg, c->shared);
		tell_reading(c, &env);
		leave_beside(c);
	}
	return NULL;
}

bool ks_subject_start_beside(struct host *h, const pthread_attr_t *attr, uint32_t core)
{
	static const struct ks_background nothing[KS_BACKGROUND_MAX];
	const struct ks_gen *gen = h->crew.spec.gen;
	const struct ks_background *what = gen ? ks_gen_background(gen, h->crew.spec.cfg) : nothing;

	if (h->crew.area.head->size.probes && h->probe_ns && !ks_subject_make_thread(attr, core, probe, h))
		return false;
	for (int i = 0; i < KS_BACKGROUND_MAX && what[i].period_ns; i++) {
		struct background *b = malloc(sizeof(*b));
		if (!b)
			return false;
		*b = (struct background){h, &what[i]};
		if (!ks_subject_make_thread(attr, core, background, b))
			return false;
	}
	return true;
}
