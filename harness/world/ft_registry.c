#include "ft_registry.h"

#include "ks_mem.h"

struct ks_registered {
	bool leased, has_reported;
	uint64_t worker, reported;
};

int ks_ft_registry_init(struct ks_ft_registry *registry, uint32_t nodes, uint32_t processes)
{
	*registry = (struct ks_ft_registry){.nodes = nodes, .processes = processes};
	registry->process = ks_alloc((size_t)nodes * processes, sizeof(*registry->process));
	registry->cut_off = ks_alloc(nodes, sizeof(*registry->cut_off));
	return registry->process && registry->cut_off ? 0 : -1;
}

void ks_ft_registry_release(struct ks_ft_registry *registry)
{
	ks_free(registry->process);
	ks_free(registry->cut_off);
	*registry = (struct ks_ft_registry){0};
}

bool ks_ft_registry_answer(struct ks_ft_registry *registry, uint32_t node, uint32_t process, struct ks_wire_registry *m)
{
	struct ks_registered *p = &registry->process[(size_t)node * registry->processes + process];

	m->answer = KS_REGISTRY_LOST;
	if (registry->cut_off[node])
		return m->what <= KS_REGISTRY_REPORTED;
	switch (m->what) {
	case KS_REGISTRY_LEASE:
		if (!p->leased)
			p->worker = ++registry->leases;
		p->leased = true;
		m->value = p->worker;
		break;
	case KS_REGISTRY_REPORT:
		p->has_reported = true;
		p->reported = m->value;
		break;
	case KS_REGISTRY_REPORTED:
		m->value = p->reported;
		break;
	default:
		return false;
	}
	m->answer = m->what == KS_REGISTRY_REPORTED && !p->has_reported ? KS_REGISTRY_UNKNOWN : KS_REGISTRY_KNOWN;
	return true;
}
