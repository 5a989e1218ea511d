/* True time of a guest: its processor's counter (TSC), read past the kernel.
 *
 * A guest's RAW clock is one of those that faults act on: it stands in a suspend to RAM, and with the clock source acpi_pm it
 * loses seconds while QEMU is stopped. The counter does neither. It is made to run as RAW does when nothing is wrong, so
 * that a clock which nobody touched keeps true time. Where the machine itself stands (QMP's stop) the counter stands too, and
 * the harness says by how much it has to move on. */
#ifndef KS_AGENT_TIME_H
#define KS_AGENT_TIME_H

#include <stdint.h>

/* Finds out how fast the counter runs, in up to 250 ms; to be called once, when the clock source is settled, before true
 * time is asked for. source: the clock source in use. */
void ks_agent_time_init(const char *source);
/* True time when the counter stood at this. */
int64_t ks_agent_time_at(uint64_t counter);
/* Moves true time by ns, in all threads. */
void ks_agent_time_move(int64_t ns);

#endif
