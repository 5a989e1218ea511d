/* Reading a result, escaping, text files. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ks_time.h"

const char *ks_rp_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

bool ks_rp_integer(const json_t *v, int64_t *value)
{
	if (json_is_integer(v)) {
		*value = json_integer_value(v);
		return true;
	}
	const char *s = json_string_value(v);
	if (!s || !*s)
		return false;
	char *end;
	errno = 0;
	*value = strtoll(s, &end, 10);
	return !*end && !errno;
}

double ks_rp_real(const json_t *v)
{
	return json_is_string(v) ? strtod(json_string_value(v), NULL) : json_number_value(v);
}

int64_t ks_rp_int(const json_t *o, const char *key)
{
	int64_t v;
	return ks_rp_integer(json_object_get(o, key), &v) ? v : 0;
}

bool ks_rp_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* One code point of valid UTF-8 (jansson lets nothing else through). @return its length in bytes. */
static size_t decode(const unsigned char *s, size_t len, uint32_t *cp)
{
	size_t n = *s < 0x80 ? 1 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;
	if (n > len)
		n = 1;
	*cp = n == 1 ? *s : *s & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		*cp = *cp << 6 | (s[i] & 0x3fu);
	return n;
}

/* What no reader can see, or XML 1.0 cannot carry, or turns the text around it. */
static bool invisible(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) ||
	       (cp >= 0x2060 && cp <= 0x206f) || cp == 0x2028 || cp == 0x2029 || cp == 0xfeff || cp == 0xfffe || cp == 0xffff;
}

static const char *entity(uint32_t cp, enum ks_rp_form form)
{
	switch (cp) {
	case '&':
		return form == KS_RP_PLAIN ? NULL : "&amp;";
	case '<':
		return form == KS_RP_PLAIN ? NULL : "&lt;";
	case '>':
		return form == KS_RP_PLAIN ? NULL : "&gt;";
	case '"':
		return form == KS_RP_XML ? "&quot;" : NULL;
	case '\'':
		return form == KS_RP_XML ? "&#39;" : NULL;
	case '|':
		return form == KS_RP_MD ? "\\|" : NULL;
	case '`':
		return form == KS_RP_MD ? "\\`" : NULL;
	case '*':
		return form == KS_RP_MD ? "\\*" : NULL;
	case '[':
		return form == KS_RP_MD ? "\\[" : NULL;
	case '\\':
		return form == KS_RP_MD ? "\\\\" : NULL;
	default:
		return NULL;
	}
}

void ks_rp_putn(FILE *out, enum ks_rp_form form, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n = decode((const unsigned char *)text + i, len - i, &cp);
		const char *e = entity(cp, form);
		if (e)
			fputs(e, out);
		else if (invisible(cp))
			fprintf(out, cp < 0x100 ? "\\x%02" PRIx32 : "\\u%04" PRIx32, cp);
		else
			fwrite(text + i, 1, n, out);
		i += n;
	}
}

void ks_rp_put(FILE *out, enum ks_rp_form form, const char *text)
{
	ks_rp_putn(out, form, text, strlen(text));
}

const char *ks_rp_ns_like(char buf[KS_RP_NUMBER], int64_t ns, int64_t like)
{
	static const struct {
		const char *name;
		uint64_t ns;
		int decimals;
	} units[] = {{"s", 1000000000, 9}, {"ms", 1000000, 6}, {"us", 1000, 3}, {"ns", 1, 0}};
	uint64_t size = like < 0 ? 0 - (uint64_t)like : (uint64_t)like, v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	int u = 0;
	while (u < 3 && size < units[u].ns)
		u++;
	int n = snprintf(buf, KS_RP_NUMBER, "%s%" PRIu64, ns < 0 ? "-" : "", v / units[u].ns);
	if (v % units[u].ns) {
		n += snprintf(buf + n, KS_RP_NUMBER - (size_t)n, ".%0*" PRIu64, units[u].decimals, v % units[u].ns);
		while (buf[n - 1] == '0')
			n--;
	}
	snprintf(buf + n, KS_RP_NUMBER - (size_t)n, "%s", units[u].name);
	return buf;
}

