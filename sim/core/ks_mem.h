/* The one place where sim/ takes memory from the host. Bounded, counted, and able to fail on demand. */
#ifndef KS_MEM_H
#define KS_MEM_H

#include <stddef.h>

/* Zeroed memory for n items of size bytes. @return NULL when there is none or when n * size overflows. */
void *ks_alloc(size_t n, size_t size);
/* Grows p from old_n to new_n items, the new ones zeroed. @return NULL and p stays valid. */
void *ks_grow(void *p, size_t old_n, size_t new_n, size_t size);
/* The same, the new ones not zeroed: pages that are never written take no memory. */
void *ks_resize(void *p, size_t n, size_t size);
void ks_free(void *p);
char *ks_strdup(const char *s);

/* A stack for a thread of the simulation: *size bytes (rounded up to pages), an unreadable guard page below.
 * @return its lowest usable address, or NULL. */
void *ks_stack_alloc(size_t *size);
void ks_stack_free(void *lowest, size_t size);

/* For tests: the n-th allocation from now fails (0: none does). Not thread safe. */
void ks_mem_fail_at(long n);

#endif
