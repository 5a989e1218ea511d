/* The writers on a result that has everything in it: kept, broken as expected, unmet, untested, failed, several seeds, a
 * canary, and text that tries to be markup. Golden files: run with KS_UPDATE_GOLDEN=1 to write them anew, then read the
 * difference. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "ks_compare.h"
#include "ks_report.h"
#include "ks_table.h"
#include "ks_test.h"
#include "report.h"

extern char **environ;

static char folder[] = "/tmp/keyskew-reports-XXXXXX";

static json_t *fixture(void)
{
	json_t *result = json_load_file("tests/result.json", 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	return result;
}

static char *in_folder(char path[4096], const char *name)
{
	snprintf(path, 4096, "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	char path[4096];
	FILE *f = fopen(in_folder(path, name), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

static void compare_golden(const char *name, const char *text)
{
	char path[4096];
	size_t len;
	snprintf(path, sizeof(path), "tests/golden/%s", name);
	if (getenv("KS_UPDATE_GOLDEN")) {
		FILE *f = fopen(path, "w");
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		fputs(text, f);
		fclose(f);
	}
	char *golden = ks_rp_read(path, 1u << 20, &len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(golden);
	CU_ASSERT_STRING_EQUAL(text, golden);
	if (strcmp(text, golden)) {
		size_t at = 0;
		while (text[at] && text[at] == golden[at])
			at++;
		printf("\n%s differs at byte %zu: got \"%.60s\", golden \"%.60s\"\n", name, at, text + at, golden + at);
	}
	free(golden);
}

static char *text_of(const json_t *result, bool colour, int width, const char *where)
{
	char *bytes = NULL;
	size_t len;
	FILE *f = open_memstream(&bytes, &len);
	CU_ASSERT_EQUAL(ks_report_text(result, f, colour, width, where), 0);
	fclose(f);
	return bytes;
}

static void test_text(void)
{
	json_t *result = fixture();
	char *text = text_of(result, false, 100, ".keyskew/last");
	compare_golden("text.txt", text);
	CU_ASSERT_PTR_NULL(strchr(text, '\033')); /* not ours, and not the hostile one either */
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "0 of 1200000, at most 2.5e-6 per key (95 %)"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "commanded -120ms, observed -120.000003ms"));
	free(text);
	text = text_of(result, true, 100, NULL);
	compare_golden("text-colour.txt", text);
	free(text);
	json_decref(result);
}

static void test_text_empty(void)
{
	json_t *result = json_pack("{s:[], s:{s:i, s:i}}", "runs", "summary", "expectations", 0, "met", 0);
	char *text = text_of(result, false, 80, NULL);
	CU_ASSERT_STRING_EQUAL(text, "0 of 0 expectations met\n");
	free(text);
	json_decref(result);
	result = json_object(); /* and nothing at all is no crash */
	text = text_of(result, false, 80, NULL);
	free(text);
	json_decref(result);
}

/* A disk that is full is an error, not a short summary. */
static void test_text_full(void)
{
	json_t *result = fixture();
	struct stat st;
	FILE *full = !stat("/dev/full", &st) && S_ISCHR(st.st_mode) ? fopen("/dev/full", "w") : NULL;
	CU_ASSERT_PTR_NOT_NULL_FATAL(full);
	CU_ASSERT_EQUAL(ks_report_text(result, full, false, 80, NULL), -1);
	fclose(full);
	json_decref(result);
}

