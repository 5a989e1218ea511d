/* Fuzz target of both receivers of the wire: whatever comes in, they end in a frame or in a refusal, and agree. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ks_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Frames that the waiting receiver takes, until it refuses. A pipe holds 64 KiB without a reader. */
static int frames_by_recv(const uint8_t *data, size_t size, unsigned char *buf)
{
	int fd[2], n = 0;
	uint32_t length;

	if (pipe(fd) != 0 || write(fd[1], data, size) != (ssize_t)size)
		abort();
	close(fd[1]);
	while (ks_wire_recv(fd[0], buf, &length, 0) > 0) {
		if (length > KS_WIRE_MAX)
			abort();
		n++;
	}
	close(fd[0]);
	return n;
}

static int frames_by_rx(const uint8_t *data, size_t size, struct ks_wire_rx *rx)
{
	const void *payload;
	uint32_t length;
	int fd[2], n = 0, type = 0;

	if (pipe2(fd, O_NONBLOCK) != 0)
		abort();
	rx->from = rx->to = 0;
	for (size_t at = 0, part = 1; at < size && type >= 0; at += part, part = part * 3 + 1) {
		part = part < size - at ? part : size - at;
		if (write(fd[1], data + at, part) != (ssize_t)part || ks_wire_rx_fill(rx, fd[0]) != 1)
			abort();
		while ((type = ks_wire_rx_take(rx, &payload, &length)) > 0) {
			if (length > KS_WIRE_MAX || ks_wire_sum(payload, length) > UINT32_MAX)
				abort();
			n++;
		}
	}
	close(fd[0]);
	close(fd[1]);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ks_wire_rx rx;
	static unsigned char *buf;

	if (!buf) {
		buf = malloc(KS_WIRE_MAX);
		rx.buf = malloc(KS_WIRE_RX_BYTES);
		if (!buf || !rx.buf)
			abort();
	}
	if (size > 65536)
		return 0;
	if (frames_by_recv(data, size, buf) != frames_by_rx(data, size, &rx))
		abort();
	return 0;
}
