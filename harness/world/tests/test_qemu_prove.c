/* What guests carry, and the proof of their faults from readings that are made here: it must fail where a clock did anything else. */
#include <stdio.h>
#include <string.h>

#include "ks_mem.h"
#include "ks_test.h"
#include "ks_time.h"
#include "qemu_clone.h"
#include "qemu_fleet.h"
#include "qemu_play.h"

#define T(ms) ((ms) * KS_MS)

static struct ks_plan_node node = {.name = "n1"};
static struct ks_fault fault;
static struct ks_plan plan = {.nodes = 1, .node = &node, .start_unix_ns = INT64_C(1768471200) * KS_SEC, .duration_ns = 20 * KS_SEC,
                              .fault = &fault, .faults = 1};
static struct ks_err err;

/* What a node that nothing happened to shows, and then some. */
static struct ks_wire_clocks reading(int64_t at_ns, const int64_t more_ns[KS_NCLOCKS])
{
	struct ks_wire_clocks c = {.raw_ns = at_ns - 200, .raw_after_ns = at_ns + 200};

	for (int id = 0; id < KS_NCLOCKS; id++)
		c.clock_ns[id] = at_ns + (id == KS_REALTIME || id == KS_TAI ? plan.start_unix_ns : 1000 * KS_SEC) + more_ns[id];
	return c;
}

static const int64_t none[KS_NCLOCKS];

struct run {
	struct ks_fault_event event[2];
	struct ks_deed deed[2];
	struct ks_guest_play play;
	struct ks_injection injection[4];
	struct ks_run_output output;
};

static void make(struct run *r, const char *kind, const char *source)
{
	memset(r, 0, sizeof(*r));
	fault = (struct ks_fault){.name = "f", .kind = ks_fault_kind_find(kind)};
	r->play = (struct ks_guest_play){.plan = &plan, .event = r->event, .nevents = 2, .deed = r->deed, .deeds = 1, .kernel = 6001, .first = reading(T(-100), none)};
	snprintf(r->play.source, sizeof(r->play.source), "%s", source);
	r->output.injection = r->injection;
}

static int prove(struct run *r)
{
	r->output.ninjection = 0;
	memset(r->injection, 0, sizeof(r->injection));
	return ks_guest_prove(&r->play, &r->output, &err);
}

/* A deed at 2 s, after which the clocks are off by more[], to the end of the run. */
static void shows(struct run *r, int64_t after_ns, const int64_t more[KS_NCLOCKS])
{
	r->deed[0].before = reading(T(2000), none);
	r->deed[0].after = reading(after_ns, more);
	r->play.last = reading(T(21000), more);
}

static void test_step(void)
{
	static const int64_t stepped[KS_NCLOCKS] = {[KS_REALTIME] = -T(120), [KS_TAI] = -T(120)};
	static const int64_t half[KS_NCLOCKS] = {[KS_REALTIME] = -T(60), [KS_TAI] = -T(60)};
	static const int64_t alone[KS_NCLOCKS] = {[KS_REALTIME] = -T(120)};
	static const int64_t also[KS_NCLOCKS] = {[KS_REALTIME] = -T(120), [KS_TAI] = -T(120), [KS_MONOTONIC] = -T(120)};
	struct run r;

	make(&r, "step", "tsc");
	r.event[0] = (struct ks_fault_event){.at_ns = T(2000), .op = KS_FAULT_STEP, .amount = -T(120)};
	r.deed[0] = (struct ks_deed){.kind = KS_DEED_ACT, .act = {.kind = KS_ACT_STEP, .amount = -T(120)}, .at_ns = T(2000)};
	shows(&r, T(2001), stepped);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT_EQUAL(r.output.ninjection, 1);
	CU_ASSERT_EQUAL(r.injection[0].commanded, -T(120));
	CU_ASSERT_EQUAL(r.injection[0].observed, -T(120));
	shows(&r, T(2001), none);
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	shows(&r, T(2001), half);
	CU_ASSERT_EQUAL(prove(&r), -1);
	shows(&r, T(2001), alone);
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'tai'"));
	shows(&r, T(2001), also);
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'monotonic'"));
	shows(&r, T(2001), stepped); /* and somebody steps it back later */
	r.play.last = reading(T(21000), none);
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no fault explains it"));
}

