/* World faketime with real processes. Each test ends with a look for what must not be left: processes, files. Exits 77
 * (skipped, to ctest) where there is no libfaketime. */
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "foreign.h"
#include "ft_group.h"
#include "ks_mem.h"
#include "ks_test.h"
#include "ks_world.h"

#define STEP                                                                                                           \
	"keyskew: 1\nstart: 2026-01-15T10:00:00Z\nduration: 3s\nfleet: 2\nworkload: {rate: 1000/s}\n"                  \
	"faults:\n- {name: back, at: 1s, node: n2, step: -120ms}\n"
#define STEADY "keyskew: 1\nduration: 1s\nworkload: {rate: 1000/s}\n"

struct outcome {
	int status;
	struct ks_plan plan;
	struct ks_gen_spec gen;
	struct ks_run_output out;
	struct ks_err err;
};

/* ---- what must not be left ---- */

static int leftovers(void)
{
	DIR *d = opendir("/dev/shm");
	char mine[32];
	int n = 0;

	snprintf(mine, sizeof(mine), "keyskew-%ld-", (long)getpid());
	for (struct dirent *e; (e = readdir(d));) {
		long pid;
		bool lost = (sscanf(e->d_name, "faketime_shm_%ld", &pid) == 1 ||
			     sscanf(e->d_name, "sem.faketime_sem_%ld", &pid) == 1) &&
			    kill((pid_t)pid, 0) != 0;
		n += lost || !strncmp(e->d_name, mine, strlen(mine));
	}
	closedir(d);
	return n;
}

static int before; /* what others had left when this program began: not ours to judge */

static void nothing_left(void)
{
	CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1); /* no child, dead or alive */
	/* what a run of others has just left is not there for long */
	for (int i = 0; i < 200 && leftovers() > before; i++)
		usleep(10000);
	CU_ASSERT(leftovers() <= before);
}

/* What the world says when the machine does not let it do in time what the plan wants. No bug of ours ends so again and again. */
static bool says_busy(const struct ks_err *err)
{
	static const char *const words[] = {"too busy", "told no reading", "too few readings", "too irregularly", "too few keys"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (err->code == KS_E_JUDGE && strstr(err->text, words[i]))
			return true;
	return false;
}
#define BUSY_TRIES 4

static void run(struct outcome *o, const char *yaml, const char *generator, volatile const int *stop)
{
	*o = (struct outcome){0};
	CU_ASSERT_EQUAL_FATAL(ks_plan_parse(yaml, strlen(yaml), "test", NULL, 0, &o->plan, &o->err), 0);
	if (!strncmp(generator, "exec:", 5)) {
		snprintf(o->gen.text, sizeof(o->gen.text), "%s", generator);
		o->gen.foreign = ks_foreign_new(KS_SPEAKS_LINES, generator + 5);
	} else {
		CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, generator, &o->gen, &o->err), 0);
	}
	struct ks_run_request request = {.plan = &o->plan, .gen = &o->gen, .seed = 1, .stop = stop};
	for (int i = 0;; i++) {
		o->status = ks_world_faketime.run(&request, &o->out, &o->err);
		if (!o->status || !says_busy(&o->err))
			break;
		printf("(%s) ", o->err.text);
		if (i == BUSY_TRIES) {
			printf("\nskipped: this machine is too busy for processes in real time\n");
			exit(77);
		}
	}
	if (o->status)
		printf("(%s) ", o->err.text);
	nothing_left();
}

static void release(struct outcome *o)
{
	ks_foreign_free(o->gen.foreign);
	ks_run_output_release(&o->out);
	ks_plan_release(&o->plan);
}

static void refused(const char *yaml, const char *generator, enum ks_errcode code, const char *text)
{
	struct outcome o;
	run(&o, yaml, generator, NULL);
	CU_ASSERT_EQUAL(o.status, -1);
	CU_ASSERT_EQUAL(o.err.code, code);
	CU_ASSERT_PTR_NOT_NULL(strstr(o.err.text, text));
	CU_ASSERT_EQUAL(o.out.records.n, 0);
	release(&o);
}

/* ---- built-in generators ---- */

static int by_key(const void *a, const void *b)
{
	return ks_key_cmp(*(const struct ks_key *)a, *(const struct ks_key *)b);
}

static size_t duplicates_of_node(const struct ks_records *r, uint32_t node)
{
	struct ks_key *keys = ks_alloc(r->n, sizeof(*keys));
	size_t n = 0, same = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->lanes[ks_record_get(r, i).lane].node == node && ks_record_get(r, i).outcome == KS_KEY)
			keys[n++] = ks_record_get(r, i).key;
	qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 1; i < n; i++)
		same += ks_key_equal(keys[i - 1], keys[i]);
	ks_free(keys);
	return same;
}

/* What each call gave must follow from what its clock showed, however late the machine let it be called: unixmilli
 * issues the ms that it read, snowflake refuses when it had read a later one. @return how many calls read a ms before
 * one that the lane had read already. */
