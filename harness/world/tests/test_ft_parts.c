/* The parts of world faketime that need no process: commands, times inside keys, records off the wire. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "ft_records.h"
#include "keytime.h"
#include "ks_mem.h"
#include "ks_test.h"
#include "ks_time.h"

/* ---- commands ---- */

static const struct ks_command_values values = {.node_id = 7, .seed = 42, .node = "n 1"};
static struct ks_command cmd;
static struct ks_err err;

static void expect_words(const char *text, int n, const char *const *want)
{
	CU_ASSERT_EQUAL_FATAL(ks_command_split(&cmd, text, &values, &err), 0);
	CU_ASSERT_EQUAL_FATAL(cmd.words, n);
	for (int i = 0; i < n; i++)
		CU_ASSERT_STRING_EQUAL(cmd.word[i], want[i]);
	CU_ASSERT_PTR_NULL(cmd.word[n]);
}

static void splits(void)
{
	expect_words("a", 1, (const char *const[]){"a"});
	expect_words("  ./a\t b\n c ", 3, (const char *const[]){"./a", "b", "c"});
	expect_words("a 'b c' \"d e\" f\\ g", 4, (const char *const[]){"a", "b c", "d e", "f g"});
	expect_words("a ''\"\" x''y", 3, (const char *const[]){"a", "", "xy"});
	expect_words("'a\\b' \"\\\"\\\\\\n\"", 2, (const char *const[]){"a\\b", "\"\\\\n"});
	expect_words("a $HOME `x` $(y) *.c | > ; &", 9,
		     (const char *const[]){"a", "$HOME", "`x`", "$(y)", "*.c", "|", ">", ";", "&"});
	expect_words("trailing\\", 1, (const char *const[]){"trailing\\"});
}

static void substitutes(void)
{
	expect_words("p --id={node_id} {seed}{node}", 3, (const char *const[]){"p", "--id=7", "42n 1"});
	expect_words("p '{node}' \"{node}\" \\{node} {other} {", 6,
		     (const char *const[]){"p", "n 1", "n 1", "{node}", "{other}", "{"});
}

static void refuses(void)
{
	static const char *const bad[] = {"", "  \t", "a 'b", "a \"b", "\"\\\""};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(ks_command_split(&cmd, bad[i], &values, &err), -1);
		CU_ASSERT_EQUAL(err.code, KS_E_USAGE);
	}
	char *words = calloc(1, 3 * KS_COMMAND_WORDS), *word = calloc(1, 2 * KS_COMMAND_BYTES);
	for (int i = 0; i < KS_COMMAND_WORDS; i++)
		strcat(words, "a ");
	CU_ASSERT_EQUAL(ks_command_split(&cmd, words, &values, &err), 0);
	strcat(words, "a");
	CU_ASSERT_EQUAL(ks_command_split(&cmd, words, &values, &err), -1);
	memset(word, 'x', KS_COMMAND_BYTES - 1);
	CU_ASSERT_EQUAL(ks_command_split(&cmd, word, &values, &err), -1);
	word[KS_COMMAND_BYTES - 2] = '\0';
	CU_ASSERT_EQUAL(ks_command_split(&cmd, word, &values, &err), 0);
	word[KS_COMMAND_BYTES - 2] = 'x';
	memset(word, 'x', 2 * KS_COMMAND_BYTES - 1);
	CU_ASSERT_EQUAL(ks_command_split(&cmd, word, &values, &err), -1);
	free(words);
	free(word);
}

/* ---- times inside keys ---- */

static int64_t time_of(const char *text)
{
	int64_t ns = -1, tick;
	return ks_keytime_read(text, strlen(text), &ns, &tick) ? ns : -1;
}

