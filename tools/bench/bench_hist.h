/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

/*
 * A histogram of latencies in nanoseconds, log-linear as HDR histograms are:
 * 64 steps for every doubling, so that a percentile is right to 1.6 %, from
 * 1 ns to over a day.  It is finer than the daemon's own (base/hist), since
 * two percentiles are divided by each other here.
 */

#include <stdint.h>

#include "base/buf.h"

#define BENCH_HIST_STEPS 64
#define BENCH_HIST_BUCKETS (42 * BENCH_HIST_STEPS)

struct bench_hist {
	uint64_t count;
	uint64_t max;
	uint64_t bucket[BENCH_HIST_BUCKETS];
};

/* Record one latency; no more than an increment. */
void bench_hist_add(struct bench_hist *h, uint64_t ns);

/* The latency that this share (0..1) of all stayed at or under, in ns; 0 when
 * nothing was recorded. */
uint64_t bench_hist_quantile(const struct bench_hist *h, double share);

/* What was recorded after it looked like `then`. */
void bench_hist_since(const struct bench_hist *h, const struct bench_hist *then,
    struct bench_hist *sincep);

/*
 * What a client that waits for each answer before it asks again would have had
 * if it had gone on asking at this interval, in ns: an answer that came late
 * stands for all those, too, that were not asked for meanwhile, each of them an
 * interval shorter than the one before (HdrHistogram's correction for
 * coordinated omission).
 */
void bench_hist_correct(const struct bench_hist *h, uint64_t interval,
    struct bench_hist *correctedp);

/* Add {"count":..,"p50":..,..,"max":..} in microseconds. */
void bench_hist_json(const struct bench_hist *h, struct buf *b);

/* Print one line of a table, in milliseconds, under bench_hist_title(). */
void bench_hist_title(const char *what);
void bench_hist_print(const struct bench_hist *h, const char *name);

#endif