static size_t check_lane(const struct ks_records *r, uint32_t lane, const struct ks_plan *plan, bool refuses)
{
	uint64_t latest = 0;
	size_t back = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct ks_record v = ks_record_get(r, i);
		if (v.lane != lane || v.read_ns == KS_NO_TIME)
			continue;
		uint64_t ms = (uint64_t)((v.read_ns + plan->start_unix_ns) / KS_MS);
		CU_ASSERT_EQUAL(v.outcome, refuses && ms < latest ? KS_REFUSE : KS_KEY);
		if (!refuses)
			CU_ASSERT_EQUAL(v.key.lo, ms);
		back += ms < latest;
		latest = ms > latest ? ms : latest;
	}
	return back;
}

static size_t check_against_readings(const struct ks_records *r, const struct ks_plan *plan, bool refuses)
{
	size_t back = 0;

	for (uint32_t lane = 0; lane < r->nlanes; lane++)
		back += check_lane(r, lane, plan, refuses);
	return back;
}

static size_t count(const struct ks_records *r, uint32_t node, enum ks_outcome outcome)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++)
		n += r->lanes[ks_record_get(r, i).lane].node == node && ks_record_get(r, i).outcome == outcome;
	return n;
}

static void proven(const struct outcome *o)
{
	CU_ASSERT_EQUAL_FATAL(o->status, 0);
	CU_ASSERT_EQUAL_FATAL(o->out.ninjection, 1);
	const struct ks_injection *in = &o->out.injection[0];
	CU_ASSERT_EQUAL(in->node, 1);
	CU_ASSERT_EQUAL(in->commanded, -120 * KS_MS);
	CU_ASSERT(llabs(in->observed - in->commanded) <= in->tolerance);
	CU_ASSERT(in->at_ns >= KS_SEC);
	printf("(%s; step seen as %" PRId64 " ns, at %" PRId64 " ns, noise %" PRId64 ") ", o->out.detail, in->observed,
	       in->at_ns, o->out.noise_ns);
}

static void step_doubles_milliseconds(void)
{
	struct outcome o;
	run(&o, STEP, "unixmilli", NULL);
	proven(&o);
	size_t hit = duplicates_of_node(&o.out.records, 1), spared = duplicates_of_node(&o.out.records, 0);
	printf("(%zu duplicates, %zu on the other node) ", hit, spared);
	struct ks_record first = ks_record_get(&o.out.records, 0);
	CU_ASSERT(first.key.lo >= UINT64_C(1768471200000)); /* keys carry the scenario's date */
	CU_ASSERT(check_against_readings(&o.out.records, &o.plan, false) > 0);
	CU_ASSERT(o.out.records.n <= 6000);
	CU_ASSERT(hit > 0);
	release(&o);
}

static void step_makes_snowflake_refuse(void)
{
	struct outcome o;
	run(&o, STEP, "snowflake", NULL);
	proven(&o);
	CU_ASSERT_EQUAL(duplicates_of_node(&o.out.records, 1), 0);
	size_t refused_calls = count(&o.out.records, 1, KS_REFUSE);
	printf("(%zu refusals) ", refused_calls);
	CU_ASSERT(check_against_readings(&o.out.records, &o.plan, true) <= refused_calls);
	CU_ASSERT(refused_calls > 0);
	CU_ASSERT_EQUAL(count(&o.out.records, 0, KS_REFUSE), 0);
	release(&o);
}

