/* The queue of a node: a heap of its threads by (wake_ns, state, lane number), a total order. Four children each: most nodes
 * have few threads, and whoever has called goes to the end. */
#include "engine_private.h"

#define CHILDREN 4

static inline bool before(const struct lane *a, const struct lane *b)
{
	if (a->wake_ns != b->wake_ns)
		return a->wake_ns < b->wake_ns;
	if (a->state != b->state)
		return a->state < b->state;
	return a->env.lane < b->env.lane;
}

static void put(struct node *n, uint32_t place, struct lane *l)
{
	n->queue[place] = l;
	l->queue_place = place + 1;
}

static void sift_up(struct node *n, uint32_t at, struct lane *l)
{
	while (at) {
		uint32_t up = (at - 1) / CHILDREN;
		if (!before(l, n->queue[up]))
			break;
		put(n, at, n->queue[up]);
		at = up;
	}
	put(n, at, l);
}

static inline void sift_down(struct node *n, uint32_t at, struct lane *l)
{
	for (;;) {
		uint32_t first = CHILDREN * at + 1;
		if (first >= n->queued)
			break;
		uint32_t end = first + CHILDREN < n->queued ? first + CHILDREN : n->queued, best = first;
		struct lane *least = n->queue[first];
		for (uint32_t child = first + 1; child < end; child++)
			if (before(n->queue[child], least))
				least = n->queue[best = child];
		if (!before(least, l))
			break;
		put(n, at, least);
		at = best;
	}
	put(n, at, l);
}

void ks_queue_push(struct lane *l, int64_t wake_ns)
{
	l->wake_ns = wake_ns;
	if (l->stops) {
		l->parked = true;
		return;
	}
	sift_up(l->node, l->node->queued++, l);
}

struct lane *ks_queue_swap(struct lane *l, int64_t wake_ns)
{
	struct node *n = l->node;
	struct lane *top = n->queued ? n->queue[0] : l;
	l->wake_ns = wake_ns;
	if (top == l || before(l, top))
		return l;
	top->queue_place = 0;
	sift_down(n, 0, l);
	return top;
}

void ks_queue_remove(struct lane *l)
{
	struct node *n = l->node;
	uint32_t at = l->queue_place - 1;
	struct lane *last = n->queue[--n->queued];
	l->queue_place = 0;
	if (last == l)
		return;
	if (at && before(last, n->queue[(at - 1) / CHILDREN]))
		sift_up(n, at, last);
	else
		sift_down(n, at, last);
}

void ks_queue_drop(struct lane *l)
{
	if (l->queue_place)
		ks_queue_remove(l);
	l->parked = false;
}

struct lane *ks_queue_pop(struct node *n)
{
	struct lane *top = n->queue[0];
	ks_queue_remove(top);
	return top;
}
