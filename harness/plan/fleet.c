/* The fleet: nodes, their clocks, their ids. */
#include <string.h>

#include "fields.h"
#include "ks_mem.h"
#include "ks_rand.h"

#define CLOCK_ACCEPTS "exact|free|chrony|ntpd|timesyncd, or {ntpd: {step: 0s}}"

/* --- drift --- */

static int parse_drift(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, enum ks_discipline by, int64_t *ppb)
{
	if (ks_parse_number(r, n, f, ppb))
		return -1;
	if (*ppb && by == KS_CLOCKS_EXACT)
		return ks_bad(r, n, "drift '%s' of an exact clock, expected 'clock: free' in the fleet", n->text);
	return 0;
}

static int read_node_drift(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan_node *node = into;
	node->drift_drawn = false;
	return parse_drift(r, n, f, node->clock.by, &node->drift_ppb);
}

/* The fleet's drift is for the nodes that give none of their own. */
static int read_fleet_drift(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	int64_t ppb;
	if (parse_drift(r, n, f, plan->clock.by, &ppb))
		return -1;
	for (uint32_t i = 0; i < plan->nodes; i++)
		if (plan->node[i].drift_drawn && plan->node[i].clock.by != KS_CLOCKS_EXACT) {
			plan->node[i].drift_drawn = false;
			plan->node[i].drift_ppb = ppb;
		}
	return 0;
}

int64_t ks_plan_node_drift(const struct ks_plan *plan, uint64_t seed, uint32_t node)
{
	const struct ks_plan_node *n = &plan->node[node];
	if (!n->drift_drawn)
		return n->drift_ppb;
	return ks_rand_in(ks_rand_at(seed, KS_STREAM_CLOCK, node, 0), -KS_FREE_DRIFT_PPB, KS_FREE_DRIFT_PPB);
}

/* --- nodes --- */

static int read_node_clock(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	((struct ks_plan_node *)into)->own_clock = true;
	return ks_read_clock_use(r, n, f, into);
}

static const struct ks_field node_fields[] = {
	{.name = "name", .help = "its name", .read = ks_read_name, KS_AT(struct ks_plan_node, name)},
	{.name = "zone", .help = "the zone that it stands in", .read = ks_read_name, KS_AT(struct ks_plan_node, zone)},
	{.name = "offset", .help = "of its wall clock at the start; positive: reads later", .def = "0s",
	 .read = ks_read_number, KS_AT(struct ks_plan_node, offset_ns), .type = KS_OPT_DUR, .min = -KS_SPAN_MAX,
	 .max = KS_SPAN_MAX},
	{.name = "clock", .help = "who keeps its clocks; default: as the fleet's", .accepts = CLOCK_ACCEPTS,
	 .kinds = KS_TREE_TEXT | KS_TREE_MAP, .read = read_node_clock, KS_AT(struct ks_plan_node, clock)},
	{.name = "drift", .help = "of its oscillator; positive: runs faster", .read = read_node_drift,
	 .type = KS_OPT_PPB, .min = -KS_DRIFT_MAX_PPB, .max = KS_DRIFT_MAX_PPB},
	{0},
};

static int alloc_nodes(struct ks_reader *r, size_t n)
{
	r->plan->node = ks_alloc(n, sizeof *r->plan->node);
	if (!r->plan->node)
		return ks_no_memory(r);
	r->plan->nodes = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		snprintf(r->plan->node[i].name, KS_NAME_MAX, "n%zu", i + 1);
		r->plan->node[i].drift_drawn = true;
		r->plan->node[i].clock = r->plan->clock;
	}
	return 0;
}

int ks_plan_node_find(const struct ks_plan *plan, const char *name)
{
	for (uint32_t i = 0; i < plan->nodes; i++)
		if (!strcmp(plan->node[i].name, name))
			return (int)i;
	return -1;
}

static int read_node_list(struct ks_reader *r, const struct ks_tree *list)
{
	if (!list->n || list->n > KS_NODES_MAX)
		return ks_bad(r, list, "%zu nodes, expected 1..%d", list->n, KS_NODES_MAX);
	if (alloc_nodes(r, list->n))
		return -1;
	int i = 0;
	for (const struct ks_tree *c = list->first; c; c = c->next, i++) {
		struct ks_plan_node *node = &r->plan->node[i];
		if (!ks_want(r, c, KS_TREE_MAP, "a node", "a mapping such as {name: order-7, zone: b}") ||
		    ks_fields_read(r, c, node_fields, node))
			return -1;
		if (ks_plan_node_find(r->plan, node->name) != i)
			return ks_bad(r, c, "a second node '%s'", node->name);
	}
	return 0;
}

static int read_nodes(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	int64_t count;
	(void)into;
	if (n->kind == KS_TREE_LIST)
		return read_node_list(r, n);
	return ks_parse_number(r, n, f, &count) ? -1 : alloc_nodes(r, (size_t)count);
}

