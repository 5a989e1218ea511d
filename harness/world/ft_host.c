/* Built-in generators under libfaketime: one keyskew-subject a process of the fleet, steps at their true times, and the
 * proof of each step from the subject's own clocks. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft.h"
#include "ft_records.h"
#include "ks_mem.h"
#include "ks_subject.h"
#include "ks_wire.h"
#include "truetime.h"

#define LOOK_NS (100 * KS_MS)       /* how often `stop` is looked at, at least */
#define PING_BEFORE_NS (20 * KS_MS) /* before a step */
#define PING_AFTER_NS (2 * KS_MS)   /* after a step, and every PING_AGAIN_NS until one is answered */
#define PING_AGAIN_NS (20 * KS_MS)
#define PINGS_OPEN_MAX 16      /* one who does not answer is not asked more */
#define HELLO_NS (20 * KS_SEC) /* for all to be loaded */
#define GRACE_MS 1000

enum phase { STARTING, GREETED, READY, RUNNING, DONE };

struct subject {
	struct ks_proc proc;
	uint32_t node, process;
	enum phase phase;
	struct ks_wire_rx rx;
	struct ks_wire_account account;
	struct ks_wire_clocks *clocks; /* every reading that it told, in time order */
	size_t nclocks, clocks_cap;
	uint32_t pings_open;
	uint64_t clock_reads;
	int64_t worst_late_ns;
};

struct run {
	const struct ks_run_request *request;
	const struct ks_plan *plan;
	struct ks_run_output *output;
	struct ks_err *err;
	struct ks_ft_stage stage;
	struct ks_ft_play play;
	struct subject *subject;
	uint32_t n;
	struct pollfd *fds; /* two a subject: its stdout and stderr */
	int64_t limit_ns;   /* true time at which the run is given up */
	int64_t next_ping_ns;
	uint32_t pinged; /* how many steps were preceded by a question */
};

/* ---- what subjects say ---- */

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

static int lament(struct run *r, struct subject *s, const char *what)
{
	char how[420];

	ks_proc_read_err(&s->proc);
	for (int i = 0; i < 50 && !ks_proc_poll(&s->proc); i++)
		usleep(2000); /* its end is on the way */
	return ks_fail(r->err, KS_E_JUDGE, "subject %u of node '%s' %s; it %s", s->process, r->plan->node[s->node].name,
		       what, ks_proc_describe(&s->proc, how, sizeof(how)));
}

static int take_clocks(struct run *r, struct subject *s, const void *payload, uint32_t length)
{
	if (length != sizeof(*s->clocks) || !s->pings_open)
		return lament(r, s, "told its clocks unasked");
	if (s->nclocks == s->clocks_cap) {
		size_t cap = s->clocks_cap ? 2 * s->clocks_cap : 16;
		void *grown = ks_grow(s->clocks, s->clocks_cap, cap, sizeof(*s->clocks));
		if (!grown)
			return ks_fail(r->err, KS_E_INTERNAL, "out of memory");
		s->clocks = grown;
		s->clocks_cap = cap;
	}
	memcpy(&s->clocks[s->nclocks], payload, length);
	const struct ks_wire_clocks *c = &s->clocks[s->nclocks];
	int64_t before = s->nclocks ? s->clocks[s->nclocks - 1].raw_after_ns : 0;
	if (c->raw_ns < before || c->raw_after_ns < c->raw_ns || c->raw_after_ns > ks_true_ns())
		return lament(r, s, "told an impossible time");
	s->nclocks++;
	s->pings_open--;
	return 0;
}

static int take_done(struct run *r, struct subject *s, const void *payload, uint32_t length)
{
	struct ks_wire_done d;

	if (length != sizeof(d))
		return lament(r, s, "ended with a frame of the wrong size");
	memcpy(&d, payload, sizeof(d));
	if (d.records != s->account.records || d.worst_late_ns < 0)
		return lament(r, s, "did not send the records that it counted");
	s->clock_reads = d.clock_reads;
	s->worst_late_ns = d.worst_late_ns;
	s->phase = DONE;
	return 0;
}