/* The examples of RFC 9562 (all at 2022-02-22T19:22:22Z) and of the ULID specification. */
static void key_times(void)
{
	CU_ASSERT_EQUAL(time_of("C232AB00-9414-11EC-B3C8-9F6BDECED846"), INT64_C(1645557742) * KS_SEC);
	CU_ASSERT_EQUAL(time_of("1EC9414C-232A-6B00-B3C8-9F6BDECED846"), INT64_C(1645557742) * KS_SEC);
	CU_ASSERT_EQUAL(time_of("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), INT64_C(1645557742) * KS_SEC);
	CU_ASSERT_EQUAL(time_of("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), INT64_C(1645557742) * KS_SEC);
	CU_ASSERT_EQUAL(time_of("01ARZ3NDEKTSV4RRFFQ69G5FAV"), INT64_C(1469922850259) * KS_MS);
}

static void no_key_times(void)
{
	static const char *const without[] = {
	    "",
	    "12345",
	    "919108f7-52d1-4320-9bac-f847db4148a8", /* version 4 */
	    "017F22E2-79B0-7CC3-08C4-DC0C0C07398F", /* another variant */
	    "017F22E2-79B0-7CC3-98C4-DC0C0C07398G",
	    "017F22E2+79B0-7CC3-98C4-DC0C0C07398F",
	    "81ARZ3NDEKTSV4RRFFQ69G5FAV", /* beyond 128 bits */
	    "01ARZ3NDEKTSV4RRFFQ69G5FAU",
	    "00000000-0000-1000-8000-000000000000", /* before 1970 */
	    "ffffffff-ffff-7fff-bfff-ffffffffffff", /* beyond 2262 */
	};
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		CU_ASSERT_EQUAL(time_of(without[i]), -1);
	int64_t ns, tick;
	char nul[36] = "017F22E2-79B0-7CC3-98C4-DC0C0C0739";
	CU_ASSERT_FALSE(ks_keytime_read(nul, 36, &ns, &tick));
	CU_ASSERT_FALSE(ks_keytime_read("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 26, &ns, &tick));
}

/* ---- records ---- */

static const struct ks_gen gen = {.name = "test", .reasons = {"the clock went back"}};
static const struct ks_gen_spec spec = {.gen = &gen};
static const struct ks_wire_record good = {.due_ns = 1000,
					   .call_ns = 1500,
					   .return_ns = 2500,
					   .read_ns = 1000002000,
					   .read_at_ns = 2000,
					   .key_hi = 1,
					   .key_lo = 2,
					   .thread = 1};

static int add_two(struct ks_wire_record a, const struct ks_wire_record *b, struct ks_records *records)
{
	struct ks_wire_account account = {
	    .spec = &spec, .first_lane = 4, .threads = 2, .duration_ns = KS_SEC, .clock_base_ns = {1000000000}};
	struct ks_wire_record both[2] = {a};
	account.thread = ks_alloc(2, sizeof(*account.thread));
	if (b)
		both[1] = *b;
	int status = ks_wire_account_add(&account, both, b ? sizeof(both) : sizeof(a), KS_SEC, records, &err);
	ks_free(account.thread);
	return status;
}

static void good_records(void)
{
	struct ks_records records = {0};
	struct ks_wire_record lost = good;
	lost.seq = 1, lost.outcome = KS_LOST, lost.return_ns = KS_NO_TIME, lost.read_ns = KS_NO_TIME;
	lost.due_ns = 3000, lost.call_ns = 3000;
	CU_ASSERT_EQUAL(add_two(good, &lost, &records), 0);
	CU_ASSERT_EQUAL_FATAL(records.n, 2);
	CU_ASSERT_EQUAL(ks_record_get(&records, 0).lane, 5);
	CU_ASSERT_EQUAL(ks_record_get(&records, 0).read_ns, 2000);
	CU_ASSERT_EQUAL(ks_record_get(&records, 0).key.hi, 1);
	CU_ASSERT_EQUAL(ks_record_get(&records, 0).parent, KS_NO_PARENT);
	CU_ASSERT_EQUAL(ks_record_get(&records, 1).outcome, KS_LOST);
	CU_ASSERT_EQUAL(ks_record_get(&records, 1).read_ns, KS_NO_TIME);
	ks_records_release(&records);
}

#define REFUSE_FIRST(change)                                                                                           \
	do {                                                                                                           \
		struct ks_wire_record bad = good;                                                                      \
		struct ks_records records = {0};                                                                       \
		change;                                                                                                \
		err.code = KS_OK;                                                                                      \
		CU_ASSERT_EQUAL(add_two(bad, NULL, &records), -1);                                                     \
		CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);                                                                 \
		ks_records_release(&records);                                                                          \
	} while (0)

static void bad_records(void)
{
	REFUSE_FIRST(bad.thread = 2);
	REFUSE_FIRST(bad.seq = 1);
	REFUSE_FIRST(bad.outcome = 3);
	REFUSE_FIRST(bad.flags = 1);
	REFUSE_FIRST(bad.pad = 1);
	REFUSE_FIRST((bad.outcome = KS_REFUSE, bad.why = 1));
	REFUSE_FIRST((bad.outcome = KS_REFUSE, bad.why = 255));
	REFUSE_FIRST(bad.due_ns = -1);
	REFUSE_FIRST(bad.due_ns = KS_SEC);
	REFUSE_FIRST(bad.call_ns = 999);
	REFUSE_FIRST(bad.return_ns = 1499);
	REFUSE_FIRST(bad.return_ns = KS_SEC + 1);
	REFUSE_FIRST(bad.return_ns = KS_NO_TIME);
	REFUSE_FIRST(bad.outcome = KS_LOST);
	REFUSE_FIRST(bad.clock = KS_NCLOCKS);
	REFUSE_FIRST(bad.read_at_ns = 1499);
	REFUSE_FIRST(bad.read_at_ns = 2501);
	REFUSE_FIRST(bad.call_ns = INT64_MAX);
}

/* A record of a later time than now may be a slip of who aligned the clocks; an impossible one never is. */
static void records_ahead(void)
{
	struct ks_wire_record later = good, impossible = good;
	struct ks_wire_account account = {.spec = &spec, .threads = 2, .duration_ns = KS_SEC};
	struct ks_records records = {0};

	account.thread = ks_alloc(2, sizeof(*account.thread));
	later.return_ns = KS_SEC + 1;
	impossible.return_ns = impossible.call_ns - 1;
	CU_ASSERT_EQUAL(ks_wire_account_add(&account, &later, sizeof(later), KS_SEC, &records, &err), -1);
	CU_ASSERT(account.ahead);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "still to come"));
	account.ahead = false;
	CU_ASSERT_EQUAL(ks_wire_account_add(&account, &impossible, sizeof(impossible), KS_SEC, &records, &err), -1);
	CU_ASSERT_FALSE(account.ahead);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "impossible time"));
	CU_ASSERT_EQUAL(ks_wire_account_add(&account, &later, sizeof(later), KS_SEC + 1, &records, &err), 0);
	CU_ASSERT_FALSE(account.ahead);
	ks_free(account.thread);
	ks_records_release(&records);
}

static void bad_second_records(void)
{
	struct ks_records records = {0};
	struct ks_wire_record second = good, lost = good;
	second.seq = 1;
	CU_ASSERT_EQUAL(add_two(good, &second, &records), -1); /* called before the first returned */
	second.call_ns = second.read_at_ns = second.return_ns = 2500;
	CU_ASSERT_EQUAL(add_two(good, &second, &records), 0);
	lost.outcome = KS_LOST, lost.return_ns = KS_NO_TIME, lost.read_ns = KS_NO_TIME;
	CU_ASSERT_EQUAL(add_two(lost, &second, &records), -1); /* nothing comes after a lost one */
	second.read_ns = INT64_MIN + 1;                        /* does not fit: no reading */
	CU_ASSERT_EQUAL(add_two(good, &second, &records), 0);
	CU_ASSERT_EQUAL(ks_record_get(&records, records.n - 1).read_ns, KS_NO_TIME);
	struct ks_wire_account account = {.spec = &spec, .threads = 1};
	CU_ASSERT_EQUAL(ks_wire_account_add(&account, &good, sizeof(good) - 1, KS_SEC, &records, &err), -1);
	ks_records_release(&records);
}

static int decode_text(const void *cfg, const char *text, struct ks_fields *fields)
{
	(void)cfg, (void)fields;
	return text[0] == 'k' ? 0 : -1;
}

/* Keys that are texts come before their records, one for each key, and are checked. */
static void text_keys(void)
{
	static const struct ks_gen issues = {.name = "test", .reasons = {"no"}, .decode_text = decode_text};
	static const struct ks_gen_spec texts = {.gen = &issues};
	struct ks_records records = {0};
	struct ks_wire_account account = {.spec = &texts, .threads = 2, .duration_ns = KS_SEC};
	struct ks_wire_record first = good;
	size_t len;
	account.thread = ks_alloc(2, sizeof(*account.thread));
	first.key_lo = 77; /* the subject's own number of it: means nothing here */
	CU_ASSERT_EQUAL(ks_wire_account_add(&account, &first, sizeof(first), KS_SEC, &records, &err), -1); /* no text yet */
	CU_ASSERT_EQUAL(ks_wire_account_texts(&account, "\2\0ka", 4, &records, &err), 0);
	CU_ASSERT_EQUAL(ks_wire_account_texts(&account, "\2\0ka", 4, &records, &err), -1); /* its record is missing */
	CU_ASSERT_EQUAL(ks_wire_account_add(&account, &first, sizeof(first), KS_SEC, &records, &err), 0);
	CU_ASSERT_EQUAL_FATAL(records.n, 1);
	CU_ASSERT_EQUAL(memcmp(ks_texts_get(&records.texts, ks_record_get(&records, 0).key.lo, &len), "ka", 2), 0);
	static const struct {
		const char *bytes;
		uint32_t n;
	} bad[] = {{"\2", 1}, {"\0\0", 2}, {"\3\0ka", 4}, {"\1\0x", 3}, {"\1\1k", 3}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ks_wire_account again = {.spec = &texts};
		CU_ASSERT_EQUAL(ks_wire_account_texts(&again, bad[i].bytes, bad[i].n, &records, &err), -1);
		CU_ASSERT_EQUAL(err.code, KS_E_JUDGE);
	}
	account.spec = &spec;
	CU_ASSERT_EQUAL(ks_wire_account_texts(&account, "\2\0ka", 4, &records, &err), -1); /* its keys are numbers */
	ks_free(account.thread);
	ks_records_release(&records);
}

int main(void)
{
	static const struct ks_test tests[] = {
	    {"splits", splits},
	    {"substitutes", substitutes},
	    {"refuses", refuses},
	    {"key times", key_times},
	    {"no key times", no_key_times},
	    {"good records", good_records},
	    {"bad records", bad_records},
	    {"bad second records", bad_second_records}, {"records ahead", records_ahead},
	    {"text keys", text_keys},
	    {NULL, NULL},
	};
	return ks_test_main("faketime parts", tests);
}
