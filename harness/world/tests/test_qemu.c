/* What of the world `qemu` can be tested without a guest: the monitor's messages, and finding things. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ks_qemu.h"
#include "ks_test.h"
#include "ks_time.h"
#include "ks_world.h"
#include "qemu_carries.h"
#include "qemu_play.h"

static struct ks_qmp_message parse(const char *line)
{
	struct ks_qmp_message m;
	ks_qmp_parse(line, strlen(line), &m);
	json_decref(m.answer);
	m.answer = NULL;
	return m;
}

static void test_parse_known(void)
{
	struct ks_qmp_message m;

	m = parse("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"Debian\"}, "
	          "\"capabilities\": [\"oob\"]}}\r");
	CU_ASSERT_EQUAL(m.kind, KS_QMP_GREETING);
	CU_ASSERT_STRING_EQUAL(m.text, "7.2.22");
	CU_ASSERT_EQUAL(parse("{\"return\": {}}").kind, KS_QMP_RETURN);
	m = parse("{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command nap has not been found\"}}");
	CU_ASSERT_EQUAL(m.kind, KS_QMP_ERROR);
	CU_ASSERT_STRING_EQUAL(m.text, "The command nap has not been found");
	m = parse("{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"SUSPEND\"}");
	CU_ASSERT_EQUAL(m.kind, KS_QMP_EVENT);
	CU_ASSERT_EQUAL(m.event, KS_QMP_SUSPEND);
	CU_ASSERT_EQUAL(m.unix_ns, 1000002000);
	CU_ASSERT_EQUAL(parse("{\"timestamp\": {\"seconds\": 9223372036854775807, \"microseconds\": 2}, \"event\": \"STOP\"}").unix_ns, 0);
	m = parse("{\"event\": \"NIC_RX_FILTER_CHANGED\"}");
	CU_ASSERT_EQUAL(m.kind, KS_QMP_EVENT);
	CU_ASSERT_EQUAL(m.event, KS_QMP_OTHER);
}

static void test_parse_garbage(void)
{
	static const char *const lines[] = {
		"", "{", "[]", "null", "7", "{}", "{\"QMP\": 1}", "{\"QMP\": {\"version\": {\"qemu\": {\"major\": \"7\"}}}}",
		"{\"error\": \"x\"}", "{\"error\": {\"desc\": 5}}", "{\"event\": {}}", "{\"return\": {}} x",
		"{\"return\": 1, \"return\": 2}", "\xff\xfe", "{\"event\": \"ST\\u0000OP",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CU_ASSERT_EQUAL(parse(lines[i]).kind, KS_QMP_BAD);
	struct ks_qmp_message m;
	ks_qmp_parse("{\"return\": {}}\0", 15, &m);
	CU_ASSERT_EQUAL(m.kind, KS_QMP_BAD);
}

static void test_error_text_is_cut(void)
{
	char line[1024];
	memset(line, 'x', sizeof(line));
	int n = snprintf(line, sizeof(line), "{\"error\": {\"desc\": \"");
	line[n] = 'x';
	memcpy(line + 900, "\"}}", 4);
	struct ks_qmp_message m = parse(line);
	CU_ASSERT_EQUAL(m.kind, KS_QMP_ERROR);
	CU_ASSERT_EQUAL(strlen(m.text), sizeof(m.text) - 1);
}

/* A monitor of which all that it will ever say has been said; other: the far end. */
struct monitor {
	struct ks_vm_loop *loop;
	struct ks_qmp *qmp;
	int other;
};

static int canned(struct monitor *m, const char *text, int64_t within_ns, struct ks_err *err)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CU_ASSERT_EQUAL_FATAL(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
	m->other = fds[1];
	m->loop = ks_vm_loop_new(NULL, err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m->loop);
	m->qmp = ks_qmp_new(m->loop, fds[0], err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m->qmp);
	return ks_qmp_greet(m->qmp, ks_host_ns() + within_ns, err);
}

