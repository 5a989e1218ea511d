#include "agent_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_jumps.h"
#include "agent_keep.h"
#include "ask.h"
#include "foreign.h"
#include "ks_mem.h"
#include "lane.h"
#include "truetime.h"

#define NOBODY 65534
#define WORDS_MAX 64
#define LOOK_MS 100

static struct {
	struct ks_ask_fleet fleet; /* first */
	struct ks_ask ask;
	struct ks_wire_program how;
	char *texts; /* owned; what follows point into it */
	const char *what, *folder, *preload;
	char *word[WORDS_MAX + 1];
	char *env[8];
	char preload_env[600];
} program;

/* ---- files ---- */

/* Folders that the guest itself lives in. */
static bool is_ours(const char *path)
{
	static const char *const ours[] = {"/dev/", "/proc/", "/sys/", "/modules/", "/init"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (!strncmp(path, ours[i], strlen(ours[i])))
			return true;
	return false;
}

/* The file tells what does not work. A kernel makes /root for its own user alone. */
static void make_folders(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(path, 0755) != 0)
			chmod(path, 0755);
	}
}

static bool write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t k = write(fd, bytes, n);
		if (k < 0 && errno != EINTR)
			return false;
		bytes += k > 0 ? k : 0;
		n -= k > 0 ? (size_t)k : 0;
	}
	return true;
}

static bool put_file(const struct ks_wire_file *f, const char *path, const char *bytes, size_t n)
{
	const struct timespec times[2] = {{.tv_sec = f->mtime_s}, {.tv_sec = f->mtime_s}};
	int flags = f->kind == KS_FILE_NEW ? O_CREAT | O_TRUNC : O_APPEND;
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		return false;
	bool good = write_all(fd, bytes, n) && fchmod(fd, f->mode & 0777) == 0 && futimens(fd, times) == 0;
	close(fd);
	return good;
}

static const char *take_file(const char *payload, uint32_t length)
{
	struct ks_wire_file f;
	char path[4096];

	if (length < sizeof(f))
		return "a file is cut short";
	memcpy(&f, payload, sizeof(f));
	payload += sizeof(f);
	length -= (uint32_t)sizeof(f);
	size_t n = strnlen(payload, length < sizeof(path) ? length : sizeof(path));
	if (n == length || n >= sizeof(path) || payload[0] != '/' || strstr(payload, "/../") || is_ours(payload))
		return "a file has no path that it may have";
	memcpy(path, payload, n + 1);
	payload += n + 1;
	length -= (uint32_t)n + 1;
	make_folders(path);
	if (f.kind == KS_FILE_LINK) {
		char to[4096];
		snprintf(to, sizeof(to), "%.*s", (int)(length < 4095 ? length : 4095), payload);
		return symlink(to, path) == 0 || errno == EEXIST ? NULL : "a link of the program cannot be made in the guest";
	}
	if (f.kind != KS_FILE_NEW && f.kind != KS_FILE_MORE)
		return "a file of an unknown kind";
	return put_file(&f, path, payload, length) ? NULL : "a file of the program cannot be written in the guest: is its memory full?";
}

/* ---- the program ---- */

/* The next text of the message. @return NULL when there is none. */
static char *next_text(char **at, const char *end)
{
	char *text = *at, *zero = memchr(text, '\0', (size_t)(end - text));

	if (!zero)
		return NULL;
	*at = zero + 1;
	return text;
}

static void set_environment(void)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", home[] = "HOME=/tmp", lang[] = "LANG=C.UTF-8";
	static char unbuffered[] = "PYTHONUNBUFFERED=1", lines[] = "_STDBUF_O=L";
	int n = 0;

	program.env[n++] = path;
	program.env[n++] = home;
	program.env[n++] = lang;
	program.env[n++] = unbuffered;
	if (*program.preload) {
		snprintf(program.preload_env, sizeof(program.preload_env), "LD_PRELOAD=%s", program.preload);
		program.env[n++] = program.preload_env;
		program.env[n++] = lines;
	}
}

static const char *take_program(const char *payload, uint32_t length)
{
	struct ks_wire_program *how = &program.how;

	if (program.texts || length <= sizeof(*how))
		return "a program is cut short, or the second one";
	memcpy(how, payload, sizeof(*how));
	size_t n = length - sizeof(*how);
	program.texts = malloc(n);
	if (!program.texts)
		return "out of memory";
	memcpy(program.texts, payload + sizeof(*how), n);
	char *at = program.texts, *end = at + n;
	program.what = next_text(&at, end);
	program.folder = program.what ? next_text(&at, end) : NULL;
	program.preload = program.folder ? next_text(&at, end) : NULL;
	if (!program.preload || !how->words || how->words > WORDS_MAX || how->speaks > KS_SPEAKS_ASK)
		return "a program has a value out of range";
	for (uint32_t i = 0; i < how->words; i++)
		if (!(program.word[i] = next_text(&at, end)))
			return "a program lacks words";
	set_environment();
	return NULL;
}

