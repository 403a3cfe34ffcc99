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

/*
 * Between the node that gives out a group's work and that of a member, see
 * group_far.c: a message for it; that its outbox took so much; that it acked
 * one, or gave it back; that it is not there to get it.
 */
enum work_kind {
	WORK_GIVE,
	WORK_TOOK,
	WORK_DONE,
	WORK_BACK,
	WORK_MISSED,
};

struct work {
	enum work_kind kind;
	uint32_t deliveries;         /* give: this one counted */
	char node[AQB_NAME_MAX + 1]; /* give: the member's; missed: who gave */
	char client[CLIENT_ID_SIZE];
	char room[AQB_NAME_MAX + 1], channel[AQB_NAME_MAX + 1];
	char group[AQB_NAME_MAX + 1];
	struct aqb_position pos; /* all but took */
	uint64_t n, bytes;       /* give and took: so far */
	uint64_t mark;           /* of the member in the group */
};

/* `msg`: with give. */
int notice_work(struct bus *bus, const struct work *work,
    const struct aqb_msg *msg);

/* One comes from another node.  False: it makes no sense. */
bool notice_read(struct bus *bus, const char *node, struct aqb_slice notice);

/* One of this node's came to its place among all that the nodes say. */
void notice_came(struct bus *bus, struct aqb_slice notice);

#endif