const char *ks_rp_number(char buf[KS_RP_NUMBER], const char *name, int64_t value)
{
	if (strstr(name, "_ns") && (value >= 10 * KS_MIN || value <= -10 * KS_MIN)) {
		int64_t s = value / KS_SEC, left = s < 0 ? -s : s; /* so long that nobody reads its ns */
		snprintf(buf, KS_RP_NUMBER, "%s%" PRId64 "h%02" PRId64 "m%02" PRId64 "s", s < 0 ? "-" : "", left / 3600, left / 60 % 60, left % 60);
		return buf;
	}
	if (strstr(name, "_ns"))
		return value ? ks_rp_ns_like(buf, value, value) : "0s";
	snprintf(buf, KS_RP_NUMBER, "%" PRId64, value);
	return buf;
}

const char *ks_rp_small(char buf[KS_RP_NUMBER], double value)
{
	snprintf(buf, KS_RP_NUMBER, "%.2g", value);
	char *zero = strstr(buf, "e-0");
	if (zero)
		memmove(zero + 2, zero + 3, strlen(zero + 3) + 1);
	return buf;
}

const char *ks_rp_count(char buf[KS_RP_NUMBER], int64_t n, const char *one, const char *many)
{
	snprintf(buf, KS_RP_NUMBER, "%" PRId64 " %s", n, n == 1 ? one : many);
	return buf;
}

int64_t ks_rp_missing(const json_t *result)
{
	int64_t planned, have = (int64_t)json_array_size(json_object_get(result, "runs"));
	return ks_rp_integer(json_object_get(result, "planned"), &planned) && planned > have ? planned - have : 0;
}

bool ks_rp_expected(const json_t *run)
{
	const char *status = ks_rp_str(run, "status");
	return !strcmp(status, "untested") || (!strcmp(status, "judged") && ks_rp_true(run, "as_expected"));
}

char ks_rp_letter(const json_t *run)
{
	const char *status = ks_rp_str(run, "status");
	if (!strcmp(status, "failed"))
		return 'F';
	char letter = 'U';
	size_t i;
	json_t *claim;
	json_array_foreach(json_object_get(run, "claims"), i, claim) {
		const char *verdict = ks_rp_str(claim, "verdict");
		if (!strcmp(verdict, "broken"))
			return 'B';
		if (!strcmp(verdict, "kept"))
			letter = 'K';
	}
	return letter;
}

const char *ks_rp_letter_word(char letter)
{
	return letter == 'K' ? "kept" : letter == 'B' ? "broken" : letter == 'F' ? "failed" : "untested";
}

const json_t *ks_rp_claim(const json_t *run, const char *name, size_t len)
{
	size_t i;
	json_t *claim;
	json_array_foreach(json_object_get(run, "claims"), i, claim) {
		const char *text = ks_rp_str(claim, "claim");
		if (strlen(text) == len && !memcmp(text, name, len))
			return claim;
	}
	return NULL;
}

size_t ks_rp_subject(const json_t *expectation, const char **wanted)
{
	const char *text = ks_rp_str(expectation, "text");
	const char *colon = strstr(text, ": ");
	*wanted = colon ? colon + 2 : "";
	return colon ? (size_t)(colon - text) : strlen(text);
}

/* Names the claims of one verdict: "unique@fleet, increasing@thread". */
static size_t put_claims(FILE *out, enum ks_rp_form form, const json_t *run, const char *verdict)
{
	size_t i, n = 0;
	json_t *claim;
	json_array_foreach(json_object_get(run, "claims"), i, claim) {
		if (strcmp(ks_rp_str(claim, "verdict"), verdict))
			continue;
		if (out) {
			fputs(n ? ", " : "", out);
			ks_rp_put(out, form, ks_rp_str(claim, "claim"));
			int64_t count = ks_rp_int(claim, "count");
			if (count)
				fprintf(out, " (%" PRId64 ")", count);
		}
		n++;
	}
	return n;
}

