/* What outlives a process of the host: the state of its generator, which the next one reads, or all of its memory, from which a
 * second one goes on. */
#include "host.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fork.h"

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

bool ks_subject_pass_state(struct host *h, bool write_it)
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

static uint64_t add_to_hash(uint64_t hash, const void *memory, size_t size)
{
	const unsigned char *p = memory;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t ks_subject_hash_of_state(const struct host *h)
{
	const struct ks_gen *gen = h->crew.spec.gen;

	if (!gen)
		return 0;
	uint64_t hash = add_to_hash(UINT64_C(0xcbf29ce484222325), h->crew.shared, gen->shared_size);

	for (uint32_t i = 0; i < h->lanes; i++)
		hash = add_to_hash(hash, h->lane[i].local, gen->local_size);
	return hash;
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
	return pipe(h->wake) == 0 ? ks_subject_say_hello(h) : ks_subject_fail(h, "no pipe");
}

int ks_subject_fork_off(struct host *h, uint32_t length)
{
	struct ks_wire_fork f;
	struct ks_wire_forked news = {0};
	bool running = h->phase == RUNNING;
	int in, out;

	if (!h->hooks->forked || (h->phase != RUNNING && h->phase != FINISHED && !h->revived))
		return ks_subject_fail(h, "this host cannot be copied now");
	if (length != sizeof(f))
		return ks_subject_fail(h, "the fork has the wrong size");
	memcpy(&f, h->frame, sizeof(f));
	f.folder[sizeof(f.folder) - 1] = '\0';
	if (running && !ks_subject_hold_all(h))
		return ks_subject_fail(h, "its calls did not return within 1s for a snapshot");
	news.raw_ns = ks_true_ns();
	news.memory = ks_subject_hash_of_state(h);
	news.pid = (int32_t)ks_fork_off(&f, h->crew.process.process, &in, &out);
	if (news.pid == 0) {
		h->in = in;
		h->out = out;
		return begin_anew(h, &f);
	}
	if (running)
		ks_subject_let_go(h);
	return news.pid < 0 ? ks_subject_fail(h, "cannot make a second process") : ks_subject_answer(h, KS_WIRE_FORKED, &news, sizeof(news));
}
