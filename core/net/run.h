/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_RUN_H
#define NET_RUN_H

/*
 * Runs: frames of one turn copied once, one behind the other, into shared
 * chunks.  An outbox refers to pieces of them, and a piece that continues the
 * one before it only makes that longer, so that most sockets are written with
 * one contiguous send.  One worker's; counts are plain integers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/count.h"

struct aqb_msg;
struct series;

/* A frame in a chunk that may be dropped from outboxes. */
struct mark {
	struct series *series;
	uint64_t seq;
	uint32_t off;
	uint32_t len;
};

/* Bytes that outboxes refer to. */
struct chunk {
	uint32_t refs;
	uint32_t len;
	uint32_t cap;
	uint32_t marks;
	struct mark *mark; /* in order; most chunks have none */
	size_t mark_cap;
	struct pool *pool;
	struct chunk *next;  /* in the pool */
	struct aqb_msg *msg; /* the bytes are this message's, or NULL */
	const char *data;
	char own[];
};

/* A part of a chunk. */
struct piece {
	struct chunk *chunk;
	uint32_t off;
	uint32_t len;
};

/* Does the second go on where the first ends? */
static inline bool
piece_continues(const struct piece *first, const struct piece *second)
{
	return first->chunk == second->chunk &&
	    first->off + first->len == second->off;
}

/* Where chunks come from; `bytes` counts what is in use. */
struct pool {
	struct chunk *free;
	size_t free_count;
	atomic_uint_fast64_t *bytes;
};

void pool_fini(struct pool *pool);

/* A chunk of its own for these many bytes, one reference; NULL without
 * memory. */
struct chunk *chunk_new(struct pool *pool, size_t cap);
/* A message's frame as a chunk; takes a reference to the message. */
struct chunk *chunk_of_msg(struct pool *pool, struct aqb_msg *msg);
void chunk_unref(struct chunk **chunkp);

/* This frame of a chunk may be dropped from outboxes; behind all that were
 * marked before.  Takes a reference of its own.  False without memory. */
bool chunk_mark(struct chunk *chunk, struct series *series, uint64_t seq,
    uint32_t off, uint32_t len);
/* Make room for so many more.  False without memory. */
bool chunk_reserve_marks(struct chunk *chunk, size_t more);

/* The marks of the frames that begin in a piece: *np of them. */
const struct mark *piece_marks(const struct piece *piece, size_t *np);

/* Frames longer than this are not copied into runs. */
#define RUN_PIECE_MAX (16u * 1024u)

/* Where a turn's frames go.  Zeroed is empty. */
struct run {
	struct chunk *chunk;
};

/*
 * Copy bytes to the end of the run and say where they are.  The piece is
 * good until the run grows or is reset; who keeps it takes a reference.  An
 * empty piece when there is no memory.
 */
struct piece run_add(struct run *run, struct pool *pool, const void *data,
    size_t len);

/* The turn is over: begin anew in the same chunk if nobody refers to it, else
 * go on in it, so that who is slow keeps alive what it will be sent and little
 * else. */
void run_rewind(struct run *run);
void run_fini(struct run *run);

#endif
