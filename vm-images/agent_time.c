#include "agent_time.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ks_time.h"
#include "truetime.h"

#define LOOK_NS (250 * KS_MS)
#define TRIES 64

static struct {
	uint64_t tsc;     /* at base_ns */
	uint64_t ns_q60;  /* ns a count, times 2^60 */
	int64_t base_ns;
	_Atomic int64_t moved_ns;
} counter;

/* When it was moved, and by how much: the agent's first thread adds, anybody reads. What is beyond the last one counts as part of it. */
#define MOVES_MAX 64
static struct {
	uint64_t tsc;
	_Atomic int64_t ns;
} moves[MOVES_MAX];
static atomic_uint nmoves;

static uint64_t read_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts = {0};
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
}

/* The counter at the time that RAW shows: the narrowest of many. */
static uint64_t pair(int64_t *raw_ns)
{
	uint64_t best = UINT64_MAX, tsc = 0;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = read_tsc();
		int64_t raw = clock_ns(CLOCK_MONOTONIC_RAW);
		uint64_t width = read_tsc() - before;
		if (width < best) {
			best = width;
			tsc = before + width / 2;
			*raw_ns = raw;
		}
	}
	return tsc;
}

/* The kernel's own figure, which a clock that counts ticks is too coarse to give. @return kHz, or 0. */
static uint64_t told_khz(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];
	unsigned mhz, khz;
	uint64_t found = 0;

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu MHz : %u.%3u", &mhz, &khz) == 2)
			found = (uint64_t)mhz * 1000 + khz;
	if (f)
		fclose(f);
	return found;
}

void ks_agent_time_init(const char *source)
{
	int64_t first, last;
	struct timespec look = {.tv_nsec = LOOK_NS};
	uint64_t begin = pair(&first), khz = strcmp(source, "jiffies") ? 0 : told_khz();

	if (!khz)
		nanosleep(&look, NULL);
	counter.tsc = pair(&last);
	counter.base_ns = last;
	counter.ns_q60 = khz ? (uint64_t)(((unsigned __int128)1000000 << 60) / khz)
	                     : (uint64_t)(((unsigned __int128)(last - first) << 60) / (counter.tsc - begin));
}

static int64_t ns_of(uint64_t tsc)
{
	__int128 counts = (int64_t)(tsc - counter.tsc);

	return counter.base_ns + (int64_t)((counts * counter.ns_q60) >> 60);
}

void ks_agent_time_move(int64_t ns)
{
	unsigned n = nmoves;

	atomic_fetch_add(&counter.moved_ns, ns);
	if (n == MOVES_MAX) {
		atomic_fetch_add(&moves[n - 1].ns, ns);
		return;
	}
	moves[n].tsc = read_tsc();
	moves[n].ns = ns;
	nmoves = n + 1;
}

/* A thread that is held up between its look at the counter and at what was added to it would tell a time from before a stop as one
 * from after it, which nobody could take for what it is. */
int64_t ks_true_ns(void)
{
	int64_t moved_ns, at_ns;

	do {
		moved_ns = atomic_load(&counter.moved_ns);
		at_ns = ns_of(read_tsc());
	} while (moved_ns != atomic_load(&counter.moved_ns));
	return at_ns + moved_ns;
}

int64_t ks_agent_time_at(uint64_t tsc)
{
	int64_t ns = ns_of(tsc);

	for (unsigned i = 0, n = nmoves; i < n; i++)
		ns += moves[i].tsc <= tsc ? moves[i].ns : 0;
	return ns;
}

int64_t ks_true_unix_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}
