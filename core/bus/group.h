/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_GROUP_H
#define BUS_GROUP_H

/*
 * Queue groups: members of a channel that share its messages, each message
 * going to one of them.  Such a member is in no lane; what it gets is sent to
 * it alone, as its outbox takes it.
 *
 * A group of a channel begins with its first member, from the reply's position
 * on, and ends `group_linger` after its last member went, so that a worker
 * which starts anew finds what came meanwhile.
 *
 * This is all that the rest of the bus knows of groups.  Which member gets
 * what is decided behind it.  Of several brokers that are one bus, one decides
 * for the members of all.
 */

#include "bus/channel.h"

struct buf;
struct cluster;
struct remote_member;
struct work;

/* May the channel have a group of that name?  They are bounded. */
enum aqb_code group_may_join(const struct channel *ch, const char *name,
    struct aqb_why *why);

/* Be of this group, and of no other.  Nothing comes before group_begin(). */
void group_join(struct member *member, const char *name, bool manual);

/* Its reply is on the way: messages may follow. */
void group_begin(struct member *member);

/* Be of no group; what was not acked goes to the others at once.  A member
 * that is of none is fine. */
void group_leave(struct member *member);

/* A live message of the channel, for one member of each group.  One without a
 * position is news of the channel itself and goes to all of them. */
void group_deliver(struct channel *ch, struct aqb_msg *msg);

/* A member says what became of a message. */
enum aqb_code group_ack(struct client *client, const struct envelope *env,
    struct aqb_why *why);

/* The client's outbox has room again. */
void group_ready(struct client *client);

/* Does it hold messages that it has not acked? */
bool group_is_at_work(const struct client *client);

/* End the channel's groups.  `reason`: of what is lost with them, told to who
 * watches; NULL: the broker stops, and nobody is told. */
void group_end_all(struct channel *ch, const char *reason);

/* ---- with other nodes ---- */

/* Add what the other nodes are to know of a member that is in a group and may
 * be given something: [joined_at,"group",manual,echo,mark].  False: it is not. */
bool group_put(const struct member *member, struct buf *b);

/* A member on another node is of this group.  With another mark it has been
 * away meanwhile: whatever goes by the old one is not for it. */
void group_far_join(struct remote_member *m, const char *name, bool manual,
    bool echo, uint64_t mark);
void group_far_leave(struct remote_member *m);

/* Another node's notice of work, for this one or a third. */
void group_heard(struct bus *bus, const char *node, const struct work *work,
    struct aqb_msg *msg);

/* This node's own word of what became of a message came to its place among all
 * that the nodes say. */
void group_came(struct bus *bus, const struct work *work);

/* Who gives out, as all nodes hear it, and up to where that is done; false:
 * it makes no sense. */
bool group_lead_record(struct cluster *c, const char *key,
    struct aqb_slice value);
bool group_done_record(struct cluster *c, const char *node, const char *key,
    struct aqb_slice value);
void group_node_gone(struct cluster *c, const char *node);
void group_sweep(struct cluster *c);
void group_share_all(struct cluster *c);

/* This broker stops and gives out nothing more: others are to go on.  False:
 * not yet, something is on its way; `at_once`: whatever it is. */
bool group_hand_over(struct bus *bus, bool at_once);
void group_forget_leads(struct cluster *c);

/* Show each group of the channel, oldest first, until `visit` says no. */
void group_show(const struct channel *ch, aqb_group_visit_f *visit, void *arg);

#endif
