#include "bench_process.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "examples.h"
#include "foreign.h"
#include "ks_plan.h"
#include "ks_world.h"
#include "truetime.h"

#define TIMES 3

/* From the first call to the last return, by the subject's own readings of true time. */
static double ns_a_key(const struct ks_records *records)
{
	int64_t first = INT64_MAX, last = INT64_MIN;

	for (size_t i = 0; i < records->n; i++) {
		struct ks_record r = ks_record_get(records, i);
		if (r.outcome != KS_KEY)
			return -1;
		first = r.call_ns < first ? r.call_ns : first;
		last = r.return_ns > last ? r.return_ns : last;
	}
	return records->n > 1 ? (double)(last - first) / (double)records->n : -1;
}

/* rate: more than it can bear, in a real world; in the simulation any. */
static double best_of(const struct ks_world *world, const char *generator, const char *load, struct ks_err *err)
{
	struct ks_plan plan = {0};
	struct ks_gen_spec spec = {0};
	double best = -1;
	int failed = ks_plan_parse(load, strlen(load), "bench", NULL, 0, &plan, err) || ks_generator_parse(generator, &spec, err);

	for (int i = 0; i < TIMES && !failed; i++) {
		struct ks_run_request request = {.plan = &plan, .gen = &spec, .seed = 1, .stop = &ks_signal};
		struct ks_run_output out;
		int64_t begin = ks_true_ns();
		failed = world->run(&request, &out, err);
		if (failed)
			break;
		int64_t took = ks_true_ns() - begin;
		double ns = world == &ks_world_sim ? (double)took / (double)out.records.n : ns_a_key(&out.records);
		best = best < 0 || ns < best ? ns : best;
		ks_run_output_release(&out);
	}
	ks_generator_release(&spec);
	ks_plan_release(&plan);
	return failed ? -1 : best;
}

static double measure(const struct ks_world *world, const char *generator, const char *load)
{
	struct ks_err err = {0};
	char why[256];

	if (world->available(why, sizeof why)) {
		fprintf(stderr, "keyskew: not measured in %s: %s\n", world->name, why);
		return -1;
	}
	double ns = best_of(world, generator, load, &err);
	if (ns < 0)
		fprintf(stderr, "keyskew: '%s' is not measured in %s: %s\n", generator, world->name, err.text);
	return ns;
}

static int write_source(const char *path, struct ks_err *err)
{
	FILE *f = fopen(path, "w");
	bool bad = !f || fputs(ks_example_c, f) < 0;

	bad = (f && fclose(f)) || bad;
	return bad ? ks_fail(err, KS_E_INTERNAL, "cannot write '%s': %s", path, strerror(errno)) : 0;
}

static void measure_ask(const char *folder, const char *source, struct ks_bench_process *bench)
{
	char command[PATH_MAX + 100];

	snprintf(command, sizeof command, "cc -O2 -o '%.2000s/flake' '%.2000s' >/dev/null 2>&1", folder, source);
	if (system(command) != 0) {
		fprintf(stderr, "keyskew: ask: is not measured: no C compiler\n");
		return;
	}
	snprintf(command, sizeof command, "ask:%.2000s/flake 1", folder);
	bench->ask_sim = measure(&ks_world_sim, command, "keyskew: 1\nduration: 1s\nworkload: {rate: 200000/s}\n");
	bench->ask_faketime = measure(&ks_world_faketime, command, "keyskew: 1\nduration: 500ms\nworkload: {rate: 1000000/s}\n");
}

int ks_bench_processes(struct ks_bench_process *bench, struct ks_err *err)
{
	char folder[PATH_MAX / 2], source[PATH_MAX], program[PATH_MAX];
	const char *tmp = getenv("TMPDIR");

	*bench = (struct ks_bench_process){-1, -1, -1};
	bench->host = measure(&ks_world_faketime, "counter", "keyskew: 1\nduration: 100ms\nworkload: {rate: 50000000/s}\n");
	snprintf(folder, sizeof folder, "%.1000s/keyskew-bench-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder))
		return ks_fail(err, KS_E_INTERNAL, "cannot make folder '%s': %s", folder, strerror(errno));
	snprintf(source, sizeof source, "%s/flake.c", folder);
	snprintf(program, sizeof program, "%s/flake", folder);
	int failed = write_source(source, err);
	if (!failed)
		measure_ask(folder, source, bench);
	unlink(source);
	unlink(program);
	rmdir(folder);
	return failed;
}
