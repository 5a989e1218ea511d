/* The real environment, and the subject host over a pair of pipes in a child process. */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ks_digits.h"
#include "ks_subject.h"
#include "lane.h"
#include "ks_engine.h"
#include "ks_test.h"

static unsigned char frame[KS_WIRE_MAX];
static char state_dir[] = "/tmp/keyskew-test-XXXXXX";

/* ---- environment ---- */

static void true_time(void)
{
	int64_t a = ks_true_ns(), b = ks_true_wait(a + KS_MS), c = ks_true_ns();
	CU_ASSERT(b >= a + KS_MS);
	CU_ASSERT(c >= b);
	CU_ASSERT(ks_true_unix_ns() > INT64_C(1700000000) * KS_SEC);
}

static void clocks_and_brackets(void)
{
	struct ks_env e = {0};
	for (int id = 0; id < KS_NCLOCKS; id++) {
		int64_t before = ks_true_ns(), v = env_clock(&e, (enum ks_clock_id)id), after = ks_true_ns();
		CU_ASSERT_EQUAL(e.read_value, v);
		CU_ASSERT_EQUAL(e.read_clock, id);
		CU_ASSERT(e.read_at_ns >= before && e.read_at_ns <= after);
		CU_ASSERT(e.read_width_ns >= 0 && e.read_width_ns <= after - before);
	}
	CU_ASSERT_EQUAL(e.reads, KS_NCLOCKS);
	int64_t v = env_clock(&e, KS_RAW);
	CU_ASSERT(v >= e.read_at_ns - e.read_width_ns && v <= e.read_at_ns + e.read_width_ns);
	env_wait_until(&e, KS_MONOTONIC, env_clock(&e, KS_MONOTONIC) + 2 * KS_MS);
	CU_ASSERT(e.read_clock == KS_MONOTONIC);
}

static void random_words(void)
{
	for (int own = 0; own < 2; own++) {
		struct ks_env_process p = {.own_random = own};
		struct ks_env e = {.process = &p};
		uint64_t seen[100];
		for (int i = 0; i < 100; i++) {
			seen[i] = env_random(&e);
			for (int k = 0; k < i; k++)
				CU_ASSERT_NOT_EQUAL(seen[i], seen[k]);
		}
	}
}

static void persists(void)
{
	struct ks_env_process p = {.process = 3, .state_dir = state_dir};
	struct ks_env e = {.process = &p};
	uint64_t v = 0;
	CU_ASSERT_FALSE(env_persist_get(&e, 1, &v));
	env_persist_put(&e, 1, 42);
	env_persist_put(&e, 1, 43);
	CU_ASSERT_TRUE(env_persist_get(&e, 1, &v));
	CU_ASSERT_EQUAL(v, 43);
	CU_ASSERT_FALSE(env_persist_get(&e, 2, &v));
	p.process = 4;
	CU_ASSERT_FALSE(env_persist_get(&e, 1, &v));
	CU_ASSERT_EQUAL(env_identity(&e, KS_ID_PID), (uint64_t)getpid());
}

static void leases(void)
{
	struct ks_env_process p = {.worker = 7, .process = 3, .state_dir = state_dir};
	struct ks_env e = {.process = &p};
	uint64_t a = 0, b = 0, again = 0, reported = 0;
	CU_ASSERT_FALSE(env_registry_reported(&e, &reported));
	CU_ASSERT_TRUE(env_registry_lease(&e, &a));
	env_registry_report(&e, 99);
	p.process = 4;
	CU_ASSERT_TRUE(env_registry_lease(&e, &b));
	CU_ASSERT_FALSE(env_registry_reported(&e, &reported));
	p.process = 3;
	CU_ASSERT_TRUE(env_registry_lease(&e, &again));
	CU_ASSERT_TRUE(env_registry_reported(&e, &reported));
	CU_ASSERT_EQUAL(a, 7);
	CU_ASSERT_EQUAL(b, 8);
	CU_ASSERT_EQUAL(again, 7);
	CU_ASSERT_EQUAL(reported, 99);
}

