/* keyskew-subject: hosts a built-in generator in a process of its own. Started by `keyskew run`, which speaks to it
 * over file descriptors 0 and 1; not meant to be called by people.
 *
 *   keyskew-subject STATE_DIR AREA    STATE_DIR: where generators persist what must outlive the process
 *                                     AREA: a file of ks_area.h, in which it notes what it does */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ks_subject.h"

/* libfaketime keeps two objects a process and forgets them when the process does not return from main. */
static char leftover[2][64];

static void forget_faketime(void)
{
	static const char *const name[2] = {"sem.faketime_sem", "faketime_shm"};

	for (int i = 0; i < 2; i++)
		snprintf(leftover[i], sizeof(leftover[i]), "/dev/shm/%s_%ld", name[i], (long)getpid());
}

/* The generator's threads may be anywhere, so nothing is torn down but what would outlive the process. */
static void end(int status)
{
	unlink(leftover[0]);
	unlink(leftover[1]);
	_exit(status);
}

static void on_term(int signal)
{
	end(128 + signal);
}

/* Calls should begin when they are due and not when a compiler beside lets go of the CPU. Only root may ask for that;
 * without it calls are later on a busy machine, and the records say so. */
static void ask_for_cpu(void)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		ssize_t n = write(fd, "-10", 3);
		(void)n;
		close(fd);
	}
	setpriority(PRIO_PROCESS, 0, -10);
}

int main(int argc, char **argv)
{
	struct stat st;

	if (argc != 3 || stat(argv[1], &st) != 0 || !S_ISDIR(st.st_mode) || isatty(STDIN_FILENO)) {
		fprintf(stderr, "usage: keyskew-subject STATE_DIR AREA, with the wire of keyskew on 0 and 1\n");
		return 2;
	}
	int area = open(argv[2], O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (area < 0) {
		fprintf(stderr, "keyskew-subject: cannot open '%s': %m\n", argv[2]);
		return 2;
	}
	forget_faketime();
	ask_for_cpu();
	signal(SIGTERM, on_term);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* end of file says so too, unless this thread is stuck */
	struct ks_subject_hooks hooks = {.state_dir = argv[1], .area_fd = area};
	end(ks_subject_main(STDIN_FILENO, STDOUT_FILENO, &hooks));
}
