/* Lines of programs that are asked: whatever they are, what they say lies within the line and within its limits. */
#include <stdint.h>

#include "ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ks_ask_line said;
	const char *line = (const char *)data;
	const char *expected = ks_ask_parse(line, size, &said);
	if (expected) {
		if (!*expected)
			__builtin_trap();
		return 0;
	}
	if (said.text && (said.text < line || said.text + said.len > line + size))
		__builtin_trap();
	if (said.bytes > KS_ASK_RANDOM_MAX || said.sleep_ns < 0 || said.sleep_ns > INT64_C(3600000000000))
		__builtin_trap();
	if (said.kind == KS_ASK_KEY && (!said.len || said.len >= KS_KEY_TEXT))
		__builtin_trap();
	return 0;
}
