/* Foreign programs under libfaketime (`exec:COMMAND`): free running, unmodified, a key a line on stdout.
 *
 * What is known of them is what they print and when it arrives. So due and call times are unknown, the return is the
 * receipt, and the only reading of the program's clock is the time inside its keys, where keyskew knows the layout
 * (sim/keygen/foreign.h). A step is proven from that: key time minus receipt must move by it. A program that does not read its
 * clock through libc (static, Go) shows no step and is not judged; nor is one whose keys carry no time, once the plan
 * has faults.
 *
 * Rules: empty lines are not keys, all other bytes are; a last line without its end counts when the program ended by
 * itself. At KEYS_MAX keys or BYTES_MAX bytes, shared evenly by the programs, reading stops and the program waits in
 * its write: what was read is judged. stdout is made line buffered where coreutils' libstdbuf is there, because lines
 * that wait in a buffer arrive when it is full. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "foreign.h"
#include "ft.h"
#include "ks_mem.h"
#include "truetime.h"

#define KEYS_MAX 2000000
#define BYTES_MAX (64 << 20)
#define CHUNK 65536
#define LOOK_NS (100 * KS_MS)
#define GRACE_MS 3000 /* a database stops within it */
#define WARM_UP_NS (300 * KS_MS) /* what a program gets before the scenario begins, */
#define WARM_UPS 3                /* four times as much at each further attempt: 4.8 s at last */
#define STDBUF "/usr/libexec/coreutils/libstdbuf.so"

struct program {
	struct ks_ft_process p;
	uint32_t lane;
	char line[KS_KEY_TEXT];
	size_t len;
	uint64_t keys, bytes;
	bool quiet; /* nothing more is read: end of file, or at a limit */
	bool capped;
	bool down; /* a restart has ended it */
};

struct run {
	const struct ks_run_request *request;
	const struct ks_plan *plan;
	struct ks_run_output *output;
	struct ks_err *err;
	struct ks_ft_stage stage;
	struct ks_ft_play play;
	struct program *program;
	uint32_t n, room;   /* those that there are, and may be with all restarts */
	struct pollfd *fds; /* two a program */
	const char *stdbuf;
	int64_t limit_ns, end_ns;
	char *chunk;
};

static int judge(struct run *r, const struct program *p, const char *what)
{
	return ks_fail(r->err, KS_E_JUDGE, "'%.200s' of node '%s' %s", r->request->gen->text,
		       r->plan->node[p->p.node].name, what);
}

/* ---- lines into keys ---- */

static int add_key(struct run *r, struct program *p, int64_t at_ns)
{
	struct ks_records *records = &r->output->records;
	struct ks_record rec = KS_RECORD_NONE;
	int64_t text = ks_texts_add(&records->texts, p->line, p->len);

	rec.due_ns = rec.call_ns = KS_NO_TIME;
	rec.return_ns = at_ns;
	rec.key = ks_key64((uint64_t)text);
	rec.lane = p->lane;
	rec.seq = (uint32_t)p->keys++;
	rec.outcome = KS_KEY;
	rec.flags = KS_CALL_UNKNOWN;
	ks_ft_read_key(r->request, p->line, p->len, &rec);
	if (text < 0 || ks_records_add(records, &rec))
		return ks_records_full(records, r->err);
	p->len = 0;
	return 0;
}

static int take_bytes(struct run *r, struct program *p, const char *bytes, size_t n, int64_t at_ns)
{
	char text[80];

	p->bytes += n;
	while (n && !p->capped) {
		const char *end = memchr(bytes, '\n', n);
		size_t part = end ? (size_t)(end - bytes) : n;
		if (part > sizeof(p->line) - 1 - p->len) {
			snprintf(text, sizeof(text), "printed a line longer than %d bytes", KS_KEY_TEXT - 1);
			return judge(r, p, text);
		}
		memcpy(p->line + p->len, bytes, part);
		p->len += part;
		if (end && p->len && add_key(r, p, at_ns) != 0)
			return -1;
		part += end != NULL;
		bytes += part;
		n -= part;
		p->capped = p->keys >= KEYS_MAX / r->n || p->bytes >= BYTES_MAX / r->n;
	}
	p->quiet |= p->capped;
	return 0;
}