static int take_hello(struct run *r, struct subject *s, const void *payload, uint32_t length)
{
	struct ks_wire_hello hello;

	if (length != sizeof(hello))
		return lament(r, s, "greeted with a frame of the wrong size");
	memcpy(&hello, payload, sizeof(hello));
	if (hello.version != KS_WIRE_VERSION || hello.record_size != sizeof(struct ks_wire_record))
		return lament(r, s, "is of another version of keyskew");
	s->phase = GREETED;
	return 0;
}

static int take(struct run *r, struct subject *s, int type, const void *payload, uint32_t length)
{
	char text[400];

	if (type == KS_WIRE_HELLO && s->phase == STARTING)
		return take_hello(r, s, payload, length);
	if (type == KS_WIRE_READY && s->phase == GREETED) {
		s->phase = READY;
		return 0;
	}
	if (type == KS_WIRE_CLOCKS)
		return take_clocks(r, s, payload, length);
	if (type == KS_WIRE_RECORDS && s->phase == RUNNING)
		return ks_wire_account_add(&s->account, payload, length, ks_true_ns() - r->play.start_ns,
					   &r->output->records, r->err);
	if (type == KS_WIRE_TEXTS && s->phase == RUNNING)
		return ks_wire_account_texts(&s->account, payload, length, &r->output->records, r->err);
	if (type == KS_WIRE_DONE && s->phase == RUNNING)
		return take_done(r, s, payload, length);
	if (type != KS_WIRE_ERROR)
		return lament(r, s, "sent a frame out of turn");
	snprintf(text, sizeof(text), "gave up: %.*s", (int)(length < 300 ? length : 300), (const char *)payload);
	for (char *p = text; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	return lament(r, s, text);
}

static int hear(struct run *r, struct subject *s)
{
	const void *payload;
	uint32_t length;
	int type, got = ks_wire_rx_fill(&s->rx, s->proc.out);

	if (got < 0)
		return errno == EAGAIN ? 0 : lament(r, s, "cannot be read");
	if (got == 0)
		return lament(r, s, "ended before its time");
	while ((type = ks_wire_rx_take(&s->rx, &payload, &length)) > 0)
		if (take(r, s, type, payload, length) != 0)
			return -1;
	return type < 0 ? lament(r, s, "sent garbage") : 0;
}

/* Waits until someone says something, or until true time at_ns; 100 ms at most. */
static int listen(struct run *r, int64_t at_ns)
{
	int64_t left = at_ns - ks_true_ns();

	if (ks_ft_interrupted(r->request, r->limit_ns, r->err) != 0)
		return -1;
	left = left < 0 ? 0 : left > LOOK_NS ? LOOK_NS : left;
	for (uint32_t i = 0; i < r->n; i++) {
		r->fds[2 * i] = (struct pollfd){.fd = r->subject[i].proc.out, .events = POLLIN};
		r->fds[2 * i + 1] = (struct pollfd){.fd = r->subject[i].proc.err, .events = POLLIN};
	}
	struct timespec ts = {.tv_nsec = left};
	if (ppoll(r->fds, 2 * r->n, &ts, NULL) < 0)
		return errno == EINTR ? 0 : ks_fail(r->err, KS_E_INTERNAL, "cannot wait: %s", strerror(errno));
	for (uint32_t i = 0; i < r->n; i++) {
		if (r->fds[2 * i + 1].revents)
			ks_proc_read_err(&r->subject[i].proc);
		if (r->fds[2 * i].revents && hear(r, &r->subject[i]) != 0)
			return -1;
	}
	return 0;
}

static int tell(struct run *r, struct subject *s, uint32_t type, const void *payload, uint32_t length)
{
	return ks_wire_send(s->proc.in, type, payload, length) == 0 ? 0 : lament(r, s, "does not listen");
}

static int wait_for(struct run *r, enum phase phase, int64_t until_ns, const char *what)
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

static int launch(struct run *r, struct subject *s, uint32_t number)
{
	char path[4096], why[256];
	char *argv[] = {path, r->stage.dir, NULL};
	size_t threads = r->plan->threads;

	s->node = number / r->plan->processes;
	s->process = number % r->plan->processes;
	s->rx.buf = ks_alloc(1, KS_WIRE_RX_BYTES);
	s->account = (struct ks_wire_account){.spec = r->request->gen,
					      .first_lane = number * r->plan->threads,
					      .threads = r->plan->threads,
					      .duration_ns = r->plan->duration_ns,
					      .thread = ks_alloc(threads, sizeof(*s->account.thread))};
	if (!s->rx.buf || !s->account.thread)
		return ks_fail(r->err, KS_E_INTERNAL, "out of memory");
	if (ks_ft_find_subject(path, why, sizeof(why)) != 0)
		return ks_fail(r->err, KS_E_JUDGE, "%s", why);
	return ks_ft_start(&r->stage, s->node, argv, true, NULL, &s->proc, r->err);
}

static int send_config(struct run *r, struct subject *s, uint32_t number)
{
	const struct ks_plan *p = r->plan;
	const char *text = r->request->gen->text;
	struct {
		struct ks_wire_config c;
		char text[sizeof(r->request->gen->text)];
	} m = {.c = {.process = number,
		     .threads = p->threads,
		     .lanes_before = s->process * p->threads,
		     .lanes_of_node = p->processes * p->threads,
		     .seed = r->request->seed,
		     .worker = ks_plan_worker(p, r->request->seed, s->node),
		     .duration_ns = p->duration_ns,
		     .rate_count = p->load.rate.count,
		     .rate_per_ns = p->load.rate.per_ns,
		     .phase_ns = p->load.phase_ns,
		     .arrival = p->load.arrival,
		     .model = p->load.model,
		     .on_refuse = p->load.on_refuse,
		     .lane_id = number * p->threads,
		     .user_low = p->user_low, .user_high = p->user_high, .depth_low = p->depth_low, .depth_high = p->depth_high}};
	size_t length = strlen(text) + 1;

	memcpy(m.text, text, length);
	return tell(r, s, KS_WIRE_CONFIG, &m, (uint32_t)(sizeof(m.c) + length));
}

static int ping(struct run *r, struct subject *s)
{
	if (s->pings_open >= PINGS_OPEN_MAX)
		return 0;
	s->pings_open++;
	return tell(r, s, KS_WIRE_PING, NULL, 0);
}

static int ping_all(struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (ping(r, &r->subject[i]) != 0)
			return -1;
	return 0;
}

/* The instant of the start is chosen when all are loaded. The clocks are set before a generator looks at them. */
static int choose_start(struct run *r)
{
	r->play.start_ns = ks_true_ns() + 300 * KS_MS + r->n * (20 * KS_MS + r->plan->threads * KS_MS);
	int64_t base = ks_ft_base(r->plan->start_unix_ns, r->play.start_ns);
	for (uint32_t i = 0; i < r->plan->nodes; i++)
		if (ks_ft_set(&r->stage, i, base + r->plan->node[i].offset_ns, r->err) != 0)
			return -1;
	return 0;
}

/* What the clocks would show at the start without faults: the plan's time, which the first reading must prove, or for
 * those that are not faked what it says. */
static int set_clock_bases(struct run *r, struct subject *s)
{
	const struct ks_wire_clocks *c = &s->clocks[0];
	int64_t middle = c->raw_ns + (c->raw_after_ns - c->raw_ns) / 2;
	const struct ks_plan_node *node = &r->plan->node[s->node];
	char text[KS_TIME_TEXT];

	for (int id = 0; id < KS_NCLOCKS; id++)
		s->account.clock_base_ns[id] = c->clock_ns[id] - (middle - r->play.start_ns);
	int64_t off = s->account.clock_base_ns[KS_REALTIME] - r->plan->start_unix_ns - node->offset_ns;
	if (distance(off, 0) > KS_FT_TOLERANCE_NS)
		return ks_fail(r->err, KS_E_JUDGE,
			       "the clock of subject %u of node '%s' is off by %s before anything was done to "
			       "it: libfaketime does not reach it",
			       s->process, node->name, ks_dur_format(text, off));
	s->account.clock_base_ns[KS_TAI] -= node->offset_ns;
	s->account.clock_base_ns[KS_REALTIME] = r->plan->start_unix_ns;
	return 0;
}

static int start(struct run *r)
{
	for (uint32_t i = 0; i < r->plan->nodes; i++)
		if (ks_ft_set(&r->stage, i, 0, r->err) != 0)
			return -1;
	for (uint32_t i = 0; i < r->n; i++)
		if (launch(r, &r->subject[i], i) != 0)
			return -1;
	if (wait_for(r, GREETED, ks_true_ns() + HELLO_NS, "did not greet") != 0 || choose_start(r) != 0)
		return -1;
	for (uint32_t i = 0; i < r->n; i++)
		if (send_config(r, &r->subject[i], i) != 0)
			return -1;
	if (wait_for(r, READY, r->play.start_ns, "were not ready") != 0 || ping_all(r) != 0 ||
	    wait_for(r, READY, r->play.start_ns, "did not tell their clocks") != 0)
		return -1;
	struct ks_wire_start s = {r->play.start_ns, r->plan->start_unix_ns};
	for (uint32_t i = 0; i < r->n; i++) {
		if (set_clock_bases(r, &r->subject[i]) != 0)
			return -1;
		r->subject[i].phase = RUNNING;
		if (tell(r, &r->subject[i], KS_WIRE_START, &s, sizeof(s)) != 0)
			return -1;
	}
	r->play.busy = ks_true_ns() > r->play.start_ns;
	if (r->play.busy)
		return ks_fail(r->err, KS_E_JUDGE, "the subjects were started late: this machine is too busy");
	return 0;
}

/* ---- the run ---- */

/* Has every subject told its clocks since the last step that was done? */
static bool heard_since_step(const struct run *r)
{
	if (!r->play.next)
		return true;
	const struct ks_ft_step *last = &r->play.step[r->play.next - 1];
	for (uint32_t i = 0; i < r->n; i++) {
		const struct subject *s = &r->subject[i];
		if (s->node == last->event.node && s->clocks[s->nclocks - 1].raw_ns < last->end_ns)
			return false;
	}
	return true;
}

static int ping_when_due(struct run *r)
{
	int64_t now = ks_true_ns(), step = ks_ft_play_due(&r->play);

	if (step != INT64_MAX && now >= step - PING_BEFORE_NS && r->pinged <= r->play.next) {
		r->pinged = r->play.next + 1;
		return ping_all(r);
	}
	if (r->next_ping_ns && now >= r->next_ping_ns) {
		r->next_ping_ns = heard_since_step(r) ? 0 : now + PING_AGAIN_NS;
		return r->next_ping_ns ? ping_all(r) : 0;
	}
	return 0;
}

static int64_t next_wake(const struct run *r)
{
	int64_t step = ks_ft_play_due(&r->play), wake = INT64_MAX;

	if (step != INT64_MAX)
		wake = r->pinged > r->play.next ? step - KS_MS : step - PING_BEFORE_NS;
	if (r->next_ping_ns && r->next_ping_ns < wake)
		wake = r->next_ping_ns;
	return wake;
}

static bool all_done(const struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->subject[i].phase != DONE)
			return false;
	return ks_ft_play_due(&r->play) == INT64_MAX && !r->next_ping_ns;
}

