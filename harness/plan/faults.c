/* Faults: their kinds and their reading. */
#include <string.h>

#include "fields.h"
#include "ks_mem.h"

static const char *const suspends[] = {"s3", "vm-stop", "host-stop", NULL}; /* enum ks_suspend */
static const char *const seconds[] = {"insert", "delete", NULL};
static const char *const smears[] = {"linear", "cosine", NULL}; /* enum ks_smear */
static const char *const clocks[] = {"realtime", "monotonic", "raw", "boottime", "tai", NULL}; /* enum ks_clock_id */

static const char *const restarts[] = {"process", "node", NULL};
static const char *const states[] = {"lost", "kept", NULL};
static const char *const truths[] = {"false", "true", NULL};
static const char *const snapshot_clocks[] = {"saved", "running", NULL};
static const char *const registries[] = {"down", NULL};

#define KEYS_PLACE (KS_KEY_CALL | KS_KEY_WHERE | KS_KEY_TIMES)
#define RESTART_NS KS_SEC /* how long a restart takes unless it says so */
#define ALL_CLOCKS "realtime monotonic raw boottime tai"
#define STROBE_MAX (3600 * KS_SEC)
#define STEP_ACCEPTS "a duration, -36500d..36500d, or to-true"

/* One kind after the other. Those of the design that are not carried yet are here to be refused by name. */
const struct ks_fault_kind ks_fault_kinds[] = {
	{"step", "moves the wall clock at once; positive: later", KS_FAULT_STEP, KS_OPT_DUR, -KS_SPAN_MAX,
	 KS_SPAN_MAX, "realtime tai", 0, 0, NULL, false},
	{"drift", "sets the error of the oscillator from then on; positive: faster", KS_FAULT_DRIFT, KS_OPT_PPB,
	 -KS_DRIFT_MAX_PPB, KS_DRIFT_MAX_PPB, ALL_CLOCKS, 0, 0, NULL, false},
	{"slew", "bends the rate of the disciplined clocks for a while; positive: faster", KS_FAULT_SLEW, KS_OPT_PPB,
	 -KS_DRIFT_MAX_PPB, KS_DRIFT_MAX_PPB, "realtime monotonic boottime tai", KS_KEY_FOR, KS_KEY_FOR, NULL, false},
	{"strobe", "moves the wall clock forth and back, once a period", KS_FAULT_STROBE, KS_OPT_DUR, -STROBE_MAX,
	 STROBE_MAX, "realtime tai", KS_KEY_FOR | KS_KEY_PERIOD, KS_KEY_FOR, NULL, false},
	{"jitter", "moves the wall clock to a new place within +-, drawn by seed, once a period", KS_FAULT_JITTER,
	 KS_OPT_DUR, 1, STROBE_MAX, "realtime tai", KS_KEY_FOR | KS_KEY_PERIOD, KS_KEY_FOR, NULL, false},
	{"freeze", "holds clocks, which run on late", KS_FAULT_FREEZE, KS_OPT_WORD, 0, 0, "those that it names", KS_KEY_FOR,
	 KS_KEY_FOR, clocks, true},
	{"suspend", "stops the machine for a while", KS_FAULT_SUSPEND, KS_OPT_WORD, 0, 0,
	 "s3: monotonic raw stand; vm-stop: all stand; host-stop: all jump", KS_KEY_FOR | KS_KEY_WAKE_ERROR, KS_KEY_FOR,
	 suspends, false},
	{"pause", "stops a thread, or those on one core of a machine, for a while", KS_FAULT_PAUSE, KS_OPT_DUR, 1, KS_SPAN_MAX, "none",
	 KS_KEY_PROCESS | KS_KEY_THREAD | KS_KEY_CORE | KS_KEY_CORES | KEYS_PLACE, 0, NULL, false},
	{"stop-world", "stops all threads of a process for a while", KS_FAULT_STOP_WORLD, KS_OPT_DUR, 1, KS_SPAN_MAX,
	 "none", KS_KEY_PROCESS | KS_KEY_THREAD | KEYS_PLACE, 0, NULL, false},
	{"leap", "announces a leap second: UTC has it at the next midnight, a node at the first tick after its own",
	 KS_FAULT_ARM_LEAP, KS_OPT_WORD, 0, 0, "realtime", KS_KEY_HZ, 0, seconds, false},
	{"smear", "spreads a leap second over a while, instead of a jump", KS_FAULT_SMEAR, KS_OPT_WORD, 0, 0,
	 "realtime monotonic boottime tai", KS_KEY_FOR | KS_KEY_SECOND, KS_KEY_FOR, smears, false},
	{"coarse", "clocks show multiples of a tick of their own value, for a while or for good", KS_FAULT_COARSE,
	 KS_OPT_DUR, 2, KS_HOUR, ALL_CLOCKS, KS_KEY_FOR, 0, NULL, false},
	{"rtc-reset", "sets the battery-backed clock, which boots read, and resumes from s3", KS_FAULT_RTC, KS_OPT_UTC, 0, 0,
	 "none at once; realtime tai at the next boot; realtime boottime tai when it is set during s3", 0, 0, NULL, false},
	{"cpu-skew", "the last core's clocks read later by so much, those between in proportion", KS_FAULT_CORES,
	 KS_OPT_DUR, -KS_HOUR, KS_HOUR, ALL_CLOCKS ", by core", KS_KEY_FOR | KS_KEY_CORES | KS_KEY_HOP, 0, NULL, false},
	{"restart", "ends a process, or the node with all of them, and begins it anew", KS_FAULT_RESTART, KS_OPT_WORD, 0, 0,
	 "process: none; node: realtime tai from the RTC, the others from 0", KS_KEY_FOR | KS_KEY_STATE | KS_KEY_PROCESS, 0,
	 restarts, false},
	{"snapshot", "keeps memory, disk and clocks of a node, when none of its threads is inside a call", KS_FAULT_SNAPSHOT,
	 KS_OPT_WORD, 0, 0, "none", 0, 0, NULL, false},
	{"clone", "begins a new node from a snapshot", KS_FAULT_CLONE, KS_OPT_WORD, 0, 0,
	 "all of the new node: they go on from the snapshot", KS_KEY_AS | KS_KEY_VMGENID, KS_KEY_AS, NULL, false},
	{"rollback", "puts a node back to a snapshot; calls inside are lost", KS_FAULT_ROLLBACK, KS_OPT_WORD, 0, 0,
	 ALL_CLOCKS ": they go on from the snapshot", KS_KEY_VMGENID | KS_KEY_CLOCKS, 0, NULL, false},
	{"registry", "the registry that leases worker ids answers nothing for a while", KS_FAULT_CUT_OFF, KS_OPT_WORD, 0, 0,
	 "none", KS_KEY_FOR, KS_KEY_FOR, registries, false},
	{"source", "moves the time source of who keeps the clock; positive: it reads later", KS_FAULT_SOURCE, KS_OPT_DUR,
	 -36500 * KS_DAY, 36500 * KS_DAY, "none at once; then as who keeps them steps or slews", 0, 0, NULL, false},
	{0},
};
#define KINDS_MAX 32

