#include "ks_plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_test.h"

#define SEC KS_SEC
#define MS KS_MS

static int parse(const char *text, const struct ks_set *sets, size_t nsets, struct ks_plan *plan, struct ks_err *err)
{
	*err = (struct ks_err){0};
	return ks_plan_parse(text, strlen(text), "dir/try.yaml", sets, nsets, plan, err);
}

/* Loads what must load; the caller releases it. */
static struct ks_plan must(const char *text)
{
	struct ks_plan plan;
	struct ks_err err;
	if (parse(text, NULL, 0, &plan, &err)) {
		fprintf(stderr, "%s\n", err.text);
		CU_FAIL_FATAL("a good scenario was refused");
	}
	return plan;
}

static struct ks_plan must_set(const char *text, const char *path, const char *value)
{
	struct ks_plan plan;
	struct ks_err err;
	struct ks_set set = {path, value};
	if (parse(text, &set, 1, &plan, &err)) {
		fprintf(stderr, "%s\n", err.text);
		CU_FAIL_FATAL("a good --set was refused");
	}
	return plan;
}

static void refuses(const char *text, const char *message)
{
	struct ks_plan plan;
	struct ks_err err;
	CU_ASSERT_EQUAL(parse(text, NULL, 0, &plan, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	CU_ASSERT_STRING_EQUAL(err.text, message);
	if (strcmp(err.text, message))
		fprintf(stderr, "got      %s\nexpected %s\n", err.text, message);
}

static char *write_plan(const struct ks_plan *plan)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	CU_ASSERT_EQUAL_FATAL(ks_plan_write(plan, out), 0);
	fclose(out);
	return text;
}

/* --- what a good file says --- */

static void test_capture(void)
{
	struct ks_plan p = must("keyskew: 1\ncapture: {calls: 2, jump: 1s}"), none = must("keyskew: 1");
	char *text = write_plan(&p);
	struct ks_plan again = must(text);
	CU_ASSERT_FALSE(none.capture.on);
	CU_ASSERT_TRUE(p.capture.on && p.capture.calls == 2 && p.capture.jump_ns == SEC);
	CU_ASSERT_TRUE(p.capture.unusual_ns == SEC / 100 && p.capture.stretch_ns == SEC / 100);
	CU_ASSERT_EQUAL(memcmp(&p.capture, &again.capture, sizeof p.capture), 0);
	refuses("keyskew: 1\ncapture: {calls: 0}", "dir/try.yaml:2:18: bad calls '0', expected a whole number, 1..1000000");
	free(text);
	ks_plan_release(&p);
	ks_plan_release(&none);
	ks_plan_release(&again);
}

static void test_defaults(void)
{
	struct ks_plan p = must("keyskew: 1");
	CU_ASSERT_STRING_EQUAL(p.file, "dir/try.yaml");
	CU_ASSERT_STRING_EQUAL(p.name, "try");
	CU_ASSERT_STRING_EQUAL(p.title, "try");
	CU_ASSERT_EQUAL(p.start_unix_ns, INT64_C(1768471200) * SEC);
	CU_ASSERT_EQUAL(p.duration_ns, 10 * SEC);
	CU_ASSERT_TRUE(p.worlds_auto && p.worlds == 15 && p.require == 0);
	CU_ASSERT_TRUE(p.nodes == 1 && p.processes == 1 && p.threads == 1);
	CU_ASSERT_STRING_EQUAL(p.node[0].name, "n1");
	CU_ASSERT_TRUE(p.clock.by == KS_CLOCKS_EXACT && !p.node[0].drift_drawn && p.node[0].drift_ppb == 0);
	CU_ASSERT_TRUE(p.load.rate.count == 1000 && p.load.rate.per_ns == SEC);
	CU_ASSERT_TRUE(p.user_low == 1 && p.user_high == 1000 && p.depth_low == 0 && p.depth_high == 6);
	CU_ASSERT_TRUE(p.faults == 0 && p.consumers == 0 && p.groups == 1);
	CU_ASSERT_STRING_EQUAL(p.group[0].generator, "other");
	CU_ASSERT_EQUAL(p.group[0].v[0].kind, KS_EXPECT_ALL_CLAIMS);
	CU_ASSERT_EQUAL(p.group[0].v[0].verdict, KS_KEPT);
	CU_ASSERT_FALSE(p.canary);
	ks_plan_release(&p);
}

static const char full[] =
	"keyskew: 1\n"
	"title: \"a \\\"title\\\": with # signs, and \xe6\x97\xb6\xe9\x92\x9f\"\n"
	"source: F1\n"
	"tags: [ntp, \"no\"]\n"
	"start: 2027-01-01T00:00:00.5Z\n"
	"worlds: [sim, qemu]\n"
	"require: [qemu]\n"
	"fleet:\n"
	"  nodes: [{name: order-7, zone: b, offset: +8ms}, {drift: -3ppm}, {zone: b}]\n"
	"  processes: 2\n"
	"  threads: 4\n"
	"  clock: free\n"
	"  node_id: {fixed: 7}\n"
	"workload: {rate: 0.5/s, arrival: poisson, model: closed, on_refuse: retry, context: {user: 5, depth: 1..2}}\n"
	"faults:\n"
	"  - {at: 2027-01-01T00:00:03.5Z, zone: b, step: -120ms}\n"
	"  - {name: slow, at: 2s, node: [n3, order-7], drift: -500ppb}\n"
	"  - {drift: 1ppm}\n"
	"consumers: {payment-gateway: {retry: new-key}}\n"
	"reported: {what: 'it charges, twice', of: unixmilli, figures: {payment-gateway.double_charges: 1.., descents@node: 12..37}}\n"
	"expect:\n"
	"  other: {claims: untested}\n"
	"  './mine.so:a=\"b\"':\n"
	"    unique@fleet: kept\n"
	"    sorted(1500us)@node: broken\n"
	"    duplicates: 1..\n"
	"    displacement@process: ..7\n"
	"    stall_ns_max: ..1ms\n"
	"    payment-gateway.double_charges: 3..5\n";

static void test_full(void)
{
	struct ks_plan p = must(full);
	CU_ASSERT_EQUAL(p.duration_ns, 13 * SEC);
	CU_ASSERT_TRUE(!p.worlds_auto && p.worlds == (1 << KS_WORLD_SIM | 1 << KS_WORLD_QEMU));
	CU_ASSERT_EQUAL(p.require, 1 << KS_WORLD_QEMU);
	CU_ASSERT_STRING_EQUAL(p.node[1].name, "n2");
	CU_ASSERT_STRING_EQUAL(p.node[2].zone, "b");
	CU_ASSERT_EQUAL(p.node[0].offset_ns, 8 * MS);
	CU_ASSERT_TRUE(p.node[0].drift_drawn && !p.node[1].drift_drawn && p.node[1].drift_ppb == -3000);
	CU_ASSERT_TRUE(p.load.rate.count == 5 && p.load.rate.per_ns == 10 * SEC && p.load.model == KS_MODEL_CLOSED);
	CU_ASSERT_TRUE(p.user_low == 5 && p.user_high == 5 && p.depth_high == 2);
	CU_ASSERT_EQUAL_FATAL(p.faults, 3);
	CU_ASSERT_STRING_EQUAL(p.fault[0].name, "step-1");
	CU_ASSERT_EQUAL(p.fault[0].at_ns, 3 * SEC);
	CU_ASSERT_TRUE(p.fault[0].nnodes == 2 && p.fault[0].nodes[0] == 0 && p.fault[0].nodes[1] == 2);
	CU_ASSERT_TRUE(p.fault[1].nnodes == 2 && p.fault[1].nodes[0] == 0 && p.fault[1].amount == -500);
	CU_ASSERT_TRUE(p.fault[2].nnodes == 3 && p.fault[2].at_ns == 0);
	CU_ASSERT_STRING_EQUAL(p.fault[2].name, "drift-3");
	CU_ASSERT_EQUAL_FATAL(p.groups, 2);
	const struct ks_expect *e = p.group[1].v;
	CU_ASSERT_STRING_EQUAL(p.group[1].generator, "./mine.so:a=\"b\"");
	CU_ASSERT_STRING_EQUAL(e[1].text, "sorted(1.5ms)@node: broken");
	CU_ASSERT_STRING_EQUAL(e[2].text, "duplicates@fleet: 1..");
	CU_ASSERT_TRUE(e[2].scope == KS_SCOPE_FLEET && e[2].band.low == 1 && e[2].band.high == INT64_MAX);
	CU_ASSERT_TRUE(e[3].scope == KS_SCOPE_PROCESS && e[3].metric == KS_M_DISPLACEMENT);
	CU_ASSERT_TRUE(e[4].band.is_time && e[4].band.high == MS);
	CU_ASSERT_STRING_EQUAL(e[5].damage, "payment-gateway.double_charges");
	CU_ASSERT_EQUAL(e[5].mark.line, 29);
	CU_ASSERT_STRING_EQUAL(p.reported, "it charges, twice");
	CU_ASSERT_STRING_EQUAL(p.figures.generator, "unixmilli");
	CU_ASSERT_EQUAL_FATAL(p.figures.n, 2);
	CU_ASSERT_STRING_EQUAL(p.figures.v[0].text, "payment-gateway.double_charges: 1..");
	CU_ASSERT_STRING_EQUAL(p.figures.v[1].text, "descents@node: 12..37");
	ks_plan_release(&p);
}

static void test_canary(void)
{
	static const struct {
		const char *name;
		bool canary;
	} files[] = {{"canary/x.yaml", true},    {"a/canary/x.yaml", true}, {"canary/a/x.yaml", false},
	             {"xcanary/x.yaml", false},  {"canary.yaml", false},    {"/canary/x.yaml", true}};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct ks_plan p;
		struct ks_err err;
		CU_ASSERT_EQUAL_FATAL(ks_plan_parse("keyskew: 1", 10, files[i].name, NULL, 0, &p, &err), 0);
		CU_ASSERT_EQUAL(p.canary, files[i].canary);
		ks_plan_release(&p);
	}
}

