/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_HOLD_H
#define REDIS_HOLD_H

/*
 * What Redis has stored is held for a while, so that it can be stored again:
 * with `appendfsync everysec` a power cut takes the last second or two.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct entry;
struct redis;
struct stream;

/* Need one that was stored then (ms) not be held any more? */
bool hold_is_safe(const struct redis *r, uint64_t since);

/* Hold one that is stored, and let go of what need not be held any more. */
void hold_add(struct redis *r, struct entry *e);

/* Let go what there is no room for, and so many of those that have surely
 * reached the disk. */
void hold_release(struct redis *r, size_t most);

/* What is held of a stream that goes must not come back. */
void hold_forget(struct redis *r, struct stream *s);

#endif
