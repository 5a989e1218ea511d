/* A violation as a unit test: the clock readings that the generator saw, call by call, for a mock clock, and the assertion that fails.
 * As it is written the test plays the keys that were issued, so it fails; with the user's own generator in the marked place it says
 * whether that one does better. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ks_opt.h"
#include "ks_store.h"
#include "life.h"

/* A language: the text around the calls, and how one call is written. In `call` the marks @T thread, @W wall readings, @M monotonic
 * readings, @w and @m how many of them, @K key are replaced; in head and foot @P property, @E explanation, @N most readings. */
struct language {
	const char *name;
	const char *head, *call, *foot;
	const char *number_end; /* behind each reading */
};

static const struct language languages[] = {
	{"c",
	 "/* @E */\n"
	 "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\n"
	 "static const struct call {\n\tint thread, walls, monos;\n\tlong long wall[@N], mono[@N]; /* ns, as the clocks showed them to this call */\n"
	 "\tconst char *key;\n} calls[] = {\n",
	 "\t{@T, @w, @m, {@W}, {@M}, \"@K\"},\n",
	 "};\n#define CALLS (sizeof calls / sizeof *calls)\n\n"
	 "/* The mock clock: hands out the readings of one call. */\n"
	 "struct mock_clock {\n\tconst struct call *call;\n\tint walls, monos;\n};\n"
	 "long long mock_wall_ns(struct mock_clock *c);\nlong long mock_mono_ns(struct mock_clock *c);\n"
	 "long long mock_wall_ns(struct mock_clock *c)\n{\n\treturn c->call->wall[c->walls + 1 < c->call->walls ? c->walls++ : c->call->walls - 1];\n}\n"
	 "long long mock_mono_ns(struct mock_clock *c)\n{\n\treturn c->call->mono[c->monos + 1 < c->call->monos ? c->monos++ : c->call->monos - 1];\n}\n\n"
	 "/* Your generator goes here: read mock_wall_ns(c) and mock_mono_ns(c) in place of the clock, write the key. */\n"
	 "#ifdef KEY_GENERATOR\n#include KEY_GENERATOR\n#else\n"
	 "static void next_key(struct mock_clock *c, char *key, size_t size)\n{\n\tsnprintf(key, size, \"%s\", c->call->key); /* plays what was issued */\n}\n#endif\n\n"
	 "static int number_cmp(const char *a, const char *b)\n{\n\tsize_t n = strlen(a), m = strlen(b);\n\treturn n != m && strspn(a, \"0123456789\") == n && "
	 "strspn(b, \"0123456789\") == m ? (n > m) - (n < m) : strcmp(a, b);\n}\n\n"
	 "int main(void)\n{\n\tstatic char key[CALLS][300];\n\tfor (size_t i = 0; i < CALLS; i++) {\n\t\tstruct mock_clock c = {&calls[i], 0, 0};\n"
	 "\t\tnext_key(&c, key[i], sizeof key[i]);\n\t\tfor (size_t k = 0; k < i; k++) {\n\t\t\tint cmp = number_cmp(key[k], key[i]);\n"
	 "\t\t\tif (@P) {\n\t\t\t\tprintf(\"call %zu: %s after %s of call %zu\\n\", i, key[i], key[k], k);\n\t\t\t\treturn 1;\n\t\t\t}\n\t\t}\n\t}\n"
	 "\tputs(\"ok\");\n\treturn 0;\n}\n",
	 ""},
	{"python",
	 "# @E\nimport os\nimport sys\n\n# (thread, wall readings, monotonic readings, key): ns, as the clocks showed them to each call\nCALLS = [\n",
	 "    (@T, [@W], [@M], \"@K\"),\n",
	 "]\n\n\nclass MockClock:\n    \"\"\"Hands out the readings of one call.\"\"\"\n\n    def __init__(self, call):\n"
	 "        self.thread, self.walls, self.monos, self.key = call[0], list(call[1]), list(call[2]), call[3]\n\n"
	 "    def wall_ns(self):\n        return self.walls.pop(0) if len(self.walls) > 1 else self.walls[0]\n\n"
	 "    def mono_ns(self):\n        return self.monos.pop(0) if len(self.monos) > 1 else self.monos[0]\n\n\n"
	 "# Your generator goes here: read clock.wall_ns() and clock.mono_ns() in place of the clock, return the key as text.\n"
	 "def next_key(clock):\n    return clock.key  # plays what was issued\n\n\n"
	 "if os.environ.get(\"KEY_GENERATOR\"):\n    exec(open(os.environ[\"KEY_GENERATOR\"]).read())\n\n\n"
	 "def order(key):\n    return (0, int(key), \"\") if key.isdigit() else (1, 0, key)\n\n\n"
	 "def test_keys():\n    keys = []\n    for i, call in enumerate(CALLS):\n        key = next_key(MockClock(call))\n"
	 "        for k, before in enumerate(keys):\n            cmp = (order(before) > order(key)) - (order(before) < order(key))\n"
	 "            assert not (@P), \"call %d: %s after %s of call %d\" % (i, key, before, k)\n        keys.append(key)\n\n\n"
	 "if __name__ == \"__main__\":\n    try:\n        test_keys()\n    except AssertionError as why:\n        print(why)\n        sys.exit(1)\n    print(\"ok\")\n",
	 ""},
	{"go",
	 "// @E\npackage keys\n\nimport (\n\t\"strings\"\n\t\"testing\"\n)\n\n// ns, as the clocks showed them to each call\nvar calls = []struct {\n\tthread int\n"
	 "\twall, mono []int64\n\tkey string\n}{\n",
	 "\t{@T, []int64{@W}, []int64{@M}, \"@K\"},\n",
	 "}\n\n// mockClock hands out the readings of one call.\ntype mockClock struct {\n\twall, mono []int64\n\tkey string\n}\n\n"
	 "func take(v *[]int64) int64 {\n\tn := (*v)[0]\n\tif len(*v) > 1 {\n\t\t*v = (*v)[1:]\n\t}\n\treturn n\n}\n"
	 "func (c *mockClock) wallNs() int64 { return take(&c.wall) }\nfunc (c *mockClock) monoNs() int64 { return take(&c.mono) }\n\n"
	 "// Your generator goes here: read c.wallNs() and c.monoNs() in place of the clock, return the key.\n"
	 "func nextKey(c *mockClock) string {\n\treturn c.key // plays what was issued\n}\n\n"
	 "func compare(a, b string) int {\n\tif len(a) != len(b) && strings.Trim(a+b, \"0123456789\") == \"\" {\n\t\treturn len(a) - len(b)\n\t}\n\treturn strings.Compare(a, b)\n}\n\n"
	 "func TestKeys(t *testing.T) {\n\tvar keys []string\n\tfor i, call := range calls {\n\t\tkey := nextKey(&mockClock{call.wall, call.mono, call.key})\n"
	 "\t\tfor k, before := range keys {\n\t\t\tif cmp := compare(before, key); @P {\n\t\t\t\tt.Fatalf(\"call %d: %s after %s of call %d\", i, key, before, k)\n\t\t\t}\n\t\t}\n"
	 "\t\tkeys = append(keys, key)\n\t}\n}\n",
	 ""},
	{"java",
	 "// @E\nimport java.util.ArrayList;\nimport java.util.List;\n\npublic class KeysTest {\n    // ns, as the clocks showed them to each call\n"
	 "    record Call(int thread, long[] wall, long[] mono, String key) {}\n    static List<Call> calls = new ArrayList<>();\n\n"
	 "    static void call(int thread, long[] wall, long[] mono, String key) { calls.add(new Call(thread, wall, mono, key)); }\n\n    static void fill() {\n",
	 "        call(@T, new long[] {@W}, new long[] {@M}, \"@K\");\n",
	 "    }\n\n    /** Hands out the readings of one call. */\n    static class MockClock {\n        final Call call;\n        int walls, monos;\n        MockClock(Call call) { this.call = call; }\n"
	 "        long wallNs() { return call.wall[walls + 1 < call.wall.length ? walls++ : walls]; }\n"
	 "        long monoNs() { return call.mono[monos + 1 < call.mono.length ? monos++ : monos]; }\n    }\n\n"
	 "    // Your generator goes here: read clock.wallNs() and clock.monoNs() in place of the clock, return the key.\n"
	 "    static String nextKey(MockClock clock) {\n        return clock.call.key; // plays what was issued\n    }\n\n"
	 "    static int compare(String a, String b) {\n        boolean numbers = (a + b).chars().allMatch(Character::isDigit);\n"
	 "        return numbers && a.length() != b.length() ? a.length() - b.length() : a.compareTo(b);\n    }\n\n"
	 "    public static void main(String[] args) {\n        fill();\n        List<String> keys = new ArrayList<>();\n        for (Call call : calls) {\n"
	 "            String key = nextKey(new MockClock(call));\n            for (String before : keys) {\n                int cmp = compare(before, key);\n                if (@P) {\n"
	 "                    System.out.println(\"call \" + keys.size() + \": \" + key + \" after \" + before);\n                    System.exit(1);\n                }\n            }\n"
	 "            keys.add(key);\n        }\n        System.out.println(\"ok\");\n    }\n}\n",
	 "L"},
	{"node",
	 "// @E\n// [thread, wall readings, monotonic readings, key]: ns, as the clocks showed them to each call\nconst calls = [\n",
	 "  [@T, [@W], [@M], \"@K\"],\n",
	 "];\n\n// Hands out the readings of one call.\nclass MockClock {\n  constructor(call) { [this.thread, this.wall, this.mono, this.key] = [call[0], [...call[1]], [...call[2]], call[3]]; }\n"
	 "  wallNs() { return this.wall.length > 1 ? this.wall.shift() : this.wall[0]; }\n  monoNs() { return this.mono.length > 1 ? this.mono.shift() : this.mono[0]; }\n}\n\n"
	 "// Your generator goes here: read clock.wallNs() and clock.monoNs() in place of the clock, return the key as text.\n"
	 "function nextKey(clock) {\n  return clock.key; // plays what was issued\n}\n\n"
	 "function compare(a, b) {\n  if (a.length !== b.length && /^[0-9]+$/.test(a + b)) return a.length - b.length;\n  return a < b ? -1 : a > b ? 1 : 0;\n}\n\n"
	 "const keys = [];\nfor (const call of calls) {\n  const key = nextKey(new MockClock(call));\n  for (const before of keys) {\n    const cmp = compare(before, key);\n"
	 "    if (@P) {\n      console.log(`call ${keys.length}: ${key} after ${before}`);\n      process.exit(1);\n    }\n  }\n  keys.push(key);\n}\nconsole.log(\"ok\");\n",
	 "n"},
	{"rust",
	 "// @E\nuse std::cmp::Ordering;\n\n// (thread, wall readings, monotonic readings, key): ns, as the clocks showed them to each call\nconst CALLS: &[(u32, &[i64], &[i64], &str)] = &[\n",
	 "    (@T, &[@W], &[@M], \"@K\"),\n",
	 "];\n\n/// Hands out the readings of one call.\n#[allow(dead_code)]\nstruct MockClock {\n    wall: &'static [i64],\n    mono: &'static [i64],\n    key: &'static str,\n}\n\n"
	 "#[allow(dead_code)]\nimpl MockClock {\n    fn take(v: &mut &'static [i64]) -> i64 {\n        let n = v[0];\n        if v.len() > 1 {\n            *v = &v[1..];\n        }\n        n\n    }\n"
	 "    fn wall_ns(&mut self) -> i64 {\n        Self::take(&mut self.wall)\n    }\n    fn mono_ns(&mut self) -> i64 {\n        Self::take(&mut self.mono)\n    }\n}\n\n"
	 "// Your generator goes here: read clock.wall_ns() and clock.mono_ns() in place of the clock, return the key.\n"
	 "fn next_key(clock: &mut MockClock) -> String {\n    clock.key.to_string() // plays what was issued\n}\n\n"
	 "fn compare(a: &str, b: &str) -> i32 {\n    let numbers = a.chars().chain(b.chars()).all(|c| c.is_ascii_digit());\n"
	 "    let order = if numbers && a.len() != b.len() { a.len().cmp(&b.len()) } else { a.cmp(b) };\n"
	 "    match order {\n        Ordering::Less => -1,\n        Ordering::Equal => 0,\n        Ordering::Greater => 1,\n    }\n}\n\n"
	 "fn main() {\n    let mut keys: Vec<String> = Vec::new();\n    for (_thread, wall, mono, key) in CALLS {\n        let key = next_key(&mut MockClock { wall, mono, key });\n"
	 "        for before in &keys {\n            let cmp = compare(before, &key);\n            if @P {\n                println!(\"call {}: {} after {}\", keys.len(), key, before);\n"
	 "                std::process::exit(1);\n            }\n        }\n        keys.push(key);\n    }\n    println!(\"ok\");\n}\n",
	 ""},
};
#define LANGUAGES (sizeof languages / sizeof *languages)

