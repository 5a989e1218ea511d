#include "qemu_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_time.h"

#define TURN_NS (50 * KS_MS) /* so soon an interrupt is seen */

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * KS_SEC + ts.tv_nsec;
}

int64_t ks_host_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t ks_host_raw_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_RAW);
}

/* ---- the loop ---- */

struct ks_vm_loop *ks_vm_loop_new(volatile const int *stop, struct ks_err *err)
{
	struct ks_vm_loop *loop = ks_alloc(1, sizeof(*loop));

	if (loop && uv_loop_init(&loop->uv) == 0) {
		loop->stop = stop;
		uv_timer_init(&loop->uv, &loop->tick);
		return loop;
	}
	ks_free(loop);
	ks_fail(err, KS_E_INTERNAL, "out of memory or files for an event loop");
	return NULL;
}

void ks_vm_loop_free(struct ks_vm_loop *loop)
{
	if (!loop)
		return;
	uv_close((uv_handle_t *)&loop->tick, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT); /* all streams are closed, so nothing is left to wait for */
	uv_loop_close(&loop->uv);
	ks_free(loop);
}

static void on_tick(uv_timer_t *tick)
{
	(void)tick;
}

int ks_vm_loop_turn(struct ks_vm_loop *loop, int64_t until_ns, struct ks_err *err)
{
	int64_t left = until_ns - ks_host_ns();

	if (loop->stop && *loop->stop)
		return ks_fail(err, KS_E_JUDGE, "interrupted");
	if (left <= 0)
		return 1;
	if (left > TURN_NS)
		left = TURN_NS;
	uv_update_time(&loop->uv);
	uv_timer_start(&loop->tick, on_tick, (uint64_t)((left + KS_MS - 1) / KS_MS), 0);
	uv_run(&loop->uv, UV_RUN_ONCE);
	return 0;
}

/* ---- streams ---- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	struct ks_flow *s = handle->data;

	(void)suggested;
	if (s->from) { /* so that the longest message fits behind what is left */
		memmove(s->buf, s->buf + s->from, s->to - s->from);
		s->to -= s->from;
		s->from = 0;
	}
	*room = uv_buf_init(s->buf + s->to, (unsigned)(s->size - s->to));
}

static void on_bytes(uv_stream_t *pipe, ssize_t n, const uv_buf_t *room)
{
	struct ks_flow *s = pipe->data;

	if (n < 0) {
		uv_read_stop(pipe);
		s->full = n == UV_ENOBUFS;
		s->ended = !s->full;
	} else if (s->came) {
		s->came(s, room->base, (size_t)n);
	} else {
		s->to += (size_t)n;
	}
}

static void read_on(struct ks_flow *s)
{
	s->full = false;
	s->ended = s->ended || uv_read_start((uv_stream_t *)&s->pipe, on_room, on_bytes) != 0;
}

int ks_flow_open(struct ks_flow *s, struct ks_vm_loop *loop, int fd, struct ks_err *err)
{
	s->fd = fd;
	s->pipe.data = s;
	s->opened = uv_pipe_init(&loop->uv, &s->pipe, 0) == 0;
	if (!s->opened || uv_pipe_open(&s->pipe, fd) != 0) {
		close(fd);
		return ks_fail(err, KS_E_INTERNAL, "cannot listen to a guest");
	}
	read_on(s);
	return 0;
}

void ks_flow_taken(struct ks_flow *s, size_t n)
{
	s->from += n;
	if (s->full)
		read_on(s);
}

struct outgoing {
	uv_write_t write;
	char bytes[];
};

static void on_sent(uv_write_t *write, int status)
{
	(void)status; /* who is gone is found out by its end of file */
	free(write->data);
}

bool ks_flow_is_full(const struct ks_flow *s, size_t n)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&s->pipe) + n > KS_FLOW_QUEUE;
}

int ks_flow_send(struct ks_flow *s, const void *bytes, size_t n)
{
	if (ks_flow_is_full(s, n)) {
		errno = EAGAIN;
		return -1;
	}
	struct outgoing *out = malloc(sizeof(*out) + n);
	if (!out)
		return -1;
	memcpy(out->bytes, bytes, n);
	out->write.data = out;
	uv_buf_t part = uv_buf_init(out->bytes, (unsigned)n);
	int status = uv_write(&out->write, (uv_stream_t *)&s->pipe, &part, 1, on_sent);
	if (status == 0)
		return 0;
	free(out);
	errno = -status;
	return -1;
}

static void on_closed(uv_handle_t *handle)
{
	struct ks_flow *s = handle->data;
	s->closed = true;
}

void ks_flow_close(struct ks_flow *s)
{
	if (!s->opened)
		return;
	uv_close((uv_handle_t *)&s->pipe, on_closed);
	while (!s->closed) /* which never waits: what is closing is seen to first */
		uv_run(s->pipe.loop, UV_RUN_ONCE);
	s->opened = false;
}
