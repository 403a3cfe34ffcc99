/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hist.h"

#include <stddef.h>

/* Below 16 a bucket each; from there on the top five bits choose. */
static size_t
index_of(uint64_t us)
{
	int top;
	size_t i;

	if (us < HIST_STEPS) {
		return (size_t)us;
	}
	top = 63 - __builtin_clzll(us);
	i = (size_t)(top - 3) * HIST_STEPS +
	    (size_t)(us >> (top - 4)) % HIST_STEPS;
	return i < HIST_BUCKETS ? i : HIST_BUCKETS - 1;
}

/* The largest duration that falls into a bucket. */
static uint64_t
upper_end(size_t i)
{
	size_t shift;

	if (i < HIST_STEPS) {
		return i;
	}
	shift = i / HIST_STEPS - 1;
	return ((uint64_t)(HIST_STEPS + i % HIST_STEPS + 1) << shift) - 1;
}

void
hist_add(struct hist *h, uint64_t us)
{
	count_add(&h->count, 1);
	count_add(&h->sum, us);
	count_add(&h->bucket[index_of(us)], 1);
}

void
hist_merge(struct hist *h, const struct hist *other)
{
	count_add(&h->count, count_get(&other->count));
	count_add(&h->sum, count_get(&other->sum));
	for (size_t i = 0; i < HIST_BUCKETS; i++) {
		count_add(&h->bucket[i], count_get(&other->bucket[i]));
	}
}

uint64_t
hist_quantile(const struct hist *h, double share)
{
	uint64_t count = count_get(&h->count);
	double want = share * (double)count;
	uint64_t seen = 0;

	if (count == 0) {
		return 0;
	}
	for (size_t i = 0; i < HIST_BUCKETS; i++) {
		seen += count_get(&h->bucket[i]);
		if (seen > 0 && (double)seen >= want) {
			return upper_end(i);
		}
	}
	return upper_end(HIST_BUCKETS - 1);
}

uint64_t
hist_under(const struct hist *h, uint64_t us)
{
	size_t last = index_of(us);
	uint64_t n = 0;

	for (size_t i = 0; i <= last; i++) {
		n += count_get(&h->bucket[i]);
	}
	return n;
}
