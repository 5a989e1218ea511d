/* What the machine and the host did to the calls beside the faults: nobody should take that for the generator's doing. */
#include "ft.h"

/* A process that was stopped needs a moment to get a CPU again. */
#define AFTER_NS (5 * KS_MS)
/* And one that is started anew needs longer. */
#define START_NS (500 * KS_MS)

static bool hits(const struct ks_plan *plan, const struct ks_fault_event *e, const struct ks_ft_process *p, uint32_t thread)
{
	if (ks_fault_stops_by_core(e) && thread == KS_ANY)
		return false;
	return e->node == p->node && ks_fault_names(e, p->process, thread, plan->threads);
}

/* Was this thread (KS_ANY: the process) stopped by a fault at some time in [from, to]? */
static bool stopped(const struct ks_ft_play *play, const struct ks_ft_process *p, uint32_t thread, int64_t from_ns, int64_t to_ns)
{
	int64_t since = INT64_MAX;

	for (uint32_t k = 0; k < play->n; k++) {
		const struct ks_fault_event *e = &play->event[k];
		if (!hits(play->plan, e, p, thread))
			continue;
		if (e->op == KS_FAULT_STOP || e->op == KS_FAULT_SUSPEND || e->op == KS_FAULT_DOWN)
			since = play->done[k].begin_ns;
		if (e->op != KS_FAULT_RUN && e->op != KS_FAULT_RESUME && e->op != KS_FAULT_UP)
			continue;
		int64_t after = e->op == KS_FAULT_UP ? START_NS : AFTER_NS;
		if (since <= to_ns && play->done[k].end_ns + after >= from_ns)
			return true;
		since = INT64_MAX;
	}
	return since <= to_ns;
}

static void add_lane(const struct ks_ft_play *play, const struct ks_ft_process *p, uint32_t thread, size_t n,
		     struct ks_machine *m)
{
	const struct ks_wire_record *r = &p->area.record[thread * p->area.head->size.records];
	int64_t free_ns = 0;

	for (size_t i = 0; i < n; i++) {
		int64_t could = r[i].due_ns > free_ns ? r[i].due_ns : free_ns;
		int64_t late = r[i].call_ns - could;
		bool retry = r[i].outcome == KS_REFUSE && play->plan->load.on_refuse == KS_REFUSE_RETRY;
		free_ns = r[i].return_ns + (retry ? KS_RETRY_AFTER_NS : 0);
		if (late < KS_MACHINE_LATE_NS && late <= m->call_late_ns_max)
			continue;
		if (stopped(play, p, thread, could, r[i].call_ns))
			continue;
		m->call_late_ns_max = late > m->call_late_ns_max ? late : m->call_late_ns_max;
		m->calls_late += late >= KS_MACHINE_LATE_NS;
	}
}

/* The probe should read once a gap. */
static void add_probes(const struct ks_ft_play *play, const struct ks_ft_process *p, struct ks_machine *m)
{
	int64_t gap = ks_ft_probe_gap(play->plan, play->event, play->n);
	uint64_t n = p->area.head->nprobes;

	for (uint64_t i = 1; i < n && n <= p->area.head->size.probes; i++) {
		int64_t from = p->area.probe[i - 1].after_ns - play->start_ns, to = p->area.probe[i].before_ns - play->start_ns;
		if (to - from - gap > m->probe_late_ns_max && !stopped(play, p, KS_ANY, from, to))
			m->probe_late_ns_max = to - from - gap;
	}
}

void ks_ft_machine(const struct ks_ft_play *play, struct ks_machine *machine)
{
	*machine = (struct ks_machine){.known = true};
	for (uint32_t i = 0; i < play->processes; i++) {
		const struct ks_ft_process *p = ks_ft_process(play, i);
		if (!p->area.head)
			continue; /* a snapshot */
		for (uint32_t t = 0; t < p->area.head->size.threads; t++)
			add_lane(play, p, t, (size_t)(p->area.lane[t].state / 4), machine);
		add_probes(play, p, machine);
	}
}
