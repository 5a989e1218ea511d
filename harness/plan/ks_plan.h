/* A plan: what a scenario file says, with every default filled in. The loader makes it, worlds and checkers read it.
 *
 * ks_plan_reference prints the words of the file format; every error of a file carries file:line:col. */
#ifndef KS_PLAN_H
#define KS_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ks_call.h"
#include "ks_engine.h"
#include "ks_err.h"
#include "ks_opt.h"
#include "ks_time.h"

#define KS_NAME_MAX 64      /* of nodes, faults, generators; with the NUL */
#define KS_NODES_MAX 1024
#define KS_THREADS_MAX 4096 /* of a fleet */
#define KS_FAULTS_MAX 1024
#define KS_EVENTS_MAX (1 << 20) /* what the faults of a plan may expand to */
#define KS_EXPECT_MAX 256
#define KS_FILE_MAX (1 << 20) /* bytes of a scenario file */

/* Where in the file something stands: 1-based. 0: it is a default. */
struct ks_mark {
	int line, col;
};

enum ks_world_id { KS_WORLD_SIM, KS_WORLD_FAKETIME, KS_WORLD_VDSO, KS_WORLD_QEMU, KS_NWORLDS };
extern const char *const ks_world_names[KS_NWORLDS];

/* Who keeps a node's clocks. exact: nothing to keep. free: nobody, so each drifts. The others: daemons, on oscillators
 * that drift (sim/clock/ks_keeper.h). */
enum ks_discipline { KS_CLOCKS_EXACT, KS_CLOCKS_FREE, KS_CLOCKS_CHRONY, KS_CLOCKS_NTPD, KS_CLOCKS_TIMESYNCD, KS_NDISCIPLINES };
extern const char *const ks_discipline_names[]; /* ends with NULL */
struct ks_clock_use {
	enum ks_discipline by;
	struct ks_keeper_desc keeper; /* kind NONE for exact and free */
};

struct ks_plan_node {
	char name[KS_NAME_MAX];
	char zone[KS_NAME_MAX]; /* "" is the default zone */
	int64_t offset_ns; /* positive: its wall clock reads later */
	int64_t drift_ppb; /* positive: its oscillator runs faster; 0 when it is drawn */
	bool drift_drawn;  /* by the seed, see ks_plan_node_drift */
	struct ks_clock_use clock;
	bool own_clock;    /* it names its own, else it has the fleet's */
	bool clone;        /* it is there from born_ns on only; such nodes come last */
	int64_t born_ns;
};

/* A drifting clock's drift, unless given, is drawn within +-20 ppm: what a crystal of a server does. */
#define KS_FREE_DRIFT_PPB 20000

enum ks_clocksource {
	KS_CLOCKSOURCE_AUTO, KS_CLOCKSOURCE_TSC, KS_CLOCKSOURCE_HPET, KS_CLOCKSOURCE_ACPI_PM, KS_CLOCKSOURCE_JIFFIES, KS_CLOCKSOURCE_KVM
};
extern const char *const ks_clocksource_names[]; /* as kernels call them; ends with NULL */
enum ks_node_id { KS_NODE_ID_INDEX, KS_NODE_ID_FIXED, KS_NODE_ID_RANDOM, KS_NODE_ID_MAC, KS_NODE_ID_PID, KS_NODE_ID_LEASE };

struct ks_fault {
	char name[KS_NAME_MAX]; /* given, or "KIND-N", N its number in the file from 1 */
	const struct ks_fault_kind *kind;
	int64_t at_ns;    /* since start */
	int64_t amount;   /* the main value: ns, ppb, unix time, index of a word, or a mask of clocks: see its kind */
	bool to_true;     /* step: to-true, instead of an amount */
	int64_t for_ns, period_ns, wake_error_ns; /* for 0: for good, where it may be left out */
	int64_t hz, hop_ns;   /* of leap; of cpu-skew, 0: threads stay on their cores */
	uint32_t cores;       /* of cpu-skew, and of a pause of a core */
	bool of_core;         /* of pause: all threads of the core `core` of `cores` */
	uint32_t core;
	unsigned second;      /* of smear: 0 inserts, 1 deletes */
	char label[KS_NAME_MAX]; /* of snapshot, clone, rollback: the snapshot's name; amount is its number */
	char as[KS_NAME_MAX]; /* of clone: the new node's name */
	unsigned kept;        /* of restart: 1: it hands its state over */
	unsigned vmgenid;     /* of clone, rollback: 1: the machine knows, and reseeds */
	unsigned clocks_run;  /* of rollback: 1: clocks do not go back */
	bool placed;          /* of pause, stop-world: inside a call */
	struct ks_place place;
	uint32_t process, thread; /* KS_ANY */
	char zone[KS_NAME_MAX]; /* when it names a zone instead of nodes, else "" */
	uint32_t *nodes;  /* whom it hits, ascending */
	uint32_t nnodes;
	bool everywhere;  /* it names neither nodes nor a zone */
	struct ks_mark mark;
};

