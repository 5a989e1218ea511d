/* The proof that every fault arrived in a guest, and nothing else: between any two readings its five clocks moved as the
 * simulated clocks of such a node do (sim/clock), to which what was done is applied at the instants at which it was done.
 *
 * Time is what the guest's counter counts. Where a clock source has a way of its own to survive a stop of QEMU
 * (ks_guest_stop_loses), that is applied instead. */
#include <stdio.h>
#include <string.h>

#include "fault_clocks.h"
#include "qemu_play.h"

#define TOLERANCE_NS (2 * KS_MS) /* the guest may be interrupted between two clock readings */
#define UNEVEN_PPB 20000         /* a kernel's discipline is made of whole ticks, and the counter's rate was measured */
#define TICK_NS (4 * KS_MS)      /* of a guest's timer */
#define TICKS_LOST_PPB 50000000  /* while a busy machine does not run a guest that counts them */
#define LATE_NS (60 * KS_MS)     /* stops from outside, and what ends them, on a busy machine */
#define GUESSED 5                /* in its first second a kernel counts by a guess of its counter's rate, off by a fifth on a busy machine */
#define RTC_NS (150 * KS_MS)     /* when a battery-backed clock of whole seconds goes on to the next one, seen from a program */
#define EDGE_NS (20 * KS_MS)     /* by which a guest's true time may be off its host's */
/* The counter of ACPI's timer has 24 bits and counts 3579545 a second. */
#define PM_WRAP_NS INT64_C(4686967533)

int64_t ks_guest_stop_loses(const char *source, int kernel, int64_t stopped_ns)
{
	int64_t wraps = stopped_ns / PM_WRAP_NS;
	/* More than this of a round looks to a kernel like a counter that went back, and the clock stands until it has gone round:
	 * half of it (6.1), or seven eighths (6.12: clocksource_delta's max_raw_delta). */
	int64_t believed = kernel < 6012 ? PM_WRAP_NS / 2 : PM_WRAP_NS / 8 * 7;

	if (!strcmp(source, "jiffies")) /* nobody counts the ticks that do not come */
		return stopped_ns;
	if (strcmp(source, "acpi_pm"))
		return 0;
	return (stopped_ns % PM_WRAP_NS > believed ? wraps + 1 : wraps) * PM_WRAP_NS;
}

struct ctx {
	const struct ks_guest_play *play;
	struct ks_run_output *output;
	struct ks_err *err;
	struct ks_clocks model;
	struct ks_wire_clocks last;  /* the reading before */
	int64_t off_ns[KS_NCLOCKS];  /* what the clocks showed beyond the model at the last reading */
	struct ks_fault_event leap;  /* that is announced; amount 0: none */
	int64_t midnight_ns;         /* on its own wall clock */
	bool jiffies;
};

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

static int64_t middle(const struct ks_wire_clocks *c)
{
	return c->raw_ns + (c->raw_after_ns - c->raw_ns) / 2;
}

static int64_t tolerance(const struct ctx *c, const struct ks_wire_clocks *a, const struct ks_wire_clocks *b)
{
	int64_t dt = middle(b) - middle(a), widths = a->raw_after_ns - a->raw_ns + b->raw_after_ns - b->raw_ns;
	int64_t uneven = (int64_t)((__int128)dt * (c->jiffies ? TICKS_LOST_PPB : UNEVEN_PPB) / KS_SEC);

	return TOLERANCE_NS + widths + uneven + (c->jiffies ? 2 * TICK_NS : 0);
}

/* How much further than true time a clock has moved. */
static int64_t moved(const struct ks_wire_clocks *a, const struct ks_wire_clocks *b, enum ks_clock_id id)
{
	return b->clock_ns[id] - a->clock_ns[id] - (middle(b) - middle(a));
}

static const struct ks_fault *fault_of(const struct ctx *c, const struct ks_deed *d)
{
	return &c->play->plan->fault[c->play->event[d->event].fault];
}