void ks_rp_sentence(FILE *out, enum ks_rp_form form, const json_t *run)
{
	static const char *const verdicts[] = {"broken", "kept", "untested"};
	static const char *const verbs[] = {" broke ", " kept ", " was not tested on "};
	const char *status = ks_rp_str(run, "status");
	ks_rp_put(out, form, ks_rp_str(run, "generator"));
	if (strcmp(status, "judged")) {
		fputs(!strcmp(status, "failed") ? " could not be judged: " : " was not tested: ", out);
		ks_rp_put(out, form, ks_rp_str(run, "reason"));
	} else {
		int parts = 0;
		for (int v = 0; v < 3; v++) {
			if (!put_claims(NULL, form, run, verdicts[v]))
				continue;
			fprintf(out, "%s%s", parts++ ? " and" : "", verbs[v]);
			put_claims(out, form, run, verdicts[v]);
		}
		if (!parts)
			fputs(" ran", out);
	}
	fputs(". ", out);
	ks_rp_put(out, form, ks_rp_str(run, "about"));
	fputs(".", out);
}

/* "payment-gateway.double_charges 120 (control 0), as reported". Without faults the control is the same run. */
static void add_figure(FILE *out, const json_t *figure, bool of_this, bool faults)
{
	const char *wanted, *text = ks_rp_str(figure, "text");
	char number[KS_RP_NUMBER];
	size_t len = ks_rp_subject(figure, &wanted);
	int64_t v;
	fprintf(out, "%.*s ", (int)len, text);
	if (!ks_rp_integer(json_object_get(figure, "value"), &v)) {
		fputs("not known", out);
		return;
	}
	fputs(ks_rp_number(number, text, v), out);
	if (faults && ks_rp_integer(json_object_get(figure, "control"), &v))
		fprintf(out, " (control %s)", ks_rp_number(number, text, v));
	if (of_this && ks_rp_true(figure, "met"))
		fputs(", as reported", out);
	else if (of_this)
		fprintf(out, ", not %s as reported", wanted);
}

void ks_rp_measured(FILE *out, const json_t *run)
{
	const json_t *r = json_object_get(run, "reported");
	bool faults = json_array_size(json_object_get(run, "faults")) > 0;
	size_t i;
	json_t *figure;
	json_array_foreach(json_object_get(r, "figures"), i, figure) {
		fputs(i ? "; " : "", out);
		add_figure(out, figure, ks_rp_true(r, "of_this"), faults);
	}
}

bool ks_rp_reported(char *buf, size_t size, const json_t *run)
{
	const json_t *r = json_object_get(run, "reported");
	struct ks_rp_text text;
	struct ks_err err;
	*buf = 0;
	if (!r || ks_rp_open(&text, &err))
		return false;
	if (ks_rp_true(r, "of_this"))
		fprintf(text.f, "reported: %s; measured: ", ks_rp_str(r, "what"));
	else
		fprintf(text.f, "reported of %s; here: ", ks_rp_str(r, "of"));
	ks_rp_measured(text.f, run);
	if (!ks_rp_finish(&text, &err))
		snprintf(buf, size, "%s", text.bytes);
	ks_rp_release(&text);
	return *buf;
}

void ks_rp_keeper_act(char *buf, size_t size, const json_t *act)
{
	char at[KS_TIME_TEXT];
	snprintf(buf, size, "%s at %s", ks_rp_str(act, "text"), ks_dur_format(at, ks_rp_int(act, "at_ns")));
}

/* The call comes back last, after what it called: "adjtimex > do_adjtimex > clock_was_set". @return how many events tell of the move. */
static size_t captured_move(char *buf, size_t size, const json_t *events, size_t first)
{
	const json_t *e = json_array_get(events, first);
	char at[KS_TIME_TEXT], delta[KS_TIME_TEXT], functions[300] = "";
	int64_t moved = ks_rp_int(e, "delta_ns"), move = ks_rp_int(e, "move");
	bool runtime = !strcmp(ks_rp_str(e, "layer"), "runtime");
	size_t n = 1;
	while (first + n < json_array_size(events) && ks_rp_int(json_array_get(events, first + n), "move") == move)
		n++;
	for (size_t i = n; i-- > 0;) {
		size_t len = strlen(functions);
		snprintf(functions + len, sizeof functions - len, "%s%s", len ? " > " : "", ks_rp_str(json_array_get(events, first + i), "function"));
	}
	snprintf(buf, size, "%s: %s by %s (pid %" PRId64 ") on %s at %s: the %s clock moved by %s%s", ks_rp_str(e, "verdict"), functions,
	         ks_rp_str(e, "command"), ks_rp_int(e, "pid"), ks_rp_str(e, "node"), ks_dur_format(at, ks_rp_int(e, "at_ns") / KS_US * KS_US),
	         runtime ? "monotonic" : "wall", moved > 0 ? "+" : "", ks_dur_format(delta, moved));
	return n;
}

