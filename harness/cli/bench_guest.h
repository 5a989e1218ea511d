/* keyskew bench --guests. */
#ifndef KS_BENCH_GUEST_H
#define KS_BENCH_GUEST_H

#include "ks_err.h"

/* Prints what guests cost here, beside the bounds of a slow machine with two cores; `!` marks what is beyond. @return 0, or -1. */
int ks_bench_guest(struct ks_err *err);

#endif
