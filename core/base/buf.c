/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

void
buf_fini(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data != NULL) {
		b->data[0] = '\0';
	}
}

const char *
buf_text(const struct buf *b)
{
	return b->data == NULL ? "" : b->data;
}

/* Room for `more` bytes and the NUL, or failed. */
static bool
make_room(struct buf *b, size_t more)
{
	if (b->failed) {
		return false;
	}
	if ((b->max != 0 && more > b->max - b->len) ||
	    !try_grow(&b->data, &b->cap, b->len + more + 1, 1)) {
		b->failed = true;
		return false;
	}
	return true;
}

char *
buf_reserve(struct buf *b, size_t len)
{
	return make_room(b, len) ? b->data + b->len : NULL;
}

void
buf_advance(struct buf *b, size_t len)
{
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	if (!make_room(b, len)) {
		return;
	}
	if (len > 0) {
		memcpy(b->data + b->len, data, len);
	}
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void
buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	char small[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if ((size_t)n < sizeof small) {
		buf_add(b, small, (size_t)n);
		return;
	}
	if (!make_room(b, (size_t)n)) {
		return;
	}
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_u64(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	buf_add(b, digits + i, sizeof digits - i);
}

static void
escape(struct buf *b, unsigned char c)
{
	static const char short_for[] = "btn\0fr";

	if (c == '"' || c == '\\') {
		char two[2] = { '\\', (char)c };

		buf_add(b, two, 2);
		return;
	}
	if (c >= '\b' && c <= '\r' && c != '\v') {
		char two[2] = { '\\', short_for[c - '\b'] };

		buf_add(b, two, 2);
		return;
	}
	buf_printf(b, "\\u%04x", c);
}

void
buf_json(struct buf *b, const char *text, size_t len)
{
	size_t done = 0;
	size_t i = 0;

	buf_putc(b, '"');
	while (i < len) {
		unsigned char c = (unsigned char)text[i];
		size_t n;

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			i++;
			continue;
		}
		n = c < 0x80 ? 0 : utf8_char(text + i, len - i);
		if (n > 0) {
			i += n;
			continue;
		}
		buf_add(b, text + done, i - done);
		if (c < 0x80) {
			escape(b, c);
		} else {
			buf_puts(b, "\xef\xbf\xbd"); /* U+FFFD */
		}
		done = ++i;
	}
	buf_add(b, text + done, i - done);
	buf_putc(b, '"');
}

void
buf_json_str(struct buf *b, const char *text)
{
	if (text == NULL) {
		buf_puts(b, "null");
		return;
	}
	buf_json(b, text, strlen(text));
}

char *
buf_take(struct buf *b, size_t *lenp)
{
	char *text = b->data;

	if (b->failed || text == NULL) {
		buf_fini(b);
		*lenp = 0;
		return NULL;
	}
	*lenp = b->len;
	memset(b, 0, sizeof *b);
	return text;
}
