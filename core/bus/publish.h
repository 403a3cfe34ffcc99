/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_PUBLISH_H
#define BUS_PUBLISH_H

/*
 * A publish to a channel, from the storage's position to the ack.  Messages
 * of one channel are delivered in the order in which they were given to the
 * storage, whatever order it answers in.
 */

#include "bus/channel.h"
#include "bus/dedupe.h"

/* Publish a message that the sender may send.  Takes *msgp. */
void publish(struct client *client, struct channel *ch,
    const struct envelope *env, struct aqb_msg **msgp, uint64_t received_us);

/* Publish a system message of the broker's own; no one is told. */
void publish_own(struct channel *ch, struct aqb_msg **msgp);

/* Of all that a client published and that is not decided: tell it now that
 * nobody knows.  It will be decided all the same. */
void publish_abandon(struct client *client);

/*
 * Publish what was published elsewhere: type, id, sender, payload and metadata
 * are the original's.  It counts as lost by a group if it cannot be stored.
 * False without memory.
 */
bool publish_copy(struct channel *ch, const struct aqb_msg *original);

/*
 * In a cluster: the next message of a channel, of whatever broker, is
 * delivered; it may be stamped already.  Or it was, at another place.
 */
void publish_told(struct channel *ch, struct aqb_msg *msg,
    const struct aqb_position *pos);
void publish_passed_over(struct channel *ch, const struct aqb_position *pos);

/* Was this id seen before?  Then it was answered here, or will be. */
bool publish_is_repeated(struct client *client, const char *stream,
    const struct envelope *env, struct sighting **newp);

/* Tell the sender what became of a message, if it asked. */
void publish_ack(struct client *client, struct aqb_slice request_id,
    struct aqb_slice id, const struct sighting *seen);

/* The end: the storage is gone and will not answer. */
void publish_forget_all(struct bus *bus);

const char *stored_name(enum aqb_stored stored);

#endif
