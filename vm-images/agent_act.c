#include "agent_act.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "ks_subject.h"
#include "ks_time.h"

/* What the kernel is told TAI - REALTIME is, as a server under NTP would be. */
#define TAI_OFFSET_S 37

static int64_t now_ns(clockid_t id)
{
	struct timespec ts = {0};
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
}

/* Sleeps up to 300 us before the instant, for a guest's wake-ups are late, and looks at the clock from then on. */
static void wait_raw(int64_t at_ns)
{
	for (int64_t left; (left = at_ns - now_ns(CLOCK_MONOTONIC_RAW)) > 0;) {
		left -= 300 * KS_US;
		if (left > 0) {
			struct timespec ts = {.tv_sec = left / KS_SEC, .tv_nsec = left % KS_SEC};
			nanosleep(&ts, NULL);
		}
	}
}

static int adjust(struct timex *t)
{
	return adjtimex(t) < 0 ? errno : 0;
}

/* ADJ_SETOFFSET moves REALTIME by exactly this much: clock_settime would be late by what lies before the call. */
static int step(int64_t delta_ns)
{
	struct timex t = {.modes = ADJ_SETOFFSET | ADJ_NANO};

	t.time.tv_sec = delta_ns / KS_SEC;
	t.time.tv_usec = delta_ns % KS_SEC; /* ns, because of ADJ_NANO; must not be negative */
	if (t.time.tv_usec < 0) {
		t.time.tv_sec--;
		t.time.tv_usec += KS_SEC;
	}
	return adjust(&t);
}

/* How far REALTIME is ahead of `unix_ns` at raw time at_ns: the narrowest of a few readings. */
static int64_t ahead_of(int64_t unix_ns, int64_t at_ns)
{
	int64_t narrowest = INT64_MAX, ahead = 0;

	for (int i = 0; i < 32; i++) {
		int64_t before = now_ns(CLOCK_MONOTONIC_RAW);
		int64_t shown = now_ns(CLOCK_REALTIME);
		int64_t width = now_ns(CLOCK_MONOTONIC_RAW) - before;
		if (width < narrowest) {
			narrowest = width;
			ahead = shown - unix_ns - (before + width / 2 - at_ns);
		}
	}
	return ahead;
}

static int set_realtime(int64_t unix_ns, int64_t at_ns)
{
	struct timex tai = {.modes = ADJ_TAI, .constant = TAI_OFFSET_S};
	int64_t now = unix_ns + (now_ns(CLOCK_MONOTONIC_RAW) - at_ns);
	struct timespec ts = {.tv_sec = now / KS_SEC, .tv_nsec = now % KS_SEC};

	if (clock_settime(CLOCK_REALTIME, &ts) != 0)
		return errno;
	int error = step(-ahead_of(unix_ns, at_ns));
	return error ? error : adjust(&tai);
}

/* ppb into the kernel's ppm with 16 binary places; it clamps to +-500 ppm, which is refused here. */
static int frequency(int64_t ppb)
{
	struct timex t = {.modes = ADJ_FREQUENCY, .freq = (long)(ppb * 65536 / 1000)};

	if (ppb < -500000 || ppb > 500000)
		return ERANGE;
	return adjust(&t);
}

static int tick(int64_t us)
{
	struct timex t = {.modes = ADJ_TICK, .tick = (long)us};
	return adjust(&t);
}

static int leap_insert(void)
{
	struct timex t = {.modes = ADJ_STATUS, .status = STA_INS};
	return adjust(&t);
}

/* Returns when the guest was woken. */
static int suspend_to_ram(void)
{
	int fd = open("/sys/power/state", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int error = write(fd, "mem", 3) == 3 ? 0 : errno;
	close(fd);
	return error;
}

/* While it waits and acts this thread goes before those that generate keys: they would make it late. */
static void go_first(int yes)
{
	struct sched_param p = {.sched_priority = yes ? 1 : 0};
	sched_setscheduler(0, yes ? SCHED_FIFO : SCHED_OTHER, &p);
}

void ks_agent_act(const struct ks_wire_act *act, struct ks_wire_acted *acted)
{
	int64_t at = act->at_raw_ns;

	memset(acted, 0, sizeof(*acted));
	acted->kind = act->kind;
	go_first(1);
	if (act->kind != KS_ACT_SET_REALTIME && at)
		wait_raw(at);
	ks_subject_clocks(&acted->before);
	switch (act->kind) {
	case KS_ACT_STEP:
		acted->error = step(act->amount);
		break;
	case KS_ACT_FREQ:
		acted->error = frequency(act->amount);
		break;
	case KS_ACT_TICK:
		acted->error = tick(act->amount);
		break;
	case KS_ACT_LEAP_INSERT:
		acted->error = leap_insert();
		break;
	case KS_ACT_SET_REALTIME:
		acted->error = set_realtime(act->amount, at ? at : now_ns(CLOCK_MONOTONIC_RAW));
		break;
	case KS_ACT_S3:
		acted->error = suspend_to_ram();
		break;
	default:
		acted->error = EINVAL;
	}
	ks_subject_clocks(&acted->after);
	go_first(0);
}