size_t ks_rp_capture(const json_t *run, size_t max, size_t max_stretches, void (*put)(void *to, const char *text), void *to)
{
	const json_t *c = json_object_get(run, "capture");
	char text[500];
	size_t i, shown = 0;
	json_t *e;
	if (!c)
		return 0;
	if (*ks_rp_str(c, "untested")) {
		snprintf(text, sizeof text, "capture untested: %s", ks_rp_str(c, "untested"));
		put(to, text);
		return 1;
	}
	snprintf(text, sizeof text, "captured in the kernel, of %" PRId64 " events: unusual %" PRId64 ", jumps %" PRId64 ", stretches of the monotonic clock %" PRId64,
	         ks_rp_int(c, "seen"), ks_rp_int(c, "unusual"), ks_rp_int(c, "jumps"), ks_rp_int(c, "stretches"));
	put(to, text);
	json_array_foreach(json_object_get(c, "suspicious"), i, e) {
		snprintf(text, sizeof text, "suspicious: %" PRId64 " calls within a minute set the clock of %s", ks_rp_int(e, "calls"), ks_rp_str(e, "node"));
		put(to, text);
	}
	json_array_foreach(json_object_get(c, "missing"), i, e) {
		snprintf(text, sizeof text, "this kernel has no %s to watch", json_string_value(e));
		put(to, text);
	}
	const json_t *events = json_object_get(c, "events");
	for (int stretches = 0; stretches < 2; stretches++) /* moves first: on a busy machine there are many stretches */
		for (size_t n = 1, k = 0; k < json_array_size(events) && shown < (stretches ? max_stretches : max); k += n, n = 1) {
			const char *verdict = ks_rp_str(json_array_get(events, k), "verdict");
			if (!*verdict || (strcmp(verdict, "stretch") == 0) != (stretches == 1))
				continue;
			n = captured_move(text, sizeof text, events, k);
			put(to, text);
			shown++;
		}
	return shown + 1;
}

#define DATES_FROM_NS (25 * 365 * KS_DAY)

void ks_rp_injection(char *buf, size_t size, const json_t *injection)
{
	char c[KS_RP_NUMBER], o[KS_RP_NUMBER];
	if (json_object_get(injection, "commanded_ppb")) {
		ks_ppb_format(c, ks_rp_int(injection, "commanded_ppb"));
		ks_ppb_format(o, ks_rp_int(injection, "observed_ppb"));
	} else {
		int64_t commanded = ks_rp_int(injection, "commanded_ns"), observed = ks_rp_int(injection, "observed_ns");
		bool date = commanded > DATES_FROM_NS && observed > DATES_FROM_NS; /* what a battery-backed clock is set to */
		date ? ks_utc_format(c, commanded) : ks_rp_ns_like(c, commanded, commanded);
		date ? ks_utc_format(o, observed) : ks_rp_ns_like(o, observed, commanded);
	}
	const char *node = ks_rp_str(injection, "node");
	snprintf(buf, size, "%s%s%s: commanded %s, observed %s", ks_rp_str(injection, "fault"), *node ? " on " : "", node, c, o);
}

static void unmet_text(char *buf, size_t size, const json_t *e)
{
	char number[KS_RP_NUMBER];
	const json_t *value = json_object_get(e, "value");
	const char *wanted;
	int subject = (int)ks_rp_subject(e, &wanted);
	const char *text = ks_rp_str(e, "text"), *shown = json_string_value(value);
	int64_t v;
	if (!json_is_string(value) && ks_rp_integer(value, &v))
		shown = ks_rp_number(number, text, v);
	snprintf(buf, size, "%.*s is %s, expected %s", subject, text, shown ? shown : "not known", wanted);
}

static size_t unexpected_expectations(const json_t *run, void (*put)(void *to, const char *text), void *to)
{
	size_t i, n = 0;
	json_t *e;
	json_array_foreach(json_object_get(run, "expectations"), i, e) {
		char text[800];
		if (ks_rp_true(e, "met") || ks_rp_true(e, "untested"))
			continue;
		unmet_text(text, sizeof(text), e);
		put(to, text);
		n++;
	}
	return n;
}

static void put_nothing(void *to, const char *text)
{
	(void)to;
	(void)text;
}

