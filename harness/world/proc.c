#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAP_MS 2

struct pipes {
	int in[2], out[2], err[2], report[2];
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_pipes(struct pipes *p)
{
	int *ends[] = {p->in, p->out, p->err, p->report};
	for (int i = 0; i < 4; i++) {
		close_fd(&ends[i][0]);
		close_fd(&ends[i][1]);
	}
}

static int open_pipes(struct pipes *p, bool with_input)
{
	*p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	if (with_input) {
		if (pipe2(p->in, O_CLOEXEC) != 0)
			return -1;
	} else {
		p->in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (p->in[0] < 0)
			return -1;
	}
	return pipe2(p->out, O_CLOEXEC) || pipe2(p->err, O_CLOEXEC) || pipe2(p->report, O_CLOEXEC) ? -1 : 0;
}

static int join(const char *group)
{
	int fd = group ? open(group, O_WRONLY | O_CLOEXEC) : -1;

	if (!group)
		return 0;
	if (fd < 0 || write(fd, "0", 1) != 1)
		return -1;
	return close(fd);
}

/* What nobody needs for printing keys, and what would keep the machine from its work. */
static int lower(unsigned user)
{
	const struct rlimit processes = {64, 64}, core = {0, 0}, file = {16 << 20, 16 << 20};

	if (!user)
		return 0;
	setrlimit(RLIMIT_NPROC, &processes);
	setrlimit(RLIMIT_CORE, &core);
	setrlimit(RLIMIT_FSIZE, &file);
	unshare(CLONE_NEWNET); /* what of a network there is is not for it */
	if (setgroups(0, NULL) != 0 || setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Between fork and exec of a program that may have threads: only what is safe there. */
static _Noreturn void become(const struct pipes *p, const struct ks_proc_place *place, char *const argv[], char *const envp[],
			     pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);

	setsid(); /* a group of its own to end it by, no terminal, a share of the CPU apart from ours */
	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && join(place->group) == 0 && dup2(p->in[0], 0) >= 0 && dup2(p->out[1], 1) >= 0 &&
	    dup2(p->err[1], 2) >= 0 && (!place->folder || chdir(place->folder) == 0) && lower(place->user) == 0)
		execvpe(argv[0], argv, envp);
	int why = errno;
	ssize_t n = write(p->report[1], &why, sizeof(why));
	(void)n;
	_exit(127);
}

/* The report pipe closes by itself when exec succeeds; by then the child leads its group. */
static int exec_error(int fd)
{
	int why = 0;
	ssize_t n;

	do
		n = read(fd, &why, sizeof(why));
	while (n < 0 && errno == EINTR);
	return n == sizeof(why) ? why : 0;
}

int ks_proc_start(struct ks_proc *p, char *const argv[], char *const envp[], bool with_input, struct ks_err *err)
{
	static const struct ks_proc_place here = {0};
	return ks_proc_start_in(p, &here, argv, envp, with_input, err);
}

int ks_proc_start_in(struct ks_proc *p, const struct ks_proc_place *place, char *const argv[], char *const envp[],
		     bool with_input, struct ks_err *err)
{
	struct pipes pipes;
	pid_t parent = getpid(), pid = -1;

	*p = (struct ks_proc)KS_PROC_NONE;
	if (open_pipes(&pipes, with_input) == 0)
		pid = fork();
	if (pid < 0) {
		int why = errno;
		close_pipes(&pipes);
		return ks_fail(err, KS_E_INTERNAL, "cannot start a process: %s", strerror(why));
	}
	if (pid == 0)
		become(&pipes, place, argv, envp, parent);
	close_fd(&pipes.report[1]);
	int why = exec_error(pipes.report[0]);
	p->pid = pid;
	p->in = pipes.in[1];
	p->out = pipes.out[0];
	p->err = pipes.err[0];
	pipes.in[1] = pipes.out[0] = pipes.err[0] = -1;
	close_pipes(&pipes);
	if (why) {
		ks_proc_end(p, 1, sizeof(*p), 0);
		return ks_fail(err, KS_E_USAGE, "cannot run '%.200s': %s", argv[0], strerror(why));
	}
	fcntl(p->out, F_SETFL, O_NONBLOCK);
	fcntl(p->err, F_SETFL, O_NONBLOCK);
	return 0;
}

static void keep_tail(struct ks_proc *p, const char *bytes, size_t n)
{
	size_t room = sizeof(p->tail);

	if (n >= room) {
		memcpy(p->tail, bytes + n - room, room);
		p->tail_len = room;
		return;
	}
	size_t keep = p->tail_len < room - n ? p->tail_len : room - n;
	memmove(p->tail, p->tail + p->tail_len - keep, keep);
	memcpy(p->tail + keep, bytes, n);
	p->tail_len = keep + n;
}

void ks_proc_read_err(struct ks_proc *p)
{
	char bytes[4096];

	/* A bounded look: one who floods stderr must not keep us here. */
	for (int i = 0; i < 16 && p->err >= 0; i++) {
		ssize_t n = read(p->err, bytes, sizeof(bytes));
		if (n > 0)
			keep_tail(p, bytes, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			close_fd(&p->err);
		else
			return;
	}
}

bool ks_proc_poll(struct ks_proc *p)
{
	siginfo_t info = {0};

	if (p->pid <= 0)
		return p->ended;
	/* Its group dies before it is waited for: until then no one else can get its number. */
	if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != p->pid)
		return false;
	kill(-p->pid, SIGKILL);
	ks_proc_read_err(p);
	waitpid(p->pid, &p->status, 0);
	p->ended = true;
	p->pid = 0;
	return true;
}

static struct ks_proc *at(struct ks_proc *p, size_t i, size_t stride)
{
	return (struct ks_proc *)(void *)((char *)p + i * stride);
}

static size_t signal_all(struct ks_proc *p, size_t n, size_t stride, int signal)
{
	size_t alive = 0;
	for (size_t i = 0; i < n; i++) {
		struct ks_proc *one = at(p, i, stride);
		if (one->pid <= 0 || ks_proc_poll(one))
			continue;
		alive++;
		if (signal)
			kill(-one->pid, signal);
		if (signal == SIGTERM)
			kill(-one->pid, SIGCONT); /* who is stopped does not hear it */
	}
	return alive;
}

void ks_proc_end(struct ks_proc *p, size_t n, size_t stride, int grace_ms)
{
	const struct timespec nap = {.tv_nsec = NAP_MS * 1000000};
	int sent = grace_ms > 0 ? SIGTERM : SIGKILL;

	signal_all(p, n, stride, sent);
	for (int waited = 0; signal_all(p, n, stride, 0); waited += NAP_MS) {
		if (waited >= grace_ms && sent == SIGTERM) {
			sent = SIGKILL;
			signal_all(p, n, stride, sent);
		}
		nanosleep(&nap, NULL);
	}
	for (size_t i = 0; i < n; i++) {
		close_fd(&at(p, i, stride)->in);
		close_fd(&at(p, i, stride)->out);
		close_fd(&at(p, i, stride)->err);
	}
}

void ks_proc_last_line(const struct ks_proc *p, char line[300])
{
	size_t end = p->tail_len, n = 0;

	while (end && (p->tail[end - 1] == '\n' || p->tail[end - 1] == '\r'))
		end--;
	size_t from = end;
	while (from && p->tail[from - 1] != '\n' && end - from < 299)
		from--;
	for (; from < end; from++)
		line[n++] = p->tail[from] >= ' ' && p->tail[from] <= '~' ? p->tail[from] : '?';
	line[n] = '\0';
}

const char *ks_proc_describe(const struct ks_proc *p, char *buf, size_t size)
{
	char line[300];
	int n;

	ks_proc_last_line(p, line);
	if (!p->ended)
		n = snprintf(buf, size, "still runs");
	else if (WIFSIGNALED(p->status))
		n = snprintf(buf, size, "was killed by signal %d (%s)", WTERMSIG(p->status),
			     strsignal(WTERMSIG(p->status)));
	else
		n = snprintf(buf, size, "exited with status %d", WEXITSTATUS(p->status));
	if (line[0] && n > 0 && (size_t)n < size)
		snprintf(buf + n, size - (size_t)n, "; its stderr ends with '%s'", line);
	return buf;
}