static void end(struct monitor *m)
{
	ks_qmp_free(m->qmp);
	ks_vm_loop_free(m->loop);
	close(m->other);
}

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 9}}}}\r\n"

static void test_dialogue(void)
{
	struct monitor m;
	struct ks_err err = {0};
	char sent[256] = "";

	CU_ASSERT_EQUAL(canned(&m,
	                       GREETING "{\"return\": {}}\n{\"event\": \"STOP\"}\n{\"return\": {}}\n{\"event\": \"RESUME\"}\n"
	                                "{\"error\": {\"desc\": \"no\"}}\n", KS_SEC, &err), 0);
	struct ks_qmp *q = m.qmp;
	CU_ASSERT_STRING_EQUAL(ks_qmp_version(q), "9.2.0");
	CU_ASSERT_EQUAL(ks_qmp_command(q, "stop", ks_host_ns() + KS_SEC, &err), 0);
	CU_ASSERT_EQUAL(ks_qmp_wait(q, KS_QMP_STOP, ks_host_ns() + KS_SEC, &err), 0); /* came before the answer */
	CU_ASSERT_EQUAL(ks_qmp_wait(q, KS_QMP_RESUME, ks_host_ns() + KS_SEC, &err), 0);
	CU_ASSERT_EQUAL(ks_qmp_command(q, "cont", ks_host_ns() + KS_SEC, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "qemu refuses 'cont': no");
	CU_ASSERT(read(m.other, sent, sizeof(sent) - 1) > 0);
	CU_ASSERT_STRING_EQUAL(sent, "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"stop\"}\n{\"execute\":\"cont\"}\n");
	shutdown(m.other, SHUT_RDWR);
	CU_ASSERT_EQUAL(ks_qmp_wait(q, KS_QMP_STOP, ks_host_ns() + KS_SEC, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "qemu ended"));
	end(&m);
}

static void test_bad_dialogues(void)
{
	struct monitor m;
	struct ks_err err = {0};

	CU_ASSERT_EQUAL(canned(&m, "SSH-2.0-OpenSSH\n", KS_SEC, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	end(&m);
	CU_ASSERT_EQUAL(canned(&m, "{\"return\": {}}\n", KS_SEC, &err), -1);
	end(&m);
	/* nothing at all: the deadline ends it */
	CU_ASSERT_EQUAL(canned(&m, "", 10 * KS_MS, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "did not answer in time"));
	end(&m);
}

/* A line without an end must not take more memory than the buffer has. */
static void test_endless_line(void)
{
	static char text[KS_QMP_LINE_MAX + 2];
	struct monitor m;
	struct ks_err err = {0};

	memset(text, ' ', KS_QMP_LINE_MAX + 1);
	CU_ASSERT_EQUAL(canned(&m, text, KS_SEC, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a line of more than"));
	end(&m);
}

static void test_available_says_why(void)
{
	char why[600] = "", path[1024], *old = strdup(getenv("PATH"));

	setenv("PATH", "/nonexistent::", 1);
	CU_ASSERT_EQUAL(ks_world_qemu.available(why, sizeof(why)), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "apt-get install qemu-system-x86"));
	setenv("PATH", old, 1);
	setenv("KEYSKEW_GUEST", "/nonexistent", 1);
	if (ks_qemu_path(path, sizeof(path)) == 0) {
		CU_ASSERT_EQUAL(ks_world_qemu.available(why, sizeof(why)), -1);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "/nonexistent/current/vmlinux"));
	}
	unsetenv("KEYSKEW_GUEST");
	free(old);
}

static int carries(struct ks_plan *plan, char why[200])
{
	struct ks_gen_spec spec;
	struct ks_err err;
	CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, "unixmilli", &spec, &err), 0);
	return ks_world_qemu.carries(plan, &spec, why, 200);
}

