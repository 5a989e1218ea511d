#include "ticks.h"

#include <stdlib.h>

#include "groups.h"
#include "ks_mem.h"

/* ---- the calls ---- */

static uint64_t burst(const struct ks_load *load)
{
	return load->arrival == KS_ARRIVAL_BURST ? KS_BURST_CALLS : 1;
}

uint64_t ks_calls_before(const struct ks_load *load, int64_t t_ns)
{
	t_ns -= load->phase_ns;
	if (t_ns <= 0)
		return 0;
	unsigned __int128 per = (uint64_t)load->rate.per_ns;
	uint64_t m = (uint64_t)(((unsigned __int128)t_ns * (uint64_t)load->rate.count + per - 1) / per), b = burst(load);
	return (m + b - 1) / b * b;
}

int64_t ks_due(const struct ks_load *load, uint64_t m)
{
	m -= m % burst(load);
	return load->phase_ns +
	       (int64_t)((unsigned __int128)m * (uint64_t)load->rate.per_ns / (uint64_t)load->rate.count);
}

static int64_t floor_div(int64_t v, int64_t by)
{
	return v / by - (v % by < 0);
}

static int64_t tick_at(const struct ks_stretch *s, int64_t t_ns, int64_t tick_ns)
{
	return floor_div(ks_seg_at(&s->seg, t_ns), tick_ns);
}

/* The stretch in which a node's clock is read; after the last one's end, too. */
static const struct ks_stretch *stretch_at(const struct ks_wall *w, uint32_t node, int64_t t_ns)
{
	size_t low = w->start[node], high = w->start[node + 1];
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;
		if (w->v[mid].from_ns <= t_ns)
			low = mid;
		else
			high = mid;
	}
	return &w->v[low];
}

/* ---- regular: runs of ticks ---- */

/* The calls of a stretch when calls read late_ns after they are due: m in [first, end). */
struct calls {
	uint64_t first, end;
};

static bool is_last(const struct ks_wall *w, const struct ks_stretch *s)
{
	return s->to_ns == w->plan->duration_ns; /* calls due before the end are made, even if they read after it */
}

static struct calls calls_of(const struct ks_wall *w, const struct ks_stretch *s, int64_t late_ns)
{
	const struct ks_load *load = &w->plan->load;
	return (struct calls){ks_calls_before(load, s->from_ns - late_ns),
	                      ks_calls_before(load, s->to_ns - (is_last(w, s) ? 0 : late_ns))};
}

/* Would another lateness move a call that may begin at due to another tick or stretch? Where ticks are shorter than latenesses,
 * all calls have the same one, and it shifts all alike. */
static bool is_free(const struct ks_stretch *s, int64_t due_ns, int64_t tick_ns, int64_t limit_ns)
{
	if (due_ns + limit_ns >= s->to_ns || due_ns < s->from_ns)
		return true;
	return tick_ns > limit_ns && tick_at(s, due_ns, tick_ns) != tick_at(s, due_ns + limit_ns, tick_ns);
}

/* Does every tick between the first and the last call of the stretch have a call? */
static bool is_dense(const struct ks_wall *w, const struct ks_stretch *s, int64_t tick_ns)
{
	const struct ks_load *load = &w->plan->load;
	unsigned __int128 per = (unsigned __int128)(uint64_t)load->rate.per_ns * burst(load);
	uint64_t count = (uint64_t)load->rate.count;
	if (per / count > (uint64_t)tick_ns || s->seg.tick_ns)
		return false;
	int64_t gap = (int64_t)((per + count - 1) / count);
	if (per % count == 0 && s->seg.rate_q64 == 0)
		return true;
	return gap + (int64_t)(((__int128)gap * s->seg.rate_q64) >> 64) + 2 <= tick_ns;
}

struct run {
	int64_t first, last; /* ticks */
};

static int run_cmp(const void *pa, const void *pb)
{
	const struct run *a = pa, *b = pb;
	return (a->first > b->first) - (a->first < b->first);
}