static size_t unexpected_theory(const json_t *run, void (*put)(void *to, const char *text), void *to)
{
	const char *metric;
	size_t n = 0;
	json_t *t;
	json_object_foreach((json_t *)json_object_get(run, "theory"), metric, t) {
		char text[800];
		if (!json_is_false(json_object_get(t, "met")))
			continue;
		snprintf(text, sizeof(text), "%s@%s is %" PRId64 ", theory says %" PRId64 "..%" PRId64 " (%s: %s)", metric,
		         ks_rp_str(t, "scope"), ks_rp_int(t, "value"), ks_rp_int(t, "low"), ks_rp_int(t, "high"),
		         ks_rp_str(t, "law"), ks_rp_str(t, "text"));
		put(to, text);
		n++;
	}
	return n;
}

size_t ks_rp_unexpected(const json_t *run, enum ks_rp_extent extent, void (*put)(void *to, const char *text), void *to)
{
	const char *status = ks_rp_str(run, "status");
	if (!strcmp(status, "failed")) {
		char text[1000];
		snprintf(text, sizeof(text), "could not be judged: %s", ks_rp_str(run, "reason"));
		put(to, text);
		return 1;
	}
	if (strcmp(status, "judged") || ks_rp_true(run, "as_expected"))
		return 0;
	if (ks_rp_true(run, "canary")) {
		put(to, "a canary must fail, and every expectation was met");
		return 1;
	}
	size_t unmet = unexpected_expectations(run, extent == KS_RP_ALL ? put : put_nothing, to);
	size_t n = unmet + unexpected_theory(run, put, to);
	if (!n) {
		put(to, "not as expected");
		return 1;
	}
	return extent == KS_RP_ALL ? n : n - unmet;
}

int ks_rp_open(struct ks_rp_text *text, struct ks_err *err)
{
	*text = (struct ks_rp_text){0};
	text->f = open_memstream(&text->bytes, &text->len);
	return text->f ? 0 : ks_fail(err, KS_E_INTERNAL, "out of memory");
}

int ks_rp_finish(struct ks_rp_text *text, struct ks_err *err)
{
	int bad = ferror(text->f);
	bad |= fclose(text->f);
	text->f = NULL;
	return bad ? ks_fail(err, KS_E_INTERNAL, "out of memory") : 0;
}

void ks_rp_release(struct ks_rp_text *text)
{
	if (text->f)
		fclose(text->f);
	free(text->bytes);
	*text = (struct ks_rp_text){0};
}

/* A device or a pipe (/dev/stdout) is written as it is: a file renamed onto it would replace it. */
static bool replaceable(const char *path)
{
	struct stat st;
	return stat(path, &st) || S_ISREG(st.st_mode);
}

int ks_rp_save(struct ks_rp_text *text, const char *path, struct ks_err *err)
{
	char temp[4200];
	bool replace = replaceable(path);
	if (text->f && ks_rp_finish(text, err))
		return -1;
	if ((size_t)snprintf(temp, sizeof(temp), replace ? "%s.new" : "%s", path) >= sizeof(temp))
		return ks_fail(err, KS_E_USAGE, "path too long: \"%.200s...\"", path);
	FILE *f = fopen(temp, "we");
	if (!f)
		return ks_fail(err, KS_E_INTERNAL, "cannot write \"%s\": %s", path, strerror(errno));
	errno = 0;
	bool bad = fwrite(text->bytes, 1, text->len, f) != text->len;
	bad |= fclose(f) != 0;
	if (bad || (replace && rename(temp, path))) {
		int e = errno;
		if (replace)
			unlink(temp);
		return ks_fail(err, KS_E_INTERNAL, "cannot write \"%s\": %s", path, strerror(e));
	}
	return 0;
}

bool ks_rp_is_name(const char *id)
{
	size_t len = strlen(id);
	return len > 0 && len <= 200 && id[0] != '.' && !strchr(id, '/');
}

char *ks_rp_read(const char *path, size_t max, size_t *len)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return NULL;
	char *bytes = malloc(max + 1);
	*len = bytes ? fread(bytes, 1, max + 1, f) : 0;
	fclose(f);
	if (!bytes || *len > max) {
		free(bytes);
		return NULL;
	}
	bytes[*len] = 0;
	return bytes;
}