static char *slurp(const char *name, size_t *len)
{
	char path[4096];
	char *bytes = ks_rp_read(in_folder(path, name), 64u << 20, len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	return bytes;
}

static size_t occurrences(const char *text, const char *word)
{
	size_t n = 0;
	for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
		n++;
	return n;
}

/* @return the exit status, or -1 when the program is not installed. */
static int run(const char *const *argv)
{
	pid_t pid;
	int status;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ))
		return -1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void test_junit(void)
{
	char path[4096];
	size_t len;
	struct ks_err err;
	json_t *result = fixture();
	CU_ASSERT_EQUAL_FATAL(ks_report_junit(result, in_folder(path, "junit.xml"), &err), 0);
	char *xml = slurp("junit.xml", &len);
	compare_golden("junit.xml", xml);
	for (size_t i = 0; i < len; i++)
		CU_ASSERT((unsigned char)xml[i] >= 0x20 || xml[i] == '\n');
	CU_ASSERT_EQUAL(occurrences(xml, "<testcase "), occurrences(xml, "</testcase>") + occurrences(xml, "time=\"0\"/>"));
	CU_ASSERT_EQUAL(occurrences(xml, "<error "), 1);
	CU_ASSERT_EQUAL(occurrences(xml, "<script"), 0);
	const char *const argv[] = {"xmllint", "--noout", path, NULL};
	int status = run(argv);
	if (status < 0)
		printf("\nskipped: well-formedness by xmllint, which is not installed\n");
	else
		CU_ASSERT_EQUAL(status, 0);
	free(xml);
	json_decref(result);
}

/* CI must be red whenever the exit code is: a run that is not as expected has a failure, whatever the reason. */
static void test_junit_never_green(void)
{
	char path[4096];
	size_t len;
	struct ks_err err;
	json_t *result = json_pack("{s:[{s:s, s:s, s:b, s:[{s:s, s:b}]}]}", "runs", "status", "judged", "scenario", "x", "as_expected",
	                           0, "expectations", "text", "refusals: 0", "met", 1);
	CU_ASSERT_EQUAL_FATAL(ks_report_junit(result, in_folder(path, "red.xml"), &err), 0);
	char *xml = slurp("red.xml", &len);
	CU_ASSERT_PTR_NOT_NULL(strstr(xml, "<failure message=\"not as expected\""));
	free(xml);
	json_object_set_new(json_array_get(json_object_get(result, "runs"), 0), "canary", json_true());
	CU_ASSERT_EQUAL_FATAL(ks_report_junit(result, path, &err), 0);
	xml = slurp("red.xml", &len);
	CU_ASSERT_PTR_NOT_NULL(strstr(xml, "canary trips (seed 0)\" time=\"0\"><failure"));
	free(xml);
	json_decref(result);
}

static void test_markdown(void)
{
	char path[4096];
	size_t len;
	struct ks_err err;
	json_t *result = fixture();
	CU_ASSERT_EQUAL_FATAL(ks_report_markdown(result, in_folder(path, "summary.md"), &err), 0);
	char *md = slurp("summary.md", &len);
	compare_golden("summary.md", md);
	CU_ASSERT_EQUAL(strncmp(md, "9 of 12 as expected\n", 20), 0);
	CU_ASSERT_PTR_NULL(strstr(md, "<script"));
	free(md);
	json_decref(result);
}

