/* The world qemu without a guest: QEMU is a program that only calls itself so (fake_qemu.c), and behaves, or does not. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descriptors.h"
#include "ks_qemu.h"
#include "ks_test.h"
#include "ks_time.h"
#include "ks_world.h"
#include "qemu_seats.h"

#define TIMEOUT_NS (2 * KS_SEC) /* of a run that would never end */

static char folder[] = "/tmp/keyskew-test-XXXXXX";
static const char *const files[] = {"vmlinux", "initramfs"};

static const char step[] = "keyskew: 1\nstart: 2026-01-15T10:00:00Z\nduration: 300ms\nworkload: {rate: 20000/s}\n"
			   "fleet: {nodes: [{name: a, zone: x}, {name: b, zone: y, offset: +40ms}], threads: 2}\n"
			   "faults:\n- {name: back, at: 150ms, zone: y, step: -120ms}\n";

/* The threads of what is no guest are on no core of it. Thread 1 makes its calls at 250 and 750 ms: then it makes none while its core
 * stands; else it does. */
#define CORE "keyskew: 1\nstart: 2026-01-15T10:00:00Z\nduration: 900ms\nfleet: {threads: 2}\nfaults:\n- {name: steal, at: 300ms, core: 1, pause: 300ms}\n"
static const char core[] = CORE "workload: {rate: 4/s}\n", astray[] = CORE "workload: {rate: 1000/s}\n";
static const char long_core[] = "keyskew: 1\nstart: 2026-01-15T10:00:00Z\nduration: 9s\nworkload: {rate: 1000/s}\nfleet: {threads: 2}\n"
				"faults:\n- {name: steal, at: 300ms, core: 1, pause: 8s}\n";
static const char *scenario = step;

/* Of this thread, that were not waited for. */
static int children(void)
{
	char path[64], text[4096] = "";
	int n = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	FILE *f = fopen(path, "r");
	if (f && fgets(text, sizeof(text), f))
		for (const char *p = text; (p = strchr(p, ' ')); p++)
			n++;
	if (f)
		fclose(f);
	return n;
}

static int run(int64_t timeout_ns, volatile const int *stop, struct ks_run_output *out, struct ks_err *err)
{
	struct ks_plan plan;
	struct ks_gen_spec spec;
	char why[200];

	CU_ASSERT_EQUAL_FATAL(ks_plan_parse(scenario, strlen(scenario), "test", NULL, 0, &plan, err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, "unixmilli", &spec, err), 0);
	CU_ASSERT_EQUAL(ks_world_qemu.carries(&plan, &spec, why, sizeof(why)), 0);
	struct ks_run_request request = {.plan = &plan, .gen = &spec, .seed = 1, .stop = stop, .timeout_ns = timeout_ns};
	int failed = ks_world_qemu.run(&request, out, err);
	ks_plan_release(&plan);
	return failed;
}

/* A run on a machine that is busy with other things may say that it is. */
static int run_patiently(struct ks_run_output *out)
{
	struct ks_err err = {0};

	for (int tries = 0; tries < 5; tries++) {
		if (run(0, NULL, out, &err) == 0)
			return 0;
		fprintf(stderr, "%s\n", err.text);
	}
	return -1;
}

static void fleet_runs(const char *fake)
{
	struct ks_run_output out;

	setenv("KEYSKEW_FAKE", fake, 1);
	CU_ASSERT_EQUAL_FATAL(run_patiently(&out), 0);
	CU_ASSERT(out.records.n > 6000 && out.records.n <= 12000); /* what is too late at the end is not begun */
	CU_ASSERT_EQUAL(out.records.nlanes, 4);
	CU_ASSERT_EQUAL_FATAL(out.ninjection, 1);
	CU_ASSERT_EQUAL(out.injection[0].node, 1);
	CU_ASSERT(llabs(out.injection[0].observed + 120 * KS_MS) <= out.injection[0].tolerance);
	CU_ASSERT_STRING_EQUAL(out.detail, "tcg, linux 0.0 fake, QEMU 0.0.0");
	ks_run_output_release(&out);
}

static void test_fleet(void)
{
	fleet_runs("good");
	int fds = descriptors(); /* the template's two stay */
	fleet_runs("good");
	CU_ASSERT_EQUAL(descriptors(), fds);
	CU_ASSERT_EQUAL(children(), 0);
}

