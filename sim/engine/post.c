/* Messages: a thread sends the key that it was just given to the thread of the same number on another node. It arrives a
 * delay later, is merged by the generator, and is the parent of the next call there. A thread is busy with one thing at a
 * time: a message waits for the end of a call, and a call for the end of a merge. */
#include "engine_private.h"

#include "ks_mem.h"

/* By arrival, then by sender: a total order. */
static bool before(const struct message *a, const struct message *b)
{
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns;
	return a->lane != b->lane ? a->lane < b->lane : a->seq < b->seq;
}

static void insert(struct message **list, struct message *m)
{
	while (*list && before(*list, m))
		list = &(*list)->next;
	m->next = *list;
	*list = m;
}

/* @return whose turn it is to get one from l, or KS_ANY: nobody is there. */
static uint32_t receiver(struct lane *l)
{
	const struct ks_engine *g = l->env.engine;
	const struct ks_node_set *to = &g->sim->mail.to;
	for (uint32_t i = 0; i < to->n; i++) {
		uint32_t node = to->v[l->mail_turn];
		l->mail_turn = (l->mail_turn + 1) % to->n;
		if (node != l->node->index && g->nodes[node].born)
			return node;
	}
	return KS_ANY;
}

static void post(struct lane *l, uint32_t node, struct ks_key key)
{
	struct ks_engine *g = l->env.engine;
	const struct ks_network *net = &g->sim->network;
	struct message *m = ks_alloc(1, sizeof *m);
	if (!m)
		ks_engine_out_of_memory(g);
	uint32_t seq = l->seq - 1;
	uint64_t word = ks_rand_at(g->sim->seed, KS_STREAM_NETWORK, l->env.lane, seq);
	int64_t way = net->delay_ns + ks_rand_in(word, 0, net->jitter_ns);
	*m = (struct message){.at_ns = l->env.now_ns + (way ? way : 1), .key = key, .lane = l->env.lane, .seq = seq, .node = node, .slot = l->slot};
	insert(&g->post, m);
}

void ks_post_send(struct lane *l, struct ks_key key)
{
	uint32_t node = receiver(l);
	if (node != KS_ANY)
		post(l, node, key);
	while (l->mail_due_ns <= l->env.now_ns) /* what fell due while there was no key is in this one */
		l->mail_due_ns = ks_arrivals_next(&l->mail);
}

int64_t ks_post_first(const struct ks_engine *g)
{
	return g->post ? g->post->at_ns : INT64_MAX;
}

/* Nobody hears it at a process that is down, or that has no more calls to make. */
static void deliver(struct lane *l, struct message *m)
{
	if (!l->node->born || l->process->down || l->state == LANE_DONE) {
		ks_free(m);
		return;
	}
	insert(&l->inbox, m);
	if (l->state != LANE_IDLE || l->task == TASK_INIT)
		return;
	ks_queue_drop(l);
	ks_lane_go(l, l->env.now_ns);
}

void ks_post_deliver(struct ks_engine *g, int64_t until_ns)
{
	while (g->post && g->post->at_ns < until_ns) {
		struct message *m = g->post;
		g->post = m->next;
		deliver(g->nodes[m->node].lanes[m->slot], m);
	}
}

void ks_post_observe(struct lane *l)
{
	const struct ks_sim *sim = l->env.engine->sim;
	struct message *m = l->inbox;
	struct ks_key key = m->key;
	l->inbox = m->next;
	l->caused = true;
	l->cause = (struct ks_cause){m->lane, m->seq};
	ks_free(m);
	if (sim->gen->observe)
		sim->gen->observe(&l->env, sim->cfg, l->process->shared, l->local, key);
}

static void release(struct message **list)
{
	while (*list) {
		struct message *m = *list;
		*list = m->next;
		ks_free(m);
	}
}

void ks_post_forget(struct lane *l)
{
	l->caused = false;
	release(&l->inbox);
}

void ks_post_release(struct ks_engine *g)
{
	release(&g->post);
	for (uint32_t i = 0; g->lanes && i < g->nlanes; i++)
		release(&g->lanes[i].inbox);
}