static void test_targets(void)
{
	struct ks_err err = {0};
	json_t *result = fixture();
	CU_ASSERT_EQUAL(ks_report_junit(result, "/nonexistent/junit.xml", &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nonexistent/junit.xml"));
	CU_ASSERT_EQUAL(ks_report_markdown(result, "/nonexistent/x", &err), -1);
	/* A device is written to, and is a device afterwards. (A pipe stands for it: nothing is put at risk.) */
	char path[4096];
	struct stat st;
	CU_ASSERT_EQUAL_FATAL(mkfifo(in_folder(path, "pipe"), 0600), 0);
	int reader = open(path, O_RDONLY | O_NONBLOCK);
	CU_ASSERT_EQUAL(ks_report_junit(result, path, &err), 0);
	char first[6] = "";
	CU_ASSERT_EQUAL(read(reader, first, 5), 5);
	CU_ASSERT_STRING_EQUAL(first, "<?xml");
	CU_ASSERT_EQUAL_FATAL(lstat(path, &st), 0);
	CU_ASSERT(S_ISFIFO(st.st_mode));
	close(reader);
	CU_ASSERT_EQUAL(ks_report_html(result, NULL, "/nonexistent", &err), -1);
	json_decref(result);
}

/* ---- plots ---- */

#define RUN "runs/ntp-step-back-unixmilli-sim-1"

/* Node names and faults that would end a string, start a command or be markup, were they not escaped. */
static void plant_run(void)
{
	char path[4096];
	mkdir(in_folder(path, "runs"), 0777);
	mkdir(in_folder(path, RUN), 0777);
	write_file(RUN "/clock.dat", "# a\n0 a 0\n10 a 0\n\n\n# b\n0 b 0\n10 b -120\n");
	write_file(RUN "/near-clock.dat", "# a\n9 a 0\n10 a 0\n\n\n# b\n9 b 0\n10 b -120\n");
	write_file(RUN "/dups.dat", "0 0 0\n10 120 0\n");
	write_file(RUN "/near-dups.dat", "9 0 0\n10 120 0\n");
	write_file(RUN "/meta.json",
	           "{\"generator\":\"g\",\"clock\":\"realtime\",\"dups_scope\":\"node\",\"nodes\":[\"a'; system(\\\"touch owned\\\") #\","
	           "\"b<script>\"],\"faults\":[{\"name\":\"x'\\n!touch owned\\n\",\"at_s\":9.5,\"nodes\":[\"b<script>\"]}],"
	           "\"near\":{\"from_s\":9,\"to_s\":10,\"about\":\"fault\"},\"end_s\":10,\"ranges\":{\"clock\":[-120,0],"
	           "\"near-clock\":[-120,0],\"dups\":[0,120],\"near-dups\":[0,120]},\"counts\":{\"dups\":[\"duplicates\"]},\"missing\":{\"keytime\":\"the keys hold no <time>\"},"
	           "\"control\":true}");
}

static bool have_gnuplot(void)
{
	const char *const argv[] = {"gnuplot", "--version", NULL};
	int out = dup(1), null = open("/dev/null", O_WRONLY);
	fflush(stdout);
	dup2(null, 1);
	int status = run(argv);
	dup2(out, 1);
	close(out);
	close(null);
	if (status)
		printf("\nskipped: gnuplot is not installed\n");
	return status == 0;
}

static void test_plots(void)
{
	char path[4096];
	size_t len;
	struct ks_err err = {0};
	struct stat st;
	if (!have_gnuplot())
		return;
	json_t *result = fixture();
	plant_run();
	CU_ASSERT_EQUAL(ks_report_plots(result, folder, 2, &err), 0);
	CU_ASSERT_STRING_EQUAL(err.text, "");
	CU_ASSERT_EQUAL(access(in_folder(path, RUN "/owned"), F_OK), -1);
	CU_ASSERT_EQUAL(access(in_folder(path, RUN "/keytime.gp"), F_OK), -1);
	CU_ASSERT_EQUAL(access(in_folder(path, RUN "/dups.svg"), F_OK), 0);
	char *svg = slurp(RUN "/clock.svg", &len);
	CU_ASSERT_PTR_NOT_NULL(strstr(svg, "keep true time?"));
	CU_ASSERT_PTR_NULL(strstr(svg, "<script"));
	CU_ASSERT_PTR_NOT_NULL(strstr(svg, "</svg>"));
	CU_ASSERT(len < 60000);
	free(svg);
	/* The script draws the same again by hand. */
	CU_ASSERT_EQUAL(stat(in_folder(path, RUN "/clock.gp"), &st), 0);
	char cwd[4096];
	CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(cwd, sizeof(cwd)));
	CU_ASSERT_EQUAL_FATAL(chdir(in_folder(path, RUN)), 0);
	unlink("clock.svg");
	const char *const argv[] = {"gnuplot", "clock.gp", NULL};
	CU_ASSERT_EQUAL(run(argv), 0);
	CU_ASSERT_EQUAL(access("clock.svg", F_OK), 0);
	CU_ASSERT_EQUAL_FATAL(chdir(cwd), 0);
	json_decref(result);
}

static void test_plots_failure(void)
{
	char path[4096];
	struct ks_err err = {0};
	if (!have_gnuplot())
		return;
	json_t *result = fixture();
	plant_run();
	unlink(in_folder(path, RUN "/near-clock.dat"));
	CU_ASSERT_EQUAL(ks_report_plots(result, folder, 3, &err), -1);
	CU_ASSERT_EQUAL(err.code, KS_E_INTERNAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "near-clock.dat"));
	write_file(RUN "/meta.json", "{ not json");
	CU_ASSERT_EQUAL(ks_report_plots(result, folder, 1, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "meta.json"));
	json_decref(result);
}

