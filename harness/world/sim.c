/* World sim: simulated time in this process. Carries everything that a plan can say. */
#include <stdio.h>
#include <stdlib.h>

#include "ask_fleet.h"
#include "foreign.h"
#include "ks_engine.h"
#include "ks_mem.h"
#include "ks_world.h"

static int available(char *why, size_t size)
{
	(void)why, (void)size;
	return 0;
}

#define PROGRAMS_MAX 256 /* of programs that are asked: each is a process of this machine */

static bool copies_memory(const struct ks_fault_event *e)
{
	return e->op == KS_FAULT_SNAPSHOT || e->op == KS_FAULT_CLONE || e->op == KS_FAULT_ROLLBACK ||
	       (e->op == KS_FAULT_UP && e->amount & KS_RESTART_KEPT);
}

static int carries(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size)
{
	if (gen->gen)
		return 0;
	if (gen->foreign->speaks == KS_SPEAKS_LINES) {
		snprintf(why, size, "a free-running program keeps real time; in sim it must be asked for keys (speaks: ask)");
		return -1;
	}
	if ((uint64_t)plan->nodes * plan->processes > PROGRAMS_MAX) {
		snprintf(why, size, "it would start more than %d programs, one for each process", PROGRAMS_MAX);
		return -1;
	}
	struct ks_fault_event *events = NULL;
	struct ks_err err = {0};
	uint32_t n = 0;
	int status = ks_plan_events(plan, 0, &events, &n, &err);
	if (status)
		snprintf(why, size, "%s", err.text);
	for (uint32_t i = 0; i < n && !status; i++)
		if (copies_memory(&events[i])) {
			snprintf(why, size, "fault '%s' keeps or copies the memory of a process, and a program of its own has that outside sim",
			         plan->fault[events[i].fault].name);
			status = -1;
		}
	ks_free(events);
	return status;
}

/* What the node's own clocks showed of one event, in the unit of what was commanded. */
struct proof {
	bool counts; /* false: only the beginning of something that its end proves */
	int64_t commanded, observed, tolerance;
	bool memory; /* true: the memory is not what it has to be */
};

static struct proof proven(int64_t commanded, int64_t observed, int64_t tolerance)
{
	return (struct proof){.counts = true, .commanded = commanded, .observed = observed, .tolerance = tolerance};
}

/* The events of the same fault and node before the one that is looked at; NULL: there was none. */
struct history {
	const struct ks_fault_seen *first, *last;
	int64_t core_low_ns, core_high_ns; /* of all of them */
};

static int64_t size_of(int64_t v)
{
	return v < 0 ? -v : v;
}

/* How long a clock stood between two events: true time less what it moved by itself. Others may have set it meanwhile. */
static int64_t stood(const struct ks_fault_seen *begin, const struct ks_fault_seen *end, enum ks_clock_id id)
{
	int64_t set_ns = id == KS_REALTIME || id == KS_TAI ? end->set_before_ns - begin->set_after_ns : 0;
	return end->event.at_ns - begin->event.at_ns - (end->before_ns[id] - begin->after_ns[id] - set_ns);
}

/* The kernel's correction, from the rates of a clock that has it and one that has not; two roundings. */
static int64_t slew_of(int64_t monotonic_ppb, int64_t raw_ppb)
{
	__int128 disciplined = KS_SEC + monotonic_ppb, oscillator = KS_SEC + raw_ppb;
	return oscillator <= 0 ? 0 : (int64_t)((disciplined * KS_SEC + oscillator / 2) / oscillator - KS_SEC); /* a clock that stands shows no rate */
}

/* What an event added to the correction that was there: the node's keeper has its own. */
static struct proof prove_slew(const struct ks_fault_seen *seen, const struct ks_fault_seen *begin)
{
	int64_t was = begin ? begin->event.amount : 0;
	int64_t by = slew_of(seen->monotonic_ppb, seen->raw_ppb) - slew_of(seen->monotonic_before_ppb, seen->raw_ppb);
	return proven(seen->event.amount, was + by, 4);
}

