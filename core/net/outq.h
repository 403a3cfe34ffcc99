/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_OUTQ_H
#define NET_OUTQ_H

/*
 * An outbox: the frames that wait for one socket, as pieces of shared chunks.
 * Pushing to it costs a comparison and an addition while the pieces are
 * contiguous, which within a turn they nearly always are.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/run.h"

/* Zeroed is empty. */
struct outq {
	struct piece *piece; /* NULL: `one` is all there is room for */
	struct piece one;
	uint32_t head;
	uint32_t n; /* pieces waiting, from head on */
	uint32_t cap : 31;
	uint32_t raw : 1; /* what waits is HTTP, not frames: no borders */
	uint32_t border;  /* offset in the first piece's chunk at which the
			  * frame begins that is being sent */
	uint64_t bytes;
};

enum outq_result {
	OUTQ_EMPTY,   /* all is written */
	OUTQ_BLOCKED, /* the socket takes no more now */
	OUTQ_BROKEN,  /* the connection is lost; errno says how */
};

void outq_fini(struct outq *q);

/* The last piece that waits; there is one. */
static inline struct piece *
outq_last(struct outq *q)
{
	struct piece *all = q->piece != NULL ? q->piece : &q->one;

	return &all[q->head + q->n - 1];
}

/* Make the last piece longer, if this one goes on where that ends. */
static inline bool
outq_extend(struct outq *q, struct piece piece)
{
	struct piece *last;

	if (q->n == 0) {
		return false;
	}
	last = outq_last(q);
	if (!piece_continues(last, &piece)) {
		return false;
	}
	last->len += piece.len;
	q->bytes += piece.len;
	return true;
}

/* Put a piece at the end, apart from the last; see outq_push. */
bool outq_append(struct outq *q, struct piece piece);

/* Put a piece at the end; takes a reference of its own.  False without
 * memory, with nothing changed.  Inline: every delivery does it. */
static inline bool
outq_push(struct outq *q, struct piece piece)
{
	return outq_extend(q, piece) || outq_append(q, piece);
}

/* Write what the socket takes; *wrotep counts it. */
enum outq_result outq_flush(struct outq *q, int fd, uint64_t *wrotep);

/* Drop every whole frame that has not begun to be sent; returns how many. */
uint64_t outq_drop_unsent(struct outq *q);

/*
 * Drop whole frames that have not begun to be sent and whose channel lets them
 * be dropped: of each SLOW_CONFLATE channel all but the newest, and of
 * SLOW_DROP_OLDEST channels the oldest, for as long as `goal` bytes or more
 * wait.  `lost` hears of each, in order.  `round` is a number that was never
 * used before.  False without memory: the outbox is as it was, but not what
 * was said to `lost`.
 */
typedef void outq_lost_f(void *arg, const struct mark *mark);
bool outq_shed(struct outq *q, uint64_t goal, uint64_t round, outq_lost_f *lost,
    void *arg);

/* Copy what waits into a chunk of its own if it keeps alive more than four
 * times its size.  Also done when there are ever more pieces. */
void outq_compact(struct outq *q, struct pool *pool);

#endif
