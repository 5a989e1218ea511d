/* lww-replica: a replica of shared state, in which the last writer wins by the timestamp in the key (field report, F3).
 *
 * Each call writes the state of its user, under the issued key as timestamp, when the key returns. The replica lives on node
 * `at` (counted from 1). It sees that node's own writes at once and the others' `delay` later.
 *
 * It takes a write whose key is larger than the key it holds for that user, and skips the others as old. A key that names a
 * time later than the replica's own wall clock shows, by more than `tolerates`, comes "from the future": that write is
 * taken all the same (`future: take`), skipped for good (`skip`), or laid aside until the clock has got there (`wait`). A key
 * that names no time, as those of logical clocks, is never from the future.
 *
 * A user's state is stale while what the replica holds is not the last of the writes that have reached it, in the order in
 * which they returned in true time. It stays stale until a later write is taken, so a user that is never written again stays
 * stale for ever: such an entry counts to the end of the run.
 *
 * The replica's clock is known from what the calls of its node read of it; between readings it is taken to keep true time. */
#include <stdlib.h>

#include "ks_consumer.h"
#include "ks_mem.h"

enum { TAKE, SKIP, WAIT };
enum { SKIPPED_FUTURE, SKIPPED_OLD, STALE_NS_MAX, STALE_AT_END, WAITED_NS_MAX };

struct cfg {
	int64_t at, delay_ns, future, tolerates_ns;
};

static const char *const futures[] = {"take", "skip", "wait", NULL};
static const struct ks_opt opts[] = {
	{"at", KS_OPT_INT, offsetof(struct cfg, at), 1, KS_NODES_MAX, "1", "the node of the replica, counted from 1", NULL, 0},
	{"delay", KS_OPT_DUR, offsetof(struct cfg, delay_ns), 0, KS_DAY, "1ms", "from a write on another node to the replica", NULL, 0},
	{"future", KS_OPT_WORD, offsetof(struct cfg, future), 0, 0, "skip", "what it does with a write from the future", futures, 0},
	{"tolerates", KS_OPT_DUR, offsetof(struct cfg, tolerates_ns), 0, 3650 * KS_DAY, "0s",
	 "by how much a key may be ahead of the replica's clock", NULL, 0},
	{0},
};
static const struct ks_damage damages[] = {
	{"skipped_future", "writes skipped because their key was ahead of the replica's clock"},
	{"skipped_old", "writes skipped although they were the latest: the replica held a larger key"},
	{"stale_ns_max", "the longest time for which a user's state was not the latest that had arrived"},
	{"stale_at_end", "users whose state was stale when the run ended"},
	{"waited_ns_max", "the longest that a write from the future was laid aside"},
	{0},
};

struct reading {
	int64_t at_ns, offset_ns; /* clock minus true time */
};
struct arrival {
	int64_t at_ns, user;
	uint32_t row;
	bool skipped; /* from the future */
};

struct replica {
	const struct cfg *cfg;
	const struct ks_evidence *e;
	struct ks_toll *toll;
	struct reading *clock; /* by time */
	size_t readings;
	struct arrival *arrival;
	size_t arrivals;
	int64_t end_ns;
};

/* ---- the replica's clock ---- */

static int by_reading(const void *pa, const void *pb)
{
	const struct reading *a = pa, *b = pb;
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns ? -1 : 1;
	return (a->offset_ns > b->offset_ns) - (a->offset_ns < b->offset_ns);
}

static void collect_readings(struct replica *p)
{
	for (size_t i = 0; i < p->e->records->n; i++) {
		struct ks_record r = ks_record_get(p->e->records, i);
		if (r.read_ns != KS_NO_TIME && r.clock == KS_REALTIME && ks_row_lane(p->e, i)->node == p->cfg->at - 1)
			p->clock[p->readings++] = (struct reading){r.read_at_ns, r.read_ns - r.read_at_ns};
	}
	if (p->readings)
		qsort(p->clock, p->readings, sizeof *p->clock, by_reading);
}

/* Its offset at a true time: that of the last reading by then, or of the first of all. */
static int64_t offset_at(const struct replica *p, int64_t at_ns)
{
	size_t low = 0, high = p->readings;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (p->clock[mid].at_ns <= at_ns)
			low = mid + 1;
		else
			high = mid;
	}
	return p->clock[low ? low - 1 : 0].offset_ns;
}

/* ---- what reaches the replica, and when ---- */

static bool meet_future(const struct replica *p, struct arrival *a)
{
	int64_t lo, hi;
	if (p->cfg->future == TAKE)
		return true;
	struct ks_record r = ks_record_get(p->e->records, a->row);
	if (!ks_embedded(p->e, &r, &lo, &hi))
		return true;
	if (!p->readings)
		return false;
	int64_t ahead_ns = lo - p->cfg->tolerates_ns - (a->at_ns + offset_at(p, a->at_ns));
	if (ahead_ns > 0 && p->cfg->future == SKIP) {
		a->skipped = true;
	} else if (ahead_ns > 0) {
		a->at_ns += ahead_ns;
		ks_harm(p->toll, WAITED_NS_MAX, a->row, KS_NO_PARENT, ahead_ns);
	}
	return true;
}

