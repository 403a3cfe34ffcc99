/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_AWAY_H
#define REDIS_AWAY_H

/*
 * Redis is away when it could not be written to for a moment.  In `degraded`
 * mode messages then go before they are stored, and go on doing so until
 * those that came meanwhile are stored, too.
 */

#include <stdbool.h>

#include <hiredis/hiredis.h>

struct redis;

int away_init(struct redis *r);
void away_fini(struct redis *r);

/* It cannot be written to now; unless that ends soon, it is away. */
void away_soon(struct redis *r);

/* It is there, and has refused: let it be for a while, longer each time. */
#define BUSY_MAX_MS 5000
void away_while_busy(struct redis *r, const redisReply *reply);

/* It can be written to again. */
void away_is_over(struct redis *r);

/* Who waits for Redis waits so long, ms, and not so long for one that is there
 * and refuses. */
uint64_t away_patience(const struct redis *r);

/* Do messages go before they are stored? */
bool away_is_early(const struct redis *r);

#endif