static void test_events(void)
{
	struct ks_plan p = must(full);
	struct ks_fault_event *e;
	struct ks_err err;
	uint32_t n;
	CU_ASSERT_EQUAL_FATAL(ks_plan_events(&p, 1, &e, &n, &err), 0);
	CU_ASSERT_EQUAL_FATAL(n, 7);
	CU_ASSERT_TRUE(e[0].fault == 2 && e[0].node == 0 && e[1].node == 1 && e[2].node == 2);
	CU_ASSERT_TRUE(e[3].fault == 1 && e[3].at_ns == 2 * SEC && e[3].op == KS_FAULT_DRIFT && e[3].amount == -500);
	CU_ASSERT_TRUE(e[5].fault == 0 && e[5].op == KS_FAULT_STEP && e[6].node == 2 && e[6].amount == -120 * MS);
	ks_free(e);
	ks_plan_release(&p);
}

/* What a scenario says of clocks comes back from its effective form. */
static void test_clock_faults_round_trip(void)
{
	static const char *const items[] = {
		"step: to-true", "leap: insert", "leap: delete, hz: 1000", "smear: cosine, for: 24h, second: delete", "coarse: 4ms",
		"coarse: 1ms, for: 2s", "rtc-reset: 2000-01-01T00:00:00Z", "cpu-skew: -3ms, hop: 10ms", "cpu-skew: 3ms, for: 1s, cores: 4, hop: 1ms",
		"strobe: 262144ms, period: 1ms, for: 1s"};
	for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
		char text[256];
		snprintf(text, sizeof text, "keyskew: 1\nfleet: 2\nstart: 2016-12-31T23:59:50Z\nfaults:\n  - {at: 1s, node: n2, %s}\n", items[i]);
		struct ks_plan p = must(text);
		char *effective = write_plan(&p);
		struct ks_plan q = must(effective);
		char *again = write_plan(&q);
		CU_ASSERT_STRING_EQUAL(effective, again);
		CU_ASSERT_EQUAL(p.fault[0].amount, q.fault[0].amount);
		CU_ASSERT_EQUAL(p.fault[0].to_true, q.fault[0].to_true);
		CU_ASSERT_EQUAL(p.fault[0].hop_ns, q.fault[0].hop_ns);
		free(effective);
		free(again);
		ks_plan_release(&p);
		ks_plan_release(&q);
	}
}

static void test_keepers(void)
{
	struct ks_plan p = must("keyskew: 1\nfleet:\n  clock: {ntpd: {step: 0s, poll: 1024s, offset: -142us, jitter: 23us, delay: 8212us}}\n"
	                        "  nodes: [{}, {clock: chrony, drift: 3ppm}, {clock: exact}, {clock: {timesyncd: {first: 5s}}}]\n");
	char *effective = write_plan(&p);
	struct ks_plan q = must(effective);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_FALSE(memcmp(&p.node[i].clock.keeper, &q.node[i].clock.keeper, sizeof p.node[i].clock.keeper));
	CU_ASSERT_EQUAL(p.node[0].clock.by, KS_CLOCKS_NTPD);
	CU_ASSERT_TRUE(p.node[0].drift_drawn && !p.node[1].drift_drawn && !p.node[2].drift_drawn && p.node[3].drift_drawn);
	const struct ks_keeper_desc *d = &p.node[0].clock.keeper;
	CU_ASSERT_TRUE(d->kind == KS_KEEPER_NTPD && d->step_ns == 0 && d->poll_ns == 1024 * SEC && d->offset_ns == -142000);
	CU_ASSERT_TRUE(d->stepout_ns == 300 * SEC && d->panic_ns == 1000 * SEC && d->first_ns == -1);
	d = &p.node[1].clock.keeper;
	CU_ASSERT_TRUE(d->kind == KS_KEEPER_CHRONY && d->step_ns == SEC && d->limit == 3 && d->maxslew_ppb == 83333000);
	d = &p.node[3].clock.keeper;
	CU_ASSERT_TRUE(d->kind == KS_KEEPER_TIMESYNCD && d->step_ns == 400 * MS && d->first_ns == 5 * SEC);
	free(effective);
	ks_plan_release(&p);
	ks_plan_release(&q);
}

/* A smear moves by exactly one second, never back, and in the parts that its shape has. */
static void test_smears(void)
{
	static const struct {
		const char *shape;
		uint32_t events;
		int64_t sum;
	} shapes[] = {{"linear, for: 24h", 2, -SEC}, {"cosine, for: 24h", 129, -SEC}, {"cosine, for: 20s, second: delete", 129, SEC},
	              {"cosine, for: 20000000001ns", 129, -SEC}};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		char text[128];
		struct ks_fault_event *e;
		struct ks_err err;
		uint32_t n;
		int64_t sum = 0, length = 0;
		snprintf(text, sizeof text, "keyskew: 1\nworkload: {rate: 1/s}\nfaults:\n  - {smear: %s}", shapes[i].shape);
		struct ks_plan p = must(text);
		CU_ASSERT_EQUAL_FATAL(ks_plan_events(&p, 1, &e, &n, &err), 0);
		CU_ASSERT_EQUAL_FATAL(n, shapes[i].events);
		for (uint32_t k = 0; k < n; k++) {
			sum += e[k].amount;
			length += e[k].extra;
			CU_ASSERT_TRUE(e[k].at_ns == (k ? e[k - 1].at_ns + e[k - 1].extra : 0));
			CU_ASSERT_TRUE(llabs(e[k].amount) * 10 <= e[k].extra); /* a tenth is what a kernel bends at most */
		}
		CU_ASSERT_EQUAL(sum, shapes[i].sum);
		CU_ASSERT_EQUAL(length, p.fault[0].for_ns);
		/* a cosine is flat at both ends and steep in the middle: pi / 2 times the mean */
		if (n == 129) {
			CU_ASSERT_TRUE(llabs(e[0].amount) < SEC / 128 / 50 && llabs(e[127].amount) < SEC / 128 / 50);
			CU_ASSERT_TRUE(llabs(llabs(e[64].amount) - SEC / 128 * 15708 / 10000) < SEC / 128 / 1000);
			CU_ASSERT_EQUAL(e[10].amount, e[117].amount);
		}
		ks_free(e);
		ks_plan_release(&p);
	}
}

/* The range of Jepsen's strobe: by 4 ms to 262 s, once in 1 ms to 1 s. */
static void test_strobe_range(void)
{
	static const struct {
		const char *amount, *period;
		uint32_t moves;
	} range[] = {{"4ms", "1ms", 2000}, {"4ms", "1s", 2}, {"262144ms", "1ms", 2000}, {"262144ms", "1s", 2}, {"-262144ms", "7ms", 286}};
	for (size_t i = 0; i < sizeof range / sizeof *range; i++) {
		char text[160];
		struct ks_fault_event *e;
		struct ks_err err;
		uint32_t n;
		int64_t sum = 0;
		snprintf(text, sizeof text, "keyskew: 1\nfaults:\n  - {at: 1s, strobe: %s, period: %s, for: 2s}", range[i].amount, range[i].period);
		struct ks_plan p = must(text);
		CU_ASSERT_EQUAL_FATAL(ks_plan_events(&p, 1, &e, &n, &err), 0);
		CU_ASSERT_EQUAL(n, range[i].moves);
		for (uint32_t k = 0; k < n; k++) {
			sum += e[k].amount;
			CU_ASSERT_TRUE(sum == 0 || sum == p.fault[0].amount);
		}
		CU_ASSERT_EQUAL(sum, 0);
		ks_free(e);
		ks_plan_release(&p);
	}
}

static void test_node_ids_and_drift(void)
{
	struct ks_plan p = must("keyskew: 1\nfleet: {nodes: 200, clock: free, node_id: random}");
	int64_t low = 0, high = 0;
	uint64_t largest = 0;
	for (uint32_t i = 0; i < p.nodes; i++) {
		int64_t ppb = ks_plan_node_drift(&p, 1, i);
		uint64_t id = ks_plan_worker(&p, 1, i);
		low = ppb < low ? ppb : low;
		high = ppb > high ? ppb : high;
		largest = id > largest ? id : largest;
		CU_ASSERT_TRUE(id <= 1023 && ppb >= -20000 && ppb <= 20000);
		CU_ASSERT_EQUAL(ppb, ks_plan_node_drift(&p, 1, i));
	}
	CU_ASSERT_TRUE(low < -15000 && high > 15000 && largest > 900);
	CU_ASSERT_NOT_EQUAL(ks_plan_node_drift(&p, 1, 0), ks_plan_node_drift(&p, 2, 0));
	ks_plan_release(&p);
	p = must("keyskew: 1\nfleet: {nodes: 3, clock: free, drift: 7ppm}");
	CU_ASSERT_TRUE(ks_plan_node_drift(&p, 1, 2) == 7000 && ks_plan_worker(&p, 1, 0) == 1 &&
		       ks_plan_worker(&p, 9, 2) == 3);
	ks_plan_release(&p);
	p = must("keyskew: 1\nfleet: {node_id: fixed}");
	CU_ASSERT_EQUAL(ks_plan_worker(&p, 1, 0), 1);
	ks_plan_release(&p);
}

static void test_about(void)
{
	static const struct {
		const char *text, *about;
	} tries[] = {
		{"keyskew: 1", "no faults; 1 node, 1000/s, 10s"},
		{"keyskew: 1\nfleet: 3\nduration: 20s\nfaults:\n  - {at: 10s, node: n2, step: -120ms}",
		 "n2 steps -120ms at 10s; 3 nodes, 1000/s each, 20s"},
		{"keyskew: 1\nfleet: 3\nfaults:\n  - {step: 1s}\n  - {at: 1s, node: [n1, n2], drift: -1ppm}",
		 "all nodes step +1s at 0s, n1, n2 drift -1ppm at 1s; 3 nodes, 1000/s each, 11s"},
		{"keyskew: 1\nfleet: {nodes: 9, threads: 2}\nfaults:\n  - {node: [n1, n2, n3, n4], step: 5ns}",
		 "n1, n2 and 2 more step +5ns at 0s; 9 nodes of 2 threads, 1000/s each, 10s"},
		{"keyskew: 1\nfleet: {nodes: [{zone: b}, {}], processes: 3}\nfaults:\n  - {zone: b, step: -5ns}",
		 "zone b steps -5ns at 0s; 2 nodes of 3 processes, 1000/s each, 10s"},
		{"keyskew: 1\nfaults:\n  - {at: 1s, suspend: vm-stop, for: 2s}\n  - {at: 5s, freeze: [realtime, tai], for: 1s}",
		 "n1 suspends vm-stop for 2s at 1s, n1 freezes realtime,tai for 1s at 5s; 1 node, 1000/s, 16s"},
		{"keyskew: 1\nfaults:\n  - {step: 1s}\n  - {step: 1s}\n  - {step: 1s}\n  - {step: 1s}",
		 "n1 steps +1s at 0s, n1 steps +1s at 0s and 2 more faults; 1 node, 1000/s, 10s"},
	};
	char buf[200], small[8];
	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
		struct ks_plan p = must(tries[i].text);
		CU_ASSERT_STRING_EQUAL(ks_plan_about(&p, buf, sizeof buf), tries[i].about);
		CU_ASSERT_EQUAL(strlen(ks_plan_about(&p, small, sizeof small)), 7);
		if (i == 1)
			CU_ASSERT_STRING_EQUAL(ks_fault_text(&p, &p.fault[0], buf, sizeof buf),
					       "n2 steps -120ms at 10s");
		ks_plan_release(&p);
	}
}

