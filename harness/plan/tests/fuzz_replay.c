/* Feeds every scenario and suite of the project, and mutations of each, to the entry of the fuzz target. Mutations
 * are drawn from a fixed seed, so a failure comes again. */
#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "fuzz_scenario.h"
#include "ks_mem.h"
#include "ks_rand.h"
#include "ks_test.h"
#include "tree.h"

#define MUTANTS 400 /* of a file */

static size_t files_fed;

/* Pieces that the format gives a meaning, so that mutations get past the scanner. */
static const char *const pieces[] = {
	"{", "}", "[", "]", ": ", "- ", "\n", "\n  ", "#", "'", "\"", "&a ", "*a", "!!int ", "---\n", "%YAML 1",
	"\\x00", "\t", "\xff", "..", "1e9", "-", "99999999999999999999", "ms", "ppm", "/s", "n1", "n2", "auto", "free",
	"~", "faults:", "step: ", "drift: ", "fleet: ", "expect: ", "claims: ", "other: ", "kept", "1..", "..1s",
	"zone: a", "name: b", "\n--set duration=1s", "\n--set fleet.nodes=[{},{zone: b}]", "\n--set faults.0.step=-1ms",
	"\xe2\x80\xae", "\xef\xbb\xbf",
};

static size_t pick(struct ks_stream *s, size_t n)
{
	return (size_t)ks_rand_in(ks_stream_next(s), 0, (int64_t)n - 1);
}

/* One edit: cut a stretch, write a piece over or into, or double a stretch. @return the new length. */
static size_t mutate(struct ks_stream *s, char *text, size_t len, size_t room)
{
	const char *piece = pieces[pick(s, sizeof pieces / sizeof *pieces)];
	size_t at = pick(s, len + 1), n = strlen(piece), cut = pick(s, 12);
	if (at + cut > len)
		cut = len - at;
	switch (pick(s, 4)) {
	case 0:
		memmove(text + at, text + at + cut, len - at - cut);
		return len - cut;
	case 1:
		if (at < len)
			text[at] = (char)ks_stream_next(s);
		return len;
	case 2:
		if (len + cut > room)
			return len;
		memmove(text + at + cut, text + at, len - at);
		return len + cut;
	default:
		if (len + n > room)
			return len;
		memmove(text + at + n, text + at, len - at);
		memcpy(text + at, piece, n);
		return len + n;
	}
}

static void feed(const char *text, size_t len, uint64_t id)
{
	size_t room = len + 256;
	char *copy = ks_alloc(room, 1);
	LLVMFuzzerTestOneInput((const uint8_t *)text, len);
	for (uint64_t i = 0; i < MUTANTS; i++) {
		struct ks_stream s;
		ks_stream_init(&s, id, KS_STREAM_TEST, i);
		size_t n = len;
		memcpy(copy, text, len);
		for (size_t edits = 1 + pick(&s, 4); edits; edits--)
			n = mutate(&s, copy, n, room);
		LLVMFuzzerTestOneInput((const uint8_t *)copy, n);
	}
	ks_free(copy);
}

static void feed_folder(const char *folder)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(folder);
	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	while ((entry = readdir(dir))) {
		char *text;
		size_t len;
		struct ks_err err;
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		CU_ASSERT_EQUAL_FATAL(ks_tree_slurp(path, &text, &len, &err), 0);
		feed(text, len, ++files_fed);
		ks_free(text);
	}
	closedir(dir);
}

static void test_scenarios_and_mutants(void)
{
	feed_folder(KS_SCENARIOS "/basics");
	feed_folder(KS_SCENARIOS "/incidents");
	feed_folder(KS_SCENARIOS "/canary");
	feed_folder(KS_SCENARIOS "/suites");
	CU_ASSERT_TRUE(files_fed >= 7);
}

/* Inputs that fuzzing found, or that are made to hurt. */
static void test_hostile(void)
{
	enum { BIG = 100000 };
	char *text = ks_alloc(BIG + 1, 1);
	static const char *const repeated[] = {"[",  "{", "- ",  "? ",  "a: ", "&a ",
					       "\"", "!", "a\n", "{a,", "[a,", "\xc3"};
	for (size_t i = 0; i < sizeof repeated / sizeof *repeated; i++) {
		size_t n = strlen(repeated[i]);
		for (size_t at = 0; at + n <= BIG; at += n)
			memcpy(text + at, repeated[i], n);
		LLVMFuzzerTestOneInput((const uint8_t *)text, BIG);
	}
	for (size_t i = 0; i < BIG; i++)
		text[i] = (char)i;
	LLVMFuzzerTestOneInput((const uint8_t *)text, BIG);
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	ks_free(text);
	CU_PASS("no crash");
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"scenarios and mutants", test_scenarios_and_mutants},
		{"hostile inputs", test_hostile},
		{NULL, NULL},
	};
	return ks_test_main("fuzz replay", tests);
}