/* One read, so that one who floods does not keep others from being heard. */
static int hear(struct run *r, struct program *p)
{
	ssize_t n = read(p->p.proc.out, r->chunk, CHUNK);
	int64_t at_ns = ks_true_ns() - r->play.start_ns;

	if (n > 0)
		return take_bytes(r, p, r->chunk, (size_t)n, at_ns);
	if (n < 0 && (errno == EINTR || (errno == EAGAIN && !p->p.proc.ended)))
		return 0;
	p->quiet = true;
	return n == 0 && p->len && !p->down ? add_key(r, p, at_ns) : 0;
}

/* ---- the programs ---- */

/* The number-th of a fleet, or what another one becomes when it is started anew. */
static void name(struct run *r, uint32_t number)
{
	struct program *p = &r->program[number];

	p->lane = p->p.slot = number;
	p->p.node = number / r->plan->processes;
	p->p.process = number % r->plan->processes;
	p->p.from_ns = INT64_MIN;
	p->p.until_ns = INT64_MAX;
	p->p.born = KS_FT_NONE;
}

static int launch(struct run *r, struct program *p)
{
	struct ks_command command;

	p->p.folder = *r->request->gen->foreign->folder ? r->request->gen->foreign->folder : NULL;
	p->p.from_unix_ns = ks_true_unix_ns(); /* ms before it counts: a rate of ppm makes ns of that */
	struct ks_command_values values = {.node_id = ks_plan_worker(r->plan, r->request->seed, p->p.node),
					   .seed = r->request->seed,
					   .node = r->plan->node[p->p.node].name};
	if (ks_command_of(&command, r->request->gen->foreign, &values, r->err) != 0)
		return -1;
	if (ks_ft_play_show(&r->play, &p->p, r->err) != 0)
		return -1;
	p->p.up = true;
	return ks_ft_start(&r->stage, &p->p, command.word, false, r->stdbuf, r->err);
}

/* Nothing is read before the scenario begins: what a program prints until then waits in its pipe. */
static bool speaks(const struct program *p)
{
	struct pollfd out = {.fd = p->p.proc.out, .events = POLLIN};
	return poll(&out, 1, 0) > 0;
}

static int wait_until(struct run *r, int64_t at_ns)
{
	const struct timespec nap = {.tv_nsec = 5 * KS_MS};

	while (ks_true_ns() < at_ns) {
		if (ks_ft_interrupted(r->request, r->limit_ns, r->err) != 0)
			return -1;
		for (uint32_t i = 0; i < r->n; i++)
			ks_proc_read_err(&r->program[i].p.proc);
		nanosleep(&nap, NULL);
	}
	return 0;
}

static void end_all(struct run *r, int grace_ms)
{
	for (uint32_t i = 0; i < r->n; i++)
		ks_ft_settle(&r->program[i].p);
	ks_proc_end(&r->program[0].p.proc, r->n, sizeof(r->program[0]), grace_ms);
}

/* One that speaks when the scenario begins is up; a moment after the faults it would have met none of them. The start
 * cannot be moved while programs run, their clocks would jump by it: where one is silent yet, all are started anew with
 * more time before it. One that is silent at last is taken as it is. */
static int start(struct run *r)
{
	int64_t warm_up = WARM_UP_NS;

	for (uint32_t attempt = 1;; attempt++, warm_up *= 4) {
		uint32_t up = 0;
		if (ks_ft_play_start(&r->play, ks_true_ns() + warm_up, r->err) != 0)
			return -1;
		for (uint32_t i = 0; i < r->n; i++) {
			name(r, i);
			if (launch(r, &r->program[i]) != 0)
				return -1;
		}
		if (wait_until(r, r->play.start_ns) != 0)
			return -1;
		for (uint32_t i = 0; i < r->n; i++)
			up += speaks(&r->program[i]);
		if (up == r->n || attempt == WARM_UPS)
			break;
		end_all(r, GRACE_MS);
		for (uint32_t i = 0; i < r->n; i++)
			r->program[i] = (struct program){.p.proc = KS_PROC_NONE};
	}
	r->end_ns = r->play.start_ns + r->plan->duration_ns;
	return 0;
}

/* ---- restarts ---- */

/* Killed; or, where it keeps its state by itself, told to end, with time for it. What it has printed until then counts, but no line
 * that it did not end. */
