/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

/*
 * Messages that can be recognised when they come back: in the payload of each
 * stands which stream it belongs to, its number there and when it was due, in
 * hexadecimal digits of fixed width.  Every receiver checks the numbers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_SIZE_MIN 48 /* the shortest payload with a stamp */
#define BENCH_SIZE_MAX 60000

/* A publish whose stamp is written anew for each sending. */
struct bench_text {
	char *data;
	size_t len;
	char *stamp;
};

struct bench_stamp {
	uint32_t stream;
	uint32_t n;
	uint64_t due; /* bench_now() */
};

/* Make a publish: `address` is its inside up to the payload, like
 * "type":"event","room":"a"; the payload has `size` bytes. */
void bench_text_init(struct bench_text *t, const char *address, size_t size);
void bench_text_fini(struct bench_text *t);
void bench_text_stamp(struct bench_text *t, const struct bench_stamp *stamp);

/*
 * Find the stamp in a text; false when it has none.  *hintp, 0 at first, is
 * how far from the end the last one stood: looking there first spares the
 * search.
 */
bool bench_stamp_find(const char *text, size_t len, size_t *hintp,
    struct bench_stamp *stampp);

/* What a receiver of one stream has had. */
struct bench_order {
	uint32_t stream;
	uint32_t next;
};

/* What all receivers had, and what of it was wrong. */
struct bench_score {
	uint64_t received;
	uint64_t skipped;  /* a later one came: lost, or out of order */
	uint64_t repeated; /* an earlier one: doubled, or out of order */
	uint64_t astray;   /* of another stream */
	uint64_t missing;  /* nothing came any more */
	size_t wire;       /* length of the last text */
};

/*
 * Count what came.  Returns how many numbers the receiver moved on by: 1 for
 * the right message, more after a hole, 0 for one that it should not have had.
 */
uint32_t bench_score_add(struct bench_score *score, struct bench_order *order,
    const struct bench_stamp *stamp);

/* At the end: this many of the stream were sent. */
void bench_score_end(struct bench_score *score, const struct bench_order *order,
    uint32_t sent);

/* Nothing lost, doubled, reordered or astray, and something came. */
bool bench_score_good(const struct bench_score *score);

#endif
