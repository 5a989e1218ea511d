#include "context.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef __x86_64__
#error "the simulation switches stacks on x86-64 only"
#endif

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

/* Saves what the System V ABI lets a function keep, swaps stack pointers, restores. */
void ks_context_swap(void **save_sp, void *to_sp);
__asm__(".text\n"
        ".globl ks_context_swap\n"
        ".hidden ks_context_swap\n"
        ".type ks_context_swap,@function\n"
        "ks_context_swap:\n"
        "	pushq %rbp\n"
        "	pushq %rbx\n"
        "	pushq %r12\n"
        "	pushq %r13\n"
        "	pushq %r14\n"
        "	pushq %r15\n"
        "	movq %rsp, (%rdi)\n"
        "	movq %rsi, %rsp\n"
        "	popq %r15\n"
        "	popq %r14\n"
        "	popq %r13\n"
        "	popq %r12\n"
        "	popq %rbx\n"
        "	popq %rbp\n"
        "	ret\n"
        ".size ks_context_swap,.-ks_context_swap\n");

/* A new context starts here with its ks_context in rbx. */
void ks_context_start(void);
void ks_context_enter(struct ks_context *c);
__asm__(".text\n"
        ".hidden ks_context_start\n"
        ".type ks_context_start,@function\n"
        "ks_context_start:\n"
        "	movq %rbx, %rdi\n"
        "	xorl %ebp, %ebp\n"
        "	call ks_context_enter\n"
        "	ud2\n"
        ".size ks_context_start,.-ks_context_start\n");

__attribute__((visibility("hidden"))) void ks_context_enter(struct ks_context *c)
{
#ifdef __SANITIZE_ADDRESS__
	const void *low;
	size_t size;
	__sanitizer_finish_switch_fiber(NULL, &low, &size);
	if (!c->from->low) {
		c->from->low = low;
		c->from->size = size;
	}
#endif
	c->entry(c->arg);
	abort(); /* entry never returns */
}

void ks_context_main(struct ks_context *c)
{
	*c = (struct ks_context){0};
#ifdef __SANITIZE_THREAD__
	c->fiber = __tsan_get_current_fiber();
#endif
}

void ks_context_make(struct ks_context *c, void *low, size_t size, void (*entry)(void *), void *arg)
{
	ks_context_release(c);
	*c = (struct ks_context){.low = low, .size = size, .entry = entry, .arg = arg};
#ifdef __SANITIZE_ADDRESS__
	__asan_unpoison_memory_region(low, size); /* what frames that died here had marked */
#endif
	void **top = (void **)(((uintptr_t)low + size) & ~(uintptr_t)15);
	*--top = NULL;
	*--top = NULL; /* two words, so that rsp is 16-byte aligned at the call in ks_context_start */
	*--top = (void *)(uintptr_t)ks_context_start;
	void *registers[6] = {0}; /* r15 r14 r13 r12 rbx rbp, as the swap pops them */
	registers[4] = c;
	top -= 6;
	memcpy(top, registers, sizeof registers);
	c->sp = top;
#ifdef __SANITIZE_THREAD__
	c->fiber = __tsan_create_fiber(0);
#endif
}

void ks_context_switch(struct ks_context *from, struct ks_context *to, bool dies)
{
	to->from = from;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(dies ? NULL : &from->fake, to->low, to->size);
#else
	(void)dies;
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
	ks_context_swap(&from->sp, to->sp);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
#endif
}

void ks_context_release(struct ks_context *c)
{
#ifdef __SANITIZE_THREAD__
	if (c->fiber && c->entry)
		__tsan_destroy_fiber(c->fiber);
#endif
	c->fiber = NULL;
}
