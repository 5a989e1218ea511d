/* The proof of faults from the time inside keys: for programs that keyskew does not host, and for those that it asks but
 * that never ask it for a clock. */
#include <stdlib.h>

#include "foreign.h"
#include "ft.h"
#include "ks_mem.h"

/* A time inside a key that is further than this from the scenario is no time. */
#define PLAUSIBLE_NS (366 * KS_DAY)
/* A proof needs so many keys on both sides, and is no better than this. */
#define PROOF_KEYS 5
#define PROOF_NS (2 * KS_MS)
/* A key that was printed arrives so much later, at most. */
#define WAY_NS (5 * KS_MS)

struct ctx {
	const struct ks_ft_play *play;
	const struct ks_run_request *request;
	const struct ks_plan *plan;
	struct ks_run_output *output;
	struct ks_err *err;
	int64_t *values; /* room for one of each record */
};

void ks_ft_read_key(const struct ks_run_request *request, const char *text, size_t len, struct ks_record *rec)
{
	struct ks_fields fields;
	int64_t since;

	if (!ks_foreign_decode(request->gen->foreign, text, len, &fields) || !fields.has_time)
		return;
	if (__builtin_sub_overflow(fields.embed_lo_unix_ns, request->plan->start_unix_ns, &since))
		return;
	if (since < -PLAUSIBLE_NS || since > PLAUSIBLE_NS)
		return;
	rec->clock = KS_REALTIME;
	rec->read_ns = since;
	rec->read_at_ns = rec->return_ns;
}

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
static void stretches(const struct ctx *c, uint32_t k, int64_t before[2], int64_t after[2])
{
	const struct ks_ft_done *done = c->play->done;
	const struct ks_fault_event *event = c->play->event;

	before[0] = 0;
	before[1] = done[k].begin_ns;
	after[0] = done[k].end_ns;
	after[1] = c->plan->duration_ns;
	for (uint32_t i = 0; i < c->play->n; i++) {
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

static int unproven(const struct ctx *c, const struct ks_fault_event *event, const char *why)
{
	return ks_fail(c->err, KS_E_JUDGE, "cannot prove that fault '%s' reached '%.200s': %s",
		       c->plan->fault[event->fault].name, c->request->gen->text, why);
}

static int prove_by(const struct ctx *c, uint32_t k, uint32_t lane, int64_t *values, struct ks_injection *proof)
{
	const struct ks_fault_event *event = &c->play->event[k];
	int64_t span[2][2];
	char why[240], a[KS_TIME_TEXT], b[KS_TIME_TEXT];

	stretches(c, k, span[0], span[1]);
	struct skew before = measure(&c->output->records, lane, span[0][0], span[0][1], values);
	struct skew after = measure(&c->output->records, lane, span[1][0], span[1][1], values);
	if (!before.n && !after.n)
		return unproven(c, event,
				"its keys carry no time that keyskew can read, and nothing else shows its clock");
	if (before.n < PROOF_KEYS || after.n < PROOF_KEYS)
		return unproven(c, event, "too few keys that carry a time before or after it");
	int64_t rough = before.top - before.median, rough_after = after.top - after.median;
	int64_t tolerance = PROOF_NS + (rough > rough_after ? rough : rough_after);
	int64_t observed = after.top - before.top, size = distance(event->amount, 0);
	if (2 * tolerance > size) {
		snprintf(why, sizeof(why), "its keys arrive too irregularly, within %s, to show %s",
			 ks_dur_format(a, tolerance), ks_dur_format(b, event->amount));
		return unproven(c, event, why);
	}
	if (distance(observed, event->amount) > tolerance) {
		snprintf(why, sizeof(why),
			 "the time in its keys moved by %s, not by %s; a static or Go program does not see "
			 "libfaketime",
			 ks_dur_format(a, observed), ks_dur_format(b, event->amount));
		return unproven(c, event, why);
	}
	if (distance(observed, proof->commanded) >= distance(proof->observed, proof->commanded)) {
		proof->observed = observed;
		proof->tolerance = tolerance;
	}
	int64_t noise = before.top - before.bottom > after.top - after.bottom ? before.top - before.bottom
									      : after.top - after.bottom;
	if (noise > c->output->noise_ns)
		c->output->noise_ns = noise;
	return 0;
}

/* Before the first step the clock must be where the scenario puts it. A node that has an offset needs a proof of it;
 * without one it is enough that keys with a time do not carry another date: some generators run ahead by themselves. */
static int judge(const struct ctx *c, uint32_t lane, const char *what)
{
	return ks_fail(c->err, KS_E_JUDGE, "'%.200s' of node '%s' %s", c->request->gen->text,
		       c->plan->node[c->output->records.lanes[lane].node].name, what);
}

/* Whose lane it is. */
static const struct ks_ft_process *process_of(const struct ctx *c, uint32_t lane)
{
	const struct ks_lane *l = &c->output->records.lanes[lane];

	for (uint32_t i = 0; i < c->play->processes; i++) {
		const struct ks_ft_process *p = ks_ft_process(c->play, i);
		if (p->node == l->node && p->process == l->process && p->incarnation == l->incarnation)
			return p;
	}
	return NULL; /* there is one */
}

/* What the clock of the node was made to show at t, less true time. */
static int64_t offset_at(const struct ctx *c, uint32_t node, int64_t t_ns)
{
	const struct ks_ft_node *n = &c->play->node[node];
	size_t i = n->changes - 1;

	while (i && n->change[i].begin_ns > t_ns)
		i--;
	return ks_seg_line(&n->change[i].line, t_ns) - c->plan->start_unix_ns - t_ns;
}

static struct ks_injection *row_of(const struct ctx *c, uint32_t k);

/* A life that a boot began shows what the battery-backed clock was set to before it. */
static void note_rtc(const struct ctx *c, uint32_t lane, int64_t off_ns, int64_t tolerance)
{
	const struct ks_ft_process *p = process_of(c, lane);
	const struct ks_fault_event *e = c->play->event;

	for (uint32_t k = p->born; p->born != KS_FT_NONE && e[p->born].amount & KS_RESTART_NODE && k-- > 0;) {
		if (e[k].node != p->node || e[k].op != KS_FAULT_RTC)
			continue;
		struct ks_injection *row = row_of(c, k);
		row->observed = row->commanded + off_ns;
		row->tolerance = tolerance;
		return;
	}
}

static int prove_offset(const struct ctx *c, uint32_t lane)
{
	uint32_t number = c->output->records.lanes[lane].node;
	int64_t from = process_of(c, lane)->from_ns, until = c->plan->duration_ns, tolerance = KS_HOUR;
	char a[KS_TIME_TEXT], text[160];

	from = from > 0 ? from : 0;
	for (uint32_t k = c->play->n; k-- > 0;)
		if (c->play->event[k].node == number && c->play->event[k].at_ns >= from)
			until = c->play->event[k].at_ns;
	int64_t offset = offset_at(c, number, from);
	struct skew s = measure(&c->output->records, lane, from, until, c->values);
	if (distance(offset, 0) > PROOF_NS) {
		tolerance = PROOF_NS + s.top - s.median;
		if (s.n < PROOF_KEYS || 2 * tolerance > distance(offset, 0))
			return judge(c, lane,
				     "does not show its clock's offset: too few keys that carry a time, or too "
				     "irregular ones");
	}
	if (!s.n || distance(s.top, offset) <= tolerance) {
		note_rtc(c, lane, s.top - offset, tolerance);
		return 0;
	}
	snprintf(text, sizeof(text),
		 "shows a clock that is off by %s from the start; a static or Go program does not see "
		 "libfaketime",
		 ks_dur_format(a, s.top - offset));
	return judge(c, lane, text);
}

/* Its row in the result, unless the probe of a host has made one. */
static struct ks_injection *row_of(const struct ctx *c, uint32_t k)
{
	const struct ks_fault_event *event = &c->play->event[k];
	struct ks_run_output *out = c->output;

	for (size_t i = 0; i < out->ninjection; i++)
		if (out->injection[i].fault == event->fault && out->injection[i].node == event->node)
			return &out->injection[i];
	struct ks_injection *row = &out->injection[out->ninjection++];
	*row = (struct ks_injection){.fault = event->fault,
				     .node = event->node,
				     .at_ns = c->play->done[k].end_ns,
				     .commanded = event->amount,
				     .observed = event->amount};
	return row;
}

/* Keys show for good what a step moved; of more they tell too little. */
static bool is_step(const struct ctx *c, const struct ks_fault_event *event)
{
	int kind = c->plan->fault[event->fault].kind->op;
	return event->op == KS_FAULT_STEP && kind == KS_FAULT_STEP;
}

/* ---- stops: keys that do not come ---- */

/* The receipts around a stop: the last one that was on its way when it began, and the next. */
struct gap {
	int64_t first_ns, last_ns, next_ns; /* of the lane; next: INT64_MAX when none came */
	size_t before;
};

static struct gap receipts(const struct ctx *c, uint32_t lane, int64_t stopped_ns)
{
	const struct ks_records *records = &c->output->records;
	struct gap g = {.next_ns = INT64_MAX};

	for (size_t i = 0; i < records->n; i++) {
		struct ks_record r = ks_record_get(records, i);
		if (r.lane != lane || r.return_ns == KS_NO_TIME)
			continue;
		if (r.return_ns <= stopped_ns + WAY_NS) {
			g.first_ns = g.before++ ? g.first_ns : r.return_ns;
			g.last_ns = r.return_ns > g.last_ns ? r.return_ns : g.last_ns;
		} else {
			g.next_ns = r.return_ns < g.next_ns ? r.return_ns : g.next_ns;
		}
	}
	return g;
}

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

static int prove_stop(const struct ctx *c, uint32_t k, uint32_t lane)
{
	const struct ks_fault_event *e = &c->play->event[k];
	uint32_t m = begin_of(c, k);
	struct gap g = receipts(c, lane, c->play->done[m].end_ns);
	char why[160], a[KS_TIME_TEXT], b[KS_TIME_TEXT];

	if (g.before < PROOF_KEYS || g.next_ns == INT64_MAX)
		return unproven(c, e, "too few keys before or after it");
	struct ks_injection *row = row_of(c, k);
	int64_t commanded = e->at_ns - c->play->event[m].at_ns, observed = g.next_ns - g.last_ns;
	int64_t tolerance = 2 * WAY_NS + commanded / 10 + lateness(c, m) + lateness(c, k) +
			    4 * (g.last_ns - g.first_ns) / (int64_t)g.before;
	*row = (struct ks_injection){.fault = e->fault,
				     .node = e->node,
				     .at_ns = c->play->done[m].end_ns,
				     .commanded = commanded,
				     .observed = observed,
				     .tolerance = tolerance};
	if (g.next_ns < c->play->done[k].begin_ns)
		return unproven(c, e, "a key came while it should have stood");
	if (2 * tolerance > commanded || distance(observed, commanded) > tolerance) {
		snprintf(why, sizeof(why), "no key came for %s, commanded were %s, and they come too irregularly to tell",
			 ks_dur_format(a, observed), ks_dur_format(b, commanded));
		return unproven(c, e, why);
	}
	return 0;
}

/* How long nobody printed keys: from the last of the life before to the first of this one. Nobody prints while there is nobody; how
 * much longer it was is what the program takes to start. */
static int prove_restart(const struct ctx *c, uint32_t k, uint32_t lane)
{
	const struct ks_records *records = &c->output->records;
	const struct ks_lane *l = &records->lanes[lane];
	uint32_t m = begin_of(c, k);
	int64_t last = INT64_MIN, first = INT64_MAX;

	for (size_t i = 0; i < records->n; i++) {
		struct ks_record r = ks_record_get(records, i);
		const struct ks_lane *o = &records->lanes[r.lane];
		if (o->node != l->node || o->process != l->process || r.return_ns == KS_NO_TIME)
			continue;
		if (o->incarnation < l->incarnation)
			last = r.return_ns > last ? r.return_ns : last;
		if (o->incarnation == l->incarnation)
			first = r.return_ns < first ? r.return_ns : first;
	}
	if (last == INT64_MIN || first == INT64_MAX)
		return unproven(c, &c->play->event[k], "one of its lives issued no key");
	struct ks_injection *row = row_of(c, k);
	*row = (struct ks_injection){.fault = row->fault, .node = row->node, .at_ns = c->play->done[m].end_ns};
	row->commanded = c->play->event[k].at_ns - c->play->event[m].at_ns;
	row->observed = first - last;
	/* keys that were printed before it was killed may be read a little later */
	row->tolerance = 2 * WAY_NS + lateness(c, m) + (first - c->play->done[k].begin_ns) + distance(c->play->done[m].begin_ns, last);
	if (row->observed < c->play->done[k].begin_ns - c->play->done[m].end_ns - 2 * WAY_NS)
		return unproven(c, &c->play->event[k], "a key came while there was nobody");
	return 0;
}

static bool is_end_of_stop(const struct ctx *c, const struct ks_fault_event *e)
{
	bool free_running = c->request->gen->foreign->speaks != KS_SPEAKS_ASK;
	return free_running && (e->op == KS_FAULT_RUN || e->op == KS_FAULT_RESUME);
}

static bool hits(const struct ctx *c, const struct ks_fault_event *e, uint32_t lane)
{
	const struct ks_lane *l = &c->output->records.lanes[lane];
	const struct ks_ft_process *p = process_of(c, lane);
	uint32_t k = (uint32_t)(e - c->play->event);

	if (e->node != l->node || (e->process != KS_ANY && e->process != l->process))
		return false;
	return p->born == k || (c->play->done[begin_of(c, k)].begin_ns >= p->from_ns && e->at_ns < p->until_ns && e->op != KS_FAULT_UP);
}

static int prove_lane(const struct ctx *c, uint32_t lane)
{
	if (prove_offset(c, lane) != 0)
		return -1;
	for (uint32_t k = 0; k < c->play->n; k++) {
		const struct ks_fault_event *event = &c->play->event[k];
		bool stop = is_end_of_stop(c, event);
		if (!hits(c, event, lane) || (!stop && event->op != KS_FAULT_UP && !(ks_fault_affects(event) >> KS_REALTIME & 1)))
			continue;
		if (!c->play->done[k].end_ns)
			return unproven(c, event, "the programs had ended before it");
		if (event->op == KS_FAULT_UP) {
			if (c->request->gen->foreign->speaks != KS_SPEAKS_ASK && prove_restart(c, k, lane) != 0)
				return -1;
			continue;
		}
		if (stop) {
			if (prove_stop(c, k, lane) != 0)
				return -1;
			continue;
		}
		if (!is_step(c, event))
			return unproven(c, event, "it asks for no clock, and the time in its keys can prove no more than steps");
		if (prove_by(c, k, lane, c->values, row_of(c, k)) != 0)
			return -1;
	}
	return 0;
}

static int prove_lanes(const struct ctx *c, const bool *skip)
{
	for (uint32_t lane = 0; lane < c->output->records.nlanes; lane++)
		if (!skip[lane] && prove_lane(c, lane) != 0)
			return -1;
	return 0;
}

static int with_memory(struct ctx *c, bool *skip)
{
	struct ks_run_output *out = c->output;
	size_t room = out->records.n;

	c->values = ks_alloc(room ? room : 1, sizeof(*c->values));
	if (!out->injection)
		out->injection = ks_alloc(c->play->n ? c->play->n : 1, sizeof(*out->injection));
	if (!out->noise_ns)
		out->noise_ns = PROOF_NS;
	int status = c->values && out->injection ? prove_lanes(c, skip) : ks_fail(c->err, KS_E_INTERNAL, "out of memory");
	ks_free(c->values);
	return status;
}

/* A lane that has read a clock through keyskew needs no such proof: its host has given one. Of the others the keys tell
 * the time. asked: which are which. */
static int read_keys(const struct ctx *c, bool *asked)
{
	struct ks_records *records = &c->output->records;

	for (size_t i = 0; i < records->n; i++) {
		struct ks_record r = ks_record_get(records, i);
		asked[r.lane] |= r.read_ns != KS_NO_TIME;
	}
	for (size_t i = 0; i < records->n; i++) {
		struct ks_record r = ks_record_get(records, i);
		size_t len;
		if (asked[r.lane] || r.outcome != KS_KEY)
			continue;
		const char *text = ks_texts_get(&records->texts, r.key.lo, &len);
		ks_ft_read_key(c->request, text, len, &r);
		if (r.read_ns != KS_NO_TIME && ks_record_set(records, i, &r) != 0)
			return ks_fail(c->err, KS_E_INTERNAL, "out of memory");
	}
	return 0;
}

int ks_ft_prove_keys(const struct ks_ft_play *play, const struct ks_run_request *request, struct ks_run_output *output,
		     struct ks_err *err)
{
	struct ctx c = {.play = play, .request = request, .plan = request->plan, .output = output, .err = err};
	bool *skip = ks_alloc(output->records.nlanes, sizeof(*skip));
	int status = skip ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory");

	if (status == 0 && request->gen->foreign->speaks == KS_SPEAKS_ASK)
		status = read_keys(&c, skip);
	if (status == 0)
		status = with_memory(&c, skip);
	ks_free(skip);
	return status;
}
