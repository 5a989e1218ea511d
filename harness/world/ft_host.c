/* Built-in generators under libfaketime: one keyskew-subject a process of the fleet, faults at their true times, and what the
 * subjects noted in memory that is shared with them (ks_area.h). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ask.h"
#include "command.h"
#include "foreign.h"
#include "ft_run.h"
#include "ks_mem.h"
#include "ks_subject.h"
#include "ks_wire.h"
#include "truetime.h"

#define LOOK_NS (100 * KS_MS)  /* how often `stop` is looked at, at least */
#define HELLO_NS (20 * KS_SEC) /* for all to be loaded */
#define GRACE_MS 1000
#define BATCH 900              /* records that are taken from an area at once: their texts fit a frame */
#define PROBES_MAX 2000000

/* ---- what subjects say ---- */

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

int ks_ft_lament(struct run *r, struct subject *s, const char *what)
{
	char how[420];

	ks_proc_read_err(&s->p.proc);
	for (int i = 0; i < 50 && !ks_proc_poll(&s->p.proc); i++)
		usleep(2000); /* its end is on the way */
	return ks_fail(r->err, KS_E_JUDGE, "subject %u of node '%s' %s; it %s", s->p.process, r->plan->node[s->p.node].name,
		       what, ks_proc_describe(&s->p.proc, how, sizeof(how)));
}

static int take_clocks(struct run *r, struct subject *s, const void *payload, uint32_t length)
{
	int64_t before = s->clocks.raw_after_ns;

	if (length != sizeof(s->clocks) || !s->pings_open)
		return ks_ft_lament(r, s, "told its clocks unasked");
	memcpy(&s->clocks, payload, length);
	const struct ks_wire_clocks *c = &s->clocks;
	if (c->raw_ns < before || c->raw_after_ns < c->raw_ns || c->raw_after_ns > ks_true_ns())
		return ks_ft_lament(r, s, "told an impossible time");
	s->pings_open--;
	return 0;
}

/* ---- what subjects noted ---- */

/* What a lane completed, and the call that it was inside. The process has ended, or said that it is through. */
static int collect_lane(struct run *r, struct subject *s, uint32_t thread)
{
	const struct ks_area *a = &s->p.area;
	struct ks_wire_record lost;
	bool inside, texts = ks_gen_issues_texts(r->request->gen);
	size_t n = ks_area_close(&a->lane[thread], &inside);
	int64_t until_ns = ks_true_ns() - r->play.start_ns;

	if (n > a->head->size.records)
		return ks_ft_lament(r, s, "noted more calls than there is room for");
	for (size_t at = 0; at < n; at += BATCH) {
		size_t k = n - at < BATCH ? n - at : BATCH;
		int64_t length = texts ? ks_area_texts(a, thread, at, k, r->frame) : 0;
		if (length < 0)
			return ks_ft_lament(r, s, "noted a key that is none");
		if (length && ks_wire_account_texts(&s->account, r->frame, (uint32_t)length, &r->output->records, r->err) != 0)
			return -1;
		if (ks_wire_account_add(&s->account, &a->record[thread * a->head->size.records + at],
					(uint32_t)(k * sizeof(*a->record)), until_ns, &r->output->records, r->err) != 0)
			return -1;
	}
	if (inside)
		s->p.was_inside[thread / 64] |= UINT64_C(1) << (thread % 64);
	ks_area_lost(&a->lane[thread], thread, n, &lost);
	return inside ? ks_wire_account_add(&s->account, &lost, sizeof(lost), until_ns, &r->output->records, r->err) : 0;
}

/* What refusals of a program that was asked said, in its own words. */
static void collect_reasons(struct run *r, struct subject *s)
{
	const struct ks_area_head *head = s->p.area.head;
	uint32_t n = head->nreasons;

	s->account.whys = n < KS_RECORD_REASONS ? n : KS_RECORD_REASONS;
	for (uint32_t i = 0; i < s->account.whys; i++)
		s->account.why[i] = ks_reason_number(&r->output->records.reasons, head->reason[i],
						     strnlen(head->reason[i], KS_REASON_TEXT));
}

