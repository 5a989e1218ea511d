/* gnuplot as a child process. */
#ifndef KS_GNUPLOT_H
#define KS_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ks_err.h"

#define KS_GNUPLOT_SCRIPTS 9

struct ks_gnuplot_job {
	const char *dir;                     /* it starts here */
	char script[KS_GNUPLOT_SCRIPTS][24]; /* names in dir; "" ends the list early */
};

/* Runs gnuplot on the scripts of each job, `jobs` processes at a time, each at most 60 s. @return 0, also when gnuplot is
 * not installed; -1 (KS_E_INTERNAL) with what gnuplot said. No child is left behind. */
int ks_gnuplot_run(const struct ks_gnuplot_job *job, size_t n, int jobs, struct ks_err *err);

#endif
