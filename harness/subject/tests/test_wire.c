#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ks_test.h"
#include "ks_wire.h"

static unsigned char buf[KS_WIRE_MAX];

static int64_t in_ms(int ms)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec + (int64_t)ms * 1000000;
}

static void layout(void)
{
	CU_ASSERT_EQUAL(sizeof(struct ks_wire_header), 16);
	CU_ASSERT_EQUAL(sizeof(struct ks_wire_hello), 128);
	CU_ASSERT_EQUAL(sizeof(struct ks_wire_config), 184);
	CU_ASSERT_EQUAL(sizeof(struct ks_wire_clocks), 56);
	CU_ASSERT_EQUAL(sizeof(struct ks_wire_acted), 136);
	CU_ASSERT_EQUAL(sizeof(struct ks_wire_record), 72);
}

static void sum(void)
{
	CU_ASSERT_EQUAL(ks_wire_sum("abc", 3), 0xad770999); /* as its authors give it */
	CU_ASSERT_EQUAL(ks_wire_sum("", 0), 0x51d8e999);
	CU_ASSERT_EQUAL(ks_wire_sum(NULL, 0), 0x51d8e999);
}

static void frames_pass(void)
{
	int fd[2];
	uint32_t length = 99;

	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	CU_ASSERT_EQUAL(ks_wire_send(fd[1], KS_WIRE_ERROR, "hello", 5), 0);
	CU_ASSERT_EQUAL(ks_wire_send(fd[1], KS_WIRE_PING, NULL, 0), 0);
	close(fd[1]);
	CU_ASSERT_EQUAL(ks_wire_recv(fd[0], buf, &length, 0), KS_WIRE_ERROR);
	CU_ASSERT_EQUAL(length, 5);
	CU_ASSERT_EQUAL(memcmp(buf, "hello", 5), 0);
	CU_ASSERT_EQUAL(ks_wire_recv(fd[0], buf, &length, in_ms(1000)), KS_WIRE_PING);
	CU_ASSERT_EQUAL(length, 0);
	CU_ASSERT_EQUAL(ks_wire_recv(fd[0], buf, &length, 0), 0);
	close(fd[0]);
}

static void *send_big(void *arg)
{
	unsigned char *big = calloc(1, KS_WIRE_MAX);
	for (uint32_t i = 0; i < KS_WIRE_MAX; i++)
		big[i] = (unsigned char)(i * 31);
	CU_ASSERT_EQUAL(ks_wire_send(*(int *)arg, KS_WIRE_RECORDS, big, KS_WIRE_MAX), 0);
	free(big);
	return NULL;
}

/* Larger than a pipe, both ends not blocking: parts on both sides. */
static void frames_in_parts(void)
{
	int fd[2];
	uint32_t length = 0;
	pthread_t t;

	CU_ASSERT_EQUAL_FATAL(pipe2(fd, O_NONBLOCK), 0);
	pthread_create(&t, NULL, send_big, &fd[1]);
	CU_ASSERT_EQUAL(ks_wire_recv(fd[0], buf, &length, in_ms(30000)), KS_WIRE_RECORDS);
	CU_ASSERT_EQUAL(length, KS_WIRE_MAX);
	CU_ASSERT_EQUAL(buf[KS_WIRE_MAX - 1], (unsigned char)((KS_WIRE_MAX - 1) * 31));
	pthread_join(t, NULL);
	close(fd[0]);
	close(fd[1]);
}

static int recv_bytes(const void *bytes, size_t n, int *error)
{
	int fd[2];
	uint32_t length;

	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	CU_ASSERT_EQUAL(write(fd[1], bytes, n), (ssize_t)n);
	close(fd[1]);
	int type = ks_wire_recv(fd[0], buf, &length, 0);
	*error = errno;
	close(fd[0]);
	return type;
}

