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
#define GRACE_MS 1000
#define STDBUF "/usr/libexec/coreutils/libstdbuf.so"
/* A time inside a key that is further than this from the scenario is no time. */
#define PLAUSIBLE_NS (366 * KS_DAY)
/* A proof needs so many keys on both sides, and is no better than this. */
#define PROOF_KEYS 5
#define PROOF_NS (2 * KS_MS)

struct program {
	struct ks_ft_process p;
	uint32_t lane;
	char line[KS_KEY_TEXT];
	size_t len;
	uint64_t keys, bytes;
	bool quiet; /* nothing more is read: end of file, or at a limit */
	bool capped;
};

struct run {
	const struct ks_run_request *request;
	const struct ks_plan *plan;
	struct ks_run_output *output;
	struct ks_err *err;
	struct ks_ft_stage stage;
	struct ks_ft_play play;
	struct program *program;
	uint32_t n;
	struct pollfd *fds; /* two a program */
	int64_t limit_ns, end_ns;
	char *chunk;
};

static int judge(struct run *r, const struct program *p, const char *what)
{
	return ks_fail(r->err, KS_E_JUDGE, "'%.200s' of node '%s' %s", r->request->gen->text,
		       r->plan->node[p->p.node].name, what);
}

/* ---- lines into keys ---- */

static void read_time(const struct run *r, const char *line, size_t len, struct ks_record *rec)
{
	struct ks_fields fields;
	int64_t since;

	if (!ks_foreign_decode(r->request->gen->foreign, line, len, &fields) || !fields.has_time)
		return;
	if (__builtin_sub_overflow(fields.embed_lo_unix_ns, r->plan->start_unix_ns, &since))
		return;
	if (since < -PLAUSIBLE_NS || since > PLAUSIBLE_NS)
		return;
	rec->clock = KS_REALTIME;
	rec->read_ns = since;
	rec->read_at_ns = rec->return_ns;
}

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
	read_time(r, p->line, p->len, &rec);
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
	return n == 0 && p->len ? add_key(r, p, at_ns) : 0;
}

/* ---- the programs ---- */

static int launch(struct run *r, uint32_t number, const char *stdbuf)
{
	struct program *p = &r->program[number];
	struct ks_command command;

	p->lane = number;
	p->p.node = number / r->plan->processes;
	p->p.process = number % r->plan->processes;
	p->p.slot = number;
	p->p.from_unix_ns = ks_true_unix_ns(); /* ms before it counts: a rate of ppm makes ns of that */
	struct ks_command_values values = {.node_id = ks_plan_worker(r->plan, r->request->seed, p->p.node),
					   .seed = r->request->seed,
					   .node = r->plan->node[p->p.node].name};
	if (ks_command_of(&command, r->request->gen->foreign, &values, r->err) != 0)
		return -1;
	if (ks_ft_play_show(&r->play, &p->p, r->err) != 0)
		return -1;
	p->p.up = true;
	return ks_ft_start(&r->stage, &p->p, command.word, false, stdbuf, r->err);
}

static int start(struct run *r)
{
	const char *stdbuf = access(STDBUF, R_OK) == 0 ? STDBUF : NULL;

	int64_t start_ns = ks_true_ns();
	r->end_ns = start_ns + r->plan->duration_ns;
	if (ks_ft_play_start(&r->play, start_ns, r->err) != 0)
		return -1;
	for (uint32_t i = 0; i < r->n; i++)
		if (launch(r, i, stdbuf) != 0)
			return -1;
	return 0;
}

