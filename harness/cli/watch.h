/* Beside the runs of a command: who ends those that take too long or that a signal ends, and who tells how far they are. */
#ifndef KS_WATCH_H
#define KS_WATCH_H

#include <pthread.h>

#include "run.h"

struct ks_watch {
	struct ks_schedule *schedule;
	pthread_t thread;
	int64_t begin_ns;
	bool terminal, shown;    /* stderr is one; a line stands there */
	_Atomic int end, failed; /* failed: keyskew itself; no more runs */
	_Atomic size_t done;
};

/* The host's monotonic clock. */
int64_t ks_now_ns(void);

/* @return 0, or -1 (KS_E_INTERNAL). */
int ks_watch_begin(struct ks_watch *w, struct ks_schedule *schedule, struct ks_err *err);
/* Takes its line off the terminal. */
void ks_watch_end(struct ks_watch *w);

#endif