/* Two faults of a node have to be apart: 2 ms, and 120 ms where the agent stands still in between. */
static void test_clash(void)
{
	struct ks_fault_event a = {.at_ns = KS_SEC, .op = KS_FAULT_STEP, .fault = 0}, b = {.at_ns = KS_SEC + 2 * KS_MS - 1, .op = KS_FAULT_STEP, .fault = 1};

	CU_ASSERT_TRUE(ks_guest_clash(&a, &b) && ks_guest_clash(&b, &a));
	b.at_ns++;
	CU_ASSERT_FALSE(ks_guest_clash(&a, &b) || ks_guest_clash(&b, &a));
	b.op = KS_FAULT_SUSPEND;
	b.at_ns = KS_SEC + 120 * KS_MS - 1;
	CU_ASSERT_TRUE(ks_guest_clash(&a, &b) && ks_guest_clash(&b, &a));
	b.at_ns++;
	CU_ASSERT_FALSE(ks_guest_clash(&a, &b));
	b.at_ns = a.at_ns;
	b.node = 1;
	CU_ASSERT_FALSE(ks_guest_clash(&a, &b));
	b.op = KS_FAULT_ROLLBACK; /* nobody else is looked after meanwhile */
	b.at_ns = a.at_ns + 2 * KS_SEC - 1;
	CU_ASSERT_TRUE(ks_guest_clash(&a, &b) && ks_guest_clash(&b, &a));
	b.at_ns++;
	CU_ASSERT_FALSE(ks_guest_clash(&a, &b));
	b.op = KS_FAULT_RTC;
	b.node = 0;
	CU_ASSERT_TRUE(ks_guest_clash(&a, &b) && ks_guest_clash(&b, &a));
	b.at_ns = a.at_ns + 4 * KS_SEC;
	CU_ASSERT_FALSE(ks_guest_clash(&a, &b));
}

static void test_carries(void)
{
	static struct ks_plan_node nodes[8];
	const struct ks_fault_kind step = {.name = "step", .op = KS_FAULT_STEP}, coarse = {.name = "coarse", .op = KS_FAULT_COARSE};
	uint32_t hit[] = {0};
	struct ks_fault fault = {.kind = &step, .nodes = hit, .nnodes = 1};
	struct ks_plan plan = {.nodes = 4, .processes = 1, .threads = 2, .node = nodes, .duration_ns = KS_SEC,
	                       .load = {.rate = {1000, KS_SEC}}, .fault = &fault, .faults = 1};
	char why[200] = "";

	CU_ASSERT_EQUAL(carries(&plan, why), 0);
	fault.kind = &coarse;
	CU_ASSERT_EQUAL(carries(&plan, why), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "coarse"));
	fault.kind = &step;
	nodes[3].drift_ppb = 200000000;
	CU_ASSERT_EQUAL(carries(&plan, why), -1);
	nodes[3].drift_ppb = 0;
	plan.nodes = 5;
	CU_ASSERT_EQUAL(carries(&plan, why), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "4 nodes"));
	plan.nodes = 1, plan.processes = 2;
	CU_ASSERT_EQUAL(carries(&plan, why), -1);
	plan.processes = 1, plan.duration_ns = 4000 * KS_SEC;
	CU_ASSERT_EQUAL(carries(&plan, why), -1);
	plan.duration_ns = KS_SEC, plan.start_unix_ns = INT64_C(8300000000) * KS_SEC;
	CU_ASSERT_EQUAL(carries(&plan, why), -1);
	plan.start_unix_ns = 0;
	CU_ASSERT_EQUAL(carries(&plan, why), 0);
}

/* What guests say of a scenario: "" or a reason. */
static const char *says(const char *yaml, const char *generator)
{
	static char why[300];
	struct ks_gen_spec spec;
	struct ks_plan plan;
	struct ks_err err;
	char text[600];

	snprintf(text, sizeof(text), "keyskew: 1\nduration: 6s\nfleet: {threads: 2}\n%s", yaml);
	CU_ASSERT_EQUAL_FATAL(ks_plan_parse(text, strlen(text), "test", NULL, 0, &plan, &err), 0);
	CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, generator, &spec, &err), 0);
	why[0] = '\0';
	ks_world_qemu.carries(&plan, &spec, why, sizeof(why));
	ks_plan_release(&plan);
	return why;
}

