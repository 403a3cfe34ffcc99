/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

/* Base64 with its padding (RFC 4648, section 4). */

#include <stdbool.h>
#include <stddef.h>

/* How long the text of these many bytes is. */
#define BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)

/* Write the text, and a NUL behind it; returns where that stands. */
char *base64_encode(const void *data, size_t len, char *text);

/*
 * Write what a text stands for: at most len / 4 * 3 bytes are touched, and
 * *lenp tells how many of them count.  False when it is no such text.
 */
bool base64_decode(const char *text, size_t len, void *data, size_t *lenp);

#endif
