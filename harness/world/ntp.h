/* A small NTP server (RFC 5905, mode 4, stratum 1) for daemons in guests: it answers on an unprivileged port of the loopback from a
 * thread of its own. What it says is a line through a date, moved at instants that are given beforehand: the clock of this machine is
 * never touched. */
#ifndef KS_NTP_H
#define KS_NTP_H

#include <stdint.h>

#include "ks_err.h"

#define KS_NTP_MOVES 64

struct ks_ntp_time {
	int64_t unix_ns, at_raw_ns; /* it says this date at this time of ks_host_raw_ns */
	struct {
		int64_t at_raw_ns, by_ns; /* from then on it reads later by so much */
	} move[KS_NTP_MOVES];
	int moves;
};

struct ks_ntp;

/* Opens the port; says nothing before it is told the time. @return NULL with an error. */
struct ks_ntp *ks_ntp_open(struct ks_err *err);
uint16_t ks_ntp_port(const struct ks_ntp *ntp);
void ks_ntp_tell(struct ks_ntp *ntp, const struct ks_ntp_time *time);
/* How many questions it has answered. */
uint64_t ks_ntp_answers(const struct ks_ntp *ntp);
/* NULL is fine. */
void ks_ntp_close(struct ks_ntp *ntp);

/* Pure: what it says at raw_ns. */
int64_t ks_ntp_now(const struct ks_ntp_time *time, int64_t raw_ns);
/* Pure: the answer to a question of n bytes. came, goes: unix ns. @return 48, or 0: it was no question. */
int ks_ntp_answer(const unsigned char *question, int n, int64_t came_ns, int64_t goes_ns, unsigned char answer[48]);

#endif
