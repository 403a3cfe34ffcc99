/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_CARD_H
#define BUS_CARD_H

/*
 * What the other nodes are told of a client here: its card, a record that all
 * nodes know.  A client that changes is noted, and told of a little later with
 * all its changes at once.
 *
 * `since` is when the client came to have its id, and higher than any other
 * node said of the same id before: who comes back on another node is known to
 * be there, whatever the old one still says.
 */

#include "bus/cluster.h"

struct card {
	struct client *client;
	int64_t since;
	bool is_dirty;  /* in the list of those to be told */
	bool is_shared; /* others know of it */
	TAILQ_ENTRY(card) link;
};

void card_init(struct cluster *c);

/* When the client came to have its id. */
int64_t card_since(struct client *client);

/* Its id changes, from this one: be newer than `above`, and say so at once, or
 * who leaves again now would be lost to all. */
void card_renamed(struct client *client, const char *old_id, int64_t above);

/* Tell it now: it gave something up that others may want. */
void card_share_now(struct client *client);

/* The client goes. */
void card_close(struct client *client);

/* Tell of all clients, again. */
void card_share_all(struct cluster *c);

/* Its key, of this client id. */
#define CARD_KEY_SIZE (2 + CLIENT_ID_SIZE)
void card_key(const char *id, char key[CARD_KEY_SIZE]);

#endif