static void test_slew(void)
{
	int64_t bent[KS_NCLOCKS], off = 1000 * KS_US; /* 500 ppm for 2 s */
	struct run r;

	make(&r, "slew", "tsc");
	r.event[0] = (struct ks_fault_event){.at_ns = T(2000), .op = KS_FAULT_SLEW, .amount = 500000};
	r.event[1] = (struct ks_fault_event){.at_ns = T(4000), .op = KS_FAULT_SLEW};
	r.play.deeds = 2;
	r.deed[0] = (struct ks_deed){.kind = KS_DEED_ACT, .act = {.kind = KS_ACT_RATE, .amount = 500000}, .at_ns = T(2000)};
	r.deed[1] = (struct ks_deed){.kind = KS_DEED_ACT, .act = {.kind = KS_ACT_RATE}, .event = 1, .end = 1, .at_ns = T(4000)};
	for (int id = 0; id < KS_NCLOCKS; id++)
		bent[id] = id == KS_RAW ? 0 : off;
	shows(&r, T(2000) + 1000, none);
	r.deed[1].before = reading(T(4000), bent);
	r.deed[1].after = reading(T(4000) + 1000, bent);
	r.play.last = reading(T(21000), bent);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT(r.injection[0].observed > 499000 && r.injection[0].observed < 501000);
	r.deed[1].before = reading(T(4000), none); /* it never bent */
	r.deed[1].after = reading(T(4000) + 1000, none);
	r.play.last = reading(T(21000), none);
	CU_ASSERT_EQUAL(prove(&r), -1);
	r.deed[1].before = reading(T(2010), none); /* too short to tell */
	CU_ASSERT_EQUAL(prove(&r), -1);
}

static void suspend(struct run *r, const char *source, enum ks_suspend how, enum ks_deed_kind kind)
{
	make(r, "suspend", source);
	r->event[0] = (struct ks_fault_event){.at_ns = T(2000), .op = KS_FAULT_SUSPEND, .amount = how};
	r->event[1] = (struct ks_fault_event){.at_ns = T(5000), .op = KS_FAULT_RESUME, .amount = how};
	r->deed[0] = (struct ks_deed){.kind = kind, .end = 1, .at_ns = T(2000), .until_ns = T(5000), .stood_ns = T(2000), .value = T(3000), .gap_ns = T(3001)};
}

static void all_by(int64_t more[KS_NCLOCKS], int64_t ns)
{
	for (int id = 0; id < KS_NCLOCKS; id++)
		more[id] = ns;
}

static void test_suspends(void)
{
	int64_t more[KS_NCLOCKS];
	struct run r;

	suspend(&r, "tsc", KS_SUSPEND_VM_STOP, KS_DEED_VM_STOP);
	all_by(more, -T(3000));
	shows(&r, T(5001), more);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT_EQUAL(r.injection[0].observed, T(3000));
	shows(&r, T(5001), none);
	CU_ASSERT_EQUAL(prove(&r), -1);

	suspend(&r, "hpet", KS_SUSPEND_HOST_STOP, KS_DEED_HOST_STOP);
	shows(&r, T(5001), none);
	CU_ASSERT_EQUAL(prove(&r), 0);
	r.deed[0].gap_ns = T(1); /* it saw no gap */
	CU_ASSERT_EQUAL(prove(&r), -1);
	r.deed[0].gap_ns = T(3001);
	all_by(more, -T(3000));
	shows(&r, T(5001), more);
	CU_ASSERT_EQUAL(prove(&r), -1);
}

/* QEMU says that it slept for 2.95 s; its clocks stand for 3.01 s, and the wall clock is put on by 3 s. */
static void test_sleep(void)
{
	static const int64_t asleep[KS_NCLOCKS] = {-T(10), -T(3010), -T(3010), -T(10), -T(10)};
	struct run r;

	CU_ASSERT(KS_REALTIME == 0 && KS_MONOTONIC == 1 && KS_RAW == 2);
	suspend(&r, "tsc", KS_SUSPEND_S3, KS_DEED_S3);
	r.deed[0].value = T(2950);
	shows(&r, T(5001), asleep);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT_EQUAL(r.injection[0].observed, T(3010));
	shows(&r, T(5001), none);
	CU_ASSERT_EQUAL(prove(&r), -1);
	for (int id = 0; id < KS_NCLOCKS; id++) { /* each of them alone does something else by 5 ms */
		int64_t other[KS_NCLOCKS];
		memcpy(other, asleep, sizeof(other));
		other[id] += T(5);
		shows(&r, T(5001), other);
		CU_ASSERT_EQUAL(prove(&r), -1);
	}
	shows(&r, T(5001), asleep);
	r.deed[0].value = T(2800); /* it stood for longer than a kernel takes beside its sleep, or for shorter than it slept */
	CU_ASSERT_EQUAL(prove(&r), -1);
	r.deed[0].value = T(3020);
	CU_ASSERT_EQUAL(prove(&r), -1);
	for (int s = 1; s < 6; s++) { /* bridged by whole seconds, but which? */
		int64_t by = T(1000) * s - T(3010), other[KS_NCLOCKS] = {by, -T(3010), -T(3010), by, by};
		r.deed[0].value = T(2950);
		shows(&r, T(5001), other);
		CU_ASSERT_EQUAL(prove(&r), s == 3 || s == 4 ? 0 : -1);
	}
}