int ks_ft_collect(struct run *r, struct subject *s)
{
	collect_reasons(r, s);
	for (uint32_t i = 0; i < r->plan->threads; i++) {
		if (collect_lane(r, s, i) != 0)
			return -1;
		s->clock_reads += s->p.area.lane[i].reads;
	}
	s->phase = DONE;
	return 0;
}

static int take_done(struct run *r, struct subject *s, const void *payload, uint32_t length)
{
	struct ks_wire_done d;

	if (length != sizeof(d))
		return ks_ft_lament(r, s, "ended with a frame of the wrong size");
	memcpy(&d, payload, sizeof(d));
	if (ks_ft_collect(r, s) != 0)
		return -1;
	return d.records == s->account.records ? 0 : ks_ft_lament(r, s, "did not note the records that it counted");
}

static int take_hello(struct run *r, struct subject *s, const void *payload, uint32_t length)
{
	struct ks_wire_hello hello;

	if (length != sizeof(hello))
		return ks_ft_lament(r, s, "greeted with a frame of the wrong size");
	memcpy(&hello, payload, sizeof(hello));
	if (hello.version != KS_WIRE_VERSION || hello.record_size != sizeof(struct ks_wire_record))
		return ks_ft_lament(r, s, "is of another version of keyskew");
	s->phase = s->kept ? DONE : GREETED; /* a snapshot has nothing to do */
	return 0;
}

static int take_question(struct run *r, struct subject *s, const void *payload, uint32_t length)
{
	struct ks_wire_registry m;

	if (length != sizeof(m))
		return ks_ft_lament(r, s, "asked the registry with a frame of the wrong size");
	memcpy(&m, payload, sizeof(m));
	if (!ks_ft_registry_answer(&r->registry, s->p.node, s->p.process, &m))
		return ks_ft_lament(r, s, "asked the registry for something unknown");
	return ks_ft_tell(r, s, KS_WIRE_TOLD, &m, sizeof(m));
}

