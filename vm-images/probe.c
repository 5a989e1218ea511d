/* keyskew-probe: what a real kernel's five clocks do under each fault.
 *
 * It boots guests, brings each fault about, and compares every clock before and after with true time: with the host's
 * RAW clock where the guest stands still, and with the guest's own RAW clock where only its kernel's discipline acts.
 * What comes out, as relations, is the golden data that the simulated clock is tested against
 * (sim/clock/tests/kernel-relations.tsv). */
#include <errno.h>
#include <getopt.h>
#include <libsmartcols.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ks_clock.h"
#include "ks_qemu.h"
#include "ks_relation.h"
#include "ks_time.h"

#define ANSWER_NS (30 * KS_SEC)
#define BOOT_NS (120 * KS_SEC)
#define MIDNIGHT_UNIX_NS (INT64_C(1768521600) * KS_SEC) /* 2026-01-16T00:00:00Z */

static volatile int stop;

static void on_signal(int sig)
{
	stop = sig;
}

static void sleep_ns(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / KS_SEC, .tv_nsec = ns % KS_SEC};
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR && !stop)
		;
}

/* A guest under test, and how its RAW clock runs against the host's: its kernel measured the rate of its clock source
 * at boot, and not exactly. */
struct probe {
	struct ks_vm *vm;
	const char *source, *accel;
	char kernel[72];
	double raw_rate; /* deviation of the guest's RAW from the host's */
	FILE *out;       /* golden data, or NULL */
	struct libscols_table *table;
	bool hops;       /* reads from core to core instead */
	int surprises;   /* relations that are none of those known; clocks that went back */
	struct ks_err *err;
};

/* One fault as it was measured. */
struct measured {
	const struct ks_relation_fault *fault;
	struct ks_vm_clocks before, after;
	char note[80];
};

/* By how much more than true time each clock moved. */
static void deltas(const struct probe *p, const struct measured *m, int64_t delta_ns[KS_NCLOCKS])
{
	const int64_t *a = m->before.guest.clock_ns, *b = m->after.guest.clock_ns;
	int64_t host = m->after.host_raw_ns - m->before.host_raw_ns;
	int64_t raw = b[KS_RAW] - a[KS_RAW];

	delta_ns[KS_RAW] = raw - host - (int64_t)((double)host * p->raw_rate);
	for (int id = 0; id < KS_NCLOCKS; id++)
		if (id != KS_RAW)
			delta_ns[id] = b[id] - a[id] - raw + (m->fault->stands_still ? delta_ns[KS_RAW] : 0);
}

static void cell(struct libscols_line *line, size_t column, const char *text)
{
	scols_line_set_data(line, column, text);
}

static void report(struct probe *p, const struct measured *m)
{
	struct libscols_line *line = scols_table_new_line(p->table, NULL);
	int64_t delta[KS_NCLOCKS];
	char text[96];

	deltas(p, m, delta);
	cell(line, 0, m->fault->name);
	cell(line, 1, p->source);
	for (int id = 0; id < KS_NCLOCKS; id++) {
		enum ks_relation r = ks_relation_of(m->fault, (enum ks_clock_id)id, delta[id]);
		snprintf(text, sizeof(text), "%s %+.6f", ks_relation_names[r], (double)delta[id] / 1e9);
		cell(line, 2 + (size_t)id, text);
		p->surprises += r == KS_RELATION_OTHER;
		if (p->out)
			fprintf(p->out, "%s\t%lld\t%lld\t%s\t%s\t%s\t%s\t%s\t%lld\t%lld\n", m->fault->name,
			        (long long)m->fault->amount, (long long)m->fault->for_ns, p->accel, p->source, p->kernel,
			        ks_clock_names[id], ks_relation_names[r], (long long)ks_relation_expected(m->fault, r),
			        (long long)delta[id]);
	}
	cell(line, 2 + KS_NCLOCKS, m->note);
}

static int clocks(struct probe *p, struct ks_vm_clocks *c)
{
	return ks_vm_clocks(p->vm, 32, c, p->err);
}

static int act(struct probe *p, enum ks_wire_act_kind kind, int64_t amount)
{
	struct ks_wire_acted acted;
	return ks_vm_act(p->vm, kind, 0, amount, &acted, ks_host_ns() + ANSWER_NS, p->err);
}

