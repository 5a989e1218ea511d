#include "../../check/tests/fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "ks_store.h"

static char dir[] = "/tmp/ks_test_keys_XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[200];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static char *read_all(const char *path)
{
	static char text[8192];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	text[n] = 0;
	if (f)
		fclose(f);
	return text;
}

#define HEADER                                                                                                         \
	"due_ns\tcall_ns\treturn_ns\tnode\tprocess\tincarnation\tthread\tseq\toutcome\tkey\torder_key\t"               \
	"embed_lo_ns\tembed_hi_ns\tparent\tcontext\n"

static char *write_keys(struct fixture *f)
{
	struct ks_err err = {0};
	CU_ASSERT_EQUAL(ks_keys_write(&f->e, 18446744073709551615u, in_dir("keys.tsv"), &err), 0);
	return read_all(in_dir("keys.tsv"));
}

static void builtin(void)
{
	struct fixture f;
	fix_init(&f);
	fix_call(&f, 0, 10, 20, (struct ks_key){4, 7});
	fix_call(&f, 7, 15, 25, ks_key64(8))->parent = 0;
	fix_call(&f, 0, 30, 40, ks_key64(0))->outcome = KS_REFUSE;
	fix_call(&f, 7, 35, KS_NO_TIME, ks_key64(0))->outcome = KS_LOST;
	fix_ready(&f);
	CU_ASSERT_STRING_EQUAL(write_keys(&f),
			       "# schema=1\n# scenario=hand\\x20made\n# generator=fix\n# seed=18446744073709551615\n"
			       "# start_unix_ns=1768471200000000000\n# compare=numeric\n" HEADER
			       "10\t10\t20\t0\t0\t0\t0\t0\tkey\t73786976294838206471\t73786976294838206471\t7\t11\t\t\n"
			       "15\t15\t25\t1\t1\t0\t1\t0\tkey\t8\t8\t\t\t0\t\n"
			       "30\t30\t40\t0\t0\t0\t0\t1\trefuse\t\t\t\t\t\t\n"
			       "35\t35\t\t1\t1\t0\t1\t1\tlost\t\t\t\t\t\t\n");
	fix_release(&f);
}

static void bytes_and_context(void)
{
	struct fixture f;
	fix_init(&f);
	f.gen.compare = KS_COMPARE_BYTES;
	f.plan.user_low = f.plan.user_high = 17;
	f.plan.depth_low = f.plan.depth_high = 3;
	fix_call(&f, 0, 10, 20, ks_key64(7));
	fix_ready(&f);
	const char *text = write_keys(&f);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "# compare=bytes\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\t7\t7\t\t\t\tuser=17,depth=3\n"));
	fix_release(&f);
}

static void foreign(void)
{
	struct fixture f;
	fix_init(&f);
	f.spec = (struct ks_gen_spec){.text = "exec:./a b\n"};
	ks_texts_add(&f.records.texts, "a\\\t\x7f~!\0\xff", 8);
	fix_call(&f, 0, 10, 20, ks_key64(0))->flags = KS_CALL_UNKNOWN;
	fix_ready(&f);
	const char *text = write_keys(&f);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "# generator=exec:./a\\x20b\\x0a\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, HEADER "\t\t20\t0\t0\t0\t0\t0\tkey\ta\\x5c\\x09\\x7f~!\\x00\\xff\t"
						   "a\\x5c\\x09\\x7f~!\\x00\\xff\t\t\t\t\n"));
	fix_release(&f);
}

/* ---- two runs ---- */

static void two_calls(struct fixture *f, const char *second)
{
	fix_init(f);
	if (second) {
		f->spec = (struct ks_gen_spec){.text = "ask:x"};
		ks_texts_add(&f->records.texts, "one", 3);
		ks_texts_add(&f->records.texts, second, strlen(second));
	}
	fix_call(f, 0, 10, 20, ks_key64(0));
	fix_call(f, 7, 15, 25, ks_key64(1));
	fix_ready(f);
}

static bool differ(const struct fixture *a, const struct fixture *b, char text[1000])
{
	*text = 0;
	return ks_first_difference(&a->e, &b->e, text, 1000);
}

