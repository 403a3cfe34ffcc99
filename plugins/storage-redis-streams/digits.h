/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REDIS_DIGITS_H
#define REDIS_DIGITS_H

#include <stdint.h>
#include <string.h>

#define DIGITS_MAX 20 /* of 64 bits */

/* Write n at p; where it ends, without a NUL.  Every message has several
 * numbers, and printf takes its time. */
static inline char *
put_digits(char *p, uint64_t n)
{
	char digits[DIGITS_MAX];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	memcpy(p, digits + i, sizeof digits - i);
	return p + sizeof digits - i;
}

#endif
