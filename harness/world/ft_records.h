/* From what a subject says over the wire to records, believing nothing that cannot be. Pure; used by every world whose
 * subjects speak the wire. */
#ifndef KS_FT_RECORDS_H
#define KS_FT_RECORDS_H

#include "keygen.h"
#include "ks_record.h"
#include "ks_wire.h"

struct ks_run_request;

/* What is known of one subject, and how far its records have come. */
struct ks_wire_account {
	const struct ks_gen_spec *spec;
	uint32_t first_lane, threads;
	int64_t duration_ns;
	int64_t clock_base_ns[KS_NCLOCKS]; /* what each clock shows at the start when nothing is wrong with it */
	uint64_t records;
	uint8_t why[KS_RECORD_REASONS]; /* of a foreign generator: the number here of each reason of the subject */
	uint32_t whys;
	/* Of a free-running program, else NULL: nothing is known of its calls but when each returned, and what its keys tell. */
	const struct ks_run_request *lines;
	bool ahead; /* the last record was refused for this alone: by the subject's own time it was made later than now */
	uint64_t text, text_end; /* keys that are texts: those of the next records, in the texts */
	struct {
		uint32_t seq;      /* of the next record */
		int64_t return_ns; /* of the record before */
		bool lost;         /* the record before was a lost call: the last one */
	} * thread;                /* threads of them, zeroed by the owner */
};

/* Takes the texts of the keys of the next frame of records. @return 0, or -1 as below. */
int ks_wire_account_texts(struct ks_wire_account *account, const void *payload, uint32_t length, struct ks_records *records,
			  struct ks_err *err);

/* Adds the records of one frame. until_ns: now, since the start: nothing can have returned later.
 * @return 0, or -1: KS_E_JUDGE when a record cannot be true, KS_E_INTERNAL out of memory. */
int ks_wire_account_add(struct ks_wire_account *account, const void *payload, uint32_t length, int64_t until_ns,
			struct ks_records *records, struct ks_err *err);

#endif
