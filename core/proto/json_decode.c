/* SPDX-License-Identifier: Apache-2.0 */

/* What values of a text that the scanner found valid mean. */

#include <string.h>

#include "base/hex.h"
#include "proto/json.h"

/* The code unit of "\uXXXX", p being at the first digit. */
static uint32_t
code_unit(const char *p)
{
	uint32_t u = 0;

	for (int i = 0; i < 4; i++) {
		u = u << 4 | (uint32_t)hex_digit(p[i]);
	}
	return u;
}

static size_t
put_utf8(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Decode the \u escape whose digits begin at *pp, a pair of surrogates
 * together.  0 for what is no character. */
static uint32_t
decode_unicode(const char **pp, const char *end)
{
	uint32_t high = code_unit(*pp);
	uint32_t low;

	*pp += 4;
	if (high < 0xd800 || high > 0xdfff) {
		return high;
	}
	if (high > 0xdbff || end - *pp < 6 || (*pp)[0] != '\\' ||
	    (*pp)[1] != 'u') {
		return 0;
	}
	low = code_unit(*pp + 2);
	if (low < 0xdc00 || low > 0xdfff) {
		return 0;
	}
	*pp += 6;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static char
decode_short(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

bool
json_decode(const struct json_value *value, char *out, size_t size,
    size_t *lenp)
{
	const char *p, *end;
	size_t n = 0;

	if (value->type != JSON_STRING) {
		return false; /* nor is there a text, perhaps */
	}
	p = value->text + 1;
	end = value->text + value->len - 1;
	if (!value->escaped) {
		if ((size_t)(end - p) > size) {
			return false;
		}
		memcpy(out, p, (size_t)(end - p));
		*lenp = (size_t)(end - p);
		return true;
	}
	while (p < end) {
		char piece[4];
		size_t len = 1;

		piece[0] = *p++;
		if (piece[0] == '\\') {
			char c = *p++;

			if (c == 'u') {
				uint32_t u = decode_unicode(&p, end);

				if (u == 0) {
					return false;
				}
				len = put_utf8(u, piece);
			} else {
				piece[0] = decode_short(c);
			}
		}
		if (len > size - n) {
			return false;
		}
		memcpy(out + n, piece, len);
		n += len;
	}
	*lenp = n;
	return true;
}

bool
json_key_is(const char *key, size_t len, bool escaped, const char *want)
{
	size_t want_len = strlen(want);
	struct json_value quoted = { JSON_STRING, true, key - 1, len + 2 };
	char plain[64];

	if (!escaped) {
		return len == want_len && memcmp(key, want, len) == 0;
	}
	return json_decode(&quoted, plain, sizeof plain, &len) &&
	    len == want_len && memcmp(plain, want, len) == 0;
}

bool
json_u64(const struct json_value *value, uint64_t *np)
{
	uint64_t n = 0;

	if (value->type != JSON_NUMBER || value->len > 20) {
		return false;
	}
	for (size_t i = 0; i < value->len; i++) {
		unsigned digit = (unsigned)(value->text[i] - '0');

		if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
			return false;
		}
		n = n * 10 + digit;
	}
	*np = n;
	return true;
}
