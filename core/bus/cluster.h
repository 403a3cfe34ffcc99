/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_CLUSTER_H
#define BUS_CLUSTER_H

/*
 * Several brokers on one storage that are one bus.  Channel messages come
 * from the storage, in one order for all (publish.h); who is on the other
 * nodes is known from records that each node shares of its clients (card.h,
 * remote.h); what belongs to no channel goes round as notices (notice.h).
 *
 * bus->cluster is NULL on a broker that is a bus by itself, and whatever is
 * called with such a bus does nothing.
 */

#include "bus/channel.h"

struct card;
struct claims;
struct leading;
struct node;
struct remote;

TAILQ_HEAD(card_list, card);

struct cluster {
	uint32_t magic;
	bool syncing;    /* all records are being told */
	bool knows_all;  /* they have been told once */
	bool is_leaving; /* this node offers itself for nothing more */
	uint32_t round;  /* of that */
	uint32_t walks;  /* of records that were compared */
	struct bus *bus;

	/* Of this node: clients that the others are to be told of. */
	struct card_list dirty;
	struct timer flush;

	/* Of the others. */
	struct node *nodes;
	struct remote *remotes; /* by id */
	size_t remote_count;
	struct claims *claims; /* of aliases, of this node's clients, too */
	struct leading *leads; /* who gives out groups' work: group_lead.c */
};

#define CLUSTER_MAGIC 0x3e97b04du

void cluster_free(struct cluster **clusterp);

/* The channel, made if there is none here yet; NULL when there may be no
 * more. */
struct channel *cluster_channel(struct cluster *c, const char *room,
    const char *name);

/* A client has got the id of one that was here before, perhaps elsewhere: what
 * is known of that one is its own to be recalled; and then all are told. */
int64_t cluster_take_over(struct client *client);
void cluster_renamed(struct client *client, const char *old_id, int64_t above);

/* Something of a client changed that the other nodes are to know. */
void card_touch(struct client *client);

static inline void
cluster_touch(struct client *client)
{
	if (client->bus->cluster != NULL) {
		card_touch(client);
	}
}

/* How many clients the other nodes have. */
static inline size_t
cluster_remotes(const struct bus *bus)
{
	return bus->cluster == NULL ? 0 : bus->cluster->remote_count;
}

#endif
