/* trace-collector: every key is the id of one new trace, whose spans are sent when the key returns (field report, F6).
 *
 * The collector puts spans under one id together for `window` of true time after the first: traces of different requests
 * become one, and nobody can take them apart again. */
#include "ks_consumer.h"

enum { MERGED_TRACES, SHARED_IDS, OTHER_PROCESS, TRACES_OF_ONE_ID_MAX };

struct cfg {
	int64_t window_ns;
};

static const struct ks_opt opts[] = {
	{"window", KS_OPT_DUR, offsetof(struct cfg, window_ns), 1, 3650 * KS_DAY, "1h", "how long spans of one id are put together",
	 NULL, 0},
	{0},
};
static const struct ks_damage damages[] = {
	{"merged_traces", "traces whose spans were put under an id in use"},
	{"shared_ids", "ids that more than one trace had"},
	{"merged_other_process", "of merged traces: the id was in use by another process or node"},
	{"traces_of_one_id_max", "the most traces under one id"},
	{0},
};

struct collector {
	const struct cfg *cfg;
	const struct ks_evidence *e;
	struct ks_toll *toll;
};

static bool same_process(const struct ks_lane *a, const struct ks_lane *b)
{
	return a->node == b->node && a->process == b->process && a->incarnation == b->incarnation;
}

static void one_id(void *context, const uint32_t *row, size_t n)
{
	const struct collector *c = context;
	uint32_t first = row[0];
	int64_t traces = 1;
	for (size_t i = 1; i < n; i++) {
		if (ks_row_return(c->e, row[i]) - ks_row_return(c->e, first) >= c->cfg->window_ns) {
			first = row[i];
			traces = 1;
			continue;
		}
		ks_harm(c->toll, MERGED_TRACES, row[i], first, 1);
		if (!same_process(ks_row_lane(c->e, row[i]), ks_row_lane(c->e, first)))
			ks_harm(c->toll, OTHER_PROCESS, row[i], first, 1);
		if (++traces == 2)
			ks_harm(c->toll, SHARED_IDS, row[i], first, 1);
		ks_harm(c->toll, TRACES_OF_ONE_ID_MAX, row[i], first, traces);
	}
}

static int consume(const void *cfg, const struct ks_evidence *e, struct ks_toll *toll, struct ks_err *err)
{
	struct collector c = {cfg, e, toll};
	return ks_by_key(e, NULL, one_id, &c, err);
}

extern const struct ks_consumer ks_consumer_trace_collector;
const struct ks_consumer ks_consumer_trace_collector = {
	.name = "trace-collector",
	.title = "spans collected by trace id: different traces that became one",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.damages = damages,
	.consume = consume,
};
