/* The proof that every fault arrived, from what the subjects' own clocks showed.
 *
 * The probe of a subject host reads its REALTIME every few ms, with true time and the kernel's REALTIME on both sides.
 * Two things are held against it: every reading must lie on the line that the node's clock was made to follow, and each
 * fault has a size (ns, ppb, how long something stood) that the readings around it must show again. Where they do not, the
 * run ends with KS_E_JUDGE, whatever the keys look like. */
#include <stdlib.h>
#include <string.h>

#include "ft.h"
#include "ks_mem.h"

/* Fewer than these readings prove nothing. */
#define READINGS_MIN 5
/* Of many moves at least one in so many must have been seen from both sides. */
#define SEEN_MIN 2

struct ctx {
	const struct ks_ft_play *play;
	const struct ks_plan *plan;
	struct ks_run_output *output;
	struct ks_err *err;
	const struct ks_ft_process *p; /* whose readings */
	const struct ks_area_probe *probe;
	size_t n;
};

static int64_t distance(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

/* A reading of the probe in the scenario's time, as the host's clock counts it: libfaketime knows no other, and what the
 * host's NTP does to it is no fault of ours. */
struct reading {
	int64_t before_ns, after_ns; /* true */
	int64_t at_ns;               /* of the host's clock, since its time at the start */
	int64_t value_ns;            /* of the subject's clock */
	int64_t width_ns;
};

static struct reading reading(const struct ctx *c, size_t i)
{
	const struct ks_area_probe *p = &c->probe[i];
	return (struct reading){p->before_ns - c->play->start_ns, p->after_ns - c->play->start_ns,
				p->host_ns - c->play->epoch_unix_ns, p->value_ns, p->after_ns - p->before_ns};
}

/* The first reading that began at or after true time t. */
static size_t first_since(const struct ctx *c, int64_t t_ns)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->probe[middle].before_ns - c->play->start_ns < t_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int unproven(const struct ctx *c, uint32_t event, const char *why)
{
	const struct ks_fault *f = &c->plan->fault[c->play->event[event].fault];
	return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven from the clock of process %u of node '%s': %s", f->name,
		       c->p->process, c->plan->node[c->p->node].name, why);
}

/* ---- every reading lies on the line ---- */

/* A tick is shown when it is due, or late, as everything is. */
static bool on_line(const struct ks_seg *line, const struct reading *r)
{
	int64_t slack = KS_FT_TOLERANCE_NS + r->width_ns, value = ks_seg_line(line, r->at_ns);

	if (line->tick_ns && r->value_ns % line->tick_ns)
		return false;
	return r->value_ns >= value - line->tick_ns - slack - (line->tick_ns ? KS_FT_LATE_MAX_NS : 0) && r->value_ns <= value + slack;
}

/* While a change was under way, and a little around, either line will do. */
static bool explained(const struct ctx *c, const struct reading *r)
{
	const struct ks_ft_node *node = &c->play->node[c->p->node];
	bool good = false;

	for (size_t i = 0; i < node->changes && !good; i++) {
		const struct ks_ft_change *now = &node->change[i], *next = i + 1 < node->changes ? now + 1 : NULL;
		if (r->after_ns >= now->begin_ns && (!next || r->before_ns <= next->end_ns))
			good = on_line(&now->line, r);
	}
	return good;
}

static int check_lines(const struct ctx *c)
{
	char a[KS_TIME_TEXT], b[KS_TIME_TEXT];

	for (size_t i = 0; i < c->n; i++) {
		struct reading r = reading(c, i);
		if (explained(c, &r))
			continue;
		const struct ks_ft_node *node = &c->play->node[c->p->node];
		size_t k = node->changes - 1;
		while (k && node->change[k].begin_ns > r.after_ns)
			k--;
		return ks_fail(c->err, KS_E_JUDGE,
			       "the clock of process %u of node '%s' showed at %s a time that is off by %s from what it was made "
			       "to show: libfaketime does not reach it, or something else moved it",
			       c->p->process, c->plan->node[c->p->node].name, ks_dur_format(a, r.before_ns),
			       ks_dur_format(b, r.value_ns - ks_seg_at(&node->change[k].line, r.at_ns)));
	}
	return 0;
}

