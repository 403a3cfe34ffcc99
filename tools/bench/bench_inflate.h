/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BENCH_INFLATE_H
#define BENCH_BENCH_INFLATE_H

/*
 * Compressed messages, read cheaply.  All receivers of a channel get the same
 * bytes, so what was inflated once is remembered, and what comes again costs a
 * comparison.  One thread's.
 */

#include <arqonbus/abi.h>

/* The text of a compressed message, good until others come; ends the program
 * when it is none. */
struct aqb_slice bench_inflate(const void *data, size_t len);

#endif