/* A run whose id is a path must not lead out of the folder. */
static void test_plots_outside(void)
{
	struct ks_err err = {0};
	json_t *result = json_pack("{s:[{s:s},{s:s},{s:s}]}", "runs", "id", "../../etc", "id", "..", "id", "");
	CU_ASSERT_EQUAL(ks_report_plots(result, folder, 1, &err), 0);
	json_decref(result);
}

static void test_svg_compact(void)
{
	char path[4096];
	size_t len;
	struct ks_err err;
	write_file("x.svg", "<svg>\n<title>Gnuplot</title>\n<g a='1'>\n<g b='2'>\n</g>\n</g>\n<defs><path id='gpPt0'/></defs>\n"
	                    "<path stroke='red'  d='M10.04,20.00 L10.06,20.00 L30.00,19.70 M5.5,5.5 L5.5,-5.55  '/>\n<text>a  b</text><g font-family=\"x:Bold\" y>t</g><g stroke-width=\"1.00\"><g><a/></g> <g z><b/></g></g></svg>");
	CU_ASSERT_EQUAL_FATAL(ks_rp_svg_compact(in_folder(path, "x.svg"), &err), 0);
	char *svg = slurp("x.svg", &len);
	CU_ASSERT_STRING_EQUAL(svg, "<svg>\n<path stroke='red' d='M10,20l.1,0l19.9-.3m-24.5-14.2l0-11.1'/>\n<text>a b</text><g font-family='x' font-weight='bold' y>t</g><a/>\n<g z><b/></g></svg>");
	/* Words of tags only: what a label says stays. */
	write_file("x.svg", "<svg><g id=\"gnuplot_canvas\"><rect fill=\"#ffffff\"/><g stroke-width=\"1.00\" font-size=\"13.00\" fill=\"rgb(95, 99,104)\"><text> stroke-width=\"1.00\" :Bold\"</text>"
	                    "</g></g></svg>");
	CU_ASSERT_EQUAL_FATAL(ks_rp_svg_compact(in_folder(path, "x.svg"), &err), 0);
	free(svg);
	svg = slurp("x.svg", &len);
	CU_ASSERT_STRING_EQUAL(svg, "<svg><g fill='none' stroke='currentColor' font-family='sans-serif' font-size='12'><rect fill='#fff' stroke='none'/>"
	                            "<g font-size='13' fill='#5f6368'><text> stroke-width=\"1.00\" :Bold\"</text></g></g></svg>");
	free(svg);
}

/* ---- the page ---- */

static void test_html(void)
{
	char path[4096];
	size_t len;
	struct ks_err err;
	json_t *result = fixture();
	plant_run();
	write_file(RUN "/clock.svg", "<svg xmlns=\"x\"><text>50% #1 \"q\" & <script>alert(1)</script></text></svg>\n");
	FILE *f = fopen(in_folder(path, RUN "/dups.svg"), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(ftruncate(fileno(f), 5 << 20), 0); /* too large to inline */
	fclose(f);
	CU_ASSERT_EQUAL_FATAL(ks_report_html(result, NULL, folder, &err), 0);
	char *html = slurp("index.html", &len);
	CU_ASSERT(len < 200000);
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "<main>\n<h1 class=surprise>9 of 12 as expected</h1>"));
	/* The only elements of their kind are the page's own. The image's text is inside a quoted address. */
	CU_ASSERT_EQUAL(occurrences(html, "<script>"), 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "src=\"data:image/svg+xml;charset=utf-8,<svg xmlns=%22x%22><text>50%25 %231 %22q%22 &amp; <script>"));
	CU_ASSERT_PTR_NULL(strstr(html, "alert('x')"));
	CU_ASSERT_PTR_NULL(strstr(html, "http://"));
	CU_ASSERT_PTR_NULL(strstr(html, "https://"));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "src=\"" RUN "/dups.svg\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "No plot of key times: the keys hold no &lt;time&gt;."));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "first: n2 p0 t0 (1768471209880 at 10s), after n2 p0 t0"));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "<b>shard&lt;b&gt;-table</b>"));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "untested: the keys name no &lt;span&gt; of time, so no shard"));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "reported: the gateway charges twice; measured: payment-gateway.double_charges 120 (control 0), as reported"));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "href=\"#run-ntp-step-back-unixmilli-sim-1\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "id=\"run-ntp-step-back-unixmilli-sim-1\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "title: &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\\x1b[31m\\u202e"));
	for (size_t i = 0; i < len; i++)
		CU_ASSERT((unsigned char)html[i] >= 0x20 || html[i] == '\n' || html[i] == '\t');
	free(html);
	json_decref(result);
}