/* --- the effective form --- */

static void round_trip(struct ks_plan *p)
{
	char *once = write_plan(p);
	struct ks_plan again = must(once);
	char *twice = write_plan(&again);
	CU_ASSERT_STRING_EQUAL(once, twice);
	CU_ASSERT_EQUAL(memcmp(p->node, again.node, p->nodes * sizeof *p->node), 0);
	CU_ASSERT_TRUE(p->faults == again.faults && p->groups == again.groups && p->worlds == again.worlds);
	CU_ASSERT_TRUE(p->duration_ns == again.duration_ns && p->start_unix_ns == again.start_unix_ns);
	CU_ASSERT_STRING_EQUAL(p->title, again.title);
	for (size_t i = 0; i < p->faults; i++) {
		const struct ks_fault *a = &p->fault[i], *b = &again.fault[i];
		CU_ASSERT_TRUE(a->at_ns == b->at_ns && a->amount == b->amount && a->kind == b->kind);
		CU_ASSERT_TRUE(a->nnodes == b->nnodes && !memcmp(a->nodes, b->nodes, a->nnodes * sizeof *a->nodes));
	}
	ks_plan_release(&again);
	free(once);
	free(twice);
}

static void test_round_trip(void)
{
	static const char *const texts[] = {
		"keyskew: 1", full,
		"keyskew: 1\ntitle: 'no'\nfleet: {nodes: 4, clock: free}\nfaults: [{step: -1ns}]",
		"keyskew: 1\nfleet: {nodes: [{name: a}, {name: yes}], clock: free, drift: 2.5ppm}\n"
		"faults: [{node: yes, step: 1m}]",
		"keyskew: 1\nfleet: {nodes: 2, processes: 2, threads: 3}\nfaults:\n"
		"  - {at: 1s, slew: -500ppm, for: 4s}\n  - {at: 6s, strobe: 200ms, period: 1ms, for: 1s}\n"
		"  - {at: 8s, jitter: 5ms, for: 1s}\n  - {at: 10s, freeze: [tai, realtime], for: 1s}\n"
		"  - {at: 12s, suspend: s3, for: 1s, wake_error: -3ms}\n  - {at: 14s, node: n2, process: 1, thread: 2, pause: 5ms}\n"
		"  - {at: 15s, process: 0, stop-world: 5ms}\n  - {at: 16s, node: n1, core: 3, cores: 5, pause: 5ms}",
		"keyskew: 1\nfleet: {nodes: 2, processes: 2, threads: 3, node_id: lease, host: container, network: {delay: 5ms, jitter: 1ms}}\n"
		"workload: {messages: {rate: 5/s, from: n2, to: n1}}\nfaults:\n"
		"  - {at: 1s, node: n1, snapshot: warm}\n  - {at: 2s, clone: warm, as: n9, vmgenid: false}\n"
		"  - {at: 3s, node: n9, step: to-true}\n  - {at: 4s, rollback: warm, clocks: running}\n"
		"  - {at: 5s, restart: process, process: 1, state: kept, for: 20ms}\n  - {at: 8s, node: n2, restart: node}\n"
		"  - {at: 12s, thread: 1, pause: 5ms, call: 3, where: after store 2}\n"
		"  - {at: 12s, process: 0, stop-world: 5ms, where: any, times: 7}\n"
		"  - {at: 13s, node: n1, thread: 2, pause: 5ms, where: every}\n  - {at: 14s, registry: down, for: 2s}",
		"keyskew: 1\nfleet: {node_id: random}\nworkload: {rate: 1/us, arrival: burst}\nduration: 100us",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct ks_plan p = must(texts[i]);
		round_trip(&p);
		ks_plan_release(&p);
	}
}

/* A stop of a core names no thread, but all that run there; what the file leaves out is two cores. */
static void test_core(void)
{
	struct ks_plan p = must("keyskew: 1\nfleet: {nodes: 2, processes: 2, threads: 3}\nfaults: [{name: steal, at: 2s, node: n2, core: 1, pause: 1s}]");
	struct ks_fault_event *e;
	struct ks_err err;
	char text[200];
	uint32_t n;
	CU_ASSERT_STRING_EQUAL(ks_fault_text(&p, p.fault, text, sizeof text), "n2 core 1 of 2 pauses 1s at 2s");
	CU_ASSERT_EQUAL_FATAL(ks_plan_events(&p, 1, &e, &n, &err), 0);
	CU_ASSERT_EQUAL_FATAL(n, 2);
	CU_ASSERT_TRUE(e[0].op == KS_FAULT_STOP && e[0].at_ns == 2 * SEC && e[1].op == KS_FAULT_RUN && e[1].at_ns == 3 * SEC);
	for (uint32_t process = 0; process < 2; process++)
		for (uint32_t thread = 0; thread < 3; thread++) {
			bool there = (process * 3 + thread) % 2 == 1;
			CU_ASSERT_EQUAL(ks_fault_names(&e[0], process, thread, 3), there);
			CU_ASSERT_EQUAL(ks_fault_names(&e[1], process, thread, 3), there);
			CU_ASSERT_EQUAL(ks_fault_stops(&p, p.fault, process, thread), there);
		}
	ks_free(e);
	ks_plan_release(&p);
	p = must("keyskew: 1\nfleet: {threads: 2}\nfaults: [{core: 0, pause: 1s}, {at: 3s, thread: 1, pause: 1s}]");
	char *effective = write_plan(&p);
	CU_ASSERT_PTR_NOT_NULL(strstr(effective, "pause: 1s, core: 0, cores: 2}\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(effective, "pause: 1s, thread: 1}\n"));
	free(effective);
	ks_plan_release(&p);
}

static void test_effective_text(void)
{
	struct ks_plan p = must("keyskew: 1\nfleet: 2\nfaults: [{at: 10s, node: n2, step: -120ms}]");
	char *text = write_plan(&p);
	CU_ASSERT_STRING_EQUAL(text, "keyskew: 1\n"
	                             "title: try\n"
	                             "tags: []\n"
	                             "start: 2026-01-15T10:00:00Z\n"
	                             "duration: 20s\n"
	                             "worlds: [auto]\n"
	                             "require: []\n"
	                             "fleet:\n"
	                             "  nodes: 2\n"
	                             "  processes: 1\n"
	                             "  threads: 1\n"
	                             "  clock: exact\n"
	                             "  drift: 0ppm\n"
	                             "  node_id: index\n"
	                             "  host: machine\n"
	                             "  clocksource: auto\n"
	                             "  kernel: any\n"
	                             "  network: {delay: 1ms, jitter: 0s}\n"
	                             "workload:\n"
	                             "  rate: 1000/s\n"
	                             "  phase: 0s\n"
	                             "  arrival: regular\n"
	                             "  model: open\n"
	                             "  on_refuse: drop\n"
	                             "  context: {user: 1..1000, depth: 0..6}\n"
	                             "faults:\n"
	                             "  - {name: step-1, at: 10s, node: [n2], step: -120ms}\n"
	                             "consumers: {}\n"
	                             "reported: {}\n"
	                             "expect:\n"
	                             "  other:\n"
	                             "    claims: kept\n");
	free(text);
	ks_plan_release(&p);
}

/* --- --set --- */

static void test_set(void)
{
	static const char two[] = "keyskew: 1\nfleet: 3\nfaults:\n  - {name: back, at: 10s, node: n2, step: -120ms}\n"
	                          "  - {at: 1s, drift: 1ppm}\nexpect: {snowflake: {refusals: 5}}";
	struct ks_plan p = must_set(two, "faults.back.step", "-10ms");
	CU_ASSERT_EQUAL(p.fault[0].amount, -10 * MS);
	ks_plan_release(&p);
	p = must_set(two, "faults.1.drift", "2ppm");
	CU_ASSERT_EQUAL(p.fault[1].amount, 2000);
	ks_plan_release(&p);
	p = must_set(two, "faults.drift-2.at", "3s");
	CU_ASSERT_EQUAL(p.fault[1].at_ns, 3 * SEC);
	ks_plan_release(&p);
	p = must_set(two, "fleet.nodes", "2");
	CU_ASSERT_EQUAL(p.nodes, 2);
	ks_plan_release(&p);
	p = must_set(two, "fleet", "2");
	CU_ASSERT_EQUAL(p.nodes, 2);
	ks_plan_release(&p);
	p = must_set(two, "fleet.nodes", "[{name: n1, zone: b}, {}]");
	CU_ASSERT_STRING_EQUAL(p.node[1].name, "n2");
	ks_plan_release(&p);
	p = must_set(two, "duration", "30s");
	CU_ASSERT_EQUAL(p.duration_ns, 30 * SEC);
	ks_plan_release(&p);
	p = must_set(two, "workload.context.user", "7..9");
	CU_ASSERT_EQUAL(p.user_high, 9);
	ks_plan_release(&p);
	p = must_set(two, "expect.snowflake.refusals", "6..7");
	CU_ASSERT_STRING_EQUAL(p.group[0].v[0].text, "refusals: 6..7");
	ks_plan_release(&p);
	p = must_set(two, "faults", "[]");
	CU_ASSERT_EQUAL(p.faults, 0);
	ks_plan_release(&p);
	p = must_set(full, "expect.other.claims", "kept");
	CU_ASSERT_EQUAL(p.group[0].v[0].verdict, KS_KEPT);
	ks_plan_release(&p);
	p = must_set(full, "expect../mine.so:a=\"b\".payment-gateway.double_charges", "1");
	CU_ASSERT_EQUAL(p.group[1].v[5].band.high, 1);
	ks_plan_release(&p);
	p = must_set(full, "fleet.nodes.order-7.offset", "1ms");
	CU_ASSERT_EQUAL(p.node[0].offset_ns, MS);
	ks_plan_release(&p);
}

static void test_sets_in_order(void)
{
	const struct ks_set sets[] = {{"fleet.nodes", "2"}, {"duration", "1s"}, {"duration", "2s"}};
	struct ks_plan p;
	struct ks_err err;
	CU_ASSERT_EQUAL_FATAL(parse("keyskew: 1", sets, 3, &p, &err), 0);
	CU_ASSERT_TRUE(p.nodes == 2 && p.duration_ns == 2 * SEC);
	ks_plan_release(&p);
}

/* --- claims --- */

static void test_claims(void)
{
	static const char *const good[] = {"unique@fleet", "increasing@thread", "sorted(1ms)@node", "causal@fleet",
	                                   "clock(5us)@process", "available(0s)@fleet"};
	static const char *const bad[] = {"", "@", "unique", "unique@", "@fleet", "unique@fleet@fleet", "sorted(@node",
	                                  "sorted()@node", "sorted(-1ms)@node", "sorted(1ms@node", "sorted1ms)@node",
	                                  "unique(1ms)@node", "UNIQUE@fleet", "unique@fleet "};
	struct ks_claim_ref c;
	struct ks_err err;
	char buf[KS_NAME_MAX];
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		CU_ASSERT_EQUAL_FATAL(ks_claim_parse(good[i], &c, &err), 0);
		CU_ASSERT_STRING_EQUAL(ks_claim_format(buf, c), good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CU_ASSERT_EQUAL(ks_claim_parse(bad[i], &c, &err), -1);
	CU_ASSERT_EQUAL(ks_claim_parse("uniqe@fleet", &c, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text,
			       "unknown property 'uniqe', expected one of unique increasing sorted causal clock "
			       "available; did you mean 'unique'");
}

static void test_fault_kinds(void)
{
	CU_ASSERT_EQUAL(ks_fault_kind_find("step")->op, KS_FAULT_STEP);
	CU_ASSERT_EQUAL(ks_fault_kind_find("drift")->op, KS_FAULT_DRIFT);
	CU_ASSERT_PTR_NULL(ks_fault_kind_find("stepp"));
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++) {
		char text[128], message[128];
		CU_ASSERT_TRUE(k->title && *k->title);
		if (k->op >= 0)
			continue;
		snprintf(text, sizeof text, "keyskew: 1\nfaults:\n  - {%s: 5ms, for: 1s}", k->name);
		snprintf(message, sizeof message, "dir/try.yaml:3:6: fault '%s' is not carried yet", k->name);
		refuses(text, message);
	}
}

static void test_reference(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	ks_plan_reference(out);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "## `fleet.nodes`\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n| `step` | moves the wall clock"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " | regular\\|poisson\\|burst | regular |\n"));
	free(text);
}

