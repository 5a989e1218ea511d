/* Snapshots and clones by fork. A snapshot is a process: the subject forks when none of its threads is inside a call, and the new
 * process waits. A clone is a process that the snapshot forks in turn, so there may be several. It has the memory and the disk of
 * the snapshot, random words in store included, and its wall clock goes on from there. The kernel's other clocks run on: that is
 * for generators that do not read them (ks_ft_lacks). */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ft_group.h"
#include "ft_run.h"
#include "ft_sweep.h"
#include "ks_mem.h"
#include "truetime.h"

#define ANSWER_NS (20 * KS_SEC)
#define DISK_OF_SNAPSHOT 1000000 /* and its slot: the number under which it persists, beyond those of processes */

uint32_t ks_ft_clones(const struct ks_ft_play *play, const struct ks_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < play->n; k++)
		n += play->event[k].op == KS_FAULT_SNAPSHOT || play->event[k].op == KS_FAULT_CLONE ? plan->processes : 0;
	return n;
}

/* What a subject makes becomes a child of ours while we are a subreaper: so that we can wait for it. Runs with clones side by side
 * share that, and it ends with the last of them: of other orphans we want to know nothing. */
static pthread_mutex_t reaping = PTHREAD_MUTEX_INITIALIZER;
static unsigned reapers;

static bool takes_snapshots(const struct ks_plan *plan)
{
	for (size_t i = 0; i < plan->faults; i++)
		if (plan->fault[i].kind->op == KS_FAULT_SNAPSHOT)
			return true;
	return false;
}

void ks_ft_reap(const struct ks_plan *plan, bool begin)
{
	if (!takes_snapshots(plan))
		return;
	pthread_mutex_lock(&reaping);
	reapers += begin ? 1u : -1u;
	prctl(PR_SET_CHILD_SUBREAPER, (unsigned long)(reapers > 0));
	pthread_mutex_unlock(&reaping);
}

/* ---- a process that another one makes ---- */

/* Our ends of its pipes. We keep the one to it open for reading too, lest it be none before the other end is there. */
static int open_line(struct run *r, struct subject *s)
{
	struct ks_proc *p = &s->p.proc;

	for (int i = 0; i < 2; i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/line-%u-%s", r->stage.dir, s->p.slot, i ? "out" : "in");
		int fd = mkfifo(path, 0600) == 0 ? open(path, i ? O_RDONLY | O_NONBLOCK | O_CLOEXEC : O_RDWR | O_CLOEXEC) : -1;
		if (fd < 0)
			return ks_fail(r->err, KS_E_INTERNAL, "cannot make '%s': %s", path, strerror(errno));
		*(i ? &p->out : &p->in) = fd;
	}
	return 0;
}

int ks_ft_take_forked(struct run *r, struct subject *s, const void *payload, uint32_t length)
{
	if (length != sizeof(s->forked))
		return ks_ft_lament(r, s, "told of a second process with a frame of the wrong size");
	memcpy(&s->forked, payload, sizeof(s->forked));
	s->forking = false;
	return s->forked.pid > 1 ? 0 : ks_ft_lament(r, s, "told of an impossible process");
}

static int adopt(struct run *r, struct subject *from, struct subject *s)
{
	char procs[640];

	s->p.proc.pid = from->forked.pid;
	s->p.started_ns = ks_true_ns() - KS_SEC; /* it does not start libfaketime: nothing to wait for */
	s->p.grouped = ks_ft_group_add(r->stage.dir, s->p.slot, procs, sizeof(procs));
	if (s->p.grouped)
		ks_ft_group_join(procs, s->p.proc.pid);
	ks_ft_note_process(r->stage.dir, s->p.proc.pid);
	s->p.from_unix_ns = from->p.from_unix_ns;
	s->p.memory = from->forked.memory;
	return 0;
}

