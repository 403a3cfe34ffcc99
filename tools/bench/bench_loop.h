/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

/*
 * The loop of a test: its clients, what comes for them, and a line on standard
 * error each second that says how it goes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_conn.h"
#include "bench_hist.h"
#include "bench_proc.h"
#include "bench_stamp.h"

#define BENCH_SECOND UINT64_C(1000000000)
#define BENCH_LINGER (BENCH_SECOND / 10)

/* A connection, and what it is to receive.  Tests that keep more of one have
 * a struct that begins with this. */
struct bench_client {
	struct bench_conn conn;
	struct bench_order order;
};

typedef void bench_gone_f(struct bench_client *client);

struct bench_loop {
	bench_text_f *came; /* told each text, with its client */
	bench_gone_f *gone; /* NULL: then the program ends */
	uint64_t now;       /* when the last read or wait ended */
	uint64_t moved;     /* when a message last came; the test sets it */
	uint64_t reads;
	int epoll_fd;
	int timer_fd; /* -1: none */

	/* All that were added, to part with them in the end. */
	struct bench_client **clients;
	size_t count_clients, room;

	/* The line on standard error. */
	uint64_t begun, told;
	const char *what; /* NULL: nothing is told */
	const uint64_t *count;
	uint64_t count_told;
	const struct bench_hist *latency;
	struct bench_hist latency_told;
};

/* Begin with no clients; `came` and `gone` are set already. */
void bench_loop_init(struct bench_loop *loop);

/* Watch a client for these events of epoll, or change what it is watched for.
 * One whose connection is closed is watched no more. */
void bench_loop_add(struct bench_loop *loop, struct bench_client *client,
    uint32_t events);
void bench_loop_change(struct bench_loop *loop, struct bench_client *client,
    uint32_t events);

/* Wake up that often, but 10,000 times a second at most. */
void bench_loop_set_timer(struct bench_loop *loop, uint64_t rate);

/*
 * Tell from now on each second how `count`, of what this is, has grown, and
 * the 99th percentile of what was added to `latency` meanwhile.  Borrows both
 * while the loop turns.
 */
void bench_loop_tell(struct bench_loop *loop, const char *what,
    const uint64_t *count, const struct bench_hist *latency);

/* Tell it if it is time; bench_turn() does that, too. */
void bench_loop_told(struct bench_loop *loop);

/* Wait for that many milliseconds at most and read what came. */
void bench_turn(struct bench_loop *loop, int timeout);

/* Has nothing moved for long? */
static inline bool
bench_stalled(const struct bench_loop *loop)
{
	return loop->now - loop->moved >= bench_patience / 2;
}

/* Turn for so many seconds, sleeping while nothing comes; less when nothing
 * has moved for long. */
void bench_run(struct bench_loop *loop, double seconds);

/*
 * The time that is measured.  What a message took counts when it was sent in
 * that time, whenever it came: a server that stalls cannot push the worst of
 * them behind the end.
 */
struct bench_span {
	uint64_t from; /* UINT64_MAX before it begins */
	uint64_t count, reads;
	struct bench_usage usage;
};
#define BENCH_SPAN                 \
	{                          \
		.from = UINT64_MAX \
	}

/* Begin it, where so many have been counted, and end it, with how many more
 * were counted, how often was read and what was used meanwhile. */
void bench_span_begin(struct bench_span *span, const struct bench_loop *loop,
    uint64_t count);
void bench_span_end(struct bench_span *span, const struct bench_loop *loop,
    uint64_t count);

/* Run for a warm-up, and then for the span, in which *count grows. */
void bench_measure(struct bench_loop *loop, double warm, double seconds,
    const uint64_t *count, struct bench_span *span);

/*
 * The end of a test: ping every connection and read up to its pong, and a
 * little longer, so that what comes twice, or where it should not, is told as
 * well when it comes last.  Adds to the score who did not answer, and frames
 * that were no whole texts.
 */
void bench_settle(struct bench_loop *loop, struct bench_score *score);

/* Turn until a count has come to what is wanted, or nothing moves. */
void bench_drain(struct bench_loop *loop, const uint64_t *count, uint64_t want);

/*
 * Publishes that are due at an even pace, whatever the server does: a server
 * that stalls finds them waiting, each with a latency that counts from when it
 * was due.
 */
struct bench_pace {
	uint64_t begin;             /* when number 0 is due */
	uint64_t rate;              /* a second */
	uint64_t next;              /* the first that is not on its way */
	uint64_t all;               /* how many there are */
	struct bench_hist lateness; /* of the generator */
};

static inline uint64_t
bench_pace_due(const struct bench_pace *pace, uint64_t i)
{
	return pace->begin + i * BENCH_SECOND / pace->rate;
}

/* True when one is due that is not on its way: its number is *ip. */
bool bench_pace_next(struct bench_pace *pace, uint64_t *ip);

#endif
