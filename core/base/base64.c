/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <limits.h>

#include <openssl/evp.h>

/* libcrypto counts in int. */
#define PART_MAX (INT_MAX / 8 / 12 * 12)

char *
base64_encode(const void *data, size_t len, char *text)
{
	const unsigned char *from = data;

	*text = '\0';
	while (len > 0) {
		size_t n = len < PART_MAX ? len : PART_MAX;

		text += EVP_EncodeBlock((unsigned char *)text, from, (int)n);
		from += n;
		len -= n;
	}
	return text;
}

bool
base64_decode(const char *text, size_t len, void *data, size_t *lenp)
{
	unsigned char *to = data;
	size_t padding = 0;

	if (len % 4 != 0) {
		return false;
	}
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=') {
		padding++;
	}
	*lenp = len / 4 * 3 - padding;
	while (len > 0) {
		size_t n = len < PART_MAX ? len : PART_MAX;
		int got =
		    EVP_DecodeBlock(to, (const unsigned char *)text, (int)n);

		if (got < 0) {
			return false;
		}
		to += got;
		text += n;
		len -= n;
	}
	return true;
}
