/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_STREAM_H
#define REDIS_STREAM_H

/*
 * The channels that were touched since the start.  A stream's place in Redis
 * is two keys:
 *
 *     PREFIX:{S}:c:ROOM:CHANNEL  the stream; ids are ERA-SEQ
 *     PREFIX:{S}:m:ROOM:CHANNEL  a hash; e is the epoch, n the history_size
 *                                and t the history_ttl
 *
 * S is the shard, 0 to 15, from the room's name: everything of one room is
 * together should Redis ever be a cluster.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <uthash.h>

#include <arqonbus/storage.h>

#include "spool.h"

struct redis;

enum stream_state {
	STREAM_UNKNOWN, /* where it ends is not known */
	STREAM_OPENING, /* Redis was asked */
	STREAM_OPEN,
	STREAM_CONFLICT, /* somebody else's: nothing is stored */
};

#define STREAM_EPOCH_SIZE 17 /* 16 digits */

struct question {
	aqb_ticket ticket;
	TAILQ_ENTRY(question) link;
};

struct stream {
	char *name; /* "room:channel" */
	char *key, *meta_key;
	enum stream_state state;
	bool exists;         /* as far as was sent, in Redis */
	bool is_confirmed;   /* and Redis said so */
	bool is_provisional; /* epoch and seq are made up until it is open */
	char epoch[STREAM_EPOCH_SIZE];
	char found[STREAM_EPOCH_SIZE]; /* the epoch in Redis, while it opens */
	uint64_t era;                  /* of the last place given */
	uint64_t seq;                  /* the last place given */
	uint64_t answered;             /* the last place told to the bus */
	uint64_t top;   /* of several brokers: the highest it ever had */
	uint64_t first; /* the oldest kept, at least; answered + 1: none */
	uint32_t history_size; /* as last asked for */
	uint64_t history_ttl;
	uint32_t noted_size; /* as Redis was told, for the next life */
	uint64_t noted_ttl;
	uint64_t refreshed; /* when it was last put off that it expires, ms */
	size_t sent;        /* entries whose reply is due */
	size_t written;     /* entries that wait for replicas */
	bool resend;  /* one is to be sent again: first let those come back */
	bool looking; /* whether the next entries are there already */
	bool
	    is_look_late; /* something was to be sent again since it was asked */
	uint32_t life;    /* counts how often it was deleted */
	struct entry_list entries; /* held, sent and waiting, in order */
	struct entry *next;        /* the first that waits, or NULL */
	TAILQ_HEAD(question_list, question) questions; /* for its end */
	bool has_work;
	TAILQ_ENTRY(stream) work;
	size_t readers; /* questions to Redis that are about it */
	bool is_ahead;  /* it gave places to what is not kept */
	TAILQ_ENTRY(stream) used;
	struct mending *mending; /* of several brokers: see mend.h, or NULL */
	UT_hash_handle hh;
};

struct streams {
	struct stream *by_name;
	TAILQ_HEAD(stream_list, stream) working; /* with entries to be sent */
	struct stream_list used; /* all, what was asked for last is last */
};

void streams_init(struct streams *all);
/* Frees them; their entries are gone. */
void streams_fini(struct streams *all);

/* The stream of this name, made if need be; NULL without memory. */
struct stream *stream_get(struct redis *r, const char *name);

/* Forget some of those that were not asked for for long, if there are many:
 * Redis knows where they end.  Names are the peers' choice. */
void streams_forget_some(struct redis *r);

/* Ask Redis where it ends, if it can be asked and was not. */
void stream_open(struct redis *r, struct stream *s);

/* A new epoch. */
void stream_make_epoch(char epoch[STREAM_EPOCH_SIZE]);

/* Give up waiting for Redis: make up an epoch. */
void stream_improvise(struct redis *r, struct stream *s);

/* Make another epoch for what is not the same stream any more, and write it
 * down. */
void stream_new_epoch(struct redis *r, struct stream *s);

/* Write down the one it has, and what is kept of it. */
void stream_write_epoch(struct redis *r, struct stream *s);

/* It has got a message: put off the day when Redis lets it go, if that was not
 * done just now. */
void stream_refresh(struct redis *r, struct stream *s);

/* The key is somebody else's: nothing is stored. */
void stream_conflict(struct redis *r, struct stream *s);

/* The shard of a "room:channel". */
unsigned stream_shard(const char *name);

/* What a tail answers. */
void stream_ends(const struct stream *s, struct aqb_answer *answer);

/* Answer those who wait for the stream's end; err says why it is not known. */
void stream_tell(struct redis *r, struct stream *s, enum aqb_err err);

/* A place as it is told. */
void stream_position(const struct stream *s, uint64_t era, uint64_t seq,
    struct aqb_position *pos);

#endif
