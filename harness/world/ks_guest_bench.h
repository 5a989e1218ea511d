/* What guests cost here: to start, to clone, to hear from. Never a test: it measures. */
#ifndef KS_GUEST_BENCH_H
#define KS_GUEST_BENCH_H

#include "ks_err.h"

enum ks_guest_figure {
	KS_GUEST_BOOT,    /* from its start to the agent's first answer, s */
	KS_GUEST_SAVE,    /* to save it, s */
	KS_GUEST_CLONE,   /* from its start to the agent's answer, s */
	KS_GUEST_READY,   /* likewise from when it is needed, started before */
	KS_GUEST_FOUR,    /* four of them at once */
	KS_GUEST_MAKE,    /* keys a second of one thread, the agent alone */
	KS_GUEST_SEND,    /* records a second over the channel, believed and kept here */
	KS_GUEST_KEYS,    /* both, one after the other */
	KS_GUEST_KEYS_2,  /* of two threads on two cores */
	KS_GUEST_TEXTS,   /* of keys that are texts */
	KS_GUEST_FIGURES
};

/* Measures all; a figure that could not be measured is negative. The first error ends it.
 * stop: non-zero ends it, may be NULL. @return 0, or -1: KS_E_JUDGE no guest runs here, with the reason. */
int ks_guest_bench(double value[KS_GUEST_FIGURES], volatile const int *stop, struct ks_err *err);

#endif
