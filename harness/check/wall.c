#include "wall.h"

#include <stdlib.h>

#include "groups.h"
#include "ks_mem.h"

/* ---- the clocks ---- */

static void add_stretch(struct ks_wall *w, uint32_t node, const struct ks_clocks *c, int64_t from_ns, int64_t to_ns)
{
	int64_t first_ns = w->plan->load.phase_ns; /* nobody calls before */
	from_ns = from_ns > first_ns ? from_ns : first_ns;
	if (from_ns < to_ns)
		w->v[w->n++] = (struct ks_stretch){c->seg[KS_REALTIME], node, from_ns, to_ns};
}

static void act(struct ks_clocks *c, const struct ks_fault_event *e)
{
	switch (e->op) {
	case KS_FAULT_STEP:
		ks_clocks_step(c, e->at_ns, e->amount);
		break;
	case KS_FAULT_DRIFT:
		ks_clocks_drift(c, e->at_ns, e->amount);
		break;
	default: /* no law: see clocks_known in theory.c */
		break;
	}
}

static void one_node(struct ks_wall *w, uint32_t node, const struct ks_fault_event *events, uint32_t n)
{
	const struct ks_plan *plan = w->plan;
	struct ks_clocks c;
	int64_t from_ns = 0, back_ns = 0;
	ks_clocks_init(&c, plan->start_unix_ns, plan->node[node].offset_ns, 0, 0);
	ks_clocks_drift(&c, 0, plan->node[node].drift_ppb);
	w->start[node] = w->n;
	for (uint32_t i = 0; i < n; i++) {
		if (events[i].node != node)
			continue;
		add_stretch(w, node, &c, from_ns, events[i].at_ns);
		from_ns = events[i].at_ns;
		act(&c, &events[i]);
		if (events[i].op == KS_FAULT_STEP && events[i].amount < 0)
			back_ns -= events[i].amount;
	}
	add_stretch(w, node, &c, from_ns, plan->duration_ns);
	w->back_ns = back_ns > w->back_ns ? back_ns : w->back_ns;
}

int ks_wall_init(struct ks_wall *w, const struct ks_plan *plan, struct ks_err *err)
{
	struct ks_fault_event *events = NULL;
	uint32_t n = 0;
	*w = (struct ks_wall){.plan = plan};
	if (ks_plan_events(plan, 0, &events, &n, err))
		return -1;
	w->v = ks_alloc((size_t)n + plan->nodes, sizeof *w->v);
	w->start = ks_alloc((size_t)plan->nodes + 1, sizeof *w->start);
	int failed = w->v && w->start ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory for %u faults", n);
	for (uint32_t i = 0; !failed && i < plan->nodes; i++)
		one_node(w, i, events, n);
	if (!failed)
		w->start[plan->nodes] = w->n;
	ks_free(events);
	return failed;
}

void ks_wall_release(struct ks_wall *w)
{
	ks_free(w->v);
	ks_free(w->start);
	*w = (struct ks_wall){0};
}

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
	uint64_t m = (uint64_t)(((unsigned __int128)t_ns * (uint64_t)load->rate.count + per - 1) / per),
		 b = burst(load);
	return (m + b - 1) / b * b;
}

int64_t ks_due(const struct ks_load *load, uint64_t m)
{
	m -= m % burst(load);
	return load->phase_ns +
	       (int64_t)((unsigned __int128)m * (uint64_t)load->rate.per_ns / (uint64_t)load->rate.count);
}

static int64_t tick_at(const struct ks_stretch *s, int64_t t_ns)
{
	int64_t v = ks_seg_at(&s->seg, t_ns), tick = v / KS_TICK_NS;
	return tick - (v % KS_TICK_NS < 0);
}

/* The calls of a stretch when calls read late_ns after they are due: m in [first, end). */
struct calls {
	uint64_t first, end;
};

static struct calls calls_of(const struct ks_wall *w, const struct ks_stretch *s, int64_t late_ns)
{
	const struct ks_load *load = &w->plan->load;
	bool last =
	    s->to_ns == w->plan->duration_ns; /* calls due before the end are made, even if they read after it */
	return (struct calls){ks_calls_before(load, s->from_ns - late_ns),
			      ks_calls_before(load, s->to_ns - (last ? 0 : late_ns))};
}

static bool is_free(const struct ks_stretch *s, int64_t due_ns, int64_t limit_ns)
{
	if (due_ns + limit_ns >= s->to_ns || due_ns < s->from_ns)
		return true;
	return tick_at(s, due_ns) != tick_at(s, due_ns + limit_ns);
}

/* ---- counting: runs of ticks ---- */

