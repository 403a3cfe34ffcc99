/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_hist.h"

#include <stdio.h>

#define STEP_BITS 6

static const struct {
	const char *name;
	double share;
} told[] = {
	{ "p50", 0.5 },
	{ "p90", 0.9 },
	{ "p99", 0.99 },
	{ "p99.9", 0.999 },
	{ "p99.99", 0.9999 },
};
#define TOLD (sizeof told / sizeof told[0])

static size_t
place(uint64_t ns)
{
	unsigned bits;
	size_t i;

	if (ns < BENCH_HIST_STEPS) {
		return ns;
	}
	/* The top bit chooses the doubling, the six below it the step. */
	bits = 63u - (unsigned)__builtin_clzll(ns) - STEP_BITS;
	i = (size_t)bits * BENCH_HIST_STEPS + (size_t)(ns >> bits);
	return i < BENCH_HIST_BUCKETS ? i : BENCH_HIST_BUCKETS - 1;
}

/* The largest latency that has its place here. */
static uint64_t
upper(size_t i)
{
	size_t bits = i / BENCH_HIST_STEPS;
	uint64_t step = i % BENCH_HIST_STEPS;

	if (bits < 2) {
		return i;
	}
	bits--;
	return ((BENCH_HIST_STEPS + step + 1) << bits) - 1;
}

static void
add(struct bench_hist *h, uint64_t ns, uint64_t times)
{
	h->count += times;
	h->bucket[place(ns)] += times;
	if (ns > h->max) {
		h->max = ns;
	}
}

void
bench_hist_add(struct bench_hist *h, uint64_t ns)
{
	add(h, ns, 1);
}

uint64_t
bench_hist_quantile(const struct bench_hist *h, double share)
{
	uint64_t want = (uint64_t)(share * (double)h->count);
	uint64_t seen = 0;

	if ((double)want < share * (double)h->count) {
		want++;
	}
	for (size_t i = 0; i < BENCH_HIST_BUCKETS && h->count > 0; i++) {
		seen += h->bucket[i];
		if (seen >= want && seen > 0) {
			return upper(i) < h->max ? upper(i) : h->max;
		}
	}
	return h->max;
}

void
bench_hist_since(const struct bench_hist *h, const struct bench_hist *then,
    struct bench_hist *sincep)
{
	sincep->count = h->count - then->count;
	sincep->max = h->max;
	for (size_t i = 0; i < BENCH_HIST_BUCKETS; i++) {
		sincep->bucket[i] = h->bucket[i] - then->bucket[i];
	}
}

void
bench_hist_correct(const struct bench_hist *h, uint64_t interval,
    struct bench_hist *correctedp)
{
	*correctedp = *h;
	for (size_t i = place(interval); i < BENCH_HIST_BUCKETS; i++) {
		uint64_t ns = upper(i) < h->max ? upper(i) : h->max;

		if (h->bucket[i] == 0 || interval == 0) {
			continue;
		}
		while (ns >= 2 * interval) {
			ns -= interval;
			add(correctedp, ns, h->bucket[i]);
		}
	}
}

void
bench_hist_json(const struct bench_hist *h, struct buf *b)
{
	buf_printf(b, "{\"count\":%llu", (unsigned long long)h->count);
	for (size_t i = 0; i < TOLD; i++) {
		buf_printf(b, ",\"%s\":%.1f", told[i].name,
		    (double)bench_hist_quantile(h, told[i].share) / 1e3);
	}
	buf_printf(b, ",\"max\":%.1f}", (double)h->max / 1e3);
}

void
bench_hist_title(const char *what)
{
	printf("%-16s %9s", what, "count");
	for (size_t i = 0; i < TOLD; i++) {
		printf(" %9s", told[i].name);
	}
	printf(" %9s\n", "max ms");
}

void
bench_hist_print(const struct bench_hist *h, const char *name)
{
	printf("%-16s %9llu", name, (unsigned long long)h->count);
	for (size_t i = 0; i < TOLD; i++) {
		printf(" %9.3f",
		    (double)bench_hist_quantile(h, told[i].share) / 1e6);
	}
	printf(" %9.3f\n", (double)h->max / 1e6);
}
