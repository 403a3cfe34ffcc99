/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_PROBE_H
#define REDIS_PROBE_H

#include <arqonbus/storage.h>

struct redis;

/*
 * aqb_storage_ops.probe: a value is written over the connection that
 * publishes go over, and read back over the other one.
 *
 *     PREFIX:{ctl}:probe   the value, for a minute
 */
void probe_begin(struct redis *r, aqb_ticket ticket);

/* Ask how much of the AOF has reached the disk. */
void probe_disk(struct redis *r);

#endif
