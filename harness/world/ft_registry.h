/* The registry of a fleet of real processes: leases worker ids and keeps the times that processes report, as the simulation's
 * does (sim/engine/registry.c). A process is known by its node and number: one that was started anew gets its own id again. */
#ifndef KS_FT_REGISTRY_H
#define KS_FT_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "ks_wire.h"

struct ks_ft_registry {
	struct ks_registered *process;
	bool *cut_off; /* of each node: what it asks gets lost */
	uint32_t processes, nodes;
	uint64_t leases;
};

/* processes: of a node. @return 0, or -1: out of memory; released either way. */
int ks_ft_registry_init(struct ks_ft_registry *registry, uint32_t nodes, uint32_t processes);
void ks_ft_registry_release(struct ks_ft_registry *registry);

/* Turns a question into its answer. @return false when it is none. */
bool ks_ft_registry_answer(struct ks_ft_registry *registry, uint32_t node, uint32_t process, struct ks_wire_registry *message);

#endif
