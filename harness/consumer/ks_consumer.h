/* Consumers: downstream models that turn broken claims into damage. They see keys in the order of return. */
#ifndef KS_CONSUMER_H
#define KS_CONSUMER_H

#include "ks_check.h"
#include "ks_opt.h"

struct ks_damage {
	char name[KS_NAME_MAX]; /* "double_charges" */
	int64_t value;
};
#define KS_DAMAGES_MAX 8

struct ks_consumer {
	const char *name, *title;
	const struct ks_opt *opts;
	size_t cfg_size;
	const char *const *damages; /* names of what it counts, NULL-terminated */
	/* @return 0 with as many values as names. */
	int (*consume)(const void *cfg, const struct ks_evidence *e, int64_t *values, struct ks_err *err);
};
extern const struct ks_consumer *const ks_consumers[]; /* ends with NULL */
const struct ks_consumer *ks_consumer_find(const char *name);

#endif
