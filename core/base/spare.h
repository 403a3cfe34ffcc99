/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SPARE_H
#define BASE_SPARE_H

/*
 * Memory for what comes and goes by the thousand, and crosses threads: each
 * thread keeps what it frees, up to 256 KiB of a size, and takes from that.
 * glibc's malloc has seven of a size at hand and merges and splits the rest;
 * with what is held of the last seconds, that was a sixth of the work of a
 * stored message.  What is too long to be kept is malloc's.
 */

#include <stddef.h>

/* Not zeroed; NULL when there is no memory. */
void *spare_new(size_t size);

/* NULL is fine.  `size` is what was asked for. */
void spare_free(void *p, size_t size);

#endif