/* Before its second sleep a kernel knows how far within a second its battery-backed clock was. */
static void test_second_sleep(void)
{
	static const int64_t once[KS_NCLOCKS] = {-T(10), -T(3010), -T(3010), -T(10), -T(10)}, half = T(350);
	int64_t twice[KS_NCLOCKS];
	struct run r;

	suspend(&r, "tsc", KS_SUSPEND_S3, KS_DEED_S3);
	r.deed[0].value = T(2950);
	shows(&r, T(5001), once);
	r.deed[1] = r.deed[0];
	r.play.deeds = 2;
	for (int id = 0; id < KS_NCLOCKS; id++)
		twice[id] = once[id] + (id == KS_MONOTONIC || id == KS_RAW ? -T(3010) : half);
	r.deed[1].before = reading(T(8000), once);
	r.deed[1].after = reading(T(11001), twice);
	r.play.last = reading(T(21000), twice);
	CU_ASSERT_EQUAL(prove(&r), 0);
	r.play.deeds = 1;
	shows(&r, T(5001), once);
	r.deed[0].after = reading(T(5001), twice); /* a first one by half a second */
	CU_ASSERT_EQUAL(prove(&r), -1);
}

/* The same of a run in which a thread made a call. */
static int prove_with_call(struct run *r, uint32_t thread, int64_t at_ns)
{
	static struct ks_lane lanes[] = {{.thread = 0}, {.thread = 1}};
	struct ks_record call = KS_RECORD_NONE;

	call.lane = thread;
	call.due_ns = call.call_ns = at_ns;
	call.return_ns = at_ns + 100;
	r->output.records = (struct ks_records){.lanes = ks_alloc(2, sizeof(lanes[0])), .nlanes = 2};
	CU_ASSERT_PTR_NOT_NULL_FATAL(r->output.records.lanes);
	memcpy(r->output.records.lanes, lanes, sizeof(lanes));
	CU_ASSERT_EQUAL(ks_records_add(&r->output.records, &call), 0);
	int status = prove(r);
	ks_records_release(&r->output.records);
	r->output.records = (struct ks_records){0};
	return status;
}

/* A thread of the one core saw that it stood, one of the other that it did not, and no clock moved. */
static void test_core(void)
{
	int64_t more[KS_NCLOCKS];
	struct run r;

	make(&r, "pause", "tsc");
	r.event[0] = (struct ks_fault_event){.at_ns = T(2000), .op = KS_FAULT_STOP, .extra = KS_CORES_EXTRA(2, 1)};
	r.event[1] = (struct ks_fault_event){.at_ns = T(3000), .op = KS_FAULT_RUN, .extra = KS_CORES_EXTRA(2, 1)};
	r.deed[0] = (struct ks_deed){.kind = KS_DEED_CORE, .end = 1, .at_ns = T(2000), .until_ns = T(3000), .stood_ns = T(2000), .value = T(1000), .gap_ns = T(1003), .beside_ns = T(4)};
	shows(&r, T(3061), none);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT(r.output.ninjection == 1 && r.injection[0].commanded == T(1000) && r.injection[0].observed == T(1003));
	CU_ASSERT_EQUAL(r.injection[0].tolerance, ks_guest_core_slack(T(1000)));
	r.deed[0].gap_ns = T(4); /* it went on */
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "it shows 4ms, commanded were 1s"));
	r.deed[0].gap_ns = T(1200);
	CU_ASSERT_EQUAL(prove(&r), -1);
	r.deed[0].gap_ns = T(1003);
	r.deed[0].beside_ns = T(1002); /* the whole machine stood */
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "the other core, too, stood for 1.002s"));
	r.deed[0].beside_ns = -1; /* nobody looked */
	CU_ASSERT_EQUAL(prove(&r), -1);
	r.deed[0].beside_ns = T(4);
	all_by(more, -T(1000));
	shows(&r, T(3061), more);
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "clock 'realtime' moved by -1s"));
	shows(&r, T(3061), none);
	CU_ASSERT_EQUAL(prove_with_call(&r, 0, T(2500)), 0); /* of a thread on the other core */
	CU_ASSERT_EQUAL(prove_with_call(&r, 1, T(1990)), 0);
	CU_ASSERT_EQUAL(prove_with_call(&r, 1, T(2990)), 0);
	CU_ASSERT_EQUAL(prove_with_call(&r, 1, T(2500)), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "thread 1 made a call while its core stood"));
	CU_ASSERT(2 * ks_guest_core_slack(T(200)) < T(200)); /* the shortest that guests carry cannot be confused with none */
}

