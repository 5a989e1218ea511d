/* A guest from end to end: a step in it, duplicates of the right number, the proof. With KEYSKEW_TEST_LONG=1 also fleets, clones
 * and their random source, and what is left when a guest dies; test_fleet has most of that without a guest.
 * Skipped (77) where no guest can run. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "descriptors.h"
#include "ks_mem.h"
#include "ks_qemu.h"
#include "ks_test.h"
#include "ks_time.h"
#include "ks_world.h"

/* 1000 calls/s: a step back of 120 ms makes 120 milliseconds come twice. */
static const char scenario[] =
	"keyskew: 1\n"
	"start: 2026-01-15T10:00:00Z\n"
	"duration: 2s\n"
	"faults:\n"
	"- {name: back, at: 1s, node: n1, step: -120ms}\n";

static void nap(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / KS_SEC, .tv_nsec = ns % KS_SEC};
	nanosleep(&ts, NULL);
}

/* Processes of the name that this one has started. @return how many; the pid of one in *pid. */
static int children(const char *name, pid_t *pid)
{
	DIR *d = opendir("/proc");
	int n = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		char path[300], text[512] = "", *end;
		int parent = 0;
		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		if (fgets(text, sizeof(text), f) && (end = strrchr(text, ')')) && sscanf(end, ") %*c %d", &parent) == 1 &&
		    parent == getpid() && strstr(text, name)) {
			*pid = atoi(e->d_name);
			n++;
		}
		fclose(f);
	}
	if (d)
		closedir(d);
	return n;
}

static int run(const char *text, const char *generator, volatile const int *stop, int64_t timeout_ns,
               struct ks_run_output *out, struct ks_err *err)
{
	struct ks_plan plan;
	struct ks_gen_spec spec;
	char why[200];
	int failed = -1;

	CU_ASSERT_EQUAL_FATAL(ks_plan_parse(text, strlen(text), "test", NULL, 0, &plan, err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, generator, &spec, err), 0);
	CU_ASSERT_EQUAL(ks_world_qemu.carries(&plan, &spec, why, sizeof(why)), 0);
	struct ks_run_request request = {.plan = &plan, .gen = &spec, .seed = 1, .stop = stop, .timeout_ns = timeout_ns};
	failed = ks_world_qemu.run(&request, out, err);
	if (failed)
		fprintf(stderr, "%s\n", err->text);
	ks_plan_release(&plan);
	return failed;
}

static int by_key(const void *a, const void *b)
{
	return ks_key_cmp(((const struct ks_record *)a)->key, ((const struct ks_record *)b)->key);
}

/* All records by key; ks_free them. */
static struct ks_record *sorted(const struct ks_records *r)
{
	struct ks_record *v = ks_alloc(r->n, sizeof(*v));

	CU_ASSERT_PTR_NOT_NULL_FATAL(v);
	for (size_t i = 0; i < r->n; i++)
		v[i] = ks_record_get(r, i);
	qsort(v, r->n, sizeof(*v), by_key);
	return v;
}

/* Keys that were issued before and again after an instant of true time, each once. */
static size_t issued_again(const struct ks_records *r, int64_t at_ns)
{
	struct ks_record *v = sorted(r);
	size_t n = 0;

	for (size_t i = 0, j; i < r->n; i = j) {
		bool before = false, after = false;
		for (j = i; j < r->n && ks_key_equal(v[j].key, v[i].key); j++) {
			before |= v[j].read_at_ns < at_ns;
			after |= v[j].read_at_ns >= at_ns;
		}
		n += before && after;
	}
	ks_free(v);
	return n;
}

/* Readings that are off by more than is right before or after the step of a node. */
static size_t wrong_readings(const struct ks_run_output *out, uint32_t node, int64_t before_ns, int64_t after_ns)
{
	size_t n = 0, seen = 0;

	for (size_t i = 0; i < out->records.n; i++) {
		struct ks_record r = ks_record_get(&out->records, i);
		const struct ks_injection *step = &out->injection[0];
		if (out->records.lanes[r.lane].node != node || r.read_ns == KS_NO_TIME)
			continue;
		int64_t since = r.read_at_ns - step->at_ns;
		bool after = step->node == node && since > 0;
		seen++;
		if (step->node != node || llabs(since) > 10 * KS_MS)
			n += llabs(r.read_ns - r.read_at_ns - (after ? after_ns : before_ns)) > 5 * KS_MS;
	}
	return seen ? n : SIZE_MAX;
}