/* --- bad files --- */

static const struct {
	const char *text, *path, *value, *message; /* path, value: of a --set, or NULL */
} bad[] = {
	{"", NULL, NULL, "bad.yaml:1:1: empty, expected a value such as 'keyskew: 1'"},
	{"# only a comment\n", NULL, NULL, "bad.yaml:2:1: empty, expected a value such as 'keyskew: 1'"},
	{"[1, 2]", NULL, NULL, "bad.yaml:1:1: the file is a list, expected a mapping that begins with 'keyskew: 1'"},
	{"just text", NULL, NULL,
	 "bad.yaml:1:1: the file is a single value, expected a mapping that begins with 'keyskew: 1'"},
	{"title: x", NULL, NULL, "bad.yaml:1:1: no 'keyskew', expected 'keyskew: 1'"},
	{"keyskew: 2", NULL, NULL, "bad.yaml:1:10: format '2' is not known to this version, expected keyskew: 1"},
	{"keyskew: 1.0", NULL, NULL, "bad.yaml:1:10: format '1.0' is not known to this version, expected keyskew: 1"},
	{"keyskew: 1\nduraton: 20s", NULL, NULL,
	 "bad.yaml:2:1: unknown key 'duraton', expected one of keyskew title source tags start duration "
	 "worlds require fleet workload faults consumers capture reported expect; did you mean 'duration'"},
	{"keyskew: 1\nduration: 20", NULL, NULL,
	 "bad.yaml:2:11: bad duration '20', expected a unit (ns us ms s m h d)"},
	{"keyskew: 1\nduration: 1e9ns", NULL, NULL,
	 "bad.yaml:2:11: bad duration '1e9ns', expected a unit of ns us ms s m h d"},
	{"keyskew: 1\nduration: 0s", NULL, NULL,
	 "bad.yaml:2:11: bad duration '0s', expected a duration, 1ns..36500d"},
	{"keyskew: 1\nduration: [20s]", NULL, NULL,
	 "bad.yaml:2:11: 'duration' is a list, expected a duration, 1ns..36500d"},
	{"keyskew: 1\ntitle: \"\"", NULL, NULL, "bad.yaml:2:8: 'title' is empty, expected a text"},
	{"keyskew: 1\ntitle: \"a\\x1b[31m\"", NULL, NULL,
	 "bad.yaml:2:8: a text with control or invisible characters"},
	{"keyskew: 1\ntitle: \"a\\0b\"", NULL, NULL, "bad.yaml:2:8: a text with control or invisible characters"},
	{"keyskew: 1\ntitle: a\ntitle: b", NULL, NULL, "bad.yaml:3:1: key 'title' is given twice, first in line 2"},
	{"keyskew: 1\nstart: 2026-01-15", NULL, NULL,
	 "bad.yaml:2:8: bad start '2026-01-15', expected a UTC time such as 2026-01-15T10:00:00Z"},
	{"keyskew: 1\nstart: 2026-02-30T10:00:00Z", NULL, NULL,
	 "bad.yaml:2:8: bad start '2026-02-30T10:00:00Z', expected a day that exists"},
	{"keyskew: 1\nworlds: [sim, fake]", NULL, NULL,
	 "bad.yaml:2:15: unknown world 'fake', expected one of auto sim faketime vdso qemu; did you mean "
	 "'faketime'"},
	{"keyskew: 1\nworlds: vdso", NULL, NULL, "bad.yaml:2:9: world 'vdso' is not carried yet"},
	{"keyskew: 1\nworlds: [auto, sim]", NULL, NULL,
	 "bad.yaml:2:9: 'auto' beside other worlds in 'worlds', expected auto or a list of worlds"},
	{"keyskew: 1\nworlds: []", NULL, NULL, "bad.yaml:2:9: 'worlds' is empty, expected auto or a list of worlds"},
	{"keyskew: 1\nworlds: [sim]\nrequire: [qemu]", NULL, NULL,
	 "bad.yaml:3:10: world 'qemu' is required, but not under 'worlds'"},
	{"keyskew: 1\ntags: [a b]", NULL, NULL,
	 "bad.yaml:2:8: bad tag 'a b', expected a letter, then letters, digits, - or _, at most 63 in all"},
	{"keyskew: 1\nfleet: 0", NULL, NULL,
	 "bad.yaml:2:8: bad nodes '0', expected a whole number, 1..1024, or a list of mappings"},
	{"keyskew: 1\nfleet: 1e3", NULL, NULL,
	 "bad.yaml:2:8: bad nodes '1e3', expected a whole number, 1..1024, or a list of mappings"},
	{"keyskew: 1\nfleet: 2000", NULL, NULL,
	 "bad.yaml:2:8: bad nodes '2000', expected a whole number, 1..1024, or a list of mappings"},
	{"keyskew: 1\nfleet: {nodes: []}", NULL, NULL, "bad.yaml:2:16: 0 nodes, expected 1..1024"},
	{"keyskew: 1\nfleet: {nodes: [{name: a}, {name: a}]}", NULL, NULL, "bad.yaml:2:28: a second node 'a'"},
	{"keyskew: 1\nfleet: {nodes: [{name: 7}]}", NULL, NULL,
	 "bad.yaml:2:24: bad name '7', expected a letter, then letters, digits, - or _, at most 63 in all"},
	{"keyskew: 1\nfleet: {nodes: [a]}", NULL, NULL,
	 "bad.yaml:2:17: a node is a single value, expected a mapping such as {name: order-7, zone: b}"},
	{"keyskew: 1\nfleet: {nodes: [{offset: 8}]}", NULL, NULL,
	 "bad.yaml:2:26: bad offset '8', expected a unit (ns us ms s m h d)"},
	{"keyskew: 1\nfleet: {nodes: [{offset: -36500d}]}", NULL, NULL,
	 "bad.yaml:2:17: the clock of node 'n1' leaves the years 1970 to 2261"},
	{"keyskew: 1\nfleet: {nodes: 100, threads: 100}", NULL, NULL,
	 "bad.yaml:2:8: a fleet of 10000 threads, expected at most 4096"},
	{"keyskew: 1\nfleet: {clock: {ntpd: {stpout: 3s}}}", NULL, NULL,
	 "bad.yaml:2:24: unknown key 'stpout', expected one of offset jitter delay poll first step stepout panic; did you mean "
	 "'stepout'"},
	{"keyskew: 1\nfleet: {clock: {ntpd: {step: 3}}}", NULL, NULL,
	 "bad.yaml:2:30: bad step '3', expected a unit (ns us ms s m h d)"},
	{"keyskew: 1\nfleet: {clock: {ntpd: {}, chrony: {}}}", NULL, NULL,
	 "bad.yaml:2:16: 'clock' names 2 keepers, expected one such as {ntpd: {step: 0s}}"},
	{"keyskew: 1\nfleet: {clock: {free: {poll: 3s}}}", NULL, NULL, "bad.yaml:2:23: 'free' has no options"},
	{"keyskew: 1\nfleet: {clock: {ntpd: 3}}", NULL, NULL,
	 "bad.yaml:2:23: 'ntpd' is a single value, expected a mapping of its options"},
	{"keyskew: 1\nfleet: {nodes: [{clock: exact, drift: 3ppm}]}", NULL, NULL,
	 "bad.yaml:2:39: drift '3ppm' of an exact clock, expected 'clock: free' in the fleet"},
	{"keyskew: 1\nfleet: {clock: ntp}", NULL, NULL,
	 "bad.yaml:2:16: unknown clock 'ntp', expected one of exact free chrony ntpd timesyncd; did you mean "
	 "'ntpd'"},
	{"keyskew: 1\nfleet: {drift: 20ppm}", NULL, NULL,
	 "bad.yaml:2:16: drift '20ppm' of an exact clock, expected 'clock: free' in the fleet"},
	{"keyskew: 1\nfleet: {clock: free, drift: 20}", NULL, NULL,
	 "bad.yaml:2:29: bad drift '20', expected a unit of ppm or ppb"},
	{"keyskew: 1\nfleet: {node_id: mak}", NULL, NULL,
	 "bad.yaml:2:18: unknown node_id 'mak', expected one of index fixed random mac pid lease; did you mean 'mac'"},
	{"keyskew: 1\nfleet: {host: contaner}", NULL, NULL,
	 "bad.yaml:2:15: unknown host 'contaner', expected one of machine container; did you mean 'container'"},
	{"keyskew: 1\nfleet: {node_id: {fixed: -1}}", NULL, NULL,
	 "bad.yaml:2:26: bad fixed '-1', expected a whole number, 0..281474976710655"},
	{"keyskew: 1\nfleet: {network: {delay: -5ms}}", NULL, NULL,
	 "bad.yaml:2:26: bad delay '-5ms', expected a duration, 0s..1h"},
	{"keyskew: 1\nworkload: {rate: 1000}", NULL, NULL,
	 "bad.yaml:2:18: bad rate '1000', expected a rate such as 1000/s"},
	{"keyskew: 1\nworkload: {rate: 0/s}", NULL, NULL, "bad.yaml:2:18: bad rate '0/s', expected a rate above 0"},
	{"keyskew: 1\nworkload: {rate: 1000000/s}\nduration: 1h", NULL, NULL,
	 "bad.yaml:2:11: 1000000/s of 1 node for 1h makes more than 2147483648 calls"},
	{"keyskew: 1\nworkload: {arrival: possion}", NULL, NULL,
	 "bad.yaml:2:21: unknown arrival 'possion', expected one of regular poisson burst; did you mean "
	 "'poisson'"},
	{"keyskew: 1\nworkload: {messages: {rate: 10/s}}", NULL, NULL,
	 "bad.yaml:2:22: messages in a fleet of one node, expected at least two"},
	{"keyskew: 1\nfleet: 2\nworkload: {messages: {from: n1, to: n1}}", NULL, NULL,
	 "bad.yaml:3:22: messages from node 'n1' to itself"},
	{"keyskew: 1\nfleet: 3\nworkload: {messages: {from: all}}", NULL, NULL,
	 "bad.yaml:3:22: messages from node 'n2' to itself"},
	{"keyskew: 1\nfleet: 3\nworkload: {messages: {from: [n1, n2, n1], to: n3}}", NULL, NULL,
	 "bad.yaml:3:38: node 'n1' is given twice"},
	{"keyskew: 1\nfleet: 3\nworkload: {messages: {from: n1, to: []}}", NULL, NULL,
	 "bad.yaml:3:37: 'to' is empty, expected a node"},
	{"keyskew: 1\nfleet: 3\nworkload: {messages: {from: n1, to: [n2, {a: b}]}}", NULL, NULL,
	 "bad.yaml:3:42: to is a mapping, expected the name of a node"},
	{"keyskew: 1\nfleet: 2\nworkload: {messages: {from: n1, to: n3}}", NULL, NULL,
	 "bad.yaml:3:37: unknown node 'n3', expected one of n1 n2; did you mean 'n1'"},
	{"keyskew: 1\nworkload: {context: {user: 1..}}", NULL, NULL,
	 "bad.yaml:2:28: bad user '1..', expected a band within 0..9007199254740992"},
	{"keyskew: 1\nworkload: {context: {depth: 6..0}}", NULL, NULL,
	 "bad.yaml:2:29: bad depth '6..0', expected a band whose low end is not above its high end"},
	{"keyskew: 1\nfaults: {step: 5ms}", NULL, NULL, "bad.yaml:2:9: 'faults' is a mapping, expected a list"},
	{"keyskew: 1\nfaults: [step]", NULL, NULL,
	 "bad.yaml:2:10: a fault is a single value, expected a mapping such as {at: 10s, node: n2, step: "
	 "-120ms}"},
	{"keyskew: 1\nfaults:\n  - {at: 1s}", NULL, NULL,
	 "bad.yaml:3:5: a fault without a kind, expected one such as 'step: -120ms' or 'drift: 50ppm'"},
	{"keyskew: 1\nduration: 20s\nfaults:\n  - {at: 1s, leap: insert}", NULL, NULL,
	 "bad.yaml:4:5: the leap second of 'leap-1' comes at midnight, at 14h, which is not a second before the end at 20s"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, leap: insrt}", NULL, NULL,
	 "bad.yaml:3:20: unknown leap 'insrt', expected one of insert delete; did you mean 'insert'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, smear: linear, for: 3s}", NULL, NULL,
	 "bad.yaml:3:34: a second smeared over '3s', expected at least 20s"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, smear: sine, for: 30s}", NULL, NULL,
	 "bad.yaml:3:21: unknown smear 'sine', expected one of linear cosine; did you mean 'cosine'"},
	{"keyskew: 1\nfleet: {clock: chrony}\nfaults:\n  - {at: 1s, smear: linear, for: 1h}", NULL, NULL,
	 "bad.yaml:4:5: 'smear-1' smears the clock of 'n1', which chrony keeps, expected one that is exact or free"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, cpu-skew: 3ms}", NULL, NULL,
	 "bad.yaml:3:5: 1 thread pinned to 2 cores, expected a thread a core, or 'hop'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, cpu-skew: 3ms, hop: 1s, for: 1s}", NULL, NULL,
	 "bad.yaml:3:43: ends before a thread has been on 2 cores"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, cpu-skew: 0s, hop: 1ms}", NULL, NULL,
	 "bad.yaml:3:24: cores that are 0s apart, expected another duration"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, rtc-reset: 3s}", NULL, NULL,
	 "bad.yaml:3:25: bad rtc-reset '3s', expected a UTC time such as 2026-01-15T10:00:00Z"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, coarse: 1ns}", NULL, NULL,
	 "bad.yaml:3:22: bad coarse '1ns', expected a duration, 2ns..1h"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, coarse: 4ms, hz: 3}", NULL, NULL,
	 "bad.yaml:3:27: 'hz' does not belong to fault 'coarse'"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, restart: process, state: lots}", NULL, NULL,
	 "bad.yaml:4:39: unknown state 'lots', expected one of lost kept; did you mean 'lost'"},
	{"keyskew: 1\nduration: 5s\nfaults:\n  - {at: 4s, restart: node, for: 1s}", NULL, NULL,
	 "bad.yaml:4:5: the restart 'restart-1' is over at 5s, which is not before the end at 5s"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, restart: nod}", NULL, NULL,
	 "bad.yaml:4:23: unknown restart 'nod', expected one of process node; did you mean 'node'"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, restart: node, process: 0}", NULL, NULL,
	 "bad.yaml:4:29: 'process' of a restart of the node, which ends all of them"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, restart: process, process: 3}", NULL, NULL,
	 "bad.yaml:4:41: no process 3, a node has 1"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, snapshot: warm}", NULL, NULL,
	 "bad.yaml:4:5: a snapshot of 2 nodes, expected 'node' with the one that it keeps"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, node: n1, snapshot: warm}\n  - {at: 2s, clone: worm, as: n9}", NULL, NULL,
	 "bad.yaml:5:21: unknown snapshot 'worm', expected warm; did you mean 'warm'"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, clone: warm, as: n9}", NULL, NULL,
	 "bad.yaml:4:21: unknown snapshot 'warm', no fault takes one"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, node: n1, snapshot: warm}\n  - {at: 2s, clone: warm}", NULL, NULL,
	 "bad.yaml:5:5: fault 'clone' needs 'as'"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, node: n1, snapshot: warm}\n  - {at: 2s, clone: warm, as: n2}", NULL, NULL,
	 "bad.yaml:5:31: a second node 'n2'"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 3s, node: n1, snapshot: warm}\n  - {at: 2s, clone: warm, as: n9}", NULL, NULL,
	 "bad.yaml:5:5: fault 'clone-2' at 2s does not come after snapshot 'warm', which is taken at 3s"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, node: n1, snapshot: warm}\n  - {at: 2s, node: n2, rollback: warm}", NULL, NULL,
	 "bad.yaml:5:20: snapshot 'warm' is of node 'n1', expected that or nothing"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, node: n1, snapshot: warm}\n  - {at: 2s, clone: warm, as: n9}\n  - {at: 1500ms, node: n9, step: 1ms}", NULL, NULL,
	 "bad.yaml:6:24: node 'n9' is not there before 2s"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, node: n1, snapshot: warm}\n  - {at: 2s, node: n1, clone: warm, as: n9}", NULL, NULL,
	 "bad.yaml:5:5: a clone with 'node' or 'zone', expected 'as' with the name of the new node alone"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, node: n1, snapshot: warm}\n  - {at: 500ms, node: n1, restart: process}", NULL, NULL,
	 "bad.yaml:5:5: fault 'restart-2' overlaps fault 'snapshot-1' on a node"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, thread: 0, pause: 5ms, where: before clok}", NULL, NULL,
	 "bad.yaml:4:44: unknown environment call 'clok', expected one of clock wait random lock unlock load store cas add identity persist registry call; did you mean 'clock'"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, thread: 0, pause: 5ms, where: behind clock}", NULL, NULL,
	 "bad.yaml:4:44: bad where 'behind clock', expected such as 'before clock', 'after store 2', any, or every"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, thread: 0, pause: 5ms, where: before clock 0}", NULL, NULL,
	 "bad.yaml:4:44: bad where 'before clock 0', expected such as 'before clock', 'after store 2', any, or every"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, thread: 0, pause: 5ms, times: 3}", NULL, NULL,
	 "bad.yaml:4:37: 'times' without 'call' or 'where', which place it inside calls"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, thread: 0, stop-world: 5ms}", NULL, NULL,
	 "bad.yaml:4:14: 'thread' does not belong to a stop-world that is not placed inside a call"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, thread: 0, pause: 5ms, where: every, times: 3}", NULL, NULL,
	 "bad.yaml:4:51: 'times' beside 'where: every', which is as often as a call has places"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, registry: up, for: 1s}", NULL, NULL,
	 "bad.yaml:4:24: unknown registry 'up', expected down"},
	{"keyskew: 1\nfleet: 2\nfaults:\n  - {at: 1s, registry: down}", NULL, NULL,
	 "bad.yaml:4:5: fault 'registry' needs 'for'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, slew: -500ppm}", NULL, NULL, "bad.yaml:3:5: fault 'slew' needs 'for'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, slew: -500ppm, for: 0s}", NULL, NULL,
	 "bad.yaml:3:34: bad for '0s', expected a duration, 1ns..36500d"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, pause: 50ms}", NULL, NULL, "bad.yaml:3:5: fault 'pause' needs 'thread', or 'core'"},
	{"keyskew: 1\nfleet: {threads: 2}\nfaults:\n  - {at: 1s, core: 2, pause: 50ms}", NULL, NULL, "bad.yaml:4:20: no core 2, expected 0..1 ('cores' says how many there are)"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, core: 1, pause: 50ms}", NULL, NULL, "bad.yaml:3:5: 1 thread on 2 cores, expected a thread a core (fleet.threads)"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, suspend: s3, for: 1s}\n  - {name: b, at: 1500ms, slew: 500ppm, for: 2s}", NULL, NULL, "bad.yaml:4:5: fault 'b' overlaps fault 'suspend-1' on a node"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, suspend: vm-stop, for: 1s}\n  - {name: b, at: 500ms, slew: 500ppm, for: 1s}", NULL, NULL, "bad.yaml:4:5: fault 'b' overlaps fault 'suspend-1' on a node"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, suspend: s3, for: 1s}\n  - {name: b, at: 1500ms, drift: 5ppm}", NULL, NULL, "bad.yaml:4:5: fault 'b' overlaps fault 'suspend-1' on a node"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, stop-world: 2s}\n  - {name: b, at: 2500ms, suspend: s3, for: 1s}", NULL, NULL, "bad.yaml:4:5: fault 'b' overlaps fault 'stop-world-1' on a node"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, snapshot: a}\n  - {at: 2s, thread: 0, pause: 2s}\n  - {name: b, at: 3s, rollback: a}", NULL, NULL, "bad.yaml:5:5: fault 'b' overlaps fault 'pause-2' on a node"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, restart: node, for: 5s}\n  - {name: b, at: 3s, thread: 0, pause: 1s}", NULL, NULL, "bad.yaml:4:5: fault 'b' overlaps fault 'restart-1' on a node"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, restart: node, for: 5s}\n  - {name: b, at: 3s, step: 1s}", NULL, NULL, "bad.yaml:4:5: fault 'b' overlaps fault 'restart-1' on a node"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, suspend: host-stop, for: 1s, wake_error: 1s}", NULL, NULL, "bad.yaml:3:43: 'wake_error' beside 'suspend: host-stop', expected 's3'"},
	{"keyskew: 1\nfleet: {threads: 3}\nfaults:\n  - {at: 1s, core: 1, cores: 4, pause: 50ms}", NULL, NULL,
	 "bad.yaml:4:5: 3 threads on 4 cores, expected a thread a core (fleet.threads)"},
	{"keyskew: 1\nfleet: {threads: 2}\nfaults:\n  - {at: 1s, core: 1, thread: 0, pause: 50ms}", NULL, NULL,
	 "bad.yaml:4:23: 'thread' beside 'core', which stops all threads on it wherever they are"},
	{"keyskew: 1\nfleet: {threads: 2}\nfaults:\n  - {at: 1s, core: 1, process: 0, pause: 50ms}", NULL, NULL,
	 "bad.yaml:4:23: 'process' beside 'core', which stops all threads on it wherever they are"},
	{"keyskew: 1\nfleet: {threads: 2}\nfaults:\n  - {at: 1s, core: 1, pause: 50ms, call: 3}", NULL, NULL,
	 "bad.yaml:4:36: 'call' beside 'core', which stops all threads on it wherever they are"},
	{"keyskew: 1\nfleet: {threads: 2}\nfaults:\n  - {at: 1s, core: 1, pause: 50ms, where: any}", NULL, NULL,
	 "bad.yaml:4:36: 'where' beside 'core', which stops all threads on it wherever they are"},
	{"keyskew: 1\nfleet: {threads: 2}\nfaults:\n  - {at: 1s, thread: 1, cores: 2, pause: 50ms}", NULL, NULL,
	 "bad.yaml:4:25: 'cores' without 'core', which says which of them pauses"},
	{"keyskew: 1\nfleet: {threads: 2}\nfaults:\n  - {at: 1s, core: 1, step: 50ms}", NULL, NULL,
	 "bad.yaml:4:14: 'core' does not belong to fault 'step'"},
	{"keyskew: 1\nfleet: {threads: 4}\nfaults:\n  - {at: 1s, core: 1, pause: 50ms}\n  - {at: 2s, core: 1, cores: 4, pause: 50ms}", NULL, NULL,
	 "bad.yaml:5:5: fault 'pause-2' has threads on other cores than fault 'pause-1' on a node, expected the same 'cores', and no 'hop'"},
	{"keyskew: 1\nfleet: {threads: 2}\nfaults:\n  - {at: 1s, core: 1, pause: 50ms}\n  - {at: 2s, cpu-skew: 1ms, hop: 50ms}", NULL, NULL,
	 "bad.yaml:5:5: fault 'cpu-skew-2' has threads on other cores than fault 'pause-1' on a node, expected the same 'cores', and no 'hop'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, thread: 1, pause: 50ms}", NULL, NULL,
	 "bad.yaml:3:22: no thread 1, a process has 1"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, process: 2, stop-world: 50ms}", NULL, NULL,
	 "bad.yaml:3:23: no process 2, a node has 1"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, suspend: s4, for: 1s}", NULL, NULL,
	 "bad.yaml:3:23: unknown suspend 's4', expected one of s3 vm-stop host-stop; did you mean 's3'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, freeze: [realtime, realtim], for: 1s}", NULL, NULL,
	 "bad.yaml:3:33: unknown clock 'realtim', expected one of realtime monotonic raw boottime tai; did you mean "
	 "'realtime'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, freeze: [tai, tai], for: 1s}", NULL, NULL,
	 "bad.yaml:3:28: clock 'tai' is given twice"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, strobe: 5ms, period: 1us, for: 5s}", NULL, NULL,
	 "bad.yaml:3:3: the faults make more than 1048576 changes"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, freeze: tai, for: 2s}\n  - {at: 2s, suspend: s3, for: 1s}", NULL, NULL,
	 "bad.yaml:4:5: fault 'suspend-2' overlaps fault 'freeze-1' on a node"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, step: 5ms, for: 4s}", NULL, NULL,
	 "bad.yaml:3:25: 'for' does not belong to fault 'step'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, step: to-tru}", NULL, NULL,
	 "bad.yaml:3:20: unknown step 'to-tru', expected a duration, -36500d..36500d, or to-true"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, step: 5}", NULL, NULL,
	 "bad.yaml:3:20: bad step '5', expected a unit (ns us ms s m h d)"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, step: 5ms, drift: 5ppm}", NULL, NULL,
	 "bad.yaml:3:25: a second kind 'drift' beside 'step', expected one a fault"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, stepp: 5ms}", NULL, NULL,
	 "bad.yaml:3:14: unknown key 'stepp', expected one of name at node zone for ...; did you mean 'step'"},
	{"keyskew: 1\nfaults:\n  - {at: -1s, step: 5ms}", NULL, NULL,
	 "bad.yaml:3:10: bad at '-1s', expected a duration since the start, or a UTC time"},
	{"keyskew: 1\nfaults:\n  - {at: 2026-01-15T09:59:59Z, step: 5ms}", NULL, NULL,
	 "bad.yaml:3:10: '2026-01-15T09:59:59Z' lies before the start"},
	{"keyskew: 1\nfaults:\n  - {at: 2026-13-15T09:59:59Z, step: 5ms}", NULL, NULL,
	 "bad.yaml:3:10: bad at '2026-13-15T09:59:59Z', expected a UTC time such as 2026-01-15T10:00:00Z"},
	{"keyskew: 1\nfleet: 3\nfaults:\n  - {at: 1s, node: n4, step: 5ms}", NULL, NULL,
	 "bad.yaml:4:20: unknown node 'n4', expected one of n1 n2 n3; did you mean 'n1'"},
	{"keyskew: 1\nfleet: 3\nfaults:\n  - {at: 1s, node: [n1, n1], step: 5ms}", NULL, NULL,
	 "bad.yaml:4:25: node 'n1' is given twice"},
	{"keyskew: 1\nfleet: 3\nfaults:\n  - {at: 1s, node: [], step: 5ms}", NULL, NULL,
	 "bad.yaml:4:20: 'node' is an empty list, expected at least one name"},
	{"keyskew: 1\nfleet: 3\nfaults:\n  - {at: 1s, zone: b, step: 5ms}", NULL, NULL,
	 "bad.yaml:4:20: unknown zone 'b', no node names a zone"},
	{"keyskew: 1\nfleet: {nodes: [{zone: east}, {}]}\nfaults:\n  - {at: 1s, zone: eats, step: 5ms}", NULL, NULL,
	 "bad.yaml:4:20: unknown zone 'eats', expected east; did you mean 'east'"},
	{"keyskew: 1\nfaults:\n  - {at: 1s, node: n1, zone: b, step: 5ms}", NULL, NULL,
	 "bad.yaml:3:24: 'zone' beside 'node', expected one of them"},
	{"keyskew: 1\nduration: 5s\nfaults:\n  - {name: late, at: 5s, step: 5ms}", NULL, NULL,
	 "bad.yaml:4:5: fault 'late' at 5s is not before the end at 5s"},
	{"keyskew: 1\nfaults:\n  - {name: a, step: 5ms}\n  - {name: a, step: 5ms}", NULL, NULL,
	 "bad.yaml:4:5: a second fault 'a'"},
	{"keyskew: 1\nfaults:\n  - {step: -36500d}", NULL, NULL,
	 "bad.yaml:3:5: the clock of node 'n1' leaves the years 1970 to 2261"},
	{"keyskew: 1\nfaults:\n  - {drift: 200000ppm}", NULL, NULL,
	 "bad.yaml:3:13: bad drift '200000ppm', expected a rate, -100000ppm..100000ppm"},
	{"keyskew: 1\nstart: 2261-12-31T23:59:55Z", NULL, NULL,
	 "bad.yaml: the clock of node 'n1' leaves the years 1970 to 2261"},
	{"keyskew: 1\nconsumers: {payment-gatway: {}}", NULL, NULL,
	 "bad.yaml:2:13: unknown consumer 'payment-gatway', expected one of payment-gateway key-value-store lww-replica "
	 "shard-table nested-map trace-collector publish-order; did you mean "
	 "'payment-gateway'"},
	{"keyskew: 1\nconsumers: {payment-gateway: {retri: new-key}}", NULL, NULL,
	 "bad.yaml:2:38: unknown option 'retri'; did you mean 'retry'"},
	{"keyskew: 1\nconsumers: {payment-gateway: {retry: newkey}}", NULL, NULL,
	 "bad.yaml:2:38: bad value 'newkey' of option 'retry', expected one of same-key|new-key; did you mean "
	 "'new-key'"},
	{"keyskew: 1\nreported: {figures: {unique@fleet: kept}}", NULL, NULL,
	 "bad.yaml:2:22: 'unique@fleet' is a claim, expected a metric or a damage with a band"},
	{"keyskew: 1\nreported: {figures: {lost: 1.., lost: 2}}", NULL, NULL, "bad.yaml:2:33: key 'lost' is given twice, first in line 2"},
	{"keyskew: 1\nreported: {figures: {duplicates: 1.., duplicates@fleet: 2}}", NULL, NULL,
	 "bad.yaml:2:39: 'duplicates@fleet' is reported twice, first in line 2"},
	{"keyskew: 1\nreported: {figures: {payment-gateway.double_charges: 1..}}", NULL, NULL,
	 "bad.yaml:2:22: consumer 'payment-gateway' is not used by this scenario, expected it under 'consumers'"},
	{"keyskew: 1\nreported: {figure: {lost: 1..}}", NULL, NULL, "bad.yaml:2:12: unknown key 'figure', expected one of what of figures; did you mean 'figures'"},
	{"keyskew: 1\nconsumers: {lww-replica: {}}\nexpect: {snowflake: {lww-replica.stale_ns_max: 5}}", NULL, NULL,
	 "bad.yaml:3:48: bad lww-replica.stale_ns_max '5', expected a unit such as 1ms"},
	{"keyskew: 1\nconsumers: {payment-gateway: 5}", NULL, NULL,
	 "bad.yaml:2:30: 'payment-gateway' is a single value, expected a mapping of its options, or {}"},
	{"keyskew: 1\nexpect: {snowflake: {}}", NULL, NULL,
	 "bad.yaml:2:21: 'snowflake' expects nothing, expected at least one expectation"},
	{"keyskew: 1\nexpect: {snowflake: kept}", NULL, NULL,
	 "bad.yaml:2:21: 'snowflake' is a single value, expected a mapping such as {unique@fleet: kept}"},
	{"keyskew: 1\nexpect: {snowflake: {unique: kept}}", NULL, NULL,
	 "bad.yaml:2:22: bad claim 'unique', expected PROPERTY@SCOPE such as unique@fleet"},
	{"keyskew: 1\nexpect: {snowflake: {unique@flet: kept}}", NULL, NULL,
	 "bad.yaml:2:22: unknown scope 'flet', expected one of thread process node fleet; did you mean 'fleet'"},
	{"keyskew: 1\nexpect: {snowflake: {uniq@fleet: kept}}", NULL, NULL,
	 "bad.yaml:2:22: unknown expectation 'uniq@fleet', expected one of claims unique@fleet "
	 "increasing@thread sorted(1ms)@fleet causal@fleet clock(1ms)@fleet available(1ms)@fleet duplicates "
	 "descents below_max displacement late_ns_max inversions rem ahead_ns_max behind_ns_max causality_violations "
	 "stall_ns_max stall_ns_p50 stall_ns_p99 refusals lost; did you mean 'unique@fleet'"},
	{"keyskew: 1\nexpect: {snowflake: {unique@fleet: ok}}", NULL, NULL,
	 "bad.yaml:2:36: unknown verdict 'ok', expected one of kept broken untested"},
	{"keyskew: 1\nexpect: {snowflake: {sorted@fleet: kept}}", NULL, NULL,
	 "bad.yaml:2:22: claim 'sorted@fleet' lacks its bound, expected sorted(1ms)@SCOPE"},
	{"keyskew: 1\nexpect: {snowflake: {sorted(5)@fleet: kept}}", NULL, NULL,
	 "bad.yaml:2:22: bad bound in claim 'sorted(5)@fleet', expected a unit (ns us ms s m h d)"},
	{"keyskew: 1\nexpect: {snowflake: {unique(5ms)@fleet: kept}}", NULL, NULL,
	 "bad.yaml:2:22: claim 'unique(5ms)@fleet' has a bound, expected unique@SCOPE"},
	{"keyskew: 1\nexpect: {snowflake: {refusal: 5}}", NULL, NULL,
	 "bad.yaml:2:22: unknown expectation 'refusal', expected one of claims unique@fleet increasing@thread "
	 "sorted(1ms)@fleet causal@fleet clock(1ms)@fleet available(1ms)@fleet duplicates descents below_max "
	 "displacement late_ns_max inversions rem ahead_ns_max behind_ns_max causality_violations stall_ns_max stall_ns_p50 "
	 "stall_ns_p99 refusals lost; did you mean 'refusals'"},
	{"keyskew: 1\nexpect: {snowflake: {refusals@node: 5}}", NULL, NULL,
	 "bad.yaml:2:22: metric 'refusals' is of the whole run, expected no '@node'"},
	{"keyskew: 1\nexpect: {snowflake: {duplicates@nod: 5}}", NULL, NULL,
	 "bad.yaml:2:22: unknown scope 'nod', expected one of thread process node fleet; did you mean 'node'"},
	{"keyskew: 1\nexpect: {snowflake: {refusals: 5ms}}", NULL, NULL,
	 "bad.yaml:2:32: bad refusals '5ms', expected a number without a unit"},
	{"keyskew: 1\nexpect: {snowflake: {stall_ns_max: 5}}", NULL, NULL,
	 "bad.yaml:2:36: bad stall_ns_max '5', expected a unit such as 1ms"},
	{"keyskew: 1\nexpect: {snowflake: {refusals: 0..}}", NULL, NULL,
	 "bad.yaml:2:32: '0..' is met by every value, expected a band that can be missed"},
	{"keyskew: 1\nexpect: {snowflake: {refusals: \"-1\"}}", NULL, NULL,
	 "bad.yaml:2:32: '-1' is met by no value, expected one of at least 0"},
	{"keyskew: 1\nexpect: {snowflake: {refusals: 5..3}}", NULL, NULL,
	 "bad.yaml:2:32: bad refusals '5..3', expected a band whose low end is not above its high end"},
	{"keyskew: 1\nexpect: {snowflake: {duplicates: 5, duplicates@fleet: 6}}", NULL, NULL,
	 "bad.yaml:2:37: 'duplicates@fleet' is expected twice, first in line 2"},
	{"keyskew: 1\nexpect: {snowflake: {payment-gateway.double_charges: 5}}", NULL, NULL,
	 "bad.yaml:2:22: consumer 'payment-gateway' is not used by this scenario, expected it under "
	 "'consumers'"},
	{"keyskew: 1\nconsumers: {payment-gateway: {}}\nexpect: {snowflake: {payment-gateway.double_charge: 5}}", NULL,
	 NULL,
	 "bad.yaml:3:22: consumer 'payment-gateway' does no damage 'double_charge'; did you mean "
	 "'double_charges'"},
	{"keyskew: 1\ntitle: &a x", NULL, NULL, "bad.yaml:2:8: YAML anchors are not accepted"},
	{"keyskew: 1\ntitle: *a", NULL, NULL,
	 "bad.yaml:2:8: YAML aliases are not accepted, expected the value itself"},
	{"keyskew: 1\ntitle: !!str x", NULL, NULL, "bad.yaml:2:8: YAML tags are not accepted"},
	{"keyskew: 1\n---\nkeyskew: 1", NULL, NULL, "bad.yaml:2:1: a second document, expected one a file"},
	{"%TAG ! tag:x,2000:\n---\nkeyskew: 1", NULL, NULL, "bad.yaml:1:1: YAML tags are not accepted"},
	{"keyskew: 1\ntitle: [[[[[[[[[[1]]]]]]]]]]", NULL, NULL, "bad.yaml:2:16: nested deeper than any scenario"},
	{"keyskew: 1\n? [a]\n: b", NULL, NULL, "bad.yaml:2:3: a key that is not a word"},
	{"keyskew: 1\ntitle: \"unterminated", NULL, NULL,
	 "bad.yaml:2:21: not YAML: found unexpected end of stream while scanning a quoted scalar"},
	{"keyskew: 1\n\ttitle: x", NULL, NULL,
	 "bad.yaml:2:1: not YAML: found a tab character that violates indentation while scanning a plain "
	 "scalar"},
	{"keyskew: 1\nsuite: x\nruns: []", NULL, NULL, "bad.yaml:1:1: a suite, expected a scenario"},
	{"keyskew: 1\ncommand: [./x]\nspeaks: ask", NULL, NULL, "bad.yaml:1:1: generator files are not carried yet"},
	{"keyskew: 1\nfaults:\n  - {name: back, step: 5ms}", "faults.bak.step", "5ms",
	 "--set faults.bak.step: no 'bak' in 'faults', expected a name or an index 0..0; did you mean 'back'"},
	{"keyskew: 1\nfaults:\n  - {name: back, step: 5ms}", "faults.1.step", "5ms",
	 "--set faults.1.step: no '1' in 'faults', expected a name or an index 0..0"},
	{"keyskew: 1\nfaults:\n  - {name: back, step: 5ms}", "faults.back.step", "5",
	 "--set faults.back.step: bad step '5', expected a unit (ns us ms s m h d)"},
	{"keyskew: 1\nfaults:\n  - {name: back, step: 5ms}", "faults.back.stp", "5ms",
	 "--set faults.back.stp: unknown key 'stp', expected one of name at node zone for ...; did you mean 'step'"},
	{"keyskew: 1\nfaults:\n  - {step: 5ms}", "faults.step-1.node", "n9",
	 "--set faults.step-1.node: unknown node 'n9', expected n1; did you mean 'n1'"},
	{"keyskew: 1", "flet.nodes", "3",
	 "--set flet.nodes: unknown key 'flet', expected one of keyskew title source tags start duration "
	 "worlds require fleet workload faults consumers capture reported expect; did you mean 'fleet'"},
	{"keyskew: 1", "fleet.nodez", "3",
	 "--set fleet.nodez: unknown key 'nodez', expected one of processes threads clock nodes drift node_id host "
	 "clocksource kernel network; did you mean 'nodes'"},
	{"keyskew: 1", "fleet.kernel", "../x", "--set fleet.kernel: bad kernel '../x', expected any, or a version such as 6.1"},
	{"keyskew: 1", "fleet.nodes", "x",
	 "--set fleet.nodes: bad nodes 'x', expected a whole number, 1..1024, or a list of mappings"},
	{"keyskew: 1\ntitle: a", "title.x", "3", "--set title.x: no 'x' inside the value 'a'"},
	{"keyskew: 1", "duration", "", "--set duration: bad duration '', expected a duration such as 120ms"},
	{"keyskew: 1", ".", "3", "--set .: bad path, expected names joined by dots, such as faults.back.step"},
	{"keyskew: 1", "duration", "[1",
	 "--set duration:2:1: not YAML: did not find expected ',' or ']' while parsing a flow sequence"},
	{"keyskew: 1", "a.b.c.d.e.f.g.h.i.j", "1", "--set a.b.c.d.e.f.g.h.i.j: more parts than any path has"},};

