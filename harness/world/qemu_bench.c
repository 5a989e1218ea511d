#include "ks_guest_bench.h"

#include <stdio.h>
#include <string.h>

#include "ft_records.h"
#include "ks_engine.h"
#include "ks_mem.h"
#include "qemu_loop.h"
#include "ks_time.h"

#define WAIT_NS (120 * KS_SEC)
#define AHEAD_NS (100 * KS_MS) /* of the start, so that the threads are there */
#define CALLS_NS (300 * KS_MS) /* how long keys are made: their records fit a guest */
#define CLONES 4
#define THREADS_MAX 2

struct bench {
	double *value;
	struct ks_vm_loop *loop;
	struct ks_vm_saved *saved;
	struct ks_err *err;
};

static double since(int64_t begin_ns)
{
	return (double)(ks_host_ns() - begin_ns) / 1e9;
}

static int64_t soon(void)
{
	return ks_host_ns() + WAIT_NS;
}

/* ---- Starting ---- */

static int boot_and_save(struct bench *b)
{
	struct ks_vm_options o = {.savable = true};
	int64_t begin = ks_host_ns();
	struct ks_vm *vm = ks_vm_start(b->loop, &o, b->err);
	int failed = !vm || ks_vm_wait_hello(vm, soon(), b->err);

	b->value[KS_GUEST_BOOT] = since(begin);
	begin = ks_host_ns();
	failed = failed || !(b->saved = ks_vm_save(vm, soon(), b->err));
	b->value[KS_GUEST_SAVE] = since(begin);
	ks_vm_free(vm);
	return failed ? -1 : 0;
}

/* Starts n clones and waits for all. wait_ns: after they were started, before they are needed. */
static int clones(struct bench *b, int n, int64_t wait_ns, double *took)
{
	struct ks_vm_options o = {.cpus = 0};
	struct ks_vm *vm[CLONES] = {NULL};
	int64_t begin = ks_host_ns();
	int failed = 0;

	for (int i = 0; i < n && !failed; i++)
		failed = !(vm[i] = ks_vm_clone(b->loop, b->saved, &o, b->err));
	if (wait_ns) {
		for (int64_t until = begin + wait_ns; !failed && (failed = ks_vm_loop_turn(b->loop, until, b->err)) == 0;)
			;
		failed = failed < 0;
		begin = ks_host_ns();
	}
	for (int i = 0; i < n && !failed; i++)
		failed = ks_vm_wait_hello(vm[i], soon(), b->err);
	*took = since(begin);
	for (int i = 0; i < n; i++)
		ks_vm_free(vm[i]);
	return failed ? -1 : 0;
}

/* ---- Keys ---- */

struct stream {
	struct ks_vm *vm;
	struct ks_gen_spec spec;
	struct ks_wire_account account;
	struct ks_records records;
};

static int configure(struct stream *s, uint32_t threads, struct ks_err *err)
{
	struct {
		struct ks_wire_config config;
		char text[sizeof(s->spec.text)];
	} m = {.config = {.threads = threads, .lanes_of_node = threads, .seed = 1, .duration_ns = CALLS_NS, .rate_count = 1,
	                  .rate_per_ns = 1, .model = KS_MODEL_CLOSED, .user_low = 1, .user_high = 1}};
	int len = snprintf(m.text, sizeof(m.text), "%s", s->spec.text);

	if (ks_vm_send(s->vm, KS_WIRE_CONFIG, &m, (uint32_t)(sizeof(m.config) + (size_t)len + 1), err) != 0)
		return -1;
	return ks_vm_expect(s->vm, KS_WIRE_READY, NULL, 0, soon(), err);
}

