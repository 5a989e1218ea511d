/* What a subject leaves in shared memory or sends: a plug-in or a program that misbehaves may have written anything into it. An area
 * and records that are good, with bytes of them changed: what is taken from them keeps the rules of records, all else is refused.
 *
 * The input: a byte that picks the generator, then edits of three bytes: where (two), and what. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ft_records.h"
#include "ks_area.h"
#include "ks_mem.h"

#define THREADS 2
#define RECORDS 4 /* of a thread */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void fill(struct ks_area *a, bool texts)
{
	for (uint32_t t = 0; t < THREADS; t++) {
		for (uint32_t i = 0; i < RECORDS; i++) {
			int64_t at = (int64_t)(i + 1) * 1000;
			a->record[t * RECORDS + i] = (struct ks_wire_record){
			    .due_ns = at, .call_ns = at, .return_ns = at + 100, .read_ns = at + 50, .read_at_ns = at + 50,
			    .key_lo = texts ? i * 29u : t * 100 + i, .thread = t, .seq = i, .outcome = KS_KEY};
			memcpy(a->text + t * a->head->size.texts + i * 29, "\x1b\0" "0ujtsYcgvSTl8PAuAdqWYSMnLOv", 29);
		}
		a->lane[t].state = 4 * RECORDS + KS_LANE_IDLE;
	}
}

/* The rules that checkers rely on. */
static void check(const struct ks_records *records, size_t from)
{
	for (size_t i = from; i < records->n; i++) {
		struct ks_record r = ks_record_get(records, i);
		require(r.lane < THREADS && r.outcome <= KS_LOST && r.call_ns >= r.due_ns);
		require(r.outcome == KS_LOST || r.return_ns >= r.call_ns);
	}
}

/* As a world does it: texts first, then their records. */
static void take(const struct ks_area *a, const struct ks_gen_spec *spec, struct ks_records *records)
{
	static unsigned char frame[2 * RECORDS * KS_KEY_TEXT];
	struct ks_wire_account account = {.spec = spec, .threads = THREADS, .duration_ns = KS_SEC};
	struct ks_err err;

	account.thread = ks_alloc(THREADS, sizeof(*account.thread));
	require(account.thread != NULL);
	for (uint32_t t = 0; t < THREADS; t++) {
		bool inside;
		size_t n = ks_area_close(&a->lane[t], &inside), from = records->n;
		if (n > a->head->size.records)
			break;
		int64_t length = ks_gen_issues_texts(spec) ? ks_area_texts(a, t, 0, n, frame) : 0;
		require(length <= (int64_t)sizeof(frame));
		if (length < 0 || (length && ks_wire_account_texts(&account, frame, (uint32_t)length, records, &err) != 0))
			break;
		if (ks_wire_account_add(&account, &a->record[t * a->head->size.records], (uint32_t)(n * sizeof(*a->record)), KS_SEC, records,
					&err) != 0) {
			require(err.code == KS_E_JUDGE && *err.text);
			break;
		}
		check(records, from);
	}
	ks_free(account.thread);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ks_gen_spec spec[2];
	static char *memory;
	const struct ks_area_size want = {.threads = THREADS, .records = RECORDS, .texts = 256, .probes = 1};
	size_t bytes = ks_area_bytes(&want);
	struct ks_area a;
	struct ks_err err;

	if (!memory) {
		memory = aligned_alloc(4096, bytes);
		require(memory && ks_gen_parse(ks_gens_sim, "snowflake", &spec[0], &err) == 0 &&
			ks_gen_parse(ks_gens_sim, "ksuid", &spec[1], &err) == 0);
	}
	memset(memory, 0, bytes);
	ks_area_init(&a, memory, &want);
	bool texts = size && data[0] & 1;
	fill(&a, texts);
	for (size_t i = 1; i + 2 < size; i += 3) /* the parts lie pages apart: an edit is of the first bytes of one of them */
		memory[(size_t)(data[i] % (bytes / 4096)) * 4096 + (size_t)data[i + 1] * 2 % 4096] ^= (char)data[i + 2];
	if (!ks_area_bind(&a, memory, bytes))
		return 0;
	struct ks_records records = {0};
	if (a.head->size.threads == THREADS)
		take(&a, &spec[texts], &records);
	ks_records_release(&records);
	return 0;
}
