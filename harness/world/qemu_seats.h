/* How many guests this process runs at one time: runs side by side wait for each other, as guests that have no core are late. */
#ifndef KS_QEMU_SEATS_H
#define KS_QEMU_SEATS_H

#include "ks_err.h"

/* Waits until n more guests fit; a run that is too large for this machine runs alone. stop: non-zero ends the waiting.
 * @return 0, then ks_guest_seats_leave; or -1 (KS_E_JUDGE "interrupted"). */
int ks_guest_seats_take(int n, volatile const int *stop, struct ks_err *err);
void ks_guest_seats_leave(int n);
/* Two for each core, at least four. */
int ks_guest_seats(void);

#endif