static int bring_down(struct run *r, struct program *p, bool kept)
{
	const struct timespec nap = {.tv_nsec = KS_MS};
	int64_t until = ks_true_ns() + (kept ? KS_SEC : 0);

	ks_ft_settle(&p->p);
	p->p.up = false;
	p->down = true;
	p->p.until_ns = ks_ft_play_now(&r->play);
	kill(-p->p.proc.pid, kept ? SIGTERM : SIGKILL);
	do {
		for (int i = 0; i < 64 && !p->quiet; i++)
			if (hear(r, p) != 0)
				return -1;
		if (kept)
			nanosleep(&nap, NULL);
	} while (!ks_proc_poll(&p->p.proc) && ks_true_ns() < until);
	ks_proc_end(&p->p.proc, 1, sizeof(p->p.proc), 0);
	p->quiet = true;
	return 0;
}

static int down(struct run *r, const struct ks_fault_event *e)
{
	for (uint32_t i = 0; i < r->n; i++) {
		struct program *p = &r->program[i];
		if (p->p.up && p->p.node == e->node && (e->process == KS_ANY || e->process == p->p.process) &&
		    bring_down(r, p, e->amount & KS_RESTART_KEPT) != 0)
			return -1;
	}
	return 0;
}

static int begin_anew(struct run *r, const struct program *before, uint32_t k)
{
	struct program *p = &r->program[r->n];

	*p = (struct program){.lane = r->n, .p = {.slot = r->n, .node = before->p.node, .process = before->p.process,
						  .incarnation = before->p.incarnation + 1, .born = k, .until_ns = INT64_MAX,
						  .proc = KS_PROC_NONE}};
	p->p.from_ns = ks_ft_play_now(&r->play);
	r->output->records.lanes[r->n] =
	    (struct ks_lane){.node = p->p.node, .process = p->p.process, .incarnation = p->p.incarnation};
	r->output->records.nlanes = r->play.processes = ++r->n;
	return launch(r, p);
}

static int up(struct run *r, uint32_t k)
{
	const struct ks_fault_event *e = &r->play.event[k];

	for (uint32_t i = 0, n = r->n; i < n; i++) {
		const struct program *p = &r->program[i];
		bool last = p->down;
		for (uint32_t m = i + 1; m < n; m++)
			last &= r->program[m].p.node != p->p.node || r->program[m].p.process != p->p.process;
		if (last && p->p.node == e->node && (e->process == KS_ANY || e->process == p->p.process) && begin_anew(r, p, k) != 0)
			return -1;
	}
	return 0;
}

/* Will a restart begin another one? */
static bool begins_anew(const struct run *r)
{
	for (uint32_t k = r->play.next; k < r->play.n; k++)
		if (r->play.event[k].op == KS_FAULT_UP)
			return true;
	return false;
}

static int act(void *who, uint32_t k, struct ks_err *err)
{
	struct run *r = who;
	const struct ks_fault_event *e = &r->play.event[k];

	if (e->op == KS_FAULT_DOWN)
		return down(r, e);
	if (e->op == KS_FAULT_UP)
		return up(r, k);
	return ks_fail(err, KS_E_JUDGE, "fault '%s' is not carried by this world", r->plan->fault[e->fault].name);
}

/* @return 1 when it has ended well and all is read, 0 when not yet, -1 when it died. */
static int look(struct run *r, struct program *p)
{
	char how[420];

	if (p->down)
		return 1;
	if (!ks_proc_poll(&p->p.proc) || !p->quiet)
		return 0;
	if (p->p.proc.status != 0)
		return judge(r, p, ks_proc_describe(&p->p.proc, how, sizeof(how)));
	return 1;
}

/* Waits for output until true time at_ns, 100 ms at most, and takes what there is. */
static int listen(struct run *r, int64_t at_ns)
{
	int64_t left = at_ns - ks_true_ns();

	left = left < 0 ? 0 : left > LOOK_NS ? LOOK_NS : left;
	for (uint32_t i = 0; i < r->n; i++) {
		const struct program *p = &r->program[i];
		r->fds[2 * i] = (struct pollfd){.fd = p->quiet ? -1 : p->p.proc.out, .events = POLLIN};
		r->fds[2 * i + 1] = (struct pollfd){.fd = p->p.proc.err, .events = POLLIN};
	}
	struct timespec ts = {.tv_nsec = left};
	if (ppoll(r->fds, 2 * r->n, &ts, NULL) < 0)
		return errno == EINTR ? 0 : ks_fail(r->err, KS_E_INTERNAL, "cannot wait: %s", strerror(errno));
	for (uint32_t i = 0; i < r->n; i++) {
		struct program *p = &r->program[i];
		if (r->fds[2 * i + 1].revents)
			ks_proc_read_err(&p->p.proc);
		if (!p->quiet && (r->fds[2 * i].revents || p->p.proc.ended) && hear(r, p) != 0)
			return -1;
	}
	return 0;
}

