/* The exchange with the harness: frames come in, and each is answered, or handed to what it is about. */
#include "host.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CLOCK_TRIES 5

int ks_subject_answer(struct host *h, uint32_t type, const void *payload, uint32_t length)
{
	pthread_mutex_lock(&h->sending);
	int status = ks_wire_send(h->out, type, payload, length);
	pthread_mutex_unlock(&h->sending);
	return status == 0 ? GO_ON : FAILED;
}

int ks_subject_fail(struct host *h, const char *text)
{
	ks_subject_answer(h, KS_WIRE_ERROR, text, (uint32_t)strlen(text));
	return FAILED;
}

void ks_subject_look(struct ks_wire_clocks *clocks)
{
	clocks->raw_ns = ks_true_ns();
	for (int id = 0; id < KS_NCLOCKS; id++) {
		struct timespec ts;
		clock_gettime(ks_posix_clocks[id], &ts);
		clocks->clock_ns[id] = (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
	}
	clocks->raw_after_ns = ks_true_ns();
}

void ks_subject_clocks(struct ks_wire_clocks *clocks)
{
	for (int i = 0; i < CLOCK_TRIES; i++) {
		struct ks_wire_clocks c;
		ks_subject_look(&c);
		if (i == 0 || c.raw_after_ns - c.raw_ns < clocks->raw_after_ns - clocks->raw_ns)
			*clocks = c;
	}
}

int ks_subject_say_hello(struct host *h)
{
	struct ks_wire_hello hello = {.version = KS_WIRE_VERSION, .record_size = sizeof(struct ks_wire_record)};
	struct utsname u;

	if (h->hooks->system) {
		snprintf(hello.system, sizeof(hello.system), "%s", h->hooks->system);
	} else {
		uname(&u);
		snprintf(hello.system, sizeof(hello.system), "linux %.100s", u.release);
	}
	return ks_subject_answer(h, KS_WIRE_HELLO, &hello, sizeof(hello));
}

static int start(struct host *h, uint32_t length)
{
	struct ks_wire_start s;

	if (length != sizeof(s))
		return ks_subject_fail(h, "the start has the wrong size");
	memcpy(&s, h->frame, sizeof(s));
	pthread_mutex_lock(&h->crew.gate);
	h->crew.start_ns = s.start_raw_ns;
	h->crew.open = true;
	pthread_cond_broadcast(&h->crew.opened);
	pthread_mutex_unlock(&h->crew.gate);
	h->phase = RUNNING;
	return GO_ON;
}

/* @return GO_ON when the run is not at its end yet; *wait_ms: how long to wait at most before the next look. */
static int look(struct host *h, int *wait_ms)
{
	*wait_ms = -1;
	if (atomic_load(&h->failure.told))
		return ks_subject_fail(h, h->failure.text);
	if (h->phase != RUNNING)
		return GO_ON;
	if (h->crew.full)
		return ks_subject_fail(h, "a thread made more calls than there is room for records");
	uint32_t through = 0;
	for (uint32_t i = 0; i < h->lanes; i++)
		through += h->lane[i].area->through;
	int64_t left = h->crew.start_ns + h->crew.duration_ns + KS_DRAIN_NS - ks_true_ns();
	if (through == h->lanes || left <= 0)
		return ks_subject_finish(h);
	*wait_ms = left < KS_MIN ? (int)(left / KS_MS) + 1 : 60000;
	return GO_ON;
}

static int act(struct host *h, uint32_t length)
{
	struct ks_wire_act a;
	struct ks_wire_acted acted = {0};

	if (!h->hooks->act)
		return ks_subject_fail(h, "this host cannot act on its clock");
	if (length != sizeof(a))
		return ks_subject_fail(h, "the act has the wrong size");
	memcpy(&a, h->frame, sizeof(a));
	if (ks_subject_is_of_lanes(a.kind)) {
		acted.kind = a.kind;
		acted.error = ks_subject_act_on_lanes(h, &a, &acted);
	} else {
		h->hooks->act(&a, &acted);
	}
	if (a.kind == KS_ACT_BORN)
		atomic_store(&h->crew.born_ns, (a.until ? a.until : ks_true_ns()) - h->crew.start_ns);
	if (a.kind == KS_ACT_TRUE || a.kind == KS_ACT_BORN)
		ks_subject_let_go(h);
	if (a.kind == KS_ACT_TRUE || a.kind == KS_ACT_S3 || a.kind == KS_ACT_BORN)
		ks_subject_wake_lanes(h);
	int status = ks_subject_answer(h, KS_WIRE_ACTED, &acted, sizeof(acted));
	return status == GO_ON && a.kind == KS_ACT_END && !acted.error ? ks_subject_finish(h) : status;
}

/* A clone has the random state of the machine that it was copied from, until it is given bytes of its own. */
static int wake(struct host *h, uint32_t length)
{
	if (!h->hooks->stir)
		return ks_subject_fail(h, "this host is on no machine that could be cloned");
	if (length > KS_WIRE_STIR_MAX)
		return ks_subject_fail(h, "too many bytes for the random source");
	if (length && h->hooks->stir(h->frame, length) != 0)
		return ks_subject_fail(h, "the random source cannot be stirred");
	return ks_subject_say_hello(h);
}

static int skip(struct host *h, uint32_t length)
{
	uint64_t n;

	if (h->phase != CONFIGURED || length != h->lanes * sizeof(n))
		return ks_subject_fail(h, "arrivals to skip that fit no threads");
	for (uint32_t i = 0; i < h->lanes; i++) {
		memcpy(&n, h->frame + i * sizeof(n), sizeof(n));
		if (n > h->lane[i].cap)
			return ks_subject_fail(h, "more arrivals to skip than there are");
		h->lane[i].area->skip = n;
	}
	return GO_ON;
}

/* While no lane is inside of a call. */
static int count_calls(struct host *h, uint32_t length)
{
	uint64_t caller, next;

	if (h->phase != RUNNING || !atomic_load(&h->crew.held) || length != (1 + h->lanes) * sizeof(next))
		return ks_subject_fail(h, "numbers of calls out of turn");
	memcpy(&caller, h->frame, sizeof(caller));
	for (uint32_t i = 0; i < h->lanes; i++) {
		memcpy(&next, h->frame + (1 + i) * sizeof(next), sizeof(next));
		h->lane[i].env.caller = caller + i;
		h->lane[i].ahead = next - atomic_load(&h->lane[i].area->state) / 4;
	}
	return GO_ON;
}

/* What only some hosts know. */
static int take(struct host *h, uint32_t type, uint32_t length)
{
	if (!h->hooks->take || h->phase != NEW)
		return ks_subject_fail(h, "a frame out of turn");
	const char *why = h->hooks->take(type, h->frame, length);
	return why ? ks_subject_fail(h, why) : GO_ON;
}

static int serve(struct host *h)
{
	uint32_t length = 0;
	struct ks_wire_clocks clocks;
	int type = ks_wire_recv(h->in, h->frame, &length, 0);

	switch (type) {
	case 0:
	case KS_WIRE_QUIT:
		return OVER;
	case KS_WIRE_PING:
		ks_subject_clocks(&clocks);
		return ks_subject_answer(h, KS_WIRE_CLOCKS, &clocks, sizeof(clocks));
	case KS_WIRE_ACT:
		return act(h, length);
	case KS_WIRE_TOLD:
		return ks_subject_take_told(h, length);
	case KS_WIRE_WAKE:
		return wake(h, length);
	case KS_WIRE_FORK:
		return ks_subject_fork_off(h, length);
	case KS_WIRE_HALT:
		return h->phase == RUNNING && h->crew.spec.gen ? ks_subject_halt(h) : ks_subject_fail(h, "halted out of turn");
	case KS_WIRE_CONFIG:
		return h->phase == NEW ? ks_subject_configure(h, length) : ks_subject_fail(h, "configured twice");
	case KS_WIRE_START:
		return h->phase == CONFIGURED ? start(h, length)
					      : ks_subject_fail(h, "started twice, or before it was configured");
	case KS_WIRE_SKIP:
		return skip(h, length);
	case KS_WIRE_CALLS:
		return count_calls(h, length);
	case KS_WIRE_FILE:
	case KS_WIRE_PROGRAM:
	case KS_WIRE_CAPTURE:
	case KS_WIRE_KEEP:
		return take(h, (uint32_t)type, length);
	case -1:
		return ks_subject_fail(h, errno == EBADMSG ? "garbage on the wire" : "the wire broke");
	default:
		return ks_subject_fail(h, "a frame that only a subject sends");
	}
}

int ks_subject_wait_and_serve(struct host *h, int wait_ms)
{
	struct pollfd p[2] = {{.fd = h->in, .events = POLLIN}, {.fd = h->wake[0], .events = POLLIN}};
	char bytes[64];

	if (poll(p, 2, wait_ms) < 0)
		return errno == EINTR ? GO_ON : FAILED;
	if (p[1].revents & POLLIN && read(h->wake[0], bytes, sizeof(bytes)) < 0 && errno != EINTR)
		return FAILED;
	return p[0].revents ? serve(h) : GO_ON;
}

int ks_subject_main(int in_fd, int out_fd, const struct ks_subject_hooks *hooks)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1UL); /* threads inherit it: wake when due, not up to 50 us later */
	pthread_mutex_init(&h->sending, NULL);
	pthread_mutex_init(&h->registry.one, NULL);
	h->main = pthread_self();
	h->in = in_fd;
	h->out = out_fd;
	h->hooks = hooks;
	if (pipe(h->wake) != 0)
		return ks_subject_fail(h, "no pipe");
	h->area_fd = hooks->area_fd;
	const char *why = h->area_fd ? ks_subject_share_area(h) : NULL;
	int status = why ? ks_subject_fail(h, why) : ks_subject_say_hello(h), wait_ms;
	while (status == GO_ON) {
		status = look(h, &wait_ms);
		if (status == GO_ON)
			status = ks_subject_wait_and_serve(h, wait_ms);
	}
	/* h is not freed: its threads may still run in it. */
	return status == OVER ? 0 : 1;
}