static void many_threads_and_offsets(void)
{
	static const char yaml[] =
	    "keyskew: 1\nstart: 2035-01-15T10:00:00Z\nduration: 1500ms\n"
	    "fleet: {nodes: [{name: a, offset: +8ms}, {name: b, offset: -3s}], processes: 2, threads: 2}\n"
	    "workload: {rate: 400/s}\n"
	    "faults:\n- {at: 500ms, node: a, step: +2s}\n- {at: 600ms, node: a, step: -2s}\n- {at: 600ms, node: b, "
	    "step: 1h}\n";
	struct outcome o;
	run(&o, yaml, "uuidv7", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	CU_ASSERT_EQUAL(o.out.ninjection, 3);
	CU_ASSERT_EQUAL(o.out.records.nlanes, 8);
	CU_ASSERT(o.out.records.n > 0 && o.out.records.n <= 1200);
	for (size_t i = 0; i < o.out.records.n; i++) {
		struct ks_record r = ks_record_get(&o.out.records, i);
		int64_t off = r.read_ns - r.read_at_ns;
		bool a = o.out.records.lanes[r.lane].node == 0;
		if (r.read_ns == KS_NO_TIME || r.return_ns > 500 * KS_MS)
			continue;
		CU_ASSERT(llabs(off - (a ? 8 * KS_MS : -3 * KS_SEC)) <= o.out.noise_ns);
	}
	release(&o);
}

/* Every fault that is carried, on real processes: proven, and its size as commanded. */
static void proves(const char *yaml, int64_t commanded)
{
	struct outcome o;
	run(&o, yaml, "unixmilli", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	CU_ASSERT_FATAL(o.out.ninjection >= 1);
	const struct ks_injection *in = o.out.injection;
	CU_ASSERT(llabs(in->observed - in->commanded) <= in->tolerance);
	CU_ASSERT(!commanded || in->seen || in->commanded == commanded);
	printf("(%s: %" PRId64 " of %" PRId64 " +- %" PRId64 ") ", o.plan.fault[0].kind->name, in->observed, in->commanded,
	       in->tolerance);
	release(&o);
}

static void every_fault(void)
{
	static const char form[] = "keyskew: 1\nduration: 1500ms\nfleet: {nodes: 2, processes: 2, threads: 2}\n"
				   "workload: {rate: 400/s}\nfaults:\n- {name: it, at: 500ms, node: n2, %s}\n";
	static const struct {
		const char *fault;
		int64_t commanded;
		bool when_long; /* the nightly suite has one of its kind, too */
	} row[] = {
	    {"step: 3s", 3 * KS_SEC, false},
	    {"drift: 40000ppm", 40000000, false},
	    {"slew: -80000ppm, for: 600ms", -80000000, false},
	    {"strobe: 20ms, period: 10ms, for: 600ms", 60 * 20 * KS_MS, true},
	    {"jitter: 20ms, period: 10ms, for: 600ms", 0, true},
	    {"freeze: realtime, for: 400ms", 400 * KS_MS, false},
	    {"coarse: 15625us, for: 600ms", 15625 * KS_US, true},
	    {"coarse: 4ms", 4 * KS_MS, false},
	    {"suspend: s3, for: 400ms", 400 * KS_MS, true},
	    {"suspend: vm-stop, for: 400ms", 400 * KS_MS, true},
	    {"suspend: host-stop, for: 400ms", 400 * KS_MS, false},
	    {"stop-world: 300ms, process: 1", 300 * KS_MS, false},
	    {"pause: 300ms, process: 1, thread: 1", 300 * KS_MS, false},
	    {"pause: 300ms, core: 1, cores: 4", 300 * KS_MS, false},
	};
	const char *longer = getenv("KEYSKEW_TEST_LONG");
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char yaml[400];
		if (row[i].when_long && (!longer || strcmp(longer, "1") != 0))
			continue;
		snprintf(yaml, sizeof(yaml), form, row[i].fault);
		proves(yaml, row[i].commanded);
	}
}

/* Those that need a clock of their own, or another fault. A smear takes 20 s at least: the nightly suite has one. */
static void special_faults(void)
{
	proves("keyskew: 1\nduration: 1500ms\nfleet: {nodes: [{name: a, offset: -500ms}]}\nworkload: {rate: 400/s}\n"
	       "faults:\n- {at: 500ms, step: to-true}\n",
	       500 * KS_MS);
	proves("keyskew: 1\nstart: 2016-12-31T23:59:59.5Z\nduration: 3s\nworkload: {rate: 400/s}\nfaults:\n"
	       "- {at: 100ms, leap: insert}\n",
	       -KS_SEC);
	proves("keyskew: 1\nstart: 2026-01-15T10:00:00Z\nduration: 2s\nworkload: {rate: 400/s}\nfaults:\n"
	       "- {at: 700ms, rtc-reset: 2026-01-01T00:00:00Z}\n- {at: 500ms, suspend: s3, for: 500ms}\n",
	       0);
}

static size_t keys_of_life(const struct ks_records *r, uint32_t incarnation)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++)
		n += r->lanes[ks_record_get(r, i).lane].incarnation == incarnation && ks_record_get(r, i).outcome == KS_KEY;
	return n;
}

/* As many calls as the workload wants, but for those that were inside when their process was killed. Only a machine that is too slow
 * makes fewer: then somebody was still at work when the scenario was over. */
static void all_made(const struct outcome *o, size_t calls, size_t inside)
{
	const struct ks_records *r = &o->out.records;
	int64_t last = 0;

	for (size_t i = 0; i < r->n; i++)
		last = ks_record_get(r, i).return_ns > last ? ks_record_get(r, i).return_ns : last;
	CU_ASSERT(r->n <= calls);
	CU_ASSERT(r->n >= calls - inside || last >= o->plan.duration_ns);
}

/* A counter begins anew in a process that lost its state, and goes on in one to which it was handed over. No call is lost
 * but one that was inside, and the workload's wishes are not forgotten. */
static void restarts(void)
{
	static const char form[] = "keyskew: 1\nduration: 1500ms\nfleet: {threads: 2}\nworkload: {rate: 400/s}\nfaults:\n"
				   "- {at: 500ms, restart: process, state: %s, for: 300ms}\n";
	char yaml[300];
	struct outcome o;
	snprintf(yaml, sizeof(yaml), form, "lost");
	run(&o, yaml, "counter", NULL);
	CU_ASSERT_EQUAL(o.status, 0);
	CU_ASSERT_EQUAL(o.out.records.nlanes, 4);
	all_made(&o, 600, 2);
	size_t first = keys_of_life(&o.out.records, 0), second = keys_of_life(&o.out.records, 1);
	CU_ASSERT(first > 0);
	CU_ASSERT_EQUAL(duplicates_of_node(&o.out.records, 0), first < second ? first : second);
	release(&o);
	snprintf(yaml, sizeof(yaml), form, "kept");
	run(&o, yaml, "counter", NULL);
	CU_ASSERT_EQUAL(o.status, 0);
	all_made(&o, 600, 0);
	CU_ASSERT_EQUAL(duplicates_of_node(&o.out.records, 0), 0);
	release(&o);
	proves("keyskew: 1\nstart: 2026-01-15T10:00:00Z\nduration: 2s\nworkload: {rate: 400/s}\nfaults:\n"
	       "- {at: 300ms, rtc-reset: 2026-01-15T09:00:00Z}\n- {at: 500ms, restart: node, for: 500ms}\n",
	       0);
}