static int take(struct run *r, struct subject *s, int type, const void *payload, uint32_t length)
{
	char text[400];

	if (type == KS_WIRE_FORKED && s->forking)
		return ks_ft_take_forked(r, s, payload, length);
	if (type == KS_WIRE_ASK)
		return take_question(r, s, payload, length);
	if (type == KS_WIRE_HELLO && s->phase == STARTING)
		return take_hello(r, s, payload, length);
	if (type == KS_WIRE_READY && s->phase == GREETED) {
		s->phase = READY;
		return 0;
	}
	if (type == KS_WIRE_CLOCKS)
		return take_clocks(r, s, payload, length);
	if (type == KS_WIRE_DONE && s->phase == RUNNING)
		return take_done(r, s, payload, length);
	if (type != KS_WIRE_ERROR)
		return ks_ft_lament(r, s, "sent a frame out of turn");
	snprintf(text, sizeof(text), "gave up: %.*s", (int)(length < 300 ? length : 300), (const char *)payload);
	for (char *p = text; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	return ks_ft_lament(r, s, text);
}

static int hear(struct run *r, struct subject *s)
{
	const void *payload;
	uint32_t length;
	int type, got = ks_wire_rx_fill(&s->rx, s->p.proc.out);

	if (got < 0)
		return errno == EAGAIN ? 0 : ks_ft_lament(r, s, "cannot be read");
	if (got == 0)
		return ks_ft_lament(r, s, "ended before its time");
	while ((type = ks_wire_rx_take(&s->rx, &payload, &length)) > 0)
		if (take(r, s, type, payload, length) != 0 || (s->before && ks_ft_restart_next(r, s) != 0))
			return -1;
	return type < 0 ? ks_ft_lament(r, s, "sent garbage") : 0;
}

/* Waits until someone says something, or until true time at_ns; 100 ms at most. */
static int listen(struct run *r, int64_t at_ns)
{
	int64_t left = at_ns - ks_true_ns();

	if (ks_ft_interrupted(r->request, r->limit_ns, r->err) != 0)
		return -1;
	left = left < 0 ? 0 : left > LOOK_NS ? LOOK_NS : left;
	for (uint32_t i = 0; i < r->n; i++) {
		const struct subject *s = &r->subject[i];
		bool over = !s->p.up && s->phase == DONE && !s->kept; /* it waits for its end */
		r->fds[2 * i] = (struct pollfd){.fd = over ? -1 : s->p.proc.out, .events = POLLIN};
		r->fds[2 * i + 1] = (struct pollfd){.fd = r->subject[i].p.proc.err, .events = POLLIN};
	}
	struct timespec ts = {.tv_nsec = left};
	if (ppoll(r->fds, 2 * r->n, &ts, NULL) < 0)
		return errno == EINTR ? 0 : ks_fail(r->err, KS_E_INTERNAL, "cannot wait: %s", strerror(errno));
	for (uint32_t i = 0; i < r->n; i++) {
		if (r->fds[2 * i + 1].revents)
			ks_proc_read_err(&r->subject[i].p.proc);
		if (r->fds[2 * i].revents && hear(r, &r->subject[i]) != 0)
			return -1;
	}
	return 0;
}

int ks_ft_tell(struct run *r, struct subject *s, uint32_t type, const void *payload, uint32_t length)
{
	return ks_wire_send(s->p.proc.in, type, payload, length) == 0 ? 0 : ks_ft_lament(r, s, "does not listen");
}

int ks_ft_listen(struct run *r, int64_t at_ns)
{
	return listen(r, at_ns);
}

static int wait_for(struct run *r, enum ks_ft_phase phase, int64_t until_ns, const char *what)
{
	for (;;) {
		uint32_t there = 0;
		for (uint32_t i = 0; i < r->n; i++)
			there += r->subject[i].phase >= phase && !r->subject[i].pings_open;
		if (there == r->n)
			return 0;
		r->play.busy = ks_true_ns() > until_ns;
		if (r->play.busy)
			return ks_fail(r->err, KS_E_JUDGE, "%u of %u subjects %s in time: this machine is too busy",
				       r->n - there, r->n, what);
		if (listen(r, until_ns) != 0)
			return -1;
	}
}

/* ---- the start ---- */

/* The file in which the subject will note its calls. */
static struct ks_wire_config config_of(const struct run *r, const struct subject *s);

int ks_ft_make_area(struct run *r, struct subject *s)
{
	const struct ks_wire_config c = config_of(r, s);
	struct ks_area_size size = ks_area_size(&c, ks_gen_issues_texts(r->request->gen));
	char path[96];
	size.probes = (uint64_t)((r->plan->duration_ns + 2 * KS_SEC) / c.probe_ns + 16);
	size.probes = size.probes < PROBES_MAX ? size.probes : PROBES_MAX;
	size_t bytes = ks_area_bytes(&size);
	struct statvfs fs;
	char text[KS_TIME_TEXT];

	snprintf(path, sizeof(path), "%s/area-%u", r->stage.dir, s->p.slot);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0 || fstatvfs(fd, &fs) != 0)
		return ks_fail(r->err, KS_E_INTERNAL, "cannot make '%s': %s", path, strerror(errno));
	if (fs.f_bavail * fs.f_frsize < bytes) {
		close(fd);
		return ks_fail(r->err, KS_E_JUDGE, "no room in /dev/shm for the records of %s: %zu MB are needed",
			       ks_dur_format(text, r->plan->duration_ns), bytes >> 20);
	}
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED)
		return ks_fail(r->err, KS_E_INTERNAL, "cannot map '%s': %s", path, strerror(errno));
	ks_area_init(&s->p.area, memory, &size);
	return 0;
}

static struct ks_wire_config config_of(const struct run *r, const struct subject *s)
{
	const struct ks_plan *p = r->plan;
	uint32_t number = s->p.node * p->processes + s->p.process;