static int64_t suspended(const struct ks_fault_seen *begin, const struct ks_fault_seen *end)
{
	int64_t length = end->event.at_ns - begin->event.at_ns;
	switch ((enum ks_suspend)end->event.amount) {
	case KS_SUSPEND_S3:
		return stood(begin, end, KS_MONOTONIC);
	case KS_SUSPEND_VM_STOP:
		return stood(begin, end, KS_REALTIME);
	case KS_SUSPEND_HOST_STOP:
		return length - stood(begin, end, KS_MONOTONIC);
	}
	return 0;
}

/* A smear is over: the wall clock has moved by a second against the oscillator, which alone has not been bent. */
static struct proof prove_smear(const struct ks_fault_seen *end, const struct history *h, bool deletes)
{
	const struct ks_fault_seen *begin = h->first;
	if (!begin || end->event.extra)
		return (struct proof){0};
	int64_t raw_ns = end->before_ns[KS_RAW] - begin->after_ns[KS_RAW], length = end->event.at_ns - begin->event.at_ns;
	int64_t moved = end->before_ns[KS_REALTIME] - begin->after_ns[KS_REALTIME] - raw_ns - (end->set_before_ns - begin->set_after_ns);
	/* what is bent is the oscillator's second: off by its drift */
	__int128 off = (__int128)KS_SEC * size_of(raw_ns - length) / length;
	return proven(deletes ? KS_SEC : -KS_SEC, moved, raw_ns == length ? 0 : 2 * (int64_t)off + 200);
}

/* How far apart the cores' clocks were, from what the threads read on them. */
static struct proof prove_cores(const struct ks_fault_seen *seen, const struct history *h, int64_t amount)
{
	int64_t low = h->first && h->core_low_ns < seen->core_low_ns ? h->core_low_ns : seen->core_low_ns;
	int64_t high = h->first && h->core_high_ns > seen->core_high_ns ? h->core_high_ns : seen->core_high_ns;
	return proven(size_of(amount), high - low, 1);
}

static enum ks_clock_id first_clock(int64_t mask)
{
	return (enum ks_clock_id)__builtin_ctzll((unsigned long long)mask);
}

/* What happened last before `seen` by an operation: a snapshot of the same number. */
static const struct ks_fault_seen *snapshot_of(const struct ks_fault_seen *seen, const struct ks_fault_seen *first)
{
	for (const struct ks_fault_seen *s = seen; s-- > first;)
		if (s->event.op == KS_FAULT_SNAPSHOT && s->event.amount == seen->event.amount)
			return s;
	return NULL;
}

/* A process that was away, by its node's own clock; and its memory is blank, or what it was. A node's clock began at 0. */
static struct proof prove_restart(const struct ks_fault_seen *up, const struct ks_fault_seen *down)
{
	int64_t length = up->event.at_ns - down->event.at_ns;
	int64_t away = up->before_ns[KS_MONOTONIC] - down->after_ns[KS_MONOTONIC];
	bool kept = up->event.amount & KS_RESTART_KEPT;
	struct proof p = proven(length, away, length / 10 + 1);
	if (up->event.amount & KS_RESTART_NODE)
		p = proven(-down->before_ns[KS_MONOTONIC], up->after_ns[KS_MONOTONIC] - down->before_ns[KS_MONOTONIC], 0);
	p.memory = kept ? up->memory_after != down->memory_after : up->memory_left != 0;
	return p;
}

/* The clocks went on from the snapshot, so the wall clock is behind by what has passed since; the memory is the snapshot's. */
static struct proof prove_revival(const struct ks_fault_seen *seen, const struct ks_fault_seen *snapshot)
{
	bool run = seen->event.extra & KS_REVIVE_CLOCKS_RUN;
	if (!snapshot)
		return (struct proof){0};
	int64_t since = seen->event.at_ns - snapshot->event.at_ns;
	int64_t moved = run ? seen->after_ns[KS_REALTIME] - seen->before_ns[KS_REALTIME]
	                    : seen->after_ns[KS_REALTIME] - snapshot->after_ns[KS_REALTIME] - since;
	struct proof p = proven(run ? 0 : -since, moved, 0);
	p.memory = seen->memory_after != snapshot->memory_after;
	return p;
}