/* Each clock source has its own way to survive a stop of QEMU. */
static void test_sources(void)
{
	int64_t more[KS_NCLOCKS], wrap = ks_guest_stop_loses("acpi_pm", 6001, T(3000));
	struct run r;

	CU_ASSERT_EQUAL(ks_guest_stop_loses("tsc", 6001, T(3000)), 0);
	CU_ASSERT_EQUAL(ks_guest_stop_loses("hpet", 6012, T(9000)), 0);
	CU_ASSERT_EQUAL(ks_guest_stop_loses("jiffies", 6012, T(3000)), T(3000));
	CU_ASSERT_EQUAL(ks_guest_stop_loses("acpi_pm", 6001, T(2000)), 0);
	CU_ASSERT_EQUAL(ks_guest_stop_loses("acpi_pm", 6012, T(3000)), 0);
	CU_ASSERT_EQUAL(ks_guest_stop_loses("acpi_pm", 6012, T(4300)), wrap);
	CU_ASSERT(wrap > T(4686) && wrap < T(4687));
	CU_ASSERT_EQUAL(ks_guest_stop_loses("acpi_pm", 6001, T(5000)), wrap);
	CU_ASSERT_EQUAL(ks_guest_stop_loses("acpi_pm", 6001, T(8000)), 2 * wrap);
	suspend(&r, "acpi_pm", KS_SUSPEND_HOST_STOP, KS_DEED_HOST_STOP);
	all_by(more, -wrap - T(3));
	r.deed[0].gap_ns = wrap;
	shows(&r, T(2000) + wrap, more);
	CU_ASSERT_EQUAL(prove(&r), 0);
	shows(&r, T(2000) + wrap, none);
	CU_ASSERT_EQUAL(prove(&r), -1);
	suspend(&r, "jiffies", KS_SUSPEND_HOST_STOP, KS_DEED_HOST_STOP);
	all_by(more, -T(3000));
	shows(&r, T(5001), more);
	CU_ASSERT_EQUAL(prove(&r), 0);
}

static void test_leap(void)
{
	static const int64_t back[KS_NCLOCKS] = {[KS_REALTIME] = -KS_SEC};
	struct run r;
	int64_t start = plan.start_unix_ns;

	plan.start_unix_ns = INT64_C(1483228790) * KS_SEC; /* 2016-12-31T23:59:50Z */
	make(&r, "leap", "tsc");
	r.play.deeds = 2;
	r.event[0] = (struct ks_fault_event){.at_ns = T(2000), .op = KS_FAULT_ARM_LEAP, .amount = -KS_SEC, .extra = 250};
	r.deed[0] = (struct ks_deed){.kind = KS_DEED_ACT, .act = {.kind = KS_ACT_LEAP, .amount = -KS_SEC}, .at_ns = T(2000)};
	r.deed[1] = (struct ks_deed){.kind = KS_DEED_LOOK, .at_ns = T(10040)};
	shows(&r, T(2000) + 1000, none);
	r.deed[1].before = r.deed[1].after = reading(T(10040), back);
	r.play.last = reading(T(21000), back);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT_EQUAL(r.injection[0].observed, -KS_SEC);
	r.deed[1].before = r.deed[1].after = reading(T(10040), none);
	r.play.last = reading(T(21000), none);
	CU_ASSERT_EQUAL(prove(&r), -1);
	plan.start_unix_ns = start;
}

static void back(struct run *r, const char *source, int64_t extra, int64_t behind_ns)
{
	make(r, "rollback", source);
	r->event[0] = (struct ks_fault_event){.at_ns = T(5000), .op = KS_FAULT_ROLLBACK, .extra = extra};
	r->deed[0] = (struct ks_deed){.kind = KS_DEED_BACK, .at_ns = T(5000), .gap_ns = behind_ns};
	r->play.first = reading(T(2000), none);
}

