/* What the files of a run with subject hosts share: ft_host.c, which runs it, and ft_restart.c, which ends subjects and starts
 * new ones in the middle of it. */
#ifndef KS_FT_RUN_H
#define KS_FT_RUN_H

#include "ft.h"
#include "ft_records.h"
#include "ft_registry.h"

struct pollfd;

enum ks_ft_phase { STARTING, GREETED, READY, RUNNING, DONE };

struct subject {
	struct ks_ft_process p;
	enum ks_ft_phase phase;
	struct ks_wire_rx rx;
	struct ks_wire_account account;
	struct ks_wire_clocks clocks, first; /* told last, and before the start */
	uint32_t pings_open;
	struct subject *before; /* of a process that was started anew: the incarnation before; of a clone: what it is a clone of */
	bool kept;              /* it is a snapshot: a process that waits to be gone on from */
	uint32_t snapshot;      /* which */
	bool revived;           /* it goes on from a snapshot */
	bool forking;           /* it was told to make another process, and has not answered yet */
	struct ks_wire_forked forked;
	uint64_t clock_reads;
};

struct run {
	const struct ks_run_request *request;
	const struct ks_plan *plan;
	struct ks_run_output *output;
	struct ks_err *err;
	struct ks_ft_stage stage;
	struct ks_ft_play play;
	struct ks_ft_registry registry;
	struct subject *subject;
	uint32_t n, room;   /* of them: those that were started, and those that there may be in all */
	struct pollfd *fds; /* two a subject: its stdout and stderr */
	unsigned char *frame;
	int64_t limit_ns;   /* true time at which the run is given up */
};

/* ft_host.c. All: 0, or -1 with r->err. */
int ks_ft_launch(struct run *r, struct subject *s);
int ks_ft_send_config(struct run *r, struct subject *s);
int ks_ft_ping(struct run *r, struct subject *s);
int ks_ft_tell(struct run *r, struct subject *s, uint32_t type, const void *payload, uint32_t length);
/* Takes the records out of its area: it has ended, or makes no more. */
int ks_ft_collect(struct run *r, struct subject *s);
/* Numbers its lanes, the next ones of the records. */
void ks_ft_make_lanes(struct run *r, struct subject *s);
/* An error: what it did, and how it ended. */
int ks_ft_lament(struct run *r, struct subject *s, const char *what);

/* Listens once, until true time at_ns at most. */
int ks_ft_listen(struct run *r, int64_t at_ns);
/* Makes the file in which the subject will note its calls. */
int ks_ft_make_area(struct run *r, struct subject *s);
/* Gives the subject what it needs to be heard: buffers. */
int ks_ft_prepare(struct run *r, struct subject *s);

/* ft_clone.c: snapshots and clones. */
uint32_t ks_ft_clones(const struct ks_ft_play *play, const struct ks_plan *plan);
/* To be called before the first subject of a run is started, and when all are gone. */
void ks_ft_reap(const struct ks_plan *plan, bool begin);
int ks_ft_snapshot(struct run *r, uint32_t k);
int ks_ft_clone(struct run *r, uint32_t k);
/* A subject answered FORK. */
int ks_ft_take_forked(struct run *r, struct subject *s, const void *payload, uint32_t length);

/* ft_restart.c */
/* What ks_ft_play calls for what is not about clocks and stops. who: struct run. */
int ks_ft_act(void *who, uint32_t k, struct ks_err *err);
/* A subject that was started anew said something: leads it to its start. */
int ks_ft_restart_next(struct run *r, struct subject *s);

#endif