static void test_cores(void)
{
	static const char both[] = "faults: [{at: 1s, core: 0, pause: 300ms}, {at: 2s, core: 1, pause: 300ms}]";

	CU_ASSERT_STRING_EQUAL(says("faults: [{at: 1s, core: 1, pause: 1s}, {at: 3s, core: 1, pause: 1s}, {at: 5s, step: 1s}]", "snowflake"), "");
	CU_ASSERT_STRING_EQUAL(says(both, "snowflake"), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(says(both, "flake"), "a core that no fault stops"));
	CU_ASSERT_STRING_EQUAL(says("faults: [{at: 1s, core: 0, pause: 300ms}]", "flake"), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(says("faults: [{at: 1s, core: 1, pause: 100ms}]", "snowflake"), "less than 200ms"));
	/* what comes while nobody in the guest could do it */
	CU_ASSERT_PTR_NOT_NULL(strstr(says("faults: [{name: a, at: 1s, core: 1, pause: 2s}, {name: b, at: 2s, step: 1s}]", "snowflake"), "fault 'b' comes while"));
	CU_ASSERT_PTR_NOT_NULL(strstr(says("faults: [{name: a, at: 1s, thread: 1, pause: 3s}, {name: b, at: 2s, core: 1, pause: 1s}]", "snowflake"), "fault 'b' comes while"));
	CU_ASSERT_PTR_NOT_NULL(strstr(says("faults: [{name: a, at: 1s, stop-world: 2s}, {name: b, at: 2s, step: 1s}]", "snowflake"), "fault 'b' comes while"));
	CU_ASSERT_STRING_EQUAL(says("faults: [{at: 1s, stop-world: 1s}, {at: 3s, step: 1s}]", "snowflake"), "");
}

static void test_free_core(void)
{
	uint32_t hit[] = {1};
	struct ks_fault fault[2] = {{.of_core = true, .core = 0, .nodes = hit, .nnodes = 1}, {.core = 1, .nodes = hit, .nnodes = 1}};
	struct ks_plan plan = {.fault = fault, .faults = 2};
	bool stops;

	CU_ASSERT(ks_guests_free_core(&plan, 0, &stops) == KS_ANY && !stops);
	CU_ASSERT(ks_guests_free_core(&plan, 1, &stops) == 1 && stops);
	fault[0].core = 1;
	CU_ASSERT(ks_guests_free_core(&plan, 1, &stops) == 0 && stops);
	fault[1].of_core = true;
	fault[0].core = 0;
	CU_ASSERT(ks_guests_free_core(&plan, 1, &stops) == KS_ANY && stops);
}

/* An answer that comes later is still the answer. */
static void test_lives(void)
{
	static const char answer[] = "{\"event\": \"STOP\"}\n{\"return\": {\"running\": true}}\n";
	struct monitor m;
	struct ks_err err = {0};
	char sent[256] = "";
	bool lives = true;

	CU_ASSERT_EQUAL(canned(&m, GREETING "{\"return\": {}}\n", KS_SEC, &err), 0);
	CU_ASSERT_EQUAL(ks_qmp_lives(m.qmp, ks_host_ns() + 5 * KS_MS, &lives, &err), 0);
	CU_ASSERT_FALSE(lives);
	CU_ASSERT_EQUAL(ks_qmp_lives(m.qmp, ks_host_ns() + 5 * KS_MS, &lives, &err), 0);
	CU_ASSERT_FALSE(lives);
	CU_ASSERT_EQUAL(write(m.other, answer, sizeof(answer) - 1), (ssize_t)sizeof(answer) - 1);
	CU_ASSERT_EQUAL(ks_qmp_lives(m.qmp, ks_host_ns() + KS_SEC, &lives, &err), 0);
	CU_ASSERT_TRUE(lives);
	CU_ASSERT(read(m.other, sent, sizeof(sent) - 1) > 0);
	CU_ASSERT_STRING_EQUAL(sent, "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-status\"}\n"); /* it was asked once */
	shutdown(m.other, SHUT_RDWR);
	CU_ASSERT_EQUAL(ks_qmp_lives(m.qmp, ks_host_ns() + KS_SEC, &lives, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "qemu ended"));
	end(&m);
}

