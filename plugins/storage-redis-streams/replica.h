/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_REPLICA_H
#define REDIS_REPLICA_H

/*
 * Durability `replicated`: a message that is in Redis is answered when so many
 * replicas have it, too.
 *
 * WAIT says how many replicas have what its own connection wrote, and stops
 * that connection meanwhile.  So it gets one of its own, over which no message
 * goes: each round writes a value there, after the replies of the messages
 * that it is about, and waits until the replicas have that; then they have all
 * that Redis did before it, whoever sent it.
 *
 *     PREFIX:{ctl}:wait    what the last round wrote
 *
 * That holds as long as both connections are to one Redis process that stayed
 * the master.  It gives its history a name, another one each time that it
 * becomes a master, and then keeps the one before as a second; where the name
 * changes without a second one, as when the first replica comes, nothing was
 * lost.  So that is read at the fence and at the end of each round.
 */

#include <stdbool.h>
#include <stdint.h>

struct entry;
struct link;
struct redis;

struct history {
	char id[48];   /* "": not known */
	bool is_first; /* it has no second name */
};

struct replicas {
	struct link *link; /* NULL: the class is not offered */
	char name[64];
	char run[64];         /* of the Redis that is asked */
	struct history known; /* of what is written to */
	struct history seen;  /* by the fence that is being made */
	uint64_t round;       /* that the next message will be in */
	bool is_asking;       /* about the round before it */
	bool is_obsolete;     /* it is another Redis since */
	bool is_written;      /* of the round that is asked about */
	uint64_t offset;      /* that has all of it; 0: not known yet */
	uint64_t count;       /* likewise: replicas that have it */
	bool is_suspect; /* the connections disagreed, and not agreed since */
	bool is_short;   /* some were given up, and none went well since */
};

/* Connect, if the class is offered. */
int replica_start(struct redis *r);
void replica_fini(struct redis *r);

/* A new write connection: ask for the name of its history. */
void replica_fence(struct redis *r);

/* Has it been the master all the time since the last fence?  Otherwise it may
 * have lost what it had, though it is the same process. */
bool replica_goes_on(const struct redis *r);

/* It is fenced.  What is not known to be replicated is sent again if Redis may
 * have lost it (rolled_back). */
void replica_fenced(struct redis *r, bool rolled_back);

/* Redis has this entry. */
void replica_await(struct redis *r, struct entry *e);

/* Time passes: ask again, and give up what waited too long. */
void replica_tick(struct redis *r);

#endif