/* More calls than this make no unit test; those in the middle are left out. */
#define CALLS_MAX 400
#define READS_MAX 16

/* ---- which calls ---- */

static bool same_process(const struct ks_life *l, uint32_t a, uint32_t b)
{
	const struct ks_lane *x = &l->output.records.lanes[a], *y = &l->output.records.lanes[b];
	return x->node == y->node && x->process == y->process && x->incarnation == y->incarnation;
}

struct chosen {
	size_t *row, n, left_out;
};

/* The calls with a key, from a little before the first witness to the second, of the processes of both. */
static int choose(const struct ks_life *l, const struct ks_judgement *j, struct chosen *c)
{
	const struct ks_records *all = &l->output.records;
	size_t first = (size_t)j->witness[0], last = (size_t)j->witness[1];
	uint32_t one = ks_record_get(all, first).lane, other = ks_record_get(all, last).lane;
	size_t begin = first, lead = 0;
	while (begin && lead < 2) {
		struct ks_record r = ks_record_get(all, --begin);
		lead += r.outcome == KS_KEY && (same_process(l, r.lane, one) || same_process(l, r.lane, other));
	}
	*c = (struct chosen){.row = calloc(last - begin + 1, sizeof *c->row)};
	if (!c->row)
		return -1;
	for (size_t i = begin; i <= last; i++) {
		struct ks_record r = ks_record_get(all, i);
		if (r.outcome == KS_KEY && (same_process(l, r.lane, one) || same_process(l, r.lane, other)))
			c->row[c->n++] = i;
	}
	if (c->n > CALLS_MAX) {
		size_t half = CALLS_MAX / 2;
		c->left_out = c->n - CALLS_MAX;
		memmove(c->row + half, c->row + c->n - half, half * sizeof *c->row);
		c->n = CALLS_MAX;
	}
	return 0;
}