/* Is it that message? "..." stands for whatever a list of names holds. */
static bool says(const char *text, const char *message)
{
	const char *gap = strstr(message, "...");
	size_t head = gap ? (size_t)(gap - message) : 0, tail = gap ? strlen(gap + 3) : 0, len = strlen(text);
	if (!gap || !strcmp(text, message))
		return !strcmp(text, message);
	return len >= head + tail && !strncmp(text, message, head) && !strcmp(text + len - tail, gap + 3);
}

static void test_bad(void)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct ks_plan plan;
		struct ks_err err = {0};
		struct ks_set set = {bad[i].path, bad[i].value};
		size_t nsets = bad[i].path != NULL;
		int got = ks_plan_parse(bad[i].text, strlen(bad[i].text), "bad.yaml", &set, nsets, &plan, &err);
		CU_ASSERT_EQUAL(got, -1);
		CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
		CU_ASSERT_TRUE(says(err.text, bad[i].message));
		if (!got || !says(err.text, bad[i].message))
			fprintf(stderr, "%s\n  got      %s\n  expected %s\n", bad[i].text, err.text, bad[i].message);
		if (!got)
			ks_plan_release(&plan);
	}
}

static void refuses_bytes(const char *bytes, size_t len, const char *message)
{
	struct ks_plan plan;
	struct ks_err err = {0};
	CU_ASSERT_EQUAL(ks_plan_parse(bytes, len, "bad.yaml", NULL, 0, &plan, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	CU_ASSERT_STRING_EQUAL(err.text, message);
}

static void test_bytes(void)
{
	refuses_bytes("keyskew: 1\0", 11, "'bad.yaml' is not a text file: a NUL at byte 10");
	refuses_bytes("keyskew: 1\ntitle: \xff\n", 20,
	              "bad.yaml:2:8: not YAML: invalid leading UTF-8 octet");
	refuses_bytes("\x7f""ELF\2\1\1", 7, "bad.yaml:1:1: not YAML: control characters are not allowed");
	refuses_bytes("k\0e\0y\0", 6, "'bad.yaml' is not a text file: a NUL at byte 1");
	/* a byte order mark and DOS lines are harmless */
	struct ks_plan p = must("\xef\xbb\xbfkeyskew: 1\r\nfleet: 2\r\n");
	CU_ASSERT_EQUAL(p.nodes, 2);
	ks_plan_release(&p);
}

/* "a: [{},{},...]" with n items of the form. */
static char *repeat(const char *head, const char *item, size_t n, const char *tail)
{
	size_t len = strlen(item), at = strlen(head);
	char *text = malloc(at + n * len + strlen(tail) + 1);
	strcpy(text, head);
	for (size_t i = 0; i < n; i++, at += len)
		memcpy(text + at, item, len);
	strcpy(text + at, tail);
	return text;
}

static void refuses_repeat(const char *head, const char *item, size_t n, const char *message)
{
	char *text = repeat(head, item, n, strchr(head, '{') ? "]}" : "]");
	refuses(text, message);
	free(text);
}

static void test_limits(void)
{
	refuses_repeat("keyskew: 1\nfaults: [", "{step: 1ns},", 1025,
		       "dir/try.yaml:2:9: 1025 faults, expected at most 1024");
	refuses_repeat("keyskew: 1\nfleet: {nodes: [", "{},", 1025, "dir/try.yaml:2:16: 1025 nodes, expected 1..1024");
	refuses_repeat("keyskew: 1\ntags: [", "a,", 17, "dir/try.yaml:2:7: 17 tags, expected at most 16");
	refuses_repeat("keyskew: 1\ntags: [", "a,", 40000, "dir/try.yaml:2:65538: more than 32768 values");
	refuses_repeat("keyskew: 1\ntitle: [", "a", 256, "dir/try.yaml:2:9: a text of more than 255 bytes");
	char *text = repeat("keyskew: 1\nfaults: [", "{step: 1ns},", 1024, "]");
	struct ks_plan p = must(text);
	CU_ASSERT_EQUAL(p.faults, 1024);
	CU_ASSERT_STRING_EQUAL(p.fault[1023].name, "step-1024");
	ks_plan_release(&p);
	free(text);
}

/* Every allocation that can fail, failing: an error, nothing lost. */
static void test_no_memory(void)
{
	struct ks_plan p;
	struct ks_err err;
	struct ks_set set = {"fleet.nodes", "[{name: order-7}, {}, {name: n3, zone: b}]"};
	long n = 0;
	int failed;
	do {
		err = (struct ks_err){0};
		ks_mem_fail_at(++n);
		failed = ks_plan_parse(full, sizeof full - 1, "x.yaml", &set, 1, &p, &err);
		ks_mem_fail_at(0);
		if (failed)
			CU_ASSERT_EQUAL(err.code, KS_E_INTERNAL);
	} while (failed && n < 10000);
	CU_ASSERT_TRUE(n > 100);
	CU_ASSERT_EQUAL(failed, 0);
	if (!failed)
		ks_plan_release(&p);
}

/* --- files --- */

static void load_fails(const char *path, const char *message)
{
	struct ks_plan plan;
	struct ks_err err = {0};
	CU_ASSERT_EQUAL(ks_plan_load(path, NULL, 0, &plan, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	CU_ASSERT_STRING_EQUAL(err.text, message);
	ks_plan_release(&plan); /* harmless */
}

static void test_files(void)
{
	char dir[] = "/tmp/test_plan_XXXXXX", before[4096];
	CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(before, sizeof before));
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	CU_ASSERT_EQUAL_FATAL(chdir(dir), 0);
	FILE *f = fopen("big.yaml", "w");
	fputs("keyskew: 1\n", f);
	fclose(f);
	CU_ASSERT_EQUAL(truncate("big.yaml", 100 << 20), 0); /* sparse */
	fclose(fopen("empty.yaml", "w"));
	load_fails("none.yaml", "cannot open 'none.yaml': No such file or directory");
	load_fails(".", "cannot read '.': Is a directory");
	load_fails("big.yaml", "'big.yaml' is too large, expected at most 1048576 bytes");
	load_fails("/dev/zero", "'/dev/zero' is too large, expected at most 1048576 bytes");
	load_fails("empty.yaml", "empty.yaml:1:1: empty, expected a value such as 'keyskew: 1'");
	load_fails("/dev/null", "/dev/null:1:1: empty, expected a value such as 'keyskew: 1'");
	unlink("big.yaml");
	unlink("empty.yaml");
	CU_ASSERT_EQUAL(chdir(before), 0);
	rmdir(dir);
}

static void test_project_scenarios(void)
{
	static const char *const files[] = {"basics/steady", "basics/ntp-step-back", "basics/ntp-step-forward",
	                                    "basics/drift", "incidents/f1-ntp-step-double-charge",
	                                    "incidents/f1-ntp-step-swallowed-order",
	                                    "canary/unique"};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[4096];
		struct ks_plan p;
		struct ks_err err = {0};
		snprintf(path, sizeof path, "%s/%s.yaml", KS_SCENARIOS, files[i]);
		if (ks_plan_load(path, NULL, 0, &p, &err)) {
			fprintf(stderr, "%s\n", err.text);
			CU_FAIL("a scenario of the project does not load");
			continue;
		}
		CU_ASSERT_EQUAL(p.canary, !strncmp(files[i], "canary/", 7));
		round_trip(&p);
		ks_plan_release(&p);
	}
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"defaults", test_defaults},
		{"a full file", test_full},
		{"canary", test_canary},
		{"capture", test_capture},
		{"events", test_events},
		{"node ids and drift", test_node_ids_and_drift},
		{"about", test_about},
		{"round trip", test_round_trip},
		{"a core", test_core}, {"effective text", test_effective_text},
		{"set", test_set},
		{"sets in order", test_sets_in_order},
		{"claims", test_claims},
		{"fault kinds", test_fault_kinds},
		{"clock faults", test_clock_faults_round_trip},
		{"keepers", test_keepers},
		{"smears", test_smears},
		{"strobe range", test_strobe_range},
		{"reference", test_reference},
		{"bad files", test_bad},
		{"bad bytes", test_bytes},
		{"limits", test_limits},
		{"no memory", test_no_memory},
		{"files", test_files},
		{"project scenarios", test_project_scenarios},
		{NULL, NULL},
	};
	return ks_test_main("plan", tests);
}
