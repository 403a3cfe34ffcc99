/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

/*
 * What may follow a lead byte: how many continuation bytes, and the range of
 * the first of them, which is where overlong forms, surrogates and what lies
 * above U+10FFFF are ruled out (RFC 3629, section 4).
 */
static bool
lead(struct utf8 *u, unsigned char c)
{
	u->low = 0x80;
	u->high = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		u->left = 1;
		return true;
	}
	if (c >= 0xe0 && c <= 0xef) {
		u->left = 2;
		u->low = c == 0xe0 ? 0xa0 : 0x80;
		u->high = c == 0xed ? 0x9f : 0xbf;
		return true;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		u->left = 3;
		u->low = c == 0xf0 ? 0x90 : 0x80;
		u->high = c == 0xf4 ? 0x8f : 0xbf;
		return true;
	}
	return false;
}

/* The first byte at or after i that is not ASCII, eight at a time. */
static size_t
skip_ascii(const char *text, size_t i, size_t len)
{
	uint64_t eight;

	while (i + sizeof eight <= len) {
		memcpy(&eight, text + i, sizeof eight);
		if (eight & 0x8080808080808080u) {
			break;
		}
		i += sizeof eight;
	}
	while (i < len && (unsigned char)text[i] < 0x80) {
		i++;
	}
	return i;
}

bool
utf8_feed(struct utf8 *u, const char *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		unsigned char c;

		if (u->left == 0) {
			i = skip_ascii(text, i, len);
			if (i == len) {
				break;
			}
			if (!lead(u, (unsigned char)text[i++])) {
				return false;
			}
			continue;
		}
		c = (unsigned char)text[i++];
		if (c < u->low || c > u->high) {
			return false;
		}
		u->left--;
		u->low = 0x80;
		u->high = 0xbf;
	}
	return true;
}

bool
utf8_done(const struct utf8 *u)
{
	return u->left == 0;
}

bool
utf8_valid(const char *text, size_t len)
{
	struct utf8 u = { 0 };

	return utf8_feed(&u, text, len) && utf8_done(&u);
}

size_t
utf8_char(const char *text, size_t len)
{
	struct utf8 u = { 0 };
	size_t n;

	if (len == 0) {
		return 0;
	}
	if ((unsigned char)text[0] < 0x80) {
		return 1;
	}
	if (!lead(&u, (unsigned char)text[0])) {
		return 0;
	}
	n = u.left + 1u;
	return n <= len && utf8_feed(&u, text + 1, n - 1) ? n : 0;
}

size_t
utf8_whole(const char *text, size_t len)
{
	size_t start = len;

	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
		start--;
	}
	if (start > 0 && (unsigned char)text[start - 1] >= 0xc0) {
		start--;
	}
	return utf8_valid(text + start, len - start) ? len : start;
}
