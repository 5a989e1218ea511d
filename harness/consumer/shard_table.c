/* shard-table: a scheduler's table of tasks, sharded by the time at which they are due (field report, F4).
 *
 * Each call is one task, due `delay` after the call by the client's clock. Its key says the row: the shard (the span of time
 * that the key names), alone or with the task's own id. The row is written when the key returns:
 *
 *   upsert            replaces what is in the row. A row whose key is the shard alone holds one task; each further one of the
 *                     shard puts the one before out, with perfect clocks too.
 *   compare-and-set   writes only the version that the writer has read; a new task has read "no such row", so where there is
 *                     one the write fails aloud, and nothing is lost silently.
 *
 * At the end of a shard's span, in true time, the scheduler runs what its rows hold and forgets them. A task that is written
 * into a shard that was run already waits for ever: that takes a clock behind by more than the delay. A task is misrouted when its
 * shard is not the one in which it is due in true time. */
#include "ks_consumer.h"

enum { UPSERT, COMPARE_AND_SET };
enum { LOST_TASKS, REJECTED_TASKS, MISROUTED_TASKS, MISSED_TASKS };

struct cfg {
	int64_t write, delay_ns;
};

static const char *const writes[] = {"upsert", "compare-and-set", NULL};
static const struct ks_opt opts[] = {
	{"write", KS_OPT_WORD, offsetof(struct cfg, write), 0, 0, "upsert", "what a write does to a row that is there", writes, 0},
	{"delay", KS_OPT_DUR, offsetof(struct cfg, delay_ns), 0, 3650 * KS_DAY, "0s",
	 "by how much later than its call a task is due", NULL, 0},
	{0},
};
static const struct ks_damage damages[] = {
	{"lost_tasks", "tasks that another one replaced before they were run"},
	{"rejected_tasks", "tasks whose write failed: their row was taken"},
	{"misrouted_tasks", "tasks in another shard than the one in which they are due in true time"},
	{"missed_tasks", "tasks written into a shard that had been run already"},
	{0},
};

struct table {
	const struct cfg *cfg;
	const struct ks_evidence *e;
	struct ks_toll *toll;
};

/* The tasks of one row, in the order of their writes. */
static void one_row(void *context, const uint32_t *row, size_t n)
{
	const struct table *t = context;
	struct ks_record r = ks_record_get(t->e->records, row[0]);
	int64_t lo, hi;
	bool taken = false;
	uint32_t holder = row[0];
	if (!ks_embedded(t->e, &r, &lo, &hi)) {
		snprintf(t->toll->unknown, sizeof t->toll->unknown, "the keys name no span of time, so no shard");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		r = ks_record_get(t->e->records, row[i]);
		int64_t due_ns = r.call_ns + t->cfg->delay_ns;
		if (due_ns < lo || due_ns >= hi)
			ks_harm(t->toll, MISROUTED_TASKS, row[i], KS_NO_PARENT, 1);
		if (r.return_ns >= hi) {
			ks_harm(t->toll, MISSED_TASKS, row[i], KS_NO_PARENT, 1);
			continue;
		}
		if (taken)
			ks_harm(t->toll, t->cfg->write == UPSERT ? LOST_TASKS : REJECTED_TASKS, row[i], holder, 1);
		if (!taken || t->cfg->write == UPSERT)
			holder = row[i];
		taken = true;
	}
}

static int consume(const void *cfg, const struct ks_evidence *e, struct ks_toll *toll, struct ks_err *err)
{
	struct table t = {cfg, e, toll};
	for (size_t i = 0; i < e->records->n; i++)
		if (ks_record_get(e->records, i).flags & KS_CALL_UNKNOWN) {
			snprintf(toll->unknown, sizeof toll->unknown, "call times are unknown");
			return 0;
		}
	return ks_by_key(e, NULL, one_row, &t, err);
}

extern const struct ks_consumer ks_consumer_shard_table;
const struct ks_consumer ks_consumer_shard_table = {
	.name = "shard-table",
	.title = "tasks in rows by the shard of their time: lost, rejected, in the wrong shard",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.damages = damages,
	.consume = consume,
};
