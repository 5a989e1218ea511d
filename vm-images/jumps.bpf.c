/* Capture of clock jumps, the half in the kernel: at the beginning and at the end of every function that sets or bends a clock it
 * looks at how far REALTIME is ahead of MONOTONIC, and tells who called and by how much that moved.
 *
 * One program for all beginnings and one for all ends; the cookie says which function it is. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "jumps.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The parts of the kernel's structures that are read; where they lie is found out when this is loaded (CO-RE). */
struct timekeeper {
	__s64 offs_real;
} __attribute__((preserve_access_index));
struct __kernel_timex {
	unsigned modes;
} __attribute__((preserve_access_index));
struct pt_regs {
	unsigned long di, si, ax;
} __attribute__((preserve_access_index));

struct begun {
	__s64 ahead_ns;
	__u32 arg;
};
struct call {
	__u64 thread;
	__u64 what;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct jump_settings);
} settings SEC(".maps");
struct { /* how far REALTIME was ahead when the last hook was left */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __s64);
} settled SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct call);
	__type(value, struct begun);
} calls SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");
struct { /* for which there was no room */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static const __u32 zero;

static __always_inline __s64 ahead(const struct jump_settings *s)
{
	__s64 offset = 0;

	if (s->timekeeper) {
		const struct timekeeper *tk = (const struct timekeeper *)s->timekeeper;
		if (bpf_core_read(&offset, sizeof(offset), &tk->offs_real) == 0)
			return offset;
	}
	return (__s64)(bpf_ktime_get_tai_ns() - bpf_ktime_get_ns());
}

/* Of a system call the registers of its caller are the first argument. */
static __always_inline __u32 argument(struct pt_regs *regs, __u64 kind)
{
	unsigned long first = BPF_CORE_READ(regs, di), pointer = 0;
	const struct pt_regs *user = (const struct pt_regs *)first;
	__u32 value = 0;

	if (kind == ARG_CLOCK)
		value = (__u32)BPF_CORE_READ(user, di);
	else if (kind == ARG_MODES)
		value = BPF_CORE_READ((const struct __kernel_timex *)first, modes);
	else if (kind == ARG_USER_MODES)
		pointer = BPF_CORE_READ(user, di);
	else if (kind == ARG_USER_MODES_2)
		pointer = BPF_CORE_READ(user, si);
	if (pointer)
		bpf_probe_read_user(&value, sizeof(value), (const void *)pointer);
	return value;
}

SEC("kprobe")
int on_begin(struct pt_regs *regs)
{
	const struct jump_settings *s = bpf_map_lookup_elem(&settings, &zero);
	__u64 cookie = bpf_get_attach_cookie(regs);
	struct call call = {.thread = bpf_get_current_pid_tgid(), .what = cookie & 0xff};
	__s64 *last = bpf_map_lookup_elem(&settled, &zero);

	if (!s || !last)
		return 0;
	struct begun begun = {.ahead_ns = cookie >> 8 & 0xff ? *last : ahead(s), .arg = argument(regs, cookie >> 16 & 0xff)};
	bpf_map_update_elem(&calls, &call, &begun, BPF_ANY);
	return 0;
}

static __always_inline void tell(const struct call *call, const struct begun *begun, __s64 now, int ret)
{
	struct jump_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		__u64 *n = bpf_map_lookup_elem(&lost, &zero);
		if (n)
			__sync_fetch_and_add(n, 1);
		return;
	}
	e->mono_ns = bpf_ktime_get_ns();
	e->delta_ns = now - begun->ahead_ns;
	e->ahead_ns = now;
	e->pid = (__u32)(call->thread >> 32);
	e->what = (__u32)call->what;
	e->arg = begun->arg;
	e->ret = ret;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	bpf_ringbuf_submit(e, 0);
}

SEC("kretprobe")
int on_end(struct pt_regs *regs)
{
	const struct jump_settings *s = bpf_map_lookup_elem(&settings, &zero);
	__u64 cookie = bpf_get_attach_cookie(regs);
	struct call call = {.thread = bpf_get_current_pid_tgid(), .what = cookie & 0xff};
	struct begun *begun = bpf_map_lookup_elem(&calls, &call);

	if (!s || !begun)
		return 0;
	__s64 now = ahead(s);
	if (s->looks || (__u32)(call.thread >> 32) != s->self)
		tell(&call, begun, now, (int)BPF_CORE_READ(regs, ax));
	bpf_map_update_elem(&settled, &zero, &now, BPF_ANY);
	bpf_map_delete_elem(&calls, &call);
	return 0;
}
