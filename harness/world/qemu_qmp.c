/* The client side of QMP: lines of JSON, one command at a time. */
#include "qemu_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_time.h"

static const char *const event_names[] = {
	[KS_QMP_STOP] = "STOP", [KS_QMP_RESUME] = "RESUME", [KS_QMP_SUSPEND] = "SUSPEND", [KS_QMP_WAKEUP] = "WAKEUP",
	[KS_QMP_SHUTDOWN] = "SHUTDOWN",
};
#define SECONDS_MAX 9000000000 /* int64 ns end in 2262 */
#define NEVENTS (sizeof(event_names) / sizeof(event_names[0]))

static enum ks_qmp_event event_of(const char *name)
{
	for (size_t i = 1; i < NEVENTS; i++)
		if (strcmp(name, event_names[i]) == 0)
			return (enum ks_qmp_event)i;
	return KS_QMP_OTHER;
}

static void read_greeting(json_t *body, struct ks_qmp_message *m)
{
	int major, minor, micro;

	if (json_unpack(body, "{s:{s:{s:i,s:i,s:i}}}", "version", "qemu", "major", &major, "minor", &minor, "micro",
	                &micro) != 0)
		return;
	m->kind = KS_QMP_GREETING;
	snprintf(m->text, sizeof(m->text), "%d.%d.%d", major, minor, micro);
}

void ks_qmp_parse(const char *line, size_t len, struct ks_qmp_message *m)
{
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *body;
	const char *text;

	*m = (struct ks_qmp_message){.kind = KS_QMP_BAD};
	if ((body = json_object_get(root, "QMP"))) {
		read_greeting(body, m);
	} else if ((body = json_object_get(root, "return"))) {
		m->kind = KS_QMP_RETURN;
		m->answer = json_incref(body);
	} else if ((body = json_object_get(root, "error")) && (text = json_string_value(json_object_get(body, "desc")))) {
		m->kind = KS_QMP_ERROR;
		snprintf(m->text, sizeof(m->text), "%s", text);
	} else if ((text = json_string_value(json_object_get(root, "event")))) {
		json_int_t s = 0, us = 0;
		m->kind = KS_QMP_EVENT;
		m->event = event_of(text);
		if (json_unpack(root, "{s:{s:I,s:I}}", "timestamp", "seconds", &s, "microseconds", &us) == 0 && s >= 0 && s < SECONDS_MAX && us >= 0 && us < 1000000)
			m->unix_ns = s * KS_SEC + us * KS_US;
	}
	json_decref(root);
}

struct ks_qmp {
	struct ks_vm_loop *loop;
	struct ks_flow stream;
	bool asked;    /* whether it lives, and it has not answered */
	int64_t unix_ns[NEVENTS]; /* when, by QEMU's account, each event came last */
	int64_t told_ns;          /* the one of them that was waited for last */
	unsigned seen; /* events that came and nobody has waited for yet: mask of 1 << enum ks_qmp_event */
	char version[32];
	char buf[KS_QMP_LINE_MAX];
};

/* @return whether a whole line came; m is what it says then. */
static bool take_line(struct ks_qmp *q, struct ks_qmp_message *m)
{
	struct ks_flow *s = &q->stream;
	const char *line = s->buf + s->from, *end = memchr(line, '\n', s->to - s->from);

	if (!end)
		return false;
	ks_qmp_parse(line, (size_t)(end - line), m);
	ks_flow_taken(s, (size_t)(end - line) + 1);
	return true;
}

/* @return 0, 1: not by the deadline, or -1. */
static int try_message(struct ks_qmp *q, struct ks_qmp_message *m, int64_t deadline_ns, struct ks_err *err)
{
	while (!take_line(q, m)) {
		if (q->stream.full)
			return ks_fail(err, KS_E_JUDGE, "qemu's monitor sent a line of more than %d bytes", KS_QMP_LINE_MAX);
		if (q->stream.ended)
			return ks_fail(err, KS_E_JUDGE, "qemu ended");
		int turn = ks_vm_loop_turn(q->loop, deadline_ns, err);
		if (turn)
			return turn;
	}
	if (m->kind == KS_QMP_BAD)
		return ks_fail(err, KS_E_JUDGE, "qemu's monitor sent what is no message");
	if (m->kind == KS_QMP_EVENT) {
		q->seen |= 1u << m->event;
		q->unix_ns[m->event] = m->unix_ns;
	}
	return 0;
}

static int next_message(struct ks_qmp *q, struct ks_qmp_message *m, int64_t deadline_ns, struct ks_err *err)
{
	int status = try_message(q, m, deadline_ns, err);
	return status > 0 ? ks_fail(err, KS_E_JUDGE, "qemu's monitor did not answer in time") : status;
}

/* The line of a command. @return its length, or -1 when there is no memory for it; free(*line). */
static int command_line(const char *command, json_t *arguments, char **line)
{
	json_t *root = json_pack("{s:s}", "execute", command);
	int failed = root && arguments ? json_object_set_new(root, "arguments", arguments) : 0;

	*line = root && !failed ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	if (!*line)
		return -1;
	int len = (int)strlen(*line);
	(*line)[len] = '\n'; /* in the place of its NUL */
	return len + 1;
}