static int play(struct run *r)
{
	while (!all_done(r)) {
		uint32_t before = r->play.next;
		if (ks_ft_play_run(&r->play, &r->stage, r->plan, r->err) != 0)
			return -1;
		if (r->play.next != before)
			r->next_ping_ns = ks_true_ns() + PING_AFTER_NS;
		if (ping_when_due(r) != 0 || listen(r, next_wake(r)) != 0)
			return -1;
	}
	if (ping_all(r) != 0)
		return -1;
	return wait_for(r, DONE, ks_true_ns() + 5 * KS_SEC, "did not tell their clocks at the end");
}

/* ---- the proof ---- */

/* What a clock gained against true time between two readings. */
static int64_t gained(const struct ks_wire_clocks *a, const struct ks_wire_clocks *b, enum ks_clock_id id)
{
	int64_t true_a = a->raw_ns + (a->raw_after_ns - a->raw_ns) / 2;
	int64_t true_b = b->raw_ns + (b->raw_after_ns - b->raw_ns) / 2;

	return (b->clock_ns[id] - a->clock_ns[id]) - (true_b - true_a);
}

/* The readings of the subject around step k: the last before it and the first after it, with no other step of its node
 * between them. */
static bool around(const struct run *r, const struct subject *s, uint32_t k, const struct ks_wire_clocks **before,
		   const struct ks_wire_clocks **after)
{
	const struct ks_ft_step *step = &r->play.step[k];

	*before = *after = NULL;
	for (size_t i = 0; i < s->nclocks; i++) {
		if (s->clocks[i].raw_after_ns <= step->begin_ns)
			*before = &s->clocks[i];
		if (!*after && s->clocks[i].raw_ns >= step->end_ns)
			*after = &s->clocks[i];
	}
	for (uint32_t i = 0; *before && *after && i < r->play.n; i++) {
		const struct ks_ft_step *o = &r->play.step[i];
		if (i != k && o->event.node == s->node && o->end_ns >= (*before)->raw_ns &&
		    o->begin_ns <= (*after)->raw_after_ns)
			return false;
	}
	return *before && *after;
}

