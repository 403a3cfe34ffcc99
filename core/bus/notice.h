/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_NOTICE_H
#define BUS_NOTICE_H

/*
 * What the nodes tell each other once, at most once: messages that belong to
 * no channel, and requests.  All are AQB_OK, or refused because it cannot be
 * now.  Without a cluster there is nobody to tell, which is AQB_OK.
 *
 * On the way a notice is one JSON object on a line of its own; the texts of a
 * message follow it as they are, for they are checked one by one.
 */

#include "bus/cluster.h"

struct buf;
struct json_value;

/* A stamped private message, to these clients: ids, as the inside of a JSON
 * array; `to` is the field as the sender wrote it. */
int notice_private(struct bus *bus, const struct aqb_msg *msg,
    const struct buf *ids, const struct json_value *to);

/* A stamped message to a room, or to everybody: room "*". */
int notice_unplaced(struct bus *bus, const struct aqb_msg *msg);

int notice_kick(struct bus *bus, const char *id, const char *reason);
int notice_delete(const struct channel *ch, const char *client_id);

/* One comes from another node.  False: it makes no sense. */
bool notice_read(struct bus *bus, struct aqb_slice notice);

#endif
