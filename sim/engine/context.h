/* Switching between stacks of one host thread, without a system call, with the sanitizers told. x86-64.
 *
 * A context that is switched away from with `dies` is never switched to again; its stack may be reused once the
 * other side runs. */
#ifndef KS_CONTEXT_H
#define KS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

struct ks_context {
	void *sp;
	const void *low; /* of its stack; of the host's own stack: learnt at the first switch away */
	size_t size;
	void *fake;  /* AddressSanitizer: its fake stack */
	void *fiber; /* ThreadSanitizer */
	void (*entry)(void *arg);
	void *arg;
	struct ks_context *from; /* who switched here last */
};

/* The stack that is running now, before the first switch. */
void ks_context_main(struct ks_context *c);
/* A context that will run entry(arg) on the stack [low, low + size). entry never returns. Reuses c's resources. */
void ks_context_make(struct ks_context *c, void *low, size_t size, void (*entry)(void *), void *arg);
void ks_context_switch(struct ks_context *from, struct ks_context *to, bool dies);
void ks_context_release(struct ks_context *c);

#endif