const struct ks_fault_kind *ks_fault_kind_find(const char *name)
{
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

/* --- one fault --- */

/* A fault while it is read. */
struct draft {
	struct ks_fault fault;
	bool hit[KS_NODES_MAX];
	bool by_node;
};

static int read_at(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct draft *d = into;
	const char *why = NULL;
	if (!strchr(n->text, 'T'))
		return ks_read_number(r, n, f, into);
	int64_t unix_ns;
	if (ks_utc_parse(n->text, &unix_ns, &why))
		return ks_bad(r, n, "bad %s '%s', expected %s", f->name, n->text, why);
	d->fault.at_ns = unix_ns - r->plan->start_unix_ns;
	if (d->fault.at_ns < 0)
		return ks_bad(r, n, "'%s' lies before the start", n->text);
	return 0;
}

int ks_unknown_node(struct ks_reader *r, const struct ks_tree *n)
{
	const char **names = ks_alloc(r->plan->nodes, sizeof *names);
	if (!names)
		return ks_no_memory(r);
	for (uint32_t i = 0; i < r->plan->nodes; i++)
		names[i] = r->plan->node[i].name;
	ks_unknown(r, n, false, "node", names, r->plan->nodes);
	ks_free(names);
	return -1;
}

static int hit_node(struct ks_reader *r, const struct ks_tree *n, struct draft *d)
{
	if (!ks_want(r, n, KS_TREE_TEXT, "node", "a name"))
		return -1;
	int i = ks_plan_node_find(r->plan, n->text);
	if (i < 0)
		return ks_unknown_node(r, n);
	if (d->hit[i])
		return ks_bad(r, n, "node '%s' is given twice", n->text);
	d->hit[i] = true;
	return 0;
}

static int read_node(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct draft *d = into;
	d->by_node = true;
	if (n->kind == KS_TREE_TEXT)
		return hit_node(r, n, d);
	if (!n->n)
		return ks_bad(r, n, "'%s' is an empty list, expected at least one name", f->name);
	for (const struct ks_tree *c = n->first; c; c = c->next)
		if (hit_node(r, c, d))
			return -1;
	return 0;
}

static int unknown_zone(struct ks_reader *r, const struct ks_tree *n)
{
	const char *names[64];
	size_t count = 0;
	for (uint32_t i = 0; i < r->plan->nodes && count < 64; i++) {
		bool seen = !*r->plan->node[i].zone;
		for (size_t j = 0; j < count; j++)
			seen = seen || !strcmp(names[j], r->plan->node[i].zone);
		if (!seen)
			names[count++] = r->plan->node[i].zone;
	}
	if (!count)
		return ks_bad(r, n, "unknown zone '%s', no node names a zone", n->text);
	return ks_unknown(r, n, false, "zone", names, count);
}

static int read_zone(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct draft *d = into;
	bool any = false;
	if (d->by_node)
		return ks_bad_key(r, n, "'zone' beside 'node', expected one of them");
	if (ks_read_name(r, n, f, into))
		return -1;
	for (uint32_t i = 0; i < r->plan->nodes; i++)
		if (!strcmp(r->plan->node[i].zone, n->text))
			any = d->hit[i] = true;
	return any ? 0 : unknown_zone(r, n);
}

static const struct ks_field fault_fields[] = {
	{.name = "name", .help = "its name; default KIND-N, N its number in the file", .read = ks_read_name,
	 KS_AT(struct draft, fault.name)},
	{.name = "at", .help = "when, since the start, or as UTC time", .def = "0s",
	 .accepts = "a duration since the start, or a UTC time", .read = read_at, KS_AT(struct draft, fault.at_ns),
	 .type = KS_OPT_DUR, .max = KS_SPAN_MAX},
	{.name = "node", .help = "whom it hits; default: all nodes", .accepts = "a name or a list of names",
	 .kinds = KS_TREE_TEXT | KS_TREE_LIST, .read = read_node},
	{.name = "zone", .help = "whom it hits: the nodes of a zone", .read = read_zone,
	 KS_AT(struct draft, fault.zone)},
	{.name = "for", .help = "how long it lasts", .read = ks_read_number, KS_AT(struct draft, fault.for_ns),
	 .type = KS_OPT_DUR, .min = 1, .max = KS_SPAN_MAX},
	{.name = "period", .help = "between two moves of strobe and jitter", .def = "10ms", .read = ks_read_number,
	 KS_AT(struct draft, fault.period_ns), .type = KS_OPT_DUR, .min = KS_US, .max = STROBE_MAX},
	{.name = "process", .help = "which process of the node; default: all", .read = ks_read_number,
	 KS_AT(struct draft, fault.process), .type = KS_OPT_INT, .min = 0, .max = KS_THREADS_MAX},
	{.name = "thread", .help = "which thread of the process; of a placed stop-world: whose call it falls into, 0 unless given", .read = ks_read_number,
	 KS_AT(struct draft, fault.thread), .type = KS_OPT_INT, .min = 0, .max = KS_THREADS_MAX},
	{.name = "wake_error", .help = "of s3: by how much the wall clock is off after it; positive: later", .def = "0s",
	 .read = ks_read_number, KS_AT(struct draft, fault.wake_error_ns), .type = KS_OPT_DUR, .min = -STROBE_MAX,
	 .max = STROBE_MAX},
	{.name = "state", .help = "lost: it is killed, calls inside are lost; kept: it hands over what is in memory once they have returned. "
	                          "What it persists stays in both",
	 .def = "lost", .read = ks_read_word, KS_AT(struct draft, fault.kept), .words = states},
	{.name = "call", .help = "places the stop inside a call: which of the thread's, from 0, of those that begin at `at` or later",
	 .read = ks_read_number, KS_AT(struct draft, fault.place.call), .type = KS_OPT_INT, .max = 1000000000},
	{.name = "where", .help = "at which of the call's environment calls (clock wait random lock unlock load store cas add identity persist "
	                          "registry, or call: any of them); any: drawn by seed, among those that the call before had; every: before "
	                          "the first of one call, the second of the next, .., after the last",
	 .accepts = "such as 'before clock', 'after store 2', any, or every", .read = ks_read_place, KS_AT(struct draft, fault.place)},
	{.name = "times", .help = "how many calls it stops, one after another", .def = "1", .read = ks_read_number,
	 KS_AT(struct draft, fault.place.times), .type = KS_OPT_INT, .min = 1, .max = 1000000},
	{.name = "hz", .help = "ticks of the kernel's timer a second", .def = "250", .read = ks_read_number,
	 KS_AT(struct draft, fault.hz), .type = KS_OPT_INT, .min = 1, .max = 10000},
	{.name = "second", .help = "what is smeared", .def = "insert", .read = ks_read_word,
	 KS_AT(struct draft, fault.second), .words = seconds},
	{.name = "cores", .help = "of a machine; thread k of a node begins on core k modulo cores", .def = "2",
	 .read = ks_read_number, KS_AT(struct draft, fault.cores), .type = KS_OPT_INT, .min = 2, .max = KS_CORES_MAX},
	{.name = "core", .help = "of pause, in place of a thread: all threads on this core stop wherever they are, as when the host of a virtual "
	                         "machine gives its time to another; from 0",
	 .read = ks_read_number, KS_AT(struct draft, fault.core), .type = KS_OPT_INT, .max = KS_CORES_MAX - 1},
	{.name = "hop", .help = "after so long every thread goes to the next core; default: it stays on its own",
	 .read = ks_read_number, KS_AT(struct draft, fault.hop_ns), .type = KS_OPT_DUR, .min = KS_US, .max = KS_SPAN_MAX},
	{.name = "as", .help = "the name of the new node", .read = ks_read_name, KS_AT(struct draft, fault.as)},
	{.name = "vmgenid", .help = "does the machine learn that it is another one, and reseed its random source", .def = "true",
	 .read = ks_read_word, KS_AT(struct draft, fault.vmgenid), .words = truths},
	{.name = "clocks", .help = "saved: they go back too; running: memory goes back, clocks do not (QEMU's loadvm with tsc)",
	 .def = "saved", .read = ks_read_word, KS_AT(struct draft, fault.clocks_run), .words = snapshot_clocks},
	{0},
};
#define NFIELDS (sizeof fault_fields / sizeof *fault_fields - 1)

static int unknown_key(struct ks_reader *r, const struct ks_tree *at)
{
	const char *names[NFIELDS + KINDS_MAX];
	size_t n = 0;
	for (const struct ks_field *f = fault_fields; f->name; f++)
		if (f->read != ks_read_not_carried)
			names[n++] = f->name;
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++)
		names[n++] = k->name;
	return ks_unknown(r, at, true, "key", names, n);
}