static void test_chatter(void)
{
	fleet_runs("chatter");
}

static void fails(const char *fake, int64_t timeout_ns, volatile const int *stop, const char *expected)
{
	struct ks_run_output out;
	struct ks_err err = {0};
	int fds = descriptors();

	setenv("KEYSKEW_FAKE", fake, 1);
	for (int tries = 0; tries < 5; tries++) {
		CU_ASSERT_EQUAL_FATAL(run(timeout_ns, stop, &out, &err), -1);
		if (!strstr(err.text, "too busy"))
			break;
	}
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, expected));
	if (!strstr(err.text, expected))
		fprintf(stderr, "%s: %s\n", fake, err.text);
	CU_ASSERT_EQUAL(out.records.n, 0);
	CU_ASSERT_EQUAL(descriptors(), fds);
	CU_ASSERT_EQUAL(children(), 0);
}

static void test_misbehaviour(void)
{
	fails("panic", 0, NULL, "Kernel panic - not syncing: out of .[31mpatience");
	fails("garbage", 0, NULL, "guest sent garbage; its console:");
	fails("close", 0, NULL, "guest ended before its work was done; its console:");
	fails("flood", 0, NULL, "guest sent");
	fails("hang", TIMEOUT_NS, NULL, "in time; its console: watchdog: soft lockup");
	fails("deaf", 0, NULL, "fault 'back'");
}

/* ---- Lives ---- */

static const char reboot[] = "keyskew: 1\nstart: 2026-01-15T10:00:00Z\nduration: 7s\nworkload: {rate: 1000/s}\nfleet: {nodes: 1}\n"
			     "faults:\n- {name: off, at: 500ms, restart: node, for: 5s}\n";
static const char rollback[] = "keyskew: 1\nduration: 6s\nworkload: {rate: 1000/s}\nfleet: {nodes: 1}\n"
			       "faults:\n- {name: keep, at: 300ms, node: n1, snapshot: warm}\n- {name: back, at: 3s, rollback: warm, vmgenid: false, clocks: running}\n";

/* Arrivals go on where those of the machine before ended, and those that came while it was off are served when it is on. */
static void check_incarnations(const struct ks_run_output *out)
{
	uint64_t n[2] = {0};
	int64_t due_ns = -KS_MS, first_ns = INT64_MAX;

	for (size_t i = 0; i < out->records.n; i++) {
		struct ks_record r = ks_record_get(&out->records, i);
		CU_ASSERT_FATAL(r.lane < 2);
		CU_ASSERT_EQUAL(r.seq, n[r.lane]++);
		CU_ASSERT_EQUAL(r.due_ns, due_ns + KS_MS);
		due_ns = r.due_ns;
		CU_ASSERT(r.lane == 1 || r.call_ns < 600 * KS_MS);
		first_ns = r.lane == 1 && r.call_ns < first_ns ? r.call_ns : first_ns;
	}
	CU_ASSERT(n[0] > 300 && n[0] <= 501);
	CU_ASSERT(n[1] > 5000);
	CU_ASSERT(first_ns >= 5500 * KS_MS && first_ns < 5700 * KS_MS);
}

static void test_reboot(void)
{
	struct ks_run_output out;

	scenario = reboot;
	setenv("KEYSKEW_FAKE", "good", 1);
	CU_ASSERT_EQUAL_FATAL(run_patiently(&out), 0);
	CU_ASSERT_EQUAL_FATAL(out.records.nlanes, 2);
	CU_ASSERT(out.records.lanes[1].node == 0 && out.records.lanes[1].incarnation == 1);
	check_incarnations(&out);
	CU_ASSERT_EQUAL(out.ninjection, 1);
	ks_run_output_release(&out);
	CU_ASSERT_EQUAL(children(), 0);
	const char *takes_long = getenv("KEYSKEW_TEST_LONG");
	if (takes_long && *takes_long != '0')
		fails("dead-battery", 0, NULL, "behind the battery-backed clock after a boot");
	scenario = rollback;
	fails("good", 0, NULL, "savevm: qemu has lost a job"); /* it has no disks */
	scenario = step;
}

static void *interrupt(void *stop)
{
	usleep(500000);
	*(volatile int *)stop = 2;
	return NULL;
}

/* After the start, which takes less than half of this. */
static void *interrupt_late(void *stop)
{
	usleep(1500000);
	return interrupt(stop);
}

