/* The host of generators under frames that are well formed and whose contents are not: whatever comes, in whatever turn, it answers,
 * refuses or ends, and in time. Bounded, and the same each time; KEYSKEW_TEST_LONG=1 takes more of them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ks_subject.h"
#include "ks_test.h"
#include "ks_time.h"

#define EXCHANGES 1000
#define FRAMES_MAX 8  /* of an exchange */
#define LIMIT_S 20    /* of an exchange, on a machine that is busy with other things */
#define PLAIN_MAX 512 /* bytes of a payload that means nothing */

static uint64_t state;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static void act(const struct ks_wire_act *a, struct ks_wire_acted *acted)
{
	*acted = (struct ks_wire_acted){.kind = a->kind, .error = ENOSYS};
}

static int stir(const void *random, size_t size)
{
	return size && ((const char *)random)[0] ? 0 : EPERM;
}

/* A good one, of a generator that there may not be. */
static size_t plausible(uint32_t type, unsigned char *payload)
{
	static const char *const generators[] = {"counter", "snowflake:node_bits=8", "ksuid", "nosuch", "snowflake:node_bits=99", ""};
	struct ks_wire_config c = {.threads = 1 + (uint32_t)draw(3), .lanes_of_node = 4, .seed = draw(9), .duration_ns = 5 * KS_MS,
	                           .rate_count = 1 + (int64_t)draw(100), .rate_per_ns = KS_MS, .user_low = 1, .user_high = 9, .depth_high = 3};
	struct ks_wire_start s = {.start_raw_ns = (int64_t)draw(2)};
	struct ks_wire_act a = {.kind = (uint32_t)draw(17), .amount = (int64_t)draw(1000)};
	struct ks_wire_registry r = {.number = (uint32_t)draw(3), .what = (uint32_t)draw(4), .answer = (uint32_t)draw(4)};
	const char *text = generators[draw(sizeof(generators) / sizeof(*generators))];

	switch (type) {
	case KS_WIRE_CONFIG:
		memcpy(payload, &c, sizeof(c));
		strcpy((char *)payload + sizeof(c), text);
		return sizeof(c) + strlen(text) + 1;
	case KS_WIRE_START:
		memcpy(payload, &s, sizeof(s));
		return sizeof(s);
	case KS_WIRE_ACT:
		memcpy(payload, &a, sizeof(a));
		return sizeof(a);
	case KS_WIRE_TOLD:
		memcpy(payload, &r, sizeof(r));
		return sizeof(r);
	default:
		return 0;
	}
}

static size_t make(uint32_t type, unsigned char *payload)
{
	size_t n = plausible(type, payload);

	if (draw(4) == 0 || n == 0)
		for (n = draw(PLAIN_MAX); n && draw(3); n--)
			payload[n - 1] = (unsigned char)draw(256);
	for (uint64_t flips = draw(3) ? 0 : draw(4); n && flips; flips--)
		payload[draw(n)] ^= (unsigned char)(1 << draw(8));
	return draw(8) ? n : n / 2;
}

/* In turn most of the time: else nothing would ever run. No FORK: it needs a line of its own, and another process. */
static uint32_t next_type(int i)
{
	static const uint32_t in_turn[] = {KS_WIRE_WAKE, KS_WIRE_CONFIG, KS_WIRE_START, KS_WIRE_PING, KS_WIRE_ACT, KS_WIRE_TOLD, KS_WIRE_HALT, KS_WIRE_QUIT};
	uint32_t type = draw(4) ? in_turn[i] : 1 + (uint32_t)draw(KS_WIRE_LAST);

	return type == KS_WIRE_FORK ? KS_WIRE_PING : type;
}

static void talk(int fd)
{
	static unsigned char payload[4096];

	for (int i = 0; i < FRAMES_MAX; i++) {
		uint32_t type = next_type(i);
		size_t n = make(type, payload);
		if (ks_wire_send(fd, type, payload, (uint32_t)n) != 0)
			return;
		if (draw(50) == 0 && write(fd, payload, draw(40)) < 0)
			return;
	}
	shutdown(fd, SHUT_WR);
}

static int heard[KS_WIRE_LAST + 1]; /* of all exchanges, by type */

/* Reads all that the host says: all of it must be frames. @return how many. */
static int listen_to(int fd)
{
	static unsigned char buf[KS_WIRE_MAX];
	uint32_t length;
	int n = 0, type;

	for (; (type = ks_wire_recv(fd, buf, &length, 0)) > 0; n++)
		heard[type]++;
	CU_ASSERT(type == 0 || errno != EBADMSG);
	return n;
}

static void become_host(int fd)
{
	const struct ks_subject_hooks hooks = {.state_dir = "/nonexistent", .record_bytes = 16 << 20, .act = act, .stir = stir, .registry = true};

	alarm(LIMIT_S);
	_exit(ks_subject_main(fd, fd, &hooks));
}

static void exchange(uint64_t number)
{
	int fd[2], status;

	state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(fd[0]);
		become_host(fd[1]);
	}
	CU_ASSERT_FATAL(pid > 0);
	close(fd[1]);
	talk(fd[0]);
	CU_ASSERT(listen_to(fd[0]) >= 1); /* HELLO at the least */
	close(fd[0]);
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	bool good = WIFEXITED(status) && WEXITSTATUS(status) <= 1;
	CU_ASSERT_TRUE(good);
	if (!good)
		fprintf(stderr, "exchange %llu: status %#x\n", (unsigned long long)number, (unsigned)status);
}

static void test_exchanges(void)
{
	const char *longer = getenv("KEYSKEW_TEST_LONG");
	uint64_t n = longer && !strcmp(longer, "1") ? 20 * EXCHANGES : EXCHANGES;

	signal(SIGPIPE, SIG_IGN);
	for (uint64_t i = 0; i < n; i++)
		exchange(i);
	/* and they got somewhere */
	CU_ASSERT(heard[KS_WIRE_READY] > EXCHANGES / 10);
	CU_ASSERT(heard[KS_WIRE_ERROR] > EXCHANGES / 10);
	CU_ASSERT(heard[KS_WIRE_DONE] > 0); /* whether there was time for a call is the machine's */
	fprintf(stderr, "%d ready, %d errors, %d frames of records, %d done, %d acted\n", heard[KS_WIRE_READY], heard[KS_WIRE_ERROR],
		heard[KS_WIRE_RECORDS], heard[KS_WIRE_DONE], heard[KS_WIRE_ACTED]);
}

int main(void)
{
	static const struct ks_test tests[] = {{"exchanges", test_exchanges}, {NULL, NULL}};
	return ks_test_main("frames", tests);
}