/* Kinds of faults: one line each in faults.c. A kind of the design that is not carried yet has op < 0 and is refused
 * by name. */
enum ks_composite { KS_FAULT_STROBE = 100, KS_FAULT_JITTER, KS_FAULT_FREEZE, KS_FAULT_PAUSE, KS_FAULT_STOP_WORLD, KS_FAULT_RESTART, KS_FAULT_CUT_OFF };
enum ks_fault_key {
	KS_KEY_FOR = 1, KS_KEY_PERIOD = 2, KS_KEY_PROCESS = 4, KS_KEY_THREAD = 8, KS_KEY_WAKE_ERROR = 16,
	KS_KEY_STATE = 1 << 8, KS_KEY_AS = 1 << 9, KS_KEY_VMGENID = 1 << 10, KS_KEY_CLOCKS = 1 << 11, KS_KEY_CALL = 1 << 12,
	KS_KEY_WHERE = 1 << 13, KS_KEY_TIMES = 1 << 14,
	KS_KEY_HZ = 1 << 16, KS_KEY_SECOND = 1 << 17, KS_KEY_CORES = 1 << 18, KS_KEY_HOP = 1 << 19,
	KS_KEY_CORE = 1 << 20,
};
enum ks_smear { KS_SMEAR_LINEAR, KS_SMEAR_COSINE };
#define KS_SMEAR_MIN_NS (20 * KS_SEC) /* or the steepest part of a cosine would bend more than a tenth */
struct ks_fault_kind {
	const char *name;  /* also the key in the file */
	const char *title; /* one line */
	int op;            /* enum ks_fault_op; enum ks_composite, which timeline.c makes of several; or -1: not carried yet */
	enum ks_opt_type type;  /* of the main value; WORD: see words; a list of words is a mask */
	int64_t min, max;
	const char *moves; /* which clocks move, for people */
	unsigned keys, needs;   /* masks of enum ks_fault_key: what it may have, what it must have */
	const char *const *words;
	bool list;
};
extern const struct ks_fault_kind ks_fault_kinds[]; /* ends with a NULL name */
/* What the main value of a fault may be. @return buf. */
const char *ks_fault_accepts(const struct ks_fault_kind *kind, char *buf, size_t size);
/* A parameter, in words: of a fault beside its main value, of who keeps clocks. The i-th, from 0.
 * @return false: there are no more. */
struct ks_param {
	const char *name, *accepts, *def, *help; /* def: NULL: none */
	bool needed;
	char buf[160]; /* where accepts may lie */
};
bool ks_fault_param(const struct ks_fault_kind *kind, int i, struct ks_param *param);
bool ks_clock_param(enum ks_discipline by, int i, struct ks_param *param);
/* Of a word of the fleet ("network": also what is inside; "offset": a node's); path: "fleet.network.delay". */
bool ks_fleet_param(const char *word, int i, struct ks_param *param, char path[KS_NAME_MAX]);
extern const char *const ks_discipline_titles[]; /* one line each */
/* @return the kind, carried or not, or NULL. */
const struct ks_fault_kind *ks_fault_kind_find(const char *name);

/* A claim of a property in a scope: "unique@fleet", "sorted(1ms)@node". */
enum ks_property { KS_UNIQUE, KS_INCREASING, KS_SORTED, KS_CAUSAL, KS_CLOCK_WITHIN, KS_AVAILABLE, KS_NPROPERTIES };
extern const char *const ks_property_names[KS_NPROPERTIES];
enum ks_scope { KS_SCOPE_THREAD, KS_SCOPE_PROCESS, KS_SCOPE_NODE, KS_SCOPE_FLEET, KS_NSCOPES };
extern const char *const ks_scope_names[KS_NSCOPES];
struct ks_claim_ref {
	enum ks_property property;
	enum ks_scope scope;
	int64_t bound_ns; /* of sorted, clock, available */
};
/* Parses "unique@fleet". @return 0, or -1 with the nearest word. */
int ks_claim_parse(const char *text, struct ks_claim_ref *claim, struct ks_err *err);
const char *ks_claim_format(char buf[KS_NAME_MAX], struct ks_claim_ref claim);

enum ks_verdict { KS_KEPT, KS_BROKEN, KS_UNTESTED };
extern const char *const ks_verdict_names[3];

