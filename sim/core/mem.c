#include "ks_mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long fail_in; /* 0: never */

void ks_mem_fail_at(long n)
{
	fail_in = n;
}

static int must_fail(void)
{
	return fail_in && --fail_in == 0;
}

void *ks_alloc(size_t n, size_t size)
{
	if (must_fail())
		return NULL;
	return calloc(n ? n : 1, size);
}

void *ks_grow(void *p, size_t old_n, size_t new_n, size_t size)
{
	size_t bytes;
	if (must_fail() || __builtin_mul_overflow(new_n, size, &bytes))
		return NULL;
	char *q = realloc(p, bytes ? bytes : 1);
	if (q && new_n > old_n)
		memset(q + old_n * size, 0, (new_n - old_n) * size);
	return q;
}

void *ks_resize(void *p, size_t n, size_t size)
{
	size_t bytes;
	if (must_fail() || __builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return realloc(p, bytes ? bytes : 1);
}

void ks_free(void *p)
{
	free(p);
}

char *ks_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = ks_alloc(n, 1);
	return p ? memcpy(p, s, n) : NULL;
}

void *ks_stack_alloc(size_t *size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	*size = (*size + page - 1) / page * page;
	if (must_fail())
		return NULL;
	char *base = mmap(NULL, *size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	if (mprotect(base, page, PROT_NONE)) {
		munmap(base, *size + page);
		return NULL;
	}
	return base + page;
}

void ks_stack_free(void *lowest, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	munmap((char *)lowest - page, size + page);
}