static uint64_t length_of_union(struct run *run, size_t n)
{
	int64_t length = 0, end = INT64_MIN;
	qsort(run, n, sizeof *run, run_cmp);
	for (size_t i = 0; i < n; i++) {
		int64_t from = run[i].first > end ? run[i].first : end + 1;
		if (run[i].last >= from) {
			length += run[i].last - from + 1;
			end = run[i].last;
		}
	}
	return (uint64_t)length;
}

/* The run of a stretch. @return its calls. */
static uint64_t make_run(const struct ks_wall *w, const struct ks_stretch *s, int64_t tick_ns, int64_t late_ns, int64_t limit_ns,
                         struct run *run, bool *free)
{
	const struct ks_load *load = &w->plan->load;
	struct calls c = calls_of(w, s, late_ns);
	if (c.first >= c.end)
		return 0;
	int64_t first_ns = ks_due(load, c.first), last_ns = ks_due(load, c.end - 1);
	*run = (struct run){tick_at(s, first_ns + late_ns, tick_ns), tick_at(s, last_ns + late_ns, tick_ns)};
	*free = *free || is_free(s, first_ns, tick_ns, limit_ns) || is_free(s, last_ns, tick_ns, limit_ns);
	return c.end - c.first;
}

static int count_runs(const struct ks_wall *w, const struct ks_form *form, int64_t late_ns, int64_t limit_ns,
                      struct ks_repeats *repeats)
{
	struct run *run = ks_alloc(w->n, sizeof *run);
	size_t n = 0;
	if (!run)
		return -1;
	for (size_t i = 0; i < w->n; i++) {
		const struct ks_stretch *s = &w->v[i];
		uint64_t calls = make_run(w, s, form->tick_ns, late_ns, limit_ns, &run[n], &repeats->free);
		repeats->duplicates += calls;
		n += calls > 0;
		if (i + 1 == w->n || (form->who == KS_WHO_NODE && w->v[i + 1].node != s->node)) {
			repeats->duplicates -= length_of_union(run, n);
			n = 0;
		}
	}
	ks_free(run);
	return 0;
}

/* ---- regular: one by one ---- */

/* When a thread's call begins: not while it is busy, not while it is stopped. @return false: never. */
static bool begins(const struct ks_wall *w, uint32_t node, uint32_t lane, int64_t due_ns, int64_t *free_ns, int64_t limit_ns,
                   int64_t *begin_ns, bool *free)
{
	uint32_t process = lane / w->plan->threads, thread = lane % w->plan->threads;
	int64_t t = due_ns > *free_ns ? due_ns : *free_ns;
	if (t >= w->plan->duration_ns)
		return false;
	for (size_t i = 0; i < w->stops; i++) {
		const struct ks_stop *s = &w->stop[i];
		if (s->of.node != node || !ks_fault_names(&s->of, process, thread, w->plan->threads))
			continue;
		*free = *free || (t < s->from_ns && t + limit_ns >= s->from_ns);
		if (t >= s->from_ns && t < s->to_ns)
			t = s->to_ns;
	}
	*begin_ns = t;
	return t != INT64_MAX;
}

struct call {
	int64_t read_ns;
	uint32_t lane;
};

static int call_cmp(const void *pa, const void *pb)
{
	const struct call *a = pa, *b = pb;
	if (a->read_ns != b->read_ns)
		return a->read_ns < b->read_ns ? -1 : 1;
	return (a->lane > b->lane) - (a->lane < b->lane);
}

/* What a process remembers. */
struct state {
	int64_t tick;
	uint64_t in_tick, calls;
};

struct walk {
	const struct ks_wall *w;
	const struct ks_form *form;
	struct call *call; /* of a node */
	int64_t *free_ns;  /* a lane each */
	struct state *state; /* a process each */
	struct ks_key *key;
	size_t n;
	struct ks_repeats *repeats;
};

