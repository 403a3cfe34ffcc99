/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_SPOOL_H
#define REDIS_SPOOL_H

/*
 * Messages on their way to Redis, and for a while after: one that was stored
 * is held until it has surely reached the disk, so that it can be stored
 * again if Redis loses it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <arqonbus/message.h>

struct aqb_host;
struct stream;

enum entry_state {
	ENTRY_WAITING, /* to be sent */
	ENTRY_SENT,    /* a reply is due */
	ENTRY_WRITTEN, /* Redis has it, and perhaps not yet its replicas */
	ENTRY_STORED,  /* held */
};

struct entry {
	struct stream *stream;
	struct aqb_msg *msg; /* NULL: the stream is to be deleted */
	aqb_ticket ticket;   /* 0: answered */
	uint64_t number;     /* 1, 2, 3 .. of all entries */
	uint64_t era, seq;   /* seq 0: it has no place yet */
	uint64_t since;      /* when it came, was written, or stored; ms */
	uint64_t found_era, found_seq; /* is_repeat: where it is already */
	uint64_t round;                /* written: see replica.h */
	uint32_t bytes;
	uint32_t history_size;
	uint64_t history_ttl;
	uint64_t dedupe_window;
	enum entry_state state;
	bool is_volatile;    /* has a place, but is not to be kept */
	bool is_early;       /* its place was told before it was stored */
	bool is_provisional; /* and is not the one it will get */
	bool was_stored;     /* it is sent again */
	bool is_excused;     /* it takes no room */
	bool is_in_doubt;    /* likewise, it may be there or not */
	bool was_refused;    /* likewise, it was certainly not stored */
	bool was_looked_up;  /* or need not be */
	bool is_repeat;      /* it is there already */
	bool needs_replicas; /* to be answered */
	uint32_t life;       /* of the stream: it may have been deleted since */
	TAILQ_ENTRY(entry) link;        /* of the spool */
	TAILQ_ENTRY(entry) stream_link; /* of the stream, in order */
};

TAILQ_HEAD(entry_list, entry);

struct spool {
	struct entry_list waiting; /* and sent, in the order they came */
	struct entry_list written; /* the oldest first */
	struct entry_list held;    /* likewise */
	struct entry_list spare;   /* to be used again */
	size_t spares;
	uint64_t next;
	size_t messages, bytes;                 /* waiting, sent and written */
	size_t excused_messages, excused_bytes; /* of them, is_excused */
	size_t written_messages;                /* written */
	size_t held_messages, held_bytes;       /* held */
};

void spool_init(struct spool *s);

/* Nothing is in it any more. */
void spool_fini(struct spool *s);

/* How far it is filled, in hundredths of so many messages and bytes. */
uint32_t spool_fill(const struct spool *s, uint64_t messages, uint64_t bytes);

/* A new entry at the end of a stream and of the spool, with a reference to
 * the message (which may be NULL).  NULL without memory. */
struct entry *spool_add(struct spool *s, const struct aqb_host *host,
    struct stream *stream, struct aqb_msg *msg);

/* The next of its stream that waits: behind one that Redis has refused others
 * may be stored already.  NULL: none. */
struct entry *spool_next(const struct entry *e);

/* Redis has it, and its replicas are waited for. */
void spool_await(struct spool *s, struct entry *e);

/* It is stored: hold it. */
void spool_hold(struct spool *s, struct entry *e);

/* It takes no room any more: nobody waits for it, and it will come to an end
 * when Redis says which. */
void spool_excuse(struct spool *s, struct entry *e);

/* It was written or held, and must be stored again.  One that was held takes no
 * room: the limit of the hold is its limit. */
void spool_unhold(struct spool *s, struct entry *e);

/* Take it out and free it. */
void spool_drop(struct spool *s, const struct aqb_host *host,
    struct entry **ep);

#endif