static size_t keys_of_node(const struct ks_records *r, uint32_t node)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++)
		n += r->lanes[ks_record_get(r, i).lane].node == node && ks_record_get(r, i).outcome == KS_KEY;
	return n;
}

/* Two nodes go on from the memory of one, which starts anew itself; what it knew they count on from. */
static void clones(void)
{
	struct outcome o;
	run(&o,
	    "keyskew: 1\nduration: 2s\nfleet: {nodes: 2, processes: 2, threads: 2}\nworkload: {rate: 80/s}\nfaults:\n"
	    "- {name: keep, at: 525ms, node: n1, snapshot: warm}\n- {name: one, at: 800ms, clone: warm, as: n8}\n"
	    "- {name: two, at: 1s, clone: warm, as: n9, vmgenid: true}\n- {name: again, at: 1200ms, node: n1, restart: process, for: 100ms}\n"
	    "- {name: stop, at: 1500ms, node: n8, stop-world: 100ms}\n",
	    "counter", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	CU_ASSERT_EQUAL(o.out.ninjection, 5);
	CU_ASSERT_EQUAL(o.out.records.nlanes, 8 + 2 * 4 + 4); /* of two nodes, two clones, and the second lives of the processes of n1 */
	for (size_t i = 0; i < o.out.ninjection; i++)
		CU_ASSERT(llabs(o.out.injection[i].observed - o.out.injection[i].commanded) <= o.out.injection[i].tolerance);
	for (uint32_t node = 2; node < 4; node++) {
		CU_ASSERT(keys_of_node(&o.out.records, node) > 0);
		for (size_t i = 0; i < o.out.records.n; i++) {
			struct ks_record r = ks_record_get(&o.out.records, i);
			CU_ASSERT(o.out.records.lanes[r.lane].node != node || r.key.lo > 5); /* a process had issued some 20 by then */
		}
	}
	release(&o);
}

static void control_is_without_faults(void)
{
	struct outcome o = {0};
	CU_ASSERT_EQUAL_FATAL(ks_plan_parse(STEP, strlen(STEP), "test", NULL, 0, &o.plan, &o.err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, "snowflake", &o.gen, &o.err), 0);
	o.plan.duration_ns = 1200 * KS_MS;
	struct ks_run_request request = {.plan = &o.plan, .gen = &o.gen, .seed = 1, .control = true};
	CU_ASSERT_EQUAL(ks_world_faketime.run(&request, &o.out, &o.err), 0);
	CU_ASSERT_EQUAL(o.out.ninjection, 0);
	CU_ASSERT_EQUAL(count(&o.out.records, 1, KS_REFUSE), 0);
	nothing_left();
	release(&o);
}

static int children_of(pid_t pid, pid_t *child, int room)
{
	char path[64];
	int n = 0;
	long one;

	snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", (long)pid, (long)pid);
	FILE *f = fopen(path, "r");
	while (f && n < room && fscanf(f, "%ld", &one) == 1)
		child[n++] = (pid_t)one;
	if (f)
		fclose(f);
	return n;
}

/* A thread that runs beside the world. */
static void *kill_a_subject(void *unused)
{
	pid_t subject[2] = {0};
	(void)unused;
	for (int i = 0; i < 3000 && children_of(getpid(), subject, 2) < 2; i++)
		usleep(10000);
	usleep(500000);
	kill(subject[0], SIGKILL);
	return NULL;
}

static volatile int stop;

static void ask_to_stop(int signal)
{
	(void)signal;
	stop = 1;
}

static void killed_subject(void)
{
	pthread_t t;
	pthread_create(&t, NULL, kill_a_subject, NULL);
	refused(STEP, "unixmilli", KS_E_JUDGE, "was killed by signal 9");
	pthread_join(t, NULL);
}

static void interrupted(void)
{
	struct outcome o;

	stop = 0;
	signal(SIGALRM, ask_to_stop);
	alarm(1);
	run(&o, STEP, "unixmilli", &stop);
	CU_ASSERT_EQUAL(o.status, -1);
	CU_ASSERT_STRING_EQUAL(o.err.text, "interrupted");
	release(&o);
	stop = 0;
	alarm(1);
	run(&o, STEP, "exec:./foreign millis", &stop);
	CU_ASSERT_EQUAL(o.status, -1);
	CU_ASSERT_STRING_EQUAL(o.err.text, "interrupted");
	release(&o);
}

static void bad_generator_text(void)
{
	struct outcome o = {0};
	CU_ASSERT_EQUAL_FATAL(ks_plan_parse(STEADY, strlen(STEADY), "test", NULL, 0, &o.plan, &o.err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, "counter", &o.gen, &o.err), 0);
	strcpy(o.gen.text, "counter:nonsense=1");
	struct ks_run_request request = {.plan = &o.plan, .gen = &o.gen, .seed = 1};
	CU_ASSERT_EQUAL(ks_world_faketime.run(&request, &o.out, &o.err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(o.err.text, "nonsense"));
	nothing_left();
	release(&o);
}

/* ---- what it does not carry ---- */

static void not_carried(const char *yaml, const char *generator, const char *reason)
{
	struct ks_plan plan;
	struct ks_err err = {0};
	struct ks_gen_spec gen = {0};
	char why[256] = "";

	if (ks_plan_parse(yaml, strlen(yaml), "test", NULL, 0, &plan, &err) != 0)
		printf("(%s) ", err.text);
	CU_ASSERT_EQUAL_FATAL(err.code, KS_OK);
	if (!strncmp(generator, "exec:", 5))
		gen.foreign = ks_foreign_new(KS_SPEAKS_LINES, generator + 5);
	else
		CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, generator, &gen, &err), 0);
	CU_ASSERT_EQUAL(ks_world_faketime.carries(&plan, &gen, why, sizeof(why)), reason ? -1 : 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, reason ? reason : ""));
	if (reason && !strstr(why, reason))
		printf("(%s) ", why);
	ks_foreign_free(gen.foreign);
	ks_plan_release(&plan);
}