static void identities(void)
{
	struct ks_env_process p = {.worker = 7, .mac = 0x0242ac110004, .ip = 0xac110004, .worker_rule = KS_WORKER_PID};
	struct ks_env e = {.process = &p};
	CU_ASSERT_EQUAL(env_identity(&e, KS_ID_WORKER), (uint64_t)getpid() & 1023);
	CU_ASSERT_EQUAL(env_identity(&e, KS_ID_MAC), p.mac);
	CU_ASSERT_EQUAL(env_identity(&e, KS_ID_IP), p.ip);
	p.worker_rule = KS_WORKER_MAC;
	CU_ASSERT_EQUAL(env_identity(&e, KS_ID_WORKER), ks_worker_of_mac(p.mac, (uint64_t)getpid()));
	p.pid = 1; /* in a container */
	CU_ASSERT_EQUAL(env_identity(&e, KS_ID_WORKER), ks_worker_of_mac(p.mac, 1));
	CU_ASSERT_EQUAL(env_identity(&e, KS_ID_PID), 1);
	p.worker_rule = KS_WORKER_GIVEN;
	CU_ASSERT_EQUAL(env_identity(&e, KS_ID_WORKER), 7);
	uint64_t host = env_identity(&e, KS_ID_HOST);
	p.node = 1;
	CU_ASSERT_NOT_EQUAL(env_identity(&e, KS_ID_HOST), host);
}

/* ---- host ---- */

struct child {
	pid_t pid;
	int to, from;
};

static struct child start_host(const struct ks_subject_hooks *hooks)
{
	int in[2], out[2];
	struct child c = {0};

	CU_ASSERT_EQUAL_FATAL(pipe(in), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(out), 0);
	fflush(NULL);
	c.pid = fork();
	if (c.pid == 0) {
		close(in[1]);
		close(out[0]);
		_exit(ks_subject_main(in[0], out[1], hooks));
	}
	close(in[0]);
	close(out[1]);
	c.to = in[1];
	c.from = out[0];
	return c;
}

