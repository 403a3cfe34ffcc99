/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

/*
 * A growing piece of text.  Running out of memory, or over `max`, sets
 * `failed` and turns every later addition into nothing, so that a caller
 * builds the whole text and asks once at the end.  Always NUL-terminated
 * once something was added.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max; /* 0 is no limit */
	bool failed;
};

/* A zeroed struct buf is an empty one; this returns its memory. */
void buf_fini(struct buf *b);

/* Forget the content, keep the memory. */
void buf_reset(struct buf *b);

/* The text so far, "" when there is none. */
const char *buf_text(const struct buf *b);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_u64(struct buf *b, uint64_t n);

/* Room for len more bytes, to be written by the caller, who then says how
 * many of them count.  NULL when that failed. */
char *buf_reserve(struct buf *b, size_t len);
void buf_advance(struct buf *b, size_t len);

/* Add a JSON string: quotes, and escapes for what needs them.  The bytes must
 * be UTF-8; what is not becomes U+FFFD. */
void buf_json(struct buf *b, const char *text, size_t len);
/* The same of a NUL-terminated string; NULL becomes null. */
void buf_json_str(struct buf *b, const char *text);

/* Take the text out of the buffer; free() it.  NULL when failed. */
char *buf_take(struct buf *b, size_t *lenp);

#endif
