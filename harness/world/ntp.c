#include "ntp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_qemu.h"
#include "ks_time.h"

#define UNIX_TO_NTP INT64_C(2208988800) /* s from 1900 to 1970 */
#define PACKET 48
enum { CLIENT = 3, SERVER = 4 };

struct ks_ntp {
	int fd, end; /* end: an eventfd */
	uint16_t port;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* of time and told */
	struct ks_ntp_time time;
	bool told;
	_Atomic uint64_t answers;
};

int64_t ks_ntp_now(const struct ks_ntp_time *t, int64_t raw_ns)
{
	int64_t now = t->unix_ns + (raw_ns - t->at_raw_ns);

	for (int i = 0; i < t->moves; i++)
		now += raw_ns >= t->move[i].at_raw_ns ? t->move[i].by_ns : 0;
	return now;
}

static void put32(unsigned char *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* Seconds since 1900, modulo 2^32, and their binary fraction. */
static void put_time(unsigned char *to, int64_t unix_ns)
{
	int64_t s = unix_ns / KS_SEC - (unix_ns % KS_SEC < 0), ns = unix_ns - s * KS_SEC;

	put32(to, (uint32_t)(s + UNIX_TO_NTP));
	put32(to + 4, (uint32_t)(((uint64_t)ns << 32) / (uint64_t)KS_SEC));
}

int ks_ntp_answer(const unsigned char *q, int n, int64_t came_ns, int64_t goes_ns, unsigned char a[PACKET])
{
	int version = n >= PACKET ? q[0] >> 3 & 7 : 0;

	if (n < PACKET || (q[0] & 7) != CLIENT || version < 1 || version > 4)
		return 0;
	memset(a, 0, PACKET);
	a[0] = (unsigned char)(version << 3 | SERVER);
	a[1] = 1; /* stratum */
	a[2] = q[2];
	a[3] = (unsigned char)-20; /* precision: about a us */
	put32(a + 8, 7);           /* dispersion: 0.1 ms */
	memcpy(a + 12, "LAB", 3);
	put_time(a + 16, came_ns - KS_SEC); /* when it was last set */
	memcpy(a + 24, q + 40, 8);
	put_time(a + 32, came_ns);
	put_time(a + 40, goes_ns);
	return PACKET;
}

static void serve(struct ks_ntp *s)
{
	unsigned char question[512], answer[PACKET];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n = recvfrom(s->fd, question, sizeof(question), MSG_DONTWAIT, (struct sockaddr *)&from, &size);
	int64_t came = ks_host_raw_ns();

	pthread_mutex_lock(&s->lock);
	struct ks_ntp_time time = s->time;
	bool told = s->told;
	pthread_mutex_unlock(&s->lock);
	if (n <= 0 || !told)
		return;
	/* both at one line of moves: a question that crosses one is answered as it came */
	int64_t date = ks_ntp_now(&time, came);
	int len = ks_ntp_answer(question, (int)n, date, date + (ks_host_raw_ns() - came), answer);
	if (len && sendto(s->fd, answer, (size_t)len, MSG_DONTWAIT, (struct sockaddr *)&from, size) == len)
		atomic_fetch_add(&s->answers, 1);
}

static void *run(void *ntp)
{
	struct ks_ntp *s = ntp;

	for (;;) {
		struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = s->end, .events = POLLIN}};
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[1].revents)
			return NULL;
		if (p[0].revents)
			serve(s);
	}
}

struct ks_ntp *ks_ntp_open(struct ks_err *err)
{
	struct ks_ntp *s = ks_alloc(1, sizeof(*s));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(a);

	if (!s) {
		ks_fail(err, KS_E_INTERNAL, "out of memory");
		return NULL;
	}
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	s->end = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&s->lock, NULL);
	if (s->fd >= 0 && s->end >= 0 && bind(s->fd, (struct sockaddr *)&a, size) == 0 && getsockname(s->fd, (struct sockaddr *)&a, &size) == 0) {
		s->port = ntohs(a.sin_port);
		s->running = pthread_create(&s->thread, NULL, run, s) == 0;
	}
	if (s->running)
		return s;
	ks_fail(err, KS_E_INTERNAL, "cannot open a port for a time server: %s", strerror(errno));
	ks_ntp_close(s);
	return NULL;
}

uint16_t ks_ntp_port(const struct ks_ntp *s)
{
	return s->port;
}

void ks_ntp_tell(struct ks_ntp *s, const struct ks_ntp_time *time)
{
	pthread_mutex_lock(&s->lock);
	s->time = *time;
	s->told = true;
	pthread_mutex_unlock(&s->lock);
}

uint64_t ks_ntp_answers(const struct ks_ntp *s)
{
	return atomic_load(&s->answers);
}

void ks_ntp_close(struct ks_ntp *s)
{
	if (!s)
		return;
	if (s->running && eventfd_write(s->end, 1) == 0)
		pthread_join(s->thread, NULL);
	if (s->fd >= 0)
		close(s->fd);
	if (s->end >= 0)
		close(s->end);
	pthread_mutex_destroy(&s->lock);
	ks_free(s);
}
