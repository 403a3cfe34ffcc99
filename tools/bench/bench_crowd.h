/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

/*
 * Many connections opened at once, each through its handshake, the bus's
 * welcome and a join, while those that stand already are served.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_hist.h"
#include "bench_loop.h"

/* Where a stream goes on the bus, and by which path on the floor, which hands
 * on among those that asked for the same. */
struct bench_address {
	char path[24];
	char room[80];
	char channel[80];
	char to[80]; /* the channel that it publishes to, where not its own */
};
typedef void bench_address_f(uint32_t stream, struct bench_address *address);

#define BENCH_STATUS_MAX 600

struct bench_crowd {
	/* What to open: the streams of the clients are set already. */
	struct bench_client *clients;
	uint64_t count;
	bench_address_f *address;
	bool join;     /* the channels; the floor only answers */
	bool tiny;     /* see bench_dial() */
	bool lenient;  /* count what fails, instead of ending the program */
	uint64_t over; /* nanoseconds to spread them over; 0: as fast as they
			* come, some at a time */

	/* What came of it. */
	uint64_t established, refused, failed;
	uint64_t statuses[BENCH_STATUS_MAX]; /* of those that were refused */
	uint64_t took;             /* from the first to the last established */
	struct bench_hist latency; /* from when each was due */
	char why[128];             /* of the first that failed */
};

/* Open them all and let the loop watch those that are established.  Waits until
 * each is, or was refused, or failed: after 10 s without any change all that
 * are left have failed. */
void bench_crowd_open(struct bench_crowd *crowd, struct bench_loop *loop);

/* Open that many clients of streams 0, 1, .. in turn, of all there are, and
 * join them; or of none when they do not join.  Ends the program when one
 * fails. */
struct bench_client *bench_crowd_new(struct bench_loop *loop, uint64_t count,
    uint32_t streams, bench_address_f *address, bool join);

/* Make a publish to the address of a stream; see bench_text_init(). */
void bench_crowd_text(struct bench_text *t, bench_address_f *address,
    uint32_t stream, int size);

/* End the program when there are not descriptors enough for these many
 * connections. */
void bench_crowd_fits(uint64_t count);

#endif
