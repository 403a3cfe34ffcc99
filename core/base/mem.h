/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

/*
 * Two ways to ask for memory.  Sizes that we choose: xnew and friends, which
 * end the process when there is none, for then nothing useful can go on.
 * Sizes or numbers that a peer chooses: try_new, NULL, and that peer is shed.
 * All return zeroed memory to be given back with free().
 */

#include <stdbool.h>
#include <stddef.h>

void *xnew(size_t size);
char *xstrdup(const char *text);

/* printf into a new string. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void *try_new(size_t size);
char *try_strndup(const char *text, size_t len);

/*
 * Make room for at least `want` elements of `size` bytes in the array *ap
 * that holds *capp, growing by half at least.  False, and nothing changed,
 * when there is no memory.  New elements are not zeroed.
 */
bool try_grow(void *ap, size_t *capp, size_t want, size_t size);

#endif