/* Whatever a record holds, another value of it is a difference, and is named. */
static void first_difference(void)
{
	struct fixture a, b;
	char text[1000];
	two_calls(&a, NULL);
	for (int field = 0; field < 14; field++) {
		two_calls(&b, NULL);
		struct ks_record r = ks_record_get(&b.records, 1), sound = r;
		r.due_ns += field == 0;
		r.call_ns += field == 1;
		r.return_ns += field == 2;
		r.read_ns += field == 3;
		r.read_at_ns += field == 4;
		r.key.lo += field == 5;
		r.key.hi += field == 6;
		r.lane += field == 7;
		r.seq += field == 8;
		r.outcome += field == 9;
		r.clock ^= field == 10;
		r.why += field == 11;
		r.flags += field == 12;
		CU_ASSERT_EQUAL(ks_record_set(&b.records, 1, &r), 0);
		CU_ASSERT_EQUAL(differ(&a, &b, text), field < 13);
		CU_ASSERT(field == 13 || !strncmp(text, "record 1 is first\n", 18));
		CU_ASSERT_EQUAL(ks_record_set(&b.records, 1, &sound), 0);
		CU_ASSERT_FALSE(differ(&a, &b, text));
		fix_release(&b);
	}
	two_calls(&b, NULL);
	b.records.n = 1;
	CU_ASSERT(differ(&a, &b, text) && strstr(text, "and then\n  nothing: it has 1 records"));
	CU_ASSERT(differ(&b, &a, text));
	b.records.n = 2;
	fix_release(&b);
	fix_release(&a);
}

static void first_difference_of_texts(void)
{
	struct fixture a, b;
	char text[1000];
	two_calls(&a, "two");
	two_calls(&b, "two");
	CU_ASSERT_FALSE(differ(&a, &b, text));
	fix_release(&b);
	two_calls(&b, "three");
	CU_ASSERT(differ(&a, &b, text) && strstr(text, "key two,") && strstr(text, "key three,"));
	fix_release(&b);
	fix_release(&a);
}

/* ---- files ---- */

static void whole_or_not_at_all(void)
{
	struct ks_file file;
	struct ks_err err = {0};
	struct stat st;
	CU_ASSERT_EQUAL_FATAL(ks_file_open(&file, in_dir("a"), &err), 0);
	fputs("new", file.f);
	CU_ASSERT_EQUAL(access(in_dir("a"), F_OK), -1);
	CU_ASSERT_EQUAL(ks_file_commit(&file, &err), 0);
	CU_ASSERT_STRING_EQUAL(read_all(in_dir("a")), "new");
	CU_ASSERT_EQUAL(stat(in_dir("a"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0644);
	CU_ASSERT_EQUAL_FATAL(ks_file_open(&file, in_dir("a"), &err), 0);
	fputs("newer", file.f);
	char temp[sizeof file.temp];
	memcpy(temp, file.temp, sizeof temp);
	CU_ASSERT_EQUAL(access(temp, F_OK), 0);
	ks_file_abort(&file);
	CU_ASSERT_EQUAL(access(temp, F_OK), -1);
	CU_ASSERT_STRING_EQUAL(read_all(in_dir("a")), "new");
}

/* /dev/full fails like a full disk; and is written to, not replaced. */
static void disk_full(void)
{
	struct fixture f;
	struct ks_err err = {0};
	struct stat st;
	CU_ASSERT_FATAL(!stat("/dev/full", &st) && S_ISCHR(st.st_mode)); /* or this test would make a file of it */
	fix_init(&f);
	for (int64_t i = 0; i < 1000; i++)
		fix_call(&f, 0, i, i, ks_key64((uint64_t)i));
	fix_ready(&f);
	CU_ASSERT_EQUAL(ks_keys_write(&f.e, 1, "/dev/full", &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_INTERNAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "key file: cannot write '/dev/full'"));
	CU_ASSERT_EQUAL(stat("/dev/full", &st), 0);
	CU_ASSERT(S_ISCHR(st.st_mode));
	CU_ASSERT_EQUAL(ks_keys_write(&f.e, 1, "/dev/null", &err), 0);
	CU_ASSERT_EQUAL(stat("/dev/null", &st), 0);
	CU_ASSERT(S_ISCHR(st.st_mode));
	fix_release(&f);
}

static void no_such_folder(void)
{
	struct ks_file file;
	struct ks_err err = {0};
	char long_path[5000];
	memset(long_path, 'a', sizeof long_path - 1);
	long_path[sizeof long_path - 1] = 0;
	CU_ASSERT_EQUAL(ks_file_open(&file, in_dir("none/a"), &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	CU_ASSERT_EQUAL(ks_file_open(&file, dir, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	CU_ASSERT_EQUAL(ks_file_open(&file, long_path, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
}

int main(void)
{
	static const struct ks_test tests[] = {
	    {"a built-in's keys", builtin},
	    {"keys that compare as bytes, context", bytes_and_context},
	    {"foreign keys", foreign},
	    {"first difference of two runs", first_difference},
	    {"first difference of foreign keys", first_difference_of_texts},
	    {"whole or not at all", whole_or_not_at_all},
	    {"disk full", disk_full},
	    {"no such folder", no_such_folder},
	    {0},
	};
	umask(022);
	if (!mkdtemp(dir))
		return 2;
	int failed = ks_test_main("keys", tests);
	unlink(in_dir("a"));
	unlink(in_dir("keys.tsv"));
	return rmdir(dir) || failed;
}
