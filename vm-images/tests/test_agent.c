/* Parts of a guest's agent that need no guest: true time that is moved, and what outlives a boot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_disk.h"
#include "agent_time.h"
#include "ks_test.h"
#include "ks_time.h"
#include "ks_wire.h"
#include "truetime.h"

/* What was before a move keeps its time; what is after it is later by that. */
static void test_moves(void)
{
	ks_agent_time_init("tsc");
	for (int i = 0; i < 70; i++) { /* more than are kept apart */
		uint64_t then = __builtin_ia32_rdtsc();
		int64_t was = ks_agent_time_at(then), before = ks_true_ns();
		ks_agent_time_move(5 * KS_SEC);
		CU_ASSERT(ks_true_ns() - before >= 5 * KS_SEC && ks_true_ns() - before < 6 * KS_SEC);
		if (i < 64)
			CU_ASSERT_EQUAL(ks_agent_time_at(then), was);
		CU_ASSERT(ks_agent_time_at(__builtin_ia32_rdtsc()) - was >= 5 * KS_SEC);
	}
}

struct heard {
	char path[8][64], bytes[8][16];
	int n, fails_at;
};

static int hear(void *who, uint32_t type, const void *payload, uint32_t length)
{
	struct heard *h = who;
	const char *path = (const char *)payload + sizeof(struct ks_wire_file);
	size_t head = sizeof(struct ks_wire_file) + strlen(path) + 1;

	CU_ASSERT_EQUAL(type, KS_WIRE_FILE);
	CU_ASSERT_FATAL(h->n < 8 && length - head < 16);
	snprintf(h->path[h->n], sizeof(h->path[0]), "%s", path);
	memcpy(h->bytes[h->n], (const char *)payload + head, length - head);
	return ++h->n == h->fails_at;
}

static void test_disk(void)
{
	static const char *const names[] = {"chrony.conf", "leased-1-0", "persist-0-1", "persist-0-2.new", "registry-3"};
	char folder[] = "/tmp/keyskew-test-XXXXXX", path[128];
	struct heard all = {0}, some = {.fails_at = 2};

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		FILE *f = fopen(path, "w");
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		fprintf(f, "word %d", i);
		fclose(f);
	}
	CU_ASSERT_EQUAL(ks_agent_tell_disk(folder, hear, &all), 0);
	CU_ASSERT_EQUAL_FATAL(all.n, 3); /* not what is being written, and no word */
	CU_ASSERT(strstr(all.path[0], "/leased-1-0") && strstr(all.path[1], "/persist-0-1") && strstr(all.path[2], "/registry-3"));
	CU_ASSERT_STRING_EQUAL(all.bytes[1], "word 2");
	CU_ASSERT_EQUAL(ks_agent_tell_disk(folder, hear, &some), 1);
	CU_ASSERT_EQUAL(some.n, 2);
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

int main(void)
{
	static const struct ks_test tests[] = {{"moves of true time", test_moves}, {"what outlives a boot", test_disk}, {NULL, NULL}};
	return ks_test_main("agent", tests);
}