static void test_interrupt(void)
{
	volatile int stop = 0;
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, interrupt, (void *)&stop), 0);
	fails("good", 0, &stop, "interrupted");
	pthread_join(thread, NULL);
}

/* ---- A core that is stopped ---- */

static void test_core(void)
{
	struct ks_run_output out;

	scenario = core;
	setenv("KEYSKEW_FAKE", "good", 1);
	CU_ASSERT_EQUAL_FATAL(run_patiently(&out), 0);
	CU_ASSERT_EQUAL_FATAL(out.ninjection, 1);
	CU_ASSERT_EQUAL(out.injection[0].commanded, 300 * KS_MS);
	CU_ASSERT(llabs(out.injection[0].observed - 300 * KS_MS) <= out.injection[0].tolerance);
	CU_ASSERT_EQUAL(children(), 0);
	ks_run_output_release(&out);
	scenario = astray;
	fails("good", 0, NULL, "fault 'steal' is not proven: thread 1 made a call while its core stood");
	scenario = core;
	fails("wrong-core", 0, NULL, "fault 'steal' is not proven: the other core, too, stood for");
	fails("no-core", 0, NULL, "qemu names 2 cores, and no core 1");
	fails("lost-core", 0, NULL, "which this machine does not allow: No such process");
	fails("stuck-core", 0, NULL, "cannot be stopped alone: QEMU stands with it");
	scenario = step;
}

/* Whose core stands when the run is interrupted, or out of time: it is gone nonetheless. */
static void test_core_ends(void)
{
	volatile int stop = 0;
	pthread_t thread;

	scenario = long_core;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, interrupt_late, (void *)&stop), 0);
	fails("good", 0, &stop, "interrupted");
	pthread_join(thread, NULL);
	fails("good", TIMEOUT_NS, NULL, "in time");
	scenario = step;
}

/* ---- Runs side by side ---- */

static void *one_of_many(void *failed)
{
	struct ks_run_output out;

	*(int *)failed = run_patiently(&out);
	if (!*(int *)failed)
		ks_run_output_release(&out);
	return NULL;
}

/* More guests than there are seats for, and one template for all. */
static void test_side_by_side(void)
{
	pthread_t thread[3];
	int failed[3];

	setenv("KEYSKEW_FAKE", "good", 1);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, one_of_many, &failed[i]), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		CU_ASSERT_EQUAL(failed[i], 0);
	}
}

static void test_seats(void)
{
	volatile int stop = 1;
	struct ks_err err = {0};
	int all = ks_guest_seats();

	CU_ASSERT(all >= 4);
	CU_ASSERT_EQUAL(ks_guest_seats_take(all - 1, &stop, &err), 0);
	CU_ASSERT_EQUAL(ks_guest_seats_take(1, &stop, &err), 0);
	CU_ASSERT_EQUAL(ks_guest_seats_take(1, &stop, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "interrupted");
	ks_guest_seats_leave(all);
	CU_ASSERT_EQUAL(ks_guest_seats_take(all + 1, &stop, &err), 0); /* alone, however large */
	ks_guest_seats_leave(all + 1);
}

/* ---- An image that is none, and a QEMU like it ---- */

static void put(const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/current/%s", folder, name);
	FILE *f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fclose(f);
}

static void test_set_up(void)
{
	char path[4096];

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/current", folder);
	CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		put(files[i]);
	setenv("KEYSKEW_GUEST", folder, 1);
	setenv("KEYSKEW_ACCEL", "tcg", 1);
	snprintf(path, sizeof(path), "%s:%s", KS_FAKE_FOLDER, getenv("PATH"));
	setenv("PATH", path, 1);
}

static void tear_down(void)
{
	char path[256];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/current/%s", folder, files[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/current", folder);
	rmdir(path);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static void test_clean(void)
{
	tear_down();
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"an image", test_set_up},
		{"a fleet", test_fleet},           {"a chatty console", test_chatter}, {"misbehaviour", test_misbehaviour},
		{"a core", test_core},             {"a core stands at the end", test_core_ends},
		{"a reboot", test_reboot},         {"interrupted", test_interrupt},   {"side by side", test_side_by_side}, {"seats", test_seats},
		{"nothing is left", test_clean},   {NULL, NULL},
	};
	return ks_test_main("fleet", tests);
}