/* @return 1 at the end, 0 before, -1 with an error. */
static int take(struct stream *s, struct ks_err *err)
{
	const void *payload;
	uint32_t len;
	int type = ks_vm_recv(s->vm, &payload, &len, soon(), err);

	if (type == KS_WIRE_TEXTS)
		return ks_wire_account_texts(&s->account, payload, len, &s->records, err);
	if (type == KS_WIRE_RECORDS)
		return ks_wire_account_add(&s->account, payload, len, INT64_MAX, &s->records, err);
	if (type < 0 || type == KS_WIRE_DONE)
		return type < 0 ? -1 : 1;
	return ks_fail(err, KS_E_JUDGE, "guest sent message %d out of turn", type);
}

/* Lets the threads make keys as fast as they can, and then brings the records over. */
static int stream(struct bench *b, struct stream *s, uint32_t threads, double *make_s, double *send_s)
{
	struct ks_vm_clocks c;
	int done = 0;

	if (configure(s, threads, b->err) != 0 || ks_vm_clocks(s->vm, 8, &c, b->err) != 0)
		return -1;
	struct ks_wire_start start = {.start_raw_ns = c.guest.raw_ns + AHEAD_NS};
	int64_t end = c.host_raw_ns + AHEAD_NS + CALLS_NS;
	if (ks_vm_send(s->vm, KS_WIRE_START, &start, sizeof(start), b->err) != 0)
		return -1;
	while (done == 0)
		done = take(s, b->err);
	*make_s = (double)CALLS_NS / 1e9;
	*send_s = (double)(ks_host_raw_ns() - end) / 1e9;
	return done < 0 ? -1 : 0;
}

static int keys(struct bench *b, const char *generator, uint32_t threads, double rate[3])
{
	struct ks_vm_options o = {.cpus = (int)threads};
	struct stream s = {.account = {.threads = threads, .duration_ns = CALLS_NS}};
	double make_s, send_s;
	int failed = ks_gen_parse(ks_gens_sim, generator, &s.spec, b->err);

	s.account.spec = &s.spec;
	s.account.thread = ks_alloc(threads, sizeof(*s.account.thread));
	failed = failed || !s.account.thread || !(s.vm = ks_vm_start(b->loop, &o, b->err)) || ks_vm_wait_hello(s.vm, soon(), b->err) ||
		 stream(b, &s, threads, &make_s, &send_s);
	if (!failed) {
		double n = (double)s.records.n;
		rate[0] = n / make_s;
		rate[1] = n / send_s;
		rate[2] = n / (make_s + send_s);
	}
	ks_vm_free(s.vm);
	ks_records_release(&s.records);
	ks_free(s.account.thread);
	return failed ? ks_fail_in(b->err, "%s, %u threads", generator, threads) : 0;
}

static int measure(struct bench *b)
{
	double rate[3];

	if (boot_and_save(b) != 0 || clones(b, 1, 0, &b->value[KS_GUEST_CLONE]) != 0 ||
	    clones(b, 1, KS_SEC, &b->value[KS_GUEST_READY]) != 0 || clones(b, CLONES, 0, &b->value[KS_GUEST_FOUR]) != 0 ||
	    keys(b, "counter", 1, rate) != 0)
		return -1;
	b->value[KS_GUEST_MAKE] = rate[0];
	b->value[KS_GUEST_SEND] = rate[1];
	b->value[KS_GUEST_KEYS] = rate[2];
	if (keys(b, "counter", THREADS_MAX, rate) != 0)
		return -1;
	b->value[KS_GUEST_KEYS_2] = rate[2];
	if (keys(b, "ksuid", 1, rate) != 0)
		return -1;
	b->value[KS_GUEST_TEXTS] = rate[2];
	return 0;
}

int ks_guest_bench(double value[KS_GUEST_FIGURES], volatile const int *stop, struct ks_err *err)
{
	struct bench b = {.value = value, .err = err};

	for (int i = 0; i < KS_GUEST_FIGURES; i++)
		value[i] = -1;
	b.loop = ks_vm_loop_new(stop, err);
	int failed = !b.loop || measure(&b);
	ks_vm_saved_free(b.saved);
	ks_vm_loop_free(b.loop);
	return failed ? -1 : 0;
}