static int end_host(struct child *c)
{
	int status = -1;
	close(c->to);
	close(c->from);
	CU_ASSERT_EQUAL(waitpid(c->pid, &status, 0), c->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

static int next_frame(const struct child *c, uint32_t *length)
{
	int type = ks_wire_recv(c->from, frame, length, 0);
	return type;
}

static int send_config(const struct child *c, struct ks_wire_config config, const char *text)
{
	char m[sizeof(config) + 256];
	memcpy(m, &config, sizeof(config));
	strcpy(m + sizeof(config), text);
	return ks_wire_send(c->to, KS_WIRE_CONFIG, m, (uint32_t)(sizeof(config) + strlen(text) + 1));
}

static const struct ks_wire_config plain = {.threads = 2,
					    .lanes_of_node = 2,
					    .worker = 5,
					    .duration_ns = 200 * KS_MS,
					    .rate_count = 1000,
					    .rate_per_ns = KS_SEC};
static const struct ks_subject_hooks hooks = {.state_dir = state_dir};

static int64_t ready(const struct child *c, const char *generator)
{
	uint32_t length;
	struct ks_wire_clocks clocks = {0};
	CU_ASSERT_EQUAL(next_frame(c, &length), KS_WIRE_HELLO);
	CU_ASSERT_EQUAL(send_config(c, plain, generator), 0);
	CU_ASSERT_EQUAL(next_frame(c, &length), KS_WIRE_READY);
	ks_wire_send(c->to, KS_WIRE_PING, NULL, 0);
	CU_ASSERT_EQUAL(next_frame(c, &length), KS_WIRE_CLOCKS);
	memcpy(&clocks, frame, sizeof(clocks));
	CU_ASSERT(clocks.clock_ns[KS_RAW] >= clocks.raw_ns && clocks.clock_ns[KS_RAW] <= clocks.raw_after_ns);
	return clocks.raw_after_ns;
}

static void whole_run(void)
{
	struct child c = start_host(&hooks);
	struct ks_wire_start s = {.start_raw_ns = ready(&c, "snowflake") + 20 * KS_MS};
	struct ks_wire_done done = {0};
	uint32_t length, records = 0, seq[2] = {0};
	int64_t returned[2] = {0};
	int type, clocks = 0;

	ks_wire_send(c.to, KS_WIRE_START, &s, sizeof(s));
	ks_wire_send(c.to, KS_WIRE_PING, NULL, 0);
	while ((type = next_frame(&c, &length)) == KS_WIRE_RECORDS || type == KS_WIRE_CLOCKS) {
		clocks += type == KS_WIRE_CLOCKS;
		for (uint32_t at = 0; type == KS_WIRE_RECORDS && at < length; at += sizeof(struct ks_wire_record)) {
			struct ks_wire_record r;
			memcpy(&r, frame + at, sizeof(r));
			CU_ASSERT_FATAL(r.thread < 2);
			CU_ASSERT_EQUAL(r.seq, seq[r.thread]++);
			CU_ASSERT_EQUAL(r.outcome, KS_KEY);
			CU_ASSERT(r.due_ns <= r.call_ns && r.call_ns <= r.return_ns);
			CU_ASSERT_EQUAL(r.due_ns, (int64_t)(2 * r.seq + r.thread) * KS_MS);
			returned[r.thread] = r.return_ns;
			records++;
		}
	}
	CU_ASSERT_EQUAL(type, KS_WIRE_DONE);
	memcpy(&done, frame, sizeof(done));
	/* a call that a busy machine keeps from beginning before the end is not made: then the one before has returned after it */
	for (int i = 0; i < 2; i++)
		CU_ASSERT(seq[i] == 100 || (seq[i] < 100 && returned[i] >= plain.duration_ns));
	CU_ASSERT_EQUAL(done.records, records);
	CU_ASSERT(done.clock_reads >= records);
	CU_ASSERT_EQUAL(clocks, 1);
	ks_wire_send(c.to, KS_WIRE_QUIT, NULL, 0);
	CU_ASSERT_EQUAL(end_host(&c), 0);
}

/* The generator's init asks for a lease, before the host is ready; nothing comes of an answer to another question. */
static void asks_the_registry(void)
{
	struct ks_subject_hooks with = hooks;
	struct ks_wire_registry m = {0};
	uint32_t length = 0;
	int64_t asked_ns;

	with.registry = true;
	for (int lost = 0; lost < 2; lost++) {
		struct child c = start_host(&with);
		CU_ASSERT_EQUAL(next_frame(&c, &length), KS_WIRE_HELLO);
		CU_ASSERT_EQUAL(send_config(&c, plain, "snowflake:worker=lease"), 0);
		asked_ns = ks_true_ns();
		CU_ASSERT_EQUAL_FATAL(next_frame(&c, &length), KS_WIRE_ASK);
		CU_ASSERT_EQUAL_FATAL(length, sizeof(m));
		memcpy(&m, frame, sizeof(m));
		CU_ASSERT_EQUAL(m.what, KS_REGISTRY_LEASE);
		m.answer = lost ? KS_REGISTRY_LOST : KS_REGISTRY_KNOWN;
		m.value = 9;
		ks_wire_send(c.to, KS_WIRE_TOLD, &m, sizeof(m));
		CU_ASSERT_EQUAL(next_frame(&c, &length), KS_WIRE_READY);
		CU_ASSERT(!lost || ks_true_ns() - asked_ns >= KS_REGISTRY_PATIENCE_NS);
		m.number++;
		ks_wire_send(c.to, KS_WIRE_TOLD, &m, sizeof(m));
		CU_ASSERT_EQUAL(next_frame(&c, &length), KS_WIRE_ERROR);
		CU_ASSERT_EQUAL(end_host(&c), 1);
	}
}

static void send_act(const struct child *c, uint32_t kind, int64_t until)
{
	struct ks_wire_act a = {.kind = kind, .until = until};
	ks_wire_send(c->to, KS_WIRE_ACT, &a, sizeof(a));
}

static struct ks_wire_acted acted(const struct child *c, uint32_t kind)
{
	struct ks_wire_acted a = {0};
	uint32_t length = 0;

	CU_ASSERT_EQUAL_FATAL(next_frame(c, &length), KS_WIRE_ACTED);
	CU_ASSERT_EQUAL_FATAL(length, sizeof(a));
	memcpy(&a, frame, sizeof(a));
	CU_ASSERT_EQUAL(a.kind, kind);
	return a;
}

static void no_act(const struct ks_wire_act *a, struct ks_wire_acted *done)
{
	done->kind = a->kind;
}

/* To the end of what it tells. @return how many records; those of thread 0 in r, and how many of them in n0. */
static uint64_t all_records(const struct child *c, struct ks_wire_record r[], uint32_t *n0)
{
	struct ks_wire_done done = {0};
	uint64_t n = 0;
	uint32_t length;
	int type;

	for (*n0 = 0; (type = next_frame(c, &length)) == KS_WIRE_RECORDS;)
		for (uint32_t at = 0; at < length; at += sizeof(*r), n++) {
			memcpy(&r[*n0], frame + at, sizeof(*r));
			*n0 += r[*n0].thread == 0;
		}
	CU_ASSERT_EQUAL(type, KS_WIRE_DONE);
	memcpy(&done, frame, sizeof(done));
	CU_ASSERT_EQUAL(done.records, n);
	return n;
}

/* Between calls from KEEP to BORN; then what was due before is another's. And END ends it in the middle. */
static void kept_born_and_ended(void)
{
	static struct ks_wire_record r[400];
	struct ks_subject_hooks with = hooks;
	const struct timespec moment = {.tv_nsec = 30 * KS_MS};
	uint32_t n;

	with.act = no_act;
	struct child c = start_host(&with);
	struct ks_wire_start s = {.start_raw_ns = ready(&c, "snowflake") + KS_MS};
	ks_wire_send(c.to, KS_WIRE_START, &s, sizeof(s));
	nanosleep(&moment, NULL);
	send_act(&c, KS_ACT_KEEP, 0);
	int64_t kept_ns = acted(&c, KS_ACT_KEEP).before.raw_ns - s.start_raw_ns;
	nanosleep(&moment, NULL);
	int64_t born_ns = ks_true_ns() - s.start_raw_ns;
	const uint64_t calls[] = {77, 1000, 2000};
	ks_wire_send(c.to, KS_WIRE_CALLS, calls, sizeof(calls));
	send_act(&c, KS_ACT_BORN, s.start_raw_ns + born_ns);
	acted(&c, KS_ACT_BORN);
	nanosleep(&moment, NULL);
	send_act(&c, KS_ACT_END, 0);
	struct ks_wire_acted ended = acted(&c, KS_ACT_END);
	CU_ASSERT_EQUAL(ended.error, 0);
	all_records(&c, r, &n);
	CU_ASSERT(n > 2);
	for (uint32_t i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(r[i].seq, i);
		CU_ASSERT((r[i].call_ns <= kept_ns && (r[i].return_ns <= kept_ns || r[i].outcome == KS_LOST)) || r[i].due_ns >= born_ns);
		CU_ASSERT(r[i].call_ns >= r[i].due_ns && r[i].call_ns <= ended.before.raw_after_ns - s.start_raw_ns);
	}
	CU_ASSERT(r[0].call_ns < kept_ns && r[n - 1].call_ns >= born_ns);
	CU_ASSERT_EQUAL(end_host(&c), 0);
}

/* Of "USER:MS". */
static int64_t user_of(const struct ks_wire_record *r)
{
	char text[KS_PACK_MAX + 1];
	return strtoll(ks_unpack_digits((struct ks_key){r->key_hi, r->key_lo}, text), NULL, 10);
}

/* One that goes on from another is asked on behalf of its own callers, from the call on that it is told. */
static void numbers_of_calls(void)
{
	const struct ks_call_ranges about = {1, 1000, 0, 0};
	const uint64_t calls[] = {77, 5000};
	const struct timespec moment = {.tv_nsec = 30 * KS_MS};
	struct ks_subject_hooks with = hooks;
	struct ks_wire_config one = plain;
	static struct ks_wire_record r[400];
	uint32_t length, n, own = 0;

	with.act = no_act;
	one.threads = one.lanes_of_node = 1;
	one.user_low = about.user_low;
	one.user_high = about.user_high;
	struct child c = start_host(&with);
	CU_ASSERT_EQUAL(next_frame(&c, &length), KS_WIRE_HELLO);
	CU_ASSERT_EQUAL(send_config(&c, one, "unixmilli:user"), 0);
	CU_ASSERT_EQUAL_FATAL(next_frame(&c, &length), KS_WIRE_READY);
	struct ks_wire_start s = {.start_raw_ns = ks_true_ns() + KS_MS};
	ks_wire_send(c.to, KS_WIRE_START, &s, sizeof(s));
	nanosleep(&moment, NULL);
	send_act(&c, KS_ACT_KEEP, 0);
	acted(&c, KS_ACT_KEEP);
	ks_wire_send(c.to, KS_WIRE_CALLS, calls, sizeof(calls));
	send_act(&c, KS_ACT_BORN, 0);
	acted(&c, KS_ACT_BORN);
	nanosleep(&moment, NULL);
	send_act(&c, KS_ACT_END, 0);
	acted(&c, KS_ACT_END);
	all_records(&c, r, &n);
	while (own < n && user_of(&r[own]) == ks_call_draw(&about, one.seed, one.caller, own).user)
		own++;
	CU_ASSERT(own > 2 && own < n);
	for (uint32_t i = own; i < n; i++)
		CU_ASSERT(user_of(&r[i]) == ks_call_draw(&about, one.seed, 77, 5000 + i - own).user || r[i].outcome == KS_LOST);
	CU_ASSERT_EQUAL(end_host(&c), 0);
}

/* What the incarnation before has had is not this one's. */
static void skips_arrivals(void)
{
	static struct ks_wire_record r[400];
	const uint64_t skip[] = {10, 0};
	struct child c = start_host(&hooks);
	struct ks_wire_start s = {.start_raw_ns = ready(&c, "counter") + 20 * KS_MS};
	uint32_t n;

	ks_wire_send(c.to, KS_WIRE_SKIP, skip, sizeof(skip));
	ks_wire_send(c.to, KS_WIRE_START, &s, sizeof(s));
	all_records(&c, r, &n);
	CU_ASSERT_FATAL(n > 0);
	CU_ASSERT_EQUAL(r[0].due_ns, 20 * KS_MS); /* of two threads */
	CU_ASSERT_EQUAL(end_host(&c), 0);
}

static void end_of_file_ends_it(void)
{
	struct child c = start_host(&hooks);
	struct ks_wire_start s = {.start_raw_ns = ready(&c, "unixmilli") + 3600 * KS_SEC};
	ks_wire_send(c.to, KS_WIRE_START, &s, sizeof(s)); /* its threads sleep for an hour */
	CU_ASSERT_EQUAL(end_host(&c), 0);
}

static void expect_error(const char *want, void (*provoke)(const struct child *))
{
	struct child c = start_host(&hooks);
	uint32_t length = 0;
	int type;

	CU_ASSERT_EQUAL(next_frame(&c, &length), KS_WIRE_HELLO);
	provoke(&c);
	while ((type = next_frame(&c, &length)) == KS_WIRE_READY)
		;
	CU_ASSERT_EQUAL(type, KS_WIRE_ERROR);
	frame[length < KS_WIRE_MAX ? length : KS_WIRE_MAX - 1] = '\0';
	CU_ASSERT_PTR_NOT_NULL(strstr((char *)frame, want));
	CU_ASSERT_EQUAL(end_host(&c), 1);
}

static void unknown_generator(const struct child *c)
{
	send_config(c, plain, "snowflak");
}

static void no_threads(const struct child *c)
{
	struct ks_wire_config config = plain;
	config.threads = 0;
	send_config(c, config, "counter");
}

static void no_text(const struct child *c)
{
	ks_wire_send(c->to, KS_WIRE_CONFIG, &plain, sizeof(plain));
}

static void twice(const struct child *c)
{
	send_config(c, plain, "counter");
	send_config(c, plain, "counter");
}

static void early(const struct child *c)
{
	struct ks_wire_start s = {0};
	ks_wire_send(c->to, KS_WIRE_START, &s, sizeof(s));
}

static void act(const struct child *c)
{
	struct ks_wire_act a = {0};
	ks_wire_send(c->to, KS_WIRE_ACT, &a, sizeof(a));
}

static void copied(const struct child *c)
{
	struct ks_wire_fork f = {.folder = "/tmp"};
	ks_wire_send(c->to, KS_WIRE_FORK, &f, sizeof(f));
}

static void noise(const struct child *c)
{
	char zero[64] = {0};
	CU_ASSERT_EQUAL(write(c->to, zero, sizeof(zero)), sizeof(zero));
}

static void subjects_frame(const struct child *c)
{
	ks_wire_send(c->to, KS_WIRE_DONE, NULL, 0);
}

static void skips_early(const struct child *c)
{
	uint64_t none[2] = {0};
	ks_wire_send(c->to, KS_WIRE_SKIP, none, sizeof(none));
}

static void counts_early(const struct child *c)
{
	uint64_t none[3] = {0};
	ks_wire_send(c->to, KS_WIRE_CALLS, none, sizeof(none));
}

static void refuses(void)
{
	expect_error("unknown generator 'snowflak'", unknown_generator);
	expect_error("out of range", no_threads);
	expect_error("cut short", no_text);
	expect_error("configured twice", twice);
	expect_error("before it was configured", early);
	expect_error("cannot act", act);
	expect_error("cannot be copied", copied);
	expect_error("garbage", noise);
	expect_error("only a subject sends", subjects_frame);
	expect_error("fit no threads", skips_early);
	expect_error("out of turn", counts_early);
}

/* How many of its threads may run on this core, and nowhere else. */
static int stay_on(pid_t pid, int core)
{
	char path[64];
	struct dirent *e;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	while (d && (e = readdir(d))) {
		cpu_set_t set;
		if (e->d_name[0] != '.' && sched_getaffinity(atoi(e->d_name), sizeof(set), &set) == 0)
			n += CPU_COUNT(&set) == 1 && CPU_ISSET(core, &set);
	}
	if (d)
		closedir(d);
	return n;
}

/* Threads 1, 2 and 3 of a node, on cores 1, 0 and 1; what the generator does beside them on core 0; who serves them anywhere. */
static void cores(void)
{
	struct ks_wire_config config = plain;
	cpu_set_t own;
	uint32_t length;

	CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof(own), &own), 0);
	if (!CPU_ISSET(0, &own) || !CPU_ISSET(1, &own)) {
		printf("(this machine has no two cores) ");
		return;
	}
	config.threads = 3;
	config.lanes_before = 1;
	config.lanes_of_node = 4;
	config.cores = 2;
	struct child c = start_host(&hooks);
	CU_ASSERT_EQUAL(next_frame(&c, &length), KS_WIRE_HELLO);
	CU_ASSERT_EQUAL(send_config(&c, config, "flake"), 0);
	CU_ASSERT_EQUAL(next_frame(&c, &length), KS_WIRE_READY);
	CU_ASSERT_EQUAL(stay_on(c.pid, 0), 2);
	CU_ASSERT_EQUAL(stay_on(c.pid, 1), 2);
	end_host(&c);
	c = start_host(&hooks); /* where nobody asks for it they go wherever they like */
	ready(&c, "flake");
	CU_ASSERT_EQUAL(stay_on(c.pid, 0) + stay_on(c.pid, 1), 0);
	end_host(&c);
}