/* The kernel's own leap second, at its midnight. */
static void leap_by(struct ctx *c, int64_t now_ns)
{
	int64_t at = c->leap.amount ? ks_seg_when(&c->model.seg[KS_REALTIME], middle(&c->last), c->midnight_ns) : INT64_MAX;

	if (at > now_ns)
		return;
	ks_fault_on_clocks(&c->model, &c->leap, at);
	c->leap.amount = 0;
}

static int wrong(const struct ctx *c, const struct ks_wire_clocks *now, const struct ks_deed *d, enum ks_clock_id id)
{
	char by[KS_TIME_TEXT], wanted[KS_TIME_TEXT];
	int64_t beyond = moved(&c->last, now, id);

	ks_dur_format(by, beyond);
	ks_dur_format(wanted, beyond - c->off_ns[id]);
	if (d)
		return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: clock '%s' moved by %s against true time, expected %s",
		                  fault_of(c, d)->name, ks_clock_names[id], by, wanted);
	return ks_fail(c->err, KS_E_JUDGE, "guest's clock '%s' moved by %s against true time, expected %s, and no fault explains it",
	                  ks_clock_names[id], by, wanted);
}

/* Holds a reading against the model, which goes on from what was read. d: what was done since the one before, NULL: nothing. */
static int compare(struct ctx *c, const struct ks_wire_clocks *now, const struct ks_deed *d, const int64_t slack_ns[KS_NCLOCKS])
{
	int64_t limit = tolerance(c, &c->last, now);

	leap_by(c, middle(now));
	for (int id = 0; id < KS_NCLOCKS; id++) {
		c->off_ns[id] = now->clock_ns[id] - ks_clocks_at(&c->model, (enum ks_clock_id)id, middle(now));
		if (distance(c->off_ns[id], 0) > limit + (slack_ns ? slack_ns[id] : 0))
			return wrong(c, now, d, (enum ks_clock_id)id);
		c->model.seg[id].v0_ns += c->off_ns[id];
	}
	c->last = *now;
	return 0;
}

/* ---- the sizes of faults ---- */

static struct ks_injection *row_of(const struct ctx *c, const struct ks_deed *d)
{
	struct ks_run_output *out = c->output;
	uint32_t fault = c->play->event[d->event].fault;

	for (size_t i = 0; i < out->ninjection; i++)
		if (out->injection[i].fault == fault && out->injection[i].node == c->play->node)
			return &out->injection[i];
	out->injection[out->ninjection] = (struct ks_injection){.fault = fault, .node = c->play->node, .at_ns = d->after.raw_ns};
	return &out->injection[out->ninjection++];
}

static int put(const struct ctx *c, const struct ks_deed *d, int64_t commanded, int64_t observed, int64_t limit)
{
	struct ks_injection *row = row_of(c, d);
	int kind = fault_of(c, d)->kind->op;
	bool rate = fault_of(c, d)->kind->type == KS_OPT_PPB;
	char a[KS_TIME_TEXT], b[KS_TIME_TEXT];

	if (distance(observed, commanded) > limit)
		return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: it shows %s, commanded were %s", fault_of(c, d)->name,
		                  rate ? ks_ppb_format(a, observed) : ks_dur_format(a, observed),
		                  rate ? ks_ppb_format(b, commanded) : ks_dur_format(b, commanded));
	if (kind == KS_FAULT_STROBE || kind == KS_FAULT_JITTER) { /* of many moves, the sum of their sizes */
		row->changes++;
		row->seen++;
		row->commanded += distance(commanded, 0);
		row->observed += commanded < 0 ? -observed : observed;
		row->tolerance += limit;
		return 0;
	}
	row->commanded = commanded;
	row->observed = observed;
	row->tolerance = limit;
	return 0;
}

/* ---- deeds ---- */

static int prove_step(struct ctx *c, const struct ks_deed *d)
{
	int64_t limit = tolerance(c, &d->before, &d->after);
	struct ks_fault_event e = c->play->event[d->event];

	e.op = KS_FAULT_STEP;
	e.amount = d->act.kind == KS_ACT_TO_TRUE ? d->value : e.amount;
	ks_fault_on_clocks(&c->model, &e, middle(&d->before));
	if (compare(c, &d->after, d, NULL) != 0)
		return -1;
	return put(c, d, e.amount, e.amount + c->off_ns[KS_REALTIME], limit);
}

