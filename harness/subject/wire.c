#include "ks_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire is little endian and so must be the machine, or the structs need swapping"
#endif

/* 64 bits at a time: in a guest whose processor is emulated, a CRC took longer than all else about a record. */
uint32_t ks_wire_sum(const void *bytes, uint32_t n)
{
	return (uint32_t)XXH64(bytes, n, 0);
}

int ks_wire_check(const struct ks_wire_header *header)
{
	if (header->magic != KS_WIRE_MAGIC || header->type < KS_WIRE_HELLO || header->type > KS_WIRE_LAST ||
	    header->length > KS_WIRE_MAX)
		return -1;
	return 0;
}

/* Waits until fd is ready. @return 0, or -1 with errno (ETIMEDOUT). */
static int wait_fd(int fd, short events, int64_t deadline_ns)
{
	for (;;) {
		int timeout_ms = -1;
		if (deadline_ns) {
			struct timespec ts;
			clock_gettime(CLOCK_MONOTONIC, &ts);
			int64_t left = deadline_ns - ((int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
			if (left <= 0) {
				errno = ETIMEDOUT;
				return -1;
			}
			timeout_ms = left > INT64_C(60000000000) ? 60000 : (int)((left + 999999) / 1000000);
		}
		struct pollfd p = {.fd = fd, .events = events};
		int n = poll(&p, 1, timeout_ms);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -1;
	}
}

static int write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n) {
		ssize_t k = write(fd, p, n);
		if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (errno == EAGAIN && wait_fd(fd, POLLOUT, 0) != 0)
				return -1;
			continue;
		}
		if (k < 0)
			return -1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int ks_wire_send(int fd, uint32_t type, const void *payload, uint32_t length)
{
	struct ks_wire_header h = {.magic = KS_WIRE_MAGIC, .type = type, .length = length};

	if (ks_wire_check(&h) != 0) {
		errno = EMSGSIZE;
		return -1;
	}
	h.sum = ks_wire_sum(payload, length);
	if (write_all(fd, &h, sizeof(h)) != 0)
		return -1;
	return write_all(fd, payload, length);
}

/* @return 1, 0 when the stream ends before the first byte, or -1 with errno: EBADMSG when it ends inside. */
static int read_all(int fd, void *bytes, size_t n, int64_t deadline_ns)
{
	char *p = bytes;
	size_t got = 0;

	while (got < n) {
		if (deadline_ns && wait_fd(fd, POLLIN, deadline_ns) != 0)
			return -1;
		ssize_t k = read(fd, p + got, n - got);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN) {
			if (wait_fd(fd, POLLIN, deadline_ns) != 0)
				return -1;
			continue;
		}
		if (k < 0)
			return -1;
		if (k == 0) {
			errno = EBADMSG;
			return got ? -1 : 0;
		}
		got += (size_t)k;
	}
	return 1;
}

int ks_wire_recv(int fd, void *buf, uint32_t *length, int64_t deadline_ns)
{
	struct ks_wire_header h;
	int got = read_all(fd, &h, sizeof(h), deadline_ns);

	if (got <= 0)
		return got;
	if (ks_wire_check(&h) != 0) {
		errno = EBADMSG;
		return -1;
	}
	if (h.length) {
		got = read_all(fd, buf, h.length, deadline_ns);
		if (got == 0)
			errno = EBADMSG;
		if (got <= 0)
			return -1;
	}
	if (ks_wire_sum(buf, h.length) != h.sum) {
		errno = EBADMSG;
		return -1;
	}
	*length = h.length;
	return (int)h.type;
}

int ks_wire_rx_fill(struct ks_wire_rx *rx, int fd)
{
	ssize_t n;

	if (rx->from) { /* so that the longest frame fits behind what is left */
		memmove(rx->buf, rx->buf + rx->from, rx->to - rx->from);
		rx->to -= rx->from;
		rx->from = 0;
	}
	do
		n = read(fd, rx->buf + rx->to, KS_WIRE_RX_BYTES - rx->to);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return (int)n;
	rx->to += (uint32_t)n;
	return 1;
}

int ks_wire_rx_take(struct ks_wire_rx *rx, const void **payload, uint32_t *length)
{
	struct ks_wire_header h;

	if (rx->to - rx->from < sizeof(h))
		return 0;
	memcpy(&h, rx->buf + rx->from, sizeof(h));
	if (ks_wire_check(&h) != 0)
		return -1;
	if (rx->to - rx->from - sizeof(h) < h.length)
		return 0;
	*payload = rx->buf + rx->from + sizeof(h);
	*length = h.length;
	rx->from += (uint32_t)(sizeof(h) + h.length);
	return ks_wire_sum(*payload, h.length) == h.sum ? (int)h.type : -1;
}