/* A machine that is busy with other things may be too late for the step; the world says so and is asked again. */
static int run_patiently(const char *text, const char *generator, struct ks_run_output *out)
{
	struct ks_err err = {0};

	for (int tries = 0; tries < 4; tries++) {
		if (run(text, generator, NULL, 0, out, &err) == 0)
			return 0;
		if (!strstr(err.text, "too busy"))
			break;
	}
	return -1;
}

static void test_step(void)
{
	struct ks_run_output out;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(run_patiently(scenario, "unixmilli", &out), 0);
	CU_ASSERT(out.records.n > 1500 && out.records.n <= 2000); /* what is too late at the end is not begun */
	CU_ASSERT_EQUAL_FATAL(out.ninjection, 1);
	CU_ASSERT_EQUAL(out.injection[0].commanded, -120 * KS_MS);
	CU_ASSERT(llabs(out.injection[0].observed - out.injection[0].commanded) <= out.injection[0].tolerance);
	CU_ASSERT(out.injection[0].at_ns >= KS_SEC);
	CU_ASSERT_EQUAL(wrong_readings(&out, 0, 0, -120 * KS_MS), 0);
	/* where calls are late, milliseconds are left out: fewer come twice, never more */
	size_t again = issued_again(&out.records, out.injection[0].at_ns);
	fprintf(stderr, "%s: %zu keys again\n", out.detail, again);
	CU_ASSERT(again >= 20 && again <= 121);
	ks_run_output_release(&out);
	CU_ASSERT_EQUAL(children("qemu", &pid), 0);
}

static void test_two_nodes(void)
{
	static const char text[] = "keyskew: 1\nduration: 2s\n"
	                           "fleet: {nodes: [{name: a}, {name: b, offset: +40ms}], threads: 2}\n"
	                           "workload: {rate: 200/s}\n"
	                           "faults:\n- {name: on, at: 1s, node: b, step: +250ms}\n";
	struct ks_run_output out;

	CU_ASSERT_EQUAL_FATAL(run_patiently(text, "snowflake", &out), 0);
	CU_ASSERT(out.records.n > 600 && out.records.n <= 800);
	CU_ASSERT_EQUAL(out.records.nlanes, 4);
	CU_ASSERT_EQUAL_FATAL(out.ninjection, 1);
	CU_ASSERT_EQUAL(out.injection[0].node, 1);
	CU_ASSERT_EQUAL(wrong_readings(&out, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(wrong_readings(&out, 1, 40 * KS_MS, 290 * KS_MS), 0);
	struct ks_record *v = sorted(&out.records);
	size_t twice = 0;
	for (size_t i = 1; i < out.records.n; i++)
		twice += ks_key_equal(v[i - 1].key, v[i].key);
	CU_ASSERT_EQUAL(twice, 0);
	ks_free(v);
	ks_run_output_release(&out);
}

/* Waits for the guest, gives it time to boot, and does to it what is to be done. */
struct attack {
	int signal;         /* to QEMU; 0: none */
	volatile int *stop; /* to set */
	int64_t after_ns, timeout_ns;
};

static void *attack(void *arg)
{
	const struct attack *a = arg;
	pid_t pid = 0;

	while (!children("qemu", &pid))
		nap(10 * KS_MS);
	nap(a->after_ns);
	if (a->signal)
		kill(pid, a->signal);
	if (a->stop)
		*a->stop = SIGINT;
	return NULL;
}

static void attacked(struct attack a, const char *expected)
{
	struct ks_run_output out;
	struct ks_err err = {0};
	pthread_t thread;
	int fds = descriptors();
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, attack, &a), 0);
	CU_ASSERT_EQUAL(run(scenario, "unixmilli", a.stop, a.timeout_ns, &out, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, expected));
	CU_ASSERT_EQUAL(out.records.n, 0);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(children("qemu", &pid), 0);
	CU_ASSERT_EQUAL(descriptors(), fds);
}

static void test_killed_at_boot(void)
{
	attacked((struct attack){.signal = SIGKILL, .after_ns = 20 * KS_MS}, "ended");
}

static void test_killed_in_the_run(void)
{
	attacked((struct attack){.signal = SIGKILL, .after_ns = 1200 * KS_MS}, "ended");
}

