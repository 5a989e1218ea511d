/* An id generator for keyskew: it is told `next`, asks for the clock, and answers with a key. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	long long node = argc > 1 ? atoll(argv[1]) : 0, last = 0, seq = 0;
	char line[64];
	setvbuf(stdout, NULL, _IOLBF, 0); /* each line goes out at once */
	while (fgets(line, sizeof line, stdin)) {
		puts("clock wall"); /* in a real world clock_gettime would do */
		long long ms = fgets(line, sizeof line, stdin) ? atoll(line) / 1000000 : 0;
		if (ms < last || (ms == last && seq == 4095)) {
			puts(ms < last ? "refuse the clock went back" : "refuse the sequence is used up");
			continue;
		}
		seq = ms == last ? seq + 1 : 0;
		last = ms;
		printf("key %lld\n", (ms - 1288834974657) << 22 | node << 12 | seq);
	}
}