/* ---- Programs that only call themselves QEMU ---- */

#define MONITOR "printf '{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 1, \"minor\": 0, \"major\": 1}}}}\\n' >&4\n" \
	"read x <&4\nprintf '{\"return\": {}}\\n' >&4\n"

static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static void drop(const char *dir)
{
	static const char *const names[] = {"current", "qemu-system-x86_64", "vmlinux", "initramfs", "kvm-hangs"};
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

/* Starts a guest of which QEMU is this shell script, and expects the words in the error. */
static void impostor(const char *script, const char *expected)
{
	char dir[] = "/tmp/keyskew-test-XXXXXX", link[64], path[1024], text[1024], *old = strdup(getenv("PATH"));
	struct ks_vm_options options = {0};
	struct ks_err err = {0};

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(link, sizeof(link), "%s/current", dir);
	CU_ASSERT_EQUAL_FATAL(symlink(".", link), 0);
	snprintf(text, sizeof(text), "#!/bin/sh\n%s", script);
	put(dir, "qemu-system-x86_64", text, 0755);
	put(dir, "vmlinux", "", 0644);
	put(dir, "initramfs", "", 0644);
	setenv("KEYSKEW_GUEST", dir, 1);
	snprintf(path, sizeof(path), "%s:%s", dir, old);
	setenv("PATH", path, 1);
	struct ks_vm_loop *loop = ks_vm_loop_new(NULL, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
	struct ks_vm *vm = ks_vm_start(loop, &options, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(vm);
	CU_ASSERT_EQUAL(ks_vm_wait_hello(vm, ks_host_ns() + 2 * KS_SEC, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, expected));
	if (!strstr(err.text, expected))
		fprintf(stderr, "%s\n", err.text);
	ks_vm_free(vm);
	ks_vm_loop_free(loop);
	setenv("PATH", old, 1);
	unsetenv("KEYSKEW_GUEST");
	free(old);
	drop(dir);
}

static void test_impostors(void)
{
	impostor("echo 'no such machine' >&2\nexit 1\n", "no such machine");
	impostor("exec sleep 100\n", "did not answer in time");
	impostor("echo SSH-2.0 >&4\nexec sleep 100\n", "what is no message");
	impostor(MONITOR "exec sleep 100\n", "guest did not answer in time");
	impostor(MONITOR "echo twenty bytes and more of garbage >&3\nexec sleep 100\n", "guest sent garbage");
	impostor(MONITOR "printf 'KSW1\\001\\0\\0\\0\\377\\377\\377\\377aaaa' >&3\nexec sleep 100\n", "guest sent garbage");
	impostor(MONITOR "printf 'KSW1' >&3\nexec sleep 100\n", "in the middle of a message");
	impostor(MONITOR "echo 'Kernel panic - no \\033[31msense'\nexit 0\n", "Kernel panic - no .[31msense");
	/* a console that never stops must not stop the rest */
	impostor(MONITOR "yes | head -c 3000000\nexit 0\n", "ended before its work was done; its console: y y y");
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"known messages", test_parse_known},     {"garbage", test_parse_garbage},
		{"long error text", test_error_text_is_cut}, {"a dialogue", test_dialogue},
		{"bad dialogues", test_bad_dialogues},    {"endless line", test_endless_line},
		{"available says why", test_available_says_why}, {"carries", test_carries}, {"clash", test_clash},
		{"cores", test_cores}, {"a free core", test_free_core}, {"does it live", test_lives},
		{"impostors", test_impostors},
		{NULL, NULL},
	};
	return ks_test_main("qemu", tests);
}