/* ---- writing ---- */

static void put_readings(const struct ks_life *l, const struct language *lang, const struct ks_record *r, bool wall, size_t *count, FILE *out)
{
	size_t n, put = 0;
	const struct ks_trace_read *read = ks_life_reads(l, r->lane, r->seq, &n);
	for (size_t i = 0; i < n && put < READS_MAX; i++) {
		bool is_wall = read[i].clock == KS_REALTIME || read[i].clock == KS_TAI;
		if (is_wall != wall)
			continue;
		if (out)
			fprintf(out, "%s%" PRId64 "%s", put ? ", " : "", read[i].value_ns, lang->number_end);
		put++;
	}
	/* a generator that never read this clock: what it showed as the call began */
	const struct ks_trace_call *c = put ? NULL : ks_life_call(l, r->lane, r->seq);
	if (c) {
		if (out)
			fprintf(out, "%" PRId64 "%s", c->clock_ns[wall ? KS_REALTIME : KS_MONOTONIC], lang->number_end);
		put = 1;
	}
	*count = put;
}

static void put_quoted(FILE *out, const char *key)
{
	for (; *key; key++)
		fprintf(out, *key == '"' || *key == '\\' ? "\\%c" : "%c", *key);
}

static void put_call(const struct ks_life *l, const struct language *lang, size_t row, FILE *out)
{
	struct ks_record r = ks_record_get(&l->output.records, row);
	char key[KS_ESCAPED_TEXT];
	size_t walls, monos;
	put_readings(l, lang, &r, true, &walls, NULL);
	put_readings(l, lang, &r, false, &monos, NULL);
	for (const char *p = lang->call; *p; p++) {
		if (*p != '@') {
			fputc(*p, out);
			continue;
		}
		switch (*++p) {
		case 'T':
			fprintf(out, "%u", l->output.records.lanes[r.lane].thread);
			break;
		case 'W':
			put_readings(l, lang, &r, true, &walls, out);
			break;
		case 'M':
			put_readings(l, lang, &r, false, &monos, out);
			break;
		case 'w':
			fprintf(out, "%zu", walls);
			break;
		case 'm':
			fprintf(out, "%zu", monos);
			break;
		case 'K':
			put_quoted(out, ks_key_print(&l->evidence, row, key));
			break;
		}
	}
}

