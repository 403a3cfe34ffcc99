/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Unpredictable bytes from the kernel.  Cannot fail: without them nothing
 * safe can be done, so the process ends. */
void rand_bytes(void *data, size_t len);

/* The same as 2 * len lower-case hex digits and a NUL. */
void rand_hex(char *text, size_t len);

#endif
