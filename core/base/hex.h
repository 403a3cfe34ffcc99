/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>

/* Write bytes as 2 * len lower-case hex digits; returns the end, where no NUL
 * is put. */
char *hex_encode(const void *data, size_t len, char *text);

/* The value of a digit of either case, or -1. */
int hex_digit(char c);

#endif