static int unproven(struct run *r, const struct subject *s, uint32_t k, const char *why)
{
	return ks_fail(r->err, KS_E_JUDGE, "fault '%s' is not proven from the clock of subject %u of node '%s': %s",
		       r->plan->fault[r->play.step[k].event.fault].name, s->process, r->plan->node[s->node].name, why);
}

static int prove_by(struct run *r, const struct subject *s, uint32_t k, struct ks_injection *proof)
{
	static const enum ks_clock_id still[] = {KS_MONOTONIC, KS_RAW, KS_BOOTTIME};
	const struct ks_wire_clocks *before, *after;
	char why[200], a[KS_TIME_TEXT], b[KS_TIME_TEXT];

	if (!around(r, s, k, &before, &after))
		return unproven(r, s, k, "it told no reading on both sides");
	int64_t observed = gained(before, after, KS_REALTIME);
	if (distance(observed, proof->commanded) > KS_FT_TOLERANCE_NS) {
		snprintf(why, sizeof(why), "REALTIME moved by %s, not by %s", ks_dur_format(a, observed),
			 ks_dur_format(b, proof->commanded));
		return unproven(r, s, k, why);
	}
	for (size_t i = 0; i < sizeof(still) / sizeof(still[0]); i++) {
		if (distance(gained(before, after, still[i]), 0) <= KS_FT_TOLERANCE_NS)
			continue;
		snprintf(why, sizeof(why), "%s moved too, by %s", ks_clock_names[still[i]],
			 ks_dur_format(a, gained(before, after, still[i])));
		return unproven(r, s, k, why);
	}
	if (distance(observed, proof->commanded) >= distance(proof->observed, proof->commanded))
		proof->observed = observed;
	return 0;
}