/* Decided per fault and per clock that the generator reads: nanotime reads MONOTONIC, unixmilli REALTIME, counter none. */
static void carries(void)
{
	static const char fault[] = "keyskew: 1\nduration: 5s\nfaults:\n- {at: 1s, %s}\n";
	static const struct {
		const char *fault, *generator, *reason;
	} row[] = {
	    {"step: -1s", "nanotime", NULL},
	    {"drift: 20ppm", "unixmilli", NULL},
	    {"drift: 20ppm", "counter", NULL},
	    {"drift: 20ppm", "nanotime", "monotonic"},
	    {"slew: 20ppm, for: 1s", "unixmilli", NULL},
	    {"slew: 20ppm, for: 1s", "nanotime", "monotonic"},
	    {"freeze: realtime, for: 1s", "nanotime", NULL},
	    {"freeze: [realtime, monotonic], for: 1s", "unixmilli", NULL},
	    {"freeze: [realtime, monotonic], for: 1s", "nanotime", "monotonic"},
	    {"freeze: monotonic, for: 1s", "unixmilli", "only the wall clock"},
	    {"strobe: 1s, period: 1ms, for: 100ms", "unixmilli", NULL},
	    {"strobe: 1s, period: 500us, for: 100ms", "unixmilli", "too near"},
	    {"suspend: s3, for: 1s", "unixmilli", NULL},
	    {"suspend: s3, for: 1s", "nanotime", "monotonic"},
	    {"suspend: host-stop, for: 1s", "nanotime", NULL},
	    {"suspend: vm-stop, for: 1s", "unixmilli", NULL},
	    {"suspend: vm-stop, for: 1s", "nanotime", "monotonic"},
	    {"pause: 50ms, thread: 0", "nanotime", NULL},
	    {"stop-world: 50ms", "nanotime", NULL},
	    {"restart: process", "nanotime", NULL},
	    {"restart: node", "nanotime", "monotonic"},
	    {"restart: node", "unixmilli", NULL},
	    {"coarse: 10ms", "nanotime", "monotonic"},
	    {"coarse: 500us", "unixmilli", "not more than one a ms"},
	    {"rtc-reset: 2026-01-01T00:00:00Z", "unixmilli", "none follows"},
	    {"cpu-skew: 1ms, hop: 10ms", "unixmilli", "share a clock"},
	    {"registry: down, for: 1s", "snowflake:worker=lease", NULL},
	    {"registry: down, for: 1s", "exec:true", "no more than steps"},
	    {"restart: process", "exec:true", NULL},
	    {"restart: process, state: kept", "exec:true", "(state: kept)"},
	    {"step: -1s", "exec:true", NULL},
	    {"slew: 20ppm, for: 1s", "exec:true", "no more than steps"},
	    {"stop-world: 500ms", "exec:true", NULL},
	    {"pause: 500ms, thread: 0", "exec:true", "told apart"},
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char yaml[300];
		snprintf(yaml, sizeof(yaml), fault, row[i].fault);
		not_carried(yaml, row[i].generator, row[i].reason);
	}
	static const char core[] = "keyskew: 1\nfleet: {threads: 2}\nfaults:\n- {at: 1s, core: 0, pause: 500ms}\n";
	not_carried(core, "nanotime", NULL);
	not_carried(core, "exec:true", "told apart");
	not_carried("keyskew: 1\nfleet: {nodes: 1, clock: free, drift: 20ppm}\n", "unixmilli", NULL);
	not_carried("keyskew: 1\nfleet: {nodes: 1, clock: free, drift: 20ppm}\n", "nanotime", "drifts");
	static const char clone[] = "keyskew: 1\nfaults:\n- {at: 1s, node: n1, snapshot: warm}\n- {at: 2s, clone: warm, as: n2}\n";
	not_carried(clone, "uuidv7", NULL);
	not_carried(clone, "counter", NULL);
	not_carried(clone, "nanotime", "monotonic");
	not_carried(clone, "exec:true", "cannot be copied");
	not_carried("keyskew: 1\nfleet: {nodes: 2, node_id: pid}\n", "snowflake", NULL);
	not_carried("keyskew: 1\nfleet: {nodes: 2, node_id: lease}\n", "exec:true", "before it has a pid");
	not_carried("keyskew: 1\nduration: 2h\n", "counter", "real time");
	not_carried("keyskew: 1\nfleet: {nodes: 100}\n", "counter", "processes");
	not_carried("keyskew: 1\nstart: 1970-01-01T00:00:00Z\n", "counter", "1970");
	not_carried("keyskew: 1\nfaults:\n- {at: 1s, node: n1, step: 1s}\n- {at: 1010ms, node: n1, step: 1s}\n", "exec:true",
		    "too near");
	not_carried("keyskew: 1\nworkload: {rate: 100000000/s}\n", "counter", "calls");
}

