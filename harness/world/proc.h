/* Child processes: started without a shell, each in a session and process group of its own, ended and waited for on
 * every way out. */
#ifndef KS_PROC_H
#define KS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "ks_err.h"

struct ks_proc {
	pid_t pid;        /* 0: not started, or waited for */
	int in, out, err; /* our ends of its pipes; -1 when closed. out and err do not block */
	bool ended;       /* it was waited for, and status is that of waitpid */
	int status;
	char tail[1024]; /* the last bytes that it wrote to stderr */
	size_t tail_len;
};

#define KS_PROC_NONE                                                                                                   \
	{                                                                                                              \
		.in = -1, .out = -1, .err = -1                                                                         \
	}

/* Starts argv[0] (looked up in PATH when it has no slash) with this environment. with_input: p->in is a pipe to it,
 * else it reads /dev/null. Should this process be killed, the kernel kills the child (PR_SET_PDEATHSIG acts when the
 * *thread* that started it ends).
 * @return 0, or -1: KS_E_USAGE when the program cannot be run, KS_E_INTERNAL when the system gives no process. */
int ks_proc_start(struct ks_proc *p, char *const argv[], char *const envp[], bool with_input, struct ks_err *err);

/* Where a child is to be. */
struct ks_proc_place {
	const char *folder; /* its working folder, from which a program with a slash in its name is looked up; NULL: ours */
	unsigned user;      /* it becomes this user, without privileges and with bounds on what it takes; 0: stays ours */
	const char *group;  /* cgroup.procs of the cgroup in which it puts itself before it becomes the program; NULL: ours */
};
int ks_proc_start_in(struct ks_proc *p, const struct ks_proc_place *place, char *const argv[], char *const envp[],
		     bool with_input, struct ks_err *err);

/* Reads what stands in stderr and keeps the end of it. */
void ks_proc_read_err(struct ks_proc *p);

/* Looks whether it has ended, without waiting. @return p->ended. */
bool ks_proc_poll(struct ks_proc *p);

/* Ends n processes with all that is in their groups: SIGTERM, grace_ms for them to go, SIGKILL, then waits for them.
 * Closes the pipes. Those that were never started are left alone. */
void ks_proc_end(struct ks_proc *p, size_t n, size_t stride, int grace_ms);

/* The last line of its stderr, printable; "" when there is none. */
void ks_proc_last_line(const struct ks_proc *p, char line[300]);

/* "exited with status 3", "was killed by signal 9 (Killed)", with the last line of its stderr. @return buf. */
const char *ks_proc_describe(const struct ks_proc *p, char *buf, size_t size);

#endif
