/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TELEMETRY_FILTER_H
#define TELEMETRY_FILTER_H

/* Which types of events one viewer wants to see. */

#include <stdbool.h>
#include <stddef.h>

/* How many names a filter holds, and their longest in bytes. */
#define FILTER_MAX 64
#define FILTER_NAME_MAX 64

struct filter_name {
	char text[FILTER_NAME_MAX + 1];
};

/*
 * It begins as "all".  The first subscribe narrows it to what is named; an
 * unsubscribe before that leaves all but what is named.
 */
struct filter {
	bool all; /* then `names` are those not wanted */
	size_t n;
	struct filter_name *names; /* FILTER_MAX of them, or NULL */
};

void filter_init(struct filter *filter);
void filter_fini(struct filter *filter);

/*
 * Take these types in, or out.  "*" stands for all.  Returns the number of
 * names that would then be kept, and changes nothing, when that is over
 * FILTER_MAX; 0 when done, and -1 without memory.
 */
int filter_subscribe(struct filter *filter, const struct filter_name *names,
    size_t n);
int filter_unsubscribe(struct filter *filter, const struct filter_name *names,
    size_t n);

bool filter_wants(const struct filter *filter, const char *type);

#endif