static struct proof prove_one(const struct ks_sim_result *result, const struct ks_fault_seen *seen, const struct history *h,
                              const struct ks_fault *fault)
{
	const struct ks_fault_event *event = &seen->event;
	const struct ks_fault_seen *begin = seen->begin == KS_ANY ? h->last : &result->seen[seen->begin];
	int64_t length = begin ? event->at_ns - begin->event.at_ns : 0;
	struct proof p;
	int64_t coarse = seen->tick_ns > 1 ? seen->tick_ns : 0; /* the readings are no finer */
	switch (event->op) {
	case KS_FAULT_STEP:
	case KS_FAULT_LEAP:
		return proven(event->amount, seen->after_ns[KS_REALTIME] - seen->before_ns[KS_REALTIME], coarse);
	case KS_FAULT_TO_TRUE:
		return proven(seen->utc_ns - seen->before_ns[KS_REALTIME],
		                      seen->after_ns[KS_REALTIME] - seen->before_ns[KS_REALTIME], coarse);
	case KS_FAULT_DRIFT:
		return proven(event->amount, seen->raw_ppb, 0);
	case KS_FAULT_SLEW:
		return prove_slew(seen, begin);
	case KS_FAULT_SMEAR:
		return prove_smear(seen, h, fault->second);
	case KS_FAULT_COARSE:
		return proven(event->extra ? event->extra : 1, seen->tick_ns ? seen->tick_ns : 1, 1);
	case KS_FAULT_RTC:
		return proven(event->amount, seen->rtc_ns, 0);
	case KS_FAULT_SOURCE:
		return proven(event->amount, seen->source_moved_ns, 0);
	case KS_FAULT_CORES:
		return prove_cores(seen, h, fault->amount);
	case KS_FAULT_RELEASE:
		return proven(length, begin ? stood(begin, seen, first_clock(event->amount)) : 0, coarse);
	case KS_FAULT_RESUME:
		/* a clock that ran through it drifts; one that stood does not */
		return proven(length, begin ? suspended(begin, seen) : 0,
		                      (event->amount == KS_SUSPEND_HOST_STOP ? length / 10 + 1 : 0) + coarse);
	case KS_FAULT_RUN: /* threads, not clocks: the node's own clock tells how long */
		if (seen->begin != KS_ANY && length < event->amount)
			length = event->amount; /* of a placed pause; another fault may have made it longer */
		return proven(length, begin ? seen->before_ns[KS_MONOTONIC] - begin->after_ns[KS_MONOTONIC] : 0,
		                      length / 10 + 1 + coarse);
	case KS_FAULT_UP:
		return begin ? prove_restart(seen, begin) : (struct proof){0};
	case KS_FAULT_SNAPSHOT: /* nothing may change by it */
		p = proven(0, seen->after_ns[KS_REALTIME] - seen->before_ns[KS_REALTIME], 0);
		p.memory = seen->memory_after != seen->memory_before;
		return p;
	case KS_FAULT_CLONE:
	case KS_FAULT_ROLLBACK:
		return prove_revival(seen, snapshot_of(seen, result->seen));
	case KS_FAULT_REGISTRY:
		if (!event->amount || !begin)
			break;
		return proven(length, seen->before_ns[KS_MONOTONIC] - begin->after_ns[KS_MONOTONIC], length / 10 + 1 + coarse);
	case KS_FAULT_HOLD:
	case KS_FAULT_SUSPEND:
	case KS_FAULT_STOP:
	case KS_FAULT_ARM_LEAP: /* the LEAP that comes of it proves it */
	case KS_FAULT_KEEPER:
	case KS_FAULT_DOWN:
	case KS_FAULT_PLACE:
		break;
	}
	return (struct proof){0};
}

/* One row a fault and node; a fault of many steps adds up what they moved, to and fro. */
static struct ks_injection *row_of(struct ks_run_output *output, const struct ks_fault_event *event, bool many)
{
	for (size_t i = output->ninjection; many && i-- > 0;)
		if (output->injection[i].fault == event->fault && output->injection[i].node == event->node)
			return &output->injection[i];
	struct ks_injection *in = &output->injection[output->ninjection++];
	*in = (struct ks_injection){.fault = event->fault, .node = event->node, .at_ns = event->at_ns};
	return in;
}