/* Clocks are where they were, 3 s ago, when the machine was kept; or ran on. */
static void test_back(void)
{
	int64_t more[KS_NCLOCKS];
	struct run r;

	back(&r, "hpet", 0, T(3000));
	all_by(more, -T(3000));
	shows(&r, T(5001), more);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT_EQUAL(r.injection[0].commanded, -T(3000));
	CU_ASSERT_EQUAL(r.injection[0].observed, -T(3000));
	shows(&r, T(5001), none);
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	more[KS_RAW] = 0; /* one of them did not go back */
	shows(&r, T(5001), more);
	CU_ASSERT_EQUAL(prove(&r), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'raw'"));

	back(&r, "tsc", KS_REVIVE_CLOCKS_RUN, T(400)); /* stood while it was kept, and put back */
	all_by(more, -T(400));
	shows(&r, T(5001), more);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT_EQUAL(r.injection[0].commanded, 0);
	CU_ASSERT_EQUAL(r.injection[0].observed, 0);
	all_by(more, -T(3000));
	shows(&r, T(5001), more);
	CU_ASSERT_EQUAL(prove(&r), -1);
}

/* A machine whose clock at 20 s is that of a kernel that has been on for 2.5 s, launched 3.5 s before. */
static struct ks_wire_clocks booted(int64_t lags_ns)
{
	struct ks_wire_clocks c = reading(T(20000), none);

	for (int id = 0; id < KS_NCLOCKS; id++)
		c.clock_ns[id] = id == KS_REALTIME || id == KS_TAI ? plan.start_unix_ns + T(10000) - lags_ns : T(2500);
	return c;
}

static int boots(struct run *r, const struct ks_wire_clocks *shown)
{
	make(r, "restart", "tsc");
	fault.for_ns = T(5000);
	r->event[0] = (struct ks_fault_event){.at_ns = T(20000), .op = KS_FAULT_UP, .amount = KS_RESTART_NODE};
	r->deed[0] = (struct ks_deed){.kind = KS_DEED_BOOT, .at_ns = T(20000), .before = reading(T(15000), none), .after = *shown};
	r->play.launched_ns = T(16500);
	r->play.rtc_ns = plan.start_unix_ns + T(6500); /* it shows 10 s less than it should */
	r->play.first = *shown;
	r->play.last = *shown;
	return prove(r);
}

static void test_boot(void)
{
	struct ks_wire_clocks c = booted(T(700));
	struct run r;

	CU_ASSERT_EQUAL(boots(&r, &c), 0);
	CU_ASSERT_EQUAL(r.injection[0].commanded, -T(10000)); /* by what the wall clock moves */
	CU_ASSERT_EQUAL(r.injection[0].observed, -T(10700));
	c = booted(-T(400)); /* a kernel that counted too fast as it began */
	CU_ASSERT_EQUAL(boots(&r, &c), 0);
	c = booted(T(2000)); /* more than the second that a kernel may lose, and what it may count wrong */
	CU_ASSERT_EQUAL(boots(&r, &c), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "behind the battery-backed clock"));
	c = booted(-T(1000));
	CU_ASSERT_EQUAL(boots(&r, &c), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "ahead of the battery-backed clock"));
	c = booted(-T(10000)); /* the true date */
	CU_ASSERT_EQUAL(boots(&r, &c), -1);
	c = booted(T(700));
	c.clock_ns[KS_TAI] += 37 * KS_SEC;
	CU_ASSERT_EQUAL(boots(&r, &c), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'tai'"));
	c = reading(T(20000), none); /* nothing booted */
	CU_ASSERT_EQUAL(boots(&r, &c), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'monotonic'"));
}

static void test_rtc(void)
{
	int64_t date = plan.start_unix_ns - T(9000);
	struct run r;

	make(&r, "rtc-reset", "tsc");
	r.event[0] = (struct ks_fault_event){.at_ns = T(2000), .op = KS_FAULT_RTC, .amount = date};
	r.deed[0] = (struct ks_deed){.kind = KS_DEED_ACT, .act = {.kind = KS_ACT_RTC, .amount = date}, .at_ns = T(2000), .value = T(400)};
	shows(&r, T(4300), none);
	CU_ASSERT_EQUAL(prove(&r), 0);
	CU_ASSERT_EQUAL(r.injection[0].observed, date + T(400));
	r.deed[0].value = -T(9000); /* it was not set */
	CU_ASSERT_EQUAL(prove(&r), -1);
	r.deed[0].value = T(400);
	static const int64_t stepped[KS_NCLOCKS] = {[KS_REALTIME] = -T(9000), [KS_TAI] = -T(9000)}; /* and a running clock does not care */
	shows(&r, T(4300), stepped);
	CU_ASSERT_EQUAL(prove(&r), -1);
}

/* Of node 0: kept, put back; of node 1: booted twice; node 2 is a clone. */
static void test_lives(void)
{
	static const struct ks_fault_event event[] = {
		{.op = KS_FAULT_SNAPSHOT, .at_ns = 1}, {.op = KS_FAULT_DOWN, .node = 1, .at_ns = 2}, {.op = KS_FAULT_ROLLBACK, .at_ns = 3},
		{.op = KS_FAULT_UP, .node = 1, .at_ns = 4}, {.op = KS_FAULT_CLONE, .node = 2, .at_ns = 5}, {.op = KS_FAULT_DOWN, .node = 1, .at_ns = 6},
		{.op = KS_FAULT_UP, .node = 1, .at_ns = 7}};
	static struct ks_guests f;
	struct ks_plan three = {.nodes = 3};

	f.plan = &three;
	f.events = (struct ks_fault_event *)event;
	f.nevents = sizeof(event) / sizeof(event[0]);
	f.threads = 2;
	ks_guests_lay_out(&f);
	CU_ASSERT_EQUAL_FATAL(f.lives, 6);
	CU_ASSERT_EQUAL(f.lanes, 10);
	CU_ASSERT(f.guest[0].born == KS_ANY && f.guest[0].died == 2);
	CU_ASSERT(f.guest[1].born == KS_ANY && f.guest[1].died == 1);
	CU_ASSERT(f.guest[2].born == 4 && f.guest[2].died == KS_ANY);
	CU_ASSERT(f.guest[3].before == &f.guest[0] && f.guest[3].born == 2 && f.guest[3].died == KS_ANY);
	CU_ASSERT(f.guest[3].first_lane == 0 && f.guest[3].incarnation == 0); /* the same calls are counted on */
	CU_ASSERT(f.guest[4].before == &f.guest[1] && f.guest[4].born == 3 && f.guest[4].died == 5);
	CU_ASSERT(f.guest[4].first_lane == 6 && f.guest[4].incarnation == 1);
	CU_ASSERT(f.guest[5].before == &f.guest[4] && f.guest[5].first_lane == 8 && f.guest[5].incarnation == 2);
}

/* What lasts on a machine that is taken has its name told. */
static void test_outlives(void)
{
	static struct ks_fault faults[] = {{.name = "slow"}, {.name = "off"}};
	const struct ks_plan two = {.nodes = 1, .node = &node, .fault = faults, .faults = 2};
	struct ks_fault_event e[] = {{.op = KS_FAULT_SLEW, .at_ns = 1, .amount = 5}, {.op = KS_FAULT_DOWN, .at_ns = 2, .fault = 1},
	                             {.op = KS_FAULT_UP, .at_ns = 3, .fault = 1}, {.op = KS_FAULT_SLEW, .at_ns = 4}};
	const char *name = ks_guest_outlives(&two, e, 4, 1);

	CU_ASSERT_STRING_EQUAL(name ? name : "", "slow");
	struct ks_fault_event over[] = {e[0], {.op = KS_FAULT_SLEW, .at_ns = 1}, e[1], e[2]};
	CU_ASSERT_PTR_NULL(ks_guest_outlives(&two, over, 4, 2));
	e[0].op = KS_FAULT_STEP;
	CU_ASSERT_PTR_NULL(ks_guest_outlives(&two, e, 4, 1));
	e[0].op = KS_FAULT_STOP;
	e[3].op = KS_FAULT_RUN;
	CU_ASSERT_PTR_NOT_NULL(ks_guest_outlives(&two, e, 4, 1));
	e[0].node = 1;
	CU_ASSERT_PTR_NULL(ks_guest_outlives(&two, e, 4, 1));
}

static const char *lacks(enum ks_fault_op op, int64_t amount, int64_t extra, unsigned clocks, const char *source)
{
	struct ks_fault_event e = {.op = op, .amount = amount, .extra = extra};
	const char *why = ks_guest_lacks(&plan, &e, clocks, source);
	return why ? why : "";
}

static void test_lacks(void)
{
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_STEP, -1, 0, 31, NULL), "");
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_SLEW, -500000, 0, 31, "tsc"), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_SLEW, 200000000, 0, 1, NULL), "100000ppm"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_SLEW, 500000, 0, 1, "jiffies"), "unevenly"));
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_DRIFT, 500000, 0, 1u << KS_MONOTONIC, NULL), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_DRIFT, 500000, 0, 1u << KS_RAW, NULL), "raw"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_ARM_LEAP, -KS_SEC, 1000, 1, NULL), "250"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_RESUME, KS_SUSPEND_S3, 1, 1, NULL), "battery"));
	fault.for_ns = T(1499);
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_SUSPEND, KS_SUSPEND_S3, 0, 1, NULL), "1.5s"));
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_SUSPEND, KS_SUSPEND_VM_STOP, 0, 1, NULL), "");
	fault.for_ns = T(1500);
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_SUSPEND, KS_SUSPEND_S3, 0, 1, NULL), "");
	fault.for_ns = 0;
	CU_ASSERT_STRING_NOT_EQUAL(lacks(KS_FAULT_HOLD, 1, 0, 1, NULL), "");
	CU_ASSERT_STRING_NOT_EQUAL(lacks(KS_FAULT_COARSE, 31, KS_MS, 1, NULL), "");
	CU_ASSERT_STRING_NOT_EQUAL(lacks(KS_FAULT_CORES, 1, 2, 1, NULL), "");
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_RTC, KS_SEC, 0, 1, NULL), "");
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_ROLLBACK, 0, 0, 1, "hpet"), "");
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_ROLLBACK, 0, KS_REVIVE_CLOCKS_RUN, 1, "tsc"), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_ROLLBACK, 0, 0, 1, "tsc"), "hpet"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_ROLLBACK, 0, KS_REVIVE_CLOCKS_RUN, 1, "acpi_pm"), "tsc"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_ROLLBACK, 0, KS_REVIVE_RESEED, 1, "hpet"), "generation id"));
	fault.for_ns = T(5000);
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_DOWN, KS_RESTART_NODE, 0, 1, NULL), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_UP, 0, 0, 1, NULL), "restart: node"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_UP, KS_RESTART_NODE | KS_RESTART_KEPT, 0, 1, NULL), "disk"));
	fault.nnodes = 4;
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_DOWN, KS_RESTART_NODE, 0, 1, NULL), "1.5 s more"));
	fault.for_ns = T(9500);
	CU_ASSERT_STRING_EQUAL(lacks(KS_FAULT_DOWN, KS_RESTART_NODE, 0, 1, NULL), "");
	fault.nnodes = 1;
	fault.for_ns = T(4999);
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks(KS_FAULT_DOWN, KS_RESTART_NODE, 0, 1, NULL), "5 s"));
}

