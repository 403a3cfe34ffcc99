/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

/*
 * A token bucket in integers: `rate` units flow in each second, up to
 * `burst`.  A rate of 0 is no limit.  The unit is up to the caller.
 */

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint64_t level; /* thousandths of a unit */
	uint64_t last;  /* monotonic milliseconds */
};

/* Begin full. */
void bucket_init(struct bucket *b, uint64_t burst, uint64_t now);

/* Take n units, or say how many milliseconds until there will be that many
 * (0 when they were taken).  What exceeds the burst waits for a full one. */
uint64_t bucket_take(struct bucket *b, uint64_t rate, uint64_t burst,
    uint64_t n, uint64_t now);

#endif
