/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing
 * above U+10FFFF. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const char *text, size_t len);

/* The length of the valid character at the start, 0 when there is none. */
size_t utf8_char(const char *text, size_t len);

/* How much of a text that was cut somewhere is whole characters. */
size_t utf8_whole(const char *text, size_t len);

/*
 * A check that goes on from piece to piece.  Zeroed is the start.  After the
 * last piece the text was whole if utf8_done() says so.
 */
struct utf8 {
	uint8_t left; /* continuation bytes to come */
	uint8_t low;  /* the next one's range */
	uint8_t high;
};

/* False at the first byte that cannot be right. */
bool utf8_feed(struct utf8 *u, const char *text, size_t len);
bool utf8_done(const struct utf8 *u);

#endif