static const struct ks_deed *first_of(const struct ctx *c, const struct ks_deed *d)
{
	const struct ks_deed *first = c->play->deed;

	while (c->play->event[first->event].fault != c->play->event[d->event].fault)
		first++;
	return first;
}

/* From the reading after it began to one before its end. What it bent is what MONOTONIC tells, whatever is done to REALTIME. */
static int put_rate(struct ctx *c, const struct ks_deed *d, const struct ks_wire_clocks *end)
{
	int64_t dt = middle(end) - middle(&d->after), own = c->play->event[d->event].amount;
	int64_t rate = dt > 0 ? (int64_t)((__int128)moved(&d->after, end, KS_MONOTONIC) * KS_SEC / dt) : 0;
	int64_t limit = dt > 0 ? UNEVEN_PPB + (int64_t)((__int128)(d->after.raw_after_ns - d->after.raw_ns + end->raw_after_ns - end->raw_ns + 1000) * KS_SEC / dt) : INT64_MAX;

	if (dt <= 0 || 2 * limit > distance(own, 0))
		return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: it does not last long enough for a guest's clock to show so little",
		               fault_of(c, d)->name);
	return put(c, d, own, rate - (d->act.amount - own), limit);
}

/* Parts of a smear follow one another; their sum is told. */
static int put_smear(struct ctx *c, const struct ks_deed *d)
{
	const struct ks_deed *first = first_of(c, d);
	int64_t second = fault_of(c, d)->second ? KS_SEC : -KS_SEC;

	return put(c, first, second, moved(&first->before, &d->before, KS_MONOTONIC), tolerance(c, &first->before, &d->before) + KS_SEC / 100);
}

static int prove_rate(struct ctx *c, const struct ks_deed *d)
{
	const struct ks_fault_event *e = &c->play->event[d->event];
	struct ks_fault_event bend = {.op = KS_FAULT_SLEW, .amount = d->act.amount};
	int status = 0;

	if (e->op == KS_FAULT_SLEW && !e->amount)
		status = put_rate(c, first_of(c, d), &d->before);
	else if (e->op == KS_FAULT_SMEAR && !e->extra)
		status = put_smear(c, d);
	ks_fault_on_clocks(&c->model, &bend, middle(&d->before));
	return status || compare(c, &d->after, d, NULL) ? -1 : 0;
}

static int announce(struct ctx *c, const struct ks_deed *d)
{
	const struct ks_fault_event *e = &c->play->event[d->event];
	int64_t shown = d->after.clock_ns[KS_REALTIME];

	c->leap = (struct ks_fault_event){.op = KS_FAULT_LEAP, .amount = e->amount};
	c->midnight_ns = shown + (KS_DAY - 1 - (shown + KS_DAY - 1) % KS_DAY);
	return compare(c, &d->after, d, NULL);
}

static int prove_leap(struct ctx *c, const struct ks_deed *d)
{
	int64_t amount = c->play->event[d->event].amount, limit = tolerance(c, &c->last, &d->after);

	if (compare(c, &d->after, d, NULL) != 0)
		return -1;
	if (c->leap.amount)
		return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: midnight had not come on the guest's clock", fault_of(c, d)->name);
	return put(c, d, amount, amount + c->off_ns[KS_REALTIME], limit);
}

static int prove_hold(struct ctx *c, const struct ks_deed *d)
{
	int64_t commanded = d->until_ns - d->at_ns;

	return compare(c, &d->after, NULL, NULL) || put(c, d, commanded, d->value, LATE_NS + commanded / 10) ? -1 : 0;
}