static void test_hung(void)
{
	attacked((struct attack){.signal = SIGSTOP, .after_ns = 1200 * KS_MS, .timeout_ns = 8 * KS_SEC}, "in time");
}

static void test_interrupted(void)
{
	static volatile int stop;
	attacked((struct attack){.stop = &stop, .after_ns = 1 * KS_SEC}, "interrupted");
}

/* An image whose kernel finds no init panics: the console's words must be in the error. */
static void test_panic(void)
{
	char dir[] = "/tmp/keyskew-test-XXXXXX", path[1024], link[128], from[1024];
	struct ks_run_output out;
	struct ks_err err = {0};
	char *old = getenv("KEYSKEW_GUEST") ? strdup(getenv("KEYSKEW_GUEST")) : NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	CU_ASSERT_EQUAL_FATAL(ks_guest_path("vmlinux", from, sizeof(from)), 0);
	snprintf(path, sizeof(path), "%s/vmlinux", dir);
	CU_ASSERT_EQUAL_FATAL(symlink(from, path), 0);
	snprintf(link, sizeof(link), "%s/current", dir);
	CU_ASSERT_EQUAL_FATAL(symlink(".", link), 0);
	snprintf(link, sizeof(link), "%s/initramfs", dir);
	FILE *f = fopen(link, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs("no archive", f);
	fclose(f);
	setenv("KEYSKEW_GUEST", dir, 1);
	CU_ASSERT_EQUAL(run(scenario, "unixmilli", NULL, 0, &out, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "Kernel panic"));
	if (old)
		setenv("KEYSKEW_GUEST", old, 1);
	else
		unsetenv("KEYSKEW_GUEST");
	free(old);
	unlink(path);
	unlink(link);
	snprintf(link, sizeof(link), "%s/current", dir);
	unlink(link);
	snprintf(link, sizeof(link), "%s/kvm-hangs", dir);
	unlink(link);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

/* ---- Clones ---- */

static int64_t soon(void)
{
	return ks_host_ns() + 30 * KS_SEC;
}

/* The first random number of a guest's generator. */
static uint32_t first_random(struct ks_vm *vm)
{
	struct {
		struct ks_wire_config config;
		char text[16];
	} m = {.config = {.threads = 1, .lanes_of_node = 1, .seed = 1, .duration_ns = 20 * KS_MS, .rate_count = 1, .rate_per_ns = 10 * KS_MS,
	                  .user_low = 1, .user_high = 1},
	       .text = "milli-rand32"};
	struct ks_wire_record record = {0};
	struct ks_vm_clocks c = {0};
	const void *payload;
	struct ks_err err = {0};
	uint32_t length = 0;

	CU_ASSERT_EQUAL_FATAL(ks_vm_send(vm, KS_WIRE_CONFIG, &m, sizeof(m.config) + 13, &err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_vm_expect(vm, KS_WIRE_READY, NULL, 0, soon(), &err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_vm_clocks(vm, 1, &c, &err), 0);
	struct ks_wire_start start = {.start_raw_ns = c.guest.raw_ns + 10 * KS_MS};
	CU_ASSERT_EQUAL_FATAL(ks_vm_send(vm, KS_WIRE_START, &start, sizeof(start), &err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_vm_recv(vm, &payload, &length, soon(), &err), KS_WIRE_RECORDS);
	CU_ASSERT_FATAL(length >= sizeof(record));
	memcpy(&record, payload, sizeof(record));
	return (uint32_t)record.key_lo;
}

/* Lets two clones go and compares their random numbers. */
static bool clones_alike(struct ks_vm_loop *loop, struct ks_vm_saved *saved, const struct ks_vm_options *a, const struct ks_vm_options *b)
{
	const struct ks_vm_options *o[] = {a, b};
	struct ks_err err = {0};
	struct ks_vm *vm[2];
	uint32_t random[2];

	for (int i = 0; i < 2; i++) {
		vm[i] = ks_vm_clone(loop, saved, o[i], &err);
		CU_ASSERT_PTR_NOT_NULL_FATAL(vm[i]);
	}
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(ks_vm_wait_hello(vm[i], soon(), &err), 0);
		nap(a->vmgenid != b->vmgenid ? 300 * KS_MS : 0); /* the driver hears of a new one by an interrupt */
		random[i] = first_random(vm[i]);
	}
	ks_vm_free(vm[0]);
	ks_vm_free(vm[1]);
	return random[0] == random[1];
}

/* The kernel may stir its random source just then: it does so now and then, and often when it is young. */
static bool ever_alike(struct ks_vm_loop *loop, struct ks_vm_saved *saved, const struct ks_vm_options *o)
{
	for (int tries = 0; tries < 5; tries++)
		if (clones_alike(loop, saved, o, o))
			return true;
	return false;
}

static struct ks_vm_saved *saved_with(struct ks_vm_loop *loop, struct ks_vm_options o, struct ks_err *err)
{
	o.savable = true;
	struct ks_vm *vm = ks_vm_start(loop, &o, err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(vm);
	CU_ASSERT_EQUAL_FATAL(ks_vm_wait_hello(vm, ks_host_ns() + 120 * KS_SEC, err), 0);
	/* Stirred now, it will not be soon again. */
	struct ks_wire_hello hello;
	CU_ASSERT_EQUAL_FATAL(ks_vm_send(vm, KS_WIRE_WAKE, "some", 4, err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_vm_expect(vm, KS_WIRE_HELLO, &hello, sizeof(hello), soon(), err), 0);
	struct ks_vm_saved *saved = ks_vm_save(vm, soon(), err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(saved);
	/* it goes on, and can be saved again */
	struct ks_vm_clocks c;
	CU_ASSERT_EQUAL(ks_vm_clocks(vm, 1, &c, err), 0);
	struct ks_vm_saved *again = ks_vm_save(vm, soon(), err);
	CU_ASSERT_PTR_NOT_NULL(again);
	ks_vm_saved_free(again);
	ks_vm_free(vm);
	return saved;
}

static bool has_vmgenid(void)
{
	char path[1024], line[256];
	bool found = false;

	FILE *f = ks_guest_path("about", path, sizeof(path)) == 0 ? fopen(path, "r") : NULL;
	while (f && fgets(line, sizeof(line), f))
		found = found || !strncmp(line, "vmgenid", 7);
	if (f)
		fclose(f);
	return found;
}

static void test_random_of_clones(void)
{
	struct ks_vm_options fresh = {.cpus = 1}, same = {.cpus = 1, .same_random = true};
	struct ks_vm_options born = same, again = same;
	struct ks_err err = {0};
	struct ks_vm_loop *loop = ks_vm_loop_new(NULL, &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
	struct ks_vm_saved *saved = saved_with(loop, fresh, &err);
	CU_ASSERT_FALSE(clones_alike(loop, saved, &fresh, &fresh));
	CU_ASSERT_TRUE(ever_alike(loop, saved, &same));
	CU_ASSERT_FALSE(clones_alike(loop, saved, &same, &fresh));
	CU_ASSERT_PTR_NULL(ks_vm_clone(loop, saved, &(struct ks_vm_options){.cpus = 2}, &err)); /* another machine */
	ks_vm_saved_free(saved);
	if (has_vmgenid()) {
		born.vmgenid = "5b0a2d5c-0000-4a6e-8f00-000000000001";
		again.vmgenid = "5b0a2d5c-0000-4a6e-8f00-000000000002";
		saved = saved_with(loop, born, &err);
		CU_ASSERT_TRUE(ever_alike(loop, saved, &born));
		CU_ASSERT_FALSE(clones_alike(loop, saved, &born, &again));
		ks_vm_saved_free(saved);
	}
	ks_vm_loop_free(loop);
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"a step in a guest", test_step}, {NULL, NULL},
	}, more[] = {
		{"a step in a guest", test_step},           {"two nodes", test_two_nodes},
		{"random source of clones", test_random_of_clones},
		{"qemu killed at boot", test_killed_at_boot}, {"qemu killed in the run", test_killed_in_the_run},
		{"qemu hung in the run", test_hung},
		{"interrupted", test_interrupted},          {"kernel panic", test_panic},
		{NULL, NULL},
	};
	const char *longer = getenv("KEYSKEW_TEST_LONG");
	char why[600];

	if (ks_world_qemu.available(why, sizeof(why)) != 0) {
		printf("skipped: %s\n", why);
		return 77;
	}
	return ks_test_main("guest", longer && !strcmp(longer, "1") ? more : tests);
}
