/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_NEAREST_H
#define CONF_NEAREST_H

#include <stddef.h>

/*
 * "Did you mean": begin with the name that was wanted, offer every name that
 * exists, and `best` is the nearest, or NULL when none is near.
 */
struct nearest {
	const char *want;
	const char *best;
	size_t distance;
};

void nearest_offer(struct nearest *n, const char *name);

/* Write "; did you mean NAME?" or nothing into a small text. */
#define NEAREST_SIZE 96
const char *nearest_text(const struct nearest *n, char text[NEAREST_SIZE]);

#endif