static void freeze(struct ctx *c, int64_t from_ns, int64_t for_ns)
{
	struct ks_fault_event e = {.op = KS_FAULT_SUSPEND, .amount = KS_SUSPEND_VM_STOP};

	ks_fault_on_clocks(&c->model, &e, from_ns);
	e.op = KS_FAULT_RESUME;
	ks_fault_on_clocks(&c->model, &e, from_ns + for_ns);
}

/* Also of a machine that is kept, or that begins as a clone: its clocks go on from where they were kept. */
static int prove_vm_stop(struct ctx *c, const struct ks_deed *d)
{
	int64_t commanded = d->kind == KS_DEED_VM_STOP ? d->until_ns - d->at_ns : d->value, observed = -moved(&d->before, &d->after, KS_REALTIME);

	freeze(c, d->stood_ns, d->value);
	return compare(c, &d->after, d, NULL) || put(c, d, commanded, observed, LATE_NS + tolerance(c, &d->before, &d->after)) ? -1 : 0;
}

/* The guest's own look shows for how long it did not get to look. Where clocks stand for longer than QEMU did, so do those who
 * sleep by them: until the counter has come round, and their timer with it. */
static int prove_host_stop(struct ctx *c, const struct ks_deed *d)
{
	int64_t commanded = d->until_ns - d->at_ns, loses = ks_guest_stop_loses(c->play->source, c->play->kernel, d->value);
	int64_t slack[KS_NCLOCKS], longer = loses && !c->jiffies ? 2 * PM_WRAP_NS : 0;

	for (int id = 0; id < KS_NCLOCKS; id++)
		slack[id] = loses ? LATE_NS : 0;
	if (loses)
		freeze(c, d->stood_ns, loses);
	return compare(c, &d->after, d, slack) || put(c, d, commanded, d->gap_ns, LATE_NS + longer + commanded / 20) ? -1 : 0;
}

int64_t ks_guest_core_slack(int64_t commanded_ns)
{
	return LATE_NS + commanded_ns / 20;
}

/* Threads that are on the core make no calls while it stands: one that does is somewhere else. */
static int check_calls(const struct ctx *c, const struct ks_deed *d)
{
	const struct ks_records *records = &c->output->records;
	const struct ks_fault_event *e = &c->play->event[d->event];
	int64_t from = d->stood_ns + EDGE_NS, to = d->stood_ns + d->value - EDGE_NS;

	for (size_t i = 0; i < records->n; i++) {
		struct ks_record r = ks_record_get(records, i);
		const struct ks_lane *l = &records->lanes[r.lane];
		bool inside = (r.call_ns > from && r.call_ns < to) || (r.return_ns > from && r.return_ns < to);
		if (inside && l->node == c->play->node && ks_fault_names(e, l->process, l->thread, c->play->plan->threads))
			return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: thread %u made a call while its core stood", fault_of(c, d)->name, l->thread);
	}
	return 0;
}

/* Who can run nowhere else did not get to look, who is on the other core did, and no clock noticed. */
static int prove_core(struct ctx *c, const struct ks_deed *d)
{
	int64_t commanded = d->until_ns - d->at_ns, slack = ks_guest_core_slack(commanded);
	char text[KS_TIME_TEXT];

	if (compare(c, &d->after, d, NULL) != 0)
		return -1;
	if (d->beside_ns < 0 || d->beside_ns > slack)
		return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: the other core, too, stood for %s", fault_of(c, d)->name,
		               ks_dur_format(text, d->beside_ns));
	return put(c, d, commanded, d->gap_ns, slack) || check_calls(c, d) ? -1 : 0;
}

/* By how much the wall clock was put on beside the monotonic one: a kernel asks a clock that counts whole seconds before and after its first
 * sleep; before a later one it knows from its own clock how far within a second that was. */
static int64_t bridged(const struct ctx *c, const struct ks_deed *d)
{
	int64_t ns = moved(&d->before, &d->after, KS_REALTIME) - moved(&d->before, &d->after, KS_MONOTONIC);

	for (const struct ks_deed *e = c->play->deed; e < d; e++)
		if (e->kind == KS_DEED_S3)
			return ns;
	return (ns + KS_SEC / 2) / KS_SEC * KS_SEC;
}

