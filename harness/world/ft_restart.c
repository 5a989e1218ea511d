/* Restarts in the middle of a run: a subject ends, killed where it stands or when its calls have returned, and another one
 * begins where it was: the next incarnation, with the arrivals that the one before has not had. */
#include "ft_run.h"
#include "ks_mem.h"
#include "truetime.h"

static bool hits(const struct ks_fault_event *e, const struct ks_ft_process *p)
{
	return p->node == e->node && (e->process == KS_ANY || e->process == p->process);
}

uint32_t ks_ft_restarts(const struct ks_ft_play *play, const struct ks_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < play->n; k++)
		if (play->event[k].op == KS_FAULT_UP)
			n += play->event[k].process == KS_ANY ? plan->processes : 1;
	return n;
}

/* ---- the end of one ---- */

static int kill_subject(struct run *r, struct subject *s)
{
	ks_ft_settle(&s->p);
	ks_proc_end(&s->p.proc, 1, sizeof(s->p.proc), 0);
	return ks_ft_collect(r, s);
}

static int down(struct run *r, const struct ks_fault_event *e)
{
	for (uint32_t i = 0; i < r->n; i++) {
		struct subject *s = &r->subject[i];
		if (!s->p.up || !hits(e, &s->p))
			continue;
		if (s->phase == RUNNING) {
			int status = e->amount & KS_RESTART_KEPT ? ks_ft_tell(r, s, KS_WIRE_HALT, NULL, 0) : kill_subject(r, s);
			if (status != 0)
				return -1;
		}
		s->p.up = false;
		s->p.until_ns = ks_ft_play_now(&r->play);
	}
	return 0;
}

/* ---- the beginning of the next ---- */

/* The last incarnation of a process, or NULL. */
static struct subject *last_of(struct run *r, uint32_t node, uint32_t process)
{
	for (uint32_t i = r->n; i-- > 0;)
		if (r->subject[i].p.node == node && r->subject[i].p.process == process && !r->subject[i].kept)
			return &r->subject[i];
	return NULL;
}

/* A call that was begun has had its arrival; one that was awaited has not. */
static void pass_arrivals(struct subject *s, const struct subject *before)
{
	for (uint32_t i = 0; i < before->p.area.head->size.threads; i++) {
		const struct ks_area_lane *a = &before->p.area.lane[i];
		s->p.area.lane[i].skip = s->p.was_inside[i / 64] >> (i % 64) & 1 ? a->drawn : a->taken;
	}
}

static int begin(struct run *r, struct subject *before, uint32_t k)
{
	const struct ks_fault_event *e = &r->play.event[k];
	struct subject *s = &r->subject[r->n];

	if (before->phase != DONE)
		return ks_ft_lament(r, before, "did not end its calls before its restart was to end");
	ks_proc_end(&before->p.proc, 1, sizeof(before->p.proc), 0);
	s->before = before;
	s->p.node = before->p.node;
	s->p.process = before->p.process;
	s->p.incarnation = before->p.incarnation + 1;
	s->p.slot = r->n;
	s->p.born = k;
	s->p.kept = e->amount & KS_RESTART_KEPT;
	s->p.from_ns = s->p.until_ns = INT64_MAX;
	ks_ft_make_lanes(r, s);
	r->n++;
	r->play.processes = r->n;
	if (ks_ft_launch(r, s) != 0)
		return -1;
	pass_arrivals(s, before);
	for (int id = 0; id < KS_NCLOCKS; id++)
		s->account.clock_base_ns[id] = before->account.clock_base_ns[id];
	return 0;
}

static int up(struct run *r, uint32_t k)
{
	const struct ks_fault_event *e = &r->play.event[k];

	for (uint32_t i = 0; i < r->plan->processes; i++) {
		struct subject *before = last_of(r, e->node, i);
		if (hits(e, &before->p) && begin(r, before, k) != 0)
			return -1;
	}
	return 0;
}

int ks_ft_act(void *who, uint32_t k, struct ks_err *err)
{
	struct run *r = who;
	const struct ks_fault_event *e = &r->play.event[k];

	if (e->op == KS_FAULT_DOWN)
		return down(r, e);
	if (e->op == KS_FAULT_UP)
		return up(r, k);
	if (e->op == KS_FAULT_SNAPSHOT)
		return ks_ft_snapshot(r, k);
	if (e->op == KS_FAULT_CLONE)
		return ks_ft_clone(r, k);
	if (e->op == KS_FAULT_REGISTRY) {
		r->registry.cut_off[e->node] = !e->amount;
		return 0;
	}
	return ks_fail(err, KS_E_JUDGE, "fault '%s' is not carried by this world", r->plan->fault[e->fault].name);
}

/* ---- on its way ---- */

static int start(struct run *r, struct subject *s)
{
	struct ks_wire_start m = {r->play.start_ns, r->plan->start_unix_ns};

	s->phase = RUNNING;
	s->p.from_ns = ks_ft_play_now(&r->play);
	return ks_ft_tell(r, s, KS_WIRE_START, &m, sizeof(m));
}

/* Greeted: asked for its clock, which stands at the instant from which libfaketime counts in it; what goes on from the memory of
 * another counts from where that one does. Asked: shown its node's clock, and configured. Ready: started. */
int ks_ft_restart_next(struct run *r, struct subject *s)
{
	if (s->kept || (s->revived && !s->p.proc.pid))
		return 0; /* it waits, or nobody knows it yet */
	if (s->phase == GREETED && !s->p.up && !s->pings_open && !s->clocks.raw_ns)
		return ks_ft_ping(r, s);
	if (s->phase == GREETED && !s->p.up && s->clocks.raw_ns) {
		s->first = s->clocks;
		if (!s->revived)
			s->p.from_unix_ns = s->clocks.clock_ns[KS_REALTIME];
		s->p.up = true;
		return ks_ft_play_show(&r->play, &s->p, r->err) || ks_ft_send_config(r, s) ? -1 : 0;
	}
	return s->phase == READY ? start(r, s) : 0;
}