static void garbage_is_refused(void)
{
	struct {
		struct ks_wire_header h;
		char text[4];
	} good = {{KS_WIRE_MAGIC, KS_WIRE_ERROR, 4, ks_wire_sum("abcd", 4)}, "abcd"}, bad;
	int error;

	CU_ASSERT_EQUAL(recv_bytes(&good, sizeof(good), &error), KS_WIRE_ERROR);
	bad = good, bad.h.magic++;
	CU_ASSERT_EQUAL(recv_bytes(&bad, sizeof(bad), &error), -1);
	CU_ASSERT_EQUAL(error, EBADMSG);
	bad = good, bad.h.type = KS_WIRE_LAST + 1;
	CU_ASSERT_EQUAL(recv_bytes(&bad, sizeof(bad), &error), -1);
	bad = good, bad.h.length = KS_WIRE_MAX + 1;
	CU_ASSERT_EQUAL(recv_bytes(&bad, sizeof(bad), &error), -1);
	CU_ASSERT_EQUAL(error, EBADMSG);
	bad = good, bad.text[0] = 'x';
	CU_ASSERT_EQUAL(recv_bytes(&bad, sizeof(bad), &error), -1);
	CU_ASSERT_EQUAL(error, EBADMSG);
	for (size_t n = 1; n < sizeof(good); n++) {
		CU_ASSERT_EQUAL(recv_bytes(&good, n, &error), -1);
		CU_ASSERT_EQUAL(error, EBADMSG);
	}
}

static void silence_times_out(void)
{
	int fd[2];
	uint32_t length;

	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	CU_ASSERT_EQUAL(ks_wire_recv(fd[0], buf, &length, in_ms(5)), -1);
	CU_ASSERT_EQUAL(errno, ETIMEDOUT);
	CU_ASSERT_EQUAL(write(fd[1], "KSW1", 4), 4);
	CU_ASSERT_EQUAL(ks_wire_recv(fd[0], buf, &length, in_ms(5)), -1);
	CU_ASSERT_EQUAL(errno, ETIMEDOUT);
	CU_ASSERT_EQUAL(ks_wire_send(fd[1], KS_WIRE_PING, buf, KS_WIRE_MAX + 1), -1);
	CU_ASSERT_EQUAL(errno, EMSGSIZE);
	close(fd[0]);
	close(fd[1]);
}

static void rx_byte_by_byte(void)
{
	struct ks_wire_rx rx = {.buf = malloc(KS_WIRE_RX_BYTES)};
	struct {
		struct ks_wire_header h;
		char text[4];
	} frame = {{KS_WIRE_MAGIC, KS_WIRE_ERROR, 4, ks_wire_sum("abcd", 4)}, "abcd"};
	const void *payload;
	uint32_t length;
	int fd[2];

	CU_ASSERT_EQUAL_FATAL(pipe2(fd, O_NONBLOCK), 0);
	CU_ASSERT_EQUAL(ks_wire_rx_fill(&rx, fd[0]), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(frame); i++) {
			CU_ASSERT_EQUAL(write(fd[1], (char *)&frame + i, 1), 1);
			CU_ASSERT_EQUAL(ks_wire_rx_fill(&rx, fd[0]), 1);
			int type = ks_wire_rx_take(&rx, &payload, &length);
			CU_ASSERT_EQUAL(type, i + 1 == sizeof(frame) ? KS_WIRE_ERROR : 0);
		}
	CU_ASSERT_EQUAL(length, 4);
	close(fd[1]);
	CU_ASSERT_EQUAL(ks_wire_rx_fill(&rx, fd[0]), 0);
	close(fd[0]);
	free(rx.buf);
}

int main(void)
{
	static const struct ks_test tests[] = {
	    {"layout", layout},
	    {"sum", sum},
	    {"frames pass", frames_pass},
	    {"frames in parts", frames_in_parts},
	    {"garbage is refused", garbage_is_refused},
	    {"silence times out", silence_times_out},
	    {"rx byte by byte", rx_byte_by_byte},
	    {NULL, NULL},
	};
	return ks_test_main("wire", tests);
}
