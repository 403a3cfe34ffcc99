/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void
rand_bytes(void *data, size_t len)
{
	unsigned char *p = data;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			perror("getrandom");
			abort();
		}
		p += n;
		len -= (size_t)n;
	}
}

void
rand_hex(char *text, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char byte[64];

	while (len > 0) {
		size_t n = len < sizeof byte ? len : sizeof byte;

		rand_bytes(byte, n);
		for (size_t i = 0; i < n; i++) {
			*text++ = digits[byte[i] >> 4];
			*text++ = digits[byte[i] & 15];
		}
		len -= n;
	}
	*text = '\0';
}
