/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_BOARD_H
#define REDIS_BOARD_H

/*
 * What brokers tell each other beside messages: records, which are there
 * until they are removed, and notices, which are heard or not.  Both go
 * through one log, so that all hear them in one order; a broker that is new,
 * or has missed something, reads all records first.
 */

#include "shared.h"

int board_init(struct redis *r);
void board_free(struct redis *r);

/* All was read that there was at the beginning: the logs may be followed. */
bool board_is_ready(const struct redis *r);

/* The others may have gone on without us: we were stopped, or cut off. */
bool board_is_overdue(const struct redis *r);

/* There is Redis, and it is fenced. */
void board_resume(struct redis *r);

/* Another era: what Redis has of ours may be older than what we told. */
void board_era_began(struct redis *r);

/* Now and then: we are still here. */
void board_tick(struct redis *r);

/* aqb_storage_ops.share and .notify. */
int board_share(struct redis *r, const char *key, struct aqb_slice value,
    uint32_t flags);
int board_notify(struct redis *r, struct aqb_slice notice);

/* Answer the ticket when a notice has made it through the log. */
void board_probe(struct redis *r, aqb_ticket ticket);

/* An entry of the log. */
void board_take(struct redis *r, const redisReply *reply);

/* Take our name off; calls back when that is done, or cannot be. */
void board_leave(struct redis *r, void (*done)(struct redis *r));

#endif