static void put_explanation(const struct ks_life *l, const struct ks_judgement *j, const struct chosen *c, FILE *out)
{
	char about[500];
	const json_t *reproduce = json_object_get(l->run, "reproduce");
	for (char *p = about + 0 * snprintf(about, sizeof about, "%s breaks %s: %s", l->gen.text, j->text, l->plan.title); *p; p++)
		if (*p == '*' || *p == '\n') /* it stands in a comment */
			*p = ' ';
	fprintf(out, "%s. %s", about, json_is_string(reproduce) ? json_string_value(reproduce) : "");
	if (c->left_out)
		fprintf(out, " (%zu calls in the middle are left out)", c->left_out);
}

/* What the test must not see, of a key before and a key after: cmp is their order. */
static const char *violation(enum ks_property property)
{
	return property == KS_UNIQUE ? "cmp == 0" : "cmp > 0";
}

static void put_around(const struct ks_life *l, const char *text, const struct ks_judgement *j, const struct chosen *c, FILE *out)
{
	for (const char *p = text; *p; p++) {
		if (*p != '@')
			fputc(*p, out);
		else if (*++p == 'E')
			put_explanation(l, j, c, out);
		else if (*p == 'N')
			fprintf(out, "%d", READS_MAX);
		else
			fputs(violation(j->claim.property), out);
	}
}

