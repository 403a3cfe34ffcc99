/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_MEMORY_STREAM_H
#define STORAGE_MEMORY_STREAM_H

/*
 * Streams in memory.  Each is a ring of message references; every message is
 * also on one list by age across all streams, so that when memory is short
 * the bus-wide oldest goes first.  Appending is constant work.
 */

#include <sys/queue.h>

#include <arqonbus/host.h>
#include <arqonbus/storage.h>

struct stream;
TAILQ_HEAD(entry_list, entry);
TAILQ_HEAD(stream_list, stream);

/* All streams. */
struct streams {
	const struct aqb_host *host;
	uint64_t memory_limit; /* bytes */
	struct stream *by_name;
	struct entry_list by_age;  /* messages, oldest first */
	struct stream_list empty;  /* streams without any, longest first */
	struct stream_list ageing; /* with some that will expire, in turn */
	uint64_t count;            /* streams */
	uint64_t ageing_count;
	uint64_t messages;
	uint64_t bytes;
	uint64_t evicted;
	uint64_t expired;
};

void streams_init(struct streams *all, const struct aqb_host *host,
    uint64_t memory_limit);
void streams_fini(struct streams *all);

struct stream *stream_find(struct streams *all, const char *name);

/* The stream of this name, begun if there is none, which may cost others
 * what they have; NULL without memory. */
struct stream *stream_get(struct streams *all, const char *name);

/* Drop it with all it has. */
void stream_drop(struct streams *all, struct stream *s);

/*
 * Put a message at the end.  The limits hold from now on for all that the
 * stream has.  `now` is milliseconds of a clock that never jumps.  AQB_OK, or
 * AQB_ENOMEM with no position given and nothing lost.
 */
int stream_append(struct streams *all, struct stream *s,
    const struct aqb_limits *limits, struct aqb_msg *msg, uint64_t now,
    struct aqb_position *posp);

/* Forget what is older than the stream's messages may be. */
void stream_expire(struct streams *all, struct stream *s, uint64_t now);

/* The same of all streams.  Looks at no more than `most` streams and messages
 * together, and goes on there the next time. */
void streams_sweep(struct streams *all, uint64_t now, size_t most);

/* Where the stream begins and ends. */
void stream_ends(const struct stream *s, struct aqb_answer *answerp);

/*
 * Read a range.  Fills in all of the answer; its messages are an array to
 * free(), their references the stream's.  AQB_OK or AQB_ENOMEM.
 */
int stream_read(const struct streams *all, const struct stream *s,
    const struct aqb_range *range, struct aqb_answer *answerp);

#endif