/* Does every tick between the first and the last call of the stretch have a call? */
static bool is_dense(const struct ks_wall *w, const struct ks_stretch *s)
{
	const struct ks_load *load = &w->plan->load;
	unsigned __int128 per = (unsigned __int128)(uint64_t)load->rate.per_ns * burst(load);
	uint64_t count = (uint64_t)load->rate.count;
	if (per / count > (uint64_t)KS_TICK_NS)
		return false;
	int64_t gap = (int64_t)((per + count - 1) / count);
	if (per % count == 0 && s->seg.rate_q64 == 0)
		return true;
	return gap + (int64_t)(((__int128)gap * s->seg.rate_q64) >> 64) + 2 <= KS_TICK_NS;
}

struct run {
	int64_t first, last; /* ticks */
};

static int run_cmp(const void *pa, const void *pb)
{
	const struct run *a = pa, *b = pb;
	return (a->first > b->first) - (a->first < b->first);
}

static int64_t length_of_union(struct run *run, size_t n)
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
	return length;
}

/* The run of a stretch. @return its calls. */
static int64_t make_run(const struct ks_wall *w, const struct ks_stretch *s, int64_t late_ns, int64_t limit_ns,
			struct run *run, bool *free)
{
	const struct ks_load *load = &w->plan->load;
	struct calls c = calls_of(w, s, late_ns);
	if (c.first >= c.end)
		return 0;
	int64_t first_ns = ks_due(load, c.first), last_ns = ks_due(load, c.end - 1);
	*run = (struct run){tick_at(s, first_ns + late_ns), tick_at(s, last_ns + late_ns)};
	*free = *free || is_free(s, first_ns, limit_ns) || is_free(s, last_ns, limit_ns);
	return (int64_t)(c.end - c.first);
}

static int count_runs(const struct ks_wall *w, enum ks_tick_keys keys, int64_t late_ns, int64_t limit_ns,
		      int64_t *duplicates, bool *free)
{
	struct run *run = ks_alloc(w->n, sizeof *run);
	size_t n = 0;
	if (!run)
		return -1;
	*duplicates = 0;
	for (size_t i = 0; i < w->n; i++) {
		const struct ks_stretch *s = &w->v[i];
		int64_t calls = make_run(w, s, late_ns, limit_ns, &run[n], free);
		*duplicates += calls;
		n += calls > 0;
		bool complete = i + 1 == w->n || (keys == KS_TICK_OF_NODE && w->v[i + 1].node != s->node);
		if (complete) {
			*duplicates -= length_of_union(run, n);
			n = 0;
		}
	}
	ks_free(run);
	return 0;
}

/* ---- counting: one by one ---- */

/* The last tick of a process and its keys in it. */
struct state {
	int64_t tick;
	uint64_t keys;
};

struct walk {
	enum ks_tick_keys kind;
	struct ks_key *key;
	size_t n;
	struct state *state; /* a process of the node each */
	uint64_t in_tick_max;
};

static void walk_call(struct walk *walk, const struct ks_plan *plan, uint32_t node, uint64_t m, int64_t tick)
{
	uint32_t process = (uint32_t)(m % ((uint64_t)plan->processes * plan->threads)) / plan->threads;
	struct state *s = &walk->state[process];
	s->keys = s->keys && s->tick == tick ? s->keys + 1 : 1;
	s->tick = tick;
	walk->in_tick_max = s->keys > walk->in_tick_max ? s->keys : walk->in_tick_max;
	struct ks_key key = {walk->kind == KS_TICK_OF_NODE ? node : 0, (uint64_t)tick};
	if (walk->kind == KS_TICK_COUNTED) {
		key.hi = (uint64_t)node * plan->processes + process;
		key.lo = (uint64_t)tick << 20 | (s->keys - 1); /* a walk has at most 2^20 calls */
	}
	walk->key[walk->n++] = key;
}

static void walk_all(struct walk *walk, const struct ks_wall *w, int64_t late_ns, int64_t limit_ns, bool *free)
{
	const struct ks_plan *plan = w->plan;
	for (size_t i = 0; i < w->n; i++) {
		const struct ks_stretch *s = &w->v[i];
		struct calls c = calls_of(w, s, late_ns);
		if (i == w->start[s->node])
			for (uint32_t p = 0; p < plan->processes; p++)
				walk->state[p] = (struct state){0, 0};
		for (uint64_t m = c.first; m < c.end; m++) {
			int64_t due_ns = ks_due(&plan->load, m);
			*free = *free || is_free(s, due_ns, limit_ns);
			walk_call(walk, plan, s->node, m, tick_at(s, due_ns + late_ns));
		}
	}
}

