/* The programs of a simulated fleet that are asked for keys: one child process for each simulated process. */
#ifndef KS_ASK_FLEET_H
#define KS_ASK_FLEET_H

#include "ask.h"
#include "ks_world.h"

struct ks_ask_fleet_sim;

/* @return the fleet, or NULL. No program runs yet: each process starts its own. */
struct ks_ask_fleet_sim *ks_ask_fleet_new(const struct ks_run_request *request, struct ks_err *err);
/* The cfg of ks_gen_ask_sim. */
struct ks_ask_cfg ks_ask_fleet_cfg(struct ks_ask_fleet_sim *fleet);
/* Ends every program. */
void ks_ask_fleet_free(struct ks_ask_fleet_sim *fleet);

#endif