/* ---- foreign programs ---- */

static void steady_foreign(void)
{
	struct outcome o;
	run(&o, STEADY, "exec:./foreign millis", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	CU_ASSERT_FATAL(o.out.records.n > 0);
	CU_ASSERT_EQUAL(ks_record_get(&o.out.records, 0).flags, KS_CALL_UNKNOWN);
	CU_ASSERT_EQUAL(ks_record_get(&o.out.records, 0).call_ns, KS_NO_TIME);
	release(&o);
}

/* One that takes 0.7 s until it speaks is up when its scenario begins. */
static void late_foreign(void)
{
	struct outcome o;
	run(&o, STEADY, "exec:./foreign late", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	CU_ASSERT_FATAL(o.out.records.n > 0);
	CU_ASSERT(ks_record_get(&o.out.records, 0).return_ns < 200 * KS_MS);
	release(&o);
}

/* A program that is stopped prints nothing meanwhile: that it ran is what its keys show. */
static void stopped_foreign(void)
{
	struct outcome o;
	run(&o, "keyskew: 1\nduration: 2s\nfaults:\n- {at: 500ms, stop-world: 500ms}\n", "exec:./foreign millis", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	CU_ASSERT_EQUAL_FATAL(o.out.ninjection, 1);
	printf("(stood for %" PRId64 " +- %" PRId64 ") ", o.out.injection[0].observed, o.out.injection[0].tolerance);
	CU_ASSERT(llabs(o.out.injection[0].observed - 500 * KS_MS) <= o.out.injection[0].tolerance);
	release(&o);
	refused("keyskew: 1\nduration: 9s\nfaults:\n- {at: 8s, stop-world: 500ms}\n", "exec:./foreign brief", KS_E_JUDGE,
		"ended before");
}

static void brief_foreign(void)
{
	struct outcome o;
	size_t len = 0;
	run(&o, STEADY, "exec:./foreign brief", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	CU_ASSERT_EQUAL_FATAL(o.out.records.n, 3);
	const char *last = ks_texts_get(&o.out.records.texts, 2, &len);
	CU_ASSERT_EQUAL(len, strlen("without an end"));
	CU_ASSERT_EQUAL(memcmp(last, "without an end", len), 0);
	release(&o);
}

static void garbage_foreign(void)
{
	struct outcome o;
	size_t len = 0;
	run(&o, STEADY, "exec:./foreign garbage", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	const char *first = ks_texts_get(&o.out.records.texts, 0, &len);
	CU_ASSERT_EQUAL(len, 4);
	CU_ASSERT_EQUAL(memcmp(first, "\xff\x00\x01\x80", 4), 0);
	release(&o);
}

static void flooding_foreign(void)
{
	struct outcome o;
	run(&o, STEADY, "exec:./foreign flood", NULL);
	CU_ASSERT_EQUAL_FATAL(o.status, 0);
	printf("(%zu keys) ", o.out.records.n);
	CU_ASSERT(o.out.records.n > 0 && o.out.records.n <= 2000000);
	release(&o);
}

static void stubborn_foreign(void)
{
	struct outcome o;
	run(&o, STEADY, "exec:./foreign stubborn", NULL);
	CU_ASSERT_EQUAL(o.status, 0);
	release(&o);
}

static void bad_foreign(void)
{
	refused(STEADY, "exec:./foreign silent", KS_E_JUDGE, "printed no key");
	refused(STEADY, "exec:./foreign endless", KS_E_JUDGE, "longer than 256");
	refused(STEADY, "exec:./foreign dies", KS_E_JUDGE, "exited with status 3; its stderr ends with 'no database'");
	refused(STEADY, "exec:./foreign aborts", KS_E_JUDGE, "was killed by signal 9");
	refused(STEADY, "exec:true", KS_E_JUDGE, "printed no key");
	refused(STEADY, "exec:./no-such-program", KS_E_USAGE, "cannot run './no-such-program'");
	refused(STEADY, "exec:'", KS_E_USAGE, "quote");
}

/* The proof must be able to fail: a library in the place of libfaketime that fakes nothing. */
static void nothing_faked(void)
{
	static const char yaml[] =
	    "keyskew: 1\nduration: 1s\nworkload: {rate: 1000/s}\nfleet: {nodes: [{name: a, offset: 1s}]}\n";
	char why[256], lib[4096] = "";
	FILE *maps = fopen("/proc/self/maps", "r");

	for (char line[4096]; !lib[0] && maps && fgets(line, sizeof(line), maps);)
		if (strstr(line, "/libc.so.6"))
			snprintf(lib, sizeof(lib), "%.*s", (int)strcspn(strchr(line, '/'), "\n"), strchr(line, '/'));
	fclose(maps);
	setenv("KEYSKEW_FAKETIME", lib, 1);
	CU_ASSERT_EQUAL(ks_world_faketime.available(why, sizeof(why)), 0);
	refused(STEP, "unixmilli", KS_E_JUDGE, "libfaketime does not reach it");
	if (access("../subject/libuuid-time", X_OK) == 0) {
		refused(STEADY, "exec:../subject/libuuid-time", KS_E_JUDGE, "does not see libfaketime");
		refused(yaml, "exec:../subject/libuuid-time", KS_E_JUDGE, "");
	}
	setenv("KEYSKEW_FAKETIME", "/nonexistent", 1);
	CU_ASSERT_EQUAL(ks_world_faketime.available(why, sizeof(why)), -1);
	unsetenv("KEYSKEW_FAKETIME");
	char *libexec = strdup(getenv("KEYSKEW_LIBEXEC") ? getenv("KEYSKEW_LIBEXEC") : "");
	setenv("KEYSKEW_LIBEXEC", "/nonexistent", 1);
	CU_ASSERT_EQUAL(ks_world_faketime.available(why, sizeof(why)), -1);
	setenv("KEYSKEW_LIBEXEC", libexec, 1);
	free(libexec);
}

static void unprovable_foreign(void)
{
	refused(STEP, "exec:./foreign millis", KS_E_JUDGE, "carry no time");
	refused("keyskew: 1\nduration: 9s\nfaults:\n- {at: 8s, step: -120ms}\n", "exec:./foreign brief", KS_E_JUDGE,
		"had ended before");
}

static void libuuid(void)
{
	struct outcome o;
	if (access("../subject/libuuid-time", X_OK) != 0) {
		printf("(libuuid was not there to build with) ");
		CU_PASS("no libuuid");
		return;
	}
	run(&o, STEP, "exec:../subject/libuuid-time", NULL);
	proven(&o);
	printf("(%zu keys, proven within %" PRId64 " ns) ", o.out.records.n, o.out.injection[0].tolerance);
	release(&o);
}

/* ---- strays ---- */

/* How many processes of tests/foreign.c were left by others, or by a run of ours. */
static int strays(void)
{
	DIR *d = opendir("/proc");
	int n = 0;

	for (struct dirent *e; (e = readdir(d));) {
		char path[300], cmd[64] = "";
		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		size_t got = fread(cmd, 1, sizeof(cmd) - 1, f);
		fclose(f);
		n += got > 11 && !strncmp(cmd, "./foreign", 10) && !strncmp(cmd + 10, "stray", 5);
	}
	closedir(d);
	return n;
}

static bool has_groups(void)
{
	const char *dir = "/dev/shm/keyskew-1-groups";
	char procs[640];
	bool has = ks_ft_group_add(dir, 0, procs, sizeof(procs));
	ks_ft_group_remove(dir);
	return has;
}

/* Who forks, leaves its session and is deaf to SIGTERM is found by its environment; who drops that too, by its cgroup. */
static void forking_foreign(void)
{
	struct outcome o;
	setenv("KEYSKEW_CGROUP", "off", 1);
	run(&o, STEADY, "exec:./foreign forks", NULL);
	CU_ASSERT_EQUAL(o.status, 0);
	CU_ASSERT_EQUAL(strays(), 0);
	release(&o);
	unsetenv("KEYSKEW_CGROUP");
	run(&o, STEADY, "exec:./foreign forks", NULL);
	CU_ASSERT_EQUAL(o.status, 0);
	CU_ASSERT_EQUAL(strays(), 0);
	release(&o);
	if (!has_groups()) {
		printf("(no cgroup v2 to write to) ");
		return;
	}
	run(&o, STEADY, "exec:./foreign forks-naked", NULL);
	CU_ASSERT_EQUAL(o.status, 0);
	CU_ASSERT_EQUAL(strays(), 0);
	release(&o);
}

/* It closes its stdout and stays: what it printed is judged, and it is ended. */
static void shutting_foreign(void)
{
	struct outcome o;
	run(&o, STEADY, "exec:./foreign shuts", NULL);
	CU_ASSERT_EQUAL(o.status, 0);
	CU_ASSERT_EQUAL(o.out.records.n, 11);
	release(&o);
}

/* keyskew is killed while a program's stray lives: the next run ends it. */
static void killed_with_stray(void)
{
	struct outcome o;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		run(&o, STEP, "exec:./foreign forks", NULL);
		_exit(0);
	}
	for (int i = 0; i < 6000 && strays() < 2; i++) /* one a node */
		usleep(10000);
	CU_ASSERT_EQUAL(strays(), 2);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	run(&o, STEADY, "exec:./foreign brief", NULL);
	CU_ASSERT_EQUAL(strays(), 0);
	release(&o);
}

/* Faults by signals, where there is no cgroup. */
static void stops_by_signal(void)
{
	struct outcome o;
	setenv("KEYSKEW_CGROUP", "off", 1);
	run(&o, "keyskew: 1\nduration: 1s\nworkload: {rate: 400/s}\nfaults:\n- {at: 300ms, stop-world: 200ms}\n", "counter", NULL);
	CU_ASSERT_EQUAL(o.status, 0);
	CU_ASSERT_EQUAL(o.out.ninjection, 1);
	release(&o);
	unsetenv("KEYSKEW_CGROUP");
}

/* Leftovers of a keyskew that was killed go at the next start. */
static void sweeps(void)
{
	fflush(NULL);
	pid_t dead = fork();
	if (dead == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	char dir[64], note[96], page[64], cmd[64];
	snprintf(dir, sizeof(dir), "/dev/shm/keyskew-%ld-abcdef", (long)dead);
	snprintf(note, sizeof(note), "%s/pid-%ld", dir, (long)dead);
	snprintf(page, sizeof(page), "/dev/shm/faketime_shm_%ld", (long)dead);
	snprintf(cmd, sizeof(cmd), "mkdir %s", dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
	fclose(fopen(note, "w"));
	fclose(fopen(page, "w"));
	struct outcome o;
	run(&o, STEADY, "exec:./foreign brief", NULL);
	CU_ASSERT_EQUAL(access(dir, F_OK), -1);
	CU_ASSERT_EQUAL(access(page, F_OK), -1);
	release(&o);
}

/* keyskew itself is killed: its subjects go by themselves, its files at the next start. */
static void killed_harness(void)
{
	struct outcome o;
	pid_t subject[8];
	int n = 0;

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		run(&o, STEP, "unixmilli", NULL);
		_exit(0);
	}
	for (int i = 0; i < 6000 && n < 2; i++, usleep(10000))
		n = children_of(pid, subject, 8);
	CU_ASSERT_EQUAL(n, 2);
	usleep(700000); /* into the run */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < n; i++) {
		int tries = 0;
		while (kill(subject[i], 0) == 0 && tries++ < 6000)
			usleep(10000);
		CU_ASSERT_EQUAL(kill(subject[i], 0), -1);
	}
	run(&o, STEADY, "exec:./foreign brief", NULL);
	char mine[64];
	snprintf(mine, sizeof(mine), "ls -d /dev/shm/keyskew-%ld-* 2>/dev/null", (long)pid);
	CU_ASSERT_NOT_EQUAL(system(mine), 0);
	release(&o);
}

int main(void)
{
	before = leftovers();
	static const struct ks_test tests[] = {
	    {"carries", carries},
	    {"step doubles milliseconds", step_doubles_milliseconds},
	    {"step makes snowflake refuse", step_makes_snowflake_refuse},
	    {"many threads and offsets", many_threads_and_offsets},
	    {"every fault", every_fault},
	    {"special faults", special_faults},
	    {"restarts", restarts},
	    {"clones", clones},
	    {"control is without faults", control_is_without_faults},
	    {"killed subject", killed_subject},
	    {"interrupted", interrupted},
	    {"bad generator text", bad_generator_text},
	    {"steady foreign", steady_foreign},
	    {"late foreign", late_foreign},
	    {"stopped foreign", stopped_foreign},
	    {"brief foreign", brief_foreign},
	    {"garbage foreign", garbage_foreign},
	    {"flooding foreign", flooding_foreign},
	    {"stubborn foreign", stubborn_foreign},
	    {"bad foreign", bad_foreign},
	    {"nothing faked", nothing_faked},
	    {"unprovable foreign", unprovable_foreign},
	    {"libuuid", libuuid},
	    {"forking foreign", forking_foreign},
	    {"shutting foreign", shutting_foreign},
	    {"stops by signal", stops_by_signal},
	    {"killed with stray", killed_with_stray},
	    {"sweeps", sweeps},
	    {"killed harness", killed_harness},
	    {NULL, NULL},
	};
	char why[256];

	if (ks_world_faketime.available(why, sizeof(why)) != 0) {
		printf("skipped: %s\n", why);
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IONBF, 0);
	return ks_test_main("faketime", tests);
}
