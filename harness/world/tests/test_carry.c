/* What a program needs elsewhere: of this test itself, of scripts, of what is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carry.h"
#include "ks_test.h"

static bool has(const struct ks_carry *c, const char *end)
{
	for (size_t i = 0; i < c->n; i++) {
		size_t n = strlen(c->file[i].path), k = strlen(end);
		if (n >= k && !strcmp(c->file[i].path + n - k, end))
			return true;
	}
	return false;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(name, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
	chmod(name, mode);
}

static int carry(struct ks_carry *c, const char *folder, const char *one, const char *two)
{
	char *words[] = {(char *)one, (char *)two, NULL};
	return ks_carry_program(c, folder, words);
}

static void test_program(void)
{
	struct ks_carry c;

	char self[4096];

	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	CU_ASSERT_FATAL(n > 0);
	self[n] = '\0';
	CU_ASSERT_EQUAL(carry(&c, "", self, NULL), 0);
	CU_ASSERT_TRUE(c.dynamic && has(&c, "/libc.so.6") && has(&c, "/ld-linux-x86-64.so.2"));
	CU_ASSERT_TRUE(c.n > 3 && c.bytes > 1000000);
	for (size_t i = 0; i < c.n; i++)
		CU_ASSERT_TRUE(c.file[i].path[0] == '/' && (!c.file[i].link || c.file[i].link[0] == '/'));
	ks_carry_release(&c);
}

/* A script brings its interpreter, and the file that it names with others of its kind. */
static void test_script(void)
{
	struct ks_carry c;
	char folder[] = "/tmp/keyskew-test-XXXXXX", path[100];

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	CU_ASSERT_EQUAL_FATAL(chdir(folder), 0);
	write_file("ids", "#!/usr/bin/env sh\necho 1\n", 0755);
	write_file("one.txt", "1", 0644);
	write_file("two.txt", "2", 0644);
	write_file("two.bin", "2", 0644);
	CU_ASSERT_EQUAL(carry(&c, folder, "./ids", "one.txt"), 0);
	CU_ASSERT_TRUE(has(&c, "/ids") && has(&c, "/env") && has(&c, "/one.txt") && has(&c, "/two.txt") && !has(&c, "/two.bin"));
	snprintf(path, sizeof(path), "%s/ids", folder);
	CU_ASSERT_STRING_EQUAL(c.program, path);
	ks_carry_release(&c);
	write_file("loop", "#!/usr/bin/none-such\n", 0755);
	CU_ASSERT_EQUAL(carry(&c, folder, "./loop", NULL), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(c.why, "none-such"));
	ks_carry_release(&c);
	write_file("text", "no program\n", 0755);
	CU_ASSERT_EQUAL(carry(&c, folder, "./text", NULL), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(c.why, "no program for x86-64"));
	ks_carry_release(&c);
	const char *const names[] = {"ids", "one.txt", "two.txt", "two.bin", "loop", "text"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	CU_ASSERT_EQUAL(chdir("/") | rmdir(folder), 0);
}

static void test_missing(void)
{
	struct ks_carry c;

	CU_ASSERT_EQUAL(carry(&c, "", "no-such-program", NULL), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(c.why, "no-such-program"));
	CU_ASSERT_TRUE(c.missing);
	ks_carry_release(&c);
	CU_ASSERT_EQUAL(carry(&c, "", "./no-such-program", NULL), -1);
	CU_ASSERT_TRUE(c.missing);
	ks_carry_release(&c);
}

/* A file with a hole is as large as it says. */
static void test_too_large(void)
{
	char path[] = "/tmp/keyskew-test-XXXXXX";
	struct ks_carry c = {0};
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0 && fchmod(fd, 0755) == 0 && ftruncate(fd, KS_CARRY_BYTES_MAX + 1) == 0);
	close(fd);
	CU_ASSERT_EQUAL(carry(&c, "", path, NULL), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(c.why, "more than 160 MB"));
	CU_ASSERT_FALSE(c.missing);
	ks_carry_release(&c);
	unlink(path);
}

int main(void)
{
	static const struct ks_test tests[] = {
		{"program", test_program}, {"script", test_script}, {"missing", test_missing}, {"too large", test_too_large}, {NULL, NULL}};
	return ks_test_main("carry", tests);
}