static bool is_field(const char *name)
{
	for (const struct ks_field *f = fault_fields; f->name; f++)
		if (!strcmp(f->name, name))
			return true;
	return false;
}

/* The kind is the one key of the mapping that names a kind. */
static const struct ks_fault_kind *find_kind(struct ks_reader *r, const struct ks_tree *item)
{
	const struct ks_fault_kind *kind = NULL;
	for (const struct ks_tree *c = item->first; c; c = c->next) {
		const struct ks_fault_kind *k = ks_fault_kind_find(c->key);
		if (!k && !is_field(c->key)) {
			unknown_key(r, c);
			return NULL;
		}
		if (k && kind) {
			ks_bad_key(r, c, "a second kind '%s' beside '%s', expected one a fault", k->name, kind->name);
			return NULL;
		}
		if (k && k->op < 0) {
			ks_bad_key(r, c, "fault '%s' is not carried yet", k->name);
			return NULL;
		}
		kind = k ? k : kind;
	}
	if (!kind)
		ks_bad(r, item, "a fault without a kind, expected one such as 'step: -120ms' or 'drift: 50ppm'");
	return kind;
}

static int read_clock(struct ks_reader *r, const struct ks_tree *n, int64_t *mask)
{
	const struct ks_field f = {.name = "clock", .words = clocks, .size = sizeof(unsigned)};
	unsigned id;
	if (!ks_want(r, n, KS_TREE_TEXT, "clock", "a name") || ks_read_word(r, n, &f, &id))
		return -1;
	if (*mask >> id & 1)
		return ks_bad(r, n, "clock '%s' is given twice", n->text);
	*mask |= INT64_C(1) << id;
	return 0;
}

