/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_HOLD_H
#define REDIS_HOLD_H

/*
 * What Redis has stored is held for a while, so that it can be stored again:
 * with `appendfsync everysec` a power cut takes the last second or two.
 */

#include <stddef.h>

struct entry;
struct redis;
struct stream;

/* Hold one that is stored, and let go of what need not be held any more. */
void hold_add(struct redis *r, struct entry *e);

/* Let go what there is no room for, and so many of those that have surely
 * reached the disk. */
void hold_release(struct redis *r, size_t most);

/* What is held of a stream that goes must not come back. */
void hold_forget(struct redis *r, struct stream *s);

#endif