static int calibrate(struct probe *p)
{
	struct ks_vm_clocks a, b;

	if (clocks(p, &a) != 0)
		return -1;
	sleep_ns(2 * KS_SEC);
	if (clocks(p, &b) != 0)
		return -1;
	double host = (double)(b.host_raw_ns - a.host_raw_ns);
	p->raw_rate = (double)(b.guest.clock_ns[KS_RAW] - a.guest.clock_ns[KS_RAW]) / host - 1;
	return 0;
}

static int probe_step(struct probe *p, struct measured *m)
{
	return clocks(p, &m->before) || act(p, KS_ACT_STEP, m->fault->amount) || clocks(p, &m->after);
}

/* Bends the discipline for a while and straightens it. */
static int bend(struct probe *p, struct measured *m)
{
	if (clocks(p, &m->before) || act(p, KS_ACT_RATE, m->fault->amount))
		return -1;
	sleep_ns(m->fault->for_ns);
	if (act(p, KS_ACT_RATE, 0))
		return -1;
	return clocks(p, &m->after);
}


static int probe_vm_stop(struct probe *p, struct measured *m)
{
	struct ks_qmp *q = ks_vm_qmp(p->vm);

	if (clocks(p, &m->before) || ks_qmp_command(q, "stop", ks_host_ns() + ANSWER_NS, p->err))
		return -1;
	sleep_ns(m->fault->for_ns);
	if (ks_qmp_command(q, "cont", ks_host_ns() + ANSWER_NS, p->err))
		return -1;
	return clocks(p, &m->after);
}

static int probe_host_stop(struct probe *p, struct measured *m)
{
	if (clocks(p, &m->before))
		return -1;
	kill(ks_vm_pid(p->vm), SIGSTOP);
	sleep_ns(m->fault->for_ns);
	kill(ks_vm_pid(p->vm), SIGCONT);
	return clocks(p, &m->after);
}

/* The guest's write to /sys/power/state answers when it was woken. */
static int probe_s3(struct probe *p, struct measured *m)
{
	struct ks_qmp *q = ks_vm_qmp(p->vm);
	struct ks_wire_act s3 = {.kind = KS_ACT_S3};
	struct ks_wire_acted acted;
	int64_t deadline = ks_host_ns() + ANSWER_NS;

	if (clocks(p, &m->before) || ks_vm_send(p->vm, KS_WIRE_ACT, &s3, sizeof(s3), p->err) ||
	    ks_qmp_wait(q, KS_QMP_SUSPEND, deadline, p->err))
		return -1;
	sleep_ns(m->fault->for_ns);
	int64_t woken = ks_host_raw_ns();
	if (ks_qmp_command(q, "system_wakeup", deadline, p->err) ||
	    ks_vm_expect(p->vm, KS_WIRE_ACTED, &acted, sizeof(acted), deadline, p->err))
		return -1;
	if (acted.error)
		return ks_vm_fail(p->vm, p->err, "the guest's kernel refuses to suspend: %s", strerror(acted.error));
	snprintf(m->note, sizeof(m->note), "awake after %.0f ms", (double)(ks_host_raw_ns() - woken) / 1e6);
	return clocks(p, &m->after);
}

/* Looks as often as it can from shortly before midnight: how far past it does REALTIME get before it goes back? */
static int watch_midnight(struct probe *p, struct measured *m)
{
	int64_t past = 0, until = ks_host_ns() + 2 * KS_SEC;
	struct ks_vm_clocks c = m->before;

	for (int64_t last = 0; ks_host_ns() < until; last = c.guest.clock_ns[KS_REALTIME]) {
		if (ks_vm_clocks(p->vm, 1, &c, p->err))
			return -1;
		if (c.guest.clock_ns[KS_REALTIME] < last) {
			past = last - MIDNIGHT_UNIX_NS;
			break;
		}
	}
	snprintf(m->note, sizeof(m->note), "seen %.1f ms past midnight", (double)past / 1e6);
	return 0;
}

static int probe_leap(struct probe *p, struct measured *m)
{
	if (act(p, KS_ACT_SET_REALTIME, MIDNIGHT_UNIX_NS - 2 * KS_SEC) || act(p, KS_ACT_LEAP, -KS_SEC) ||
	    clocks(p, &m->before))
		return -1;
	sleep_ns(1500 * KS_MS);
	return watch_midnight(p, m) || clocks(p, &m->after);
}

