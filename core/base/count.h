/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

/*
 * Counters that one thread writes and any may read.  As nobody else writes,
 * adding needs no locked instruction: it costs what a plain addition costs.
 */

#include <stdatomic.h>
#include <stdint.h>

static inline void
count_add(atomic_uint_fast64_t *count, uint64_t n)
{
	atomic_store_explicit(count,
	    atomic_load_explicit(count, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

static inline uint64_t
count_get(const atomic_uint_fast64_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

#endif
