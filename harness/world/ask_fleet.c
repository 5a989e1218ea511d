#include "ask_fleet.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "ks_mem.h"
#include "strays.h"

#define GRACE_MS 1000

struct ks_ask_fleet_sim {
	struct ks_ask_fleet fleet; /* first */
	const struct ks_run_request *request;
	struct ks_ask *program; /* a process each */
	uint32_t n;
	char mark[64]; /* of what they may leave behind */
	char **env;
	cpu_set_t before; /* where the caller may run */
	bool pinned;
};

static struct ks_ask *start(struct ks_ask_fleet *fleet, uint32_t process, uint64_t node_id, struct ks_err *err)
{
	struct ks_ask_fleet_sim *f = (struct ks_ask_fleet_sim *)fleet;
	const struct ks_plan *plan = f->request->plan;
	const struct ks_gen_spec *gen = f->request->gen;
	struct ks_ask *a = &f->program[process];
	const char *node = plan->node[process / plan->processes].name;
	struct ks_command_values values = {.node_id = node_id, .seed = f->request->seed, .node = node};
	struct ks_command command;
	ks_proc_end(&a->proc, 1, sizeof a->proc, GRACE_MS);
	if (ks_command_of(&command, gen->foreign, &values, err))
		return NULL;
	snprintf(a->what, sizeof a->what, "'%.150s' of node '%.100s'", gen->text, node);
	a->timeout_ns = gen->foreign->timeout_ns ? gen->foreign->timeout_ns : KS_ASK_TIMEOUT_NS;
	a->stop = f->request->stop;
	return ks_ask_start(a, gen->foreign->folder, command.word, f->env, err) ? NULL : a;
}

/* Asking and answering take turns, so one CPU serves both, and waking the other costs a switch and no interrupt: on two it
 * takes ten times as long. The programs inherit it. */
static void pin(struct ks_ask_fleet_sim *f)
{
	cpu_set_t one;
	int cpu = sched_getcpu();
	if (cpu < 0 || sched_getaffinity(0, sizeof f->before, &f->before))
		return;
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	f->pinned = sched_setaffinity(0, sizeof one, &one) == 0;
}

struct ks_ask_fleet_sim *ks_ask_fleet_new(const struct ks_run_request *request, struct ks_err *err)
{
	struct ks_ask_fleet_sim *f = ks_alloc(1, sizeof *f);
	uint32_t n = request->plan->nodes * request->plan->processes;
	if (f)
		f->program = ks_alloc(n, sizeof *f->program);
	if (!f || !f->program) {
		ks_free(f);
		ks_fail(err, KS_E_INTERNAL, "out of memory");
		return NULL;
	}
	ks_stray_mark(f->mark);
	f->env = ks_stray_environment(f->mark);
	f->fleet = (struct ks_ask_fleet){start};
	f->request = request;
	f->n = n;
	for (uint32_t i = 0; i < n; i++)
		f->program[i].proc = (struct ks_proc)KS_PROC_NONE;
	pin(f);
	return f;
}

struct ks_ask_cfg ks_ask_fleet_cfg(struct ks_ask_fleet_sim *f)
{
	return (struct ks_ask_cfg){&f->fleet};
}

void ks_ask_fleet_free(struct ks_ask_fleet_sim *f)
{
	ks_proc_end(&f->program[0].proc, f->n, sizeof f->program[0], GRACE_MS);
	ks_stray_kill(f->mark);
	if (f->pinned)
		sched_setaffinity(0, sizeof f->before, &f->before);
	ks_free(f->env);
	ks_free(f->program);
	ks_free(f);
}
