/* The functions of a kernel that set, bend or move clocks, and which of them a kernel lacks. */
#ifndef KS_JUMPS_HOOKS_H
#define KS_JUMPS_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "jumps.h"
#include "ks_wire.h"

/* After what clock_was_set tells of is done; before, and after, what all others do. */
struct ks_jump_hook {
	const char *symbol, *name;
	enum ks_jump_layer layer;
	int after, arg;
};
#define KS_JUMP_HOOKS 11
#define KS_JUMP_HOOKS_MAX 16
extern const struct ks_jump_hook ks_jump_hooks[KS_JUMP_HOOKS];

/* list: lines as /proc/kallsyms has them, "ffffffff81234560 T name\t[module]". */

/* @return 0: it is not there, or nobody may know where. */
unsigned long long ks_kallsyms_find(FILE *list, const char *symbol);
/* Sets lacks[i] for each hook that is no function of the list: there is none of its name, or the compiler has made another one of it
 * ("name.isra.0"), or of all its calls. */
void ks_jump_hooks_lacking(FILE *list, const struct ks_jump_hook *hook, size_t n, bool *lacks);

#endif
