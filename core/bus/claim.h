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

/* What a node tells of a client; see card.h of `since`. */
struct claim_said {
	const char *id;
	const char *node;
	int64_t since;
	const char *alias; /* that alone; NULL: none */
	uint32_t round;    /* of syncing, in which it is told */
};

/* Is what this node says newer than what that one said?  Of two at once it is
 * the one with the higher name. */
bool claim_is_newer(int64_t since, const char *node, int64_t known,
    const char *known_node);

/* Does the client have what it claims now?  Without memory it has not.  What
 * another node says, and no longer counts, changes nothing. */
bool claims_say(struct claims *c, const struct claim_said *said);

/* The node says no more of this client, or of any. */
void claims_withdraw(struct claims *c, const char *id, const char *node);
void claims_withdraw_all(struct claims *c, const char *node);

/* The id of who has it, or NULL. */
const char *claims_holder(const struct claims *c, const char *alias,
    size_t len);

/* Let go of what was not told in this round. */
void claims_sweep(struct claims *c, uint32_t round);

#endif