static size_t calls_of_node(struct walk *k, uint32_t node, int64_t late_ns, int64_t limit_ns)
{
	const struct ks_plan *plan = k->w->plan;
	uint64_t all = ks_calls_before(&plan->load, plan->duration_ns), lanes = (uint64_t)plan->processes * plan->threads;
	size_t n = 0;
	for (uint64_t l = 0; l < lanes; l++)
		k->free_ns[l] = 0;
	for (uint64_t m = 0; m < all; m++) {
		uint32_t lane = (uint32_t)(m % lanes);
		int64_t begin_ns, due_ns = ks_due(&plan->load, m);
		if (!begins(k->w, node, lane, due_ns, &k->free_ns[lane], limit_ns, &begin_ns, &k->repeats->free)) {
			k->free_ns[lane] = plan->duration_ns; /* it makes no more */
			continue;
		}
		const struct ks_stretch *s = stretch_at(k->w, node, begin_ns);
		int64_t to_ns = is_last(k->w, s) ? INT64_MAX : s->to_ns;
		struct ks_stretch open = *s;
		open.to_ns = to_ns;
		k->repeats->free = k->repeats->free || is_free(&open, begin_ns, k->form->tick_ns, limit_ns);
		k->call[n++] = (struct call){begin_ns + late_ns, lane};
		k->free_ns[lane] = begin_ns + late_ns;
	}
	if (k->w->stops || lanes > 1)
		qsort(k->call, n, sizeof *k->call, call_cmp);
	return n;
}

static uint64_t caller(const struct walk *k, uint32_t node, uint32_t process)
{
	switch (k->form->who) {
	case KS_WHO_NOBODY:
		break;
	case KS_WHO_NODE:
		return node;
	case KS_WHO_PROCESS:
		return (uint64_t)node * k->w->plan->processes + process;
	case KS_WHO_WORKER:
		return ks_plan_worker(k->w->plan, k->w->seed, node);
	}
	return 0;
}

static void put_key(struct walk *k, uint32_t node, const struct call *c)
{
	uint32_t process = c->lane / k->w->plan->threads;
	struct state *s = &k->state[process];
	int64_t tick = tick_at(stretch_at(k->w, node, c->read_ns), c->read_ns, k->form->tick_ns);
	uint64_t within = 0;
	if (k->form->within == KS_WITHIN_FROZEN && s->calls && tick < s->tick)
		tick = s->tick;
	if (k->form->within == KS_WITHIN_ZEROED && s->calls && tick < s->tick) {
		s->in_tick = 1;
		return;
	}
	s->in_tick = s->calls && s->tick == tick ? s->in_tick + 1 : 1;
	s->tick = tick;
	s->calls++;
	if (s->in_tick > k->repeats->in_tick_max)
		k->repeats->in_tick_max = s->in_tick;
	if (k->form->within != KS_WITHIN_NOTHING)
		within = k->form->within == KS_WITHIN_NTH ? s->calls : s->in_tick;
	if (k->form->turn)
		tick %= k->form->turn;
	/* a walk has at most 2^20 calls */
	k->key[k->n++] = (struct ks_key){caller(k, node, process) << 21 | within, (uint64_t)tick};
}

static int key_sizes(struct ks_key *key, size_t n, struct ks_repeats *repeats)
{
	struct ks_key *size = ks_alloc(n, sizeof *size), *spare = ks_alloc(n, sizeof *spare);
	size_t groups = 0;
	int failed = size && spare ? 0 : -1;
	if (!failed)
		ks_keys_sort(key, spare, n);
	for (size_t i = 0; !failed && i < n; i++) {
		if (!i || !ks_key_equal(key[i - 1], key[i]))
			size[groups++] = ks_key64(0);
		size[groups - 1].lo++;
	}
	if (!failed)
		ks_keys_sort(size, spare, groups);
	repeats->v = failed ? NULL : ks_alloc(groups, sizeof *repeats->v);
	for (size_t i = 0; repeats->v && i < groups; i++) {
		if (!i || size[i].lo != size[i - 1].lo)
			repeats->v[repeats->n++].keys = size[i].lo;
		repeats->v[repeats->n - 1].count++;
	}
	repeats->duplicates = n - groups;
	ks_free(size);
	ks_free(spare);
	return repeats->v || !groups ? failed : -1;
}

