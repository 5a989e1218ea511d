/* The time inside keys of foreign programs whose layout is public: UUIDs of versions 1, 6, 7 (RFC 9562) and ULIDs.
 * It is the only clock reading of a foreign program that can be seen. */
#ifndef KS_KEYTIME_H
#define KS_KEYTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* @return whether the text is such a key. *unix_ns: the start of the tick that it names; *tick_ns: 100 or 1,000,000. */
bool ks_keytime_read(const char *text, size_t len, int64_t *unix_ns, int64_t *tick_ns);

#endif