/* Over the whole run REALTIME must have gained the steps and nothing else: the host's own clock could have been set. */
static int prove_rest(struct run *r, const struct subject *s)
{
	const struct ks_wire_clocks *first = &s->clocks[0], *last = &s->clocks[s->nclocks - 1];
	int64_t steps = 0, slack = KS_FT_TOLERANCE_NS + (last->raw_ns - first->raw_ns) / 1000;
	char a[KS_TIME_TEXT], b[KS_TIME_TEXT];

	for (uint32_t i = 0; i < r->play.n; i++)
		if (r->play.step[i].event.node == s->node)
			steps += r->play.step[i].event.amount;
	int64_t gain = gained(first, last, KS_REALTIME);
	if (distance(gain, steps) <= slack)
		return 0;
	return ks_fail(r->err, KS_E_JUDGE,
		       "the clock of node '%s' moved by %s during the run, the faults by %s: was the "
		       "clock of this machine set?",
		       r->plan->node[s->node].name, ks_dur_format(a, gain), ks_dur_format(b, steps));
}

static int prove(struct run *r)
{
	struct ks_run_output *out = r->output;

	out->injection = ks_alloc(r->play.n ? r->play.n : 1, sizeof(*out->injection));
	if (!out->injection)
		return ks_fail(r->err, KS_E_INTERNAL, "out of memory");
	for (uint32_t k = 0; k < r->play.n; k++) {
		const struct ks_ft_step *step = &r->play.step[k];
		struct ks_injection *proof = &out->injection[out->ninjection++];
		*proof = (struct ks_injection){.fault = step->event.fault,
					       .node = step->event.node,
					       .at_ns = step->end_ns - r->play.start_ns,
					       .commanded = step->event.amount,
					       .observed = step->event.amount,
					       .tolerance = KS_FT_TOLERANCE_NS};
		for (uint32_t i = 0; i < r->n; i++)
			if (r->subject[i].node == step->event.node && prove_by(r, &r->subject[i], k, proof) != 0)
				return -1;
	}
	for (uint32_t i = 0; i < r->n; i++)
		if (prove_rest(r, &r->subject[i]) != 0)
			return -1;
	return 0;
}