/* --- ids --- */

static const char *const node_ids[] = {"index", "fixed", "random", "mac", "pid", "lease", NULL};

const char *const ks_clocksource_names[] = {"auto", "tsc", "hpet", "acpi_pm", "jiffies", "kvm-clock", NULL}; /* enum ks_clocksource */

static const char *const hosts[] = {"machine", "container", NULL}; /* enum ks_host */

static const struct ks_field fixed_fields[] = {
	{.name = "fixed", .help = "the id of every node", .def = "1", .read = ks_read_number,
	 KS_AT(struct ks_plan, node_id_value), .max = (INT64_C(1) << 48) - 1},
	{0},
};

static int read_node_id(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	if (n->kind == KS_TREE_TEXT && ks_read_word(r, n, f, into))
		return -1;
	if (n->kind == KS_TREE_MAP)
		plan->node_id = KS_NODE_ID_FIXED;
	if (plan->node_id != KS_NODE_ID_FIXED)
		return 0;
	const struct ks_tree none = {.kind = KS_TREE_MAP};
	return ks_fields_read(r, n->kind == KS_TREE_MAP ? n : &none, fixed_fields, plan);
}

/* Of the node's first process. Who leases is known in the run alone: there every process gets another one. */
uint64_t ks_plan_worker(const struct ks_plan *plan, uint64_t seed, uint32_t node)
{
	uint64_t pid = ks_host_pid(plan->host, seed, (uint64_t)node * plan->processes, 0, 0);
	switch (plan->node_id) {
	case KS_NODE_ID_FIXED:
		return (uint64_t)plan->node_id_value;
	case KS_NODE_ID_RANDOM:
		return (uint64_t)ks_rand_in(ks_rand_at(seed, KS_STREAM_PROCESS, node, 0), 0, 1023);
	case KS_NODE_ID_PID:
		return pid & 1023;
	case KS_NODE_ID_MAC:
		return ks_worker_of_mac(ks_host_mac(plan->host, seed, node), pid);
	default:
		return node + 1;
	}
}

enum ks_worker_rule ks_plan_worker_rule(const struct ks_plan *plan)
{
	switch (plan->node_id) {
	case KS_NODE_ID_PID:
		return KS_WORKER_PID;
	case KS_NODE_ID_MAC:
		return KS_WORKER_MAC;
	case KS_NODE_ID_LEASE:
		return KS_WORKER_LEASE;
	default:
		return KS_WORKER_GIVEN;
	}
}

const char *ks_plan_sim_only(const struct ks_plan *plan)
{
	if (plan->mail.rate.count)
		return "only sim carries messages between nodes";
	return NULL;
}

/* --- network --- */

/* Part of a file's name, and of lines that users are told to type. */
static int read_kernel(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	bool version = n->text[0] >= '0' && n->text[0] <= '9' && !n->text[strspn(n->text, "0123456789.")];
	if (!version && strcmp(n->text, "any") != 0)
		return ks_bad(r, n, "bad kernel '%.40s', expected any, or a version such as 6.1", n->text);
	return ks_read_text(r, n, f, into);
}

static const struct ks_field network_fields[] = {
	{.name = "delay", .help = "of a message, and of the way to the registry", .def = "1ms", .read = ks_read_number,
	 KS_AT(struct ks_plan, network.delay_ns), .type = KS_OPT_DUR, .max = KS_HOUR},
	{.name = "jitter", .help = "by how much a message may take longer, drawn by seed", .def = "0s", .read = ks_read_number,
	 KS_AT(struct ks_plan, network.jitter_ns), .type = KS_OPT_DUR, .max = KS_HOUR},
	{0},
};

/* --- the fleet --- */

