/* Questions of generators to the registry of their fleet, which is the harness: one at a time, each with its way there and back. */
#include "host.h"

#include <sys/syscall.h>
#include <unistd.h>

/* Somebody has to listen: the thread of `configure`, which asks for the generator's init, is the one that does. */
static bool await_answer(struct host *h, uint32_t number)
{
	const struct timespec nap = {.tv_nsec = 50 * KS_US};

	while (atomic_load(&h->registry.told) != number && h->ended == GO_ON) {
		if (pthread_equal(pthread_self(), h->main))
			h->ended = ks_subject_wait_and_serve(h, 1000);
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

bool ks_subject_ask_registry(void *host, uint32_t what, uint64_t *value)
{
	struct host *h = host;
	struct ks_wire_registry told = {.answer = KS_REGISTRY_LOST};

	pthread_mutex_lock(&h->registry.one);
	const struct ks_wire_registry q = {.number = ++h->registry.asked, .what = what, .value = *value};
	int64_t sent_ns = ks_true_ns();
	struct ks_area_ask *note = note_question(h, sent_ns);
	if (ks_subject_answer(h, KS_WIRE_ASK, &q, sizeof(q)) == GO_ON && await_answer(h, q.number))
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

int ks_subject_take_told(struct host *h, uint32_t length)
{
	struct ks_wire_registry told;

	if (length != sizeof(told))
		return ks_subject_fail(h, "the registry's answer has the wrong size");
	memcpy(&told, h->frame, sizeof(told));
	if (told.number != h->registry.asked)
		return ks_subject_fail(h, "the registry answers what nobody asked");
	h->registry.answer = told;
	atomic_store(&h->registry.told, told.number);
	return GO_ON;
}