static int walk_count(const struct ks_wall *w, enum ks_tick_keys keys, int64_t late_ns, int64_t limit_ns,
		      int64_t *duplicates, bool *free, uint64_t *in_tick_max)
{
	uint64_t calls = ks_calls_before(&w->plan->load, w->plan->duration_ns);
	if (calls > KS_WALK_MAX / w->plan->nodes)
		return -1;
	calls *= w->plan->nodes;
	struct ks_key *spare = ks_alloc(calls, sizeof *spare);
	struct walk walk = {.kind = keys,
			    .key = ks_alloc(calls, sizeof *walk.key),
			    .state = ks_alloc(w->plan->processes, sizeof *walk.state)};
	int failed = spare && walk.key && walk.state ? 0 : -1;
	if (!failed) {
		walk_all(&walk, w, late_ns, limit_ns, free);
		ks_keys_sort(walk.key, spare, walk.n);
		*duplicates = 0;
		for (size_t i = 1; i < walk.n; i++)
			*duplicates += ks_key_equal(walk.key[i - 1], walk.key[i]);
		*in_tick_max = walk.in_tick_max > *in_tick_max ? walk.in_tick_max : *in_tick_max;
	}
	ks_free(spare);
	ks_free(walk.key);
	ks_free(walk.state);
	return failed;
}

int ks_count_duplicates(const struct ks_wall *w, enum ks_tick_keys keys, int64_t late_ns, int64_t limit_ns,
			int64_t *duplicates, bool *free, uint64_t *in_tick_max)
{
	bool dense = keys != KS_TICK_COUNTED;
	for (size_t i = 0; dense && i < w->n; i++)
		dense = is_dense(w, &w->v[i]);
	if (dense)
		return count_runs(w, keys, late_ns, limit_ns, duplicates, free);
	return walk_count(w, keys, late_ns, limit_ns, duplicates, free, in_tick_max);
}

/* ---- Poisson arrivals: a sweep over what the clocks show ---- */

/* Where the density of calls per shown ns changes. */
struct edge {
	int64_t at_ns; /* shown */
	double density;
	int up; /* +1: a stretch begins, -1: it ends */
};

static int edge_cmp(const void *pa, const void *pb)
{
	const struct edge *a = pa, *b = pb;
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns ? -1 : 1;
	return b->up - a->up;
}

struct sweep {
	struct ks_ticks *v;
	size_t n;
	int64_t tick; /* that is not complete yet */
	double mean;  /* of it, so far */
};

static void emit(struct sweep *s, double mean, double count)
{
	if (mean <= 0 || count <= 0)
		return;
	if (s->n && s->v[s->n - 1].mean == mean)
		s->v[s->n - 1].count += count;
	else
		s->v[s->n++] = (struct ks_ticks){mean, count};
}

static void put_part(struct sweep *s, int64_t tick, double mean)
{
	if (tick != s->tick) {
		emit(s, s->mean, 1);
		s->tick = tick;
		s->mean = 0;
	}
	s->mean += mean;
}

/* Calls of constant density between two edges: part of a tick, whole ones, part of one. */
static void put_stretch(struct sweep *s, int64_t from_ns, int64_t to_ns, double density)
{
	int64_t first = from_ns / KS_TICK_NS, last = to_ns / KS_TICK_NS;
	if (first == last) {
		put_part(s, first, density * (double)(to_ns - from_ns));
		return;
	}
	if (from_ns % KS_TICK_NS)
		put_part(s, first++, density * (double)(KS_TICK_NS - from_ns % KS_TICK_NS));
	if (first < last) {
		put_part(s, -1, 0);
		emit(s, density * (double)KS_TICK_NS, (double)(last - first));
	}
	if (to_ns % KS_TICK_NS)
		put_part(s, last, density * (double)(to_ns % KS_TICK_NS));
}

static void make_edges(const struct ks_wall *w, size_t first, size_t n, struct edge *edge)
{
	const struct ks_rate *rate = &w->plan->load.rate;
	for (size_t i = 0; i < n; i++) {
		const struct ks_stretch *s = &w->v[first + i];
		double density =
		    (double)rate->count / (double)rate->per_ns / (1 + (double)s->seg.rate_q64 / 18446744073709551616.0);
		edge[2 * i] = (struct edge){ks_seg_at(&s->seg, s->from_ns), density, 1};
		edge[2 * i + 1] = (struct edge){ks_seg_at(&s->seg, s->to_ns), density, -1};
	}
	qsort(edge, 2 * n, sizeof *edge, edge_cmp);
}

int ks_tick_loads(const struct ks_wall *w, size_t first, size_t end, struct ks_ticks **v, size_t *n)
{
	size_t edges = 2 * (end - first);
	struct edge *edge = ks_alloc(edges, sizeof *edge);
	struct sweep s = {.v = ks_alloc(3 * edges + 2, sizeof *s.v), .tick = -1}; /* at most three parts an edge */
	double density = 0;
	int active = 0;
	if (!edge || !s.v) {
		ks_free(edge);
		ks_free(s.v);
		return -1;
	}
	make_edges(w, first, end - first, edge);
	for (size_t i = 0; i < edges; i++) {
		if (active && edge[i - 1].at_ns < edge[i].at_ns)
			put_stretch(&s, edge[i - 1].at_ns, edge[i].at_ns, density);
		active += edge[i].up;
		density = active ? density + edge[i].up * edge[i].density : 0;
	}
	put_part(&s, -1, 0);
	ks_free(edge);
	*v = s.v;
	*n = s.n;
	return 0;
}
