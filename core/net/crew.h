/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_CREW_H
#define NET_CREW_H

/*
 * All the I/O workers: one on the core's own loop, or several with a thread
 * and a loop each.  For the core's thread.
 *
 * The core accepts and hands each socket to the worker that has the fewest,
 * so that the threads stay even however few connections there are.  Sockets
 * of their own with SO_REUSEPORT spread by a hash instead: of 100 connections
 * on 4 sockets the fullest had 1.2 times its share in the middle of 20 tries
 * and 1.5 times at worst, and limits would need a lock at every accept.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct hist;
struct loop;
struct worker;

#define CREW_MAX 64

struct crew {
	uint32_t magic;
	bool has_threads;
	bool is_running;
	uint32_t size;
	struct worker *worker[CREW_MAX];
	struct loop *loop[CREW_MAX]; /* with threads: the workers' own */
	uint64_t thread[CREW_MAX];   /* pthread_t */
	struct loop *core;
	uint64_t lagged[CREW_MAX + 1]; /* as it was; the last is the core's */
	struct net_counters count;     /* the listener's */
};

/* Workers for this many threads; 0: one worker on the core's loop. */
struct crew *crew_new(struct loop *core, const struct net_conf *conf,
    uint32_t threads);

/* Let the threads run; and end them, after which everything that is a
 * worker's belongs to the caller.  Without threads there is nothing to do. */
void crew_start(struct crew *crew);
void crew_stop(struct crew *crew);

/* Stopped; the connections that are left are closed hard. */
void crew_free(struct crew **crewp);

/* The worker with the fewest connections. */
struct worker *crew_choose(const struct crew *crew);

/* From now on nobody becomes a client any more: an upgrade is answered 503.
 * Pages are served to the end. */
void crew_close_doors(struct crew *crew);

/* Answer 503 with this reason, which lives for ever, to who wants to come in;
 * NULL: all may.  Pages are served all the same. */
void crew_set_refusal(struct crew *crew, const char *reason);

/* How long turns may take, ms; and how many of the last ms went by in longer
 * ones, on the loop of which it is most. */
void crew_set_lag_limit(struct crew *crew, uint64_t limit);
uint64_t crew_lagged(struct crew *crew);

/* How many there are, of all workers together. */
uint64_t crew_connections(const struct crew *crew);
uint64_t crew_connections_of(const struct crew *crew, uint32_t worker);
uint64_t crew_half_open(const struct crew *crew);
uint64_t crew_outbox_bytes(const struct crew *crew);
void crew_counters(const struct crew *crew, struct net_counters *sum);
void crew_routing(const struct crew *crew, struct hist *sum);

#endif