/* @return 1 when it has ended well and all is read, 0 when not yet, -1 when it died. */
static int look(struct run *r, struct program *p)
{
	char how[420];

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
		if (ended == r->n)
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

/* ---- the proof ---- */

/* Key time minus receipt is the clock's error minus the way of the key, so its largest value in a stretch is the
 * clock's error but for the shortest way. */
struct skew {
	int64_t top, bottom, median;
	size_t n;
};

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* Of the keys of a lane received in [from, to), times since the start. values: room for all records. */
static struct skew measure(const struct ks_records *records, uint32_t lane, int64_t from, int64_t to, int64_t *values)
{
	size_t n = 0;

	for (size_t i = 0; i < records->n; i++) {
		struct ks_record rec = ks_record_get(records, i);
		if (rec.lane == lane && rec.read_ns != KS_NO_TIME && rec.return_ns >= from && rec.return_ns < to)
			values[n++] = rec.read_ns - rec.read_at_ns;
	}
	if (!n)
		return (struct skew){0};
	qsort(values, n, sizeof(*values), compare);
	return (struct skew){.top = values[n - 1], .bottom = values[0], .median = values[n / 2], .n = n};
}

/* The stretches on both sides of step k in which nothing else happens to its node: from the step before to the step
 * after. Of each the last third is measured: a generator may hold its time for a while after a step. */
static void stretches(const struct run *r, uint32_t k, int64_t before[2], int64_t after[2])
{
	const struct ks_ft_done *done = r->play.done;
	const struct ks_fault_event *event = r->play.event;

	before[0] = 0;
	before[1] = done[k].begin_ns;
	after[0] = done[k].end_ns;
	after[1] = r->plan->duration_ns;
	for (uint32_t i = 0; i < r->play.n; i++) {
		if (event[i].node != event[k].node || i == k)
			continue;
		if (i < k)
			before[0] = done[i].end_ns;
		else if (done[i].end_ns && done[i].begin_ns < after[1])
			after[1] = done[i].begin_ns;
	}
	before[0] = before[1] - (before[1] - before[0]) / 3;
	after[0] = after[1] - (after[1] - after[0]) / 3;
}

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

static int unproven(struct run *r, const struct ks_fault_event *event, const char *why)
{
	return ks_fail(r->err, KS_E_JUDGE, "cannot prove that fault '%s' reached '%.200s': %s",
		       r->plan->fault[event->fault].name, r->request->gen->text, why);
}

static int prove_by(struct run *r, uint32_t k, uint32_t lane, int64_t *values, struct ks_injection *proof)
{
	const struct ks_fault_event *event = &r->play.event[k];
	int64_t span[2][2];
	char why[240], a[KS_TIME_TEXT], b[KS_TIME_TEXT];

	stretches(r, k, span[0], span[1]);
	struct skew before = measure(&r->output->records, lane, span[0][0], span[0][1], values);
	struct skew after = measure(&r->output->records, lane, span[1][0], span[1][1], values);
	if (!before.n && !after.n)
		return unproven(r, event,
				"its keys carry no time that keyskew can read, and nothing else shows its clock");
	if (before.n < PROOF_KEYS || after.n < PROOF_KEYS)
		return unproven(r, event, "too few keys that carry a time before or after it");
	int64_t rough = before.top - before.median, rough_after = after.top - after.median;
	int64_t tolerance = PROOF_NS + (rough > rough_after ? rough : rough_after);
	int64_t observed = after.top - before.top, size = distance(event->amount, 0);
	if (2 * tolerance > size) {
		snprintf(why, sizeof(why), "its keys arrive too irregularly, within %s, to show %s",
			 ks_dur_format(a, tolerance), ks_dur_format(b, event->amount));
		return unproven(r, event, why);
	}
	if (distance(observed, event->amount) > tolerance) {
		snprintf(why, sizeof(why),
			 "the time in its keys moved by %s, not by %s; a static or Go program does not see "
			 "libfaketime",
			 ks_dur_format(a, observed), ks_dur_format(b, event->amount));
		return unproven(r, event, why);
	}
	if (distance(observed, proof->commanded) >= distance(proof->observed, proof->commanded)) {
		proof->observed = observed;
		proof->tolerance = tolerance;
	}
	int64_t noise = before.top - before.bottom > after.top - after.bottom ? before.top - before.bottom
									      : after.top - after.bottom;
	if (noise > r->output->noise_ns)
		r->output->noise_ns = noise;
	return 0;
}

/* Before the first step the clock must be where the scenario puts it. A node that has an offset needs a proof of it;
 * without one it is enough that keys with a time do not carry another date: some generators run ahead by themselves. */
static int prove_offset(struct run *r, uint32_t lane, int64_t *values)
{
	const struct ks_plan_node *node = &r->plan->node[r->program[lane].p.node];
	int64_t until = r->plan->duration_ns, tolerance = KS_HOUR;
	char a[KS_TIME_TEXT];

	for (uint32_t k = r->play.n; k-- > 0;)
		if (r->play.event[k].node == r->program[lane].p.node)
			until = r->play.event[k].at_ns;
	struct skew s = measure(&r->output->records, lane, 0, until, values);
	if (node->offset_ns) {
		tolerance = PROOF_NS + s.top - s.median;
		if (s.n < PROOF_KEYS || 2 * tolerance > distance(node->offset_ns, 0))
			return judge(r, &r->program[lane],
				     "does not show its clock's offset: too few keys that carry a time, or too "
				     "irregular ones");
	}
	if (!s.n || distance(s.top, node->offset_ns) <= tolerance)
		return 0;
	char text[160];
	snprintf(text, sizeof(text),
		 "shows a clock that is off by %s from the start; a static or Go program does not see "
		 "libfaketime",
		 ks_dur_format(a, s.top - node->offset_ns));
	return judge(r, &r->program[lane], text);
}

static int prove_all(struct run *r, int64_t *values)
{
	struct ks_run_output *out = r->output;

	for (uint32_t i = 0; i < r->n; i++)
		if (prove_offset(r, i, values) != 0)
			return -1;
	for (uint32_t k = 0; k < r->play.n; k++) {
		const struct ks_fault_event *event = &r->play.event[k];
		if (!r->play.done[k].end_ns)
			return unproven(r, event, "the programs had ended before it");
		struct ks_injection *proof = &out->injection[out->ninjection++];
		*proof = (struct ks_injection){.fault = event->fault,
					       .node = event->node,
					       .at_ns = r->play.done[k].end_ns,
					       .commanded = event->amount,
					       .observed = event->amount};
		for (uint32_t i = 0; i < r->n; i++)
			if (r->program[i].p.node == event->node && prove_by(r, k, i, values, proof) != 0)
				return -1;
	}
	return 0;
}

static int prove(struct run *r)
{
	size_t room = r->output->records.n;
	int64_t *values = ks_alloc(room ? room : 1, sizeof(*values));

	r->output->noise_ns = PROOF_NS;
	r->output->injection = ks_alloc(r->play.n ? r->play.n : 1, sizeof(*r->output->injection));
	int status =
	    values && r->output->injection ? prove_all(r, values) : ks_fail(r->err, KS_E_INTERNAL, "out of memory");
	ks_free(values);
	return status;
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

static int make_lanes(struct run *r)
{
	struct ks_records *records = &r->output->records;

	records->lanes = ks_alloc(r->n, sizeof(*records->lanes));
	if (!records->lanes)
		return ks_fail(r->err, KS_E_INTERNAL, "out of memory");
	records->nlanes = r->n;
	for (uint32_t i = 0; i < r->n; i++)
		records->lanes[i] = (struct ks_lane){.node = i / r->plan->processes, .process = i % r->plan->processes};
	return 0;
}

static int carry_out(struct run *r)
{
	r->play.stage = &r->stage;
	r->play.process = &r->program[0].p;
	r->play.stride = sizeof(r->program[0]);
	r->play.processes = r->n;
	if (make_lanes(r) != 0 || ks_ft_play_init(&r->play, r->request, r->err) != 0 || ks_ft_open(&r->stage, r->err) != 0 ||
	    start(r) != 0 || play(r) != 0)
		return -1;
	return 0;
}

int ks_ft_run_exec(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	struct run r = {
	    .request = request, .plan = plan, .output = output, .err = err, .n = plan->nodes * plan->processes};
	int64_t timeout = request->timeout_ns ? request->timeout_ns : plan->duration_ns + 60 * KS_SEC;
	int status;

	r.limit_ns = ks_true_ns() + timeout;
	r.program = ks_alloc(r.n, sizeof(*r.program));
	r.fds = ks_alloc(2 * (size_t)r.n, sizeof(*r.fds));
	r.chunk = ks_alloc(1, CHUNK);
	for (uint32_t i = 0; r.program && i < r.n; i++)
		r.program[i].p.proc = (struct ks_proc)KS_PROC_NONE;
	if (!r.program || !r.fds || !r.chunk)
		status = ks_fail(err, KS_E_INTERNAL, "out of memory");
	else
		status = carry_out(&r);
	if (r.program)
		ks_proc_end(&r.program[0].p.proc, r.n, sizeof(r.program[0]), GRACE_MS);
	ks_ft_close(&r.stage);
	if (status == 0)
		status = prove(&r);
	if (status == 0)
		describe(&r);
	*busy = r.play.busy;
	ks_ft_play_release(&r.play);
	ks_free(r.program);
	ks_free(r.fds);
	ks_free(r.chunk);
	return status;
}
