/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/nearest.h"

#include <stdio.h>
#include <string.h>

/* Longer names are no typos that we could guess. */
#define LONGEST 40

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters must be added, dropped, changed or swapped with their
 * neighbour to turn one into the other (optimal string alignment). */
static size_t
distance(const char *a, const char *b)
{
	size_t d[LONGEST + 1][LONGEST + 1];
	size_t an = strlen(a);
	size_t bn = strlen(b);

	for (size_t i = 0; i <= an; i++) {
		for (size_t j = 0; j <= bn; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] =
			    least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
				least(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1]) {
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
			}
		}
	}
	return d[an][bn];
}

void
nearest_offer(struct nearest *n, const char *name)
{
	size_t len = strlen(n->want);
	size_t d;

	if (len > LONGEST || strlen(name) > LONGEST) {
		return;
	}
	d = distance(n->want, name);

	/* One letter and a quarter of the rest is a typo; more is a guess. */
	if (d <= 1 + len / 4 && d < strlen(name) &&
	    (n->best == NULL || d < n->distance)) {
		n->best = name;
		n->distance = d;
	}
}

const char *
nearest_text(const struct nearest *n, char text[NEAREST_SIZE])
{
	text[0] = '\0';
	if (n->best != NULL) {
		snprintf(text, NEAREST_SIZE, "; did you mean %s?", n->best);
	}
	return text;
}
