#include "qemu_seats.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "ks_time.h"

#define LOOK_NS (50 * KS_MS) /* so soon an interrupt is seen */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int taken;

int ks_guest_seats(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores > 2 ? 2 * (int)cores : 4;
}

static int try_to_take(int n)
{
	pthread_mutex_lock(&lock);
	int got = taken == 0 || taken + n <= ks_guest_seats();
	if (got)
		taken += n;
	pthread_mutex_unlock(&lock);
	return got;
}

int ks_guest_seats_take(int n, volatile const int *stop, struct ks_err *err)
{
	struct timespec moment = {.tv_nsec = LOOK_NS};

	while (!try_to_take(n)) {
		if (stop && *stop)
			return ks_fail(err, KS_E_JUDGE, "interrupted");
		nanosleep(&moment, NULL);
	}
	return 0;
}

void ks_guest_seats_leave(int n)
{
	pthread_mutex_lock(&lock);
	taken -= n;
	pthread_mutex_unlock(&lock);
}