static int by_user(const void *pa, const void *pb)
{
	const struct arrival *a = pa, *b = pb;
	if (a->user != b->user)
		return a->user < b->user ? -1 : 1;
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

/* @return whether it is known when each write reaches it. */
static bool collect_arrivals(struct replica *p)
{
	for (size_t i = 0; i < p->e->records->n; i++) {
		struct ks_record r = ks_record_get(p->e->records, i);
		if (r.return_ns != KS_NO_TIME && r.return_ns > p->end_ns)
			p->end_ns = r.return_ns;
		if (r.outcome != KS_KEY)
			continue;
		bool own = ks_row_lane(p->e, i)->node == p->cfg->at - 1;
		struct arrival *a = &p->arrival[p->arrivals++];
		*a = (struct arrival){r.return_ns + (own ? 0 : p->cfg->delay_ns), ks_row_context(p->e, i).user, (uint32_t)i, false};
		if (!own && !meet_future(p, a))
			return false;
	}
	if (p->arrivals)
		qsort(p->arrival, p->arrivals, sizeof *p->arrival, by_user);
	return true;
}

/* ---- one user's state ---- */

struct state {
	bool any; /* has the replica any? */
	uint32_t held, latest;
	int64_t stale_since_ns;
	uint32_t stale_by; /* the write that it should hold */
};

static void see(struct replica *p, struct state *s, const struct arrival *a, bool first)
{
	bool was_stale = !first && (!s->any || s->held != s->latest);
	bool newest = first || a->row > s->latest;
	bool takes = !a->skipped && (!s->any || ks_key_less(ks_order(p->e, s->held), ks_order(p->e, a->row)));
	if (a->skipped)
		ks_harm(p->toll, SKIPPED_FUTURE, a->row, s->any ? s->held : KS_NO_PARENT, 1);
	else if (!takes && newest)
		ks_harm(p->toll, SKIPPED_OLD, a->row, s->held, 1);
	if (newest)
		s->latest = a->row;
	if (takes) {
		s->held = a->row;
		s->any = true;
	}
	bool stale = !s->any || s->held != s->latest;
	if (stale && !was_stale) {
		s->stale_since_ns = a->at_ns;
		s->stale_by = a->row;
	} else if (was_stale && !stale) {
		ks_harm(p->toll, STALE_NS_MAX, a->row, s->stale_by, a->at_ns - s->stale_since_ns);
	}
}

/* What is laid aside beyond the end of the run has not reached the replica. */
static void one_user(struct replica *p, const struct arrival *a, size_t n)
{
	struct state s = {0};
	size_t i;
	for (i = 0; i < n && a[i].at_ns <= p->end_ns; i++)
		see(p, &s, &a[i], i == 0);
	if (!i || (s.any && s.held == s.latest))
		return;
	ks_harm(p->toll, STALE_AT_END, s.latest, s.stale_by, 1);
	ks_harm(p->toll, STALE_NS_MAX, s.latest, s.stale_by, p->end_ns - s.stale_since_ns);
}

static void replicate(struct replica *p)
{
	collect_readings(p);
	if (!collect_arrivals(p)) {
		snprintf(p->toll->unknown, sizeof p->toll->unknown, "no call on node %lld read its wall clock",
			 (long long)p->cfg->at);
		return;
	}
	for (size_t i = 0, end; i < p->arrivals; i = end) {
		for (end = i + 1; end < p->arrivals && p->arrival[end].user == p->arrival[i].user;)
			end++;
		one_user(p, &p->arrival[i], end - i);
	}
}

static int consume(const void *cfg, const struct ks_evidence *e, struct ks_toll *toll, struct ks_err *err)
{
	struct replica p = {.cfg = cfg, .e = e, .toll = toll, .end_ns = e->plan->duration_ns};
	if (p.cfg->at > e->plan->nodes) {
		snprintf(toll->unknown, sizeof toll->unknown, "there is no node %lld for the replica", (long long)p.cfg->at);
		return 0;
	}
	p.clock = ks_alloc(e->records->n, sizeof *p.clock);
	p.arrival = ks_alloc(e->records->n, sizeof *p.arrival);
	int rc = p.clock && p.arrival ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory for %zu writes", e->records->n);
	if (!rc)
		replicate(&p);
	ks_free(p.clock);
	ks_free(p.arrival);
	return rc;
}

extern const struct ks_consumer ks_consumer_lww_replica;
const struct ks_consumer ks_consumer_lww_replica = {
	.name = "lww-replica",
	.title = "state replicated by timestamp keys, the last writer wins: what it skips, how long it is stale",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.damages = damages,
	.consume = consume,
};