/* The main value: a number, a word, or words. `step: to-true` is a word in place of a number. */
static int read_amount(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct draft *d = into;
	const struct ks_fault_kind *kind = d->fault.kind;
	unsigned word;
	if (kind->list && n->kind == KS_TREE_TEXT)
		return read_clock(r, n, &d->fault.amount);
	if (kind->list && !n->n)
		return ks_bad(r, n, "'%s' is an empty list, expected at least one clock", f->name);
	for (const struct ks_tree *c = kind->list ? n->first : NULL; c; c = c->next)
		if (read_clock(r, c, &d->fault.amount))
			return -1;
	if (kind->list)
		return 0;
	if (ks_fault_has_label(kind))
		return ks_parse_name(r, n, f->name, d->fault.label, sizeof d->fault.label);
	if (kind->words) {
		const struct ks_field w = {.name = f->name, .words = kind->words, .size = sizeof word};
		if (ks_read_word(r, n, &w, &word))
			return -1;
		d->fault.amount = word;
		return 0;
	}
	d->fault.to_true = kind->op == KS_FAULT_STEP && !strcmp(n->text, "to-true");
	if (d->fault.to_true)
		return 0;
	if (kind->op == KS_FAULT_STEP && ((*n->text | 32) >= 'a' && (*n->text | 32) <= 'z'))
		return ks_bad(r, n, "unknown step '%s', expected %s", n->text, STEP_ACCEPTS);
	return ks_read_number(r, n, f, into);
}