static const struct language *find_language(const char *name, struct ks_err *err)
{
	const char *names[LANGUAGES];
	for (size_t i = 0; i < LANGUAGES; i++) {
		names[i] = languages[i].name;
		if (!strcmp(names[i], name))
			return &languages[i];
	}
	const char *near = ks_nearest(name, names, LANGUAGES);
	ks_fail(err, KS_E_USAGE, "unknown language '%.60s', expected c, go, java, node, python or rust%s%s%s", name, near ? "; did you mean '" : "",
	        near ? near : "", near ? "'" : "");
	return NULL;
}

/* The first broken claim that a sequence of calls can show. @return 0, or -1. */
static int find_violation(const struct ks_life *l, struct ks_judgement *j, struct ks_err *err)
{
	size_t i;
	json_t *claim;
	bool other = false;
	json_array_foreach(json_object_get(l->run, "claims"), i, claim) {
		struct ks_claim_ref ref;
		const char *verdict = json_string_value(json_object_get(claim, "verdict"));
		if (!verdict || strcmp(verdict, "broken"))
			continue;
		if (ks_claim_parse(json_string_value(json_object_get(claim, "claim")), &ref, err) || ks_judge(&l->evidence, ref, j, err))
			return -1;
		bool shows = ref.property == KS_UNIQUE || ref.property == KS_INCREASING || ref.property == KS_SORTED;
		if (shows && j->witness[0] >= 0 && j->witness[1] >= 0)
			return 0;
		other = true;
	}
	return other ? ks_fail(err, KS_E_JUDGE, "what is broken is neither uniqueness nor order: no sequence of clock readings alone shows it")
	             : ks_fail(err, KS_E_NOMATCH, "no claim is broken in this run");
}

int ks_life_as_test(const struct ks_life *l, const char *name, FILE *out, struct ks_err *err)
{
	struct ks_judgement j;
	struct chosen c;
	const struct language *lang = find_language(name, err);
	if (!lang || find_violation(l, &j, err))
		return -1;
	if (choose(l, &j, &c))
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	put_around(l, lang->head, &j, &c, out);
	for (size_t i = 0; i < c.n; i++)
		put_call(l, lang, c.row[i], out);
	put_around(l, lang->foot, &j, &c, out);
	free(c.row);
	return 0;
}