/* ---- the size of each fault ---- */

static struct ks_injection *row_of(const struct ctx *c, const struct ks_fault_event *e, bool *fresh)
{
	struct ks_run_output *out = c->output;

	*fresh = false;
	for (size_t i = 0; i < out->ninjection; i++)
		if (out->injection[i].fault == e->fault && out->injection[i].node == e->node)
			return &out->injection[i];
	*fresh = true;
	struct ks_injection *row = &out->injection[out->ninjection++];
	*row = (struct ks_injection){.fault = e->fault, .node = e->node};
	return row;
}

/* Of several processes the one that shows it worst stands in the result. */
static int put(const struct ctx *c, uint32_t event, struct ks_injection proof)
{
	const struct ks_fault_event *e = &c->play->event[event];
	char why[200], a[KS_TIME_TEXT], b[KS_TIME_TEXT];
	bool rate = c->plan->fault[e->fault].kind->type == KS_OPT_PPB, fresh;
	struct ks_injection *row = row_of(c, e, &fresh);

	if (fresh || distance(proof.observed, proof.commanded) - proof.tolerance >=
			 distance(row->observed, row->commanded) - row->tolerance) {
		row->commanded = proof.commanded;
		row->observed = proof.observed;
		row->tolerance = proof.tolerance;
		row->changes = proof.changes;
		row->seen = proof.seen;
		row->at_ns = proof.at_ns;
	}
	if (distance(proof.observed, proof.commanded) <= proof.tolerance)
		return 0;
	if (rate)
		snprintf(why, sizeof(why), "it runs off by %s, not by %s", ks_ppb_format(a, proof.observed),
			 ks_ppb_format(b, proof.commanded));
	else
		snprintf(why, sizeof(why), "it shows %s, commanded were %s", ks_dur_format(a, proof.observed),
			 ks_dur_format(b, proof.commanded));
	return unproven(c, event, why);
}

/* The change that event k made to its node's line. */
static size_t change_of(const struct ctx *c, uint32_t k)
{
	const struct ks_ft_node *node = &c->play->node[c->p->node];

	for (size_t i = 1; i < node->changes; i++)
		if (node->change[i].event == k)
			return i;
	return 0;
}

/* The stretch of true time in which change i alone is shown. */
static void stretch(const struct ctx *c, size_t i, int64_t *from, int64_t *to)
{
	const struct ks_ft_node *node = &c->play->node[c->p->node];

	*from = node->change[i].end_ns;
	*to = i + 1 < node->changes ? node->change[i + 1].begin_ns : INT64_MAX;
}

/* The first reading within change i. */
static bool first_within(const struct ctx *c, size_t i, struct reading *r)
{
	int64_t from, to;

	stretch(c, i, &from, &to);
	size_t k = first_since(c, from);
	if (k == c->n)
		return false;
	*r = reading(c, k);
	return r->after_ns <= to;
}

/* The last reading within change i - 1 and the first within change i. */
static bool around(const struct ctx *c, size_t i, struct reading *before, struct reading *after)
{
	int64_t from, to;
	size_t k;

	stretch(c, i - 1, &from, &to);
	for (k = first_since(c, to); k > 0 && c->probe[k - 1].after_ns - c->play->start_ns > to; k--)
		;
	if (k == 0)
		return false;
	*before = reading(c, k - 1);
	return before->before_ns >= from && first_within(c, i, after);
}

/* What the clock moved beyond the host's between two readings. */
static int64_t moved(const struct reading *a, const struct reading *b)
{
	return (b->value_ns - a->value_ns) - (b->at_ns - a->at_ns);
}

/* What the lines make of it beyond what is looked for: a clock that drifts moves between the readings too. */
static int64_t bent(const struct ctx *c, size_t i, const struct reading *a, const struct reading *b)
{
	const struct ks_ft_change *change = c->play->node[c->p->node].change;
	int64_t meet = change[i].end_ns, first = meet - a->at_ns, second = b->at_ns - meet;
	__int128 q = (__int128)first * change[i - 1].line.rate_q64 + (__int128)second * change[i].line.rate_q64;

	return (int64_t)(q >> 64);
}