static bool is_sum(const struct ks_fault *f)
{
	return f->kind->op == KS_FAULT_STROBE || f->kind->op == KS_FAULT_JITTER || f->placed;
}

static void remember(struct history *h, const struct ks_fault_seen *seen)
{
	h->core_low_ns = !h->first || seen->core_low_ns < h->core_low_ns ? seen->core_low_ns : h->core_low_ns;
	h->core_high_ns = !h->first || seen->core_high_ns > h->core_high_ns ? seen->core_high_ns : h->core_high_ns;
	h->first = h->first ? h->first : seen;
	h->last = seen;
}

/* By time, then node: nodes run one after another, so they are seen in another order. */
static int seen_cmp(const void *pa, const void *pb, void *seen)
{
	const uint32_t i = *(const uint32_t *)pa, j = *(const uint32_t *)pb;
	const struct ks_fault_event *a = &((const struct ks_fault_seen *)seen)[i].event, *b = &((const struct ks_fault_seen *)seen)[j].event;
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns ? -1 : 1;
	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	return i < j ? -1 : i > j;
}

/* order: of what was seen; history: of each fault x node. */
static int prove_all(const struct ks_sim_result *result, const uint32_t *order, const struct ks_plan *plan, struct history *history,
                     struct ks_run_output *output, struct ks_err *err)
{
	for (uint32_t i = 0; i < result->nseen; i++) {
		const struct ks_fault_seen *seen = &result->seen[order[i]];
		if (seen->event.fault == KS_NO_FAULT)
			continue;
		const struct ks_fault *fault = &plan->fault[seen->event.fault];
		struct history *h = &history[seen->event.fault * plan->nodes + seen->event.node];
		struct proof p = prove_one(result, seen, h, fault);
		remember(h, seen);
		if (!p.counts)
			continue;
		if (p.memory)
			return ks_fail(err, KS_E_JUDGE, "fault '%s' not proven on %s: its memory is not what it has to be", fault->name,
			               plan->node[seen->event.node].name);
		bool sum = is_sum(fault), many = sum || fault->kind->op == KS_FAULT_CORES;
		struct ks_injection *in = row_of(output, &seen->event, many);
		in->commanded = sum ? in->commanded + size_of(p.commanded) : p.commanded;
		in->observed = sum ? in->observed + size_of(p.observed) : p.observed;
		in->tolerance = sum ? in->tolerance + p.tolerance : p.tolerance;
	}
	return 0;
}

/* Whatever set or bent a clock. */
static void list_changes(const struct ks_sim_result *result, const uint32_t *order, struct ks_run_output *output)
{
	for (uint32_t i = 0; i < result->nseen; i++) {
		const struct ks_fault_seen *seen = &result->seen[order[i]];
		const struct ks_fault_event *e = &seen->event;
		struct ks_clock_change *c = &output->change[output->nchange++];
		*c = (struct ks_clock_change){.at_ns = e->at_ns, .node = e->node, .fault = e->fault};
		if (e->op == KS_FAULT_KEEPER) {
			c->did = (uint32_t)e->extra;
			c->amount_ns = e->amount;
		} else {
			c->amount_ns = seen->set_after_ns - seen->set_before_ns;
		}
	}
}

static int prove(const struct ks_sim_result *result, const struct ks_plan *plan, struct ks_run_output *output, struct ks_err *err)
{
	struct history *history = ks_alloc((size_t)plan->faults * plan->nodes + 1, sizeof *history);
	uint32_t *order = ks_alloc(result->nseen + 1, sizeof *order);
	output->injection = ks_alloc(result->nseen + 1, sizeof *output->injection);
	output->change = ks_alloc(result->nseen + 1, sizeof *output->change);
	int failed = -1;
	if (history && order && output->injection && output->change) {
		for (uint32_t i = 0; i < result->nseen; i++)
			order[i] = i;
		qsort_r(order, result->nseen, sizeof *order, seen_cmp, result->seen);
		list_changes(result, order, output);
		failed = prove_all(result, order, plan, history, output, err);
	} else {
		ks_fail(err, KS_E_INTERNAL, "out of memory for %u changes of clocks", result->nseen);
	}
	ks_free(history);
	ks_free(order);
	return failed;
}

