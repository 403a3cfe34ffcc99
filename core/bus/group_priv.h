/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_GROUP_PRIV_H
#define BUS_GROUP_PRIV_H

/* Groups as their own files see them. */

#include "bus/group.h"

#define GROUP_MAGIC 0x6be20f94u
#define TAKER_MAGIC 0xd1573ac8u
#define ITEM_MAGIC 0x3f8cc16bu

/* One message that waits in a group, or is with a member that has to ack it.
 * The key is its position: seq, and a hash of the epoch. */
struct item {
	uint32_t magic;
	uint32_t deliveries; /* how often it was given out */
	struct {
		uint64_t seq, epoch;
	} key;
	struct aqb_msg *msg;
	uint64_t bytes;      /* what it costs */
	uint64_t last;       /* serial of the member that had it last */
	uint64_t due;        /* when it is given to another, monotonic ms */
	struct taker *taker; /* who has it, or NULL */
	TAILQ_ENTRY(item) link;
	UT_hash_handle hh; /* of those that the taker has */
};

TAILQ_HEAD(item_list, item);
TAILQ_HEAD(taker_list, taker);

struct queue {
	struct item_list items;
	uint64_t n;
};

/* A member's place in a group. */
struct taker {
	uint32_t magic;
	bool manual; /* it acks what it gets */
	bool begun;
	bool ready; /* in the group's list of those with room */
	struct group *group;
	struct member *member;
	struct item *items; /* not acked, in the order they were given */
	TAILQ_ENTRY(taker) link;
	TAILQ_ENTRY(taker) ready_link;
};

/* Messages that wait nowhere but in the history: (from, to) of one epoch. */
struct stretch {
	uint64_t epoch;
	uint64_t from, to; /* from > to: none */
};

struct reading;

/*
 * What waits, in the order in which it is given out: what came back from a
 * member; what only its own sender had room for; what was just read from the
 * history; what is still there; and the newest, in the order it came.
 */
struct group {
	uint32_t magic;
	char name[AQB_NAME_MAX + 1];
	struct channel *channel;
	struct taker_list takers; /* oldest first */
	struct taker_list ready;  /* those with room, the next one first */
	uint32_t taker_count;
	struct queue again, parked, page, fresh;
	struct stretch history;
	struct reading *reading; /* or NULL */
	struct item_list out;    /* with a member, the first due first */
	uint64_t out_count;
	struct timer due, linger, retry;
	TAILQ_ENTRY(group) link;
};

/* ---- group_queue.c: what waits ---- */

/* What an item is found by. */
void item_key(struct item *item, uint64_t seq, struct aqb_slice epoch);

/* NULL without memory. */
struct item *item_new(struct group *g, struct aqb_msg *msg);
void item_free(struct group *g, struct item **itemp);

void queue_add(struct queue *q, struct item *item);
void queue_remove(struct queue *q, struct item *item);

/* How many wait, in memory and in the history. */
uint64_t queue_waiting(const struct group *g);

/* Put the newest message behind all others. */
void queue_push(struct group *g, struct aqb_msg *msg);

/* Keep what waits within its bounds. */
void queue_bound(struct group *g);

/* Is there anything to be read before what is newer?  Then it is being
 * read. */
bool queue_read(struct group *g);

/* Forget all that waits; *np counts it. */
void queue_drop_all(struct group *g);

/* Say that messages will reach nobody; `from` 0: not in one piece. */
void queue_lost(struct group *g, uint64_t n, uint64_t from, uint64_t to,
    const char *reason);

/* ---- group_give.c: who gets what ---- */

/* Give out what waits, as far as there is room. */
void give_run(struct group *g);

/* Give a message at once, if nothing waits and somebody has room. */
bool give_now(struct group *g, struct aqb_msg *msg);

/* Look whether a member has room again. */
void give_refresh(struct taker *t);
void give_retire(struct taker *t); /* it has none */

/* An item leaves the member that has it: it is done; or it goes to another
 * one, or to the channel of the dead. */
void give_done(struct item **itemp);
void give_back(struct item **itemp);

/* A member keeps what it has; nobody waits for its acks any more. */
void give_forget(struct taker *t);

#endif