/* Readings of a coarse clock are no finer than its ticks, and those come late. */
static int64_t coarseness(const struct ctx *c, size_t i)
{
	int64_t tick = c->play->node[c->p->node].change[i].line.tick_ns;
	return tick ? 2 * tick + KS_FT_LATE_MAX_NS : 0;
}

static int prove_step(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = &c->play->event[k];
	size_t i = change_of(c, k);
	struct reading a, b;

	if (!i || !around(c, i, &a, &b))
		return unproven(c, k, "it told no reading on both sides");
	struct ks_injection proof = {.at_ns = c->play->done[k].end_ns, .commanded = e->amount};
	if (e->op == KS_FAULT_TO_TRUE)
		proof.commanded = c->play->done[k].amount;
	proof.observed = moved(&a, &b) - bent(c, i, &a, &b);
	proof.tolerance = KS_FT_TOLERANCE_NS + a.width_ns + b.width_ns + coarseness(c, i);
	return put(c, k, proof);
}

/* All moves of a fault of many on this node: those that were seen from both sides count, and half of them must have been. */
static int prove_moves(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = &c->play->event[k];
	struct ks_injection proof = {.at_ns = c->play->done[k].end_ns};
	char why[120];

	for (uint32_t m = k; m < c->play->n; m++) {
		const struct ks_fault_event *o = &c->play->event[m];
		struct reading a, b;
		size_t i;
		if (o->fault != e->fault || o->node != e->node)
			continue;
		proof.changes++;
		i = change_of(c, m);
		if (!i || !around(c, i, &a, &b))
			continue;
		int64_t observed = moved(&a, &b) - bent(c, i, &a, &b);
		proof.seen++;
		proof.commanded += distance(o->amount, 0);
		proof.observed += o->amount < 0 ? -observed : observed;
		proof.tolerance += KS_FT_TOLERANCE_NS + a.width_ns + b.width_ns;
	}
	if (proof.seen * SEEN_MIN < proof.changes) {
		snprintf(why, sizeof(why), "of its %u moves only %u were seen from both sides: this machine is too busy",
			 proof.changes, proof.seen);
		return unproven(c, k, why);
	}
	return put(c, k, proof);
}

/* The reading with the narrowest bracket of [from, to). */
static bool narrowest(const struct ctx *c, int64_t from, int64_t to, struct reading *best)
{
	bool any = false;

	for (size_t i = first_since(c, from); i < c->n; i++) {
		struct reading r = reading(c, i);
		if (r.after_ns > to)
			break;
		if (!any || r.width_ns < best->width_ns)
			*best = r;
		any = true;
	}
	return any;
}

/* The rate, from the narrowest readings of the first and of the last third of the stretch. Another fault may bend the
 * clock at the same time: its share is taken as it was commanded. */
static int prove_rate(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = &c->play->event[k];
	const struct ks_ft_change *change = c->play->node[c->p->node].change;
	size_t i = change_of(c, k);
	struct reading a, b;
	int64_t from, to;

	if (e->op == KS_FAULT_SLEW && !e->amount)
		return 0; /* its end */
	if (!i)
		return unproven(c, k, "nothing was done");
	stretch(c, i, &from, &to);
	if (c->n && to > c->probe[c->n - 1].after_ns - c->play->start_ns)
		to = c->probe[c->n - 1].after_ns - c->play->start_ns;
	if (!c->n || !narrowest(c, from, from + (to - from) / 3, &a) || !narrowest(c, to - (to - from) / 3, to, &b) ||
	    b.at_ns <= a.at_ns)
		return unproven(c, k, "it told no readings while it ran");
	int64_t line = (int64_t)(((__int128)(b.at_ns - a.at_ns) * change[i].line.rate_q64) >> 64);
	int64_t off = moved(&a, &b) - line; /* beyond what was commanded */
	struct ks_injection proof = {.at_ns = c->play->done[k].end_ns, .commanded = e->amount};
	proof.observed = e->amount + (int64_t)((__int128)off * KS_SEC / (b.at_ns - a.at_ns));
	proof.tolerance = (int64_t)((__int128)(a.width_ns + b.width_ns + 2) * KS_SEC / (b.at_ns - a.at_ns)) + 1;
	if (2 * proof.tolerance > distance(e->amount, 0))
		return unproven(c, k, "it does not last long enough for the readings to show so little");
	return put(c, k, proof);
}

