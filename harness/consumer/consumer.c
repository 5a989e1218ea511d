#include "ks_consumer.h"

#include <string.h>

extern const struct ks_consumer ks_consumer_payment_gateway;

/* One line a consumer. */
const struct ks_consumer *const ks_consumers[] = {&ks_consumer_payment_gateway, NULL};

const struct ks_consumer *ks_consumer_find(const char *name)
{
	for (const struct ks_consumer *const *c = ks_consumers; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}
