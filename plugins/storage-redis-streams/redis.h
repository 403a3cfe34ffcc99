/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

/*
 * What the parts of storage-redis-streams share.  arqonbus-storage-redis(7)
 * tells the keys and the promises; here is who does what:
 *
 *     url, find, attach,
 *     link, reply              one connection to Redis
 *     check                    what must be so before the broker starts
 *     fence                    whose streams these are, and which era it is
 *     stream                   the channels: their epoch and where they end
 *     spool, hold              messages on their way, and shortly after
 *     write                    appends, in order, pipelined
 *     replica                  which of them the replicas have
 *     history, resolve         reading back
 *     probe                    is it well?
 *     keep                     what brokers share
 *     shared                   several brokers, one bus: see shared.h
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <arqonbus/plugin.h>

#include "clock.h"
#include "dedupe.h"
#include "link.h"
#include "replica.h"
#include "reply.h"
#include "spool.h"
#include "stream.h"

enum redis_mode { MODE_DEGRADED, MODE_STRICT };

struct redis_conf {
	const char *url;
	const char *prefix;
	uint32_t mode; /* enum redis_mode */
	uint32_t spool_messages;
	uint64_t spool_size;
	uint64_t spool_wait; /* strict: how long one waits for Redis */
	uint64_t hold;       /* how long one is kept that was stored */
	uint64_t hold_size;
	uint64_t stream_ttl;
	uint64_t stop_wait;
	uint64_t away_after;
	uint64_t node_ttl;
	uint32_t streams;  /* that are known without asking Redis */
	uint32_t replicas; /* that must have what is `replicated`; 0: none is */
	uint64_t replica_wait;
	bool check;
	bool cluster;
	struct link_times times;
};

struct metrics {
	uint32_t connected, away, spool_messages, spool_bytes;
	uint32_t hold_messages, hold_bytes, hold_short, appended, replayed;
	uint32_t repaired, refused, repeated, reads, connections, foreign;
	uint32_t replicating, unreplicated;
};

struct redis {
	const struct aqb_host *host;
	const struct redis_conf *conf;
	enum redis_mode mode; /* several brokers: always strict */
	struct event_base *base;
	struct url url;
	struct link *write; /* publishes, in order */
	struct link *read;  /* all that may take a while */
	char write_name[64], read_name[64];
	struct event *tick;
	struct metrics metrics;

	/* See fence.h. */
	char boot[33];
	char owner[24];      /* our write connection, as Redis counts them */
	char run[64];        /* of the Redis that is connected to, or "" */
	char fenced_run[64]; /* of the one that was fenced last, or "" */
	uint64_t era;        /* 0: never fenced */
	uint64_t booted;
	bool is_first_life; /* nothing can have been stored before it */
	bool is_fenced;     /* the write connection may write */
	bool is_ousted;     /* another broker has the streams: we never write */
	enum aqb_stored stored_class; /* what a reply of Redis means */

	/* Of the AOF: what was stored before this is on disk. */
	uint64_t flushed;
	uint64_t delayed; /* Redis counts the writes that had to wait */
	bool has_aof;

	/* Not reachable: messages go early, or wait. */
	bool is_away;
	uint64_t drain; /* early until this entry is stored; 0: not draining */
	struct event *away_timer;
	uint64_t busy_until; /* Redis said so */
	uint64_t busy_wait;

	struct replicas replicas;
	struct doubts doubts;

	struct redisReply *kept; /* see keep.h; NULL: not known */

	struct streams streams;
	struct spool spool;

	struct cluster *cluster; /* NULL: this broker is alone */

	struct reads *reads;
	LIST_HEAD(resolving_list, resolving) resolving;
	aqb_ticket stopping; /* 0: not */
	uint64_t stop_at;
	uint64_t disk_at; /* when to look at the disk again */
};

/* A counter or gauge. */
void redis_add(const struct redis *r, uint32_t metric, uint64_t n);
void redis_set(const struct redis *r, uint32_t metric, uint64_t n);

/* Answer a ticket with no more than an error. */
void redis_fail(const struct redis *r, aqb_ticket ticket, enum aqb_err err);

/* How far what waits for Redis fills its limits, in hundredths. */
uint32_t redis_backlog(const struct redis *r);

/* Redis can be written to. */
bool redis_is_present(const struct redis *r);

#endif