static void no_such_core(const struct child *c)
{
	struct ks_wire_config config = plain;
	config.threads = config.lanes_of_node = config.cores = 1024;
	send_config(c, config, "counter");
}

static void too_many_cores(const struct child *c)
{
	struct ks_wire_config config = plain;
	config.cores = KS_CORES_MAX + 1;
	send_config(c, config, "counter");
}

static void refuses_cores(void)
{
	expect_error("or of cores for them", no_such_core);
	expect_error("out of range", too_many_cores);
}

static void room_for_records(void)
{
	struct ks_subject_hooks small = hooks;
	small.record_bytes = 2 * 10 * sizeof(struct ks_wire_record);
	struct child c = start_host(&small);
	struct ks_wire_start s = {.start_raw_ns = ready(&c, "unixmilli")};
	uint32_t length;
	ks_wire_send(c.to, KS_WIRE_START, &s, sizeof(s));
	CU_ASSERT_EQUAL(next_frame(&c, &length), KS_WIRE_ERROR);
	CU_ASSERT_EQUAL(end_host(&c), 1);
}

/* A lane that is closed inside a call keeps what it had, and the call is lost. */
static void closing(void)
{
	struct ks_area_lane l = {.state = 4 * 7 + KS_LANE_INSIDE};
	bool inside = false;
	CU_ASSERT_EQUAL(ks_area_close(&l, &inside), 7);
	CU_ASSERT_TRUE(inside);
	CU_ASSERT_EQUAL(l.state, 4 * 7 + KS_LANE_CLOSED);
	CU_ASSERT_EQUAL(ks_area_close(&l, &inside), 7);
	CU_ASSERT_FALSE(inside);
}

