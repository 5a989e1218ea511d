/* Fuzz target of the scenario and suite parsers: whatever the bytes, no crash and a proper error; and a plan that
 * loads comes back the same from its effective form. Built as a libFuzzer target with KS_FUZZ, and as part of
 * test_fuzz_replay in every build. */
#include "fuzz_scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ks_mem.h"
#include "ks_plan.h"

static void require(bool holds, const char *what, const char *detail)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_scenario: %s\n%s\n", what, detail);
	abort();
}

static char *write_plan(const struct ks_plan *plan, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	require(out && !ks_plan_write(plan, out) && !fclose(out), "cannot write", "");
	return text;
}

static void check_error(const struct ks_err *err)
{
	require(err->code == KS_E_USAGE && *err->text, "an error without code or text", err->text);
	for (const char *p = err->text; *p; p++)
		require((unsigned char)*p >= 0x20 && *p != 0x7f, "an error that acts on the terminal", err->text);
}

static void check_plan(const struct ks_plan *plan)
{
	char about[1024];
	struct ks_err err = {0};
	struct ks_plan again;
	struct ks_fault_event *events;
	uint32_t n;
	size_t len, len2;
	require(!ks_plan_events(plan, 1, &events, &n, &err), "no events", err.text);
	ks_free(events);
	require(*ks_plan_about(plan, about, sizeof about) != 0, "no description", "");
	char *text = write_plan(plan, &len);
	if (len <= KS_FILE_MAX) { /* a node list of a full file grows beyond it when its defaults are written */
		require(!ks_plan_parse(text, len, "again.yaml", NULL, 0, &again, &err), err.text, text);
		char *text2 = write_plan(&again, &len2);
		require(len == len2 && !memcmp(text, text2, len), "the effective form changes when it is loaded", text);
		free(text2);
		ks_plan_release(&again);
	}
	free(text);
}

/* The bytes are a file; what follows a line "--set" is PATH=VALUE. */
static size_t split_set(const char *text, size_t len, char path[256], char value[256])
{
	static const char mark[] = "\n--set ";
	const char *at = memmem(text, len, mark, sizeof mark - 1);
	*path = *value = 0;
	if (!at)
		return len;
	const char *from = at + sizeof mark - 1, *end = text + len, *eq = memchr(from, '=', (size_t)(end - from));
	if (eq && eq - from < 256 && end - eq <= 256) {
		snprintf(path, 256, "%.*s", (int)(eq - from), from);
		snprintf(value, 256, "%.*s", (int)(end - eq - 1), eq + 1);
	}
	return (size_t)(at - text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[256], value[256];
	struct ks_plan plan;
	struct ks_suite suite;
	struct ks_err err = {0};
	size_t len = split_set((const char *)data, size, path, value);
	const struct ks_set set = {path, value};
	if (ks_plan_parse((const char *)data, len, "fuzz.yaml", &set, *path != 0, &plan, &err)) {
		check_error(&err);
	} else {
		check_plan(&plan);
		ks_plan_release(&plan);
	}
	err = (struct ks_err){0};
	if (ks_suite_parse((const char *)data, len, "fuzz.yaml", &suite, &err))
		check_error(&err);
	else
		ks_suite_release(&suite);
	return 0;
}