const struct ks_field ks_fleet_fields[] = {
	{.name = "processes", .help = "of a node", .def = "1", .read = ks_read_number, KS_AT(struct ks_plan, processes),
	 .min = 1, .max = KS_THREADS_MAX},
	{.name = "threads", .help = "of a process", .def = "1", .read = ks_read_number, KS_AT(struct ks_plan, threads),
	 .min = 1, .max = KS_THREADS_MAX},
	{.name = "clock", .help = "who keeps the clocks; exact: they are true; free: nobody, each drifts; or a daemon",
	 .def = "exact", .accepts = CLOCK_ACCEPTS, .kinds = KS_TREE_TEXT | KS_TREE_MAP, .read = ks_read_clock_use,
	 KS_AT(struct ks_plan, clock)},
	{.name = "nodes", .help = "how many (n1, n2, ..), or each by itself", .def = "1",
	 .accepts = "a whole number, 1..1024, or a list of mappings", .kinds = KS_TREE_TEXT | KS_TREE_LIST,
	 .read = read_nodes, .min = 1, .max = KS_NODES_MAX, .table = node_fields},
	{.name = "drift",
	 .help = "of the oscillators; positive: faster. Unless given it is drawn within +-20ppm, where clocks are not exact",
	 .read = read_fleet_drift, .type = KS_OPT_PPB, .min = -KS_DRIFT_MAX_PPB, .max = KS_DRIFT_MAX_PPB},
	{.name = "node_id",
	 .help = "what tells nodes apart: index: 1, 2, ..; random: 0..1023; {fixed: 7}: all the same; pid: its low 10 bits; mac: 10 bits "
	         "folded from MAC address and pid, as MyBatis-Plus does; lease: what the registry hands out to each process",
	 .def = "index", .accepts = "index|fixed|random|mac|pid|lease, or {fixed: NUMBER}", .kinds = KS_TREE_TEXT | KS_TREE_MAP,
	 .read = read_node_id, KS_AT(struct ks_plan, node_id), .words = node_ids},
	{.name = "host", .help = "machine: pids and MAC addresses are drawn; container: as Docker gives them, 02:42 and the IP address, pid 1",
	 .def = "machine", .read = ks_read_word, KS_AT(struct ks_plan, host), .words = hosts},
	{.name = "clocksource", .help = "the counter that kernels make their clocks of, where there are kernels (world qemu); auto: their own choice",
	 .def = "auto", .read = ks_read_word, KS_AT(struct ks_plan, clocksource), .words = ks_clocksource_names},
	{.name = "kernel", .help = "the kernel that it takes, where there are kernels (world qemu): any, or a version such as 6.1 or 6.12",
	 .def = "any", .accepts = "any, or a version", .read = read_kernel, KS_AT(struct ks_plan, kernel)},
	{.name = "network", .help = "between nodes", .def = "{}", .kinds = KS_TREE_MAP,
	 .read = ks_read_map, .table = network_fields},
	{0},
};

/* `fleet: 3` is `fleet: {nodes: 3}`. */
static int expand_short_form(struct ks_tree *root, struct ks_tree *fleet)
{
	struct ks_tree *map = ks_tree_map();
	if (!map)
		return -1;
	map->mark = fleet->mark;
	map->set = fleet->set;
	if (ks_tree_put_default(map, "nodes", fleet->text)) {
		ks_tree_free(map);
		return -1;
	}
	return ks_tree_put(root, "fleet", map);
}

int ks_fleet_normalise(struct ks_tree *root)
{
	struct ks_tree *fleet = ks_tree_get(root, "fleet");
	if (fleet && fleet->kind == KS_TREE_TEXT)
		return expand_short_form(root, fleet);
	struct ks_tree *nodes = ks_tree_get(fleet, "nodes");
	size_t i = 0;
	for (struct ks_tree *c = nodes && nodes->kind == KS_TREE_LIST ? nodes->first : NULL; c; c = c->next) {
		char name[KS_NAME_MAX];
		snprintf(name, sizeof name, "n%zu", ++i);
		if (c->kind == KS_TREE_MAP && !ks_tree_get(c, "name") && ks_tree_put_default(c, "name", name))
			return -1;
	}
	return 0;
}

int ks_read_fleet(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	if (ks_fields_read(r, n, f->table, plan))
		return -1;
	uint64_t threads = (uint64_t)plan->nodes * plan->processes * plan->threads;
	if (threads > KS_THREADS_MAX)
		return ks_bad(r, n, "a fleet of %llu threads, expected at most %d", (unsigned long long)threads,
		              KS_THREADS_MAX);
	for (uint32_t i = 0; i < plan->nodes; i++)
		plan->node[i].drift_drawn = plan->node[i].drift_drawn && plan->node[i].clock.by != KS_CLOCKS_EXACT;
	return 0;
}

/* ---- in words ---- */

static bool word_param(const struct ks_field *table, const char *above, const char *word, int *i, struct ks_param *param, char path[KS_NAME_MAX])
{
	for (const struct ks_field *f = table; f->name; f++) {
		if (word && strcmp(f->name, word))
			continue;
		if ((*i)--) {
			char inside[KS_NAME_MAX];
			snprintf(inside, sizeof inside, "%.20s.%.20s", above, f->name);
			if (f->table && word_param(f->table, inside, NULL, i, param, path))
				return true;
			continue;
		}
		snprintf(path, KS_NAME_MAX, "%.42s.%.20s", above, f->name);
		*param = (struct ks_param){.name = f->name, .def = f->def, .help = f->help};
		param->accepts = ks_field_accepts(f, param->buf, sizeof param->buf);
		return true;
	}
	return false;
}

bool ks_fleet_param(const char *word, int i, struct ks_param *param, char path[KS_NAME_MAX])
{
	return word_param(ks_fleet_fields, "fleet", word, &i, param, path) || word_param(node_fields, "fleet.nodes", word, &i, param, path);
}