/* from makes s, and says when. */
static int fork_off(struct run *r, struct subject *from, struct subject *s, uint32_t disk)
{
	struct ks_wire_fork f = {.slot = s->p.slot, .process = disk};
	int64_t until = ks_true_ns() + ANSWER_NS;

	snprintf(f.folder, sizeof(f.folder), "%s", r->stage.dir);
	s->p.from_unix_ns = from->p.from_unix_ns;
	if (open_line(r, s) != 0 || ks_ft_play_show(&r->play, &s->p, r->err) != 0)
		return -1;
	from->forking = true;
	if (ks_ft_tell(r, from, KS_WIRE_FORK, &f, sizeof(f)) != 0)
		return -1;
	while (from->forking) {
		if (ks_true_ns() > until)
			return ks_ft_lament(r, from, "made no second process of itself within 20s");
		if (ks_ft_listen(r, until) != 0)
			return -1;
	}
	return adopt(r, from, s);
}

static struct subject *add_subject(struct run *r, uint32_t node, uint32_t process, uint32_t k)
{
	struct subject *s = &r->subject[r->n];

	s->p.node = node;
	s->p.process = process;
	s->p.slot = r->n++;
	s->p.born = k;
	s->p.from_ns = s->p.until_ns = INT64_MAX;
	r->play.processes = r->n;
	return s;
}

/* ---- snapshots ---- */

/* The process that runs now. */
static struct subject *alive(struct run *r, uint32_t node, uint32_t process)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->subject[i].p.node == node && r->subject[i].p.process == process && r->subject[i].p.up)
			return &r->subject[i];
	return NULL;
}

int ks_ft_snapshot(struct run *r, uint32_t k)
{
	const struct ks_fault_event *e = &r->play.event[k];

	for (uint32_t i = 0; i < r->plan->processes; i++) {
		struct subject *from = alive(r, e->node, i);
		if (!from)
			return ks_fail(r->err, KS_E_JUDGE, "a snapshot of node '%s' while one of its processes is down",
				       r->plan->node[e->node].name);
		struct subject *s = add_subject(r, e->node, i, k);
		s->kept = true;
		s->snapshot = (uint32_t)e->amount;
		s->before = from;
		if (ks_ft_prepare(r, s) != 0 || fork_off(r, from, s, DISK_OF_SNAPSHOT + s->p.slot) != 0)
			return -1;
		r->play.kept[e->amount].clocks = r->play.node[e->node].clocks;
		r->play.kept[e->amount].at_ns = from->forked.raw_ns - r->play.start_ns;
		r->play.kept[e->amount].planned_ns = e->at_ns;
	}
	return 0;
}

/* ---- clones ---- */

static struct subject *snapshot_of(struct run *r, uint32_t number, uint32_t process)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->subject[i].kept && r->subject[i].snapshot == number && r->subject[i].p.process == process)
			return &r->subject[i];
	return NULL;
}

/* What was due before it was there is nobody's. */
static void pass_arrivals(struct run *r, struct subject *s, int64_t at_ns)
{
	const struct ks_plan *p = r->plan;
	uint32_t first = (s->p.node * p->processes + s->p.process) * p->threads;

	for (uint32_t i = 0; i < p->threads; i++) {
		struct ks_arrivals a;
		uint64_t skip = 0;
		ks_arrivals_init(&a, &p->load, s->p.process * p->threads + i, p->processes * p->threads, r->request->seed, first + i);
		while (ks_arrivals_next(&a) < at_ns)
			skip++;
		s->p.area.lane[i].skip = skip;
	}
}

static int clone_one(struct run *r, uint32_t k, uint32_t process)
{
	const struct ks_fault_event *e = &r->play.event[k];
	struct subject *kept = snapshot_of(r, (uint32_t)e->amount, process);
	struct subject *s = add_subject(r, e->node, process, k);

	if (!kept)
		return ks_fail(r->err, KS_E_JUDGE, "the snapshot has not been taken yet");
	s->revived = true;
	s->before = kept;
	ks_ft_make_lanes(r, s);
	if (ks_ft_prepare(r, s) != 0 || ks_ft_make_area(r, s) != 0)
		return -1;
	pass_arrivals(r, s, e->at_ns);
	for (int id = 0; id < KS_NCLOCKS; id++)
		s->account.clock_base_ns[id] = kept->before->account.clock_base_ns[id];
	if (fork_off(r, kept, s, e->node * r->plan->processes + process) != 0)
		return -1;
	return ks_ft_restart_next(r, s);
}

int ks_ft_clone(struct run *r, uint32_t k)
{
	for (uint32_t i = 0; i < r->plan->processes; i++)
		if (clone_one(r, k, i) != 0)
			return -1;
	return 0;
}