static int walk(const struct ks_wall *w, const struct ks_form *form, int64_t late_ns, int64_t limit_ns, struct ks_repeats *repeats)
{
	const struct ks_plan *plan = w->plan;
	uint64_t calls = ks_calls_before(&plan->load, plan->duration_ns);
	if (calls > KS_WALK_MAX / plan->nodes)
		return -1;
	struct walk k = {.w = w, .form = form, .repeats = repeats,
	                 .call = ks_alloc(calls, sizeof *k.call),
	                 .free_ns = ks_alloc((size_t)plan->processes * plan->threads, sizeof *k.free_ns),
	                 .state = ks_alloc(plan->processes, sizeof *k.state),
	                 .key = ks_alloc(calls * plan->nodes, sizeof *k.key)};
	int failed = k.call && k.free_ns && k.state && k.key ? 0 : -1;
	for (uint32_t node = 0; !failed && node < plan->nodes; node++) {
		if (w->start[node] == w->start[node + 1])
			continue;
		for (uint32_t p = 0; p < plan->processes; p++)
			k.state[p] = (struct state){0};
		size_t n = calls_of_node(&k, node, late_ns, limit_ns);
		for (size_t i = 0; i < n; i++)
			put_key(&k, node, &k.call[i]);
	}
	if (!failed)
		failed = key_sizes(k.key, k.n, repeats);
	ks_free(k.call);
	ks_free(k.free_ns);
	ks_free(k.state);
	ks_free(k.key);
	return failed;
}

int ks_count_repeats(const struct ks_wall *w, const struct ks_form *form, int64_t late_ns, int64_t limit_ns, bool sizes,
                     struct ks_repeats *repeats)
{
	bool dense = !sizes && !w->stops && !form->turn && form->within == KS_WITHIN_NOTHING && form->who <= KS_WHO_NODE;
	bool free = repeats->free;
	*repeats = (struct ks_repeats){.free = free};
	for (size_t i = 0; dense && i < w->n; i++)
		dense = is_dense(w, &w->v[i], form->tick_ns);
	return dense ? count_runs(w, form, late_ns, limit_ns, repeats) : walk(w, form, late_ns, limit_ns, repeats);
}

/* ---- Poisson: a sweep over what the clocks show ---- */

/* Calls of one node, evenly likely over what its clock shows in [from, to). */
struct piece {
	int64_t from_ns, to_ns; /* shown */
	double density;         /* calls a shown ns */
	uint32_t visit;         /* pieces of one number live a tick once, together */
};

struct pieces {
	const struct ks_wall *w;
	int64_t tick_ns, late_ns;
	struct piece *v;
	size_t n;
	uint32_t visit;
	bool touching;
};

static double rate_of(const struct ks_plan *plan)
{
	return (double)plan->load.rate.count / (double)plan->load.rate.per_ns;
}

/* How many of a node's threads a stop holds, as a share. */
static double share_of(const struct ks_plan *plan, const struct ks_stop *s)
{
	uint32_t lanes = plan->processes * plan->threads, held = 0;
	for (uint32_t i = 0; i < lanes; i++)
		held += ks_fault_names(&s->of, i / plan->threads, i % plan->threads, plan->threads);
	return (double)held / lanes;
}

static void put_piece(struct pieces *p, const struct ks_stretch *s, int64_t from_ns, int64_t to_ns, double share)
{
	if (from_ns >= to_ns || share <= 0)
		return;
	int64_t from = ks_seg_at(&s->seg, from_ns), to = ks_seg_at(&s->seg, to_ns);
	double mass = share * rate_of(p->w->plan) * (double)(to_ns - from_ns);
	to = to > from ? to : from + 1; /* it stands */
	p->v[p->n++] = (struct piece){from, to, mass / (double)(to - from), p->visit};
}

/* What queued up while threads stood, made at once when they run on. */
static void put_backlog(struct pieces *p, uint32_t node, const struct ks_stop *stop)
{
	int64_t from_ns = stop->from_ns > p->w->plan->load.phase_ns ? stop->from_ns : p->w->plan->load.phase_ns;
	if (stop->to_ns == INT64_MAX || stop->to_ns <= from_ns)
		return;
	double share = share_of(p->w->plan, stop), mass = share * rate_of(p->w->plan) * (double)(stop->to_ns - from_ns);
	double lanes = share * p->w->plan->processes * p->w->plan->threads;
	int64_t length_ns = 1 + (int64_t)(mass / lanes * (double)p->late_ns);
	int64_t from = ks_seg_at(&stretch_at(p->w, node, stop->to_ns)->seg, stop->to_ns);
	p->v[p->n++] = (struct piece){from, from + length_ns, mass / (double)length_ns, p->visit};
}