/* An area that another process may have spoilt is not mapped, and texts that lie outside it are not read. */
static void areas(void)
{
	struct ks_area_size size = {.threads = 2, .records = 10, .texts = 64, .probes = 3};
	size_t bytes = ks_area_bytes(&size);
	char *memory = aligned_alloc(4096, bytes);
	struct ks_area a, b;
	unsigned char into[512];
	CU_ASSERT_FATAL(bytes % 4096 == 0 && memory != NULL);
	memset(memory, 0, bytes);
	CU_ASSERT_FALSE(ks_area_bind(&b, memory, bytes));
	ks_area_init(&a, memory, &size);
	CU_ASSERT_TRUE(ks_area_bind(&b, memory, bytes));
	CU_ASSERT_PTR_EQUAL(a.record, b.record);
	CU_ASSERT_FALSE(ks_area_bind(&b, memory, bytes - 4096));
	memcpy(a.text + 64, "\2\0ab", 4);
	CU_ASSERT_EQUAL(ks_area_texts(&a, 1, 0, 1, into), 4);
	a.record[10].key_lo = 63;
	CU_ASSERT_EQUAL(ks_area_texts(&a, 1, 0, 1, into), -1);
	a.record[10].key_lo = UINT64_MAX;
	CU_ASSERT_EQUAL(ks_area_texts(&a, 1, 0, 1, into), -1);
	a.head->size.records = 1000;
	CU_ASSERT_FALSE(ks_area_bind(&b, memory, bytes));
	size.threads = 0;
	CU_ASSERT_EQUAL(ks_area_bytes(&size), 0);
	free(memory);
}

int main(void)
{
	static const struct ks_test tests[] = {
	    {"true time", true_time},       {"clocks and brackets", clocks_and_brackets},
	    {"random words", random_words}, {"persists", persists}, {"leases", leases},
	    {"identities", identities}, {"asks the registry", asks_the_registry},
	    {"whole run", whole_run},       {"kept, born and ended", kept_born_and_ended},
	    {"numbers of calls", numbers_of_calls}, {"skips arrivals", skips_arrivals}, {"end of file ends it", end_of_file_ends_it},
	    {"refuses", refuses},           {"cores", cores}, {"cores that there are not", refuses_cores}, {"room for records", room_for_records},
	    {"closing", closing}, {"areas", areas},           {NULL, NULL},
	};
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(state_dir))
		return 2;
	int failed = ks_test_main("host", tests);
	static const char *const files[] = {"persist-3-1",  "registry-7",   "registry-8",
					    "leased-3-7", "leased-4-7", "reported-3-7"};
	char path[64];
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", state_dir, files[i]);
		unlink(path);
	}
	return rmdir(state_dir) != 0 || failed;
}