static const struct {
	const char *name;
	enum ks_fault_key key;
} optional_keys[] = {{"for", KS_KEY_FOR}, {"period", KS_KEY_PERIOD}, {"process", KS_KEY_PROCESS}, {"thread", KS_KEY_THREAD},
                     {"wake_error", KS_KEY_WAKE_ERROR}, {"hz", KS_KEY_HZ}, {"second", KS_KEY_SECOND},
                     {"cores", KS_KEY_CORES}, {"core", KS_KEY_CORE}, {"hop", KS_KEY_HOP}, {"state", KS_KEY_STATE}, {"as", KS_KEY_AS},
                     {"vmgenid", KS_KEY_VMGENID}, {"clocks", KS_KEY_CLOCKS}, {"call", KS_KEY_CALL}, {"where", KS_KEY_WHERE},
                     {"times", KS_KEY_TIMES}};

/* A key that the kind has no use for would be ignored; one that it needs has no sensible default. */
static int check_keys(struct ks_reader *r, const struct ks_tree *item, const struct ks_fault_kind *kind)
{
	for (size_t i = 0; i < sizeof optional_keys / sizeof *optional_keys; i++) {
		const struct ks_tree *given = ks_tree_get(item, optional_keys[i].name);
		if (given && !(kind->keys & optional_keys[i].key))
			return ks_bad_key(r, given, "'%s' does not belong to fault '%s'", optional_keys[i].name, kind->name);
		if (!given && kind->needs & optional_keys[i].key)
			return ks_bad(r, item, "fault '%s' needs '%s'", kind->name, optional_keys[i].name);
	}
	return 0;
}

