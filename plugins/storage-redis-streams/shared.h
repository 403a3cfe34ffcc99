/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_SHARED_H
#define REDIS_SHARED_H

/*
 * Several brokers on one Redis.  Beside its stream every message goes into
 * the log of its room's shard, and every broker reads all logs: what comes out
 * of a log is what it delivers, in that order, its own messages included.
 *
 *     PREFIX:{S}:meta        a hash: era, and ls, the last number in the log
 *     PREFIX:{S}:q:BOOT      the last number of that broker's that is done
 *     PREFIX:{S}:log         c e s: stream, epoch and seq; n q: the broker and
 *                            its number; h l: size and ttl of the history; and
 *                            the message, or x: a stream that was dropped
 *     PREFIX:{ctl}:meta      a hash: schema, era, run (of Redis), ls
 *     PREFIX:{ctl}:log       n: the broker; k: n a notice, r a record of its
 *                            own, c one of all, g it is gone, p a probe;
 *                            f v: key and value
 *     PREFIX:{ctl}:nodes     a set: the brokers
 *     PREFIX:{ctl}:node:N    a hash: the records of one; .boot and .owner say
 *                            which it is.  It expires, and so the broker with
 *                            it, unless it is kept
 *     PREFIX:{ctl}:all       a hash: the records of all
 *
 *     shard    appends: numbered, sent, and sent again until they are done
 *     tail     reads the logs
 *     mend     reads from a stream what was missed of its log
 *     board    records and notices, and who is there
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <arqonbus/storage.h>

#include "redis.h"

#define SHARDS 16
#define KEY_SIZE 160

/* A place in a log. */
struct place {
	uint64_t era, seq;
};

struct post;
TAILQ_HEAD(post_list, post);

struct shard {
	char meta[KEY_SIZE], count[KEY_SIZE], log[KEY_SIZE];
	bool is_fenced;
	bool must_rewind; /* once nothing is on its way any more */
	size_t sent;
	uint64_t done; /* the last number that Redis has done */
	uint64_t next_number;
	struct post_list posts; /* done and held, sent, waiting; in order */
	struct post *next;      /* the first that waits */
	struct post *expected;  /* the first that has not come out of the log */
	struct place cursor;    /* the last that was read of the log */
	bool has_cursor;
	struct place settle; /* once this is read, what is done and has not
			      * come will not come */
};

struct board;

struct cluster {
	struct redis *r;
	const struct aqb_follower *follower;
	struct link *tail;
	char tail_name[64];
	char node_key[KEY_SIZE], nodes_key[KEY_SIZE], all_key[KEY_SIZE];
	char ctl_meta[KEY_SIZE], ctl_log[KEY_SIZE], node_prefix[KEY_SIZE];
	struct shard shard[SHARDS];
	struct place ctl_cursor;
	char append_sha[41];
	bool is_loading;  /* the script of appends */
	char era_run[64]; /* the Redis process in which we got our era */
	size_t unfenced;  /* shards */
	bool is_tailing;  /* an XREAD is on its way */
	bool is_overdue;  /* when that was answered last: see board.h */
	size_t brought;   /* bytes of messages, by the last answer */
	unsigned count;   /* entries of each log that it asks for */
	struct board *board;
	TAILQ_HEAD(mending_list, mending) mendings; /* see mend.h */
	uint32_t holes, missed, redelivered, notices_dropped,
	    nodes; /* metrics */
};

static inline bool
place_before(struct place a, struct place b)
{
	return a.era != b.era ? a.era < b.era : a.seq < b.seq;
}

/* aqb_storage_ops.follow. */
int shared_follow(struct redis *r, const struct aqb_follower *follower,
    struct aqb_why *why);
void shared_free(struct redis *r);

/* The write connection is up, and Redis is a master: bring everything to its
 * era, then go on. */
void shared_fence(struct redis *r);

/* Redis has forgotten the script of the appends. */
void shared_load_script(struct redis *r);

/* Begin, or go on, with all that needs Redis. */
void shared_resume(struct redis *r);

/* Ask Redis where a stream ends. */
void shared_open(struct redis *r, struct stream *s);

void shared_tick(struct redis *r);

/* Say goodbye; calls back when that is done, or cannot be. */
void shared_leave(struct redis *r, void (*done)(struct redis *r));

#endif
