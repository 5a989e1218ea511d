/* Foreign programs as they should not be, for the tests of `exec:`. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	char x[1000];

	memset(x, 'x', sizeof(x));
	if (!strcmp(how, "stubborn"))
		signal(SIGTERM, SIG_IGN);
	for (int i = 0;; i++) {
		if (!strcmp(how, "silent")) {
			pause();
		} else if (!strcmp(how, "flood")) {
			printf("%d\n", i);
		} else if (!strcmp(how, "endless")) {
			fwrite(x, 1, sizeof(x), stdout);
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