/* A process or thread that the fleet does not have would be a fault that hits nothing. */
static int check_target(struct ks_reader *r, const struct ks_tree *item, const struct ks_fault *f)
{
	const struct ks_plan *p = r->plan;
	if (f->process != KS_ANY && f->process >= p->processes)
		return ks_bad(r, ks_tree_get(item, "process"), "no process %u, a node has %u", f->process, p->processes);
	if (f->thread != KS_ANY && f->thread >= p->threads)
		return ks_bad(r, ks_tree_get(item, "thread"), "no thread %u, a process has %u", f->thread, p->threads);
	return 0;
}

/* Cores that no thread ever runs on would show nobody that they differ. */
static int check_cores(struct ks_reader *r, const struct ks_tree *item, const struct ks_fault *f)
{
	uint32_t threads = r->plan->processes * r->plan->threads;
	if (!f->amount)
		return ks_bad(r, ks_tree_get(item, f->kind->name), "cores that are 0s apart, expected another duration");
	if (!f->hop_ns && threads < f->cores)
		return ks_bad(r, item, "%u thread%s pinned to %u cores, expected a thread a core, or 'hop'", threads,
		              threads > 1 ? "s" : "", f->cores);
	if (f->hop_ns && f->for_ns && f->for_ns / f->cores < f->hop_ns)
		return ks_bad(r, ks_tree_get(item, "for"), "ends before a thread has been on %u cores", f->cores);
	return 0;
}

