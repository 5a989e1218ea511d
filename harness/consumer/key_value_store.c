/* key-value-store: each key names an entry that its caller has just made up and takes for new (field report, F2).
 *
 * The caller writes the entry when the key returns, and the entry lives for `ttl` of true time. A write to an entry that
 * lives replaces what somebody else keeps there, without a word (`write: set`, as Redis does), or is rejected aloud and
 * changes nothing (`write: set-if-absent`, its SETNX). Whose entry was replaced is told apart: one's own, that of an earlier
 * life of the same process (before a restart or a rollback), another process's of the node, another node's. */
#include "ks_consumer.h"

enum { SET, SET_IF_ABSENT };
enum { OVERWRITTEN, OF_ITSELF, OF_EARLIER_LIFE, OF_OTHER_PROCESS, OF_OTHER_NODE, REJECTED };

struct cfg {
	int64_t ttl_ns, write;
};

static const char *const writes[] = {"set", "set-if-absent", NULL};
static const struct ks_opt opts[] = {
	{"ttl", KS_OPT_DUR, offsetof(struct cfg, ttl_ns), 1, 3650 * KS_DAY, "1h", "how long an entry lives", NULL, 0},
	{"write", KS_OPT_WORD, offsetof(struct cfg, write), 0, 0, "set", "what a write does to an entry that lives", writes, 0},
	{0},
};
static const struct ks_damage damages[] = {
	{"overwritten", "living entries that were replaced"},
	{"overwritten_own", "of them: by the process that had written them"},
	{"overwritten_earlier_life", "of them: by a later incarnation of that process"},
	{"overwritten_other_process", "of them: by another process of the node"},
	{"overwritten_other_node", "of them: by another node"},
	{"rejected", "writes that found their entry taken, and failed"},
	{0},
};

struct store {
	const struct cfg *cfg;
	const struct ks_evidence *e;
	struct ks_toll *toll;
};

static int relation(const struct ks_lane *by, const struct ks_lane *of)
{
	if (by->node != of->node)
		return OF_OTHER_NODE;
	if (by->process != of->process)
		return OF_OTHER_PROCESS;
	return by->incarnation == of->incarnation ? OF_ITSELF : OF_EARLIER_LIFE;
}

static void one_entry(void *context, const uint32_t *row, size_t n)
{
	const struct store *s = context;
	uint32_t holder = row[0];
	for (size_t i = 1; i < n; i++) {
		bool lives = ks_row_return(s->e, row[i]) - ks_row_return(s->e, holder) < s->cfg->ttl_ns;
		if (lives && s->cfg->write == SET_IF_ABSENT) {
			ks_harm(s->toll, REJECTED, row[i], holder, 1);
			continue;
		}
		if (lives) {
			ks_harm(s->toll, OVERWRITTEN, row[i], holder, 1);
			ks_harm(s->toll, relation(ks_row_lane(s->e, row[i]), ks_row_lane(s->e, holder)), row[i], holder, 1);
		}
		holder = row[i];
	}
}

static int consume(const void *cfg, const struct ks_evidence *e, struct ks_toll *toll, struct ks_err *err)
{
	struct store s = {cfg, e, toll};
	return ks_by_key(e, NULL, one_entry, &s, err);
}

extern const struct ks_consumer ks_consumer_key_value_store;
const struct ks_consumer ks_consumer_key_value_store = {
	.name = "key-value-store",
	.title = "temporary entries under keys taken for new: who overwrites whom",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.damages = damages,
	.consume = consume,
};
