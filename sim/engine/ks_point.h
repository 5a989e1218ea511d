/* Kinds of environment calls: the points at which a thread can be paused. */
#ifndef KS_POINT_H
#define KS_POINT_H

enum ks_point {
	KS_AT_CLOCK,
	KS_AT_WAIT,
	KS_AT_RANDOM,
	KS_AT_LOCK,
	KS_AT_UNLOCK,
	KS_AT_LOAD,
	KS_AT_STORE,
	KS_AT_CAS,
	KS_AT_ADD,
	KS_AT_IDENTITY,
	KS_AT_PERSIST,
	KS_AT_REGISTRY,
	KS_AT_CALL, /* any of them */
	KS_NPOINTS
};
/* "clock", "wait", ..; ends with NULL. */
extern const char *const ks_point_names[KS_NPOINTS + 1];

#endif
