#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ks_time.h"
#include "truetime.h"

#define LOOK_MS 100
#define DEATH_NS KS_SEC /* between the end of its output and its own end */

/* ---- lines ---- */

static bool take_word(const char **p, const char *end, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(end - *p) < n || memcmp(*p, word, n))
		return false;
	*p += n;
	return true;
}

static bool take_number(const char *p, const char *end, int64_t max, int64_t *v)
{
	*v = 0;
	if (p == end)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9' || *v > (max - (*p - '0')) / 10)
			return false;
		*v = *v * 10 + (*p - '0');
	}
	return true;
}

static bool parse_clock(const char *p, const char *end, struct ks_ask_line *said)
{
	static const char *const names[KS_NCLOCKS] = {"wall", "mono", "raw", "boot", "tai"};
	for (int id = 0; id < KS_NCLOCKS; id++)
		if ((size_t)(end - p) == strlen(names[id]) && !memcmp(p, names[id], (size_t)(end - p))) {
			said->clock = (enum ks_clock_id)id;
			return true;
		}
	return false;
}

const char *ks_ask_parse(const char *line, size_t len, struct ks_ask_line *said)
{
	const char *p = line, *end = line + len;
	int64_t n = 0;
	*said = (struct ks_ask_line){0};
	if (len && end[-1] == '\r')
		end--;
	if (take_word(&p, end, "key ")) {
		said->kind = KS_ASK_KEY;
		said->text = p;
		said->len = (size_t)(end - p);
		return said->len && said->len < KS_KEY_TEXT ? NULL : "key K, K of 1..256 bytes";
	}
	if (take_word(&p, end, "clock ")) {
		said->kind = KS_ASK_CLOCK;
		return parse_clock(p, end, said) ? NULL : "clock wall, mono, boot, raw or tai";
	}
	if (take_word(&p, end, "random ")) {
		said->kind = KS_ASK_RANDOM;
		if (!take_number(p, end, KS_ASK_RANDOM_MAX, &n) || !n)
			return "random N, N of 1..64 bytes";
		said->bytes = (uint32_t)n;
		return NULL;
	}
	if (take_word(&p, end, "sleep ")) {
		said->kind = KS_ASK_SLEEP;
		return take_number(p, end, KS_HOUR, &said->sleep_ns) ? NULL : "sleep NS, NS of 0..3600000000000";
	}
	if (take_word(&p, end, "refuse")) {
		said->kind = KS_ASK_REFUSE;
		said->text = p + (p < end);
		said->len = (size_t)(end - said->text);
		return p == end || *p == ' ' ? NULL : "refuse WHY";
	}
	return "key, refuse, clock, random or sleep";
}

/* ---- the program ---- */

static int judge(struct ks_ask *a, struct ks_err *err, const char *text)
{
	return ks_fail(err, KS_E_JUDGE, "%s %s", a->what, text);
}

int ks_ask_start(struct ks_ask *a, const char *folder, char *const argv[], char *const envp[], struct ks_err *err)
{
	extern char **environ;
	a->from = a->to = 0;
	a->answered = false;
	const struct ks_proc_place place = {.folder = *folder ? folder : NULL, .user = a->user};
	if (ks_proc_start_in(&a->proc, &place, argv, envp ? envp : environ, true, err))
		return -1;
	fcntl(a->proc.in, F_SETFL, O_NONBLOCK); /* who does not read must not hold us up */
	return 0;
}

/* With the end of its stderr, which may say why. */
static int judge_alive(struct ks_ask *a, struct ks_err *err, const char *text)
{
	char tail[320], all[600];
	ks_proc_read_err(&a->proc);
	ks_proc_last_line(&a->proc, tail);
	snprintf(all, sizeof all, "%s%s%s%s", text, *tail ? "; its stderr ends with '" : "", tail, *tail ? "'" : "");
	return judge(a, err, all);
}

/* Its output has ended: by its own end, or before that. */
static int died(struct ks_ask *a, struct ks_err *err)
{
	char how[420];
	const struct timespec nap = {.tv_nsec = 2000000};
	for (int64_t until = ks_true_ns() + DEATH_NS; !ks_proc_poll(&a->proc) && ks_true_ns() < until;)
		nanosleep(&nap, NULL);
	if (!a->proc.ended)
		return judge_alive(a, err, "closed its output before it answered");
	snprintf(how, sizeof how, "%s", ks_proc_describe(&a->proc, (char[400]){0}, 400));
	return judge(a, err, how);
}

