/* The rows of keyskew bench that are about real processes and programs that are asked. */
#ifndef KS_BENCH_PROCESS_H
#define KS_BENCH_PROCESS_H

#include "ks_err.h"

/* ns of wall time a key, best of three; negative: it cannot be measured here, which is said on stderr. One process, one thread.
 * host: `counter` in keyskew-subject, called as fast as it goes, with its records in shared memory. ask: the example in C, which
 * asks for the clock once a key: four lines, four switches between processes. */
struct ks_bench_process {
	double host, ask_sim, ask_faketime;
};
/* @return 0, or -1 with the error of keyskew's own doing. */
int ks_bench_processes(struct ks_bench_process *bench, struct ks_err *err);

#endif