/* Metrics by name; those with a scope are written metric@scope, without one in the fleet. */
enum ks_metric {
	KS_M_DUPLICATES, KS_M_DESCENTS, KS_M_BELOW_MAX, KS_M_DISPLACEMENT, KS_M_LATE_NS_MAX, /* one a scope */
	KS_M_INVERSIONS, KS_M_REM, /* and only when asked for */
	KS_M_AHEAD_NS_MAX, KS_M_BEHIND_NS_MAX, KS_M_CAUSALITY_VIOLATIONS, /* one a run, from here on */
	KS_M_STALL_NS_MAX, KS_M_STALL_NS_P50, KS_M_STALL_NS_P99, KS_M_REFUSALS, KS_M_LOST, KS_NMETRICS
};
#define KS_NSCOPED_METRICS (KS_M_REM + 1)
extern const char *const ks_metric_names[KS_NMETRICS];

enum ks_expect_kind { KS_EXPECT_CLAIM, KS_EXPECT_ALL_CLAIMS, KS_EXPECT_METRIC, KS_EXPECT_DAMAGE };
struct ks_expect {
	enum ks_expect_kind kind;
	char text[2 * KS_NAME_MAX];  /* "unique@fleet: kept", as printed */
	struct ks_claim_ref claim;   /* of CLAIM */
	enum ks_verdict verdict;     /* of CLAIM and ALL_CLAIMS */
	enum ks_metric metric;       /* of METRIC */
	enum ks_scope scope;
	char damage[KS_NAME_MAX];    /* of DAMAGE: "payment-gateway.double_charges" */
	struct ks_band band;         /* of METRIC and DAMAGE */
	struct ks_mark mark;
};
struct ks_expect_group {
	char generator[256]; /* as written; "other" for those not named */
	struct ks_expect *v;
	size_t n;
};

/* A consumer as the file names it; its own options are in its table (harness/consumer). */
struct ks_consumer_use {
	const struct ks_consumer *consumer;
	_Alignas(16) char cfg[128];
	struct ks_mark mark;
};

/* Capture of clock jumps in guests, and from what on one is worth a word. */
struct ks_capture {
	unsigned on;
	int64_t unusual_ns, jump_ns; /* a move of REALTIME against MONOTONIC, either way */
	int64_t calls;               /* of clock_settime within a minute */
	int64_t stretch_ns;          /* MONOTONIC moves by more from one ms to the next */
};

struct ks_plan {
	char file[1024];      /* as given, for messages; "<builtin>" never: scenarios are files */
	char name[KS_NAME_MAX]; /* base name without .yaml */
	char title[256], source[KS_NAME_MAX];
	char tags[16][KS_NAME_MAX];
	int ntags;
	bool canary;          /* under a folder canary/: its result is inverted */
	int64_t start_unix_ns, duration_ns;
	unsigned worlds;      /* mask of 1 << enum ks_world_id; auto: all */
	bool worlds_auto;
	unsigned require;     /* mask */
	struct ks_plan_node *node;
	uint32_t nodes, processes, threads; /* clones included; processes of a node, threads of a process */
	uint32_t clones;
	struct ks_clock_use clock; /* of the nodes that name none of their own */
	enum ks_node_id node_id;
	int64_t node_id_value; /* of fixed */
	enum ks_host host;
	enum ks_clocksource clocksource;
	char kernel[KS_NAME_MAX]; /* "any", or the version that it takes */
	struct ks_network network;
	struct ks_mail mail;
	struct ks_load load;
	int64_t user_low, user_high, depth_low, depth_high; /* of the context */
	struct ks_fault *fault;
	size_t faults;
	struct ks_consumer_use *consumer;
	size_t consumers;
	struct ks_expect_group *group;
	size_t groups;
	struct ks_capture capture;
	char reported[256];   /* what a report claims of this incident; "": nothing */
	struct ks_expect_group figures; /* of that claim: METRIC and DAMAGE, and of which generator ("": of all). They are
					   measured and held against it, but decide nothing */
};

/* Sets from the command line: "faults.back.step=-10ms". Items of lists go by name or by index from 0, the value may be
 * YAML's flow form ("[{zone: b}, {}]"). Borrowed while a plan is loaded. */
struct ks_set {
	const char *path, *value;
};

/* Loads, checks and completes a scenario. @return 0, or -1: KS_E_USAGE with "file:line:col: problem, expected ..., did
 * you mean ...". Files over KS_FILE_MAX, binary, empty or deeper than the format are errors, never crashes. */
int ks_plan_load(const char *path, const struct ks_set *sets, size_t nsets, struct ks_plan *plan, struct ks_err *err);
/* The same from memory; `name` is used in messages. */
int ks_plan_parse(const char *text, size_t len, const char *name, const struct ks_set *sets, size_t nsets,
                  struct ks_plan *plan, struct ks_err *err);
void ks_plan_release(struct ks_plan *plan);