	return (struct ks_wire_config){.process = number,
				       .threads = p->threads,
				       .lanes_before = s->p.process * p->threads,
				       .lanes_of_node = p->processes * p->threads,
				       .seed = r->request->seed,
				       .worker = ks_plan_worker(p, r->request->seed, s->revived ? s->before->p.node : s->p.node),
				       .duration_ns = p->duration_ns,
				       .rate_count = p->load.rate.count,
				       .rate_per_ns = p->load.rate.per_ns,
				       .phase_ns = p->load.phase_ns,
				       .probe_ns = ks_ft_probe_gap(p, r->play.event, r->play.n),
				       .arrival = p->load.arrival,
				       .model = p->load.model,
				       .on_refuse = p->load.on_refuse,
				       .lane_id = number * p->threads,
				       .kept = s->p.kept,
				       .worker_rule = ks_plan_worker_rule(p),
				       .mac = ks_host_mac(p->host, r->request->seed, s->p.node),
				       .ip = ks_host_ip(s->p.node),
				       .pid = p->host == KS_HOST_CONTAINER && s->p.process == 0, /* and 1 it is */
				       .way_ns = p->network.delay_ns ? p->network.delay_ns : 1,
				       .own_random = p->clones > 0,
				       .reseed = s->revived && r->play.event[s->p.born].extra & KS_REVIVE_RESEED,
				       .caller = ks_caller(&(struct ks_lane){s->p.node, s->p.process, s->p.incarnation, 0},
							   p->processes, p->threads),
				       .user_low = p->user_low,
				       .user_high = p->user_high,
				       .depth_low = p->depth_low,
				       .depth_high = p->depth_high};
}

/* A program that is asked for keys: the subject starts it and speaks with it. */
static int add_program(struct run *r, struct subject *s, struct ks_command *program, char what[300], char timeout[32], char **argv)
{
	const struct ks_foreign *foreign = r->request->gen->foreign;
	static char here[] = ".";
	const char *node = r->plan->node[s->p.node].name;
	const struct ks_command_values values = {
	    .node_id = ks_plan_worker(r->plan, r->request->seed, s->p.node), .seed = r->request->seed, .node = node};

	if (ks_command_of(program, foreign, &values, r->err) != 0)
		return -1;
	snprintf(what, 300, "'%.150s' of node '%.100s'", r->request->gen->text, node);
	snprintf(timeout, 32, "%" PRId64, foreign->timeout_ns ? foreign->timeout_ns : KS_ASK_TIMEOUT_NS);
	argv[3] = what;
	argv[4] = *foreign->folder ? (char *)(uintptr_t)foreign->folder : here;
	argv[5] = timeout;
	memcpy(argv + 6, program->word, ((size_t)program->words + 1) * sizeof(*argv));
	return 0;
}

int ks_ft_prepare(struct run *r, struct subject *s)
{
	s->rx.buf = ks_alloc(1, KS_WIRE_RX_BYTES);
	s->account = (struct ks_wire_account){.spec = r->request->gen,
					      .first_lane = s->p.first_lane,
					      .threads = r->plan->threads,
					      .duration_ns = r->plan->duration_ns,
					      .thread = ks_alloc(r->plan->threads, sizeof(*s->account.thread))};
	return s->rx.buf && s->account.thread ? 0 : ks_fail(r->err, KS_E_INTERNAL, "out of memory");
}

int ks_ft_launch(struct run *r, struct subject *s)
{
	struct ks_command program;
	char path[4096], area[96], why[256], what[300], timeout[32];
	char *argv[7 + KS_COMMAND_WORDS] = {path, r->stage.dir, area};

	if (ks_ft_prepare(r, s) != 0)
		return -1;
	if (ks_ft_find_subject(path, why, sizeof(why)) != 0)
		return ks_fail(r->err, KS_E_JUDGE, "%s", why);
	snprintf(area, sizeof(area), "%s/area-%u", r->stage.dir, s->p.slot);
	if (ks_ft_make_area(r, s) != 0 || (!r->request->gen->gen && add_program(r, s, &program, what, timeout, argv) != 0))
		return -1;
	return ks_ft_start(&r->stage, &s->p, argv, true, NULL, r->err);
}

