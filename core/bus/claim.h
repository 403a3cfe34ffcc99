/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_CLAIM_H
#define BUS_CLAIM_H

/*
 * Who has which alias on the bus.  All nodes hear the claims of all clients in
 * one order: the first to claim an alias has it until it lets go, then the
 * next who still claims it.  So all nodes agree without asking each other.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct claims;

struct claims *claims_new(void);
void claims_free(struct claims **claimsp);

/*
 * This client claims this alias from now on, and no other; NULL: none.
 * `round` is when that was told.  Does it have what it claims?  Without memory
 * it has not.
 */
bool claims_say(struct claims *c, const char *id, const char *alias,
    uint32_t round);

/* The id of who has it, or NULL. */
const char *claims_holder(const struct claims *c, const char *alias,
    size_t len);

/* Let go of what was not told in this round. */
void claims_sweep(struct claims *c, uint32_t round);

#endif
