/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HIST_H
#define BASE_HIST_H

/*
 * A histogram of durations in microseconds, log-linear: sixteen steps for
 * every doubling, so that a percentile is right to about 6 %, from 1 us to
 * over an hour.  Recording is one increment, by one thread; any may read.
 */

#include <stdint.h>

#include "base/count.h"

#define HIST_STEPS 16
#define HIST_BUCKETS (32 * HIST_STEPS)

struct hist {
	atomic_uint_fast64_t count;
	atomic_uint_fast64_t sum; /* us */
	atomic_uint_fast64_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t us);

/* Add what another has recorded. */
void hist_merge(struct hist *h, const struct hist *other);

/* The smallest duration that at least this share (0..1) stayed at or under,
 * in us; 0 when nothing was recorded. */
uint64_t hist_quantile(const struct hist *h, double share);

/* How many were recorded at or under this many us, for cumulative buckets;
 * exact where `us` + 1 is a power of two. */
uint64_t hist_under(const struct hist *h, uint64_t us);

#endif
