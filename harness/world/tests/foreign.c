/* Foreign programs as they should not be, for the tests of `exec:`. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void nap(void)
{
	const struct timespec ts = {.tv_nsec = 1000000};
	nanosleep(&ts, NULL);
}

static void print_millis(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	printf("%lld\n", (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
	fflush(stdout);
}

/* A grandchild that nobody waits for: in a session of its own, deaf to SIGTERM, silent; "naked" drops its environment. */
static void leave_stray(char *self, const char *how)
{
	static char *const nothing[] = {NULL};
	char *const argv[] = {self, (char *)how, NULL};
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		if (fork() == 0) {
			for (int fd = 0; fd < 64; fd++)
				close(fd);
			if (!strcmp(how, "stray-naked"))
				execve(self, argv, nothing);
			else
				execv(self, argv);
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	char x[1000];

	memset(x, 'x', sizeof(x));
	if (!strcmp(how, "stubborn"))
		signal(SIGTERM, SIG_IGN);
	if (!strncmp(how, "stray", 5)) {
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	}
	if (!strcmp(how, "forks"))
		leave_stray(argv[0], "stray");
	if (!strcmp(how, "forks-naked"))
		leave_stray(argv[0], "stray-naked");
	if (!strcmp(how, "late"))
		poll(NULL, 0, 700);
	for (int i = 0;; i++) {
		if (!strcmp(how, "silent")) {
			pause();
		} else if (!strcmp(how, "flood")) {
			printf("%d\n", i);
		} else if (!strcmp(how, "endless")) {
			fwrite(x, 1, sizeof(x), stdout);
		} else if (!strcmp(how, "shuts")) {
			print_millis();
			if (i == 10) {
				close(1);
				for (;;)
					pause();
			}
		} else if (!strcmp(how, "brief")) {
			printf("a\n\nb\nwithout an end");
			return 0;
		} else if (!strcmp(how, "dies")) {
			printf("a\n");
			fprintf(stderr, "no database\n");
			return 3;
		} else if (!strcmp(how, "aborts")) {
			raise(SIGKILL);
		} else if (!strcmp(how, "garbage")) {
			fwrite("\xff\x00\x01\x80\n", 1, 5, stdout);
			fflush(stdout);
			nap();
		} else { /* stubborn, millis */
			print_millis();
			nap();
		}
	}
}