/* A stretch, cut where stops of its node begin and end; stops do not overlap. */
static void cut_stretch(struct pieces *p, const struct ks_stretch *s)
{
	int64_t at_ns = s->from_ns;
	for (size_t i = 0; i < p->w->stops; i++) {
		const struct ks_stop *stop = &p->w->stop[i];
		if (stop->of.node != s->node)
			continue;
		int64_t from_ns = stop->from_ns > at_ns ? stop->from_ns : at_ns, to_ns = stop->to_ns < s->to_ns ? stop->to_ns : s->to_ns;
		if (stop->to_ns >= s->from_ns && stop->to_ns < s->to_ns)
			put_backlog(p, s->node, stop);
		if (from_ns >= to_ns)
			continue;
		put_piece(p, s, at_ns, from_ns, 1);
		put_piece(p, s, from_ns, to_ns, 1 - share_of(p->w->plan, stop));
		at_ns = to_ns;
	}
	put_piece(p, s, at_ns, s->to_ns, 1);
}

#define APART 40.0 /* that many calls expected between two stretches: one at least with a probability of 1 - 4e-18 */

static void cut_node(struct pieces *p, uint32_t node)
{
	const struct ks_wall *w = p->w;
	for (size_t i = w->start[node]; i < w->start[node + 1]; i++) {
		const struct ks_stretch *s = &w->v[i];
		if (i > w->start[node]) {
			int64_t before = tick_at(&s[-1], s[-1].to_ns, p->tick_ns), now = tick_at(s, s->from_ns, p->tick_ns);
			double calls = (double)(before - now) * (double)p->tick_ns * rate_of(w->plan) / w->plan->processes;
			p->visit += before != now;
			p->touching = p->touching || (now < before && calls < APART);
		}
		cut_stretch(p, s);
	}
	p->visit++;
}

static bool stops_overlap(const struct ks_wall *w)
{
	for (size_t i = 0; i < w->stops; i++)
		for (size_t j = 0; j < i; j++)
			if (w->stop[i].of.node == w->stop[j].of.node && w->stop[i].from_ns < w->stop[j].to_ns &&
			    w->stop[j].from_ns < w->stop[i].to_ns)
				return true;
	return false;
}

/* Where a piece begins or ends. */
struct edge {
	int64_t at_ns;
	uint32_t piece;
	int up; /* +1: begins, -1: ends */
};

static int edge_cmp(const void *pa, const void *pb)
{
	const struct edge *a = pa, *b = pb;
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns ? -1 : 1;
	if (a->up != b->up)
		return b->up - a->up;
	return (a->piece > b->piece) - (a->piece < b->piece);
}

struct sweep {
	const struct piece *piece;
	int64_t tick_ns;
	uint32_t *active;
	size_t nactive;
	struct ks_tick_loads *loads;
	int64_t tick;             /* that is not complete yet */
	struct ks_tick_load load; /* of it, so far */
	uint32_t visit[2];        /* whose its first and second are */
};

static void emit(struct sweep *s, double count)
{
	struct ks_tick_load *v = s->loads->v;
	size_t n = s->loads->n;
	if (s->load.mean > 0 && count > 0) {
		s->load.count = 0;
		if (n && v[n - 1].mean == s->load.mean && v[n - 1].first == s->load.first && v[n - 1].crowded == s->load.crowded)
			n--;
		else
			v[n] = s->load;
		v[n].count += count;
		s->loads->n = n + 1;
	}
	s->load = (struct ks_tick_load){0};
}

/* Adds calls to the tick, by visits. */
static void put(struct sweep *s, const struct piece *p, double mean)
{
	s->load.mean += mean;
	if (s->load.first == 0 || s->visit[0] == p->visit) {
		s->load.first += mean;
		s->visit[0] = p->visit;
	} else if (s->load.second == 0 || s->visit[1] == p->visit) {
		s->load.second += mean;
		s->visit[1] = p->visit;
	} else {
		s->load.crowded = true;
	}
}

