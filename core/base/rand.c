/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hex.h"

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
	unsigned char byte[64];

	while (len > 0) {
		size_t n = len < sizeof byte ? len : sizeof byte;

		rand_bytes(byte, n);
		text = hex_encode(byte, n, text);
		len -= n;
	}
	*text = '\0';
}
