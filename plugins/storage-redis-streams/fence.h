/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_FENCE_H
#define REDIS_FENCE_H

/*
 * Before anything is written over a new connection: is this a master, is it
 * the same process as before, and are the streams still ours?
 *
 *     PREFIX:{ctl}:meta    a hash: schema, era, run (of Redis), boot and
 *                          owner (of the broker and its connection)
 *
 * The era is a number that grows whenever a broker starts or meets another
 * Redis process.  It is the first half of every id, so that two messages never
 * get the same place, even if Redis lost the first of them.
 */

struct redis;

/* The write connection is up. */
void fence_begin(struct redis *r);

#define FENCE_SCHEMA "1"

#endif
