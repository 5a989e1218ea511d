#include "jumps_hooks.h"

#include <ctype.h>
#include <string.h>

const struct ks_jump_hook ks_jump_hooks[KS_JUMP_HOOKS] = {
	{"__x64_sys_clock_settime", "clock_settime", KS_JUMP_CALL, 0, ARG_CLOCK},
	{"__x64_sys_settimeofday", "settimeofday", KS_JUMP_CALL, 0, ARG_NONE},
	{"__x64_sys_adjtimex", "adjtimex", KS_JUMP_CALL, 0, ARG_USER_MODES},
	{"__x64_sys_clock_adjtime", "clock_adjtime", KS_JUMP_CALL, 0, ARG_USER_MODES_2},
	{"do_settimeofday64", "do_settimeofday64", KS_JUMP_KERNEL, 0, ARG_NONE},
	{"do_adjtimex", "do_adjtimex", KS_JUMP_KERNEL, 0, ARG_MODES},
	{"timekeeping_inject_offset", "timekeeping_inject_offset", KS_JUMP_KERNEL, 0, ARG_NONE},
	{"timekeeping_inject_sleeptime64", "timekeeping_inject_sleeptime64", KS_JUMP_KERNEL, 0, ARG_NONE},
	{"timekeeping_resume", "timekeeping_resume", KS_JUMP_KERNEL, 0, ARG_NONE},
	{"clock_was_set", "clock_was_set", KS_JUMP_KERNEL, 1, ARG_NONE},
	{"clock_was_set_delayed", "clock_was_set_delayed", KS_JUMP_KERNEL, 1, ARG_NONE},
};

/* The next line of the list. @return false at its end. */
static bool next(FILE *list, unsigned long long *at, char *type, char name[128])
{
	char line[512];

	while (fgets(line, sizeof(line), list))
		if (sscanf(line, "%llx %c %127s", at, type, name) == 3)
			return true;
	return false;
}

unsigned long long ks_kallsyms_find(FILE *list, const char *symbol)
{
	unsigned long long at, found = 0;
	char name[128], type;

	while (!found && next(list, &at, &type, name))
		if (!strcmp(name, symbol))
			found = at;
	return found;
}

void ks_jump_hooks_lacking(FILE *list, const struct ks_jump_hook *hook, size_t n, bool *lacks)
{
	unsigned long long at;
	char name[128], type;

	for (size_t i = 0; i < n; i++)
		lacks[i] = true;
	while (next(list, &at, &type, name))
		for (size_t i = 0; i < n; i++)
			if (tolower((unsigned char)type) == 't' && !strcmp(name, hook[i].symbol))
				lacks[i] = false;
}
