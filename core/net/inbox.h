/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_INBOX_H
#define NET_INBOX_H

/*
 * Bytes that were read and could not be used yet.  Most connections have
 * none most of the time: what arrives whole is used straight from the
 * worker's buffer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inbox {
	uint8_t *data;
	size_t off; /* used up to here */
	size_t len;
	size_t cap;
	size_t need; /* of a frame that is not whole: how long it will be */

	/* The pieces so far of a fragmented message. */
	uint8_t *part;
	size_t part_len;
	size_t part_cap;

	uint64_t since; /* when the oldest unfinished message began, ms */
};

/* The connection's, made if it has none; NULL without memory. */
struct inbox *inbox_get(struct inbox **inp, uint64_t now);
void inbox_free(struct inbox **inp);

/* Put bytes behind those that wait.  False without memory. */
bool inbox_add(struct inbox *in, const uint8_t *data, size_t len);

/* Room for the whole frame that is needed.  False without memory. */
bool inbox_reserve(struct inbox *in, size_t need);

/* Put a piece of a message behind those before.  False without memory. */
bool inbox_add_part(struct inbox *in, const uint8_t *data, size_t len);

#endif
