/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_HISTORY_H
#define REDIS_HISTORY_H

/*
 * Reading back.  What was said a moment ago is still in the spool, and a
 * crowd that comes back after a short loss is answered from there; the rest is
 * read from Redis in pages, the same question of many only once.
 */

#include <arqonbus/storage.h>

struct reads;
struct redis;
struct stream;

int history_init(struct redis *r);
void history_fini(struct redis *r);

/* aqb_storage_ops.history. */
void history_read(struct redis *r, aqb_ticket ticket, const char *name,
    const struct aqb_range *range);

/* Go on with what waits: the stream is open, or Redis is back, or away. */
void history_go_on(struct redis *r);

#endif