int ks_ft_send_config(struct run *r, struct subject *s)
{
	const char *text = r->request->gen->text;
	struct {
		struct ks_wire_config c;
		char text[sizeof(r->request->gen->text)];
	} m = {.c = config_of(r, s)};
	size_t length = strlen(text) + 1;

	memcpy(m.text, text, length);
	return ks_ft_tell(r, s, KS_WIRE_CONFIG, &m, (uint32_t)(sizeof(m.c) + length));
}

int ks_ft_ping(struct run *r, struct subject *s)
{
	s->pings_open++;
	return ks_ft_tell(r, s, KS_WIRE_PING, NULL, 0);
}

static int ping_all(struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->subject[i].p.up && ks_ft_ping(r, &r->subject[i]) != 0)
			return -1;
	return 0;
}

/* The instant of the start is chosen when all are loaded. Their clocks have stood until now at the instant from which
 * libfaketime counts; they are set before a generator looks at them. */
static int choose_start(struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		r->subject[i].p.from_unix_ns = r->subject[i].clocks.clock_ns[KS_REALTIME];
	return ks_ft_play_start(&r->play, ks_true_ns() + 300 * KS_MS + r->n * (20 * KS_MS + r->plan->threads * KS_MS), r->err);
}

/* What the clocks would show at the start without faults: the plan's time, which the first reading must prove, or for
 * those that are not faked what it says. */
static int set_clock_bases(struct run *r, struct subject *s)
{
	const struct ks_wire_clocks *c = &s->clocks;
	int64_t middle = c->raw_ns + (c->raw_after_ns - c->raw_ns) / 2;
	const struct ks_plan_node *node = &r->plan->node[s->p.node];
	char text[KS_TIME_TEXT];

	s->first = *c;
	for (int id = 0; id < KS_NCLOCKS; id++)
		s->account.clock_base_ns[id] = c->clock_ns[id] - (middle - r->play.start_ns);
	int64_t off = s->account.clock_base_ns[KS_REALTIME] - r->plan->start_unix_ns - node->offset_ns;
	if (distance(off, 0) > KS_FT_TOLERANCE_NS + (c->raw_after_ns - c->raw_ns))
		return ks_fail(r->err, KS_E_JUDGE,
			       "the clock of subject %u of node '%s' is off by %s before anything was done to "
			       "it: libfaketime does not reach it",
			       s->p.process, node->name, ks_dur_format(text, off));
	s->account.clock_base_ns[KS_TAI] -= node->offset_ns;
	s->account.clock_base_ns[KS_REALTIME] = r->plan->start_unix_ns;
	return 0;
}

static int start(struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (ks_ft_launch(r, &r->subject[i]) != 0)
			return -1;
	if (wait_for(r, GREETED, ks_true_ns() + HELLO_NS, "did not greet") != 0)
		return -1;
	for (uint32_t i = 0; i < r->n; i++)
		r->subject[i].p.up = true;
	if (ping_all(r) != 0 || wait_for(r, GREETED, ks_true_ns() + HELLO_NS, "did not tell their clocks") != 0 ||
	    choose_start(r) != 0)
		return -1;
	for (uint32_t i = 0; i < r->n; i++)
		if (ks_ft_send_config(r, &r->subject[i]) != 0)
			return -1;
	if (wait_for(r, READY, r->play.start_ns, "were not ready") != 0 || ping_all(r) != 0 ||
	    wait_for(r, READY, r->play.start_ns, "did not tell their clocks") != 0)
		return -1;
	struct ks_wire_start s = {r->play.start_ns, r->plan->start_unix_ns};
	for (uint32_t i = 0; i < r->n; i++) {
		if (set_clock_bases(r, &r->subject[i]) != 0)
			return -1;
		r->subject[i].phase = RUNNING;
		if (ks_ft_tell(r, &r->subject[i], KS_WIRE_START, &s, sizeof(s)) != 0)
			return -1;
	}
	r->play.busy = ks_true_ns() > r->play.start_ns;
	if (r->play.busy)
		return ks_fail(r->err, KS_E_JUDGE, "the subjects were started late: this machine is too busy");
	return 0;
}

