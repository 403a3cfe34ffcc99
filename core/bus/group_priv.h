/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_GROUP_PRIV_H
#define BUS_GROUP_PRIV_H

/* Groups as their own files see them. */

#include "bus/cluster.h"
#include "bus/group.h"
#include "bus/group_open.h"

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
	uint64_t nth;        /* of those that this one was given, if far */
	TAILQ_ENTRY(item) link;
	UT_hash_handle hh; /* of those that the taker has */
};

TAILQ_HEAD(item_list, item);
TAILQ_HEAD(taker_list, taker);

struct queue {
	struct item_list items;
	uint64_t n;
};

/* What was sent from node to node so far. */
struct tally {
	uint64_t n, bytes;
};

/* A member's place in a group. */
struct taker {
	uint32_t magic;
	bool manual; /* it acks what it gets */
	bool begun;
	bool echo;
	bool ready;  /* in the group's list of those with room */
	bool absent; /* far: its node did not find it; asked again later */
	struct group *group;
	uint64_t mark;             /* its node's: of no other before */
	struct member *member;     /* NULL: it is on another node */
	struct remote_member *far; /* NULL: it is here */
	struct tally given, took;  /* between two nodes: see group_far.c */
	struct item *items;        /* not acked, in the order they were given */
	TAILQ_ENTRY(taker) link;
	TAILQ_ENTRY(taker) ready_link;
};

/* Messages that wait nowhere but in the history: (from, to) of one epoch. */
struct stretch {
	uint64_t epoch;
	uint64_t from, to; /* from > to: none */
};

struct question;

/* Which node gives out a group's work: see group_lead.c. */
enum lead {
	LEAD_HERE,
	LEAD_OPEN, /* none does, or not known yet */
	LEAD_ELSEWHERE,
};

/*
 * What waits, in the order in which it is given out: what came back from a
 * member; what only its own sender had room for; what was just read from the
 * history; what is still there; and the newest, in the order it came.
 */
struct group {
	uint32_t magic;
	char name[AQB_NAME_MAX + 1];
	enum lead lead;
	bool holds;   /* nothing may be given out now */
	bool has_all; /* that waits, so that nothing is to be read first */
	bool read_failed;
	struct channel *channel;
	struct taker_list takers; /* oldest first */
	struct taker_list ready;  /* those with room, the next one first */
	uint32_t taker_count;
	uint32_t far_count; /* of them on other nodes */
	struct queue again, parked, page, fresh;
	struct stretch history;
	struct question *reading;  /* or NULL */
	struct question *resuming; /* or NULL */
	/* Up to here it is done, to be read, or with a member. */
	uint64_t past_epoch, past_to;
	struct opens opens;       /* of that, while it is to be read */
	struct aqb_position told; /* to the other nodes */
	uint64_t told_waiting;
	bool is_stirred;      /* since then: something was given or came back */
	bool is_left;         /* it was told for the one that goes on */
	uint32_t echoes;      /* of what was told that did not come yet */
	struct item_list out; /* with a member, the first due first */
	uint64_t out_count;
	struct timer due, linger, retry, look, confirm;
	TAILQ_ENTRY(group) link;
};

struct group *group_find(const struct channel *ch, const char *name);

/* Is it for this node to see to what its members have?  So it is, too, while
 * none gives out, until another one does. */
static inline bool
group_is_ours(const struct group *g)
{
	return g->lead == LEAD_HERE || g->has_all;
}

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

/* Put the newest message behind all others; keep what waits within bounds. */
void queue_push(struct group *g, struct aqb_msg *msg);
void queue_bound(struct group *g);

/* Is anything to be read before what is newer?  Then it is being read. */
bool queue_read(struct group *g);

/* Forget all that waits. */
void queue_drop_all(struct group *g);

/* The first that waits for its first member: all behind do, or are parked. */
uint64_t queue_first(const struct group *g, uint64_t epoch);

/* All up to here is done; false: that is not known. */
bool queue_done(const struct group *g, struct aqb_position *posp);

/* Is it from before this node gave out, and so done or to be read? */
bool queue_is_past(const struct group *g, const struct aqb_msg_view *v);

/* What waits begins behind `after` and not with what is in memory; `first` is
 * the oldest that the history has. */
void queue_resume(struct group *g, const struct aqb_position *after,
    uint64_t first);

/* Say that messages will reach nobody; `from` 0: not in one piece. */
void queue_lost(struct group *g, uint64_t n, uint64_t from, uint64_t to,
    const char *reason);

/* ---- group_give.c: who gets what ---- */

/* Give an item that is in no queue to this one; false: it did not take it. */
bool give(struct taker *t, struct item *item);

/* The node that gave out before gave it to this one; false without memory. */
bool give_anew(struct taker *t, struct item *item);

/* It is with nobody any more: it goes to another one, or to the channel of the
 * dead. */
void give_again(struct group *g, struct item *item);

/* What some member has and has not acked, or NULL. */
struct item *give_find(const struct group *g, uint64_t seq, uint64_t epoch);

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
void give_drop(struct item **itemp); /* whatever becomes of it */

/* A member keeps what it has; nobody waits for its acks any more. */
void give_forget(struct taker *t);

/* ---- group_far.c: members on other nodes ---- */

bool far_has_room(const struct taker *t);

/* Send it to the member's node; false: not now. */
bool far_post(struct taker *t, const struct item *item);

/* The node that gives out is told what became of it; AQB_OK, or it is not
 * told. */
int far_tell(const struct taker *t, const struct item *item, bool ok);

/* This member of ours leaves; it gets nothing more. */
void far_part(struct taker *t);

/* Its outbox has room. */
void far_confirm(struct taker *t);

/* ---- group_lead.c: the node that gives out ---- */

/* Somebody came, or time has passed: who gives out? */
void lead_look(struct group *g);

/* The group goes; `is_over`: for all nodes, if this one gave out. */
void lead_end(struct group *g, bool is_over);

/* Has it to keep what comes? */
bool lead_keeps(const struct group *g);

/* Does that node give out its work? */
bool lead_is(const struct group *g, const char *node);

/* A node's notice of what became of a message. */
void lead_heard(struct bus *bus, const struct work *w);

/* How many wait at the node that gives out, as that said last. */
uint64_t lead_waiting(const struct group *g);

/* Something is done, or will be. */
#define LEAD_TELL_MS 1000

static inline void
lead_touch(struct group *g)
{
	struct bus *bus = g->channel->bus;

	if (bus->cluster != NULL && !timer_is_set(&g->look)) {
		timer_set(bus->loop, &g->look, LEAD_TELL_MS);
	}
}

#endif