/* Writes the effective form: a scenario file with every default. Loading it gives the same plan. */
int ks_plan_write(const struct ks_plan *plan, FILE *out);

/* Print the reference of the formats as Markdown: each key with its meaning, what it accepts, its default. */
void ks_plan_reference(FILE *out);
void ks_suite_reference(FILE *out);

/* The worker id of node i under the plan's node_id rule: index: 1 for the first; random: 0..1023, so that two nodes
 * may share one. */
uint64_t ks_plan_worker(const struct ks_plan *plan, uint64_t seed, uint32_t node);
enum ks_worker_rule ks_plan_worker_rule(const struct ks_plan *plan);
/* @return what of its fleet and workload real worlds do not carry, in words, or NULL. */
const char *ks_plan_sim_only(const struct ks_plan *plan);
/* The error of node i's oscillator, ppb, positive runs faster: as given, or drawn by the seed. */
int64_t ks_plan_node_drift(const struct ks_plan *plan, uint64_t seed, uint32_t node);

/* What calls are about, for worlds. */
static inline struct ks_call_ranges ks_plan_calls(const struct ks_plan *plan)
{
	return (struct ks_call_ranges){plan->user_low, plan->user_high, plan->depth_low, plan->depth_high};
}

/* Does a fault that stops threads stop this one of this process? Pure. */
static inline bool ks_fault_stops(const struct ks_plan *plan, const struct ks_fault *f, uint32_t process, uint32_t thread)
{
	if (f->of_core)
		return ks_core_has(f->cores, f->core, process * plan->threads + thread);
	return (f->process == KS_ANY || f->process == process) && (f->thread == KS_ANY || f->thread == thread);
}

/* "n2 steps -120ms at 10s". @return buf. */
const char *ks_fault_text(const struct ks_plan *plan, const struct ks_fault *fault, char *buf, size_t size);
/* "n2 steps -120ms at 10s; 3 nodes, 1000/s each, 20s". @return buf. */
const char *ks_plan_about(const struct ks_plan *plan, char *buf, size_t size);

/* The plan's faults as events of the engine, by time, then in file order, then by node; those at or after the end are left
 * out. seed: of what jitter draws. At most KS_EVENTS_MAX, else KS_E_USAGE. *events is owned by the
 * caller (ks_free). */
int ks_plan_events(const struct ks_plan *plan, uint64_t seed, struct ks_fault_event **events, uint32_t *n, struct ks_err *err);
/* The same for worlds where nobody's kernel counts leap seconds: a leap second that is announced comes as LEAP, at midnight. */
int ks_plan_events_real(const struct ks_plan *plan, uint64_t seed, struct ks_fault_event **events, uint32_t *n, struct ks_err *err);

/* The least cap on memory that is taken: below it nothing runs. */
#define KS_MEMORY_MIN (1 << 20)

/* A suite: scenarios x generators x seeds x worlds. */
struct ks_suite_item {
	char scenario[256];
	char (*generators)[256];
	size_t ngenerators;
	unsigned worlds;      /* 0: as the caller asks */
	int64_t seed_low, seed_high;
	char (*sets)[256];    /* PATH=VALUE */
	size_t nsets;
	int64_t timeout_ns;   /* of a run; 0: as the caller asks */
	int64_t memory;       /* bytes; 0: as the caller asks */
	char (*tags)[KS_NAME_MAX]; /* instead of scenario: every scenario of the library with one of them */
	size_t ntags;
	struct ks_mark mark;
};
struct ks_suite {
	char file[1024], name[KS_NAME_MAX], title[256];
	unsigned require;     /* mask of worlds whose absence is a failure */
	int64_t budget_ns;    /* of the host's time, for all of it; what has not begun by then is untested; 0: none */
	int64_t rotating_seed; /* 1: runs of sim get one seed more, that of the day */
	struct ks_suite_item *item;
	size_t n;
};
int ks_suite_load(const char *path, struct ks_suite *suite, struct ks_err *err);
int ks_suite_parse(const char *text, size_t len, const char *name, struct ks_suite *suite, struct ks_err *err);
void ks_suite_release(struct ks_suite *suite);
/* Generator files, NAME.gen.yaml. */
struct ks_foreign;
bool ks_is_genfile(const char *path); /* by its name */
/* @return the generator (ks_foreign_free), or NULL with file:line:col in the error. */
struct ks_foreign *ks_genfile_load(const char *path, struct ks_err *err);
struct ks_foreign *ks_genfile_parse(const char *text, size_t len, const char *name, struct ks_err *err);
void ks_genfile_reference(FILE *out);

/* @return 1 when the file is a suite (its first keys name `suite:`), 0 when not, -1 with an error. */
int ks_file_is_suite(const char *path, struct ks_err *err);

#endif