/* ---- the run ---- */

static bool all_done(const struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->subject[i].phase != DONE)
			return false;
	return ks_ft_play_due(&r->play) == INT64_MAX;
}

static int play(struct run *r)
{
	while (!all_done(r)) {
		if (ks_ft_play_run(&r->play, r->err) != 0)
			return -1;
		int64_t due = ks_ft_play_due(&r->play);
		if (listen(r, due == INT64_MAX ? due : due - KS_MS) != 0)
			return -1;
	}
	if (ping_all(r) != 0)
		return -1;
	return wait_for(r, DONE, ks_true_ns() + 5 * KS_SEC, "did not tell their clocks at the end");
}

/* The clocks that libfaketime is told to leave alone must have run as true time did. */
static int check_others(struct run *r, const struct subject *s)
{
	static const enum ks_clock_id others[] = {KS_MONOTONIC, KS_RAW, KS_BOOTTIME};
	const struct ks_wire_clocks *a = &s->first, *b = &s->clocks;
	int64_t took = b->raw_ns - a->raw_ns;
	int64_t slack = KS_FT_TOLERANCE_NS + (b->raw_after_ns - b->raw_ns) + (a->raw_after_ns - a->raw_ns) + took / 1000;
	char text[KS_TIME_TEXT];

	for (size_t i = 0; s->p.up && i < sizeof(others) / sizeof(others[0]); i++) {
		int64_t gain = b->clock_ns[others[i]] - a->clock_ns[others[i]] - took;
		if (distance(gain, 0) > slack)
			return ks_fail(r->err, KS_E_JUDGE, "clock %s of subject %u of node '%s' moved by %s, and nothing was done to it",
				       ks_clock_names[others[i]], s->p.process, r->plan->node[s->p.node].name,
				       ks_dur_format(text, gain));
	}
	return 0;
}

static int prove(struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (check_others(r, &r->subject[i]) != 0)
			return -1;
	if (ks_ft_prove(&r->play, r->request, r->output, r->err) != 0)
		return -1;
	return r->request->gen->gen ? 0 : ks_ft_prove_keys(&r->play, r->request, r->output, r->err);
}

static void describe(struct run *r)
{
	struct ks_run_output *out = r->output;
	char text[KS_TIME_TEXT], faults[KS_TIME_TEXT], lib[100];

	for (uint32_t i = 0; i < r->n; i++)
		out->records.clock_reads += r->subject[i].clock_reads;
	ks_ft_machine(&r->play, &out->machine);
	ks_ft_describe(lib, sizeof(lib));
	snprintf(out->detail, sizeof(out->detail), "%s, calls begun at most %s late%s%s", lib,
		 ks_dur_format(text, out->machine.call_late_ns_max), r->play.n ? ", faults at most " : "",
		 r->play.n ? ks_dur_format(faults, r->play.worst_late_ns) : "");
	out->noise_ns = KS_READ_WIDTH_PROCESS_NS; /* the difference of two readings, each known to half of it */
}

/* ---- all of it ---- */

void ks_ft_make_lanes(struct run *r, struct subject *s)
{
	struct ks_records *records = &r->output->records;

	s->p.first_lane = (uint32_t)records->nlanes;
	for (uint32_t k = 0; k < r->plan->threads; k++)
		records->lanes[records->nlanes++] = (struct ks_lane){
		    .node = s->p.node, .process = s->p.process, .incarnation = s->p.incarnation, .thread = k};
}

