#include "agent_act.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* linux/random.h, which the C library of the agent does not bring. */
#define ADD_ENTROPY _IOW('R', 0x03, int[2])
#define RESEED _IO('R', 0x07)

struct entropy {
	int bits, bytes;
	unsigned char byte[KS_WIRE_STIR_MAX];
};

int ks_agent_stir(const void *random, size_t size)
{
	struct entropy e = {.bits = (int)(8 * size), .bytes = (int)size};
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno;
	memcpy(e.byte, random, size);
	int error = ioctl(fd, ADD_ENTROPY, &e) == 0 && ioctl(fd, RESEED) == 0 ? 0 : errno;
	close(fd);
	return error;
}
