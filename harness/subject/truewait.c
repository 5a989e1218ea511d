#include "truetime.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How long before the instant the sleep ends and the spin begins: above the usual wake-up of an idle machine, and
 * short enough that four threads at 1000 calls/s do not eat a core. */
#define SPIN_NS 60000

int64_t ks_true_wait(int64_t at_ns)
{
	int64_t now = ks_true_ns();

	while (now < at_ns) {
		int64_t left = at_ns - now - SPIN_NS;
		if (left > 0) {
			struct timespec ts = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
			syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
		}
		now = ks_true_ns();
	}
	return now;
}