static int (*const how[])(struct probe *, struct measured *) = {
	[KS_RF_STEP] = probe_step, [KS_RF_SLEW] = bend, [KS_RF_TICK] = bend, [KS_RF_VM_STOP] = probe_vm_stop,
	[KS_RF_HOST_STOP] = probe_host_stop, [KS_RF_LEAP] = probe_leap, [KS_RF_S3] = probe_s3,
};

static int probe_one(struct probe *p, const struct ks_relation_fault *fault)
{
	struct measured m = {.fault = fault};

	fprintf(stderr, "keyskew-probe: %s, %s\n", p->source, fault->name);
	if (how[fault->id](p, &m) != 0)
		return ks_fail_in(p->err, "%s", fault->name);
	report(p, &m);
	return 0;
}

/* ---- F8: does the wall clock go back when its reader is moved from core to core? ---- */

#define HOP_READINGS 1000000
#define HOP_EACH 1000 /* readings on a core, then the next core */
#define HOP_CORES 2
#define HOP_NS (120 * KS_SEC)

static void report_hops(struct probe *p, const struct ks_wire_acted *acted, int64_t took_ns)
{
	struct libscols_line *line = scols_table_new_line(p->table, NULL);
	char text[96];

	cell(line, 0, p->source);
	snprintf(text, sizeof(text), "%d", HOP_READINGS);
	cell(line, 1, text);
	snprintf(text, sizeof(text), "%d", HOP_CORES);
	cell(line, 2, text);
	snprintf(text, sizeof(text), "%d", HOP_READINGS / HOP_EACH);
	cell(line, 3, text);
	snprintf(text, sizeof(text), "%lld", (long long)acted->value);
	cell(line, 4, text);
	snprintf(text, sizeof(text), "%.6f ms", (double)acted->after.clock_ns[0] / 1e6);
	cell(line, 5, text);
	snprintf(text, sizeof(text), "%.1f s", (double)took_ns / 1e9);
	cell(line, 6, text);
	cell(line, 7, "0 with a stable counter, 12..37 of 1..8 ms under KVM");
	p->surprises += acted->value != 0;
}

static int probe_hops(struct probe *p)
{
	struct ks_wire_act hops = {.kind = KS_ACT_HOPS, .amount = HOP_READINGS, .until = HOP_EACH};
	struct ks_wire_acted acted;
	int64_t begin = ks_host_ns();

	if (ks_vm_send(p->vm, KS_WIRE_ACT, &hops, sizeof(hops), p->err) ||
	    ks_vm_expect(p->vm, KS_WIRE_ACTED, &acted, sizeof(acted), begin + HOP_NS, p->err))
		return -1;
	if (acted.error)
		return ks_vm_fail(p->vm, p->err, "the guest's thread cannot be moved: %s", strerror(acted.error));
	report_hops(p, &acted, ks_host_ns() - begin);
	return 0;
}

static const char head[] =
	"# What the five clocks of a Linux guest do under each fault, against true time. Written by keyskew-probe --write.\n"
	"# amount: step and leap: ns; slew and tick: ppb. expected_ns: by how much more than true time a clock with this\n"
	"# relation moves; measured_ns: what was seen, within the tolerances of vm-images/ks_relation.c.\n"
	"fault\tamount\tfor_ns\taccel\tclocksource\tkernel\tclock\trelation\texpected_ns\tmeasured_ns\n";

/* All faults that one machine can show: S3 wants another one than the rest. */
static int probe_guest(struct probe *p, bool s3)
{
	struct ks_vm_options options = {.clocksource = p->source, .s3 = s3, .cpus = p->hops ? HOP_CORES : 1};
	struct ks_vm_loop *loop = ks_vm_loop_new(&stop, p->err);
	int failed = -1;

	p->vm = loop ? ks_vm_start(loop, &options, p->err) : NULL;
	if (!p->vm) {
		ks_vm_loop_free(loop);
		return -1;
	}
	if (ks_vm_wait_hello(p->vm, ks_host_ns() + BOOT_NS, p->err) == 0) {
		char source[32] = "";
		sscanf(ks_vm_system(p->vm), "linux %71s %31s", p->kernel, source);
		failed = strcmp(source, p->source) ? ks_fail(p->err, KS_E_JUDGE, "guest runs on clock source '%s'", source)
		                                   : p->hops ? probe_hops(p) : calibrate(p);
		for (const struct ks_relation_fault *f = ks_relation_faults; !failed && !p->hops && f->name; f++)
			if ((f->id == KS_RF_S3) == s3)
				failed = probe_one(p, f);
	}
	ks_vm_free(p->vm);
	ks_vm_loop_free(loop);
	p->vm = NULL;
	return failed;
}