static const char *lacks_core(struct ks_fault f, const char *source)
{
	f.of_core = true;
	f.at_ns = T(2000);
	fault = f;
	return lacks(KS_FAULT_STOP, 0, KS_CORES_EXTRA(f.cores, f.core), 1, source);
}

static void test_lacks_core(void)
{
	struct ks_fault f = {.cores = 2, .core = 1, .for_ns = T(200)};

	CU_ASSERT_STRING_EQUAL(lacks_core(f, NULL), "");
	CU_ASSERT_STRING_EQUAL(lacks_core(f, "jiffies"), "");
	CU_ASSERT_STRING_EQUAL(lacks_core((struct ks_fault){.cores = 2, .for_ns = T(200)}, "acpi_pm"), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks_core((struct ks_fault){.cores = 2, .for_ns = T(200)}, "jiffies"), "stands with core 0"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks_core((struct ks_fault){.cores = 4, .for_ns = T(200)}, NULL), "a guest has 2 cores"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks_core((struct ks_fault){.cores = 2, .for_ns = T(199)}, NULL), "less than 200ms"));
	CU_ASSERT_PTR_NOT_NULL(strstr(lacks_core((struct ks_fault){.cores = 2, .for_ns = T(18000)}, NULL), "not over before the end"));
}

