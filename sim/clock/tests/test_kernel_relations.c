/* Holds the simulated clock to real kernels: kernel-relations.tsv is what keyskew-probe saw in guests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ks_clock.h"
#include "ks_test.h"
#include "ks_time.h"

#define GOLDEN "tests/kernel-relations.tsv"
#define AT_NS (10 * KS_SEC)  /* of the fault */
#define END_NS (20 * KS_SEC) /* of the look */
#define START_UNIX_NS (INT64_C(1768471200) * KS_SEC)

struct row {
	char fault[16], accel[8], source[16], kernel[72], clock[16], relation[16];
	long long amount, for_ns, expected_ns, measured_ns;
};

static void play(struct ks_clocks *c, const struct row *r)
{
	static const struct {
		const char *name;
		enum ks_suspend kind;
	} suspends[] = {
		{"vm-stop", KS_SUSPEND_VM_STOP}, {"host-stop", KS_SUSPEND_HOST_STOP}, {"s3", KS_SUSPEND_S3},
	};

	if (strcmp(r->fault, "step") == 0) {
		ks_clocks_step(c, AT_NS, r->amount);
	} else if (strcmp(r->fault, "leap") == 0) {
		ks_clocks_leap(c, AT_NS, r->amount < 0);
	} else if (strcmp(r->fault, "slew") == 0 || strcmp(r->fault, "tick") == 0) {
		ks_clocks_slew(c, AT_NS, r->amount);
		ks_clocks_slew(c, AT_NS + r->for_ns, 0);
	} else {
		for (size_t i = 0; i < sizeof(suspends) / sizeof(suspends[0]); i++) {
			if (strcmp(r->fault, suspends[i].name) != 0)
				continue;
			ks_clocks_suspend(c, AT_NS, suspends[i].kind);
			ks_clocks_resume(c, AT_NS + r->for_ns, suspends[i].kind, 0);
			return;
		}
		fprintf(stderr, "unknown fault '%s'\n", r->fault);
		CU_FAIL("unknown fault");
	}
}

static int clock_of(const char *name)
{
	for (int id = 0; id < KS_NCLOCKS; id++)
		if (strcmp(name, ks_clock_names[id]) == 0)
			return id;
	return -1;
}

/* By how much more than true time the simulated clock moves over the fault. */
static int64_t simulated(const struct row *r, enum ks_clock_id id)
{
	struct ks_clocks c;

	ks_clocks_init(&c, START_UNIX_NS, 0, 1000 * KS_SEC, 37);
	int64_t before = ks_clocks_at(&c, id, 0);
	play(&c, r);
	return ks_clocks_at(&c, id, END_NS) - before - END_NS;
}

static int read_row(const char *line, struct row *r)
{
	return sscanf(line, "%15s %lld %lld %7s %15s %71s %15s %15s %lld %lld", r->fault, &r->amount, &r->for_ns, r->accel,
	              r->source, r->kernel, r->clock, r->relation, &r->expected_ns, &r->measured_ns) == 10 ? 0 : -1;
}

/* @return the bit of fault and clock, for the count of what was covered. */
static unsigned long check_row(const char *line, const struct row *r)
{
	static const char *const faults[] = {"step", "slew", "tick", "vm-stop", "host-stop", "leap", "s3"};
	int id = clock_of(r->clock);

	CU_ASSERT_FATAL(id >= 0);
	int64_t sim = simulated(r, (enum ks_clock_id)id);
	/* a rate in 64 binary places may cost the last ns; nothing else may */
	if (llabs(sim - r->expected_ns) > 1) {
		fprintf(stderr, "the simulation moves by %lld ns: %s", (long long)sim, line);
		CU_FAIL("the simulated clock does not do what the kernel does");
	}
	CU_ASSERT(strcmp(r->relation, "other") != 0);
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strcmp(r->fault, faults[i]) == 0)
			return 1ul << (i * KS_NCLOCKS + (unsigned)id);
	return 0;
}

static void test_all_relations(void)
{
	FILE *f = fopen(GOLDEN, "r");
	char line[512];
	unsigned long covered = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (int heads = 0; fgets(line, sizeof(line), f);) {
		struct row r;
		if (line[0] == '#' || heads++ == 0)
			continue;
		CU_ASSERT_EQUAL_FATAL(read_row(line, &r), 0);
		covered |= check_row(line, &r);
	}
	fclose(f);
	CU_ASSERT_EQUAL(covered, (1ul << 7 * KS_NCLOCKS) - 1); /* seven faults on five clocks */
}

int main(void)
{
	static const struct ks_test tests[] = {{"every relation of the kernel holds", test_all_relations}, {NULL, NULL}};
	return ks_test_main("kernel relations", tests);
}
