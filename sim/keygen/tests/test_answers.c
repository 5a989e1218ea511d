/* Known answers: published ids and what they stand for, ends of fields, and texts that are no keys. */
#include "ks_test.h"

#include <string.h>

#include "keygen.h"

#define NONE INT64_MIN /* it names no instant */
#define MS KS_MS

/* Reads a key of the generator, and says what it says. Numbers print again as the text; texts are their own form. */
static int read_key(const char *generator, const char *text, struct ks_fields *f, char again[KS_KEY_TEXT])
{
	struct ks_gen_spec spec;
	struct ks_err err = {0};
	struct ks_key key;
	*f = (struct ks_fields){0};
	CU_ASSERT_EQUAL_FATAL(ks_gen_parse(ks_gens_sim, generator, &spec, &err), 0);
	strcpy(again, text);
	if (ks_gen_issues_texts(&spec))
		return spec.gen->decode_text(spec.cfg, text, f);
	if (spec.gen->parse(spec.cfg, text, &key))
		return -1;
	spec.gen->decode(spec.cfg, key, f);
	spec.gen->format(spec.cfg, key, again);
	return 0;
}

static uint64_t field(const struct ks_fields *f, const char *name)
{
	for (int i = 0; i < f->nfields; i++)
		if (!strcmp(f->field[i].name, name))
			return f->field[i].value;
	return UINT64_MAX;
}

