/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_CLUSTER_H
#define BUS_CLUSTER_H

/*
 * Several brokers on one storage that are one bus.  Channel messages come
 * from the storage, in one order for all; who is on the other nodes is known
 * from records that each node shares of its clients; what belongs to no
 * channel goes round as notices.
 *
 * bus->cluster is NULL on a broker that is a bus by itself.
 */

#include "bus/channel.h"

struct cluster {
	uint32_t magic;
	struct bus *bus;
};

#define CLUSTER_MAGIC 0x3e97b04du

/* The channel, made if there is none here yet; NULL when there may be no
 * more. */
struct channel *cluster_channel(struct cluster *c, const char *room,
    const char *name);

void cluster_free(struct cluster **clusterp);

#endif