/* QEMU says from when to when the machine slept (value): its clocks stand for that long and what a kernel does between asking them for the last time
 * and falling asleep, and between waking and asking them again. */
static int prove_s3(struct ctx *c, const struct ks_deed *d)
{
	int64_t stood = -moved(&d->before, &d->after, KS_MONOTONIC), error = bridged(c, d) - stood, commanded = d->until_ns - d->at_ns;
	struct ks_fault_event e = {.op = KS_FAULT_SUSPEND, .amount = KS_SUSPEND_S3};
	char stands[KS_TIME_TEXT], sleeps[KS_TIME_TEXT];

	if (distance(error, 0) >= KS_SEC)
		return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: the wall clock was put on by %s over %s, as no clock of whole seconds does",
		               fault_of(c, d)->name, ks_dur_format(sleeps, stood + error), ks_dur_format(stands, stood));
	ks_fault_on_clocks(&c->model, &e, middle(&d->after) - stood);
	e.op = KS_FAULT_RESUME;
	e.extra = error;
	ks_fault_on_clocks(&c->model, &e, middle(&d->after));
	if (stood < d->value - TOLERANCE_NS || stood > d->value + KS_GUEST_EDGES_NS)
		return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: clock 'monotonic' stood for %s, and the machine slept for %s", fault_of(c, d)->name,
		               ks_dur_format(stands, stood), ks_dur_format(sleeps, d->value));
	return compare(c, &d->after, d, NULL) || put(c, d, commanded, stood, distance(commanded, d->value) + KS_GUEST_EDGES_NS) ? -1 : 0;
}

/* Its memory is that of the snapshot, and its clocks are where they were then, or stood only while QEMU was at it. */
static int prove_back(struct ctx *c, const struct ks_deed *d)
{
	static const int64_t slack[KS_NCLOCKS] = {LATE_NS, LATE_NS, LATE_NS, LATE_NS, LATE_NS};
	int64_t runs = c->play->event[d->event].extra & KS_REVIVE_CLOCKS_RUN, behind = moved(&d->before, &d->after, KS_REALTIME);

	freeze(c, middle(&d->before), d->gap_ns);
	return compare(c, &d->after, d, slack) ||
	       put(c, d, runs ? 0 : -d->gap_ns, runs ? behind + d->gap_ns : behind, LATE_NS + tolerance(c, &d->before, &d->after)) ? -1 : 0;
}

static int no_boot(const struct ctx *c, const struct ks_deed *d, enum ks_clock_id id, int64_t off_ns, const char *what)
{
	char text[KS_TIME_TEXT];

	return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: clock '%s' is %s %s", fault_of(c, d)->name, ks_clock_names[id],
		       ks_dur_format(text, off_ns), what);
}

/* What counts from the boot on has not been longer on than the machine; the wall clock shows what the battery-backed one showed, which
 * the kernel reads in whole seconds; and nobody has told it how far TAI is ahead. */
static int prove_boot(struct ctx *c, const struct ks_deed *d)
{
	const struct ks_guest_play *p = c->play;
	int64_t on_ns = middle(&d->after) - p->launched_ns, uneven = on_ns / GUESSED, limit = KS_SEC + RTC_NS + uneven;
	static const enum ks_clock_id since_boot[] = {KS_MONOTONIC, KS_BOOTTIME, KS_RAW};

	for (size_t i = 0; i < sizeof(since_boot) / sizeof(since_boot[0]); i++)
		if (d->after.clock_ns[since_boot[i]] < on_ns / 4 || d->after.clock_ns[since_boot[i]] > on_ns + uneven)
			return no_boot(c, d, since_boot[i], d->after.clock_ns[since_boot[i]], "after a boot");
	int64_t lags = p->rtc_ns + on_ns - d->after.clock_ns[KS_REALTIME], tai = d->after.clock_ns[KS_TAI] - d->after.clock_ns[KS_REALTIME];
	if (lags < -RTC_NS - uneven || lags > limit)
		return no_boot(c, d, KS_REALTIME, distance(lags, 0), lags < 0 ? "ahead of the battery-backed clock after a boot" : "behind the battery-backed clock after a boot");
	if (distance(tai, 0) > TOLERANCE_NS + d->after.raw_after_ns - d->after.raw_ns)
		return no_boot(c, d, KS_TAI, tai, "ahead of the wall clock after a boot");
	int64_t moved_ns = moved(&d->before, &d->after, KS_REALTIME);
	return put(c, d, moved_ns + lags, moved_ns, limit);
}

