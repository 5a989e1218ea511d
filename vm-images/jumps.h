/* Between the capture's two halves: what the program in the kernel tells the one outside. */
#ifndef KS_JUMPS_H
#define KS_JUMPS_H

struct jump_event {
	unsigned long long mono_ns; /* MONOTONIC at its end */
	long long delta_ns;         /* by how much REALTIME moved against MONOTONIC, from its beginning to its end */
	long long ahead_ns;         /* REALTIME - MONOTONIC at its end */
	unsigned pid, what;         /* what: index into the hooks of jumps.c */
	unsigned arg;               /* of calls that adjust: the modes; of those that set: the clock */
	int ret;
	char comm[16];
};

/* Index 0 of the map `settings`. */
struct jump_settings {
	unsigned long long timekeeper; /* address of the kernel's struct timekeeper; 0: go by TAI, which leap seconds do not move */
	unsigned self;                 /* pid of the program outside: not told, unless it looks whether the address is right */
	unsigned looks;
};

/* What `arg` is read from. */
enum jump_arg { ARG_NONE, ARG_CLOCK, ARG_MODES, ARG_USER_MODES, ARG_USER_MODES_2 };
/* A hook's cookie: its index, whether it tells of what was done before it (clock_was_set), what arg is. */
#define JUMP_COOKIE(index, after, arg) ((unsigned long long)(index) | (unsigned long long)(after) << 8 | (unsigned long long)(arg) << 16)

#endif