/* A pause is of one thread, or of one core. */
static int check_pause(struct ks_reader *r, const struct ks_tree *item, struct ks_fault *f)
{
	static const char *const others[] = {"thread", "process", "call", "where", "times"};
	const struct ks_tree *core = ks_tree_get(item, "core"), *cores = ks_tree_get(item, "cores");
	uint32_t threads = r->plan->processes * r->plan->threads;
	f->of_core = core;
	if (!core) {
		if (cores)
			return ks_bad_key(r, cores, "'cores' without 'core', which says which of them pauses");
		return ks_tree_get(item, "thread") ? 0 : ks_bad(r, item, "fault 'pause' needs 'thread', or 'core'");
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (ks_tree_get(item, others[i]))
			return ks_bad_key(r, ks_tree_get(item, others[i]), "'%s' beside 'core', which stops all threads on it wherever they are", others[i]);
	if (f->core >= f->cores)
		return ks_bad(r, core, "no core %u, expected 0..%u ('cores' says how many there are)", f->core, f->cores - 1);
	if (threads < f->cores)
		return ks_bad(r, item, "%u thread%s on %u cores, expected a thread a core (fleet.threads)", threads, threads > 1 ? "s" : "", f->cores);
	return 0;
}

static int read_draft(struct ks_reader *r, const struct ks_tree *item, struct draft *d)
{
	const struct ks_fault_kind *kind = find_kind(r, item);
	struct ks_field table[NFIELDS + 2];
	if (!kind || check_keys(r, item, kind))
		return -1;
	memcpy(table, fault_fields, sizeof fault_fields);
	table[NFIELDS] = (struct ks_field){.name = kind->name, .read = read_amount, KS_AT(struct draft, fault.amount),
	                                   .type = kind->type, .min = kind->min, .max = kind->max,
	                                   .kinds = kind->list ? KS_TREE_TEXT | KS_TREE_LIST : 0,
	                                   .accepts = kind->op == KS_FAULT_STEP ? STEP_ACCEPTS : NULL};
	table[NFIELDS + 1] = (struct ks_field){0};
	d->fault.kind = kind;
	d->fault.mark = item->mark;
	d->fault.process = d->fault.thread = KS_ANY;
	if (ks_fields_read(r, item, table, d))
		return -1;
	if (!(kind->keys & KS_KEY_PERIOD))
		d->fault.period_ns = 0;
	if (kind->op == KS_FAULT_SMEAR && d->fault.for_ns < KS_SMEAR_MIN_NS)
		return ks_bad(r, ks_tree_get(item, "for"), "a second smeared over '%s', expected at least 20s",
		              ks_tree_get(item, "for")->text);
	if (kind->op == KS_FAULT_CORES && check_cores(r, item, &d->fault))
		return -1;
	if (kind->op == KS_FAULT_SUSPEND && d->fault.amount != KS_SUSPEND_S3 && ks_tree_get(item, "wake_error"))
		return ks_bad_key(r, ks_tree_get(item, "wake_error"), "'wake_error' beside 'suspend: %s', expected 's3'", kind->words[d->fault.amount]);
	if (kind->op == KS_FAULT_PAUSE && check_pause(r, item, &d->fault))
		return -1;
	if (kind->keys & KS_KEY_WHERE && ks_place_check(r, item, &d->fault))
		return -1;
	if (kind->op == KS_FAULT_PAUSE || kind->op == KS_FAULT_STOP_WORLD)
		d->fault.for_ns = d->fault.placed ? 0 : d->fault.amount; /* when a placed one ends, only the run can tell */
	if (kind->op == KS_FAULT_RESTART && !d->fault.for_ns)
		d->fault.for_ns = RESTART_NS;
	if (kind->op == KS_FAULT_RESTART && d->fault.amount && d->fault.process != KS_ANY)
		return ks_bad_key(r, ks_tree_get(item, "process"), "'process' of a restart of the node, which ends all of them");
	if (kind->op == KS_FAULT_CLONE && (ks_tree_get(item, "node") || ks_tree_get(item, "zone")))
		return ks_bad(r, item, "a clone with 'node' or 'zone', expected 'as' with the name of the new node alone");
	return check_target(r, item, &d->fault);
}

/* Moves the draft into the plan, with the list of whom it hits. */
static int add_fault(struct ks_reader *r, struct draft *d)
{
	struct ks_plan *plan = r->plan;
	struct ks_fault *f = &d->fault;
	bool all = !d->by_node && !*f->zone;
	f->everywhere = all;
	for (uint32_t i = 0; i < plan->nodes; i++) {
		d->hit[i] = d->hit[i] || all;
		f->nnodes += d->hit[i];
	}
	f->nodes = ks_alloc(f->nnodes, sizeof *f->nodes);
	if (!f->nodes)
		return ks_no_memory(r);
	for (uint32_t i = 0, n = 0; i < plan->nodes; i++)
		if (d->hit[i])
			f->nodes[n++] = i;
	plan->fault[plan->faults++] = *f;
	return 0;
}

static int read_fault(struct ks_reader *r, const struct ks_tree *item)
{
	struct draft d = {0};
	if (!ks_want(r, item, KS_TREE_MAP, "a fault", "a mapping such as {at: 10s, node: n2, step: -120ms}") ||
	    read_draft(r, item, &d))
		return -1;
	for (size_t i = 0; i < r->plan->faults; i++)
		if (!strcmp(r->plan->fault[i].name, d.fault.name))
			return ks_bad(r, item, "a second fault '%s'", d.fault.name);
	return add_fault(r, &d);
}

int ks_read_faults(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_plan *plan = into;
	if (n->n > KS_FAULTS_MAX)
		return ks_bad(r, n, "%zu %s, expected at most %d", n->n, f->name, KS_FAULTS_MAX);
	if (!n->n)
		return 0;
	plan->fault = ks_alloc(n->n, sizeof *plan->fault);
	if (!plan->fault)
		return ks_no_memory(r);
	if (ks_clones_announce(r, n))
		return -1;
	for (const struct ks_tree *c = n->first; c; c = c->next)
		if (read_fault(r, c))
			return -1;
	return ks_lives_finish(r, n);
}

int ks_faults_normalise(struct ks_tree *root)
{
	struct ks_tree *faults = ks_tree_get(root, "faults");
	size_t i = 0;
	for (struct ks_tree *c = faults && faults->kind == KS_TREE_LIST ? faults->first : NULL; c; c = c->next) {
		char name[KS_NAME_MAX];
		const struct ks_tree *k = c->kind == KS_TREE_MAP ? c->first : NULL;
		i++;
		while (k && !ks_fault_kind_find(k->key))
			k = k->next;
		snprintf(name, sizeof name, "%s-%zu", k ? k->key : "", i);
		if (k && !ks_tree_get(c, "name") && ks_tree_put_default(c, "name", name))
			return -1;
	}
	return 0;
}

/* --- what kinds accept, in words --- */

const char *ks_fault_accepts(const struct ks_fault_kind *k, char *buf, size_t size)
{
	const struct ks_opt o = {.type = k->type, .min = k->min, .max = k->max, .words = k->words};
	if (k->op == KS_FAULT_STEP)
		snprintf(buf, size, "%s", STEP_ACCEPTS);
	else if (ks_fault_has_label(k))
		snprintf(buf, size, k->op == KS_FAULT_SNAPSHOT ? "a name for it" : "the name of a snapshot");
	else
		ks_opt_accepts(&o, buf, size);
	if (k->list) {
		size_t n = strlen(buf);
		snprintf(buf + n, size - n, ", or a list of them");
	}
	return buf;
}

static unsigned key_of(const char *name)
{
	for (size_t i = 0; i < sizeof optional_keys / sizeof *optional_keys; i++)
		if (!strcmp(optional_keys[i].name, name))
			return optional_keys[i].key;
	return 0; /* one that every fault may have */
}

bool ks_fault_param(const struct ks_fault_kind *kind, int i, struct ks_param *param)
{
	for (const struct ks_field *f = fault_fields; f->name; f++) {
		unsigned key = key_of(f->name);
		if (f->read == ks_read_not_carried || (key && !(kind->keys & key)) || i--)
			continue;
		*param = (struct ks_param){.name = f->name, .def = f->def, .help = f->help, .needed = key && kind->needs & key};
		param->accepts = ks_field_accepts(f, param->buf, sizeof param->buf);
		return true;
	}
	return false;
}

/* Options that some kinds have and others do not. */
static void put_kind_options(FILE *out, const struct ks_fault_kind *kind)
{
	const char *between = "";
	fputs("| ", out);
	for (const struct ks_field *f = fault_fields; f->name; f++) {
		unsigned key = key_of(f->name);
		if (f->read == ks_read_not_carried || !key || !(kind->keys & key))
			continue;
		fprintf(out, "%s`%s`%s", between, f->name, kind->needs & key ? " (needed)" : "");
		between = ", ";
	}
	fputs(" |\n", out);
}

void ks_faults_print(FILE *out)
{
	char accepts[200], name[64];
	fputs("\n## `faults`: kinds\n\nA fault is a mapping: its kind with its main value, and options. What a kind's own options are stands in its line; `name`, `at`, "
	      "and whom it hits are options of every kind.\n\n| kind | what it does | its value | clocks that it moves | its own options |\n"
	      "| --- | --- | --- | --- | --- |\n", out);
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++) {
		if (k->op < 0)
			continue;
		snprintf(name, sizeof name, "`%s`", k->name);
		ks_reference_cell(out, name);
		ks_reference_cell(out, k->title);
		ks_reference_cell(out, ks_fault_accepts(k, accepts, sizeof accepts));
		ks_reference_cell(out, k->moves);
		put_kind_options(out, k);
	}
	ks_fields_print(out, "faults[]", "`faults`: options", fault_fields);
}