int ks_ask_tell(struct ks_ask *a, const char *bytes, size_t n, struct ks_err *err)
{
	ssize_t written = write(a->proc.in, bytes, n);
	if (written == (ssize_t)n)
		return 0;
	if (written >= 0 || errno == EAGAIN)
		return judge_alive(a, err, "does not read what it is told");
	return errno == EPIPE ? died(a, err) : judge(a, err, strerror(errno));
}

static int too_late(struct ks_ask *a, struct ks_err *err)
{
	char t[KS_TIME_TEXT], text[160];
	int64_t patience = a->answered ? a->timeout_ns : 3 * a->timeout_ns;
	snprintf(text, sizeof text, "gave no answer in %s; does it flush each line that it writes?", ks_dur_format(t, patience));
	return judge_alive(a, err, text);
}

/* Waits for output. The common case makes one system call and reads no clock. @return 0, or -1. */
static int await(struct ks_ask *a, struct ks_err *err)
{
	int64_t until = 0;
	for (;;) {
		struct pollfd p[2] = {{.fd = a->proc.out, .events = POLLIN}, {.fd = a->proc.err, .events = POLLIN}};
		int n = poll(p, 2, LOOK_MS);
		if (n < 0 && errno != EINTR)
			return ks_fail(err, KS_E_INTERNAL, "cannot wait: %s", strerror(errno));
		if (n > 0 && p[1].revents)
			ks_proc_read_err(&a->proc);
		if (n > 0 && p[0].revents)
			return 0;
		if (a->stop && *a->stop)
			return ks_fail(err, KS_E_JUDGE, "interrupted");
		int64_t now = ks_true_ns();
		until = until ? until : now + (a->answered ? a->timeout_ns : 3 * a->timeout_ns) - (n ? 0 : LOOK_MS * KS_MS);
		if (now >= until)
			return too_late(a, err);
		if (n == 0 && ks_proc_poll(&a->proc)) { /* a child of its own may hold its output open */
			struct pollfd rest = {.fd = a->proc.out, .events = POLLIN};
			return poll(&rest, 1, 0) == 1 && rest.revents & POLLIN ? 0 : died(a, err);
		}
	}
}

/* @return the length of the line that stands in the buffer, or -1. */
static ssize_t line_length(const struct ks_ask *a)
{
	const char *end = memchr(a->buf + a->from, '\n', a->to - a->from);
	return end ? end - (a->buf + a->from) : -1;
}

static int fill(struct ks_ask *a, struct ks_err *err)
{
	memmove(a->buf, a->buf + a->from, a->to - a->from);
	a->to -= a->from;
	a->from = 0;
	if (a->to == sizeof a->buf)
		return judge_alive(a, err, "wrote a line that is too long, expected at most 264 bytes");
	if (await(a, err))
		return -1;
	ssize_t n = read(a->proc.out, a->buf + a->to, sizeof a->buf - a->to);
	if (n > 0)
		a->to += (size_t)n;
	else if (n == 0)
		return died(a, err);
	else if (errno != EAGAIN && errno != EINTR)
		return judge(a, err, strerror(errno));
	return 0;
}

/* What cannot be shown becomes '?'. */
static void printable(char *to, size_t size, const char *from, size_t n)
{
	size_t i = 0;
	for (; i < n && i + 1 < size; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = 0;
}

int ks_ask_hear(struct ks_ask *a, struct ks_ask_line *said, struct ks_err *err)
{
	ssize_t n;
	while ((n = line_length(a)) < 0)
		if (fill(a, err))
			return -1;
	const char *line = a->buf + a->from, *expected = ks_ask_parse(line, (size_t)n, said);
	if (expected) {
		char shown[100], text[260];
		printable(shown, sizeof shown, line, (size_t)n);
		snprintf(text, sizeof text, "wrote '%s', expected %s", shown, expected);
		return judge_alive(a, err, text);
	}
	a->from += (size_t)n + 1;
	a->answered = true;
	return 0;
}

int ks_ask_is_quiet(struct ks_ask *a, struct ks_err *err)
{
	char shown[100], text[200];
	if (a->from == a->to)
		return 0;
	printable(shown, sizeof shown, a->buf + a->from, a->to - a->from);
	snprintf(text, sizeof text, "wrote '%s' after its answer, expected nothing before the next 'next'", shown);
	return judge_alive(a, err, text);
}