static int64_t common_divisor(int64_t a, int64_t b)
{
	while (b) {
		int64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* What all that a coarse clock showed are multiples of. */
static int prove_tick(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = &c->play->event[k];
	size_t i = change_of(c, k), told = 0;
	int64_t from, to, divisor = 0;

	if (!e->extra)
		return 0; /* its end */
	if (!i)
		return unproven(c, k, "nothing was done");
	stretch(c, i, &from, &to);
	for (size_t n = first_since(c, from); n < c->n; n++) {
		struct reading r = reading(c, n);
		if (r.after_ns > to || r.before_ns > c->plan->duration_ns)
			break;
		divisor = common_divisor(divisor, r.value_ns);
		told++;
	}
	if (told < READINGS_MIN)
		return unproven(c, k, "it told too few readings while it was coarse");
	return put(c, k, (struct ks_injection){
			     .at_ns = c->play->done[k].end_ns, .commanded = e->extra, .observed = divisor});
}

/* A smear moves the clock by a second in all. What the lines made of it, which were begun a little late, may be less. */
static int prove_smear(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = &c->play->event[k];
	const struct ks_ft_change *change = c->play->node[c->p->node].change;
	uint32_t begin = k;
	struct reading a, b, inside;

	if (e->extra)
		return 0; /* not its end */
	for (uint32_t m = 0; m < k && begin == k; m++)
		if (c->play->event[m].fault == e->fault && c->play->event[m].node == e->node)
			begin = m;
	size_t i = change_of(c, begin), j = change_of(c, k);
	if (!i || !j || !around(c, i, &a, &inside) || !around(c, j, &inside, &b))
		return unproven(c, k, "it told no reading before and after it");
	int64_t second = c->plan->fault[e->fault].second ? KS_SEC : -KS_SEC;
	int64_t by = ks_seg_line(&change[j].line, b.at_ns) - ks_seg_line(&change[i - 1].line, b.at_ns);
	struct ks_injection proof = {.at_ns = c->play->done[begin].end_ns, .commanded = second};
	int64_t drifted = ks_seg_line(&change[i - 1].line, b.at_ns) - ks_seg_line(&change[i - 1].line, a.at_ns) - (b.at_ns - a.at_ns);
	proof.observed = moved(&a, &b) - drifted;
	proof.tolerance = KS_FT_TOLERANCE_NS + a.width_ns + b.width_ns + distance(by, second);
	if (distance(by, second) > KS_SEC / 100)
		return unproven(c, k, "this machine was too busy to bend it in time");
	return put(c, k, proof);
}

/* The event of the same fault and node that k ends. */
static uint32_t begin_of(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = c->play->event;

	for (uint32_t m = k; m-- > 0;)
		if (e[m].fault == e[k].fault && e[m].node == e[k].node)
			return m;
	return k;
}

static int64_t lateness(const struct ctx *c, uint32_t k)
{
	return c->play->done[k].end_ns - c->play->event[k].at_ns;
}

/* How long a clock stood: true time less what it moved, from before it began to after it ended. */
static int prove_hold(const struct ctx *c, uint32_t k)
{
	uint32_t begin = begin_of(c, k);
	size_t i = change_of(c, begin), j = change_of(c, k);
	struct reading a, b, inside, after;

	if (!i || !j || !around(c, i, &a, &inside) || !around(c, j, &b, &after))
		return unproven(c, k, "it told no reading before, within and after it");
	struct ks_injection proof = {.at_ns = c->play->done[begin].end_ns};
	proof.commanded = c->play->event[k].at_ns - c->play->event[begin].at_ns;
	proof.observed = -moved(&a, &after);
	proof.tolerance = KS_FT_TOLERANCE_NS + 2 * KS_FT_LEAD_NS + a.width_ns + after.width_ns + lateness(c, begin) + lateness(c, k);
	return put(c, k, proof);
}

/* How long the process did nothing: from its last reading before to its first after. The probe reads every gap. */
static int prove_stop(const struct ctx *c, uint32_t k)
{
	uint32_t begin = begin_of(c, k);
	int64_t stopped = c->play->done[begin].end_ns, runs = c->play->done[k].begin_ns;
	size_t first = first_since(c, stopped);
	struct ks_injection proof = {.at_ns = c->play->done[begin].end_ns};

	if (!first || first == c->n)
		return unproven(c, k, "it told no reading on both sides");
	struct reading a = reading(c, first - 1), b = reading(c, first);
	if (b.before_ns < runs)
		return unproven(c, k, "it read its clock while it should have stood");
	proof.commanded = c->play->event[k].at_ns - c->play->event[begin].at_ns;
	proof.observed = b.before_ns - a.before_ns;
	proof.tolerance = 2 * ks_ft_probe_gap(c->plan, c->play->event, c->play->n) + lateness(c, begin) + lateness(c, k) +
			  4 * KS_MS + proof.commanded / 10;
	return put(c, k, proof);
}

/* A thread tells itself when it was held and when it went on. */
static int prove_thread(const struct ctx *c, uint32_t k, uint32_t thread)
{
	uint32_t begin = begin_of(c, k);
	const struct ks_area *a = &c->p->area;
	uint32_t n = a->head->nholds < KS_AREA_HOLDS ? a->head->nholds : KS_AREA_HOLDS;

	for (uint32_t i = 0; i < n; i++) {
		const struct ks_area_hold *h = &a->hold[i];
		int64_t at = h->begin_ns - c->play->start_ns;
		if (h->thread != thread || !h->end_ns || at < c->play->done[begin].begin_ns ||
		    at > c->play->done[begin].end_ns + KS_FT_LATE_MAX_NS)
			continue;
		struct ks_injection proof = {.at_ns = at};
		proof.commanded = c->play->event[k].at_ns - c->play->event[begin].at_ns;
		proof.observed = h->end_ns - h->begin_ns;
		proof.tolerance = 2 * KS_MS + proof.commanded / 10;
		return put(c, k, proof);
	}
	return unproven(c, k, "the thread did not tell that it was held");
}

/* Each of those of the process that it names. */
static int prove_threads(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = &c->play->event[k];

	for (uint32_t t = 0; t < c->plan->threads; t++)
		if (ks_fault_names(e, c->p->process, t, c->plan->threads) && prove_thread(c, k, t) != 0)
			return -1;
	return 0;
}

/* Nobody reads the RTC but a resume from s3: what the wall clock then shows tells what the RTC was set to. */
static int prove_rtc(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = c->play->event;
	struct reading b;

	for (uint32_t m = k + 1; m < c->play->n; m++) {
		bool resume = e[m].op == KS_FAULT_RESUME && e[m].amount == KS_SUSPEND_S3;
		bool boot = e[m].op == KS_FAULT_UP && e[m].amount & KS_RESTART_NODE;
		if (e[m].node != e[k].node || !(resume || boot))
			continue;
		if (boot && c->p->born != m)
			return 0; /* another life reads it */
		size_t i = change_of(c, m);
		if (!i || !first_within(c, i, &b))
			return unproven(c, k, "it told no reading after what reads it");
		int64_t off = b.value_ns - ks_seg_line(&c->play->node[c->p->node].change[i].line, b.at_ns);
		return put(c, k, (struct ks_injection){.at_ns = c->play->done[k].end_ns,
						       .commanded = e[k].amount,
						       .observed = e[k].amount + off,
						       .tolerance = KS_FT_TOLERANCE_NS + b.width_ns});
	}
	return unproven(c, k, "nothing read it afterwards");
}

/* How long there was nobody: from the last reading of the one before to the first of the next. */
static int prove_restart(const struct ctx *c, uint32_t k)
{
	uint32_t begin = begin_of(c, k);
	const struct ks_ft_process *before = NULL;

	for (uint32_t i = 0; i < c->play->processes; i++) {
		const struct ks_ft_process *p = ks_ft_process(c->play, i);
		if (p->area.head && p->node == c->p->node && p->process == c->p->process && p->incarnation + 1 == c->p->incarnation)
			before = p;
	}
	size_t n = before ? atomic_load(&before->area.head->nprobes) : 0;
	while (n && before->area.probe[n - 1].before_ns - c->play->start_ns > before->until_ns)
		n--; /* whose calls have ended may look on for a while */
	if (!n || !c->n)
		return unproven(c, k, "one of its lives told no reading");
	struct ks_injection proof = {.at_ns = c->play->done[begin].end_ns};
	proof.commanded = c->play->event[k].at_ns - c->play->event[begin].at_ns;
	proof.observed = c->probe[0].before_ns - before->area.probe[n - 1].after_ns;
	/* a process takes its time to start, and that is part of a restart */
	proof.tolerance = c->p->from_ns - c->play->event[k].at_ns + lateness(c, begin) + 4 * KS_MS +
			  4 * ks_ft_probe_gap(c->plan, c->play->event, c->play->n) + proof.commanded / 10;
	return put(c, k, proof);
}

/* The end of the fault that k begins: the event, or when the scenario is over. */
static int64_t end_of(const struct ctx *c, uint32_t k, int64_t *commanded_ns)
{
	const struct ks_fault_event *e = c->play->event;

	for (uint32_t m = k + 1; m < c->play->n; m++)
		if (e[m].fault == e[k].fault && e[m].node == e[k].node) {
			*commanded_ns = e[m].at_ns - e[k].at_ns;
			return c->play->done[m].begin_ns;
		}
	*commanded_ns = c->plan->duration_ns - e[k].at_ns;
	return c->plan->duration_ns;
}

/* Whoever asks while the registry is down must have had no answer, and everybody else one. That is what the process says; how long
 * it was so we know ourselves. A question that was on its way when that changed may have gone either way. */
static int prove_registry(const struct ctx *c, uint32_t k)
{
	const struct ks_area_head *head = c->p->area.head;
	uint32_t n = head->nasks < KS_AREA_ASKS ? head->nasks : KS_AREA_ASKS;
	int64_t commanded, from = c->play->done[k].end_ns, to = end_of(c, k, &commanded);

	if (!c->play->event[k].at_ns)
		from = INT64_MIN; /* also for those who asked before the start */
	for (uint32_t i = 0; i < n; i++) {
		int64_t sent = head->ask[i].sent_ns - c->play->start_ns;
		if (!head->ask[i].done || sent < from || sent + KS_REGISTRY_PATIENCE_NS >= to)
			continue;
		if (!head->ask[i].lost)
			return unproven(c, k, "the registry answered it while it was down");
	}
	struct ks_injection proof = {.at_ns = c->play->done[k].end_ns, .commanded = commanded};
	proof.observed = to - c->play->done[k].end_ns;
	proof.tolerance = 2 * KS_FT_LATE_MAX_NS;
	return put(c, k, proof);
}

/* Nothing may change by it: the clock goes on as it did. */
static int prove_snapshot(const struct ctx *c, uint32_t k)
{
	size_t first = first_since(c, c->play->done[k].end_ns), last = first_since(c, c->play->done[k].begin_ns);
	const struct ks_ft_node *node = &c->play->node[c->p->node];
	size_t i = node->changes - 1;

	while (last && c->probe[last - 1].after_ns - c->play->start_ns > c->play->done[k].begin_ns)
		last--;
	while (i && node->change[i].begin_ns > c->play->done[k].begin_ns)
		i--;
	if (!last || first == c->n)
		return unproven(c, k, "it told no reading on both sides");
	struct reading a = reading(c, last - 1), b = reading(c, first);
	if (i + 1 < node->changes && node->change[i + 1].begin_ns < b.after_ns)
		return put(c, k, (struct ks_injection){.at_ns = c->play->done[k].end_ns}); /* something else comes at once: lines are checked */
	struct ks_injection proof = {.at_ns = c->play->done[k].end_ns};
	proof.observed = moved(&a, &b) - (int64_t)(((__int128)(b.at_ns - a.at_ns) * node->change[i].line.rate_q64) >> 64);
	proof.tolerance = KS_FT_TOLERANCE_NS + a.width_ns + b.width_ns + coarseness(c, i);
	return put(c, k, proof);
}

/* The new node's clock goes on from the snapshot: it is behind what the old line would show by the time that has passed since. And
 * what the generator knew before its first call is what it knew then. */
static int prove_clone(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = c->play->event;
	size_t i = change_of(c, k);
	struct reading r;

	if (!i || !first_within(c, i, &r))
		return unproven(c, k, "it told no reading before something else was done to it");
	if (c->p->area.head->memory != c->p->memory)
		return unproven(c, k, "what the generator knows is not what it knew in the snapshot");
	struct ks_injection proof = {.at_ns = c->play->done[k].end_ns, .commanded = c->play->kept[e[k].amount].planned_ns - e[k].at_ns};
	proof.observed = r.value_ns - ks_seg_at(&c->play->kept[e[k].amount].clocks.seg[KS_REALTIME], r.at_ns);
	proof.tolerance = KS_FT_TOLERANCE_NS + r.width_ns + coarseness(c, i) - proof.commanded / 1000; /* it may drift */
	return put(c, k, proof);
}

static int prove_event(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = &c->play->event[k];
	int kind = c->plan->fault[e->fault].kind->op;

	if (!c->play->done[k].end_ns)
		return unproven(c, k, "the run had ended before it");
	if (kind == KS_FAULT_STROBE || kind == KS_FAULT_JITTER)
		return begin_of(c, k) == k ? prove_moves(c, k) : 0;
	switch (e->op) {
	case KS_FAULT_STEP:
	case KS_FAULT_TO_TRUE:
	case KS_FAULT_ARM_LEAP:
		return prove_step(c, k);
	case KS_FAULT_SMEAR:
		return prove_smear(c, k);
	case KS_FAULT_COARSE:
		return prove_tick(c, k);
	case KS_FAULT_RTC:
		return prove_rtc(c, k);
	case KS_FAULT_UP:
		return c->p->born == k ? prove_restart(c, k) : 0;
	case KS_FAULT_DRIFT:
	case KS_FAULT_SLEW:
		return prove_rate(c, k);
	case KS_FAULT_RELEASE:
		return prove_hold(c, k);
	case KS_FAULT_RUN:
		return e->thread == KS_ANY && !ks_fault_stops_by_core(e) ? prove_stop(c, k) : prove_threads(c, k);
	case KS_FAULT_RESUME:
		return prove_stop(c, k);
	case KS_FAULT_SNAPSHOT:
		return prove_snapshot(c, k);
	case KS_FAULT_CLONE:
		return c->p->born == k ? prove_clone(c, k) : 0;
	case KS_FAULT_REGISTRY:
		return c->play->event[k].amount ? 0 : prove_registry(c, k);
	default:
		return 0;
	}
}

/* The host's own clock could have been set, by whoever keeps it. */
static int check_host(const struct ctx *c)
{
	struct reading first = reading(c, 0), last = reading(c, c->n - 1);
	int64_t gain = (last.at_ns - first.at_ns) - (last.before_ns - first.before_ns);
	char text[KS_TIME_TEXT];

	if (distance(gain, 0) <= 2 * KS_MS + (last.at_ns - first.at_ns) / 1000)
		return 0;
	return ks_fail(c->err, KS_E_JUDGE, "the clock of this machine moved by %s during the run: was it set?",
		       ks_dur_format(text, gain));
}

/* Was the process there from before the event's fault began until after the event? Its own birth counts. */
static bool lived_through(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *e = &c->play->event[k];
	bool boots = c->play->event[k].op == KS_FAULT_RTC; /* what shows it is a later life */

	if (c->p->born == k || boots)
		return true;
	return c->play->done[begin_of(c, k)].begin_ns >= c->p->from_ns && e->at_ns < c->p->until_ns && e->op != KS_FAULT_UP;
}

static int prove_process(struct ctx *c)
{
	char name[64];

	if (!c->p->area.head)
		return 0; /* a snapshot, which makes no calls */
	c->probe = c->p->area.probe;
	c->n = atomic_load(&c->p->area.head->nprobes);
	if (c->n > c->p->area.head->size.probes)
		c->n = 0;
	while (c->n && c->p->until_ns != INT64_MAX && c->probe[c->n - 1].before_ns - c->play->start_ns > c->p->until_ns)
		c->n--;
	snprintf(name, sizeof(name), "process %u of node '%.30s'", c->p->process, c->plan->node[c->p->node].name);
	if (c->n < READINGS_MIN && (c->p->until_ns != INT64_MAX || c->p->from_ns > c->plan->duration_ns - 100 * KS_MS))
		return 0; /* a short life, which proves nothing and shows nothing */
	if (c->n < READINGS_MIN)
		return ks_fail(c->err, KS_E_JUDGE, "%s told only %zu readings of its clock", name, c->n);
	if (check_host(c) != 0 || check_lines(c) != 0)
		return -1;
	for (uint32_t k = 0; k < c->play->n; k++) {
		const struct ks_fault_event *e = &c->play->event[k];
		bool hit = e->node == c->p->node && (e->process == KS_ANY || e->process == c->p->process);
		if (hit && lived_through(c, k) && prove_event(c, k) != 0)
			return -1;
	}
	return 0;
}

/* A fault that nobody lived through, as those that were down then, is not proven by anybody. */
static int check_all(const struct ctx *c)
{
	const struct ks_run_output *out = c->output;

	for (uint32_t k = 0; k < c->play->n; k++) {
		const struct ks_fault_event *e = &c->play->event[k];
		bool found = false;
		for (size_t i = 0; i < out->ninjection && !found; i++)
			found = out->injection[i].fault == e->fault && out->injection[i].node == e->node;
		if (!found)
			return ks_fail(c->err, KS_E_JUDGE, "fault '%s' is not proven: no process of node '%s' lived through it",
				       c->plan->fault[e->fault].name, c->plan->node[e->node].name);
	}
	return 0;
}

int ks_ft_prove(const struct ks_ft_play *play, const struct ks_run_request *request, struct ks_run_output *output,
		struct ks_err *err)
{
	struct ctx c = {.play = play, .plan = request->plan, .output = output, .err = err};

	output->injection = ks_alloc(play->n ? play->n : 1, sizeof(*output->injection));
	if (!output->injection)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (uint32_t i = 0; i < play->processes; i++) {
		c.p = ks_ft_process(play, i);
		if (prove_process(&c) != 0)
			return -1;
	}
	return check_all(&c);
}

/* Two readings between any two changes of a node, and pauses to a ms; but no more than a machine can bear. */
int64_t ks_ft_probe_gap(const struct ks_plan *plan, const struct ks_fault_event *event, uint32_t n)
{
	int64_t gap = 5 * KS_MS, least = plan->nodes * plan->processes * (KS_MS / 8);

	for (uint32_t i = 0; i < n; i++) {
		if (event[i].op == KS_FAULT_STOP || event[i].op == KS_FAULT_SUSPEND)
			gap = gap < KS_MS ? gap : KS_MS;
		if (event[i].op == KS_FAULT_COARSE && event[i].extra)
			gap = gap < event[i].extra / 2 ? gap : event[i].extra / 2;
		for (uint32_t k = i + 1; k < n && event[k].at_ns - event[i].at_ns < 2 * gap; k++)
			if (event[k].node == event[i].node && event[k].at_ns > event[i].at_ns)
				gap = (event[k].at_ns - event[i].at_ns) / 2;
	}
	least = least > KS_MS / 4 ? least : KS_MS / 4;
	return gap > least ? gap : least;
}
