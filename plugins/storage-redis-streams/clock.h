/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_CLOCK_H
#define REDIS_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds that never jump, whatever happens to the time of day.  They come
 * in steps of a few: it is asked several times for each message. */
static inline uint64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

#endif