const char *ks_agent_take(uint32_t type, const void *payload, uint32_t length)
{
	if (type == KS_WIRE_KEEP)
		return ks_agent_keep(payload, length);
	if (type == KS_WIRE_CAPTURE)
		return ks_agent_watch(payload, length);
	return type == KS_WIRE_FILE ? take_file(payload, length) : take_program(payload, length);
}

static void prepare(void)
{
	program.ask = (struct ks_ask){.proc = KS_PROC_NONE, .timeout_ns = program.how.timeout_ns, .user = NOBODY};
	snprintf(program.ask.what, sizeof(program.ask.what), "%s", program.what);
}

/* ---- asked ---- */

static struct ks_ask *start(struct ks_ask_fleet *fleet, uint32_t process, uint64_t node_id, struct ks_err *err)
{
	(void)fleet, (void)process, (void)node_id; /* the harness has replaced the placeholders */
	prepare();
	return ks_ask_start(&program.ask, program.folder, program.word, program.env, err) == 0 ? &program.ask : NULL;
}

const struct ks_gen_spec *ks_agent_spec(void)
{
	static struct ks_gen_spec spec;

	if (!program.texts)
		return NULL;
	program.fleet.start = start;
	spec.gen = program.how.speaks == KS_SPEAKS_ASK ? &ks_gen_ask_real : NULL;
	memcpy(spec.cfg, &(struct ks_ask_cfg){&program.fleet}, sizeof(struct ks_ask_cfg));
	return &spec;
}

/* ---- free running ---- */

struct heard {
	struct ks_lane_thread *lane;
	char line[KS_KEY_TEXT];
	size_t len;
	uint64_t keys;
	bool full; /* what was heard until now is judged; the program waits in its write */
};

static _Noreturn void fail(const struct heard *h, const char *how)
{
	struct ks_err err;

	ks_fail(&err, KS_E_JUDGE, "%s %s", program.what, how);
	ks_env_fail(&h->lane->env, &err);
}

static void note(struct heard *h, int64_t at_ns)
{
	if (h->len && !h->full)
		h->full = h->keys == KS_WIRE_LINES_MAX || !ks_lane_note(h->lane, h->keys++, h->line, h->len, at_ns);
	h->len = 0;
}

static void take_bytes(struct heard *h, const char *bytes, size_t n, int64_t at_ns)
{
	while (n) {
		const char *end = memchr(bytes, '\n', n);
		size_t part = end ? (size_t)(end - bytes) : n;
		if (part > sizeof(h->line) - 1 - h->len)
			fail(h, "printed a line longer than 256 bytes");
		memcpy(h->line + h->len, bytes, part);
		h->len += part;
		if (end)
			note(h, at_ns);
		part += end != NULL;
		bytes += part;
		n -= part;
	}
}

/* @return false when there will be nothing more to hear. */
static bool hear(struct heard *h, struct ks_proc *p, int wait_ms)
{
	static char chunk[65536];
	struct pollfd fds[2] = {{.fd = p->out, .events = POLLIN}, {.fd = p->err, .events = POLLIN}};
	char how[420];

	if (poll(fds, 2, wait_ms) < 0)
		return errno == EINTR;
	if (fds[1].revents)
		ks_proc_read_err(p);
	ssize_t n = fds[0].revents || p->ended ? read(p->out, chunk, sizeof(chunk)) : -1;
	int64_t at_ns = ks_true_ns() - h->lane->crew->start_ns;
	if (n > 0)
		take_bytes(h, chunk, (size_t)n, at_ns);
	if (n > 0 || !ks_proc_poll(p))
		return n != 0;
	if (p->status != 0)
		fail(h, ks_proc_describe(p, how, sizeof(how)));
	if (n < 0 && fds[0].revents == 0)
		return true; /* once more: it may have written something before it ended */
	note(h, at_ns);
	return false;
}

void ks_agent_listen(struct ks_lane_thread *lane)
{
	struct heard h = {.lane = lane};
	struct ks_proc *p = &program.ask.proc;
	struct ks_err err;
	int64_t end = lane->crew->start_ns + lane->crew->duration_ns, left;

	ks_true_wait(lane->crew->start_ns);
	prepare();
	const struct ks_proc_place place = {.folder = program.folder, .user = NOBODY};
	if (ks_proc_start_in(p, &place, program.word, program.env, false, &err) != 0)
		fail(&h, err.text);
	while (!h.full && (left = end - ks_true_ns()) > 0)
		if (!hear(&h, p, left > LOOK_MS * KS_MS ? LOOK_MS : (int)(left / KS_MS) + 1))
			break;
	if (!h.keys)
		fail(&h, ks_proc_poll(p) ? ks_proc_describe(p, (char[420]){0}, 420) : "printed no key");
	ks_proc_end(p, 1, sizeof(*p), 0);
}