static int simulate(const struct ks_run_request *request, struct ks_node_desc *nodes, const struct ks_gen *gen, const void *cfg,
                    struct ks_run_output *output, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	struct ks_fault_event *events = NULL;
	struct ks_sim_result result;
	uint32_t nevents = 0;
	if (!request->control && ks_plan_events(plan, request->seed, &events, &nevents, err))
		return -1;
	struct ks_sim sim = {.start_unix_ns = plan->start_unix_ns, .duration_ns = plan->duration_ns, .seed = request->seed,
	                     .worker = ks_plan_worker_rule(plan), .host = plan->host, .mail = plan->mail, .network = plan->network,
	                     .nodes = plan->nodes, .processes = plan->processes, .threads = plan->threads, .node = nodes,
	                     .load = plan->load, .about = ks_plan_calls(plan), .events = events, .nevents = nevents, .gen = gen,
	                     .cfg = cfg, .stop = request->stop, .memory = request->memory, .progress = request->progress, .trace = request->trace, .sink = request->sink};
	int status = ks_sim_run(&sim, &result, err);
	if (!status) {
		status = prove(&result, plan, output, err);
		output->records = result.records;
		result.records = (struct ks_records){0};
		ks_sim_result_release(&result);
	}
	ks_free(events);
	return status;
}

/* A program that reads a clock of its own reads the host's, and that shows no fault of the simulation. */
static int check_clock(const struct ks_run_request *request, const struct ks_records *records, struct ks_err *err)
{
	struct ks_fields fields;
	if (records->clock_reads || !request->plan->faults)
		return 0;
	for (size_t i = 0; i < records->n; i++) {
		struct ks_record r = ks_record_get(records, i);
		if (r.outcome == KS_KEY && ks_gen_decode(request->gen, &records->texts, r.key, &fields) && fields.has_time)
			return ks_fail(err, KS_E_JUDGE,
			               "'%.200s' puts a time into its keys and asked for no clock: it has read its own, which sim cannot "
			               "move; let it ask (clock wall), or run it with -w faketime",
			               request->gen->text);
	}
	return 0;
}

/* A program of its own for each process. */
static int simulate_asking(const struct ks_run_request *request, struct ks_node_desc *nodes, struct ks_run_output *output,
                           struct ks_err *err)
{
	struct ks_ask_fleet_sim *fleet = ks_ask_fleet_new(request, err);
	if (!fleet)
		return -1;
	struct ks_ask_cfg cfg = ks_ask_fleet_cfg(fleet);
	int status = simulate(request, nodes, &ks_gen_ask_sim, &cfg, output, err);
	ks_ask_fleet_free(fleet);
	return status ? status : check_clock(request, &output->records, err);
}

static int run(const struct ks_run_request *request, struct ks_run_output *output, struct ks_err *err)
{
	const struct ks_plan *plan = request->plan;
	*output = (struct ks_run_output){0};
	struct ks_node_desc *nodes = ks_alloc(plan->nodes, sizeof *nodes);
	if (!nodes)
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	for (uint32_t i = 0; i < plan->nodes; i++)
		nodes[i] = (struct ks_node_desc){.offset_ns = plan->node[i].offset_ns, .drift_ppb = ks_plan_node_drift(plan, request->seed, i),
		                                 .worker = ks_plan_worker(plan, request->seed, i),
		                                 .keeper = plan->node[i].clock.keeper, .clone = plan->node[i].clone};
	int status = request->gen->gen ? simulate(request, nodes, request->gen->gen, request->gen->cfg, output, err)
	                               : simulate_asking(request, nodes, output, err);
	ks_free(nodes);
	if (status)
		ks_run_output_release(output);
	return status;
}

const struct ks_world ks_world_sim = {
	.id = KS_WORLD_SIM,
	.name = "sim",
	.title = "simulated time, deterministic",
	.available = available,
	.carries = carries,
	.run = run,
	.runs_control = true,
};