static const struct answer {
	const char *generator, *text;
	int64_t lo_ns, width_ns;
	struct {
		const char *name;
		uint64_t value;
	} field[4];
} answers[] = {
	/* bwmarrin/snowflake's and Discord's documentation */
	{"snowflake", "1541815603606036480", INT64_C(1656432460105) * MS, MS, {{"node", 378}, {"seq", 0}}},
	{"snowflake:epoch=1420070400000ms", "175928847299117063", INT64_C(1462015105796) * MS, MS, {{"node", 1 << 5 | 0}, {"seq", 7}}},
	{"snowflake", "9223372036854775807", INT64_C(3487858230208) * MS, MS, {{"node", 1023}, {"seq", 4095}}}, /* 2080-07-10T17:30:30.208Z */
	{"snowflake", "0", INT64_C(1288834974657) * MS, MS, {{"node", 0}}},
	{"unixmilli", "1768471200000", INT64_C(1768471200000) * MS, MS, {{"unix_ms", 1768471200000}}},
	{"unixmilli", "0", 0, MS, {{0}}},
	{"unixmilli", "9223372036853", INT64_C(9223372036853) * MS, MS, {{0}}}, /* the last whole ms of int64 ns */
	{"unixmilli:user", "user:17:log:1768471200000", INT64_C(1768471200000) * MS, MS, {{"user", 17}}},
	{"unixmilli:user", "user:999999999999999999:log:9223372036853", INT64_C(9223372036853) * MS, MS, {{"user", 999999999999999999}}},
	{"unixnano", "1768471200123456789", INT64_C(1768471200123456789), 1, {{"unix_ns", 1768471200123456789}}},
	{"unixnano:user", "user:0:1768471200123456789", INT64_C(1768471200123456789), 1, {{"user", 0}}},
	{"unixnano:user", "user:999999999999:9223372036854775806", INT64_MAX - 1, 1, {{"user", 999999999999}}},
	{"milli-rand32", "evt:1768471200000:0", INT64_C(1768471200000) * MS, MS, {{"random", 0}}},
	{"milli-rand32", "evt:1768471200000:deadbeef", INT64_C(1768471200000) * MS, MS, {{"random", 0xdeadbeef}}},
	{"milli-rand32", "evt:1768471200000:f00", INT64_C(1768471200000) * MS, MS, {{"random", 0xf00}}},
	{"trace-id", "1768471200000---------", INT64_C(1768471200000) * MS, MS, {{"random", 0}}},
	{"trace-id", "1768471200000-zzzzzzzz", INT64_C(1768471200000) * MS, MS, {{"random", (UINT64_C(1) << 48) - 1}}},
	{"trace-id:62", "1768471200000-zzzzzzzz", INT64_C(1768471200000) * MS, MS, {{"random", UINT64_C(218340105584895)}}}, /* 62^8 - 1 */
	{"trace-id:36", "1768471200000-0000000a", INT64_C(1768471200000) * MS, MS, {{"random", 10}}},
	{"nanotime", "0000000123456789012:user17:field3", NONE, 0, {{"monotonic_ns", 123456789012}, {"user", 17}, {"depth", 3}}},
	{"nanotime", "9223372036854775807:user0:field0", NONE, 0, {{"monotonic_ns", INT64_MAX}}},
	{"counter", "00000000000000ff", NONE, 0, {{"n", 255}}},
	{"snowflake:ms20", "1854396377505726471", INT64_C(1768490197664) * MS, MS, {{"counter", 7}}},
	/* RFC 9562, A.6; and 6.2, method 3: 0.4567 ms are 1870 = 0x74e */
	{"uuidv7", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", INT64_C(1645557742000) * MS, MS, {{"version", 7}}},
	{"uuidv7:submilli", "017f22e2-79b0-774e-98c4-dc0c0c07398f", INT64_C(1645557742000) * MS, MS, {{"fraction", 1870}}},
	{"uuidv7:counter", "017f22e2-79b0-7fff-bfff-ffff00000000", INT64_C(1645557742000) * MS, MS, {{"counter", (UINT64_C(1) << 42) - 1}}},
	{"uuidv7:monotonic-random", "017f22e2-79b0-7fff-bfff-fc0000000000", INT64_C(1645557742000) * MS, MS, {{"seq", UINT32_MAX}}},
	/* 24 bytes as Python's base64 module has them */
	{"depth-aware", "user", NONE, 0, {{"depth", 0}}},
	{"depth-aware", "user.profile.address.city", NONE, 0, {{"depth", 3}}},
	{"depth-aware", "AGN4CGIBAB5LZAJDIVTYTK6N54AAAAAAAAAAAAI", INT64_C(1768471200000) * MS, MS, {{"rand_a", 0xabc}, {"rand_b", 0x123456789abcdef}, {"count", 1}}},
	{"depth-aware:repaired", "06DS268101TBP0938LJOJAUDTS0000000000008", INT64_C(1768471200000) * MS, MS, {{"rand_a", 0xabc}, {"rand_b", 0x123456789abcdef}, {"count", 1}}},
	{"depth-aware:repaired", "06DS268101TBP0938LJOJAUDTVVVVVVVVVVVVVO", INT64_C(1768471200000) * MS, MS, {{"count", UINT64_MAX}}},
	{"mono-offset", "1073741824", NONE, 0, {{"n", 1}, {"ns", 0}}},
	{"mono-offset", "9223372036781033983", NONE, 0, {{"n", 8589934591}, {"ns", 999999999}}},
	{"hlc", "115898528563200007", INT64_C(1768471200000) * MS, MS, {{"counter", 7}}},
	{"hlc:carrying", "18446744073709551615", INT64_MAX - MS, MS, {{"unix_ms", (UINT64_C(1) << 48) - 1}, {"counter", 65535}}},
	{"hlc:json", "{\"data\":{},\"hlc\":115898528563200000}", INT64_C(1768471200000) * MS, MS, {{"counter", 0}}},
	{"hlc:json-double", "{\"data\":{},\"hlc\":115898528563200000}", INT64_C(1768471200000) * MS, MS, {{"counter", 0}}},
	{"hlc:cockroach", "1768471200123456789.0000000003", INT64_C(1768471200123456789), 1, {{"logical", 3}}},
	{"shard-key", "5894904", INT64_C(1768471200) * KS_SEC, 300 * KS_SEC, {{"shard", 5894904}}},
	{"shard-key:compare-and-set", "5894904:4294967297", INT64_C(1768471200) * KS_SEC, 300 * KS_SEC, {{"task", 4294967297}}},
	{"lamport", "1029", NONE, 0, {{"count", 1}, {"node", 5}}},
	{"truetime", "1768471200000400000", INT64_C(1768471200000000000), 1, {{"latest_unix_ns", 1768471200000400000}}},
	{"timer", "1768471200010000050", INT64_C(1768471200010000050), 1, {{"due_unix_ns", 1768471200010000050}}},
	/* the ULID specification, and the largest */
	{"ulid", "01ARZ3NDEKTSV4RRFFQ69G5FAV", INT64_C(1469922850259) * MS, MS, {{"unix_ms", 1469922850259}}},
	{"ulid", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", INT64_MAX - MS, MS, {{"unix_ms", 281474976710655}, {"random_high", 0xffff}, {"random_low", UINT64_MAX}}},
	{"ulid", "00000000000000000000000000", 0, MS, {{"random_low", 0}}},
	/* RFC 9562, A.1 and A.5 */
	{"uuidv1", "c232ab00-9414-11ec-b3c8-9f6bdeced846", INT64_C(1645557742) * KS_SEC, 100, {{"ticks", 0x1ec9414c232ab00}, {"clock_seq", 0x33c8}, {"node", 0x9f6bdeced846}}},
	{"uuidv6", "1ec9414c-232a-6b00-b3c8-9f6bdeced846", INT64_C(1645557742) * KS_SEC, 100, {{"ticks", 0x1ec9414c232ab00}, {"clock_seq", 0x33c8}, {"node", 0x9f6bdeced846}}},
	{"objectid", "507f1f77bcf86cd799439011", INT64_C(1350508407) * KS_SEC, KS_SEC, {{"who", 0xbcf86cd799}, {"counter", 0x439011}}},
	{"objectid", "ffffffffffffffffffffffff", INT64_C(4294967295) * KS_SEC, KS_SEC, {{"counter", 0xffffff}}}, /* 2106-02-07 */
	/* rs/xid's documentation */
	{"xid", "9m4e2mr0ui3e8a215n4g", INT64_C(1300816219) * KS_SEC, KS_SEC, {{"who", 0x60f486e428}, {"counter", 4271561}}},
	/* segmentio/ksuid's documentation, and the largest */
	{"ksuid", "0ujtsYcgvSTl8PAuAdqWYSMnLOv", INT64_C(1507608047) * KS_SEC, KS_SEC, {{"stamp", 107608047}, {"random_high", 0xb5a1cd34b5f99d11}, {"random_low", 0x54fb6853345c9735}}},
	{"ksuid", "aWgEPTl1tmebfsQzFP4bxwgy80V", INT64_C(5694967295) * KS_SEC, KS_SEC, {{"stamp", UINT32_MAX}}}, /* 2150-06-19 */
	{"sonyflake", "9223372036854775807", INT64_C(6907087738) * KS_SEC + 870 * MS, 10 * MS, {{"seq", 255}, {"machine", 65535}}}, /* 2188-11-16 */
	{"sonyflake:v2", "0", INT64_C(1735689600) * KS_SEC, 10 * MS, {{"elapsed", 0}}},
	/* f4b6a3/tsid-creator's documentation, and the largest */
	{"tsid", "01226N0640J7Q", INT64_C(1577836800000) * MS + (INT64_C(38358284406638839) >> 22) * MS, MS, {{"counter", 38358284406638839 & 4095}}},
	{"tsid", "FZZZZZZZZZZZZ", INT64_C(5975883311103) * MS, MS, {{"node", 1023}, {"counter", 4095}}}, /* 2159-05-15 */
	{"unique-rowid", "9223372036854775807", INT64_C(4234820167106550000), 10000, {{"node", 32767}}}, /* 2104-03-13 */
	/* Instagram's article: user 31341, 5000 ids, 1387263000 ms since its epoch */
	{"instagram", "11637205501278089", INT64_C(1315607284721) * MS, MS, {{"shard", 1341}, {"seq", 905}}},
	{"pushid", "-JhLeOlGIEjaIOFHR0xd", INT64_C(1423088131153) * MS, MS, {{"unix_ms", 1423088131153}}}, /* 2015-02-04, of Firebase's article */
	{"flake", "0000000000000000000000", 0, MS, {{"mac", 0}}},
	{"uidgenerator", "0", INT64_C(1463673600) * KS_SEC, KS_SEC, {{"s", 0}}},
	{"uidgenerator", "9223372036854775807", INT64_C(1732109055) * KS_SEC, KS_SEC, {{"seq", 8191}, {"worker", 4194303}}}, /* over at 2024-11-20T13:24:16Z */
};

static void known_answers(void)
{
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		const struct answer *a = &answers[i];
		struct ks_fields f;
		char again[KS_KEY_TEXT];
		if (read_key(a->generator, a->text, &f, again)) {
			printf("%s: %s is refused\n", a->generator, a->text);
			CU_FAIL("a known key is refused");
			continue;
		}
		unsigned failures = CU_get_number_of_failures();
		CU_ASSERT_STRING_EQUAL(again, a->text);
		CU_ASSERT_EQUAL(f.has_time, a->lo_ns != NONE);
		if (f.has_time) {
			CU_ASSERT_EQUAL(f.embed_lo_unix_ns, a->lo_ns);
			CU_ASSERT_EQUAL(f.embed_hi_unix_ns - f.embed_lo_unix_ns, a->width_ns);
		}
		for (int k = 0; k < 4 && a->field[k].name; k++)
			CU_ASSERT_EQUAL(field(&f, a->field[k].name), a->field[k].value);
		if (CU_get_number_of_failures() != failures)
			printf("that was %s: %s\n", a->generator, a->text);
	}
}

static const char *const bad[][2] = {
	{"snowflake", ""}, {"snowflake", "-1"}, {"snowflake", "12x"}, {"snowflake", "18446744073709551616"},
	{"unixmilli", "01768471200000"}, {"unixmilli", " 1"}, {"unixmilli", "1 "},
	{"unixmilli:user", "1768471200000"}, {"unixmilli:user", "user:17:1768471200000"}, {"unixmilli:user", "user:017:log:5"},
	{"unixmilli:user", "user::log:5"}, {"unixmilli:user", "user:17:log:"}, {"unixmilli:user", "user:17:log:5:"},
	{"unixmilli:user", "user:9999999999999999999:log:1768471200000"},
	{"unixnano:user", "user:17:log:5"}, {"unixnano:user", "user:-1:5"}, {"unixnano:user", "user:9999999999999:1768471200123456789"},
	{"milli-rand32", "evt:1768471200000:"}, {"milli-rand32", "evt:1768471200000:0f"}, {"milli-rand32", "evt:1768471200000:123456789"},
	{"milli-rand32", "evt:1768471200000:F"}, {"milli-rand32", "evt:17684712000000:1"}, {"milli-rand32", "ev:1:1"},
	{"trace-id", "1768471200000-zzzzzzz"}, {"trace-id", "1768471200000-zzzzzzzzz"}, {"trace-id", "1768471200000zzzzzzzz"},
	{"trace-id:62", "1768471200000--zzzzzzz"}, {"trace-id:36", "1768471200000-Azzzzzzz"}, {"trace-id", "17684712000000-zzzzzzzz"},
	{"nanotime", "123456789012:user17:field3"}, {"nanotime", "9223372036854775808:user0:field0"},
	{"nanotime", "0000000123456789012:user17"}, {"nanotime", "0000000123456789012:user17:field3x"},
	{"nanotime", "000000012345678901x:user17:field3"}, {"nanotime", "0000000123456789012:user12345678901234:field12"},
	{"counter", "ff"}, {"counter", "00000000000000fg"}, {"counter", "00000000000000fff"},
	{"mono-offset", "1073741823"}, {"mono-offset", "9223372036854775808"},
	{"hlc", "18446744073709551616"}, {"hlc", "{\"data\":{},\"hlc\":1}"}, {"hlc:json", "115898528563200000"},
	{"hlc:json", "{\"data\":{},\"hlc\":1}}"}, {"hlc:json", "{\"data\":{},\"hlc\":-1}"},
	{"hlc:cockroach", "1768471200123456789.3"}, {"hlc:cockroach", "1768471200123456789"}, {"hlc:cockroach", "1.0000000003"},
	{"hlc:cockroach", "1768471200123456789.2147483648"}, {"hlc:cockroach", "9223372036854775808.0000000000"},
	{"shard-key", "5894904:1"}, {"shard-key:compare-and-set", "5894904"}, {"shard-key:compare-and-set", "5894904:"},
	{"ulid", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"}, {"ulid", "01ARZ3NDEKTSV4RRFFQ69G5FA"}, {"ulid", "01ARZ3NDEKTSV4RRFFQ69G5FAU"},
	{"ulid", "01arz3ndektsv4rrffq69g5fav"},
	{"uuidv1", "1ec9414c-232a-6b00-b3c8-9f6bdeced846"}, {"uuidv6", "c232ab00-9414-11ec-b3c8-9f6bdeced846"},
	{"objectid", "507f1f77bcf86cd79943901"}, {"objectid", "507f1f77bcf86cd7994390111"}, {"objectid", "507f1f77bcf86cd79943901g"},
	{"xid", "9m4e2mr0ui3e8a215n4h"}, {"xid", "9m4e2mr0ui3e8a215n4"}, {"xid", "9M4e2mr0ui3e8a215n4g"},
	{"ksuid", "aWgEPTl1tmebfsQzFP4bxwgy80W"}, {"ksuid", "0ujtsYcgvSTl8PAuAdqWYSMnLO"}, {"ksuid", "0ujtsYcgvSTl8PAuAdqWYSMnLO-"},
	{"sonyflake", "9223372036854775808"}, {"tsid", "G0000000000000"}, {"tsid", "G000000000000"}, {"tsid", "01226N0640J7"},
	{"unique-rowid", "9223372036854775808"}, {"pushid", "-JhLeOlGIEjaIOFHR0x"}, {"flake", "zzzzzzzzzzzzzzzzzzzzzz"},
	{"uidgenerator", "9223372036854775808"},
	{"uuidv7", "017f22e2-79b0-4cc3-98c4-dc0c0c07398f"}, {"uuidv7", "017f22e2-79b0-7cc3-d8c4-dc0c0c07398f"},
	{"depth-aware", "user.profil"}, {"depth-aware", "AGN4CGIBABVLZAJDIVTYTK6N54AAAAAAAAAAAAI"}, {"depth-aware", "AGN4CGIBAB5LZAJDIVTYTK6N54AAAAAAAAAAAAJ"}, {"depth-aware", "06DS268101TBP0938LJOJAUDTS0000000000008"}, {"depth-aware:repaired", "user"},
	{"depth-aware:repaired", "AGN4CGIBAB5LZAJDIVTYTK6N54AAAAAAAAAAAA"},
	{"uuidv7", "017f22e2-79b0-7cc3-98c4-dc0c0c07398"}, {"uuidv7", "017f22e279b07cc398c4dc0c0c07398f"},
};

static void no_keys(void)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct ks_fields f;
		char again[KS_KEY_TEXT];
		if (read_key(bad[i][0], bad[i][1], &f, again) == 0) {
			printf("%s: '%s' is taken for a key\n", bad[i][0], bad[i][1]);
			CU_FAIL("a text that is no key is taken for one");
		}
	}
}

int main(void)
{
	static const struct ks_test tests[] = {{"known answers", known_answers}, {"no keys", no_keys}, {0}};
	return ks_test_main("answers", tests);
}