static struct ks_wire_record record(uint32_t thread, uint32_t seq, int64_t call_ns)
{
	return (struct ks_wire_record){.thread = thread, .seq = seq, .call_ns = call_ns, .return_ns = call_ns + 10, .key_lo = (uint64_t)call_ns};
}

/* Two threads; the machine was kept after two calls of the first and one of the second. */
static void test_clone_records(void)
{
	struct ks_wire_record owner[] = {record(0, 0, 100), record(0, 1, 200), record(0, 2, 300), record(1, 0, 150), record(1, 1, 250)};
	struct ks_wire_record clone[] = {record(0, 0, 100), record(0, 1, 200), record(0, 2, 301), record(0, 3, 400), record(1, 0, 150), record(1, 1, 251)};
	struct ks_guest_told a = {0}, b = {0};

	CU_ASSERT_EQUAL(ks_guest_told_add(&a, owner, sizeof(owner), &err), 0);
	CU_ASSERT_EQUAL(ks_guest_told_add(&b, clone, sizeof(clone), &err), 0);
	CU_ASSERT_EQUAL(ks_guest_told_by(&a, 0, INT64_MAX), 3);
	CU_ASSERT_EQUAL(ks_guest_told_by(&a, 0, 210), 2); /* the second has returned, just now */
	CU_ASSERT_EQUAL(ks_guest_told_by(&a, 0, 209), 1);
	CU_ASSERT_EQUAL(ks_guest_told_by(&a, 1, 200), 1);
	ks_guest_told_own(&b, &a, 2);
	CU_ASSERT_EQUAL_FATAL(b.n, 3);
	CU_ASSERT(b.v[0].call_ns == 301 && b.v[0].seq == 0);
	CU_ASSERT(b.v[1].call_ns == 400 && b.v[1].seq == 1);
	CU_ASSERT(b.v[2].call_ns == 251 && b.v[2].seq == 0 && b.v[2].thread == 1);
	CU_ASSERT_EQUAL(ks_guest_told_add(&b, clone, 17, &err), -1);
	ks_guest_told_release(&a);
	ks_guest_told_release(&b);
}

/* A machine that stood from 2 s on for stood_ns, and was told so when it had run on for knew_ns. */
static int stop(struct run *r, int64_t stood_ns, int64_t knew_ns, int64_t took_ns)
{
	struct ks_wire_acted acted = {.kind = KS_ACT_TRUE, .before = reading(T(2000) + knew_ns, none), .after = reading(T(2000) + knew_ns + took_ns + stood_ns, none)};

	make(r, "suspend", "tsc");
	r->event[0] = (struct ks_fault_event){.at_ns = T(2000), .op = KS_FAULT_SUSPEND, .amount = KS_SUSPEND_VM_STOP};
	r->deed[0] = (struct ks_deed){.kind = KS_DEED_VM_STOP, .state = KS_DEED_ENDS, .end = 1, .at_ns = T(2000), .until_ns = T(2000) + stood_ns,
	                              .stood_ns = T(2000), .value = stood_ns, .act = {.kind = KS_ACT_TRUE, .amount = stood_ns}};
	return ks_guest_play_acted(&r->play, &acted, &err);
}

