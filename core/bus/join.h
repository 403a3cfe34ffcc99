/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_JOIN_H
#define BUS_JOIN_H

/*
 * Joining a channel, with or without a past to catch up with.
 *
 * A joiner is not in the channel's lane until its reply, and whatever it
 * missed, has been posted: until then live messages wait as references.  The
 * history is read before the reply, so that `recovered` is true only of what
 * is in hand.  Pages go out as its outbox takes them.
 */

#include "bus/channel.h"

/* Answers through done, once; see aqb_bus.join. */
void join_begin(struct client *client, aqb_ticket call,
    const struct aqb_join *join, aqb_joined_f *done, void *arg);

/* The reply to this call has been posted: what was held may follow. */
void join_replied(struct client *client, aqb_ticket call);

/* The client's outbox has room again. */
void join_ready(struct client *client);

/* A live message for a member that is still catching up. */
void join_hold(struct member *member, struct aqb_msg *msg);

/* The member leaves: its catching up is void. */
void join_forget(struct member *member);

#endif
