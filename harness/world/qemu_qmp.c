/* The client side of QMP: lines of JSON, one command at a time. */
#include "ks_qemu.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ks_time.h"

static const char *const event_names[] = {
	[KS_QMP_STOP] = "STOP", [KS_QMP_RESUME] = "RESUME", [KS_QMP_SUSPEND] = "SUSPEND", [KS_QMP_WAKEUP] = "WAKEUP",
	[KS_QMP_SHUTDOWN] = "SHUTDOWN",
};
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
		m->kind = KS_QMP_EVENT;
		m->event = event_of(text);
	}
	json_decref(root);
}

/* Fills the buffer by what there is. @return 0, or -1. */
static int fill(struct ks_qmp *q, int64_t deadline_ns, struct ks_err *err)
{
	int64_t left = deadline_ns - ks_host_ns();
	struct pollfd p = {.fd = q->fd, .events = POLLIN};

	memmove(q->buf, q->buf + q->used, q->len - q->used);
	q->len -= q->used;
	q->used = 0;
	if (q->len == sizeof(q->buf))
		return ks_fail(err, KS_E_JUDGE, "qemu's monitor sent a line of more than %d bytes", KS_QMP_LINE_MAX);
	if (left <= 0 || (poll(&p, 1, (int)(left / KS_MS) + 1) == 0))
		return ks_fail(err, KS_E_JUDGE, "qemu's monitor did not answer in time");
	ssize_t n = read(q->fd, q->buf + q->len, sizeof(q->buf) - q->len);
	if (n == 0 || (n < 0 && errno != EINTR))
		return ks_fail(err, KS_E_JUDGE, "qemu ended");
	q->len += n > 0 ? (size_t)n : 0;
	return 0;
}

static int next_message(struct ks_qmp *q, struct ks_qmp_message *m, int64_t deadline_ns, struct ks_err *err)
{
	char *line, *end;

	for (;;) {
		line = q->buf + q->used;
		end = memchr(line, '\n', q->len - q->used);
		if (end)
			break;
		if (fill(q, deadline_ns, err) != 0)
			return -1;
	}
	q->used += (size_t)(end - line) + 1;
	ks_qmp_parse(line, (size_t)(end - line), m);
	if (m->kind == KS_QMP_BAD)
		return ks_fail(err, KS_E_JUDGE, "qemu's monitor sent what is no message");
	if (m->kind == KS_QMP_EVENT)
		q->seen |= 1u << m->event;
	return 0;
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

static int send_command(struct ks_qmp *q, const char *command, json_t *arguments, struct ks_err *err)
{
	char *line;
	int len = command_line(command, arguments, &line);

	if (len < 0)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for a command of qemu's monitor");
	bool sent = write(q->fd, line, (size_t)len) == len;
	free(line);
	return sent ? 0 : ks_fail(err, KS_E_JUDGE, "qemu ended");
}

int ks_qmp_execute(struct ks_qmp *q, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ns,
		   struct ks_err *err)
{
	struct ks_qmp_message m;

	if (send_command(q, command, arguments, err) != 0)
		return -1;
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

int ks_qmp_command(struct ks_qmp *q, const char *command, int64_t deadline_ns, struct ks_err *err)
{
	return ks_qmp_execute(q, command, NULL, NULL, deadline_ns, err);
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
	return 0;
}

int ks_qmp_open(struct ks_qmp *q, int fd, int64_t deadline_ns, struct ks_err *err)
{
	struct ks_qmp_message m;

	q->fd = fd;
	q->seen = 0;
	q->len = q->used = 0;
	if (next_message(q, &m, deadline_ns, err) != 0)
		return -1;
	json_decref(m.answer);
	if (m.kind != KS_QMP_GREETING)
		return ks_fail(err, KS_E_JUDGE, "qemu's monitor does not begin with a greeting");
	snprintf(q->version, sizeof(q->version), "%.31s", m.text);
	return ks_qmp_command(q, "qmp_capabilities", deadline_ns, err);
}
