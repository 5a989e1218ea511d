/* Feeds the wire's fuzz target: a stream of good frames, and it with every byte and every length changed. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ks_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t make_stream(uint8_t *stream, size_t room)
{
	struct ks_wire_clocks clocks = {.raw_ns = 1, .raw_after_ns = 2};
	int fd[2];

	if (pipe(fd) != 0 || ks_wire_send(fd[1], KS_WIRE_PING, NULL, 0) != 0 ||
	    ks_wire_send(fd[1], KS_WIRE_CLOCKS, &clocks, sizeof(clocks)) != 0 ||
	    ks_wire_send(fd[1], KS_WIRE_ERROR, "no", 2) != 0)
		return 0;
	close(fd[1]);
	ssize_t n = read(fd[0], stream, room);
	close(fd[0]);
	return n > 0 ? (size_t)n : 0;
}

int main(void)
{
	uint8_t good[256], bad[256];
	size_t n = make_stream(good, sizeof(good));

	for (size_t at = 0; at < n; at++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(bad, good, n);
			bad[at] ^= (uint8_t)(1 << bit);
			LLVMFuzzerTestOneInput(bad, n);
		}
	for (size_t len = 0; len <= n; len++)
		LLVMFuzzerTestOneInput(good, len);
	printf("%zu bytes of frames, every bit and every length\n", n);
	return n ? 0 : 1;
}
