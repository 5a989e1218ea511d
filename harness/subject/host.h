/* What the files of the subject host share: host.c, which talks to the harness, and beside it what the frames are about
 * (host_*.c). */
#ifndef KS_HOST_H
#define KS_HOST_H

#include "ks_engine.h"
#include "ks_subject.h"
#include "lane.h"

enum phase { NEW, CONFIGURED, RUNNING, FINISHED };

struct host {
	int in, out;
	const struct ks_subject_hooks *hooks;
	enum phase phase;
	struct ks_crew crew;
	struct ks_texts reasons;
	struct ks_env_failure failure;
	struct ks_lane_thread *lane;
	uint32_t lanes;
	int64_t probe_ns;
	bool revived; /* it goes on from another's memory: that is the generator's state, whatever begins */
	int area_fd;
	int wake[2];
	pthread_mutex_t sending; /* frames go out one by one, whoever sends them */
	struct {
		pthread_mutex_t one; /* question at a time */
		uint32_t asked;
		_Atomic uint32_t told;
		struct ks_wire_registry answer;
		int64_t way_ns;
	} registry;
	pthread_t main;
	int ended; /* the host ended while it waited for an answer: what `serve` gave */
	_Alignas(8) unsigned char frame[KS_WIRE_MAX];
};

/* What those give that take a frame or send one: 0 goes on, anything else ends the host. */
enum { GO_ON = 0, FAILED = 1, OVER = 2 };

/* ---- the exchange: host.c ---- */

/* Any thread may. @return GO_ON, or FAILED. */
int ks_subject_answer(struct host *h, uint32_t type, const void *payload, uint32_t length);
/* Answers ERROR. @return FAILED. */
int ks_subject_fail(struct host *h, const char *text);
int ks_subject_say_hello(struct host *h);
/* Takes the next frame, if one comes within wait_ms (-1: however long it takes) and no lane wakes the host before. In the thread of
 * ks_subject_main alone; h->frame is another one then. */
int ks_subject_wait_and_serve(struct host *h, int wait_ms);

/* ---- what a configuration makes: host_configure.c ---- */

/* The area that the harness made. Its records get their pages now: a call would pay for them later. @return NULL, or what is wrong. */
const char *ks_subject_share_area(struct host *h);
/* core: KS_ANY: wherever. A thread begins where the one is that makes it. */
bool ks_subject_make_thread(const pthread_attr_t *attr, uint32_t core, void *(*run)(void *), void *context);
/* Takes CONFIG. The generator's init may ask the registry: other frames are then taken before this returns. */
int ks_subject_configure(struct host *h, uint32_t length);

/* ---- what outlives the process: host_memory.c ---- */

/* The memory of the generator, shared and of each thread, as it is between calls. */
bool ks_subject_pass_state(struct host *h, bool write_it);
/* Of the same memory; 0 where there is no generator. */
uint64_t ks_subject_hash_of_state(const struct host *h);
/* Takes FORK. Returns in both processes: in the new one, h talks on lines of its own and is to be configured. */
int ks_subject_fork_off(struct host *h, uint32_t length);

/* ---- what runs beside the lanes: host_beside.c ---- */

/* Sleeps until true time at_ns without spinning: a few tens of us late is no matter here. */
void ks_subject_sleep_until(int64_t at_ns);
/* Makes the threads, which wait for the start. @return false: out of them, or of memory. */
bool ks_subject_start_beside(struct host *h, const pthread_attr_t *attr, uint32_t core);

/* ---- what is done to all lanes: host_lanes.c ---- */

/* Until ks_subject_let_go no call goes on and nothing runs beside them. @return false: they did not return in time. */
bool ks_subject_hold_all(struct host *h);
void ks_subject_let_go(struct host *h);
/* A thread that sleeps until a true time does so by a clock of the kernel, and has overslept where true time has moved on
 * without it. A hold of no length wakes it. */
void ks_subject_wake_lanes(struct host *h);
/* Is an act of this kind (KS_ACT_*) done to lanes, and not to a clock? */
bool ks_subject_is_of_lanes(uint32_t kind);
/* Does it, at its instant. @return 0, or errno. */
int ks_subject_act_on_lanes(struct host *h, const struct ks_wire_act *a, struct ks_wire_acted *acted);
/* No lane begins a call any more, those inside have returned, and what runs beside them stands: then the state is whole. It is kept
 * for the next process, and this one finishes. */
int ks_subject_halt(struct host *h);
/* Closes all lanes, whatever they are inside of, and sends what is to be told after the run, up to DONE. */
int ks_subject_finish(struct host *h);

/* ---- the registry: host_registry.c ---- */

/* The hook of struct ks_env_process. An answer takes its way, there and back; nobody's answer takes as long as one waits for it.
 * @return false: it does not know, or the answer got lost. */
bool ks_subject_ask_registry(void *host, uint32_t what, uint64_t *value);
/* Takes TOLD: whoever waits for it goes on. */
int ks_subject_take_told(struct host *h, uint32_t length);

#endif