/* With an open file, where fd is none of -1: libuv hands over files of its own only. Nothing else is on its way then, for
 * each command waits for its answer, and a line fits the socket. */
static bool write_line(struct ks_qmp *q, char *line, size_t len, int fd)
{
	struct iovec part = {line, len};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.room);
	}
	return sendmsg(q->stream.fd, &message, MSG_NOSIGNAL) == (ssize_t)len;
}

static int execute(struct ks_qmp *q, const char *command, json_t *arguments, int fd, json_t **answer, int64_t deadline_ns,
		   struct ks_err *err)
{
	struct ks_qmp_message m;
	char *line;
	int len = command_line(command, arguments, &line);

	if (len < 0)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for a command of qemu's monitor");
	bool sent = write_line(q, line, (size_t)len, fd);
	free(line);
	if (!sent)
		return ks_fail(err, KS_E_JUDGE, "qemu ended");
	do {
		if (next_message(q, &m, deadline_ns, err) != 0)
			return ks_fail_in(err, "%s", command);
	} while (m.kind == KS_QMP_EVENT);
	if (answer && m.kind == KS_QMP_RETURN)
		*answer = m.answer;
	else
		json_decref(m.answer);
	if (m.kind != KS_QMP_RETURN)
		return ks_fail(err, KS_E_JUDGE, "qemu refuses '%s': %s", command, m.text);
	return 0;
}

int ks_qmp_execute(struct ks_qmp *q, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ns,
		   struct ks_err *err)
{
	return execute(q, command, arguments, -1, answer, deadline_ns, err);
}

int ks_qmp_command(struct ks_qmp *q, const char *command, int64_t deadline_ns, struct ks_err *err)
{
	return ks_qmp_execute(q, command, NULL, NULL, deadline_ns, err);
}

int ks_qmp_lives(struct ks_qmp *q, int64_t deadline_ns, bool *lives, struct ks_err *err)
{
	char line[] = "{\"execute\":\"query-status\"}\n";
	struct ks_qmp_message m;
	int status;

	*lives = false;
	if (!q->asked && !write_line(q, line, sizeof(line) - 1, -1))
		return ks_fail(err, KS_E_JUDGE, "qemu ended");
	q->asked = true;
	do {
		status = try_message(q, &m, deadline_ns, err);
		if (status)
			return status < 0 ? -1 : 0;
		json_decref(m.answer);
	} while (m.kind == KS_QMP_EVENT);
	q->asked = false;
	*lives = true;
	return 0;
}

int ks_qmp_give_file(struct ks_qmp *q, const char *name, int fd, int64_t deadline_ns, struct ks_err *err)
{
	return execute(q, "getfd", json_pack("{s:s}", "fdname", name), fd, NULL, deadline_ns, err);
}

int ks_qmp_add_file(struct ks_qmp *q, int set, int fd, int64_t deadline_ns, struct ks_err *err)
{
	return execute(q, "add-fd", json_pack("{s:i}", "fdset-id", set), fd, NULL, deadline_ns, err);
}

int ks_qmp_wait(struct ks_qmp *q, enum ks_qmp_event event, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_qmp_message m;

	while (!(q->seen & 1u << event))
		if (next_message(q, &m, deadline_ns, err) != 0)
			return ks_fail_in(err, "event '%s'", event_names[event]);
		else
			json_decref(m.answer);
	q->seen &= ~(1u << event);
	q->told_ns = q->unix_ns[event];
	return 0;
}

int64_t ks_qmp_told_ns(const struct ks_qmp *q)
{
	return q->told_ns;
}

int ks_qmp_greet(struct ks_qmp *q, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_qmp_message m;

	if (next_message(q, &m, deadline_ns, err) != 0)
		return -1;
	json_decref(m.answer);
	if (m.kind != KS_QMP_GREETING)
		return ks_fail(err, KS_E_JUDGE, "qemu's monitor does not begin with a greeting");
	snprintf(q->version, sizeof(q->version), "%.31s", m.text);
	return ks_qmp_command(q, "qmp_capabilities", deadline_ns, err);
}

const char *ks_qmp_version(const struct ks_qmp *q)
{
	return q->version;
}

struct ks_qmp *ks_qmp_new(struct ks_vm_loop *loop, int fd, struct ks_err *err)
{
	struct ks_qmp *q = ks_alloc(1, sizeof(*q));

	if (!q) {
		close(fd);
		ks_fail(err, KS_E_INTERNAL, "out of memory for a guest");
		return NULL;
	}
	q->loop = loop;
	q->stream.buf = q->buf;
	q->stream.size = sizeof(q->buf);
	if (ks_flow_open(&q->stream, loop, fd, err) == 0)
		return q;
	ks_qmp_free(q);
	return NULL;
}

void ks_qmp_free(struct ks_qmp *q)
{
	if (!q)
		return;
	ks_flow_close(&q->stream);
	ks_free(q);
}
