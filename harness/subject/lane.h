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
#include "ks_wire.h"

/* What all lanes of the process share. Filled before they start. */
struct ks_crew {
	struct ks_gen_spec spec;
	struct ks_env_process process;
	struct ks_load load;
	int64_t duration_ns;
	void *shared;
	int wake_fd;          /* gets a byte when a lane is through, or at its limit */
	pthread_mutex_t gate; /* guards the next two */
	pthread_cond_t opened;
	bool open;
	int64_t start_ns; /* true time of the scenario's start */
	atomic_bool full; /* a lane had no room for its next record */
};

/* How far a lane is, in one word, so that its end is one atomic step: 4 x calls completed + phase. */
enum ks_lane_phase { KS_LANE_IDLE, KS_LANE_INSIDE, KS_LANE_CLOSED };

struct ks_lane_thread {
	struct ks_crew *crew;
	struct ks_env env;
	struct ks_arrivals arrivals;
	void *local;
	uint32_t number; /* in the process */
	struct ks_wire_record *record;
	size_t cap;
	_Atomic uint64_t state;
	atomic_bool through;
	/* Atomic because a lane may be closed while it is between two calls. */
	_Atomic int64_t due_ns, call_ns; /* of the call that it is inside */
	_Atomic int64_t worst_late_ns;   /* max of call - when it could have begun: the host's own doing */
	_Atomic uint64_t reads;          /* clock readings before this call */
};

/* The thread's body: waits for the gate, then calls until the end. @param lane struct ks_lane_thread */
void *ks_lane_run(void *lane);

/* Ends the lane from outside: what it completed until now stays as it is, and it adds nothing.
 * @return how many records it completed. *inside: it was inside a call, which is lost. */
size_t ks_lane_close(struct ks_lane_thread *lane, bool *inside);

#endif