/* Times that a guest tells one after the other have to come one after the other, however late it learns that it stood. */
static void test_order_of_times(void)
{
	static const int64_t knew[] = {T(1), T(30), T(45), T(700)};
	const int64_t stood = T(40), took = KS_MS / 2;
	struct run r;

	for (size_t i = 0; i < sizeof(knew) / sizeof(knew[0]); i++) {
		int64_t last = INT64_MIN;
		CU_ASSERT_EQUAL_FATAL(stop(&r, stood, knew[i], took), 0);
		for (int64_t at = T(1990); at < T(2800); at += KS_MS / 4) {
			int64_t told = at + (at > T(2000) + knew[i] + took / 2 ? stood : 0), is = ks_guest_play_true(&r.play, told);
			CU_ASSERT(is >= last);
			CU_ASSERT_EQUAL(is, at + (at >= T(2000) ? stood : 0));
			last = is;
		}
	}
}

/* Where one time may mean two, or a stop was another one than the plan's, the machine was too busy, and another try may do better. */
static void test_busy_stops(void)
{
	struct run r;

	CU_ASSERT_EQUAL(stop(&r, T(40), T(5), T(39)), 0);
	CU_ASSERT_FALSE(r.play.busy);
	CU_ASSERT_EQUAL(stop(&r, T(40), T(5), T(41)), -1);
	CU_ASSERT(r.play.busy);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "too busy"));
	stop(&r, T(200), T(5), KS_MS);
	CU_ASSERT_FALSE(r.play.busy);
	for (int off = -1; off < 2; off += 2) { /* it ended 60 ms off */
		struct ks_wire_acted acted = {.kind = KS_ACT_TRUE, .before = reading(T(2005), none), .after = reading(T(2206), none)};
		r.play.next = 0;
		r.play.busy = false;
		r.deed[0].state = KS_DEED_ENDS;
		r.deed[0].until_ns = T(2200 + 60 * off);
		CU_ASSERT_EQUAL(ks_guest_play_acted(&r.play, &acted, &err), -1);
		CU_ASSERT(r.play.busy);
	}
}

/* A guest that looked on later than QEMU let it had a busy machine; one that saw less than all of the stop has no excuse. */
static void test_busy_watch(void)
{
	struct ks_wire_acted acted = {.kind = KS_ACT_WATCH, .before = reading(T(1900), none), .after = reading(T(5400), none)};
	static const int64_t saw[] = {T(3001), T(3300), T(1)};
	struct run r;

	for (size_t i = 0; i < sizeof(saw) / sizeof(saw[0]); i++) {
		suspend(&r, "tsc", KS_SUSPEND_HOST_STOP, KS_DEED_HOST_STOP);
		r.deed[0].state = KS_DEED_ENDS;
		r.deed[0].act.kind = KS_ACT_WATCH;
		acted.value = saw[i];
		CU_ASSERT_EQUAL(ks_guest_play_acted(&r.play, &acted, &err), i == 1 ? -1 : 0);
		CU_ASSERT_EQUAL(r.play.busy, i == 1);
	}
}

/* A guest that does not come back is not waited for until the end of the run. */
static void test_patience(void)
{
	struct run r;

	suspend(&r, "acpi_pm", KS_SUSPEND_HOST_STOP, KS_DEED_HOST_STOP);
	r.deed[0].state = KS_DEED_STANDS;
	CU_ASSERT_EQUAL(ks_guest_play_due(&r.play), T(5000));
	r.deed[0].state = KS_DEED_ENDS;
	CU_ASSERT(ks_guest_play_due(&r.play) >= T(5000) + 5 * KS_SEC && ks_guest_play_due(&r.play) <= T(5000) + KS_MIN);
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"a step", test_step},     {"a slew", test_slew},     {"suspends", test_suspends}, {"a sleep", test_sleep}, {"a second sleep", test_second_sleep}, {"clock sources", test_sources},
		{"a leap second", test_leap}, {"put back", test_back}, {"a boot", test_boot}, {"a battery-backed clock", test_rtc}, {"lives", test_lives},
		{"what outlives a machine", test_outlives}, {"what is not carried", test_lacks},
		{"a core", test_core}, {"cores that are not stopped", test_lacks_core},
		{"records of a clone", test_clone_records}, {"times around a stop", test_order_of_times}, {"busy stops", test_busy_stops},
		{"busy looks", test_busy_watch}, {"patience", test_patience}, {NULL, NULL},
	};
	return ks_test_main("qemu-prove", tests);
}