static int play(struct run *r)
{
	while (ks_true_ns() < r->end_ns) {
		uint32_t ended = 0;
		for (uint32_t i = 0; i < r->n; i++) {
			int state = look(r, &r->program[i]);
			if (state < 0)
				return -1;
			ended += (uint32_t)state;
		}
		if (ended == r->n && !begins_anew(r))
			break;
		if (ks_ft_interrupted(r->request, r->limit_ns, r->err) != 0 ||
		    ks_ft_play_run(&r->play, r->err) != 0)
			return -1;
		int64_t wake = ks_ft_play_due(&r->play);
		wake = wake == INT64_MAX ? r->end_ns : wake - KS_MS;
		if (listen(r, wake < r->end_ns ? wake : r->end_ns) != 0)
			return -1;
	}
	char text[120], t[KS_TIME_TEXT];
	for (uint32_t i = 0; i < r->n; i++)
		if (!r->program[i].keys) {
			snprintf(text, sizeof(text), "printed no key in %s",
				 ks_dur_format(t, (ks_true_ns() - r->play.start_ns) / KS_MS * KS_MS));
			return judge(r, &r->program[i], text);
		}
	return 0;
}

static void describe(struct run *r)
{
	bool capped = false;
	char lib[100];

	for (uint32_t i = 0; i < r->n; i++)
		capped |= r->program[i].capped;
	ks_ft_describe(lib, sizeof(lib));
	snprintf(r->output->detail, sizeof(r->output->detail), "%s, a free-running program%s%s", lib,
		 r->play.n ? ", faults proven from the time in its keys" : "",
		 capped ? "; it printed more than is read, only the beginning is judged" : "");
}

/* ---- all of it ---- */

static int make_room(struct run *r)
{
	r->room = r->n + ks_ft_restarts(&r->play, r->plan);
	r->program = ks_alloc(r->room, sizeof(*r->program));
	r->fds = ks_alloc(2 * (size_t)r->room, sizeof(*r->fds));
	r->chunk = ks_alloc(1, CHUNK);
	for (uint32_t i = 0; r->program && i < r->room; i++)
		r->program[i].p.proc = (struct ks_proc)KS_PROC_NONE;
	return r->program && r->fds && r->chunk ? 0 : ks_fail(r->err, KS_E_INTERNAL, "out of memory");
}

static int make_lanes(struct run *r)
{
	struct ks_records *records = &r->output->records;

	records->lanes = ks_alloc(r->room, sizeof(*records->lanes));
	if (!records->lanes)
		return ks_fail(r->err, KS_E_INTERNAL, "out of memory");
	records->nlanes = r->n;
	for (uint32_t i = 0; i < r->n; i++)
		records->lanes[i] = (struct ks_lane){.node = i / r->plan->processes, .process = i % r->plan->processes};
	return 0;
}

static int carry_out(struct run *r)
{
	if (ks_ft_play_init(&r->play, r->request, r->err) != 0 || make_room(r) != 0 || make_lanes(r) != 0)
		return -1;
	r->play.stage = &r->stage;
	r->play.process = &r->program[0].p;
	r->play.stride = sizeof(r->program[0]);
	r->play.processes = r->n;
	r->play.act = act;
	r->play.who = r;
	r->stdbuf = access(STDBUF, R_OK) == 0 ? STDBUF : NULL;
	return ks_ft_open(&r->stage, r->err) != 0 || start(r) != 0 || play(r) != 0 ? -1 : 0;
}

int ks_ft_run_exec(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	struct run r = {
	    .request = request, .plan = plan, .output = output, .err = err, .n = plan->nodes * plan->processes};
	int64_t timeout = request->timeout_ns ? request->timeout_ns : plan->duration_ns + 60 * KS_SEC;

	r.limit_ns = ks_true_ns() + timeout;
	int status = carry_out(&r);
	if (r.program)
		end_all(&r, GRACE_MS);
	ks_ft_close(&r.stage);
	if (status == 0)
		status = ks_ft_prove_keys(&r.play, request, output, err);
	if (status == 0)
		describe(&r);
	*busy = r.play.busy;
	ks_ft_play_release(&r.play);
	ks_free(r.program);
	ks_free(r.fds);
	ks_free(r.chunk);
	return status;
}
