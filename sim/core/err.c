#include "ks_err.h"

#include <stdio.h>
#include <string.h>

int ks_fail(struct ks_err *err, enum ks_errcode code, const char *fmt, ...)
{
	va_list ap;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return -1;
}

int ks_fail_in(struct ks_err *err, const char *fmt, ...)
{
	char context[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(context, sizeof context, fmt, ap);
	va_end(ap);
	size_t n = strlen(context), room = sizeof err->text - n - 3, old = strlen(err->text);
	if (old > room)
		old = room; /* the end of a long chain is cut, not its beginning */
	memmove(err->text + n + 2, err->text, old);
	memcpy(err->text, context, n);
	memcpy(err->text + n, ": ", 2);
	err->text[n + 2 + old] = 0;
	return -1;
}
