#include "capture.h"

#include <string.h>

#include "ks_result.h"

#define EVENTS_MAX 1000 /* in a result */
#define SAME_NS (50 * KS_MS)
#define MINUTE (60 * KS_SEC)

static const char *const layers[] = {[KS_JUMP_CALL] = "call", [KS_JUMP_KERNEL] = "kernel", [KS_JUMP_RUNTIME] = "runtime"};

static int64_t magnitude(int64_t v)
{
	return v < 0 ? -v : v;
}

const char *ks_capture_verdict(const struct ks_capture *wanted, const struct ks_jump *j)
{
	if (j->layer == KS_JUMP_RUNTIME)
		return "stretch"; /* else it would not have been told */
	return magnitude(j->delta_ns) > wanted->jump_ns ? "jump" : magnitude(j->delta_ns) > wanted->unusual_ns ? "unusual" : NULL;
}

bool ks_capture_same(const struct ks_jump *a, const struct ks_jump *b)
{
	bool moves = a->layer != KS_JUMP_RUNTIME && b->layer != KS_JUMP_RUNTIME;

	return moves && a->node == b->node && b->at_ns - a->at_ns < SAME_NS && magnitude(a->delta_ns - b->delta_ns) < KS_US;
}

static bool sets_clock(const struct ks_jump *j)
{
	return j->layer == KS_JUMP_CALL && (!strcmp(j->name, "clock_settime") || !strcmp(j->name, "settimeofday"));
}

/* move: events of the same number tell of one and the same. */
static json_t *event(const struct ks_plan *plan, const struct ks_jump *j, json_int_t move)
{
	const char *verdict = ks_capture_verdict(&plan->capture, j);
	json_t *row = json_pack("{so ss ss ss ss sI so}", "at_ns", ks_json_int(j->at_ns), "node", plan->node[j->node].name, "layer",
	                        layers[j->layer], "function", j->name, "command", j->command, "pid", (json_int_t)j->pid, "delta_ns",
	                        ks_json_int(j->delta_ns));
	if (j->layer == KS_JUMP_CALL)
		json_object_set_new(row, "returned", json_integer(j->ret));
	if (verdict) {
		json_object_set_new(row, "verdict", json_string(verdict));
		json_object_set_new(row, "move", json_integer(move));
	}
	return row;
}

/* The most calls within a minute, when they are as many as the threshold says. */
static void add_calls(const struct ks_plan *plan, const struct ks_run_output *o, json_t *list)
{
	size_t from = 0, n = 0, most = 0, begin = 0;

	for (size_t i = 0; i < o->njump; i++) {
		if (i && o->jump[i].node != o->jump[i - 1].node) {
			from = i;
			n = 0;
		}
		n += sets_clock(&o->jump[i]);
		for (; o->jump[i].at_ns - o->jump[from].at_ns >= MINUTE; from++)
			n -= sets_clock(&o->jump[from]);
		if (n > most) {
			most = n;
			begin = from;
		}
	}
	if (most >= (size_t)plan->capture.calls)
		json_array_append_new(list, json_pack("{ss so sI}", "node", plan->node[o->jump[begin].node].name, "at_ns",
		                                      ks_json_int(o->jump[begin].at_ns), "calls", (json_int_t)most));
}

static json_t *missing(const struct ks_plan *plan, const struct ks_run_output *o)
{
	json_t *list = json_array();

	(void)plan;
	for (size_t i = 0; i < o->nmissing; i++)
		json_array_append_new(list, json_string(o->missing[i]));
	return list;
}

json_t *ks_capture_json(const struct ks_plan *plan, const struct ks_run_output *o)
{
	json_int_t moves[3] = {0}; /* unusual, jumps, stretches */
	json_t *events = json_array(), *suspicious = json_array();

	if (!o->captured) {
		json_decref(events);
		json_decref(suspicious);
		return json_pack("{ss}", "untested", *o->no_capture ? o->no_capture : "only guests have a kernel that can be watched");
	}
	for (size_t i = 0; i < o->njump; i++) {
		const char *verdict = ks_capture_verdict(&plan->capture, &o->jump[i]);
		if (verdict && !(i && ks_capture_same(&o->jump[i - 1], &o->jump[i])))
			moves[*verdict == 'u' ? 0 : *verdict == 'j' ? 1 : 2]++;
		if (i < EVENTS_MAX)
			json_array_append_new(events, event(plan, &o->jump[i], moves[0] + moves[1] + moves[2]));
	}
	add_calls(plan, o, suspicious);
	return json_pack("{sI sI sI sI sI so so so}", "unusual", moves[0], "jumps", moves[1], "stretches", moves[2], "seen",
	                 (json_int_t)o->njump, "lost", (json_int_t)o->jumps_lost, "suspicious", suspicious, "missing", missing(plan, o),
	                 "events", events);
}
