/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

/*
 * Messages that can be recognised when they come back: the payload of each is
 * a JSON string that begins with the stream it belongs to and its number there,
 * in hexadecimal digits of fixed width.  Every receiver checks the numbers.
 * When each was due the generator knows by the number.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define BENCH_SIZE_MIN 16 /* the shortest payload with a stamp */
#define BENCH_SIZE_MAX 60000
#define BENCH_STREAMS_MAX 0xffffff
#define BENCH_NO_STREAM UINT32_MAX /* of who is to receive nothing */

/* A publish whose stamp is written anew for each sending. */
struct bench_text {
	char *data;
	size_t len;
	char *stamp;
};

struct bench_stamp {
	uint32_t stream; /* up to BENCH_STREAMS_MAX */
	uint32_t n;
};

/* Make a publish: `address` is its inside up to the payload, like
 * "type":"event","room":"a"; the payload has `size` bytes. */
void bench_text_init(struct bench_text *t, const char *address, size_t size);

/* The same with all that stands before and behind the payload. */
void bench_text_wrap(struct bench_text *t, const struct buf *before,
    size_t size, const struct buf *behind);
void bench_text_fini(struct bench_text *t);
void bench_text_stamp(struct bench_text *t, const struct bench_stamp *stamp);

/* The next stamp of a text that holds many.  Returns what is behind it, NULL
 * when there is none any more. */
const char *bench_stamp_next(const char *p, const char *end,
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
	uint64_t silent; /* connections that left their last ping unanswered */
	size_t wire;     /* length of the last text with a stamp */
	size_t hint;     /* how far from its end the stamp stood */
	bool bare;       /* texts are payloads alone; the test sets it */
};

/*
 * Count what came.  Returns how many numbers the receiver moved on by: 1 for
 * the right message, more after a hole, 0 for one that it should not have had
 * and for a text that is no message of ours.
 */
uint32_t bench_score_text(struct bench_score *score, struct bench_order *order,
    const char *text, size_t len, struct bench_stamp *stampp);

/* At the end: this many of the stream were sent. */
void bench_score_end(struct bench_score *score, const struct bench_order *order,
    uint32_t sent);

/* Nothing lost, doubled, reordered or astray, something came, and all were
 * there to the end. */
bool bench_score_good(const struct bench_score *score);

#endif