/* Room for all incarnations that there will be. */
static int make_subjects(struct run *r)
{
	uint32_t first = (r->plan->nodes - r->plan->clones) * r->plan->processes; /* clones come last, and later */

	r->room = first + ks_ft_restarts(&r->play, r->plan) + ks_ft_clones(&r->play, r->plan);
	r->subject = ks_alloc(r->room, sizeof(*r->subject));
	r->fds = ks_alloc(2 * (size_t)r->room, sizeof(*r->fds));
	r->frame = ks_alloc(1, KS_WIRE_MAX);
	r->output->records.lanes = ks_alloc((size_t)r->room * r->plan->threads, sizeof(*r->output->records.lanes));
	if (!r->subject || !r->fds || !r->frame || !r->output->records.lanes)
		return ks_fail(r->err, KS_E_INTERNAL, "out of memory");
	for (uint32_t i = 0; i < r->room; i++)
		r->subject[i].p.proc = (struct ks_proc)KS_PROC_NONE;
	for (r->n = 0; r->n < first; r->n++) {
		struct subject *s = &r->subject[r->n];
		s->p.node = r->n / r->plan->processes;
		s->p.process = r->n % r->plan->processes;
		s->p.slot = r->n;
		s->p.from_ns = INT64_MIN;
		s->p.until_ns = INT64_MAX;
		ks_ft_make_lanes(r, s);
	}
	return 0;
}

/* Before the start there is no time; but a registry that is down from the beginning is down for those who ask before it, too. */
static int make_registry(struct run *r)
{
	if (ks_ft_registry_init(&r->registry, r->plan->nodes, r->plan->processes) != 0)
		return ks_fail(r->err, KS_E_INTERNAL, "out of memory");
	for (uint32_t k = 0; k < r->play.n && r->play.event[k].at_ns == 0; k++)
		if (r->play.event[k].op == KS_FAULT_REGISTRY)
			r->registry.cut_off[r->play.event[k].node] = !r->play.event[k].amount;
	return 0;
}

static int carry_out(struct run *r)
{
	if (ks_ft_play_init(&r->play, r->request, r->err) != 0 || make_subjects(r) != 0 || make_registry(r) != 0)
		return -1;
	r->play.stage = &r->stage;
	r->play.process = &r->subject[0].p;
	r->play.stride = sizeof(r->subject[0]);
	r->play.processes = r->n;
	r->play.act = ks_ft_act;
	r->play.who = r;
	if (ks_ft_open(&r->stage, r->err) != 0 ||
	    start(r) != 0 || play(r) != 0 || prove(r) != 0)
		return -1;
	describe(r);
	return 0;
}

static void clean_up(struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		ks_ft_settle(&r->subject[i].p);
	for (uint32_t i = 0; i < r->n; i++)
		if (r->subject[i].p.proc.in >= 0) /* end of file: it goes by itself */
			close(r->subject[i].p.proc.in), r->subject[i].p.proc.in = -1;
	if (r->n)
		ks_proc_end(&r->subject[0].p.proc, r->n, sizeof(r->subject[0]), GRACE_MS);
	for (uint32_t i = 0; i < r->n; i++) {
		struct subject *s = &r->subject[i];
		if (s->p.area.head)
			munmap(s->p.area.head, s->p.area.bytes);
		ks_free(s->rx.buf);
		ks_free(s->account.thread);
	}
	ks_ft_close(&r->stage);
	ks_ft_play_release(&r->play);
	ks_ft_registry_release(&r->registry);
	ks_free(r->subject);
	ks_free(r->fds);
	ks_free(r->frame);
}

int ks_ft_run_host(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	struct run r = {.request = request, .plan = plan, .output = output, .err = err};
	int64_t timeout = request->timeout_ns ? request->timeout_ns : plan->duration_ns + 60 * KS_SEC;

	r.limit_ns = ks_true_ns() + timeout;
	ks_ft_reap(plan, true);
	int status = carry_out(&r);
	*busy = r.play.busy;
	clean_up(&r);
	ks_ft_reap(plan, false);
	return status;
}