/* It counts seconds, and when it goes on to the next one nobody can order (vm-images/agent_act.c). */
static int prove_rtc(struct ctx *c, const struct ks_deed *d)
{
	int64_t shows = c->play->event[d->event].amount;

	return compare(c, &d->after, d, NULL) || put(c, d, shows, shows + d->value, RTC_NS + KS_SEC / 2) ? -1 : 0;
}

static int prove_act(struct ctx *c, const struct ks_deed *d)
{
	switch (d->act.kind) {
	case KS_ACT_RATE:
		return prove_rate(c, d);
	case KS_ACT_LEAP:
		return announce(c, d);
	case KS_ACT_RTC:
		return prove_rtc(c, d);
	default:
		return prove_step(c, d);
	}
}

static int prove(struct ctx *c, const struct ks_deed *d)
{
	if (d->kind == KS_DEED_LOOK)
		return prove_leap(c, d);
	if (d->kind == KS_DEED_BOOT)
		return prove_boot(c, d);
	if (compare(c, &d->before, NULL, NULL) != 0)
		return -1;
	switch (d->kind) {
	case KS_DEED_END:
		return 0;
	case KS_DEED_BACK:
		return prove_back(c, d);
	case KS_DEED_ACT:
		return prove_act(c, d);
	case KS_DEED_HOLD:
		return prove_hold(c, d);
	case KS_DEED_VM_STOP:
	case KS_DEED_SAVE:
	case KS_DEED_BORN:
		return prove_vm_stop(c, d);
	case KS_DEED_HOST_STOP:
		return prove_host_stop(c, d);
	case KS_DEED_CORE:
		return prove_core(c, d);
	default:
		return prove_s3(c, d);
	}
}

/* What lasts to the end of the run has no deed that ends it. */
static int prove_last(struct ctx *c)
{
	const struct ks_guest_play *p = c->play;

	for (uint32_t i = 0; i < p->deeds; i++) {
		const struct ks_deed *d = &p->deed[i];
		const struct ks_fault_event *e = &p->event[d->event];
		bool open = e->op == KS_FAULT_DRIFT && e->amount;
		for (uint32_t k = i + 1; open && k < p->deeds; k++)
			open = p->deed[k].act.kind != KS_ACT_RATE;
		if (open && put_rate(c, d, &p->last) != 0)
			return -1;
	}
	return compare(c, &p->last, NULL, NULL);
}

static void begin(struct ctx *c)
{
	const struct ks_guest_play *p = c->play;
	struct ks_fault_event drift = {.op = KS_FAULT_SLEW, .amount = ks_plan_node_drift(p->plan, p->seed, p->node)};

	ks_clocks_init(&c->model, p->plan->start_unix_ns, 0, KS_UPTIME_NS, KS_TAI_OFFSET_S);
	c->last = p->first;
	for (int id = 0; id < KS_NCLOCKS; id++) {
		c->model.seg[id].t0_ns = middle(&p->first);
		c->model.seg[id].v0_ns = p->first.clock_ns[id];
	}
	ks_fault_on_clocks(&c->model, &drift, middle(&p->first));
}

int ks_guest_prove(const struct ks_guest_play *play, struct ks_run_output *output, struct ks_err *err)
{
	struct ctx c = {.play = play, .output = output, .err = err, .jiffies = !strcmp(play->source, "jiffies")};

	begin(&c);
	for (uint32_t i = 0; i < play->deeds; i++)
		if (prove(&c, &play->deed[i]) != 0)
			return -1;
	return prove_last(&c);
}
