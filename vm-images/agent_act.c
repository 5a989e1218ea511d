#include "agent_act.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "agent_time.h"
#include "ks_subject.h"
#include "ks_time.h"
#include "truetime.h"

/* What the kernel is told TAI - REALTIME is, as a server under NTP would be. */
#define TAI_OFFSET_S 37
/* How often the clocks are looked at while a fault of the machine is waited for. */
#define WATCH_NS (200 * KS_US)
/* A look that took longer fell into what is waited for. */
#define LOOK_MAX_NS KS_MS

static int64_t now_ns(clockid_t id)
{
	struct timespec ts = {0};
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
}

static void nap(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / KS_SEC, .tv_nsec = ns % KS_SEC};
	nanosleep(&ts, NULL);
}

/* Sleeps up to 300 us before the instant, for a guest's wake-ups are late, and looks at the clock from then on. */
static void wait_true(int64_t at_ns)
{
	for (int64_t left; (left = at_ns - ks_true_ns()) > 0;)
		if (left > 300 * KS_US)
			nap(left - 300 * KS_US);
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

/* How far REALTIME is ahead of `unix_ns` at true time at_ns: the narrowest of a few readings. */
static int64_t ahead_of(int64_t unix_ns, int64_t at_ns)
{
	int64_t narrowest = INT64_MAX, ahead = 0;

	for (int i = 0; i < 32; i++) {
		int64_t before = ks_true_ns();
		int64_t shown = now_ns(CLOCK_REALTIME);
		int64_t width = ks_true_ns() - before;
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
	int64_t now = unix_ns + (ks_true_ns() - at_ns);
	struct timespec ts = {.tv_sec = now / KS_SEC, .tv_nsec = now % KS_SEC};

	if (clock_settime(CLOCK_REALTIME, &ts) != 0)
		return errno;
	int error = step(-ahead_of(unix_ns, at_ns));
	return error ? error : adjust(&tai);
}

static int to_true(int64_t unix_ns, int64_t *stepped)
{
	*stepped = -ahead_of(unix_ns, 0);
	return step(*stepped);
}

/* The kernel bends by a frequency of +-500 ppm and by its tick, in us per 10 ms: 1 us is 100 ppm, +-10 % in all. It takes
 * more than it does, so what is beyond is refused here. */
static int rate(int64_t ppb)
{
	int64_t us = ppb / 100000, rest = ppb % 100000;
	struct timex t = {.modes = ADJ_FREQUENCY | ADJ_TICK, .tick = (long)(10000 + us), .freq = (long)(rest * 65536 / 1000)};

	return us < -1000 || us > 1000 ? ERANGE : adjust(&t);
}

static int leap(int64_t delta_ns)
{
	struct timex t = {.modes = ADJ_STATUS, .status = delta_ns < 0 ? STA_INS : STA_DEL};
	return adjust(&t);
}

/* ---- the battery-backed clock ---- */

/* linux/rtc.h, which musl does not have. */
struct rtc_time {
	int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday, tm_isdst;
};
#define RTC_RD_TIME _IOR('p', 0x09, struct rtc_time)
#define RTC_SET_TIME _IOW('p', 0x0a, struct rtc_time)

static int64_t rtc_read(int fd)
{
	struct rtc_time r;
	struct tm t = {0};

	if (ioctl(fd, RTC_RD_TIME, &r) != 0)
		return -1;
	t.tm_sec = r.tm_sec;
	t.tm_min = r.tm_min;
	t.tm_hour = r.tm_hour;
	t.tm_mday = r.tm_mday;
	t.tm_mon = r.tm_mon;
	t.tm_year = r.tm_year;
	return timegm(&t);
}

static int rtc_write(int fd, time_t unix_s)
{
	struct tm t;
	gmtime_r(&unix_s, &t);
	struct rtc_time r = {.tm_sec = t.tm_sec, .tm_min = t.tm_min, .tm_hour = t.tm_hour, .tm_mday = t.tm_mday, .tm_mon = t.tm_mon,
	                     .tm_year = t.tm_year, .tm_wday = t.tm_wday, .tm_yday = t.tm_yday};
	return ioctl(fd, RTC_SET_TIME, &r) != 0 ? errno : 0;
}

/* When it goes on to its next second it has none of it behind it. @return how far it is ahead then, ns. */
static int64_t rtc_ahead_once(int fd, int64_t unix_ns, int64_t at_ns)
{
	int64_t first = rtc_read(fd), next = first;

	for (int i = 0; next == first && i < 3000; i++, next = rtc_read(fd))
		nap(500 * KS_US);
	return next * KS_SEC - unix_ns - (ks_true_ns() - at_ns);
}

/* Who looks late sees it less far ahead, and never further. */
static int64_t rtc_ahead(int fd, int64_t unix_ns, int64_t at_ns)
{
	int64_t once = rtc_ahead_once(fd, unix_ns, at_ns), again = rtc_ahead_once(fd, unix_ns, at_ns);
	return once > again ? once : again;
}

/* It counts whole seconds. Linux resets its divider when it sets it, so that it goes on to the next one half a second later, or, on processors of
 * AMD, does not, and it goes on when it would have: set in the middle of a second it is off by half of one at most. */
static int rtc(int64_t unix_ns, int64_t at_ns, int64_t *off_ns)
{
	int fd = open("/dev/rtc0", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int64_t second = (unix_ns + (ks_true_ns() - at_ns)) / KS_SEC + 1;
	wait_true(at_ns + second * KS_SEC + KS_SEC / 2 - unix_ns);
	int error = rtc_write(fd, (time_t)second);
	if (!error)
		*off_ns = rtc_ahead(fd, unix_ns, at_ns);
	close(fd);
	return error;
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

/* ---- looking ---- */

static int on_core(int64_t core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)core, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? errno : 0;
}

/* What somebody who looks at the clocks all the time saw. */
struct watcher {
	int64_t core, until_ns;
	int error;
	int64_t gap_ns; /* the longest between two looks; -1: there were none */
	struct ks_wire_clocks first, last;
	atomic_bool begun;
};

/* True time tells how long a gap was, whatever the clocks say; they may stand on after it, and who sleeps by them with them: so it
 * is not the looks around the gap that tell. The thread that watches stays on the core. */
static void *watch(void *watcher)
{
	struct watcher *w = watcher;
	struct ks_wire_clocks last, now;

	w->error = on_core(w->core);
	ks_subject_look(&last);
	w->first = w->last = last;
	atomic_store(&w->begun, true);
	for (w->gap_ns = -1; !w->error && ks_true_ns() < w->until_ns; last = now) {
		int tries = 0;
		do {
			nap(WATCH_NS);
			ks_subject_look(&now);
		} while (now.raw_after_ns - now.raw_ns > LOOK_MAX_NS && ++tries < 100);
		int64_t gap = now.raw_ns - last.raw_after_ns;
		w->gap_ns = gap > w->gap_ns ? gap : w->gap_ns;
		w->last = now;
	}
	return NULL;
}

static int watch_here(int64_t core, int64_t until_ns, struct ks_wire_acted *acted)
{
	struct watcher w = {.core = core, .until_ns = until_ns};
	cpu_set_t before;

	sched_getaffinity(0, sizeof(before), &before);
	watch(&w);
	sched_setaffinity(0, sizeof(before), &before);
	acted->before = w.first;
	acted->after = w.last;
	acted->value = w.gap_ns;
	return w.error;
}

#define CORES_MAX 8

/* The clocks when all have looked once: should a core stop before that, nobody would see when. */
static void await_first_looks(struct watcher *w, int n, struct ks_wire_clocks *clocks)
{
	for (int i = 0; i < n; i++)
		while (!atomic_load(&w[i].begun))
			nap(WATCH_NS);
	ks_subject_clocks(clocks);
}

/* One on each core. This thread must not be on the one that stops, for it could not begin the others. */
static int watch_cores(int64_t core, int64_t at_ns, int64_t until_ns, struct ks_wire_acted *acted)
{
	struct watcher w[CORES_MAX];
	pthread_t thread[CORES_MAX];
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t before;
	int n = 0, error = core < 0 || core >= cores || cores < 2 || cores > CORES_MAX ? EINVAL : 0;

	sched_getaffinity(0, sizeof(before), &before);
	error = error ? error : on_core(core ? 0 : 1);
	if (!error)
		wait_true(at_ns);
	for (; !error && n < cores; n += !error) {
		w[n] = (struct watcher){.core = n, .until_ns = until_ns};
		error = pthread_create(&thread[n], NULL, watch, &w[n]);
	}
	await_first_looks(w, n, &acted->before);
	acted->value = acted->beside_ns = -1;
	for (int i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		error = error ? error : w[i].error;
		int64_t *gap = i == core ? &acted->value : &acted->beside_ns;
		*gap = w[i].gap_ns > *gap ? w[i].gap_ns : *gap;
	}
	ks_subject_clocks(&acted->after);
	sched_setaffinity(0, sizeof(before), &before);
	return error;
}

/* Reads REALTIME again and again, on one core after the other. */
static int hops(int64_t readings, int64_t each, struct ks_wire_acted *acted)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t last = INT64_MIN, worst = 0;
	int error = 0;

	for (int64_t i = 0; i < readings && !error; i++) {
		if (each > 0 && i % each == 0)
			error = on_core(i / each % cores);
		int64_t now = now_ns(CLOCK_REALTIME);
		acted->value += now < last;
		worst = last - now > worst && last != INT64_MIN ? last - now : worst;
		last = now;
	}
	ks_subject_clocks(&acted->after);
	acted->after.clock_ns[0] = worst;
	return error;
}

/* ---- */

/* While it waits and acts this thread goes before those that generate keys: they would make it late. */
static void go_first(int yes)
{
	struct sched_param p = {.sched_priority = yes ? 1 : 0};
	sched_setscheduler(0, yes ? SCHED_FIFO : SCHED_OTHER, &p);
}

static int do_act(const struct ks_wire_act *act, struct ks_wire_acted *acted)
{
	switch (act->kind) {
	case KS_ACT_STEP:
		return step(act->amount);
	case KS_ACT_RATE:
		return rate(act->amount);
	case KS_ACT_LEAP:
		return leap(act->amount);
	case KS_ACT_SET_REALTIME:
		return set_realtime(act->amount, act->at_raw_ns ? act->at_raw_ns : ks_true_ns());
	case KS_ACT_TO_TRUE:
		return to_true(act->amount, &acted->value);
	case KS_ACT_RTC:
		return rtc(act->amount, act->at_raw_ns ? act->at_raw_ns : ks_true_ns(), &acted->value);
	case KS_ACT_S3:
		return suspend_to_ram();
	case KS_ACT_TRUE:
	case KS_ACT_BORN:
		ks_agent_time_move(act->amount);
		return 0;
	default:
		return EINVAL;
	}
}

void ks_agent_act(const struct ks_wire_act *act, struct ks_wire_acted *acted)
{
	bool at_once = act->kind == KS_ACT_SET_REALTIME || act->kind == KS_ACT_TRUE || act->kind == KS_ACT_BORN ||
	               act->kind == KS_ACT_HOPS;

	memset(acted, 0, sizeof(*acted));
	acted->kind = act->kind;
	if (act->kind == KS_ACT_HOPS) {
		acted->error = hops(act->amount, act->until, acted);
		return;
	}
	go_first(1);
	if (!at_once && act->at_raw_ns && act->kind != KS_ACT_WATCH_CORE)
		wait_true(act->at_raw_ns);
	if (act->kind == KS_ACT_WATCH) {
		acted->error = watch_here(act->amount, act->until, acted);
	} else if (act->kind == KS_ACT_WATCH_CORE) {
		acted->error = watch_cores(act->amount, act->at_raw_ns, act->until, acted);
	} else {
		ks_subject_clocks(&acted->before);
		acted->error = do_act(act, acted);
		ks_subject_clocks(&acted->after);
	}
	go_first(0);
}