/* What the text of base64 holds, inflated; free() it. */
static char *unpacked(const char *text, size_t len, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char *bytes = malloc(len);
	char *out = calloc(1, size + 1);
	size_t n = 0;
	unsigned bits = 0;
	for (size_t i = 0; i < len && text[i] != '='; i++) {
		bits = bits << 6 | (unsigned)(strchr(digits, text[i]) - digits);
		if (i % 4)
			bytes[n++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
	}
	uLongf got = (uLongf)size;
	CU_ASSERT_EQUAL(uncompress((Bytef *)out, &got, bytes, (uLong)n), Z_OK);
	free(bytes);
	return out;
}

/* Many pictures are packed; what does not fit stays a file; those of surprises come first. */
static void test_html_packed(void)
{
	char path[4096];
	size_t len, size = 3u << 20;
	struct ks_err err;
	json_t *result = fixture();
	plant_run();
	FILE *f = fopen(in_folder(path, RUN "/clock.svg"), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs("<svg><text>the first</text>", f);
	for (size_t i = 0; i < size / 8; i++)
		fputs("<g></g>\n", f);
	fputs("</svg>", f);
	fclose(f);
	write_file(RUN "/dups.svg", "<svg><text>the second</text></svg>");
	CU_ASSERT_EQUAL_FATAL(ks_report_html(result, NULL, folder, &err), 0);
	char *html = slurp("index.html", &len);
	CU_ASSERT(len < 200000);
	CU_ASSERT_PTR_NOT_NULL(strstr(html, "data-pack=\"0.0\"><noscript><img src=\"" RUN "/clock.svg\""));
	char *pack = strstr(html, "class=\"pack\">");
	CU_ASSERT_PTR_NOT_NULL_FATAL(pack);
	pack += strlen("class=\"pack\">");
	char *text = unpacked(pack, strcspn(pack, "<"), size + 100);
	CU_ASSERT_NSTRING_EQUAL(text, "<svg><text>the first</text>", 27);
	CU_ASSERT_EQUAL(strlen(text), strlen("<svg><text>the first</text></svg>") + size);
	free(text);
	/* the first was larger than a pack may be */
	CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(html, "data-pack=\"1.0\""));
	CU_ASSERT_EQUAL(occurrences(html, "class=\"pack\""), 2);
	free(html);
	json_decref(result);
}

static char *table_text(const struct ks_table *t, size_t width)
{
	char *bytes = NULL;
	size_t len;
	FILE *f = open_memstream(&bytes, &len);
	ks_table_print(t, f, 1, width);
	fclose(f);
	return bytes;
}

/* Natural, narrowed at spaces, told line by line; columns are characters; what it shows is safe. */
static void test_table(void)
{
	struct ks_table t = {.columns = 3, .title = {"name", "n", "what it does"}, .right = {false, true, false}, .gap = 2};
	static const char *const wide[] = {"\u00e9t\u00e9", "7", "moves the wall clock at once"}, *const hostile[] = {"b\033[31m", "120", ""};
	CU_ASSERT_EQUAL(ks_table_add(&t, wide, NULL), 0);
	CU_ASSERT_EQUAL(ks_table_add(&t, hostile, NULL), 0);
	static const struct {
		size_t width;
		const char *text;
	} cases[] = {{0, " name         n  what it does\n \u00e9t\u00e9          7  moves the wall clock at once\n b\\x1b[31m  120\n"},
	             {33, " name         n  what it does\n \u00e9t\u00e9          7  moves the wall\n                 clock at once\n b\\x1b[31m  120\n"},
	             {17, " \u00e9t\u00e9\n   n: 7\n   what it does:\n     moves the\n     wall clock\n     at once\n b\\x1b[31m\n   n: 120\n"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = table_text(&t, cases[i].width);
		CU_ASSERT_STRING_EQUAL(text, cases[i].text);
		if (strcmp(text, cases[i].text))
			printf("\n%zu columns:\n%s", cases[i].width, text);
		free(text);
	}
	ks_table_release(&t);
}

/* No line of a comparison is longer than the terminal. */
static void test_compare_folded(void)
{
	json_t *result = fixture();
	for (int width = 40; width <= 120; width += 20) {
		char *bytes = NULL, *save;
		size_t len;
		FILE *f = open_memstream(&bytes, &len);
		CU_ASSERT_EQUAL(ks_compare_text(result, NULL, f, false, width), 0);
		fclose(f);
		CU_ASSERT_PTR_NOT_NULL(strstr(bytes, "unixmilli"));
		for (char *line = strtok_r(bytes, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			if (strlen(line) > (size_t)width && strchr(line + strspn(line, " "), ' ') && !strstr(line, "script")) { /* words are kept */
				printf("\n%d columns: %s\n", width, line);
				CU_FAIL("a line is longer than the terminal");
			}
		free(bytes);
	}
	json_decref(result);
}

static void test_numbers(void)
{
	char buf[KS_RP_NUMBER];
	CU_ASSERT_STRING_EQUAL(ks_rp_ns_like(buf, -120000003, -120000000), "-120.000003ms");
	CU_ASSERT_STRING_EQUAL(ks_rp_ns_like(buf, INT64_MIN, INT64_MIN), "-9223372036.854775808s");
	CU_ASSERT_STRING_EQUAL(ks_rp_ns_like(buf, 50, 1000000000), "0.00000005s");
	CU_ASSERT_STRING_EQUAL(ks_rp_number(buf, "stall_ns_max", 0), "0s");
	CU_ASSERT_STRING_EQUAL(ks_rp_number(buf, "stale_ns_max", INT64_C(599999999999)), "599.999999999s");
	CU_ASSERT_STRING_EQUAL(ks_rp_number(buf, "stale_ns_max", INT64_C(19794249441129)), "5h29m54s");
	CU_ASSERT_STRING_EQUAL(ks_rp_number(buf, "stale_ns_max", INT64_MIN), "-2562047h47m16s");
	CU_ASSERT_STRING_EQUAL(ks_rp_number(buf, "refusals", -7), "-7");
	CU_ASSERT_STRING_EQUAL(ks_rp_small(buf, 2.5e-6), "2.5e-6");
	CU_ASSERT_STRING_EQUAL(ks_rp_small(buf, 1e-12), "1e-12");
}

int main(void)
{
	static const struct ks_test tests[] = {{"text", test_text},
	                                       {"text of nothing", test_text_empty},
	                                       {"text to a full disk", test_text_full},
	                                       {"junit", test_junit},
	                                       {"junit is red when the run is", test_junit_never_green},
	                                       {"markdown", test_markdown},
	                                       {"odd targets", test_targets},
	                                       {"plots", test_plots},
	                                       {"plots that fail", test_plots_failure},
	                                       {"plots outside the folder", test_plots_outside},
	                                       {"svg made small", test_svg_compact},
	                                       {"html", test_html},
	                                       {"html with packed pictures", test_html_packed},
	                                       {"table", test_table},
	                                       {"comparison, folded", test_compare_folded},
	                                       {"numbers", test_numbers},
	                                       {NULL, NULL}};
	if (!mkdtemp(folder))
		return 2;
	int failed = ks_test_main("reports", tests);
	const char *const argv[] = {"rm", "-r", folder, NULL};
	run(argv);
	return failed;
}
