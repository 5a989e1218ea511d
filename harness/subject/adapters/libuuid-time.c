/* A foreign program for `exec:`: prints time UUIDs of libuuid (util-linux), one a line, about 1000 a second. Nothing in
 * it knows of keyskew. */
#include <stdio.h>
#include <time.h>
#include <uuid/uuid.h>

int main(void)
{
	const struct timespec gap = {.tv_nsec = 1000000};
	uuid_t id;
	char text[UUID_STR_LEN];

	for (;;) {
		uuid_generate_time(id);
		uuid_unparse_lower(id, text);
		puts(text);
		if (fflush(stdout) != 0)
			return 1;
		nanosleep(&gap, NULL);
	}
}
