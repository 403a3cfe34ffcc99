/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_TAIL_H
#define REDIS_TAIL_H

/*
 * Reading the logs, over a connection of its own: one XREAD that waits for
 * news of any of them, again and again.
 */

#include "shared.h"

int tail_init(struct redis *r);

/* Every cursor is known: begin, or go on. */
void tail_start(struct redis *r);

/* tail_deliver: beside AQB_FOLLOW_REPEATED; out of the stream itself, so that
 * a hole before it cannot be mended. */
#define TAIL_MENDED 0x8000u

/* A message of a stream at its place: hand it on, unless that was done. */
void tail_deliver(struct redis *r, struct stream *s, const char *epoch,
    struct place at, struct aqb_msg *msg, uint32_t flags);

#endif
