/* Errors: a code and a chain of context, gathered while the stack unwinds. Only main prints and exits.
 *
 * Text is lower case, the problem first, the subject quoted, no full stop. Functions that can fail take a
 * `struct ks_err *` last and return -1 (or NULL) after filling it. */
#ifndef KS_ERR_H
#define KS_ERR_H

#include <stdarg.h>

enum ks_errcode {
	KS_OK = 0,
	KS_E_USAGE = 2,     /* a command line or a file is wrong; nothing ran */
	KS_E_JUDGE = 3,     /* could not be judged: no such world here, a fault not proven, a subject died */
	KS_E_NOMATCH = 4,   /* nothing matched what was asked for */
	KS_E_INTERNAL = 5,  /* keyskew itself failed: out of memory, disk full, a bug */
};

struct ks_err {
	enum ks_errcode code;
	char text[1200];
};

/* Sets the error. @return -1, so that `return ks_fail(...)` reads well. */
int ks_fail(struct ks_err *err, enum ks_errcode code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "CONTEXT: " before the text that is there. @return -1. */
int ks_fail_in(struct ks_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
