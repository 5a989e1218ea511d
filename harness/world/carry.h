/* What a program needs to run on another machine of the same kind: its file, the libraries and the interpreter that it is started
 * with, the files that its command names. Everything keeps the path that it has here.
 *
 * Libraries are what the program's own dynamic loader says it would load. A script brings the interpreter of its first line.
 * Of interpreters that read more files than they link to, Python and Perl are known, and asked for their folders. */
#ifndef KS_CARRY_H
#define KS_CARRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ks_err.h"

#define KS_CARRY_FILES_MAX 20000
#define KS_CARRY_BYTES_MAX ((int64_t)160 << 20)

struct ks_carry_file {
	char *path; /* absolute */
	char *link; /* what it points at; NULL: it is a file */
	mode_t mode;
	int64_t size, mtime_s;
};

struct ks_carry {
	struct ks_carry_file *file;
	size_t n, cap;
	int64_t bytes;
	char *program; /* its absolute path: what stands for the first word of the command there */
	bool dynamic;  /* it has a dynamic loader, so that a library can be preloaded */
	bool missing;  /* it cannot be run here either: there is none, or it is no program */
	char why[300]; /* why it cannot be carried */
};

/* @param words of the command, placeholders replaced; end with NULL. @param folder where it runs; "": here.
 * @return 0, or -1 with carry->why. To be released in any case. */
int ks_carry_program(struct ks_carry *carry, const char *folder, char *const *words);
/* One more program, or library, with what it needs; path absolute. */
int ks_carry_add(struct ks_carry *carry, const char *path);
void ks_carry_release(struct ks_carry *carry);

#endif
