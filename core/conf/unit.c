/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/unit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

#define KIB UINT64_C(1024)
#define SECOND UINT64_C(1000)

/* Largest first: the first one that divides is the one to print. */
static const struct unit sizes[] = {
	{ "GiB", KIB *KIB *KIB },
	{ "MiB", KIB *KIB },
	{ "KiB", KIB },
	{ "B", 1 },
	{ NULL, 0 },
};

static const struct unit durations[] = {
	{ "d", 24 * 3600 * SECOND },
	{ "h", 3600 * SECOND },
	{ "m", 60 * SECOND },
	{ "s", SECOND },
	{ "ms", 1 },
	{ NULL, 0 },
};

#define TOO_LARGE "is too large a number"

/* The digits at the start, and where they end.  NULL when there are none;
 * *bigp when they do not fit. */
static const char *
digits(const char *text, uint64_t *np, bool *bigp)
{
	const char *p = text;
	uint64_t n = 0;

	*bigp = false;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n)) {
			*bigp = true;
		}
	}
	*np = n;
	return p == text ? NULL : p;
}

const char *
unit_parse_count(const char *text, uint64_t *np)
{
	bool big;
	const char *end = digits(text, np, &big);

	if (end == NULL || *end != '\0') {
		return "is not a number; write digits only";
	}
	return big ? TOO_LARGE : NULL;
}

/* Apply the unit that is written at `name`.  False: there is no such one. */
static bool
apply(const struct unit *units, const char *name, uint64_t *np, bool *bigp)
{
	for (; units->name != NULL; units++) {
		if (strcmp(units->name, name) == 0) {
			if (__builtin_mul_overflow(*np, units->factor, np)) {
				*bigp = true;
			}
			return true;
		}
	}
	return false;
}

const char *
unit_parse_size(const char *text, uint64_t *bytesp)
{
	bool big;
	const char *end = digits(text, bytesp, &big);

	if (end == NULL) {
		return "is not a size; write it as 65536, 64KiB, 1MiB or 1GiB";
	}
	if (*end == ' ') {
		end++;
	}
	if (*end != '\0' && !apply(sizes, end, bytesp, &big)) {
		/* 64K and 64KB mean 64,000 to some and 65,536 to others. */
		return "has no unit we know; write B, KiB, MiB or GiB (of 1024)";
	}
	return big ? TOO_LARGE : NULL;
}

const char *
unit_parse_duration(const char *text, uint64_t *msp)
{
	bool big;
	const char *end = digits(text, msp, &big);

	if (end == NULL) {
		return "is not a duration; write it as 250ms, 25s, 2m, 1h or 1d";
	}
	if (*end == ' ') {
		end++;
	}
	if (*end == '\0' && *msp == 0 && !big) {
		return NULL;
	}
	if (!apply(durations, end, msp, &big)) {
		return "has no unit we know; write ms, s, m, h or d after it";
	}
	return big ? TOO_LARGE : NULL;
}

static const char *
unit_text(const struct unit *units, uint64_t n, char text[UNIT_SIZE])
{
	if (n == 0) {
		return strcpy(text, "0");
	}
	while (n % units->factor != 0) {
		units++;
	}
	snprintf(text, UNIT_SIZE, "%" PRIu64 "%s", n / units->factor,
	    units->name);
	return text;
}

const char *
unit_size_text(uint64_t bytes, char text[UNIT_SIZE])
{
	return unit_text(sizes, bytes, text);
}

const char *
unit_duration_text(uint64_t ms, char text[UNIT_SIZE])
{
	return unit_text(durations, ms, text);
}
