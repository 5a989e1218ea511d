/* The threads that call the generator, one a lane, and what each noted down. */
#ifndef KS_LANE_H
#define KS_LANE_H

#include <pthread.h>
#include <stdatomic.h>

#ifndef KS_ENV_REAL
#define KS_ENV_REAL 1
#endif
#include "env.h"
#include "keygen.h"
#include "ks_arrivals.h"
#include "ks_area.h"

struct ks_lane_thread;

/* What all lanes of the process share. Filled before they start. */
struct ks_crew {
	struct ks_gen_spec spec;
	struct ks_env_process process;
	struct ks_load load;
	int64_t duration_ns;
	int64_t read_width_ns; /* wider readings are not told */
	void *shared;
	int wake_fd;          /* gets a byte when a lane is through, or at its limit */
	pthread_mutex_t gate; /* guards the next two */
	pthread_cond_t opened;
	bool open;
	int64_t start_ns; /* true time of the scenario's start */
	_Atomic int64_t born_ns; /* of a machine that goes on from another: arrivals before that are the other's */
	atomic_bool halted; /* nothing is begun any more */
	atomic_bool held;   /* and this: for the moment */
	pthread_mutex_t reading; /* guards the next one */
	struct { /* what background threads read last: what a call goes by that reads no clock itself */
		bool known;
		uint8_t clock;
		int64_t value, at_ns, width_ns;
	} read_beside;
	bool reads_beside;  /* there may be such a reading */
	atomic_int beside;  /* how many run beside the lanes, at this moment */
	void (*work)(struct ks_lane_thread *lane); /* of a lane of a foreign program that is free running (spec.gen is NULL) */
	atomic_bool full; /* a lane had no room for its next record */
	struct ks_area area;
};

struct ks_lane_thread {
	struct ks_crew *crew;
	struct ks_env env;
	struct ks_arrivals arrivals;
	void *local;
	uint32_t number; /* in the process */
	struct ks_area_lane *area;     /* how far it is, for those who look from outside */
	struct ks_wire_record *record; /* cap of them */
	char *text; /* keys that are texts */
	uint64_t ahead; /* the number of a call - that of its record: of a machine that goes on from another one */
	bool closed, inside; /* by the host, and where it was then; */
	size_t told;         /* with so many records */
	uint64_t cap, text_used;
};

/* The thread's body: waits for the gate, then calls until the end. @param lane struct ks_lane_thread */
void *ks_lane_run(void *lane);

/* For the body of a lane that only hears when a key was made: notes the n-th, received at return_ns.
 * @return false when there is no room for it, or the lane was closed. */
bool ks_lane_note(struct ks_lane_thread *lane, uint64_t n, const char *key, size_t len, int64_t return_ns);

/* What a hold signal does; to be set up once, before lanes run. @return 0, or -1 with errno. */
int ks_lane_catch_holds(void);

#endif
