/* The event loop of the guests of one run, of libuv, and the byte streams on it. One thread at a time. */
#ifndef KS_QEMU_LOOP_H
#define KS_QEMU_LOOP_H

#include <uv.h>

#include "ks_qemu.h"

struct ks_vm_loop {
	uv_loop_t uv;
	uv_timer_t tick; /* ends a turn in which nothing happens */
	volatile const int *stop;
};

/* Waits until something happens, at most until until_ns (ks_host_ns). What came lies in the streams then.
 * @return 0, 1 when until_ns is past, -1 when the caller's stop is set (KS_E_JUDGE "interrupted"). */
int ks_vm_loop_turn(struct ks_vm_loop *loop, int64_t until_ns, struct ks_err *err);

/* One of the sockets of a guest. What comes is read ahead until the buffer is full, so a guest that floods us waits. */
struct ks_flow {
	uv_pipe_t pipe;
	int fd;
	char *buf; /* of size bytes, the owner's */
	size_t size, from, to; /* what came and was not taken yet */
	bool ended;  /* the other side is gone */
	bool opened, full, closed;
	void (*came)(struct ks_flow *stream, const char *bytes, size_t n); /* takes what comes at once; NULL: it stays in buf */
	void *context;
};

/* Takes the socket over, also when it fails. @return 0, or -1 (KS_E_INTERNAL). */
int ks_flow_open(struct ks_flow *stream, struct ks_vm_loop *loop, int fd, struct ks_err *err);
/* n bytes at the front were taken. */
void ks_flow_taken(struct ks_flow *stream, size_t n);
/* Hands bytes over without waiting. @return 0, or -1 with errno; EAGAIN: the other side has not taken KS_FLOW_QUEUE of them. */
int ks_flow_send(struct ks_flow *stream, const void *bytes, size_t n);
#define KS_FLOW_QUEUE ((size_t)4 << 20)
/* Would n bytes more be too many now? */
bool ks_flow_is_full(const struct ks_flow *stream, size_t n);
/* One that was not opened is left alone. */
void ks_flow_close(struct ks_flow *stream);

#endif
