/* What a guest's kernel was seen doing to its clocks, held against the scenario's thresholds. */
#ifndef KS_CAPTURE_H
#define KS_CAPTURE_H

#include <jansson.h>

#include "ks_world.h"

/* Of one record. NULL: nothing worth a word. "unusual" and "jump": REALTIME moved so far against MONOTONIC; "stretch": MONOTONIC did. */
const char *ks_capture_verdict(const struct ks_capture *wanted, const struct ks_jump *jump);
/* Do both tell of one move? A system call, the kernel's function in it and what follows each tell it. */
bool ks_capture_same(const struct ks_jump *a, const struct ks_jump *b);
/* The part of a result; jumps are by node, then by time. */
json_t *ks_capture_json(const struct ks_plan *plan, const struct ks_run_output *output);

#endif
