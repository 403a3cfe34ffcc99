/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_KEEP_H
#define REDIS_KEEP_H

/*
 * Small values that brokers share, and find again after a restart.
 *
 *     PREFIX:{ctl}:keep    a hash of values by key
 *
 * What is there when the broker starts is read before it answers anybody.
 */

#include <arqonbus/storage.h>

struct redis;
struct redisContext;

/* Read what is kept: over a connection that may wait. */
void keep_read(struct redis *r, struct redisContext *c);
void keep_free(struct redis *r);

/* aqb_storage_ops.keep. */
void keep_value(struct redis *r, aqb_ticket ticket, const char *key,
    struct aqb_slice value);

#endif