static void describe(struct run *r)
{
	struct ks_run_output *out = r->output;
	int64_t late = 0;
	char text[KS_TIME_TEXT], lib[100];

	for (uint32_t i = 0; i < r->n; i++) {
		out->records.clock_reads += r->subject[i].clock_reads;
		if (r->subject[i].worst_late_ns > late)
			late = r->subject[i].worst_late_ns;
	}
	ks_ft_describe(lib, sizeof(lib));
	snprintf(out->detail, sizeof(out->detail), "%s, calls begun at most %s late", lib, ks_dur_format(text, late));
	out->noise_ns = KS_READ_WIDTH_MAX_NS; /* the difference of two readings, each known to half of it */
}

/* ---- all of it ---- */

static int carry_out(struct run *r)
{
	if (ks_ft_play_init(&r->play, r->request, r->err) != 0 ||
	    ks_ft_lanes(&r->output->records, r->plan, r->plan->threads, r->err) != 0 ||
	    ks_ft_open(&r->stage, r->plan->nodes, r->err) != 0 || start(r) != 0 || play(r) != 0 || prove(r) != 0)
		return -1;
	describe(r);
	return 0;
}

static void clean_up(struct run *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->subject[i].proc.in >= 0) /* end of file: it goes by itself */
			close(r->subject[i].proc.in), r->subject[i].proc.in = -1;
	ks_proc_end(&r->subject[0].proc, r->n, sizeof(r->subject[0]), GRACE_MS);
	for (uint32_t i = 0; i < r->n; i++) {
		ks_free(r->subject[i].rx.buf);
		ks_free(r->subject[i].account.thread);
		ks_free(r->subject[i].clocks);
	}
	ks_ft_close(&r->stage);
	ks_ft_play_release(&r->play);
	ks_free(r->subject);
	ks_free(r->fds);
}

int ks_ft_run_host(const struct ks_run_request *request, struct ks_run_output *output, bool *busy, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	struct run r = {
	    .request = request, .plan = plan, .output = output, .err = err, .n = plan->nodes * plan->processes};
	int64_t timeout = request->timeout_ns ? request->timeout_ns : plan->duration_ns + 60 * KS_SEC;

	r.limit_ns = ks_true_ns() + timeout;
	r.subject = ks_alloc(r.n, sizeof(*r.subject));
	r.fds = ks_alloc(2 * (size_t)r.n, sizeof(*r.fds));
	if (!r.subject || !r.fds) {
		ks_free(r.subject);
		ks_free(r.fds);
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	}
	for (uint32_t i = 0; i < r.n; i++)
		r.subject[i].proc = (struct ks_proc)KS_PROC_NONE;
	int status = carry_out(&r);
	*busy = r.play.busy;
	clean_up(&r);
	return status;
}
