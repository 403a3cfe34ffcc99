/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_REMOTE_H
#define BUS_REMOTE_H

/*
 * The clients of the other nodes, as far as those have told: who they are and
 * which channels they are in.  A client is on one node; the one that says the
 * higher `since` has it.
 */

#include "bus/cluster.h"

#define NODE_MAGIC 0xb86ff10du
#define REMOTE_MAGIC 0x417d5ae9u

TAILQ_HEAD(remote_list, remote);

struct node {
	uint32_t magic;
	uint32_t round; /* of syncing, in which something of it was told */
	bool is_gone;
	struct cluster *cluster;
	char name[AQB_NAME_MAX + 1];
	struct remote_list remotes;
	UT_hash_handle hh;
};

struct remote {
	uint32_t magic;
	enum client_type type;
	bool admin;
	bool resumed;
	bool by_itself; /* its own node says what is being said of it */
	uint32_t round;
	uint32_t channel_count;
	char id[CLIENT_ID_SIZE];
	struct node *node;
	struct profile *profile; /* or NULL */
	int64_t since;           /* see card.h */
	int64_t connected_at;
	int64_t last_activity;
	uint64_t mark; /* of the last message that went to it */
	struct remote_member_list members; /* in the order of the record */
	TAILQ_ENTRY(remote) link;
	UT_hash_handle hh;
};

struct remote_member {
	struct remote *remote;
	struct channel *channel;
	struct taker *taker; /* not NULL: it is in a group, see group.h */
	int64_t joined_at;
	uint64_t serial;
	uint32_t seen; /* the last record that named it */
	TAILQ_ENTRY(remote_member) remote_link;
	TAILQ_ENTRY(remote_member) channel_link;
};

/* NULL without a cluster, too. */
struct remote *remote_find(const struct bus *bus, const char *id, size_t len);
struct remote *remote_find_alias(const struct bus *bus, const char *alias,
    size_t len);
/* By id, or else by alias. */
struct remote *remote_find_any(const struct bus *bus, const char *name,
    size_t len);

struct remote_member *remote_member_find(const struct remote *r,
    const struct channel *ch);

void remote_info(const struct remote *r, struct aqb_client_info *infop);
void remote_member_info(const struct remote_member *m,
    struct aqb_client_info *infop);

/* Its alias, if it has the one that it claims. */
const char *remote_alias(const struct remote *r);

/* Another node says this of one of its clients; nothing: it is gone.  False:
 * it makes no sense. */
bool remote_record(struct cluster *c, const char *node, const char *id,
    struct aqb_slice value);

/* This node said it, and now it has its place among what all say: has another
 * node's client been called the same before? */
bool remote_own_record(struct cluster *c, const char *id,
    struct aqb_slice value);

/* Another node says anything; NULL without memory. */
struct node *node_get(struct cluster *c, const char *name);

size_t node_count(const struct cluster *c);

/* A node, or all but those told in this round, and whoever is on them. */
void node_gone(struct cluster *c, const char *name);
void node_sweep(struct cluster *c);

/*
 * A client of this broker takes an id over: what is known of it becomes its
 * own.  Returns the `since` that it is to be above.
 */
int64_t remote_take_over(struct client *client);

/* One by one: for whoever reads the records.  NULL is without memory. */
struct remote *remote_new(struct node *node, const char *id);
void remote_move(struct remote *r, struct node *to);
void remote_retype(struct remote *r, enum client_type type);
void remote_lost(struct remote *r);
struct remote_member *remote_member_new(struct remote *r, struct channel *ch,
    int64_t joined_at);
void remote_member_leave(struct remote_member *m, bool lost);

/* How many are in the room and do not bear this mark yet; now they do. */
uint64_t remote_count_room(const struct room *room, uint64_t mark);

/* The channel goes. */
void remote_channel_gone(struct channel *ch);

/* The end: forget all without a word. */
void remote_forget_all(struct cluster *c);

#endif
