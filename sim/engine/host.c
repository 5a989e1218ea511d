/* Who a process is where it lives: pids, addresses, and the worker ids that people make of them. */
#include "ks_engine.h"

uint64_t ks_host_pid(enum ks_host host, uint64_t seed, uint64_t process, uint32_t in_node, uint32_t incarnation)
{
	if (host == KS_HOST_CONTAINER && in_node == 0)
		return 1;
	return (uint64_t)ks_rand_in(ks_rand_at(seed, KS_STREAM_PROCESS, process, incarnation), 2, 4194303);
}

/* Docker's default bridge: 172.17.0.2 onwards. */
uint64_t ks_host_ip(uint32_t node)
{
	return UINT64_C(0xac110002) + node;
}

uint64_t ks_host_mac(enum ks_host host, uint64_t seed, uint32_t node)
{
	if (host == KS_HOST_CONTAINER)
		return UINT64_C(0x0242) << 32 | ks_host_ip(node);
	/* a maker's prefix, and what was burnt in */
	return UINT64_C(0x3cfdfe) << 24 | (ks_rand_at(seed, KS_STREAM_PROCESS, UINT64_C(1) << 40 | node, 0) & 0xffffff);
}

/* Java's hash of two numbers, written one after the other. */
static uint32_t text_hash(uint64_t a, uint64_t b)
{
	char digits[48];
	uint32_t n = 0, h = 0;
	for (int part = 0; part < 2; part++) { /* backwards: b, then a before it */
		uint64_t v = part ? a : b;
		do
			digits[n++] = (char)('0' + v % 10);
		while (v /= 10);
	}
	while (n)
		h = 31 * h + (unsigned char)digits[--n];
	return h;
}

uint64_t ks_worker_of_mac(uint64_t mac, uint64_t pid)
{
	uint64_t two = (mac >> 8 & 0xff) | (mac & 0xff) << 8; /* the last but one byte, and above it the last */
	uint64_t datacenter = (two >> 6) % 32;
	return datacenter << 5 | (text_hash(datacenter, pid) & 0xffff) % 32;
}
