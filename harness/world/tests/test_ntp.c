/* The time server of guests: its line and moves, its answers byte by byte, and over a socket. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ks_qemu.h"
#include "ks_test.h"
#include "ks_time.h"
#include "ntp.h"

#define UNIX INT64_C(1768471200000000000) /* 2026-01-15T10:00:00Z */

static void test_line(void)
{
	struct ks_ntp_time t = {.unix_ns = UNIX, .at_raw_ns = 5 * KS_SEC, .move = {{7 * KS_SEC, -500 * KS_MS}, {8 * KS_SEC, 20 * KS_MS}}, .moves = 2};

	CU_ASSERT_EQUAL(ks_ntp_now(&t, 4 * KS_SEC), UNIX - KS_SEC);
	CU_ASSERT_EQUAL(ks_ntp_now(&t, 7 * KS_SEC - 1), UNIX + 2 * KS_SEC - 1);
	CU_ASSERT_EQUAL(ks_ntp_now(&t, 7 * KS_SEC), UNIX + 1500 * KS_MS);
	CU_ASSERT_EQUAL(ks_ntp_now(&t, 8 * KS_SEC), UNIX + 2520 * KS_MS);
}

static uint64_t get64(const unsigned char *p)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static void test_answer(void)
{
	unsigned char q[48] = {4 << 3 | 3, 0, 6}, a[48];

	memcpy(q + 40, "whenAsks", 8);
	CU_ASSERT_EQUAL_FATAL(ks_ntp_answer(q, 48, UNIX + KS_SEC / 4, UNIX + KS_SEC / 2, a), 48);
	CU_ASSERT_EQUAL(a[0], 4 << 3 | 4); /* no leap second, version 4, server */
	CU_ASSERT_TRUE(a[1] == 1 && a[2] == 6);
	CU_ASSERT_EQUAL(memcmp(a + 24, "whenAsks", 8), 0);
	/* seconds from 1900 to 1970, then those of UNIX */
	CU_ASSERT_EQUAL(get64(a + 32), (UINT64_C(2208988800) + 1768471200) << 32 | 0x40000000);
	CU_ASSERT_EQUAL(get64(a + 40), (UINT64_C(2208988800) + 1768471200) << 32 | 0x80000000);
	CU_ASSERT_EQUAL_FATAL(ks_ntp_answer(q, 48, -KS_SEC / 4, 0, a), 48); /* a quarter before 1970 */
	CU_ASSERT_EQUAL(get64(a + 32), UINT64_C(2208988799) << 32 | 0xc0000000);
	CU_ASSERT_EQUAL(ks_ntp_answer(q, 47, UNIX, UNIX, a), 0);
	q[0] = 4 << 3 | 4; /* an answer, no question */
	CU_ASSERT_EQUAL(ks_ntp_answer(q, 48, UNIX, UNIX, a), 0);
	q[0] = 7 << 3 | 3;
	CU_ASSERT_EQUAL(ks_ntp_answer(q, 48, UNIX, UNIX, a), 0);
}

static void test_socket(void)
{
	struct ks_err err;
	struct ks_ntp *s = ks_ntp_open(&err);
	struct timeval patience = {.tv_sec = 5}, moment = {.tv_usec = 100000};
	unsigned char q[48] = {4 << 3 | 3}, a[64];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ks_ntp_port(s)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment));
	CU_ASSERT_EQUAL(send(fd, q, sizeof(q), 0), 48);
	CU_ASSERT_EQUAL(recv(fd, a, sizeof(a), 0), -1); /* it was not told the time */
	ks_ntp_tell(s, &(struct ks_ntp_time){.unix_ns = UNIX, .at_raw_ns = ks_host_raw_ns()});
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	CU_ASSERT_EQUAL(send(fd, q, sizeof(q), 0), 48);
	CU_ASSERT_EQUAL(recv(fd, a, sizeof(a), 0), 48);
	CU_ASSERT_TRUE((get64(a + 40) >> 32) - (UINT64_C(2208988800) + 1768471200) < 60);
	for (int i = 0; i < 5000 && !ks_ntp_answers(s); i++) /* counted when it was sent: we may have it before that */
		usleep(1000);
	CU_ASSERT_EQUAL(ks_ntp_answers(s), 1);
	close(fd);
	ks_ntp_close(s);
}

int main(void)
{
	static const struct ks_test tests[] = {{"line and moves", test_line}, {"answer", test_answer}, {"socket", test_socket}, {NULL, NULL}};
	return ks_test_main("ntp", tests);
}
