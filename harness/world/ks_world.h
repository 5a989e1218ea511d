/* Worlds: where a run happens. A world turns a plan into records; it knows no checker. */
#ifndef KS_WORLD_H
#define KS_WORLD_H

#include "keygen.h"
#include "ks_plan.h"
#include "ks_wire.h"

/* A fault, as it was proven from a clock reading of the subject's own. */
struct ks_injection {
	uint32_t fault;      /* index into the plan */
	uint32_t node;
	int64_t at_ns;       /* when it was done */
	int64_t commanded;   /* ns for a step, ppb for a drift, ns that something stood */
	int64_t observed;    /* the same quantity from the subject's clock readings around it */
	uint32_t changes, seen; /* of a fault of many moves: how many it made, how many were seen from both sides; else 0 */
	int64_t tolerance;   /* |observed - commanded| beyond this ends the run with KS_E_JUDGE */
};

struct ks_run_request {
	const struct ks_plan *plan;
	const struct ks_gen_spec *gen;
	uint64_t seed;
	bool control;             /* without the faults */
	volatile const int *stop; /* non-zero: end soon, leave nothing behind, KS_E_JUDGE "interrupted" */
	size_t memory;            /* bytes of records beyond which it ends with KS_E_JUDGE; 0: no limit */
	struct ks_progress *progress; /* may be NULL */
	const struct ks_trace *trace; /* of sim; may be NULL */
	const struct ks_sink *sink; /* sim only: takes the records, which are not kept then; may be NULL */
	int64_t timeout_ns;       /* of host time; 0: the world's own */
};

/* What the machine and keyskew itself did to the calls, beside the faults: stalls that are not the generator's. */
struct ks_machine {
	bool known;                /* false: nobody measured, or time is simulated */
	int64_t call_late_ns_max;  /* a call began so long after it could have */
	uint64_t calls_late;       /* how many began later than KS_MACHINE_LATE_NS */
	int64_t probe_late_ns_max; /* a thread that only reads its clock now and then waited so long for a CPU */
};
#define KS_MACHINE_LATE_NS INT64_C(1000000)

/* What a guest's kernel was seen doing to a clock. */
struct ks_jump {
	int64_t at_ns;    /* true time since the start */
	int64_t delta_ns; /* REALTIME moved by this against MONOTONIC; RUNTIME: MONOTONIC did from one reading to the next */
	uint32_t node, layer, pid; /* enum ks_jump_layer: CALL, KERNEL, RUNTIME */
	int32_t ret;
	char command[16], name[40];
};
#define KS_JUMPS_MISSING 16

struct ks_run_output {
	struct ks_records records; /* in fleet order */
	struct ks_injection *injection; /* owned (ks_free) */
	size_t ninjection;
	struct ks_clock_change *change; /* by time; owned (ks_free); NULL where the world sees only the faults themselves */
	size_t nchange;
	int64_t noise_ns;          /* how far a clock reading may be from what it shows without a fault: 0 in sim */
	struct ks_machine machine;
	bool captured;             /* clock jumps were looked for; jump: by node, then by time; owned (ks_free) */
	struct ks_jump *jump;
	size_t njump, nmissing;
	uint64_t jumps_lost;       /* came too fast to be told */
	char missing[KS_JUMPS_MISSING][40]; /* functions that the kernel does not have */
	char no_capture[96];       /* why they were not looked for though the plan asks; "": not by a guest */
	char detail[256];          /* "libfaketime 0.9.10", "TCG, linux 6.1.0-54-cloud-amd64, tsc"; "" in sim */
};

struct ks_world {
	enum ks_world_id id;
	const char *name, *title;
	/* Can it run on this host? @return 0, or -1 with the reason and what would help in why. */
	int (*available)(char *why, size_t size);
	/* Can it carry this plan with this generator? @return 0, or -1 with the reason in why (the run is untested). */
	int (*carries)(const struct ks_plan *plan, const struct ks_gen_spec *gen, char *why, size_t size);
	/* @return 0, or -1: KS_E_JUDGE when it could not be judged; then output has detail alone, as far as it was known. Leaves no process,
	 * file, socket behind. */
	int (*run)(const struct ks_run_request *request, struct ks_run_output *output, struct ks_err *err);
	bool runs_control; /* false: real time, a control would double it */
};

extern const struct ks_world ks_world_sim, ks_world_faketime, ks_world_qemu;
extern const struct ks_world *const ks_worlds[]; /* ends with NULL */

void ks_run_output_release(struct ks_run_output *output);
/* The same, of a run that failed: detail stays. */
void ks_run_output_fail(struct ks_run_output *output);

#endif
