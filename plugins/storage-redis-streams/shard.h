/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_SHARD_H
#define REDIS_SHARD_H

/*
 * Appends of one of several brokers.  What it sends is numbered, shard by
 * shard, and Redis takes the numbers in order and each once; so after a loss
 * of the connection the last number done says exactly what is to be sent
 * again.  What is done is held for a while, for a Redis that forgets.
 */

#include "shared.h"

struct post {
	struct shard *shard;
	struct stream *stream;
	struct aqb_msg *msg; /* NULL: the stream is to be dropped */
	aqb_ticket ticket;   /* 0: answered */
	uint64_t number;     /* 0: it waits, and has none yet */
	uint64_t since;      /* when it came, or was done; ms */
	uint32_t bytes;
	uint32_t history_size;
	uint64_t history_ttl;
	uint64_t dedupe_window;
	bool is_sent;
	bool is_done;
	bool has_come;   /* out of the log */
	bool is_excused; /* while it is not done it takes no room */
	TAILQ_ENTRY(post) link;
};

int shard_append(struct redis *r, aqb_ticket ticket, const char *name,
    const struct aqb_limits *limits, struct aqb_msg *msg);
int shard_forget(struct redis *r, aqb_ticket ticket, const char *name);

/* The number of the last that Redis has done of ours is known. */
void shard_fenced(struct redis *r, struct shard *sh, uint64_t done,
    struct place log_end);

/* Send what can be sent, of all shards. */
void shard_pump(struct redis *r);

/* One of ours has come out of the log: its post, if that is still there. */
struct post *shard_came(struct redis *r, struct shard *sh, uint64_t number);

/* It is at this position. */
void shard_answer(struct redis *r, struct post *post,
    const struct aqb_position *pos);

/* The log was read so far: whatever should have come will not any more. */
void shard_settle(struct redis *r, struct shard *sh);

/* Time passes. */
void shard_tick(struct redis *r);

void shard_fini(struct redis *r);

#endif