static void put_part(struct sweep *s, int64_t tick, int64_t length_ns)
{
	if (tick != s->tick)
		emit(s, 1);
	s->tick = tick;
	for (size_t i = 0; i < s->nactive; i++) {
		const struct piece *p = &s->piece[s->active[i]];
		put(s, p, p->density * (double)length_ns);
	}
}

/* Between two edges: part of a tick, whole ones, part of one. */
static void put_stretch(struct sweep *s, int64_t from_ns, int64_t to_ns)
{
	int64_t first = floor_div(from_ns, s->tick_ns), last = floor_div(to_ns, s->tick_ns);
	if (first == last) {
		put_part(s, first, to_ns - from_ns);
		return;
	}
	if (from_ns != first * s->tick_ns) {
		put_part(s, first, (first + 1) * s->tick_ns - from_ns);
		first++;
	}
	if (first < last) {
		put_part(s, first, s->tick_ns);
		emit(s, (double)(last - first));
	}
	if (to_ns != last * s->tick_ns)
		put_part(s, last, to_ns - last * s->tick_ns);
}

static void cross(struct sweep *s, const struct edge *e)
{
	if (e->up > 0) {
		s->active[s->nactive++] = e->piece;
		return;
	}
	for (size_t i = 0; i < s->nactive; i++)
		if (s->active[i] == e->piece) {
			s->active[i] = s->active[--s->nactive];
			return;
		}
}

static void sweep(struct sweep *s, struct edge *edge, size_t edges)
{
	qsort(edge, edges, sizeof *edge, edge_cmp);
	for (size_t i = 0; i < edges; i++) {
		if (s->nactive && edge[i - 1].at_ns < edge[i].at_ns)
			put_stretch(s, edge[i - 1].at_ns, edge[i].at_ns);
		cross(s, &edge[i]);
	}
	emit(s, 1);
}

/* Coarse clocks show ticks of their own. @return the coarser of both; 0: clocks differ, or their ticks do not fit. */
static int64_t coarse_tick(const struct ks_wall *w, int64_t tick_ns)
{
	int64_t own = w->n ? w->v[0].seg.tick_ns : 0;
	for (size_t i = 1; i < w->n; i++)
		if (w->v[i].seg.tick_ns != own)
			return 0;
	if (own <= tick_ns)
		return own && tick_ns % own ? 0 : tick_ns;
	return own % tick_ns ? 0 : own;
}

int ks_tick_loads(const struct ks_wall *w, const uint8_t *mask, int64_t tick_ns, int64_t late_ns, struct ks_tick_loads *loads)
{
	tick_ns = coarse_tick(w, tick_ns);
	struct pieces p = {.w = w, .tick_ns = tick_ns, .late_ns = late_ns};
	*loads = (struct ks_tick_loads){0};
	if (!tick_ns || stops_overlap(w))
		return -1;
	/* a stop cuts a stretch into three, and leaves a backlog */
	size_t most = w->n + 4 * w->stops + 1;
	p.v = ks_alloc(most, sizeof *p.v);
	for (uint32_t node = 0; p.v && node < w->plan->nodes; node++)
		if (mask[node])
			cut_node(&p, node);
	struct edge *edge = ks_alloc(2 * p.n + 1, sizeof *edge);
	struct sweep s = {.piece = p.v, .tick_ns = tick_ns, .active = ks_alloc(p.n + 1, sizeof *s.active), .loads = loads};
	loads->v = ks_alloc(6 * p.n + 2, sizeof *loads->v); /* at most three an edge */
	loads->touching = p.touching;
	int failed = p.v && edge && s.active && loads->v ? 0 : -1;
	for (size_t i = 0; !failed && i < p.n; i++) {
		edge[2 * i] = (struct edge){p.v[i].from_ns, (uint32_t)i, 1};
		edge[2 * i + 1] = (struct edge){p.v[i].to_ns, (uint32_t)i, -1};
	}
	if (!failed)
		sweep(&s, edge, 2 * p.n);
	ks_free(p.v);
	ks_free(edge);
	ks_free(s.active);
	if (failed) {
		ks_free(loads->v);
		loads->v = NULL;
	}
	return failed;
}
