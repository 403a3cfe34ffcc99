/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_ROUTER_H
#define BUS_ROUTER_H

/* What becomes of a message: who may send it, where it goes, and what its
 * sender is told. */

#include "bus/channel.h"

/* Route one good envelope.  Takes up->msg. */
void router_request(struct client *client, struct port_up *up);

/* Answer one that is not good.  It counts like any other, so that nonsense is
 * no way around the limits. */
void router_reject(struct client *client, const struct port_up *up);

/* Acks that wait for the storage: nobody to tell, or nowhere to deliver. */
void router_client_gone(struct client *client);
void router_channel_gone(struct channel *ch);

/* Deliver a message of a channel that has its position: to the lane, and to
 * those who are still catching up. */
void router_deliver(struct channel *ch, struct aqb_msg *msg,
    const struct client *except, uint64_t received_us);

/* To every distinct member of any channel of a room. */
void router_deliver_room(struct room *room, struct aqb_msg *msg,
    const struct client *except, uint64_t received_us);

/* A system message of the broker's own; see aqb_bus.broadcast. */
enum aqb_code router_broadcast(struct bus *bus, const char *room,
    const char *channel, struct aqb_slice payload, uint64_t *deliveredp,
    struct aqb_why *why);

#endif