static struct libscols_table *new_table(const char *const *heads)
{
	struct libscols_table *t = scols_new_table();

	for (; t && *heads; heads++)
		scols_table_new_column(t, *heads, 0, 0);
	return t;
}

static const char *const fault_heads[] = {"FAULT", "SOURCE", "REALTIME", "MONOTONIC", "RAW", "BOOTTIME", "TAI", "NOTE", NULL};
static const char *const hop_heads[] = {"SOURCE", "READINGS", "CORES", "HOPS", "WENT BACK", "WORST", "TOOK", "REPORTED", NULL};

static int probe_all(const char *sources, bool with_s3, struct probe *p)
{
	char list[128];
	int failed = 0;

	snprintf(list, sizeof(list), "%s", sources);
	for (char *save, *s = strtok_r(list, ",", &save); s && !failed && !stop; s = strtok_r(NULL, ",", &save)) {
		p->source = s;
		failed = probe_guest(p, false);
		if (!failed && with_s3 && probe_guest(p, true) != 0)
			fprintf(stderr, "keyskew-probe: %s, S3 skipped: %s\n", s, p->err->text);
		if (failed)
			ks_fail_in(p->err, "%s", s);
	}
	return stop ? ks_fail(p->err, KS_E_JUDGE, "interrupted") : failed;
}

static int usage(FILE *f, int code)
{
	fputs("usage: keyskew-probe [--clocksource tsc,hpet] [--write FILE] [--no-s3] [--hops]\n"
	      "Boots guests, applies each fault to their clocks and shows what the five clocks did against true time.\n"
	      "--hops: reads the wall clock a million times from core to core instead: how often did it go back?\n"
	      "Exit: 0 every relation is a known one, no clock went back; 1 one is not, one did; 2 usage; 3 no guest can run here.\n", f);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"clocksource", 1, 0, 'c'}, {"write", 1, 0, 'w'}, {"no-s3", 0, 0, 's'}, {"hops", 0, 0, 'o'},
	                                      {"help", 0, 0, 'h'}, {0}};
	const char *sources = "tsc,hpet", *file = NULL;
	bool s3 = true, hops = false;
	struct ks_err err = {0};
	struct sigaction sa = {.sa_handler = on_signal};

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		if (c == 'c')
			sources = optarg;
		else if (c == 'w')
			file = optarg;
		else if (c == 's')
			s3 = false;
		else if (c == 'o')
			hops = true;
		else
			return usage(c == 'h' ? stdout : stderr, c == 'h' ? 0 : KS_E_USAGE);
	}
	if (optind < argc)
		return usage(stderr, KS_E_USAGE);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	struct probe p = {.accel = ks_qemu_accel(), .hops = hops, .table = new_table(hops ? hop_heads : fault_heads), .out = file ? fopen(file, "we") : NULL,
	                  .err = &err};
	if (!p.table || (file && !p.out)) {
		fprintf(stderr, "keyskew-probe: cannot write '%s': %s\n", file ? file : "table", strerror(errno));
		return KS_E_INTERNAL;
	}
	if (p.out)
		fputs(head, p.out);
	int failed = probe_all(sources, s3 && !hops, &p);
	bool lost = p.out && fclose(p.out) != 0;
	printf("%s, linux %s; %s\n", p.accel, p.kernel, hops ? "the wall clock, read from core to core" : "seconds more than true time");
	scols_print_table(p.table);
	scols_unref_table(p.table);
	if (failed || lost)
		fprintf(stderr, "keyskew-probe: %s\n", failed ? err.text : "cannot write the golden data");
	return failed ? (int)err.code : lost ? KS_E_INTERNAL : p.surprises != 0;
}
